"""What ``nrl robot new`` writes is accepted with no edit, and names what a person has to decide."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('mujoco')

from typer.testing import CliRunner

from nrl_ros.base.errors import ConfigError
from nrl_ros.cli import config
from nrl_ros.cli.main import app
from nrl_ros.cli.new_robot import NewRobot, write_robot
from nrl_ros.cli.options import TrainOptions
from nrl_ros.cli.plan import make_plan
from nrl_ros.robots.arm.description import read_robot
from nrl_ros.robots.arm.drafting import draft
from nrl_ros.robots.arm.inverse import Goals, InverseKinematics
from nrl_ros.robots.arm.model import source_of
from nrl_ros.robots.arm.reach import evenly, reached_targets
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.settings import TargetGroup
from nrl_ros.robots.arm.tools import tool_candidates
from tests.unit.test_arm_descriptions import LIMIT, URDF, joint, link

# Two fingers on the last link, one of which follows the other, as many grippers have.
GRIPPER = (
    '<link name="left_one"/><link name="right_one"/><joint name="open" type="prismatic">'
    '<parent link="link3"/><child link="left_one"/><origin xyz="0.3 0 0"/><axis xyz="0 1 0"/>'
    '<limit lower="0" upper="0.04" effort="1" velocity="0.1"/></joint>'
    '<joint name="follow" type="prismatic"><parent link="link3"/><child link="right_one"/>'
    '<origin xyz="0.3 0 0"/><axis xyz="0 -1 0"/><mimic joint="open"/>'
    '<limit lower="0" upper="0.04" effort="1" velocity="0.1"/></joint></robot>'
)


def new(folder: Path, urdf: str = URDF, **options: str) -> tuple[Path, Path]:
    (folder / 'own.urdf').write_text(urdf)
    return write_robot(NewRobot(folder / 'own.urdf', out=folder / 'files', **options), print)


def test_it_is_accepted_by_doctor_and_training_as_it_is(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ['robot', 'new', 'ur5e', '--out', str(tmp_path)])
    assert told.exit_code == 0 and 'nrl train' in told.output
    task = tmp_path / 'ur5e.yaml'
    doctor = CliRunner().invoke(app, ['doctor', '--task', str(task)])
    assert doctor.exit_code == 0
    share = re.search(r'can put its tool at (\d+) % of the target box', doctor.output)
    assert share is not None and int(share[1]) >= 98
    warned: list[str] = []
    plan = make_plan(TrainOptions(task=str(task), root=tmp_path / 'runs'), warned.append)
    assert plan.task == 'ur5e' and not warned
    # The settings of learning are those of the generic task.
    generic = config.read_config(config.find_config('generic'))
    assert config.read_config(task)['learner'] == generic['learner']


def test_home_box_and_limits_hold_for_an_arm_of_ones_own(tmp_path: Path) -> None:
    robot_file, task_file = new(tmp_path)
    robot = load_robot(str(robot_file))
    assert robot.joints == ('j1', 'j2', 'j3') and robot.model.tool == 'tool0'
    assert robot.description.limits.velocity_rad_s == (0.8,)
    assert robot.guard().violation(robot.home[None])[0] < -0.005
    options = config.read_config(task_file)['environment']
    box = {end: tuple(options[f'bridge.options.target.{end}']) for end in ('low_m', 'high_m')}
    tool = robot.chain.tool(robot.home[None])[0]
    assert (tool > box['low_m']).all() and (tool < box['high_m']).all()
    far = options['bridge.options.target.far_m']
    target = TargetGroup(**box, far_m=far, centre_m=(0.0, 0.0, 0.0))
    assert reached_targets(robot, target).share >= 0.98
    assert np.prod(np.subtract(box['high_m'], box['low_m'])) > 0.01
    assert far > np.linalg.norm(np.abs([box['low_m'], box['high_m']]).max(axis=0))
    # The model is named from where the description lies, so that both may be moved together.
    assert 'model: ../own.urdf' in robot_file.read_text()


def test_the_same_model_gives_the_same_files(tmp_path: Path) -> None:
    texts = []
    for part in ('a', 'b'):
        (tmp_path / part).mkdir()
        texts.append([path.read_text() for path in new(tmp_path / part)])
    assert texts[0] == texts[1]


def test_a_gripper_is_not_the_tool_and_stands_in_no_list(tmp_path: Path) -> None:
    """The fingers come last and slide; they hang beside one another on the fourth link."""
    extra = joint('j4', 'link3', 'link4', '0.25 0 0', '1 0 0') + link('link4', 0.05)
    urdf = URDF.replace('<link name="tool0"/>', '').replace('</robot>', extra + GRIPPER)
    urdf = re.sub(r'<joint name="flange".*?</joint>', '', urdf).replace(
        '<parent link="link3"/><child link="left', '<parent link="link4"/><child link="left'
    )
    urdf = urdf.replace(
        '<parent link="link3"/><child link="right', '<parent link="link4"/><child link="right'
    )
    robot = load_robot(str(new(tmp_path, urdf)[0]))
    assert robot.model.tool == 'link4' and robot.joints == ('j1', 'j2', 'j3', 'j4')


def four_joints(extra: str) -> str:
    urdf = re.sub(r'<joint name="flange".*?</joint>', '', URDF).replace('<link name="tool0"/>', '')
    hand = joint('j4', 'link3', 'link4', '0.25 0 0', '1 0 0') + link('link4', 0.05)
    return urdf.replace('</robot>', f'{hand}{extra}</robot>')


@pytest.mark.parametrize(
    ('name', 'tool'), [('jointGripper', 'link4'), ('gripper_roll', 'mover'), ('j5', 'mover')]
)
def test_a_single_jaw_is_not_the_tool(tmp_path: Path, name: str, tool: str) -> None:
    """A joint that opens a gripper has no other beside it where one jaw is fixed."""
    jaw = joint(name, 'link4', 'mover', '0.05 0 0').replace('-2.5" upper="2.5', '-1.57" upper="0')
    (tmp_path / 'own.urdf').write_text(four_joints(f'{jaw}<link name="mover"/>'))
    assert tool_candidates(source_of(tmp_path / 'own.urdf').spec().compile())[0] == tool


def test_an_arm_beside_a_head_is_no_finger(tmp_path: Path) -> None:
    """A body that drives and lifts itself has joints enough that its arm looked like one."""
    drive = ''.join(
        joint(f'base{at}', f'b{at}', f'b{at + 1}', '0 0 0') + f'<link name="b{at}"/>'
        for at in range(3)
    )
    head = '<link name="head"/>' + joint('pan', 'b3', 'head', '0 0 1', '0 0 1')
    long = ''.join(
        joint(f'j{at}', f'link{at - 1}', f'link{at}', '0 0 0.1') + f'<link name="link{at}"/>'
        for at in (5, 6)
    )
    text = four_joints(drive + head + long).replace('base_link', 'b3')
    (tmp_path / 'own.urdf').write_text(text)
    assert tool_candidates(source_of(tmp_path / 'own.urdf').spec().compile())[0] == 'link6'


def test_limits_of_the_model_are_kept_where_they_are_odd(tmp_path: Path) -> None:
    """A wide joint is kept within half a turn, a slow one is not made faster by rounding."""
    urdf = URDF.replace('lower="-2.5" upper="2.5"', 'lower="-6.2831" upper="2.5"', 1)
    urdf = urdf.replace('velocity="2"', 'velocity="0.123456789"')
    robot_file = new(tmp_path, urdf)[0]
    limits = read_robot(str(robot_file)).limits
    assert limits.position_low_rad == (-3.14, None, None) and limits.position_high_rad == ()
    assert limits.velocity_rad_s == (0.1234, 0.1234, 0.1234)
    assert load_robot(str(robot_file)).hard.position_high == (2.5, 2.5, 2.5)


def test_limits_that_may_be_degrees_or_millimetres_are_not_guessed(tmp_path: Path) -> None:
    urdf = URDF.replace('lower="-2.5" upper="2.5"', 'lower="-120" upper="120"', 1)
    with pytest.raises(ConfigError, match='j1 turns from -120 to 120 rad by its model: degrees'):
        new(tmp_path, urdf)
    urdf = URDF.replace('type="revolute"', 'type="prismatic"', 1).replace('"2.5"', '"500"', 1)
    with pytest.raises(ConfigError, match='j1 slides from -2.5 to 500 m by its model: millimetr'):
        new(tmp_path, urdf)
    assert not (tmp_path / 'files').exists()


def test_slow_and_far_arms_get_longer_episodes(tmp_path: Path) -> None:
    """At less than half the speed the way from home takes more than twice as long."""
    steps = []
    for part, speed in (('quick', 2.0), ('slow', 0.3)):
        (tmp_path / part).mkdir()
        urdf = URDF.replace('velocity="2"', f'velocity="{speed}"')
        task = config.read_config(new(tmp_path / part, urdf)[1])
        steps.append(task['environment']['bridge.options.episode.steps'])
    assert 100 <= steps[0] < steps[1] <= 300


def test_arguments_of_xacro_are_carried_into_the_description(tmp_path: Path) -> None:
    pytest.importorskip('xacro')
    urdf = URDF.replace('<robot name="stub">', '<robot name="stub" xmlns:xacro="http://x/xacro">')
    urdf = urdf.replace('http://x/xacro', 'http://www.ros.org/wiki/xacro')
    urdf = urdf.replace(
        '<link name="base_link"/>', '<xacro:arg name="end" default="no"/><link name="base_link"/>'
    ).replace('"tool0"', '"$(arg end)"')
    (tmp_path / 'own.urdf.xacro').write_text(urdf)
    made = NewRobot(tmp_path / 'own.urdf.xacro', arguments=('end:=tool0',), out=tmp_path / 'files')
    description = read_robot(str(write_robot(made, print)[0]))
    assert description.xacro_arguments == {'end': 'tool0'} and description.tool == 'tool0'
    with pytest.raises(ConfigError, match='expects NAME=VALUE'):
        write_robot(NewRobot(tmp_path / 'own.urdf.xacro', name='b', arguments=('end',)), print)


def test_an_arm_without_shapes_is_not_said_to_be_watched(tmp_path: Path) -> None:
    bare = re.sub(r'<(collision|visual)>.*?</\1>', '', URDF)
    text = new(tmp_path, bare)[0].read_text()
    assert re.search(r'clearance_m: 0 +# NOT watched', text)
    assert re.search(r'tool: tool0 +# or link3', text)


def test_what_is_there_stays_and_what_cannot_be_is_told(tmp_path: Path) -> None:
    robot_file, task_file = new(tmp_path)
    before = robot_file.read_bytes()
    with pytest.raises(ConfigError, match='is there already'):
        new(tmp_path)
    assert robot_file.read_bytes() == before
    new(tmp_path, name='other')
    with pytest.raises(ConfigError, match='no site or body'):
        new(tmp_path, name='third', tool='nowhere')
    assert not (tmp_path / 'files/third.yaml').exists()
    with pytest.raises(ConfigError, match='nrl robot new'):
        load_robot(str(tmp_path / 'own.urdf'))
    assert task_file.exists()


@pytest.mark.parametrize('model', ['planar'])
def test_an_arm_in_a_plane_is_drafted_too(model: str) -> None:
    found = draft(model, model)
    assert found.box.share >= 0.97 and found.robot.notes is not None
    assert (found.robot.guard().violation(found.robot.home[None]) < 0.0).all()


def test_limits_of_a_safety_controller_are_kept(tmp_path: Path) -> None:
    """What the machine's own controllers keep is what a policy may use: nothing is left to tell."""
    soft = '<safety_controller soft_lower_limit="{}" soft_upper_limit="{}" k_velocity="10"/>'
    urdf = URDF.replace(LIMIT, LIMIT + soft.format(-1.23456789, 3.0), 1)
    urdf = urdf.replace(f'{LIMIT}</joint>', LIMIT + soft.format(0.0, 0.0) + '</joint>')
    robot_file = new(tmp_path, urdf)[0]
    limits = read_robot(str(robot_file)).limits
    assert limits.position_low_rad == (-1.2345, None, None) and limits.position_high_rad == ()
    assert not [note for note in load_robot(str(robot_file)).notes if 'safety_controller' in note]


