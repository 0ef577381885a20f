"""Options of the commands that run nodes, each declared once: name, type, default, and help.

A field whose type is annotated with ``typer.Option`` or ``typer.Argument`` is an option of the
command line; ``command`` makes the function that typer reads from them. Only the standard library
and typer are imported here, so that help is quick and works without ROS.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

Domain = Annotated[int | None, typer.Option('--domain-id', help='ROS domain', min=0, max=232)]
_TEXTS = tuple[str, ...]
_SET_HELP = 'Any setting, as learner.plasticity.learning_rate=0.01'


@dataclass(frozen=True, kw_only=True)
class SettingsOptions:
    """Options of every command that runs a task; None if the command line does not set them.

    Attributes:
        overrides: ``NODE.NAME=VALUE``.
    """

    overrides: Annotated[_TEXTS, typer.Option('--set', help=_SET_HELP)] = ()


@dataclass(frozen=True, kw_only=True)
class RunOptions(SettingsOptions):
    """Options of every command that runs nodes.

    Attributes:
        out: folder of the run itself.
        root: folder that run folders are made in.
        namespace: ROS namespace; empty: none; None: one of the run's own.
        domain: ROS domain.
        tensorboard: write event files too.
        record: record all topics.
        page: show the run on a live page.
        listen: address that the page listens on; empty: this machine alone.
    """

    out: Path | None = None
    root: Path = Path('runs')
    namespace: str | None = None
    domain: Domain = None
    tensorboard: Annotated[
        bool,
        typer.Option(
            '--tensorboard', help='progress.csv also as an event file, for tensorboard --logdir'
        ),
    ] = False
    record: Annotated[
        bool,
        typer.Option(
            '--record',
            help="Record all topics to the run folder's recording (MCAP); `nrl replay` learns "
            'again from it',
        ),
    ] = False
    page: Annotated[
        bool, typer.Option('--page', help='A live page of the run for browsers on this machine')
    ] = False
    listen: Annotated[
        str,
        typer.Option(
            metavar='ADDRESS',
            help='Show the page on this address too, as 0.0.0.0; steering needs the token that is '
            'printed (docs/page.md)',
        ),
    ] = ''

    @property
    def shows_page(self) -> bool:
        """True if a page is wanted; an address for it says so too."""
        return self.page or bool(self.listen)


@dataclass(frozen=True, kw_only=True)
class TrainOptions(RunOptions):
    """Options of ``nrl train``.

    Attributes:
        task: name of a task, or a file whose name ends with .yaml.
        config: a file instead of the task's.
        instances: parallel instances of the environment.
        seed: of the learner and the environment.
        seeds: so many runs, one after the other, with seeds from ``seed`` on.
        steps: environment steps of all instances, earlier ones included.
        compose: one process for all nodes.
        device: of the whole loop, in one process without ROS; empty: nodes over ROS 2.
        update_every: with a device, steps between two updates of the weights.
        compiled: with a device, let torch compile the steps; None: on a GPU.
        resume: run folder to continue.
        exact: continue only from a checkpoint with the environment's state.
        episodes: greedy ones after the training, and as many exploring ones; 0: none.
        untrained: evaluate before the training too.
        quiet: show nothing but the result.
        plain: lines instead of a panel.
    """

    task: Annotated[
        str | None,
        typer.Argument(
            help='ur5e, cartpole, acrobot, reaching, or any other of `nrl list tasks`; a file of '
            'your own, as in my_task.yaml; or an environment, as in gymnasium:LunarLander-v3'
        ),
    ] = None
    config: Annotated[Path | None, typer.Option(help="Parameter file instead of the task's")] = None
    instances: Annotated[
        int | None, typer.Option(help='Parallel instances of the environment', min=1)
    ] = None
    seed: Annotated[
        int | None, typer.Option(help='Seed of weights, noise, actions and environment', min=0)
    ] = None
    seeds: Annotated[
        int,
        typer.Option(
            help='So many runs one after the other, with seeds from --seed on, and what they come '
            'to: mean, interval, worst',
            min=1,
        ),
    ] = 1
    steps: Annotated[
        int | None, typer.Option(help='Environment steps of all instances; 0: no limit', min=0)
    ] = None
    out: Annotated[
        Path | None, typer.Option(help='Folder of the run; default: runs/TASK-DATE-sSEED')
    ] = None
    compose: Annotated[bool, typer.Option('--compose', help='All nodes in one process')] = False
    device: Annotated[
        str,
        typer.Option(
            help='Whole loop on a device, in one process without ROS: cpu, cuda, cuda:1 '
            '(docs/device.md)'
        ),
    ] = ''
    update_every: Annotated[
        int,
        typer.Option(
            help='With --device: steps between two updates of the weights', min=1, max=128
        ),
    ] = 1
    compiled: Annotated[
        bool | None,
        typer.Option(
            '--compile/--no-compile',
            help='With --device: let torch compile the steps, a minute once; default: on a GPU',
        ),
    ] = None
    namespace: Annotated[
        str | None,
        typer.Option(help='ROS namespace of the nodes; default: one of its own, / for none'),
    ] = None
    resume: Annotated[
        Path | None, typer.Option(help='Run folder to continue from its newest checkpoint')
    ] = None
    exact: Annotated[
        bool,
        typer.Option(
            '--exact',
            help='With --resume: from the newest checkpoint that also holds the state of the '
            'environment, so that a lockstep run continues bit for bit',
        ),
    ] = False
    episodes: Annotated[
        int,
        typer.Option(
            help='Episodes after the training, so many greedy and so many exploring; 0: none', min=0
        ),
    ] = 50
    untrained: Annotated[
        bool,
        typer.Option(
            '--untrained',
            help='Evaluate before the training too: the untrained policy, or the checkpoint that '
            'the training starts from',
        ),
    ] = False
    quiet: Annotated[bool, typer.Option('--quiet', help='Show only the result')] = False
    plain: Annotated[bool, typer.Option('--plain', help='One line per second, no panel')] = False


@dataclass(frozen=True, kw_only=True)
class ArmOptions(RunOptions):
    """Options of ``nrl arm``.

    Attributes:
        robot: in config/robots, with its task in config; empty: that of the task or the run.
        config: task, or a file of settings; empty: of the run, or the robot's own.
        real: the driver of the robot is running; otherwise the simulated one is started.
        robot_file: description of your own robot.
        load: checkpoint, folder of checkpoints, or run folder to continue from.
        from_nothing: settings for one arm that learns alone, until it has learned.
        speed_share: share of the described speeds and accelerations [1].
        dry_run: compute and show commands, send none.
        evaluate: act without noise, learn nothing.
        serve: only serve goals of the action reach.
        watch: only show all arms of the ROS domain side by side.
        compose: run environment, safety node and learner in one process, with a watchdog beside it.
        realtime: real-time priority for the processes that command the arm, if it is permitted.
        episodes: after which it ends; 0: until Ctrl-C.
    """

    robot: Annotated[
        str,
        typer.Option(
            help='Name of a file in config/robots and of its task; default: that of the run or '
            'of the task, ur5e where there is neither'
        ),
    ] = ''
    config: Annotated[
        str,
        typer.Option(
            help="Task, or a file of settings; default: of the run, or the robot's own",
            metavar='TASK',
        ),
    ] = ''
    real: Annotated[
        bool, typer.Option('--real', help='The driver of the robot already runs: start none')
    ] = False
    robot_file: Annotated[
        Path | None,
        typer.Option(help='Description of your own robot; its own task is generic'),
    ] = None
    load: Annotated[
        Path | None,
        typer.Option(
            help='Checkpoint or its folder to continue from; or run folder, which gives robot, '
            'task and settings too'
        ),
    ] = None
    from_nothing: Annotated[
        bool,
        typer.Option(
            '--from-nothing',
            help='Learn alone, from nothing, in minutes; end when 36 of 40 episodes ended within '
            '2 cm (environment.stop.learned; docs/from_nothing.md)',
        ),
    ] = False
    speed_share: Annotated[
        float, typer.Option(help='Allowed share of the described speeds; 0.1 at first')
    ] = 1.0
    dry_run: Annotated[
        bool, typer.Option('--dry-run', help='Compute and show commands, send none')
    ] = False
    evaluate: Annotated[
        bool, typer.Option('--evaluate', help='Act without noise, learn nothing')
    ] = False
    serve: Annotated[
        bool,
        typer.Option('--serve', help='Stand between goals of `nrl reach`, with no episodes'),
    ] = False
    watch: Annotated[
        bool, typer.Option('--watch', help='Only show all arms of the ROS domain, side by side')
    ] = False
    compose: Annotated[
        bool,
        typer.Option(
            '--compose',
            help='Environment, safety node and learner in one process, and a watchdog beside it',
        ),
    ] = False
    realtime: Annotated[
        bool,
        typer.Option(
            help='Real-time priority for the processes that command the arm, if permitted'
        ),
    ] = True
    episodes: Annotated[
        int, typer.Option(help='Stop after this many episodes; 0: at Ctrl-C', min=0)
    ] = 0
    namespace: Annotated[
        str, typer.Option(help="ROS namespace of the nodes and the robot's topics")
    ] = ''
    out: Annotated[
        Path | None, typer.Option(help='Folder of the run; default: runs/arm-ROBOT-DATE-sSEED')
    ] = None


@dataclass(frozen=True, kw_only=True)
class TuneOptions(SettingsOptions):
    """Options of ``nrl tune``.

    Attributes:
        task: as of ``nrl train``.
        config: a file instead of the task's.
        trials: of the search.
        minutes: for search and final runs together; 0: no limit.
        steps: of a final run; None: those of the task.
        search_steps: of a trial of the search; 0: a quarter of the steps.
        seeds: final runs of the winner, and as many of the default.
        instances: parallel instances of the environment.
        workers: trials at once; 0: one per core.
        engine: processes or ray.
        address: of Ray's cluster.
        out: the parameter file; None: in the folder of the search.
        root: folder in which each task has its results.
        plain: lines instead of a panel.
    """

    task: Annotated[str | None, typer.Argument(help='What nrl train takes')] = None
    config: Annotated[Path | None, typer.Option(help="Parameter file instead of the task's")] = None
    trials: Annotated[int, typer.Option(help='Trials of the search', min=8)] = 40
    minutes: Annotated[
        float, typer.Option(help='For search and final runs together; 0: no limit', min=0.0)
    ] = 0.0
    steps: Annotated[
        int | None, typer.Option(help="Steps of a final run; default: the task's", min=1)
    ] = None
    search_steps: Annotated[
        int, typer.Option(help='Steps of a trial of the search; 0: a quarter', min=0)
    ] = 0
    seeds: Annotated[
        int, typer.Option(help='Final runs of the winner, and of the default', min=2)
    ] = 5
    instances: Annotated[
        int | None, typer.Option(help='Parallel instances of the environment', min=1)
    ] = None
    workers: Annotated[int, typer.Option(help='Trials at once; 0: one per core', min=0)] = 0
    engine: Annotated[str, typer.Option(help='processes or ray')] = 'processes'
    address: Annotated[str, typer.Option(help='With --engine ray: cluster to join')] = ''
    out: Annotated[
        Path | None, typer.Option(help='Parameter file; default: ROOT/TASK/tuned.yaml')
    ] = None
    root: Annotated[Path, typer.Option(help='Where results are kept')] = Path('runs/tune')
    plain: Annotated[bool, typer.Option('--plain', help='One line per trial, no panel')] = False

    @property
    def train(self) -> TrainOptions:
        """The options of ``nrl train`` that name the same task."""
        return TrainOptions(
            task=self.task,
            config=self.config,
            instances=self.instances,
            steps=self.steps,
            overrides=self.overrides,
        )


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """Options of ``nrl page``.

    Attributes:
        folder: run whose nodes are shown; None: all runs of the ROS domain.
        namespace: whose runs are shown, with those below it; None: that of the run, or all.
        domain: ROS domain; None: that of the run, of the environment, or 0.
        listen: address to listen on; empty: this machine alone.
        robot_file: descriptions by which arms are drawn that have none in config/robots.
    """

    folder: Path | None = None
    namespace: str | None = None
    domain: int | None = None
    listen: str = ''
    robot_file: Sequence[Path] | None = None


Options = TypeVar('Options', bound=SettingsOptions)


def command(kind: type[Options], run: Callable[[Options], None]) -> Callable[..., None]:
    """Return the function of a command, of which typer makes options.

    Args:
        kind: dataclass whose annotated fields are the options.
        run: is called with the options of the command line.
    """
    parameters = []
    hints = get_type_hints(kind, include_extras=True)
    # Options that only this command has come first in its help.
    shared = {field.name for field in fields(RunOptions)}
    for field in sorted(fields(kind), key=lambda field: field.name in shared):
        hint = hints[field.name]
        if not hasattr(hint, '__metadata__'):
            continue
        assert field.default is not MISSING
        default = field.default
        if hint.__origin__ == _TEXTS:
            # A list is the only form of several values that typer knows.
            (declared,) = hint.__metadata__
            hint, default = Annotated[list[str] | None, declared], None
        parameters.append(
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint
            )
        )

    def call(**given: Any) -> None:
        given['overrides'] = tuple(given['overrides'] or ())
        run(kind(**given))

    vars(call)['__signature__'] = inspect.Signature(parameters)
    call.__annotations__ = {one.name: one.annotation for one in parameters}
    return call
