"""Which arm a report is of, where several learners have arms of the same names."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy')

from nrl_ros.cli.arms_watch import Arm, arm_of, found_in


def arm(namespace: str, agent: str) -> Arm:
    made = Arm(namespace)
    made.agent = agent
    return made


def test_an_arm_is_found_by_its_name_below_the_namespace_of_its_learner() -> None:
    arms = [arm('/ur5e/arm_0', 'arm_0'), arm('/fr3/arm_0', 'arm_0'), arm('/ur5e_2', 'arm_0')]
    assert arm_of(arms, '/fr3/episodes', 'arm_0') is arms[1]
    assert arm_of(arms, '/ur5e/episodes', 'arm_0') is arms[0]
    assert arm_of(arms, '/ur5e_2/episodes', 'arm_0') is arms[2]
    assert arm_of(arms, '/ur5e/episodes', 'arm_1') is None
    # A learner without a namespace has all arms below it.
    assert arm_of(arms, '/episodes', 'arm_0') is arms[0]


def test_arms_are_where_a_safety_node_reports() -> None:
    topics = [
        ('/ur5e/arm_0/safety_status', ['nrl_ros/msg/SafetyStatus']),
        ('/safety_status', ['nrl_ros/msg/SafetyStatus']),
        ('/other/safety_status', ['std_msgs/msg/String']),
        ('/ur5e/episodes', ['nrl_ros/msg/EpisodeReport']),
    ]
    found = found_in(topics)
    assert found.arms == {'/ur5e/arm_0', ''} and found.episodes == {'/ur5e/episodes'}