def test_a_sensor_at_the_hand_is_not_the_tool(tmp_path: Path) -> None:
    hand = ''.join(
        f'<link name="{name}"/><joint name="to_{name}" type="fixed"><parent link="link3"/>'
        f'<child link="{name}"/><origin xyz="0.26 0 0"/></joint>'
        for name in ('hand', 'hand_accelerometer', 'hand_range', 'wrist_imu', 'aruco_wrist')
    )
    urdf = re.sub(r'<joint name="flange".*?</joint>', '', URDF).replace('<link name="tool0"/>', '')
    assert (
        load_robot(str(new(tmp_path, urdf.replace('</robot>', f'{hand}</robot>'))[0])).model.tool
        == 'hand'
    )


def test_the_floor_is_below_what_an_arm_stands_on(tmp_path: Path) -> None:
    """A pedestal or a mobile base below the root is not cut off at the root's own height."""
    base = (
        '<link name="base_link"><collision><origin xyz="0 0 {}"/><geometry>'
        '<box size="0.2 0.2 {}"/></geometry></collision></link>'
    )
    lowest = []
    for part, (middle, height) in {'table': (-0.02, 0.04), 'pedestal': (-0.5, 0.8)}.items():
        (tmp_path / part).mkdir()
        urdf = URDF.replace('<link name="base_link"/>', base.format(middle, height))
        lowest.append(read_robot(str(new(tmp_path / part, urdf)[0])).workspace.low_m[2])
    assert lowest[0] == 0.02 and lowest[1] < -0.3


