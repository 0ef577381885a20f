"""Runs the nodes of a training: starts them so that nothing is lost, and stops them in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from nrl_ros.cli.best_saver import BestSaver
from nrl_ros.cli.display import Display
from nrl_ros.cli.metrics import Table
from nrl_ros.cli.monitor import Monitor
from nrl_ros.cli.orchestrator import EndedEarly, Orchestrator, Outcome
from nrl_ros.cli.processes import COMPOSED
from nrl_ros.cli.runs import Run
from nrl_ros.environments.faults import NEVER_ENDS
from nrl_ros.monitor.progress import FirstStepWatch, Progress, StallWatch
from nrl_ros.ros.names import ENVIRONMENT, LEARNER, NEUROMODULATOR
from nrl_ros.ros.signals import Signals

# In the order of starting.
NODES = (LEARNER, NEUROMODULATOR, ENVIRONMENT)

# Longest time for the nodes to find each other; a busy machine needs long to import everything [s].
_START_S = 30.0
# After so long without a step, although states are sent again, something does not fit [s].
_STALLED_S = 20.0
# An environment may load for long, such as a simulator with a window; it is said meanwhile [s].
_ENVIRONMENT_S = 600.0
_SLOW_S = 3.0
# Nodes of another run are found within this time, where the namespace is one that others may have
# too; on a busy machine the middleware needs more than a second [s].
_LOOK_S = 3.0
# A namespace of the run's own is only met by what an earlier run of the same folder left [s].
_LOOK_OWN_S = 0.3
# Nodes that were killed are seen for so long [s].
_GONE_S = 25.0
_AGAIN_S = 10.0


def _not_in_time(limit_s: float, starting: bool) -> str:
    if starting:
        return f'the environment has not started within {limit_s:.0f} s'
    return (
        f'the nodes run, but were not heard within {limit_s:.0f} s: the middleware does not find '
        'them; `nrl doctor` looks into it'
    )


def _not_alone(others: Sequence[str], where: str) -> str:
    return (
        f'{", ".join(others)} of another run are in namespace {where} of this ROS domain: leave '
        '--namespace away, so that this run has one of its own, or name another'
    )


class TrainRun(Orchestrator):
    """The three nodes of a training, or one process for all of them.

    Args:
        monitor: as of Orchestrator.
        progress: as of Orchestrator.
        rows: as of Orchestrator.
        signals: as of Orchestrator.
        display: shows the progress.
        folder: of the run, where its best checkpoint is kept.
        compose: one process for all nodes.
        steps: that the run had before.
        lockstep: the environment waits for its actions.
        shared: another run may have the namespace of this one, since a person chose it.
        say: prints what is waited for.
        warn: prints what a person has to know at once.
    """

    def __init__(
        self,
        monitor: Monitor,
        progress: Progress,
        rows: Table,
        signals: Signals,
        *,
        display: Display,
        folder: Run,
        compose: bool,
        steps: int,
        lockstep: bool,
        shared: bool,
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        super().__init__(monitor, progress, rows, signals)
        self._display, self._say, self._warn = display, say, warn
        self._steps_before = steps
        self._look_s = _LOOK_S if shared else _LOOK_OWN_S
        self._said_endless = False
        self._names = (COMPOSED,) if compose else NODES
        self.last = self._names[-1]
        # The environment ends first, so that it can say goodbye; the others end after the learner
        # has read everything.
        self.order = (self._names[-1:], self._names[:-1])
        self._first_step: float | None = None
        self._last_step = 0.0
        self._stall = StallWatch(_STALLED_S)
        self._first = FirstStepWatch(_STALLED_S, _ENVIRONMENT_S, lockstep=lockstep)
        self._best = BestSaver(monitor, progress.best, folder, warn)

    def start(self) -> None:
        """Start the nodes, and activate the environment after all nodes are found.

        Processes that appear at the same moment sometimes find each other only 2 to 3 s later, when
        the middleware repeats itself. Until then, reports of an environment would be lost.
        """
        self.progress.phase = f'starting {", ".join(NODES)}'
        self._refuse_namesakes(0, self._look_s)
        for name in self._names:
            self.processes.start(name)
        heard = self.progress.counters
        self._until(lambda: {LEARNER, NEUROMODULATOR} <= heard.keys())
        client: Any = self.monitor.create_client(ChangeState, f'{ENVIRONMENT}/change_state')
        self._until(client.service_is_ready)
        self._refuse_namesakes(1, 0.0)
        self.progress.phase = 'the environment makes its instances'
        self._transition(client, Transition.TRANSITION_CONFIGURE)
        self._until(self.monitor.hears_environment)
        self.progress.phase = 'the environment resets its instances'
        self._transition(client, Transition.TRANSITION_ACTIVATE)

    def _refuse_namesakes(self, expected: int, look_s: float) -> None:
        """End this start if another run has nodes of the same names, which would answer for ours.

        Nodes that were killed are seen for some 20 s, so others have that time to go.

        Args:
            expected: nodes of each name that are ours.
            look_s: how long others may take to be found [s].

        Raises:
            EndedEarly: there are others, or a signal came.
        """
        begin, said = time.monotonic(), False
        while True:
            self.spin()
            outcome, others = self.ended(), self.monitor.namesakes(NODES, expected)
            passed_s = time.monotonic() - begin
            if not others and passed_s >= look_s:
                return
            if others and not said:
                self._say(f'waiting for {", ".join(others)} of another run to end')
                said = True
            if others and passed_s > _GONE_S:
                where = self.monitor.get_namespace()
                outcome = Outcome('failed', code=1, reason=_not_alone(others, where))
            if outcome is not None:
                raise EndedEarly(outcome)

    def _transition(self, client: Any, transition: int) -> None:
        request = ChangeState.Request(transition=Transition(id=transition))
        future = client.call_async(request)
        self._until(future.done, starting=True)
        if not future.result().success:
            raise EndedEarly(self.failed(ENVIRONMENT, 'could not be started'))

    def _until(self, ready: Callable[[], bool], *, starting: bool = False) -> None:
        """Spin until a condition holds.

        Args:
            ready: the condition.
            starting: the environment makes or resets its instances, which may take minutes.

        Raises:
            EndedEarly: a signal came, a node ended, or it took too long.
        """
        begin = time.monotonic()
        longest_s, say_at = (_ENVIRONMENT_S if starting else _START_S), begin + _SLOW_S
        while not ready():
            self.spin()
            outcome, now = self.ended(), time.monotonic()
            if outcome is None and now > begin + longest_s:
                outcome = Outcome('failed', code=1, reason=_not_in_time(longest_s, starting))
            if outcome is not None:
                raise EndedEarly(outcome)
            if starting and now > say_at:
                say_at = now + _AGAIN_S
                self._say(f'waiting for the environment to start: {now - begin:.0f} s so far')

    def begun(self) -> bool:
        """Return True once the environment was stepped."""
        return self.progress.steps > self._steps_before

    def show(self, wall_s: float) -> None:
        """Show the progress, and note when the first step was done."""
        if self._first_step is None and self.progress.moving:
            self._first_step = time.monotonic()
            self.progress.first_steps = self.progress.steps
            self.progress.phase = ''
        self._display.show(self.progress, wall_s)

    def look(self) -> Outcome | None:
        """Return a failure if the environment reports that its states are not answered."""
        self._best.look(time.monotonic())
        environment = self.progress.counters.get(ENVIRONMENT, {})
        if environment.get('endless_episodes') and not self._said_endless:
            self._said_endless = True
            self._warn(NEVER_ENDS)
        resent = environment.get('resent_states', 0)
        if self._stall.is_stalled(time.monotonic(), self.progress.steps, resent):
            what = f'is not answered: no step for {_STALLED_S:.0f} s'
            return self.failed(ENVIRONMENT, what, LEARNER)
        if not self.begun():
            what = self._first.fault(time.monotonic(), self.progress.environment_heard)
            if what:
                return self.failed(ENVIRONMENT, what, LEARNER)
        return None

    def done(self, outcome: Outcome) -> None:
        """Note counters and time, since the end of the nodes releases windows."""
        self._last_step = time.monotonic()
        outcome.trouble = self.progress.groups
        saving = '' if outcome.code == 1 else 'the last checkpoint is saved, and '
        self.progress.phase = f'{outcome.ended}: {saving}the nodes end'
        self._display.show(self.progress, self.monitor.wall_time_s)

    def group_stopped(self, group: Sequence[str], outcome: Outcome) -> None:
        """Give the learner time to read its messages before it is stopped."""
        running = set(self._names) - self.processes.ended().keys()
        if self.last in group and running & {LEARNER, COMPOSED} and self.progress.learner_heard:
            # Messages are handled before the timer that reports, so the next report includes all of
            # them.
            heard = self.progress.learner_heard
            self.settle(lambda: self.progress.learner_heard > heard)

    def stopped(self, outcome: Outcome) -> None:
        """Read the nodes' last reports."""
        self.settle(lambda: True)
        self._best.end()
        # The last panel stays on the screen, with the share that was done.
        self.progress.phase = ''
        outcome.training_s = self._last_step - (self._first_step or self._last_step)
