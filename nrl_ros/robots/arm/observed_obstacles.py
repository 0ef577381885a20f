"""What a policy sees of obstacles: the box around each, in a fixed number of places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Bool, Float64
from nrl_ros.robots.arm.description import WorkspaceGroup
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.obstacles import Obstacle, box_around

# Numbers of each place: middle, half lengths, and direction from the tool.
NUMBERS = 9
# The tool counts as so far from an obstacle at least, so that a direction is known [m].
_LEAST_M = 1e-6


class ObservedObstacles:
    """The boxes around the obstacles of B arms, as far as they lie in the workspace.

    Each place has the box's middle scaled to -1 .. 1 within the workspace (3), its half lengths
    over those of the workspace (3), and the direction from the tool to the nearest point of the box
    times s / (s + distance) (3). Places without an obstacle have 0 everywhere. Obstacles of the
    robot's description come first.

    Args:
        model: the arm.
        obstacles: what the description says stands around it.
        workspace: of the description.
        arms: B.
        places: how many obstacles are seen.
        scale_m: s.

    Raises:
        ConfigError: the description has more obstacles than there are places.
    """

    def __init__(
        self,
        model: ArmModel,
        obstacles: Sequence[Obstacle],
        workspace: WorkspaceGroup,
        *,
        arms: int,
        places: int,
        scale_m: float,
    ) -> None:
        seen = [obstacle for obstacle in obstacles if obstacle.observed]
        if len(seen) > places:
            raise ConfigError(
                f'observation.obstacles {places}, and the robot has {len(seen)} obstacles '
                f'({", ".join(obstacle.name for obstacle in seen)}): give a place to each and '
                'train with them, or say observed: false of those that always stand there'
            )
        low, high = np.array(workspace.low_m), np.array(workspace.high_m)
        self._middle, self._half = (low + high) / 2.0, (high - low) / 2.0
        self._walls, self._scale_m = (low, high), scale_m
        self._boxes = np.zeros((arms, places, 2, 3))
        self._there = np.zeros((arms, places), np.bool_)
        self.free = places - len(seen)
        """Places that the description leaves to other obstacles."""
        boxes = [box_around(model, obstacle, workspace.frame) for obstacle in seen]
        everyone = np.ones(arms, np.bool_)
        self._put(everyone, 0, np.tile(np.reshape(boxes, (-1, 2, 3)), (arms, 1, 1, 1)))

    def put(self, which: Bool, boxes: Float64) -> None:
        """Take other obstacles than those of the description.

        Args:
            which: arms that get them [B].
            boxes: middle and half lengths of each [n, K, 2, 3, m], at most ``free`` for each arm;
                half lengths of 0: there is none.
        """
        self._put(which, self._boxes.shape[1] - self.free, boxes)

    def _put(self, which: Bool, first: int, boxes: Float64) -> None:
        low, high = (
            np.clip(boxes[:, :, 0] + sign * boxes[:, :, 1], *self._walls) for sign in (-1.0, 1.0)
        )
        half = (high - low) / 2.0
        places = slice(first, first + boxes.shape[1])
        self._there[which, places] = boxes[:, :, 1].any(axis=2)
        self._boxes[which, places] = np.stack([(low + high) / 2.0, half], axis=2)

    def observe(self, tool: Float64) -> Float64:
        """Return what is seen of the obstacles [B, 9 * places] from tools [B, 3, m]."""
        middle, half = self._boxes[:, :, 0], self._boxes[:, :, 1]
        way = np.clip(tool[:, None], middle - half, middle + half) - tool[:, None]
        distance = np.maximum(np.sqrt(np.einsum('ijk,ijk->ij', way, way)), _LEAST_M)
        near = way * (self._scale_m / (distance * (self._scale_m + distance)))[:, :, None]
        seen = [(middle - self._middle) / self._half, half / self._half, near]
        each = np.concatenate(seen, axis=2) * self._there[:, :, None]
        return np.asarray(each.reshape(len(tool), -1))
