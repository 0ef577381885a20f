"""A guard that is asked only where it can say something new: the same motions, fewer questions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nrl_ros.robots.safety.guard_cache import GuardCache
from nrl_ros.robots.safety.limits import Part, WorkspaceGuard
from nrl_ros.robots.safety.motion import MotionFilter
from tests.unit.safety_bench import BOX, PERIOD, limits_of, planar

Array = Any
ARM = np.array([0])


class Counted:
    """Two walls, of one metre a radian: x not beyond 1, y not beyond 2; counts what is asked."""

    def __init__(self) -> None:
        self.asked: list[list[bool]] = []
        self.parts = (Part(self._walls, np.eye(2)),)

    def _walls(self, position: Array, asked: Array) -> Array:
        self.asked += asked.tolist()
        return position - [1.0, 2.0]

    def violation(self, position: Array) -> Array:
        return self._walls(position, np.ones(position.shape, np.bool_)).max(axis=1)


def test_a_wall_is_asked_about_again_when_it_may_be_near() -> None:
    guard = Counted()
    room = GuardCache(guard, 1, 2)

    def ask(*x: float) -> list[float]:
        guard.asked.clear()
        return room.violation(np.array([[[each, 0.0]] for each in x]), ARM)[:, 0].tolist()

    # Nothing is known: both are asked where it is, and then there is 1 m to go to the first.
    assert ask(0.0, 0.9) == [0.0, 0.0]
    assert guard.asked == [[True, True]]
    assert ask(0.3, 0.99) == [0.0, 0.0]
    assert ask(-0.3, -0.9) == [0.0, 0.0]
    assert guard.asked == []
    # Beyond the first, which is asked about where it is and there; x leads to no other.
    assert ask(0.5, 1.5) == [0.0, 0.5]
    assert guard.asked == [[True, False], [True, False]]
    # From 0.5 there is half a metre.
    assert ask(0.5, 0.99) == [0.0, 0.0]
    assert guard.asked == []
    assert ask(0.5, 1.2) == pytest.approx([0.0, 0.2])
    assert guard.asked == [[True, False]]
    # As far away as that it may be near again, by the books; they are made anew.
    assert ask(-3.0, 0.4) == [0.0, 0.0]
    assert guard.asked == [[True, False]]


def test_each_arm_has_rooms_of_its_own() -> None:
    guard = Counted()
    room = GuardCache(guard, 3, 2)
    start = np.array([[0.0, 0.0], [0.9, 0.0], [0.0, 5.0]])
    found = room.violation(np.stack([start, start + 0.2]), np.arange(3))
    np.testing.assert_allclose(found, [[0.0, 0.0, 3.0], [0.0, 0.1, 3.2]])
    guard.asked.clear()
    found = room.violation(np.stack([start[:2], start[:2] + 0.05]), np.array([0, 1]))
    assert found.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert guard.asked == []
    assert room.violation(start[None, 2:], np.array([2])).tolist() == [[3.0]]


def test_the_slope_is_of_what_is_broken_most() -> None:
    room = GuardCache(Counted(), 3, 2)
    found = room.slope(np.array([[1.5, 2.1], [1.5, 3.0], [0.0, 0.0]]), np.arange(3))
    np.testing.assert_allclose(found.violation, [0.5, 1.0, 0.0])
    np.testing.assert_allclose(found.slope, [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], atol=1e-9)


@pytest.mark.parametrize('rates', [np.full((2, 2), math.inf), np.full((2, 2), math.nan)])
def test_without_rates_it_is_asked_each_time(rates: Array) -> None:
    guard = Counted()
    guard.parts = (replace(guard.parts[0], rates=rates),)
    room = GuardCache(guard, 1, 2)
    for _ in range(3):
        guard.asked.clear()
        assert room.violation(np.array([[[0.0, 0.0]], [[0.1, 0.0]]]), ARM).tolist() == [[0], [0]]
        assert guard.asked


def test_no_answer_stays_no_answer() -> None:
    guard = Counted()
    silent = Part(lambda q, asked: np.full(asked.shape, math.nan), np.eye(2))
    guard.parts = (*guard.parts, silent)
    room = GuardCache(guard, 1, 2)
    for _ in range(2):
        assert np.isnan(room.violation(np.zeros((2, 1, 2)), ARM)).all()
    assert np.isnan(room.slope(np.zeros((1, 2)), ARM).violation).all()
    assert np.isnan(GuardCache(Counted(), 1, 2).violation(np.full((1, 1, 2), np.nan), ARM)).all()


def test_a_guard_that_answers_again_is_heard() -> None:
    answer = math.nan
    guard = Counted()
    guard.parts = (Part(lambda q, asked: np.full(asked.shape, answer), np.eye(2)),)
    motion_filter = MotionFilter(limits_of(), PERIOD, guard=guard)
    motion_filter.start(np.zeros((1, 2)))
    wanted = np.array([[0.5, 0.0]])
    for _ in range(3):
        assert not motion_filter.follow(wanted).velocity.any()
    answer = -1.0
    assert motion_filter.follow(wanted).velocity[0, 0] == pytest.approx(0.1)


def walked(guard: WorkspaceGuard, limits: Any, home: Array, period_s: float, **how: Any) -> Array:
    """Positions and velocities of arms that press on at random, are pulled, and begin anew."""
    arms, ticks, seed = how['arms'], how['ticks'], how['seed']
    random = np.random.default_rng(seed)
    motion_filter = MotionFilter(limits, period_s, arms=arms, guard=guard)
    motion_filter.start(np.tile(home, (arms, 1)))
    wanted = np.zeros((arms, len(home)))
    found = []
    for tick in range(ticks):
        if tick % 15 == 0:
            wanted = random.normal(0.0, 1.0, wanted.shape) * limits.velocity
        stopping = random.random(arms) < 0.02
        motion = motion_filter.follow(wanted, stopping)
        found.append(np.concatenate([motion.position, motion.velocity], axis=1))
        assert not motion.limited.flags.writeable
        if tick % 3 == 0:
            drift = random.normal(0.0, 1e-3, wanted.shape)
            motion_filter.anchor(motion_filter.position + drift, 0.05)
        if tick % 200 == 199:
            which = random.random(arms) < 0.5
            motion_filter.start(np.tile(home, (arms, 1)), which)
    return np.array(found)


def check_equal(guard: WorkspaceGuard, *robot: Any, **how: Any) -> None:
    known = walked(guard, *robot, **how)
    unknown = tuple(replace(part, rates=np.full_like(part.rates, math.inf)) for part in guard.parts)
    asked = walked(replace(guard, parts=unknown), *robot, **how)
    np.testing.assert_array_equal(known, asked)


@pytest.mark.parametrize('seed', range(2))
def test_motions_are_those_of_a_guard_that_is_always_asked(seed: int) -> None:
    """Along walls and corners of a room that is too small for a planar arm."""
    rates = np.array([[0.4, 0.0], [0.7, 0.3]])
    part = Part(lambda q, _asked: BOX.outside(planar(q)), rates)
    guard = WorkspaceGuard(planar, BOX, parts=(part,))
    robot = (limits_of(velocity=(1.0, 1.5)), np.array([0.2, 1.2]), PERIOD)
    check_equal(guard, *robot, arms=24, ticks=600, seed=seed)


@pytest.mark.parametrize('name', ['ur5e', 'fr3'])
def test_motions_of_described_arms_are_the_same(name: str) -> None:
    pytest.importorskip('mujoco')
    from nrl_ros.robots.arm.robot import load_robot

    robot = load_robot(name)
    how = {'arms': 4, 'ticks': 400, 'seed': 1}
    check_equal(robot.guard(), robot.limits, robot.home, robot.period_s, **how)
