"""Forward kinematics of a chain for many poses at once, in arrays of numpy or of torch.

The work is recorded as a *tape*: a list of array operations on buffers of one size, made once for
each number of poses. Coordinates are kept as separate rows. Most arms turn by right angles between
joints: such turns only exchange rows and signs and cost nothing, and terms with 0 are left out.
Points are carried from the tool to the base, all those that a joint moves in one operation.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ShapeError
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.chain_parts import Parts, Pose, frame_of, parts_of, place_of
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.motion_bounds import motion_bound
from nrl_ros.robots.arm.screws import Screw, screws_of

# At most this many tapes are kept; each holds a few arrays of the size of its poses.
_TAPES = 32
# Up to this many poses, ``points`` uses a tape of exactly that number.
_FEW = 16
_Call = tuple[Callable[..., Any], tuple[Any, ...]]


class _Row(NamedTuple):
    """One coordinate of all points: a buffer [P, N], and the sign with which it is read."""

    buffer: Float64
    sign: float


class _Tape:
    """All operations that bring P points from their links to the world, for N poses.

    Args:
        parts: the chain.
        joints: number of joints before each point [P], falling.
        entries: coordinates of the points in the frames after those joints [3, P, 1], read at
            every run, so that their owner may change them.
        size: N.
        turn_only: leave all translations out, for directions instead of points.
        arrays: the module ``numpy``, or a ``TorchArrays``.
    """

    def __init__(
        self,
        parts: Parts,
        joints: Sequence[int],
        entries: Float64,
        size: int,
        *,
        turn_only: bool = False,
        arrays: Any = np,
    ) -> None:
        self._parts, self._joints, self._arrays = parts, joints, arrays
        self._entries, self._turn_only = entries, turn_only
        self._order = [joint.index for joint in parts.joints]
        self._reference = arrays.array([[joint.reference] for joint in parts.joints])
        ratio = [[joint.ratio] for joint in parts.joints]
        self._ratio, self._follows = arrays.array(ratio), any(one != [1.0] for one in ratio)
        self._moved = arrays.zeros((len(parts.joints), size))
        self._turns = arrays.zeros((2, len(parts.joints), 1, size))
        self._shape = (size, len(joints), 3)
        self._spare = [arrays.zeros((len(joints), size)) for _ in range(9)]
        self._calls: list[_Call] = []
        self._rows = [_Row(self._spare.pop(), 1.0) for _ in range(3)]
        self._room = arrays.zeros((2, 2, len(joints), size))
        self._active = 0
        self._write()

    def _write(self) -> None:
        for number in range(len(self._parts.joints), -1, -1):
            self._enter(number)
            if not self._active or not number:
                continue
            if self._parts.joints[number - 1].hinge:
                self._turn(number - 1)
            elif not self._turn_only:
                self._shift(2, self._moved[number - 1])
            self._place(self._parts.before[number - 1])
        self._spare.clear()

    def _add(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._calls.append((function, arguments))

    def _enter(self, joints: int) -> None:
        """Add the points of the link after so many joints to those that come from further out."""
        first, self._active = self._active, self._active + self._joints.count(joints)
        for row, entry in zip(self._rows, self._entries, strict=True):
            here, there = row.buffer[first : self._active], entry[first : self._active]
            if len(here):
                self._add(self._arrays.multiply, there, self._arrays.array(row.sign), here)

    def _turn(self, joint: int) -> None:
        """Turn about z by the joint's angle."""
        (x, x_sign), (y, y_sign), z = self._rows
        active = slice(self._active)
        both = self._turns[:, joint]
        of_x, of_y = self._room[0, :, active], self._room[1, :, active]
        do = self._arrays
        self._add(do.multiply, both, x[active], of_x)
        self._add(do.multiply, both, y[active], of_y)
        # With equal signs x' = s (cos x - sin y), y' = s (sin x + cos y); with different signs the
        # two inner signs change.
        minus, plus = (do.subtract, do.add) if x_sign == y_sign else (do.add, do.subtract)
        self._add(minus, of_x[0], of_y[1], x[active])
        self._add(plus, of_x[1], of_y[0], y[active])
        self._rows = [_Row(x, x_sign), _Row(y, x_sign), z]

    def _shift(self, axis: int, by: Any) -> None:
        """Add a distance to one coordinate."""
        buffer, sign = self._rows[axis]
        here = buffer[: self._active]
        do = self._arrays
        self._add(do.add if sign > 0.0 else do.subtract, here, by, here)

    def _place(self, pose: Pose) -> None:
        """Apply a constant pose."""
        rows = [self._mixed(coefficients) for coefficients in pose.rotation]
        for row in self._rows:
            if all(row.buffer is not kept.buffer for kept in rows):
                self._spare.append(row.buffer)
        self._rows = rows
        if not self._turn_only:
            for axis, distance in enumerate(pose.translation):
                if distance:
                    self._shift(axis, self._arrays.array(distance))

    def _mixed(self, coefficients: Float64) -> _Row:
        """Return one row of a rotation: an existing row if possible, else a sum in a new buffer."""
        terms = [
            (row.buffer, row.sign * float(factor))
            for row, factor in zip(self._rows, coefficients, strict=True)
            if factor
        ]
        if len(terms) == 1 and abs(terms[0][1]) == 1.0:
            return _Row(*terms[0])
        target = self._spare.pop()
        here, part = target[: self._active], self._room[0, 0, : self._active]
        for number, (buffer, factor) in enumerate(terms):
            to = part if number else here
            do = self._arrays
            self._add(do.multiply, buffer[: self._active], do.array(factor), to)
            if number:
                self._add(do.add, here, part, here)
        return _Row(target, 1.0)

    def run(self, position: Float64) -> Float64:
        """Return the points' positions [N, P, 3] at joint positions [N, J], in a new array."""
        self._carry(position)
        out: Float64 = self._arrays.empty(self._shape)
        for axis, (buffer, sign) in enumerate(self._rows):
            self._arrays.multiply(buffer.T, sign, out[:, :, axis])
        return out

    def coordinates(self, position: Float64) -> list[Any]:
        """Return x, y and z of the points [P, N] each, in new arrays."""
        self._carry(position)
        return [buffer * sign for buffer, sign in self._rows]

    def _carry(self, position: Float64) -> None:
        do, led = self._arrays, position.T[self._order]
        if self._follows:
            led *= self._ratio
        do.subtract(led, self._reference, self._moved)
        do.cos(self._moved, self._turns[0, :, 0])
        do.sin(self._moved, self._turns[1, :, 0])
        for function, arguments in self._calls:
            function(*arguments)


