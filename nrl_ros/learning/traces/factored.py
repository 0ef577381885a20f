"""Eligibility traces kept as factors: the rows of each step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import CheckpointError
from nrl_ros.base.state import Stateful, restore_snapshot, transient
from nrl_ros.learning.networks.feed_forward import NetworkSpec
from nrl_ros.learning.traces.base import DetachedTrace
from nrl_ros.learning.traces.outer_products import OuterProducts

Array = NDArray[Any]

# Up to this many weights the compiled products are faster than gathering rows for BLAS.
_COMPILED_WEIGHTS = 20_000


@dataclass
class FactoredState:
    """All traces of B instances.

    Attributes:
        kind: tells them from dense ones.
        steps: length of the ring.
        start: of the rows of each trace, a step [B].
        count: of the rows of each trace [B].
        folded: which traces have a part in ``dense`` [B].
        now: the step that is next.
        dense: folded parts, [B, out, in] for each layer; empty before the first.
        post: rows in use, by instance, oldest first.
        pre: likewise.
    """

    kind: str
    steps: int
    start: Array
    count: Array
    folded: Array
    now: int = 0
    dense: list[Array] = field(default_factory=list)
    post: Array | None = transient()
    pre: Array | None = transient()


class FactoredTraces(Stateful):
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
        small = spec.outer and spec.weight_count <= _COMPILED_WEIGHTS
        self._compiled = OuterProducts(spec, self._flat_post, self._flat_pre) if small else None
        self._start, self._count = np.zeros((2, instances), np.int64)
        self._folded = np.zeros(instances, np.bool_)
        self.state: FactoredState = FactoredState(
            self.kind, ring_steps, self._start, self._count, self._folded
        )
        # No live trace starts before this step; the first one may start later.
        self._oldest = 0
        self._gaps = False
        # True if some trace may have no rows.
        self._empty = True

    def record(self, post: Array, pre: Array, index: Array | None) -> None:
        """Copy the rows into the ring, after folding those that they overwrite."""
        self._make_room()
        slot = self.state.now % self._steps
        self._post[slot] = post
        self._pre[slot] = pre
        if index is None:
            if self._empty:
                self._start[self._count == 0] = self.state.now
                self._empty = False
            self._count += 1
        else:
            fresh = index[self._count[index] == 0]
            self._start[fresh] = self.state.now
            self._count[index] += 1
            self._gaps = True
        self.state.now += 1

    def _make_room(self) -> None:
        if self._gaps:
            # The rows of a trace are consecutive; after a step without the instance its trace
            # starts anew.
            live = self._count > 0
            behind = np.flatnonzero(live & (self._start + self._count != self.state.now))
            self._fold(behind)
            self._gaps = False
        if self.state.now - self._oldest >= self._steps:
            using = np.flatnonzero(self._count)
            self._fold(using[self._start[using] <= self.state.now - self._steps])
            using = np.flatnonzero(self._count)
            self._oldest = int(self._start[using].min()) if len(using) else self.state.now

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
        if self._compiled is not None:
            self._compiled.add_to(total, rows, weight)
            return
        post = self._flat_post[rows]
        post *= weight[:, None]
        self._spec.add_products(total, post, self._flat_pre[rows])

    def _fade(self, index: Array) -> Array:
        """Return d^n for the folded part of each trace, n being its steps since."""
        return np.power(self._decay, self._count[index]).astype(self._post.dtype)

    def _fold(self, index: Array) -> None:
        """Compute ``e <- d^n e + sum_t d^(n-1-t) A XT`` for some instances, and free their rows."""
        if not len(index):
            return
        if not self.state.dense:
            shapes = self._spec.shapes
            self.state.dense = [
                np.zeros((self._instances, *shape), self._post.dtype) for shape in shapes
            ]
        for instance in index:
            one = np.array([instance])
            fade = self._fade(one)[0]
            total = [np.zeros_like(dense[instance]) for dense in self.state.dense]
            self._products(total, self._rows(one), self._row_weight(one, np.ones(1)))
            for dense, part in zip(self.state.dense, total, strict=True):
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
        if self.state.dense:
            folded = self._folded[index]
            which = index[folded]
            if len(which):
                factor = weight[folded].astype(self._post.dtype) * self._fade(which)
                for layer, dense in enumerate(self.state.dense):
                    total[layer] += np.tensordot(factor, dense[which], axes=1)
        self.clear(index if carried is None else index[~carried])

    def detach(self, instance: int, *, carried: bool = False) -> DetachedTrace:
        """Copy the rows, and the folded part if there is one."""
        one = np.array([instance])
        rows = self._rows(one)
        post = self._flat_post[rows]
        post *= self._row_weight(one, np.ones(1))[:, None]
        dense = None
        if self.state.dense and self._folded[instance]:
            fade = self._fade(one)[0]
            dense = [trace[instance] * fade for trace in self.state.dense]
        detached = DetachedTrace(dense, post, self._flat_pre[rows])
        if not carried:
            self.clear(one)
        return detached

    def clear(self, index: Array) -> None:
        """Forget the rows, and set the folded part to zero if there is one."""
        self._count[index] = 0
        self._empty = True
        if self.state.dense:
            which = index[self._folded[index]]
            for dense in self.state.dense:
                dense[which] = 0.0
            self._folded[which] = False

    def before_snapshot(self) -> None:
        """Copy the rows in use."""
        rows = self._rows(np.arange(self._instances))
        self.state.post, self.state.pre = self._flat_post[rows], self._flat_pre[rows]

    def check_snapshot(self, snapshot: dict[str, Any]) -> None:
        """Refuse a ring of another length, and rows or folded traces of another size.

        Raises:
            CheckpointError: naming what differs.
        """
        if snapshot['steps'] != self._steps:
            raise CheckpointError(
                f'traces were kept for {snapshot["steps"]} steps, expected {self._steps}: '
                'the environment promises windows of another length'
            )
        count = snapshot['count']
        if ((count < 0) | (count > self._steps)).any():
            raise CheckpointError(f'count: expected 0 to {self._steps}, received {count}')
        rows = self._samples * int(count.sum())
        for name, ring in (('post', self._flat_post), ('pre', self._flat_pre)):
            kept = np.empty((rows, ring.shape[1]), ring.dtype)
            restore_snapshot({name: kept}, {name: snapshot[name]})
        received = [np.shape(part) for part in snapshot['dense']]
        expected = [(self._instances, *shape) for shape in self._spec.shapes]
        if received and received != expected:
            raise CheckpointError(f'dense: expected {expected}, received {received}')

    def after_restore(self) -> None:
        """Put the rows back into the ring."""
        rows = self._rows(np.arange(self._instances))
        self._flat_post[rows], self._flat_pre[rows] = self.state.post, self.state.pre
        self._oldest = 0
        self._gaps = self._empty = True
