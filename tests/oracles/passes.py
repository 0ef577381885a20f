"""Clean and noisy passes in numpy: the plain reference of ``networks/forward_pass.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.networks.feed_forward import Network

Array = NDArray[Any]


class Passes:
    """As ``ForwardPass``, without its extras.

    Rows 0..B-1 of every buffer are the clean pass, the others the noisy ones, sample by sample.

    Args:
        network: whose weights are used.
        instances: B.
        samples: K, noisy passes per clean one; 0 for acting without noise.
    """

    def __init__(self, network: Network, instances: int, samples: int) -> None:
        spec, dtype = network.spec, network.dtype
        self._network = network
        self._instances = instances
        self._samples = samples
        rows = instances * (1 + samples)
        self._bias = int(spec.bias)
        self._pre = [np.empty((rows, n_out), dtype) for n_out, _ in spec.shapes]
        # One column more than neurons where there is a bias: it stays 1.
        self._post = [np.ones((rows, n_out + self._bias), dtype) for n_out in spec.hidden]
        self._observation = np.ones((instances, spec.inputs + self._bias), dtype)
        self._noise = np.empty((instances * samples, spec.noise_components), dtype)
        kept = instances * max(samples, 1)
        self._presynaptic = np.empty((kept, spec.input_components), dtype)

    def run(self, observation: Array, unit_noise: Array | None, sigma: float) -> Array:
        """Compute the clean and the noisy outputs of all instances.

        ``a_l = W_l x_{l-1}`` in the clean pass, ``a_l = W_l x_{l-1} + sigma z_l`` in the noisy
        ones, ``x_l = LeakyReLU(a_l)`` below the output layer (paper, section 3).

        Args:
            observation: [B, O].
            unit_noise: z, [K * B, N]; None when K is 0.
            sigma: standard deviation of the noise [1].

        Returns:
            Outputs [1 + K, B, n]; entry 0 is the clean pass. Valid until the next call.
        """
        network, instances = self._network, self._instances
        spec = network.spec
        self._observation[:, : spec.inputs] = observation
        noisy = unit_noise is not None
        if unit_noise is not None:
            np.multiply(unit_noise, sigma, out=self._noise)
        last = len(self._pre) - 1
        activity = self._observation
        for layer, (pre, weight) in enumerate(zip(self._pre, network.weights, strict=True)):
            if layer == 0:
                # The observation carries no noise, so its product is the same in every pass.
                np.matmul(activity, weight.T, out=pre[:instances])
                if noisy:
                    pre[instances:].reshape(self._samples, instances, -1)[:] = pre[:instances]
            else:
                np.matmul(activity, weight.T, out=pre)
            if noisy:
                pre[instances:] += self._noise[:, spec.noise_slices[layer]]
            if layer < last:
                activity = self._post[layer]
                hidden = activity[:, : pre.shape[1]] if self._bias else activity
                np.multiply(pre, spec.leak, out=hidden)
                np.maximum(pre, hidden, out=hidden)
        return self._pre[-1].reshape(1 + self._samples, instances, -1)

    def preactivation(self) -> Array:
        """Pre-activations of every layer in the noisy passes of the last ``run`` [K * B, N]."""
        return np.concatenate([pre[self._instances :] for pre in self._pre], axis=1)

    def presynaptic(self) -> Array:
        """Inputs of every layer in the noisy passes of the last ``run`` [K * B, M].

        Where K is 0, those in the clean pass [B, M].
        """
        spec, instances = self._network.spec, self._instances
        out, slices = self._presynaptic, spec.input_slices
        passes = out[:, slices[0]].reshape(max(self._samples, 1), instances, -1)
        passes[:] = self._observation
        first = instances if self._samples else 0
        for post, where in zip(self._post, slices[1:], strict=True):
            out[:, where] = post[first:]
        return out
