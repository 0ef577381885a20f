"""Reports of a learner node for people: its status, its health, and warnings about both."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray

from nrl_ros.base.health import MEASURES, Health
from nrl_ros.learning.health.monitor import HealthMonitor
from nrl_ros.learning.interval import ReportInterval
from nrl_ros.learning.learner import Learner
from nrl_ros.ros import conversion, names, qos
from nrl_ros.ros.diagnostics import OK, WARN, diagnostics
from nrl_ros.ros.interfaces import LearnerStatus
from nrl_ros.ros.lifecycle import NrlNode

# Weights with a larger norm have diverged; policies that work have norms of 3 to 30.
_DIVERGED = 1e4


def health_fields(health: Health) -> dict[str, Any]:
    """Return the fields of LearnerStatus that say how healthy plasticity is."""
    return {
        'health_name': [measure.name for measure in MEASURES],
        'health_unit': [measure.unit for measure in MEASURES],
        'health_value': [health.values[measure.name] for measure in MEASURES],
        'health_low': [measure.low for measure in MEASURES],
        'health_high': [measure.high for measure in MEASURES],
        'health_hint': [health.hints.get(measure.name, '') for measure in MEASURES],
    }


def health_diagnostics(node: str, health: Health, *, stamp_ns: int) -> DiagnosticArray:
    """Return plasticity health as diagnostics: a warning with what to change, if there is any.

    Args:
        node: name of the learner's node.
        health: at present.
        stamp_ns: when it was true [ns].
    """
    values = {
        f'{measure.name} [{measure.unit}]': f'{health.values[measure.name]:.4g}'
        for measure in MEASURES
    }
    return diagnostics(
        f'{node}: plasticity',
        health.first_hint or 'learns as it should, as far as can be said',
        values,
        level=WARN if health.hints else OK,
        hardware='',
        stamp_ns=stamp_ns,
    )


class LearnerReports:
    """Makes and publishes the status of a learner, and its health as diagnostics.

    Args:
        node: the learner's.
        core: the learner.
        status: publisher of LearnerStatus.

    Attributes:
        interval: the time since the last status; work is added to it.
        diagnostics: publisher of DiagnosticArray.
    """

    def __init__(self, node: NrlNode[Any], core: Learner, status: Any) -> None:
        self._node, self._core, self._status = node, core, status
        self._health = HealthMonitor(core)
        self.diagnostics = node.publisher(DiagnosticArray, names.DIAGNOSTICS, qos.event())
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
            learning_rate=core.learning_rate,
            noise_sigma=core.settings.noise.sigma,
            mean_absolute_rpe=self.interval.mean_absolute_rpe(core),
            weight_norm=core.weight_norm,
            neuromodulator=neuromodulator,
            guard='' if core.guarded is None else core.guarded.text,
            busy_share=self.interval.busy_share(time.monotonic()),
            agent=agents,
            counter_name=list(counters),
            counter_value=list(counters.values()),
            **health_fields(self._health.health),
        )
        conversion.set_stamp(message.header.stamp, self._node.now_ns())
        return message

    def publish(self, neuromodulator: int) -> None:
        """Publish the status, and begin the next interval; ``neuromodulator`` as in ``make``."""
        health = self._health.look()
        if self._health.fault:
            self._node.say_seldom(
                'health', f'plasticity health cannot be measured: {self._health.fault}'
            )
        message = self.make(neuromodulator)
        self._status.publish(message)
        name = self._node.get_fully_qualified_name().lstrip('/')
        self.diagnostics.publish(health_diagnostics(name, health, stamp_ns=self._node.now_ns()))
        if not message.weight_norm < _DIVERGED:
            self._node.say_seldom(
                'diverged',
                f'the weights have grown to a norm of {message.weight_norm:.3g}: they diverge; '
                'lower plasticity.learning_rate or, where rewards are large, set rpe.scale of the '
                'neuromodulator to absolute_reward, and load an earlier checkpoint',
            )
        self.interval.begin(time.monotonic(), self._core)
