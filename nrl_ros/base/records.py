"""Records that travel between environment, learner and neuromodulator.

They have the fields of the messages in ``msg/`` under the same names. Their numpy arrays are
shaped, while those of the messages are flat, so that learning runs the same with and without ROS.

Nobody changes a record after it was made. Those of which one or more are made at every step are
plain dataclasses of ``Final`` fields, which the type checker guards: to make a frozen StateBatch
takes 0.92 instead of 0.18 us. The others are frozen.

B: instances, O: observation size, A: action components, K: closed windows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]
UInt32 = NDArray[np.uint32]
UInt64 = NDArray[np.uint64]
Int32 = NDArray[np.int32]
Bool = NDArray[np.bool_]
# Of one number format in a session, as EnvSpec.observation_format says.
Observation = Float32 | UInt8


class Phase(IntEnum):
    """The place of an instance in its episode (EnvState.PHASE_*)."""

    FIRST = 0
    MID = 1
    LAST = 2


class Ending(IntEnum):
    """How an episode ended (EnvState.ENDING_*); nothing is learned from an aborted one."""

    NONE = 0
    TERMINATED = 1
    TRUNCATED = 2
    ABORTED = 3


class Applied(IntEnum):
    """How an environment applied the learner's action (EnvState.APPLIED_*)."""

    NOT = 0
    AS_SENT = 1
    LIMITED = 2
    PERSON = 3


class HumanSource(IntEnum):
    """The origin of a reward of a person (HumanReward.SOURCE_*)."""

    REWARD = 0
    END = 1


class Outcome(IntEnum):
    """How a person ends an episode (EndEpisode.OUTCOME_*)."""

    SUCCESS = 0
    FAILURE = 1
    ABORT = 2


class ActionKind(IntEnum):
    """Kind of an action space (EnvInfo.ACTION_*)."""

    DISCRETE = 0
    MULTI_DISCRETE = 1
    CONTINUOUS = 2


class ObservationFormat(IntEnum):
    """Number format of an observation (EnvInfo.FORMAT_*).

    Bytes travel as they are; the learner takes 0 to 255 as 0 to 1.
    """

    FLOAT32 = 0
    UINT8 = 1

    @property
    def dtype(self) -> np.dtype[np.float32] | np.dtype[np.uint8]:
        """Type of the arrays."""
        return _FORMATS[self]


_FORMATS: dict[ObservationFormat, np.dtype[np.float32] | np.dtype[np.uint8]] = {
    ObservationFormat.FLOAT32: np.dtype(np.float32),
    ObservationFormat.UINT8: np.dtype(np.uint8),
}


class Delivery(IntEnum):
    """When an environment delivers rewards, which sets the length of a credit window."""

    EVERY_STEP = 0
    EVERY_N_STEPS = 1
    EPISODE = 2


