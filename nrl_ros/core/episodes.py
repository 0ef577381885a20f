"""The environment's side of the protocol: episodes, credit windows, delivery of rewards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.core.errors import (
    BridgeError,
    CheckpointError,
    ConfigError,
    InvalidValueError,
    ShapeError,
)
from nrl_ros.core.interfaces import Environment, Snapshottable
from nrl_ros.core.types import (
    AgentInfo,
    Delivery,
    Ending,
    Float32,
    Int32,
    Phase,
    RewardBatch,
    StateBatch,
)

Array = NDArray[Any]


# Comparing arrays with plain integers is several times faster than with enumerations.
_FIRST, _MID, _LAST = np.uint8(Phase.FIRST), np.uint8(Phase.MID), np.uint8(Phase.LAST)
_ABORTED = np.uint8(Ending.ABORTED)
_TERMINATED, _TRUNCATED = np.uint8(Ending.TERMINATED), np.uint8(Ending.TRUNCATED)


class EpisodeEnds(NamedTuple):
    """Episodes that ended in one step (EpisodeReport)."""

    total_steps: int
    instance: Array
    episode: Array
    length: Array
    ending: Array
    episode_return: Array


@dataclass(frozen=True)
class Advance:
    """What one step of all instances gives to publish."""

    state: StateBatch
    reward: RewardBatch | None
    ends: EpisodeEnds | None


class Episodes:
    """Steps an environment and keeps its books.

    Args:
        environment: the bridge.
        agent: name of the agent.
        session: drawn anew at each activation.
        lockstep: the environment waits for its action.
        delivery: when rewards are handed over.
        delivery_steps: n of EVERY_N_STEPS.

    Raises:
        ConfigError: delivery_steps does not fit the delivery.
    """

    def __init__(
        self,
        environment: Environment,
        *,
        agent: str,
        session: int,
        lockstep: bool,
        delivery: Delivery,
        delivery_steps: int = 0,
    ) -> None:
        if (delivery == Delivery.EVERY_N_STEPS) != (delivery_steps > 0):
            raise ConfigError(
                f'delivery_steps must be positive with every_n_steps and 0 otherwise, '
                f'received {delivery_steps} with {delivery.name}'
            )
        self.info = AgentInfo(agent, session, environment.spec, lockstep, delivery, delivery_steps)
        self._environment = environment
        batch = environment.spec.instances
        self._delivery = delivery
        self._all_applied = np.ones(batch, np.uint8)
        self._no_ending = np.zeros(batch, np.uint8)
        self._everyone = np.arange(batch)
        self._any_last = False
        self._episode = np.zeros(batch, np.uint32)
        self._step = np.zeros(batch, np.uint32)
        self._window = np.zeros(batch, np.uint32)
        self._window_steps = np.zeros(batch, np.uint32)
        self._window_reward = np.zeros(batch)
        self._return = np.zeros(batch)
        self._phase = np.zeros(batch, np.uint8)
        self._observation = np.zeros((batch, environment.spec.observation_size), np.float32)
        self._sequence = 0
        self.total_steps = 0
        self.total_episodes = 0
        self.aborted = 0

    def begin(self, seed: int, stamp_ns: int = 0) -> StateBatch:
        """Reset all instances.

        Returns:
            The first state.

        Raises:
            InvalidValueError: a first observation is not finite.
            BridgeError: the environment failed.
        """
        try:
            observation = self._environment.reset(seed)
        except Exception as error:
            raise _failed(self.info.agent, 'reset', error) from error
        if not np.isfinite(observation).all():
            raise InvalidValueError(
                f'agent {self.info.agent!r}: the first observation is not finite; '
                'the environment cannot be used'
            )
        self._observation = observation
        return self._state(self._no_ending, self._all_applied, stamp_ns)

    def advance(
        self,
        action: Int32 | Float32,
        *,
        applied: Array | None = None,
        stamp_ns: int = 0,
        learner: int = 0,
    ) -> Advance:
        """Apply one action per instance.

        Args:
            action: [B, A], as in ActionBatch.
            applied: uint8 [B], 0 where this is not the learner's action; None: all are.
            stamp_ns: time of the resulting state [ns].
            learner: whose action it is, as in ActionBatch.

        Raises:
            ShapeError: the action does not fit the spaces.
            InvalidValueError: the action is not finite or out of range.
            BridgeError: the environment failed; what state it is in is not known.
        """
        check_action(action, self.info)
        try:
            result = self._environment.step(action)
        except Exception as error:
            raise _failed(self.info.agent, 'step', error) from error
        observation, reward, aborted = result.observation, result.reward, result.aborted
        ended = result.terminated | result.truncated
        ended |= aborted
        blind: Array | None = None
        finite = np.isfinite(reward)
        if not (finite.all() and np.isfinite(observation).all()):
            # A bad sensor value ends the episode; it must neither teach nor reach the network.
            blind = np.asarray(~np.isfinite(observation).all(axis=1))
            bad = ~finite | blind
            observation = np.where(bad[:, None], np.float32(0.0), observation)
            reward = np.where(bad, 0.0, reward)
            aborted = aborted | bad
            ended |= bad
        self._sequence += 1
        self._observation = observation
        self._window_reward += reward
        self._return += reward
        self._window_steps += 1
        starting = None
        live = len(ended)
        if self._any_last:
            starting = self._phase == _LAST
            first = np.flatnonzero(starting)
            self._start(first, ended, blind)
            live -= len(first)
        self.total_steps += live
        index = np.flatnonzero(ended)
        rewards = self._rewards(self._closing(ended, index, starting), aborted, stamp_ns)
        self._step += 1
        self._phase.fill(_MID)
        if starting is not None:
            self._step[starting] = 0
            self._phase[starting] = _FIRST
        ending, ends = self._no_ending, None
        self._any_last = len(index) > 0
        if self._any_last:
            ending = np.zeros_like(self._phase)
            why = np.where(result.terminated[index], _TERMINATED, _TRUNCATED)
            ending[index] = np.where(aborted[index], _ABORTED, why)
            self._phase[index] = _LAST
            ends = self._ends(index, ending)
        everyone = self._all_applied if applied is None else applied
        state = self._state(ending, everyone, stamp_ns, learner)
        return Advance(state, rewards, ends)

    def _start(self, index: Array, ended: Array, blind: Array | None) -> None:
        """Begin the episodes of instances whose last state was final: this step was their reset."""
        self._episode[index] += 1
        self._window_steps[index] = 0
        self._window_reward[index] = 0.0
        self._return[index] = 0.0
        # A reset that gives no valid observation ends its episode at once.
        ended[index] = False if blind is None else blind[index]

    def _closing(self, ended: Array, index: Array, starting: Array | None) -> Array:
        """Instances whose window closes with this step."""
        if self._delivery == Delivery.EPISODE:
            return index
        if self._delivery == Delivery.EVERY_STEP:
            return self._everyone if starting is None else np.flatnonzero(~starting)
        return np.flatnonzero(ended | (self._window_steps == self.info.delivery_steps))

    def _rewards(self, closing: Array, aborted: Array, stamp_ns: int) -> RewardBatch | None:
        if not len(closing):
            return None
        lost = aborted[closing]
        paid = closing[~lost] if lost.any() else closing
        batch = None
        if len(paid):
            batch = RewardBatch(
                self.info.agent,
                self.info.session,
                self._sequence,
                len(aborted),
                paid.astype(np.uint32),
                self._episode[paid],
                self._step[paid],
                self._window[paid],
                self._window_reward[paid],
                stamp_ns,
            )
        self._window[closing] += 1
        self._window_reward[closing] = 0.0
        self._window_steps[closing] = 0
        return batch

    def _ends(self, index: Array, ending: Array) -> EpisodeEnds:
        self.total_episodes += len(index)
        self.aborted += int(np.count_nonzero(ending == _ABORTED))
        return EpisodeEnds(
            self.total_steps,
            index,
            self._episode[index],
            self._step[index].copy(),
            ending[index],
            self._return[index],
        )

    def _state(self, ending: Array, applied: Array, stamp_ns: int, learner: int = 0) -> StateBatch:
        return StateBatch(
            self.info.agent,
            self.info.session,
            self._sequence,
            self._episode.copy(),
            self._step.copy(),
            self._window.copy(),
            self._phase.copy(),
            ending,
            applied,
            self._observation,
            stamp_ns,
            learner,
        )

    def renew(self, session: int) -> None:
        """Go on as another session: who follows the old one does not follow this."""
        self.info = replace(self.info, session=session)

    def snapshot(self) -> dict[str, Any] | None:
        """Books and environment as plain data; None when the environment cannot be saved."""
        if not isinstance(self._environment, Snapshottable):
            return None
        return {
            'agent': self.info.agent,
            'instances': self.info.spec.instances,
            'session': self.info.session,
            'sequence': self._sequence,
            'totals': [self.total_steps, self.total_episodes, self.aborted],
            'arrays': {name: getattr(self, f'_{name}').copy() for name in _BOOKS},
            'environment': self._environment.snapshot(),
        }

    def restore(self, snapshot: dict[str, Any], stamp_ns: int = 0) -> StateBatch:
        """Continue from a snapshot, in its session.

        Returns:
            The state that was next to be acted upon.

        Raises:
            CheckpointError: it is of another agent or environment.
        """
        expected = (self.info.agent, self.info.spec.instances)
        received = (snapshot['agent'], snapshot['instances'])
        if expected != received or not isinstance(self._environment, Snapshottable):
            raise CheckpointError(
                f'the environment snapshot is of agent and instances {received}, '
                f'expected {expected}'
            )
        self._environment.restore(snapshot['environment'])
        self.renew(snapshot['session'])
        for name in _BOOKS:
            setattr(self, f'_{name}', np.array(snapshot['arrays'][name]))
        self._sequence = snapshot['sequence']
        self.total_steps, self.total_episodes, self.aborted = snapshot['totals']
        self._any_last = bool((self._phase == _LAST).any())
        return self._state(self._no_ending, self._all_applied, stamp_ns)


def _failed(agent: str, what: str, error: Exception) -> BridgeError:
    """Whatever another package's environment raises, in one line."""
    if isinstance(error, BridgeError):
        return error
    return BridgeError(
        f'the environment of agent {agent!r} failed at {what}: {type(error).__name__}: {error}'
    )


