#!/usr/bin/env python3
"""Send an arm to three poses in a row, by what it has learned.

    nrl demo --out runs/demo                              # or any other run of an arm
    nrl arm --load runs/demo --serve --domain-id 7
    ROS_DOMAIN_ID=7 python examples/three_poses.py        # in a second terminal

With --points for a policy that was trained to reach points, as by `nrl train ur5e`: it takes no
orientations. This is a node of its own, which knows nothing of the learner: any node can use the
arm so.
"""

from __future__ import annotations

import sys
from typing import Any

import rclpy
from geometry_msgs.msg import Quaternion
from rclpy.action import ActionClient
from rclpy.node import Node

from nrl_ros.action import Reach

# x, y, z in the frame of the workspace [m].
PLACES = ((0.45, 0.2, 0.3), (0.45, -0.2, 0.3), (0.45, 0.0, 0.4))
# The tool of a UR5e points down, as at home.
DOWN = Quaternion(x=0.7071, y=-0.7071, z=0.0, w=0.0)


def reach(node: Node, client: Any, place: tuple[float, float, float], *, turned: bool) -> Any:
    """Send one goal and wait for its result."""
    goal = Reach.Goal(time_limit_s=10.0, use_orientation=turned)
    pose = goal.target.pose
    pose.position.x, pose.position.y, pose.position.z = place
    pose.orientation = DOWN if turned else Quaternion()
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
    for place in PLACES:
        result = reach(node, client, place, turned='--points' not in sys.argv)
        print(f'{place}: {result.reason}, after {result.duration_s:.1f} s')
        failed += result.outcome != Reach.Result.OUTCOME_REACHED
    rclpy.shutdown()
    return int(failed > 0)


if __name__ == '__main__':
    raise SystemExit(main())
