"""What the safety node tells people of limits: what they keep the arm from, and how near it is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mujoco')

from nrl_ros.nodes import safety_status
from nrl_ros.nodes.safety_status import SafetyPublishers, SafetyReports
from nrl_ros.robots.safety.braking import Limited
from nrl_ros.robots.safety.records import Mode, StopReason, SupervisorOutput
from tests.unit.test_arm_obstacles import BALL, planar

pytestmark = pytest.mark.ros


class Told(list[Any]):
    """Keeps what is published or logged."""

    publish = info = list.append


class Node:
    """A safety node without ROS."""

    def __init__(self) -> None:
        self.log, self.counters = Told(), dict[str, int]()
        self.settings = SimpleNamespace(dry_run=False, speed_share=1.0)

    def get_logger(self) -> Told:
        return self.log

    def get_fully_qualified_name(self) -> str:
        return '/safety'

    def now_ns(self) -> int:
        return 0


def output(limited: int, position: np.ndarray) -> SupervisorOutput:
    return SupervisorOutput(
        Mode.FOLLOWING, StopReason(0), '', position, position * 0.0, limited, True, 1, 0.0, 0.0
    )


def test_a_limited_motion_names_link_obstacle_and_distance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    nearest = safety_status.nearest_limit
    monkeypatch.setattr(
        safety_status, 'nearest_limit', lambda *given: asked.append(1) or nearest(*given)
    )
    node, diagnostics = Node(), Told()
    commands = SimpleNamespace(session=1, sequence=1, wanted=np.zeros(2))
    supervisor = SimpleNamespace(counters={})
    reports = SafetyReports(
        cast(Any, node),
        SafetyPublishers(Told(), Told(), diagnostics),
        planar(tmp_path, BALL),
        cast(Any, supervisor),
        cast(Any, commands),
        standstill_s=0.1,
    )

    def said(now: float, limited: int, position: list[float]) -> str:
        place = np.array(position)
        reports.tell(now, output(limited, place), place, leaving=False)
        reports.publish_status()
        values = {value.key: value.value for value in diagnostics[-1].status[0].values}
        return str(values['limited by'])

    said(0.0, 0, [0.24, 0.0])
    node.log.clear()
    # A limit of speed needs no word, and costs none.
    assert said(0.1, int(Limited.VELOCITY), [0.24, 0.0]) == ''
    assert not asked and not node.log
    near = 'link2 is 0.024 m from ball (0.02 m are kept)'
    assert said(0.2, int(Limited.WORKSPACE), [0.24, 0.0]) == near
    assert node.log == [f'the motion is limited: {near}']
    # Another distance is no news in the log, and what is over is not repeated.
    assert said(0.3, int(Limited.WORKSPACE), [0.23, 0.0]) != near
    assert said(0.4, 0, [0.23, 0.0]) == ''
    assert len(node.log) == 1 and len(asked) == 2
