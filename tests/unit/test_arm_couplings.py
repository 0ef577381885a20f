"""Joints that follow others or are held: kinematics, clearance and simulation go with them."""

from __future__ import annotations

import re
from typing import Any

import mujoco
import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError
from nrl_ros.robots.arm.clearance import Clearance
from nrl_ros.robots.arm.kinematics import Chain
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.plant import MujocoPlant, ServoPlant
from nrl_ros.robots.arm.shapes import Shapes

INERTIA = (
    '<inertial><mass value="1"/><inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" iyz="0"/>'
    '</inertial>'
)
SHAPE = '<collision><geometry><sphere radius="0.05"/></geometry></collision>'


def joint(name: str, parent: str, child: str, more: str = '', kind: str = 'revolute') -> str:
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="0.02 0.01 0.3" rpy="0.1 0.2 0.3"/><axis xyz="0.1 1 0.2"/>'
        f'<limit lower="-2" upper="2" velocity="2" effort="60"/>{more}</joint>'
    )


def urdf(*joints: str) -> str:
    links = sorted(
        {name for text in joints for name in re.findall('link="([a-z0-9]+)"', text)},
        key=lambda name: (name != 'base', name),
    )
    bodies = ''.join(f'<link name="{name}">{INERTIA}{SHAPE}</link>' for name in links)
    return f'<robot name="led">{bodies}{"".join(joints)}</robot>'


# rod follows j2; claw, beside the way to the tool, follows rod; rail is held; j4 follows rail.
LED = urdf(
    joint('rail', 'base', 'l0', kind='prismatic'),
    joint('j1', 'l0', 'l1'),
    joint('j2', 'l1', 'l2'),
    joint('rod', 'l2', 'l3', '<mimic joint="j2" multiplier="-0.5" offset="0.2"/>'),
    joint('j3', 'l3', 'l4'),
    joint('j4', 'l4', 'tool', '<mimic joint="rail" multiplier="2" offset="-0.1"/>'),
    joint('claw', 'l3', 'finger', '<mimic joint="rod" multiplier="-2"/>', 'prismatic'),
)
HELD = {'rail': 0.3}


def led() -> ArmModel:
    return ArmModel.from_text(LED, ['j3', 'j1', 'j2'], 'tool', HELD)


def truth(arm: ArmModel, q: Any) -> Any:
    """MuJoCo's own data, with each joint put where the specification has it."""
    data = mujoco.MjData(arm.mj)
    j3, j1, j2 = q
    rod = -0.5 * j2 + 0.2
    placed = {'rail': 0.3, 'j1': j1, 'j2': j2, 'j3': j3, 'rod': rod, 'j4': 0.5, 'claw': -2.0 * rod}
    for name, value in placed.items():
        data.qpos[arm.mj.joint(name).qposadr[0]] = value
    mujoco.mj_kinematics(arm.mj, data)
    return data


def poses(count: int) -> Any:
    return np.random.default_rng(0).uniform(-2.0, 2.0, (count, 3))


def test_joints_that_follow_are_not_commanded() -> None:
    arm = led()
    assert arm.followers == ('rod', 'claw')
    assert not arm.left_out
    assert ArmModel.from_text(LED, tool='tool', held=HELD).joints == ('j1', 'j2', 'j3')
    with pytest.raises(ConfigError, match="'rod' follows 'j2'.*leave it out of joints"):
        ArmModel.from_text(LED, ['j1', 'rod'], 'tool')


def test_the_tool_is_where_the_specification_puts_it() -> None:
    arm = led()
    chain = Chain(arm, ['l3', 'l0'])
    for q in poses(20):
        data = truth(arm, q)
        wanted = [data.body(name).xpos for name in ('tool', 'l3', 'l0')]
        np.testing.assert_allclose(chain.points(q[None])[0], wanted, atol=1e-12)
        turned = data.body('tool').xmat.reshape(3, 3)
        np.testing.assert_allclose(chain.orientation(q[None])[0], turned, atol=1e-12)


def test_a_place_that_joints_beside_the_way_move_cannot_be_watched() -> None:
    with pytest.raises(ConfigError, match="'finger' is moved by a joint that follows"):
        Chain(led(), ['finger'])


def test_the_clearance_is_that_of_the_shapes_where_they_are() -> None:
    arm = led()
    clearance = Clearance(arm, far_m=2.0)
    assert ('l0', 'finger') in clearance.links
    for q in poses(5):
        data = truth(arm, q)
        wanted = min(
            mujoco.mj_geomDistance(
                arm.mj, data, *(int(arm.mj.body(name).geomadr[0]) for name in links), 2.0, None
            )
            for links in clearance.links
        )
        assert clearance(q[None])[0] == pytest.approx(wanted, abs=1e-9)


