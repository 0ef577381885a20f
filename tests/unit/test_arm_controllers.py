"""Controllers: what acts when, for how long, and on which way; in whole periods, exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError, InvalidValueError, ShapeError
from nrl_ros.robots.arm.controllers import Controllers, JointSensor, Mode, Order
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.plant import ServoPlant
from nrl_ros.robots.arm.trajectory import Trajectory

JOINTS = ('joint1', 'joint2')
PERIOD = 0.01
REST = np.zeros(2)


def points(time_s, position, velocity=(), names=JOINTS) -> Trajectory:
    return Trajectory.of_points(JOINTS, names, time_s, position, velocity)


def same(order: Order, mode: Mode, value) -> None:
    assert order.mode is mode
    np.testing.assert_allclose(order.value, value, rtol=0, atol=1e-12)


def test_without_a_command_the_arm_is_held_where_it_was_first_seen() -> None:
    controllers = Controllers(JOINTS, PERIOD)
    here = np.array([0.3, -0.2])
    same(controllers.update(0.0, here, REST), Mode.POSITION, here)
    # It is pushed away: the order does not give way.
    same(controllers.update(PERIOD, here + 0.1, REST), Mode.POSITION, here)


def test_the_newest_command_acts_until_another_comes() -> None:
    controllers = Controllers(JOINTS, PERIOD)
    controllers.command_velocity([1.0, 2.0], 0.0)
    for step in range(1000):
        same(controllers.update(step * PERIOD, REST, REST), Mode.VELOCITY, [1.0, 2.0])
    controllers.command_velocity([5.0, 5.0], 10.0)
    controllers.command_position([0.1, 0.2], 10.0)
    same(controllers.update(10.0, REST, REST), Mode.POSITION, [0.1, 0.2])


def test_a_command_is_not_changed_by_whoever_gave_it() -> None:
    controllers = Controllers(JOINTS, PERIOD)
    values = np.array([1.0, 2.0])
    controllers.command_velocity(values, 0.0)
    values[:] = 9.0
    same(controllers.update(0.0, REST, REST), Mode.VELOCITY, [1.0, 2.0])


def test_a_velocity_ends_exactly_at_the_timeout() -> None:
    controllers = Controllers(JOINTS, PERIOD, timeout_s=0.1)
    controllers.command_velocity([1.0, 1.0], 0.0)
    speeds = [controllers.update(step * PERIOD, REST, REST).value[0] for step in range(14)]
    assert speeds == [1.0] * 10 + [0.0] * 4
    # Another command counts from its own time.
    controllers.command_velocity([2.0, 2.0], 0.2)
    speeds = [controllers.update(0.2 + step * PERIOD, REST, REST).value[0] for step in range(12)]
    assert speeds == [2.0] * 10 + [0.0] * 2


def test_a_position_is_held_where_the_arm_is_at_the_timeout() -> None:
    controllers = Controllers(JOINTS, PERIOD, timeout_s=0.1)
    controllers.command_position([1.0, 1.0], 0.0)
    for step in range(12):
        order = controllers.update(step * PERIOD, np.full(2, 0.02 * step), REST)
        same(order, Mode.POSITION, [1.0, 1.0] if step < 10 else [0.2, 0.2])


@pytest.mark.parametrize('periods', [0, 1, 7])
def test_commands_act_exactly_so_much_later(periods: int) -> None:
    controllers = Controllers(JOINTS, PERIOD, latency_s=periods * PERIOD)
    seen = []
    for step in range(20):
        controllers.command_velocity([float(step + 1), 0.0], step * PERIOD)
        order = controllers.update(step * PERIOD, REST, REST)
        seen.append(order.value[0] if order.mode is Mode.VELOCITY else None)
    assert seen == [None] * periods + [float(step + 1) for step in range(20 - periods)]


def test_commands_do_not_overtake_one_another_when_the_latency_falls() -> None:
    controllers = Controllers(JOINTS, PERIOD, latency_s=0.05)
    controllers.command_velocity([1.0, 0.0], 0.0)
    controllers.latency_s = 0.0
    controllers.command_velocity([2.0, 0.0], PERIOD)
    values = [controllers.update(step * PERIOD, REST, REST).value[0] for step in range(1, 7)]
    assert values == [0.0] * 4 + [2.0] * 2


def test_holding_forgets_what_was_commanded_and_what_was_still_to_act() -> None:
    controllers = Controllers(JOINTS, PERIOD, latency_s=0.02)
    controllers.command_velocity([1.0, 1.0], 0.0)
    same(controllers.update(0.02, REST, REST), Mode.VELOCITY, [1.0, 1.0])
    controllers.command_velocity([2.0, 2.0], 0.02)
    controllers.hold()
    here = np.array([0.3, 0.4])
    for step in range(3, 9):
        same(controllers.update(step * PERIOD, here + 0.01 * (step - 3), REST), Mode.POSITION, here)


# --------------------------------------------------------------- trajectories


def test_a_trajectory_leads_straight_through_its_points_and_stays_at_the_last() -> None:
    trajectory = points([1.0, 3.0], [[1.0, 0.0], [2.0, 4.0]])
    controllers = Controllers(JOINTS, PERIOD)
    controllers.command_trajectory(trajectory, 5.0)
    start = np.array([0.5, -1.0])
    for elapsed, wanted in (
        (0.0, start + 0.01 * (np.array([1.0, 0.0]) - start)),
        (0.49, [0.75, -0.5]),
        (0.99, [1.0, 0.0]),
        (1.99, [1.5, 2.0]),
        (2.99, [2.0, 4.0]),
        (50.0, [2.0, 4.0]),
    ):
        # What is ordered is where the joints are to be at the end of the period.
        same(controllers.update(5.0 + elapsed, start, REST), Mode.POSITION, wanted)


def test_with_velocities_the_way_is_the_cubic_that_has_them() -> None:
    """From 0 to 1 in 2 s, from rest: 3 u^2 - 2 u^3; from velocity v also 2 v u (1 - u)^2."""
    trajectory = points([2.0], [[1.0, 1.0]], [[0.0, 0.0]]).onward(0.0, REST, np.array([0.0, 0.7]))
    for time_s in np.linspace(0.0, 2.0, 9):
        u = time_s / 2.0
        rest = 3.0 * u**2 - 2.0 * u**3
        wanted = [rest, rest + 2.0 * 0.7 * u * (1.0 - u) ** 2]
        np.testing.assert_allclose(trajectory.at(time_s), wanted, rtol=0, atol=1e-12)


def test_names_bring_the_points_into_the_arms_order() -> None:
    trajectory = points(
        [1.0, 2.0], [[1.0, 10.0], [2.0, 20.0]], [[3.0, 30.0], [0.0, 0.0]], ('joint2', 'joint1')
    )
    assert trajectory.position.tolist() == [[10.0, 1.0], [20.0, 2.0]]
    assert trajectory.velocity is not None
    assert trajectory.velocity.tolist() == [[30.0, 3.0], [0.0, 0.0]]


def test_a_new_trajectory_begins_where_the_old_one_has_brought_the_arm() -> None:
    controllers = Controllers(JOINTS, PERIOD)
    controllers.command_trajectory(points([1.0], [[1.0, 1.0]]), 0.0)
    controllers.update(0.0, REST, REST)
    halfway = controllers.update(0.49, REST, REST).value
    controllers.command_trajectory(points([1.0], [[0.0, 0.0]]), 0.5)
    same(controllers.update(0.5, halfway, REST), Mode.POSITION, 0.99 * halfway)
    same(controllers.update(1.49, halfway, REST), Mode.POSITION, [0.0, 0.0])


def test_an_empty_trajectory_stops_the_arm_where_it_is() -> None:
    controllers = Controllers(JOINTS, PERIOD)
    controllers.command_trajectory(points([1.0], [[1.0, 1.0]]), 0.0)
    controllers.update(0.0, REST, REST)
    controllers.command_trajectory(points([], []), 0.3)
    here = np.array([0.3, 0.3])
    same(controllers.update(0.3, here, REST), Mode.POSITION, here)
    same(controllers.update(0.9, here + 0.1, REST), Mode.POSITION, here)


def test_a_single_point_at_time_0_is_the_goal_at_once() -> None:
    controllers = Controllers(JOINTS, PERIOD)
    controllers.command_trajectory(points([0.0], [[0.4, 0.5]]), 1.0)
    same(controllers.update(1.0, REST, REST), Mode.POSITION, [0.4, 0.5])


def test_a_stamp_sets_the_time_that_the_points_count_from() -> None:
    late, early = Controllers(JOINTS, PERIOD), Controllers(JOINTS, PERIOD)
    trajectory = points([1.0, 2.0], [[1.0, 1.0], [3.0, 3.0]])
    # Half of it is over: from here straight to the second point, which stays due at 2 s.
    late.command_trajectory(trajectory, 1.5, start_s=0.0)
    same(late.update(1.5, REST, REST), Mode.POSITION, [0.06, 0.06])
    same(late.update(1.99, REST, REST), Mode.POSITION, [3.0, 3.0])
    # It is to begin in a second: two seconds are there for the way to the first point.
    early.command_trajectory(trajectory, 0.0, start_s=1.0)
    early.update(0.0, REST, REST)
    same(early.update(0.99, REST, REST), Mode.POSITION, [0.5, 0.5])
    with pytest.raises(InvalidValueError, match='ended 0.500 s ago'):
        late.command_trajectory(trajectory, 2.5, start_s=0.0)


def test_a_trajectory_outlives_the_timeout_and_is_delayed_by_the_latency() -> None:
    controllers = Controllers(JOINTS, PERIOD, timeout_s=0.05, latency_s=0.02)
    controllers.command_trajectory(points([1.0], [[1.0, 1.0]]), 0.0)
    same(controllers.update(0.01, REST, REST), Mode.POSITION, REST)
    same(controllers.update(0.02, REST, REST), Mode.POSITION, [0.01, 0.01])
    same(controllers.update(1.01, REST, REST), Mode.POSITION, [1.0, 1.0])


def test_with_a_plant_the_arm_is_where_the_trajectory_says_at_every_period() -> None:
    arm = ArmModel.from_file('planar')
    plant = ServoPlant(arm, 1, PERIOD)
    controllers = Controllers(arm.joints, PERIOD)
    trajectory = points([0.5, 1.0], [[0.4, -0.3], [0.2, 0.5]], [[0.1, 0.1], [0.0, 0.0]])
    controllers.command_trajectory(trajectory, 0.0)
    whole = trajectory.onward(0.0, REST, REST)
    for step in range(120):
        order = controllers.update(step * PERIOD, plant.position[0], plant.velocity[0])
        plant.step(plant.velocity_toward(order.value))
        wanted = whole.at((step + 1) * PERIOD)
        np.testing.assert_allclose(plant.position[0], wanted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(plant.position[0], [0.2, 0.5], rtol=0, atol=1e-12)


# ------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ('value', 'error'),
    [
        ([], ShapeError),
        ([1.0], ShapeError),
        ([[1.0, 2.0]], ShapeError),
        ([1.0, math.nan], InvalidValueError),
        ([1.0, -math.inf], InvalidValueError),
    ],
)
def test_what_is_no_command_is_refused_and_the_last_one_acts_on(value, error) -> None:
    controllers = Controllers(JOINTS, PERIOD)
    controllers.command_velocity([1.0, 2.0], 0.0)
    for command in (controllers.command_velocity, controllers.command_position):
        with pytest.raises(error, match='command: expected'):
            command(value, 0.0)
    same(controllers.update(0.0, REST, REST), Mode.VELOCITY, [1.0, 2.0])


@pytest.mark.parametrize(
    ('options', 'error', 'said'),
    [
        ({'names': ('joint1', 'joint3')}, InvalidValueError, 'names the joints'),
        ({'names': ('joint1',)}, InvalidValueError, 'names the joints'),
        ({'time_s': [1.0, 1.0]}, InvalidValueError, 'rise'),
        ({'time_s': [-1.0, 1.0]}, InvalidValueError, 'rise'),
        ({'time_s': [1.0, math.nan]}, InvalidValueError, 'rise'),
        ({'time_s': [1.0]}, ShapeError, '2 positions, 1 times'),
        ({'position': [[1.0, 2.0], [1.0]]}, ShapeError, 'positions: expected 2'),
        ({'position': [[1.0, 2.0], [1.0, math.inf]]}, InvalidValueError, 'finite'),
        ({'velocity': [[1.0, 1.0], []]}, ShapeError, 'velocities: expected 2'),
        ({'velocity': [[1.0, 1.0], [1.0, 0.0]]}, InvalidValueError, 'at rest'),
    ],
)
def test_what_is_no_trajectory_is_refused(options, error, said) -> None:
    whole = {'time_s': [1.0, 2.0], 'position': [[0.0, 0.0], [1.0, 1.0]]}
    with pytest.raises(error, match=said):
        points(**(whole | options))


# --------------------------------------------------------------------- sensor


def test_a_perfect_sensor_tells_the_truth() -> None:
    sensor = JointSensor(np.random.default_rng(0))
    seen = sensor.read(np.array([0.1, 0.2]), np.array([0.3, 0.4]))
    assert seen is not None
    assert [values.tolist() for values in seen] == [[0.1, 0.2], [0.3, 0.4]]


def test_noise_and_losses_have_the_size_that_was_asked_for() -> None:
    sensor = JointSensor(
        np.random.default_rng(1), position_noise=0.01, velocity_noise=0.2, drop_share=0.3
    )
    reads = [sensor.read(REST, REST) for _ in range(20000)]
    got = np.array([read for read in reads if read is not None])
    # Four standard errors.
    assert 1.0 - len(got) / 20000 == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / 20000))
    assert got[:, 0].std() == pytest.approx(0.01, rel=4 / math.sqrt(2 * got[:, 0].size))
    assert got[:, 1].std() == pytest.approx(0.2, rel=4 / math.sqrt(2 * got[:, 1].size))


def test_losses_do_not_shift_the_noise_of_later_messages() -> None:
    def last(drop_share: float):
        sensor = JointSensor(np.random.default_rng(2), position_noise=1.0, drop_share=drop_share)
        for _ in range(10):
            sensor.read(REST, REST)
        sensor.drop_share = 0.0
        return sensor.read(REST, REST)[0].tolist()

    assert last(0.0) == last(0.9)


@pytest.mark.parametrize(
    'options', [{'position_noise': -1.0}, {'velocity_noise': math.nan}, {'drop_share': 1.5}]
)
def test_a_sensor_that_cannot_be_is_refused(options) -> None:
    with pytest.raises(ConfigError, match='drop_share'):
        JointSensor(np.random.default_rng(0), **options)
