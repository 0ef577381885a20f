"""The returns of finished episodes, as the learner hears them: from states and rewards alone.

An episode is complete when all rewards between its first and its last state were heard, in any
order of the two topics. What is not whole (a lost message, an aborted episode, one in which a
person acted, or one that began before this object or under other weights) does not count.

Compiled by Cython, since a guarded learner asks at every step. The text is plain Python and gives
the same numbers if it is not compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cython
import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.compiled import require_compiled
from nrl_ros.base.records import Applied, Ending, Phase, RpeBatch, StateBatch
from nrl_ros.learning.checks import check_sizes

require_compiled(__name__, cython.compiled)

Array = NDArray[Any]

_FIRST = cython.declare(cython.uchar, int(Phase.FIRST))
_MID = cython.declare(cython.uchar, int(Phase.MID))
_ABORTED = cython.declare(cython.uchar, int(Ending.ABORTED))
_PERSON = cython.declare(cython.uchar, int(Applied.PERSON))
_NONE = cython.declare(cython.longlong, -1)

# The arrays that decide the future; a checkpoint holds them by name. Of the newest two episodes of
# each instance [B, 2], by the parity of their numbers, since the last reward of an episode may come
# after the first state of the next one:
#
# episode: its number; -1: none that counts. first: its first credit window. windows: how many it
# has; -1 while it goes on. heard: how many of them were rewarded. total: sum of their rewards, task
# units. Of each instance [B]: newest: newest window that was rewarded. complete: how many of its
# episodes were complete. Of complete episodes that were not handed over yet: gathered: how many;
# place and value: as of ``Ended``, from the front.
STATE: dict[str, Any] = {
    'episode': (np.int64, 2),
    'first': (np.int64, 2),
    'windows': (np.int64, 2),
    'heard': (np.int64, 2),
    'total': (np.float64, 2),
    'newest': (np.int64, 1),
    'complete': (np.int64, 1),
}
_NONE_YET = ('episode', 'windows', 'newest')
# Most episodes that are handed over together, besides those that are complete with the newest step.
MOST = 64

# Of each complete episode: its place among those of its instance, from 1 on, and its return.
Ended = list[tuple[int, float]]


class Complete(NamedTuple):
    """Complete episodes since the newest change of the weights or of the mode.

    Attributes:
        instances: of all agents.
        least: episodes of the instance that has the fewest.
        total: of all instances.
    """

    instances: int
    least: int
    total: int


@cython.cclass
class EpisodeReturns:
    """Sums the rewards of the episodes of one agent.

    Args:
        instances: B.
        together: complete episodes that are handed over together, at least; at most ``MOST``. Who
            compares means of many asks less often then.

    Attributes:
        state: the arrays of ``STATE`` by name; only this class changes them.
        instances: B.
        awaits: an episode has ended whose rewards have not all come.
    """

    state = cython.declare(object, visibility='readonly')
    instances = cython.declare(cython.Py_ssize_t, visibility='readonly')
    awaits = cython.declare(cython.bint, visibility='readonly')

    _together: cython.longlong

    _episode: cython.longlong[:, ::1]
    _first: cython.longlong[:, ::1]
    _windows: cython.longlong[:, ::1]
    _heard: cython.longlong[:, ::1]
    _total: cython.double[:, ::1]
    _newest: cython.longlong[::1]
    _complete: cython.longlong[::1]

    _gathered: cython.longlong[::1]
    _place: cython.longlong[::1]
    _value: cython.double[::1]

    _seen_arrays: Any
    _seen_episode: cython.uint[::1]
    _seen_window: cython.uint[::1]
    _seen_phase: cython.uchar[::1]
    _seen_ending: cython.uchar[::1]

    _paid_arrays: Any
    _paid_instance: cython.uint[::1]
    _paid_episode: cython.uint[::1]
    _paid_window: cython.uint[::1]
    _paid_value: cython.double[::1]

    _watched_episode: cython.uint[::1]
    _watched_window: cython.uint[::1]
    _watched_phase: cython.uchar[::1]
    _watched_ending: cython.uchar[::1]
    _watched_instance: cython.uint[::1]
    _watched_of: cython.uint[::1]
    _watched_closed: cython.uint[::1]
    _watched_value: cython.double[::1]

    def __init__(self, instances: int, together: int = 1) -> None:
        self.instances, self.awaits = instances, False
        self._together = min(together, MOST)
        state: dict[str, Any] = {}
        for name, (kind, size) in STATE.items():
            state[name] = np.zeros((instances, size) if size > 1 else instances, kind)
        # Their size does not depend on how many are handed over together, so that a checkpoint fits
        # whatever that is.
        state['gathered'] = np.zeros(1, np.int64)
        state['place'] = np.zeros(instances + MOST, np.int64)
        state['value'] = np.zeros(instances + MOST)
        for name in _NONE_YET:
            state[name].fill(-1)
        self.state = state
        self._episode, self._first = state['episode'], state['first']
        self._windows, self._heard = state['windows'], state['heard']
        self._total, self._newest = state['total'], state['newest']
        self._complete, self._gathered = state['complete'], state['gathered']
        self._place, self._value = state['place'], state['value']
        self._bind(instances)

    def _bind(self, instances: int) -> None:
        """Make the arrays of inputs."""
        episode, window, instance, of, closed = np.zeros((5, instances), np.uint32)
        phase, ending = np.zeros((2, instances), np.uint8)
        self._seen_arrays = (episode, window, phase, ending)
        self._seen_episode, self._seen_window = episode, window
        self._seen_phase, self._seen_ending = phase, ending
        reward = np.zeros(instances)
        self._paid_arrays = (instance, of, closed, reward)
        self._paid_instance, self._paid_episode = instance, of
        self._paid_window, self._paid_value = closed, reward
        # Until others are watched.
        self.watch(self._seen_arrays, self._paid_arrays)

    def watch(self, state: Sequence[Array], closed: Sequence[Array]) -> None:
        """Read from these arrays, which stay the same ones, when ``look`` and ``count`` are called.

        Args:
            state: episode and window uint32 [B], phase and ending uint8 [B].
            closed: instance, episode and window uint32 [B], and reward float64 [B] of windows that
                closed.

        Raises:
            ShapeError: an array has another size.
        """
        check_sizes(self.instances, *state, *closed)
        self._watched_episode, self._watched_window = state[0], state[1]
        self._watched_phase, self._watched_ending = state[2], state[3]
        self._watched_instance, self._watched_of = closed[0], closed[1]
        self._watched_closed, self._watched_value = closed[2], closed[3]

    def hear_state(self, state: StateBatch) -> Ended:
        """Note which episodes begin and end with a state; one that comes twice changes nothing.

        Args:
            state: as an agent accepts it.

        Returns:
            Complete episodes, if enough have gathered.
        """
        if state.greedy:
            return []
        applied = state.applied
        if applied.max() == _PERSON:
            # What a person did says nothing of the policy.
            self.state['episode'][applied == _PERSON] = _NONE
        seen = self._seen_arrays
        seen[0][:], seen[1][:] = state.episode, state.window
        seen[2][:], seen[3][:] = state.phase, state.ending
        return self.hand_over() if self._take_state() else []

    def look(self) -> bool:
        """Do what ``hear_state`` does with the watched arrays, in which no person has acted.

        Returns:
            True if enough complete episodes have gathered; ``hand_over`` has them.
        """
        b: cython.Py_ssize_t
        for b in range(self.instances):
            self._seen_episode[b] = self._watched_episode[b]
            self._seen_window[b] = self._watched_window[b]
            self._seen_phase[b] = self._watched_phase[b]
            self._seen_ending[b] = self._watched_ending[b]
        return bool(self._take_state())

    @cython.cfunc
    @cython.exceptval(check=False)
    def _take_state(self) -> cython.bint:
        b: cython.Py_ssize_t
        changed: cython.bint = False
        for b in range(self.instances):
            if self._seen_phase[b] == _MID:
                continue
            changed = True
            if self._seen_phase[b] == _FIRST:
                self._begin(b)
            else:
                self._end(b)
        if changed:
            self._look_for_awaited()
        return self._gathered[0] >= self._together

    @cython.cfunc
    @cython.exceptval(check=False)
    def _begin(self, b: cython.Py_ssize_t) -> cython.void:
        slot: cython.Py_ssize_t = self._seen_episode[b] & 1
        if self._episode[b, slot] != self._seen_episode[b]:
            self._episode[b, slot], self._first[b, slot] = (
                self._seen_episode[b],
                self._seen_window[b],
            )
            self._windows[b, slot], self._heard[b, slot] = _NONE, 0
            self._total[b, slot] = 0.0

    @cython.cfunc
    @cython.exceptval(check=False)
    def _end(self, b: cython.Py_ssize_t) -> cython.void:
        slot: cython.Py_ssize_t = self._seen_episode[b] & 1
        if self._episode[b, slot] != self._seen_episode[b]:
            return
        if self._seen_ending[b] == _ABORTED:
            self._episode[b, slot] = _NONE
            return
        # A last state names the window after the last one.
        self._windows[b, slot] = self._seen_window[b] - self._first[b, slot]
        self._finish_if_whole(b, slot)

    @cython.cfunc
    @cython.exceptval(check=False)
    def _finish_if_whole(self, b: cython.Py_ssize_t, slot: cython.Py_ssize_t) -> cython.void:
        """Note place and return of an episode if it is whole, and let it not count again."""
        if self._heard[b, slot] != self._windows[b, slot]:
            return
        self._episode[b, slot] = _NONE
        self._complete[b] += 1
        self._place[self._gathered[0]] = self._complete[b]
        self._value[self._gathered[0]] = self._total[b, slot]
        self._gathered[0] += 1

    def hear_rewards(self, rpe: RpeBatch) -> Ended:
        """Add rewards, which reward-prediction errors carry along.

        Args:
            rpe: as an agent accepts it.

        Returns:
            Complete episodes, if enough have gathered.
        """
        count: cython.Py_ssize_t = len(rpe.instance)
        paid = self._paid_arrays
        paid[0][:count], paid[1][:count] = rpe.instance, rpe.episode
        paid[2][:count], paid[3][:count] = rpe.window, rpe.reward
        return self.hand_over() if self._take_rewards(count) else []

    def count(self, rewards: cython.Py_ssize_t) -> bool:
        """Do what ``hear_rewards`` does with the first entries of the watched arrays.

        Args:
            rewards: how many entries.

        Returns:
            True if enough complete episodes have gathered; ``hand_over`` has them.
        """
        c: cython.Py_ssize_t
        for c in range(rewards):
            self._paid_instance[c] = self._watched_instance[c]
            self._paid_episode[c] = self._watched_of[c]
            self._paid_window[c] = self._watched_closed[c]
            self._paid_value[c] = self._watched_value[c]
        return bool(self._take_rewards(rewards))

    @cython.cfunc
    @cython.exceptval(check=False)
    def _take_rewards(self, count: cython.Py_ssize_t) -> cython.bint:
        c: cython.Py_ssize_t
        b: cython.Py_ssize_t
        slot: cython.Py_ssize_t
        before: cython.longlong = self._gathered[0]
        for c in range(count):
            b = self._paid_instance[c]
            slot = self._paid_episode[c] & 1
            if self._episode[b, slot] != self._paid_episode[c]:
                continue
            if self._paid_window[c] <= self._newest[b]:
                continue
            self._newest[b] = self._paid_window[c]
            self._total[b, slot] += self._paid_value[c]
            self._heard[b, slot] += 1
            self._finish_if_whole(b, slot)
        if self._gathered[0] > before:
            self._look_for_awaited()
        return self._gathered[0] >= self._together

    def hand_over(self) -> Ended:
        """Return the complete episodes that have gathered, in the order of their ends."""
        count = self._gathered[0]
        self._gathered[0] = 0
        place, value = self.state['place'][:count], self.state['value'][:count]
        return list(zip(place.tolist(), value.tolist(), strict=True))

    def completed(self) -> Complete:
        """Return how many episodes of this agent were complete."""
        b: cython.Py_ssize_t
        least: cython.longlong = self._complete[0]
        total: cython.longlong = 0
        for b in range(self.instances):
            least = min(least, self._complete[b])
            total += self._complete[b]
        return Complete(self.instances, least, total)

    def forget(self) -> None:
        """Let the episodes under way not count, and count the complete ones from 0."""
        self.state['episode'].fill(-1)
        self.state['complete'].fill(0)
        self._gathered[0] = 0
        self.awaits = False

    def release(self) -> None:
        """Let episodes not count whose rewards do not come."""
        self.state['episode'][self.state['windows'] != -1] = -1
        self.awaits = False

    @cython.cfunc
    @cython.exceptval(check=False)
    def _look_for_awaited(self) -> cython.void:
        b: cython.Py_ssize_t
        self.awaits = False
        for b in range(self.instances):
            if self._windows[b, 0] != _NONE and self._episode[b, 0] != _NONE:
                self.awaits = True
            if self._windows[b, 1] != _NONE and self._episode[b, 1] != _NONE:
                self.awaits = True

    def after_restore(self) -> None:
        """Find out what is still awaited."""
        self._look_for_awaited()
