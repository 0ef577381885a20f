"""Runs one arm for ``nrl arm``: starts the nodes, shows their reports, and stops them in order."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from std_srvs.srv import SetBool, Trigger

from nrl_ros.base.patience import Patience
from nrl_ros.base.records import Ending, FinishedEpisodes
from nrl_ros.cli.arm import ArmPlan, make_plan
from nrl_ros.cli.best_saver import BestSaver
from nrl_ros.cli.display import lines_to, warn
from nrl_ros.cli.metrics import Table
from nrl_ros.cli.monitor import Monitor
from nrl_ros.cli.operator import Operator
from nrl_ros.cli.options import ArmOptions
from nrl_ros.cli.orchestrator import Orchestrator, Outcome, connected, make_monitor
from nrl_ros.cli.page import page_beside
from nrl_ros.cli.people import KEYS, WORDS, PeopleVoice
from nrl_ros.cli.processes import (
    COMPOSED_ARM,
    absolute_namespace,
    check_machine,
    choose_domain,
    choose_known_domain,
    node_environment,
)
from nrl_ros.cli.recording import RecorderWatch
from nrl_ros.monitor.arm_figures import DISTANCE, ArmFigures
from nrl_ros.monitor.progress import Progress
from nrl_ros.nodes.standby import Standby
from nrl_ros.robots.safety.announcer import Announcer
from nrl_ros.robots.safety.standing import PRESS
from nrl_ros.robots.safety.takeover import DIED
from nrl_ros.ros import names, qos
from nrl_ros.ros.interfaces import ArmCommand, EpisodeReport, SafetyStatus
from nrl_ros.ros.reports import MOVES, take_safety
from nrl_ros.ros.security import refused_in_one_line, require_support
from nrl_ros.ros.signals import Signals

_LINE_S = 1.0
# A line that has not changed is printed again after this time [s].
_AGAIN_S = 10.0
# What to change so that it learns is said again after this time [s].
_HINT_AGAIN_S = 300.0
# What the safety node waits for is printed after it has been the same for so long [s].
_WAITS_S = 2.0
# If the learner has not answered the environment for so long, the run ends [s].
_UNSERVED_S = 8.0
# Longest wait for an arm to come to rest after its safety node has died; longer than the safety
# node itself tries [s].
_REST_S = 40.0
_APPROVE = names.APPROVE.replace('~', names.LEARNER)
# Words that an operator may type, and the service that each one calls with which request.
_WORDS: dict[str, tuple[str, Any, Callable[[], Any]]] = {
    'stop': (f'{names.SAFETY}/stop', Trigger, Trigger.Request),
    'clear': (f'{names.SAFETY}/clear', Trigger, Trigger.Request),
    'go': (f'{names.ENVIRONMENT}/go', Trigger, Trigger.Request),
    'approve': (_APPROVE, SetBool, lambda: SetBool.Request(data=True)),
    'reject': (_APPROVE, SetBool, lambda: SetBool.Request(data=False)),
}
# Nodes are stopped in this order: the arm is held, what was learned is saved, the arm is braked.
_STOPPING = ((names.ENVIRONMENT,), (names.LEARNER, names.NEUROMODULATOR), (names.SAFETY,))
_DRIVER = 'arm_driver'
# Longest wait for a watchdog to bring the arm to rest, if the arm moves at all [s].
_WATCHDOG_S = 2.0


class ArmMonitor(Monitor):
    """A monitor that also hears the arm's safety node and environment.

    Args:
        figures: kept up to date.
        rest: as of Monitor.
    """

    def __init__(self, figures: ArmFigures, *rest: Any, **options: Any) -> None:
        super().__init__(*rest, **options)
        self._figures = figures
        self.hear(SafetyStatus, names.SAFETY_STATUS, qos.latched(), self._on_safety)
        self.hear(ArmCommand, names.ARM_COMMAND, qos.step(), self._on_command)
        self.hear(DiagnosticArray, names.DIAGNOSTICS, qos.event(), self._on_diagnostics)
        self._asked: dict[str, Any] = {
            word: self.create_client(kind, service) for word, (service, kind, _) in _WORDS.items()
        }

    def ask(self, word: str, answered: Callable[[str], None]) -> bool:
        """Call the service of a word; print its answer later. Return False if there is none yet."""
        client = self._asked[word]
        if not client.service_is_ready():
            return False
        future = client.call_async(_WORDS[word][2]())
        future.add_done_callback(lambda done: answered(f'{word}: {done.result().message}'))
        return True

    def worth(self, ends: FinishedEpisodes) -> NDArray[Any]:
        """Return minus the final distances [K, m]: returns depend on where the targets were."""
        return np.negative(ends.figures[DISTANCE])

    def _on_safety(self, message: SafetyStatus) -> None:
        take_safety(self._figures, message)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith(f'{names.ENVIRONMENT}: arm'):
                self._figures.asks = status.message if '~/go' in status.message else ''

    def _on_command(self, message: ArmCommand) -> None:
        self._figures.moves = MOVES.get(message.purpose, '')

    def _on_report(self, message: EpisodeReport) -> None:
        if not self.is_meant(message):
            return
        super()._on_report(message)
        self._figures.hear_episodes([ending == Ending.ABORTED for ending in message.ending])


def run(options: ArmOptions, console: Console) -> int:
    """Run the arm until Ctrl-C, a number of episodes, or a fault.

    Returns:
        Exit code: 0; 1 if a node failed, or the arm was stopped in the last episode; 130 or 143 if
        the run was interrupted before the number of episodes that was asked for.

    Raises:
        NrlError: it could not be started.
    """
    require_support()
    environment = _environment(options)
    said = check_machine(environment)
    if said:
        warn(console, said)
    os.environ.update(environment)
    plan = make_plan(options)
    with plan.start:
        return _run(plan, options, environment, console)


def _run(
    plan: ArmPlan, options: ArmOptions, environment: Mapping[str, str], console: Console
) -> int:
    console.print(
        f'run folder [bold]{plan.run.folder}[/], ROS_DOMAIN_ID={environment["ROS_DOMAIN_ID"]}\n'
        f'type {", ".join(_WORDS)} and Enter; + and - reward; Ctrl-C ends it',
        soft_wrap=True,
    )
    figures = ArmFigures()
    progress = Progress(
        target_episodes=plan.settings.environment.stop.episodes,
        figures=figures.recent,
        best=figures.best,
    )
    with Signals() as signals:
        with (
            connected(plan.run, console, tensorboard=options.tensorboard) as tables,
            page_beside(
                options,
                plan.run.log,
                options.namespace,
                say=lines_to(console),
                warn=lambda text: warn(console, text),
                robots=[plan.robot],
            ),
        ):

            def begin() -> None:
                plan.start.begin()
                tables.open()

            monitor = make_monitor(
                ArmMonitor,
                figures,
                plan.settings.environment.agent,
                progress,
                tables.episodes.add,
                namespace=options.namespace,
            )
            with refused_in_one_line():
                arm = (ComposedArmRun if options.compose else ArmRun)(
                    monitor,
                    progress,
                    tables.progress,
                    signals,
                    figures=figures,
                    console=console,
                    options=options,
                    plan=plan,
                )
            outcome = arm.run(
                plan.params,
                plan.run.log,
                options.namespace,
                limited=bool(plan.settings.environment.stop.episodes),
                begin=begin,
            )
        if plan.start.begun:
            plan.run.write_summary(
                {
                    **outcome.summary(plan.settings, progress, plan.settings.environment.agent),
                    **figures.summary(),
                    'health': progress.health.summary(),
                }
            )
        _report(plan, figures, outcome, console)
        for sentence in progress.health.sentences():
            warn(console, sentence)
    return outcome.code


def _environment(options: ArmOptions) -> dict[str, str]:
    """Return the nodes' variables; a real arm is in its driver's domain, not in a free one."""
    choose = choose_known_domain if options.real else choose_domain
    made = node_environment(choose(options.domain), udp_only=True)
    if options.real and 'ROS_AUTOMATIC_DISCOVERY_RANGE' not in os.environ:
        del made['ROS_AUTOMATIC_DISCOVERY_RANGE']
    return made


class ArmRun(Orchestrator):
    """The nodes of one arm, with its driver if it is simulated.

    Attributes:
        safety: the process that has the safety node.

    Args:
        monitor: as of Orchestrator.
        progress: as of Orchestrator.
        rows: as of Orchestrator.
        signals: as of Orchestrator.
        figures: kept by the monitor.
        console: for the lines.
        options: of the command.
        plan: what the nodes are told.
    """

    order: Sequence[Sequence[str]] = _STOPPING
    last = names.ENVIRONMENT
    safety = names.SAFETY

    def __init__(
        self,
        monitor: ArmMonitor,
        progress: Progress,
        rows: Table,
        signals: Signals,
        *,
        figures: ArmFigures,
        console: Console,
        options: ArmOptions,
        plan: ArmPlan,
    ) -> None:
        recorder = None
        if options.record:
            recorder = RecorderWatch(monitor, plan.run.folder, lambda text: warn(console, text))
        super().__init__(monitor, progress, rows, signals, recorder=recorder)
        self._arm, self._figures = monitor, figures
        self._console, self._options, self._plan = console, options, plan
        self._operator = Operator(KEYS)
        self._people = PeopleVoice(monitor, plan.settings.environment.agent, self.say)
        self._kept: list[str] = []
        self._shown_at, self._asked, self._line = -_LINE_S, '', ''
        self._guard = ''
        self._stops, self._waits = Announcer(again_s=0.0), Announcer(hold_s=_WAITS_S)
        self._hints = Announcer(again_s=_HINT_AGAIN_S)
        self._unserved = Patience(_UNSERVED_S)
        self._best: BestSaver | None = None
        if not plan.settings.learner.evaluate:
            self._best = BestSaver(
                monitor, progress.best, plan.run, lambda text: warn(console, text)
            )
        self._said_at = -_AGAIN_S
        self._rescued = False
        self._standby = Standby(
            plan.robot,
            plan.speed_share,
            absolute_namespace(options.namespace) or None,
        )

    def start(self) -> None:
        """Start the driver if the arm is simulated, then all others in the order of commands."""
        if not self._options.real:
            self.processes.start(_DRIVER)
        for group in reversed(self.order):
            for name in group:
                self.processes.start(name)
        if self.recorder is not None:
            # The environment begins when it is recorded, see ``arm.make_plan``.
            self.start_environment()

    def look(self) -> Outcome | None:
        """Do what the operator types, and end a run in which the learner does not act."""
        self._standby.prepare()
        if self._best is not None and self.begun():
            self._best.look(time.monotonic())
        for word in self._operator.words():
            self._obey(word)
        self._ask()
        refused = self._refused()
        return Outcome('failed', code=1, reason=refused) if refused else None

    def done(self, outcome: Outcome) -> None:
        """Bring the arm to rest first if its safety node has died."""
        code = self.processes.ended().get(self.safety)
        ended_well = code == 0 and self.safety == self.last
        if not (code is None or ended_well or self._plan.dry_run):
            self._rescued = True
            outcome.reason = f'{self.bring_to_rest()}; {outcome.reason}'

    def group_stopped(self, group: Sequence[str], outcome: Outcome) -> None:
        """Read the environment's last report, which tells whether its last episode was aborted."""
        if self.last in group:
            self._read_last_words()
            if outcome.ended == 'finished' and (problem := self._figures.problem()):
                outcome.ended, outcome.code, outcome.reason = 'aborted', 1, problem

    def stopped(self, outcome: Outcome) -> None:
        """Bring the arm to rest if its safety node was killed while it ended."""
        if self._best is not None:
            self._best.end()
        killed = self.processes.was_killed(self.safety)
        if killed and not (self._rescued or self._plan.dry_run):
            outcome.fail(self.bring_to_rest())

    def _refused(self) -> str:
        """Return why the learner does not act for this arm, with its own log; '' if it may act."""
        progress = self.progress
        heard = names.ENVIRONMENT in progress.counters and progress.learner_heard
        waits = bool(heard) and not progress.served
        if not self._unserved.over(self.monitor.wall_time_s, waits):
            return ''
        return (
            f'the learner does not act for this arm: in {_UNSERVED_S:.0f} s it has not taken the '
            f'environment up. What it says:\n{self.processes.last_lines(names.LEARNER)}'
        ).rstrip()

    def bring_to_rest(self) -> str:
        """Stop an arm whose safety node has died; without that it may continue its last command.

        Returns:
            What has become of the arm.
        """
        # This comes first, since everything after it takes longer.
        unknown = self._standby.begin()
        self.say(f'{DIED}, the arm may move on: {PRESS}')
        meanwhile = f'nothing is commanded ({unknown})' if unknown else 'it is commanded to stand'
        self.say(f'until another safety node is there {meanwhile}')
        self.processes.start(names.SAFETY, '-p', 'only_rest:=true')
        end = time.monotonic() + _REST_S
        while names.SAFETY not in self.processes.ended() and time.monotonic() < end:
            self.spin(self._standby.look())
        self._standby.close()
        if self.processes.ended().get(names.SAFETY) == 0:
            return 'the arm was brought to rest by another safety node'
        return f'the arm may still move: {PRESS}'

    def _read_last_words(self) -> None:
        """Read the environment's last report, then the learner's next one, which comes later."""
        progress, heard = self.progress, self.progress.learner_heard

        def complete() -> bool:
            told = progress.left and self._figures.episodes >= progress.episodes
            return told and progress.learner_heard > heard

        self.settle(complete)

    def _obey(self, word: str) -> None:
        """Call a word's service, or keep the word while its node starts: no stop may be lost."""
        if word == 'stop':
            self._kept.clear()
        if self._people.obey(word):
            return
        if word in _WORDS:
            self._kept.append(word)
        elif word:
            self.say(f'{word!r} is none of {", ".join((*_WORDS, *WORDS))}')
        if word in self._kept and not self._ask():
            self.say(f'{word}: its node is not there yet, asked when it is')

    def _ask(self) -> bool:
        """Call the services of the words that were kept, in order; return True if none is left."""
        while self._kept and self._arm.ask(self._kept[0], self.say):
            del self._kept[0]
        return not self._kept

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(self, wall_s: float) -> None:
        """Print what is new, and once a second a line of figures if they have changed."""
        figures = self._figures
        figures.counters = self.progress.since_start(names.LEARNER)
        if self._stops.due(wall_s, figures.why if figures.stopped else ''):
            self.say(f'{figures.mode}: {figures.why}; mend it, then type clear, then go')
        if self._waits.due(wall_s, '' if figures.stopped else figures.why):
            self.say(f'{figures.mode}: {figures.why}')
        hint = self.progress.health.now.first_hint
        if self._hints.due(wall_s, hint):
            self.say(hint)
        if figures.asks != self._asked:
            self._asked = figures.asks
            if figures.asks:
                self.say(f'the arm {figures.asks}; look first, then type go')
        # The first words say what the guard does, and figures follow.
        doing = self.progress.guard.partition(',')[0]
        if doing != self._guard:
            self._guard = doing
            self.say(f'guard: {self.progress.guard}')
        if wall_s - self._shown_at >= _LINE_S:
            self._shown_at = wall_s
            line = figures.line()
            if line != self._line or wall_s - self._said_at >= _AGAIN_S:
                self._line, self._said_at = line, wall_s
                self.say(f'{wall_s:6.1f} s  {line}')