_BOOKS = (
    'episode',
    'step',
    'window',
    'window_steps',
    'window_reward',
    'return',
    'phase',
    'observation',
)


def check_action(action: Array, info: AgentInfo) -> None:
    """Refuse an action that does not fit the spaces.

    Raises:
        ShapeError: wrong shape.
        InvalidValueError: not finite or out of range.
    """
    space = info.spec.action
    expected = (info.spec.instances, space.components)
    if action.shape != expected or (action.dtype.kind == 'f') != bool(space.low):
        raise ShapeError(
            f'action for {info.agent!r}: expected {"real" if space.low else "whole"} numbers of '
            f'shape {expected}, received {action.dtype} of shape {action.shape}'
        )
    if space.low:
        low, high = np.asarray(space.low, np.float32), np.asarray(space.high, np.float32)
        inside = (action >= low) & (action <= high)
        limits = f'{space.low} to {space.high}'
    else:
        sizes: Any = space.sizes[0] if expected[1] == 1 else np.asarray(space.sizes, np.int32)
        inside = (action >= 0) & (action < sizes)
        limits = f'0 to below {space.sizes}'
    if not inside.all():
        bad = int(np.flatnonzero(~inside.all(axis=1))[0])
        raise InvalidValueError(
            f'action for {info.agent!r}: instance {bad} received {action[bad].tolist()}, '
            f'expected {limits}'
        )
