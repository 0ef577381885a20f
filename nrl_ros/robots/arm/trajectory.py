"""Joint trajectories, taken and interpolated as ``joint_trajectory_controller`` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from nrl_ros.base.errors import InvalidValueError, ShapeError
from nrl_ros.base.records import Float64


@dataclass(frozen=True)
class Trajectory:
    """Points to pass, as in ``trajectory_msgs/JointTrajectory``, with joints in the arm's order.

    Attributes:
        time_s: times from the start [K], rising.
        position: [K, J].
        velocity: [K, J] for cubic interpolation between points, None for straight lines.
    """

    time_s: Float64
    position: Float64
    velocity: Float64 | None = None

    @classmethod
    def of_points(
        cls,
        joints: Sequence[str],
        names: Sequence[str],
        time_s: Sequence[float],
        position: Sequence[ArrayLike],
        velocity: Sequence[ArrayLike] = (),
    ) -> Trajectory:
        """Return a trajectory of points that name their joints, checked and in the arm's order.

        Args:
            joints: the arm's joints.
            names: joints in the order of the points; all of the arm's, once each.
            time_s: K times from the start [s].
            position: K rows [J].
            velocity: K rows [J], or rows of length 0 for none.

        Raises:
            ShapeError: a row has another length.
            InvalidValueError: other joints, a number that is not finite, times that do not rise, or
                a last velocity that is not 0.
        """
        if sorted(names) != sorted(joints):
            raise InvalidValueError(
                f'a trajectory names the joints {list(joints)} in any order, received {list(names)}'
            )
        order = [list(names).index(joint) for joint in joints]
        times = np.array(time_s, dtype=np.float64)
        rows = _rows(position, len(joints), 'positions')[:, order]
        given = any(np.size(row) for row in velocity)
        speeds = _rows(velocity, len(joints), 'velocities')[:, order] if given else None
        counts = {len(times), len(rows), len(rows if speeds is None else speeds)}
        if len(counts) > 1:
            raise ShapeError(
                f'expected as many positions as times, received {len(rows)} positions, '
                f'{len(times)} times and {len(velocity)} velocities'
            )
        if not np.isfinite(times).all() or (times < 0.0).any() or (np.diff(times) <= 0.0).any():
            raise InvalidValueError(
                f'time_from_start must be >= 0 and rise from point to point, received {time_s}'
            )
        if speeds is not None and len(speeds) and speeds[-1].any():
            raise InvalidValueError(
                f'a trajectory ends at rest, received last velocities {speeds[-1].tolist()}'
            )
        return cls(times, rows, speeds)

    def onward(self, time_s: float, position: Float64, velocity: Float64) -> Trajectory:
        """Return the rest of the trajectory after a time, begun from the arm's state [J] then."""
        left = self.time_s > time_s
        if not left.any():
            return Trajectory(self.time_s[-1:], self.position[-1:])
        speeds = self.velocity
        if speeds is not None:
            speeds = np.concatenate([velocity[None], speeds[left]])
        return Trajectory(
            np.concatenate([[time_s], self.time_s[left]]),
            np.concatenate([position[None], self.position[left]]),
            speeds,
        )

    def at(self, time_s: float) -> Float64:
        """Return the positions [J] at a time from the start, held at both ends."""
        last = len(self.time_s) - 1
        if time_s >= self.time_s[-1] or not last:
            return np.array(self.position[-1])
        right = max(1, int(np.searchsorted(self.time_s, time_s, side='right')))
        left = right - 1
        length = self.time_s[right] - self.time_s[left]
        u = max(0.0, (time_s - self.time_s[left]) / length)
        p, q = self.position[left], self.position[right]
        if self.velocity is None:
            straight: Float64 = p + u * (q - p)
            return straight
        # Cubic Hermite polynomial of the segment.
        v, w = length * self.velocity[left], length * self.velocity[right]
        cubic: Float64 = p + u * (
            v + u * (3.0 * (q - p) - 2.0 * v - w + u * (2.0 * (p - q) + v + w))
        )
        return cubic


def _rows(rows: Sequence[ArrayLike], size: int, what: str) -> Float64:
    for row in rows:
        if np.shape(row) != (size,):
            raise ShapeError(f'{what}: expected {size} per point, received {np.size(row)}')
    array = np.array(rows, dtype=np.float64).reshape(len(rows), size)
    if not np.isfinite(array).all():
        raise InvalidValueError(f'{what}: expected finite numbers, received {array.tolist()}')
    return array
