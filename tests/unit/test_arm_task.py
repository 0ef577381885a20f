"""Descriptions of arms, the reaching task, and many simulated arms that reach."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import CheckpointError, ConfigError, ShapeError
from nrl_ros.base.records import ActionKind, AgentInfo, Delivery
from nrl_ros.environments.contract import check_bridge
from nrl_ros.environments.registry import make_bridge
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.settings import LearnerSettings
from nrl_ros.robots.arm.description import RobotDescription, read_robot
from nrl_ros.robots.arm.episode import ReachEpisodes
from nrl_ros.robots.arm.homing import Homing, way_home
from nrl_ros.robots.arm.joint_usage import JointUsage
from nrl_ros.robots.arm.robot import Robot, load_robot, make_robot
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.robots.arm.targets import Poses, Targets
from nrl_ros.robots.arm.task import ReachTask
from nrl_ros.robots.safety.motion import MotionFilter
from sim_bridge.arm import ArmBridge
from tests.unit.fakes import same

ROOT = Path(__file__).parents[2]
ROBOTS = sorted(path.stem for path in (ROOT / 'config/robots').glob('*.yaml'))
PLANAR: dict[str, Any] = {
    'robot': 'planar',
    'action_every': 4,
    'target': {
        'low_m': [-0.6, -0.6, -0.01],
        'high_m': [0.6, 0.6, 0.01],
        'near_m': 0.25,
        'far_m': 0.6,
        'centre_m': [0.0, 0.0, 0.0],
    },
    'episode': {'steps': 12},
}


def planar(**changes: Any) -> ReachSettings:
    return ReachSettings.model_validate(PLANAR | changes)


@pytest.fixture(scope='module')
def robot() -> Robot:
    return load_robot('planar')


# ------------------------------------------------------------- descriptions


@pytest.mark.parametrize('name', ROBOTS)
def test_every_shipped_description_is_valid_and_cautious(name: str) -> None:
    description = read_robot(name)
    assert description.limits.margin_rad > 0.0
    assert description.watchdog.command_timeout_s <= 0.5
    if description.model != 'robot_description':
        made = make_robot(description)
        assert len(made.home) == len(made.joints) == made.model.size
        assert (np.array(made.limits.velocity) <= made.model.velocity).all()


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('nam: x', "unknown parameter 'nam', did you mean 'name'"),
        ('limits: {velocity_rad: [1]}', "did you mean 'limits.velocity_rad_s'"),
        ('model: planar\nlimits: {velocity_rad_s: [9.0, 9.0, 9.0]}', '1 or 2 numbers'),
        ('model: planar\nlimits: {position_low_rad: [-99.0]}', 'is wider than its model allows'),
        ('model: planar\nlimits: {velocity_rad_s: [99.0]}', 'velocity_rad_s of joint1 is wider'),
        ('model: planar\nhome_rad: [2.57, 0]\nlimits: {position_high_rad: [2.6]}', 'home_rad of'),
        ('model: planar\nworkspace: {high_m: [0.5, 0.5, 0.5]}', 'outside of its workspace'),
        ('model: planar\nlimits: {velocity_rad_s: [.nan]}', 'should be a finite'),
        ('model: planar\njoints: [joint1, joint_2]', "'joint_2'"),
        ('model: robot_description', 'its model comes from the topic'),
        ('model: nowhere.urdf', 'nowhere.urdf'),
        ('- 1', 'expected the groups of a robot description'),
    ],
)
def test_a_wrong_description_says_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / 'arm.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_robot(str(path))
    assert said in str(error.value)


def test_a_model_beside_its_description_is_found(tmp_path: Path) -> None:
    (tmp_path / 'own.xml').write_text((ROOT / 'nrl_ros/robots/arm/models/planar.xml').read_text())
    (tmp_path / 'arm.yaml').write_text('model: own.xml\nworkspace: {low_m: [-1, -1, -1]}')
    assert load_robot(str(tmp_path / 'arm.yaml')).joints == ('joint1', 'joint2')


def test_a_share_lowers_speeds_and_keeps_the_manifest(robot: Robot) -> None:
    slow = load_robot('planar', share=0.1)
    assert slow.limits.velocity == pytest.approx([0.15, 0.15])
    assert slow.limits.stop_acceleration == robot.limits.stop_acceleration
    assert slow.digest() == robot.digest()


def test_margins_are_kept(robot: Robot) -> None:
    assert robot.hard.position_low == (-2.6, -2.4)
    assert robot.limits.position_low == pytest.approx((-2.55, -2.35))
    # Stretched along x the tool is at 0.7, the wall's margin begins at 0.74.
    violation = robot.guard().violation(np.array([[0.0, 0.0]]))
    assert violation == pytest.approx([-0.04])


# -------------------------------------------------------------------- task


def test_what_is_seen_in_order_and_scale(robot: Robot) -> None:
    task = ReachTask(robot, planar())
    seen = task.observe(
        np.array([[1.3, -1.2]]),
        np.array([[0.75, -1.5]]),
        np.array([[0.375, 0.0, 0.2]]),
        np.array([[0.375, 0.3, 0.6]]),
    )
    # Joints over 2.6 and 2.4 rad, speeds over 1.5 rad/s, places in a box of 0.75, 0.75, 0.3 m
    # around (0, 0, 0.2), and an error of 0.5 m over 0.1 + 0.5.
    expected = [0.5, -0.5, 0.5, -1.0, 0.5, 0.0, 0.0, 0.5, 0.4, 4.0 / 3.0, 0.0, 0.5, 2.0 / 3.0]
    assert seen.dtype == np.float32
    assert seen[0] == pytest.approx(expected, rel=1e-6)


def test_joints_as_sine_and_cosine(robot: Robot) -> None:
    task = ReachTask(robot, planar(observation={'joints': 'sine'}))
    place = np.zeros((1, 3))
    seen = task.observe(np.array([[np.pi / 6, np.pi]]), np.zeros((1, 2)), place, place)
    assert seen.shape == (1, task.observation_size) == (1, 15)
    assert seen[0, :4] == pytest.approx([0.5, 0.0, np.sqrt(0.75), -1.0], abs=1e-6)


@pytest.mark.parametrize(
    ('action', 'given', 'velocity'),
    [
        ({}, [0.3, -1.5], [0.3, -1.5]),
        ({'kind': 'displacement'}, [0.016, -0.032], [0.5, -1.0]),
        ({'choices': 5, 'speed_share': 0.5}, [0, 3], [-0.75, 0.375]),
    ],
)
def test_what_an_action_asks_for(
    robot: Robot, action: dict[str, Any], given: list[float], velocity: list[float]
) -> None:
    task = ReachTask(robot, planar(action=action))
    assert task.period_s == pytest.approx(0.032)
    assert task.wanted_velocity(np.array([given]))[0] == pytest.approx(velocity)
    if action.get('choices'):
        assert task.action_space.kind == ActionKind.MULTI_DISCRETE
    else:
        bound = 1.5 if not action else 1.5 * 0.032
        assert task.action_space.high == pytest.approx((bound, bound))


@pytest.mark.parametrize(
    ('reward', 'expected'),
    [
        ({}, [2.0, -1.0]),
        ({'kind': 'distance', 'scale_m': 0.1}, [-0.1, -0.5]),
        ({'kind': 'success'}, [1.0, 0.0]),
        ({'action_cost': 1.0}, [2.0 - 0.5, -1.0]),
        ({'smoothness_cost': 2.0}, [2.0, -1.0 - 2.0 * 0.125]),
    ],
)
def test_rewards_by_hand(robot: Robot, reward: dict[str, Any], expected: list[float]) -> None:
    task = ReachTask(robot, planar(reward=reward))
    before, after = np.array([0.03, 0.04]), np.array([0.01, 0.05])
    wanted = np.array([[1.5, 0.0], [0.0, 0.0]])
    wanted_before = np.array([[1.5, 0.0], [0.75, 0.0]])
    last = np.array([True, True])
    got = task.reward(before, after, wanted, wanted_before, last)
    assert got == pytest.approx(expected)


def test_coming_away_from_home_costs_what_is_paid_back_on_the_way_back(robot: Robot) -> None:
    free = ReachEpisodes(robot, planar(), 1)
    episodes = ReachEpisodes(robot, planar(reward={'home_cost': 3.0}), 1)
    one, none = np.ones(1, np.bool_), np.zeros(1, np.bool_)
    still, target = np.zeros((1, 2)), Poses(np.array([[0.3, 0.2, 0.0]]), np.eye(3)[None])
    apart = [0.1, 0.0], [0.1, 0.4], [-0.2, 0.0], [0.1, 0.0]
    way = [np.array([row]) + robot.home for row in apart]
    costs = []
    for each in (free, episodes):
        each.begin(one, way[0], target)
    for position in way[1:]:
        plain = free.finish(position, still, still, none).reward[0]
        costs.append(plain - episodes.finish(position, still, still, none).reward[0])
    assert costs[0] == pytest.approx(3.0 * 0.4**2 / 2)
    assert costs[1] == pytest.approx(3.0 * (0.2**2 - 0.1**2 - 0.4**2) / 2)
    assert sum(costs) == pytest.approx(0.0)
    # What was strayed before an episode is not its fault.
    for each in (free, episodes):
        each.begin(one, way[1], target)
    plain = free.finish(way[1], still, still, none).reward[0]
    assert episodes.finish(way[1], still, still, none).reward[0] == pytest.approx(plain)


def test_random_targets_keep_to_box_and_shell() -> None:
    settings = planar().target
    points = Targets(settings, np.random.default_rng(3)).draw(2000)
    distance = np.linalg.norm(points, axis=1)
    assert distance.min() >= 0.25
    assert distance.max() <= 0.6
    assert (np.abs(points) <= (0.6, 0.6, 0.01)).all()
    # Even over the area: half of it lies beyond the radius sqrt((0.25^2 + 0.6^2) / 2).
    share = np.mean(distance > np.sqrt((0.25**2 + 0.6**2) / 2.0))
    assert abs(share - 0.5) < 0.04


def test_listed_targets_come_in_turn() -> None:
    settings = planar(target={'source': 'list', 'points_m': [0.1, 0, 0, 0.2, 0, 0, 0.3, 0, 0]})
    targets = Targets(settings.target, np.random.default_rng(0))
    taken = np.concatenate([targets.draw(2), targets.draw(2)])
    assert taken[:, 0] == pytest.approx([0.1, 0.2, 0.3, 0.1])


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        ({'target': {'source': 'list'}}, 'target.points_m must hold x, y, z'),
        ({'target': {'low_m': [1, 0, 0], 'high_m': [0, 1, 1]}}, 'must be below high_m'),
        ({'target': {'near_m': 1.0, 'far_m': 0.5}}, 'must be below far_m'),
        ({'target': {'low_m': [-9, 0, 0], 'high_m': [0, 1, 1]}}, 'targets must be within'),
        ({'target': {'source': 'topic'}}, 'exist on hardware only'),
        ({'action': {'choices': 4}}, 'odd number from 3'),
        ({'reward': {'kind': 'sucess'}}, 'reward.kind'),
        ({'robott': 'x'}, "unknown option 'robott', did you mean 'robot'?"),
        ({'robot': 'ur5'}, "unknown robot 'ur5', did you mean 'ur5e'"),
    ],
)
def test_a_wrong_task_says_what_is_wrong(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        make_bridge('arm', 1, PLANAR | changes).reset(0)
    assert said in str(error.value)


def test_the_way_home_is_straight_and_slow() -> None:
    home, limits = np.array([0.0, 1.0]), np.array([1.0, 2.0])
    fast = way_home(np.array([3.0, 1.5]), home, limits, 0.2)
    assert fast == pytest.approx([-0.2, -0.2 / 6.0])
    near = way_home(np.array([0.01, 1.0]), home, limits, 0.2)
    assert near == pytest.approx([-0.03, 0.0])


@pytest.mark.parametrize('name', ['ur5e', 'fr3'])
def test_many_simulated_arms_are_held_to_workspace_and_clearance_as_one_real_arm_is(
    name: str,
) -> None:
    """From starts that are spread beyond the guard, pressed about by actions of any direction."""
    robot = load_robot(name)
    settings = {'robot': name, 'episode': {'steps': 30, 'start_spread_rad': 0.6}}
    guard = robot.guard()

    def worst(bridge: Any) -> list[float]:
        bridge.reset(3)
        random = np.random.default_rng(1)
        found = [float(guard.violation(bridge.plant.position).max())]
        for step in range(62):
            if step % 12 == 0:
                wanted = random.choice([-1.0, 1.0], (48, len(robot.home)))
            bridge.step(wanted.astype(np.float32))
            found.append(float(guard.violation(bridge.plant.position).max()))
        return found

    bridge = make_bridge('arm', 48, settings)
    found = worst(bridge)
    assert found[0] <= 0.0
    # Arms that brake may bulge out between what the guard has seen.
    assert max(found) <= 1e-3 + MotionFilter(robot.limits, robot.period_s).chord_m(1.0)
    free = make_bridge('arm', 48, settings | {'simulation': {'guard': False}})
    assert max(worst(free)) > 0.1


def home_again(robot: Robot, walk: int) -> tuple[bool, int]:
    """Walk at random within all limits, then go home; whether it came there, times blocked."""
    random = np.random.default_rng([walk, 7])
    way = Homing(robot.home, np.array(robot.hard.velocity), 0.3)
    motion = MotionFilter(robot.limits, robot.period_s, guard=robot.guard())
    motion.start(robot.home[None])
    wanted = random.uniform(-1.0, 1.0, (1, len(robot.home)))
    for period in range(500):
        if period % 25 == 0:
            wanted = np.clip(wanted + random.normal(0.0, 0.8, wanted.shape), -1.0, 1.0)
        motion.follow(wanted)
        way.note(motion.position[0])
    for period in range(60 * 25):
        position = motion.position[0]
        if np.abs(position - robot.home).max() < 0.01:
            return True, way.blocked
        velocity = way.velocity(position, 5 * period * robot.period_s)
        for _ in range(5):
            motion.follow(velocity[None])
    return False, way.blocked


def test_it_comes_home_where_limits_block_the_straight_way() -> None:
    """From wherever a random policy has led it, within clearance and workspace."""
    robot = load_robot('ur5e')
    ends = [home_again(robot, walk) for walk in (100, 103, 107, 116)]
    assert all(there for there, _ in ends)
    assert sum(blocked for _, blocked in ends) > 0


def test_wear_adds_motion_and_leaves_out_noise_and_gaps() -> None:
    usage = JointUsage(2)
    for now, position in ((0.0, [0, 0]), (0.1, [0.2, 1e-4]), (0.2, [0.1, 0]), (9.0, [5, 5])):
        usage.moved(np.array(position, float), now)
    assert usage.way == pytest.approx([0.3, 0.0])
    assert usage.moving_s == pytest.approx(0.2)


# ------------------------------------------------------------------ bridge


@pytest.mark.parametrize(
    'changes',
    [
        {},
        {'simulation': {'physics': 'mujoco'}},
        {'simulation': {'guard': True}},
        {
            'simulation': {'time_constant_s': 0.05},
            'action': {'choices': 3},
            'episode': {'steps': 10, 'home_every': 3, 'start_spread_rad': 0.2},
        },
        {'episode': {'steps': 30, 'terminate_at_target': True, 'success_radius_m': 0.2}},
    ],
)
def test_the_bridge_keeps_its_promises(changes: dict[str, Any]) -> None:
    check_bridge('arm', instances=3, options=PLANAR | changes, steps=60)


@pytest.mark.parametrize(
    ('changes', 'told'),
    [
        ({'arms': 2}, r'episodes.target: expected float64 \[3, 3\], received float64 \[2, 3\]'),
        ({'simulation': {'physics': 'mujoco'}}, 'plant: expected position, velocity, actuator'),
        ({'broken': np.nan}, 'position, velocity: expected a finite reference'),
    ],
)
def test_a_snapshot_that_does_not_fit_changes_nothing(changes: dict[str, Any], told: str) -> None:
    arms, broken = changes.pop('arms', 3), changes.pop('broken', 0.0)
    other, bridge = ArmBridge(arms, planar(**changes)), ArmBridge(3, planar())
    other.reset(1)
    bridge.reset(2)
    snapshot, before = other.snapshot(), bridge.snapshot()
    snapshot['position'] = snapshot['position'] + broken
    with pytest.raises(CheckpointError, match=told):
        bridge.restore(snapshot)
    assert same(bridge.snapshot(), before)


def test_a_constant_velocity_by_hand() -> None:
    """From rest at 8 rad/s^2 in periods of 8 ms: speeds 0.064, 0.128, ... up to what was asked."""
    bridge = ArmBridge(1, planar())
    bridge.reset(0)
    bridge.step(np.array([[0.2, 0.0]], np.float32))
    speeds = [0.064, 0.128, 0.192, 0.2]
    assert bridge.plant.velocity[0] == pytest.approx([0.2, 0.0])
    assert bridge.plant.position[0, 0] == pytest.approx(0.4 + 0.008 * sum(speeds))
    assert bridge.plant.position[0, 1] == pytest.approx(0.8)


def test_progress_adds_up_to_the_distance_gone() -> None:
    bridge = ArmBridge(4, planar())
    bridge.reset(1)
    start = bridge.episodes.state.distance.copy()
    actions = np.random.default_rng(0).uniform(-1.5, 1.5, (12, 4, 2)).astype(np.float32)
    results = [bridge.step(action) for action in actions]
    total = np.sum([result.reward for result in results], axis=0)
    metrics = results[-1].metrics
    assert metrics is not None
    assert results[-1].truncated.all()
    assert total * 0.01 == pytest.approx(start - metrics[:, 0])
    assert (metrics[:, 1] <= metrics[:, 0] + 1e-12).all()


def test_both_physics_agree_on_a_gentle_motion() -> None:
    """MuJoCo's servos lag by a few periods; the tool ends within millimetres of the ideal one."""
    ends = []
    for physics in ('servo', 'mujoco'):
        bridge = ArmBridge(1, planar(simulation={'physics': physics}, episode={'steps': 100}))
        bridge.reset(0)
        for action in ([0.5, -0.3], [0.5, -0.3], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]):
            for _ in range(5):
                bridge.step(np.array([action], np.float32))
        ends.append(bridge.robot.chain.tool(bridge.plant.position)[0])
    assert np.linalg.norm(ends[0] - ends[1]) < 0.005


