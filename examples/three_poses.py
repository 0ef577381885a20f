#!/usr/bin/env python3
"""Send an arm to three poses in a row, by what it has learned.

    nrl train ur5e --out runs/ur5e                        # or any other run of an arm
    nrl arm --load runs/ur5e --serve --domain-id 7
    ROS_DOMAIN_ID=7 python examples/three_poses.py        # in a second terminal

This is a node of its own, which knows nothing of the learner: any node can use the arm so.
"""

from __future__ import annotations

from typing import Any

import rclpy
from rclpy.action import ActionClient
from rclpy.node import Node

from nrl_ros.action import Reach

# x, y, z in the frame of the workspace [m].
POSES = ((0.45, 0.2, 0.3), (0.45, -0.2, 0.3), (0.35, 0.0, 0.5))


def reach(node: Node, client: Any, pose: tuple[float, float, float]) -> Any:
    """Send one goal and wait for its result."""
    goal = Reach.Goal(time_limit_s=10.0)
    place = goal.target.pose.position
    place.x, place.y, place.z = pose
    sent = client.send_goal_async(goal)
    rclpy.spin_until_future_complete(node, sent)
    ending = sent.result().get_result_async()
    rclpy.spin_until_future_complete(node, ending)
    return ending.result().result


def main() -> int:
    """Send the goals, one after the other; return 1 where one is not reached."""
    rclpy.init()
    node = rclpy.create_node('three_poses')
    client: Any = ActionClient(node, Reach, 'reach')
    if not client.wait_for_server(timeout_sec=10.0):
        print('no arm serves the action reach: start one, and name its ROS_DOMAIN_ID')
        return 1
    failed = 0
    for pose in POSES:
        result = reach(node, client, pose)
        print(f'{pose}: {result.reason}, after {result.duration_s:.1f} s')
        failed += result.outcome != Reach.Result.OUTCOME_REACHED
    rclpy.shutdown()
    return int(failed > 0)


if __name__ == '__main__':
    raise SystemExit(main())
