"""The compiled step, where it is built: the same arithmetic as the numpy path in one call.

``native/kernel.c`` is built with the messages, or by ``pip install``. Without it everything works
in numpy, slower and with other last bits; ``NRL_KERNEL=numpy`` asks for that. It pays for small
networks, whose time goes into calls; for large ones numpy's matrix products are the better choice.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.core.network import Network, NetworkSpec

Array = NDArray[Any]

_VERSION = 6
_FUNCTIONS = (
    'nrl_forward',
    'nrl_softmax',
    'nrl_eligibility',
    'nrl_act',
    'nrl_rows',
    'nrl_accumulate',
    'nrl_dense',
    'nrl_dense_credit',
    'nrl_normal',
    'nrl_move',
    'nrl_look',
    'nrl_close',
    'nrl_note',
    'nrl_finish',
    'nrl_compare',
    'nrl_fits',
    'nrl_finite',
)
# Weights beyond which numpy's matrix products win over plain loops; see docs/performance.md.
_LARGEST = 20_000


def _load() -> ctypes.CDLL | None:
    if os.environ.get('NRL_KERNEL', 'auto') == 'numpy':
        return None
    try:
        library = ctypes.CDLL(str(Path(__file__).with_name('libnrl_kernel.so')))
        library.nrl_kernel_version.restype = ctypes.c_int32
        if library.nrl_kernel_version() != _VERSION:
            return None
    except (OSError, AttributeError):
        return None
    library.nrl_work_size.restype = ctypes.c_int64
    for name in _FUNCTIONS:
        counts = name in _FUNCTIONS[-7:]
        getattr(library, name).restype = ctypes.c_int64 if counts else None
    return library


_LIBRARY = _load()


def available() -> bool:
    """Whether the compiled step was found."""
    return _LIBRARY is not None


def library() -> Any:
    """The compiled functions; only where they are ``available``."""
    assert _LIBRARY is not None
    return _LIBRARY


def suits(network: Network) -> bool:
    """Whether the compiled step is there and pays for this network."""
    small = network.spec.weight_count <= _LARGEST
    plain = network.spec.neuron == 'rate' and network.dtype == np.float32
    return _LIBRARY is not None and plain and small


def _address(array: Array) -> int:
    address: int = array.__array_interface__['data'][0]
    return address


def _pointer(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(_address(array))


def _long(value: int) -> ctypes.c_int64:
    return ctypes.c_int64(value)


class NativePasses:
    """``network.Passes`` with the compiled step; see there.

    Args:
        network: whose weights are used; its arrays must stay the same ones.
        instances: B.
        samples: K, noisy passes per clean one; 0 for acting without noise.
    """

    def __init__(self, network: Network, instances: int, samples: int) -> None:
        assert _LIBRARY is not None
        spec = network.spec
        self._call = _LIBRARY.nrl_forward
        sizes = np.array([spec.inputs, *spec.hidden, spec.outputs], np.int64)
        layers, bias = len(spec.shapes), int(spec.bias)
        work = _LIBRARY.nrl_work_size(_long(layers), _pointer(sizes), _long(bias))
        self._observation = np.zeros((instances, spec.inputs), np.float32)
        self._z = np.zeros((1 + samples, instances, spec.outputs), np.float32)
        self._pre = np.zeros((instances * max(samples, 1), spec.input_components), np.float32)
        weights = (ctypes.c_void_p * layers)(*[w.ctypes.data for w in network.weights])
        # Pointers keep nothing alive.
        self._keep = (network, sizes, weights, np.zeros(work, np.float32))
        self._before = (
            _long(layers),
            _pointer(sizes),
            _long(bias),
            weights,
            ctypes.c_float(spec.leak),
        )
        self._batch = (_long(instances), _long(samples), _pointer(self._observation))
        self._after = (_pointer(self._z), _pointer(self._pre), _pointer(self._keep[3]))

    def run(self, observation: Array, unit_noise: Array | None, sigma: float) -> Array:
        """Outputs [1 + K, B, n]; entry 0 is the clean pass. Valid until the next call."""
        self._observation[...] = observation
        noise = None if unit_noise is None else _pointer(unit_noise)
        self._call(*self._before, ctypes.c_float(sigma), *self._batch, noise, *self._after)
        return self._z

    def presynaptic(self) -> Array:
        """As in ``network.Passes``."""
        return self._pre


class NativeSoftmax:
    """Draw and impact of softmax policies in one call.

    Args:
        sizes: choices of each component.
        instances: B.
        samples: K.
    """

    def __init__(self, sizes: tuple[int, ...], instances: int, samples: int) -> None:
        assert _LIBRARY is not None
        self._call = _LIBRARY.nrl_softmax
        self._sizes = np.array(sizes, np.int64)
        self._shape = (instances, len(sizes))
        self._impact = np.zeros((samples, instances))
        self._before = (
            _long(len(sizes)),
            _pointer(self._sizes),
            _long(instances),
            _long(samples),
        )
        self._impact_pointer = _pointer(self._impact)

    def draw(self, z: Array, generator: np.random.Generator, source: int) -> tuple[Array, Array]:
        """Choice [B, A] drawn from pass ``source`` of z [1 + K, B, n], and its impact [K, B]."""
        uniform = generator.random(self._shape, dtype=np.float32)
        choice = np.empty(self._shape, np.int32)
        self._call(
            *self._before,
            _long(source),
            _pointer(z),
            _pointer(uniform),
            _pointer(choice),
            self._impact_pointer,
        )
        return choice, self._impact


class NativeEligibility:
    """Postsynaptic rows in one call.

    Args:
        ends: where each group of components ends over which the norm of the noise runs.
        rows: K * B.
    """

    def __init__(self, ends: list[int], rows: int) -> None:
        assert _LIBRARY is not None
        self._call = _LIBRARY.nrl_eligibility
        self._ends = np.array(ends, np.int64)
        self._post = np.zeros((rows, ends[-1]), np.float32)
        self._before = (_long(rows), _long(ends[-1]), _long(len(ends)), _pointer(self._ends))
        self._post_pointer = _pointer(self._post)

    def rows(self, unit_noise: Array, impact: Array, scale: float) -> Array:
        """``scale * rho z / |z|^2`` [K * B, N]; valid until the next call."""
        self._call(
            *self._before,
            ctypes.c_double(scale),
            _pointer(unit_noise),
            _pointer(impact),
            self._post_pointer,
        )
        return self._post


class _Step(ctypes.Structure):
    """``nrl_step`` of the kernel."""

    _fields_ = [
        ('layers', ctypes.c_int64),
        ('sizes', ctypes.c_void_p),
        ('bias', ctypes.c_int64),
        ('weights', ctypes.c_void_p),
        ('leak', ctypes.c_double),
        ('sigma', ctypes.c_double),
        ('batch', ctypes.c_int64),
        ('samples', ctypes.c_int64),
        ('observation', ctypes.c_void_p),
        ('noise', ctypes.c_void_p),
        ('z', ctypes.c_void_p),
        ('pre_rows', ctypes.c_void_p),
        ('work', ctypes.c_void_p),
        ('components', ctypes.c_int64),
        ('choices', ctypes.c_void_p),
        ('source', ctypes.c_int64),
        ('uniform', ctypes.c_void_p),
        ('choice', ctypes.c_void_p),
        ('impact', ctypes.c_void_p),
        ('groups', ctypes.c_int64),
        ('ends', ctypes.c_void_p),
        ('scale', ctypes.c_double),
        ('post', ctypes.c_void_p),
    ]


class NativeStep:
    """Passes, choice and rows of a softmax policy: two calls a step, without looking at arguments.

    Args:
        network: whose weights are used; its arrays must stay the same ones.
        sizes: choices of each component of the action.
        ends: as for NativeEligibility.
        instances: B.
        samples: K.
        source: pass from which actions are drawn.
    """

    def __init__(
        self,
        network: Network,
        sizes: tuple[int, ...],
        ends: list[int],
        *,
        instances: int,
        samples: int,
        source: int,
    ) -> None:
        assert _LIBRARY is not None
        self._act, self._rows = _LIBRARY.nrl_act, _LIBRARY.nrl_rows
        passes = NativePasses(network, instances, samples)
        self._observation = passes._observation
        self._uniform = np.zeros((instances, len(sizes)), np.float32)
        self._choice = np.zeros((instances, len(sizes)), np.int32)
        self._noise: Array | None = None
        impact = np.zeros((samples, instances))
        post = np.zeros((samples, instances, ends[-1]), np.float32)
        self._made = (post, passes.presynaptic().reshape(samples, instances, -1))
        kept = (np.array(sizes, np.int64), np.array(ends, np.int64), impact)
        spec, (_, layers, weights, work) = network.spec, passes._keep
        self._step = _Step(
            layers=len(spec.shapes),
            sizes=layers.ctypes.data,
            bias=int(spec.bias),
            weights=ctypes.addressof(weights),
            leak=spec.leak,
            batch=instances,
            samples=samples,
            observation=self._observation.ctypes.data,
            z=passes._z.ctypes.data,
            pre_rows=passes._pre.ctypes.data,
            work=work.ctypes.data,
            components=len(sizes),
            choices=kept[0].ctypes.data,
            source=source,
            uniform=self._uniform.ctypes.data,
            choice=self._choice.ctypes.data,
            impact=impact.ctypes.data,
            groups=len(ends),
            ends=kept[1].ctypes.data,
            post=post.ctypes.data,
        )
        self._pointer = ctypes.c_void_p(ctypes.addressof(self._step))
        # Pointers keep nothing alive.
        self._keep = (passes, kept)

    def act(
        self,
        observation: Array,
        noise: Array,
        generator: np.random.Generator,
        *,
        sigma: float,
        scale: float,
    ) -> Array:
        """Choice [B, A].

        Args:
            observation: [B, O].
            noise: unit noise [K * B, N], float32, contiguous; to be left alone until ``rows``.
            generator: for drawing actions, one number for each component.
            sigma: standard deviation of the noise [1].
            scale: factor of the rows.
        """
        step = self._step
        if noise is not self._noise:
            self._noise, step.noise = noise, noise.ctypes.data
        step.sigma, step.scale = sigma, scale
        self._observation[...] = observation
        generator.random(dtype=np.float32, out=self._uniform)
        self._act(self._pointer)
        choice: Array = self._choice.copy()
        return choice

    def rows(self) -> tuple[Array, Array]:
        """Post [K, B, N] and pre [K, B, M] of the last ``act``; valid until the next."""
        self._rows(self._pointer)
        return self._made


def turned(n_out: int, n_in: int) -> bool:
    """Whether a layer's dense trace lies [in, out], so that its longer side is the inner one."""
    return n_in < n_out and n_in < 16