def test_shapes_that_touch_in_most_poses_are_left_out(tmp_path: Path) -> None:
    """A hull of what is hollow would leave hardly a pose to an arm that its vendor lets move."""
    fat = '<collision><geometry><sphere radius="0.33"/></geometry></collision></link>'
    urdf = URDF.replace('<link name="base_link"/>', f'<link name="base_link">{fat}')
    (tmp_path / 'own.urdf').write_text(urdf)
    found = draft(str(tmp_path / 'own.urdf'), 'own')
    assert found.touching == (('base_link', 'link3'),)
    assert ('link1', 'link3') in found.robot.clearance.links


def test_what_is_no_arm_is_told_with_tool_and_joints(tmp_path: Path) -> None:
    wheel = '<link name="base_link"/><link name="wheel"/>' + joint(
        'drive', 'base_link', 'wheel', '0 0 0'
    )
    (tmp_path / 'own.urdf').write_text(f'<robot name="cart">{wheel}</robot>')
    with pytest.raises(ConfigError, match=r"reaches with 'wheel', moved by drive; is that the"):
        write_robot(NewRobot(tmp_path / 'own.urdf', out=tmp_path), print)


BASE = """
<mujoco><worldbody><geom type="plane" size="5 5 0.1"/><body name="cart" pos="0 0 0.2">
<joint name="drive_x" type="slide" axis="1 0 0"/><joint name="drive_y" type="slide" axis="0 1 0"/>
<joint name="drive_yaw" axis="0 0 1"/><geom type="box" size="0.2 0.2 0.05" mass="9"/>
<body name="l1" pos="0.8 0.5 0.1"><joint name="j1" axis="0 0 1" range="-170 170"/>
<geom type="capsule" size="0.03" fromto="0 0 0 0 0 0.1"/>
<body name="l2" pos="0 0 0.15"><joint name="j2" axis="0 1 0" range="-120 120"/>
<geom type="capsule" size="0.03" fromto="0 0 0 0 0 0.3"/>
<body name="l3" pos="0 0 0.3"><joint name="j3" axis="0 1 0" range="-140 140"/>
<geom type="capsule" size="0.03" fromto="0 0 0.05 0 0 0.25"/><site name="tcp" pos="0 0 0.28"/>
</body></body></body></body></worldbody></mujoco>
"""


