"""Meshes of links: they are found, read and kept as convex hulls, or it is said why not."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrl_ros.base.errors import ConfigError
from nrl_ros.robots.arm import hulls
from nrl_ros.robots.arm.capsules import CapsuleSettings, fitted
from nrl_ros.robots.arm.clearance import Clearance
from nrl_ros.robots.arm.description import keep_robot
from nrl_ros.robots.arm.hulls import points_of, read_hull
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.preflight import preflight
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.shapes import Shapes

WHOLE = (1.0, 1.0, 1.0)
CUBE = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
# Two triangles of each side; what lies on the hull decides, not how its sides are cut.
SIDES = [
    [CUBE[[a, b, c]], CUBE[[b, c, d]]]
    for axis in range(3)
    for value in (-0.5, 0.5)
    for a, b, c, d in [np.flatnonzero(CUBE[:, axis] == value)]
]
TRIANGLES = np.array(SIDES).reshape(-1, 3, 3)
GOOD = (
    '<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1"><asset>'
    '<unit meter="0.01"/><up_axis>Y_UP</up_axis></asset><library_geometries><geometry id="g">'
    '<mesh><source id="p"><float_array id="a" count="12">0 0 0 1 0 0 0 1 0 0 0 1</float_array>'
    '<technique_common><accessor source="#a" count="4" stride="3"><param name="X" type="float"/>'
    '<param name="Y" type="float"/><param name="Z" type="float"/></accessor></technique_common>'
    '</source><vertices id="v"><input semantic="POSITION" source="#p"/></vertices>'
    '<triangles count="4"><input semantic="VERTEX" source="#v" offset="0"/>'
    '<p>0 1 2 0 1 3 0 2 3 1 2 3</p></triangles></mesh></geometry></library_geometries>'
    '<library_visual_scenes><visual_scene id="s"><node id="n"><translate>0 0 5</translate>'
    '<instance_geometry url="#g"/></node></visual_scene></library_visual_scenes>'
    '<scene><instance_visual_scene url="#s"/></scene></COLLADA>'
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def stl(triangles: np.ndarray = TRIANGLES) -> bytes:
    rows = [np.concatenate([np.zeros(3), each.ravel()]).astype('<f4') for each in triangles]
    body = b''.join(row.tobytes() + b'00' for row in rows)
    return b' ' * 80 + struct.pack('<I', len(rows)) + body


def ascii_stl(triangles: np.ndarray = TRIANGLES) -> bytes:
    facets = [
        'facet normal 0 0 0\nouter loop\n'
        + ''.join(f'  vertex {x:g} {y:g} {z:.3e}\n' for x, y, z in each)
        + 'endloop\nendfacet\n'
        for each in triangles
    ]
    return f'solid cube\n{"".join(facets)}endsolid cube\n'.encode()


def obj() -> bytes:
    points = ''.join(f'v {x} {y} {z}\n' for x, y, z in CUBE)
    return (points + 'f 1 2 3\nf 5//1 6//1 7//1\nf 8 4 2\n').encode()


def corners(path: Path, data: bytes, scale: tuple[float, float, float] = WHOLE) -> np.ndarray:
    """The hull's corners, sorted, so that they can be compared."""
    path.write_bytes(data)
    points = points_of(read_hull(path, scale)).round(6) + 0.0
    return np.array(sorted(points.tolist()))


def in_order(points: np.ndarray) -> np.ndarray:
    return np.array(sorted((points.round(6) + 0.0).tolist()))


# ----------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ('name', 'data'),
    [('a.stl', stl()), ('a.STL', ascii_stl()), ('a.stl', b'solid x' + stl()[7:]), ('a.obj', obj())],
)
def test_a_cube_has_eight_corners_whatever_its_file(tmp_path: Path, name: str, data: bytes) -> None:
    np.testing.assert_allclose(corners(tmp_path / name, data), in_order(CUBE), atol=1e-6)


@pytest.mark.parametrize('scale', [(0.001, 0.001, 0.001), (1.0, 2.0, 3.0), (-1.0, 1.0, 0.5)])
def test_a_scale_holds_for_each_coordinate_and_may_mirror(tmp_path: Path, scale) -> None:
    wedge = CUBE[[0, 1, 2, 4]]
    triangles = np.array([wedge[[0, 1, 2]], wedge[[0, 1, 3]], wedge[[0, 2, 3]], wedge[1:]])
    found = corners(tmp_path / 'a.stl', stl(triangles), scale)
    np.testing.assert_allclose(found, in_order(wedge * scale), atol=1e-6)


def test_a_dae_counts_its_unit_and_the_places_of_its_scene_and_not_its_up_axis(
    tmp_path: Path,
) -> None:
    pytest.importorskip('collada')
    wanted = np.array([[0, 0, 5], [1, 0, 5], [0, 1, 5], [0, 0, 6]]) * 0.01
    found = corners(tmp_path / 'a.dae', b'\n' + GOOD.encode())
    np.testing.assert_allclose(found, in_order(wanted), atol=1e-6)


