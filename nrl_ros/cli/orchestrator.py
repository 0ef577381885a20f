"""Starts the nodes of a run, watches and shows them, and stops them in order.

``nrl train`` (``watch``) and ``nrl arm`` (``arm_watch``) are subclasses. They add which nodes there
are, in which order the nodes stop, and what a person is shown.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rich.console import Console
from rich.markup import escape

from nrl_ros.cli.config import RunSettings
from nrl_ros.cli.display import warn
from nrl_ros.cli.metrics import EpisodeTable, Table
from nrl_ros.cli.monitor import Monitor
from nrl_ros.cli.processes import Processes, absolute_namespace, exit_text
from nrl_ros.cli.recording import RecorderWatch
from nrl_ros.cli.runs import Run
from nrl_ros.cli.tensorboard import progress_table
from nrl_ros.monitor.progress import Progress
from nrl_ros.ros import names
from nrl_ros.ros.qos import RECORDED
from nrl_ros.ros.security import initialise, refused_in_one_line
from nrl_ros.ros.signals import Signals

_ROW_PERIOD_S = 0.5
# Last messages of a node that was stopped may still be on their way for so long [s].
_SETTLE_S = 1.5
_LAST_MESSAGES = 20
# Longest time for the nodes to find each other; a busy machine needs long to import everything [s].
_START_S = 30.0
# An environment may load for long, such as a simulator with a window; it is said meanwhile [s].
ENVIRONMENT_S = 600.0
_SLOW_S = 3.0
_AGAIN_S = 10.0

AnyMonitor = TypeVar('AnyMonitor', bound=Monitor)


@dataclass
class Outcome:
    """How the nodes ended.

    Attributes:
        ended: finished, interrupted, failed, or aborted: the last episode was stopped from outside.
        code: exit code of the command.
        seconds: from the start of the nodes to their end.
        training_s: from the first to the last step.
        reason: what failed.
        trouble: counters as shown before the nodes were stopped, since their end releases windows.
        recording: what was recorded, for the summary; empty: nothing.
        recorded: the same in one line.
    """

    ended: str = 'finished'
    code: int = 0
    seconds: float = 0.0
    training_s: float = 0.0
    reason: str = ''
    trouble: dict[str, int] = field(default_factory=dict)
    recording: dict[str, Any] = field(default_factory=dict)
    recorded: str = ''

    def fail(self, reason: str) -> None:
        """Note that the run did not end well, whatever was noted before.

        Args:
            reason: is added to those that are known already; empty: nothing happened.
        """
        if reason:
            self.ended, self.code = 'failed', 1
            self.reason = '\n'.join(filter(None, (self.reason, reason)))

    def summary(self, settings: RunSettings, progress: Progress, task: str) -> dict[str, Any]:
        """Return the first entries of each run's summary."""
        return {
            'task': task,
            'ended': self.ended,
            'reason': self.reason,
            'seed': settings.learner.seed,
            'instances': settings.environment.bridge.instances,
            'steps': progress.steps,
            'episodes': progress.episodes,
            'seconds': round(self.seconds, 2),
            'counters': progress.counters,
            **({'recording': self.recording} if self.recording else {}),
        }

    def say_failed(self, log: Path, console: Console) -> bool:
        """Print why the run failed and where its logs are; return True if it failed."""
        if self.ended != 'failed':
            return False
        text = f'[bold red]failed:[/] {escape(self.reason)}'
        console.print(text, highlight=False, soft_wrap=True)
        console.print(f'logs: {log}', soft_wrap=True)
        return True


