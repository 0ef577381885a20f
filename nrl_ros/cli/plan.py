"""Plans a training: a new run, or one that is resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.identity import draw_identity
from nrl_ros.base.records import AgentInfo
from nrl_ros.cli import config
from nrl_ros.cli.config import RunSettings
from nrl_ros.cli.display import Say, told_if_slow
from nrl_ros.cli.metrics import EpisodeRow, last_steps, read_metrics, write_metrics
from nrl_ros.cli.new_task import (
    given_nodes,
    is_new_task,
    propose_settings,
    proposed_nodes,
    resolved,
    short_name,
)
from nrl_ros.cli.one_instance import one_instance
from nrl_ros.cli.options import TrainOptions
from nrl_ros.cli.run_parts import changed_parts, keep_parts
from nrl_ros.cli.runs import (
    OF_DEVICE,
    OF_NODE,
    Run,
    RunError,
    Saved,
    create_run,
    json_text,
    newest,
    open_run,
    saved_states,
    versions,
)
from nrl_ros.cli.start import Start
from nrl_ros.cli.topic_model import ROBOT, fetched_model, kept_robot, simulated_robot
from nrl_ros.environments.interfaces import Remarking
from nrl_ros.environments.trial import try_start
from nrl_ros.learning.learner import Learner
from nrl_ros.storage.checkpoint import read_checkpoint
from nrl_ros.storage.lock import FolderLock

Warn = Callable[[str], None]


def _silent(_: str) -> None:
    """Say nothing."""


_LEFT_BEHIND = 'left_behind'
# A session begins when an environment is activated, or starts over.
_MOST_SESSIONS = 10_000


# What says which environment a file is for.
_ENVIRONMENT = ('bridge.name', 'bridge.options.id')
# These settings are saved with every checkpoint; the command line replaces them.
_LIVE = ('learner.plasticity.learning_rate', 'learner.noise.sigma')


@dataclass(frozen=True)
class Sessions:
    """The numbers of the sessions that an environment may have in one start.

    Attributes:
        first: the first new one, from which later ones count on.
        restored: the one of its checkpoint; 0: none.
    """

    first: int = field(default_factory=lambda: draw_identity(room=_MOST_SESSIONS))
    restored: int = 0

    def __contains__(self, session: object) -> bool:
        """Return True if a session is one of them."""
        if not isinstance(session, int):
            return False
        return session == self.restored != 0 or 0 <= session - self.first < _MOST_SESSIONS


@dataclass(frozen=True)
class Plan:
    """A training that is ready to start.

    Attributes:
        run: its folder.
        task: name of the task.
        settings: checked, the limits of the whole run among them.
        params: parameter files for the nodes, later ones winning.
        start: writes the configuration into the folder once the run has begun.
        steps: steps of the run before this start.
        earlier_steps: those of them that the environment does not count.
        load: checkpoint that the learner starts from.
        sessions: of the environment of this start.
        resumed: the checkpoint of this run that is continued.
        keep_settings: settings that a checkpoint holds too are those given now.
    """

    run: Run
    task: str
    settings: RunSettings
    params: list[Path]
    start: Start
    steps: int = 0
    earlier_steps: int = 0
    load: Path | None = None
    resumed: Saved | None = None
    keep_settings: bool = False
    sessions: Sessions = field(default_factory=Sessions)


def check_options(options: TrainOptions) -> None:
    """Check what needs neither ROS nor a run folder, so that a wrong option is reported at once.

    Raises:
        NrlError: a task, file, run folder or setting is wrong.
    """
    if options.resume is None and _names_environment(options):
        resolved(str(options.task), options.overrides, _wanted(options))
        return
    path = _source(options) if options.resume is None else open_run(options.resume).config
    settings = config.resolve(path, options.overrides, _wanted(options))
    # A model on a topic is fetched now, before the command joins a domain of its own.
    if robot := simulated_robot(settings):
        fetched_model(robot)


def _source(options: TrainOptions) -> Path:
    if options.task is None and options.config is None:
        raise ConfigError(
            'name a task, as cartpole, or a file, as my_task.yaml; `nrl list tasks` has their names'
        )
    if options.task is None or not _is_file(options.task):
        return options.config or config.find_config(str(options.task))
    if options.config is not None:
        both = f'{options.task} and --config {options.config}'
        raise ConfigError(f'expected one file, received {both}')
    return Path(options.task)


def _names_environment(options: TrainOptions) -> bool:
    """Return whether settings have to be chosen, since the task is an environment's name.

    Raises:
        ConfigError: a file of another environment is given too.
    """
    if options.task is None or not is_new_task(options.task):
        return False
    if options.config is None:
        return True
    asked, found = given_nodes(options.task), config.read_config(options.config)
    named = {name: value for name, value in asked['environment'].items() if name in _ENVIRONMENT}
    other = {name: found['environment'].get(name) for name in named}
    if other != named:
        raise ConfigError(
            f'--config {options.config} has the environment {other}, and {options.task} is '
            f'{named}: expected one environment; leave one of them away'
        )
    return False


def _is_file(task: str) -> bool:
    """Return whether what stands in place of a task's name is a file of settings."""
    return Path(task).suffix in ('.yaml', '.yml')