def test_points_within_the_hull_do_not_count(tmp_path: Path) -> None:
    inner = np.concatenate([TRIANGLES, 0.9 * TRIANGLES, 0.2 * TRIANGLES])
    np.testing.assert_allclose(corners(tmp_path / 'a.stl', stl(inner)), in_order(CUBE), atol=1e-6)


@pytest.mark.parametrize('seen_along', [(0.0, 0.0, 1.0), (1.0, 2.0, 3.0)])
def test_a_flat_mesh_such_as_a_sticker_is_a_thin_plate(tmp_path: Path, seen_along) -> None:
    normal = np.array(seen_along) / np.linalg.norm(seen_along)
    flat = TRIANGLES - (TRIANGLES @ normal)[..., None] * normal
    (tmp_path / 'a.stl').write_bytes(stl(flat.astype(np.float32)))
    points = points_of(read_hull(tmp_path / 'a.stl', WHOLE))
    np.testing.assert_allclose(np.abs(points @ normal), 0.0005, atol=1e-6)
    wide = np.ptp(flat.reshape(-1, 3), axis=0)
    np.testing.assert_allclose(np.ptp(points, axis=0), wide + 0.001 * np.abs(normal), atol=1e-5)


@pytest.mark.parametrize(
    ('name', 'data', 'said'),
    [
        ('a.stl', b'', 'is the file complete?'),
        ('a.stl', stl()[:-30], 'is the file complete?'),
        ('a.stl', stl()[:84][:80] + bytes(4), '0 points'),
        ('a.stl', ascii_stl()[:-20], 'ends too early'),
        ('a.stl', ascii_stl().replace(b'-5.000e-01', b'half'), 'is not three numbers'),
        ('a.stl', stl(TRIANGLES[:1]), '3 points'),
        ('a.stl', stl(TRIANGLES * [1.0, np.nan, 1.0]), 'not finite'),
        ('a.stl', stl(TRIANGLES * 900.0), 'millimetres? Set scale="0.001 0.001 0.001"'),
        ('a.stl', stl(TRIANGLES * 1e-7), 'too small'),
        ('a.obj', b'v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 9\n', 'does not exist'),
        ('a.obj', b'', 'not readable'),
        ('a.dae', b'<COLLADA', 'not readable'),
        ('a.dae', GOOD.encode()[:-300], 'not readable'),
        ('a.ply', b'ply', 'no STL, OBJ or DAE'),
        ('a', b'', 'no ending'),
    ],
)
def test_what_has_no_hull_says_why_in_one_line(
    tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    if name == 'a.dae':
        pytest.importorskip('collada')
    with pytest.raises(ConfigError) as error:
        corners(tmp_path / name, data)
    assert said in str(error.value)
    assert '\n' not in str(error.value)


def test_without_pycollada_a_dae_says_what_is_missing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(__import__('sys').modules, 'collada', None)
    with pytest.raises(ConfigError, match='pip install pycollada'):
        corners(tmp_path / 'a.dae', GOOD.encode())


# ------------------------------------------------------------------- cache


def no_hull(points: np.ndarray) -> None:
    raise AssertionError('computed again')


def test_a_hull_is_computed_once_and_kept_by_content_and_scale(tmp_path: Path, monkeypatch) -> None:
    first = corners(tmp_path / 'a.stl', stl())
    monkeypatch.setattr(hulls, '_hull', no_hull)
    np.testing.assert_array_equal(corners(tmp_path / 'another name.stl', stl()), first)
    for path, data, scale in (
        (tmp_path / 'a.stl', stl(), (1.0, 1.0, 2.0)),
        (tmp_path / 'a.stl', stl(TRIANGLES * 0.5), WHOLE),
    ):
        with pytest.raises(AssertionError, match='computed again'):
            corners(path, data, scale)


def test_a_damaged_hull_is_computed_again(tmp_path: Path) -> None:
    first = corners(tmp_path / 'a.stl', stl())
    (kept,) = (tmp_path / 'cache' / 'nrl_ros' / 'hulls').iterdir()
    whole = kept.read_bytes()
    for damaged in (whole[:-9], whole.replace(b'0.5', b'0.1', 1), b'', b'\xff' * 99):
        kept.write_bytes(damaged)
        np.testing.assert_array_equal(corners(tmp_path / 'a.stl', stl()), first)
        assert kept.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    assert len(corners(tmp_path / 'a.stl', stl())) == 8


# --------------------------------------------------------------- distances


def two_hulls(folder: Path, first: np.ndarray, second: np.ndarray) -> ArmModel:
    """Two meshes; the second one slides along x, y, z and turns about z and x."""
    for name, points in (('a', first), ('b', second)):
        text = ''.join(f'v {x!r} {y!r} {z!r}\n' for x, y, z in points.tolist())
        (folder / f'{name}.obj').write_text(text)
    links = ['a', 'x', 'y', 'z', 't', 'b']
    shapes = {
        name: f'<collision><geometry><mesh filename="{name}.obj"/></geometry></collision>'
        for name in 'ab'
    }
    axes = ['1 0 0', '0 1 0', '0 0 1', '0 0 1', '1 0 0']
    joints = ''.join(
        f'<joint name="j{at}" type="{"prismatic" if at < 3 else "revolute"}">'
        f'<parent link="{links[at]}"/><child link="{links[at + 1]}"/><axis xyz="{axes[at]}"/>'
        '<limit lower="-2" upper="2" effort="1" velocity="1"/></joint>'
        for at in range(5)
    )
    bodies = ''.join(f'<link name="{name}">{shapes.get(name, "")}</link>' for name in links)
    (folder / 'arm.urdf').write_text(f'<robot name="two">{bodies}{joints}</robot>')
    return ArmModel.from_file(folder / 'arm.urdf')


def test_the_distance_of_two_boxes_is_that_of_their_sides_edges_and_corners(
    tmp_path: Path,
) -> None:
    clearance = Clearance(two_hulls(tmp_path, CUBE, CUBE), far_m=9.0)
    assert clearance.links == [('a', 'b')]
    eighth = np.pi / 4.0
    across = np.sqrt(2.0) / 2.0
    for pose, wanted in (
        ([1.7, 0.2, 0.3, 0.0, 0.0], 0.7),
        ([1.5, 1.6, 0.1, 0.0, 0.0], np.hypot(0.5, 0.6)),
        ([1.5, 1.6, 1.7, 0.0, 0.0], np.sqrt(0.5**2 + 0.6**2 + 0.7**2)),
        ([1.9, 0.0, 0.0, eighth, 0.0], 1.9 - 0.5 - across),
        ([0.0, 0.0, 1.9, 0.0, eighth], 1.9 - 0.5 - across),
        ([0.4, 0.0, 0.0, 0.0, 0.0], -0.6),
    ):
        assert clearance(np.array([pose]))[0] == pytest.approx(wanted, abs=2e-5)


def test_hulls_of_random_points_are_as_far_apart_as_their_triangles(tmp_path: Path) -> None:
    """Held against the least distance of all pairs of points, edges and triangles."""
    rng = np.random.default_rng(5)
    first, second = 0.3 * rng.normal(size=(2, 12, 3))
    arm = two_hulls(tmp_path, first, second)
    clearance = Clearance(arm, far_m=9.0)
    poses = rng.uniform(-2.0, 2.0, (60, 5))
    found = clearance(poses)
    for pose, distance in zip(poses, found, strict=True):
        turned = second @ _turn(pose[4], 0).T @ _turn(pose[3], 2).T + pose[:3]
        # Of convex bodies that lie apart the distance is the widest gap over all directions.
        gap = _gap(first, turned)
        if gap > 0.0:
            assert distance == pytest.approx(gap, abs=2e-4)
        else:
            assert distance < 1e-4


def _turn(angle: float, axis: int) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    turn = np.eye(3)
    one, other = [each for each in range(3) if each != axis]
    sign = -1.0 if axis == 1 else 1.0
    turn[one, one] = turn[other, other] = c
    turn[one, other], turn[other, one] = -sign * s, sign * s
    return turn


def _gap(one: np.ndarray, other: np.ndarray) -> float:
    """Widest gap between two sets of points, by Gilbert's algorithm on their difference."""
    differences = (other[:, None] - one[None]).reshape(-1, 3)
    nearest = differences[0]
    for _ in range(20_000):
        furthest = differences[(differences @ nearest).argmin()]
        step = nearest - furthest
        share = float(np.clip(nearest @ step / max(step @ step, 1e-30), 0.0, 1.0))
        nearest = nearest - share * step
    length = float(np.linalg.norm(nearest))
    return float((differences @ nearest).min() / length) if length > 1e-6 else 0.0


def test_a_mesh_of_a_box_is_as_far_as_mujocos_own_box(tmp_path: Path) -> None:
    """At random poses, against mj_geomDistance of the primitive in place of the mesh."""
    rng = np.random.default_rng(7)
    clearance = Clearance(two_hulls(tmp_path, CUBE * 0.4, CUBE * 0.6), far_m=9.0)
    spec = mujoco.MjSpec()
    for size in (0.2, 0.3):
        body = spec.worldbody.add_body()
        body.add_freejoint()
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[size] * 3)
    boxes = spec.compile()
    data = mujoco.MjData(boxes)
    turn = np.zeros(4)
    for pose in rng.uniform(-2.0, 2.0, (200, 5)):
        mujoco.mju_mat2Quat(turn, (_turn(pose[3], 2) @ _turn(pose[4], 0)).ravel())
        data.qpos[7:10], data.qpos[10:14] = pose[:3], turn
        mujoco.mj_kinematics(boxes, data)
        wanted = mujoco.mj_geomDistance(boxes, data, 0, 1, 9.0, None)
        assert clearance(pose[None])[0] == pytest.approx(wanted, abs=2e-5)


