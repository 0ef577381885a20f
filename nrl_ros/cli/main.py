"""The command ``nrl``. Each command imports what it needs when it runs, so that help is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from nrl_ros import __version__
from nrl_ros.base.errors import ConfigError
from nrl_ros.base.installed import NEEDED, require
from nrl_ros.base.machine import leave_other_ros_aside, prepare_pictures, print_what_fits
from nrl_ros.cli.failing import errors as _errors
from nrl_ros.cli.looking import convert, page, record, replay, views
from nrl_ros.cli.options import ArmOptions, RunOptions, TrainOptions, TuneOptions, command
from nrl_ros.cli.policies import evaluate, export, play
from nrl_ros.cli.running import approve, end, reach, reward

app = typer.Typer(
    help='Online learning by noise and reward, without backpropagation, over ROS 2.',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode='rich',
)

_TRAIN_HELP = """Train a task over ROS 2: starts learner, neuromodulator and environment, shows
progress, stops cleanly, and leaves a run folder with settings, metrics, checkpoints and a picture.

Each run has a ROS namespace of its own, so that runs in one ROS domain do not meet; without
--domain-id and ROS_DOMAIN_ID it also takes a free domain (1 to 101, from its process id). Both are
shown at the start; `--namespace /` leaves the names of topics as they are.
"""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _begin(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option(
            '--version', help='Print the version.', is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    # The doctor reports all of it itself, and the version must be printed even if nothing works.
    if context.invoked_subcommand not in ('doctor', 'version'):
        require(NEEDED)


def _check_tensorboard(options: RunOptions) -> None:
    if options.tensorboard:
        from nrl_ros.cli.tensorboard import require_tensorboard

        require_tensorboard()


def _train(options: TrainOptions) -> int:
    from nrl_ros.cli.plan import check_options

    # Options are checked before ROS is imported, so that a missing package does not hide a wrong
    # option.
    check_options(options)
    _check_tensorboard(options)
    from nrl_ros.cli.display import lasting_console

    if options.device:
        from nrl_ros.cli.train_device import train_on_device as run
    else:
        from nrl_ros.cli.train import train as run
        from nrl_ros.cli.train_device import check_without_device

        check_without_device(options)

    if options.seeds > 1:
        from nrl_ros.cli.seeds import train_seeds

        return train_seeds(options, lasting_console(), run)
    return run(options, lasting_console())


def _train_or_fail(options: TrainOptions) -> None:
    with _errors():
        raise typer.Exit(_train(options))


app.command(name='train', help=_TRAIN_HELP)(command(TrainOptions, _train_or_fail))


@app.command()
def new(
    task: Annotated[
        str, typer.Argument(metavar='ID', help='gymnasium:ID, gymnasium:MODULE:ID or FILE.py:NAME')
    ],
    out: Annotated[Path | None, typer.Option(help='File to write; default: NAME.yaml')] = None,
) -> None:
    """Choose settings for an environment, and write them into a file with a comment on each."""
    with _errors() as errors:
        from nrl_ros.cli.display import lines_to
        from nrl_ros.cli.new_task import write_file

        path = write_file(task, out, lines_to(errors))
        Console().print(
            f'{path}: train it with `nrl train {path}`', highlight=False, soft_wrap=True
        )


robots = typer.Typer(help='Describe an arm of your own.', no_args_is_help=True)
app.add_typer(robots, name='robot')


@robots.callback()
def _robots() -> None:
    """Describe an arm of your own."""


@robots.command(name='new')
def new_robot(
    model: Annotated[Path, typer.Argument(metavar='FILE', help='URDF, xacro or MJCF of the arm')],
    name: Annotated[str, typer.Option(help='Of the robot; default: that of the file')] = '',
    tool: Annotated[
        str, typer.Option(help="Link or site at the tool's centre point; default: the likeliest")
    ] = '',
    package_path: Annotated[
        list[Path] | None,
        typer.Option(help='Folder in which packages with meshes are looked for; several times'),
    ] = None,
    xacro: Annotated[
        list[str] | None,
        typer.Option(help='NAME=VALUE of an argument of a xacro file; several times'),
    ] = None,
    out: Annotated[Path, typer.Option(help='Folder of the files')] = Path(),
) -> None:
    """Write a description of an arm, and a task for it whose targets it reaches."""
    with _errors():
        from nrl_ros.cli.new_robot import NewRobot, write_robot

        say = Console(highlight=False, soft_wrap=True)
        robot, task = write_robot(
            NewRobot(model, name, tool, package_path or (), xacro or (), out),
            lambda line: say.print(escape(line)),
        )
        say.print(
            f'{robot}: the arm, look at it with `nrl doctor --task {task}`\n'
            f'{task}: targets that it reaches, train them with `nrl train {task}`'
        )


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help='Seed of everything random', min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help='Folder of the run')] = None,
    plain: Annotated[bool, typer.Option('--plain', help='One line per second, no panel')] = False,
) -> None:
    """Train a six-joint arm to reach poses beside an obstacle, over ROS 2, and show it doing so."""
    with _errors():
        options = TrainOptions(
            task='ur5e_cell', seed=seed, out=out, plain=plain, episodes=500, untrained=True
        )
        raise typer.Exit(_train(options))


def _arm_or_fail(options: ArmOptions) -> None:
    with _errors():
        if options.watch:
            from nrl_ros.cli.arms_watch import watch_arms

            raise typer.Exit(watch_arms(options.domain, Console()))
        from nrl_ros.cli.arm import check_options

        check_options(options)
        _check_tensorboard(options)
        from nrl_ros.cli.arm_watch import run
        from nrl_ros.cli.display import lasting_console

        raise typer.Exit(run(options, lasting_console()))


app.command(
    name='arm',
    help='Run one arm in real time, simulated or real: driver, safety node, and what learns.',
)(command(ArmOptions, _arm_or_fail))


@app.command()
def study(
    which: Annotated[
        str, typer.Argument(metavar='STUDY', help='paper, quick, or a file like those')
    ],
    workers: Annotated[int, typer.Option(help='Trials at once; 0: one per core', min=0)] = 0,
    engine: Annotated[str, typer.Option(help='processes or ray')] = 'processes',
    address: Annotated[str, typer.Option(help='With --engine ray: cluster to join')] = '',
    out: Annotated[
        Path | None, typer.Option(help='Folder of the report; default: ROOT/STUDY/report')
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


def _tune_or_fail(options: TuneOptions) -> None:
    with _errors() as errors:
        from nrl_ros.cli.display import lines_to
        from nrl_ros.cli.tune import run

        raise typer.Exit(run(options, Console(), lines_to(errors)))


app.command(
    name='tune',
    help='Search rate, noise, samples and baseline for a task; continue where it was stopped.',
)(command(TuneOptions, _tune_or_fail))


@app.command()
def plot(
    folders: Annotated[list[Path], typer.Argument(metavar='RUN...', help='Run folders')],
    out: Annotated[
        Path | None, typer.Option(help='Picture; default: in the run, or learning_curves.png')
    ] = None,
) -> None:
    """Draw learning curves: a panel for each task, a line for each setting that differs.

    Runs whose settings are equal, but for their seeds, become their mean and spread.
    """
    with _errors():
        from nrl_ros.cli.plot import plot_runs
        from nrl_ros.cli.runs import open_run

        runs = [open_run(folder) for folder in folders]
        target = out or (runs[0].picture if len(runs) == 1 else Path('learning_curves.png'))
        plot_runs(runs, target)
        Console().print(f'{target}', highlight=False, soft_wrap=True)


_WITH_NEGATIVE_NUMBERS = {'ignore_unknown_options': True}
app.command(context_settings=_WITH_NEGATIVE_NUMBERS)(reach)
app.command(context_settings=_WITH_NEGATIVE_NUMBERS)(reward)
app.command()(end)
app.command()(approve)
app.command(name='eval')(evaluate)
app.command()(export)
app.command()(play)
app.command()(record)
app.command()(replay)
app.command()(views)
app.command()(page)
app.command()(convert)


@app.command()
def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar='FOLDER...', help='Run folders, or folders of runs')
    ],
) -> None:
    """Compare settings over seeds: mean and interval of each, and of their differences."""
    with _errors():
        from nrl_ros.cli.display import lines_to
        from nrl_ros.cli.seeds import find_runs, report

        runs = [run for folder in folders for run in find_runs(folder)]
        report(runs, lines_to(Console()))


@app.command()
def doctor(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar='[RUN]',
            help='Say of a run folder, or of a recording, how it went and what to change',
        ),
    ] = None,
    robot: Annotated[
        str, typer.Option(help='Summarise this robot description instead: a name or a path')
    ] = '',
    task: Annotated[
        str,
        typer.Option(
            help='Say which targets of this task the robot reaches: a name or a file; default: the '
            "task of the robot's name"
        ),
    ] = '',
    speed_share: Annotated[
        float, typer.Option(help='With --robot: share of the described speeds', min=0.001, max=1.0)
    ] = 1.0,
) -> None:
    """Check ROS, messages, middleware and packages, and say how to mend what is missing.

    With RUN: explain a run instead, with the health of its plasticity; and of its recording, or of
    a recording, rates, latencies, and what was lost, late or stopped.
    """
    with _errors():
        if path is not None:
            from nrl_ros.cli.doctor_run import path_lines

            typer.echo('\n'.join(path_lines(path)))
            return
        if robot or task:
            from nrl_ros.cli.robot import doctor_lines

            for line in doctor_lines(robot, task, speed_share):
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
    name: Annotated[
        str | None,
        typer.Argument(
            help='A node (learner), a setting (plasticity.learning_rate), or a part of its name; '
            'default: all'
        ),
    ] = None,
    markdown: Annotated[
        bool, typer.Option('--markdown', help='As a page, like docs/parameters.md')
    ] = False,
) -> None:
    """Print the settings of the nodes: name, type, default, range, and meaning.

    In a pipe each setting is one line, with its full name as --set takes it.
    """
    with _errors():
        from nrl_ros.cli import reference

        if markdown:
            typer.echo(reference.markdown(), nl=False)
            return
        found = reference.matching(name or '')
        console = Console()
        if not console.is_terminal:
            typer.echo('\n'.join(reference.lines(found)))
            return
        for node, settings in found.items():
            console.print(reference.table(node, settings), highlight=False)


@app.command(name='list')
def list_names(
    kind: Annotated[
        str, typer.Argument(help='tasks, bridges, rules, and others; default: the kinds')
    ] = '',
) -> None:
    """Print the names of one kind of thing, a line each: tasks, bridges, rules and others."""
    with _errors():
        from nrl_ros.cli.listing import KINDS, lines, listing

        typer.echo('\n'.join(lines(listing(kind)) if kind else KINDS))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command, whatever the terminal and its variables are."""
    leave_other_ros_aside()
    prepare_pictures()
    print_what_fits()
    app()


if __name__ == '__main__':
    main()
