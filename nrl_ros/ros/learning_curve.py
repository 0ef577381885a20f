"""Learning curves as messages: a table of numbers whose columns have names."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import NamedTuple

from std_msgs.msg import Float64MultiArray, MultiArrayDimension, MultiArrayLayout

from nrl_ros.base.errors import ConversionError
from nrl_ros.monitor.learning_curve import COLUMNS
from nrl_ros.monitor.series import Row

# Columns and rows of a message at most.
_MOST_COLUMNS, _MOST_ROWS = 64, 2000


class CurveMessage(NamedTuple):
    """A learning curve, and the session of the environment that it is of.

    Attributes:
        session: as in EnvInfo.
        columns: their names; the first ones are COLUMNS, shares of success follow.
        rows: in the order of time; not one of their steps is NaN.
    """

    session: int
    columns: tuple[str, ...]
    rows: list[Row]


def curve_to_msg(curve: CurveMessage) -> Float64MultiArray:
    """Return the message: its first dimension counts rows and has the session as label.

    The second one counts columns, and has their names with commas between them as label.
    """
    size, width = len(curve.rows), len(curve.columns)
    layout = MultiArrayLayout(
        dim=[
            MultiArrayDimension(label=str(curve.session), size=size, stride=size * width),
            MultiArrayDimension(label=','.join(curve.columns), size=width, stride=width),
        ]
    )
    numbers = array('d', (number for row in curve.rows for number in row))
    return Float64MultiArray(layout=layout, data=numbers)


def curve_from_msg(message: Float64MultiArray) -> CurveMessage:
    """Return the curve in a message.

    Raises:
        ConversionError: it is none.
    """
    dimensions = message.layout.dim
    labels = [one.label for one in dimensions]
    columns = tuple(labels[1].split(',')) if len(labels) == 2 else ()
    if columns[: len(COLUMNS)] != COLUMNS or not labels[0].isdecimal():
        raise ConversionError(
            f'a learning curve has dimensions labelled {[one[:80] for one in labels[:3]]}, expected'
            f' two: the session of its environment, and {",".join(COLUMNS)} with shares behind'
        )
    width, numbers = len(columns), message.data
    if width > _MOST_COLUMNS or len(numbers) > _MOST_ROWS * width or len(numbers) % width:
        raise ConversionError(
            f'a learning curve has {len(numbers)} numbers in {width} columns, expected whole rows, '
            f'at most {_MOST_ROWS}, of at most {_MOST_COLUMNS} columns'
        )
    rows = _rows(numbers, width)
    if not all(math.isfinite(row[0]) for row in rows):
        raise ConversionError('a learning curve has steps that are not finite')
    return CurveMessage(int(labels[0]), columns, rows)


def _rows(numbers: Sequence[float], width: int) -> list[Row]:
    values = list(numbers)
    return [tuple(values[at : at + width]) for at in range(0, len(values), width)]