def _task_of(path: Path) -> str:
    """Return the name of the task in a file: its own name, or the task of the run it is from."""
    run = Run(path.resolve().parent)
    return run.task if path.resolve() == run.config else path.stem


def make_plan(options: TrainOptions, warn: Warn, say: Say = _silent) -> Plan:
    """Find and check everything that a training needs; only its start writes into the run folder.

    Args:
        options: of the command.
        warn: gets texts on what does not stop the training.
        say: gets texts on what takes long.

    Raises:
        NrlError: something is wrong; nothing was started.
    """
    if options.resume is not None:
        return _resumed(options, options.resume, warn, say)
    return _new(options, warn, say)


def task_settings(options: TrainOptions, say: Say) -> tuple[str, str, dict[str, config.Flat]]:
    """Return name, origin, and dotted settings by node of the task that a command line names.

    Args:
        options: of the command line.
        say: gets texts on what takes long, and on what was chosen for a new task.

    Raises:
        NrlError: there is no such task, or its environment cannot be made.
    """
    if _names_environment(options):
        return _chosen(options, say)
    path = _source(options)
    named = options.task is not None and not _is_file(options.task)
    task = short_name(str(options.task)) if named else _task_of(path)
    return task, str(path), config.read_config(path)


def _new(options: TrainOptions, warn: Warn, say: Say) -> Plan:
    # Everything is checked before the run folder is made, so that a wrong option leaves nothing
    # behind.
    task, origin, nodes = task_settings(options, say)
    checked = config.resolve_nodes(nodes, options.overrides, _wanted(options), source=origin)
    if not _names_environment(options):
        with TemporaryDirectory(prefix='nrl_robot_') as folder:
            _try_environment(_with_model(checked, Path(folder)), warn, say)
    run = create_run(options.root, task, checked.learner.seed, folder=options.out)
    wanted = _wanted(options, run)
    if robot := simulated_robot(checked):
        wanted['environment'][ROBOT] = kept_robot(robot, run.checkpoints)
    settings = config.resolve_nodes(nodes, options.overrides, wanted, source=origin)
    start = Start(run, fresh=True)
    state = settings.environment.checkpoint.load
    sessions = _sessions(Path(state) if state else None)
    added = {'environment': {'session': sessions.first}}
    params = start.write(_parameters(run, settings, f'{task}, from {origin}', added))
    start.write({'versions.json': json_text(versions())})
    keep_parts(Run(start.folder), settings)
    load = settings.learner.checkpoint.load
    return Plan(
        run,
        task,
        settings,
        params,
        start,
        load=Path(load) if load else None,
        keep_settings=settings.learner.checkpoint.keep_settings,
        sessions=sessions,
    )


def _with_model(settings: RunSettings, folder: Path) -> RunSettings:
    """Return settings in which a robot's model is a file, also if it comes from a topic."""
    robot = simulated_robot(settings)
    if not robot:
        return settings
    environment = settings.environment
    options = {**environment.bridge.options, 'robot': kept_robot(robot, folder)}
    bridge = environment.bridge.model_copy(update={'options': options})
    return replace(settings, environment=environment.model_copy(update={'bridge': bridge}))


