"""Convex hulls of mesh files, computed once and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import io
import re
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from nrl_ros.base.config_files import cache_folder
from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.engine import load_mujoco

MESH_ENDINGS = ('.stl', '.obj', '.dae')
_MOST_MESH_BYTES = 64 * 2**20
# Hulls that were computed in another way are computed anew: change this with the arithmetic.
_VERSION = b'nrl_ros hull 1'
# A mesh thinner than the first, such as a sticker, has no hull: it counts as a plate of the second
# thickness [m].
_FLAT_M, _PLATE_M = 1e-5, 1e-3
# A link of an arm is smaller than this. Meshes in millimetres without a scale are larger.
_MOST_SIZE_M = 20.0
# A triangle of a binary STL: its normal, its three corners, and two bytes without meaning.
_STL_HEADER, _STL_TRIANGLE = 84, np.dtype('(3,)<f4, (3,3)<f4, <u2')
# What a file holds whose content was left on a server.
_LFS = b'version https://git-lfs'
_STL_VERTEX = re.compile(rb'^\s*vertex\s+(\S+)\s+(\S+)\s+(\S+)\s*$', re.MULTILINE | re.IGNORECASE)


def read_hull(path: Path, scale: tuple[float, float, float]) -> bytes:
    """Return the convex hull of a mesh file as an OBJ file's content, in metres.

    The hull is kept in the user's cache folder under a hash of the mesh and its scale.

    Args:
        path: of an STL, OBJ or COLLADA (DAE) file.
        scale: factor of each coordinate; a negative one mirrors the mesh.

    Raises:
        ConfigError: the file cannot be read, or its points are those of no link.
    """
    ending = path.suffix.lower()
    if ending not in MESH_ENDINGS:
        raise ConfigError(f'no STL, OBJ or DAE, which alone are read ({ending or "no ending"})')
    try:
        if path.stat().st_size > _MOST_MESH_BYTES:
            raise ConfigError(f'larger than {_MOST_MESH_BYTES} bytes')
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f'not readable: {error.strerror}') from None
    if data.startswith(_LFS):
        raise ConfigError(
            'a pointer of Git LFS, not the mesh: fetch it with `git lfs pull` in its repository'
        )
    named = b'|'.join((_VERSION, ending.encode(), repr(scale).encode(), data))
    kept = _Kept(hashlib.sha256(named).hexdigest())
    hull = kept.read()
    if hull is None:
        hull = _obj(*_hull(_points(data, ending) * scale))
        kept.write(hull)
    return hull


def points_of(obj: bytes) -> Float64:
    """Return the vertices [V, 3] of a hull that ``read_hull`` gave."""
    rows = [line[2:] for line in obj.splitlines() if line.startswith(b'v ')]
    return np.array([row.split() for row in rows], np.float64)


class _Kept:
    """A hull in the cache folder, with a hash of its content; a damaged one counts as absent.

    Args:
        name: of its file, without ending.
    """

    def __init__(self, name: str) -> None:
        folder = cache_folder()
        self._path = None if folder is None else folder / 'hulls' / f'{name}.obj'

    def read(self) -> bytes | None:
        """Return the hull, or None if it is not there or not as it was written."""
        if self._path is None:
            return None
        try:
            mark, _, hull = self._path.read_bytes().partition(b'\n')
        except OSError:
            return None
        return hull if mark == self._mark(hull) else None

    def write(self, hull: bytes) -> None:
        """Keep a hull; where the folder cannot be written, the hull is computed each time."""
        if self._path is None:
            return
        # Processes that start together write one file each, and the last one stays.
        unfinished = self._path.with_name(f'.{uuid.uuid4().hex}')
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(self._mark(hull) + b'\n' + hull)
            unfinished.replace(self._path)
        except OSError:
            return

    @staticmethod
    def _mark(hull: bytes) -> bytes:
        return b'# sha256 ' + hashlib.sha256(hull).hexdigest().encode()


def _points(data: bytes, ending: str) -> Float64:
    """Return the points [V, 3] of a mesh, in the file's own unit or, of a DAE, in metres."""
    if ending == '.stl':
        points = _stl(data)
    else:
        points = _collada(data) if ending == '.dae' else _obj_points(data)
    if not np.isfinite(points).all():
        raise ConfigError('not readable: a point is not finite')
    return points


def _stl(data: bytes) -> Float64:
    """Return the points of a binary or ASCII STL file."""
    if len(data) >= _STL_HEADER:
        count = int.from_bytes(data[80:84], 'little')
        # Some exporters append a few bytes of their own. Read as a number, the letters of an ASCII
        # file are more triangles than any file has.
        whole = _STL_HEADER + count * _STL_TRIANGLE.itemsize
        if len(data) == whole or (count and len(data) > whole):
            triangles = np.frombuffer(data, _STL_TRIANGLE, count, _STL_HEADER)
            return triangles['f1'].reshape(-1, 3).astype(np.float64)
    if data[:5].lower() != b'solid':
        raise ConfigError(
            f'not readable: {len(data)} bytes are no binary STL of whole triangles; is the file '
            'complete?'
        )
    found = _STL_VERTEX.findall(data)
    if len(found) % 3 or b'endsolid' not in data.lower():
        raise ConfigError('not readable: the ASCII STL ends too early')
    try:
        return np.array(found, np.float64).reshape(-1, 3)
    except ValueError:
        raise ConfigError('not readable: a vertex of the ASCII STL is not three numbers') from None


def _obj_points(data: bytes) -> Float64:
    """Return the points of an OBJ file, read by MuJoCo."""
    mujoco = load_mujoco()
    spec = mujoco.MjSpec()
    mesh = spec.add_mesh(name='mesh', file='mesh.obj')
    spec.assets = {'mesh.obj': data}
    compiled = _compiled(spec, mesh)
    return np.asarray(_vertices(compiled))


