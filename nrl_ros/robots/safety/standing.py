"""Brings an arm that must not move to rest, whoever moved it, and says whether it stands."""

from __future__ import annotations

import math

import numpy as np

from nrl_ros.robots.safety.command_checker import CommandChecker
from nrl_ros.robots.safety.input_monitor import InputMonitor
from nrl_ros.robots.safety.records import Mode
from nrl_ros.robots.safety.settings import SupervisorSettings

PRESS = 'press the hardware emergency stop'


class Standing:
    """Decides what to command while the arm must not move: in WAITING, STOPPING and STOPPED.

    An arm that was commanded before brakes from its last command. An arm that moves although
    nothing was commanded yet, because another node that has died or been stopped set it in motion,
    is commanded to stand where it is measured. An arm that is moved away from its commanded place
    by more than ``tracking_error_rad`` is not called back: it is commanded, once until it rests, to
    stand where it is now. If it is moved away again and positions are commanded, nothing is sent.
    Only once, since an arm whose measured position differs from the commanded one would otherwise
    be led away by that difference, again and again.

    Args:
        settings: of the supervisor.
        inputs: what was heard.
        commands: what is commanded.
    """

    def __init__(
        self, settings: SupervisorSettings, inputs: InputMonitor, commands: CommandChecker
    ) -> None:
        self._settings, self._inputs, self._commands = settings, inputs, commands
        # Since when the arm should stand but is not measured to; None: it stands, or it may move.
        self._restless_since: float | None = None
        # Since its last rest, the arm was commanded once to stand where it is.
        self._held = False
        # True after zero velocity has been commanded at least once.
        self._halted = False

    def reset(self) -> None:
        """Forget everything: the arm may move."""
        self._restless_since, self._held, self._halted = None, False, False

    def without_controller(self) -> str:
        """Return why nothing may be sent to the controller, '' if something may."""
        controller = self._settings.controller
        if controller and not self._inputs.is_granted(controller):
            return f'no permission of {controller}'
        return ''

    def withheld(self) -> str:
        """Return why nothing is sent in any mode, '' if something may be."""
        return 'this is a dry run' if self._settings.dry_run else self.without_controller()

    def tick(self, now: float, mode: Mode, *, was_moving: bool) -> Mode:
        """Command one period of standing; return the mode, which is STOPPED only at rest.

        Args:
            now: [s].
            mode: of the supervisor.
            was_moving: the tick before commanded a velocity that was not zero.
        """
        inputs, commands = self._inputs, self._commands
        rests = inputs.at_rest(now)
        if mode != Mode.WAITING:
            commands.brake()
        elif rests or self.withheld():
            # A person who moves the arm by hand before it begins must not see it jump back.
            commands.release()
        if inputs.moves(now) and not (was_moving or self.withheld()):
            self._hold()
        halted = not commands.velocity.any()
        self._halted = halted and not was_moving
        if rests or not halted:
            self._restless_since, self._held = None, False
        elif self._restless_since is None:
            self._restless_since = now
        if mode == Mode.WAITING:
            return mode
        return Mode.STOPPED if rests and halted else Mode.STOPPING

    def _hold(self) -> None:
        """Command an arm that still moves after its brake to stand where it is."""
        state, commands = self._inputs.state, self._commands
        if state is None or self._held or self._implausible():
            return
        if commands.position is None or self._astray():
            commands.begin(state.position)
            self._held = True

    def _implausible(self) -> str:
        """Return why the measured position may not be commanded, '' if it may.

        A position beyond the limits may be a wrong one, for example in degrees. Zero velocity is
        always right.
        """
        return '' if self._settings.anchor_gain else self._inputs.beyond()

    def _astray(self) -> bool:
        """Return whether the arm is too far from its commanded position."""
        state, commanded = self._inputs.state, self._commands.position
        if state is None or commanded is None:
            return False
        return bool(np.abs(state.position - commanded).max() > self._settings.tracking_error_rad)

    def is_moved(self) -> bool:
        """Return whether to send nothing, since the arm should stand but was moved away.

        Whoever moved it must not see it jump back when the arm's program runs again, nor when joint
        states are lost: then the last one counts.
        """
        return self._halted and not self._settings.anchor_gain and self._astray()

    def is_blind(self, now: float, mode: Mode) -> bool:
        """Return whether to command zero velocity although the stopped arm is not seen to stand.

        Commanding velocities needs no position, so this helps without joint states too.
        """
        stopped = mode in (Mode.STOPPING, Mode.STOPPED)
        blind = stopped and self._settings.anchor_gain > 0.0 and not self._inputs.at_rest(now)
        return blind and not self.withheld()

    # ---------------------------------------------------------------- words

    def alarm(self, now: float, mode: Mode) -> str:
        """Return what a person must know if the arm should stand but is not measured to, else ''.

        The request to press the emergency stop is added after braking has had enough time.
        """
        seen, since = self._seen(now), self._restless_since
        if since is None or not seen:
            return ''
        moves, why = self._inputs.moves(now), self.withheld()
        if not why and self.is_moved():
            why = 'it is not where it was commanded to be'
        sent = not why and (self._commands.position is not None or self.is_blind(now, mode))
        if mode == Mode.WAITING and not (sent or moves):
            # The supervisor's text already says that it waits for joint states.
            return ''
        if not (sent or why):
            why = self._implausible() or 'where it is is not known'
        text = f'commanded to stand, {seen}' if sent else f'nothing is commanded ({why}), {seen}'
        if (mode == Mode.WAITING and not sent) or now - since < self._settings.alarm_time_s:
            # Before the supervisor has begun, a person may move the arm by hand or from the robot's
            # own panel.
            return text
        return f'{text}: {PRESS}' + ('' if moves else ' if it moves')

    def answer(self, now: float) -> tuple[bool, str]:
        """Return whether a stop that was just requested is carried out, and words on it."""
        commands, seen = self._commands, self._seen(now)
        if not (seen or commands.velocity.any()):
            if self._inputs.at_rest(now):
                return True, 'stopped: the arm is at rest'
            if self._inputs.rest.speeds is not None:
                return True, 'stopping: the arm is slow'
            seen = 'has not been measured for long enough to know whether it moves'
        seen, why = seen or 'was commanded to move', self.withheld()
        if not why and commands.position is None and not self._settings.anchor_gain:
            fresh = self._inputs.is_fresh(now)
            why = self._implausible() if fresh else 'there is no joint state'
        if why:
            return False, f'nothing can be commanded, since {why}; the arm {seen}: {PRESS}'
        told = f'stopping: the arm {seen} and is commanded to stand'
        return True, f'{told}; safety_status says STOPPED when it is measured at rest'

    def restless(self, now: float) -> str:
        """Return why the arm may not be left without commands, '' if it may.

        What was commanded must have come to rest.
        """
        at_rest = self._inputs.at_rest(now)
        if self._settings.dry_run or at_rest and not self._commands.velocity.any():
            return ''
        if self._commands.position is None and not self._inputs.moves(now):
            # Nothing was commanded, and the arm is not seen to move.
            return ''
        stands = f'has not stood for {self._settings.still_time_s} s yet'
        return self._seen(now) or stands

    def _seen(self, now: float) -> str:
        """Return how the arm is seen not to stand, '' if it is not seen to move."""
        if not self._inputs.is_fresh(now):
            age_s = self._inputs.state_age_s(now)
            age = 'there is no joint state'
            if math.isfinite(age_s):
                age = f'the joint state is {age_s:.3f} s old'
            return f'is not seen ({age})'
        return self._inputs.motion() if self._inputs.moves(now) else ''
