"""The command ``nrl reach``: sends one goal of the action ``reach``, and shows how it goes."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from action_msgs.msg import GoalStatus
from geometry_msgs.msg import Quaternion
from rclpy.action import ActionClient, get_action_names_and_types
from rclpy.node import Node
from rich.console import Console

from nrl_ros.base.errors import NrlError
from nrl_ros.cli.waiting import OnlyOne, Waiting, node_of_command
from nrl_ros.ros import names
from nrl_ros.ros.interfaces import Reach
from nrl_ros.ros.signals import Signals

_KIND = 'nrl_ros/action/Reach'
# Longest wait for the action to be found, and for a cancelled goal to end [s].
_FIND_S, _CANCEL_S = 8.0, 5.0
_LINE_S = 0.5
_MEND = (
    'start one, as with `nrl arm --load RUN --serve`, and name the domain that it shows by '
    '--domain-id'
)
_NAMES = (
    'OUTCOME_REACHED',
    'OUTCOME_TIME_LIMIT',
    'OUTCOME_CANCELLED',
    'OUTCOME_PREEMPTED',
    'OUTCOME_STOPPED',
    'OUTCOME_REFUSED',
)


@dataclass(frozen=True)
class ReachOptions:
    """What ``nrl reach`` was asked for.

    Attributes:
        point: x, y, z [m].
        angles: roll, pitch, yaw about fixed axes [rad]; None: any orientation.
        frame: of both; empty: that of the workspace.
        tolerance_m: 0: that of the task.
        time_limit_s: 0: that of the environment.
        preempt: take the place of a goal that is being served.
        learn: explore and learn on the way.
        namespace: of the arm; empty: of the only one that is found.
        domain: ROS domain; None: ROS_DOMAIN_ID.
    """

    point: tuple[float, float, float]
    angles: tuple[float, float, float] | None = None
    frame: str = ''
    tolerance_m: float = 0.0
    time_limit_s: float = 0.0
    preempt: bool = False
    learn: bool = False
    namespace: str = ''
    domain: int | None = None

    def goal(self) -> Any:
        """Return the goal as a message."""
        goal = Reach.Goal(
            use_orientation=self.angles is not None,
            tolerance_m=self.tolerance_m,
            time_limit_s=self.time_limit_s,
            preempt=self.preempt,
            learn=self.learn,
        )
        goal.target.header.frame_id = self.frame
        place = goal.target.pose.position
        place.x, place.y, place.z = self.point
        if self.angles is not None:
            goal.target.pose.orientation = quaternion(*self.angles)
        return goal


def quaternion(roll: float, pitch: float, yaw: float) -> Quaternion:
    """Return the quaternion of rotations about the fixed axes x, y and z, in this order [rad]."""
    (sr, cr), (sp, cp), (sy, cy) = (
        (math.sin(half), math.cos(half)) for half in (roll / 2, pitch / 2, yaw / 2)
    )
    return Quaternion(
        x=sr * cp * cy - cr * sp * sy,
        y=cr * sp * cy + sr * cp * sy,
        z=cr * cp * sy - sr * sp * cy,
        w=cr * cp * cy + sr * sp * sy,
    )


class Caller(Waiting):
    """A node that sends one goal and waits for its end.

    Args:
        node: of this process.
        console: for the lines.
        signals: end the goal early.
    """

    def __init__(self, node: Node, console: Console, signals: Signals) -> None:
        super().__init__(node, signals)
        self._console = console
        self._said_at = -math.inf

    def find(self, namespace: str) -> str:
        """Return the name of the action.

        Args:
            namespace: of the arm; empty: of the only one that is found.

        Raises:
            NrlError: there is none, or there are several.
        """

        def found() -> list[str]:
            known = get_action_names_and_types(self.node)
            actions = [name for name, kinds in known if _KIND in kinds]
            if not namespace:
                return actions
            return [name for name in actions if name == f'/{namespace.strip("/")}/{names.REACH}']

        where = f' in the namespace {namespace}' if namespace else ''
        missing = f'no arm serves the action {names.REACH}{where}'
        words = OnlyOne('arms serve goals', '--namespace', missing, _MEND)
        return self.only(found, _FIND_S, words)

    def send(self, action: str, goal: Any) -> int:
        """Send a goal and wait for its end; return the exit code of the command.

        Raises:
            NrlError: the action does not answer.
        """
        client: Any = ActionClient(self.node, Reach, action)
        if not self.until(client.server_is_ready, _FIND_S):
            raise NrlError(f'{action} does not answer: is its node still there?')
        sent = client.send_goal_async(goal, lambda message: self._show(message.feedback))
        if not self.until(sent.done, _FIND_S):
            raise NrlError(f'{action} does not answer: is its node still there?')
        handle = sent.result()
        if not handle.accepted:
            raise NrlError(f'{action} has rejected the goal: its log says why')
        ending = handle.get_result_async()
        there = client.server_is_ready
        if not self.until(lambda: ending.done() or not there(), math.inf, moving=True):
            self._cancel(handle, ending)
        if not ending.done():
            raise NrlError(f'{action} has gone before the goal was done')
        answer = ending.result()
        result = answer.result
        code = 0 if answer.status == GoalStatus.STATUS_SUCCEEDED else 1
        name = outcome_name(result.outcome)
        self._say(f'{name} after {result.duration_s:.1f} s: {result.reason}')
        return 130 if self.signals.received else code

    def _cancel(self, handle: Any, ending: Any) -> None:
        """Cancel a goal, and wait until the arm stands."""
        self._say('cancelled: the arm brakes')
        handle.cancel_goal_async()
        received, self.signals.received = self.signals.received, 0
        self.until(ending.done, _CANCEL_S, moving=True)
        self.signals.received = received

    def _show(self, feedback: Any) -> None:
        now = time.monotonic()
        if now - self._said_at >= _LINE_S:
            self._said_at = now
            turned = ''
            if feedback.angle_rad:
                turned = f' and {math.degrees(feedback.angle_rad):.1f} degrees'
            self._say(
                f'{feedback.elapsed_s:6.1f} s  {100 * feedback.distance_m:.1f} cm'
                f'{turned} away, {feedback.doing}'
            )

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def outcome_name(outcome: int) -> str:
    """Return an outcome of Reach.Result in words."""
    found = [name for name in _NAMES if getattr(Reach.Result, name) == outcome]
    return found[0].removeprefix('OUTCOME_').lower().replace('_', ' ') if found else str(outcome)


def run(options: ReachOptions, console: Console) -> int:
    """Send the goal and wait for its end; Ctrl-C cancels it.

    Returns:
        Exit code: 0 if it was reached, 1 if not, 130 if it was cancelled here.

    Raises:
        NrlError: no arm serves goals, or it does not answer.
    """
    with node_of_command(names.REACH, options.domain) as (node, signals):
        caller = Caller(node, console, signals)
        return caller.send(caller.find(options.namespace), options.goal())
