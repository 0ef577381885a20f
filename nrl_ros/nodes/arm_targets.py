"""Targets of a live arm that others name: by a topic, or as a goal, in any frame that is known."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped, PoseStamped

from nrl_ros.base.errors import ConfigError, InvalidValueError, ShapeError
from nrl_ros.robots.arm.chain_parts import Pose
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.rotations import matrices_of
from nrl_ros.robots.arm.settings import TargetGroup
from nrl_ros.robots.arm.targets import Poses
from nrl_ros.robots.arm.transforms import TransformTree
from nrl_ros.ros import qos, transforms

_UPRIGHT = (0.0, 0.0, 0.0, 1.0)


class ArmTargets:
    """Brings targets into the frame of the workspace.

    A frame is one of the model that no joint moves, or one that tf connects with such a frame.

    Attributes:
        newest: the newest target of the topic; None: none has come.

    Args:
        robot: the arm.
        settings: of the targets.

    Raises:
        ConfigError: the frame of targets that name none is not in the model.
    """

    def __init__(self, robot: Robot, settings: TargetGroup) -> None:
        self._robot, self._settings = robot, settings
        # The frame is looked up now, so that a missing one is reported at once and not with the
        # first target.
        robot.from_frame(settings.frame)
        self._tree: TransformTree | None = None
        self.newest: Poses | None = None
        self._named: tuple[str, tuple[float, ...], tuple[float, ...]] | None = None

    def on_configure(self, node: Any, *, by_topic: bool) -> None:
        """Subscribe to tf, and to the topic of targets if they come from one."""
        tree = TransformTree()
        if self._settings.tf and transforms.listen(node, tree):
            self._tree = tree
        if by_topic:
            kind, hear = (
                (PoseStamped, self.on_pose)
                if self._settings.orientation.axes
                else (PointStamped, self.on_point)
            )
            node.subscription(kind, self._settings.topic, qos.event(), hear)

    def on_point(self, message: PointStamped) -> None:
        """Take a target that is a point."""
        point = message.point
        self._take(message.header.frame_id, (point.x, point.y, point.z), _UPRIGHT)

    def on_pose(self, message: PoseStamped) -> None:
        """Take a target that is a pose."""
        self._take(message.header.frame_id, *_numbers(message))

    def _take(self, frame: str, point: tuple[float, ...], quaternion: tuple[float, ...]) -> None:
        self.newest = self.brought(frame, point, quaternion)
        self._named = frame, point, quaternion

    def of(self, message: PoseStamped) -> Poses:
        """Return the target of a goal; errors are those of ``brought``."""
        return self.brought(message.header.frame_id, *_numbers(message))

    def look_again(self) -> None:
        """Bring the newest target anew from its frame, which may have moved.

        Raises:
            InvalidValueError: of ``brought``; the target stays where it was.
        """
        if self._named is not None:
            self.newest = self.brought(*self._named)

    def brought(self, frame: str, point: tuple[float, ...], quaternion: tuple[float, ...]) -> Poses:
        """Return a target in the frame of the workspace.

        Args:
            frame: its own; empty: that of the settings.
            point: x, y, z [m].
            quaternion: x, y, z, w.

        Raises:
            InvalidValueError: its frame is not known, its quaternion none, or its point outside.
        """
        box, values = self._robot.description.workspace, np.array(point)
        try:
            rotation = matrices_of(np.array([quaternion]))
        except ShapeError as error:
            raise InvalidValueError(f'a target is refused: {error}') from None
        if np.isfinite(values).all():
            pose = self._from(frame.lstrip('/') or self._settings.frame)
            values, rotation = pose.of(values), pose.rotation @ rotation
        if not ((values >= box.low_m) & (values <= box.high_m)).all():
            raise InvalidValueError(
                f'target {values.round(4).tolist()} m in the frame of the workspace, expected '
                f'within {box.low_m} to {box.high_m} m'
            )
        return Poses(values[None], rotation)

    def _from(self, frame: str) -> Pose:
        """Return the pose that brings points of a frame into the workspace's."""
        try:
            return self._robot.from_frame(frame)
        except ConfigError as error:
            if self._tree is None:
                raise InvalidValueError(
                    f'a target is refused: {error}; transform it before'
                ) from None
            unknown = str(error)
        try:
            return self._tree.find(time.monotonic(), frame, self._own)
        except InvalidValueError as error:
            raise InvalidValueError(f'a target is refused: {unknown}; {error}') from None

    def _own(self, frame: str) -> Pose | None:
        try:
            return self._robot.from_frame(frame)
        except ConfigError:
            return None


def _numbers(message: PoseStamped) -> tuple[tuple[float, ...], tuple[float, ...]]:
    point, turn = message.pose.position, message.pose.orientation
    return (point.x, point.y, point.z), (turn.x, turn.y, turn.z, turn.w)
