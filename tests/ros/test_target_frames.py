"""Targets of a live arm come in frames that its model knows, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mujoco')

from geometry_msgs.msg import PointStamped, PoseStamped
from rclpy.serialization import deserialize_message, serialize_message

from nrl_ros.base.errors import ConfigError, InvalidValueError
from nrl_ros.nodes.ros2_control_arm import ArmEnvironment
from nrl_ros.robots.arm.rotations import matrices_of_vectors
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.ros import transforms
from tests.unit.test_arm_descriptions import RAISED, UNWATCHED, described

pytestmark = pytest.mark.ros


def environment(folder: Path, **target: Any) -> ArmEnvironment:
    robot = described(folder, RAISED, UNWATCHED)
    aimed = {'source': 'topic', **target}
    return ArmEnvironment(1, ReachSettings.model_validate({'robot': robot, 'target': aimed}))


def at(frame: str, x: float, y: float, z: float) -> PointStamped:
    message = PointStamped()
    message.header.frame_id = frame
    message.point.x, message.point.y, message.point.z = x, y, z
    return message


@pytest.mark.parametrize(
    ('given', 'frame', 'wanted'),
    [
        ('', 'world', [0.3, 0.1, 0.7]),
        ('', '', [0.3, 0.1, 0.7]),
        ('', '/base_link', [-0.1, 0.3, 1.4]),
        ('base_link', '', [-0.1, 0.3, 1.4]),
        ('base_link', 'world', [0.3, 0.1, 0.7]),
    ],
)
def test_a_target_is_brought_into_the_frame_of_the_workspace(
    tmp_path: Path, given: str, frame: str, wanted: list[float]
) -> None:
    """The base stands 0.7 m above the world, and looks along its y axis."""
    arm = environment(tmp_path, frame=given)
    arm.targets.on_point(at(frame, 0.3, 0.1, 0.7))
    assert arm.targets.newest is not None
    np.testing.assert_allclose(arm.targets.newest.point, [wanted], atol=1e-12)


@pytest.mark.parametrize(
    ('message', 'said'),
    [
        (at('camera', 0.3, 0.1, 0.9), "frame 'camera' is not in the model, expected .*base_link"),
        (at('tool0', 0.0, 0.0, 0.0), "frame 'tool0' moves with the joints"),
        (at('base_link', 0.3, 0.1, 1.2), 'in the frame of the workspace, expected within'),
    ],
)
def test_a_target_in_no_such_frame_or_outside_is_refused(
    tmp_path: Path, message: PointStamped, said: str
) -> None:
    arm = environment(tmp_path)
    with pytest.raises(InvalidValueError, match=said):
        arm.targets.on_point(message)
    assert arm.targets.newest is None


def pose_at(frame: str, *quaternion: float) -> PoseStamped:
    message = PoseStamped()
    message.header.frame_id = frame
    place, turn = message.pose.position, message.pose.orientation
    place.x, place.y, place.z = 0.3, 0.1, 0.7
    turn.x, turn.y, turn.z, turn.w = quaternion
    return message


def test_a_pose_is_brought_into_the_frame_of_the_workspace(tmp_path: Path) -> None:
    arm = environment(tmp_path, orientation={'axes': ['x', 'y', 'z']})
    arm.targets.on_pose(pose_at('base_link', 0.0, 0.0, 0.0, 1.0))
    assert arm.targets.newest is not None
    np.testing.assert_allclose(arm.targets.newest.point, [[-0.1, 0.3, 1.4]], atol=1e-12)
    # The base's x is the world's y.
    quarter = [[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]]
    np.testing.assert_allclose(arm.targets.newest.rotation, quarter, atol=1e-12)


def test_a_pose_without_an_orientation_is_refused(tmp_path: Path) -> None:
    arm = environment(tmp_path, orientation={'axes': ['x', 'y', 'z']})
    with pytest.raises(InvalidValueError, match='has length 0, expected 1'):
        arm.targets.on_pose(pose_at('world', 0.0, 0.0, 0.0, 0.0))
    assert arm.targets.newest is None


def test_a_frame_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="frame 'bse_link' is not in the model"):
        environment(tmp_path, frame='bse_link')


class Said:
    """A message of tf2_msgs/TFMessage, which is not among the wheels."""

    def __init__(self, *transforms: Any) -> None:
        self.transforms = transforms


class Listening:
    """A node that notes what it would hear."""

    def __init__(self) -> None:
        self.heard: dict[str, Any] = {}

    def subscription(self, kind: Any, topic: str, _qos: Any, callback: Any, **_how: Any) -> None:
        self.heard[topic] = callback


def test_a_frame_of_tf_is_brought_into_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The camera hangs 1 m above the base and looks down, by two transforms."""
    monkeypatch.setattr(transforms, 'TFMessage', Said)
    node, targets = Listening(), environment(tmp_path).targets
    targets.on_configure(node, by_topic=True)
    turn = matrices_of_vectors(np.array([[np.pi, 0.0, 0.0]]))[0]
    mast = transforms.transform_of('/base_link', 'mast', np.array([0.0, 0.0, 0.6]), np.eye(3))
    lens = transforms.transform_of('mast', 'camera', np.array([0.0, 0.0, 0.4]), turn)
    with pytest.raises(InvalidValueError, match=r"'camera' is not in the model.*tf does not know"):
        targets.on_point(at('camera', 0.1, 0.2, 0.5))
    node.heard['/tf_static'](Said(mast))
    node.heard['/tf'](Said(lens))
    targets.on_point(at('camera', 0.1, 0.2, 0.5))
    base = environment(tmp_path).targets
    base.on_point(at('base_link', 0.1, -0.2, 0.5))
    assert targets.newest is not None and base.newest is not None
    np.testing.assert_allclose(targets.newest.point, base.newest.point, atol=1e-12)
    # The camera moves, and what it has named moves with it.
    lens.transform.translation.x += 0.1
    node.heard['/tf'](Said(lens))
    targets.look_again()
    base.on_point(at('base_link', 0.2, -0.2, 0.5))
    np.testing.assert_allclose(targets.newest.point, base.newest.point, atol=1e-12)
    # One transform that makes no sense does not take another one away.
    broken = transforms.transform_of('a', 'b', np.full(3, np.nan), np.eye(3))
    other = transforms.transform_of('base_link', 'table', np.zeros(3), np.eye(3))
    with pytest.raises(InvalidValueError, match='is not finite'):
        node.heard['/tf_static'](Said(broken, other))
    targets.on_point(at('table', 0.2, -0.2, 0.5))


