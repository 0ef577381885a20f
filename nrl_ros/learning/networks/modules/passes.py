"""Clean and noisy passes of a torch module, all instances and samples in one batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from nrl_ros.base.errors import ShapeError
from nrl_ros.learning.networks.inputs import LARGEST_BYTE

if TYPE_CHECKING:
    from nrl_ros.learning.networks.modules.network import ModuleNetwork

Array = NDArray[Any]
Tensor = torch.Tensor


class ModulePasses:
    """Passes of B instances with K noisy samples each.

    Args:
        network: whose weights are used.
        instances: B.
        samples: K, noisy passes per clean one; 0 for acting without noise.
        memory: [B, H], what the instances remember; None: nothing. A step reads it in all passes,
            and the clean pass writes it.
    """

    def __init__(
        self, network: ModuleNetwork, instances: int, samples: int, memory: Array | None = None
    ) -> None:
        spec = network.spec
        self._network, self._instances, self._samples = network, instances, samples
        self._rows = instances * (1 + samples)
        self._first = instances if samples else 0
        kind: dict[str, Any] = {'dtype': network.tensor_type, 'device': network.device}
        self._input = torch.zeros(1 + samples, instances, spec.inputs, **kind)
        self._memory = None if memory is None else torch.from_numpy(memory)
        self._kept = instances * max(samples, 1)
        self._pre = torch.zeros(self._kept, spec.input_components, **kind)
        self._noise: Tensor | None = None
        self._sigma = 0.0
        # Pre-activations on the device, and where they are wanted.
        self._keeps: Tensor | None = None
        self._wanted: Array | None = None
        # Of the newest pass that keeps its graph: the outputs, and those of every layer.
        self._graph: tuple[Tensor, list[Tensor]] | None = None

    def run(self, observation: Array, unit_noise: Array | None, sigma: float) -> Array:
        """Return outputs [1 + K, B, n]; entry 0 is the clean pass.

        Args:
            observation: [B, O].
            unit_noise: z, [K * B, N]; None when K is 0.
            sigma: standard deviation of the noise [1].
        """
        self._noise = None if unit_noise is None else self._there(unit_noise)
        self._sigma = sigma
        with torch.no_grad():
            out: Array = self._run(observation, self._at_layer).cpu().numpy()
        if self._keeps is not None and self._wanted is not None:
            self._wanted[...] = self._keeps.cpu().numpy()
        return out.reshape(1 + self._samples, self._instances, -1)

    def _run(self, observation: Array, hook: Any) -> Tensor:
        self._input[:] = self._tensor(observation)
        rows = self._input.view(self._rows, -1)
        with self._network.hooks.calling(hook):
            if self._memory is None:
                return self._checked(self._network.module(rows))
            memory = self._memory.to(self._network.device).repeat(1 + self._samples, 1)
            out, memory = self._network.module(rows, memory)
        self._memory.copy_(memory[: self._instances].detach())
        return self._checked(out)

    def _tensor(self, observation: Array) -> Tensor:
        """Return observations [B, O] as the module reads them; bytes are scaled here."""
        # What came in a message is not writable, of which torch would warn.
        observation = observation if observation.flags.writeable else observation.copy()
        if observation.dtype == np.uint8:
            # Bytes cross to the device, not the numbers that they become.
            given = self._there(observation).to(self._network.tensor_type)
            return given.div_(LARGEST_BYTE)
        return self._there(np.asarray(observation, self._network.dtype))

    def _there(self, array: Array) -> Tensor:
        """Return an array as a tensor on the device of the module."""
        return torch.from_numpy(array).to(self._network.device)

    def _checked(self, out: Any) -> Tensor:
        expected = (self._rows, self._network.spec.outputs)
        if tuple(out.shape) != expected:
            raise ShapeError(
                f'the module returned {tuple(out.shape)}, expected {expected}, a row of numbers '
                'for each row of observations'
            )
        tensor: Tensor = out
        return tensor

    def _at_layer(self, index: int, given: Tensor, output: Tensor) -> Tensor:
        spec, first = self._network.spec, self._first
        where, at = spec.input_slices[index], spec.noise_slices[index]
        self._pre[:, where] = given[first:].reshape(self._kept, -1)
        if self._noise is not None:
            noise = self._noise[:, at].reshape(output[first:].shape)
            output[first:].add_(noise, alpha=self._sigma)
        if self._keeps is not None:
            self._keeps[:, at] = output[first:].reshape(len(self._keeps), -1)
        return output

    def presynaptic(self) -> Array:
        """Return all layers' inputs in the noisy passes [K * B, M]; in the clean one if K is 0."""
        pre: Array = self._pre.cpu().numpy()
        return pre

    def keep_preactivation(self) -> Array:
        """Return the array [K * B, N] to which each pass from now on writes its pre-activations."""
        network = self._network
        kept = np.zeros((self._kept, network.spec.noise_components), network.dtype)
        self._keeps, self._wanted = self._there(kept), kept if network.copies else None
        return kept

    def run_differentiable(self, observation: Array) -> Array:
        """Return the clean outputs [B, n] as ``run`` does; ``backpropagate`` may follow."""
        outputs: list[Tensor] = []

        def at_layer(index: int, given: Tensor, output: Tensor) -> Tensor:
            where = self._network.spec.input_slices[index]
            self._pre[:, where] = given.detach().reshape(self._kept, -1)
            outputs.append(output)
            # A module may change this output in place, so that it goes on with a copy.
            return output.clone()

        with torch.enable_grad():
            out = self._run(observation, at_layer)
        self._graph = out, outputs
        result: Array = out.detach().cpu().numpy()
        return result

    def backpropagate(self, gradient: Array) -> Array:
        """Return the gradient with respect to all pre-activations [B, N] of the newest clean pass.

        Args:
            gradient: with respect to the outputs [B, n].
        """
        assert self._graph is not None
        (out, outputs), self._graph = self._graph, None
        cotangent = self._there(np.asarray(gradient, self._network.dtype))
        parts = torch.autograd.grad(out, outputs, cotangent, allow_unused=True)
        spec, dtype = self._network.spec, self._network.dtype
        post = np.zeros((self._instances, spec.noise_components), dtype)
        for part, where in zip(parts, spec.noise_slices, strict=True):
            if part is not None:
                post[:, where] = part.reshape(self._instances, -1).cpu().numpy()
        return post

    def disturbed(self, observation: Array, noise: Array, sigma: float) -> Array:
        """Return outputs [B, n] where each instance has weights of its own, ``W + sigma z``.

        Args:
            observation: [B, O].
            noise: z, [B, W], all weights side by side.
            sigma: standard deviation of the noise [1].
        """
        network, spec = self._network, self._network.spec
        weights = {}
        named = zip(network.names, network.parameters, spec.weight_slices, strict=True)
        for name, parameter, where in named:
            change = self._there(noise[:, where]).reshape(-1, *parameter.shape)
            weights[name] = parameter.detach() + sigma * change
        rows = self._tensor(observation)
        given = (rows,)
        if self._memory is not None:
            given += (self._memory.to(network.device),)  # type: ignore[assignment]

        def one(own: dict[str, Tensor], *row: Tensor) -> Any:
            batch = tuple(part[None] for part in row)
            out = torch.func.functional_call(network.module, own, batch)
            return (out if self._memory is None else out[0])[0]

        with torch.no_grad():
            result: Array = torch.vmap(one)(weights, *given).cpu().numpy()
        return result
