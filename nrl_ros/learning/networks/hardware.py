"""Weights as imperfect hardware keeps them: few levels, uneven updates, noise when they are read.

Three imperfections, each a setting of its own, for any rule and any network whose weights are
arrays:

- **levels**: a weight is one of ``2^bits - 1`` levels ``k s / L``, ``L = 2^(bits-1) - 1``, of its
  layer. An update is rounded to a level at random, so that its expected value is the update itself
  (stochastic rounding), and cut off at the ends ``-s`` and ``s``;
- **updates**: each weight takes a share of its own of what it is told to change, another one
  upwards than downwards;
- **reading**: each pass of the network reads every weight anew, with normal noise.

The scale s of a layer is ``weight_range`` times the standard deviation that its first weights have
by Glorot and Bengio 2010, ``sqrt(2 / (in + out))``, whatever they are.

References:
    Stochastic rounding: Gupta et al. 2015, "Deep learning with limited numerical precision".
    Uneven updates and read noise of resistive devices: Gokmen and Vlasov 2016, "Acceleration of
    deep neural network training with resistive cross-point devices".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.state import Stateful
from nrl_ros.learning.networks.settings import NetworkSettings

if TYPE_CHECKING:
    from nrl_ros.learning.networks.feed_forward import Network

Array = NDArray[Any]


@dataclass
class HardwareState:
    """What decides how weights are kept.

    Attributes:
        writing: draws how updates are rounded.
        reading: draws noise of weights that are read.
        upwards: of each layer, the shares that its weights take of a change upwards; empty: all.
        downwards: likewise.
    """

    writing: np.random.Generator
    reading: np.random.Generator
    upwards: list[Array] = field(default_factory=list)
    downwards: list[Array] = field(default_factory=list)


class Hardware(Stateful):
    """Keeps the weights of one network.

    Args:
        settings: of the network.
        shapes: of its weights.
        seed: fixes rounding, shares and noise.
    """

    def __init__(
        self, settings: NetworkSettings, shapes: Sequence[tuple[int, ...]], seed: int
    ) -> None:
        self._settings = settings
        self._levels = 2 ** (settings.weight_bits - 1) - 1 if settings.weight_bits else 0
        self._scales = _scales(shapes, settings.weight_range)
        shares, writing, reading = (
            np.random.Generator(np.random.SFC64(source))
            for source in np.random.SeedSequence([seed, 0x4A2D]).spawn(3)
        )
        self.state: HardwareState = HardwareState(writing, reading)
        if settings.update_spread or settings.update_asymmetry:
            for sign, kept in ((1.0, self.state.upwards), (-1.0, self.state.downwards)):
                mean = 1.0 + sign * settings.update_asymmetry
                kept += [
                    mean * (1.0 + settings.update_spread * shares.standard_normal(shape)).clip(0.0)
                    for shape in shapes
                ]

    @property
    def reads_noisily(self) -> bool:
        """True if weights are read with noise."""
        return self._settings.read_noise > 0.0

    @property
    def writes_plainly(self) -> bool:
        """True if an update is taken as it is."""
        return not (self._levels or self.state.upwards)

    def begin(self, weights: Sequence[Array]) -> None:
        """Set first weights to the nearest levels, in place."""
        if self._levels:
            for weight, scale in zip(weights, self._scales, strict=True):
                step = scale / self._levels
                weight[...] = np.rint(weight / step).clip(-self._levels, self._levels) * step

    def write(self, weights: Sequence[Array], before: Sequence[Array]) -> None:
        """Let an update come out as the hardware takes it.

        Args:
            weights: as the update would have them; changed to what becomes of them.
            before: as they were.
        """
        state = self.state
        for layer, (weight, old) in enumerate(zip(weights, before, strict=True)):
            change = weight.astype(np.float64) - old
            if state.upwards:
                change *= np.where(change > 0.0, state.upwards[layer], state.downwards[layer])
            if self._levels:
                step = self._scales[layer] / self._levels
                level = (old + change) / step
                level = np.floor(level + state.writing.random(level.shape))
                weight[...] = level.clip(-self._levels, self._levels) * step
            else:
                weight[...] = old + change

    @contextmanager
    def read(self, weights: Sequence[Array]) -> Iterator[None]:
        """Give the weights as one reading has them; afterwards they are what they were."""
        kept = [weight.copy() for weight in weights]
        for weight, scale in zip(weights, self._scales, strict=True):
            noise = self.state.reading.standard_normal(weight.shape, weight.dtype.type)
            weight += weight.dtype.type(self._settings.read_noise * scale) * noise
        try:
            yield
        finally:
            for weight, own in zip(weights, kept, strict=True):
                weight[...] = own


def hardware_of(
    settings: NetworkSettings, shapes: Sequence[tuple[int, ...]], seed: int
) -> Hardware | None:
    """Return what keeps the weights of a network; None if they are kept exactly."""
    asked = settings.weight_bits, settings.read_noise, settings.update_spread
    if not any((*asked, settings.update_asymmetry)):
        return None
    return Hardware(settings, shapes, seed)


def _scales(shapes: Sequence[tuple[int, ...]], weight_range: float) -> list[float]:
    """Return the scale of each array; a bias has that of the matrix before it."""
    scales, deviation = [], 1.0
    for shape in shapes:
        if len(shape) > 1:
            patch = math.prod(shape[2:])
            deviation = math.sqrt(2.0 / ((shape[0] + shape[1]) * patch))
        scales.append(weight_range * deviation)
    return scales


class NoisyReading:
    """Passes of a network whose weights are read with noise, anew for clean and noisy passes.

    Args:
        passes: of the network, without noise in its weights.
        network: whose weights are read.
        hardware: which reads them.
        samples: K, noisy passes per clean one.
        memory: [B, H], what the instances remember; None: nothing.
    """

    def __init__(
        self,
        passes: Any,
        network: Network,
        hardware: Hardware,
        *,
        samples: int,
        memory: Array | None,
    ) -> None:
        self._passes, self._network, self._hardware = passes, network, hardware
        self._samples, self._memory = samples, memory

    @contextmanager
    def _read(self) -> Iterator[None]:
        with self._hardware.read(self._network.weights):
            self._network.changed()
            yield
        self._network.changed()

    def __getattr__(self, name: str) -> Any:
        """Return what only some kinds of passes have, reading with noise where it runs them."""
        own = getattr(self._passes, name)
        if name not in ('run_differentiable', 'disturbed'):
            return own

        def noisily(*given: Any) -> Any:
            with self._read():
                return own(*given)

        return noisily

    def run(self, observation: Array, unit_noise: Array | None, sigma: float) -> Array:
        """Return outputs [1 + K, B, n]; arguments are those of the passes."""
        if not self._samples:
            with self._read():
                return np.array(self._passes.run(observation, unit_noise, sigma))
        before = None if self._memory is None else self._memory.copy()
        with self._read():
            clean = np.array(self._passes.run(observation, unit_noise, sigma)[0])
        after = None if self._memory is None else self._memory.copy()
        if self._memory is not None:
            self._memory[...] = before
        with self._read():
            outputs = np.array(self._passes.run(observation, unit_noise, sigma))
        if self._memory is not None:
            self._memory[...] = after
        outputs[0] = clean
        return outputs

    def presynaptic(self) -> Array:
        """Return all layers' inputs, as the passes do."""
        found: Array = self._passes.presynaptic()
        return found