class EndedEarly(Exception):  # noqa: N818 - not an error
    """The nodes ended before they were all started."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


def _not_in_time(limit_s: float, starting: bool) -> str:
    if starting:
        return f'the environment has not started within {limit_s:.0f} s'
    return (
        f'the nodes run, but were not heard within {limit_s:.0f} s: the middleware does not find '
        'them, or this machine is too busy for them to start; `nrl doctor` looks into it'
    )


def make_monitor(
    kind: Callable[..., AnyMonitor], *arguments: Any, namespace: str, **more: Any
) -> AnyMonitor:
    """Return a monitor of the nodes in a namespace.

    Args:
        kind: what makes it, such as ``Monitor``.
        arguments: of it.
        namespace: of the nodes; empty: none.
        more: keyword arguments of it.

    Raises:
        SecurityError: this process may not take part in ROS.
    """
    with refused_in_one_line():
        return kind(
            *arguments,
            namespace=absolute_namespace(namespace) or None,
            use_global_arguments=False,
            **more,
        )


class Tables(NamedTuple):
    """The tables of a run: a row for each episode, and one for each half second."""

    episodes: EpisodeTable
    progress: Table

    def open(self) -> None:
        """Write the rows so far, and those to come."""
        for table in self:
            table.open()


@contextmanager
def connected(run: Run, console: Console, *, tensorboard: bool = False) -> Iterator[Tables]:
    """Connect this process to ROS and make the tables of a run, for a ``with`` block.

    The tables hold their rows until they are opened.

    Args:
        run: its folder.
        console: for what could not be written.
        tensorboard: write an event file too.
    """
    tables = Tables(EpisodeTable(run, held=True), progress_table(run, tensorboard))
    # An environment that speaks ROS itself may have left it on when it was tried.
    rclpy.try_shutdown()
    initialise([])
    try:
        yield tables
    finally:
        rclpy.try_shutdown()
        named: Sequence[tuple[EpisodeTable | Table, str]] = [
            (tables.episodes, 'metrics'),
            (tables.progress, 'progress'),
        ]
        for table, name in named:
            table.close()
            if table.reason:
                warn(console, f'{table.lost} rows of {name} were not written: {table.reason}')


class Orchestrator:
    """Runs node processes until they are done, a person ends them, or one fails.

    Args:
        monitor: hears the nodes, and keeps ``progress``.
        progress: what is known of the run.
        rows: gets a row of it about twice a second.
        signals: end the run early.
        recorder: hears the recorder of the run; None: nothing is recorded.

    Attributes:
        processes: of the run.
        order: groups of nodes in the order in which they are stopped.
        last: the node whose end is the end of the run.
    """

    order: Sequence[Sequence[str]] = ()
    last = ''

    def __init__(
        self,
        monitor: Monitor,
        progress: Progress,
        rows: Table,
        signals: Signals,
        *,
        recorder: RecorderWatch | None = None,
    ) -> None:
        self.monitor, self.progress, self.signals = monitor, progress, signals
        self.recorder = recorder
        self.processes: Processes
        self._rows, self._row_at = rows, 0.0
        self._begin: Callable[[], None] | None = None
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(monitor)

    # ------------------------------------------------------------ for subclasses

    def start(self) -> None:
        """Start the nodes.

        Raises:
            EndedEarly: they cannot begin.
        """
        raise NotImplementedError

    def begun(self) -> bool:
        """Return True if the run has done something that is worth keeping."""
        return self.progress.moving

    def show(self, wall_s: float) -> None:
        """Show a person the newest figures."""

    def look(self) -> Outcome | None:
        """Return the outcome if the run has to end for a reason of its own; called repeatedly."""
        return None

    def done(self, outcome: Outcome) -> None:
        """Do what has to be done before the nodes are stopped."""

    def group_stopped(self, group: Sequence[str], outcome: Outcome) -> None:
        """Do what has to be done after a group of nodes has stopped."""

    def stopped(self, outcome: Outcome) -> None:
        """Do what has to be done after all groups have stopped; nodes in no group still run."""

    def say(self, text: str) -> None:
        """Print what is waited for."""

    # ----------------------------------------------------- starts of an environment

    def start_environment(self, check: Callable[[], None] = lambda: None) -> None:
        """Configure and activate the environment once all others hear it.

        Processes that appear at the same moment sometimes find each other only 2 to 3 s later, when
        the middleware repeats itself. Until then, what an environment sends would be lost.

        Args:
            check: is called when its node is there.

        Raises:
            EndedEarly: a signal came, a node ended, or it took too long.
        """
        self.until(lambda: self.is_recorded(names.LEARNER, names.NEUROMODULATOR))
        client: Any = self.monitor.create_client(ChangeState, f'{names.ENVIRONMENT}/change_state')
        self.until(client.service_is_ready)
        check()
        self.progress.phase = 'the environment makes its instances'
        self._transition(client, Transition.TRANSITION_CONFIGURE)
        self.until(self.monitor.hears_environment)
        self.until(lambda: self.is_recorded(names.ENVIRONMENT))
        self.progress.phase = 'the environment resets its instances'
        self._transition(client, Transition.TRANSITION_ACTIVATE)

    def _transition(self, client: Any, transition: int) -> None:
        request = ChangeState.Request(transition=Transition(id=transition))
        future = client.call_async(request)
        self.until(future.done, starting=True)
        if not future.result().success:
            raise EndedEarly(self.failed(names.ENVIRONMENT, 'could not be started'))

    def until(self, ready: Callable[[], bool], *, starting: bool = False) -> None:
        """Spin until a condition holds.

        Args:
            ready: the condition.
            starting: the environment makes or resets its instances, which may take minutes.

        Raises:
            EndedEarly: a signal came, a node ended, or it took too long.
        """
        begin = time.monotonic()
        longest_s, say_at = (ENVIRONMENT_S if starting else _START_S), begin + _SLOW_S
        while not ready():
            self.spin()
            outcome, now = self.ended(), time.monotonic()
            if outcome is None and now > begin + longest_s:
                outcome = Outcome('failed', code=1, reason=_not_in_time(longest_s, starting))
            if outcome is not None:
                raise EndedEarly(outcome)
            if starting and now > say_at:
                say_at = now + _AGAIN_S
                self.say(f'waiting for the environment to start: {now - begin:.0f} s so far')

    # -------------------------------------------------------------- the run

    def run(
        self,
        params: Sequence[Path],
        log: Path,
        namespace: str,
        *,
        limited: bool,
        begin: Callable[[], None],
    ) -> Outcome:
        """Run the nodes until the run ends, and stop all of them.

        Args:
            params: parameter files, later ones winning.
            log: folder of the nodes' output.
            namespace: ROS namespace of the nodes.
            limited: True if the run has a limit, so that an interrupted one is not complete.
            begin: called once, when the run has ``begun``.
        """
        self._begin = begin
        variables = os.environ if self.recorder is None else {**os.environ, RECORDED: '1'}
        self.processes = Processes(params, log, namespace=namespace, environment=variables)
        start = time.monotonic()
        try:
            try:
                if self.recorder is not None:
                    # It comes first, so that it is there when the first message is sent.
                    where = f'folder:={self.recorder.folder}'
                    self.processes.start(names.RECORDER, '-p', where)
                self.start()
                outcome = self._until_done()
            except EndedEarly as early:
                outcome = early.outcome
            self.done(outcome)
            for group in self.order:
                self.processes.stop(group)
                self.group_stopped(group, outcome)
            if outcome.ended == 'interrupted' and not limited:
                outcome.code = 0
            self.stopped(outcome)
            self._end_recorder(outcome)
            outcome.fail(self.processes.failed())
        finally:
            self.processes.stop()
        outcome.seconds = time.monotonic() - start
        self._begin_if_due(finished=outcome.ended == 'finished')
        if self.recorder is not None and self._begin is not None:
            self.recorder.forget()
        self._rows.add([self.progress.row(self.monitor.wall_time_s)])
        return outcome

    def is_recorded(self, *nodes: str) -> bool:
        """Return whether the recorder, if there is one, hears all topics of these nodes."""
        return self.recorder is None or self.recorder.hears(nodes)

    def _end_recorder(self, outcome: Outcome) -> None:
        if self.recorder is not None:
            self.processes.stop((names.RECORDER,))
            self.settle(self.recorder.closed)
            outcome.recording, outcome.recorded = self.recorder.data(), self.recorder.line()

    def _until_done(self) -> Outcome:
        while True:
            self.spin()
            if self.processes.ended().get(self.last) == 0:
                return Outcome()
            outcome = self.ended() or self.look()
            if outcome is not None:
                return outcome

    def ended(self) -> Outcome | None:
        """Return how the run ended if a signal came or a node ended, else None."""
        if self.signals.received:
            return Outcome('interrupted', code=128 + self.signals.received)
        for name, code in self.processes.ended().items():
            if name == names.RECORDER and self.recorder is not None:
                self.recorder.ended(exit_text(code), self.processes.last_lines(name))
                continue
            return self.failed(name, f'ended unexpectedly with {exit_text(code)}')
        return None

    def failed(self, name: str, what: str, *others: str) -> Outcome:
        """Return the outcome, with the last lines that the node and others have logged."""
        logged = (self.processes.last_lines(one) for one in (*others, name))
        # Nodes of one process have one log.
        lines = '\n'.join([f'{name} {what}', *dict.fromkeys(logged)])
        return Outcome('failed', code=1, reason=lines.rstrip())

    def spin(self, timeout_s: float = 0.05) -> None:
        """Take the nodes' messages for a while, and show them."""
        self._executor.spin_once(timeout_sec=timeout_s)
        wall_s = self.monitor.wall_time_s
        self._begin_if_due()
        self.show(wall_s)
        if wall_s - self._row_at >= _ROW_PERIOD_S and self.progress.learner_heard:
            self._row_at = wall_s
            self._rows.add([self.progress.row(wall_s)])

    def _begin_if_due(self, *, finished: bool = False) -> None:
        if self._begin is not None and (finished or self.begun()):
            begin, self._begin = self._begin, None
            begin()

    def settle(self, complete: Callable[[], bool]) -> None:
        """Wait for the nodes' last messages, until they are complete or the time is over."""
        end = time.monotonic() + _SETTLE_S
        while not complete() and time.monotonic() < end:
            self.spin()
        # On a busy machine the time may have passed before all that has come was read.
        for _ in range(_LAST_MESSAGES):
            self._executor.spin_once(timeout_sec=0.0)
