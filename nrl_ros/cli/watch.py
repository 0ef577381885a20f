"""Watches a training: starts the nodes, keeps the figures, and stops the nodes in order."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor

from nrl_ros.cli.display import Display
from nrl_ros.cli.metrics import Table
from nrl_ros.cli.monitor import Monitor
from nrl_ros.cli.plan import Plan, TrainOptions
from nrl_ros.cli.processes import COMPOSED, Processes, exit_text
from nrl_ros.cli.progress import Progress
from nrl_ros.ros.names import ENVIRONMENT, LEARNER, NEUROMODULATOR
from nrl_ros.ros.signals import Signals

# In the order of starting.
NODES = (LEARNER, NEUROMODULATOR, ENVIRONMENT)

_ROW_PERIOD_S = 0.5
# For finding each other; a loaded machine may take a while to import everything.
_START_S = 30.0
# Without a step although states are sent again and again: something does not fit.
_STALLED_S = 20.0
# The learner may still have messages to read when the environment is done.
_SETTLE_S = 1.5
_LAST_MESSAGES = 20


@dataclass
class Outcome:
    """How the nodes ended.

    Attributes:
        ended: finished, interrupted, failed, or aborted: the last episode was stopped from outside.
        code: exit code of the command.
        seconds: from the start of the nodes to their end.
        training_s: from the first to the last step.
        reason: what failed.
        trouble: counters as shown, before the nodes were stopped: leaving releases windows.
    """

    ended: str = 'finished'
    code: int = 0
    seconds: float = 0.0
    training_s: float = 0.0
    reason: str = ''
    trouble: dict[str, int] = field(default_factory=dict)

    def fail(self, reason: str) -> None:
        """Take down that it did not end well, whatever went before.

        Args:
            reason: comes after those that are known already; empty: nothing happened.
        """
        if reason:
            self.ended, self.code = 'failed', 1
            self.reason = '\n'.join(filter(None, (self.reason, reason)))


class Watch:
    """Spins the monitor until the nodes are done, then stops them.

    Args:
        monitor: listens to the nodes.
        progress: kept by the monitor.
        figures: gets a row of it about twice a second.
        display: shows it.
        signals: end the training early.
    """

    def __init__(
        self,
        monitor: Monitor,
        progress: Progress,
        figures: Table,
        display: Display,
        signals: Signals,
    ) -> None:
        self._monitor = monitor
        self._progress = progress
        self._figures = figures
        self._display = display
        self._signals = signals
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(monitor)
        self._last_row = 0.0
        self._first_step: float | None = None
        # Steps, resent states, and time when it last moved.
        self._moved = (0, 0, 0.0)

    def run(self, plan: Plan, options: TrainOptions) -> Outcome:
        """Start the nodes, and see to it that they are gone at the end."""
        processes = Processes(
            plan.params, plan.run.log, namespace=options.namespace, environment=os.environ
        )
        start = time.monotonic()
        names = [COMPOSED] if options.compose else list(NODES)
        try:
            try:
                self._start(processes, names)
                outcome = self._until_done(processes, names[-1])
            except _EndedEarly as early:
                outcome = early.outcome
            last = time.monotonic()
            outcome.trouble = self._progress.groups
            self._stop(processes, names)
            outcome.fail(processes.failed())
        finally:
            processes.stop()
        if outcome.ended == 'interrupted' and not _limited(plan):
            outcome.code = 0
        outcome.seconds = time.monotonic() - start
        outcome.training_s = last - (self._first_step or last)
        self._figures.add([self._progress.row(self._monitor.wall_time_s)])
        return outcome

    def _start(self, processes: Processes, names: list[str]) -> None:
        """Start the nodes; activate the environment when everybody is heard.

        Processes that appear at the same moment sometimes find each other only 2 to 3 s later, when
        the middleware repeats itself: what an environment reports until then would be lost.
        """
        for name in names:
            processes.start(name)
        heard = self._progress.counters
        self._until(lambda: {LEARNER, NEUROMODULATOR} <= heard.keys(), processes)
        client: Any = self._monitor.create_client(ChangeState, f'{ENVIRONMENT}/change_state')
        self._until(client.service_is_ready, processes)
        self._transition(client, Transition.TRANSITION_CONFIGURE, processes)
        self._until(self._monitor.hears_environment, processes)
        self._transition(client, Transition.TRANSITION_ACTIVATE, processes)

    def _transition(self, client: Any, transition: int, processes: Processes) -> None:
        request = ChangeState.Request(transition=Transition(id=transition))
        future = client.call_async(request)
        self._until(future.done, processes)
        if not future.result().success:
            raise _EndedEarly(_failed('environment', 'could not be started', processes))

    def _until(self, ready: Callable[[], bool], processes: Processes) -> None:
        """Spin until something holds.

        Raises:
            _EndedEarly: a signal came, a node ended, or it took too long.
        """
        deadline = time.monotonic() + _START_S
        while not ready():
            self._spin()
            outcome = self._ended(processes)
            if outcome is None and time.monotonic() > deadline:
                reason = (
                    f'the nodes run, but were not heard within {_START_S:.0f} s: the middleware '
                    'does not find them; `nrl doctor` looks into it'
                )
                outcome = Outcome('failed', code=1, reason=reason)
            if outcome is not None:
                raise _EndedEarly(outcome)

    def _until_done(self, processes: Processes, last_name: str) -> Outcome:
        while True:
            self._spin()
            if processes.ended().get(last_name) == 0:
                return Outcome()
            outcome = self._ended(processes) or self._stalled(processes)
            if outcome is not None:
                return outcome

    def _stalled(self, processes: Processes) -> Outcome | None:
        """An environment that asks and asks and is not answered, as it says itself."""
        environment = self._progress.counters.get(ENVIRONMENT, {})
        resent, now = environment.get('resent_states', 0), time.monotonic()
        steps, asked, since = self._moved
        if self._progress.steps != steps or resent == asked == 0:
            self._moved = (self._progress.steps, resent, now)
        elif resent > asked and now - since > _STALLED_S:
            what = f'is not answered: no step for {_STALLED_S:.0f} s'
            return _failed(ENVIRONMENT, what, processes, LEARNER)
        return None

    def _ended(self, processes: Processes) -> Outcome | None:
        """How the run ended, where a signal came or a node is gone."""
        if self._signals.received:
            return Outcome('interrupted', code=128 + self._signals.received)
        for name, code in processes.ended().items():
            return _failed(name, f'ended unexpectedly with {exit_text(code)}', processes)
        return None

    def _stop(self, processes: Processes, names: list[str]) -> None:
        """Environment first, so that it can say goodbye; the learner when it has read all."""
        processes.stop(names[-1:])
        running = set(names) - processes.ended().keys()
        if running & {LEARNER, COMPOSED} and self._progress.learner_heard:
            # Messages are handled before the timer that reports: its next report comes last.
            heard = self._progress.learner_heard
            deadline = time.monotonic() + _SETTLE_S
            while self._progress.learner_heard == heard and time.monotonic() < deadline:
                self._spin()
        processes.stop()
        for _ in range(_LAST_MESSAGES):
            self._executor.spin_once(timeout_sec=0.0)

    def _spin(self) -> None:
        self._executor.spin_once(timeout_sec=0.05)
        now = time.monotonic()
        if self._first_step is None and self._progress.moving:
            self._first_step = now
            self._progress.first_steps = self._progress.steps
        wall = self._monitor.wall_time_s
        self._display.show(self._progress, wall)
        if now - self._last_row >= _ROW_PERIOD_S and self._progress.learner_heard:
            self._last_row = now
            self._figures.add([self._progress.row(wall)])


class _EndedEarly(Exception):  # noqa: N818 - not an error
    """The nodes ended before they were all started."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


def _failed(name: str, what: str, processes: Processes, *others: str) -> Outcome:
    """The outcome, with the last lines that the others and the node itself have logged."""
    lines = [f'{name} {what}', *(processes.last_lines(one) for one in (*others, name))]
    return Outcome('failed', code=1, reason='\n'.join(lines).rstrip())


def _limited(plan: Plan) -> bool:
    stop = plan.settings.environment.stop
    return bool(stop.steps or stop.episodes)
