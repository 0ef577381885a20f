"""Decides whether a real arm waits, drives home, asks for a go, or runs an episode."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import BridgeError
from nrl_ros.robots.arm.homing import Homing
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.robot_checks import refused_because
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.robots.safety.records import STOPPED_MODES, Mode

Array = NDArray[Any]

_STILL_RAD_S = 0.02
# A state of the safety node counts as missing if it is older than this plus three control periods
# [s].
_SAFETY_SLACK_S = 0.1
# A silence of joint states or of the safety node that is longer than this is more than a short
# delay [s].
_LOST_S = 0.5
# If a period of this node takes longer than this many periods, the node itself was delayed.
_HELD_UP_PERIODS = 2.0
_FIRST, _CLEARED = 'before it first moves', 'cleared'


class Phase(Enum):
    """Phases of a real arm's environment; the value names the phase in words."""

    WAITING = 'waits for joint states and the safety node'
    HOMING = 'drives home'
    ASKING = 'waits for ~/go'
    AIMING = 'waits for a target'
    RUNNING = 'runs an episode'
    SERVING = 'serves a goal'
    BY_HAND = 'is moved by hand'
    RESTING = 'holds for goals'
    STOPPED = 'was stopped'


# In these the policy moves the arm.
MOVING = (Phase.RUNNING, Phase.SERVING)


class Names(NamedTuple):
    """Names of topics for texts on missing messages."""

    joint_states: str
    safety_state: str
    safety_status: str


class Task(NamedTuple):
    """The place of the environment in its episodes.

    Attributes:
        episode: number of the present episode, or of the next one between two.
        between: True if an episode is over, or none has begun.
        has_target: True if the next episode has a target.
        goal: True if a goal is served, or its episode still has to end.
        rests: True if the arm stands between goals.
    """

    episode: int
    between: bool
    has_target: bool = True
    goal: bool = False
    rests: bool = False


class PhaseStep(NamedTuple):
    """Result of one period.

    Attributes:
        phase: the new one.
        velocity: to command [J] [rad/s], on the way home if the phase is HOMING and zero otherwise;
            None: command nothing.
        interrupted: True if something outside of the task has just ended an episode.
    """

    phase: Phase
    velocity: Array | None
    interrupted: bool