@dataclass(frozen=True)
class ActionSpace:
    """Kind, size and bounds of an action.

    Attributes:
        kind: discrete, multi-discrete or continuous.
        sizes: choices per component (discrete kinds), or ``(A,)`` for A real numbers.
        low: lower bounds [A], continuous only.
        high: upper bounds [A], continuous only.

    Raises:
        ConfigError: the sizes or bounds do not fit the kind.
    """

    kind: ActionKind
    sizes: tuple[int, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check that sizes and bounds fit the kind."""
        if not self.sizes or any(size < 1 for size in self.sizes):
            raise ConfigError(f'action sizes must be positive, received {self.sizes}')
        if self.kind != ActionKind.MULTI_DISCRETE and len(self.sizes) != 1:
            raise ConfigError(
                f'a {self.kind.name} action space has one size, received {self.sizes}'
            )
        if self.kind == ActionKind.CONTINUOUS:
            if len(self.low) != self.sizes[0] or len(self.high) != self.sizes[0]:
                raise ConfigError(
                    f'expected {self.sizes[0]} action bounds, '
                    f'received {len(self.low)} low and {len(self.high)} high'
                )
            bounds = zip(self.low, self.high, strict=True)
            if not all(np.isfinite(lo) and np.isfinite(hi) and lo < hi for lo, hi in bounds):
                raise ConfigError(
                    f'action bounds must be finite with low < high, '
                    f'received {self.low} and {self.high}'
                )
        elif self.low or self.high:
            raise ConfigError(f'a {self.kind.name} action space has no bounds')

    @classmethod
    def discrete(cls, choices: int) -> ActionSpace:
        """Return the space of one choice out of ``choices``."""
        return cls(ActionKind.DISCRETE, (choices,))

    @classmethod
    def multi_discrete(cls, choices: tuple[int, ...]) -> ActionSpace:
        """Return the space of one choice for each component."""
        return cls(ActionKind.MULTI_DISCRETE, tuple(choices))

    @classmethod
    def continuous(cls, low: tuple[float, ...], high: tuple[float, ...]) -> ActionSpace:
        """Return the space of real numbers within bounds, in the action's own units."""
        return cls(ActionKind.CONTINUOUS, (len(low),), tuple(low), tuple(high))

    def equals(self, other: ActionSpace) -> bool:
        """Return whether both are one space; bounds count as float32, as messages carry them."""
        bounds = np.array([*self.low, *self.high], np.float32)
        others = np.array([*other.low, *other.high], np.float32)
        return (
            (self.kind, self.sizes) == (other.kind, other.sizes)
            and len(bounds) == len(others)
            and bool((bounds == others).all())
        )

    @property
    def components(self) -> int:
        """Numbers in one action, A."""
        return self.sizes[0] if self.kind == ActionKind.CONTINUOUS else len(self.sizes)


@dataclass(frozen=True)
class EnvSpec:
    """Spaces, size and clock of an environment: the fields of EnvInfo without agent and session.

    Attributes:
        instances: B, parallel instances.
        observation_size: O.
        action: the action space.
        observation_low: lower bounds [O], in the observation's units; empty means unbounded.
        observation_high: upper bounds [O]; empty means unbounded.
        control_period_s: time between two steps [s]; 0 if it has no meaning.
        max_episode_steps: steps after which an episode is truncated; 0 if it is not known.
        metrics: names of the figures in StepResult.metrics, such as a final distance;
            ``environments/figures.py`` explains the names.
        manifest: the interface description: what each number of observation and action means, with
            names, units and scales. A policy learned under one description is not used under
            another; empty: not stated.
        observation_shape: of one observation, whose numbers travel in this order (row-major), such
            as (height, width, channels) of an image; empty: a row of O numbers.
        observation_format: of its numbers.
    """

    instances: int
    observation_size: int
    action: ActionSpace
    observation_low: tuple[float, ...] = ()
    observation_high: tuple[float, ...] = ()
    control_period_s: float = 0.0
    max_episode_steps: int = 0
    metrics: tuple[str, ...] = ()
    manifest: str = ''
    observation_shape: tuple[int, ...] = ()
    observation_format: ObservationFormat = ObservationFormat.FLOAT32

    def __post_init__(self) -> None:
        """Check sizes."""
        if self.instances < 1 or self.observation_size < 1:
            raise ConfigError(
                f'instances and observation_size must be at least 1, '
                f'received {self.instances} and {self.observation_size}'
            )
        shape = self.observation_shape
        if shape and (min(shape) < 1 or math.prod(shape) != self.observation_size):
            raise ConfigError(
                f'observation_shape: expected sizes whose product is observation_size '
                f'{self.observation_size}, received {shape}'
            )
        for name in ('observation_low', 'observation_high'):
            bounds = getattr(self, name)
            if bounds and len(bounds) != self.observation_size:
                raise ConfigError(
                    f'{name}: expected {self.observation_size} values, received {len(bounds)}'
                )
        if not (np.isfinite(self.control_period_s) and self.control_period_s >= 0.0):
            raise ConfigError(f'control_period_s must be >= 0, received {self.control_period_s}')


@dataclass(frozen=True)
class AgentInfo:
    """An environment as the learner sees it (EnvInfo)."""

    agent: str
    session: int
    spec: EnvSpec
    lockstep: bool
    delivery: Delivery
    delivery_steps: int = 0
    active: bool = True

    @property
    def window_steps_hint(self) -> int:
        """Steps of the longest credit window, 0 if it is not known."""
        if self.delivery == Delivery.EVERY_STEP:
            return 1
        if self.delivery == Delivery.EVERY_N_STEPS:
            return self.delivery_steps
        return self.spec.max_episode_steps


@dataclass
class StepResult:
    """Result of one step of an environment, for all instances.

    An instance whose previous result was an end (terminated, truncated or aborted) is reset by this
    step instead: its action is ignored, its observation is the first of a new episode, its reward
    is 0 and its flags are false (Gymnasium's next-step autoreset).

    Attributes:
        observation: [B, O], in the format of EnvSpec.
        reward: [B], task units.
        terminated: [B] the task ended.
        truncated: [B] the time was up.
        aborted: [B] something outside of the task ended the episode; it does not train.
        metrics: [B, M] figures of the episodes so far, as named in EnvSpec.metrics; None: none.
    """

    observation: Final[Observation]
    reward: Final[Float64]
    terminated: Final[Bool]
    truncated: Final[Bool]
    aborted: Final[Bool]
    metrics: Final[Float64 | None] = None


@dataclass
class StateBatch:
    """One state of all instances of an agent (EnvState); ``applied`` holds values of Applied.

    ``greedy`` says that the episode is no training: nothing is recorded, and no reward is sent.
    """

    agent: Final[str]
    session: Final[int]
    sequence: Final[int]
    episode: Final[UInt32]
    step: Final[UInt32]
    window: Final[UInt32]
    phase: Final[UInt8]
    ending: Final[UInt8]
    applied: Final[UInt8]
    observation: Final[Observation]
    stamp_ns: Final[int] = 0
    learner: Final[int] = 0
    greedy: Final[bool] = False

    def answered(
        self, action: Int32 | Float32, learner: int, *, checkpoint: int = 0
    ) -> ActionBatch:
        """Return the answer to this state; arguments are those of ActionBatch."""
        return ActionBatch(
            self.agent,
            self.session,
            self.sequence,
            self.episode,
            self.step,
            self.window,
            action,
            checkpoint,
            self.stamp_ns,
            learner,
        )


@dataclass
class ActionBatch:
    """The learner's answer to one StateBatch (Action).

    ``action`` is int32 [B, A] for discrete kinds, float32 [B, A] within the bounds otherwise.
    """

    agent: Final[str]
    session: Final[int]
    sequence: Final[int]
    episode: Final[UInt32]
    step: Final[UInt32]
    window: Final[UInt32]
    action: Final[Int32 | Float32]
    checkpoint: Final[int] = 0
    stamp_ns: Final[int] = 0
    learner: Final[int] = 0


@dataclass
class RewardBatch:
    """Rewards that close windows (Reward); ``instance`` and the like have length K."""

    agent: Final[str]
    session: Final[int]
    sequence: Final[int]
    instances: Final[int]
    instance: Final[UInt32]
    episode: Final[UInt32]
    step: Final[UInt32]
    window: Final[UInt32]
    value: Final[Float64]
    stamp_ns: Final[int] = 0


@dataclass
class HumanRewardBatch:
    """Reward of a person as it entered open windows (HumanReward); arrays have length K.

    ``received`` is the number that the person gave, ``value`` what was added to each window.
    """

    agent: Final[str]
    session: Final[int]
    sequence: Final[int]
    instances: Final[int]
    source: Final[int]
    instance: Final[UInt32]
    episode: Final[UInt32]
    step: Final[UInt32]
    window: Final[UInt32]
    received: Final[Float64]
    value: Final[Float64]
    stamp_ns: Final[int] = 0


@dataclass
class RpeBatch:
    """Reward-prediction errors for a RewardBatch (Neuromodulation).

    ``neuromodulator`` is the identity of the neuromodulator that computed them; 0: not known.
    """

    agent: Final[str]
    session: Final[int]
    sequence: Final[int]
    instances: Final[int]
    instance: Final[UInt32]
    episode: Final[UInt32]
    step: Final[UInt32]
    window: Final[UInt32]
    reward: Final[Float64]
    baseline: Final[Float64]
    rpe: Final[Float64]
    stamp_ns: Final[int] = 0
    neuromodulator: Final[int] = 0


@dataclass
class FinishedEpisodes:
    """Episodes that ended (EpisodeReport): of one step in one process, of several over ROS 2.

    Attributes:
        agent: as in StateBatch.
        session: as in StateBatch.
        total_steps: steps of all instances when each of K episodes ended [K].
        instance: [K].
        episode: number within its instance [K].
        length: steps of each [K].
        ending: as in Ending [K].
        episode_return: undiscounted sum of its rewards, task units [K].
        figures: further figures that the environment gives of each, by name [K].
    """

    agent: Final[str]
    session: Final[int]
    total_steps: Final[UInt64]
    instance: Final[UInt32]
    episode: Final[UInt32]
    length: Final[UInt32]
    ending: Final[UInt8]
    episode_return: Final[Float64]
    figures: Final[Mapping[str, Float64]]
