"""The action ``reach``: by it others use what an arm has learned, beside the learner."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, Quaternion

from nrl_ros.base.errors import InvalidValueError, NrlError
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.inverse import Goals, InverseKinematics
from nrl_ros.robots.arm.reach_goals import Goal, GoalEnd, Outcome, ReachGoals, in_words
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.robot_checks import nearest_limit
from nrl_ros.robots.arm.rotations import roll_pitch_yaw
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.robots.arm.targets import Poses
from nrl_ros.ros import names
from nrl_ros.ros.actions import GoalServer
from nrl_ros.ros.interfaces import Reach

_FEEDBACK_S = 0.1
# Goals that wait until it is known whether they can be reached, at most.
_WAITING = 8
# How long the thread that looks for poses may keep Python from the node, which has periods to keep:
# 5 ms, as Python has it, would be more than some of these [s].
_SWITCH_S = 0.0005
# Stands for a goal that was refused before it was read.
_NOTHING = Goal(Poses(np.zeros((1, 3)), np.eye(3)[None]), 0.0, math.inf, 0.0)
_ENDS = {Outcome.REACHED: 'succeed', Outcome.CANCELLED: 'canceled'}


class ReachAction:
    """Brings goals to the state machine of an arm's environment, and their ends back.

    Args:
        node: serves the action.
        goals: of the arm.
        settings: of the task, for what a goal leaves open.
        robot: the arm.
        position: returns the joints' measured positions [1, J].
        target_of: returns the target in the workspace's frame; raises an NrlError if that is not
            known, or outside of the workspace.
        refusal: returns why nothing can be served now; empty: it can.
        brake: commands the arm to stand at once.
    """

    def __init__(
        self,
        node: Any,
        goals: ReachGoals,
        settings: ReachSettings,
        *,
        robot: Robot,
        position: Callable[[], Float64],
        target_of: Callable[[PoseStamped], Poses],
        refusal: Callable[[], str],
        brake: Callable[[], None],
    ) -> None:
        self._node, self._goals, self._settings = node, goals, settings
        self._target_of, self._refusal, self._brake = target_of, refusal, brake
        # A guard takes longer to make than a control period.
        self._robot, self._position, self._guard = robot, position, robot.guard()
        self._told_at = -math.inf
        self._axes = settings.target.orientation.axes
        # Where a turn is free, only positions are looked for.
        self._reachable = Reachability(robot, turned=len(self._axes) == len('xyz'))
        # Goals whose target is being looked for.
        self._asked: list[tuple[Hashable, Goal, Future[str]]] = []
        self._server = GoalServer(node, Reach, names.REACH, self._on_goal, self._on_cancel)
        node.at_take_down(self._server.destroy)
        node.at_take_down(self._reachable.close)

    def _on_goal(self, key: Hashable, request: Any) -> None:
        refusal, goal = self._refusal(), _NOTHING
        if len(self._asked) >= _WAITING:
            refusal = f'{_WAITING} goals are being looked at already'
        if not refusal:
            try:
                goal = self._read(request)
            except NrlError as error:
                refusal = str(error)
        if refusal:
            self._goals.offer(time.monotonic(), key, goal, refusal)
            self.report(time.monotonic())
        else:
            self._asked.append((key, goal, self._reachable.ask(goal.target)))

    def _offer(self, now: float) -> None:
        """Offer the goals of which it is known by now whether they can be reached."""
        while self._asked and self._asked[0][2].done():
            key, goal, answer = self._asked.pop(0)
            # The arm may have been stopped meanwhile.
            if self._goals.offer(now, key, goal, self._refusal() or answer.result()):
                self._node.counters['goals'] += 1
                self._node.get_logger().info(
                    f'goal: {goal.target.point[0].round(4).tolist()} m in the frame of the '
                    f'workspace, within {in_words(goal.tolerance_m, goal.tolerance_rad)} and '
                    f'{goal.time_limit_s:g} s'
                )

    def _read(self, request: Any) -> Goal:
        """Return the goal of a request.

        Raises:
            InvalidValueError: a number makes no sense, or the policy was trained for points, and
                the goal has an orientation, or the other way round.
            NrlError: the target is not within the workspace.
        """
        for name in ('tolerance_m', 'tolerance_rad', 'time_limit_s'):
            value = getattr(request, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise InvalidValueError(f'{name} {value}, expected a number from 0 on')
        if request.use_orientation and not self._axes:
            raise InvalidValueError(
                'the goal has an orientation, and the policy was trained to reach points only: '
                'leave it away (use_orientation: false)'
            )
        if self._axes and not request.use_orientation:
            raise InvalidValueError(
                'the goal has no orientation, and the policy was trained to reach poses, axes '
                f'{" ".join(self._axes)}: give it one (use_orientation: true), such as that of the '
                f'tool now, {self._turn()}'
            )
        if not request.use_orientation:
            request.target.pose.orientation = Quaternion()
        group = self._settings.episode
        return Goal(
            self._target_of(request.target),
            request.tolerance_m or group.success_radius_m,
            (request.tolerance_rad or group.success_angle_rad) if self._axes else math.inf,
            request.time_limit_s or self._settings.goals.time_limit_s,
            preempt=request.preempt,
            learn=request.learn,
        )

    def _turn(self) -> str:
        matrix = self._robot.chain.orientation(self._position())[0]
        values = zip(('roll', 'pitch', 'yaw'), roll_pitch_yaw(matrix), strict=True)
        return ', '.join(f'{name} {value:.2f}' for name, value in values) + ' rad'

    def _on_cancel(self, key: Hashable) -> bool:
        now = time.monotonic()
        for asked in self._asked:
            if asked[0] == key:
                self._asked.remove(asked)
                self._goals.withdraw(key)
                return True
        cancelled = self._goals.cancel(now, key)
        if cancelled:
            self._brake()
        return cancelled

    def interrupted(self, now: float, reason: str) -> None:
        """Refuse the goals of which it is not known yet whether they can be reached."""
        for key, goal, _ in self._asked:
            self._goals.offer(now, key, goal, reason)
        self._asked.clear()
        self.report(now)

    def report(self, now: float) -> None:
        """Publish how goals stand, and send results of those that ended; call it in each period."""
        self._offer(now)
        for end in self._goals.ended():
            self._end(end)
        known = self._goals.serving and math.isfinite(self._goals.distance_m)
        if known and now - self._told_at >= _FEEDBACK_S:
            self._told_at = now
            self._server.feedback(
                distance_m=self._goals.distance_m,
                angle_rad=self._goals.angle_rad,
                elapsed_s=self._goals.elapsed_s(now),
                doing=self._goals.stage.value,
            )

    def _end(self, end: GoalEnd) -> None:
        name, reason = end.outcome.name.lower(), end.reason
        if end.guarded:
            robot, at = self._robot, self._position()[0]
            near = nearest_limit(robot.description, self._guard, at, robot.obstacles)
            reason += f'; the guard limits its way: {near}'
        self._node.counters[f'goals_{name}'] += 1
        self._node.get_logger().info(f'goal: {name.replace("_", " ")}: {reason}')
        result = Reach.Result(
            outcome=int(end.outcome),
            reason=reason,
            distance_m=end.distance_m,
            angle_rad=end.angle_rad,
            duration_s=end.duration_s,
        )
        self._server.finish(end.key, result, _ENDS.get(end.outcome, 'abort'))


class Reachability:
    """Tells whether an arm can reach a target, in a thread of its own.

    Where none of the poses that it tries is allowed, that takes longer than a control period.

    Args:
        robot: the arm.
        turned: the whole orientation of a target counts.
    """

    def __init__(self, robot: Robot, *, turned: bool) -> None:
        self._robot, self._turned = robot, turned
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_S))
        self._thread = ThreadPoolExecutor(1, 'reachability', _without_priority)
        self._solver: Future[InverseKinematics] = self._thread.submit(self._prepare)

    def _prepare(self) -> InverseKinematics:
        solver = InverseKinematics(self._robot)
        # The first question finds the starting poses ready.
        solver.solve(Goals(solver.starts[1][:1]))
        return solver

    def ask(self, target: Poses) -> Future[str]:
        """Return what will say why one target cannot be reached; empty: it can."""
        return self._thread.submit(self._answer, target)

    def _answer(self, target: Poses) -> str:
        place, otherwise = Goals(target.point), ''
        goal = Goals(target.point, target.rotation) if self._turned else place
        try:
            solver = self._solver.result()
            if solver.solve(goal).reached[0]:
                return ''
            if self._turned and solver.solve(place).reached[0]:
                otherwise = '; in another orientation it can be there'
        except NrlError as error:
            return f'whether the target can be reached is not known: {error}'
        return (
            f'the arm cannot bring its tool to {target.point[0].round(4).tolist()} m in the frame '
            f'of the workspace{" in this orientation" * self._turned}: no pose was found within '
            f'its limits, workspace and clearance{otherwise}'
        )

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _without_priority() -> None:
    """Take the real-time priority that a thread has from the one that has made it."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