def _sessions(state: Path | None) -> Sessions:
    """Return the sessions of a start that restores a state of the environment, or none."""
    if state is None:
        return Sessions()
    return Sessions(restored=int(read_checkpoint(state, 'environment').get('session', 0)))


def _chosen(options: TrainOptions, say: Say) -> tuple[str, str, dict[str, config.Flat]]:
    """Return short name, origin and settings of a task of which only the environment is given."""
    task = str(options.task)
    proposal = propose_settings(task, resolved(task, options.overrides, _wanted(options)), say)
    for line in proposal.lines:
        say(line)
    say(f'to change any of it: nrl new {task} writes it into a file, or --set NODE.NAME=VALUE')
    return short_name(task), task, proposed_nodes(task, proposal)


def _try_environment(settings: RunSettings, warn: Warn, say: Say) -> AgentInfo | None:
    """Make one instance, reset it and step it once, so that its faults are told at once.

    Returns:
        What it promises a learner; None for a robot, which is left alone.
    """
    agent = settings.environment.agent
    name = f'the environment of agent {agent!r}'
    with (
        one_instance(settings, name, say, warn) as environment,
        told_if_slow(say, f'the first steps of {name}'),
    ):
        info = try_start(environment, agent)
        for text in environment.remarks() if isinstance(environment, Remarking) else ():
            warn(text)
        return info


def _wanted(options: TrainOptions, run: Run | None = None) -> dict[str, config.Flat]:
    """Return the settings that the command line decides."""
    learner: config.Flat = {'autostart': True}
    environment: config.Flat = {'autostart': True, 'stop.exit': True}
    if options.seed is not None:
        learner['seed'] = environment['seed'] = options.seed
    if options.instances is not None:
        environment['bridge.instances'] = options.instances
    if options.steps is not None:
        environment['stop.steps'] = options.steps
    neuromodulator: config.Flat = {'autostart': True}
    if run is not None:
        folder = str(run.checkpoints)
        learner['checkpoint.folder'] = environment['checkpoint.folder'] = folder
        neuromodulator['critic.folder'] = folder
    return {'learner': learner, 'environment': environment, 'neuromodulator': neuromodulator}


def _parameters(
    run: Run, settings: RunSettings, origin: str, nodes: Mapping[str, Any]
) -> dict[str, str]:
    """Return the parameter files of a start by name: the run's settings, and what it adds.

    The environment waits to be activated.
    """
    comment = (
        f'Resolved settings of {run.folder.name}: {origin}.\n'
        'Every setting is here, defaults included. For `nrl train --config`, or '
        '`ros2 launch nrl_ros train.launch.py params_file:=...`.'
    )
    merged = {name: dict(values) for name, values in nodes.items()}
    # This command has its own display.
    merged.setdefault('environment', {}).update(autostart=False, progress_period_s=0.0)
    added = 'What the newest start of this run added to config.yaml; written by nrl train.'
    return {
        run.config.name: config.to_yaml(settings, comment=comment),
        'start.yaml': config.parameter_file(merged, comment=added),
    }


# ------------------------------------------------------------------- resume