class Places:
    """Points on the links of a chain, in the chain's frame, for N poses at once.

    Args:
        parts: the chain.
        places: of each of P points, the number of joints before it, and its position in the frame
            after the last of them [3, m].
    """

    def __init__(self, parts: Parts, places: Sequence[tuple[int, Float64]]) -> None:
        self._parts = parts
        order = sorted(range(len(places)), key=lambda number: -places[number][0])
        self._back = np.argsort(order).tolist()
        self._depths = [places[number][0] for number in order]
        self._entries: Any = np.array([places[number][1] for number in order]).T[:, :, None].copy()
        self._arrays: Any = np
        self._tapes: dict[int, _Tape] = {}

    def on(self, arrays: Any) -> Places:
        """Return the same for other arrays than those of numpy.

        Args:
            arrays: functions of numpy for them, as ``nrl_ros.base.torch_arrays``.
        """
        other = copy.copy(self)
        other._arrays, other._tapes = arrays, {}
        other._entries = arrays.array(self._entries)
        return other

    def __call__(self, position: Any) -> list[Any]:
        """Return x, y and z of the points [P, N] each, at joint positions [N, J]."""
        count = len(position)
        tape = self._tapes.get(count)
        if tape is None:
            if len(self._tapes) >= _TAPES:
                self._tapes.pop(next(iter(self._tapes)))
            tape = self._tapes[count] = _Tape(
                self._parts, self._depths, self._entries, count, arrays=self._arrays
            )
        return [row[self._back] for row in tape.coordinates(position)]


