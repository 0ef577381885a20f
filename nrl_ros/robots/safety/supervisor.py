"""The state machine between the commander of an arm and the arm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError
from nrl_ros.robots.safety.braking import Limited
from nrl_ros.robots.safety.command_checker import CommandChecker
from nrl_ros.robots.safety.freedrive import Freedrive, behind_hand
from nrl_ros.robots.safety.input_monitor import Command, InputMonitor
from nrl_ros.robots.safety.limits import JointLimits
from nrl_ros.robots.safety.motion import MotionFilter
from nrl_ros.robots.safety.records import Mode, StopReason, SupervisorOutput
from nrl_ros.robots.safety.response import Response
from nrl_ros.robots.safety.settings import SupervisorSettings
from nrl_ros.robots.safety.standing import Standing

Array = NDArray[Any]

_COUNTERS = (
    'ticks', 'followed', 'held', 'states', 'states_bad', 'states_skewed', 'states_jumped',
    'commands', 'commands_refused', 'commands_reordered', 'commands_ignored', 'commands_stale',
    'begun_anew',
)  # fmt: skip
# Bits of what limits a command, with their counters.
_LIMITED = tuple((int(kind), f'limited_{kind.name}'.lower()) for kind in Limited)
_RUNNING = (Mode.FOLLOWING, Mode.HOLDING)
# A joint state of the last two periods is new, whatever was before it.
_NEW_PERIODS = 2.0


class Supervisor:
    """Decides at every tick what one arm is commanded: to follow, to hold, or to stop.

    No value that is passed in raises an error: unusable input is refused, counted, or a stop. A
    stop is latched whatever comes; only ``clear`` ends it. All times are of one steady clock, and
    all calls come from one thread, in the order of their times.

    Args:
        settings: the watchdog and the arm's connection.
        motion_filter: of this one arm; nothing else moves it.
        hard_limits: limits for measured positions and speeds, if they are wider than those of the
            filter. None: the limits of the filter.

    Raises:
        ConfigError: a filter of several arms, other joints, or times shorter than a period.

    Attributes:
        counters: what happened, by name, each from 0 on.
    """

    def __init__(
        self,
        settings: SupervisorSettings,
        motion_filter: MotionFilter,
        hard_limits: JointLimits | None = None,
    ) -> None:
        limits, period = motion_filter.limits, motion_filter.period_s
        hard = hard_limits or limits
        if motion_filter.arms != 1 or hard.joints != limits.joints:
            raise ConfigError(
                f'expected a filter of one arm with joints {list(hard.joints)}, received one of '
                f'{motion_filter.arms} with {list(limits.joints)}'
            )
        for name in ('state_timeout_s', 'command_timeout_s', 'max_tick_gap_s'):
            if getattr(settings, name) <= period:
                raise ConfigError(
                    f'{name} must be longer than the period of {period} s, '
                    f'received {getattr(settings, name)}'
                )
        self._settings, self._filter, self._limits = settings, motion_filter, hard
        self.counters: dict[str, int] = dict.fromkeys(_COUNTERS, 0)
        self.counters |= dict.fromkeys((counter for _, counter in _LIMITED), 0)
        self.counters |= {f'stop_{kind.name}'.lower(): 0 for kind in StopReason}
        self._inputs = InputMonitor(settings, hard, self.counters, period)
        self._commands = CommandChecker(limits, period, anchored=settings.anchor_gain > 0.0)
        self._response = Response(settings, limits, period)
        self._standing = Standing(settings, self._inputs, self._commands)
        self._freedrive = Freedrive()
        self._mode, self._cause, self._text = Mode.WAITING, StopReason(0), ''
        # Whether the arm was commanded anything but to stand since the supervisor began.
        self._moved = False
        self._steady_since: float | None = None
        # Since when the supervisor has listened for messages from before it began.
        self._listens_since: float | None = None
        self._now = -math.inf
        self._ticked: float | None = None
        self._astray_since: float | None = None

    @property
    def mode(self) -> Mode:
        """The present mode."""
        return self._mode

    @property
    def measured(self) -> Array | None:
        """The arm's last measured position [J] [rad], None before the first good joint state."""
        state = self._inputs.state
        return None if state is None else state.position

    def on_state(self, now: float, position: Any, velocity: Any, age_s: float) -> None:
        """Take a joint state; a bad one stops an arm that runs.

        Args:
            now: [s].
            position: [J] [rad].
            velocity: [J] [rad/s]; NaN where none was measured.
            age_s: since its stamp, by the clock of the stamp [s].
        """
        if not self._clock(now):
            return
        moving = self._mode in _RUNNING and not self._is_free()
        problem = self._inputs.put_state(now, position, velocity, age_s, moving=moving)
        # Before the first command to the arm, bad joint states are no reason for a stop.
        if self._mode in _RUNNING:
            # How fast a hand moves the arm is not up to the limits.
            beyond = self._inputs.outside() if moving else self._inputs.beyond()
            if problem:
                self._latch(StopReason.BAD_STATE, problem)
            elif beyond:
                self._latch(StopReason.OUT_OF_LIMITS, beyond)

    def on_unusable_state(self, now: float, problem: str) -> None:
        """Take note of a message of joint states that cannot be read: that state is missing.

        Args:
            now: [s].
            problem: what is wrong with it, in words.
        """
        if self._clock(now):
            self._inputs.monitor.refuse(now, problem)

    def on_foreign_state(self, now: float, names: Sequence[str]) -> None:
        """Take note of a message without any of the arm's joints, such as a gripper's."""
        if self._clock(now):
            self._inputs.monitor.pass_over(now, names)

    def on_command(self, now: float, wanted_velocity: Any, sequence: int) -> bool:
        """Take a command.

        Args:
            now: [s].
            wanted_velocity: [J] [rad/s].
            sequence: must rise; on_commander allows any number next.

        Returns:
            Whether it is the newest command now, and was not refused.
        """
        if not self._clock(now):
            return False
        kept = self._inputs.put_command(now, wanted_velocity, sequence)
        follows = self._mode in _RUNNING and not self._freedrive.active
        self.counters['commands_ignored'] += kept and not follows
        return kept

    def on_commander(self, now: float) -> None:
        """Accept any sequence number next: the commander is another one or has restarted."""
        if self._clock(now):
            self._inputs.forget_sequence()

    def on_heartbeat(self, now: float) -> None:
        """Take a heartbeat."""
        if self._clock(now):
            self._inputs.put_heartbeat(now)

    def on_permission(self, now: float, name: str, granted: bool, why: str = '') -> None:
        """Take a permission that was granted or withdrawn, such as 'robot program running'.

        Args:
            now: [s].
            name: of the permission.
            granted: whether this permission lets the arm move.
            why: why it was withdrawn, as a complete text; '': the name tells it.
        """
        if self._clock(now) or not granted:
            self._inputs.put_permission(name, granted, why)
        # A stated reason may explain a stop whose effect was noticed first, such as a tracking
        # error that another publisher of commands has caused.
        explains = bool(why) and self._mode in (Mode.STOPPING, Mode.STOPPED)
        runs = self._mode in _RUNNING
        if runs and self._freedrive.active and name in self._settings.released:
            return
        if not granted and (explains or runs):
            self._latch(StopReason.NOT_PERMITTED, why or f'no permission of {name}')

    def stop(self, now: float, cause: StopReason, text: str) -> None:
        """Stop in any mode, and stay stopped; the brake begins with the next tick."""
        self._clock(now)
        self._latch(cause or StopReason.CONTRACT, text)

    def standstill(self, now: float) -> tuple[bool, str]:
        """Return what is done about an arm that was just told to stop.

        Returns:
            Whether it stands or is commanded to, and that in words.
        """
        return self._standing.answer(now)

    def restless(self, now: float) -> str:
        """Return why a stopped arm may not be left without commands, '' if it may."""
        return self._standing.restless(now)

    def begin_freedrive(self, now: float) -> None:
        """Leave the arm to a person's hand: it brakes if it moves, and no command is followed.

        All that watches over joint states, limits of position and permissions goes on.
        """
        if self._clock(now):
            self._freedrive.begin()

    def on_freedrive(self, now: float, *, free: bool) -> None:
        """Take from the robot whether it lets itself be moved by hand, which begins freedrive."""
        if self._clock(now):
            self._freedrive.hear_robot(free=free)

    def end_freedrive(self, now: float) -> str:
        """Take the arm back from a person: hold where it stands, until a new command comes.

        Returns:
            '' if that was done, or nobody moves the arm by hand; else why not.
        """
        if not self._freedrive.active:
            return ''
        if not self._clock(now):
            return self._text
        if self._mode not in _RUNNING:
            # Nothing is commanded before the arm begins anew, which asks for a standing arm.
            return self._freedrive.end('')
        rests = self._inputs.at_rest(now)
        stands = '' if rests else f'the arm has not stood for {self._settings.still_time_s} s yet'
        why = self._freedrive.end('; '.join(self._obstacles(now)) or stands)
        return why or self._begin(now)

    def clear(self, now: float) -> str:
        """End a stop: begin softly at the measured position, and hold until a new command.

        Returns:
            '' if that was done, else why not.
        """
        if self._mode not in (Mode.STOPPING, Mode.STOPPED):
            return 'the arm is not stopped'
        if not self._clock(now):
            return self._text
        if self._freedrive.active:
            return self._freedrive.text
        if self._mode == Mode.STOPPED:
            return self._begin(now)
        if self._commands.velocity.any():
            return 'the arm is still being stopped'
        stands = f'the arm has not stood for {self._settings.still_time_s} s yet'
        return '; '.join(self._obstacles(now)) or stands

    def tick(self, now: float) -> SupervisorOutput:
        """Return what to command for one period; call it once in each period."""
        self.counters['ticks'] += 1
        limited, followed = 0, None
        timely = self._clock(now)
        gap = 0.0 if self._ticked is None else now - self._ticked
        self._ticked = now if timely else None
        was_moving = bool(self._commands.velocity.any())
        if timely and gap > self._settings.max_tick_gap_s:
            # A brake that was interrupted goes on from how fast the arm still is, too.
            self._commands.resume(self._measured_since(now, gap))
        if self._mode == Mode.WAITING:
            # The first command is the arm's own position: a tick that moves nothing.
            self._text = self._freedrive.text or self._settle(now, gap) or self._begin(now)
        elif self._mode in _RUNNING:
            self._watch(now, gap)
            if self._mode in _RUNNING:
                limited, followed = self._run(now)
        if self._mode in _RUNNING:
            self._standing.reset()
        else:
            self._mode = self._standing.tick(now, self._mode, was_moving=was_moving)
        self.counters['held'] += self._mode == Mode.HOLDING
        self.counters['followed'] += followed is not None
        return self._output(limited, followed)

    def _output(self, limited: int, followed: Command | None) -> SupervisorOutput:
        now, standing = self._now, self._standing
        position, velocity = self._commands.position, self._commands.velocity
        runs, alarm = self._mode in _RUNNING, ''
        if not runs:
            alarm = standing.alarm(now, self._mode)
        elif self._freedrive.active:
            limited |= Limited.BY_HAND
            self.counters['limited_by_hand'] += 1
        if standing.without_controller() or (not runs and standing.is_moved()):
            position = None
        commanded = position is not None or standing.is_blind(now, self._mode)
        return SupervisorOutput(
            self._mode,
            self._cause,
            '; '.join(filter(None, (self._text, alarm, self._freedrive.text if runs else ''))),
            position,
            velocity if commanded else None,
            limited,
            followed is not None,
            -1 if followed is None else followed.sequence,
            self._inputs.command_age_s(now),
            self._inputs.state_age_s(now),
            self._inputs.at_rest(now),
            alarm,
        )

    def _clock(self, now: float) -> bool:
        """Take over the time; a time that is not finite or runs back stops the arm."""
        if not math.isfinite(now):
            self._latch(StopReason.OVERRUN, f'the time is {now}')
            return False
        back, self._now = self._now - now, now
        if back <= 0.0:
            return True
        if self._standing.is_moved():
            # Where the arm was moved to is about to be forgotten; it must not see it jump back.
            self._commands.release()
        self._inputs.forget_times()
        self._ticked = self._listens_since = None
        self._latch(StopReason.OVERRUN, f'the clock ran back by {back:.3f} s')
        return False

    def _latch(self, cause: StopReason, text: str) -> None:
        """Stop, or add a cause to a stop; each cause is reported once."""
        new = [kind for kind in StopReason if kind & cause & ~self._cause]
        if not new:
            return
        for kind in new:
            self.counters[f'stop_{kind.name}'.lower()] += 1
        self._text = f'{self._text}; {text}' if self._cause else text
        self._cause |= cause
        # The next tick that finds the arm at rest sets STOPPED.
        self._mode = Mode.STOPPING

    def _settle(self, now: float, gap: float) -> str:
        """Return what is waited for until starting programs have settled, '' if nothing."""
        settings = self._settings
        late = self._inputs.missing(now).get(StopReason.STALE_STATE, '')
        if late or gap > settings.max_tick_gap_s or self._steady_since is None:
            self._steady_since = now
        steady_s = now - self._steady_since
        if self._listens_since is None:
            self._listens_since = now
        if late:
            return late
        if now - self._listens_since < settings.listen_s:
            return (
                'an emergency stop that was pressed before is listened for, for '
                f'{settings.listen_s} s (watchdog.listen_s)'
            )
        if steady_s >= settings.settle_s:
            return ''
        return self._inputs.monitor.slow(now) or (
            f'all has come in time for {steady_s:.2f} s, expected {settings.settle_s} s '
            '(watchdog.settle_s)'
        )

    def _obstacles(self, now: float) -> list[str]:
        """Return what forbids to begin."""
        state, reasons = self._inputs.state, list(self._inputs.missing(now).values())
        if beyond := self._inputs.outside():
            # It comes first, since only a person can mend it, while a permission will come by
            # itself.
            reasons.insert(0, beyond)
        if state is None or reasons:
            return reasons
        speeds = np.abs(state.velocity)
        fastest = int(speeds.argmax())
        if speeds[fastest] > self._settings.still_rad_s:
            unit, joint = self._limits.units[fastest], self._limits.joints[fastest]
            reasons.append(f'the arm still moves at {speeds[fastest]:.4f} {unit}/s ({joint})')
        return reasons

    def _begin(self, now: float) -> str:
        """Start softly at the measured position, or return why not."""
        state, reasons = self._inputs.state, self._obstacles(now)
        if state is None or reasons:
            return '; '.join(reasons)
        try:
            self._filter.start(state.position[None])
        except Exception as error:  # whatever a guard may raise
            self._latch(StopReason.CONTRACT, f'motion filter: {error!r}')
            return self._text
        self._commands.begin(self._filter.position[0])
        self._response.begin(state.position)
        self._mode, self._cause = Mode.HOLDING, StopReason(0)
        self._text, self._astray_since, self._moved = '', None, False
        # A command that came while the arm must not move is not followed now.
        self._inputs.command = None
        return ''

    def _is_free(self) -> bool:
        """Return whether a person moves the arm by hand, which was braked before."""
        return self._freedrive.active and not self._commands.velocity.any()

    def _watch(self, now: float, gap: float) -> None:
        """Check everything that must hold while the arm may move."""
        missing, text = self._inputs.missing(now, by_hand=self._freedrive.active), ''
        if gap > self._settings.max_tick_gap_s:
            text = f'{gap:.3f} s between two ticks'
        if not self._moved and missing.keys() <= {StopReason.STALE_STATE} and (missing or text):
            # Programs that are just starting delay each other, and nothing has moved yet: wait, do
            # not stop.
            self._mode, self._text = Mode.WAITING, '; '.join([*missing.values(), text]).strip('; ')
            self.counters['begun_anew'] += 1
            self._steady_since = None
            # A person who moves the arm by hand meanwhile must not see it jump back.
            self._commands.release()
            return
        if text:
            self._latch(StopReason.OVERRUN, text)
        for cause, said in missing.items():
            self._latch(cause, said)
        state, commanded = self._inputs.state, self._commands.position
        if state is None or commanded is None or self._is_free():
            return
        # This text replaces that of the tracking error, which an arm that does not move makes as
        # well.
        if not self._settings.dry_run and (still := self._response.problem(now, state.position)):
            self._latch(StopReason.TRACKING_ERROR, still)
        away = np.abs(state.position - commanded)
        worst = int(away.argmax())
        astray = float(away[worst])
        if astray <= self._settings.tracking_error_rad:
            self._astray_since = None
        elif self._astray_since is None:
            self._astray_since = now
        elif now - self._astray_since > self._settings.tracking_time_s:
            said = f'the arm is {astray:.4f} {self._limits.units[worst]} from its reference'
            self._latch(StopReason.TRACKING_ERROR, f'{said} ({self._limits.joints[worst]})')

    def _measured_since(self, now: float, gap: float) -> Array | None:
        """Return velocities [J] measured late in a gap between ticks, None if there are none.

        A watchdog of the supervisor brings the arm to rest after ``max_tick_gap_s``; what was
        measured earlier in the gap says nothing of that.

        Args:
            now: [s].
            gap: since the tick before [s].
        """
        inputs = self._inputs
        newest_s = max(gap - self._settings.max_tick_gap_s, _NEW_PERIODS * self._filter.period_s)
        if inputs.state is None or not inputs.is_fresh(now) or inputs.state_age_s(now) > newest_s:
            return None
        return inputs.state.velocity

    def _give_way(self) -> None:
        """Command an arm to stand where a person's hand has moved it."""
        state, commanded = self._inputs.state, self._commands.position
        if state is None or commanded is None:
            return
        most = 0.0 if self._settings.anchor_gain else self._settings.tracking_error_rad
        self._commands.begin(behind_hand(commanded, state.position, most))

    def _run(self, now: float) -> tuple[int, Command | None]:
        """Follow the newest command, or hold; return what limited it, and what was followed."""
        if self._is_free():
            self._mode = Mode.HOLDING
            self._give_way()
            return 0, None
        command, state = self._inputs.command, self._inputs.state
        stale = self._inputs.command_age_s(now) > self._settings.command_timeout_s
        command = None if stale or self._freedrive.active else command
        self.counters['commands_stale'] += command is None and self._mode == Mode.FOLLOWING
        self._mode = Mode.HOLDING if command is None else Mode.FOLLOWING
        wanted = np.zeros(len(self._commands.velocity)) if command is None else command.velocity
        try:
            if self._settings.dry_run and state is not None:
                # In a dry run nothing moves, so without this the reference would move away from the
                # arm.
                self._filter.resume(state.position[None], self._commands.velocity[None])
                self._commands.position = self._filter.position[0]
                self._commands.velocity = self._filter.velocity[0]
            elif self._settings.anchor_gain and state is not None:
                self._filter.anchor(state.position[None], self._settings.anchor_gain)
            motion = self._filter.follow(wanted[None])
            problem = self._commands.take(motion)
            self._moved |= bool(self._commands.velocity.any())
            self._response.commanded(self._commands.velocity)
        except Exception as error:  # whatever a guard raises, the arm has to be stopped
            problem = repr(error)
        if problem:
            self._latch(StopReason.CONTRACT, f'motion filter: {problem}')
            return 0, None
        limited = int(motion.limited[0])
        for bit, counter in _LIMITED if limited else ():
            self.counters[counter] += bool(limited & bit)
        return limited, command
