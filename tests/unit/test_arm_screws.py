"""A policy fits an arm whose joints move its tool as they did when it learned, whatever its names.

Expected values are worked out by hand from the models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import CheckpointError, NrlError
from nrl_ros.base.manifest import first_difference
from nrl_ros.base.records import AgentInfo, Delivery
from nrl_ros.cli.arm import check_options
from nrl_ros.cli.options import ArmOptions
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.settings import LearnerSettings
from nrl_ros.robots.arm.description import read_robot
from nrl_ros.robots.arm.episode import ReachEpisodes
from nrl_ros.robots.arm.kinematics import Chain
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.robot import Robot, load_robot, make_robot
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.storage.checkpoint import write_checkpoint

LIMIT = '<limit lower="-6.2" upper="6.2" velocity="3.2" effort="50"/>'


def joint(name: str, ends: tuple[str, str], place: str, axis: str, kind: str = 'revolute') -> str:
    more = '' if kind == 'fixed' else f'<axis xyz="{axis}"/>{LIMIT}'
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{ends[0]}"/><child link="{ends[1]}"/>'
        f'<origin {place}/>{more}</joint>'
    )


def robot_of(*joints: str) -> str:
    names = {part.split('"')[0] for text in joints for part in text.split('link="')[1:]}
    return (
        '<robot name="ur5e">'
        + ''.join(f'<link name="{name}"/>' for name in sorted(names))
        + ''.join(joints)
        + '</robot>'
    )


def fixed(one: str, other: str, place: str) -> str:
    return joint(f'{one}_{other}', (one, other), place, '', 'fixed')


# The UR5e by its published lengths, as its driver's own model is built: a world, a base that is
# turned, two frames behind the last joint, and a tool0 instead of the shipped model's tool.
QUARTER, HALF = '1.570796327', '3.141592654'
DRIVER = robot_of(
    fixed('world', 'base_link', 'xyz="0 0 0"'),
    fixed('base_link', 'base_link_inertia', f'rpy="0 0 {HALF}"'),
    joint('shoulder_pan_joint', ('base_link_inertia', 'shoulder_link'), 'xyz="0 0 0.1625"',
          '0 0 1'),
    joint('shoulder_lift_joint', ('shoulder_link', 'upper_arm_link'), f'rpy="{QUARTER} 0 0"',
          '0 0 1'),
    joint('elbow_joint', ('upper_arm_link', 'forearm_link'), 'xyz="-0.425 0 0"', '0 0 1'),
    joint('wrist_1_joint', ('forearm_link', 'wrist_1_link'), 'xyz="-0.3922 0 0.1333"', '0 0 1'),
    joint('wrist_2_joint', ('wrist_1_link', 'wrist_2_link'),
          f'xyz="0 -0.0997 0" rpy="{QUARTER} 0 0"', '0 0 1'),
    joint('wrist_3_joint', ('wrist_2_link', 'wrist_3_link'),
          f'xyz="0 0.0996 0" rpy="{QUARTER} {HALF} {HALF}"', '0 0 1'),
    fixed('wrist_3_link', 'flange', f'rpy="0 -{QUARTER} -{QUARTER}"'),
    fixed('flange', 'tool0', f'rpy="{QUARTER} 0 {QUARTER}"'),
    fixed('tool0', 'hook', 'xyz="0 0 0.08"'),
)  # fmt: skip


def driven(urdf: str = DRIVER, tool: str = 'tool0') -> Robot:
    """The shipped description with the model of the driver, as the documents tell to set it."""
    shipped = read_robot('ur5e')
    box = shipped.workspace.model_copy(update={'clearance_m': 0.0})
    changes = {'model': 'robot_description', 'tool': tool, 'workspace': box}
    return make_robot(shipped.model_copy(update=changes), xml=urdf)


def test_screws_are_those_of_the_published_lengths() -> None:
    """At 0 the UR5e is stretched along x, and its tool points sideways."""
    reach, side, height = 0.425 + 0.3922, 0.1333 + 0.0996, 0.1625 - 0.0997
    expected = [
        ([0, 0, 1], [reach, side, 0.0]),
        ([0, 1, 0], [reach, 0.0, -0.0997]),
        ([0, 1, 0], [0.3922, 0.0, -0.0997]),
        ([0, 1, 0], [0.0, 0.0, -0.0997]),
        ([0, 0, -1], [0.0, 0.0996, 0.0]),
        ([0, 1, 0], [0.0, 0.0, 0.0]),
    ]
    for robot in (load_robot('ur5e'), driven()):
        screws, tool = robot.chain.screws()
        np.testing.assert_allclose(tool.translation, [reach, side, height], atol=1e-8)
        for screw, (axis, arm) in zip(screws, expected, strict=True):
            np.testing.assert_allclose(screw.axis, axis, atol=1e-8)
            np.testing.assert_allclose(screw.arm, arm, atol=1e-8)


def test_what_follows_and_what_slides_have_screws_too() -> None:
    """A rod keeps the forearm level: it turns back by as much as j2 turns, from 0.2 rad on."""
    follows = '<mimic joint="j2" multiplier="-1" offset="0.2"/></joint>'
    model = ArmModel.from_text(
        robot_of(
            joint('j1', ('base', 'l1'), 'xyz="0 0 0.5"', '1 0 0', 'prismatic'),
            joint('j2', ('l1', 'l2'), 'xyz="0 0 0.1"', '0 1 0'),
            joint('rod', ('l2', 'l3'), 'xyz="0 0 0.3"', '0 1 0').replace('</joint>', follows),
            fixed('l3', 'tip', 'xyz="0.25 0 0"'),
        ),
        tool='tip',
    )
    slide, turn, rod = Chain(model).screws()[0]
    x, z = 0.25 * np.cos(0.2), -0.25 * np.sin(0.2)
    assert (slide.hinge, slide.axis.tolist(), slide.arm.tolist()) == (False, [1, 0, 0], [0, 0, 0])
    np.testing.assert_allclose(turn.arm, [x, 0.0, 0.3 + z], atol=1e-12)
    assert (rod.number, rod.ratio, rod.axis.tolist()) == (1, -1.0, [0, 1, 0])
    np.testing.assert_allclose(rod.arm, [x, 0.0, z], atol=1e-12)
    tip = Chain(model).screws()[1].translation
    np.testing.assert_allclose(tip, [x, 0.0, 0.9 + z], atol=1e-12)


def test_names_and_inner_frames_are_no_difference() -> None:
    shipped, driver = load_robot('ur5e'), driven()
    assert '# tool: tool0' in driver.manifest() and '# tool: tool\n' in shipped.manifest()
    assert first_difference(shipped.manifest(), driver.manifest()) is None
    assert shipped.digest() == driver.digest()


@pytest.mark.parametrize(
    ('change', 'fits'),
    [
        # Each arm is calibrated: its own lengths, and axes that are not quite parallel.
        (('-0.3922 0 0.1333"', '-0.3931 0.0004 0.1337" rpy="0.01 0 0"'), True),
        (('-0.425 0 0', '-0.6127 0 0'), False),
        (('0 0 0.1625', '0 0 0.1525'), False),
        # One joint turns the other way.
        ((f'{HALF} {HALF}"/><axis xyz="0 0 1"', f'{HALF} {HALF}"/><axis xyz="0 0 -1"'), False),
    ],
)
def test_a_calibrated_arm_fits_and_another_one_does_not(
    change: tuple[str, str], fits: bool
) -> None:
    urdf = DRIVER.replace(*change)
    assert urdf != DRIVER
    other = driven(urdf)
    assert (first_difference(load_robot('ur5e').manifest(), other.manifest()) is None) == fits
    assert other.digest() != load_robot('ur5e').digest()


def learned_with(robot: Robot) -> Learner:
    settings: Any = ReachSettings.model_validate({'robot': 'ur5e'})
    learner = Learner(LearnerSettings())
    spec = ReachEpisodes(robot, settings, 1).spec
    learner.join(AgentInfo('arm', 1, spec, True, Delivery.EVERY_STEP))
    return learner


def test_a_policy_of_the_shipped_model_acts_for_the_drivers() -> None:
    saved = learned_with(load_robot('ur5e')).snapshot()
    learned_with(driven()).restore(saved)
    with pytest.raises(CheckpointError) as error:
        learned_with(driven(tool='hook')).restore(saved)
    said = str(error.value)
    assert 'tool is at 0.8172, 0.2329, 0.0628 m' in said
    # The hook stands 0.08 m further out along the tool's axis, which is y.
    assert 'tool is at 0.8172, 0.3129, 0.0628 m' in said
    assert 'learned with tool tool, robot ur5e' in said and 'here tool hook, robot ur5e' in said


def test_the_tools_orientation_counts_where_targets_are_poses() -> None:
    """At 0 tool0 has its x along -x and its z along y; the flange has x along y, z up."""
    at_point: Any = ReachSettings.model_validate({'robot': 'ur5e'})
    as_pose: Any = ReachSettings.model_validate(
        {'robot': 'ur5e', 'target': {'orientation': {'axes': list('xyz')}}}
    )
    shipped, driver, flange = load_robot('ur5e'), driven(), driven(tool='flange')

    def differ(one: Robot, other: Robot, task: Any) -> tuple[str, str] | None:
        manifests = [ReachEpisodes(robot, task, 1).spec.manifest for robot in (one, other)]
        return first_difference(*manifests)

    assert differ(shipped, driver, at_point) is differ(shipped, driver, as_pose) is None
    assert differ(driver, flange, at_point) is None
    found = differ(driver, flange, as_pose)
    assert found is not None
    assert 'x axis points along -1, 0, 0 (within 0.02), its z axis 0, 1, 0' in found[0]
    assert 'x axis points along 0, 1, 0 (within 0.02), its z axis 0, 0, 1' in found[1]


def test_the_command_names_both_sides_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / 'learner_00000001.nrl'
    for robot, fits in ((driven(), True), (driven(tool='hook'), False)):
        settings = check_options(ArmOptions(robot='ur5e')).environment.bridge.options
        task = ReachSettings.model_validate(dict(settings))
        manifest = ReachEpisodes(robot, task, 1).spec.manifest
        write_checkpoint(path, 'learner', {'manifest': manifest})
        if fits:
            check_options(ArmOptions(robot='ur5e', load=path))
            continue
        with pytest.raises(NrlError, match='learned with tool hook, .*; here tool tool, robot'):
            check_options(ArmOptions(robot='ur5e', load=path))
