"""What tf says, for a node that brings targets into the frame of its arm.

tf2_msgs is not among the wheels. Without it only the model's own frames are known.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from nrl_ros.base.errors import InvalidValueError, NrlError
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.chain_parts import Pose
from nrl_ros.robots.arm.rotations import matrices_of, quaternions_of
from nrl_ros.robots.arm.transforms import TransformTree

try:
    from tf2_msgs.msg import TFMessage
except ImportError:
    TFMessage = None

TF, TF_STATIC = '/tf', '/tf_static'
# Of tf2_ros: a robot may publish each joint by itself.
_DEPTH = 100


def listen(node: Any, tree: TransformTree) -> bool:
    """Keep what tf says in a tree, for as long as a node is configured; False without tf2_msgs."""
    if TFMessage is None:
        return False
    for topic, static in ((TF, False), (TF_STATIC, True)):
        profile = QoSProfile(
            depth=_DEPTH,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if static else DurabilityPolicy.VOLATILE,
        )
        take_it = partial(take, tree, static=static)
        node.subscription(TFMessage, topic, profile, take_it, inactive=True)
    return True


def take(tree: TransformTree, message: Any, *, static: bool) -> None:
    """Take all transforms of a message that make sense.

    Raises:
        InvalidValueError: one of them does not; the others were taken.
    """
    wrong: NrlError | None = None
    for one in message.transforms:
        move, turn = one.transform.translation, one.transform.rotation
        try:
            (rotation,) = matrices_of(np.array([[turn.x, turn.y, turn.z, turn.w]]))
            pose = Pose(rotation, np.array([move.x, move.y, move.z]))
            tree.hear(
                time.monotonic(), one.header.frame_id, one.child_frame_id, pose, static=static
            )
        except NrlError as error:
            wrong = wrong or error
    if wrong is not None:
        raise InvalidValueError(str(wrong))


def broadcaster(node: Any) -> Any:
    """Return a publisher of tf for as long as a node is configured; None without tf2_msgs."""
    if TFMessage is None:
        return None
    return node.publisher(TFMessage, TF, QoSProfile(depth=_DEPTH))


def broadcast(
    publisher: Any, parent: str, frames: Iterable[tuple[str, Float64, Float64]], stamp: Any
) -> None:
    """Publish frames: the name, origin [3, m] and axes [3, 3] of each in their parent.

    Args:
        publisher: of ``broadcaster``.
        parent: frame of all of them.
        frames: to be published.
        stamp: ``builtin_interfaces/Time`` of them.
    """
    made = [transform_of(parent, *frame) for frame in frames]
    for one in made:
        one.header.stamp = stamp
    publisher.publish(TFMessage(transforms=made))


def transform_of(parent: str, child: str, point: Float64, rotation: Float64) -> TransformStamped:
    """Return the transform of a frame, without a stamp.

    Args:
        parent: frame of the others.
        child: name of the frame.
        point: its origin in the parent [3, m].
        rotation: its axes as columns [3, 3].
    """
    made = TransformStamped(child_frame_id=child)
    made.header.frame_id = parent
    move, turn = made.transform.translation, made.transform.rotation
    move.x, move.y, move.z = map(float, point)
    turn.x, turn.y, turn.z, turn.w = map(float, quaternions_of(rotation[None])[0])
    return made
