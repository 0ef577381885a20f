"""Commands that show what a run does or has left, or let other programs show it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nrl_ros.cli.failing import errors as _errors
from nrl_ros.cli.options import PageOptions


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
    domain: Annotated[
        int | None, typer.Option('--domain-id', help='ROS domain', min=0, max=232)
    ] = None,
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
