"""Commands for what was learned: scored, exported, and played by itself."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nrl_ros.cli.failing import errors as _errors

Episodes = Annotated[int, typer.Option(help='How many episodes', min=1)]


def evaluate(
    folder: Annotated[Path, typer.Argument(metavar='RUN', help='Run folder')],
    episodes: Episodes = 50,
    seed: Annotated[
        int | None, typer.Option(help='Seed of the environment; default: as after nrl train')
    ] = None,
    untrained: Annotated[
        bool, typer.Option('--untrained', help='Untrained weights, by the seed of the run')
    ] = False,
    best: Annotated[
        bool, typer.Option('--best', help='The best checkpoint in place of the newest')
    ] = False,
    explore: Annotated[
        bool,
        typer.Option('--explore', help='With noise and drawn actions, as in the training'),
    ] = False,
    film: Annotated[
        Path | None, typer.Option(help='Write a film of the first episode too, as in film.gif')
    ] = None,
) -> None:
    """Evaluate the newest checkpoint of a run without learning: greedy, or with --explore."""
    with _errors() as errors:
        from nrl_ros.cli.measure import EvalOptions, measure

        options = EvalOptions(
            folder=folder,
            episodes=episodes,
            seed=seed,
            untrained=untrained,
            best=best,
            acting='exploring' if explore else 'greedy',
            film=film,
        )
        measure(options, Console(), errors)


class Format(str, Enum):
    """Forms of an exported graph."""

    ONNX = 'onnx'
    TORCHSCRIPT = 'torchscript'
    NIR = 'nir'


def export(
    folder: Annotated[Path, typer.Argument(metavar='RUN', help='Run folder')],
    form: Annotated[Format, typer.Option('--format', help='Of the graph')] = Format.ONNX,
    out: Annotated[
        Path | None, typer.Option(help='Folder of the bundle; default: policy in the run')
    ] = None,
    best: Annotated[
        bool, typer.Option('--best', help='The best checkpoint in place of the newest')
    ] = False,
    force: Annotated[bool, typer.Option('--force', help='Replace a bundle that is there')] = False,
) -> None:
    """Write the policy of a run as a folder that other programs can run: graph and manifest."""
    with _errors():
        from nrl_ros.cli.export import export as write

        written, difference = write(folder, out, form.value, best=best, force=force)
        typer.echo(
            f'{written}: checked on 1,000 observations, actions differ by at most {difference:.1e}'
        )


def play(
    folder: Annotated[Path, typer.Argument(metavar='BUNDLE', help='Folder that nrl export wrote')],
    episodes: Annotated[
        int | None,
        typer.Option(help='Score it in this process on its own task, without ROS', min=1),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help='Seed of the environment, with --episodes')
    ] = None,
    namespace: Annotated[str, typer.Option(help='ROS namespace of the environments')] = '',
    domain: Annotated[int | None, typer.Option(help='ROS domain', min=0, max=232)] = None,
) -> None:
    """Serve environments by an exported policy, in place of a learner, until Ctrl-C."""
    with _errors():
        from nrl_ros.cli import play as playing

        if episodes is not None:
            from nrl_ros.cli.display import lines_to

            score = playing.play_here(folder, episodes, seed, lines_to(Console(stderr=True)))
            shares = f', {score.success}' if score.success else ''
            typer.echo(
                f'{folder}: return {score} (mean ± standard deviation of {score.episodes} greedy '
                f'episodes){shares}'
            )
            return
        raise typer.Exit(playing.play_over_ros(folder, namespace, domain))
