"""Descriptions are not believed blindly: what is odd is refused in one line, or told."""

from __future__ import annotations

import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nrl_ros.base.errors import ConfigError
from nrl_ros.cli.main import app
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.plant import MujocoPlant
from nrl_ros.robots.arm.preflight import preflight
from nrl_ros.robots.arm.robot import Robot, load_robot

LIMIT = '<limit lower="-2.5" upper="2.5" effort="50" velocity="2"/>'


def link(name: str, length: float, turn: str = '') -> str:
    shape = (
        f'<origin xyz="{"0 0" if not turn else length / 2} {length / 2 if not turn else "0 0"}"'
        f'{turn}/><geometry><cylinder radius="0.03" length="{length}"/></geometry>'
    )
    return (
        f'<link name="{name}"><inertial><mass value="1.2"/><inertia ixx="0.004" ixy="0" ixz="0" '
        f'iyy="0.004" iyz="0" izz="0.001"/></inertial><visual>{shape}</visual>'
        f'<collision>{shape}</collision></link>'
    )


def joint(name: str, parent: str, child: str, place: str, axis: str = '0 1 0') -> str:
    return (
        f'<joint name="{name}" type="revolute"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{place}"/><axis xyz="{axis}"/>{LIMIT}</joint>'
    )


URDF = (
    '<?xml version="1.0"?>\n<robot name="stub"><link name="base_link"/>'
    + link('link1', 0.1)
    + link('link2', 0.3)
    + link('link3', 0.25, ' rpy="0 1.5708 0"')
    + '<link name="tool0"/>'
    + joint('j1', 'base_link', 'link1', '0 0 0', '0 0 1')
    + joint('j2', 'link1', 'link2', '0 0 0.1')
    + joint('j3', 'link2', 'link3', '0 0 0.3')
    + '<joint name="flange" type="fixed"><parent link="link3"/><child link="tool0"/>'
    '<origin xyz="0.25 0 0"/></joint></robot>'
)
YAML = """
name: stub
model: arm.urdf
joints: [j1, j2, j3]
tool: tool0
home_rad: [0.0, 0.6, 0.3]
limits: {velocity_rad_s: [0.5], acceleration_rad_s2: [2.0]}
workspace: {low_m: [-1.5, -1.5, -0.2], high_m: [1.5, 1.5, 1.5], clearance_m: 0.02}
"""
UNWATCHED = YAML.replace('clearance_m: 0.02', 'clearance_m: 0.0')


def described(folder: Path, urdf: str | bytes = URDF, text: str = YAML) -> str:
    data = urdf if isinstance(urdf, bytes) else urdf.encode()
    (folder / 'arm.urdf').write_bytes(data)
    (folder / 'arm.yaml').write_text(text)
    return str(folder / 'arm.yaml')


def load(folder: Path, urdf: str | bytes = URDF, text: str = YAML) -> Robot:
    return load_robot(described(folder, urdf, text))


def refused(folder: Path, urdf: str | bytes = URDF, text: str = YAML) -> str:
    """What is said of a description that is refused, in its one line."""
    with pytest.raises(ConfigError) as error:
        load(folder, urdf, text)
    assert '\n' not in str(error.value)
    return str(error.value)


def told(robot: Robot) -> str:
    return '\n'.join(preflight(robot))


def test_a_sound_arm_has_nothing_to_be_told(tmp_path: Path) -> None:
    robot = load(tmp_path)
    assert robot.notes == ()
    assert '0.233 m (0.02 m are kept)' in told(robot)
    assert '1 pair of links watched: link1 with link3' in told(robot)


