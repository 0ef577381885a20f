"""The environment's side of the protocol: episodes, credit windows, delivery of rewards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import (
    BridgeError,
    CheckpointError,
    ConfigError,
    InvalidValueError,
    ShapeError,
    describe,
)
from nrl_ros.base.records import (
    ActionKind,
    AgentInfo,
    Delivery,
    Ending,
    FinishedEpisodes,
    Float32,
    Int32,
    Phase,
    RewardBatch,
    StateBatch,
    StepResult,
)
from nrl_ros.base.state import Stateful
from nrl_ros.environments.episode_tracker import EpisodeTracker
from nrl_ros.environments.faults import failed, first_observation_fault, step_fault
from nrl_ros.environments.interfaces import Endable, Environment, Serving, Snapshottable

Array = NDArray[Any]


@dataclass
class Advance:
    """What one step of all instances gives to publish.

    Attributes:
        state: of all instances after the step.
        reward: of the windows that closed with the step, None if there are none.
        ends: episodes that ended with the step, None if there are none.
    """

    state: Final[StateBatch]
    reward: Final[RewardBatch | None]
    ends: Final[FinishedEpisodes | None]


@dataclass
class EpisodesState:
    """What decides the future of an environment and its episodes.

    Attributes:
        agent: name of the agent.
        session: of the newest state.
        tracker: the place of every instance in its episode and its credit window.
        observation: of the newest state [B, O].
        environment: holds a state of its own.
        sequence: of the newest state.
        steps: of all instances.
        episodes: of all instances.
        aborted: how many of these episodes were aborted.
    """

    agent: str
    session: int
    tracker: EpisodeTracker
    observation: Array
    environment: Environment
    sequence: int = 0
    steps: int = 0
    episodes: int = 0
    aborted: int = 0


class Episodes(Stateful):
    """Steps an environment and tracks the episodes of its instances.

    Args:
        environment: the bridge.
        agent: name of the agent.
        session: a number drawn anew at each activation.
        lockstep: the environment waits for its action.
        delivery: when rewards are handed over.
        delivery_steps: n of EVERY_N_STEPS.
        rewarded: windows hold the rewards of the environment; otherwise those of people alone
            (``human_reward.replace``).

    Attributes:
        info: the environment as others see it.
        tracker: the place of every instance in its episode and its credit window.
        state: what decides their future.

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
        rewarded: bool = True,
    ) -> None:
        if (delivery == Delivery.EVERY_N_STEPS) != (delivery_steps > 0):
            raise ConfigError(
                f'delivery_steps must be positive with every_n_steps and 0 otherwise, '
                f'received {delivery_steps} with {delivery.name}'
            )
        self.info = AgentInfo(agent, session, environment.spec, lockstep, delivery, delivery_steps)
        batch = environment.spec.instances
        self._serving = environment if isinstance(environment, Serving) else None
        # Figures that the environment gave with the newest step [B, M].
        self._metrics: Array | None = None
        # Which episodes a person has ended, by how they end, until the next step.
        self._told: dict[Ending, Array] = {}
        self._all_applied = np.ones(batch, np.uint8)
        self._no_ending = np.zeros(batch, np.uint8)
        size, kind = environment.spec.observation_size, environment.spec.observation_format.dtype
        self.tracker = EpisodeTracker(
            batch, delivery, delivery_steps, size, kind, rewarded=rewarded
        )
        self.state: EpisodesState = EpisodesState(
            agent, session, self.tracker, np.zeros((batch, size), kind), environment
        )
        space = environment.spec.action
        self._shape = (batch, space.components)
        self._observed, self._paid = (batch, size), (batch,)
        self._choices = 0 if space.low or space.components > 1 else space.sizes[0]

    @property
    def greedy(self) -> bool:
        """True if the present episode is no training (``Serving``)."""
        return self._serving is not None and self._serving.greedy

    @property
    def sequence(self) -> int:
        """Number of the newest state."""
        return self.state.sequence

    @property
    def total_steps(self) -> int:
        """Steps of all instances."""
        return self.state.steps

    @property
    def total_episodes(self) -> int:
        """Episodes of all instances that have ended."""
        return self.state.episodes

    @property
    def aborted(self) -> int:
        """How many of these episodes were aborted."""
        return self.state.aborted

    def begin(self, seed: int, stamp_ns: int = 0) -> StateBatch:
        """Reset all instances.

        Returns:
            The first state.

        Raises:
            InvalidValueError: a first observation is not finite.
            BridgeError: the environment failed.
        """
        try:
            observation = self.state.environment.reset(seed)
        except Exception as error:
            raise failed(self.info.agent, 'reset', error) from error
        fault = first_observation_fault(observation, self.info.spec)
        if fault:
            raise BridgeError(f'the environment of agent {self.info.agent!r}, reset: {fault}')
        if not np.isfinite(observation).all():
            raise InvalidValueError(
                f'agent {self.info.agent!r}: the first observation is not finite; '
                'the environment cannot be used'
            )
        self.state.observation = observation
        return self._state(self._no_ending, self._all_applied, stamp_ns)

    def advance(
        self,
        action: Int32 | Float32,
        *,
        applied: Array | None = None,
        stamp_ns: int = 0,
        learner: int = 0,
    ) -> Advance:
        """Apply one action to each instance.

        Args:
            action: [B, A], as in ActionBatch.
            applied: [B] as in Applied; None: all as sent.
            stamp_ns: time of the resulting state [ns].
            learner: identity of the learner that sent the action, as in ActionBatch.

        Raises:
            ShapeError: the action does not fit the spaces.
            InvalidValueError: the action is not finite or out of range.
            BridgeError: the environment failed; its state is not known then.
        """
        # One call checks the common case, a single discrete component.
        known = self._choices and action.dtype == np.int32 and action.shape == self._shape
        if not (known and self.tracker.accepts(action, self._choices)):
            check_action(action, self.info)
        return self.take(self.step(action), applied, stamp_ns, learner)

    def step(self, action: Int32 | Float32) -> StepResult:
        """Let the environment apply actions that fit. ``advance`` is this method, then ``take``.

        Raises:
            BridgeError: the environment failed; its state is not known then.
        """
        try:
            result = self.state.environment.step(action)
        except Exception as error:
            raise failed(self.info.agent, 'step', error) from error
        return self._told_to_end(result) if self._told else result

    @property
    def running(self) -> Array:
        """Mask of the instances that are within an episode [B]."""
        running: Array = self.tracker.state['phase'] != int(Phase.LAST)
        return running

    def end(self, which: Array, *, aborted: bool) -> None:
        """End running episodes with the next step, as a person has told.

        Args:
            which: instances [B]; those between two episodes are left out.
            aborted: the end is outside of the task and does not train; else the task terminates.

        Raises:
            ConfigError: the environment cannot be told that an episode is over.
        """
        environment = self.state.environment
        if not isinstance(environment, Endable):
            raise ConfigError(
                f'the environment of agent {self.info.agent!r} cannot end an episode from outside: '
                'give it a method `end(which)` (nrl_ros/environments/interfaces.py)'
            )
        how = Ending.ABORTED if aborted else Ending.TERMINATED
        self._told[how] = (which & self.running) | self._told.get(how, False)

    def _told_to_end(self, result: StepResult) -> StepResult:
        """Return the result with the ends that people have told; the environment is told too."""
        nobody = np.zeros(len(self._no_ending), np.bool_)
        terminated = self._told.get(Ending.TERMINATED, nobody)
        aborted = self._told.get(Ending.ABORTED, nobody)
        self._told = {}
        environment = self.state.environment
        assert isinstance(environment, Endable)
        try:
            environment.end(terminated | aborted)
        except Exception as error:
            raise failed(self.info.agent, 'end', error) from error
        return replace(
            result,
            terminated=result.terminated | terminated,
            aborted=result.aborted | aborted,
        )

    def take(
        self,
        result: StepResult,
        applied: Array | None = None,
        stamp_ns: int = 0,
        learner: int = 0,
    ) -> Advance:
        """Note the result of a step; other arguments and the result are those of ``advance``."""
        invalid = None
        if not self.receive(result):
            result, invalid = _cleaned(result)
            self.receive(result)
        self.move(result, invalid)
        return Advance(*self.newest(applied, stamp_ns, learner), self.ends())

    def receive(self, result: StepResult) -> bool:
        """Give a step's result to the tracker; return True if all its numbers are finite.

        Raises:
            BridgeError: an array has another shape than the environment's spaces say.
        """
        try:
            # An array of a few numbers would be taken for all instances without a word.
            if result.observation.shape == self._observed and result.reward.shape == self._paid:
                return self.tracker.receive(
                    result.observation,
                    result.reward,
                    result.terminated,
                    result.truncated,
                    result.aborted,
                )
        except (AttributeError, TypeError, ValueError) as error:
            raise self._misshapen(result, describe(error)) from error
        raise self._misshapen(result, 'wrong shape')

    def _misshapen(self, result: StepResult, otherwise: str) -> BridgeError:
        fault = step_fault(result, self.info.spec) or otherwise
        return BridgeError(
            f'the environment of agent {self.info.agent!r}, step {self.sequence + 1}: {fault}'
        )

    def move(self, result: StepResult, invalid: Array | None = None) -> None:
        """Note the step that the tracker received, and count it."""
        tracker, state = self.tracker, self.state
        tracker.move(invalid)
        state.sequence += 1
        state.observation = result.observation
        state.steps += tracker.live
        if not self.greedy:
            state.episodes += tracker.finished_count
            state.aborted += tracker.aborted_count
        self._metrics = result.metrics

    def newest(
        self, applied: Array | None = None, stamp_ns: int = 0, learner: int = 0
    ) -> tuple[StateBatch, RewardBatch | None]:
        """Make the records of the newest step, with arrays of their own.

        The arguments are those of ``advance``.

        Returns:
            The state, and the rewards of the windows that closed with it, None if there are none.
        """
        closed, info, reward = self.tracker.closed_windows(), self.info, None
        # Rewards of what is no training would change what later ones are compared with.
        if closed is not None and not self.greedy:
            reward = RewardBatch(
                info.agent, info.session, self.sequence, info.spec.instances, *closed, stamp_ns
            )
        applied = self._all_applied if applied is None else applied
        ending = self.tracker.ending.copy() if self.tracker.finished_count else self._no_ending
        return self._state(ending, applied, stamp_ns, learner), reward

    def ends(self) -> FinishedEpisodes | None:
        """Make the record of episodes that ended with the newest step, None if there are none."""
        tracker, info, metrics = self.tracker, self.info, self._metrics
        if not tracker.finished_count or self.greedy:
            return None
        arrays = tracker.finished_episodes()
        which = arrays['instance']
        arrays['instance'] = which.astype(np.uint32)
        figures = {}
        if metrics is not None:
            figures = dict(zip(info.spec.metrics, metrics[which].T, strict=True))
        # np.full takes four times as long as these two.
        steps = np.empty(len(which), np.uint64)
        steps.fill(self.total_steps)
        return FinishedEpisodes(info.agent, info.session, steps, **arrays, figures=figures)

    def _state(self, ending: Array, applied: Array, stamp_ns: int, learner: int = 0) -> StateBatch:
        state = self.tracker.state
        return StateBatch(
            self.info.agent,
            self.info.session,
            self.sequence,
            state['episode'].copy(),
            state['step'].copy(),
            state['window'].copy(),
            state['phase'].copy(),
            ending,
            applied,
            self.state.observation,
            stamp_ns,
            learner,
            self.greedy,
        )

    def renew(self, session: int) -> None:
        """Continue as another session; messages of the old one then count as late."""
        self.info = replace(self.info, session=session)

    @property
    def can_be_saved(self) -> bool:
        """True if the environment can be saved."""
        return isinstance(self.state.environment, Snapshottable)

    def before_snapshot(self) -> None:
        """Bring the session up to date, which ``info`` holds."""
        self.state.session = self.info.session

    def after_restore(self) -> None:
        """Continue in the session that was put back."""
        self.renew(self.state.session)

    def resume(self, snapshot: dict[str, Any], stamp_ns: int = 0) -> StateBatch:
        """Continue from a snapshot, in its session.

        Returns:
            The state that was next to be acted upon.

        Raises:
            CheckpointError: it is of another agent or environment; nothing was changed.
        """
        if not self.can_be_saved:
            raise CheckpointError(
                f'the environment of agent {self.info.agent!r} has no snapshot to continue from; '
                'give it snapshot and restore, or begin it anew'
            )
        # The array was handed out with the newest state.
        self.state.observation = self.state.observation.copy()
        self.restore(snapshot)
        return self._state(self._no_ending, self._all_applied, stamp_ns)


