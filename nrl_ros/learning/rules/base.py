"""What the rules share: settings of the noise, normalised rows, and acting without noise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrl_ros.base.settings import Settings, shared
from nrl_ros.base.state import Stateful
from nrl_ros.learning.heads import PolicyHead
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec
from nrl_ros.learning.networks.passes import make_passes
from nrl_ros.learning.noise.settings import NoiseSettings
from nrl_ros.learning.rules.eligibility import EligibilityRows

Array = NDArray[Any]
Rule = TypeVar('Rule', bound='PerturbationRule')


class PerturbationRule(Settings):
    """Settings of a rule whose noise has one standard deviation and is normalised.

    A rule is frozen: a setting that may change while it runs is changed by making another rule.

    Raises:
        ConfigError: a setting is out of its range.
    """

    sigma: float = shared(NoiseSettings, 'sigma')
    norm: Literal['network', 'layer'] = Field(
        'network', description='What the norm of the noise runs over'
    )
    step_scale: Literal['one', 'noise_dimensions', 'layer_width'] = Field(
        'noise_dimensions',
        description='Factor c of the update; noise_dimensions is what the norm runs over, which '
        'makes it an unbiased gradient, layer_width is what the authors took',
    )

    name: ClassVar[str] = ''
    trace_form: ClassVar[str] = 'outer'
    memory: ClassVar[tuple[str, ...]] = ()
    if TYPE_CHECKING:

        @property
        def samples(self) -> int:
            """K, rows that a step adds to the trace: a constant of the rule, or a setting."""
            ...

    def with_sigma(self: Rule, sigma: float) -> Rule:
        """Return the same rule with other noise."""
        return type(self)(**{**dict(self), 'sigma': sigma})

    def noise_size(self, spec: NetworkSpec, batch: int) -> tuple[int, int]:
        """Return the rows and components of the noise: one in every neuron, for every row."""
        return batch * self.samples, spec.noise_components

    def scales(self, spec: NetworkSpec) -> list[float]:
        """Return the factor c of each layer's update."""
        widths = [float(width) for width in spec.widths]
        if self.step_scale == 'one':
            return [1.0] * len(widths)
        if self.step_scale == 'layer_width' or self.norm == 'layer':
            return widths
        return [float(spec.noise_components)] * len(widths)

    def norm_ends(self, spec: NetworkSpec) -> list[int]:
        """Return where each group of noise components ends; the norm runs over one group."""
        if self.norm == 'network':
            return [spec.noise_components]
        return [where.stop for where in spec.noise_slices]

    @property
    def row_scale(self) -> float:
        """Factor ``1 / (sigma K)`` of all rows; the noise is given in units of sigma."""
        return 1.0 / (self.sigma * self.samples)

    def postsynaptic_(self, unit_noise: Array, impact: Array, spec: NetworkSpec) -> Array:
        """Compute the rows ``rho xi / |xi|^2 / K`` of the trace, overwriting the noise of numpy.

        Args:
            unit_noise: z = xi / sigma, [K, B, N]; overwritten.
            impact: rho, [K, B].
            spec: sizes of the network.

        Returns:
            The same array [K, B, N]; of tensors another one.
        """
        ends = self.norm_ends(spec)
        if not isinstance(unit_noise, np.ndarray):
            return unit_noise * (eligibility_factor(unit_noise, impact, ends) * self.row_scale)
        post: Array = EligibilityRows(ends).write_over(unit_noise, impact, self.row_scale)
        return post


def eligibility_factor(noise: Any, impact: Any, ends: Sequence[int]) -> Any:
    """Return ``rho / |z|^2`` of each group of components, for tensors of torch.

    ``EligibilityRows`` has it compiled for arrays of numpy.

    Args:
        noise: z, [K, B, N].
        impact: rho, [K, B].
        ends: where each group of components ends; the norm runs over one group.

    Returns:
        For each component [K, B, N], or for all alike [K, B, 1].
    """
    impact = impact.to(noise.dtype)
    groups = [noise[..., start:end] for start, end in pairwise([0, *ends])]
    factors = [(impact / (part * part).sum(-1))[..., None] for part in groups]
    if len(factors) == 1:
        return factors[0]
    whole = noise.new_empty(noise.shape)
    for factor, start, end in zip(factors, [0, *ends], ends, strict=False):
        whole[..., start:end] = factor
    return whole


class NoiseRule(PerturbationRule):
    """A rule that adds one row to the trace in each step."""

    samples: ClassVar[int] = 1


class SampledRule(PerturbationRule):
    """A rule whose estimate is a mean over K noisy passes, or over K pairs of them."""

    samples: int = Field(
        1, ge=1, description='nrl, antithetic: noisy passes or pairs per step, averaged [1]'
    )


class GreedyExplorer(Stateful):
    """The part of an Explorer that needs no noise and remembers nothing."""

    def __init__(self, network: Network, head: PolicyHead, batch: int) -> None:
        self._spec = network.spec
        self._head = head
        # What the instances remember, read and written by all passes.
        self._memory: Array | None = None
        if network.memory_size:
            self._memory = np.zeros((batch, network.memory_size), network.dtype)
        self._quiet = make_passes(network, batch, 0, self._memory)
        self._greedy = self._quiet
        if network.averaged is not None:
            self._greedy = make_passes(network.averaged, batch, 0, self._memory)
        self.state: Any = self.remembered(None)

    @property
    def memory(self) -> Array | None:
        """What the instances remember [B, H]; None if the network remembers nothing."""
        return self._memory

    def remembered(self, own: Any) -> Any:
        """Return what the explorer saves: what the rule remembers, and what the network does."""
        if self._memory is None:
            return own
        return {'memory': self._memory} if own is None else {'rule': own, 'memory': self._memory}

    def begin(self, instances: Array) -> None:
        """Forget what the network remembers of these instances, whose episodes begin."""
        if self._memory is not None:
            self._memory[instances] = 0.0

    def greedy(self, observation: Array) -> Array:
        """Return the most probable choice [B, A], without noise and without random numbers."""
        return self._head.greedy(self._greedy.run(observation, None, 0.0)[0])

    def set_sigma(self, sigma: float) -> None:
        """Do nothing: there is no noise."""


class NoisyExplorer(GreedyExplorer, Generic[Rule]):
    """An Explorer with its rule, whose noise may change while it runs.

    Args:
        rule: at the beginning.
        network: as in GreedyExplorer.
        head: as in GreedyExplorer.
        batch: as in GreedyExplorer.
    """

    def __init__(self, rule: Rule, network: Network, head: PolicyHead, batch: int) -> None:
        super().__init__(network, head, batch)
        self._rule = rule

    def set_sigma(self, sigma: float) -> None:
        """Change the noise from the next step on."""
        self._rule = self._rule.with_sigma(sigma)
