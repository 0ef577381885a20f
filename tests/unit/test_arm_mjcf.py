"""Arms as MJCF has them: shapes that are only seen, and the keyframe home of their author."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('mujoco')

from nrl_ros.base.errors import ConfigError
from nrl_ros.cli.new_robot import NewRobot, write_robot
from nrl_ros.robots.arm.clearance import Clearance, without_shape
from nrl_ros.robots.arm.drafting import draft
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.several_axes import key_of
from nrl_ros.robots.arm.source import read_source

# Three joints, a free box beside the arm, and the mark of a target that collides with nothing.
MJCF = """
<mujoco><compiler angle="radian"/><default><geom SOLID/></default><worldbody>
<geom type="plane" size="2 2 0.1" contype="1" conaffinity="1"/>
<body name="box" pos="0.9 0.9 0.1"><freejoint/><geom type="box" size="0.1 0.1 0.1" mass="1"/></body>
<body name="mark" pos="0.3 0 0.3"><geom size="0.2" contype="0" conaffinity="0"/></body>
<body name="foot"><geom name="feet" type="capsule" size="0.06" fromto="0 0 0.06 0 0 0.1"/>
<body name="l1" pos="0 0 0.1"><joint name="j1" axis="0 0 1" range="-2.5 2.5"/>
<geom type="capsule" size="0.03" fromto="0 0 0 0 0 0.1"/>
<body name="l2" pos="0 0 0.15"><joint name="j2" axis="0 1 0" range="-2 2"/>
<geom type="capsule" size="0.03" fromto="0 0 0 0 0 0.3"/>
<body name="l3" pos="0 0 0.3"><joint name="j3" axis="0 1 0" range="-2.6 2.6"/>
<geom type="capsule" size="0.03" fromto="0 0 0.05 0 0 0.25"/><site name="tcp" pos="0 0 0.28"/>
</body></body></body></body></worldbody>
<keyframe><key name="other"/><key name="Home" qpos="0 0 0 1 0 0 0 KEY"/></keyframe></mujoco>
"""


def model(key: str, solid: str = '') -> str:
    return MJCF.replace('SOLID', solid).replace('KEY', key)


def test_links_that_are_only_seen_are_compared_as_those_of_a_urdf_are() -> None:
    """A simulation may spare collisions; nothing kept such an arm from hitting itself."""
    seen = ArmModel.from_text(model('0 0 0', 'contype="0" conaffinity="0"'), tool='tcp')
    solid = ArmModel.from_text(model('0 0 0'), tool='tcp')
    assert seen.source.visual == ('foot', 'l1', 'l2', 'l3') and solid.source.visual == ()
    assert not without_shape(seen)
    choices = [Clearance(each) for each in (seen, solid)]
    arm = [pair for pair in choices[1].links if 'box' not in pair]
    assert choices[0].links == arm and ('foot', 'l3') in arm
    folded = np.array([[0.0, 1.9, 2.5]])
    both = [each.distances(folded)[0][each.links.index(('foot', 'l3'))] for each in choices]
    assert both[0] == both[1] < 0.2


def test_shapes_of_a_link_that_collides_stay_as_they_are() -> None:
    """Of a link with both kinds the visual ones are decoration."""
    text = model('0 0 0').replace(
        '<site', '<geom size="0.2" contype="0" conaffinity="0"/><site name="in"/><site'
    )
    arm = ArmModel.from_text(text, tool='tcp')
    assert arm.source.visual == ()


@pytest.mark.parametrize(
    ('key', 'home', 'said'),
    [
        ('0.1 0.7 0.9', (0.1, 0.7, 0.9), 'home is the keyframe home of the model'),
        # At the end of its range a joint is moved away by the margin.
        ('0.1 0.7 2.6', (0.1, 0.7, 2.5499), 'home is the keyframe home of the model'),
        ('0.1 0.7 2.7', None, 'is not home: j3 is at 2.7, beyond -2.55 to 2.55 rad'),
        ('0.1 2 2.5', None, 'is not home: it is'),
    ],
)
def test_the_keyframe_home_is_home_where_it_is_allowed(
    tmp_path: Path, key: str, home: tuple[float, ...] | None, said: str
) -> None:
    (tmp_path / 'own.xml').write_text(model(key))
    told: list[str] = []
    robot_file, _ = write_robot(NewRobot(tmp_path / 'own.xml', out=tmp_path / 'files'), told.append)
    robot = load_robot(str(robot_file))
    assert any(said in line for line in told)
    assert (robot.description.home_rad == home) is (home is not None)
    assert ('# keyframe home of the model' in robot_file.read_text()) is (home is not None)


def test_targets_are_where_the_keyframe_home_has_the_tool(tmp_path: Path) -> None:
    (tmp_path / 'own.xml').write_text(model('-1.5708 0.7 0.9'))
    found = draft(str(tmp_path / 'own.xml'), 'own')
    assert found.box.high_m[1] < 0.0 and found.robot.description.home_rad[0] == -1.5708


def test_a_keyframe_has_each_joint_behind_those_of_several_axes() -> None:
    source = read_source(model('1 2 3'), '')
    assert key_of(source.parsed(), 'home') == {'j1': 1.0, 'j2': 2.0, 'j3': 3.0}
    assert key_of(source.parsed(), 'other') is None is key_of(source.parsed(), 'none')


def test_a_keyframe_of_another_size_is_no_home(tmp_path: Path) -> None:
    """MuJoCo checks the size too, but keyframes are removed with joints of several axes."""
    (tmp_path / 'own.xml').write_text(model('0.1 0.2 0.3 0.4'))
    found = draft(str(tmp_path / 'own.xml'), 'own')
    assert found.key is not None and found.key.refused == 'it has not one number for each joint'


def test_an_arm_that_reaches_nothing_is_asked_for_its_units(tmp_path: Path) -> None:
    (tmp_path / 'own.xml').write_text(model('0 0 0').replace(' angle="radian"', ''))
    with pytest.raises(ConfigError, match='joint j1: .* radians, read as degrees'):
        draft(str(tmp_path / 'own.xml'), 'own')
