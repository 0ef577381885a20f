"""Stands by while an arm runs, and commands it to stand if its safety node dies or hangs.

``nrl arm`` knows when the process of its safety node has ended (``begin``); the watchdog of a
composed arm sees that it is silent (``listen``, ``take_over``).
"""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from nrl_ros.robots.arm.description import FROM_TOPIC, read_robot
from nrl_ros.robots.arm.robot import Robot, make_robot
from nrl_ros.robots.arm.supervision import supervisor_settings
from nrl_ros.robots.safety.sources import NumberedSources, OneSource
from nrl_ros.robots.safety.takeover import LastWord, Takeover, unknown
from nrl_ros.ros import names, qos
from nrl_ros.ros.executor import take
from nrl_ros.ros.hearing import Refusals, Sender, Topic, hear, hear_any
from nrl_ros.ros.interfaces import SafetyState
from nrl_ros.ros.joints import JointReader, command_form
from nrl_ros.ros.wire import NANOSECONDS, nanoseconds

# A safety node publishes in each period; one that is silent for so many periods is not there.
_SILENT_PERIODS = 3.0
# How long there is nothing to do if nothing is commanded [s].
_IDLE_S = 0.05


class Standby:
    """Commands an arm to stand while its safety node is dead and no other one commands it.

    While the safety node lives, this class has no publisher of commands, since a second one would
    stop the arm. It reads no messages either: the middleware keeps the newest ones until they are
    needed.

    Args:
        description: of the robot, as its nodes have it.
        speed_share: share of the described speeds [1].
        namespace: of the nodes; None: none.
    """

    def __init__(self, description: str, speed_share: float, namespace: str | None) -> None:
        # Nobody spins this node; messages are taken when they are needed.
        self._node = Node(
            'arm_standby',
            namespace=namespace,
            use_global_arguments=False,
            start_parameter_services=False,
        )
        self._described, self._share = read_robot(description), speed_share
        self._robot: Robot | None = None
        self._last: LastWord | None = None
        self._heard_at = math.inf
        self._takeover: Takeover | None = None
        self._publisher: Any = None
        self._due = 0.0
        control, refusals = self._described.control, Refusals(self._node, Counter())
        self._models: list[Any] = []
        if self._described.model == FROM_TOPIC:
            topic = control.description_topic
            self._models = hear_any(self._node, String, topic, self._on_model, refusals)
        else:
            self._take(make_robot(self._described, share=speed_share))
        self._words = hear(
            self._node,
            Topic(SafetyState, names.SAFETY_STATE, qos.sensor()),
            self._on_safety,
            refusals,
        )
        self._states = hear(
            self._node,
            Topic(JointState, control.state_topic, qos.sensor()),
            self._on_joints,
            refusals,
            with_sender=True,
        )

    def prepare(self) -> None:
        """Take a model that comes on a topic; call it from time to time."""
        for subscription in self._models:
            while self._robot is None and take(subscription):
                pass

    def begin(self) -> str:
        """Command the arm to stand, since its safety node has ended.

        Returns:
            Why nothing is commanded, '' if something is: call ``look`` from then on.
        """
        self.prepare()
        robot = self._robot
        if robot is None:
            return self._without_model()
        # The last messages of the safety node may still be on their way.
        time.sleep(robot.period_s)
        self._hear(self._words)
        if why := unknown(self._last, robot.joints):
            return why
        self._last = None
        time.sleep(_SILENT_PERIODS * robot.period_s)
        self._hear(self._words)
        if self._last is not None:
            # Another safety node would stop the arm if this second publisher of commands existed.
            return 'another safety node is there'
        return self._command(robot)

    def listen(self) -> tuple[LastWord | None, float]:
        """Return what the safety node said last, and for how long it has been silent [s]."""
        self.prepare()
        self._hear(self._words)
        return self._last, time.monotonic() - self._heard_at

    def take_over(self) -> str:
        """Command the arm to stand, since its safety node is silent; otherwise as ``begin``."""
        robot = self._robot
        if robot is None:
            return self._without_model()
        if why := unknown(self._last, robot.joints):
            return why
        self._last = None
        return self._command(robot)

    @property
    def commands(self) -> bool:
        """True while the arm is commanded to stand."""
        return self._takeover is not None

    def _without_model(self) -> str:
        return f'no model has come on {self._described.control.description_topic}'

    def _command(self, robot: Robot) -> str:
        settings = supervisor_settings(robot)
        self._takeover = Takeover(settings, robot.limits, robot.hard, robot.period_s)
        self._takeover.begin(time.monotonic())
        topic = robot.description.control.command_topic
        try:
            self._publisher = self._node.create_publisher(self._form.kind, topic, qos.step())
        except Exception as error:  # noqa: BLE001 - such as a policy that forbids it
            self.close()
            return f'{topic} cannot be published on: {error}'
        self.look()
        return ''

    def look(self) -> float:
        """Command the next period if it is due; return how long there is nothing to do [s]."""
        takeover, robot = self._takeover, self._robot
        if takeover is None or robot is None:
            return _IDLE_S
        self._hear(self._states)
        self._hear(self._words)
        now = time.monotonic()
        if now >= self._due:
            self._due = now + robot.period_s
            message = self._form.message(takeover.tick(now))
            if message is not None:
                self._publisher.publish(message)
        if takeover.is_at_rest or (self._last is not None and self._last.commanded):
            self.close()
            return _IDLE_S
        return max(self._due - time.monotonic(), 0.0)

    def close(self) -> None:
        """Stop commanding."""
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
        self._publisher = self._takeover = None

    def destroy(self) -> None:
        """Stop commanding and listening."""
        self.close()
        self._node.destroy_node()

    def _hear(self, subscription: Any) -> None:
        while take(subscription):
            pass

    def _on_model(self, message: String) -> None:
        if self._robot is None:
            self._take(make_robot(self._described, xml=message.data, share=self._share))

    def _take(self, robot: Robot) -> None:
        self._robot, self._form = robot, command_form(robot)
        self._reader = JointReader(robot.joints, robot.continuous)
        self._one = OneSource(robot.description.watchdog.state_timeout_s)
        self._numbered = NumberedSources()

    def _on_safety(self, message: SafetyState) -> None:
        self._heard_at = time.monotonic()
        self._last = LastWord(
            tuple(message.joint),
            bool(message.velocity),
            message.dry_run,
            message.mode == SafetyState.MODE_STOPPED,
        )

    def _on_joints(self, message: JointState, sender: Sender) -> None:
        takeover, now = self._takeover, time.monotonic()
        if takeover is None or not self._reader.concerns(message):
            return
        if not self._one.take(now, self._numbered.source_of(sender.gid, sender.number)):
            return
        now_ns = self._node.get_clock().now().nanoseconds
        stamp = nanoseconds(message.header.stamp) or now_ns
        position, velocity = self._reader.read(message, takeover.measured)
        takeover.on_state(now, position, velocity, (now_ns - stamp) / NANOSECONDS)
