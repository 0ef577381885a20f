"""Where a live arm and its target are: markers for RViz, frames of tf, and its target."""

from __future__ import annotations

import math
from typing import Any

from geometry_msgs.msg import PointStamped
from std_msgs.msg import Header

from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.chain_parts import inverse, root_name
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.targets import Poses
from nrl_ros.ros import names, qos, transforms
from nrl_ros.ros.conversion import time_of
from nrl_ros.ros.wire import NANOSECONDS

_PERIOD_S = 0.1


class ArmView:
    """Publishes markers while somebody looks, the frames of tool and target, and the target.

    Args:
        node: whose topics they are.
        robot: the arm.
        radius_m: of the target's marker.
    """

    def __init__(self, node: Any, robot: Robot, radius_m: float) -> None:
        self._node, self._robot, self._radius_m = node, robot, radius_m
        self._root = root_name(robot.model)
        self._frame = robot.description.workspace.frame or self._root
        # From the frame of the workspace, in which tool and target are given.
        self._to_root = inverse(robot.from_frame(''))
        self._markers: Any = None
        self._shapes: Any = None
        self._frames = transforms.broadcaster(node)
        self._make_markers()
        self._aim = node.publisher(PointStamped, names.AIM, qos.latched())
        self._aimed: tuple[float, ...] | None = ()
        self._due_ns = 0

    def _make_markers(self) -> None:
        try:
            from visualization_msgs.msg import MarkerArray

            from nrl_ros.ros.arm_markers import ArmMarkers
        except ImportError:
            # Not worth a word: who looks at markers has RViz, which brings the messages.
            return
        self._markers = self._node.publisher(MarkerArray, names.MARKERS, qos.step())
        self._shapes = ArmMarkers(self._robot.model, self._root)

    def _show_aim(self, target: Poses | None, now_ns: int) -> None:
        """Publish where the arm moves to, whenever that changes; NaN: nowhere."""
        aimed = None if target is None else tuple(target.point[0].tolist())
        if aimed == self._aimed:
            return
        self._aimed = aimed
        message = PointStamped(header=Header(stamp=time_of(now_ns), frame_id=self._frame))
        message.point.x, message.point.y, message.point.z = aimed or (math.nan,) * 3
        self._aim.publish(message)

    def show(self, position: Float64, target: Poses | None) -> None:
        """Publish where arm and target are, ten times a second at most.

        Args:
            position: of the joints [J].
            target: in the frame of the workspace; None: there is none.
        """
        now_ns = self._node.now_ns()
        if now_ns < self._due_ns:
            return
        self._due_ns = now_ns + int(_PERIOD_S * NANOSECONDS)
        self._show_aim(target, now_ns)
        looked_at = self._markers is not None and self._markers.get_subscription_count() > 0
        if not looked_at and self._frames is None:
            return
        chain, stamp = self._robot.chain, time_of(now_ns)
        tool = self._to_root.of(chain.tool(position[None])[0])
        aim = None if target is None else self._to_root.of(target.point[0])
        if looked_at:
            shown = self._shapes.message(position, tool, stamp)
            if aim is not None:
                self._shapes.add_target(shown, aim, self._radius_m)
            self._markers.publish(shown)
        if self._frames is not None:
            turn = self._to_root.rotation
            frames = [(names.TOOL_FRAME, tool, turn @ chain.orientation(position[None])[0])]
            if target is not None and aim is not None:
                frames.append((names.TARGET_FRAME, aim, turn @ target.rotation[0]))
            transforms.broadcast(self._frames, self._root, frames, stamp)
