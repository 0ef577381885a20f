"""Surfaces of capsules and boxes as quadrangles, for a library that draws nothing rounder."""

from __future__ import annotations

import numpy as np

from nrl_ros.base.records import Float64

_AROUND, _CAP = 10, 3
# From where light comes, and how much of it comes from everywhere.
_LIGHT, _AMBIENT = np.array([0.35, -0.55, 0.75]), 0.55


def capsule(start: Float64, end: Float64, radius: float, *, flat: bool = False) -> Float64:
    """Return the surface of a capsule between two points [3, m]: quadrangles [F, 4, 3, m].

    Args:
        start: centre of one end.
        end: centre of the other.
        radius: of both [m].
        flat: a cylinder, whose ends are flat.
    """
    axis = end - start
    length = float(np.linalg.norm(axis))
    axis = axis / length if length > 0.0 else np.array([0.0, 0.0, 1.0])
    side = np.zeros(3)
    side[int(np.argmin(np.abs(axis)))] = 1.0
    side = np.cross(axis, side)
    side /= np.linalg.norm(side)
    turn = np.linspace(0.0, 2.0 * np.pi, _AROUND + 1)
    around = np.cos(turn)[:, None] * side + np.sin(turn)[:, None] * np.cross(axis, side)
    # Rings from pole to pole: their centre, and how far the surface is from the axis there.
    up = np.linspace(0.0, 0.5 * np.pi, _CAP + 1)
    bulge = 0.0 if flat else radius
    low = start - bulge * np.cos(up)[:, None] * axis
    high = end + bulge * np.sin(up)[:, None] * axis
    centre = np.concatenate([low, high])
    wide = radius * np.concatenate([np.sin(up), np.cos(up)])
    rings = centre[:, None] + wide[:, None, None] * around
    faces = [rings[:-1, :-1], rings[:-1, 1:], rings[1:, 1:], rings[1:, :-1]]
    return np.stack(faces, axis=2).reshape(-1, 4, 3)


def box(half: Float64) -> Float64:
    """Return the surface of a box of half lengths [3, m] about 0: quadrangles [6, 4, 3, m]."""
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float64)
    faces = []
    for axis in range(3):
        for side, order in ((1.0, corners), (-1.0, corners[::-1])):
            face = np.full((4, 3), side)
            face[:, [(axis + 1) % 3, (axis + 2) % 3]] = order
            faces.append(face)
    return np.asarray(np.array(faces) * half)


def shaded(faces: Float64, colour: Float64) -> Float64:
    """Return the colour of each face [F, 4], brighter where light falls on it.

    Args:
        faces: quadrangles whose corners go round counterclockwise from outside [F, 4, 3].
        colour: of all of them [4], red, green, blue and opacity.
    """
    across = np.cross(faces[:, 2] - faces[:, 0], faces[:, 3] - faces[:, 1])
    length = np.linalg.norm(across, axis=1, keepdims=True)
    normal = np.divide(across, length, out=np.zeros_like(across), where=length > 0.0)
    light = np.clip(normal @ (_LIGHT / np.linalg.norm(_LIGHT)), 0.0, 1.0)
    colours = np.tile(colour, (len(faces), 1))
    colours[:, :3] *= (_AMBIENT + (1.0 - _AMBIENT) * light)[:, None]
    return colours