# ----------------------------------------------------------------- finding


@pytest.mark.parametrize(
    ('place', 'variable', 'value'),
    [
        ('share/parts', 'AMENT_PREFIX_PATH', '.'),
        ('install/share/parts', 'AMENT_PREFIX_PATH', '/nowhere:install'),
        ('parts', 'ROS_PACKAGE_PATH', '.'),
        ('src/repository/parts', 'ROS_PACKAGE_PATH', '/nowhere:src'),
        ('parts', 'paths', '.'),
        ('parts', 'paths', 'parts'),
        ('src/repository/parts', 'paths', 'src'),
        ('install/parts/share/parts', 'paths', 'install'),
        ('install/share/parts', 'paths', 'install'),
        ('renamed', 'paths', 'renamed'),
        ('robot/parts', 'nothing', ''),
        ('parts', 'nothing', ''),
    ],
)
def test_a_package_is_found_where_ros_and_people_have_it(
    tmp_path: Path, monkeypatch, place: str, variable: str, value: str
) -> None:
    package = tmp_path / place
    package.mkdir(parents=True)
    (package / 'package.xml').write_text('<package><name>parts</name></package>')
    for name in ('AMENT_PREFIX_PATH', 'ROS_PACKAGE_PATH'):
        monkeypatch.delenv(name, raising=False)
    given = ':'.join(str(tmp_path / each) for each in value.split(':'))
    paths = [tmp_path / value] if variable == 'paths' else []
    if variable.isupper():
        monkeypatch.setenv(variable, given)
    (package / 'cube.stl').write_bytes(stl())
    shape = '<collision><geometry><mesh filename="{}"/></geometry></collision>'
    text = (
        '<robot name="one"><link name="base">'
        + shape.format('package://parts/cube.stl')
        + '</link><link name="end"/><joint name="j" type="revolute"><parent link="base"/>'
        '<child link="end"/><axis xyz="0 0 1"/><limit lower="-1" upper="1" effort="1" '
        'velocity="1"/></joint></robot>'
    )
    folder = tmp_path / 'robot' / 'urdf'
    folder.mkdir(parents=True)
    (folder / 'arm.urdf').write_text(text)
    arm = ArmModel.from_file(folder / 'arm.urdf', packages=paths)
    assert arm.source.lost == ()
    assert arm.mj.ngeom == 1
    if variable == 'paths':
        (lost,) = ArmModel.from_text(text.replace('/parts/', '/porta/'), packages=paths).source.lost
        assert "package 'porta' is in no folder of package_paths" in lost