# ------------------------------------------------------------------ files


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.mark.parametrize(
    ('data', 'said'),
    [
        ('', 'is empty'),
        (' \n', 'is empty'),
        (URDF[:900], 'ends too early'),
        (b'\x00\x80\xff', 'cannot be read as text'),
        (
            URDF.replace('?>', ' encoding="klingon"?>', 1),
            'cannot be read as text: unknown encoding',
        ),
        ('<html/>', 'outermost element is <html>'),
        ('<robot name="x">' + '<a>' * 100_000, 'nested more than 200 elements deep'),
        (b'<robot>' + b' ' * (17 * 2**20), 'is larger than'),
        (
            '<!DOCTYPE robot [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><robot name="&b;"/>',
            'declares entities',
        ),
    ],
)
def test_what_is_no_model_is_told_in_one_line(tmp_path: Path, data: str | bytes, said: str) -> None:
    assert said in refused(tmp_path, data)


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    (tmp_path / 'arm.yaml').write_text(YAML.replace('arm.urdf', 'arms'))
    (tmp_path / 'arms').mkdir()
    with pytest.raises(ConfigError, match='arms is a folder'):
        load_robot(str(tmp_path / 'arm.yaml'))


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'latin-1'])
def test_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    text = URDF.replace('"stub"', '"größe"').replace('?>', f' encoding="{encoding[:7]}"?>', 1)
    assert load(tmp_path, text.encode(encoding)).model.name == 'größe'


@pytest.mark.parametrize(
    ('encoding', 'declared'),
    [
        # As CAD programs leave them: Latin-1 that is not declared, or declared as what it is not.
        ('latin-1', ''),
        ('cp1252', ' encoding="utf-8"'),
        ('utf-16-le', ' encoding="utf-16"'),
        ('utf-16-be', ''),
    ],
)
def test_encodings_that_nothing_declares_are_read(
    tmp_path: Path, encoding: str, declared: str
) -> None:
    text = URDF.replace('"stub"', '"größe"').replace('?>', f'{declared}?>', 1)
    robot = load(tmp_path, text.encode(encoding))
    assert robot.model.name == 'größe' and robot.joints == ('j1', 'j2', 'j3')


@pytest.mark.parametrize('form', ['{}', '~/{}', 'file://{}', 'package://arms/{}'])
def test_a_model_is_found_however_it_is_named(tmp_path: Path, monkeypatch, form: str) -> None:
    folder = tmp_path / 'arms'
    folder.mkdir()
    monkeypatch.setenv('HOME', str(folder))
    (folder / 'arm.URDF').write_text(URDF)
    name = str(folder / 'arm.URDF') if form.startswith('file') else 'arm.URDF'
    (folder / 'arm.yaml').write_text(YAML.replace('arm.urdf', form.format(name)))
    assert load_robot(str(folder / 'arm.yaml')).joints == ('j1', 'j2', 'j3')


def test_a_model_of_an_installed_package_is_found(tmp_path: Path, monkeypatch) -> None:
    share = tmp_path / 'prefix' / 'share' / 'arms' / 'urdf'
    share.mkdir(parents=True)
    (share / 'arm.urdf').write_text(URDF)
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'prefix'))
    (tmp_path / 'own.yaml').write_text(YAML.replace('arm.urdf', 'package://arms/urdf/arm.urdf'))
    assert load_robot(str(tmp_path / 'own.yaml')).model.size == 3


def test_a_name_in_another_case_is_suggested(tmp_path: Path) -> None:
    (tmp_path / 'arm.URDF').write_text(URDF)
    (tmp_path / 'arm.yaml').write_text(YAML)
    with pytest.raises(ConfigError, match=r"no arm model '.*arm.urdf', did you mean 'arm.URDF'"):
        load_robot(str(tmp_path / 'arm.yaml'))


@pytest.mark.parametrize(
    'text',
    [
        URDF.replace('<link name="base_link"/>', '<xacro:macro name="a" params="b"/>'),
        URDF.replace('0.25 0 0', '${reach} 0 0'),
        URDF.replace('lower="-2.5"', 'lower="$(arg low)"'),
    ],
)
@pytest.mark.parametrize('namespace', ['', ' xmlns:xacro="http://www.ros.org/wiki/xacro"'])
def test_a_xacro_file_is_told_with_how_to_expand_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, namespace: str
) -> None:
    monkeypatch.setitem(sys.modules, 'xacro', None)
    said = refused(tmp_path, text.replace('<robot', f'<robot{namespace}'))
    assert 'this is a xacro file' in said
    assert 'ros2 run xacro xacro arm.urdf -o arm_expanded.urdf' in said


def test_an_expanded_file_may_keep_the_namespace(tmp_path: Path) -> None:
    text = URDF.replace('<robot', '<robot xmlns:xacro="http://www.ros.org/wiki/xacro"')
    assert load(tmp_path, text).joints == ('j1', 'j2', 'j3')


