"""The command ``nrl train``: makes a plan, runs the nodes, and reports the result."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from nrl_ros.base.errors import NrlError
from nrl_ros.cli.best import read_best
from nrl_ros.cli.display import lines_to, make_display, number, warn
from nrl_ros.cli.evaluate import SEED_OFFSET, draw
from nrl_ros.cli.monitor import Monitor
from nrl_ros.cli.options import TrainOptions
from nrl_ros.cli.orchestrator import Outcome, connected, make_monitor
from nrl_ros.cli.page import page_beside
from nrl_ros.cli.plan import Plan, make_plan
from nrl_ros.cli.processes import (
    check_machine,
    choose_domain,
    choose_namespace,
    is_own_namespace,
    node_environment,
)
from nrl_ros.cli.recording import RecorderWatch
from nrl_ros.cli.runs import json_text, newest
from nrl_ros.cli.scores import (
    BEST,
    START,
    TRAINED,
    UNTRAINED,
    Scores,
    advice,
    has_fallen,
    report_scores,
    score_both,
)
from nrl_ros.cli.watch import TrainRun
from nrl_ros.monitor.best_watch import BestWatch
from nrl_ros.monitor.progress import Progress
from nrl_ros.ros.security import asked, require_support
from nrl_ros.ros.signals import Signals

# Rollouts in the picture of the policy that is drawn at the end of a training.
_PICTURE_INSTANCES = 500
# These runs have nothing worth measuring, or no time for it.
_UNFIT = (1, 128 + signal.SIGTERM, 128 + signal.SIGHUP)


def train(options: TrainOptions, console: Console) -> int:
    """Train, and leave a run folder.

    Returns:
        Exit code: 0, 1 when a node failed or what was learned could not be saved, 128 and the
        number of the signal when interrupted before the set limit.

    Raises:
        NrlError: it could not be started.
    """
    require_support()
    say = Console(quiet=True) if options.quiet else console
    domain = choose_domain(options.domain)
    environment = node_environment(domain)
    said = check_machine(environment)
    if said:
        warn(say, said)
    os.environ.update(environment)
    plan = make_plan(
        options, lambda text: warn(console, text), lines_to(console, quiet=options.quiet)
    )
    with plan.start:
        return _train(plan, options, domain, console)


def _train(plan: Plan, options: TrainOptions, domain: int, console: Console) -> int:
    say = Console(quiet=True) if options.quiet else console
    seed = plan.settings.learner.seed
    namespace = choose_namespace(
        options.namespace, plan.run.folder, f'{plan.task} s{seed}', secured=asked(os.environ)
    )
    options = replace(options, namespace=namespace)
    plan.start.write({'ros.json': json_text({'ROS_DOMAIN_ID': domain, 'namespace': namespace})})
    where = f'ROS_DOMAIN_ID={domain}, namespace {namespace or "/"}'
    say.print(f'run folder [bold]{plan.run.folder}[/], {where}', soft_wrap=True)
    before = _first_scores(plan, options, console) if options.untrained else None
    for line in before.lines() if before is not None else ():
        say.print(line, highlight=False, soft_wrap=True)
    with Signals() as signals:
        return _watched(plan, options, console, signals, before)


def _watched(
    plan: Plan, options: TrainOptions, console: Console, signals: Signals, before: Scores | None
) -> int:
    """Run the nodes, score what they have learned, and report it.

    The first signal ends the training in order. One that comes after the nodes have ended skips
    scores and pictures, which take long, but not the summary.
    """
    progress = _progress(plan)
    outcome = _run_nodes(plan, options, progress, console, signals)
    if not plan.start.begun:
        _report_no_step(plan, outcome, console)
        return outcome.code
    scores = [] if before is None else [before]
    last = None if outcome.code in _UNFIT else _last_checkpoint(plan, console)
    if last is not None:
        with signals.skipping():
            scores += _last_scores(plan, options, last, console)
            if has_fallen(progress.best):
                scores += _best_scores(plan, options, console)
    told = advice(plan.task, plan.run, progress.best, scores) if last is not None else []
    try:
        _write_summary(plan, progress, outcome, scores, told)
        with signals.skipping():
            _draw(plan, console)
            if last is not None and options.episodes:
                _draw_policy(plan, last, console)
    except OSError as error:
        warn(console, f'{error.filename or plan.run.folder} was not written: {error.strerror}')
    _report(plan, outcome, progress, console)
    if before is None:
        _report_course(progress, console)
    report_scores(scores, console)
    for line in (*progress.health.sentences(), *told):
        warn(console, line)
    return outcome.code


def _progress(plan: Plan) -> Progress:
    stop = plan.settings.environment.stop
    return Progress(
        target_steps=stop.steps,
        target_episodes=stop.episodes,
        earlier_steps=plan.earlier_steps,
        best=BestWatch(plan.settings.environment.bridge.instances, read_best(plan.run)),
    )


def _report_no_step(plan: Plan, outcome: Outcome, console: Console) -> None:
    """Report a start of which nothing is kept."""
    outcome.say_failed(plan.run.log, console)
    left = 'its folder may be used again' if plan.start.fresh else 'it is as it was before'
    console.print(f'{plan.run.folder}: no step was done, {left}', soft_wrap=True, highlight=False)


def _run_nodes(
    plan: Plan, options: TrainOptions, progress: Progress, console: Console, signals: Signals
) -> Outcome:
    settings = plan.settings
    stop = settings.environment.stop
    title = (
        f'[bold]nrl train {plan.task}[/] · seed {settings.learner.seed} · '
        f'{settings.environment.bridge.instances} instances'
    )
    display = make_display(console, title, quiet=options.quiet, plain=options.plain)

    def begin() -> None:
        plan.start.begin()
        tables.open()

    namespace = options.namespace or ''
    with (
        connected(plan.run, console, tensorboard=options.tensorboard) as tables,
        page_beside(
            options,
            plan.run.log,
            namespace,
            say=lines_to(console),
            warn=lambda text: warn(console, text),
        ),
        display,
    ):
        monitor = make_monitor(
            Monitor,
            settings.environment.agent,
            progress,
            tables.episodes.add,
            namespace=namespace,
            sessions=plan.sessions,
        )
        run = TrainRun(
            monitor,
            progress,
            tables.progress,
            signals,
            display=display,
            folder=plan.run,
            compose=options.compose,
            steps=plan.steps,
            lockstep=settings.environment.mode == 'lockstep',
            shared=not is_own_namespace(namespace, plan.run.folder),
            say=lines_to(console, quiet=options.quiet),
            warn=lambda text: warn(console, text),
            recorder=_recorder(plan, options, monitor, console),
        )
        limited = bool(stop.steps or stop.episodes)
        return run.run(plan.params, plan.run.log, namespace, limited=limited, begin=begin)


def _recorder(
    plan: Plan, options: TrainOptions, monitor: Monitor, console: Console
) -> RecorderWatch | None:
    if not options.record:
        return None
    return RecorderWatch(monitor, plan.run.folder, lambda text: warn(console, text))


# ------------------------------------------------------------------ result


def _score(
    policy: str, plan: Plan, options: TrainOptions, checkpoint: Path | None, console: Console
) -> Scores | None:
    if options.episodes < 1:
        return None
    say = lines_to(console, quiet=options.quiet)
    return score_both(policy, plan.settings, checkpoint, episodes=options.episodes, say=say)


def _first_scores(plan: Plan, options: TrainOptions, console: Console) -> Scores | None:
    """Score what the run starts from: a checkpoint that has learned is not called untrained."""
    if plan.load is None or plan.resumed is not None:
        return _score(UNTRAINED, plan, options, None, console)
    return _score(START, plan, options, plan.load, console)


def _last_scores(
    plan: Plan, options: TrainOptions, checkpoint: Path, console: Console, policy: str = TRAINED
) -> list[Scores]:
    """Score what was learned; what cannot be scored is still there, so that is a warning."""
    try:
        found = _score(policy, plan, options, checkpoint, console)
    except NrlError as error:
        warn(console, f'no score: {error}')
        return []
    return [] if found is None else [found]


def _best_scores(plan: Plan, options: TrainOptions, console: Console) -> list[Scores]:
    return _last_scores(plan, options, plan.run.best, console, BEST)


def _last_checkpoint(plan: Plan, console: Console) -> Path | None:

    def skipped(error: NrlError) -> None:
        warn(console, error)

    try:
        return newest(plan.run, plan.settings.environment.agent, skipped=skipped).learner
    except NrlError as error:
        skipped(error)
        return None


def _write_summary(
    plan: Plan,
    progress: Progress,
    outcome: Outcome,
    scores: Sequence[Scores],
    told: Sequence[str],
) -> None:
    best = progress.best.best
    first, mean_return = progress.first_mean_return, progress.mean_return
    reward = progress.mean_reward
    plan.run.write_summary(
        {
            **outcome.summary(plan.settings, progress, plan.task),
            'training_seconds': round(outcome.training_s, 2),
            'steps_per_second': round(_speed(outcome, progress), 1),
            **{name: None for name in (UNTRAINED, START, TRAINED, BEST)},
            **{one.policy: one.data() for one in scores},
            'best_window': None if best is None else asdict(best),
            'advice': list(told),
            'health': progress.health.summary(),
            'mean_return_first_100': None if math.isnan(first) else first,
            'mean_return_last_100': None if math.isnan(mean_return) else mean_return,
            'mean_reward_last_100': None if math.isnan(reward) else reward,
            'resumed_from': None if plan.resumed is None else plan.resumed.number,
        }
    )


def _speed(outcome: Outcome, progress: Progress) -> float:
    done = max(progress.steps - progress.first_steps, 0)
    return done / outcome.training_s if outcome.training_s > 0.0 else 0.0


def _draw(plan: Plan, console: Console) -> None:
    from nrl_ros.cli.plot import plot_runs

    try:
        plot_runs([plan.run], plan.run.picture)
    except NrlError as error:
        warn(console, f'no learning curve: {error}')


def _draw_policy(plan: Plan, checkpoint: Path, console: Console) -> None:
    """Draw what the policy does, if the environment can, beside what it did before training."""
    seed = plan.settings.environment.seed + SEED_OFFSET
    folder = plan.run.folder
    drawn = draw(plan.settings, checkpoint, folder, instances=_PICTURE_INSTANCES, seed=seed)
    if drawn is not None:
        files = ', '.join(drawn.files)
        console.print(f'{drawn.title}: {files}', soft_wrap=True, highlight=False)


def _report(plan: Plan, outcome: Outcome, progress: Progress, console: Console) -> None:
    if outcome.say_failed(plan.run.log, console):
        return
    speed = _speed(outcome, progress)
    console.print(
        f'{outcome.ended}: {progress.steps:,} steps, {progress.episodes:,} episodes in '
        f'{outcome.training_s:.1f} s ({speed:,.0f} steps/s), '
        f'return of the last 100 episodes {number(progress.mean_return)}',
        highlight=False,
        soft_wrap=True,
    )
    counts = [f'{name} {value:,}' for name, value in outcome.trouble.items() if value]
    if counts:
        console.print(f'counted: {", ".join(counts)}', style='yellow', highlight=False)
    if outcome.recorded:
        console.print(outcome.recorded, highlight=False, soft_wrap=True)
    if plan.run.picture.is_file():
        console.print(f'learning curve: {plan.run.picture}', soft_wrap=True, highlight=False)


def _report_course(progress: Progress, console: Console) -> None:
    """Print what the first episodes tell in place of an evaluation before the training."""
    if math.isnan(progress.mean_return):
        return
    console.print(
        f'in the training, exploring: first 100 episodes [bold]{number(progress.first_mean_return)}'
        f'[/], last 100 [bold]{number(progress.mean_return)}[/]',
        highlight=False,
        soft_wrap=True,
    )