def test_a_base_that_drives_is_held_and_targets_are_before_the_arm(tmp_path: Path) -> None:
    """Slides without limits belong to no arm; in front is what is before its own first hinge."""
    (tmp_path / 'cart.xml').write_text(BASE)
    made = NewRobot(tmp_path / 'cart.xml', out=tmp_path / 'files')
    robot_file, task_file = write_robot(made, print)
    robot = load_robot(str(robot_file))
    assert robot.joints == ('j1', 'j2', 'j3')
    assert robot.description.held == {'drive_x': 0.0, 'drive_y': 0.0, 'drive_yaw': 0.0}
    low = config.read_config(task_file)['environment']['bridge.options.target.low_m']
    assert low[0] > 0.8 and robot.description.workspace.low_m[2] == 0.02


def test_in_front_of_an_arm_beside_the_root_is_where_its_own_base_looks(tmp_path: Path) -> None:
    """Of two arms that face each other the targets of one were behind it, out of a straight way."""
    turned = BASE.replace('pos="0 0 0.2">', 'pos="0 0 0.2" euler="0 0 180">')
    (tmp_path / 'cart.xml').write_text(turned)
    assert draft(str(tmp_path / 'cart.xml'), 'cart').box.high_m[0] < -0.8


def test_a_home_has_a_straight_way_to_nearly_all_targets(tmp_path: Path) -> None:
    """Most plain poses of this arm have their elbow on the wrong side of the floor."""
    found = draft('ur5e', 'ur5e')
    robot, box = found.robot, found.box
    points = evenly(np.array(box.low_m), np.array(box.high_m), 200)
    assert InverseKinematics(robot).straight(Goals(points), robot.home).mean() > 0.9


def test_an_arm_that_ends_at_its_last_joint_gets_the_end_of_its_shape(tmp_path: Path) -> None:
    """Its last place is moved by two joints only, so that no box of targets was ever found."""
    urdf = re.sub(r'<joint name="flange".*?</joint>', '', URDF).replace('<link name="tool0"/>', '')
    made = NewRobot(tmp_path / 'own.urdf', out=tmp_path)
    (tmp_path / 'own.urdf').write_text(urdf)
    told: list[str] = []
    robot = load_robot(str(write_robot(made, told.append)[0]))
    assert robot.joints == ('j1', 'j2', 'j3') and robot.description.tool == 'link3'
    assert np.allclose(robot.description.tool_offset.xyz_m, [0.25, 0.0, 0.0], atol=0.001)
    assert any('tool_offset is the end of its shape' in line for line in told)
    assert 'measure it' in (tmp_path / 'own_robot.yaml').read_text() + ''.join(told)