def test_a_package_that_is_there_twice_gives_what_one_of_them_has(
    tmp_path: Path, monkeypatch
) -> None:
    """Sources beside an installation that was made without the meshes, or the reverse."""
    (tmp_path / 'a' / 'share' / 'parts').mkdir(parents=True)
    full = tmp_path / 'b' / 'share' / 'parts'
    full.mkdir(parents=True)
    (full / 'cube.stl').write_bytes(stl())
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{tmp_path / "a"}:{tmp_path / "b"}')
    arm = two_hulls(tmp_path, CUBE, CUBE)
    text = arm.text.replace('a.obj', 'package://parts/cube.stl')
    text = text.replace('b.obj', 'package://parts/absent.stl')
    arm = ArmModel.from_text(text)
    assert arm.source.lost == (
        f'package://parts/absent.stl (b): not found in {tmp_path}/a/share/parts',
    )


@pytest.mark.parametrize('named', ['meshes/arm/Cube.STL', 'meshes/amr/cube.stl'])
def test_a_mesh_in_another_case_or_folder_is_asked_about(tmp_path: Path, named: str) -> None:
    """As exporters on Windows and typing errors of vendors leave them."""
    (tmp_path / 'parts/meshes/arm').mkdir(parents=True)
    (tmp_path / 'parts/meshes/arm/cube.stl').write_bytes(stl())
    text = two_hulls(tmp_path, CUBE, CUBE).text.replace('a.obj', f'package://parts/{named}')
    arm = ArmModel.from_text(text, packages=[tmp_path])
    assert any("parts, did you mean 'meshes/arm/cube.stl'?" in lost for lost in arm.source.lost)


# --------------------------------------------------------- pairs of links

BALL = '<collision><geometry><sphere radius="{}"/></geometry></collision>'


def chain(radii: list[float], place: str = '0 0 0.3', more: str = '') -> str:
    """Links l0, l1, ..., each with a ball, and a hinge between each of them and the next."""
    links = ''.join(
        f'<link name="l{at}">{BALL.format(radius) if radius else ""}</link>'
        for at, radius in enumerate(radii)
    )
    joints = ''.join(
        f'<joint name="j{at}" type="revolute"><parent link="l{at}"/><child link="l{at + 1}"/>'
        f'<origin xyz="{place}"/><axis xyz="0 1 0"/>'
        '<limit lower="-2.5" upper="2.5" effort="9" velocity="1"/></joint>'
        for at in range(len(radii) - 1)
    )
    return f'<robot name="balls">{links}{joints}{more}</robot>'


DESCRIPTION = """
name: balls
model: arm.urdf
home_rad: [0.1]
limits: {velocity_rad_s: [0.5], margin_rad: 0.0}
workspace: {low_m: [-3, -3, -3], high_m: [3, 3, 3], clearance_m: 0.02}
"""


