"""``nrl train --device``: the whole loop of a run on one device, in this process, without ROS."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from rich.console import Console

from nrl_ros.base.errors import ConfigError, NrlError
from nrl_ros.cli.display import Say, lines_to, number, warn
from nrl_ros.cli.options import TrainOptions
from nrl_ros.cli.plan import Plan, make_plan
from nrl_ros.cli.runs import newest
from nrl_ros.cli.scores import TRAINED, UNTRAINED, Scores, report_scores, score_both
from nrl_ros.cli.train_here import TrainingRun, train_here
from nrl_ros.monitor.progress import Progress
from nrl_ros.settings.run import RunSettings

_ON_DEVICE = 'nrl_ros.experiments.on_device'


def check_without_device(options: TrainOptions) -> None:
    """Refuse options of a device where there is none.

    Raises:
        ConfigError: one was given.
    """
    if options.update_every != 1 or options.compiled is not None:
        raise ConfigError(
            '--update-every and --compile are for the whole loop on a device: expected --device '
            'cpu or cuda too, or leave them away'
        )


def device_maker(options: TrainOptions, say: Say) -> Callable[[RunSettings], TrainingRun]:
    """Return what makes the run of a command with a device; what does not fit is refused now.

    Args:
        options: of the command.
        say: is told what takes a while.

    Raises:
        ConfigError: torch is not installed, the device is not there, or an option does not fit it.
    """
    if options.compose:
        raise ConfigError('--device cannot be given with --compose: there are no nodes, leave it')
    if options.record:
        raise ConfigError(
            '--device cannot be given with --record: nobody sees each message there, leave one of '
            'them away'
        )
    if options.shows_page:
        raise ConfigError(
            '--device cannot be given with --page or --listen: there are no nodes to be shown, '
            'leave one of them away'
        )
    try:
        on_device: Any = import_module(_ON_DEVICE)
    except ModuleNotFoundError as error:
        if error.name != 'torch':
            raise
        raise ConfigError(
            f'--device {options.device}: torch is not installed, expected it: '
            'python -m pip install torch'
        ) from error
    on_device.find_device(options.device)
    chosen = on_device.DeviceOptions(options.device, options.update_every, options.compiled)

    def make(settings: RunSettings) -> TrainingRun:
        run: TrainingRun = on_device.DeviceRun(settings, chosen, say)
        return run

    return make


@dataclass(frozen=True)
class _Clock:
    """Time since the start of a command [s]."""

    started: float

    def __call__(self) -> float:
        return time.monotonic() - self.started


def train_on_device(options: TrainOptions, console: Console) -> int:
    """Train on a device, and leave a run folder.

    Returns:
        Exit code: 0, or 130 when a person interrupted it.

    Raises:
        NrlError: it could not be started, or the environment failed.
    """
    say = lines_to(console, quiet=options.quiet)
    make = device_maker(options, say)
    plan = make_plan(options, lambda text: warn(console, text), say)
    say(f'run folder {plan.run.folder}, on {options.device}')
    before = _score(UNTRAINED, plan, options, say) if options.untrained else []
    progress = train_here(
        plan, say, clock=_Clock(time.monotonic()), tensorboard=options.tensorboard, make=make
    )
    _report(plan, progress, console)
    scores = before + _score(TRAINED, plan, options, say)
    summary = plan.run.read_summary()
    plan.run.write_summary({**summary, **{one.policy: one.data() for one in scores}})
    _draw(plan, console)
    report_scores(scores, console)
    return 130 if summary.get('ended') == 'interrupted' else 0


def _score(policy: str, plan: Plan, options: TrainOptions, say: Say) -> list[Scores]:
    """Score a policy; what was learned is there even if it cannot be scored."""
    if options.episodes < 1:
        return []
    try:
        return [_scored(policy, plan, options, say)]
    except NrlError as error:
        say(f'no score: {error}')
        return []


def _scored(policy: str, plan: Plan, options: TrainOptions, say: Say) -> Scores:
    checkpoint = None if plan.resumed else plan.load
    if policy == TRAINED:
        checkpoint = newest(plan.run, plan.settings.environment.agent).learner
    return score_both(policy, plan.settings, checkpoint, episodes=options.episodes, say=say)


def _report(plan: Plan, progress: Progress, console: Console) -> None:
    summary = plan.run.read_summary()
    told, seconds = summary.get('device', {}), float(summary.get('training_seconds', 0.0))
    learned_s = max(seconds - float(told.get('built_seconds', 0.0)), 1e-9)
    done = progress.steps - progress.first_steps
    counts = ', '.join(f'{name} {value:,}' for name, value in told.get('counts', {}).items())
    console.print(
        f'{summary.get("ended", "")}: {progress.steps:,} steps, {progress.episodes:,} episodes in '
        f'{learned_s:.1f} s ({done / learned_s:,.0f} steps/s), return of the last 100 episodes '
        f'{number(progress.mean_return)}',
        highlight=False,
        soft_wrap=True,
    )
    console.print(f'counted on the device: {counts}', highlight=False, soft_wrap=True)


def _draw(plan: Plan, console: Console) -> None:
    from nrl_ros.cli.plot import plot_runs

    try:
        plot_runs([plan.run], plan.run.picture)
        console.print(f'learning curve: {plan.run.picture}', soft_wrap=True, highlight=False)
    except NrlError as error:
        warn(console, f'no learning curve: {error}')
