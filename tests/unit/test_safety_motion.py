"""The motion filter, by traces computed by hand: ticks of 10 ms, 10 rad/s^2, stops of 20."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError, InvalidValueError, ProtocolError, ShapeError
from nrl_ros.robots.safety.braking import Braking, Limited
from nrl_ros.robots.safety.command_checker import CommandChecker
from nrl_ros.robots.safety.motion import Motion, MotionFilter
from tests.unit.safety_bench import GUARD, INSIDE, PERIOD, REACH, Wall
from tests.unit.safety_bench import limits_of as limits


def started(joints: int = 2, *at: float, **options: Any) -> MotionFilter:
    """A filter of one arm at rest."""
    fields = options.pop('fields', {})
    motion_filter = MotionFilter(limits(joints, **fields), PERIOD, **options)
    motion_filter.start(np.broadcast_to(at or (0.0,), (1, joints)))
    return motion_filter


def follow(motion_filter: MotionFilter, ticks: int, *wanted: float) -> Motion:
    for _ in range(ticks):
        motion = motion_filter.follow(np.array([wanted]))
    return motion


def test_the_first_motion_of_an_arm_that_is_to_stand_is_where_it_was_measured() -> None:
    motion = follow(started(2, 0.123456789, -1.9), 1, 0.0, 0.0)
    assert motion.position.tolist() == [[0.123456789, -1.9]]
    assert motion.velocity.tolist() == [[0.0, 0.0]]
    assert motion.limited.tolist() == [0]


def test_it_ramps_to_the_velocity_limit_in_ten_ticks() -> None:
    """v_k = 0.1 k, q_k = 0.01 * 0.1 * k (k + 1) / 2."""
    motion_filter = started(1)
    for tick in range(1, 11):
        motion = follow(motion_filter, 1, 5.0)
        assert motion.velocity[0, 0] == pytest.approx(0.1 * tick)
        assert motion.position[0, 0] == pytest.approx(0.0005 * tick * (tick + 1))
        assert tick == 10 or motion.limited[0] == Limited.VELOCITY | Limited.ACCELERATION
    assert follow(motion_filter, 2, 5.0).limited[0] == Limited.VELOCITY
    assert follow(motion_filter, 1, 1.0).limited[0] == 0


def test_a_stop_from_full_speed_takes_five_ticks_and_two_hundredths() -> None:
    motion_filter = started(1)
    begin = follow(motion_filter, 10, 1.0).position[0, 0]
    speeds = [motion_filter.brake().velocity[0, 0] for _ in range(6)]
    assert speeds == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0, 0.0])
    assert speeds[-2:] == [0.0, 0.0]
    assert motion_filter.position[0, 0] - begin == pytest.approx(0.02)


def test_joints_brake_together_on_a_straight_line() -> None:
    motion_filter = started(2)
    begin = follow(motion_filter, 10, 1.0, -0.5)
    ways = []
    for _ in range(5):
        ways.append(motion_filter.brake().position - begin.position)
    assert np.array(ways)[:, 0, 1] == pytest.approx(-0.5 * np.array(ways)[:, 0, 0])


def test_without_a_wanted_velocity_it_ramps_down_with_the_usual_acceleration() -> None:
    motion_filter = started(1)
    follow(motion_filter, 10, 1.0)
    speeds = [follow(motion_filter, 1, 0.0).velocity[0, 0] for _ in range(10)]
    assert speeds == pytest.approx(np.arange(9, -1, -1) / 10)


def test_speeds_near_a_limit() -> None:
    """T = 0.1, tau = 0.06: room / 0.06 up to 0.036 rad, then sqrt(20 room - 0.3575) - 0.05."""
    braking = Braking(limits(1), PERIOD)
    room = np.array([[0.0], [0.03], [0.036], [0.06], [0.1]])
    fast, far = np.full_like(room, 9.0), np.full_like(room, 9.0)
    known = [0.0, 0.5, 0.6, 0.867878, 1.0]
    # As fast already, so that only the limit counts.
    upwards, _ = braking.reachable(fast, np.array(known)[:, None], far, room)
    downwards, _ = braking.reachable(-fast, -np.array(known)[:, None], room, far)
    assert upwards[:, 0] == pytest.approx(known, abs=1e-6)
    assert downwards[:, 0] == pytest.approx(-np.array(known), abs=1e-6)


def test_a_joint_comes_to_its_limit_and_not_beyond() -> None:
    motion_filter = started(1, 1.5)
    last = 0.0
    for _ in range(300):
        motion = follow(motion_filter, 1, 1.0)
        assert abs(motion.velocity[0, 0] - last) <= 0.1 * (1 + 1e-9)
        assert motion.position[0, 0] <= 2.0
        last = motion.velocity[0, 0]
    assert motion.limited[0] == Limited.POSITION
    assert motion.position[0, 0] == pytest.approx(2.0, abs=1e-6)
    assert follow(motion_filter, 1, -1.0).velocity[0, 0] == pytest.approx(-0.1)


def test_joints_slide_along_their_limits_without_slowing_others() -> None:
    motion_filter = started(2, 1.5, -1.9)
    follow(motion_filter, 10, 1.0, 1.0)
    for _ in range(200):
        assert follow(motion_filter, 1, 1.0, 1.0).velocity[0, 1] == 1.0
    assert motion_filter.position[0, 0] > 1.999


def test_a_stop_that_is_given_up_leaves_a_verified_stop() -> None:
    """A brake of the usual strength comes nearer to a limit than following does; what may be
    followed after it depends on how long the other joint takes to stop, so both go slower."""
    slowed = 0
    for braked in range(1, 6):
        motion_filter = started(2, -1.0, 1.5, fields={'stop_acceleration': (10.0, 10.0)})
        while motion_filter.position[0, 1] < 1.967:
            follow(motion_filter, 1, 1.0, 1.0)
        for _ in range(braked):
            motion_filter.brake()
        before = motion_filter.velocity[0, 0]
        for _ in range(10):
            speed = follow(motion_filter, 1, 1.0, 1.0).velocity[0]
            slowed += speed[0] < min(1.0, before + 0.1) - 1e-9
            before = speed[0]
            assert motion_filter.position[0, 1] + speed[1] * speed.max() / 20 <= 2.0 + 1e-9
    assert slowed


def test_an_arm_outside_of_its_limits_may_only_come_back() -> None:
    motion_filter = started(2, 2.5, 0.0)
    out = follow(motion_filter, 20, 1.0, 1.0)
    assert out.position[0, 0] == 2.5
    assert out.limited[0] & Limited.POSITION
    assert out.velocity[0, 1] == 1.0
    back = follow(motion_filter, 20, -1.0, 0.0).position[0, 0]
    assert back < 2.5
    # Not even to where it was a moment ago.
    assert follow(motion_filter, 100, 1.0, 0.0).position[0, 0] <= back
    follow(motion_filter, 100, -1.0, 0.0)
    assert follow(motion_filter, 300, 1.0, 0.0).position[0, 0] <= 2.0


@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
def test_a_velocity_that_is_no_number_stands_the_whole_arm_still(bad: float) -> None:
    motion_filter = MotionFilter(limits(), PERIOD, arms=2)
    motion_filter.start(np.zeros((2, 2)))
    motion = motion_filter.follow(np.array([[1.0, bad], [1.0, 1.0]]))
    assert motion.velocity.tolist() == [[0.0, 0.0], [0.1, 0.1]]
    assert motion.limited.tolist() == [Limited.NONFINITE, Limited.ACCELERATION]


def test_huge_velocities_are_clipped() -> None:
    motion = follow(started(2), 20, 1e308, -1e308)
    assert motion.velocity.tolist() == [[1.0, -1.0]]


def test_arms_stop_one_by_one() -> None:
    motion_filter = MotionFilter(limits(1), PERIOD, arms=3)
    motion_filter.start(np.zeros((3, 1)))
    for _ in range(10):
        motion_filter.follow(np.ones((3, 1)))
    motion = motion_filter.follow(np.ones((3, 1)), np.array([True, False, False]))
    assert motion.velocity[:, 0] == pytest.approx([0.8, 1.0, 1.0])
    motion = motion_filter.brake(np.array([True, True, False]))
    assert motion.velocity[:, 0] == pytest.approx([0.6, 0.8, 0.9])


def test_arms_start_one_by_one() -> None:
    motion_filter = MotionFilter(limits(1), PERIOD, arms=2)
    with pytest.raises(ProtocolError, match='has not been started'):
        motion_filter.follow(np.zeros((2, 1)))
    motion_filter.start(np.array([[0.5], [math.nan]]), np.array([True, False]))
    with pytest.raises(ProtocolError, match='has not been started'):
        motion_filter.brake()
    motion_filter.start(np.array([[math.nan], [-0.5]]), np.array([False, True]))
    for _ in range(3):
        motion_filter.follow(np.ones((2, 1)))
    motion_filter.start(np.array([[9.9], [0.25]]), np.array([False, True]))
    assert motion_filter.velocity[:, 0] == pytest.approx([0.3, 0.0])
    assert motion_filter.position[:, 0] == pytest.approx([0.506, 0.25])


def test_arms_of_a_batch_are_as_alone() -> None:
    generator = np.random.default_rng(5)
    begin = np.stack([generator.uniform(-0.6, 0.6, 8), generator.uniform(0.2, 1.5, 8)], axis=-1)
    together = MotionFilter(limits(), PERIOD, arms=8, guard=GUARD)
    together.start(begin)
    alone = [MotionFilter(limits(), PERIOD, guard=GUARD) for _ in range(8)]
    for one, at in zip(alone, begin, strict=True):
        one.start(at[None])
    wanted = np.cumsum(generator.normal(0.0, 0.2, (200, 8, 2)), axis=0)
    for rows in wanted:
        motion = together.follow(rows)
        single = [one.follow(row[None]) for one, row in zip(alone, rows, strict=True)]
        np.testing.assert_allclose(
            motion.position, np.concatenate([each.position for each in single]), atol=1e-12
        )
        assert motion.limited.tolist() == [int(each.limited[0]) for each in single]


def test_what_was_handed_out_cannot_be_written_to() -> None:
    motion_filter = started(1)
    for motion in (follow(motion_filter, 1, 1.0), motion_filter.brake()):
        for array in motion:
            with pytest.raises(ValueError, match='read-only'):
                array[...] = 1


@pytest.mark.parametrize(
    ('room', 'velocity', 'limited'),
    [
        # The whole step ends 0.1 (0.01 + 0.005) further, half of it at 0.000625, a quarter of it
        # at 0.025 (0.01 + 0.00125) = 0.00028125.
        (0.0016, 0.1, Limited.ACCELERATION),
        (0.0014, 0.05, Limited.ACCELERATION | Limited.WORKSPACE),
        (0.0003, 0.025, Limited.ACCELERATION | Limited.WORKSPACE),
        (0.0002, 0.0, Limited.ACCELERATION | Limited.WORKSPACE),
    ],
)
def test_the_largest_share_that_the_guard_accepts_is_taken(
    room: float, velocity: float, limited: int
) -> None:
    """Of a guard that does not say in which direction it gets better."""

    class Cliff(Wall):
        def violation(self, position: Any) -> Any:
            return np.where(super().violation(position) > 0.0, 1.0, -1.0)

    motion = follow(started(1, 0.5 - room, guard=Cliff(0.5)), 1, 1.0)
    assert motion.velocity[0, 0] == pytest.approx(velocity)
    assert motion.limited[0] == limited


@pytest.mark.parametrize(
    ('room', 'velocity'),
    [
        (0.0016, 0.1),
        # The step ends 0.1 mm outside, and is to end 0.2 mm inside: 0.1 - 0.0003 / 0.015.
        (0.0014, 0.08),
        (0.0003, 0.1 - 0.0014 / 0.015),
        (0.0002, 0.0),
        # Nearer than that to a wall it is pressed back.
        (0.0001, 0.1 - 0.0016 / 0.015),
    ],
)
def test_an_arm_slows_down_before_a_wall(room: float, velocity: float) -> None:
    motion = follow(started(1, 0.5 - room, guard=Wall(0.5)), 1, 1.0)
    assert motion.velocity[0, 0] == pytest.approx(velocity, abs=1e-9)


def test_an_arm_slides_along_a_wall() -> None:
    """Asked to go into it at an angle, it goes on along it as fast as it would without it."""

    class Slope:
        """x + y of at most 0.5 m, of a gantry that is as far out as its joints read."""

        def violation(self, position: Any) -> Any:
            return position.sum(axis=1) - 0.5

    motion_filter = started(2, guard=Slope())
    for _ in range(200):
        motion = motion_filter.follow(np.array([[0.8, -0.2]]))
    # (0.8, -0.2) less what goes into the wall: (0.3, 0.3).
    assert motion.velocity[0] == pytest.approx([0.5, -0.5], abs=1e-3)
    assert 0.0 <= 0.5 - motion.position[0].sum() < 5e-4
    assert motion.limited[0] & Limited.WORKSPACE
    # Into it at a right angle there is nowhere to go.
    for _ in range(50):
        motion = motion_filter.follow(np.array([[0.5, 0.5]]))
    assert motion.velocity[0] == pytest.approx([0.0, 0.0], abs=1e-9)


def test_an_arm_comes_to_a_wall_and_not_beyond() -> None:
    motion_filter = started(1, 0.0, guard=Wall(0.5))
    last = 0.0
    for _ in range(300):
        motion = follow(motion_filter, 1, 1.0)
        assert motion.position[0, 0] <= 0.5 + 1e-12
        assert abs(motion.velocity[0, 0] - last) <= 0.1 * (1 + 1e-9)
        last = motion.velocity[0, 0]
    assert motion.position[0, 0] > 0.499
    assert follow(motion_filter, 1, -1.0).velocity[0, 0] == pytest.approx(-0.1)


def test_an_arm_outside_of_the_workspace_may_only_come_back() -> None:
    motion_filter = started(1, 1.0, guard=Wall(0.5))
    # Nor is it pressed in: 1e-6 m at most in a tick.
    assert 1.0 - 20e-6 <= follow(motion_filter, 20, 1.0).position[0, 0] <= 1.0
    back = follow(motion_filter, 30, -1.0).position[0, 0]
    assert back < 0.9
    assert follow(motion_filter, 100, 1.0).position[0, 0] <= back
    follow(motion_filter, 200, -1.0)
    assert follow(motion_filter, 300, 1.0).position[0, 0] <= 0.5 + 1e-12


def test_who_is_further_out_than_ever_before_stands_and_begins_anew() -> None:
    """As if curves had been crept along: beyond the tolerance of 1 mm nothing is accepted."""
    wall = Wall(0.5)
    motion_filter = started(1, 0.5, guard=wall)
    wall.at = 0.4995
    assert follow(motion_filter, 1, -1.0).velocity[0, 0] == pytest.approx(-0.1)
    motion_filter = started(1, 0.5, guard=wall)
    wall.at = 0.45
    assert follow(motion_filter, 20, -1.0).position[0, 0] == 0.5
    motion_filter.start(motion_filter.position)
    assert follow(motion_filter, 20, -1.0).position[0, 0] < 0.4


def test_the_guard_is_asked_once_a_tick_and_not_at_all_by_a_brake() -> None:
    wall = Wall(0.5)
    motion_filter = started(1, 0.0, guard=wall)
    before = wall.calls
    follow(motion_filter, 7, 1.0)
    assert wall.calls == before + 7
    motion_filter.brake()
    assert wall.calls == before + 7


@pytest.mark.parametrize('answer', [math.nan, math.inf])
def test_a_guard_without_an_answer_lets_nothing_move(answer: float) -> None:
    class Silent:
        silent = False

        def violation(self, position: Any) -> Any:
            return np.full(len(position), answer if self.silent else -1.0)

    guard = Silent()
    motion_filter = started(1, 0.0, guard=guard)
    follow(motion_filter, 5, 1.0)
    guard.silent = True
    speeds = [follow(motion_filter, 1, 1.0).velocity[0, 0] for _ in range(6)]
    assert speeds == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0, 0.0])
    motion_filter.start(np.zeros((1, 1)))
    assert follow(motion_filter, 5, 1.0).velocity[0, 0] == 0.0


def test_nobody_creeps_outwards_in_a_corner() -> None:
    """Arms pressed into walls and corners in changing directions, ten minutes of them in all."""
    motion_filter = MotionFilter(limits(), PERIOD, arms=64, guard=GUARD)
    motion_filter.start(np.tile(INSIDE, (64, 1)))
    generator = np.random.default_rng(1)
    allowed = 1e-3 + motion_filter.chord_m(REACH)
    pressing = generator.normal(0.0, 1.0, (64, 2))
    for tick in range(1000):
        if tick % 10 == 0:
            pressing = generator.normal([0.4, -0.2], 1.0, (64, 2))
        motion = motion_filter.follow(pressing)
        assert GUARD.violation(motion.position).max() <= allowed


def test_the_chord_is_what_it_is_said_to_be() -> None:
    """Sum of speeds 2 rad/s, T = 0.1 s: half a brake turns by 0.05 rad, 0.7 * 0.0025 / 8 m."""
    assert started(2).chord_m(0.7) == pytest.approx(0.7 * 0.05**2 / 8)


def test_an_anchor_takes_a_share_of_the_difference() -> None:
    motion_filter = started(2)
    motion_filter.anchor(np.array([[0.001, -0.002]]), 0.25)
    assert motion_filter.position[0] == pytest.approx([0.00025, -0.0005])
    assert motion_filter.velocity.tolist() == [[0.0, 0.0]]
    # At most a tenth of what the velocity limit allows in a tick.
    motion_filter.anchor(np.array([[1.0, math.nan]]), 1.0)
    assert motion_filter.position[0] == pytest.approx([0.00125, -0.0005])


def test_an_anchor_follows_an_arm_that_drifts() -> None:
    """An arm that does 98 % of what it is told is followed to a constant difference."""
    motion_filter = started(1, -1.0)
    arm = -1.0
    for _ in range(150):
        motion_filter.anchor(np.array([[arm]]), 0.1)
        arm += 0.98 * PERIOD * follow(motion_filter, 1, 1.0).velocity[0, 0]
    # 0.1 * difference = 0.02 * 0.01 a tick.
    assert motion_filter.position[0, 0] - arm == pytest.approx(0.002, rel=0.02)


def test_an_anchor_never_takes_the_verified_stop_away() -> None:
    for guard in (None, Wall(1.9)):
        end = 2.0 if guard is None else 1.9
        motion_filter = started(1, 1.6, guard=guard)
        for _ in range(100):
            motion = follow(motion_filter, 1, 1.0)
            motion_filter.anchor(np.array([[3.0]]), 1.0)
            speed = motion.velocity[0, 0]
            assert motion_filter.position[0, 0] + speed * speed / 20 <= end + 1e-9
        for _ in range(10):
            assert motion_filter.brake().position[0, 0] <= end + 1e-12


@pytest.mark.parametrize(
    ('guard', 'at', 'velocity', 'kept'),
    [
        # A brake from 1 rad/s takes 0.05 rad; the limit is at 2 rad, the wall at 1.9.
        (None, 1.94, 1.0, True),
        (None, 1.96, 1.0, False),
        (None, 1.96, -1.0, True),
        (None, 0.0, 1.01, False),
        (None, 2.5, 0.1, False),
        (None, 2.5, -1.0, True),
        (Wall(1.9), 1.84, 1.0, True),
        (Wall(1.9), 1.86, 1.0, False),
    ],
)
def test_a_motion_without_a_verified_stop_is_not_gone_on_with(
    guard: Wall | None, at: float, velocity: float, kept: bool
) -> None:
    motion_filter = started(1, guard=guard)
    motion_filter.resume(np.array([[at]]), np.array([[velocity]]))
    assert motion_filter.velocity[0, 0] == (velocity if kept else 0.0)
    assert motion_filter.position[0, 0] == at
    end = max(2.0 if guard is None else 1.9, at)
    for _ in range(10):
        assert follow(motion_filter, 1, 1.0).position[0, 0] <= end + 1e-9


def test_a_motion_that_was_saved_goes_on_as_it_was() -> None:
    """At any tick of a random walk, braking ones near a wall too."""
    rng = np.random.default_rng(3)
    walking, resumed = started(2, *INSIDE, guard=GUARD), started(2, *INSIDE, guard=GUARD)
    wanted = np.zeros((1, 2))
    for tick in range(2000):
        if tick % 20 == 0:
            wanted = rng.uniform(-1.2, 1.2, (1, 2))
        walking.follow(wanted)
        resumed.resume(walking.position, walking.velocity)
        assert (resumed.velocity == walking.velocity).all()


def test_wrong_arguments_are_refused() -> None:
    for period in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match='period_s'):
            MotionFilter(limits(), period)
    with pytest.raises(ConfigError, match='arms'):
        MotionFilter(limits(), PERIOD, arms=0)
    for tolerance in (-1.0, math.nan):
        with pytest.raises(ConfigError, match='guard_tolerance_m'):
            MotionFilter(limits(), PERIOD, guard_tolerance_m=tolerance)
    motion_filter = started(2)
    for call in (motion_filter.follow, motion_filter.start, lambda x: motion_filter.anchor(x, 0.1)):
        with pytest.raises(ShapeError, match='expected'):
            call(np.zeros(2))
    with pytest.raises(InvalidValueError, match='finite positions'):
        motion_filter.start(np.array([[0.0, math.nan]]))


def test_no_numbers_are_no_motion() -> None:
    for position, velocity in ((math.nan, 0.0), (0.0, math.inf)):
        with pytest.raises(InvalidValueError, match='finite'):
            started(1).resume(np.array([[position]]), np.array([[velocity]]))


def test_a_guard_of_another_shape_is_refused() -> None:
    class Flat:
        def violation(self, position: Any) -> Any:
            return -1.0

    with pytest.raises(ShapeError, match='guard: expected a violation for each'):
        started(1, 0.0, guard=Flat())


def test_no_motion_is_commanded_before_the_arms_place_is() -> None:
    """Whatever has produced it."""
    checker = CommandChecker(limits(), PERIOD, anchored=False)
    motion = Motion(np.zeros((1, 2)), np.zeros((1, 2)), np.zeros(1, np.uint8))
    assert checker.take(motion) == 'a motion before the first position'
    assert checker.position is None
    checker.begin(np.zeros(2))
    assert checker.take(motion) == ''