def _resumed(options: TrainOptions, folder: Path, warn: Warn, say: Say) -> Plan:
    for name in ('config', 'seed', 'out'):
        if getattr(options, name) is not None:
            raise ConfigError(f'--{name} cannot be given with --resume: the run has its own')
    run = open_run(folder)
    if not run.checkpoints.is_dir():
        raise RunError(
            f'{folder} has no folder {run.checkpoints.name}, from which a run goes on: copy it '
            f'there, or begin anew with `nrl train {run.task} --out NEW_FOLDER`'
        )
    # The run may still be going on.
    lock = FolderLock(run.checkpoints, 'learner')
    lock.hold()
    lock.release()
    if options.task not in (None, run.task):
        raise ConfigError(f'{folder} is a run of {run.task!r}, received {options.task!r}')
    settings = config.resolve(run.config, options.overrides, _wanted(options, run))
    if options.exact and settings.neuromodulator.rpe.baseline == 'critic':
        raise ConfigError(
            '--exact: a critic continues from its last save, not from the instant of the '
            'checkpoint; leave --exact away'
        )
    for text in changed_parts(run, settings):
        warn(text)
    agent = settings.environment.agent
    kind = OF_DEVICE if options.device else OF_NODE
    saved = newest(
        run, agent, exact=options.exact, kind=kind, skipped=lambda error: warn(str(error))
    )
    earlier, counted = _steps_done(run, saved, kind)
    target = settings.environment.stop.steps
    if target and earlier >= target:
        raise RunError(
            f'{run.folder.name} already has {earlier:,} of {target:,} steps; '
            'say how many it should have in total with --steps'
        )
    if saved.environment is None:
        warn(
            f'checkpoint {saved.number} has no state of the environment: its episodes start anew, '
            'learning goes on'
        )
    _try_checkpoint(settings, saved, _try_environment(settings, warn, say))
    remaining = target if counted or not target else target - earlier
    of_node = saved if kind == OF_NODE else saved._replace(environment=None)
    sessions = _sessions(of_node.environment)
    nodes = _from_checkpoint(of_node, remaining)
    nodes['environment']['session'] = sessions.first
    live = any(item.partition('=')[0].strip() in _LIVE for item in options.overrides)
    if live:
        nodes['learner']['checkpoint']['keep_settings'] = True
    newer = _newer(run, agent, saved.number)
    trimmed = _trimmed_metrics(run, earlier)

    def make_room() -> None:
        _leave_behind(run, newer)
        if trimmed is not None:
            write_metrics(run, trimmed)

    start = Start(run, fresh=False, meanwhile=make_room)
    origin = f'resumed from checkpoint {saved.number}'
    return Plan(
        run,
        run.task,
        settings,
        start.write(_parameters(run, settings, origin, nodes)),
        start,
        steps=earlier,
        earlier_steps=0 if counted else earlier,
        load=saved.learner,
        resumed=saved,
        keep_settings=live or settings.learner.checkpoint.keep_settings,
        sessions=sessions,
    )


def _try_checkpoint(settings: RunSettings, saved: Saved, info: AgentInfo | None) -> None:
    """Continue a checkpoint in this process, so that one that does not fit is told at once.

    Raises:
        NrlError: it does not fit the settings or the spaces of the environment.
    """
    learner = Learner(settings.learner)
    learner.restore(read_checkpoint(saved.learner, 'learner'))
    if info is not None:
        learner.join(info)


def _steps_done(run: Run, saved: Saved, kind: str) -> tuple[int, bool]:
    """Return the steps done up to a checkpoint, and whether the environment counts on from it."""
    if saved.environment is not None:
        return int(read_checkpoint(saved.environment, kind)['steps']), True
    # The learner also counts the steps that only reset an instance, so this is an upper bound.
    bound = int(read_checkpoint(saved.learner, 'learner')['steps'])
    return min(bound, last_steps(run)), False


def _newer(run: Run, agent: str, number: int) -> set[Path]:
    """Return the files of all checkpoints that are newer than one of them."""
    return {
        path
        for kind in (OF_NODE, OF_DEVICE)
        for state in saved_states(run, agent, kind)
        for path in (state.learner, state.environment)
        if path is not None and state.number > number
    }


def _leave_behind(run: Run, newer: Iterable[Path]) -> None:
    """Move checkpoints that are newer than the resumed one, which no later start is to take."""
    for path in newer:
        folder = run.checkpoints / _LEFT_BEHIND
        folder.mkdir(exist_ok=True)
        path.replace(folder / path.name)


def _trimmed_metrics(run: Run, steps: int) -> list[EpisodeRow] | None:
    """Return the episodes up to a checkpoint, since later ones happen again; None if all are."""
    if not run.metrics.is_file():
        return None
    rows = read_metrics(run)
    kept = [row for row in rows if row.total_steps <= steps]
    return kept if len(kept) != len(rows) else None


def _from_checkpoint(saved: Saved, remaining: int) -> dict[str, Any]:
    environment: dict[str, Any] = {'stop': {'steps': remaining}}
    if saved.environment is not None:
        environment['checkpoint'] = {'load': str(saved.environment)}
    return {
        'learner': {'checkpoint': {'load': str(saved.learner)}},
        'neuromodulator': {'load': str(saved.learner)},
        'environment': environment,
    }
