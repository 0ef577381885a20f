"""What other settings would have learned from the experience of a run, and how far that is sound.

Two learners take the same messages. The first one repeats the run. The second one has other
settings; it is given the actions that the first one took, so that it learns what its own rule makes
of them. The more its policy differs from the one that acted, the less does the experience tell of
it: the likelier its own actions would have been others, in other states and with other rewards.

The ratio of the probabilities of an action under both policies says how far that is. With weights
w, ``(sum w)^2 / sum w^2`` is the number of independent actions or episodes that the experience is
worth to the second learner; its share of their number is 1 as long as both policies are the same.

References:
    Kish, "Survey Sampling", 1965 (effective sample size); Precup, Sutton, Singh, "Eligibility
    traces for off-policy policy evaluation", ICML 2000 (ratios over an episode).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import InvalidValueError
from nrl_ros.base.records import ActionBatch, AgentInfo, Float32, Int32, Phase, StateBatch
from nrl_ros.learning.heads import AmendsUpdates, PolicyHead
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.replay import Did, Entry, Replayer

Array = NDArray[Any]

# Below this share of effective episodes or steps the experience is no longer that of the policy.
SOUND = 0.5
# Newest steps and episodes over which the shares are taken, and the fewest of them.
_STEPS, _EPISODES, _FEWEST = 1000, 100, 20
# A figure is noted so often, in states.
_EVERY = 100


@dataclass
class Choice:
    """What the first learner has chosen.

    Attributes:
        choice: in the form of the policy head [B, A].
        log_probability: of it under the policy that it was drawn from [B].
    """

    choice: Array
    log_probability: Array


class _Around(PolicyHead):
    """A policy head around another one."""

    def __init__(self, head: PolicyHead) -> None:
        self._head = head
        self.outputs = head.outputs
        self.action_dtype = head.action_dtype

    def greedy(self, z: Array) -> Array:
        """Return the most probable choice."""
        return self._head.greedy(z)

    def log_probability(self, z: Array, choice: Array) -> Array:
        """Return log pi(choice)."""
        return self._head.log_probability(z, choice)

    def gradient(self, z: Array, choice: Array) -> Array:
        """Return the gradient of log pi(choice)."""
        return self._head.gradient(z, choice)

    def to_action(self, choice: Array) -> Int32 | Float32:
        """Return the action as the environment takes it."""
        return self._head.to_action(choice)


class NotedChoices(_Around):
    """A policy head that draws as another one does, and notes what it has drawn.

    Args:
        head: draws.
        noted: gets each choice.
    """

    def __init__(self, head: PolicyHead, noted: deque[Choice]) -> None:
        super().__init__(head)
        self._noted = noted

    def draw(self, z: Array, generator: np.random.Generator) -> Array:
        """Return a choice drawn from the policy."""
        choice = self._head.draw(z, generator)
        log = np.array(self._head.log_probability(z, choice), np.float64)
        self._noted.append(Choice(choice.copy(), log))
        return choice

    def sample(
        self, z: Array, source: int, generator: np.random.Generator, log_probability: Array
    ) -> Array:
        """Draw from one of several passes, and compare all of them at that choice."""
        choice = self._head.sample(z, source, generator, log_probability)
        self._noted.append(Choice(choice.copy(), log_probability[source].copy()))
        return choice


class GivenChoices(_Around):
    """A policy head that gives the choices of another learner in place of its own.

    Args:
        head: tells how probable they are.
        given: the other learner's choices, the next one first.
        ratios: gets the logarithm of the ratio of probabilities of each choice [B].
    """

    def __init__(self, head: PolicyHead, given: deque[Choice], ratios: deque[Array]) -> None:
        super().__init__(head)
        self._given, self._ratios = given, ratios

    def draw(self, z: Array, generator: np.random.Generator) -> Array:
        """Return the other learner's choice; nothing is drawn."""
        one = self._next()
        log = np.asarray(self._head.log_probability(z, one.choice), np.float64)
        self._ratios.append(log - one.log_probability)
        return one.choice.astype(z.dtype) if one.choice.dtype.kind == 'f' else one.choice

    def sample(
        self, z: Array, source: int, generator: np.random.Generator, log_probability: Array
    ) -> Array:
        """Return the other learner's choice, and compare all passes at it."""
        one = self._next()
        log_probability[...] = self._head.log_probability(z, one.choice)
        self._ratios.append(log_probability[source] - one.log_probability)
        return one.choice

    def _next(self) -> Choice:
        if not self._given:
            raise InvalidValueError(
                'the learner with other settings chooses where the recorded one did not'
            )
        return self._given.popleft()


class _Amending:
    """What the heads above are besides, around one that has a say in its own weights."""

    _head: Any

    def begin(self, weight: Array) -> None:
        """Change the first weights of the output layer in place."""
        self._head.begin(weight)

    def amend(self, weight: Array, total: Array, windows: int) -> None:
        """Change the estimated gradient of the output layer in place."""
        self._head.amend(weight, total, windows)


class _NotedAmending(_Amending, NotedChoices):
    pass


class _GivenAmending(_Amending, GivenChoices):
    pass


