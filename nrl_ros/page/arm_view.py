"""What the page is told of one arm: safety state, what it does, and where each part of it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.monitor.arm_figures import ArmFigures
from nrl_ros.monitor.counters import counted
from nrl_ros.page.run_view import Condition, Conditions
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.scene import Scene

# A safety node that has been silent for so long has left; it reports twice a second [s].
_GONE_S = 5.0
_MOST_COUNTERS, _MOST_JOINTS, _MOST_FACES = 40, 64, 400
# Places are sent in mm, angles in thousandths of a radian.
_DIGITS = 3


class ArmView:
    """What is known of one arm.

    Args:
        namespace: of its safety node; empty: none.
        now: time of a steady clock [s].

    Attributes:
        figures: kept by ``ros/reports.py`` as for the panel of ``nrl arm``.
        agent: name of its environment for the learner; empty: not known yet.
        facts: newest plain fields of SafetyStatus.
    """

    def __init__(self, namespace: str, now: float) -> None:
        self.namespace = namespace
        self.heard_at = now
        self.figures = ArmFigures()
        self.agent = ''
        self.facts: dict[str, Any] = {}
        self.conditions = Conditions()
        self._counters: Mapping[str, int] = {}
        self._scene: Scene | None = None
        self._shape: dict[str, Any] | None = None
        # Why the arm is not drawn.
        self._undrawn = 'its description is looked for'
        self._target: NDArray[Any] | None = None
        self._pose: dict[str, Any] | None = None
        self._changed = set(_PARTS)

    # --------------------------------------------------------------- hearing

    def hear_safety(
        self, facts: Mapping[str, Any], counters: Mapping[str, int], now: float
    ) -> None:
        """Take a safety node's status, which ``figures`` has taken before."""
        self.heard_at, self.facts, self._counters = now, dict(facts), dict(counters)
        self._changed |= {'status', 'counters'}

    def hear_moves(self, moves: str, agent: str) -> None:
        """Take what moves the arm, and in whose name."""
        if (moves, agent) != (self.figures.moves, self.agent):
            self.figures.moves, self.agent = moves, agent
            self._changed.add('status')

    def hear_condition(self, condition: Condition, *, asks: bool) -> None:
        """Take an item of the diagnostics of the arm's nodes.

        Args:
            condition: the item.
            asks: True if it is the environment's own item.
        """
        if asks:
            self.figures.asks = condition.text if '~/go' in condition.text else ''
        if self.conditions.hear(condition):
            self._changed |= {'conditions', 'status'}

    def draw_with(self, robot: Robot | None, why_not: str = '') -> None:
        """Take the robot by which the arm is drawn; None: it is not, and why."""
        self._undrawn, self._changed = why_not, self._changed | {'shape', 'pose'}
        if robot is None:
            self._scene = self._shape = None
            return
        box = robot.description.workspace
        self._scene = Scene(robot, robot.home[None], np.array([box.low_m, box.high_m]))
        _, radius = self._scene.segments(robot.home)
        self._shape = {
            'radius': np.round(radius, 4),
            'obstacles': np.round(self._scene.obstacles[:_MOST_FACES].reshape(-1, 12), _DIGITS),
            'low': box.low_m,
            'high': box.high_m,
            'joints': robot.joints,
            'units': robot.model.units,
            'limits': [robot.limits.position_low, robot.limits.position_high],
        }

    def hear_target(self, point: NDArray[Any]) -> None:
        """Take the target [3], m in the frame of the workspace; not finite: there is none."""
        self._target = np.asarray(point) if np.isfinite(point).all() else None

    def hear_state(
        self, joints: tuple[str, ...], measured: NDArray[Any], velocity: NDArray[Any]
    ) -> None:
        """Take where the joints are.

        Args:
            joints: their names.
            measured: positions [J], rad or m.
            velocity: commanded [J], rad/s or m/s; empty: none.
        """
        count = min(len(measured), _MOST_JOINTS)
        pose: dict[str, Any] = {
            'joints': joints[:count],
            'position': np.round(measured[:count], _DIGITS),
            'velocity': np.round(velocity[:count], _DIGITS),
        }
        target = self._target
        if target is not None:
            pose['target'] = np.round(target, _DIGITS)
        scene = self._scene
        if scene is not None and self._fits(joints) and np.isfinite(measured).all():
            ends, _ = scene.segments(measured)
            tool = scene.robot.chain.tool(measured[None])[0]
            pose |= {'ends': np.round(ends.ravel(), _DIGITS), 'tool': np.round(tool, _DIGITS)}
            if target is not None:
                pose['distance_m'] = round(math.dist(tool, target), 4)
        self._pose = pose
        self._changed.add('pose')

    def _fits(self, joints: tuple[str, ...]) -> bool:
        return self._shape is not None and joints == tuple(self._shape['joints'])

    # --------------------------------------------------------------- telling

    def whole(self, now: float) -> dict[str, Any]:
        """Return everything, for a page that has just been opened."""
        return self._head(now) | {part: self._part(part) for part in _PARTS}

    def news(self, now: float) -> dict[str, Any] | None:
        """Return what has changed since the last call; None: nothing."""
        told = {part: self._part(part) for part in sorted(self._changed)}
        self._changed.clear()
        return self._head(now) | told if told else None

    def is_there(self, now: float) -> bool:
        """Return True if the safety node has reported lately."""
        return now - self.heard_at < _GONE_S

    def _head(self, now: float) -> dict[str, Any]:
        return {'namespace': self.namespace, 'agent': self.agent, 'there': self.is_there(now)}

    def _part(self, name: str) -> Any:
        if name == 'pose':
            return self._pose
        if name == 'shape':
            return {'undrawn': self._undrawn} if self._shape is None else self._shape
        if name == 'conditions':
            return self.conditions.data()
        if name == 'counters':
            found = counted({'safety': self._counters}, _MOST_COUNTERS)
            return [one._asdict() for one in found]
        figures = self.figures
        own = {
            'mode_name': figures.mode,
            'stopped': figures.stopped,
            'moves': 'waits for go' if figures.asks else figures.moves,
            'asks': figures.asks,
            'last_stop': figures.stop,
        }
        return self.facts | own


_PARTS = ('status', 'shape', 'pose', 'conditions', 'counters')
