"""Episodes and credit windows of all instances, in whole arrays of numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import Delivery, Ending, Phase

Array = NDArray[Any]


class ReferenceTracker:
    """What ``EpisodeTracker`` keeps: ``state``, and what the newest step gave."""

    def __init__(self, instances: int, delivery: Delivery, delivery_steps: int) -> None:
        self._delivery, self._steps = delivery, delivery_steps
        self.state: dict[str, Array] = {
            'episode': np.zeros(instances, np.uint32),
            'step': np.zeros(instances, np.uint32),
            'window': np.zeros(instances, np.uint32),
            'window_steps': np.zeros(instances, np.uint32),
            'window_reward': np.zeros(instances),
            'episode_return': np.zeros(instances),
            'phase': np.zeros(instances, np.uint8),
        }
        self.ending = np.zeros(instances, np.uint8)
        self.closed: list[Array] = []
        self.finished: list[Array] = []

    def step(
        self, reward: Array, terminated: Array, truncated: Array, aborted: Array, invalid: Array
    ) -> None:
        """Note one step of all instances; ``invalid`` is False for all where nobody is."""
        state = self.state
        starting = state['phase'] == Phase.LAST
        ended = np.where(starting, invalid, terminated | truncated | aborted)
        for name, more in (('window_reward', reward), ('episode_return', reward)):
            state[name] = np.where(starting, 0.0, state[name] + more)
        state['window_steps'] = np.where(starting, 0, state['window_steps'] + 1).astype(np.uint32)
        state['episode'] += starting
        self._close(self._closing(ended, starting), aborted)
        state['step'] = np.where(starting, 0, state['step'] + 1).astype(np.uint32)
        state['phase'] = np.where(
            ended, Phase.LAST, np.where(starting, Phase.FIRST, Phase.MID)
        ).astype(np.uint8)
        why = np.where(terminated, Ending.TERMINATED, Ending.TRUNCATED)
        why = np.where(aborted, Ending.ABORTED, why)
        self.ending = np.where(ended, why, Ending.NONE).astype(np.uint8)
        index = np.flatnonzero(ended)
        self.finished = [index, *(state[name][index] for name in ('episode', 'step'))]
        self.finished += [self.ending[index], state['episode_return'][index]]

    def _closing(self, ended: Array, starting: Array) -> Array:
        """Instances whose window closes with this step, bool [B]."""
        if self._delivery == Delivery.EPISODE:
            return ended
        if self._delivery == Delivery.EVERY_STEP:
            return ~starting
        return np.asarray(ended | (self.state['window_steps'] == self._steps))

    def _close(self, closing: Array, aborted: Array) -> None:
        state = self.state
        which = np.flatnonzero(closing & ~aborted)
        names = ('episode', 'step', 'window', 'window_reward')
        self.closed = [which.astype(np.uint32), *(state[name][which] for name in names)]
        state['window'] += closing
        for name in ('window_reward', 'window_steps'):
            state[name][closing] = 0