class ComposedArmRun(ArmRun):
    """An arm whose nodes share one process, with a watchdog beside it."""

    order = ((COMPOSED_ARM,),)
    last = safety = COMPOSED_ARM

    def start(self) -> None:
        """Start the watchdog too; it stands by until all others have stopped."""
        self.processes.start(names.WATCHDOG)
        super().start()

    def ended(self) -> Outcome | None:
        """Return how the run ended; the watchdog ends when the process of the nodes hangs."""
        if self.processes.ended().get(names.WATCHDOG) == 0:
            return self.failed(COMPOSED_ARM, 'hangs, and the watchdog stopped', names.WATCHDOG)
        return super().ended()

    def bring_to_rest(self) -> str:
        """Wait for the watchdog, which has noticed that the safety node is gone."""
        end = time.monotonic() + _WATCHDOG_S
        while names.WATCHDOG not in self.processes.ended() and time.monotonic() < end:
            self.spin()
        if self.processes.ended().get(names.WATCHDOG) == 0:
            return 'the arm was brought to rest by the watchdog'
        # It stands by on, which disturbs no safety node: the arm may have been at rest already.
        return super().bring_to_rest()


def _report(plan: ArmPlan, figures: ArmFigures, outcome: Outcome, console: Console) -> None:
    if outcome.say_failed(plan.run.log, console):
        return
    if outcome.reason:
        console.print(f'[bold red]{outcome.ended}:[/] {escape(outcome.reason)}', highlight=False)
    line = f'{outcome.ended} after {outcome.seconds:.1f} s: {figures.line()}'
    for text in filter(None, (line, outcome.recorded)):
        console.print(text, markup=False, highlight=False, soft_wrap=True)
