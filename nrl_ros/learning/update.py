"""From traces and their reward-prediction errors to changed weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.state import Stateful
from nrl_ros.learning.credit import Creditable
from nrl_ros.learning.heads import AmendsUpdates, PolicyHead
from nrl_ros.learning.networks.feed_forward import Network
from nrl_ros.learning.optimisers import OPTIMISERS, GradientAscent, Optimiser
from nrl_ros.learning.rpe_tally import RpeTally
from nrl_ros.learning.schedule import Schedule
from nrl_ros.learning.settings import LearnerSettings
from nrl_ros.learning.traces import TraceStore

Array = NDArray[Any]


@dataclass
class LearningState:
    """What updates of the weights depend on, besides the traces.

    Attributes:
        updates: weight changes so far.
        windows_learned: credit windows that they came from.
    """

    optimiser: Optimiser
    schedule: Schedule
    updates: int = 0
    windows_learned: int = 0


class LearningStep(Stateful):
    """Changes the weights of one network, independently of agents and messages.

    Args:
        settings: of the learner; values that may change while it runs are given with each call
            instead.

    Attributes:
        rpes: sums over the errors of the windows learned from by this object.
    """

    def __init__(self, settings: LearnerSettings) -> None:
        self._scales_of = settings.make_rule().scales
        self._network: Network | None = None
        self._scales: list[float] = []
        self._head: PolicyHead | None = None
        self._amends: AmendsUpdates | None = None
        # One array for all layers, and views of it by layer.
        self._flat: Array = np.zeros(0)
        self._total: list[Array] = []
        plasticity = settings.plasticity
        self._averaging = plasticity.averaging
        self.state: LearningState = LearningState(
            OPTIMISERS.make(plasticity.optimiser, options=plasticity.optimiser_options),
            Schedule(plasticity, settings.noise),
        )
        self.rpes = RpeTally()

    def _serve(self, network: Network) -> None:
        """Make what an update of this network needs."""
        self._network = network
        self._scales = self._scales_of(network.spec)
        spec = network.spec
        self._flat = np.zeros(spec.weight_count, network.dtype)
        parts = zip(spec.shapes, spec.weight_slices, strict=True)
        self._total = [self._flat[where].reshape(shape) for shape, where in parts]

    @property
    def updates(self) -> int:
        """Weight changes so far."""
        return self.state.updates

    @property
    def windows_learned(self) -> int:
        """Credit windows that the weights learned from."""
        return self.state.windows_learned

    @property
    def changes_sigma(self) -> bool:
        """True if updates change the noise."""
        return self.state.schedule.changes_sigma

    def sigma_factor(self) -> float:
        """Return the present factor of the noise."""
        return self.state.schedule.sigma_factor(self.updates)

    def learn(
        self,
        network: Network,
        store: TraceStore,
        creditable: Creditable,
        learning_rate: float,
        *,
        head: PolicyHead | None = None,
    ) -> bool:
        """Change the weights: ``W_l <- W_l + eta c_l sum_i delta_i e_l,i``.

        Args:
            network: whose weights are changed.
            store: has the traces.
            creditable: which of them, and their reward-prediction errors.
            learning_rate: eta.
            head: of the policy; it may amend the sum for the output layer.

        Returns:
            False if the sum is not finite: one overflow would ruin the weights for ever. Nothing
            was changed then, and those traces are gone.
        """
        if network is not self._network:
            self._serve(network)
        schedule = self.state.schedule
        self._flat.fill(0.0)
        if len(creditable.instances):
            delta = schedule.clip(creditable.rpe)
            store.add_to(self._total, creditable.instances, delta, creditable.carried)
        heard = creditable.rpe
        if creditable.late:
            late = np.array([delta for _, delta in creditable.late])
            for (trace, _), delta in zip(creditable.late, schedule.clip(late), strict=True):
                trace.add_to(self._total, delta, network.spec)
            heard = np.concatenate([heard, late])
        # The sum of squares is one call. If it is not finite, numbers may just be large, so look at
        # each.
        squares = float(np.vdot(self._flat, self._flat))
        if not (math.isfinite(squares) or np.isfinite(self._flat).all()):
            return False
        self._scale()
        windows = len(creditable.instances) + len(creditable.late)
        if head is not self._head:
            # A check against a protocol takes longer than the step of a small network.
            self._head, self._amends = head, head if isinstance(head, AmendsUpdates) else None
        if self._amends is not None:
            self._amends.amend(network.weights[-1], self._total[-1], windows)
        rate = learning_rate * schedule.rate_factor(self.updates)
        self._write(network, rate)
        self._average(network)
        schedule.heard(heard)
        self.note(heard, windows)
        return True

    def _write(self, network: Network, rate: float) -> None:
        """Change the weights, as the hardware takes it if it is imperfect."""
        hardware, weights, step = network.hardware, network.weights, self.state.optimiser.step
        if hardware is None or hardware.writes_plainly:
            step(weights, self._total, rate)
            network.changed()
            return
        before = [weight.copy() for weight in weights]
        step(weights, self._total, rate)
        hardware.write(weights, before)
        network.changed()

    def _average(self, network: Network) -> None:
        """Move the averaged weights towards the new ones; at first, they are a plain mean."""
        if network.averaged is None:
            return
        share = 1.0 / min(self.updates + 1, self._averaging)
        for mean, weight in zip(network.averaged.weights, network.weights, strict=True):
            mean += share * (weight - mean)
        network.averaged.changed()

    def note(self, rpe: Array, windows: int) -> None:
        """Count an update.

        Args:
            rpe: float64, contiguous; the first ``windows`` are reward-prediction errors.
            windows: that the weights learned from.
        """
        self.state.updates += 1
        self.state.windows_learned += windows
        self.rpes.add(rpe, windows)

    def plain_scales(self, network: Network) -> list[float] | None:
        """Return the factor of each layer if an update is just credit times factor times rate.

        Otherwise, None.
        """
        hardware = network.hardware
        plain = type(self.state.optimiser) is GradientAscent and self.state.schedule.idle
        plain = plain and (hardware is None or hardware.writes_plainly)
        return self._scales_of(network.spec) if plain and network.averaged is None else None

    def _scale(self) -> None:
        first = self._scales[0]
        if all(scale == first for scale in self._scales):
            if first != 1.0:
                self._flat *= first
            return
        for total, scale in zip(self._total, self._scales, strict=True):
            total *= scale
