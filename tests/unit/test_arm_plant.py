"""Plants: lags, limits, weak joints and payloads in closed form; same commands, same bits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError, InvalidValueError, ShapeError
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.plant import MujocoPlant, Plant, ServoPlant
from tests.unit.test_arm_model import URDF

PERIOD = 0.008
PLANTS = (ServoPlant, MujocoPlant)
# One link of 0.5 m and 2 kg about y, level at 0; its servo has gain 40 and damping 2.
LEVER = """
<mujoco><option timestep="0.001"/><worldbody><body name="arm">
  <joint name="lift" axis="0 -1 0" damping="2" range="-90 90"/>
  <geom type="capsule" fromto="0 0 0 0.5 0 0" size="0.02" mass="2"/>
  <site name="tool" pos="0.5 0 0"/>
</body></worldbody>
<actuator><velocity joint="lift" kv="40" ctrlrange="-2 2" forcerange="-60 60"/></actuator></mujoco>
"""


def run(plant: Plant, command, periods: int) -> None:
    for _ in range(periods):
        plant.step(np.asarray(command, dtype=np.float64))


# ---------------------------------------------------------------- servo plant


def test_without_lag_a_command_is_followed_at_once() -> None:
    plant = ServoPlant(ArmModel.from_file('planar'), 2, PERIOD)
    run(plant, [[0.5, -0.25], [0.0, 1.0]], 10)
    np.testing.assert_allclose(plant.position, 0.08 * np.array([[0.5, -0.25], [0.0, 1.0]]))
    np.testing.assert_array_equal(plant.velocity, [[0.5, -0.25], [0.0, 1.0]])


def test_lag_of_first_order_after_n_steps() -> None:
    """v_n = c (1 - r^n) with r = exp(-T/tau), and q_n = T c (n - r (1 - r^n) / (1 - r))."""
    tau, n, c = 0.05, 17, 1.2
    plant = ServoPlant(ArmModel.from_file('planar'), 1, PERIOD, time_constant_s=tau)
    run(plant, [c, 0.0], n)
    r = math.exp(-PERIOD / tau)
    assert plant.velocity[0, 0] == pytest.approx(c * (1.0 - r**n), rel=1e-12)
    wanted = PERIOD * c * (n - r * (1.0 - r**n) / (1.0 - r))
    assert plant.position[0, 0] == pytest.approx(wanted, rel=1e-12)


def test_a_weak_joint_moves_its_share_from_the_step_on_at_which_it_weakens() -> None:
    plant = ServoPlant(ArmModel.from_file('planar'), 2, PERIOD)
    run(plant, [1.0, 1.0], 10)
    plant.actuator_effectiveness = [[1.0, 0.25], [0.0, 1.0]]
    run(plant, [1.0, 1.0], 10)
    wanted = 10 * PERIOD * np.array([[2.0, 1.25], [1.0, 2.0]])
    np.testing.assert_allclose(plant.position, wanted, rtol=1e-12)


def test_a_position_limit_stops_a_joint_and_lets_it_go_back() -> None:
    arm = ArmModel.from_file('fr3')
    plant = ServoPlant(arm, 1, PERIOD)
    # 0 is beyond the limits of joints 4 and 6: they start at the nearest.
    assert plant.position[0].tolist() == [0.0, 0.0, 0.0, -0.1518, 0.0, 0.5445, 0.0]
    run(plant, np.full(7, 2.0), 1000)
    np.testing.assert_array_equal(plant.position[0], arm.position_high)
    np.testing.assert_array_equal(plant.velocity[0], np.zeros(7))
    run(plant, np.full(7, -1.0), 1)
    np.testing.assert_allclose(plant.position[0], arm.position_high - PERIOD)


def test_commands_are_brought_within_the_velocity_limits() -> None:
    plant = ServoPlant(ArmModel.from_file('planar'), 1, PERIOD)
    plant.step(np.array([100.0, -100.0]))
    np.testing.assert_array_equal(plant.velocity, [[3.0, -3.0]])


def test_a_position_is_reached_at_the_speed_limit_and_then_exactly() -> None:
    plant = ServoPlant(ArmModel.from_file('planar'), 1, 0.1)
    target = np.array([1.0, -0.2])
    expected = [[0.3, -0.2], [0.6, -0.2], [0.9, -0.2], [1.0, -0.2], [1.0, -0.2]]
    for wanted in expected:
        plant.step(plant.velocity_toward(target))
        np.testing.assert_allclose(plant.position[0], wanted, rtol=0, atol=1e-12)


def test_a_position_behind_a_lag_is_reached_without_overshoot() -> None:
    plant = ServoPlant(ArmModel.from_file('planar'), 1, PERIOD, time_constant_s=0.05)
    highest = 0.0
    for _ in range(400):
        plant.step(plant.velocity_toward(np.array([0.5, 0.0])))
        highest = max(highest, float(plant.position[0, 0]))
    assert highest < 0.5 + 1e-3
    assert plant.position[0, 0] == pytest.approx(0.5, abs=1e-6)


# ------------------------------------------------------------- dynamics plant


@pytest.mark.parametrize('name', ['planar', 'ur5e', 'fr3'])
def test_an_idle_arm_stays(name: str) -> None:
    arm = ArmModel.from_file(name)
    plant = MujocoPlant(arm, 1, PERIOD)
    middle = np.clip(0.7, arm.position_low + 0.1, arm.position_high - 0.1)
    plant.reset(middle)
    run(plant, np.zeros(arm.size), 125)
    np.testing.assert_allclose(plant.position[0], middle, rtol=0, atol=1e-9)


@pytest.mark.parametrize('effectiveness', [1.0, 0.4])
def test_a_servo_settles_where_its_pull_and_the_damping_are_equal(effectiveness: float) -> None:
    """40 (s c - v) = 2 v."""
    plant = MujocoPlant(ArmModel.from_text(LEVER), 1, PERIOD)
    plant.actuator_effectiveness = [effectiveness]
    plant.reset([-0.8])
    run(plant, [0.6], 60)
    assert plant.velocity[0, 0] == pytest.approx(effectiveness * 0.6 * 40.0 / 42.0, rel=1e-6)


def test_a_payload_pulls_a_servo_down_and_only_that_of_its_arm() -> None:
    """With 3 kg at 0.5 m and velocity 0 commanded: (40 + 2) v = -3 g 0.5 cos q, slowly sinking."""
    plant = MujocoPlant(ArmModel.from_text(LEVER), 2, PERIOD)
    plant.set_payload(3.0, np.array([1]))
    run(plant, [0.0], 40)
    assert plant.position[0, 0] == 0.0
    sunk = -3.0 * 9.81 * 0.5 * math.cos(plant.position[1, 0]) / 42.0
    assert plant.velocity[1, 0] == pytest.approx(sunk, rel=2e-2)
    plant.set_payload(0.0)
    run(plant, [0.0], 100)
    np.testing.assert_allclose(plant.velocity, 0.0, atol=1e-6)


def test_dynamics_reach_a_position_and_stop_at_a_limit() -> None:
    plant = MujocoPlant(ArmModel.from_file('ur5e'), 1, PERIOD)
    target = np.array([0.5, -1.0, 1.2, -0.4, 0.3, 2.0])
    for _ in range(400):
        plant.step(plant.velocity_toward(target))
    np.testing.assert_allclose(plant.position[0], target, rtol=0, atol=1e-4)
    run(plant, [0.0, 0.0, 1.5, 0.0, 0.0, 0.0], 400)
    # MuJoCo's limits are stiff springs: the elbow leans into its own.
    assert plant.position[0, 2] == pytest.approx(np.pi, abs=0.05)


def test_a_period_that_is_no_multiple_of_the_time_step_is_kept() -> None:
    plant = MujocoPlant(ArmModel.from_file('planar'), 1, 0.0125)
    run(plant, [0.0, 0.0], 8)
    assert plant._data[0].time == pytest.approx(0.1, rel=1e-12)


def test_other_actuators_keys_and_sensors_make_way_for_servos() -> None:
    text = LEVER.replace(
        '<velocity joint="lift" kv="40" ctrlrange="-2 2" forcerange="-60 60"/>',
        '<position name="hold" joint="lift" kp="500"/>',
    ).replace(
        '</mujoco>',
        '<keyframe><key qpos="1" ctrl="1"/></keyframe>'
        '<sensor><actuatorfrc actuator="hold"/></sensor></mujoco>',
    )
    plant = MujocoPlant(ArmModel.from_text(text), 1, PERIOD)
    run(plant, [0.5], 60)
    # The position servo would have pulled it back to 0; damping is the drive's to overcome.
    assert plant.velocity[0, 0] == pytest.approx(0.5, rel=1e-6)


def test_an_arm_of_a_urdf_moves_though_it_names_no_motors() -> None:
    plant = MujocoPlant(ArmModel.from_text(URDF), 1, PERIOD)
    run(plant, [0.3, -0.3, 0.1], 100)
    np.testing.assert_allclose(plant.velocity[0], [0.3, -0.3, 0.1], rtol=2e-2)


# A column that turns about z and carries an arm which is stretched upwards at the reference pose,
# so that there is hardly any inertia about z then; damping and friction as vendors give them.
UPRIGHT = """
<robot name="upright"><link name="base"/>
  <link name="column"><inertial><origin xyz="0 0 0.05"/><mass value="1"/>
    <inertia ixx="0.01" ixy="0" ixz="0" iyy="0.01" iyz="0" izz="0.001"/></inertial></link>
  <link name="boom"><inertial><origin xyz="0 0 0.4"/><mass value="8"/>
    <inertia ixx="0.1" ixy="0" ixz="0" iyy="0.1" iyz="0" izz="0.01"/></inertial></link>
  <joint name="turn" type="revolute"><parent link="base"/><child link="column"/>
    <axis xyz="0 0 1"/><limit lower="-3" upper="3" effort="87" velocity="2"/>
    <dynamics damping="10" friction="5"/></joint>
  <joint name="lift" type="revolute"><parent link="column"/><child link="boom"/>
    <origin xyz="0 0 0.1"/><axis xyz="0 1 0"/><limit lower="-2" upper="2" effort="87" velocity="2"/>
    <dynamics damping="10" friction="5"/></joint>
