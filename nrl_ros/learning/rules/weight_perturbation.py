"""Weight perturbation: noise in the weights instead of in the neurons."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError
from nrl_ros.learning.heads import PolicyHead
from nrl_ros.learning.interfaces import Explorer, Rows
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec
from nrl_ros.learning.networks.passes import Disturbable
from nrl_ros.learning.rules.base import NoiseRule, NoisyExplorer

Array = NDArray[Any]


class WeightPerturbation(NoiseRule):
    """``e <- e + rho z / (sigma |z|^2)`` with noise sigma z in every weight of each instance.

    The clean pass is compared with one whose weights are disturbed. There are as many noise
    dimensions as weights, so the estimate has about as many times the variance of NRL's as a neuron
    has inputs. Each instance also has a matrix of its own to multiply with.

    References:
        Jabri and Flower 1992, "Weight perturbation"; Werfel, Xie, Seung 2005, "Learning curves for
        stochastic gradient descent in linear feedforward networks".
    """

    name: ClassVar[str] = 'weight_perturbation'
    trace_form: ClassVar[str] = 'whole'

    def noise_size(self, spec: NetworkSpec, batch: int) -> tuple[int, int]:
        """Return the size of the noise: one component for every weight."""
        return batch, spec.weight_count

    def scales(self, spec: NetworkSpec) -> list[float]:
        """Return the factor c of each layer: the size of its norm's group, or 1."""
        counts = [float(math.prod(shape)) for shape in spec.shapes]
        if self.step_scale == 'layer_width':
            return [float(width) for width in spec.widths]
        if self.step_scale == 'one':
            return [1.0] * len(counts)
        return counts if self.norm == 'layer' else [sum(counts)] * len(counts)

    def norm_ends(self, spec: NetworkSpec) -> list[int]:
        """Return where each group of weights ends; the norm of the noise runs over one group."""
        ends = [where.stop for where in spec.weight_slices]
        return ends if self.norm == 'layer' else ends[-1:]

    def explorer(self, network: Network, head: PolicyHead, *, batch: int, source: int) -> Explorer:
        """Put the rule to work for one agent.

        Raises:
            ConfigError: the network has spiking neurons.
        """
        explorer = _Explorer(self, network, head, batch, source)
        if network.spec.neuron != 'rate' and explorer.disturbable is None:
            raise ConfigError(
                f'weight_perturbation does not know {network.spec.neuron} neurons, '
                "expected network.neuron 'rate'"
            )
        return explorer


class _Explorer(NoisyExplorer[WeightPerturbation]):
    def __init__(
        self, rule: WeightPerturbation, network: Network, head: PolicyHead, batch: int, source: int
    ) -> None:
        super().__init__(rule, network, head, batch)
        self._network = network
        self._source = source
        self._batch = batch
        quiet = self._quiet
        self.disturbable = quiet if isinstance(quiet, Disturbable) else None

    def _disturbed(self, observation: Array, noise: Array) -> Array:
        """Return outputs [B, n] with weights ``W + sigma z``, where each instance has its own z."""
        if self.disturbable is not None:
            return self.disturbable.disturbed(observation, noise, self._rule.sigma)
        spec, do = self._spec, self._network.arrays
        activity = do.asarray(observation, self._network.dtype)
        one = do.full((self._batch, 1), 1.0, self._network.dtype)
        layers = zip(self._network.weights, spec.weight_slices, strict=True)
        for layer, (weight, where) in enumerate(layers):
            if layer:
                activity = do.maximum(activity, spec.leak * activity)
            if spec.bias:
                activity = do.concatenate([activity, one], axis=1)
            part = noise[:, where].reshape(self._batch, *weight.shape)
            change = do.einsum('boi,bi->bo', part, activity)
            activity = activity @ weight.T + self._rule.sigma * change
        return activity  # type: ignore[no-any-return]

    def explore(
        self, observation: Array, noise: Array, generator: np.random.Generator
    ) -> tuple[Array, Rows]:
        """Act with disturbed or clean weights; return the choice and a function for the rows."""
        rule = self._rule
        # What a network remembers is read by both and written by the clean one.
        disturbed = self._disturbed(observation, noise)
        clean = self._quiet.run(observation, None, 0.0)
        z = self._network.arrays.concatenate([clean, disturbed[None]])
        choice = self._head.draw(z[self._source], generator)
        log_probability = self._head.log_probability(z, choice)
        impact = log_probability[1:] - log_probability[0]

        def rows() -> tuple[Array, Array]:
            post = rule.postsynaptic_(noise[None], impact, self._spec)
            return post, post[..., :0]

        return choice, rows