def described(folder: Path, urdf: str, more: str = '') -> str:
    (folder / 'arm.urdf').write_text(urdf)
    (folder / 'arm.yaml').write_text(DESCRIPTION + more)
    return str(folder / 'arm.yaml')


def test_pairs_that_touch_in_every_pose_are_left_out_and_listed(tmp_path: Path) -> None:
    """Hulls of close links fill what is hollow; before, no home was allowed."""
    name = described(tmp_path, chain([0.4, 0.02, 0.4, 0.02, 0.02]))
    robot = load_robot(name)
    choice = robot.clearance.choice
    assert choice.touching == (('l0', 'l2'),)
    assert ('l0', 'l4') in choice.watched
    said = '\n'.join(preflight(robot))
    assert 'touch in every pose, not compared: l0 with l2' in said
    assert 'note: not compared, since they touch in every pose: l0 with l2' in said


def test_a_pair_that_is_sometimes_clear_or_further_apart_than_touching_is_watched(
    tmp_path: Path,
) -> None:
    """A great clearance does not take pairs for touching that could be kept by a smaller one."""
    arm = ArmModel.from_text(chain([0.1, 0.02, 0.02, 0.1], place='0 0.15 0'))
    wide = Clearance(arm, least_m=0.3).choice
    assert wide.touching == ()
    assert ('l0', 'l3') in wide.watched
    arm = ArmModel.from_text(chain([0.28, 0.02, 0.28, 0.02]))
    choice = Clearance(arm, least_m=0.02).choice
    assert ('l0', 'l2') in choice.watched
    assert 0.5 < choice.touching_share[('l0', 'l2')] < 1.0


def test_each_pair_of_links_is_in_one_list(tmp_path: Path) -> None:
    fingers = ''.join(
        f'<link name="{name}">{BALL.format(0.01)}</link><joint name="{name}" type="fixed">'
        f'<parent link="{parent}"/><child link="{name}"/><origin xyz="0 {y} 0"/></joint>'
        for name, parent, y in (('left', 'l4', 0.2), ('right', 'l4', -0.2), ('stand', 'l0', 2.0))
    )
    slides = ''.join(
        f'<link name="{name}">{BALL.format(0.3)}</link><joint name="{name}" type="prismatic">'
        f'<parent link="{parent}"/><child link="{name}"/>'
        '<limit lower="0" upper="1" effort="1" velocity="1"/></joint>'
        for name, parent in (('rail', 'l4'), ('carriage', 'rail'))
    )
    robot = load_robot(
        described(
            tmp_path,
            chain([0.4, 0.02, 0.4, 0.02, 0.02], more=fingers),
            'tool: l4\nclearance: {exclude: [[right, l1]]}\n',
        )
    )
    choice = robot.clearance.choice
    lists = [choice.watched, choice.far, choice.touching, choice.fixed, choice.excluded]
    every = [frozenset(pair) for pairs in lists for pair in pairs]
    assert len(every) == len(set(every))
    assert choice.excluded == (('l1', 'right'),)
    assert ('l2', 'stand') in choice.far
    # Joints that are not commanded hold their links still against those before them.
    text = chain([0.1, 0.02, 0.02, 0.02, 0.02], more=fingers + slides)
    arm = ArmModel.from_text(text, [f'j{at}' for at in range(4)], 'l4')
    assert ('left', 'carriage') in Clearance(arm).choice.fixed


def test_what_a_description_or_its_srdf_excludes_is_not_compared(tmp_path: Path) -> None:
    urdf = chain([0.1] * 5)
    before = load_robot(described(tmp_path, urdf)).clearance.choice
    assert {('l0', 'l3'), ('l1', 'l4'), ('l0', 'l4')} <= set(before.watched)
    (tmp_path / 'config').mkdir()
    (tmp_path / 'config' / 'arm.srdf').write_text(
        '<robot name="balls"><disable_collisions link1="l4" link2="l1" reason="Never"/>'
        '<disable_collisions link1="l4" link2="hand"/></robot>'
    )
    more = 'clearance: {exclude: [[l3, l0]], srdf: config/arm.srdf}\n'
    robot = load_robot(described(tmp_path, urdf, more))
    choice = robot.clearance.choice
    assert set(choice.excluded) == {('l0', 'l3'), ('l1', 'l4')}
    assert set(choice.watched) == set(before.watched) - set(choice.excluded)
    assert set(robot.clearance.links) == set(choice.watched)
    assert 'not compared, as clearance and its SRDF say: ' in ' '.join(robot.notes)
    kept = keep_robot(str(tmp_path / 'arm.yaml'), urdf, tmp_path / 'run')
    assert load_robot(str(kept)).clearance.choice.excluded == choice.excluded


