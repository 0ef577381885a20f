"""Steps of a loop on a device: plain, compiled, and on a GPU recorded as a graph and repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch

# Steps in one recorded graph, at least: so many calls become one.
_RECORDED = 8
# Steps before a graph is recorded, in which torch makes what it needs.
_WARM_UP = 3


class Loop(Protocol):
    """What is stepped; ``learning.DeviceLearning`` is one.

    Attributes:
        generator: of everything random, on the device.
    """

    generator: torch.Generator

    def draw(self) -> None:
        """Draw all that the next step takes; no part of what is compiled."""
        ...

    def step(self) -> None:
        """Do one step, and sum up what it would change."""
        ...

    def update(self) -> None:
        """Change the weights by what was summed up."""
        ...


class Stepper:
    """Does steps of a loop, with an update of the weights after each n-th of them.

    Args:
        learning: the loop.
        update_every: n.
        compiled: let torch compile the steps, which takes a while at the first one.
        say: is told when something that takes a while begins.

    Attributes:
        unit: steps that are done at once; the host can only look between units.
    """

    def __init__(
        self,
        learning: Loop,
        *,
        update_every: int,
        compiled: bool,
        say: Callable[[str], None],
    ) -> None:
        self._learning, self._every, self._say = learning, update_every, say
        self._on_gpu = learning.generator.device.type == 'cuda'
        self.unit = update_every
        if self._on_gpu:
            self.unit *= -(-_RECORDED // update_every)
        self._step: Any = self._step_and_update if update_every == 1 else learning.step
        self._update: Any = learning.update
        self._compiled = compiled
        self._graph: Any = None

    def _step_and_update(self) -> None:
        self._learning.step()
        self._learning.update()

    def build(self) -> int:
        """Make what the steps need, compiled or recorded; the steps that it takes are of the loop.

        Returns:
            How many were done.
        """
        if not (self._compiled or self._on_gpu):
            return 0
        what = 'compiling the steps' if self._compiled else 'recording the steps'
        self._say(f'{what} for {self._learning.generator.device}, once ...')
        # What is kept for later steps, such as rows of the kinematics, is made by a plain one.
        self._do(1)
        if self._compiled:
            self._step, self._update = torch.compile(self._step), torch.compile(self._update)
        units = -(-_WARM_UP // self.unit)
        if not self._on_gpu:
            self._do(units)
            return (1 + units) * self.unit
        side: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self._do(units)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._learning.generator)
        # What is recorded is not done.
        with torch.cuda.graph(graph):
            self._do(1)
        self._graph = graph
        return (1 + units) * self.unit

    def run(self, units: int) -> None:
        """Do so many units of steps."""
        if self._graph is None:
            self._do(units)
            return
        for _ in range(units):
            self._graph.replay()

    def _do(self, units: int) -> None:
        for _ in range(units * self.unit // self._every):
            for _ in range(self._every):
                self._learning.draw()
                self._step()
            if self._every > 1:
                self._update()
