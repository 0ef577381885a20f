"""The published loop in plain torch: what ours is measured against, and tested to agree with.

One environment; a clean pass, then a noisy one, then an outer product a layer, at every step;
the weights change when an episode ends. Written as one would write it from the paper (Garcia
Fernandez, Ahmad, van Gerven, arXiv 2503.23972): nothing is batched, and autograd stays on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import gymnasium
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu


class TorchNrl:
    """NRL with the norm over all noise and the factor N, one sample, actions of the clean policy.

    Args:
        sizes: neurons of all layers, inputs first.
        sigma: standard deviation of the noise [1].
        learning_rate: eta.
        leak: slope of the LeakyReLU below zero [1].
        autograd: leave gradients on, though the rule needs none.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        sigma: float = 1e-3,
        learning_rate: float = 5e-4,
        leak: float = 0.1,
        autograd: bool = True,
    ) -> None:
        self.weights = [
            nn.init.xavier_normal_(torch.empty(n_out, n_in)).requires_grad_(autograd)
            for n_in, n_out in pairwise(sizes)
        ]
        self.trace = [torch.zeros(weight.shape) for weight in self.weights]
        self._sigma = sigma
        self._leak = leak
        self._rate = learning_rate * sum(sizes[1:])

    def clean(self, observation: Tensor) -> Tensor:
        """Log-probabilities without noise."""
        x = observation
        for weight in self.weights[:-1]:
            x = leaky_relu(weight @ x, self._leak)
        return torch.log_softmax(self.weights[-1] @ x, 0)

    def noisy(
        self, observation: Tensor, given: Sequence[Tensor] | None
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Log-probabilities with noise in every neuron, that noise, the inputs of every layer."""
        a = x = observation
        noise, inputs = [], []
        for at, weight in enumerate(self.weights):
            inputs.append(x)
            a = weight @ x
            noise.append(self._sigma * (torch.randn_like(a) if given is None else given[at]))
            a = a + noise[-1]
            x = leaky_relu(a, self._leak)
        return torch.log_softmax(a, 0), noise, inputs

    def step(
        self,
        observation: Any,
        *,
        action: int | None = None,
        noise: Sequence[Tensor] | None = None,
    ) -> int:
        """Act, and add the step to the traces.

        Args:
            observation: [O].
            action: taken instead of one that is drawn.
            noise: unit noise of each layer instead of such as is drawn.
        """
        seen = torch.as_tensor(observation)
        clean = self.clean(seen)
        if action is None:
            action = int(torch.multinomial(clean.exp(), 1).item())
        noisy, xi, inputs = self.noisy(seen, noise)
        impact = (noisy[action] - clean[action]).detach()
        norm = torch.cat(xi).square().sum()
        for trace, part, x in zip(self.trace, xi, inputs, strict=True):
            trace += impact * torch.outer(part / norm, x.detach())
        return action

    def learn(self, delta: float) -> None:
        """``W <- W + eta N delta e``, then ``e <- 0``."""
        with torch.no_grad():
            for weight, trace in zip(self.weights, self.trace, strict=True):
                weight += self._rate * delta * trace
                trace.zero_()


def loop(agent: TorchNrl, seed: int, rate: float = 0.66) -> Iterator[None]:
    """CartPole for ever, a step a turn; the return is delivered when the episode ends."""
    environment = gymnasium.make('CartPole-v1')
    baseline: float | None = None
    observation, _ = environment.reset(seed=seed)
    total = 0.0
    while True:
        observation, reward, terminated, truncated, _ = environment.step(agent.step(observation))
        total += float(reward)
        if terminated or truncated:
            before = total if baseline is None else baseline
            agent.learn((total - before) / max(abs(total), 1.0))
            baseline = before + rate * (total - before)
            observation, _ = environment.reset()
            total = 0.0
        yield


class TorchReinforce:
    """Backpropagation: the gradient of ``sum_i delta_i sum_t log pi(a_t|s_t)``, B instances.

    Args:
        sizes: neurons of all layers, inputs first.
        learning_rate: eta.
        leak: slope of the LeakyReLU below zero [1].
    """

    def __init__(self, sizes: Sequence[int], *, learning_rate: float, leak: float = 0.1) -> None:
        self.weights = [
            nn.init.xavier_normal_(torch.empty(n_out, n_in)).requires_grad_()
            for n_in, n_out in pairwise(sizes)
        ]
        self._optimizer = torch.optim.SGD(self.weights, learning_rate)
        self._leak = leak
        self._taken: list[Tensor] = []

    def step(self, observation: Tensor) -> Tensor:
        """Act upon [B, O]; the graph is kept until the update."""
        x = observation
        for weight in self.weights[:-1]:
            x = leaky_relu(x @ weight.T, self._leak)
        log_probability = torch.log_softmax(x @ self.weights[-1].T, 1)
        action = torch.multinomial(log_probability.detach().exp(), 1)
        self._taken.append(log_probability.gather(1, action)[:, 0])
        return action

    def learn(self, delta: Tensor) -> None:
        """One plain gradient step for the steps since the last one, delta [B]."""
        self._optimizer.zero_grad()
        (-(torch.stack(self._taken).sum(0) * delta).sum()).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._taken.clear()
