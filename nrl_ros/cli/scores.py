"""What a run's policies are worth: greedy and exploring scores, in words and as data."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape

from nrl_ros.cli.config import RunSettings
from nrl_ros.cli.display import Say
from nrl_ros.cli.evaluate import SEED_OFFSET, Score, evaluate
from nrl_ros.cli.runs import Run
from nrl_ros.monitor.best_watch import BestWatch

# Names of policies in reports and in summary.json, with the colour of their figures.
UNTRAINED, START, TRAINED, BEST = 'untrained', 'start', 'trained', 'best'
_COLOURS = {TRAINED: 'bold green'}
# A difference of two means counts from so many standard errors on: one in 370 by chance.
_ERRORS = 3.0
_LEARN_LESS = (
    'try a smaller learner.plasticity.learning_rate, another noise.sigma, or a guard that goes '
    'back to good weights (learner.guard.enabled: true)'
)


@dataclass(frozen=True)
class Scores:
    """Both scores of one policy, from episodes that begin alike.

    Attributes:
        policy: UNTRAINED: weights that have not learned; START: a checkpoint that the training
            starts from; TRAINED: what the training ends with; BEST: the best checkpoint.
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
    last = next((one for one in scores if one.policy == TRAINED), scores[-1])
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


class Mean(Protocol):
    """A mean and how far chance may have moved it."""

    @property
    def mean(self) -> float:
        """The mean."""
        ...

    @property
    def standard_error(self) -> float:
        """Its standard error."""
        ...


def is_worse(score: Mean, other: Mean) -> bool:
    """Return whether a mean is lower than another by more than chance gives."""
    return other.mean - score.mean > _ERRORS * math.hypot(
        score.standard_error, other.standard_error
    )


def are_worse(scores: Scores, others: Scores) -> bool:
    """Return whether a policy is worse than another in one kind of episodes, and better in none."""
    pairs = ((scores.greedy, others.greedy), (scores.exploring, others.exploring))
    return any(is_worse(one, other) for one, other in pairs) and not any(
        is_worse(other, one) for one, other in pairs
    )


def has_fallen(watch: BestWatch) -> bool:
    """Return whether the returns of a training were higher at its best than they are at its end."""
    return watch.best is not None and watch.last is not None and is_worse(watch.last, watch.best)


def advice(task: str, run: Run, watch: BestWatch, scores: Sequence[Scores]) -> list[str]:
    """Return what has to be said of a run that ended worse than it was, or than it began.

    Args:
        task: its name.
        run: its folder.
        watch: of its exploring episodes.
        scores: of its policies; empty if none were measured, and then those episodes decide.
    """
    known = {one.policy: one for one in scores}
    after, best = known.get(TRAINED), known.get(BEST)
    before = known.get(UNTRAINED) or known.get(START)
    found = []
    if has_fallen(watch) and (after is None or (best is not None and are_worse(after, best))):
        found.append(_was_better(task, run, watch))
    if after is not None and before is not None:
        if are_worse(after, before):
            what = 'an untrained policy' if before.policy == UNTRAINED else 'what it started from'
            found.append(f'the run ended worse than {what}: {_LEARN_LESS}')
    elif watch.first is not None and watch.last is not None and is_worse(watch.last, watch.first):
        found.append(
            f'the run ended worse than it began: {watch.first.mean:,.1f} in its first '
            f'{watch.first.episodes} episodes, {watch.last.mean:,.1f} in its last '
            f'{watch.last.episodes}, exploring; {_LEARN_LESS}'
        )
    return found


def _was_better(task: str, run: Run, watch: BestWatch) -> str:
    assert watch.best is not None
    assert watch.last is not None
    start = f'--config {shlex.quote(str(run.config))}'
    load = f'--set learner.checkpoint.load={shlex.quote(str(run.best))}'
    return (
        f'the run ended worse than it was: {watch.best.mean:,.1f} from step {watch.best.steps:,} '
        f'on, {watch.last.mean:,.1f} at its end ({watch.last.episodes} exploring episodes '
        f'each); better go on with its best checkpoint: nrl train {task} {start} {load}; '
        'nrl eval --best measures it'
    )
