"""Eligibility traces of all instances of an agent, kept dense or as factors.

One step adds ``sum_k A_k X_kT`` to an instance's trace, with rows A (postsynaptic) of length N and
X (presynaptic) of length M cut into layers. With decay d: ``e <- d e + A XT`` (a sum, not an
average).

    * dense: e itself, ``sum(out * in)`` numbers an instance; a step is one multiply-add over all of
    them.
    * factored: the rows, ``N + M`` numbers a step; the trace appears only in one matrix product
    when a
    window closes. Rows that no longer fit are folded into a dense trace.

Both give the same update up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import CheckpointError, ConfigError
from nrl_ros.learning.kernels import library as kernels
from nrl_ros.learning.kernels import traces as kernel_traces
from nrl_ros.learning.networks.feed_forward import NetworkSpec
from nrl_ros.learning.trace_choice import choose_kind

Array = NDArray[Any]

# The ring of a factored trace is as long as the longest window, but within this memory.
_RING_BYTES = 256 * 2**20
_DEFAULT_STEPS = 256
# Up to this many weights the compiled products are faster than gathering rows for BLAS.
_NATIVE_WEIGHTS = 20_000
TRACE_KINDS = ('auto', 'dense', 'factored')


@dataclass(frozen=True)
class DetachedTrace:
    """The trace of one closed window, taken out of its store until its late RPE comes."""

    dense: list[Array] | None
    post: Array
    pre: Array

    def add_to(self, total: list[Array], weight: float, spec: NetworkSpec) -> None:
        """Add ``weight * e`` to ``total``, one matrix [out, in] a layer."""
        scaled = self.post * self.post.dtype.type(weight)
        for layer, (out, where) in enumerate(
            zip(spec.noise_slices, spec.input_slices, strict=True)
        ):
            total[layer] += scaled[:, out].T @ self.pre[:, where]
            if self.dense is not None:
                total[layer] += self.dense[layer] * total[layer].dtype.type(weight)


class TraceStore(Protocol):
    """Traces of B instances; ``index`` arguments are integer arrays [k] without repeats."""

    kind: str

    def record(self, post: Array, pre: Array, index: Array | None) -> None:
        """Add one step: rows [K, B, N] and [K, B, M], for the instances ``index`` (None: all)."""
        ...

    def retract(self, index: Array) -> None:
        """Take back the newest step of these instances: it earns no credit, but time has passed."""
        ...

    def add_to(
        self, total: list[Array], index: Array, weight: Array, carried: Array | None = None
    ) -> None:
        """Add ``sum_i weight_i e_i`` to ``total`` and clear those traces.

        Args:
            total: one matrix [out, in] a layer.
            index: instances.
            weight: [k], one for each.
            carried: bool [k], traces that go on instead of being cleared; None: none.
        """
        ...

    def detach(self, instance: int, *, carried: bool = False) -> DetachedTrace:
        """Take one trace out and clear it; with ``carried``, copy it and let it go on."""
        ...

    def clear(self, index: Array) -> None:
        """Set traces to zero."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """Return all traces as plain data."""
        ...

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot of a store of the same kind and size."""
        ...


