"""Runs from Python, in this process and without ROS: ``nrl_ros.train`` and ``nrl_ros.load``.

A run of ``train`` is a folder like those of the command ``nrl train``, and ``load`` opens both::

    run = nrl_ros.train('gymnasium:CartPole-v1', steps=300_000)
    action = run.policy(observation)
    pyplot.plot(run.metrics['total_steps'], run.metrics['return'])
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.config_files import one_line
from nrl_ros.base.errors import ConfigError
from nrl_ros.base.settings import dotted
from nrl_ros.cli import config
from nrl_ros.cli.config import RunSettings
from nrl_ros.cli.evaluate import SEED_OFFSET, Score, evaluate
from nrl_ros.cli.metrics import METRICS, read_metrics
from nrl_ros.cli.options import TrainOptions
from nrl_ros.cli.plan import make_plan
from nrl_ros.cli.runs import Run, newest, open_run
from nrl_ros.cli.tensorboard import require_tensorboard
from nrl_ros.environments.faults import closing
from nrl_ros.environments.interfaces import Forms
from nrl_ros.environments.people import Person
from nrl_ros.environments.registry import make_bridge
from nrl_ros.experiments.policy import CallablePolicy
from nrl_ros.storage.checkpoint import read_checkpoint

__all__ = ['Person', 'TrainedRun', 'load', 'train']

Array = NDArray[Any]
Say = Callable[[str], None]

_KINDS: dict[str, Any] = {
    'total_steps': np.int64,
    'wall_time_s': np.float64,
    'instance': np.int64,
    'episode': np.int64,
    'length': np.int64,
    'return': np.float64,
}


class TrainedRun:
    """A run: its settings, figures, and what it has learned.

    Args:
        run: its folder.
        best: take the best checkpoint instead of the newest.

    Attributes:
        folder: of the run.
        settings: of its nodes.

    Raises:
        NrlError: the folder's settings are wrong.
    """

    def __init__(self, run: Run, *, best: bool = False) -> None:
        self._run, self._best = run, best
        self.folder: Path = run.folder
        self.settings: RunSettings = config.resolve(run.config)

    def __repr__(self) -> str:
        """Return how the run is loaded."""
        return f'nrl_ros.load({str(self.folder)!r})'

    @cached_property
    def checkpoint(self) -> Path:
        """File of the checkpoint that ``policy`` and ``evaluate`` use.

        Raises:
            RunError: there is none that can be read.
        """
        if self._best:
            return self._run.best_checkpoint()
        return newest(self._run, self.settings.environment.agent).learner

    @cached_property
    def policy(self) -> CallablePolicy:
        """What was learned, callable on observations: ``run.policy(observation)``.

        Observations and actions are those of the Gymnasium task. To know their form, one instance
        of the task is made and closed. Other bridges have rows of numbers.

        Raises:
            NrlError: there is no checkpoint, or the task cannot be made.
        """
        snapshot = read_checkpoint(self.checkpoint, 'learner')
        return CallablePolicy(self.settings.learner, snapshot, self._forms())

    def _forms(self) -> Forms | None:
        bridge = self.settings.environment.bridge
        if bridge.name != 'gymnasium':
            return None
        with closing(make_bridge(bridge.name, 1, dict(bridge.options))) as environment:
            forms: Forms | None = getattr(environment, 'forms', None)
            return forms

    @property
    def metrics(self) -> dict[str, Array]:
        """The finished episodes as arrays [N] by the names of the columns of ``metrics.csv``.

        A figure of the task that an episode does not have is NaN.

        Raises:
            RunError: the file is missing or damaged.
        """
        rows = read_metrics(self._run)
        figures = tuple(rows[0].figures) if rows else ()
        found = {
            name: np.array([row[at] for row in rows], _KINDS.get(name, np.str_))
            for at, name in enumerate(METRICS)
        }
        return found | {
            name: np.array([row.figures.get(name, np.nan) for row in rows], np.float64)
            for name in figures
        }

    @property
    def summary(self) -> dict[str, Any]:
        """What ``summary.json`` says of the run; empty if it was not ended."""
        return self._run.read_summary()

    def evaluate(
        self, episodes: int = 50, *, explore: bool = False, seed: int | None = None
    ) -> Score:
        """Score the policy without learning.

        Args:
            episodes: how many, at least 1.
            explore: act as in the training, with noise and drawn actions.
            seed: of the environment; None: the one that ``nrl eval`` takes.

        Raises:
            NrlError: there is no checkpoint, or an episode does not end.
        """
        if episodes < 1:
            raise ConfigError(f'episodes must be at least 1, received {episodes}')
        return evaluate(
            self.settings,
            self.checkpoint,
            episodes=episodes,
            seed=self.settings.environment.seed + SEED_OFFSET if seed is None else seed,
            acting='exploring' if explore else 'greedy',
        )


def load(folder: str | Path, *, best: bool = False) -> TrainedRun:
    """Open the folder of a run that ``train`` or the command ``nrl train`` has made.

    Args:
        folder: of the run.
        best: take its best checkpoint instead of the newest.

    Raises:
        NrlError: it is missing or is not the folder of a run.
    """
    return TrainedRun(open_run(Path(folder)), best=best)


def train(
    task: str | Path,
    *,
    steps: int | None = None,
    seed: int | None = None,
    instances: int | None = None,
    settings: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    root: str | Path = 'runs',
    tensorboard: bool = False,
    device: str = '',
    update_every: int = 1,
    compiled: bool | None = None,
    say: Say | None = print,
    person: Person | None = None,
) -> TrainedRun:
    """Train a task in this process, without ROS, and leave the folder of a run.

    It ends after the steps or episodes of the settings. To interrupt it (Ctrl-C, or the stop button
    of a notebook) ends it earlier, and what was learned is saved.

    Args:
        task: what ``nrl train`` takes: a task's name, a file of settings, ``gymnasium:ID``, or
            ``FILE.py:NAME``.
        steps: environment steps of all instances; 0: until it is interrupted; None: as in the
            settings.
        seed: of the learner and the environment.
        instances: parallel instances of the environment.
        settings: further ones by name, such as ``{'learner.plasticity.learning_rate': 0.01}``, or
            nested in groups.
        out: folder of the run; None: a new one in ``root``.
        root: folder of run folders.
        tensorboard: write event files into the folder of the run too.
        device: cpu, cuda or cuda:N: the whole loop in tensors of torch there (docs/device.md);
            empty: in numpy and compiled code on the processor.
        update_every: with a device, steps between two updates of the weights.
        compiled: with a device, let torch compile the steps; None: on a GPU.
        say: gets lines of progress; None: nothing is said.
        person: sees each state, rewards, takes over and ends episodes (docs/people.md).

    Raises:
        NrlError: something is wrong with a setting, the task or the folder.
    """
    from nrl_ros.cli.train_device import check_without_device, device_maker
    from nrl_ros.cli.train_here import TrainingRun, train_here
    from nrl_ros.experiments.in_process import InProcessRun

    told = say or (lambda _: None)
    flat = dotted(dict(settings or {}))
    options = TrainOptions(
        task=str(task),
        steps=steps,
        seed=seed,
        instances=instances,
        overrides=tuple(f'{name}={one_line(value)}' for name, value in flat.items()),
        out=None if out is None else Path(out),
        root=Path(root),
        tensorboard=tensorboard,
        device=device,
        update_every=update_every,
        compiled=compiled,
    )
    make: Callable[[RunSettings], TrainingRun] = InProcessRun
    if not device:
        check_without_device(options)
    else:
        if person is not None:
            raise ConfigError(
                f'device {device!r} was given with a person, expected one of them: nobody can see '
                'each state there'
            )
        make = device_maker(options, told)
    if tensorboard:
        require_tensorboard()
    plan = make_plan(options, told, told)
    started = time.monotonic()
    train_here(
        plan,
        told,
        clock=lambda: time.monotonic() - started,
        tensorboard=tensorboard,
        person=person,
        make=make,
    )
    return TrainedRun(plan.run)
