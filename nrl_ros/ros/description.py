"""Wait for a robot's model on the topic where its driver publishes it."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.task import Future
from std_msgs.msg import String

from nrl_ros.base.errors import BridgeError, NrlError
from nrl_ros.robots.arm.description import FROM_TOPIC, RobotDescription
from nrl_ros.ros.hearing import Refusals, hear_any
from nrl_ros.ros.rclpy_types import AnyFuture
from nrl_ros.ros.signals import told_to_end

_WAIT_S = 10.0
# How often the wait checks whether the process was told to end [s].
_LOOK_S = 0.2


def model_of(description: RobotDescription, namespace: str | None = None) -> str:
    """Return the model of a description that takes it from a topic; '' if it has a file.

    Args:
        description: of the arm.
        namespace: of the arm's nodes, '' or '/' for the root; None: that of this process.

    Raises:
        BridgeError: nothing came on the topic.
    """
    if description.model != FROM_TOPIC:
        return ''
    topic = description.control.description_topic
    if namespace is not None and not topic.startswith('/'):
        topic = '/'.join(('', *filter(None, (namespace.strip('/'), topic))))
    return wait_for_description(topic)


def wait_for_description(topic: str, timeout_s: float = _WAIT_S) -> str:
    """Return the text that comes on a topic, as drivers and robot_state_publisher send it.

    Args:
        topic: name; a relative one is in the namespace that the process was started in.
        timeout_s: how long to wait [s].

    Raises:
        BridgeError: nothing came.
    """
    text = wait_for(String, topic, lambda message: message.data, timeout_s)
    if not text:
        raise BridgeError(
            f"no robot description on {topic} within {timeout_s:.0f} s: start the robot's driver, "
            'or name a URDF or MJCF file as model in the robot description'
        )
    return str(text)


def wait_for(
    kind: Any, topic: str, taken: Callable[[Any], Any], timeout_s: float = _WAIT_S
) -> Any | None:
    """Return what is taken from the messages of a topic, None if nothing is in time.

    A separate node in a separate context listens, so no other callback runs meanwhile. All
    publishers are heard, latched and volatile ones.

    Args:
        kind: message class.
        topic: name; a relative one is in the namespace that the process was started in.
        taken: gets each message, and returns what is waited for, or something that counts as false.
        timeout_s: how long to wait [s].
    """
    context = rclpy.Context()
    context.init()
    try:
        node = rclpy.create_node(
            'nrl_description', context=context, enable_rosout=False, start_parameter_services=False
        )
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        came: AnyFuture = Future()

        def take(message: Any) -> None:
            found = None if came.done() else taken(message)
            if found:
                came.set_result(found)

        hear_any(node, kind, topic, take, Refusals(node, Counter()))
        end = time.monotonic() + timeout_s
        while not (came.done() or told_to_end()) and time.monotonic() < end:
            executor.spin_until_future_complete(came, timeout_sec=_LOOK_S)
        executor.shutdown()
        node.destroy_node()
        return came.result() if came.done() else None
    finally:
        context.try_shutdown()


def main(arguments: Sequence[str]) -> int:
    """Write the description that comes on a topic into a file, for commands without a node.

    Args:
        arguments: name of the topic, path of the file.

    Returns:
        Exit code: 1 if nothing came, with the reason as last line of the error stream.
    """
    topic, file = arguments
    try:
        text = wait_for_description(topic)
    except NrlError as error:
        sys.stderr.write(f'{error}\n')
        return 1
    Path(file).write_text(text, encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
