"""The compiled step: passes, softmax, rows, traces and normal numbers in few calls.

``native/kernel.c`` is built with the messages, or by ``pip install``; nothing works without it. It
pays for small networks, whose time goes into calls; for large ones numpy's matrix products are the
better choice. The build rounds each product and each sum by itself, so that every processor gives
the same bits (``CMakeLists.txt``).
"""

from __future__ import annotations

import ctypes
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import NotBuiltError
from nrl_ros.learning.networks.feed_forward import Network

Array = NDArray[Any]

# Of the library; changes with every change of an argument list in kernel.c.
VERSION = 10
_BUILD = 'make setup in a checkout, or colcon build'
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
    'nrl_cycle_act',
    'nrl_cycle_fold',
    'nrl_cycle_draw',
    'nrl_cycle_pass',
    'nrl_cycle_rows',
)
# Those that return a number.
_ANSWERS = (
    'nrl_work_size',
    'nrl_cycle_learn',
)
# Weights beyond which numpy's matrix products win over plain loops; see docs/performance.md.
_LARGEST = 20_000


def _load() -> ctypes.CDLL:
    path = Path(__file__).with_name('libnrl_kernel.so')
    try:
        library = ctypes.CDLL(str(path))
        library.nrl_kernel_version.restype = ctypes.c_int32
        version: int | None = library.nrl_kernel_version()
    except (OSError, AttributeError) as error:
        fault = f'does not load ({error})' if path.is_file() else 'is missing'
        raise NotBuiltError(f'{path} {fault}; build it: {_BUILD}') from None
    if version != VERSION:
        raise NotBuiltError(
            f'{path} is of build {version}, this nrl_ros needs build {VERSION}; build it anew: '
            f'{_BUILD}'
        )
    for name in (*_FUNCTIONS, *_ANSWERS):
        getattr(library, name).restype = ctypes.c_int64 if name in _ANSWERS else None
    return library


_LIBRARY: ctypes.CDLL | None = _load()


def available() -> bool:
    """Return whether the compiled step is used; tests take it away."""
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


def address_of(array: Array) -> int:
    """Where the numbers of an array begin."""
    address: int = array.__array_interface__['data'][0]
    return address


def _pointer(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(address_of(array))


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

    Attributes:
        structure: of the kernel.
        observation: float32 [B, O], of the last step.
        uniform: float32 [B, A], the numbers that its actions were drawn with.
        choice: int32 [B, A], its actions.
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
        self.observation = passes._observation
        self.uniform = np.zeros((instances, len(sizes)), np.float32)
        self.choice = np.zeros((instances, len(sizes)), np.int32)
        self._noise: Array | None = None
        impact = np.zeros((samples, instances))
        post = np.zeros((samples, instances, ends[-1]), np.float32)
        self._made = (post, passes.presynaptic().reshape(samples, instances, -1))
        kept = (np.array(sizes, np.int64), np.array(ends, np.int64), impact)
        spec, (_, layers, weights, work) = network.spec, passes._keep
        self.structure = _Step(
            layers=len(spec.shapes),
            sizes=layers.ctypes.data,
            bias=int(spec.bias),
            weights=ctypes.addressof(weights),
            leak=spec.leak,
            batch=instances,
            samples=samples,
            observation=self.observation.ctypes.data,
            z=passes._z.ctypes.data,
            pre_rows=passes._pre.ctypes.data,
            work=work.ctypes.data,
            components=len(sizes),
            choices=kept[0].ctypes.data,
            source=source,
            uniform=self.uniform.ctypes.data,
            choice=self.choice.ctypes.data,
            impact=impact.ctypes.data,
            groups=len(ends),
            ends=kept[1].ctypes.data,
            post=post.ctypes.data,
        )
        self._pointer = ctypes.c_void_p(ctypes.addressof(self.structure))
        # Pointers keep nothing alive.
        self._keep = (passes, kept)

    def writing_to(self, rows: Any) -> NativeStep:
        """The same step, whose rows go straight to where ``rows`` has post and pre."""
        other = copy(self)
        other.structure = _Step.from_buffer_copy(self.structure)
        other.structure.post = address_of(rows.post)
        other.structure.pre_rows = address_of(rows.pre)
        other._pointer = ctypes.c_void_p(ctypes.addressof(other.structure))
        return other

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
        step = self.structure
        if noise is not self._noise:
            self._noise, step.noise = noise, noise.ctypes.data
        step.sigma, step.scale = sigma, scale
        self.observation[...] = observation
        generator.random(dtype=np.float32, out=self.uniform)
        self._act(self._pointer)
        choice: Array = self.choice.copy()
        return choice

    def rows(self) -> tuple[Array, Array]:
        """Post [K, B, N] and pre [K, B, M] of the last ``act``; valid until the next."""
        self._rows(self._pointer)
        return self._made


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