class _Traces(ctypes.Structure):
    """``nrl_traces`` of the kernel."""

    _fields_ = [
        ('layers', ctypes.c_int64),
        ('sizes', ctypes.c_void_p),
        ('bias', ctypes.c_int64),
        ('batch', ctypes.c_int64),
        ('samples', ctypes.c_int64),
        ('decay', ctypes.c_double),
        ('post', ctypes.c_void_p),
        ('pre', ctypes.c_void_p),
        ('trace', ctypes.c_void_p),
        ('new_post', ctypes.c_void_p),
        ('new_pre', ctypes.c_void_p),
        ('which', ctypes.c_void_p),
        ('count', ctypes.c_int64),
        ('weight', ctypes.c_void_p),
        ('totals', ctypes.c_void_p),
    ]


class NativeDense:
    """Dense traces of B instances in one array.

    Args:
        spec: sizes of the network.
        decay: d.
        trace: [B, W], float32, all weights of all layers side by side, turned where ``turned``.
        post: [K, B, N].
        pre: [K, B, M].
        total: [W], float32, which lies as a row of the traces does.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        decay: float,
        *,
        trace: Array,
        post: Array,
        pre: Array,
        total: Array,
    ) -> None:
        compiled = library()
        self._record, self._credit = compiled.nrl_dense, compiled.nrl_dense_credit
        sizes = np.array([spec.inputs, *spec.hidden, spec.outputs], np.int64)
        self._which, self._weight = np.zeros(len(trace), np.int64), np.zeros(len(trace), np.float32)
        self._named = self._which.ctypes.data
        self._traces = _Traces(
            layers=len(spec.shapes),
            sizes=sizes.ctypes.data,
            bias=int(spec.bias),
            batch=len(trace),
            samples=len(post),
            decay=decay,
            post=post.ctypes.data,
            pre=pre.ctypes.data,
            trace=trace.ctypes.data,
            weight=self._weight.ctypes.data,
            totals=total.ctypes.data,
        )
        self._pointer = ctypes.c_void_p(ctypes.addressof(self._traces))
        # Pointers keep nothing alive.
        self._keep = (sizes, trace, post, pre, total)
        self._rows: tuple[Array | None, Array | None] = (None, None)

    def record(self, post: Array, pre: Array, index: Array | None) -> None:
        """``e <- decay e + post preT`` with the rows of the step before, then keep the new rows.

        Args:
            post: new rows [K, B, N].
            pre: new rows [K, B, M].
            index: whole numbers [k], instances to touch; None: all.
        """
        traces = self._traces
        # Mostly the same two arrays at every step.
        if post is not self._rows[0] or pre is not self._rows[1]:
            new = np.ascontiguousarray(post), np.ascontiguousarray(pre)
            self._rows = new
            traces.new_post, traces.new_pre = _address(new[0]), _address(new[1])
        if index is None:
            traces.which, traces.count = None, len(self._which)
        else:
            self._name(index)
        self._record(self._pointer)

    def credit(self, index: Array, weight: Array) -> None:
        """``total += sum_i weight_i e_i``, newest rows included; then those traces are zero.

        Args:
            index: whole numbers [k], each instance once.
            weight: [k].
        """
        self._name(index)
        self._weight[: len(index)] = weight
        self._credit(self._pointer)

    def _name(self, index: Array) -> None:
        count = len(index)
        self._which[:count] = index
        self._traces.which, self._traces.count = self._named, count


class NativeNormal:
    """Standard normal numbers.

    Args:
        state: uint32 [64], advanced at each call; not all zero.
        out: float32, contiguous; filled at each call.
    """

    def __init__(self, state: Array, out: Array) -> None:
        assert _LIBRARY is not None
        self._call = _LIBRARY.nrl_normal
        # Pointers keep nothing alive.
        self._keep = (state, out)
        self._arguments = (_pointer(state), _long(out.size), _pointer(out))

    def draw(self) -> None:
        """Fill the array with the next numbers."""
        self._call(*self._arguments)


def accumulate(
    total: Array,
    rows: Array,
    weight: Array,
    post: Array,
    pre: Array,
    *,
    at_post: int,
    at_pre: int,
) -> None:
    """``total += sum_r weight_r post_r preT_r`` for one layer, rows taken out of large buffers.

    Args:
        total: [out, in], float32.
        rows: int64 [r], indices of rows.
        weight: float32 [r].
        post: [., N], float32, contiguous.
        pre: [., M], float32, contiguous.
        at_post: where the layer's neurons start among N.
        at_pre: where the layer's inputs start among M.
    """
    assert _LIBRARY is not None
    n_out, n_in = total.shape
    turned = not (n_in >= n_out or n_in >= 16)
    target = np.zeros((n_in, n_out), np.float32) if turned else total
    _LIBRARY.nrl_accumulate(
        _long(len(rows)),
        _pointer(rows),
        _pointer(weight),
        _pointer(post),
        _long(post.shape[1]),
        _long(at_post),
        _pointer(pre),
        _long(pre.shape[1]),
        _long(at_pre),
        _long(n_out),
        _long(n_in),
        _pointer(target),
    )
    if turned:
        total += target.T
