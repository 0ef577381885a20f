"""Targets of a live arm come in frames that its model knows, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mujoco')

from geometry_msgs.msg import PointStamped, PoseStamped

from nrl_ros.base.errors import ConfigError, InvalidValueError
from nrl_ros.nodes.ros2_control_arm import ArmEnvironment
from nrl_ros.robots.arm.settings import ReachSettings
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
    arm._on_point(at(frame, 0.3, 0.1, 0.7))
    assert arm._target is not None
    np.testing.assert_allclose(arm._target.point, [wanted], atol=1e-12)


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
        arm._on_point(message)
    assert arm._target is None


def pose_at(frame: str, *quaternion: float) -> PoseStamped:
    message = PoseStamped()
    message.header.frame_id = frame
    place, turn = message.pose.position, message.pose.orientation
    place.x, place.y, place.z = 0.3, 0.1, 0.7
    turn.x, turn.y, turn.z, turn.w = quaternion
    return message


def test_a_pose_is_brought_into_the_frame_of_the_workspace(tmp_path: Path) -> None:
    arm = environment(tmp_path, orientation={'axes': ['x', 'y', 'z']})
    arm._on_pose(pose_at('base_link', 0.0, 0.0, 0.0, 1.0))
    assert arm._target is not None
    np.testing.assert_allclose(arm._target.point, [[-0.1, 0.3, 1.4]], atol=1e-12)
    # The base's x is the world's y.
    quarter = [[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]]
    np.testing.assert_allclose(arm._target.rotation, quarter, atol=1e-12)


def test_a_pose_without_an_orientation_is_refused(tmp_path: Path) -> None:
    arm = environment(tmp_path, orientation={'axes': ['x', 'y', 'z']})
    with pytest.raises(InvalidValueError, match='has length 0, expected 1'):
        arm._on_pose(pose_at('world', 0.0, 0.0, 0.0, 0.0))
    assert arm._target is None


def test_a_frame_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="frame 'bse_link' is not in the model"):
        environment(tmp_path, frame='bse_link')
