"""Plain pictures for films and cameras: thick lines with round ends, drawn with numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_SIZE = 240
DARK, BLUE, RED = (90, 100, 112), (31, 111, 178), (193, 39, 45)
GREY, WHITE = (200, 200, 200), (255, 255, 255)

Point = tuple[float, float]


class Line(NamedTuple):
    """A line with round ends; one from a point to itself is a dot.

    Attributes:
        start: x to the right, y upwards, in the task's unit.
        end: likewise.
        width: in the task's unit.
        colour: red, green and blue, 0 to 255.
    """

    start: Point
    end: Point
    width: float
    colour: tuple[int, int, int]


def frame_of(lines: Sequence[Line], middle: Point, half: float) -> NDArray[Any]:
    """Return a square picture [height, width, 3], 0 to 255.

    Args:
        lines: the later ones cover the earlier ones.
        middle: of the picture, in the task's unit.
        half: half the width that is shown, in the task's unit.
    """
    along = (np.arange(_SIZE) + 0.5) / _SIZE * 2.0 - 1.0
    x, y = middle[0] + half * along[None, :], middle[1] - half * along[:, None]
    pixel = 2.0 * half / _SIZE
    picture: NDArray[Any] = np.full((_SIZE, _SIZE, 3), 255.0)
    for line in lines:
        cover = cover_of(x, y, (*line.start, *line.end), line.width, pixel)[..., None]
        picture = picture * (1.0 - cover) + np.array(line.colour) * cover
    rounded: NDArray[Any] = picture.round().astype(np.uint8)
    return rounded


def cover_of(
    x: NDArray[Any], y: NDArray[Any], ends: Sequence[Any], width: float, pixel: float
) -> NDArray[Any]:
    """Return how much of each pixel a line covers, 0 to 1; its edges are smooth over one pixel.

    Args:
        x: of the middle of each pixel.
        y: likewise.
        ends: x and y of the start, x and y of the end: numbers, or arrays for several lines.
        width: of the line.
        pixel: width of a pixel.
    """
    x0, y0, x1, y1 = ends
    dx, dy = x1 - x0, y1 - y0
    x, y = x - x0, y - y0
    share = (x * dx + y * dy) / np.maximum(dx * dx + dy * dy, 1e-12)
    share = np.clip(share, 0.0, 1.0)
    x, y = x - share * dx, y - share * dy
    distance = np.sqrt(x * x + y * y)
    cover: NDArray[Any] = np.clip((0.5 * width - distance) / pixel + 0.5, 0.0, 1.0)
    return cover
