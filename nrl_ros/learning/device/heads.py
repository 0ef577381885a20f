"""Policy heads on a device, as the rules take them; numbers that were drawn before are chance."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Protocol

import torch

from nrl_ros.base.torch_arrays import TorchArrays
from nrl_ros.learning.heads import GaussianHead, PolicyHead, SoftmaxHead

Tensor = torch.Tensor


class DeviceHead(Protocol):
    """A policy head whose chance comes as numbers that were drawn before.

    Attributes:
        normal: True if it takes normal numbers, False if numbers between 0 and 1.
        draws: how many of them for each instance.
    """

    normal: bool
    draws: int

    def draw(self, z: Tensor, generator: Tensor) -> Tensor:
        """Return the choice [B, A] of outputs [B, n]; ``generator``: drawn numbers [B, draws]."""
        ...

    def log_probability(self, z: Tensor, choice: Tensor) -> Tensor:
        """Return log pi(choice) [..., B] under outputs z [..., B, n]."""
        ...

    def gradient(self, z: Tensor, choice: Tensor) -> Tensor:
        """Return the gradient of log pi(choice) with respect to the outputs z [B, n]."""
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

    def draw(self, z: Tensor, generator: Tensor) -> Tensor:
        """Return the mean plus standard deviation times normal numbers [B, A]."""
        chosen: Tensor = self._head.choice_of(z, generator)  # type: ignore[arg-type, assignment]
        return chosen

    def log_probability(self, z: Tensor, choice: Tensor) -> Tensor:
        """Return the log density of the choice [..., B]."""
        found: Tensor = self._head.log_probability(z, choice)  # type: ignore[arg-type, assignment]
        return found

    def gradient(self, z: Tensor, choice: Tensor) -> Tensor:
        """Return the gradient of the log density with respect to the outputs z [B, n]."""
        found: Tensor = self._head.gradient(z, choice)  # type: ignore[arg-type, assignment]
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

    def draw(self, z: Tensor, generator: Tensor) -> Tensor:
        """Return the first choice whose cumulated probability is above a drawn number [B, A]."""
        chosen = []
        for at, where in enumerate(self._slices):
            chance, number = torch.softmax(z[..., where], -1), generator[..., at]
            # There are few choices, and sums of their own are fused with all around them.
            below = (each <= number for each in accumulate(chance.unbind(-1)[:-1]))
            chosen.append(sum(below, start=torch.zeros_like(number, dtype=torch.int64)))
        return torch.stack(chosen, -1)

    def log_probability(self, z: Tensor, choice: Tensor) -> Tensor:
        """Return ``sum_c z_c[a_c] - log sum_j exp z_c[j]`` [..., B]."""
        total = torch.zeros_like(z[..., 0])
        for at, where in enumerate(self._slices):
            part = z[..., where]
            index = choice[..., at : at + 1].expand(*part.shape[:-1], 1)
            total = total + torch.log_softmax(part, -1).gather(-1, index)[..., 0]
        return total

    def gradient(self, z: Tensor, choice: Tensor) -> Tensor:
        """Return ``1[j = a] - pi_j`` of each component [B, n]."""
        parts = []
        for at, where in enumerate(self._slices):
            part = z[..., where]
            chosen = torch.arange(part.shape[-1], device=z.device) == choice[..., at : at + 1]
            parts.append(chosen.to(z.dtype) - torch.softmax(part, -1))
        return torch.cat(parts, -1)

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
