"""A policy of one weight, the mean of its action: one update beside the exact gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import ActionSpace, Delivery, Phase
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.rules import make_rule
from tests.unit.fakes import info_of, learner_settings, receive, reinforce, rpe_of, state_of

Array = NDArray[Any]

STD, RATE = 0.5, 1e-4
_SPACE = ActionSpace.continuous((-1.0,), (1.0,))


def expected(worth: Callable[[Array], Array], mean: float) -> tuple[float, float]:
    """Expected worth of an action drawn from N(mean, STD), and its derivative by the mean."""
    u = np.linspace(mean - 8.0 * STD, mean + 8.0 * STD, 200_001)
    density = np.exp(-0.5 * np.square((u - mean) / STD)) / (STD * np.sqrt(2.0 * np.pi))
    value = np.trapezoid(worth(u) * density, u)
    slope = np.trapezoid(worth(u) * (u - mean) / STD**2 * density, u)
    return float(value), float(slope)


class Learned(NamedTuple):
    """What one update amounts to.

    Attributes:
        slope: change of the weight, over rate and instances.
        error: standard error of it.
        exact: derivative of the expected return.
        counters: of the learner.
    """

    slope: float
    error: float
    exact: float
    counters: dict[str, int]


class OneWeight:
    """Many instances that observe a 1 in each step of an episode.

    Args:
        rule: by which it learns.
        instances: of it.
        delivery: of rewards.
    """

    def __init__(self, rule: str, instances: int, delivery: Delivery) -> None:
        self._learner = Learner(
            learner_settings(
                hidden_sizes=(),
                precision='float64',
                action_std=STD,
                learning_rate=RATE,
                rule=make_rule(rule, {'sigma': 1e-6}),
                seed=3,
            )
        )
        self._info = info_of(
            instances, action=_SPACE, observations=1, lockstep=True, delivery=delivery
        )
        self._learner.join(self._info)
        self._ones = np.ones((instances, 1), np.float32)
        self._step = 0
        self.mean = float(self._learner.weights[0][0, 0])

    def asked(self, **given: Any) -> Array:
        """Action of each instance in the next state, as the policy has drawn it."""
        phase = Phase.MID if self._step else Phase.FIRST
        answer = self._see(phase=phase, **given)
        assert answer is not None
        return np.asarray(answer.action[:, 0], np.float64)

    def learned(self, returns: Array, exact: tuple[float, float], **given: Any) -> Learned:
        """Update by the returns of all instances, which come with another state.

        Args:
            returns: of the first window of each instance.
            exact: expected return, with which they are compared, and its derivative.
            given: more of the state.
        """
        learner, instances = self._learner, len(returns)
        self._see(window=1, **given)
        rpe = returns - exact[0]
        reinforce(learner, rpe_of(self._info, self._step - 1, np.arange(instances), 0, rpe))
        slope = (float(learner.weights[0][0, 0]) - self.mean) / RATE / instances
        error = float(np.std(rpe) / STD / np.sqrt(instances))
        return Learned(slope, error, exact[1], dict(learner.counters))

    def _see(self, **given: Any) -> Any:
        number, self._step = self._step, self._step + 1
        state = state_of(self._info, number, step=number, observation=self._ones, **given)
        return receive(self._learner, state)
