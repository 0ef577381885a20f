"""What the rules are measured against: autograd, and heads that choose what they are told to."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from nrl_ros.base.records import ActionSpace
from nrl_ros.learning.heads import PolicySettings, make_head
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec
from nrl_ros.learning.noise import NOISE_SHAPES

HEADS = {
    'softmax': (ActionSpace.discrete(4), False),
    'multi_discrete': (ActionSpace.multi_discrete((3, 2)), False),
    'gaussian': (ActionSpace.continuous((-1.0, 0.0), (1.0, 3.0)), False),
    'gaussian_std': (ActionSpace.continuous((-1.0, 0.0), (1.0, 3.0)), True),
}


def autograd(head_name, spec, weights, observation, choice):
    space, learn_std = HEADS[head_name]
    parameters = [torch.tensor(weight, requires_grad=True) for weight in weights]
    x = torch.tensor(observation[0])
    before = []
    for layer, weight in enumerate(parameters):
        if spec.bias:
            x = torch.cat([x, torch.ones(1, dtype=torch.float64)])
        a = weight @ x
        a.retain_grad()
        before.append(a)
        x = torch.nn.functional.leaky_relu(a, 0.1) if layer < len(parameters) - 1 else a
    if head_name.startswith('gaussian'):
        std = 0.5 * torch.exp(x[2:].clip(-3.0, 1.0)) if learn_std else torch.tensor(0.5)
        distribution = torch.distributions.Normal(x[:2], std)
        log_pi = distribution.log_prob(torch.tensor(choice[0])).sum()
    else:
        log_pi = torch.zeros((), dtype=torch.float64)
        # Of a plain softmax any number of choices will do.
        sizes = space.sizes if head_name == 'multi_discrete' else (len(x),)
        for part, chosen in zip(torch.split(x, sizes), choice[0].tolist(), strict=True):
            log_pi = log_pi + torch.log_softmax(part, 0)[chosen]
    log_pi.backward()
    return (
        [parameter.grad.numpy() for parameter in parameters],
        torch.cat([a.grad for a in before]).numpy(),
    )


def flat(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([part.ravel() for part in parts])


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


class FixedChoice:
    """A head that always draws the same choice, so that noise and action do not depend."""

    def __init__(self, head: Any, choice: np.ndarray) -> None:
        self._head = head
        self._choice = choice

    def draw(self, z: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return np.repeat(self._choice, len(z), axis=0)

    def sample(
        self, z: np.ndarray, source: int, generator: np.random.Generator, log_probability: Any
    ) -> np.ndarray:
        """Give the choice, and compare all passes [P, B] at it."""
        choice = self.draw(z[source], generator)
        log_probability[...] = self.log_probability(z, choice)
        return choice

    def __getattr__(self, name: str) -> Any:
        return getattr(self._head, name)


class Point:
    """One network, one observation and one choice, and the gradient of its log-probability."""

    def __init__(
        self,
        head: str = 'softmax',
        hidden: tuple[int, ...] = (8, 6),
        *,
        bias: bool = False,
        seed: int = 2,
        neuron: str = 'rate',
    ) -> None:
        generator = np.random.default_rng(seed)
        space, learn_std = HEADS[head]
        plain = make_head(space, PolicySettings(learn_std=learn_std))
        self.spec = spec = NetworkSpec(5, hidden, plain.outputs, bias=bias, neuron=neuron)
        weights = [generator.standard_normal(s) * np.sqrt(4.0 / s[1]) for s in spec.shapes]
        self.network = Network(spec, weights)
        self.observation = generator.standard_normal((1, 5)) * 0.5
        z = generator.standard_normal((1, plain.outputs)) * 0.5
        self.choice = plain.draw(z, generator)
        self.head: Any = FixedChoice(plain, self.choice)
        self.per_weight, self.per_neuron = autograd(
            head, spec, weights, self.observation, self.choice
        )

    def rows(self, rule: Any, noise: np.ndarray, *, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of B instances that all see this point, with factor c: [K, B, N], [K, B, M]."""
        explorer = rule.explorer(self.network, self.head, batch=batch, source=0)
        observation = np.repeat(self.observation, batch, axis=0)
        _, rows = explorer.explore(observation, noise, np.random.default_rng(0))
        post, pre = rows()
        post = np.array(post)
        if rule.trace_form == 'outer':
            for scale, where in zip(rule.scales(self.spec), self.spec.noise_slices, strict=True):
                post[..., where] *= scale
        return post, np.array(pre)

    def noise(self, rule: Any, *, batch: int, shape: str = 'gaussian', seed: int = 2) -> np.ndarray:
        """Unit noise of one step."""
        noise = np.zeros(rule.noise_size(self.spec, batch))
        NOISE_SHAPES.make(shape).fill(np.random.default_rng(seed), noise)
        return noise
