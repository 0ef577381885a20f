"""Clean and noisy passes of a feed-forward network, all instances in one call.

Compiled by Cython over the functions of ``kernels/arithmetic.h``. The same text serves float32 and
float64, small layers and large ones. Only the product of a large layer is computed by numpy, which
is faster then (docs/performance.md).
"""

from __future__ import annotations

from typing import Any

import cython
import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.compiled import require_compiled
from nrl_ros.learning.networks.feed_forward import Network

require_compiled(__name__, cython.compiled)

# isort: split
from cython.cimports.libc.stdint import int64_t
from cython.cimports.nrl_ros.learning.kernels.arithmetic import (
    activate,
    add_noise,
    copy_rows,
    dots,
    product,
    real,
    reals,
    turn,
)
from cython.cimports.nrl_ros.learning.kernels.buffers import address_of

Array = NDArray[Any]

# numpy's product is faster than plain loops for layers with more weights; see docs/performance.md.
_LARGEST = 20_000
# So many instances go through all layers together, so that their rows stay in the first cache.
_BLOCK = cython.declare(cython.Py_ssize_t, 16)
# How a layer is multiplied: along its inputs with the weights as they are, for few outputs or few
# rows; with transposed weights; or by numpy.
_ALONG = cython.declare(cython.int, 0)
_TURNED = cython.declare(cython.int, 1)
_LARGE = cython.declare(cython.int, 2)


def is_large(n_out: int, n_in: int) -> bool:
    """Return True if numpy computes the product of a layer."""
    return n_out * n_in > _LARGEST


def _kind(n_out: int, n_in: int, rows: int) -> int:
    if is_large(n_out, n_in):
        return int(_LARGE)
    return int(_ALONG if n_out < 8 or (rows < 4 and n_in >= 16) else _TURNED)


