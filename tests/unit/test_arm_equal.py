"""The vectorised arm and the live pipeline are one arm: the same numbers, period by period.

The live side is made of what its nodes are made of: the supervisor with its filter and guard, the
controllers and servos of the driver, the episodes of the environment. Rewards and observations
are equal to 1e-6; bit for bit is not promised: a servo comes to ``v + (u - v)``, which is ``u`` but
for rounding, and where velocities are commanded the reference is pulled towards the measured arm.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('mujoco')

import yaml

from nrl_ros.base.records import StepResult
from nrl_ros.base.settings import load
from nrl_ros.robots.arm.controllers import Controllers
from nrl_ros.robots.arm.controllers import Mode as OrderMode
from nrl_ros.robots.arm.episode import ReachEpisodes
from nrl_ros.robots.arm.homing import way_home
from nrl_ros.robots.arm.plant import ServoPlant
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.robots.arm.trajectory import Trajectory
from nrl_ros.robots.safety.braking import Limited
from nrl_ros.robots.safety.motion import MotionFilter
from nrl_ros.robots.safety.records import Mode
from nrl_ros.robots.safety.settings import SupervisorSettings
from nrl_ros.robots.safety.supervisor import Supervisor
from sim_bridge.arm import ArmBridge

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-6
ONE = np.ones(1, np.bool_)
# As the safety node has it for velocities.
ANCHOR_GAIN = 0.05
TASK = {
    'action_every': 5,
    'observation.joints': 'sine',
    'target.low_m': (-0.3, -0.3, 0.0),
    'target.high_m': (0.3, 0.3, 0.001),
    'target.centre_m': (0.0, 0.0, 0.0),
    'reward.action_cost': 0.1,
    'reward.smoothness_cost': 0.05,
    'episode.steps': 40,
    'simulation.guard': True,
}


class Live:
    """Driver, safety node and environment without ROS, in the order in which they take turns."""

    def __init__(self, settings: ReachSettings, interface: str) -> None:
        self.robot = robot = load_robot(settings.robot)
        self.settings, self.interface = settings, interface
        self.episodes = ReachEpisodes(robot, settings, 1)
        self.spec = self.episodes.spec
        self.supervisor = Supervisor(
            SupervisorSettings(
                anchor_gain=ANCHOR_GAIN if interface == 'velocity' else 0.0,
                settle_s=0.0,
                listen_s=0.0,
            ),
            MotionFilter(robot.limits, robot.period_s, guard=robot.guard()),
            robot.hard,
        )
        self.plant = ServoPlant(robot.model, 1, robot.period_s)
        self.plant.reset(robot.home)
        self.controllers = Controllers(robot.model.joints, robot.period_s)
        self.wanted = np.zeros((1, len(robot.joints)))
        self.periods = self.sequence = self.limited = 0
        # The first one begins where the arm is, and moves nothing.
        self.period(self.wanted)

    def period(self, wanted: Any) -> None:
        """A joint state, a command, a tick, and what the driver makes of it."""
        now = self.periods * self.robot.period_s
        self.supervisor.on_state(now, self.plant.position[0], self.plant.velocity[0], 0.0)
        self.sequence += 1
        self.supervisor.on_command(now, wanted[0], self.sequence)
        output = self.supervisor.tick(now)
        assert output.mode in (Mode.HOLDING, Mode.FOLLOWING), output.text
        assert output.position is not None and output.velocity is not None
        self.limited |= output.limited
        self.tell(output.position, output.velocity, now)
        order = self.controllers.update(now, self.plant.position[0], self.plant.velocity[0])
        value = order.value
        if order.mode is OrderMode.POSITION:
            value = self.plant.velocity_toward(value)
        self.plant.step(value)
        self.periods += 1

    def tell(self, position: Any, velocity: Any, now: float) -> None:
        if self.interface == 'velocity':
            self.controllers.command_velocity(velocity, now)
        elif self.interface == 'position':
            self.controllers.command_position(position, now)
        else:
            # Due with the next joint state; a controller is given longer in practice, and lags.
            seconds = [self.robot.period_s]
            still = [np.zeros_like(velocity)]
            joints = self.robot.joints
            trajectory = Trajectory.of_points(joints, joints, seconds, [position], still)
            self.controllers.command_trajectory(trajectory, now)

    def reset(self, seed: int) -> Any:
        self.episodes.seed(seed)
        self.begin()
        return self.episodes.observe(self.plant.position, self.plant.velocity)

    def begin(self) -> None:
        self.episodes.begin(ONE, self.plant.position)

    def close(self) -> None:
        """Nothing is held."""

    def go_home(self) -> None:
        """As between the episodes of a real arm, until rounding is all that is left."""
        share = self.settings.homing.speed_share
        speed = np.array(self.robot.hard.velocity)
        for _ in range(5000):
            place = self.plant.position[0]
            if np.abs(place - self.robot.home).max() < 1e-10 > np.abs(self.plant.velocity).max():
                return
            self.period(way_home(place, self.robot.home, speed, share)[None])
        raise AssertionError(f'at {place}, not at home')

    def step(self, action: Any) -> StepResult:
        """An action and its periods; after an end, the way home and a period that stands."""
        started = self.episodes.state.ended.copy()
        if started[0] and self.settings.episode.home_every:
            self.go_home()
        wanted = self.episodes.task.wanted_velocity(action)
        wanted[started] = 0.0
        for _ in range(self.settings.action_every):
            self.period(wanted)
        if started[0]:
            self.begin()
        return self.episodes.finish(self.plant.position, self.plant.velocity, wanted, started)


def boxed(tmp_path: Any) -> str:
    """The planar arm in a room that is too small for it, so that there are walls to run into."""
    robot = yaml.safe_load((ROOT / 'config' / 'robots' / 'planar.yaml').read_text())
    robot['workspace'] |= {'low_m': [-0.5, -0.45, -0.1], 'high_m': [0.6, 0.62, 0.5]}
    robot['limits'] |= {'position_low_rad': [-1.2, -1.5], 'position_high_rad': [1.6, 2.0]}
    path = tmp_path / 'boxed.yaml'
    path.write_text(yaml.safe_dump(robot))
    return str(path)


def actions(kind: str, steps: int, speed: float, seed: int) -> Any:
    """Velocities [steps, 1, 2]: of a policy, or ones that press on for a while."""
    random = np.random.default_rng(seed)
    if kind == 'random':
        return random.uniform(-speed, speed, (steps, 1, 2)).astype(np.float32)
    pressed = random.choice([-speed, speed], (steps // 10 + 1, 1, 2))
    return np.repeat(pressed, 10, axis=0)[:steps].astype(np.float32)


def pair(tmp_path: Any, interface: str, **more: Any) -> tuple[ArmBridge, Live]:
    flat = {**TASK, 'robot': boxed(tmp_path), **more}
    settings = load(ReachSettings, flat, source='test')
    return ArmBridge(1, settings), Live(settings, interface)


def compare(simulated: ArmBridge, live: Live, moves: Any, seed: int) -> int:
    """Step both and compare; returns how many episodes ended."""
    first = simulated.reset(seed), live.reset(seed)
    np.testing.assert_allclose(first[0], first[1], rtol=0, atol=TOLERANCE)
    ended = 0
    for action in moves:
        one, other = simulated.step(action), live.step(action)
        for name in ('observation', 'reward', 'metrics'):
            np.testing.assert_allclose(
                getattr(one, name), getattr(other, name), rtol=0, atol=TOLERANCE, err_msg=name
            )
        for name in ('terminated', 'truncated', 'aborted'):
            assert getattr(one, name).tolist() == getattr(other, name).tolist()
        ended += int(one.truncated[0] | one.terminated[0])
    return ended


@pytest.mark.parametrize('interface', ['velocity', 'position', 'trajectory'])
@pytest.mark.parametrize('kind', ['random', 'pressing'])
def test_simulated_and_live_arm_are_the_same(tmp_path, kind, interface):
    """Several episodes, without going home between them, along joint limits and walls."""
    simulated, live = pair(tmp_path, interface, **{'episode.home_every': 0})
    moves = actions(kind, 250, simulated.spec.action.high[0], seed=3)
    assert compare(simulated, live, moves, seed=11) == 6
    if kind == 'pressing':
        touched = Limited.POSITION | Limited.WORKSPACE | Limited.ACCELERATION
        assert Limited(live.limited) & touched == touched


def test_episodes_that_begin_at_home_are_the_same(tmp_path):
    """The simulation puts the arm there, the live one is driven."""
    # Not in the small room: a wall may be in the straight way home.
    simulated, live = pair(tmp_path, 'velocity', robot='planar')
    moves = actions('pressing', 100, simulated.spec.action.high[0], seed=5)
    assert compare(simulated, live, moves, seed=7) == 2


def test_an_end_at_the_target_comes_in_the_same_step(tmp_path):
    more = {'episode.terminate_at_target': True, 'episode.success_radius_m': 0.45}
    simulated, live = pair(tmp_path, 'velocity', **more, **{'episode.home_every': 0})
    moves = actions('random', 250, simulated.spec.action.high[0], seed=1)
    # Some episodes are shorter than their 40 steps.
    assert compare(simulated, live, moves, seed=2) > 6