def make_store(
    kind: str,
    spec: NetworkSpec,
    *,
    instances: int,
    samples: int,
    decay: float,
    window_steps: int,
    reset: bool = True,
    dtype: Any = np.float32,
) -> TraceStore:
    """Make a store of the given kind; ``auto`` chooses by size.

    Args:
        kind: one of TRACE_KINDS.
        spec: sizes of the network.
        instances: B.
        samples: K, rows a step.
        decay: d in (0, 1]; 1 sums.
        window_steps: steps of the longest window, 0 when unknown.
        reset: traces end with their windows; those that go on are read at every RPE, which
            dense ones are made for.
        dtype: float32 or float64.

    Raises:
        ConfigError: unknown kind or decay out of range.
    """
    if not 0.0 < decay <= 1.0:
        raise ConfigError(f'trace decay must be in (0, 1], received {decay}')
    if kind == 'auto':
        kind = choose_kind(spec, window_steps, instances * samples) if reset else 'dense'
    if kind == 'dense':
        return DenseTraces(spec, instances, samples, decay, dtype)
    if kind == 'factored':
        numbers = instances * samples * (spec.noise_components + spec.input_components)
        room = max(_RING_BYTES // (numbers * np.dtype(dtype).itemsize), 1)
        steps = min(window_steps or _DEFAULT_STEPS, room)
        return FactoredTraces(spec, instances, samples, decay, dtype, ring_steps=steps)
    raise ConfigError(f'unknown trace kind {kind!r}, expected one of {TRACE_KINDS}')


def _layers(flat: Array, spec: NetworkSpec) -> list[Array]:
    """Return views [B, out, in] of the layers in [B, W], some of which are stored as [in, out]."""
    views, start = [], 0
    for n_out, n_in in spec.shapes:
        part = flat[:, start : start + n_out * n_in]
        start += n_out * n_in
        if kernel_traces.turned(n_out, n_in):
            views.append(part.reshape(len(flat), n_in, n_out).transpose(0, 2, 1))
        else:
            views.append(part.reshape(len(flat), n_out, n_in))
    return views


class DenseTraces:
    """Traces with all weights of each instance; the newest step is kept apart, to be retracted.

    Attributes:
        native: the same traces in the kernel, if it is there.
    """

    kind = 'dense'

    def __init__(
        self, spec: NetworkSpec, instances: int, samples: int, decay: float, dtype: Any
    ) -> None:
        self._spec = spec
        self._decay = np.dtype(dtype).type(decay)
        sizes = [n_out * n_in for n_out, n_in in spec.shapes]
        self._flat = np.zeros((instances, sum(sizes)), dtype)
        self._trace = _layers(self._flat, spec)
        self._sum = np.zeros(self._flat.shape[1], dtype)
        self._sums = [part[0] for part in _layers(self._sum[None], spec)]
        self._post = np.zeros((samples, instances, spec.noise_components), dtype)
        self._pre = np.zeros((samples, instances, spec.input_components), dtype)
        self.native: kernel_traces.NativeDense | None = None
        if kernels.available() and self._flat.dtype == np.float32:
            self.native = kernel_traces.NativeDense(
                spec, decay, trace=self._flat, post=self._post, pre=self._pre, total=self._sum
            )

    def _rows(self, layer: int, index: Any) -> list[tuple[Array, Array]]:
        out, where = self._spec.noise_slices[layer], self._spec.input_slices[layer]
        return [
            (post[index][:, out, None], pre[index][:, None, where])
            for post, pre in zip(self._post, self._pre, strict=True)
        ]

    def record(self, post: Array, pre: Array, index: Array | None) -> None:
        """Add the step before to the traces, and keep this one apart."""
        if self.native is not None:
            self.native.record(post, pre, index)
            return
        who: Any = slice(None) if index is None else index
        for layer, trace in enumerate(self._trace):
            trace[who] = self._whole(layer, who)
        self._post[:, who] = post[:, who]
        self._pre[:, who] = pre[:, who]

    def retract(self, index: Array) -> None:
        """Set the newest rows to zero."""
        self._post[:, index] = 0.0

    def _whole(self, layer: int, index: Any) -> Array:
        """Return the traces with their newest step [k, out, in]."""
        part: Array = self._trace[layer][index] * self._decay
        for post, pre in self._rows(layer, index):
            part += post * pre
        return part

    def add_to(
        self, total: list[Array], index: Array, weight: Array, carried: Array | None = None
    ) -> None:
        """Add the weighted sum over instances to ``total``, then clear."""
        carries = carried is not None and np.count_nonzero(carried) > 0
        if self.native is not None and not carries:
            self._sum.fill(0.0)
            self.native.credit(index, weight)
            for layer, part in enumerate(self._sums):
                total[layer] += part
            return
        factor = weight.astype(self._post.dtype)
        self._sum[:] = (factor * self._decay) @ self._flat[index]
        post = (self._post[:, index] * factor[:, None]).reshape(-1, self._post.shape[2])
        pre = self._pre[:, index].reshape(-1, self._pre.shape[2])
        for layer, part in enumerate(self._sums):
            out, where = self._spec.noise_slices[layer], self._spec.input_slices[layer]
            total[layer] += part
            total[layer] += post[:, out].T @ pre[:, where]
        self.clear(index if carried is None else index[~carried])

    def detach(self, instance: int, *, carried: bool = False) -> DetachedTrace:
        """Copy the dense trace and the newest rows."""
        dense = [trace[instance] * self._decay for trace in self._trace]
        detached = DetachedTrace(
            dense, self._post[:, instance].copy(), self._pre[:, instance].copy()
        )
        if not carried:
            self.clear(np.array([instance]))
        return detached

    def clear(self, index: Array) -> None:
        """Set traces and newest rows to zero."""
        self._flat[index] = 0.0
        self._post[:, index] = 0.0
        # Set to zero too, since an overflow here times the zero above would be NaN.
        self._pre[:, index] = 0.0

    def snapshot(self) -> dict[str, Any]:
        """Return traces and newest rows, as copies."""
        return {
            'kind': self.kind,
            'trace': self._flat.copy(),
            'post': self._post.copy(),
            'pre': self._pre.copy(),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Copy traces and newest rows back."""
        self._flat[...] = snapshot['trace']
        self._post[...] = snapshot['post']
        self._pre[...] = snapshot['pre']


class FactoredTraces:
    """Traces as the rows of the newest steps in a ring, each from the beginning of its window.

    Rows are stored step by step, so recording is one copy. A trace whose oldest rows are about to
    be overwritten is folded into a dense one first.
    """

    kind = 'factored'

    def __init__(
        self,
        spec: NetworkSpec,
        instances: int,
        samples: int,
        decay: float,
        dtype: Any,
        *,
        ring_steps: int,
    ) -> None:
        self._spec = spec
        self._decay = decay
        self._samples = samples
        self._steps = ring_steps
        self._instances = instances
        self._post = np.zeros((ring_steps, samples, instances, spec.noise_components), dtype)
        self._pre = np.zeros((ring_steps, samples, instances, spec.input_components), dtype)
        self._flat_post = self._post.reshape(-1, spec.noise_components)
        self._flat_pre = self._pre.reshape(-1, spec.input_components)
        small = spec.weight_count <= _NATIVE_WEIGHTS
        self._native = kernels.available() and self._post.dtype == np.float32 and small
        self._now = 0
        self._start = np.zeros(instances, np.int64)
        self._count = np.zeros(instances, np.int64)
        self._folded = np.zeros(instances, np.bool_)
        self._dense: list[Array] | None = None
        # No live trace starts before this step; it may be too early.
        self._oldest = 0
        self._gaps = False
        # True if some trace may have no rows.
        self._empty = True

    def record(self, post: Array, pre: Array, index: Array | None) -> None:
        """Copy the rows into the ring, after folding those that they overwrite."""
        self._make_room()
        slot = self._now % self._steps
        self._post[slot] = post
        self._pre[slot] = pre
        if index is None:
            if self._empty:
                self._start[self._count == 0] = self._now
                self._empty = False
            self._count += 1
        else:
            fresh = index[self._count[index] == 0]
            self._start[fresh] = self._now
            self._count[index] += 1
            self._gaps = True
        self._now += 1

    def _make_room(self) -> None:
        if self._gaps:
            # The rows of a trace are consecutive; after a step without the instance its trace
            # starts anew.
            live = self._count > 0
            behind = np.flatnonzero(live & (self._start + self._count != self._now))
            self._fold(behind)
            self._gaps = False
        if self._now - self._oldest >= self._steps:
            using = np.flatnonzero(self._count)
            self._fold(using[self._start[using] <= self._now - self._steps])
            using = np.flatnonzero(self._count)
            self._oldest = int(self._start[using].min()) if len(using) else self._now

    def retract(self, index: Array) -> None:
        """Set the newest rows to zero; they stay, so that the decay counts their time."""
        index = index[self._count[index] > 0]
        slot = (self._start[index] + self._count[index] - 1) % self._steps
        for sample in range(self._samples):
            self._post[slot, sample, index] = 0.0

    def _rows(self, index: Array) -> Array:
        """Return the flat positions of all rows of some instances, by instance, oldest first."""
        counts = self._count[index]
        which = np.repeat(index, counts)
        offset = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
        slot = (self._start[which] + offset) % self._steps
        rows: Array = slot * (self._samples * self._instances) + which
        if self._samples == 1:
            return rows
        step = np.arange(self._samples) * self._instances
        return np.asarray((rows[:, None] + step).reshape(-1))

    def _row_weight(self, index: Array, weight: Array) -> Array:
        """Return the weight of each of ``_rows``: its instance's, times d^(steps since)."""
        counts = self._count[index]
        value = np.repeat(weight, counts)
        if self._decay != 1.0:
            age = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(len(value))
            value = value * np.power(self._decay, age)
        if self._samples != 1:
            value = np.repeat(value, self._samples)
        return np.ascontiguousarray(value, self._post.dtype)

    def _products(self, total: list[Array], rows: Array, weight: Array) -> None:
        spec = self._spec
        if self._native:
            for layer, (out, where) in enumerate(
                zip(spec.noise_slices, spec.input_slices, strict=True)
            ):
                kernel_traces.accumulate(
                    total[layer],
                    rows,
                    weight,
                    self._flat_post,
                    self._flat_pre,
                    at_post=out.start,
                    at_pre=where.start,
                )
            return
        post = self._flat_post[rows]
        post *= weight[:, None]
        pre = self._flat_pre[rows]
        for layer, (out, where) in enumerate(
            zip(spec.noise_slices, spec.input_slices, strict=True)
        ):
            total[layer] += post[:, out].T @ pre[:, where]

    def _fade(self, index: Array) -> Array:
        """Return d^n for the folded part of each trace, n being its steps since."""
        return np.power(self._decay, self._count[index]).astype(self._post.dtype)

    def _fold(self, index: Array) -> None:
        """Compute ``e <- d^n e + sum_t d^(n-1-t) A XT`` for some instances, and free their rows."""
        if not len(index):
            return
        if self._dense is None:
            shapes = self._spec.shapes
            self._dense = [
                np.zeros((self._instances, *shape), self._post.dtype) for shape in shapes
            ]
        for instance in index:
            one = np.array([instance])
            fade = self._fade(one)[0]
            total = [np.zeros_like(dense[instance]) for dense in self._dense]
            self._products(total, self._rows(one), self._row_weight(one, np.ones(1)))
            for dense, part in zip(self._dense, total, strict=True):
                dense[instance] = fade * dense[instance] + part
        self._folded[index] = True
        self._count[index] = 0
        self._empty = True

    def add_to(
        self, total: list[Array], index: Array, weight: Array, carried: Array | None = None
    ) -> None:
        """Add one matrix product a layer over the rows of all closing windows, then clear."""
        index = index.astype(np.int64, copy=False)
        self._products(total, self._rows(index), self._row_weight(index, weight))
        if self._dense is not None:
            folded = self._folded[index]
            which = index[folded]
            if len(which):
                factor = weight[folded].astype(self._post.dtype) * self._fade(which)
                for layer, dense in enumerate(self._dense):
                    total[layer] += np.tensordot(factor, dense[which], axes=1)
        self.clear(index if carried is None else index[~carried])

    def detach(self, instance: int, *, carried: bool = False) -> DetachedTrace:
        """Copy the rows, and the folded part if there is one."""
        one = np.array([instance])
        rows = self._rows(one)
        post = self._flat_post[rows]
        post *= self._row_weight(one, np.ones(1))[:, None]
        dense = None
        if self._dense is not None and self._folded[instance]:
            fade = self._fade(one)[0]
            dense = [trace[instance] * fade for trace in self._dense]
        detached = DetachedTrace(dense, post, self._flat_pre[rows])
        if not carried:
            self.clear(one)
        return detached

    def clear(self, index: Array) -> None:
        """Forget the rows, and set the folded part to zero if there is one."""
        self._count[index] = 0
        self._empty = True
        if self._dense is not None:
            which = index[self._folded[index]]
            for dense in self._dense:
                dense[which] = 0.0
            self._folded[which] = False

    def snapshot(self) -> dict[str, Any]:
        """Return the rows in use and the folded traces, as copies."""
        rows = self._rows(np.arange(self._instances))
        return {
            'kind': self.kind,
            'now': self._now,
            'steps': self._steps,
            'start': self._start.copy(),
            'count': self._count.copy(),
            'post': self._flat_post[rows],
            'pre': self._flat_pre[rows],
            'folded': self._folded.copy(),
            'dense': None if self._dense is None else [dense.copy() for dense in self._dense],
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Copy rows and folded traces back.

        Raises:
            CheckpointError: the ring was of another length.
        """
        if snapshot['steps'] != self._steps:
            raise CheckpointError(
                f'traces were kept for {snapshot["steps"]} steps, expected {self._steps}: '
                'the environment promises windows of another length'
            )
        self._now = snapshot['now']
        self._start[...] = snapshot['start']
        self._count[...] = snapshot['count']
        rows = self._rows(np.arange(self._instances))
        self._flat_post[rows] = snapshot['post']
        self._flat_pre[rows] = snapshot['pre']
        self._folded[...] = snapshot['folded']
        dense = snapshot['dense']
        self._dense = None if dense is None else [np.array(part) for part in dense]
        self._oldest = 0
        self._gaps = self._empty = True
