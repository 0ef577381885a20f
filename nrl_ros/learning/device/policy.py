"""A dense policy on a device: passes, draws, log-probabilities, and rows of the trace."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import torch

from nrl_ros.base.torch_arrays import TorchArrays
from nrl_ros.learning.heads import GaussianHead, PolicyHead, SoftmaxHead
from nrl_ros.learning.networks.feed_forward import NetworkSpec

Tensor = torch.Tensor


class Passes(NamedTuple):
    """What the clean and the noisy passes of a step give.

    Attributes:
        outputs: [1 + K, B, n]; entry 0 is the clean pass.
        first: input of the first layer, the same in all passes [B, M_1].
        others: inputs of the other layers in the noisy passes [K, B, M_l].
    """

    outputs: Tensor
    first: Tensor
    others: list[Tensor]


def layers_of(flat: Tensor, spec: NetworkSpec) -> list[Tensor]:
    """Return views [out, in] of all weights, which lie side by side [W]."""
    parts = zip(spec.weight_slices, spec.shapes, strict=True)
    return [flat[where].view(shape) for where, shape in parts]


def run_passes(
    weights: Sequence[Tensor], spec: NetworkSpec, observation: Tensor, noise: Tensor | None
) -> Passes:
    """Run a dense network without and with noise.

    ``a_l = W_l x_{l-1}`` in the clean pass, ``a_l = W_l x_{l-1} + xi_l`` in the noisy ones, and
    ``x_l = LeakyReLU(a_l)`` below the output layer.

    Args:
        weights: [out, in] of each layer.
        spec: sizes of the network.
        observation: [B, O].
        noise: xi, [K, B, N]; None: no noisy pass.
    """
    first = _with_one(observation, spec)
    # The observation carries no noise, so that its product is the same in every pass.
    clean = (first @ weights[0].T)[None]
    others: list[Tensor] = []
    active = clean
    for layer, where in enumerate(spec.noise_slices):
        if layer:
            active = _with_one(torch.nn.functional.leaky_relu(active, spec.leak), spec)
            if noise is not None:
                others.append(active[1:])
            active = active @ weights[layer].T
        if noise is not None:
            part = noise[..., where]
            noisy = part + (active if layer == 0 else active[1:])
            active = torch.cat([active[:1], noisy])
    return Passes(active, first, others)


def _with_one(rows: Tensor, spec: NetworkSpec) -> Tensor:
    return torch.cat([rows, torch.ones_like(rows[..., :1])], -1) if spec.bias else rows


def eligibility_factor(noise: Tensor, impact: Tensor, ends: Sequence[int]) -> Tensor:
    """Return ``rho / |xi|^2`` of each group of components, for each of them [K, B, N] or [K, B, 1].

    Args:
        noise: xi, [K, B, N].
        impact: rho, [K, B].
        ends: where each group of components ends; the norm runs over one group.
    """
    groups = [noise[..., start:end] for start, end in pairwise([0, *ends])]
    factors = [(impact / (part * part).sum(-1))[..., None] for part in groups]
    if len(factors) == 1:
        return factors[0]
    return torch.cat([f.expand_as(part) for f, part in zip(factors, groups, strict=True)], -1)


class DeviceHead(Protocol):
    """A policy head whose chance comes as numbers that were drawn before.

    Attributes:
        normal: True if it takes normal numbers, False if numbers between 0 and 1.
        draws: how many of them for each instance.
    """

    normal: bool
    draws: int

    def choose(self, z: Tensor, drawn: Tensor) -> Tensor:
        """Return the choice [B, A] of outputs [B, n] and drawn numbers [B, draws]."""
        ...

    def log_probability(self, z: Tensor, choice: Tensor) -> Tensor:
        """Return log pi(choice) [..., B] under outputs z [..., B, n]."""
        ...

    def to_action(self, choice: Tensor) -> Tensor:
        """Return the action as the environment takes it [B, A]."""
        ...

    def clipped(self, choice: Tensor) -> Tensor:
        """Return which actions are clipped to their bounds [B, A], bool."""
        ...


class DeviceGaussian:
    """Normal distributions around the outputs, by the formulas of ``heads/gaussian.py``."""

    normal = True

    def __init__(self, head: GaussianHead, arrays: TorchArrays) -> None:
        self._head = head.on(arrays)
        self.draws = head.size

    def choose(self, z: Tensor, drawn: Tensor) -> Tensor:
        """Return the mean plus standard deviation times normal numbers [B, A]."""
        chosen: Tensor = self._head.choice_of(z, drawn)  # type: ignore[arg-type, assignment]
        return chosen

    def log_probability(self, z: Tensor, choice: Tensor) -> Tensor:
        """Return the log density of the choice [..., B]."""
        found: Tensor = self._head.log_probability(z, choice)  # type: ignore[arg-type, assignment]
        return found

    def to_action(self, choice: Tensor) -> Tensor:
        """Return the action in its own units, clipped to its bounds [B, A]."""
        action: Tensor = self._head.to_action(choice)  # type: ignore[arg-type, assignment]
        return action

    def clipped(self, choice: Tensor) -> Tensor:
        """Return which actions are clipped [B, A]."""
        return choice.abs() > 1.0


class DeviceSoftmax:
    """Independent softmax choices, as those of ``heads/softmax.py``."""

    normal = False

    def __init__(self, head: SoftmaxHead) -> None:
        ends = [0]
        for size in head.sizes:
            ends.append(ends[-1] + size)
        self._slices = [slice(start, end) for start, end in pairwise(ends)]
        self.draws = len(head.sizes)

    def choose(self, z: Tensor, drawn: Tensor) -> Tensor:
        """Return the first choice whose cumulated probability is above a drawn number [B, A]."""
        chosen = []
        for at, where in enumerate(self._slices):
            reached = torch.softmax(z[..., where], -1).cumsum(-1)[..., :-1]
            chosen.append((reached <= drawn[..., at : at + 1]).sum(-1))
        return torch.stack(chosen, -1)

    def log_probability(self, z: Tensor, choice: Tensor) -> Tensor:
        """Return ``sum_c z_c[a_c] - log sum_j exp z_c[j]`` [..., B]."""
        total = torch.zeros_like(z[..., 0])
        for at, where in enumerate(self._slices):
            part = z[..., where]
            index = choice[..., at : at + 1].expand(*part.shape[:-1], 1)
            total = total + torch.log_softmax(part, -1).gather(-1, index)[..., 0]
        return total

    def to_action(self, choice: Tensor) -> Tensor:
        """Return the choice itself [B, A]."""
        return choice

    def clipped(self, choice: Tensor) -> Tensor:
        """Return that nothing is clipped [B, A]."""
        return torch.zeros_like(choice, dtype=torch.bool)


def head_on_device(head: PolicyHead, arrays: TorchArrays) -> DeviceHead:
    """Return a policy head for tensors."""
    if isinstance(head, GaussianHead):
        return DeviceGaussian(head, arrays)
    assert isinstance(head, SoftmaxHead)
    return DeviceSoftmax(head)