@cython.cclass
class ForwardPass:
    """Working memory for the passes of B instances with K noisy samples each.

    Args:
        network: whose weights are used; its arrays must stay the same ones.
        instances: B.
        samples: K, noisy passes per clean one; 0 for acting without noise.
        keeps_preactivation: True if ``preactivation`` will be asked for.
    """

    _network: Any
    _dtype: Any
    _own_observation: Any
    _watched: Any
    # Observation, noise and rows of the newest pass.
    _bound: list[Any]
    _z_array: Any
    _own_pre: Any
    _preactivation_array: Any
    _products: Any
    _kept: Any

    _width: cython.Py_ssize_t
    _instances: cython.Py_ssize_t
    _samples: cython.Py_ssize_t
    _layers: cython.Py_ssize_t
    _inputs: cython.Py_ssize_t
    _outputs: cython.Py_ssize_t
    # Over all layers: noisy neurons N, presynaptic activities M.
    _n: cython.Py_ssize_t
    _m: cython.Py_ssize_t
    # Instances that go through the layers together.
    _block: cython.Py_ssize_t
    _bias: cython.bint
    _leak: cython.double

    # For each layer: its place among all noisy neurons and activities, its weights, and addresses.
    _n_out: int64_t[::1]
    _n_in: int64_t[::1]
    _at_noise: int64_t[::1]
    _at_pre: int64_t[::1]
    _at_weight: int64_t[::1]
    _kinds: int64_t[::1]
    _weights: int64_t[::1]

    # Addresses of the arrays; null if no preactivation is kept.
    _observation: cython.p_void
    _noise: cython.p_void
    _z: cython.p_void
    _pre: cython.p_void
    _preactivation: cython.p_void
    _clean: cython.p_void
    _sums: cython.p_void
    _turned: cython.p_void
    _gathered: cython.p_void
    # Sizes of the product that was computed last.
    _result: cython.p_void

    def __init__(
        self, network: Network, instances: int, samples: int, *, keeps_preactivation: bool = False
    ) -> None:
        spec = network.spec
        self._network, self._dtype = network, network.dtype
        self._width = network.dtype.itemsize
        self._instances, self._samples = instances, samples
        self._layers, self._bias, self._leak = len(spec.shapes), spec.bias, spec.leak
        self._inputs, self._outputs = spec.inputs, spec.outputs
        self._n, self._m = spec.noise_components, spec.input_components
        shapes = np.array(spec.shapes, np.int64)
        self._n_out, self._n_in = shapes[:, 0].copy(), shapes[:, 1].copy()
        self._at_noise = np.cumsum(shapes[:, 0]) - shapes[:, 0]
        self._at_pre = np.cumsum(shapes[:, 1]) - shapes[:, 1]
        self._at_weight = np.cumsum(shapes.prod(axis=1)) - shapes.prod(axis=1)
        rows = instances * (1 + samples)
        kinds = [_kind(n_out, n_in, rows) for n_out, n_in in spec.shapes]
        self._kinds = np.array(kinds, np.int64)
        large = int(_LARGE) in kinds
        self._block = instances if large else min(int(_BLOCK), instances)
        self._make_arrays(keeps_preactivation)
        self._make_scratch(int(shapes.max()) + 1, rows if large else self._block, large)

    def _make_arrays(self, keeps_preactivation: bool) -> None:
        """Make the arrays of inputs and outputs."""
        instances, samples, dtype = self._instances, self._samples, self._dtype
        self._own_observation = np.zeros((instances, self._inputs), dtype)
        self._watched = None
        self._bound = [None, None, None]
        self._z_array = np.zeros((1 + samples, instances, self._outputs), dtype)
        self._z = address_of(self._z_array, self._z_array.size, self._width)
        self._own_pre = np.zeros((instances * max(samples, 1), self._m), dtype)
        self._preactivation_array = None
        if keeps_preactivation:
            self._preactivation_array = kept = np.zeros((samples * instances, self._n), dtype)
            self._preactivation = address_of(kept, kept.size, self._width)
        else:
            self._preactivation = cython.NULL

    def _make_scratch(self, widest: int, rows: int, large: bool) -> None:
        """Make working memory for layers of this width and products of so many rows."""
        clean = np.zeros(self._block * widest, self._dtype)
        sums = np.zeros(rows * widest, self._dtype)
        turned = np.zeros(self._network.spec.weight_count, self._dtype)
        gathered = np.zeros(rows * widest if large else 0, self._dtype)
        addresses = np.zeros(self._layers, np.int64)
        self._products = []
        for layer, weight in enumerate(self._network.weights):
            n_out, n_in = weight.shape
            addresses[layer] = weight.ctypes.data
            many = self._instances * (1 if layer == 0 else 1 + self._samples)
            inputs = gathered[: many * n_in].reshape(-1, n_in) if large else None
            outputs = sums[: many * n_out].reshape(-1, n_out) if large else None
            self._products.append((inputs, weight.T, outputs))
        self._weights = addresses
        # A pointer does not keep its array alive, so a reference is kept beside it.
        self._kept = (clean, sums, turned, gathered)
        self._clean = address_of(clean, clean.size, self._width)
        self._sums = address_of(sums, sums.size, self._width)
        self._turned = address_of(turned, turned.size, self._width)
        self._gathered = address_of(gathered, gathered.size, self._width)

    def watch(self, observation: Array) -> None:
        """Read observations [B, O] from this array without a copy if ``run`` is given it.

        An array of another type is still copied.
        """
        self._watched = observation if observation.dtype == self._dtype else None

    def run(
        self,
        observation: Array,
        unit_noise: Array | None,
        sigma: float,
        rows: Array | None = None,
    ) -> Array:
        """Compute the clean and the noisy outputs of all instances.

        ``a_l = W_l x_{l-1}`` in the clean pass, ``a_l = W_l x_{l-1} + sigma z_l`` in the noisy
        ones, ``x_l = LeakyReLU(a_l)`` below the output layer (paper, section 3).

        Args:
            observation: [B, O].
            unit_noise: z, [K * B, N], contiguous; None when K is 0.
            sigma: standard deviation of the noise [1].
            rows: [K, B, M], takes what ``presynaptic`` returns; None: an own array does.

        Returns:
            Outputs [1 + K, B, n]; entry 0 is the clean pass. Valid until the next call.
        """
        self._bind(observation, unit_noise, self._own_pre if rows is None else rows)
        if self._width == 8:
            _run(self, cython.cast(cython.double, sigma))
        else:
            _run(self, cython.cast(cython.float, sigma))
        z: Array = self._z_array
        return z

    @cython.cfunc
    def _bind(self, observation: Any, unit_noise: Any, rows: Any) -> cython.bint:
        """Find the addresses of a pass's arrays, which usually are those of the pass before."""
        seen = observation
        instances: cython.Py_ssize_t = self._instances
        if observation is not self._watched:
            seen = self._own_observation
            seen[...] = observation
        if seen is not self._bound[0]:
            self._bound[0] = None
            self._observation = address_of(seen, instances * self._inputs, self._width)
            self._bound[0] = seen
        if unit_noise is None:
            self._noise, self._bound[1] = cython.NULL, None
        elif unit_noise is not self._bound[1]:
            self._bound[1] = None
            numbers: cython.Py_ssize_t = self._samples * instances * self._n
            self._noise = address_of(unit_noise, numbers, self._width)
            self._bound[1] = unit_noise
        if rows is not self._bound[2]:
            self._bound[2] = None
            many: cython.Py_ssize_t = instances * max(self._samples, 1)
            self._pre = address_of(rows, many * self._m, self._width)
            self._bound[2] = rows
        return True

    def preactivation(self) -> Array:
        """Return all pre-activations in the noisy passes of the last ``run``, [K * B, N]."""
        kept: Array = self._preactivation_array
        return kept

    def presynaptic(self) -> Array:
        """Return the inputs of every layer in the noisy passes of the last ``run``, [K * B, M].

        If K is 0, those in the clean pass [B, M].
        """
        kept: Array = self._own_pre
        return kept

    @cython.cfunc
    @cython.exceptval(-1)
    def _multiply(self, layer: cython.Py_ssize_t) -> cython.int:
        """Multiply the gathered inputs with the weights of a layer."""
        inputs, weight, outputs = self._products[layer]
        np.matmul(inputs, weight, out=outputs)
        return 0


