"""Models that a robot's driver publishes, for commands that run where the driver is not heard.

A training or a rehearsal has a ROS domain of its own, and is evaluated when the driver has long
ended. So the model is fetched once, before anything starts, and kept with the run.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from nrl_ros.base.errors import BridgeError
from nrl_ros.cli.config import RunSettings
from nrl_ros.robots.arm.description import (
    FROM_TOPIC,
    keep_robot,
    read_robot,
    robot_on_topic,
)

# Folder of a run's checkpoints that holds description and model.
KEPT = 'robot'
# Starting Python and ROS takes a second or two on a slow machine; what waits longer hangs [s].
_MOST_S = 60.0
# The setting of an environment that names its robot.
ROBOT = 'bridge.options.robot'


def fetched_model(robot: str) -> str:
    """Return the model of a description that takes it from a topic; '' if it has a file.

    Args:
        robot: name or path of the description.

    Raises:
        ConfigError: the description is wrong.
        BridgeError: nothing came on the topic.
    """
    description = read_robot(robot)
    if description.model != FROM_TOPIC:
        return ''
    return _fetch(description.control.description_topic)


def kept_robot(robot: str, folder: Path) -> str:
    """Return a description whose model is a file: itself, or a copy of it in a folder.

    Args:
        robot: name or path of the description.
        folder: where description and model are written, if the model comes from a topic.

    Raises:
        NrlError: of ``fetched_model``.
    """
    text = fetched_model(robot)
    return str(keep_robot(robot, text, folder / KEPT)) if text else robot


def simulated_robot(settings: RunSettings) -> str:
    """Return the description that a training simulates if its model is on a topic, else ''.

    Raises:
        ConfigError: the description is wrong.
    """
    bridge = settings.environment.bridge
    return robot_on_topic(bridge.name, bridge.options)


@cache
def _fetch(topic: str) -> str:
    """Return the text on a topic, in the domain that the command was started in.

    Another process listens: this one may join another domain later, and the middleware reads its
    settings only once.
    """
    with TemporaryDirectory(prefix='nrl_description_') as folder:
        file = Path(folder) / 'model'
        command = [sys.executable, '-m', 'nrl_ros.ros.description', topic, str(file)]
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, timeout=_MOST_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise BridgeError(f'no robot description on {topic} within {_MOST_S:.0f} s') from None
        if ended.returncode or not file.is_file():
            lines = ended.stderr.strip().splitlines() or [f'no robot description on {topic}']
            raise BridgeError(lines[-1])
        return file.read_text(encoding='utf-8')