class Chain:
    """Positions of an arm's tool and of other places on it, for N poses at once.

    Positions are in ``frame`` [m]; ``orientation`` turns the tool's frame into it. Two threads must
    not use one chain at once, since its buffers are shared.

    Args:
        model: the arm.
        watch: names of further sites and bodies that ``points`` gives.
        frame: site or body that no joint moves, in whose frame positions are given; empty: the
            root.

    Raises:
        ConfigError: a watched place or the frame is unknown, or joints move the frame.
    """

    def __init__(self, model: ArmModel, watch: Sequence[str] = (), frame: str = '') -> None:
        body, _ = frame_of(model, model.tool)
        self.joints = model.joints
        self.names = (model.tool, *watch)
        self._model = model
        self._parts = parts_of(model, body, frame)
        places = [place_of(model, self._parts, name) for name in self.names]
        self._tool_pose = places[0][1]
        # Places moved by most joints come first, as the tape needs them.
        self._order = sorted(range(len(places)), key=lambda number: -places[number][0])
        self._back: list[int] = np.argsort(self._order).tolist()
        self._depths = [places[number][0] for number in self._order]
        entries = [places[number][1].translation for number in self._order]
        self._entries = np.array(entries).T[:, :, None].copy()
        self._axes = self._tool_pose.rotation[:, :, None].copy()
        self._offset = np.zeros(3)
        self._tapes: dict[tuple[str, int], _Tape] = {}
        self._arrays: Any = np

    def on(self, arrays: Any) -> Chain:
        """Return the same chain for other arrays than those of numpy; its tool stays where it is.

        Args:
            arrays: functions of numpy for them, as ``nrl_ros.base.torch_arrays``.
        """
        other = copy.copy(self)
        other._arrays, other._tapes = arrays, {}
        for name in ('_entries', '_axes'):
            setattr(other, name, arrays.array(getattr(self, name)))
        return other

    @property
    def tool_offset(self) -> Float64:
        """Position of the tool's point in the tool's own frame [3], m; may be set at any time."""
        return np.array(self._offset)

    @tool_offset.setter
    def tool_offset(self, offset: Sequence[float] | Float64) -> None:
        """Position of the tool's point in the tool's own frame [3], m; may be set at any time."""
        value = np.asarray(offset, dtype=np.float64)
        if value.shape != (3,) or not np.isfinite(value).all():
            raise ShapeError(f'tool_offset: expected 3 finite numbers [m], received {offset!r}')
        self._offset = value.copy()
        pose = self._tool_pose
        place = pose.rotation @ value + pose.translation
        self._entries[:, self._back[0], 0] = place

    def tool(self, position: NDArray[Any]) -> Float64:
        """Return the positions of the tool's point.

        Args:
            position: joint positions [N, J], rad or m, in the model's order of joints.

        Returns:
            [N, 3], m.

        Raises:
            ShapeError: not an array [N, J].
        """
        tool = self._back[0]
        depths, entries = self._depths[tool : tool + 1], self._entries[:, tool : tool + 1]
        return self._run('tool', depths, entries, position)[:, 0]

    def points(self, position: NDArray[Any]) -> Float64:
        """Return the positions of tool and watched points, in the order of ``names``.

        Args:
            position: joint positions [N, J].

        Returns:
            [N, P, 3], m.

        Raises:
            ShapeError: not an array [N, J].
        """
        values = position
        if self._arrays is np:
            values = np.asarray(position, dtype=np.float64)
        count = len(values)
        if self._arrays is np and count > _FEW and values.ndim == 2:
            # Sizes are rounded up to powers of two, since a tape for each size would be made again
            # and again.
            padded = np.zeros((1 << (count - 1).bit_length(), values.shape[1]))
            padded[:count] = values
            values = padded
        found = self._run('points', self._depths, self._entries, values)[:count]
        ordered: Float64 = found[:, self._back] if len(self.names) > 1 else found
        return ordered

    def rates(self) -> Float64:
        """Return the most by which each joint moves each of ``points`` [P, J], m per rad or per m.

        The bound comes from ``robots.arm.motion_bounds``, with the present offset of the tool.
        """
        rates = []
        for name in self.names:
            body, pose = frame_of(self._model, name)
            offset = self._offset if name == self._model.tool else np.zeros(3)
            rates.append(motion_bound(self._model, body, pose.rotation @ offset + pose.translation))
        return np.array(rates)

    def orientation(self, position: NDArray[Any]) -> Float64:
        """Return the rotation matrices of the tool's frame.

        Args:
            position: joint positions [N, J].

        Returns:
            [N, 3, 3]: the columns are the tool's x, y and z axis in the world.

        Raises:
            ShapeError: not an array [N, J].
        """
        depths = [self._depths[self._back[0]]] * 3
        rows: Float64 = self._run('turn', depths, self._axes, position)
        return np.swapaxes(rows, 1, 2)

    def screws(self) -> tuple[list[Screw], Pose]:
        """Return how each joint moves the tool's point, and its pose, all joints at 0."""
        tool = self._tool_pose
        place = tool.rotation @ self._offset + tool.translation
        return screws_of(self._parts, Pose(tool.rotation, place))

    def _run(
        self, what: str, depths: Sequence[int], entries: Float64, position: NDArray[Any]
    ) -> Float64:
        values = self._arrays.asarray(position, dtype=self._arrays.float64)
        if values.ndim != 2 or values.shape[1] != len(self.joints):
            raise ShapeError(
                f'joint positions: expected [N, {len(self.joints)}], received {values.shape}'
            )
        key = (what, len(values))
        tape = self._tapes.get(key)
        if tape is None:
            if len(self._tapes) >= _TAPES:
                self._tapes.pop(next(iter(self._tapes)))
            tape = self._tapes[key] = _Tape(
                self._parts,
                depths,
                entries,
                len(values),
                turn_only=what == 'turn',
                arrays=self._arrays,
            )
        return tape.run(values)