# ------------------------------------------------------------------- tree


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (('<link name="tool0"/>', '<link name="tool0"/><link name="world"/>'), 'base_link, world'),
        (('<parent link="link1"/>', '<parent link="link"/>'), "did you mean 'link3'|'link1'"),
        (('<child link="link2"/>', '<child link="link1"/>'), "two joints, 'j1' and 'j2'"),
        (('<parent link="base_link"/>', '<parent link="tool0"/>'), 'in a circle: link1, link2'),
        (('name="j2"', 'name="j1"'), 'joints twice: j1'),
        (('<link name="link2">', '<link name="link1">'), 'links twice: link1'),
        (('type="revolute"', 'type="hinge"'), "'j1' of the URDF has the type 'hinge'"),
        (('<axis xyz="0 1 0"/>', '<axis xyz="0 0 0"/>'), "'j2' of the URDF: axis xyz is '0 0 0'"),
        (('xyz="0 0 0.3"', 'xyz="0 0 nan"'), "'j3' of the URDF: origin xyz is '0 0 nan'"),
        (('<axis xyz="0 1 0"/>', '<mimic joint="flange"/>'), "'j2' .* mimics 'flange', .* fixed"),
        (('radius="0.03"', 'radius="0"'), "'link1' of the URDF: radius"),
    ],
)
def test_what_is_no_tree_of_links_is_refused_by_name(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    assert re.search(said, refused(tmp_path, URDF.replace(*change)))


def test_a_urdf_without_links_is_refused(tmp_path: Path) -> None:
    assert 'the URDF has no link' in refused(tmp_path, '<robot name="none"/>')


def test_a_fixed_joint_may_have_an_axis_of_0_as_exporters_write_it(tmp_path: Path) -> None:
    fixed = '<origin xyz="0.25 0 0"/>'
    assert load(tmp_path, URDF.replace(fixed, f'{fixed}<axis xyz="0 0 0"/>')).model.size == 3


def test_a_last_body_that_no_joint_moves_is_told_to_be_no_choice_of_a_person(
    tmp_path: Path,
) -> None:
    camera = (
        '<link name="eye"/><joint name="see" type="fixed"><parent link="base_link"/>'
        '<child link="eye"/></joint></robot>'
    )
    said = refused(tmp_path, URDF.replace('</robot>', camera), YAML.replace('tool: tool0\n', ''))
    assert "the tool 'eye', the last body of the model, since tool is not set" in said


@pytest.mark.parametrize('kind', ['planar', 'floating'])
@pytest.mark.parametrize('joints', ['[j1, j2, j3]', '[]'])
def test_a_joint_of_several_axes_is_refused_or_held(tmp_path: Path, kind: str, joints: str) -> None:
    drive = (
        f'<link name="odom"/><joint name="drive" type="{kind}"><parent link="odom"/>'
        '<child link="base_link"/><origin xyz="0 0 0.1"/></joint></robot>'
    )
    text, yaml = URDF.replace('</robot>', drive), YAML.replace('[j1, j2, j3]', joints)
    assert f'drive ({kind}) of the model moves the tool' in refused(tmp_path, text, yaml)
    robot = load(tmp_path, text, yaml + 'held: {drive: 0.0}\n')
    assert robot.joints == ('j1', 'j2', 'j3')
    assert 'drive at 0' in told(robot)
    commanded = YAML.replace('[j1', '[drive, j1')
    assert f"'drive' is {kind} and cannot be commanded" in refused(tmp_path, text, commanded)


def test_a_joint_that_is_left_out_is_refused_or_held(tmp_path: Path) -> None:
    left = YAML.replace('[j1, j2, j3]', '[j1, j3]').replace('0.6, ', '').replace('0.02', '0.0')
    assert 'joint j2 of the model moves the tool' in refused(tmp_path, URDF, left)
    assert 'held: {j2: 0.0}' in refused(tmp_path, URDF, left)
    robot = load(tmp_path, URDF, left + 'held: {j2: 0.6}\n')
    whole = load(tmp_path, URDF, UNWATCHED)
    there = whole.chain.tool(np.array([[0.0, 0.6, 0.3]]))
    np.testing.assert_allclose(robot.chain.tool(np.array([[0.0, 0.3]])), there, atol=1e-12)
    assert 'j2 at 0.6' in told(robot)
    other = load(tmp_path, URDF, left + 'held: {j2: 0.5}\n')
    assert robot.digest() != other.digest()


def test_joints_beside_the_way_are_told(tmp_path: Path) -> None:
    text = URDF.replace('</robot>', link('claw', 0.02) + joint('grip', 'tool0', 'claw', '0 0 0'))
    robot = load(tmp_path, text + '</robot>', UNWATCHED)
    assert 'taken to stand (held: says where): grip at 0' in told(robot)
    assert robot.joints == ('j1', 'j2', 'j3')


# ----------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (('lower="-2.5" upper="2.5"', 'lower="0.8" upper="-0.8"'), 'lower 0.8 is above upper -0.8'),
        (('lower="-2.5" upper="2.5"', 'lower="0" upper="0"'), 'lower and upper are both 0'),
        (('lower="-2.5" upper="2.5"', 'lower="0.5"'), 'lower 0.5 alone; the other end counts as 0'),
        (('lower="-2.5"', 'lower="nan"'), "lower limit 'nan' is not a number"),
        (('velocity="2"', 'velocity="nan"'), "velocity limit 'nan' is not a number"),
        (('velocity="2"', 'velocity="-1"'), 'velocity limit -1 is below 0'),
        (
            ('upper="2.5"', 'upper="120"'),
            'joint j1 turns from -2.5 to 120 rad by its model: degrees?',
        ),
        (('lower="-2.5" upper="2.5"', ''), 'joints j1, j2, j3 have no position limits in'),
        ((LIMIT, ''), 'joints j1, j2, j3 have no position limits in'),
    ],
)
def test_odd_limits_are_refused_by_joint(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    assert said in refused(tmp_path, URDF.replace(*change))


def test_all_odd_limits_are_told_at_once(tmp_path: Path) -> None:
    one, other = LIMIT.replace('lower="-2.5"', ''), LIMIT.replace('-2.5', '3')
    text = URDF.replace(LIMIT, one, 1).replace(LIMIT, other, 1)
    said = refused(tmp_path, text)
    assert "joint 'j2': lower 3 is above upper 2.5" in said
    assert 'joint j1: its model gives upper 2.5 alone; lower counts as 0' in said


def test_the_other_end_counts_as_0(tmp_path: Path) -> None:
    text = YAML.replace('[0.0, 0.6', '[0.1, 0.6')
    robot = load(tmp_path, URDF.replace('lower="-2.5"', '', 1), text)
    assert robot.hard.position_low[0] == 0.0
    assert 'joint j1: its model gives upper 2.5 alone; lower counts as 0' in told(robot)


def test_a_continuous_joint_that_is_limited_keeps_its_limits(tmp_path: Path) -> None:
    robot = load(tmp_path, URDF.replace('"revolute"', '"continuous"', 1))
    assert robot.hard.position_high[0] == 2.5
    assert 'joint j1: continuous, and limited' in told(robot)
    # Its driver may wrap its angle all the same.
    assert robot.continuous.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        (
            'position_low_rad: [-3.0]',
            'of j1 is wider than its model allows, -3 where the model has -2.5',
        ),
        ('position_high_rad: [1, 120, 1]', 'of j2 is wider than its model allows, 120 .* degrees?'),
        (
            'velocity_rad_s: [9.0]',
            'of j1 is wider than its model allows, 9 where the model has 2 rad/s',
        ),
    ],
)
def test_wider_limits_are_refused_with_both_values(tmp_path: Path, given: str, said: str) -> None:
    text = re.sub('limits: {.*}', f'limits: {{{given}}}', YAML)
    assert re.search(said, refused(tmp_path, URDF, text))