def test_a_policy_is_not_used_under_another_manifest() -> None:
    def info(agent: str, **changes: Any) -> AgentInfo:
        spec = make_bridge('arm', 1, PLANAR | changes).spec
        return AgentInfo(agent, 1, spec, True, Delivery.EVERY_STEP)

    learner = Learner(LearnerSettings())
    learner.join(info('one'))
    assert learner.join(info('same'))
    with pytest.raises(ShapeError, match=r'error / \(0.1 m .* received .* error / \(0.2 m'):
        learner.join(info('other', observation={'error_scale_m': 0.2}))
    # A velocity means the same for whichever time, so that arms of other rates join.
    assert learner.join(info('slower', action_every=7))
    with pytest.raises(ShapeError, match=r'action period: 0.2 s'):
        learner.join(info('far too slow', action_every=25))
    saved = learner.snapshot()
    assert 'joint1: -2.6 to 2.6 rad' in saved['manifest']


def test_displacements_of_another_time_are_other_actions() -> None:
    def info(agent: str, every: int) -> AgentInfo:
        changes = {'action': {'kind': 'displacement'}, 'action_every': every}
        return AgentInfo(agent, 1, make_bridge('arm', 1, PLANAR | changes).spec, True, Delivery(1))

    learner = Learner(LearnerSettings())
    learner.join(info('one', 5))
    with pytest.raises(ShapeError, match='start another learner'):
        learner.join(info('slower', 10))


