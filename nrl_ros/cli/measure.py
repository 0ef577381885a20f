"""The command ``nrl eval``: measures a policy of a run, and films it if asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from nrl_ros.base.errors import ConfigError, NrlError
from nrl_ros.cli import config
from nrl_ros.cli.config import RunSettings
from nrl_ros.cli.display import lines_to, warn
from nrl_ros.cli.evaluate import SEED_OFFSET, Acting, evaluate_snapshot
from nrl_ros.cli.runs import Run, newest, open_run
from nrl_ros.storage.checkpoint import read_checkpoint


@dataclass(frozen=True, kw_only=True)
class EvalOptions:
    """Options of ``nrl eval``.

    Attributes:
        folder: of the run.
        episodes: how many are measured.
        seed: of the environment; None: as after ``nrl train``.
        untrained: fresh weights in place of a checkpoint.
        best: the best checkpoint in place of the newest.
        acting: how the policy acts.
        film: where a film of the first episode is written; None: nowhere.
    """

    folder: Path
    episodes: int
    seed: int | None = None
    untrained: bool = False
    best: bool = False
    acting: Acting = 'greedy'
    film: Path | None = None


def measure(options: EvalOptions, console: Console, errors: Console) -> None:
    """Print the score of a policy, and write its film.

    Raises:
        NrlError: there is no such policy, or it cannot be measured or filmed.
    """
    if options.best and options.untrained:
        raise ConfigError('expected --best or --untrained, received both')
    run = open_run(options.folder)
    settings = config.resolve(run.config)
    checkpoint = None if options.untrained else _checkpoint(run, settings, options.best, errors)
    snapshot = None if checkpoint is None else read_checkpoint(checkpoint, 'learner')
    seed = settings.environment.seed + SEED_OFFSET if options.seed is None else options.seed
    what = f'{run.task}, {"untrained" if checkpoint is None else checkpoint.name}'

    def say(text: str) -> None:
        console.print(f'{what}: {text}', highlight=False, soft_wrap=True)

    if options.film is not None:
        from nrl_ros.cli.film import film

        made = film(settings, snapshot, options.film, seed=seed, acting=options.acting)
        ended = 'cut before its end'
        if made.episode_return is not None:
            ended = f'return {made.episode_return:,.1f}'
        say(f'{options.film}, one {options.acting} episode of {made.steps:,} steps, {ended}')
    score = evaluate_snapshot(
        settings,
        snapshot,
        episodes=options.episodes,
        seed=seed,
        acting=options.acting,
        say=lines_to(errors),
    )
    say(
        f'return [bold]{score}[/] (mean ± standard deviation of {score.episodes} {score.acting} '
        f'episodes), min {score.min:,.1f}, max {score.max:,.1f}'
        + ''.join(f'; {told}' for told in (score.success, score.errors) if told)
    )


def _checkpoint(run: Run, settings: RunSettings, best: bool, errors: Console) -> Path:
    def skipped(error: NrlError) -> None:
        warn(errors, error)

    if best:
        return run.best_checkpoint()
    return newest(run, settings.environment.agent, skipped=skipped).learner