@cython.cfunc
@cython.exceptval(-1)
def _run(passes: ForwardPass, sigma: real) -> cython.int:
    """Take all instances through all layers; the type of ``sigma`` chooses the type of numbers."""
    first: cython.Py_ssize_t = 0
    many: cython.Py_ssize_t
    layer: cython.Py_ssize_t
    _turn(passes, sigma)
    while first < passes._instances:
        many = min(passes._block, passes._instances - first)
        _observe(passes, sigma, first, many)
        for layer in range(passes._layers):
            _pass_layer(passes, sigma, layer, first, many)
        first += many
    return 0


@cython.cfunc
@cython.exceptval(check=False)
def _turn(passes: ForwardPass, sigma: real) -> cython.void:
    """Transpose the weights of those layers that are multiplied in that way."""
    layer: cython.Py_ssize_t
    turned: reals = cython.cast('real *', passes._turned)
    for layer in range(passes._layers):
        if passes._kinds[layer] == _TURNED:
            turn(
                passes._n_out[layer],
                passes._n_in[layer],
                cython.cast('real *', passes._weights[layer]),
                turned + passes._at_weight[layer],
            )


@cython.cfunc
@cython.exceptval(check=False)
def _observe(
    passes: ForwardPass, sigma: real, first: cython.Py_ssize_t, many: cython.Py_ssize_t
) -> cython.void:
    """Copy observations to the inputs of the first layer, in each pass that is kept."""
    _k: cython.Py_ssize_t
    size: cython.Py_ssize_t = passes._inputs
    bias: cython.bint = passes._bias
    seen: reals = cython.cast('real *', passes._observation) + first * size
    clean: reals = cython.cast('real *', passes._clean)
    pre: reals = cython.cast('real *', passes._pre) + first * passes._m
    if passes._samples:
        copy_rows(many, size, seen, size, clean, passes._n_in[0], bias)
    for _k in range(max(passes._samples, 1)):
        copy_rows(many, size, seen, size, pre, passes._m, bias)
        pre = pre + passes._instances * passes._m


