"""`nrl play`: an exported policy acts, over ROS 2 or in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from nrl_ros.base.errors import NrlError
from nrl_ros.base.records import Delivery
from nrl_ros.bundles.onnx_policy import OnnxPolicy
from nrl_ros.bundles.player import Player
from nrl_ros.cli.config import resolve
from nrl_ros.cli.display import EvaluationLines, Say
from nrl_ros.cli.evaluate import SEED_OFFSET, Score, advances, first_episodes, score_of
from nrl_ros.cli.export import TASK_FILE
from nrl_ros.cli.processes import absolute_namespace
from nrl_ros.environments.episodes import Advance, Episodes
from nrl_ros.environments.faults import closing
from nrl_ros.environments.registry import make_bridge


class _Stage:
    """An environment in which a bundle acts."""

    def __init__(self, episodes: Episodes, player: Player) -> None:
        self.episodes, self._player = episodes, player
        player.introduce(episodes.info)

    def advances(self, seed: int) -> Iterator[Advance]:
        """Reset the environment now, and step it each time that the next advance is asked for."""
        return advances(self.episodes, seed, self._player.answer)


def play_here(folder: Path, episodes: int, seed: int | None, say: Say) -> Score:
    """Score a bundle on the task that lies in it, in this process and without ROS.

    Args:
        folder: of the bundle.
        episodes: how many.
        seed: of the environment; None: that of ``nrl eval``.
        say: gets texts on the progress.

    Raises:
        NrlError: there is no bundle or no task, it does not fit the policy, or an episode does not
            end.
    """
    policy = OnnxPolicy(folder)
    file = folder / TASK_FILE
    if not file.is_file():
        raise NrlError(f'{folder}: has no {TASK_FILE}, expected one to know on what to play')
    settings = resolve(file).environment
    bridge = settings.bridge
    made = make_bridge(bridge.name, min(bridge.instances, episodes), dict(bridge.options))
    with closing(made) as environment:
        played = Episodes(
            environment, agent='play', session=1, lockstep=True, delivery=Delivery.EPISODE
        )
        stage = _Stage(played, Player(policy, identity=1))
        chosen = settings.seed + SEED_OFFSET if seed is None else seed
        told = EvaluationLines(say, 'greedy')
        return score_of(*first_episodes(stage, chosen, episodes, told), 'greedy')


def play_over_ros(folder: Path, namespace: str, domain: int | None) -> int:
    """Run the policy node until it is interrupted, and return its exit code.

    Args:
        folder: of the bundle, which is checked before anything starts.
        namespace: of the environments that are answered; empty: none.
        domain: ROS domain; None: that of the shell.

    Raises:
        NrlError: there is no bundle that can be played.
    """
    OnnxPolicy(folder)
    command = [sys.executable, '-m', 'nrl_ros.nodes.policy', '--ros-args']
    command += ['-p', f'bundle:={folder.resolve()}']
    if absolute_namespace(namespace):
        command += ['-r', f'__ns:={absolute_namespace(namespace)}']
    variables = dict(os.environ)
    if domain is not None:
        variables['ROS_DOMAIN_ID'] = str(domain)
    process = subprocess.Popen(command, env=variables)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The node has got the signal too, and ends in order.
            continue
