"""Commands that show, record and repeat what a run does, or let other programs show it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from nrl_ros.cli.failing import errors as _errors
from nrl_ros.cli.options import Domain, PageOptions


def views(
    folder: Annotated[
        Path | None, typer.Argument(metavar='[RUN]', help="Run folder, for its topics' namespace")
    ] = None,
    robot: Annotated[
        str,
        typer.Option(
            help='Arm in real time: a name or a path; default: that of a run of nrl arm, else none'
        ),
    ] = '',
    namespace: Annotated[str, typer.Option(help='ROS namespace of the topics')] = '',
    out: Annotated[Path, typer.Option(help='Folder of the files')] = Path('views'),
) -> None:
    """Write layouts for Foxglove, PlotJuggler and RViz that show the topics of a run."""
    with _errors():
        from nrl_ros.cli.views import arm_of, robot_of, write_views

        if folder is not None:
            from nrl_ros.cli.runs import open_run

            run = open_run(folder)
            namespace, robot = namespace or run.namespace, robot or robot_of(run)
        arm = arm_of(robot) if robot else None
        typer.echo('\n'.join(map(str, write_views(out, namespace, arm))))


def convert(
    recording: Annotated[
        Path, typer.Argument(help='Folder or file of a recording, or folder of a recorded run')
    ],
    form: Annotated[str, typer.Option('--to', help='parquet or csv')] = 'parquet',
    out: Annotated[
        Path | None, typer.Option(help='Folder of the tables; default: tables, in the recording')
    ] = None,
    traces: Annotated[
        str,
        typer.Option(
            help='Also noise, impact and eligibility of the steps of these instances, learned '
            'again from the recording: all, or as in 0,3'
        ),
    ] = '',
    weights_every: Annotated[
        int, typer.Option(help='With --traces: updates between two copies of the weights', min=0)
    ] = 0,
) -> None:
    """Turn a recording into tables with named columns: steps, episodes, and every status."""
    with _errors():
        from nrl_ros.cli.convert import TraceOptions, chosen_instances
        from nrl_ros.cli.convert import convert as run

        wanted = TraceOptions(chosen_instances(traces), weights_every) if traces else None
        run(recording, form, out, typer.echo, wanted)


def page(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar='RUN', help='Run folder; default: all runs of the ROS domain'),
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(help='Show the runs in this ROS namespace and below it')
    ] = None,
    domain: Domain = None,
    listen: Annotated[
        str, typer.Option(metavar='ADDRESS', help='Address to listen on; default: the loopback')
    ] = '',
    robot_file: Annotated[
        list[Path] | None, typer.Option(help='Description of an arm of your own, to draw it by')
    ] = None,
) -> None:
    """Show runs that go on, and steer them, on a live page for browsers (docs/page.md)."""
    with _errors():
        from nrl_ros.cli.page import show

        show(
            PageOptions(
                folder=folder,
                namespace=namespace,
                domain=domain,
                listen=listen,
                robot_file=robot_file,
            )
        )


def record(
    run: Annotated[
        Path | None, typer.Argument(help='Folder of a run that goes on; default: the only one')
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the recording; default: in the run's, else recording-DATE"),
    ] = None,
    topic: Annotated[list[str] | None, typer.Option(help='A further topic; several times')] = None,
    checkpoint: Annotated[
        bool,
        typer.Option(help='Ask the learner for a checkpoint first, from which a replay begins'),
    ] = True,
    namespace: Annotated[str | None, typer.Option(help='ROS namespace of the run')] = None,
    domain: Domain = None,
) -> None:
    """Record all topics of a run that goes on already to MCAP, until Ctrl-C."""
    with _errors():
        from nrl_ros.cli.record import record as run_recorder

        code = run_recorder(
            run,
            domain=domain,
            namespace=namespace,
            out=out,
            topics=topic or (),
            checkpoint=checkpoint,
        )
        raise typer.Exit(code)


def replay(
    recording: Annotated[
        Path, typer.Argument(help='Folder or file of a recording, or folder of a recorded run')
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            '--set',
            help='What other settings would have learned, as learner.plasticity.learning_rate=0.01',
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help='Write the result to a file')] = None,
    out: Annotated[
        Path | None, typer.Option(help='Write what was learned to a checkpoint, FILE.nrl')
    ] = None,
) -> None:
    """Learn again from a recording, and compare weights and actions with the run, bit for bit."""
    with _errors():
        from nrl_ros.cli.replay import run_replay

        say = Console(highlight=False, soft_wrap=True)
        code = run_replay(
            recording,
            lambda line: say.print(escape(line)),
            overrides=overrides or (),
            json=json,
            out=out,
        )
        raise typer.Exit(code)