def test_tighter_limits_make_a_model_in_degrees_usable_and_it_is_told(tmp_path: Path) -> None:
    text = YAML.replace('limits: {', 'limits: {position_low_rad: [-1], position_high_rad: [1], ')
    robot = load(tmp_path, URDF.replace('-2.5" upper="2.5', '-120" upper="120'), text)
    assert robot.hard.position_high == (1.0, 1.0, 1.0)
    assert 'joint j2: limits -120 to 120 rad of its model: degrees?' in told(robot)


@pytest.mark.parametrize(
    ('ends', 'told_of'),
    [(('-2', '2'), True), (('-2.5', '2.4'), True), (('-2.5', '2.5'), False), (('0', '0'), False)],
)
def test_tighter_soft_limits_are_told(tmp_path: Path, ends: tuple[str, str], told_of: bool) -> None:
    soft = f'<safety_controller soft_lower_limit="{ends[0]}" soft_upper_limit="{ends[1]}"/>'
    said = told(load(tmp_path, URDF.replace(LIMIT, LIMIT + soft, 1)))
    assert (f'j1: its safety_controller keeps it within {ends[0]} to {ends[1]}' in said) == told_of


def test_speeds_without_a_limit_or_in_degrees_are_told(tmp_path: Path) -> None:
    robot = load(tmp_path, URDF.replace('velocity="2"', '', 1).replace('"2"/>', '"180"/>', 1))
    assert 'the model limits no speed of j1' in told(robot)
    assert 'joint j2: velocity limit 180 rad/s of its model: degrees?' in told(robot)


