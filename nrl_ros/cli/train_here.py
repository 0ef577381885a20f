"""Trains a plan in this process, without ROS, and leaves the files that nodes would leave."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from nrl_ros.base.records import Ending, FinishedEpisodes
from nrl_ros.cli.best import keep_best
from nrl_ros.cli.display import Say, line_of
from nrl_ros.cli.metrics import EpisodeTable, Table, episode_rows
from nrl_ros.cli.plan import Plan
from nrl_ros.cli.runs import OF_DEVICE, Saved
from nrl_ros.cli.tensorboard import progress_table
from nrl_ros.environments.people import Person
from nrl_ros.experiments.in_process import InProcessRun
from nrl_ros.learning.baselines import Critic
from nrl_ros.learning.health.monitor import HealthMonitor
from nrl_ros.learning.learner import Learner
from nrl_ros.monitor.best_watch import BestWatch
from nrl_ros.monitor.progress import Progress
from nrl_ros.settings.run import RunSettings
from nrl_ros.storage.checkpoint import (
    CRITIC_FILE,
    find_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from nrl_ros.storage.series import CheckpointSeries

# Between two rows of progress, and two lines of it.
_ROW_S, _LINE_S = 0.5, 5.0


class TrainingRun(Protocol):
    """A run in this process, whatever it computes on; ``InProcessRun`` is one.

    Attributes:
        looks_every: what ``steps`` yields so many times passes before the clock is looked at.
    """

    looks_every: int

    @property
    def learner(self) -> Learner:
        """What has learned so far."""
        ...

    @property
    def critic(self) -> Critic | None:
        """What values states, where there is such a thing."""
        ...

    @property
    def total_steps(self) -> int:
        """Steps of all instances, resets left out."""
        ...

    @property
    def total_episodes(self) -> int:
        """Episodes of all instances that have ended."""
        ...

    def steps(self, *, person: Person | None = None) -> Iterator[FinishedEpisodes | None]:
        """Step for ever, and yield episodes that ended; ``person`` may have a say in them."""
        ...

    def figures(self) -> dict[str, Any]:
        """Return what the summary is to say of this kind of run besides."""
        ...

    def close(self) -> None:
        """Close the environment."""
        ...


@runtime_checkable
class Resumable(Protocol):
    """A run in this process that can be stopped and continued as if it had not been stopped."""

    def snapshot(self) -> dict[str, Any]:
        """Return all beside the learner that decides the future, with the ``steps`` so far."""
        ...

    def resume(self, saved: dict[str, Any] | None, steps: int) -> None:
        """Continue after so many steps; ``saved`` is a snapshot, None: episodes begin anew."""
        ...


def train_here(
    plan: Plan,
    say: Say,
    *,
    clock: Callable[[], float],
    tensorboard: bool = False,
    person: Person | None = None,
    make: Callable[[RunSettings], TrainingRun] = InProcessRun,
) -> Progress:
    """Step a plan until its end, or until a person interrupts it; what was learned is saved.

    Args:
        plan: a new one, with its folder made.
        say: gets lines of progress.
        clock: time since the start [s].
        tensorboard: write event files too.
        person: sees each state, rewards, takes over and ends episodes.
        make: makes the run.

    Returns:
        The figures of its end.

    Raises:
        NrlError: the environment failed; what was learned until then is saved.
    """
    with plan.start:
        return _train(plan, say, clock, make, tensorboard, person)


def _train(
    plan: Plan,
    say: Say,
    clock: Callable[[], float],
    make: Callable[[RunSettings], TrainingRun],
    tensorboard: bool,
    person: Person | None,
) -> Progress:
    series = _series(plan, 'learner', 'learner')
    series.hold()
    try:
        with (
            closing(make(plan.settings)) as run,
            closing(EpisodeTable(plan.run, held=True)) as episodes,
            closing(progress_table(plan.run, tensorboard)) as rows,
        ):
            if plan.load is not None:
                _load(run, plan.load, keep_settings=plan.keep_settings)
            training = _Training(plan, run, series, episodes, rows, say, clock, person)
            if plan.resumed is not None:
                training.resume(plan.resumed)
            return training.run()
    finally:
        series.release()


def _series(plan: Plan, name: str, kind: str) -> CheckpointSeries:
    """Return the series of a kind of checkpoints, which goes on where a run is resumed."""
    return CheckpointSeries(plan.run.checkpoints, name, kind, plan.settings.learner.checkpoint.keep)


def _load(run: TrainingRun, path: Path, *, keep_settings: bool) -> None:
    """Begin with the newest readable checkpoint of a folder, or with a file."""
    file = find_checkpoint(path, 'learner', lambda _path, _error: None)
    if file is not None:
        run.learner.restore(read_checkpoint(file, 'learner'), keep_settings=keep_settings)


class _Training:
    """One training: its figures, and when they are written."""

    def __init__(
        self,
        plan: Plan,
        run: TrainingRun,
        series: CheckpointSeries,
        episodes: EpisodeTable,
        rows: Table,
        say: Say,
        clock: Callable[[], float],
        person: Person | None = None,
    ) -> None:
        self._person = person
        self._plan, self._run, self._series = plan, run, series
        self._episodes, self._rows, self._say, self._clock = episodes, rows, say, clock
        stop = plan.settings.environment.stop
        self._progress = Progress(
            target_steps=stop.steps,
            target_episodes=stop.episodes,
            first_steps=plan.steps,
            best=BestWatch(plan.settings.environment.bridge.instances),
        )
        self._period_s = plan.settings.learner.checkpoint.period_s
        self._row_at = self._line_at = self._saved_at = 0.0
        self._health, self._hint = HealthMonitor(run.learner), ''
        self._ended = 'failed'
        self._reason = ''
        self._beside: CheckpointSeries | None = None
        if isinstance(run, Resumable):
            self._beside = _series(
                plan, f'{OF_DEVICE}_{plan.settings.environment.agent}', OF_DEVICE
            )

    def resume(self, saved: Saved) -> None:
        """Continue a checkpoint of this run, whose learner is restored already."""
        self._series.continue_from(saved.learner)
        state = None
        if self._beside is not None and saved.environment is not None:
            self._beside.continue_from(saved.environment)
            state = read_checkpoint(saved.environment, OF_DEVICE)
        assert isinstance(self._run, Resumable)
        self._run.resume(state, self._plan.steps)

    def run(self) -> Progress:
        """Step until the end, and return the figures."""
        try:
            self._step()
            self._ended = 'finished'
        except KeyboardInterrupt:
            self._ended, self._reason = 'interrupted', 'interrupted by hand'
            self._say('interrupted: what was learned is saved')
        except Exception as error:
            self._reason = str(error)
            raise
        finally:
            # A start without a step leaves nothing.
            if self._plan.start.begun:
                self._save()
                self._keep_best()
                self._plan.run.candidate.unlink(missing_ok=True)
                self._write_row()
                self._plan.run.write_summary(self._summary())
        return self._progress

    def _step(self) -> None:
        progress = self._progress
        for done, ends in enumerate(self._run.steps(person=self._person), start=1):
            if done == 1:
                self._begin()
                # Later looks compare the weights with those of this one.
                self._health.look()
            # The environment counts the steps that happened, resets left out.
            progress.episodes = self._run.total_episodes
            if ends is not None:
                self._note(ends)
            progress.steps = self._run.total_steps
            if progress.share_done >= 1.0:
                return
            if done % self._run.looks_every == 0:
                for event in self._run.learner.take_events():
                    self._say(event)
                self._look()
                self._look_for_best()

    def _begin(self) -> None:
        self._plan.start.begin()
        for table in (self._episodes, self._rows):
            table.open()

    def _note(self, ends: FinishedEpisodes) -> None:
        progress = self._progress
        self._episodes.add(episode_rows(ends, round(self._clock(), 3)))
        kept = ends.ending != Ending.ABORTED
        progress.add_episodes(
            progress.steps, ends.episode_return[kept].tolist(), ends.length[kept].tolist()
        )

    def _look(self) -> None:
        now = self._clock()
        if now - self._row_at >= _ROW_S:
            self._write_row()
        if now - self._line_at >= _LINE_S:
            self._line_at = now
            self._say(line_of(self._progress, now))
            self._say_hint()
        if self._period_s and now - self._saved_at >= self._period_s:
            self._saved_at = now
            self._save()

    def _write_row(self) -> None:
        learner, progress, now = self._run.learner, self._progress, self._clock()
        progress.health.hear(progress.steps, self._health.look())
        progress.weight_norm = learner.weight_norm
        progress.learning_rate = learner.learning_rate
        progress.guard = '' if learner.guarded is None else learner.guarded.text
        done = progress.steps - progress.first_steps
        progress.steps_per_second = done / now if now > 0.0 else 0.0
        if learner.windows_learned:
            progress.mean_absolute_rpe = learner.rpes.absolute / learner.windows_learned
        self._row_at = now
        self._rows.add([progress.row(round(now, 3))])

    def _say_hint(self) -> None:
        hint = self._progress.health.now.first_hint
        if hint and hint != self._hint:
            self._hint = hint
            self._say(hint)

    def _save(self) -> None:
        number = self._series.next_number()
        if self._beside is not None and isinstance(self._run, Resumable):
            # First, so that there is no learner without what it needs to go on exactly.
            self._beside.write(number, self._run.snapshot())
            self._beside.prune()
        self._series.write(number, self._run.learner.snapshot() | {'number': number})
        self._series.prune()
        critic = self._run.critic
        if critic is not None:
            write_checkpoint(self._plan.run.checkpoints / CRITIC_FILE, 'critic', critic.snapshot())

    def _look_for_best(self) -> None:
        """Save a candidate for the best checkpoint if it is time to, as the learner's node does."""
        self._keep_best()
        watch = self._progress.best
        if watch.is_due(self._clock()):
            write_checkpoint(self._plan.run.candidate, 'learner', self._run.learner.snapshot())
            watch.answered(self._clock(), saved=True)

    def _keep_best(self) -> None:
        """Keep the candidate if the episodes after it were the best ones."""
        watch = self._progress.best
        if watch.take() and watch.best is not None:
            keep_best(self._plan.run, watch.best)

    def _summary(self) -> dict[str, Any]:
        progress, settings, seconds = self._progress, self._plan.settings, self._clock()
        first, last = progress.first_mean_return, progress.mean_return
        reward, best = progress.mean_reward, progress.best.best
        return {
            'task': self._plan.task,
            'ended': self._ended,
            'reason': self._reason,
            'seed': settings.learner.seed,
            'instances': settings.environment.bridge.instances,
            'steps': progress.steps,
            'resumed_from': None if self._plan.resumed is None else self._plan.resumed.number,
            'episodes': progress.episodes,
            'seconds': round(seconds, 2),
            'training_seconds': round(seconds, 2),
            'counters': {'learner': dict(self._run.learner.counters)},
            'health': progress.health.summary(),
            **self._run.figures(),
            'best_window': None if best is None else asdict(best),
            'mean_return_first_100': None if math.isnan(first) else first,
            'mean_return_last_100': None if math.isnan(last) else last,
            'mean_reward_last_100': None if math.isnan(reward) else reward,
        }