@cython.cfunc
@cython.exceptval(-1)
def _pass_layer(
    passes: ForwardPass,
    sigma: real,
    layer: cython.Py_ssize_t,
    first: cython.Py_ssize_t,
    many: cython.Py_ssize_t,
) -> cython.int:
    """Take some instances through one layer, in all passes."""
    k: cython.Py_ssize_t
    ldx: cython.Py_ssize_t
    row: cython.Py_ssize_t
    n_in: cython.Py_ssize_t = passes._n_in[layer]
    n_out: cython.Py_ssize_t = passes._n_out[layer]
    at_pre: cython.Py_ssize_t = passes._at_pre[layer]
    samples: cython.Py_ssize_t = passes._samples
    kind: cython.int = passes._kinds[layer]
    sums: reals = cython.cast('real *', passes._sums)
    weight: reals = cython.cast('real *', passes._weights[layer])
    turned: reals = cython.cast('real *', passes._turned)
    x: reals
    turned = turned + passes._at_weight[layer]
    if kind == _LARGE:
        _gather(passes, sigma, layer)
        passes._multiply(layer)
    # The clean pass comes last, since it overwrites its inputs.
    for k in range(samples, -1, -1):
        row = (k - 1 if k else 0) * passes._instances + first
        if k or not samples:
            x, ldx = cython.cast('real *', passes._pre) + row * passes._m + at_pre, passes._m
        else:
            x, ldx = cython.cast('real *', passes._clean), n_in
        # The observation carries no noise, so its product is the same in every pass.
        if kind == _LARGE:
            if layer:
                sums = cython.cast('real *', passes._sums) + k * many * n_out
        elif layer or k == samples:
            if kind == _ALONG:
                dots(many, n_in, n_out, x, ldx, weight, sums)
            else:
                product(many, n_in, n_out, x, ldx, turned, sums)
        passes._result = sums
        _give(passes, sigma, layer, k, row)
    return 0


@cython.cfunc
@cython.exceptval(check=False)
def _gather(passes: ForwardPass, sigma: real, layer: cython.Py_ssize_t) -> cython.void:
    """Bring the inputs of a layer side by side, of all passes; of the clean one in the first."""
    _k: cython.Py_ssize_t
    rows: cython.Py_ssize_t = passes._instances
    n_in: cython.Py_ssize_t = passes._n_in[layer]
    out: reals = cython.cast('real *', passes._gathered)
    pre: reals = cython.cast('real *', passes._pre) + passes._at_pre[layer]
    clean: reals = cython.cast('real *', passes._clean)
    if passes._samples:
        copy_rows(rows, n_in, clean, n_in, out, n_in, False)
    else:
        copy_rows(rows, n_in, pre, passes._m, out, n_in, False)
    if layer == 0:
        return
    for _k in range(passes._samples):
        out = out + rows * n_in
        copy_rows(rows, n_in, pre, passes._m, out, n_in, False)
        pre = pre + rows * passes._m


@cython.cfunc
@cython.exceptval(check=False)
def _give(
    passes: ForwardPass,
    sigma: real,
    layer: cython.Py_ssize_t,
    k: cython.Py_ssize_t,
    row: cython.Py_ssize_t,
) -> cython.void:
    """Give the result of pass k, from a row on, to the outputs or to the next layer."""
    n: cython.Py_ssize_t = passes._n
    m: cython.Py_ssize_t = passes._m
    n_out: cython.Py_ssize_t = passes._n_out[layer]
    first: cython.Py_ssize_t = row - (k - 1 if k else 0) * passes._instances
    many: cython.Py_ssize_t = min(passes._block, passes._instances - first)
    leak: real = passes._leak
    at_noise: cython.Py_ssize_t = passes._at_noise[layer]
    sums: reals = cython.cast('real *', passes._result)
    noise: reals = cython.cast('real *', passes._noise)
    out: reals
    if k:
        noise = noise + row * n + at_noise
        if passes._preactivation:
            out = cython.cast('real *', passes._preactivation) + row * n + at_noise
            copy_rows(many, n_out, sums, n_out, out, n, False)
            add_noise(many, n_out, sigma, noise, n, out, n)
    else:
        noise = cython.NULL
    if layer == passes._layers - 1:
        out = cython.cast('real *', passes._z) + (k * passes._instances + first) * n_out
        copy_rows(1, many * n_out, sums, 0, out, 0, False)
        if k:
            add_noise(many, n_out, sigma, noise, n, out, n_out)
    elif k or not passes._samples:
        out = cython.cast('real *', passes._pre) + row * m + passes._at_pre[layer + 1]
        activate(many, n_out, leak, sigma, sums, noise, n, out, m, passes._bias)
    else:
        out = cython.cast('real *', passes._clean)
        ldx: cython.Py_ssize_t = n_out + passes._bias
        activate(many, n_out, leak, sigma, sums, noise, n, out, ldx, passes._bias)