def test_the_messages_of_tf_themselves_are_taken(tmp_path: Path) -> None:
    """Where they are installed: from the frame of a camera on a mast, through their wire form."""
    kind = pytest.importorskip('tf2_msgs.msg').TFMessage
    node, targets = Listening(), environment(tmp_path).targets
    targets.on_configure(node, by_topic=True)
    turn = matrices_of_vectors(np.array([[0.0, 0.0, np.pi / 2.0]]))[0]
    mast = transforms.transform_of('base_link', 'mast', np.array([0.0, 0.0, 0.6]), turn)
    lens = transforms.transform_of('mast', 'camera', np.array([0.0, 0.1, 0.0]), np.eye(3))
    for topic, one in (('/tf_static', mast), ('/tf', lens)):
        wire = serialize_message(kind(transforms=[one]))
        node.heard[topic](deserialize_message(wire, kind))
    targets.on_point(at('camera', 0.2, 0.1, 0.1))
    base = environment(tmp_path).targets
    base.on_point(at('base_link', -0.2, 0.2, 0.7))
    assert targets.newest is not None and base.newest is not None
    np.testing.assert_allclose(targets.newest.point, base.newest.point, atol=1e-12)


def test_without_tf_only_the_frames_of_the_model_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Listening()
    monkeypatch.setattr(transforms, 'TFMessage', None)
    environment(tmp_path).targets.on_configure(node, by_topic=False)
    monkeypatch.setattr(transforms, 'TFMessage', Said)
    environment(tmp_path, tf=False).targets.on_configure(node, by_topic=False)
    assert not node.heard
