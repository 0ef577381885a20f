"""A reaching arm trained in this process, and scored: what benchmark, studies and tests share.

What counts is where an episode ends: the distance of the tool from the target at its last step,
of greedy episodes (no noise, the policy's mean) with targets from a seed of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import nrl_ros.nodes  # noqa: F401 - first, since it keeps BLAS on one thread

# isort: split
import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import Delivery, StateBatch
from nrl_ros.cli.config import RunSettings, find_config, resolve
from nrl_ros.cli.evaluate import SEED_OFFSET
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.registry import make_bridge
from nrl_ros.experiments.in_process import InProcessRun
from nrl_ros.learning.learner import Learner

Array = NDArray[Any]
# States to actions in the environment's units.
Act = Callable[[StateBatch], Array]

RADII_CM = (5, 2, 1)
# The task as studies of the rule have it: an arm with a room to itself, held to the limits of its
# joints alone, which takes a fifth of the time; a slow baseline, and actions that cost nothing.
STUDIED = (
    'environment.bridge.options.simulation.guard=false',
    'environment.bridge.options.reward.action_cost=0.0',
    'neuromodulator.rpe.rate=0.05',
)
_FINAL, _ANGLE = 'final_distance_m', 'final_angle_rad'
# A pose counts within both: 2 cm and 5 degrees.
POSE_M, POSE_RAD = 0.02, float(np.radians(5.0))


def settings_of(overrides: Iterable[str] = (), *, seed: int = 0, task: str = 'ur5e') -> RunSettings:
    """The settings of a task's file.

    Args:
        overrides: ``NODE.NAME=VALUE``.
        seed: of learner and environment.
        task: name of the file.
    """
    seeds = [f'learner.seed={seed}', f'environment.seed={seed}']
    return resolve(find_config(task), [*overrides, *seeds])


class Training(InProcessRun):
    """A run in this process, a step of all instances at a time; its environment may be changed.

    Args:
        settings: of all three.
        snapshot: of a learner to go on with, by these settings; None: one that knows nothing.

    Attributes:
        cpu_s: processor time of the steps so far [s].
    """

    def __init__(self, settings: RunSettings, *, snapshot: dict[str, Any] | None = None) -> None:
        super().__init__(settings)
        if snapshot is not None:
            # As a new agent: the old one's episodes are over.
            self.learner.restore({**snapshot, 'agents': {}}, keep_settings=True)
        self._cycle = self.steps()
        self.cpu_s = 0.0

    def step(self) -> None:
        """One step of all instances."""
        next(self._cycle)

    def run(self, steps: int) -> None:
        """Go on until so many steps of all instances together have been made."""
        start = time.process_time()
        while self.episodes.total_steps < steps:
            self.step()
        self.cpu_s += time.process_time() - start


def arms(
    settings: RunSettings, count: int, change: Callable[[Any], None] | None = None
) -> Episodes:
    """That many arms of a task, to be scored with ``final_distances``.

    Args:
        settings: of the task.
        count: B.
        change: what to do to the bridge first.
    """
    bridge = settings.environment.bridge
    environment = make_bridge(bridge.name, count, dict(bridge.options))
    if change is not None:
        change(environment)
    return Episodes(environment, agent='score', session=1, lockstep=True, delivery=Delivery.EPISODE)


def final_figures(books: Episodes, act: Act, seed: int) -> dict[str, Array]:
    """What the first episode of each arm comes to, by name of the figure [B].

    Args:
        books: the arms.
        act: what they do.
        seed: of the targets, added to one that no training uses.
    """
    state = books.begin(SEED_OFFSET + seed)
    count = len(state.phase)
    found = {name: np.full(count, np.nan) for name in books.info.spec.metrics}
    open_ = np.ones(count, np.bool_)
    while open_.any():
        advance = books.advance(act(state))
        state = advance.state
        if advance.ends is not None:
            first = advance.ends.episode == 0
            which = advance.ends.instance[first]
            open_[which] = False
            for name, values in found.items():
                values[which] = advance.ends.figures[name][first]
    return found


def final_distances(books: Episodes, act: Act, seed: int) -> Array:
    """Where the first episode of each arm ends [B, m]; the arguments are those of final_figures."""
    return final_figures(books, act, seed)[_FINAL]


def greedy(settings: RunSettings, snapshot: dict[str, Any] | None, books: Episodes) -> Act:
    """What a learner does without noise.

    Args:
        settings: of the learner.
        snapshot: of it; None: the weights that training starts from.
        books: the arms it is for.
    """
    learner = Learner(settings.learner)
    if snapshot is not None:
        learner.restore({**snapshot, 'agents': {}})
    learner.evaluating = True
    learner.join(books.info)

    def act(state: StateBatch) -> Array:
        learner.observe(state)
        return learner.act(state.agent).action

    return act


def score(
    settings: RunSettings,
    snapshot: dict[str, Any] | None,
    *,
    seed: int,
    count: int = 1000,
    change: Callable[[Any], None] | None = None,
) -> dict[str, float]:
    """Greedy episodes of a learner; see ``arms`` and ``success``."""
    books = arms(settings, count, change)
    return success(final_figures(books, greedy(settings, snapshot, books), seed))


def success(figures: dict[str, Array]) -> dict[str, float]:
    """Shares of episodes that end within each radius, and the median distance.

    Where orientation matters there are the share within 2 cm and 5 degrees, ``success_pose``, and
    the median angle too.

    Args:
        figures: of N episodes, see final_figures.
    """
    distances = figures[_FINAL]
    shares = {
        f'success_{radius}cm': float(np.mean(distances < radius / 100.0)) for radius in RADII_CM
    }
    found = {**shares, 'median_mm': float(np.median(distances)) * 1e3}
    if _ANGLE in figures:
        there = (distances < POSE_M) & (figures[_ANGLE] < POSE_RAD)
        found['success_pose'] = float(np.mean(there))
        found['median_deg'] = float(np.degrees(np.median(figures[_ANGLE])))
    return found


def write_section(page: Path, title: str, text: str) -> None:
    """Put a section into a page of results, in the place of the one with that title.

    Args:
        page: made where it does not exist.
        title: of the section.
        text: its Markdown.
    """
    before = page.read_text(encoding='utf-8') if page.is_file() else '# Reaching with an arm\n'
    head, *sections = before.split('\n## ')
    kept = {part.split('\n', 1)[0]: part for part in sections}
    kept[title] = f'{title}\n\n{text.strip()}\n'
    page.write_text('\n## '.join([head, *kept.values()]), encoding='utf-8')
