"""The instances of an environment on their way through episodes and credit windows.

Compiled by Cython when the messages are built: without that, an environment of one instance spends
more time in numpy's calls than in its own step. The text is plain Python and gives the same numbers
if it is not compiled.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cython
import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.compiled import require_compiled
from nrl_ros.base.records import Delivery, Ending, Phase

require_compiled(__name__, cython.compiled)

Array = NDArray[Any]

_FIRST = cython.declare(cython.uchar, int(Phase.FIRST))
_MID = cython.declare(cython.uchar, int(Phase.MID))
_LAST = cython.declare(cython.uchar, int(Phase.LAST))
_NONE = cython.declare(cython.uchar, int(Ending.NONE))
_TERMINATED = cython.declare(cython.uchar, int(Ending.TERMINATED))
_TRUNCATED = cython.declare(cython.uchar, int(Ending.TRUNCATED))
_ABORTED = cython.declare(cython.uchar, int(Ending.ABORTED))
_EVERY_STEP = cython.declare(cython.int, int(Delivery.EVERY_STEP))
_EPISODE = cython.declare(cython.int, int(Delivery.EPISODE))

# The arrays [B] that decide the future of the instances; a checkpoint holds them by name.
STATE: dict[str, Any] = {
    'episode': np.uint32,
    'step': np.uint32,
    'window': np.uint32,
    'window_steps': np.uint32,
    'window_reward': np.float64,
    'episode_return': np.float64,
    'phase': np.uint8,
}
_INPUTS: dict[str, Any] = {
    'reward': np.float64,
    'terminated': np.bool_,
    'truncated': np.bool_,
    'aborted': np.bool_,
    'invalid': np.bool_,
}
_CLOSED: dict[str, Any] = {
    'instance': np.uint32,
    'episode': np.uint32,
    'step': np.uint32,
    'window': np.uint32,
    'value': np.float64,
}
_FINISHED: dict[str, Any] = {
    'instance': np.int64,
    'episode': np.uint32,
    'length': np.uint32,
    'ending': np.uint8,
    'episode_return': np.float64,
}


class ClosedWindows(NamedTuple):
    """Windows that closed and are rewarded, [K] each, as in RewardBatch."""

    instance: Array
    episode: Array
    step: Array
    window: Array
    value: Array


def _arrays(kinds: dict[str, Any], instances: int) -> dict[str, Array]:
    return {name: np.zeros(instances, kind) for name, kind in kinds.items()}


@cython.cclass
class EpisodeTracker:
    """Episodes and credit windows of the B instances of an environment.

    Args:
        instances: B.
        delivery: when rewards are handed over.
        delivery_steps: n of EVERY_N_STEPS.
        observation_size: O.
        observation_type: float32, or uint8 for bytes.
        rewarded: windows hold the rewards of the environment; otherwise only what others add to
            ``state['window_reward']``, and its rewards count in the returns alone.

    Attributes:
        state: the arrays of ``STATE`` by name, changed in place.
        ending: uint8 [B], how episodes ended with the newest step, as in Ending.
        observation: float32 or uint8 [B, O], the newest one.
        closed: the windows that the newest step closed and that are rewarded; its first
            ``closed_count`` entries count.
        live: instances that stepped.
        closed_count: windows in ``closed``.
        finished_count: episodes that the newest step ended.
        aborted_count: those of them that were aborted.
    """

    state = cython.declare(object, visibility='readonly')
    ending = cython.declare(object, visibility='readonly')
    observation = cython.declare(object, visibility='readonly')
    closed = cython.declare(object, visibility='readonly')
    live = cython.declare(cython.Py_ssize_t, visibility='readonly')
    closed_count = cython.declare(cython.Py_ssize_t, visibility='readonly')
    finished_count = cython.declare(cython.Py_ssize_t, visibility='readonly')
    aborted_count = cython.declare(cython.Py_ssize_t, visibility='readonly')

    _delivery: cython.int
    _delivery_steps: cython.uint
    _has_invalid: cython.bint
    _is_bytes: cython.bint
    _rewarded: cython.bint
    _inputs: Any
    _finished: Any
    _constant: Any
    _action_array: Any

    _episode: cython.uint[::1]
    _step: cython.uint[::1]
    _window: cython.uint[::1]
    _window_steps: cython.uint[::1]
    _window_reward: cython.double[::1]
    _episode_return: cython.double[::1]
    _phase: cython.uchar[::1]
    _ending: cython.uchar[::1]

    _action: cython.uint[::1]
    _observation: cython.float[::1]
    _reward: cython.double[::1]
    _terminated: cython.uchar[::1]
    _truncated: cython.uchar[::1]
    _aborted: cython.uchar[::1]
    _invalid: cython.uchar[::1]

    _closed_instance: cython.uint[::1]
    _closed_episode: cython.uint[::1]
    _closed_step: cython.uint[::1]
    _closed_window: cython.uint[::1]
    _closed_value: cython.double[::1]

    _finished_instance: cython.longlong[::1]
    _finished_episode: cython.uint[::1]
    _finished_length: cython.uint[::1]
    _finished_ending: cython.uchar[::1]
    _finished_return: cython.double[::1]

    def __init__(
        self,
        instances: int,
        delivery: Delivery,
        delivery_steps: int,
        observation_size: int = 1,
        observation_type: Any = np.float32,
        *,
        rewarded: bool = True,
    ) -> None:
        self._rewarded = rewarded
        self._delivery = int(delivery)
        self._delivery_steps = delivery_steps
        self.live = self.closed_count = self.finished_count = self.aborted_count = 0
        self._constant = None
        self._bind_state(_arrays(STATE, instances))
        self._bind_inputs(_arrays(_INPUTS, instances))
        self._bind_observation(np.zeros((instances, observation_size), observation_type))
        self._bind_outputs(_arrays(_CLOSED, instances), _arrays(_FINISHED, instances))

    def _bind_state(self, state: dict[str, Array]) -> None:
        self.state = state
        self._episode, self._step = state['episode'], state['step']
        self._window, self._window_steps = state['window'], state['window_steps']
        self._window_reward = state['window_reward']
        self._episode_return = state['episode_return']
        self._phase = state['phase']

    def _bind_observation(self, observation: Array) -> None:
        self.observation = observation
        self._is_bytes = observation.itemsize == 1
        # Bytes are always finite, so that nothing looks at them.
        self._observation = np.zeros(0, np.float32) if self._is_bytes else observation.reshape(-1)

    def _bind_inputs(self, inputs: dict[str, Array]) -> None:
        self._inputs = inputs
        instances = len(inputs['reward'])
        self._action_array = np.zeros((instances, 1), np.int32)
        self._action = self._action_array.view(np.uint32).reshape(-1)
        self._reward = inputs['reward']
        self._terminated = inputs['terminated'].view(np.uint8)
        self._truncated = inputs['truncated'].view(np.uint8)
        self._aborted = inputs['aborted'].view(np.uint8)
        self._invalid = inputs['invalid'].view(np.uint8)

    def _bind_outputs(self, closed: dict[str, Array], finished: dict[str, Array]) -> None:
        instances = len(closed['instance'])
        self.ending = np.zeros(instances, np.uint8)
        self._ending = self.ending
        self.closed = closed
        self._closed_instance, self._closed_episode = closed['instance'], closed['episode']
        self._closed_step, self._closed_window = closed['step'], closed['window']
        self._closed_value = closed['value']
        self._finished = finished
        self._finished_instance = finished['instance']
        self._finished_episode = finished['episode']
        self._finished_length, self._finished_ending = finished['length'], finished['ending']
        self._finished_return = finished['episode_return']

    def accepts(self, action: Array, choices: int) -> bool:
        """Return whether all actions, int32 [B, 1], are from 0 to below ``choices``."""
        b: cython.Py_ssize_t
        beyond: cython.bint = False
        limit: cython.uint = choices
        self._action_array[:] = action
        for b in range(self._action.shape[0]):
            # As unsigned numbers, negative ones are large, so one comparison is enough.
            beyond |= self._action[b] >= limit
        return bool(not beyond)

    def receive(
        self, observation: Array, reward: Array, terminated: Array, truncated: Array, aborted: Array
    ) -> bool:
        """Copy what a step of the environment gave, which ``move`` then notes.

        Args:
            observation: [B, O].
            reward: [B].
            terminated: bool [B], the task ended.
            truncated: bool [B], the time was up.
            aborted: bool [B], something outside of the task ended the episode.

        Returns:
            True if all observations and rewards are finite.

        Raises:
            ValueError: observations are bytes and should not be, or the other way round.
        """
        inputs = self._inputs
        if (observation.itemsize == 1) != self._is_bytes:
            raise ValueError('observation of another number format')
        self.observation[:] = observation
        inputs['reward'][:] = reward
        inputs['terminated'][:] = terminated
        inputs['truncated'][:] = truncated
        # Most environments pass the same array of zeros in every step, since nothing was aborted.
        if aborted is not self._constant:
            inputs['aborted'][:] = aborted
            flags = aborted.flags
            self._constant = aborted if flags.owndata and not flags.writeable else None
        return bool(self._all_finite())

    @cython.cfunc
    def _all_finite(self) -> cython.bint:
        i: cython.Py_ssize_t
        beyond: cython.bint = False
        observed: cython.float
        reward: cython.double
        for i in range(self._observation.shape[0]):
            observed = self._observation[i]
            # A number that is not finite gives NaN if it is subtracted from itself, and not 0.
            beyond |= observed - observed != 0.0
        for i in range(self._reward.shape[0]):
            reward = self._reward[i]
            beyond |= reward - reward != 0.0
        return not beyond

    def move(self, invalid: Array | None = None) -> None:
        """Note the step that was received; an instance whose episode had ended begins another.

        Args:
            invalid: bool [B], instances without a valid observation; that ends even an episode that
                has just begun. None: all observations are valid.
        """
        b: cython.Py_ssize_t
        self._has_invalid = invalid is not None
        if invalid is not None:
            self._inputs['invalid'][:] = invalid
        self.live = self.closed_count = self.finished_count = self.aborted_count = 0
        for b in range(self._phase.shape[0]):
            if self._phase[b] == _LAST:
                self._begin_episode(b)
            else:
                self._continue_episode(b)

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def _begin_episode(self, b: cython.Py_ssize_t) -> cython.void:
        self._episode[b] += 1
        self._window_steps[b] = 0
        self._window_reward[b] = 0.0
        self._episode_return[b] = 0.0
        # A reset that gives no valid observation ends its episode at once.
        ended: cython.bint = self._has_invalid and self._invalid[b] != 0
        if ended and self._delivery != _EVERY_STEP:
            self._close_window(b)
        self._step[b] = 0
        self._phase[b] = _FIRST
        self._ending[b] = _NONE
        if ended:
            self._finish_episode(b)

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def _continue_episode(self, b: cython.Py_ssize_t) -> cython.void:
        ended: cython.bint = (self._terminated[b] | self._truncated[b] | self._aborted[b]) != 0
        closing: cython.bint = ended
        self.live += 1
        self._window_steps[b] += 1
        if self._rewarded:
            self._window_reward[b] += self._reward[b]
        self._episode_return[b] += self._reward[b]
        if self._delivery == _EVERY_STEP:
            closing = True
        elif self._delivery != _EPISODE:
            closing = ended or self._window_steps[b] == self._delivery_steps
        if closing:
            self._close_window(b)
        self._step[b] += 1
        self._phase[b] = _MID
        self._ending[b] = _NONE
        if ended:
            self._finish_episode(b)

    @cython.cfunc
    @cython.exceptval(check=False)
    def _close_window(self, b: cython.Py_ssize_t) -> cython.void:
        """Close a window; one of an aborted episode is not rewarded."""
        at: cython.Py_ssize_t = self.closed_count
        if not self._aborted[b]:
            self._closed_instance[at] = cython.cast(cython.uint, b)
            self._closed_episode[at] = self._episode[b]
            self._closed_step[at] = self._step[b]
            self._closed_window[at] = self._window[b]
            self._closed_value[at] = self._window_reward[b]
            self.closed_count = at + 1
        self._window[b] += 1
        self._window_reward[b] = 0.0
        self._window_steps[b] = 0

    @cython.cfunc
    @cython.exceptval(check=False)
    def _finish_episode(self, b: cython.Py_ssize_t) -> cython.void:
        at: cython.Py_ssize_t = self.finished_count
        self._phase[b] = _LAST
        if self._aborted[b]:
            self._ending[b] = _ABORTED
            self.aborted_count += 1
        else:
            self._ending[b] = _TERMINATED if self._terminated[b] else _TRUNCATED
        self._finished_instance[at] = b
        self._finished_episode[at] = self._episode[b]
        self._finished_length[at] = self._step[b]
        self._finished_ending[at] = self._ending[b]
        self._finished_return[at] = self._episode_return[b]
        self.finished_count = at + 1

    def closed_windows(self) -> ClosedWindows | None:
        """Return the windows that the newest step closed and that are rewarded."""
        if not self.closed_count:
            return None
        return ClosedWindows(*[array[: self.closed_count].copy() for array in self.closed.values()])

    def finished_episodes(self) -> dict[str, Array]:
        """Return the arrays [K] of FinishedEpisodes for the episodes that the newest step ended."""
        count = self.finished_count
        return {name: array[:count].copy() for name, array in self._finished.items()}

    def after_restore(self) -> None:
        """Forget what the newest step gave: another state was put back."""
        self.live = self.closed_count = self.finished_count = self.aborted_count = 0
