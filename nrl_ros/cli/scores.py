"""What a run's policies are worth: greedy and exploring scores, in words and as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from nrl_ros.cli.config import RunSettings
from nrl_ros.cli.display import Say
from nrl_ros.cli.evaluate import SEED_OFFSET, Score, evaluate

# Names of policies in reports and in summary.json, with the colour of their figures.
UNTRAINED, START, TRAINED = 'untrained', 'start', 'trained'
_COLOURS = {TRAINED: 'bold green'}
# A difference of two means counts from so many standard errors on: one in 370 by chance.
_ERRORS = 3.0


@dataclass(frozen=True)
class Scores:
    """Both scores of one policy, from episodes that begin alike.

    Attributes:
        policy: UNTRAINED: weights that have not learned; START: a checkpoint that the training
            starts from; TRAINED: what the training ends with.
        greedy: without noise, by the most probable action.
        exploring: with noise and drawn actions, as in the training.
    """

    policy: str
    greedy: Score
    exploring: Score

    def data(self) -> dict[str, Any]:
        """Return the greedy score as plain data, with the exploring one in it."""
        return self.greedy.data() | {'exploring': self.exploring.data()}

    def lines(self, width: int = 0) -> list[str]:
        """Return the scores in words, with the markup of rich.

        Args:
            width: of the policy's name, to write several in columns.
        """
        name, colour = f'{self.policy:<{width}}', _COLOURS.get(self.policy, 'bold')
        found = [
            f'{name} greedy [{colour}]{self.greedy}[/], exploring [{colour}]{self.exploring}[/]'
        ]
        if self.greedy.success:
            found.append(f'{name} [{colour}]{escape(self.greedy.success)}[/], greedy')
        return found


def score_both(
    policy: str, settings: RunSettings, checkpoint: Path | None, *, episodes: int, say: Say
) -> Scores:
    """Score a policy, greedy and exploring, by the same number of episodes each.

    Args:
        policy: its name in reports.
        settings: of the run.
        checkpoint: the learner's; None: untrained weights.
        episodes: of each kind, at least 1.
        say: gets texts on what takes long.

    Raises:
        NrlError: as ``evaluate``.
    """
    greedy, exploring = (
        evaluate(
            settings,
            checkpoint,
            episodes=episodes,
            seed=settings.environment.seed + SEED_OFFSET,
            acting=acting,
            say=say,
        )
        for acting in ('greedy', 'exploring')
    )
    return Scores(policy, greedy, exploring)


def report_scores(scores: Sequence[Scores], console: Console) -> None:
    """Print the scores of policies, what they are, and where greedy and exploring differ."""
    if not scores:
        return
    width = max(len(one.policy) for one in scores)
    for one in scores:
        for line in one.lines(width):
            console.print(line, highlight=False, soft_wrap=True)
    last = scores[-1]
    console.print(
        f'({last.greedy.episodes} episodes each; greedy: most probable action, no noise; '
        'exploring: drawn actions and noise, as in the training)',
        style='dim',
        highlight=False,
        soft_wrap=True,
    )
    told = needs_its_noise(last)
    if told:
        console.print(told, style='yellow', highlight=False, soft_wrap=True)


def needs_its_noise(scores: Scores) -> str:
    """Return a sentence if a policy is worth more while it explores than greedily; else ''."""
    greedy, exploring = scores.greedy, scores.exploring
    if not is_worse(greedy, exploring):
        return ''
    return (
        f'the {scores.policy} policy needs its noise: it has {exploring.mean:,.1f} with noise and '
        f'drawn actions, {greedy.mean:,.1f} without; use it as it was trained, or let the noise '
        'decay (noise.sigma_decay) and train on'
    )


def is_worse(score: Score, other: Score) -> bool:
    """Return whether a mean is lower than another by more than chance gives."""
    error = float((score.standard_error**2 + other.standard_error**2) ** 0.5)
    return other.mean - score.mean > _ERRORS * error
