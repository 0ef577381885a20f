"""Yardsticks in plain torch: the same work in as few tensors as it takes, with nothing around it.

They say what the machine allows a loop in torch. Nothing of a run is in them: no settings, limits,
checkpoints, counts, other rules, or rounding as elsewhere. They learn, so that none of the work can
be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import leaky_relu, logsigmoid

Tensor = torch.Tensor

_SIGMA, _LEAK, _HIDDEN = 1e-3, 0.1, 64
_LONGEST, _TRACK, _LEAN = 500, 2.4, 0.20943951


class PlainCartPole:
    """CartPole and NRL with one sample, a trace for each episode, and an update in each step.

    It has the methods of a loop that ``learning.device.stepper.Stepper`` drives.

    Args:
        instances: B.
        rate: step size.
        device: of the tensors.

    Attributes:
        generator: of everything random.
        length: of the newest episode of each instance [B].
    """

    def __init__(self, instances: int, rate: float, device: str) -> None:
        self.generator = torch.Generator(device).manual_seed(0)
        self._rate = rate

        def room(*shape: int) -> Tensor:
            return torch.zeros(shape, device=device)

        self._noise, self._chance = room(instances, _HIDDEN + 2), room(instances)
        self._fresh, self._state = room(4, instances), room(4, instances)
        self._first, self._last = room(_HIDDEN, 4), room(2, _HIDDEN)
        for weight in (self._first, self._last):
            spread = (2.0 / sum(weight.shape)) ** 0.5
            weight.normal_(std=spread, generator=self.generator)
        self._traces = room(instances, _HIDDEN, 4), room(instances, 2, _HIDDEN)
        self._changes = room(_HIDDEN, 4), room(2, _HIDDEN)
        self._steps, self._mean, self.length = room(instances), room(instances), room(instances)
        self._known = torch.zeros(instances, dtype=torch.bool, device=device)

    def draw(self) -> None:
        """Draw noise, chance, and where episodes begin."""
        self._noise.normal_(std=_SIGMA, generator=self.generator)
        self._chance.uniform_(generator=self.generator)
        self._fresh.uniform_(-0.05, 0.05, generator=self.generator)

    def step(self) -> None:
        """Act, move, and sum up what the episodes that end have earned."""
        seen, noise = self._state.T, self._noise
        below = seen @ self._first.T
        clean = leaky_relu(below, _LEAK) @ self._last.T
        inner = leaky_relu(below + noise[:, :_HIDDEN], _LEAK)
        noisy = inner @ self._last.T + noise[:, _HIDDEN:]
        preference, disturbed = clean[:, 1] - clean[:, 0], noisy[:, 1] - noisy[:, 0]
        way = torch.where(self._chance < torch.sigmoid(preference), 1.0, -1.0)
        impact = logsigmoid(way * disturbed) - logsigmoid(way * preference)
        post = noise * (impact / (noise * noise).sum(1))[:, None]
        ended = self._move(way)
        error = torch.where(ended & self._known, (self._steps - self._mean) / self._steps, 0.0)
        mean = torch.where(self._known, self._mean + 0.66 * (self._steps - self._mean), self._steps)
        self._mean.copy_(torch.where(ended, mean, self._mean))
        self._known.logical_or_(ended)
        self.length.copy_(torch.where(ended, self._steps, self.length))
        rows = (post[:, :_HIDDEN], seen), (post[:, _HIDDEN:], inner)
        for trace, change, (out, given) in zip(self._traces, self._changes, rows, strict=True):
            summed = trace + out[:, :, None] * given[:, None, :]
            change.copy_((error @ summed.flatten(1)).view_as(change))
            trace.copy_(summed * ~ended[:, None, None])
        self._steps.mul_(~ended)
        self._state.copy_(torch.where(ended, self._fresh, self._state))

    def _move(self, way: Tensor) -> Tensor:
        """Push the carts; return whose episodes end."""
        place, speed, angle, turn = self._state
        cosine, sine = torch.cos(angle), torch.sin(angle)
        push = (10.0 * way + 0.05 * turn * turn * sine) / 1.1
        turning = (9.8 * sine - cosine * push) / (0.5 * (4.0 / 3.0 - 0.1 * cosine * cosine / 1.1))
        rates = torch.stack([speed, push - 0.05 * turning * cosine / 1.1, turn, turning])
        self._state.add_(0.02 * rates)
        self._steps.add_(1.0)
        lost = (self._state[0].abs() > _TRACK) | (self._state[2].abs() > _LEAN)
        return lost | (self._steps >= _LONGEST)

    def update(self) -> None:
        """Change the weights."""
        scale = self._rate * (_HIDDEN + 2)
        for weight, change in zip((self._first, self._last), self._changes, strict=True):
            weight.add_(change, alpha=scale)


def plain_learning(
    sizes: Sequence[int], instances: int, samples: int, device: str
) -> Callable[[], None]:
    """Return a learning step of a dense network: NRL with a reward for each action, plain ascent.

    Args:
        sizes: of the layers, inputs first.
        instances: B.
        samples: K.
        device: of the tensors.
    """
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    weights = [
        normal(size, inputs) * (2.0 / (size + inputs)) ** 0.5
        for inputs, size in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    observation, reward = normal(instances, sizes[0]), normal(instances)
    components = sum(sizes[1:])
    noise = torch.zeros(samples, instances, components, device=device)
    # A rate of nearly 0: the work is the same, and no network diverges.
    scale = 1e-12 * components / samples

    @torch.no_grad()
    def step() -> None:
        noise.normal_(std=_SIGMA, generator=generator)
        parts = noise.split(list(sizes[1:]), -1)  # type: ignore[no-untyped-call]
        clean, noisy, rows = observation, observation, []
        for layer, (weight, part) in enumerate(zip(weights, parts, strict=True)):
            if layer:
                clean, noisy = leaky_relu(clean, _LEAK), leaky_relu(noisy, _LEAK)
            rows.append(noisy)
            clean, noisy = clean @ weight.T, noisy @ weight.T + part
        log = torch.log_softmax(torch.cat([clean[None], noisy]), -1)
        choice = torch.multinomial(log[0].exp(), 1, generator=generator)
        chosen = log.gather(-1, choice.expand(1 + samples, -1, -1))[..., 0]
        impact = (chosen[1:] - chosen[0]) * reward * scale
        factor = (impact / (noise * noise).sum(-1))[..., None]
        for weight, part, given in zip(weights, parts, rows, strict=True):
            earned = part * factor
            if given.dim() == 2:
                weight.addmm_(earned.sum(0).T, given)
            else:
                weight.addmm_(earned.flatten(0, 1).T, given.flatten(0, 1))

    return step
