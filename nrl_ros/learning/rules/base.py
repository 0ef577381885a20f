"""What the rules share: settings of the noise, normalised rows, an explorer's common part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError, check_positive
from nrl_ros.learning.heads import PolicyHead
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec
from nrl_ros.learning.networks.passes import make_passes

Array = NDArray[Any]
Rule = TypeVar('Rule', bound='NoiseRule')

NORMS = ('network', 'layer')
STEP_SCALES = ('one', 'noise_dimensions', 'layer_width')


@dataclass(frozen=True)
class NoiseRule:
    """A rule with noise of one standard deviation, normalised over the network or each layer.

    Attributes:
        sigma: standard deviation of the noise [1], positive.
        norm: run the norm over all noise of the 'network', or of each 'layer' by itself.
        step_scale: factor c of the update: 'one', 'noise_dimensions' (what the norm ran over, which
            makes it an unbiased gradient) or 'layer_width' (the authors' choice).

    Raises:
        ConfigError: a setting is out of its range.
    """

    sigma: float = 1e-3
    norm: str = 'network'
    step_scale: str = 'noise_dimensions'

    name: ClassVar[str] = ''
    trace_form: ClassVar[str] = 'outer'
    memory: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        check_positive('sigma', self.sigma)
        if self.norm not in NORMS:
            raise ConfigError(f'norm: expected one of {NORMS}, received {self.norm!r}')
        if self.step_scale not in STEP_SCALES:
            raise ConfigError(
                f'step_scale: expected one of {STEP_SCALES}, received {self.step_scale!r}'
            )

    def with_sigma(self: Rule, sigma: float) -> Rule:
        """The same rule with other noise."""
        return replace(self, sigma=sigma)

    @property
    def samples(self) -> int:
        """Rows that a step adds to the trace."""
        return 1

    def noise_size(self, spec: NetworkSpec, batch: int) -> tuple[int, int]:
        """Noise in every neuron, for every row."""
        return batch * self.samples, spec.noise_components

    def scales(self, spec: NetworkSpec) -> list[float]:
        """Factor c of each layer's update."""
        widths = [float(n_out) for n_out, _ in spec.shapes]
        if self.step_scale == 'one':
            return [1.0] * len(widths)
        if self.step_scale == 'layer_width' or self.norm == 'layer':
            return widths
        return [float(spec.noise_components)] * len(widths)

    def norm_ends(self, spec: NetworkSpec) -> list[int]:
        """Where each group of noise components ends over which the norm runs."""
        if self.norm == 'network':
            return [spec.noise_components]
        return [where.stop for where in spec.noise_slices]

    def postsynaptic_(self, unit_noise: Array, impact: Array, spec: NetworkSpec) -> Array:
        """Rows ``rho xi / |xi|^2 / K`` of the trace, written over the noise.

        Args:
            unit_noise: z = xi / sigma, [K, B, N]; overwritten.
            impact: rho, [K, B].
            spec: sizes of the network.

        Returns:
            The same array [K, B, N].
        """
        return normalise_(unit_noise, impact / (self.sigma * self.samples), self.norm_ends(spec))


def normalise_(unit_noise: Array, factor: Array, ends: list[int]) -> Array:
    """``factor z / |z|^2``, written over z.

    Args:
        unit_noise: z, [K, B, N]; overwritten.
        factor: [K, B].
        ends: where each group of components ends over which the norm runs.
    """
    start = 0
    for end in ends:
        part = unit_noise[..., start:end]
        square = np.einsum('kbn,kbn->kb', part, part)
        part *= (factor / square)[..., None]
        start = end
    return unit_noise


def check_count(name: str, value: int) -> None:
    """Refuse a number of passes below one.

    Raises:
        ConfigError: naming it.
    """
    if value < 1:
        raise ConfigError(f'{name} must be at least 1, received {value}')


@dataclass(frozen=True)
class SampledRule(NoiseRule):
    """A rule whose estimate is a mean over noisy passes, or pairs of them.

    Attributes:
        samples: K.

    Raises:
        ConfigError: a setting is out of its range.
    """

    samples: int = 1

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        check_count('samples', self.samples)


class GreedyExplorer:
    """The part of an Explorer that no noise touches; nothing to remember."""

    def __init__(self, network: Network, head: PolicyHead, batch: int) -> None:
        self._spec = network.spec
        self._head = head
        self._quiet = make_passes(network, batch, 0)

    def greedy(self, observation: Array) -> Array:
        """See Explorer."""
        return self._head.greedy(self._quiet.run(observation, None, 0.0)[0])

    def set_sigma(self, sigma: float) -> None:
        """See Explorer; here there is no noise."""

    def snapshot(self) -> dict[str, Any]:
        """See Explorer."""
        return {}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """See Explorer."""