@pytest.mark.parametrize(
    ('more', 'said'),
    [
        ('clearance: {exclude: [[l0, l33]]}', "no link 'l33', did you mean 'l3'"),
        ('clearance: {srdf: absent.srdf}', "clearance.srdf names 'absent.srdf', not found"),
        ('clearance: {srdf: arm.urdf}', 'has no disable_collisions'),
        ('clearance: {srdf: other.srdf}', 'is in the model: it names x1, x2, the model has l0'),
        ('clearance: {srdf: half.srdf}', 'a disable_collisions names l1, expected link1 and link2'),
        ('clearance: {srdf: bad.srdf}', 'is neither MJCF nor URDF'),
        ('package_paths: [absent]', "package_paths names 'absent', which is no folder"),
        (
            'clearance: {exclude: [[l0, l2], [l0, l3], [l1, l3]]}',
            'no pair of links is left to compare',
        ),
    ],
)
def test_a_wrong_exclusion_is_told_in_one_line(tmp_path: Path, more: str, said: str) -> None:
    for name, text in (
        ('other', '<robot><disable_collisions link1="x1" link2="x2"/></robot>'),
        ('half', '<robot><disable_collisions link1="l1"/></robot>'),
        ('bad', 'pairs'),
    ):
        (tmp_path / f'{name}.srdf').write_text(text)
    with pytest.raises(ConfigError) as error:
        load_robot(described(tmp_path, chain([0.1] * 4), more))
    assert said in str(error.value)
    assert '\n' not in str(error.value)


def test_a_home_that_is_too_near_says_which_pairs_may_be_excluded(tmp_path: Path) -> None:
    name = described(tmp_path, chain([0.28, 0.02, 0.28, 0.02]))
    Path(name).write_text(DESCRIPTION.replace('[0.1]', '[1.0]'))
    with pytest.raises(ConfigError) as error:
        load_robot(name)
    assert 'They touch in many poses, ' in str(error.value)
    assert '% of all for l0 and l2' in str(error.value)
    assert 'left out by clearance.exclude: [[l0, l2]' in str(error.value)


# ---------------------------------------------------------------- capsules


