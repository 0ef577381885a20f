"""What a person wants who moves an arm from afar: joint velocities, or a twist of the tool.

What comes of it is a wanted velocity like that of any action: the safety node limits it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import InvalidValueError, ShapeError
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.jacobian import Jacobian
from nrl_ros.robots.arm.robot import Robot

Array = NDArray[Any]

_TWIST = 6
# Damping of the inverse, so that joints stay slow where the arm is stretched out [m].
_DAMPING_M = 0.02


class Wanted(NamedTuple):
    """A motion that a person wants.

    Attributes:
        numbers: velocities of the joints [J], or a twist of the tool [6].
        twist: True if it is one.
    """

    numbers: Float64
    twist: bool


class Teleoperation:
    """Turns what a person wants into joint velocities.

    Args:
        robot: the arm.
    """

    def __init__(self, robot: Robot) -> None:
        self._jacobian = Jacobian(robot.model, robot.description.workspace.frame)
        self._fastest = np.array(robot.hard.velocity)
        # Fewer joints cannot keep an orientation while the tool moves.
        self._rows = _TWIST if len(robot.joints) >= _TWIST else 3

    def of_joints(self, velocity: Array) -> Wanted:
        """Return the wish for velocities of all joints, in the order of the description [J].

        Raises:
            ShapeError: there are other numbers of them.
            InvalidValueError: one is not finite.
        """
        return Wanted(_checked(velocity, len(self._fastest), 'joint velocities'), twist=False)

    def of_twist(self, twist: Array) -> Wanted:
        """Return the wish for a velocity of the tool in the frame of the workspace [6].

        An arm of fewer than six joints follows the first three numbers alone.

        Args:
            twist: along x, y, z [m/s], and about them [rad/s].

        Raises:
            ShapeError: there are other numbers of them.
            InvalidValueError: one is not finite.
        """
        return Wanted(_checked(twist, _TWIST, 'a twist'), twist=True)

    def velocity(self, wanted: Wanted, position: Array) -> Float64:
        """Return the joint velocities for a wish [J], none faster than its limit.

        All joints become slower alike, so that the direction stays what the person wants.

        Args:
            wanted: by the person.
            position: of all joints [J].
        """
        found = wanted.numbers
        if wanted.twist:
            rows = self._jacobian(position[None]).jacobian[0, : self._rows]
            square = rows @ rows.T + _DAMPING_M**2 * np.eye(self._rows)
            found = rows.T @ np.linalg.solve(square, wanted.numbers[: self._rows])
        slower: Float64 = found / max(1.0, float(np.max(np.abs(found) / self._fastest)))
        return slower


def _checked(numbers: Array, expected: int, what: str) -> Float64:
    values = np.asarray(numbers, np.float64)
    if values.shape != (expected,):
        raise ShapeError(f'{what} of a person: expected {expected} numbers, received {values.size}')
    if not np.isfinite(values).all():
        raise InvalidValueError(
            f'{what} of a person: received {values.tolist()}, expected finite numbers'
        )
    return values