</robot>
"""


@pytest.mark.parametrize('speed', [0.02, 0.4])
@pytest.mark.parametrize('lift', [0.0, 1.0, -1.5])
def test_commands_are_followed_within_two_percent_in_every_pose(lift: float, speed: float) -> None:
    """Whatever damping and friction the model has, and however little inertia at its reference."""
    plant = MujocoPlant(ArmModel.from_text(UPRIGHT), 1, PERIOD)
    plant.reset(np.array([0.0, lift]))
    run(plant, [speed, 0.0], 25)
    before = plant.position.copy()
    run(plant, [speed, 0.0], 25)
    went = (plant.position - before)[0] / (25 * PERIOD)
    assert went[0] == pytest.approx(speed, rel=0.02)
    assert abs(went[1]) < 0.02 * speed + 1e-3


def test_joints_that_are_not_commanded_are_held() -> None:
    arm = ArmModel.from_file('ur5e', joints=['wrist_3_joint', 'elbow_joint'])
    plant = MujocoPlant(arm, 1, PERIOD)
    run(plant, [0.5, 0.5], 100)
    moved = dict(zip(arm.joints, plant.position[0], strict=True))
    assert all(0.38 < value < 0.41 for value in moved.values())
    free = [i for i in range(6) if arm.mj.joint(i).name not in moved]
    assert np.abs(plant._data[0].qpos[free]).max() < 0.02


# ----------------------------------------------------------------------- both


@pytest.mark.parametrize('make', PLANTS)
def test_the_same_commands_give_the_same_bits(make) -> None:
    arm = ArmModel.from_file('ur5e')
    commands = np.random.default_rng(0).normal(size=(50, 3, 6))
    ends = []
    for _ in range(2):
        plant = make(arm, 3, PERIOD)
        plant.reset(np.full(6, 0.2))
        for command in commands:
            plant.step(command)
        ends.append((plant.position.copy(), plant.velocity.copy()))
    np.testing.assert_array_equal(*(position for position, _ in ends))
    np.testing.assert_array_equal(*(velocity for _, velocity in ends))


@pytest.mark.parametrize('make', PLANTS)
def test_arms_do_not_notice_one_another(make) -> None:
    arm = ArmModel.from_file('planar')
    commands = np.random.default_rng(1).normal(size=(20, 3, 2))
    together = make(arm, 3, PERIOD)
    alone = make(arm, 1, PERIOD)
    for command in commands:
        together.step(command)
        alone.step(command[1:2])
    np.testing.assert_array_equal(together.position[1], alone.position[0])


@pytest.mark.parametrize('make', PLANTS)
def test_only_the_named_arms_are_reset(make) -> None:
    plant = make(ArmModel.from_file('planar'), 3, PERIOD)
    run(plant, [1.0, 1.0], 5)
    before = plant.position.copy()
    plant.reset([[9.0, 9.0], [0.5, -0.5], [9.0, 9.0]], np.array([False, True, False]))
    np.testing.assert_array_equal(plant.position[[0, 2]], before[[0, 2]])
    np.testing.assert_array_equal(plant.position[1], [0.5, -0.5])
    np.testing.assert_array_equal(plant.velocity[1], [0.0, 0.0])
    plant.reset([0.1, 0.2])
    np.testing.assert_array_equal(plant.position, np.tile([0.1, 0.2], (3, 1)))


@pytest.mark.parametrize('make', PLANTS)
def test_what_is_no_command_is_refused_and_nothing_moves(make) -> None:
    plant = make(ArmModel.from_file('planar'), 2, PERIOD)
    for command, error in (
        (np.zeros((2, 3)), ShapeError),
        (np.zeros((1, 2)), ShapeError),
        ([0.0, np.nan], InvalidValueError),
        ([np.inf, 0.0], InvalidValueError),
    ):
        with pytest.raises(error):
            plant.step(command)
        with pytest.raises(error):
            plant.velocity_toward(command)
    with pytest.raises(InvalidValueError, match='actuator_effectiveness'):
        plant.actuator_effectiveness = [-0.1, 1.0]
    np.testing.assert_array_equal(plant.position, np.zeros((2, 2)))
    np.testing.assert_array_equal(plant.actuator_effectiveness, np.ones((2, 2)))


@pytest.mark.parametrize('options', [(0, 0.01), (1, 0.0), (1, math.nan)])
@pytest.mark.parametrize('make', PLANTS)
def test_a_plant_has_arms_and_a_period(make, options) -> None:
    with pytest.raises(ConfigError, match='received'):
        make(ArmModel.from_file('planar'), *options)


@pytest.mark.parametrize('mass', [-1.0, math.inf])
def test_a_payload_has_a_mass(mass: float) -> None:
    with pytest.raises(InvalidValueError, match='payload'):
        MujocoPlant(ArmModel.from_file('planar'), 1, PERIOD).set_payload(mass)