def test_no_distance_changes_faster_than_its_rates_say() -> None:
    """Joints that follow count with the one that leads them."""
    arm = led()
    clearance, chain = Clearance(arm, far_m=5.0), Chain(arm, ['l3'])
    one, other = poses(40), poses(40)[::-1] * 0.7
    every = np.ones((40, len(clearance.pairs)), np.bool_)
    changed = np.abs(clearance.distances(one, every) - clearance.distances(other, every))
    assert (changed <= np.abs(one - other) @ clearance.rates().T + 1e-9).all()
    moved = np.linalg.norm(chain.points(one) - chain.points(other), axis=2)
    assert (moved <= np.abs(one - other) @ chain.rates().T + 1e-9).all()


@pytest.mark.parametrize('make', [ServoPlant, MujocoPlant])
def test_simulated_arms_have_the_tool_there(make: Any) -> None:
    arm = led()
    plant = make(arm, 1, 0.008)
    plant.reset([0.2, 0.3, 0.4])
    for _ in range(50):
        plant.step(np.array([0.4, -0.3, 0.5]))
    np.testing.assert_allclose(plant.position[0], [0.36, 0.18, 0.6], atol=0.02)
    if make is MujocoPlant:
        data, model = plant._data[0], plant._models[0]
        wanted = truth(arm, plant.position[0])
        for name in ('rail', 'rod', 'claw', 'j4'):
            there = data.qpos[model.joint(name).qposadr[0]]
            expected = wanted.qpos[arm.mj.joint(name).qposadr[0]]
            # Held ones are held by servos; those that follow are put there.
            assert there == pytest.approx(expected, abs=0.01 if name in ('rail', 'j4') else 1e-9)


def test_pictures_show_them_there() -> None:
    text = LED.replace('<sphere radius="0.05"/>', '<cylinder radius="0.05" length="0.1"/>')
    arm = ArmModel.from_text(text, ['j3', 'j1', 'j2'], 'tool', HELD)
    q = poses(1)[0]
    middle = Shapes(arm).segments(q).mean(axis=1)
    np.testing.assert_allclose(middle, truth(arm, q).geom_xpos, atol=1e-12)


def test_limits_of_what_follows_hold_for_what_leads() -> None:
    """-0.5 q + 0.2 within -0.1 .. 0.45 is q within -0.5 .. 0.6; 0.4 rad/s of it is 0.8 of j2."""
    own = '<limit lower="-2" upper="2" velocity="2" effort="60"/><mimic joint="j2"'
    text = LED.replace(
        own, own.replace('-2" upper="2" velocity="2', '-0.1" upper="0.45" velocity="0.4')
    )
    arm = ArmModel.from_text(text, ['j2'], 'tool', HELD)
    assert [arm.position_low[0], arm.position_high[0]] == pytest.approx([-0.5, 0.6])
    assert arm.velocity[0] == pytest.approx(0.8)


def test_an_equality_of_an_mjcf_is_followed_too() -> None:
    text = """<mujoco><worldbody><body name="a"><joint name="lead" axis="0 1 0" range="-90 90"/>
    <geom size="0.05"/><body name="b" pos="0.3 0 0"><joint name="led" axis="0 1 0" ref="10"/>
    <geom size="0.05"/><site name="tool" pos="0.2 0 0"/></body></body></worldbody><equality>
    <joint joint1="led" joint2="lead" polycoef="0.1 -1 0 0 0"/></equality></mujoco>"""
    arm = ArmModel.from_text(text)
    assert arm.joints == ('lead',)
    x, _, z = Chain(arm).tool(np.array([[0.7]]))[0]
    # Turned by 0.7 and back by 0.7, but for 0.1.
    wanted = (0.3 * np.cos(0.7) + 0.2 * np.cos(0.1), -0.3 * np.sin(0.7) - 0.2 * np.sin(0.1))
    assert (x, z) == pytest.approx(wanted)
    with pytest.raises(ConfigError, match='curved polynomial, expected a linear one'):
        ArmModel.from_text(text.replace('0.1 -1 0 0 0', '0.1 -1 0.5 0 0'))


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (('joint="rail"', 'joint="claw2"'), "'j4' of the URDF mimics 'claw2'.*did you mean 'claw'"),
        (('joint="j2" multiplier', 'joint="claw" multiplier'), 'in a circle: rod -> claw -> rod'),
        (('multiplier="-0.5"', 'multiplier="x"'), "'rod' of the URDF: mimic multiplier is 'x'"),
    ],
)
def test_what_cannot_be_followed_is_refused(change: tuple[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ArmModel.from_text(LED.replace(*change), None, 'tool', HELD)


@pytest.mark.parametrize(
    ('held', 'said'),
    [
        ({'rail': 3.0}, "'rail' is at 3, expected within its limits, -2 to 2"),
        ({'ral': 0.0}, "no joint 'ral', did you mean 'rail'"),
        ({'j1': 0.0}, "'j1' is commanded"),
        ({'rod': 0.0}, "'rod' follows another"),
    ],
)
def test_what_cannot_be_held_is_refused(held: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ArmModel.from_text(LED, ['j1', 'j2', 'j3'], 'tool', held)
