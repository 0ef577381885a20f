"""Runs the nodes of a training: starts them so that nothing is lost, and stops them in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from nrl_ros.cli.best_saver import BestSaver
from nrl_ros.cli.display import Display
from nrl_ros.cli.metrics import Table
from nrl_ros.cli.monitor import Monitor
from nrl_ros.cli.operator import Operator
from nrl_ros.cli.orchestrator import ENVIRONMENT_S, EndedEarly, Orchestrator, Outcome
from nrl_ros.cli.people import KEYS, WORDS, PeopleVoice
from nrl_ros.cli.processes import COMPOSED
from nrl_ros.cli.recording import RecorderWatch
from nrl_ros.cli.runs import Run
from nrl_ros.environments.faults import NEVER_ENDS
from nrl_ros.monitor.progress import FirstStepWatch, Progress, StallWatch
from nrl_ros.ros.names import ENVIRONMENT, LEARNER, NEUROMODULATOR
from nrl_ros.ros.signals import Signals

# In the order of starting.
NODES = (LEARNER, NEUROMODULATOR, ENVIRONMENT)

# After so long without a step, although states are sent again, something does not fit [s].
_STALLED_S = 20.0
# Nodes of another run are found within this time, where the namespace is one that others may have
# too; on a busy machine the middleware needs more than a second [s].
_LOOK_S = 3.0
# A namespace of the run's own is only met by what an earlier run of the same folder left [s].
_LOOK_OWN_S = 0.3
# Nodes that were killed are seen for so long [s].
_GONE_S = 25.0


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
        recorder: as of Orchestrator.
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
        recorder: RecorderWatch | None = None,
    ) -> None:
        super().__init__(monitor, progress, rows, signals, recorder=recorder)
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
        self._first = FirstStepWatch(_STALLED_S, ENVIRONMENT_S, lockstep=lockstep)
        self._best = BestSaver(monitor, progress.best, folder, warn)
        self._people = PeopleVoice(monitor, monitor.agent, say)
        self._operator = Operator(KEYS, terminal_only=True)

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
        self.until(lambda: {LEARNER, NEUROMODULATOR} <= heard.keys())
        self.start_environment(lambda: self._refuse_namesakes(1, 0.0))

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

    def begun(self) -> bool:
        """Return True once the environment was stepped."""
        return self.progress.steps > self._steps_before

    def say(self, text: str) -> None:
        """Print what is waited for."""
        self._say(text)

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
        for word in self._operator.words():
            if word and not self._people.obey(word):
                self._say(f'{word!r} is none of {", ".join(WORDS)}')
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
        self._operator.close()
        self._best.end()
        # The last panel stays on the screen, with the share that was done.
        self.progress.phase = ''
        outcome.training_s = self._last_step - (self._first_step or self._last_step)