@dataclass(frozen=True)
class Soundness:
    """How much of the experience is that of the second learner's policy.

    Attributes:
        states: that were acted upon so far.
        updates: of the second learner.
        steps: effective share of the newest steps; NaN: too few so far.
        episodes: effective share of the newest episodes; NaN: too few so far.
        distance: norm of the difference of the weights, over the norm of the recorded ones.
    """

    states: int
    updates: int
    steps: float
    episodes: float
    distance: float

    @property
    def sound(self) -> bool:
        """False if one of the shares is too low."""
        return not (self.steps < SOUND or self.episodes < SOUND)


def effective_share(log_weights: Array) -> float:
    """Return the effective sample size of weights, given by their logarithms, over their number."""
    largest = log_weights.max()
    weights = np.exp(log_weights - largest)
    return float(weights.sum() ** 2 / np.square(weights).sum() / len(weights))


class WhatIf:
    """A learner with other settings beside the one that repeats a run.

    Args:
        run: repeats the run; it must not have acted yet.
        learner: of the other settings, before any agent is introduced.
        forced: learning rate or noise that the run's changes do not replace, by kind of entry.

    Attributes:
        course: how sound it was, now and then.
        ended: why it does not go on; empty: it does.
    """

    def __init__(self, run: Learner, learner: Learner, forced: Mapping[Did, float]) -> None:
        self._choices: deque[Choice] = deque()
        self._ratios: deque[Array] = deque()
        self._run, self.learner = run, learner
        self._other, self._forced = Replayer(learner), forced
        run.roster.around_head = self._noting
        learner.roster.around_head = self._giving
        self._steps: deque[float] = deque(maxlen=_STEPS)
        self._episodes: deque[float] = deque(maxlen=_EPISODES)
        # Log weight of each instance's episode so far, by agent.
        self._open: dict[str, Array] = {}
        self.course: list[Soundness] = []
        self.ended = ''

    def _noting(self, head: PolicyHead) -> PolicyHead:
        kind = _NotedAmending if isinstance(head, AmendsUpdates) else NotedChoices
        return kind(head, self._choices)

    def _giving(self, head: PolicyHead) -> PolicyHead:
        kind = _GivenAmending if isinstance(head, AmendsUpdates) else GivenChoices
        return kind(head, self._choices, self._ratios)

    def apply(self, entry: Entry, record: Any, acted: list[tuple[ActionBatch, StateBatch]]) -> None:
        """Let the second learner do what the first one has just done.

        Args:
            entry: what was done.
            record: as of ``Replayer.apply``.
            acted: the first learner's answers, with the states that they are to.
        """
        if self.ended or entry.kind in self._forced:
            self._choices.clear()
            return
        refused = sum(self._other.refused.values())
        answers = self._other.apply(entry, record)
        if entry.kind == Did.LOADED:
            self.force()
        for _, state in acted:
            if self._ratios:
                self._weigh(state, self._ratios.popleft())
        if len(answers) != len(acted) or self._choices:
            more = sum(self._other.refused.values()) > refused
            why = 'refused to act, its weights have diverged' if more else 'acted at other times'
            self.ended = f'the learner with other settings {why}'
        self._choices.clear()
        self._ratios.clear()
        states = self._run.states
        if acted and states % _EVERY == 0:
            self.course.append(self.now())

    def resume(self, infos: Iterable[AgentInfo], snapshot: dict[str, Any]) -> None:
        """Continue from a checkpoint as the first learner does; see ``Replayer.resume``."""
        self._other.resume(infos, snapshot)
        self.force()

    def force(self) -> None:
        """Set the settings that the run does not replace."""
        for kind, value in self._forced.items():
            self._other.apply(Entry(0, kind, value=value))

    def _weigh(self, state: StateBatch, ratio: Array) -> None:
        """Note the ratios of a step, and the weights of episodes that have ended."""
        weight = self._open.setdefault(state.agent, np.zeros(len(ratio)))
        first, acts = state.phase == Phase.FIRST, state.phase != Phase.LAST
        weight[first] = 0.0
        weight[acts] += ratio[acts]
        self._steps.extend(ratio[acts].tolist())
        self._episodes.extend(weight[~acts].tolist())

    def now(self) -> Soundness:
        """Return how sound it is at present."""
        shares = [
            effective_share(np.array(kept)) if len(kept) >= _FEWEST else np.nan
            for kept in (self._steps, self._episodes)
        ]
        steps, episodes = shares
        return Soundness(self._run.states, self.learner.updates, steps, episodes, self.distance())

    def distance(self) -> float:
        """Return the norm of the difference of the weights, over that of the recorded ones."""
        pairs = list(zip(self.learner.weights, self._run.weights, strict=False))
        if not pairs or any(mine.shape != theirs.shape for mine, theirs in pairs):
            return float('nan')
        # In float64, since weights that diverge have no finite square in float32.
        differences = (np.subtract(mine, theirs, dtype=np.float64) for mine, theirs in pairs)
        square = sum(float(np.square(one).sum()) for one in differences)
        return math.sqrt(square) / max(self._run.weight_norm, 1e-30)