def _cleaned(result: StepResult) -> tuple[StepResult, Array]:
    """Abort the episodes of instances whose numbers are not finite.

    A bad sensor value ends the episode; it must neither teach nor reach the network.

    Returns:
        The step without those numbers, and which instances had no valid observation, bool [B].
    """
    invalid = np.asarray(~np.isfinite(result.observation).all(axis=1))
    bad = ~np.isfinite(result.reward) | invalid
    return replace(
        result,
        observation=np.where(bad[:, None], result.observation.dtype.type(0), result.observation),
        reward=np.where(bad, 0.0, result.reward),
        aborted=result.aborted | bad,
    ), invalid


@lru_cache(256)
def _bounds(low: tuple[float, ...], high: tuple[float, ...]) -> tuple[Float32, Float32]:
    """Return the bounds of actions as arrays, which are looked up for each action."""
    return np.asarray(low, np.float32), np.asarray(high, np.float32)


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
        low, high = _bounds(space.low, space.high)
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


def safe_action(info: AgentInfo) -> NDArray[Any]:
    """Return the action to apply before the first one: the middle of the range, or choice 0."""
    space, batch = info.spec.action, info.spec.instances
    if space.kind == ActionKind.CONTINUOUS:
        middle = (np.asarray(space.low) + np.asarray(space.high)) / 2.0
        return np.tile(middle.astype(np.float32), (batch, 1))
    return np.zeros((batch, space.components), np.int32)
