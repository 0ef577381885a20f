"""What exporters and people get wrong in a URDF is read as was meant, or refused by its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('mujoco')

from tests.unit.test_arm_descriptions import LIMIT, URDF, YAML, load, refused
from tests.unit.test_arm_shapes import stl

SHAPE = '<cylinder radius="0.03" length="0.3"/>'
AXIS = '<axis xyz="0 1 0"/>'
PLACE = '<origin xyz="0 0 0.1"/>'
TO_WORLD = (
    '<joint name="placed" type="fixed"><origin xyz="0 0 0.5"/><parent link="base_link"/>'
    '<child link="world"/></joint></robot>'
)


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ((AXIS, AXIS + '<axis xyz="1 0 0"/>'), "joint 'j2' of the URDF has several axis"),
        ((PLACE, PLACE + '<origin xyz="0 0 9"/>'), "joint 'j2' of the URDF has several origin"),
        ((LIMIT, LIMIT + LIMIT), "joint 'j1' of the URDF has several limit"),
        (('<inertial>', '<inertial/><inertial>'), "link 'link1' of the URDF has several inertial"),
        ((AXIS, '<axis/>'), "joint 'j2' of the URDF: axis xyz is ''"),
        ((AXIS, '<axis xyz="0 1e-9 0"/>'), "axis xyz is '0 1e-9 0', expected 3 finite numbers"),
        ((AXIS, '<axis xyz="0 1e300 0"/>'), "axis xyz is '0 1e300 0', expected 3 finite numbers"),
        ((AXIS, AXIS + '<mimic joint="j2"/>'), "joint 'j2' of the URDF mimics itself"),
        (('xyz="0 0 0.1"', 'xyz="0 0 1_0"'), "joint 'j2' of the URDF: origin xyz is '0 0 1_0'"),
        (('xyz="0 0 0.05"', 'xyz="0 0"'), "link 'link1' of the URDF: xyz of a shape is '0 0'"),
        ((SHAPE, '<cylinder radius="0.03"/>'), "'link2' of the URDF: length of a shape is ''"),
        ((SHAPE, '<box size="0.1 0.1"/>'), "'link2' of the URDF: size of a shape is '0.1 0.1'"),
        (
            (SHAPE, '<cone radius="0.1"/>'),
            "link 'link2' of the URDF has the shape 'cone', expected",
        ),
    ],
)
def test_what_mujoco_would_refuse_without_a_name_has_one(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    text = URDF.replace(*change) if "'link" in said else URDF.replace(*change, 1)
    assert said in refused(tmp_path, text)


def test_a_link_called_world_below_the_root_is_not_put_where_the_root_is(tmp_path: Path) -> None:
    """MuJoCo takes it for its own world: the arm on it stood where the root is, 0.5 m off."""
    below = URDF.replace('<link name="link1">', '<link name="world"/><link name="link1">')
    below = below.replace('</robot>', TO_WORLD)
    carrying = below.replace('<parent link="base_link"/>', '<parent link="world"/>', 1)
    assert "link 'world' of the URDF hangs on joint 'placed'" in refused(tmp_path, carrying)
    # A frame that nothing hangs on is nowhere.
    assert load(tmp_path, below).joints == ('j1', 'j2', 'j3')


@pytest.mark.parametrize(
    'text',
    [
        '\n\n' + URDF,
        URDF + '\0',
        '\ufeff \r\n' + URDF.replace('><', '>\r\n<'),
        URDF.replace('<robot name="stub">', '<robot name="stub"><!-- was -- here -->'),
        URDF.replace('<collision>', '<collision/><collision>'),
        URDF.replace('<collision>', '<collision><geometry/></collision><collision>'),
    ],
)
def test_what_other_readers_of_urdfs_pass_over_is_passed_over(tmp_path: Path, text: str) -> None:
    robot = load(tmp_path, text)
    assert np.allclose(robot.chain.tool(robot.home[None])[0], [0.325, 0.0, 0.152], atol=0.001)
    assert len(robot.clearance.pairs) == 1 and not robot.notes


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (
            ('rpy="0 1.5708 0"', 'rpy="0 90 0"'),
            'link link3: rpy of its origin is 0 90 0 rad: degrees?',
        ),
        (('xyz="0.25 0 0"', 'xyz="0 0 250" '), 'xyz of its origin is 0 0 250 m: millimetres?'),
    ],
)
def test_places_in_degrees_or_millimetres_are_told(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    wide = YAML.replace('-1.5, -1.5, -0.2', '-900, -900, -900').replace('1.5, 1.5', '900, 900')
    wide = wide.replace('900, 1.5]', '900, 900]')
    assert any(said in note for note in load(tmp_path, URDF.replace(*change), wide).notes)


def test_an_axis_that_slides_in_millimetres_is_told(tmp_path: Path) -> None:
    text = URDF.replace('type="revolute"', 'type="prismatic"', 1)
    text = text.replace('lower="-2.5" upper="2.5"', 'lower="-500" upper="500"', 1)
    assert any('j1: slides from -500 to 500 m' in note for note in load(tmp_path, text).notes)


@pytest.mark.parametrize(
    ('file', 'data', 'said'),
    [
        ('a.stl', b'version https://git-lfs.github.com/spec/v1\noid sha256:1\n', '`git lfs pull`'),
        ('A.STL', stl(), "does not exist, did you mean 'A.STL'?"),
    ],
)
def test_a_mesh_that_is_not_there_says_what_is(
    tmp_path: Path, file: str, data: bytes, said: str
) -> None:
    (tmp_path / file).write_bytes(data)
    text = URDF.replace(SHAPE, '<mesh filename="a.stl"/>')
    assert any(said in note for note in load(tmp_path, text).notes)


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('', 'it has no file name'),
        ('https://example.org/a.stl', 'https:// is not followed'),
        ('model://nobodys/a.stl', "package 'nobodys' is in no folder"),
    ],
)
def test_a_mesh_is_named_by_a_path_or_a_package(tmp_path: Path, name: str, said: str) -> None:
    text = URDF.replace(SHAPE, f'<mesh filename="{name}"/>')
    assert any(said in note for note in load(tmp_path, text).notes)


def test_gazebos_name_of_a_package_is_followed_and_a_tail_of_an_stl_is_none(tmp_path: Path) -> None:
    folder = tmp_path / 'parts_description'
    folder.mkdir()
    (folder / 'package.xml').write_text('<package><name>parts_description</name></package>')
    (folder / 'a.stl').write_bytes(stl() + b'\n')
    text = URDF.replace(SHAPE, '<mesh filename="model://parts_description/a.stl"/>')
    assert not [note for note in load(tmp_path, text).notes if 'left out' in note]
