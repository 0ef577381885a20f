"""What is followed from look to look: errors, weights, and the age of traces."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.agent import ServedAgent
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.policy import Policy

Array = NDArray[Any]

# Looks that a figure is taken over.
LOOKS = 16
# Credit windows that figures of reward-prediction errors are taken over, and updates that drift is.
_WINDOWS, _UPDATES = 200, 50
# After so many updates weights that have hardly moved stand still, and a baseline is far off.
_SETTLED, _COMPARED = 2000, 1000
# Weights that are compared, at most.
_WEIGHTS = 20_000


class RewardTracker:
    """Figures of reward-prediction errors, each over a few hundred credit windows.

    Args:
        learner: whose.
        continued: it has learned before, and may have learned all there is.

    Attributes:
        silent: share of them that are 0.
        bias: mean over root mean square.
        informed: some figure had errors that were not 0.
    """

    def __init__(self, learner: Learner, *, continued: bool) -> None:
        self.silent = self.bias = math.nan
        self.informed = continued
        self._begun = learner.updates
        self._mark = self._now(learner)

    def _now(self, learner: Learner) -> Array:
        rpes = learner.rpes
        return np.array(
            [learner.windows_learned, rpes.silent, rpes.total, rpes.squares], np.float64
        )

    def look(self, learner: Learner) -> None:
        """Take the figures anew if enough windows have closed."""
        now = self._now(learner)
        windows, silent, total, squares = now - self._mark
        if windows < _WINDOWS:
            return
        self._mark = now
        self.silent = float(silent / windows)
        self.informed |= self.silent < 0.5
        if learner.updates - self._begun < _COMPARED:
            return
        size = math.sqrt(max(squares, 0.0) * windows)
        self.bias = float(total / size) if size > 0.0 and math.isfinite(size) else math.nan


class WeightTracker:
    """How far and how fast the weights move.

    Args:
        learner: whose.
        policy: its policy.
        continued: it has learned before, so that a small change says nothing.

    Attributes:
        drift: by a thousand updates, the largest of the last seconds.
        change: from where they were first seen.
    """

    def __init__(self, learner: Learner, policy: Policy, *, continued: bool) -> None:
        self.drift = self.change = math.nan
        self._continued = continued
        count = policy.network.spec.weight_count
        self._stride = max(1, -(-count // _WEIGHTS))
        self._begun = self._updates = learner.updates
        self._first = self._newest = self._take(policy)
        self._drifts: deque[float] = deque(maxlen=LOOKS)

    def _take(self, policy: Policy) -> Array:
        parts = [weight.reshape(-1)[:: self._stride] for weight in policy.network.weights]
        return np.concatenate(parts, dtype=np.float64)

    def look(self, learner: Learner, policy: Policy) -> None:
        """Measure anew if enough updates were made."""
        updates = learner.updates - self._updates
        if updates < _UPDATES:
            return
        before, self._newest = self._newest, self._take(policy)
        self._updates = learner.updates
        moved = _distance(self._newest, before) * math.sqrt(1000.0 / updates)
        self._drifts.append(moved)
        self.drift = max(self._drifts)
        change = _distance(self._newest, self._first)
        early = self._continued or learner.updates - self._begun < _SETTLED
        self.change = math.nan if early and change < 1.0 else change


def _distance(new: Array, old: Array) -> float:
    """Return the distance of weights from others, as a share of their norm."""
    norm = float(np.linalg.norm(old))
    return float(np.linalg.norm(new - old)) / norm if norm > 0.0 else math.nan


class TraceAges:
    """How long each instance has had its present credit window."""

    def __init__(self) -> None:
        self._window: Array = np.zeros(0, np.int64)
        self._since: Array = np.zeros(0, np.int64)

    def oldest(self, agent: ServedAgent) -> int:
        """Return for how many steps the oldest open window was seen."""
        state, now = agent.credit.windows.state, agent.sequence
        window, live = state['window'], state['has_rows']
        if len(self._window) != len(window) or now < self._since.max(initial=0):
            self._window, self._since = window.copy(), np.full(len(window), now)
        fresh = (window != self._window) | ~live
        self._since[fresh] = now
        self._window[...] = window
        return int(now - self._since.min())