def on_capsule(start: np.ndarray, end: np.ndarray, radius: float, count: int) -> np.ndarray:
    """Points on the surface of a capsule, its round ends included."""
    rng = np.random.default_rng(2)
    ways = rng.normal(size=(count, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    along = (end - start) / np.linalg.norm(end - start)
    side = ways - (ways @ along)[:, None] * along
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    share = rng.random((count, 1))
    walls = start + share * (end - start) + radius * side
    ends = np.where((ways @ along > 0)[:, None], end, start) + radius * ways
    return np.concatenate([walls, ends])


def beyond(points: np.ndarray, start, end, radius: float) -> np.ndarray:
    """How far each point is outside of a capsule."""
    start, way = np.asarray(start), np.subtract(end, start)
    share = np.clip((points - start) @ way / max(way @ way, 1e-12), 0.0, 1.0)
    return np.linalg.norm(points - start - share[:, None] * way, axis=1) - radius


def test_a_fitted_capsule_is_that_of_which_the_points_are() -> None:
    start, end = np.array([0.1, 0.2, 0.3]), np.array([0.4, -0.1, 0.5])
    points = on_capsule(start, end, 0.06, 2000)
    low, high, radius = fitted(points)
    assert radius == pytest.approx(0.06, rel=0.05)
    length = np.linalg.norm(np.subtract(high, low))
    assert length == pytest.approx(np.linalg.norm(end - start), rel=0.1)
    assert beyond(points, low, high, radius).max() < 1e-9


@given(seed=st.integers(0, 10_000), count=st.integers(4, 40), flat=st.floats(0.01, 3.0))
@settings(max_examples=60, deadline=None)
def test_a_fitted_capsule_holds_all_points(seed: int, count: int, flat: float) -> None:
    points = np.random.default_rng(seed).normal(size=(count, 3)) * [1.0, 0.3, flat]
    assert beyond(points, *fitted(points)).max() < 1e-9


def test_capsules_of_the_description_are_compared_instead_of_shapes(tmp_path: Path) -> None:
    urdf = chain([0.05, 0.02, 0.0, 0.05])
    more = (
        'clearance:\n  capsules:\n'
        '    - {link: l0, start_m: [0, -1, 0], end_m: [0, 1, 0], radius_m: 0.1}\n'
        '    - {link: l2, radius_m: 0.03}\n'
    )
    robot = load_robot(described(tmp_path, urdf, more))
    assert ('l0', 'l3') in robot.clearance.choice.watched
    assert robot.clearance.choice.touching_share.keys() >= {('l0', 'l3')}
    assert 'compared by the capsules of the description: l0, l2' in '\n'.join(robot.notes)
    assert 'without a shape' not in '\n'.join(robot.notes)
    far = Clearance(robot.model, far_m=9.0)
    pose, pair = np.array([[0.4, 1.1, 0.7]]), far.links.index(('l0', 'l3'))
    distance = far.distances(pose, np.ones((1, len(far.pairs)), np.bool_))[0, pair]
    # The axis of l0 lies along y through its origin, as the hinges do: a distance within the plane.
    angles = np.cumsum(pose[0])
    ways = [np.array([0.0, 1.0]), *(np.array([np.sin(a), np.cos(a)]) for a in angles[:2])]
    wanted = np.linalg.norm(0.3 * np.sum(ways, axis=0)) - 0.1 - 0.05
    assert distance == pytest.approx(wanted, abs=1e-6)


def test_a_capsule_from_joint_to_joint_ends_where_the_next_link_begins(tmp_path: Path) -> None:
    more = 'clearance: {capsules: [{link: l2, radius_m: 0.03}]}\n'
    mj = load_robot(described(tmp_path, chain([0.05, 0.02, 0.0, 0.05]), more)).model.mj
    (geom,) = np.flatnonzero(mj.geom_type == mujoco.mjtGeom.mjGEOM_CAPSULE)
    np.testing.assert_allclose(mj.geom_size[geom][:2], [0.03, 0.15])
    np.testing.assert_allclose(mj.geom_pos[geom], [0.0, 0.0, 0.15], atol=1e-12)


def test_a_mesh_is_replaced_by_the_capsule_that_is_fitted_to_it(tmp_path: Path) -> None:
    two_hulls(tmp_path, CUBE * [0.2, 0.2, 0.8], CUBE * 0.1)
    arm = ArmModel.from_file(
        tmp_path / 'arm.urdf', capsules=[CapsuleSettings.model_validate({'link': 'a'})]
    )
    meshed = Clearance(ArmModel.from_file(tmp_path / 'arm.urdf'), far_m=9.0)
    rounded = Clearance(arm, far_m=9.0)
    assert rounded.choice.watched == meshed.choice.watched == (('a', 'b'),)
    poses = np.random.default_rng(1).uniform(-2.0, 2.0, (50, 5))
    less = meshed(poses) - rounded(poses)
    # The capsule holds the mesh, and is not much larger: its radius is 0.14 m, not 0.1.
    assert (less > -1e-5).all()
    assert less.max() < 0.15
    assert less.max() > 0.02


@pytest.mark.parametrize(
    ('capsule', 'said'),
    [
        ('{link: l9}', "no link 'l9'"),
        ('{link: l1}', "link 'l1' has no mesh that a capsule could be fitted to"),
        ('{link: l3, radius_m: 0.1}', "no link hangs on 'l3'"),
        ('{link: l1, radius_m: 0}', 'radius_m'),
        ('{link: l1, start_m: [0, 0, 0], radius_m: 0.1}', 'belong together'),
        ('{radius_m: 0.1}', 'link'),
    ],
)
def test_a_wrong_capsule_is_told_in_one_line(tmp_path: Path, capsule: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_robot(described(tmp_path, chain([0.1] * 4), f'clearance: {{capsules: [{capsule}]}}\n'))
    assert said in str(error.value)
    assert '\n' not in str(error.value)


# ------------------------------------------------------------ visual shapes


def test_a_link_without_a_usable_collision_shape_is_compared_by_what_is_seen_of_it(
    tmp_path: Path,
) -> None:
    seen = '<visual><geometry><sphere radius="0.1"/></geometry><material name="red"/></visual>'
    lost = '<collision><geometry><mesh filename="absent.stl"/></geometry></collision>'
    text = chain([0.1, 0.0, 0.02, 0.0, 0.1])
    text = text.replace('<link name="l1">', f'<link name="l1">{seen}')
    small = seen.replace('0.1', '0.05')
    text = text.replace('<link name="l3">', f'<link name="l3">{lost}{small}')
    robot = load_robot(described(tmp_path, text))
    said = '\n'.join(robot.notes)
    assert 'compared by their visual shapes, since they have no other: l1, l3' in said
    assert 'absent.stl (l3): not found' in said
    np.testing.assert_allclose(robot.model.mj.geom_size[:, 0], [0.1, 0.1, 0.02, 0.05, 0.1])
    flat = text.replace('radius="0.05"', 'radius="0"')
    robot = load_robot(described(tmp_path, flat, 'tool: l3\n'))
    assert 'links without a shape, of which no clearance is watched: l3' in '\n'.join(robot.notes)


# ------------------------------------------------------------------ status


def test_the_status_says_which_pairs_are_watched_and_which_links_have_no_shape(
    tmp_path: Path,
) -> None:
    pytest.importorskip('rclpy')
    from nrl_ros.nodes.safety_status import watched_fields
    from nrl_ros.ros.interfaces import SafetyStatus

    bare = '<visual><geometry><mesh filename="absent.dae"/></geometry></visual>'
    urdf = chain([0.4, 0.02, 0.4, 0.02, 0.02, 0.0])
    urdf = urdf.replace('<link name="l5">', f'<link name="l5">{bare}')
    more = 'clearance: {exclude: [[l0, l3]]}\n'
    message = SafetyStatus(**watched_fields(load_robot(described(tmp_path, urdf, more))))
    assert message.clearance_m == 0.02
    assert set(message.watched_pair) == {'l0 and l4', 'l1 and l4', 'l2 and l4'}
    assert list(message.unwatched_pair) == ['l0 and l2', 'l0 and l3']
    assert list(message.unwatched_link) == ['l5']
    Path(tmp_path / 'arm.yaml').write_text(
        DESCRIPTION.replace('clearance_m: 0.02', 'clearance_m: 0.0')
    )
    message = SafetyStatus(**watched_fields(load_robot(str(tmp_path / 'arm.yaml'))))
    assert (message.clearance_m, list(message.watched_pair)) == (0.0, [])


# ------------------------------------------------------------------ slices


def test_the_slices_of_a_long_hull_are_the_hull(tmp_path: Path) -> None:
    """Cut across, it is measured less often, and nothing else changes."""
    rng = np.random.default_rng(3)
    long = rng.normal(size=(60, 3)) * [0.05, 0.3, 0.04]
    arm = two_hulls(tmp_path, long, rng.normal(size=(40, 3)) * [0.02, 0.03, 0.2])
    whole = Clearance(arm, far_m=9.0)
    cut = whole.sliced
    assert len(whole.pairs) == 1
    assert len(cut.pairs) >= 9
    assert cut.choice == whole.choice
    poses = rng.uniform(-1.0, 1.0, (300, 5))
    one, other = cut(poses), whole(poses)
    apart = other > 0.0
    assert apart.sum() > 100
    np.testing.assert_allclose(one[apart], other[apart], atol=2e-5)
    # How deep hulls lie in one another is less of a slice; but they lie in one another alike.
    assert (one[~apart] <= 1e-6).all()


def test_the_rates_of_slices_are_bounds_and_lower_than_those_of_the_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    arm = two_hulls(tmp_path, CUBE * [0.1, 0.1, 0.9], CUBE * [0.9, 0.1, 0.1])
    whole = Clearance(arm, far_m=9.0)
    cut = whole.sliced
    every = np.ones((100, len(cut.pairs)), np.bool_)
    one = rng.uniform(-1.5, 1.5, (100, 5))
    other = one + rng.uniform(-0.3, 0.3, one.shape)
    changed = np.abs(cut.distances(one, every) - cut.distances(other, every))
    assert (changed <= np.abs(one - other) @ cut.rates().T + 1e-4).all()
    assert cut.rates()[:, 3].min() < 0.3 * whole.rates()[0, 3]


def test_the_guard_of_an_arm_with_meshes_is_that_of_its_slices(tmp_path: Path) -> None:
    (tmp_path / 'rod.stl').write_bytes(stl(TRIANGLES * [0.06, 0.06, 0.5]))
    rod = '<collision><geometry><mesh filename="rod.stl"/></geometry></collision>'
    urdf = chain([0.1, 0.02, 0.02, 0.02]).replace(BALL.format(0.02), rod)
    robot = load_robot(described(tmp_path, urdf))
    guard = robot.guard()
    assert len(guard.parts[1].rates) > 2 * len(robot.clearance.pairs)
    poses = np.random.default_rng(0).uniform(-2.5, 2.5, (200, 3))
    wanted = np.maximum(
        guard.workspace.violation(guard.points(poses)), 0.02 - robot.clearance(poses)
    )
    found = guard.violation(poses)
    np.testing.assert_array_equal(found > 0.0, wanted > 0.0)
    np.testing.assert_allclose(found[wanted < 0.0], wanted[wanted < 0.0], atol=2e-5)


def test_a_model_that_was_expanded_on_another_machine_finds_its_meshes_here(
    tmp_path: Path, monkeypatch
) -> None:
    """As robot_description has them when its publisher runs on the robot's own computer."""
    meshes = tmp_path / 'share' / 'parts' / 'meshes'
    meshes.mkdir(parents=True)
    (meshes / 'cube.stl').write_bytes(stl())
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    text = two_hulls(tmp_path, CUBE, CUBE).text.replace('b.obj', 'package://parts/meshes/cube.stl')
    text = text.replace('a.obj', 'file:///home/robot/install/parts/share/parts/meshes/cube.stl')
    assert ArmModel.from_text(text).source.lost == ()
    (lost,) = ArmModel.from_text(text.replace('/share/parts/', '/share/porta/')).source.lost
    assert 'porta/meshes/cube.stl does not exist' in lost


def test_a_mesh_is_drawn_as_the_capsule_around_it(tmp_path: Path) -> None:
    arm = two_hulls(tmp_path, CUBE * [0.1, 0.1, 0.9], CUBE * [0.8, 0.1, 0.1] + [0.4, 0.0, 0.0])
    picture = Shapes(arm)
    place = np.array([0.5, 0.2, 0.3, 0.0, 0.0])
    ends = np.sort(picture.segments(place), axis=1)
    np.testing.assert_allclose(picture.radius, 0.1 * np.sqrt(0.5), rtol=0.05)
    np.testing.assert_allclose(ends[0].mean(axis=0), [0.0, 0.0, 0.0], atol=0.01)
    np.testing.assert_allclose(ends[1].mean(axis=0), [0.9, 0.2, 0.3], atol=0.01)
    assert 0.8 < ends[0, 1, 2] - ends[0, 0, 2] <= 0.9 + 1e-6
    assert 0.7 < ends[1, 1, 0] - ends[1, 0, 0] <= 0.8 + 1e-6