def _collada(data: bytes) -> Float64:
    """Return the points of a COLLADA file's scene, in metres.

    Its unit counts and its up axis does not, as in RViz.
    """
    try:
        import collada
    except ImportError:
        raise ConfigError('a DAE, which pycollada reads: pip install pycollada') from None
    try:
        # Missing pictures and materials do not matter to a shape.
        ignored = [collada.common.DaeUnsupportedError, collada.common.DaeBrokenRefError]
        # Some exporters begin with an empty line, which XML forbids.
        document = collada.Collada(io.BytesIO(data.lstrip()), ignore=ignored)
        shapes = document.geometries if document.scene is None else _placed(document.scene)
        parts = [
            np.asarray(part.vertex, np.float64)[np.unique(part.vertex_index)]
            for shape in shapes
            for part in (shape.primitives() if callable(shape.primitives) else shape.primitives)
            if part.vertex is not None and part.vertex_index is not None
        ]
        unit = float(document.assetInfo.unitmeter or 1.0)
    except Exception as error:
        # pycollada raises its own errors for what COLLADA forbids, and any other for what it did
        # not expect: each of them means that this file has no shape.
        raise ConfigError(f'not readable: {" ".join(str(error).split())[:200]}') from None
    return np.concatenate(parts or [np.zeros((0, 3))]) * unit


def _placed(scene: Any) -> list[Any]:
    return list(scene.objects('geometry'))


def _hull(points: Float64) -> tuple[Float64, Any]:
    """Return vertices [V, 3] and triangles [F, 3] of the convex hull of points [N, 3].

    Raises:
        ConfigError: there are hardly any points, or they are too far apart for a link.
    """
    if len(points) < 4:
        raise ConfigError(f'not readable: {len(points)} points, and a shape needs at least 4')
    size = points.max(axis=0) - points.min(axis=0)
    if size.max() > _MOST_SIZE_M:
        raise ConfigError(
            f'{size.max():.4g} m across, as no link is: millimetres? Set scale="0.001 0.001 0.001" '
            'in the model'
        )
    if size.max() < _FLAT_M:
        raise ConfigError(f'not readable: {size.max():.4g} m across, too small for a shape')
    points = _thickened(points)
    spec = load_mujoco().MjSpec()
    mesh = spec.add_mesh(name='mesh', uservert=(points - points.mean(axis=0)).ravel())
    compiled = _compiled(spec, mesh)
    corners, triangles = convex_hull(compiled, 0)
    turn = np.zeros(9)
    load_mujoco().mju_quat2Mat(turn, compiled.mesh_quat[0])
    placed = corners @ turn.reshape(3, 3).T + compiled.mesh_pos[0]
    return placed + points.mean(axis=0), triangles


def _thickened(points: Float64) -> Float64:
    """Return points [N, 3] of a flat mesh on both sides of it, and those of any other unchanged."""
    centred = points - points.mean(axis=0)
    # The principal axes, of which a flat mesh has no extent along one, and a line along two.
    axes = np.linalg.eigh(centred.T @ centred)[1].T
    for axis in axes:
        if np.ptp(centred @ axis) < _FLAT_M:
            half = 0.5 * _PLATE_M * axis
            points = np.concatenate([points - half, points + half])
    return points


def box_corners(half: Float64) -> Float64:
    """Return the corners of a box with these half lengths [3], about its middle [8, 3]."""
    signs = np.array(np.meshgrid(*[(-1.0, 1.0)] * 3)).reshape(3, -1).T
    return np.asarray(signs * half)


def convex_hull(mj: Any, mesh: int) -> tuple[Float64, Any]:
    """Return corners [V, 3] and triangles [F, 3] of the hull that MuJoCo has of a mesh.

    Args:
        mj: a compiled model.
        mesh: number of the mesh; the corners are in its frame.
    """
    graph = mj.mesh_graph[int(mj.mesh_graphadr[mesh]) :]
    count, faces = int(graph[0]), int(graph[1])
    # The graph holds: both numbers, for each corner where its edges begin and which vertex it is,
    # all edges, and the vertices of each face.
    which = graph[2 + count : 2 + 2 * count]
    triangles = graph[2 + 3 * count + 3 * faces :][: 3 * faces].reshape(-1, 3)
    first, vertices = int(mj.mesh_vertadr[mesh]), int(mj.mesh_vertnum[mesh])
    place = np.full(vertices, -1)
    place[which] = np.arange(count)
    corners = np.asarray(mj.mesh_vert[first : first + vertices], np.float64)[which]
    return corners, place[triangles]


def _compiled(spec: Any, mesh: Any) -> Any:
    mujoco = load_mujoco()
    # The surface of a shape may be open or turned inside out: only its hull counts.
    mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname='mesh')
    try:
        return spec.compile()
    except ValueError as error:
        raise ConfigError(f'not readable: {" ".join(str(error).split())}') from None


def _vertices(compiled: Any) -> Float64:
    """Return the vertices of the one mesh of a model where its file has them."""
    turn = np.zeros(9)
    load_mujoco().mju_quat2Mat(turn, compiled.mesh_quat[0])
    placed = np.asarray(compiled.mesh_vert, np.float64) @ turn.reshape(3, 3).T
    return np.asarray(placed + compiled.mesh_pos[0])


def _obj(vertices: Float64, triangles: Any) -> bytes:
    lines = [f'v {x:.9g} {y:.9g} {z:.9g}' for x, y, z in vertices.tolist()]
    lines += [f'f {a} {b} {c}' for a, b, c in (triangles + 1).tolist()]
    return '\n'.join([*lines, '']).encode()
