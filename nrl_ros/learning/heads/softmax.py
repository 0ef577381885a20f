"""Choices: softmax over the network's outputs.

Compiled by Cython over the functions of ``kernels/arithmetic.h``, which have their own exponential
and logarithm, since those of numpy and of the C library differ from processor to processor.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cython
import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.compiled import require_compiled
from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import ActionKind, ActionSpace, Int32

require_compiled(__name__, cython.compiled)

# isort: split
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.nrl_ros.learning.kernels.arithmetic import softmax, softmax_gradient
from cython.cimports.nrl_ros.learning.kernels.bit_generator import (
    bitgen_t,
    bits_of,
    draw_uniform,
)
from cython.cimports.nrl_ros.learning.kernels.buffers import address_of

Array = NDArray[Any]


class SoftmaxHead:
    """Independent softmax choices; one component is the ordinary discrete policy.

    ``log pi(a) = sum_c z_c[a_c] - log sum_j exp z_c[j]``, in float64 whatever the outputs are.

    Args:
        space: discrete action space.

    Attributes:
        sizes: choices of each component.

    Raises:
        ConfigError: the actions are real numbers.
    """

    action_dtype: type[np.int32] | type[np.float32] = np.int32

    def __init__(self, space: ActionSpace) -> None:
        if space.kind == ActionKind.CONTINUOUS:
            raise ConfigError(
                'policy.head softmax is for choices, received real actions; expected gaussian'
            )
        self.sizes = sizes = space.sizes
        self.outputs = sum(sizes)
        ends = np.cumsum([0, *sizes]).tolist()
        self._slices = [slice(start, end) for start, end in pairwise(ends)]
        self._softmax = _Softmax(np.array(sizes, np.int64))

    def draw(self, z: Array, generator: np.random.Generator) -> Array:
        """Draw each component by inverting its cumulative distribution; one uniform number each."""
        softmax: _Softmax = self._softmax
        choice: Array = softmax.draw(np.ascontiguousarray(z), 0, generator, None)
        return choice

    def sample(
        self, z: Array, source: int, generator: np.random.Generator, log_probability: Array
    ) -> Array:
        """Draw from one of several passes, and compare all; see PolicyHead."""
        softmax: _Softmax = self._softmax
        choice: Array = softmax.draw(z, source, generator, log_probability)
        return choice

    def greedy(self, z: Array) -> Array:
        """Return the index of the largest output of each component."""
        return np.stack([z[:, where].argmax(axis=1) for where in self._slices], axis=1).astype(
            np.int32
        )

    def log_probability(self, z: Array, choice: Array) -> Array:
        """Return the sum over components of the log-softmax at the choice."""
        value = np.empty(z.shape[: z.ndim - 1])
        self._softmax.log_probability(np.ascontiguousarray(z), choice, value)
        return value

    def gradient(self, z: Array, choice: Array) -> Array:
        """Return ``1[j = a] - pi_j`` of each component."""
        gradient = np.empty(z.shape, z.dtype)
        self._softmax.gradient(np.ascontiguousarray(z), choice, gradient)
        return gradient

    def to_action(self, choice: Array) -> Int32:
        """Return the indices themselves."""
        return choice


@cython.cclass
class _Softmax:
    """The arithmetic of a head of these sizes, on contiguous arrays."""

    _sizes: int64_t[::1]
    _outputs: cython.Py_ssize_t
    _uniform: cython.float[::1]
    _choice_array: Any

    # The arrays of the last call, which usually come again; their addresses are looked up only
    # once.
    _z_array: Any
    _z: cython.p_void
    _is_double: cython.bint
    _passes: cython.Py_ssize_t
    _batch: cython.Py_ssize_t
    _generator: Any
    _bits: cython.p_void

    def __init__(self, sizes: Array) -> None:
        self._sizes = sizes
        self._outputs = sizes.sum()
        self._uniform = np.zeros(0, np.float32)
        self._choice_array = np.zeros((0, len(sizes)), np.int32)
        self._z_array = self._generator = None

    @cython.cfunc
    def _bind(self, z: Any) -> cython.bint:
        """Take outputs z [P, B, n] or [B, n]."""
        width: cython.Py_ssize_t = z.itemsize
        self._z_array = None
        self._batch = z.shape[z.ndim - 2]
        self._passes = z.size // max(self._batch * self._outputs, 1)
        self._z = address_of(z, self._passes * self._batch * self._outputs, width)
        self._is_double = width == 8
        self._z_array = z
        return True

    @cython.cfunc
    def draw(
        self,
        z: Any,
        source: cython.Py_ssize_t,
        generator: Any,
        log_probability: Any,
    ) -> object:
        """Draw a choice [B, A] from pass ``source`` of z [P, B, n] or [B, n].

        Args:
            z: outputs.
            source: pass to draw from.
            generator: gives one uniform number for each component.
            log_probability: float64 [P, B], receives log pi of the choice; None: it is not needed.
        """
        log: cython.p_double = cython.NULL
        if z is not self._z_array:
            self._bind(z)
        if generator is not self._generator:
            self._bits = bits_of(generator)
            self._generator = generator
        if self._uniform.shape[0] != self._batch * self._sizes.shape[0]:
            self._choice_array = np.zeros((self._batch, self._sizes.shape[0]), np.int32)
            self._uniform = np.zeros(self._choice_array.size, np.float32)
        if log_probability is not None:
            log = cython.cast(
                cython.p_double, address_of(log_probability, self._passes * self._batch, 8)
            )
        choice = self._choice_array.copy()
        if self._batch:
            bits = cython.cast(cython.pointer(bitgen_t), self._bits)
            draw_uniform(bits, self._uniform.shape[0], cython.address(self._uniform[0]))
            self._compute(source, cython.address(self._uniform[0]), choice, log)
        return choice

    def log_probability(self, z: Array, choice: Array, value: Array) -> None:
        """Write log pi(choice [B, A]) under outputs z [..., B, n] to ``value`` [..., B]."""
        given = np.ascontiguousarray(choice, np.int32)
        self._bind(z)
        if z.size:
            self._check(given)
            log: cython.p_double = cython.cast(
                cython.p_double, address_of(value, self._passes * self._batch, 8)
            )
            self._compute(0, cython.NULL, given, log)

    @cython.cfunc
    def _compute(
        self, source: cython.Py_ssize_t, uniform: cython.p_float, choice: Any, log: cython.p_double
    ) -> cython.bint:
        """Call the function for the kind of numbers; without uniform ones the choice is given."""
        passes: cython.Py_ssize_t = self._passes
        batch: cython.Py_ssize_t = self._batch
        parts: cython.Py_ssize_t = self._sizes.shape[0]
        sizes: cython.pointer[int64_t] = cython.address(self._sizes[0])
        drawn: cython.pointer[int32_t] = cython.cast(
            cython.pointer(int32_t), address_of(choice, batch * parts, 4)
        )
        floats: cython.p_float = cython.cast(cython.p_float, self._z)
        doubles: cython.p_double = cython.cast(cython.p_double, self._z)
        if self._is_double:
            softmax(parts, sizes, batch, passes, source, doubles, uniform, drawn, log)
        else:
            softmax(parts, sizes, batch, passes, source, floats, uniform, drawn, log)
        return True

    def gradient(self, z: Array, choice: Array, gradient: Array) -> None:
        """Write the gradient [B, n] of log pi(choice [B, A]) with respect to z [B, n]."""
        batch: cython.Py_ssize_t = z.shape[0]
        components: cython.Py_ssize_t = self._sizes.shape[0]
        numbers: cython.Py_ssize_t = batch * self._outputs
        given = np.ascontiguousarray(choice, np.int32)
        if not batch:
            return
        self._check(given)
        sizes: cython.pointer[int64_t] = cython.address(self._sizes[0])
        width: cython.Py_ssize_t = z.itemsize
        chosen: cython.pointer[int32_t] = cython.cast(
            cython.pointer(int32_t), address_of(given, batch * components, 4)
        )
        from_: cython.p_void = address_of(z, numbers, width)
        to: cython.p_void = address_of(gradient, numbers, width)
        if width == 8:
            softmax_gradient(
                components,
                sizes,
                batch,
                cython.cast(cython.p_double, from_),
                chosen,
                cython.cast(cython.p_double, to),
            )
        else:
            softmax_gradient(
                components,
                sizes,
                batch,
                cython.cast(cython.p_float, from_),
                chosen,
                cython.cast(cython.p_float, to),
            )

    @cython.cfunc
    def _check(self, choice: Any) -> cython.bint:
        """Refuse choices that do not exist, which would be read beyond the outputs.

        Raises:
            IndexError: a choice does not exist.
        """
        chosen: cython.int[:, ::1] = choice
        b: cython.Py_ssize_t
        c: cython.Py_ssize_t
        for b in range(chosen.shape[0]):
            for c in range(self._sizes.shape[0]):
                if not 0 <= chosen[b, c] < self._sizes[c]:
                    raise IndexError(
                        f'choice {chosen[b, c]} of instance {b}, expected 0 to below '
                        f'{self._sizes[c]}'
                    )
        return True
