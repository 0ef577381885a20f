"""The command ``nrl``. Each command imports what it needs when it runs, so that help is quick."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from nrl_ros import __version__
from nrl_ros.base.errors import ConfigError, NrlError
from nrl_ros.base.installed import NEEDED, require

if TYPE_CHECKING:
    from nrl_ros.cli.plan import TrainOptions

app = typer.Typer(
    help='Online learning by noise and reward, without backpropagation, over ROS 2.',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode='rich',
)

_TRAIN_HELP = """Train a task over ROS 2: starts learner, neuromodulator and environment, shows
progress, stops cleanly, and leaves a run folder with settings, metrics, checkpoints and a picture.

Without --domain-id and ROS_DOMAIN_ID each run takes a free ROS domain of its own (1 to 101, from
its process id), so that two runs on one machine do not meet; it is shown at the start.
"""


@app.callback()
def _begin(context: typer.Context) -> None:
    # The doctor reports all of it itself, and the version must be printed even if nothing works.
    if context.invoked_subcommand not in ('doctor', 'version'):
        require(NEEDED)


Episodes = Annotated[int, typer.Option(help='Greedy episodes', min=1)]


@contextmanager
def _errors() -> Iterator[Console]:
    """Print every error that is meant for the user as one clear line."""
    errors = Console(stderr=True)
    try:
        yield errors
    except ConfigError as error:
        _fail(errors, error, 2)
    except NrlError as error:
        _fail(errors, error, 1)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith('nrl_ros'):
            raise
        _fail(errors, f'{error}; `nrl doctor` says what is missing and how to mend it', 1)
    except OSError as error:
        _fail(errors, f'{error.filename or "system"}: {error.strerror or error}', 1)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _fail(errors: Console, error: object, code: int) -> None:
    errors.print(f'[bold red]error:[/] {escape(str(error))}', highlight=False, soft_wrap=True)
    raise typer.Exit(code) from None


def _train(options: TrainOptions) -> int:
    from nrl_ros.cli.plan import check_options

    # Options are checked before ROS is imported, so that a missing package does not hide a typing
    # error.
    check_options(options)
    from nrl_ros.cli.display import lasting_console
    from nrl_ros.cli.train import train as run

    return run(options, lasting_console())


@app.command(help=_TRAIN_HELP)
def train(  # noqa: PLR0913 - one argument per option
    task: Annotated[
        str | None, typer.Argument(help='ur5e, cartpole, acrobot, reaching, or any file of config/')
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Parameter file instead of the task's")
    ] = None,
    instances: Annotated[
        int | None, typer.Option(help='Parallel instances of the environment', min=1)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help='Seed of weights, noise, actions and environment', min=0)
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help='Environment steps of all instances; 0: no limit', min=0)
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option('--set', help='Any setting, as learner.plasticity.learning_rate=0.01'),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help='Folder of the run; default: runs/TASK-DATE-sSEED')
    ] = None,
    compose: Annotated[bool, typer.Option('--compose', help='All nodes in one process')] = False,
    namespace: Annotated[str, typer.Option(help='ROS namespace of the nodes')] = '',
    resume: Annotated[
        Path | None, typer.Option(help='Run folder to take up from its newest checkpoint')
    ] = None,
    exact: Annotated[
        bool,
        typer.Option(
            '--exact',
            help='With --resume: from the newest checkpoint that also holds the state of the '
            'environment, so that a lockstep run continues bit for bit',
        ),
    ] = False,
    episodes: Annotated[
        int, typer.Option(help='Greedy episodes before and after; 0: none', min=0)
    ] = 50,
    quiet: Annotated[bool, typer.Option('--quiet', help='Show only the result')] = False,
    plain: Annotated[bool, typer.Option('--plain', help='One line per second, no panel')] = False,
    domain: Annotated[
        int | None, typer.Option('--domain-id', help='ROS domain', min=0, max=232)
    ] = None,
) -> None:
    """Train a task."""
    with _errors():
        from nrl_ros.cli.plan import TrainOptions

        options = TrainOptions(
            task=task,
            config=config,
            instances=instances,
            seed=seed,
            steps=steps,
            overrides=tuple(overrides or ()),
            out=out,
            compose=compose,
            namespace=namespace,
            resume=resume,
            exact=exact,
            domain=domain,
            episodes=episodes,
            quiet=quiet,
            plain=plain,
        )
        raise typer.Exit(_train(options))


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help='Seed of everything random', min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help='Folder of the run')] = None,
    plain: Annotated[bool, typer.Option('--plain', help='One line per second, no panel')] = False,
) -> None:
    """Train a six-joint arm to reach, over ROS 2, and show it reaching unseen targets."""
    with _errors():
        from nrl_ros.cli.plan import TrainOptions

        options = TrainOptions(task='ur5e', seed=seed, out=out, plain=plain, episodes=500)
        raise typer.Exit(_train(options))


@app.command()
def arm(  # noqa: PLR0913 - one argument per option
    robot: Annotated[
        str, typer.Option(help='Name of a file in config/robots and of its task; default: ur5e')
    ] = '',
    real: Annotated[
        bool, typer.Option('--real', help='The driver of the robot runs already: start none')
    ] = False,
    robot_file: Annotated[
        Path | None, typer.Option(help='Description of your own robot; the task is then generic')
    ] = None,
    load: Annotated[
        Path | None, typer.Option(help='Checkpoint, its folder, or run folder to continue from')
    ] = None,
    speed_share: Annotated[
        float, typer.Option(help='Allowed share of the described speeds; 0.1 at first')
    ] = 1.0,
    dry_run: Annotated[
        bool, typer.Option('--dry-run', help='Compute and show commands, send none')
    ] = False,
    evaluate: Annotated[
        bool, typer.Option('--evaluate', help='Act without noise, learn nothing')
    ] = False,
    realtime: Annotated[
        bool, typer.Option(help='Real-time priority for what commands the arm, if permitted')
    ] = True,
    episodes: Annotated[int, typer.Option(help='Stop after so many; 0: at Ctrl-C', min=0)] = 0,
    namespace: Annotated[
        str, typer.Option(help="ROS namespace of the nodes and the robot's topics")
    ] = '',
    domain: Annotated[
        int | None, typer.Option('--domain-id', help='ROS domain', min=0, max=232)
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option('--set', help='Any setting, as learner.plasticity.learning_rate=0.01'),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help='Folder of the run; default: runs/arm-ROBOT-DATE-sSEED')
    ] = None,
) -> None:
    """Run one arm in real time, simulated or real: driver, safety node, and what learns."""
    with _errors():
        from nrl_ros.cli.arm import ArmOptions, check_options

        options = ArmOptions(
            robot=robot,
            robot_file=robot_file,
            real=real,
            load=load,
            speed_share=speed_share,
            dry_run=dry_run,
            evaluate=evaluate,
            realtime=realtime,
            episodes=episodes,
            namespace=namespace,
            domain=domain,
            overrides=tuple(overrides or ()),
            out=out,
        )
        check_options(options)
        from nrl_ros.cli.arm_watch import run
        from nrl_ros.cli.display import lasting_console

        raise typer.Exit(run(options, lasting_console()))


@app.command()
def study(
    which: Annotated[
        str, typer.Argument(metavar='STUDY', help='paper, quick, or a file like those')
    ],
    workers: Annotated[int, typer.Option(help='Trials at once; 0: one per core', min=0)] = 0,
    engine: Annotated[str, typer.Option(help='processes or ray')] = 'processes',
    address: Annotated[str, typer.Option(help='With --engine ray: cluster to join')] = '',
    out: Annotated[
        Path | None, typer.Option(help='Folder of the report; default: docs/results/STUDY')
    ] = None,
    root: Annotated[Path, typer.Option(help='Where results are kept')] = Path('runs/study'),
    report_only: Annotated[
        bool, typer.Option('--report-only', help='Run nothing, report what is stored')
    ] = False,
    dry_run: Annotated[
        bool, typer.Option('--dry-run', help='Say what is left and how long it would take')
    ] = False,
    plain: Annotated[bool, typer.Option('--plain', help='One line per trial, no panel')] = False,
) -> None:
    """Compare rules over tasks, depths and seeds; continue where it was stopped."""
    with _errors():
        if engine not in ('processes', 'ray'):
            raise ConfigError(f'--engine: expected processes or ray, received {engine!r}')
        from nrl_ros.cli.study import StudyOptions, run

        options = StudyOptions(
            which, engine, workers, address, root, out, report_only, dry_run, plain
        )
        raise typer.Exit(run(options, Console()))


@app.command(name='eval')
def evaluate(
    folder: Annotated[Path, typer.Argument(metavar='RUN', help='Run folder')],
    episodes: Episodes = 50,
    seed: Annotated[
        int | None, typer.Option(help='Seed of the environment; default: as after nrl train')
    ] = None,
    untrained: Annotated[
        bool, typer.Option('--untrained', help='The weights that training started from')
    ] = False,
) -> None:
    """Evaluate the newest checkpoint of a run: greedy, without noise, without learning."""
    with _errors() as errors:
        from nrl_ros.cli import config
        from nrl_ros.cli.display import warn
        from nrl_ros.cli.evaluate import SEED_OFFSET
        from nrl_ros.cli.evaluate import evaluate as run
        from nrl_ros.cli.runs import newest, open_run

        opened = open_run(folder)
        settings = config.resolve(opened.config)

        def skipped(error: NrlError) -> None:
            warn(errors, error)

        checkpoint = None
        if not untrained:
            checkpoint = newest(opened, settings.environment.agent, skipped=skipped).learner
        where = settings.environment.seed + SEED_OFFSET if seed is None else seed
        score = run(settings, checkpoint, episodes=episodes, seed=where)
        what = 'untrained' if checkpoint is None else checkpoint.name
        Console().print(
            f'{opened.task}, {what}: return [bold]{score}[/] (mean ± standard deviation of '
            f'{score.episodes} greedy episodes), min {score.min:,.1f}, max {score.max:,.1f}'
            + (f'; {score.success}' if score.success else ''),
            highlight=False,
            soft_wrap=True,
        )


@app.command()
def plot(
    folders: Annotated[list[Path], typer.Argument(metavar='RUN...', help='Run folders')],
    out: Annotated[
        Path | None, typer.Option(help='Picture; default: in the run, or learning_curves.png')
    ] = None,
) -> None:
    """Draw learning curves; several runs of one task become their mean and spread."""
    with _errors():
        from nrl_ros.cli.plot import plot_runs
        from nrl_ros.cli.runs import open_run

        runs = [open_run(folder) for folder in folders]
        target = out or (runs[0].picture if len(runs) == 1 else Path('learning_curves.png'))
        plot_runs(runs, target)
        Console().print(f'{target}', highlight=False, soft_wrap=True)


@app.command()
def doctor(
    robot: Annotated[
        str, typer.Option(help='Summarise this robot description instead: a name or a path')
    ] = '',
    speed_share: Annotated[
        float, typer.Option(help='With --robot: share of the described speeds', min=0.001, max=1.0)
    ] = 1.0,
) -> None:
    """Check ROS, messages, middleware and packages, and say how to mend what is missing."""
    with _errors():
        if robot:
            from nrl_ros.robots.arm.preflight import preflight
            from nrl_ros.robots.arm.robot import load_robot

            for line in preflight(load_robot(robot, share=speed_share)):
                typer.echo(line)
            return
        from nrl_ros.base.doctor import run

        console = Console(soft_wrap=True, highlight=False)
        missing = False
        for check in run():
            missing |= check.required and not check.ok
            mark = (
                '[green]ok[/]' if check.ok else '[red]no[/]' if check.required else '[yellow]–[/]'
            )
            console.print(f'{mark}\t{escape(check.name)}: {escape(check.detail)}')
            if not check.ok:
                console.print(f'\t  to mend it: {escape(check.remedy)}', style='bold')
        raise typer.Exit(1 if missing else 0)


@app.command()
def params(
    node: Annotated[
        str | None,
        typer.Argument(help='Name of the node, such as learner or safety; default: all'),
    ] = None,
    markdown: Annotated[
        bool, typer.Option('--markdown', help='As a page, like docs/parameters.md')
    ] = False,
) -> None:
    """Print the settings of the nodes: name, type, default, range, and meaning."""
    with _errors():
        from nrl_ros.cli import reference
        from nrl_ros.settings.run import NODES

        if markdown:
            typer.echo(reference.markdown(), nl=False)
            return
        if node is not None and node not in NODES:
            raise ConfigError(f'unknown node {node!r}, known are {", ".join(NODES)}')
        console = Console()
        for name, model in NODES.items():
            if node in (None, name):
                console.print(reference.table(name, model), highlight=False)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


if __name__ == '__main__':
    app()