def test_a_description_is_frozen() -> None:
    with pytest.raises(ValueError, match='frozen'):
        RobotDescription().name = 'other'  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_robot('planar').home = np.zeros(2)  # type: ignore[misc]


def test_of_a_moving_target_only_what_the_arm_moves_is_rewarded(robot: Robot) -> None:
    """The target jumps, the arm stands: nothing. The target stands, the arm moves: as always."""
    settings = planar(reward={'kind': 'progress', 'scale_m': 0.01})
    episodes, still = ReachEpisodes(robot, settings, 1), np.zeros(1, np.bool_)
    place = [np.array([[0.4, 0.8]]), np.array([[0.5, 0.8]])]
    tools = [robot.chain.tool(joints)[0] for joints in place]
    targets = [np.array([0.3, 0.4, 0.0]), np.array([-0.2, 0.5, 0.0])]
    poses = [Poses(point[None], np.eye(3)[None]) for point in targets]
    none = np.zeros((1, 2))
    episodes.begin(~still, place[0], poses[0])
    episodes.retarget(poses[1], place[0])
    assert episodes.finish(place[0], none, none, still).reward[0] == pytest.approx(0.0)
    episodes.retarget(poses[0], place[0])
    went = episodes.finish(place[1], none, none, still)
    gone = np.linalg.norm(tools[0] - targets[0]) - np.linalg.norm(tools[1] - targets[0])
    assert went.reward[0] == pytest.approx(gone / 0.01)
    scaled = went.observation[0, 7:10] * (0.75, 0.75, 0.3) + (0.0, 0.0, 0.2)
    np.testing.assert_allclose(scaled, targets[0], atol=1e-6)