class ArmPhases:
    """State machine of one arm's environment, between joint states, the safety node and a person.

    An arm moves only while joint states come and the safety node of the same robot is there and
    not stopped. After a stop, and after something was lost that had been there, a person has to
    say ~/go before anything moves. All times are of one steady clock, and all calls come from one
    thread, in the order of their times.

    Args:
        robot: the arm.
        settings: of the task; ``homing``, ``episode.home_every`` and ``target`` are used.
        period_s: between two calls of ``step`` [s].
        names: of the topics.

    Attributes:
        phase: the present one.
        why: reason for it in words; empty: the phase tells it.
        homings: how often the arm was driven home.
        way: leads the arm home.
    """

    def __init__(
        self, robot: Robot, settings: ReachSettings, period_s: float, names: Names
    ) -> None:
        self._robot, self._settings, self._names = robot, settings, names
        self._period_s = period_s
        self._stale_s = robot.description.watchdog.state_timeout_s
        self._slack_s = _SAFETY_SLACK_S + 3.0 * robot.period_s
        self.phase, self.why = Phase.WAITING, ''
        self.homings = 0
        self.way = Homing(robot.home, np.array(robot.hard.velocity), settings.homing.speed_share)
        joints = len(robot.joints)
        self._position, self._velocity = np.zeros(joints), np.zeros(joints)
        self._heard_at = self._safety_at = -math.inf
        self._stepped_at = math.inf
        # What the safety node has reported: its mode (None: nothing yet), the reasons of its stop,
        # whether it runs dry, so that nothing moves however long one waits, what it waits for, and
        # its count of ticks.
        self._mode: Mode | None = None
        self._cause = 0
        self._dry_run = self._by_hand = False
        self._safety_why = ''
        self._ticks = 0
        # True if the safety node has named the robot that it limits; and what is wrong with that
        # robot.
        self._compared, self._wrong = False, ''
        # Why a person must call ~/go before anything moves; empty: no need.
        self._asks = _FIRST if settings.homing.wait_for_go else ''
        self._go = False
        # True if the arm has been commanded to move: from then on, missing messages count as lost.
        self._moved = False
        self._homed_for = -1
        self._homing_since: float | None = None

    def about(self) -> str:
        """Return in words what the arm does at present."""
        return f'{self.phase.value}: {self.why}' if self.why else self.phase.value

    # -------------------------------------------------------------- hearing

    def hear_joints(self, now: float, position: Array, velocity: Array) -> None:
        """Take a joint state: positions [J] [rad] and velocities [J] [rad/s]."""
        self._position, self._velocity, self._heard_at = position, velocity, now
        if self.phase in MOVING:
            self.way.note(position)

    def hear_safety(
        self, now: float, mode: Mode, cause: int, *, dry_run: bool, by_hand: bool = False
    ) -> None:
        """Take the safety node's state.

        Args:
            now: [s].
            mode: of it.
            cause: of a stop.
            dry_run: nothing is sent.
            by_hand: a person moves the arm by hand, and no command is followed.
        """
        self._mode, self._cause, self._dry_run, self._safety_at = mode, cause, dry_run, now
        self._by_hand = by_hand
        # Checked here too, since ``step`` is not called while the node is paused.
        if mode in STOPPED_MODES:
            self._interrupt(_CLEARED)

    def hear_status(self, wrong: str, ticks: int, why: str) -> None:
        """Take the safety node's status.

        Args:
            wrong: why it does not limit this robot; empty: it does.
            ticks: how often it has ticked.
            why: what it waits for, or why it has stopped, in words.
        """
        if ticks < self._ticks and self._moved:
            self._interrupt('the safety node was started anew')
        self._compared, self._wrong, self._ticks, self._safety_why = True, wrong, ticks, why

    def go(self) -> tuple[bool, str]:
        """Let an arm move that waits for it; return whether it may move now, and that in words."""
        self._go = self.phase in (Phase.ASKING, Phase.STOPPED) and not self._is_stopped()
        if self._go:
            return True, 'going'
        text = f'refused: the arm {self.phase.value}'
        if self.phase == Phase.STOPPED:
            text += f' {self.why}; call ~/clear of the safety node first'
        return False, text

    def refusal(self) -> str:
        """Return why a goal cannot be served now, in words; empty: it can."""
        if self._is_stopped():
            return f'the arm was stopped {self.why}'
        if self.phase in (Phase.WAITING, Phase.BY_HAND):
            return f'the arm {self.about()}'
        if self._asks and not self._go:
            return 'the arm may not move before a person calls ~/go'
        if self._settings.homing.wait_for_go:
            return 'homing.wait_for_go is true: a person has to allow each motion, set it to false'
        return 'the safety node runs dry, nothing moves' if self._dry_run else ''

    def commanded(self, velocity: Array) -> None:
        """Note a velocity [J] [rad/s] that was commanded."""
        self._moved |= bool(velocity.any())

    def paused(self) -> None:
        """Start the time of homing anew, since the arm was commanded to stand in the meantime."""
        self._homing_since = None

    def begun(self) -> None:
        """Note that an episode begins; if the next one waits for a ~/go, it needs another."""
        self._go = False

    def _interrupt(self, what: str) -> None:
        """Note what took the arm away from the task: a person must look before it moves again."""
        group = self._settings.homing
        self._go = False
        if group.go_after_stop or group.wait_for_go:
            # A stop is the most important reason; otherwise the first one is kept.
            self._asks = what if what == _CLEARED else self._asks or what

    # -------------------------------------------------------------- periods

    def step(self, now: float, task: Task) -> PhaseStep:
        """Decide what the arm does in this period.

        Args:
            now: [s].
            task: where the episodes stand.

        Raises:
            BridgeError: the arm is not at home in time; it has to be told to hold still.
        """
        before = self.phase
        self.phase, velocity = self._next(now, task)
        if self.phase != Phase.HOMING:
            self._homing_since = None
        interrupted = before in MOVING and before != self.phase and not task.between
        return PhaseStep(self.phase, velocity, interrupted)

    def _next(self, now: float, task: Task) -> tuple[Phase, Array | None]:
        self._forgive(now)
        self.why = ''
        if self._is_stopped():
            self._interrupt(_CLEARED)
            return Phase.STOPPED, None
        if not self._is_connected(now):
            # A silence that only this node notices, as of a faulty network, counts if it lasts. The
            # safety node judges its own silence sooner and stops the arm.
            heard = now - min(self._heard_at, self._safety_at) < _LOST_S
            if self._moved and (self._wrong or self._waits() or not heard):
                self._interrupt(f'mended: {self.why}')
            return Phase.WAITING, None
        if self._asks and not self._go:
            if self._asks == _FIRST:
                self.why = _FIRST
                return Phase.ASKING, None
            self.why = f'{self._asks}, waits for ~/go'
            return Phase.STOPPED, None
        self._asks = ''
        return self._work(now, task)

    def _work(self, now: float, task: Task) -> tuple[Phase, Array | None]:
        """Decide for an arm that may move."""
        wait_for_go = self._settings.homing.wait_for_go
        if self._by_hand and not (self.phase == Phase.RUNNING and not task.between):
            # An episode of the learner goes on, and nothing else begins or goes on.
            return Phase.BY_HAND, None
        if task.goal:
            return Phase.SERVING, None
        if task.rests:
            return Phase.RESTING, np.zeros_like(self._position)
        running, velocity = self.phase == Phase.RUNNING, None
        if running and not task.between:
            return Phase.RUNNING, None
        if not running or self._home_is_due(task.episode):
            velocity = self._home(now)
            if velocity is not None:
                # With wait_for_go, that ~/go allowed the way home only; each episode needs another
                # one.
                self._go = self._go and not wait_for_go
                return Phase.HOMING, velocity
            self._homed_for = task.episode
            velocity = np.zeros_like(self._position)
        if wait_for_go and not self._go:
            return Phase.ASKING, np.zeros_like(self._position)
        if not task.has_target:
            self.why = f'none has come on {self._settings.target.topic}'
            return Phase.AIMING, velocity
        return Phase.RUNNING, velocity

    def _forgive(self, now: float) -> None:
        """Do not count time in which this node itself was delayed as a silence of others.

        Messages of others wait during that time.
        """
        held_up_s = max(now - self._stepped_at - _HELD_UP_PERIODS * self._period_s, 0.0)
        self._stepped_at = now
        self._heard_at = min(self._heard_at + held_up_s, now)
        self._safety_at = min(self._safety_at + held_up_s, now)

    def _home_is_due(self, episode: int) -> bool:
        every = self._settings.episode.home_every
        return bool(every) and episode % every == 0 and self._homed_for != episode

    def _is_stopped(self) -> bool:
        if self._mode not in STOPPED_MODES:
            return False
        self.why = f'by the safety node, cause {self._cause:#x}; its log says more'
        return True

    def _waits(self) -> bool:
        """Return whether the safety node waits; after the arm has moved, it has been restarted."""
        return self._mode == Mode.WAITING

    def _is_connected(self, now: float) -> bool:
        names = self._names
        if self._wrong:
            self.why = self._wrong
        elif now - self._heard_at > self._stale_s:
            self.why = f'no joint states on {names.joint_states}'
        elif now - self._safety_at > self._slack_s:
            self.why = f'nothing on {names.safety_state}: start the safety node'
        elif not self._compared:
            self.why = f'nothing on {names.safety_status}: which robot is limited is not known'
        elif self._waits():
            self.why = f'the safety node waits: {self._safety_why or "its log says for what"}'
        else:
            return True
        return False

    def _home(self, now: float) -> Array | None:
        """Return the velocities [J] [rad/s] that lead home, None if the arm is there and at rest.

        Raises:
            BridgeError: it is not there in time.
        """
        group, position, home = self._settings.homing, self._position, self._robot.home
        there = np.abs(position - home).max() < group.tolerance_rad
        if there and np.abs(self._velocity).max() < _STILL_RAD_S:
            self.way.arrived()
            return None
        if self._homing_since is None or self._dry_run:
            # Nothing moves in a dry run, so no time is too long.
            self.way.paused()
            self.homings += self._homing_since is None
            self._homing_since = now
        if now - self._homing_since > group.timeout_s:
            worst = int(np.abs(position - home).argmax())
            raise BridgeError(
                f'not at home within {group.timeout_s} s: {self._robot.joints[worst]} is at '
                f'{position[worst]:.3f} {self._robot.hard.units[worst]}, expected '
                f'{home[worst]:.3f}: {self._refused(position)}is something in the way, is the '
                'controller active?'
            )
        return self.way.velocity(position, now)

    def _refused(self, position: Array) -> str:
        """Return why the arm may not be where it is, '' if it may."""
        robot = self._robot
        why = refused_because(robot.description, robot.guard(), position, robot.obstacles)
        return f'there {why}; ' if why else ''