@pytest.mark.parametrize(
    ('compiler', 'ends', 'said'),
    [('radian', '-120 120', 'limits -120 to 120 rad'), ('degree', '-2 2', 'radians, read as')],
)
def test_an_mjcf_in_the_other_unit_is_told(compiler: str, ends: str, said: str) -> None:
    arm = ArmModel.from_text(
        f'<mujoco><compiler angle="{compiler}"/><worldbody><body name="a"><joint name="j" '
        f'range="{ends}"/><geom size="0.1"/></body></worldbody></mujoco>'
    )
    assert any(said in note for note in arm.notes)


@pytest.mark.parametrize(
    ('ends', 'said'),
    [
        ('90 -90', "joint 'j': range .* the lower one first"),
        ('30 30', "joint 'j': range .* the lower one first"),
        ('NaN 90', "<joint> 'j' of the model: range is 'NaN 90'"),
    ],
)
def test_a_range_of_an_mjcf_that_is_none_is_refused(ends: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ArmModel.from_text(
            f'<mujoco><worldbody><body name="a"><joint name="j" range="{ends}"/>'
            '<geom size="0.1"/></body></worldbody></mujoco>'
        )


def test_a_linear_axis_is_told_in_metres(tmp_path: Path) -> None:
    robot = load(tmp_path, URDF.replace('"revolute"', '"prismatic"', 1))
    assert 'j1: -2.450 to 2.450 m, 0.5 m/s, 2 m/s^2' in told(robot)
    assert 'j1: -2.5 to 2.5 m, 0.5 m/s' in robot.manifest()
    assert robot.limits.units[:2] == robot.hard.units[:2] == ('m', 'rad')
    assert 'j2: -2.450 to 2.450 rad' in told(robot)


# ----------------------------------------------------------------- shapes


def stl(size: float) -> bytes:
    corners = [(x, y, z) for x in (-size, size) for y in (-size, size) for z in (-size, size)]
    faces = [
        (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
        (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3),
    ]  # fmt: skip
    data = b'\0' * 80 + struct.pack('<I', len(faces))
    for face in faces:
        data += struct.pack('<3f', 0, 0, 0)
        data += b''.join(struct.pack('<3f', *corners[at]) for at in face) + b'\0\0'
    return data


def meshed(name: str) -> str:
    return re.sub('<cylinder[^>]*/>', f'<mesh filename="{name}"/>', URDF)


@pytest.mark.parametrize(
    ('name', 'why'),
    [
        ('package://stub_description/part.stl', 'not found'),
        ('meshes/part.ply', 'no STL, OBJ or DAE'),
        ('meshes/ascii.stl', 'not readable'),
        ('meshes/empty.stl', 'not readable'),
        ('meshes', 'no STL, OBJ or DAE'),
    ],
)
def test_without_a_pair_of_shapes_no_clearance_is_claimed(
    tmp_path: Path, name: str, why: str
) -> None:
    (tmp_path / 'meshes').mkdir()
    for file, data in (('part.ply', b'<x/>'), ('ascii.stl', b'solid x'), ('empty.stl', b'')):
        (tmp_path / 'meshes' / file).write_bytes(data)
    said = refused(tmp_path, meshed(name))
    assert 'links without a shape: link1, link2, link3' in said
    assert f'{name} (link1, link2, link3): {why}' in said
    assert 'workspace.clearance_m: 0' in said
    robot = load(tmp_path, meshed(name), UNWATCHED)
    assert 'no pair of shapes is compared, NOT watched' in told(robot)
    assert 'at home: 0.25' not in told(robot)
    # A wall is all that it meets: it is asked about nothing else, and answers.
    assert robot.guard().violation(robot.home[None])[0] < 0.0
    assert len(robot.guard().parts) == 1


def test_a_model_without_any_shape_is_refused_too(tmp_path: Path) -> None:
    bare = re.sub('<(visual|collision)>.*?</\\1>', '', URDF)
    assert 'the model has no shapes' in refused(tmp_path, bare)


@pytest.mark.parametrize(
    'form', ['meshes/{}', 'file://{folder}/meshes/{}', 'package://{own}/meshes/{}']
)
def test_meshes_that_are_found_are_shapes(tmp_path: Path, form: str) -> None:
    (tmp_path / 'meshes').mkdir()
    (tmp_path / 'meshes' / 'part.STL').write_bytes(stl(0.15))
    name = form.format('part.STL', folder=tmp_path, own=tmp_path.name)
    text = meshed(name).replace('<mesh ', '<mesh scale="0.2 0.2 1" ')
    robot = load(tmp_path, text)
    assert robot.model.mj.ngeom == 3
    assert robot.clearance.links == [('link1', 'link3')]
    assert 'link' not in ' '.join(robot.notes)


def test_meshes_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    for folder, size in (('a', 0.02), ('b', 0.04)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'part.stl').write_bytes(stl(size))
    text = meshed('a/part.stl').replace('a/part.stl', 'b/part.stl', 2)
    spheres = load(tmp_path, text).model.mj.geom_rbound
    np.testing.assert_allclose(spheres, np.sqrt(3.0) * np.array([0.04, 0.02, 0.02]), rtol=1e-6)


def test_one_link_without_a_shape_is_told(tmp_path: Path) -> None:
    one = re.sub('<cylinder[^>]*/>', '<mesh filename="absent.stl"/>', link('link2', 0.3))
    robot = load(tmp_path, URDF.replace(link('link2', 0.3), one))
    assert 'no clearance is watched: link2' in told(robot)
    assert '0.02 m are kept, of links that have shapes)' in told(robot)
    assert '1 pair of links watched: link1 with link3' in told(robot)


def test_shapes_that_no_commanded_joint_moves_apart_are_not_compared(tmp_path: Path) -> None:
    """Two fingers of a gripper lie in one another whatever the arm does."""
    fingers = ''.join(
        link(name, 0.05) + joint(f'{name}_joint', 'tool0', name, '0 0 0') for name in ('f1', 'f2')
    )
    robot = load(tmp_path, URDF.replace('</robot>', f'{fingers}</robot>'))
    assert ('f1', 'f2') not in robot.clearance.links
    assert ('link1', 'f1') in robot.clearance.links or len(robot.clearance.pairs) >= 1


# ------------------------------------------------------------- tool, mass


def test_an_empty_tool_says_which_was_taken(tmp_path: Path) -> None:
    text = YAML.replace('tool: tool0\n', '')
    assert "the last body of the model is taken, 'tool0'" in told(load(tmp_path, URDF, text))
    finger = URDF.replace('tool0', 'left_finger')
    assert 'by its name it is a part' in told(load(tmp_path, finger, text))


@pytest.mark.parametrize(
    'change',
    [
        ('ixx="0.004"', 'ixx="-0.0012"'), ('ixx="0.004"', 'ixx="nan"'),
        ('<mass value="1.2"/>', '<mass value="-1"/>'), ('ixy="0"', 'ixy="0.1"'),
        # What the physics engine asks for, and a person may have left out.
        ('<mass value="1.2"/>', ''), ('ixy="0" ', ''),
    ],
)  # fmt: skip
def test_an_inertia_of_no_body_is_replaced_and_told(
    tmp_path: Path, change: tuple[str, str]
) -> None:
    robot = load(tmp_path, URDF.replace(*change))
    assert 'inertia of link1, link2, link3 is that of no body' in told(robot)
    sound = load(tmp_path)
    assert (robot.chain.tool(robot.home[None]) == sound.chain.tool(robot.home[None])).all()
    plant = MujocoPlant(robot.model, 1, 0.008)
    plant.step(np.full(3, 0.1))
    assert np.isfinite(plant.position).all()


def test_links_without_a_mass_are_told_and_the_arm_is_used(tmp_path: Path) -> None:
    """What is fixed to a link counts with it: link3 has its mass at the tool."""
    text = re.sub(r'<inertial>.*?</inertial>', '', URDF)
    mass = '<inertial><mass value="1"/></inertial>'
    text = text.replace('<link name="tool0"/>', f'<link name="tool0">{mass}</link>')
    robot = load(tmp_path, text)
    assert 'the model has no mass of link1, link2: 0.001 kg each instead' in told(robot)
    plant = MujocoPlant(robot.model, 1, 0.008)
    plant.step(np.full(3, 0.1))
    assert np.isfinite(plant.position).all()


def test_moments_that_are_balanced_are_told(tmp_path: Path) -> None:
    assert 'greater than the others together' in told(
        load(tmp_path, URDF.replace('ixx="0.004"', 'ixx="0.4"'))
    )


def test_simulated_drives_overcome_the_friction_of_their_joints(tmp_path: Path) -> None:
    text = URDF.replace(LIMIT, f'{LIMIT}<dynamics damping="50" friction="20"/>')
    plant = MujocoPlant(load(tmp_path, text).model, 1, 0.008)
    plant.reset([0.0, 0.6, 0.3])
    for _ in range(50):
        plant.step(np.array([0.5, -0.4, 0.3]))
    np.testing.assert_allclose(plant.velocity[0], [0.5, -0.4, 0.3], rtol=0.02)


# ----------------------------------------------------------------- frames

RAISED = URDF.replace(
    '</robot>',
    '<link name="world"/><joint name="stand" type="fixed"><parent link="world"/>'
    '<child link="base_link"/><origin xyz="0 0 0.7" rpy="0 0 1.5707963267948966"/></joint></robot>',
)


def test_points_of_other_frames_are_brought_into_that_of_the_workspace(tmp_path: Path) -> None:
    robot = load(tmp_path, RAISED)
    point = np.array([0.3, 0.1, 0.2])
    np.testing.assert_allclose(robot.from_frame('world').of(point), point)
    np.testing.assert_allclose(robot.from_frame('').of(point), point)
    np.testing.assert_allclose(robot.from_frame('base_link').of(point), [-0.1, 0.3, 0.9])
    for frame, said in (('tool0', 'moves with the joints'), ('wrld', 'is not in the model')):
        with pytest.raises(ConfigError, match=f'{said}, expected .*: world, base_link'):
            robot.from_frame(frame)


def test_a_workspace_has_a_frame(tmp_path: Path) -> None:
    """As if there were no stand: places, guard and targets are those of the arm on the ground."""
    own = YAML.replace('{low_m', '{frame: base_link, low_m')
    raised = load(tmp_path, RAISED, own)
    flat = load(tmp_path, URDF, YAML)
    poses = np.random.default_rng(0).uniform(-2.0, 2.0, (20, 3))
    np.testing.assert_allclose(raised.chain.tool(poses), flat.chain.tool(poses), atol=1e-12)
    np.testing.assert_allclose(
        raised.guard().violation(poses), flat.guard().violation(poses), atol=1e-9
    )
    np.testing.assert_allclose(
        raised.from_frame('world').of(np.array([0.0, 0.0, 1.0])), [0.0, 0.0, 0.3], atol=1e-12
    )
    assert 'frame: base_link' in raised.manifest() and raised.digest() != flat.digest()
    assert "frame 'tool0' moves with the joints" in refused(
        tmp_path, URDF, YAML.replace('{low_m', '{frame: tool0, low_m')
    )


# ---------------------------------------------------------------- command


def test_the_command_tells_notes_and_never_a_traceback(tmp_path: Path) -> None:
    runner = CliRunner()
    good = runner.invoke(app, ['doctor', '--robot', described(tmp_path, URDF, UNWATCHED)])
    assert good.exit_code == 0
    assert 'note: the clearance of the arm from itself is not watched' in good.output
    bad = runner.invoke(app, ['doctor', '--robot', described(tmp_path, meshed('absent.stl'))])
    assert bad.exit_code == 2
    assert 'no pair of shapes is left to compare' in bad.output
