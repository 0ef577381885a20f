"""What RViz is shown of an arm: where tool and target really are, and only while somebody looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mujoco')
pytest.importorskip('visualization_msgs')

from builtin_interfaces.msg import Time

from nrl_ros.nodes.arm_view import ArmView
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.rotations import matrices_of, matrices_of_vectors
from nrl_ros.robots.arm.targets import Poses
from nrl_ros.ros import names, transforms
from tests.unit.test_arm_descriptions import RAISED, UNWATCHED, described

pytestmark = pytest.mark.ros


class Said:
    """A message of tf2_msgs/TFMessage, which is not among the wheels."""

    def __init__(self, transforms: Any = ()) -> None:
        self.transforms = list(transforms)


class Node:
    """Keeps what is published, by the type of the message."""

    def __init__(self) -> None:
        self.said: dict[str, list[Any]] = {}
        self.lookers, self.now = 0, 0

    def publisher(self, kind: Any, _topic: str, _qos: Any) -> Any:
        said, node = self.said.setdefault(kind.__name__, []), self

        class Publisher:
            def publish(self, message: Any) -> None:
                said.append(message)

            def get_subscription_count(self) -> int:
                return node.lookers

        return Publisher()

    def now_ns(self) -> int:
        return self.now


def place(marker: Any) -> list[float]:
    position = marker.pose.position
    return [position.x, position.y, position.z]


def test_tool_and_target_are_shown_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base stands 0.7 m above the world and is turned; targets are in the world's frame."""
    monkeypatch.setattr(transforms, 'TFMessage', Said)
    robot, node = load_robot(described(tmp_path, RAISED, UNWATCHED)), Node()
    view = ArmView(node, robot, 0.02)
    turn = matrices_of_vectors(np.array([[0.3, 0.2, 0.1]]))
    target = Poses(np.array([[0.3, 0.1, 0.9]]), turn)
    node.lookers = 1
    view.show(robot.home, target)
    (shown,), (frames,) = node.said['MarkerArray'], node.said['Said']
    found = {marker.ns: marker for marker in shown.markers}
    assert {'tool', 'target'} < found.keys()
    assert len({marker.id for marker in shown.markers}) == len(shown.markers)
    assert found['target'].scale.x == pytest.approx(0.04)
    assert {marker.header.frame_id for marker in shown.markers} == {'world'}
    tool = robot.from_frame('').rotation.T @ (
        robot.chain.tool(robot.home[None])[0] - robot.from_frame('').translation
    )
    np.testing.assert_allclose(place(found['tool']), tool, atol=1e-9)
    # Another way round: a target that is heard in the frame that is shown is the same one.
    back = robot.from_frame('world').of(np.array(place(found['target'])))
    np.testing.assert_allclose(back, target.point[0], atol=1e-9)
    named = [one.child_frame_id for one in frames.transforms]
    assert named == [names.TOOL_FRAME, names.TARGET_FRAME]
    assert {one.header.frame_id for one in frames.transforms} == {'world'}
    moved = frames.transforms[1].transform.translation
    np.testing.assert_allclose([moved.x, moved.y, moved.z], place(found['target']), atol=1e-9)
    # Ten times a second at most, and no target where there is none.
    node.now += 50_000_000
    view.show(robot.home, target)
    assert len(node.said['MarkerArray']) == 1
    node.now += 60_000_000
    view.show(robot.home, None)
    assert 'target' not in {marker.ns for marker in node.said['MarkerArray'][1].markers}
    assert [one.child_frame_id for one in node.said['Said'][1].transforms] == [names.TOOL_FRAME]


def test_nothing_is_made_while_nobody_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transforms, 'TFMessage', None)
    robot, node = load_robot(described(tmp_path, RAISED, UNWATCHED)), Node()
    ArmView(node, robot, 0.02).show(robot.home, None)
    (aim,) = node.said.pop('PointStamped')
    assert node.said == {'MarkerArray': []}
    # That there is no target is said once, for whoever comes later.
    assert np.isnan([aim.point.x, aim.point.y, aim.point.z]).all()


def test_the_target_is_told_whenever_it_changes_in_the_frame_that_it_is_given_in(
    tmp_path: Path,
) -> None:
    robot, node = load_robot(described(tmp_path, RAISED, UNWATCHED)), Node()
    view = ArmView(node, robot, 0.02)
    turn, told = np.eye(3)[None], node.said['PointStamped']
    for point in ([0.3, 0.1, 0.9], [0.3, 0.1, 0.9], [0.3, 0.2, 0.9]):
        view.show(robot.home, Poses(np.array([point]), turn))
        node.now += 100_000_000
    assert [[one.point.x, one.point.y, one.point.z] for one in told] == [
        [0.3, 0.1, 0.9],
        [0.3, 0.2, 0.9],
    ]
    assert {one.header.frame_id for one in told} == {'world'}
    # A target that moves is told ten times a second at most.
    node.now -= 50_000_000
    view.show(robot.home, None)
    assert len(told) == 2


def test_a_link_of_a_mesh_is_shown_as_the_capsule_about_it(tmp_path: Path) -> None:
    """Most vendors' links are meshes: an arm of them was a tool and a target alone."""
    from tests.unit.test_arm_shapes import CUBE, two_hulls

    model = two_hulls(tmp_path, CUBE * [0.1, 0.1, 0.9], CUBE * [0.8, 0.1, 0.1] + [0.4, 0.0, 0.0])
    from nrl_ros.ros.arm_markers import ArmMarkers

    position = np.array([0.5, 0.2, 0.3, 0.0, 0.0])
    shown = ArmMarkers(model, 'world').message(position, np.zeros(3), Time()).markers
    assert len(shown) == 2 * 3 + 1
    second = shown[3]
    np.testing.assert_allclose(place(second), [0.9, 0.2, 0.3], atol=0.01)
    assert second.scale.x == pytest.approx(0.2 * np.sqrt(0.5), rel=0.05)
    assert 0.6 < second.scale.z <= 0.8 + 1e-6
    turn = second.pose.orientation
    (rotation,) = matrices_of(np.array([[turn.x, turn.y, turn.z, turn.w]]))
    # Along x, as the mesh is.
    assert abs(rotation[0, 2]) > 0.99
    balls = np.array([place(ball) for ball in shown[4:6]])
    assert np.ptp(balls, axis=0)[0] == pytest.approx(second.scale.z, abs=1e-6)
