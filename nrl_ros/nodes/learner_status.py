"""Reports of a learner node for people: its status, and a warning if the weights diverge."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from nrl_ros.learning.interval import ReportInterval
from nrl_ros.learning.learner import Learner
from nrl_ros.ros import conversion
from nrl_ros.ros.interfaces import LearnerStatus
from nrl_ros.ros.lifecycle import NrlNode

# Weights with a larger norm have diverged; policies that work have norms of 3 to 30.
_DIVERGED = 1e4


class LearnerReports:
    """Makes and publishes the status of a learner.

    Args:
        node: the learner's.
        core: the learner.
        status: publisher of LearnerStatus.

    Attributes:
        interval: the time since the last status; work is added to it.
    """

    def __init__(self, node: NrlNode[Any], core: Learner, status: Any) -> None:
        self._node, self._core, self._status = node, core, status
        self.interval = ReportInterval(time.monotonic())

    def make(self, neuromodulator: int) -> LearnerStatus:
        """Return the status.

        Args:
            neuromodulator: identity of the neuromodulator that the learner listens to; 0: none yet.
        """
        core = self._core
        counters: Counter[str] = core.counters + self._node.counters
        agents = list(core.roster.infos)
        message = LearnerStatus(
            states=core.states,
            steps=core.steps,
            updates=core.updates,
            windows_learned=core.windows_learned,
            windows_open=core.windows_open,
            frozen=core.frozen,
            evaluating=core.evaluating,
            learning_rate=core.settings.plasticity.learning_rate,
            noise_sigma=core.settings.noise.sigma,
            mean_absolute_rpe=self.interval.mean_absolute_rpe(core),
            weight_norm=core.weight_norm,
            neuromodulator=neuromodulator,
            busy_share=self.interval.busy_share(time.monotonic()),
            agent=agents,
            counter_name=list(counters),
            counter_value=list(counters.values()),
        )
        conversion.set_stamp(message.header.stamp, self._node.now_ns())
        return message

    def publish(self, neuromodulator: int) -> None:
        """Publish the status, and begin the next interval; ``neuromodulator`` as in ``make``."""
        message = self.make(neuromodulator)
        self._status.publish(message)
        if not message.weight_norm < _DIVERGED:
            self._node.say_seldom(
                'diverged',
                f'the weights have grown to a norm of {message.weight_norm:.3g}: they diverge; '
                'lower plasticity.learning_rate or, where rewards are large, set rpe.scale of the '
                'neuromodulator to absolute_reward, and load an earlier checkpoint',
            )
        self.interval.begin(time.monotonic(), self._core)
