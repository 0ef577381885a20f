"""The books of an environment's instances: where each is in its episode and its credit window."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import Delivery, Ending, Phase
from nrl_ros.learning.kernels.books import NativeBooks
from nrl_ros.learning.kernels.library import available

Array = NDArray[Any]

# Comparing arrays with plain integers is several times faster than with enumerations.
_FIRST, _MID, _LAST = np.uint8(Phase.FIRST), np.uint8(Phase.MID), np.uint8(Phase.LAST)
_ABORTED = np.uint8(Ending.ABORTED)
_TERMINATED, _TRUNCATED = np.uint8(Ending.TERMINATED), np.uint8(Ending.TRUNCATED)

# What a snapshot keeps, with how it is kept.
_KEPT: dict[str, Any] = {
    'episode': np.uint32,
    'step': np.uint32,
    'window': np.uint32,
    'window_steps': np.uint32,
    'window_reward': np.float64,
    'return': np.float64,
    'phase': np.uint8,
}


class Paid(NamedTuple):
    """Windows that closed and are rewarded, as in RewardBatch."""

    instance: Array
    episode: Array
    step: Array
    window: Array
    value: Array


class Ended(NamedTuple):
    """Episodes that ended, as in EpisodeEnds."""

    instance: Array
    episode: Array
    length: Array
    ending: Array
    episode_return: Array


class Moves(NamedTuple):
    """What one step changed: instances that stepped, windows paid, endings [B], episodes ended."""

    live: int
    paid: Paid | None
    ending: Array
    ended: Ended | None


class Books:
    """Episodes and windows of B instances, in one call where there is the kernel.

    Args:
        instances: B.
        delivery: when rewards are handed over.
        delivery_steps: n of EVERY_N_STEPS.
        observation_size: O.

    Attributes:
        native: those of the kernel, where it is there.
    """

    def __init__(
        self, instances: int, delivery: Delivery, delivery_steps: int, observation_size: int = 1
    ) -> None:
        self._delivery = delivery
        self._delivery_steps = delivery_steps
        self._arrays = {name: np.zeros(instances, kind) for name, kind in _KEPT.items()}
        self.episode, self.step = self._arrays['episode'], self._arrays['step']
        self.window, self.phase = self._arrays['window'], self._arrays['phase']
        self.no_ending = np.zeros(instances, np.uint8)
        self.native: NativeBooks | None = None
        if available():
            self.native = NativeBooks(
                self._arrays,
                int(delivery),
                delivery_steps,
                instances=instances,
                observation_size=observation_size,
            )

    def fits(self, action: Array, choices: int) -> bool:
        """Whether all actions, int32 [B, 1], are from 0 to below ``choices``."""
        if self.native is not None:
            return self.native.fits(action, choices)
        # Seen without their sign, negative numbers are large.
        return bool((action.view(np.uint32) < choices).all())

    def finite(self, observation: Array, reward: Array) -> bool:
        """Whether all observations [B, O] and rewards [B] are finite."""
        if self.native is not None:
            return self.native.finite(observation, reward)
        return bool(np.isfinite(observation).all() and np.isfinite(reward).all())

    def move(
        self,
        reward: Array,
        terminated: Array,
        truncated: Array,
        aborted: Array,
        blind: Array | None,
    ) -> Moves:
        """Note one step of all instances; one whose episode had ended begins another with it.

        Args:
            reward: [B], finite.
            terminated: bool [B], the task ended.
            truncated: bool [B], the time was up.
            aborted: bool [B], something outside of the task ended the episode.
            blind: bool [B], no valid observation, which ends even an episode that just began; None:
                nobody.
        """
        if self.native is None:
            return self._move(reward, terminated, truncated, aborted, blind)
        done = self.native.move(reward, terminated, truncated, aborted, blind)
        paid = Paid(*self.native.paid(done.paid)) if done.paid else None
        if not done.ended:
            return Moves(done.live, paid, self.no_ending, None)
        ended = Ended(*self.native.ended(done.ended))
        return Moves(done.live, paid, self.native.ending.copy(), ended)

    def _move(
        self,
        reward: Array,
        terminated: Array,
        truncated: Array,
        aborted: Array,
        blind: Array | None,
    ) -> Moves:
        books = self._arrays
        ended = terminated | truncated | aborted
        starting = self.phase == _LAST
        books['window_reward'] += reward
        books['return'] += reward
        books['window_steps'] += 1
        first = np.flatnonzero(starting)
        self.episode[first] += 1
        for name in ('window_steps', 'window_reward', 'return'):
            books[name][first] = 0
        # A reset that gives no valid observation ends its episode at once.
        ended[first] = False if blind is None else blind[first]
        paid = self._pay(self._closing(ended, starting), aborted)
        self.step[:] += 1
        self.phase.fill(_MID)
        self.step[first] = 0
        self.phase[first] = _FIRST
        live = len(ended) - len(first)
        index = np.flatnonzero(ended)
        if not len(index):
            return Moves(live, paid, self.no_ending, None)
        ending = np.zeros_like(self.phase)
        why = np.where(terminated[index], _TERMINATED, _TRUNCATED)
        ending[index] = np.where(aborted[index], _ABORTED, why)
        self.phase[index] = _LAST
        where = (index, self.episode[index], self.step[index], ending[index])
        return Moves(live, paid, ending, Ended(*where, books['return'][index]))

    def _closing(self, ended: Array, starting: Array) -> Array:
        """Instances whose window closes with this step."""
        if self._delivery == Delivery.EPISODE:
            return np.flatnonzero(ended)
        if self._delivery == Delivery.EVERY_STEP:
            return np.flatnonzero(~starting)
        full = self._arrays['window_steps'] == self._delivery_steps
        return np.flatnonzero(ended | full)

    def _pay(self, closing: Array, aborted: Array) -> Paid | None:
        """Close windows; those of aborted episodes are not paid."""
        books = self._arrays
        which = closing[~aborted[closing]]
        paid = None
        if len(which):
            named = (books[name][which] for name in ('episode', 'step', 'window', 'window_reward'))
            paid = Paid(which.astype(np.uint32), *named)
        self.window[closing] += 1
        books['window_reward'][closing] = 0.0
        books['window_steps'][closing] = 0
        return paid

    def snapshot(self) -> dict[str, Array]:
        """Copies of all."""
        return {name: array.copy() for name, array in self._arrays.items()}

    def restore(self, snapshot: dict[str, Array]) -> None:
        """Continue from a snapshot of as many instances."""
        for name, array in self._arrays.items():
            array[...] = snapshot[name]
