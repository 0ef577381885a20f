"""An arm in closed form, and a rig that plays an obedient one to a supervisor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.robots.safety.limits import JointLimits, Workspace, WorkspaceGuard
from nrl_ros.robots.safety.motion import MotionFilter
from nrl_ros.robots.safety.records import Mode, StopReason, SupervisorOutput
from nrl_ros.robots.safety.settings import SupervisorSettings
from nrl_ros.robots.safety.supervisor import Supervisor

Array = NDArray[Any]
PERIOD = 0.01
UPPER, FORE = 0.4, 0.3
REACH = UPPER + FORE


def limits_of(count: int = 2, /, **fields: Any) -> JointLimits:
    """Limits whose ticks of 10 ms are easy to follow: 0.1 rad/s each, 0.2 when stopping."""
    values: dict[str, Any] = {
        'joints': tuple(f'joint_{index}' for index in range(count)),
        'position_low': (-2.0,) * count,
        'position_high': (2.0,) * count,
        'velocity': (1.0,) * count,
        'acceleration': (10.0,) * count,
        'stop_acceleration': (20.0,) * count,
    }
    return JointLimits(**(values | fields))


def planar(position: Array) -> Array:
    """Elbow and tool [N, 2, 3] of two links in the x-y plane, at angles [N, 2]."""
    first, both = position[:, 0], position[:, 0] + position[:, 1]
    elbow = UPPER * np.stack([np.cos(first), np.sin(first), 0.0 * first], axis=-1)
    tool = elbow + FORE * np.stack([np.cos(both), np.sin(both), 0.0 * both], axis=-1)
    return np.stack([elbow, tool], axis=1)


def settings_of(**fields: Any) -> SupervisorSettings:
    """Limits that suit ticks of 10 ms and an arm that may begin at once."""
    values: dict[str, Any] = {
        'command_timeout_s': 0.1,
        'state_skew_s': 0.1,
        'max_tick_gap_s': 0.05,
        'settle_s': 0.0,
        'listen_s': 0.0,
    }
    return SupervisorSettings(**(values | fields))


# Between two ticks, so that rounding decides nothing.
SETTINGS = settings_of(state_timeout_s=0.105, command_timeout_s=0.105, tracking_time_s=0.105)
# Ticks after which an arm that stands is known to.
RESTED = 17
# A wall in front and one on either side.
BOX = Workspace((-1.0, -0.45, -0.1), (0.55, 0.45, 0.1))
# Hard limits of an arm that may be measured so fast that no place is a jump.
FAST = limits_of(velocity=(100.0, 100.0))
# Tool at 0.443 m, 0.375 m.
INSIDE = np.array([0.2, 1.2])
GUARD = WorkspaceGuard(planar, BOX)


class Wall:
    """A guard of one joint: not beyond a position, one metre a radian; counts its calls."""

    def __init__(self, at: float) -> None:
        self.at, self.calls = at, 0

    def violation(self, position: Array) -> Array:
        self.calls += 1
        return position[:, 0] - self.at


class Rig:
    """A supervisor, time, and an arm that is at once where it is commanded to be."""

    def __init__(self, settings: SupervisorSettings = SETTINGS, **options: Any) -> None:
        limits = options.pop('limits', limits_of())
        hard = options.pop('hard_limits', None)
        self.filter = MotionFilter(limits, PERIOD, **options)
        self.supervisor = Supervisor(settings, self.filter, hard)
        self.now, self.sequence = 100.0, 0
        self.position = np.zeros(len(limits.joints))
        self.velocity = np.zeros(len(limits.joints))

    @property
    def counters(self) -> dict[str, int]:
        return self.supervisor.counters

    def state(self, position: Any = None, velocity: Any = None, age_s: float = 0.0) -> None:
        """A joint state, by default the true one."""
        position = self.position if position is None else position
        velocity = self.velocity if velocity is None else velocity
        self.supervisor.on_state(self.now, position, velocity, age_s)

    def command(self, *wanted: float) -> None:
        self.sequence += 1
        self.supervisor.on_command(self.now, wanted, self.sequence)

    def tick(self, seconds: float = PERIOD) -> SupervisorOutput:
        """Let time pass, then tick; the arm obeys."""
        self.now += seconds
        output = self.supervisor.tick(self.now)
        if output.position is not None and output.velocity is not None:
            self.position, self.velocity = output.position.copy(), output.velocity.copy()
        return output

    def run(self, ticks: int, *wanted: float) -> SupervisorOutput:
        """Ticks with a joint state before each, and a command if one is given."""
        for _ in range(ticks):
            self.state()
            if wanted:
                self.command(*wanted)
            output = self.tick()
        return output

    def stop(self, cause: StopReason = StopReason.EMERGENCY_STOP) -> None:
        """Stop, and wait until it stands."""
        self.supervisor.stop(self.now, cause, 'for a test')
        while self.supervisor.mode != Mode.STOPPED:
            self.state()
            self.tick()
