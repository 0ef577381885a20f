"""Plain pictures for films: thick lines with round ends, drawn with numpy alone."""

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
        (x0, y0), (x1, y1) = line.start, line.end
        dx, dy = x1 - x0, y1 - y0
        share = ((x - x0) * dx + (y - y0) * dy) / max(dx * dx + dy * dy, 1e-12)
        share = np.clip(share, 0.0, 1.0)
        distance = np.hypot(x - x0 - share * dx, y - y0 - share * dy)
        # Edges are smooth over one pixel.
        cover = np.clip((line.width / 2.0 - distance) / pixel + 0.5, 0.0, 1.0)[..., None]
        picture = picture * (1.0 - cover) + np.array(line.colour) * cover
    rounded: NDArray[Any] = picture.round().astype(np.uint8)
    return rounded
