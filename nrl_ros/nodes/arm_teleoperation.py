"""Topics by which a person moves a real arm in place of the learner."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from geometry_msgs.msg import Twist
from numpy.typing import NDArray
from std_msgs.msg import Float64MultiArray

from nrl_ros.base.records import Float64
from nrl_ros.environments.intervention import Driver, Intervention
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.teleoperation import Teleoperation, Wanted
from nrl_ros.ros import names, qos


class ArmTeleoperation:
    """Hears joint velocities and twists of a person on the node of an arm's environment.

    Args:
        node: of the environment.
        robot: the arm.

    Attributes:
        drives: True while a person drives, as of the newest call of ``look``.
    """

    def __init__(self, node: Any, robot: Robot) -> None:
        self._node = node
        self._intervention: Intervention[Wanted] = Intervention(node.settings.intervention)
        self._teleoperation = Teleoperation(robot)
        self._still = np.zeros(len(robot.joints))
        self.drives = self._drove = False
        topic = f'{names.INTERVENTION}/{node.settings.agent}'
        node.subscription(Float64MultiArray, topic, qos.sensor(), self._on_velocity)
        node.subscription(Twist, f'{topic}/twist', qos.sensor(), self._on_twist)

    def _on_velocity(self, message: Float64MultiArray) -> None:
        wanted = self._teleoperation.of_joints(np.array(message.data))
        self._intervention.hear(wanted, time.monotonic())

    def _on_twist(self, message: Twist) -> None:
        parts = message.linear, message.angular
        numbers = np.array([getattr(part, axis) for part in parts for axis in 'xyz'])
        self._intervention.hear(self._teleoperation.of_twist(numbers), time.monotonic())

    def look(
        self, position: NDArray[Any], *, running: bool, by_hand: bool = False
    ) -> Float64 | None:
        """Decide who drives in the period that begins; return a person's velocities [J], or None.

        They are zero while a person who has taken over is silent, or moves the arm by hand.

        Args:
            position: of all joints [J].
            running: an episode runs; between episodes nobody takes over.
            by_hand: a person moves the arm by hand.
        """
        if by_hand and running:
            self.drives = True
            return self._still
        driver, wanted = self._intervention.driver(time.monotonic()), self._intervention.action
        self.drives = running and driver is not Driver.LEARNER
        if not self.drives or wanted is None:
            return None
        if driver is Driver.NOBODY:
            return self._still
        return self._teleoperation.velocity(wanted, position)

    def drove(self) -> bool:
        """Return True if a person drove in the period that ends; the next one begins."""
        drove, self._drove = self._drove, self.drives
        self._node.counters['intervened_steps'] += drove
        return drove
