"""A scripted environment, for tests and to try the topics of a robot.

Its options define how long episodes are, how they end, and when a sensor fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrl_ros.base.errors import BridgeError, ConfigError
from nrl_ros.base.records import ActionSpace, Bool, EnvSpec, Float32, Int32, StepResult
from nrl_ros.base.settings import Settings
from nrl_ros.base.state import Stateful
from nrl_ros.environments.interfaces import Array, Environment

_FAULTS = ('nan_observation', 'nan_reward', 'raise')


class ScriptedOptions(Settings):
    """Options of the bridge 'scripted'."""

    observation_size: int = Field(4, ge=1, description='O [1]')
    action: Literal['discrete', 'multi_discrete', 'continuous'] = Field(
        'discrete', description='Kind of action: 3 choices; 3 and 2 choices; 2 numbers in -1..1'
    )
    lengths: list[int] = Field(
        [10], min_length=1, description='Steps of the episodes, one after the other, repeated [1]'
    )
    endings: list[Literal['terminated', 'truncated', 'aborted']] = Field(
        ['terminated'],
        min_length=1,
        description='How the episodes end, one after the other, repeated',
    )
    faults: list[str] = Field(
        [],
        description='CALL:INSTANCE:WHAT with WHAT nan_observation, nan_reward or raise; '
        'CALL counts calls of step from 1, 0 is the reset',
    )
    control_period_s: float = Field(0.02, ge=0, description='Period of a step [s]')


_SPACES = {
    'discrete': ActionSpace.discrete(3),
    'multi_discrete': ActionSpace.multi_discrete((3, 2)),
    'continuous': ActionSpace.continuous((-1.0, -1.0), (1.0, 1.0)),
}


@dataclass
class ScriptedState:
    """What decides the future of B instances.

    Attributes:
        calls: of ``step`` since the reset.
        at: steps of the episodes so far [B].
        episode: number of each episode [B].
        over: episodes that have ended [B].
        sign: instances whose first observed number is negative [B].
        random: draws observations.
    """

    calls: int
    at: NDArray[np.int64]
    episode: NDArray[np.int64]
    over: Bool
    sign: Bool
    random: np.random.Generator


class ScriptedBridge(Stateful):
    """Draws observations from the seed; the reward is 1 if the action fits them, else 0.

    If the first observed number is negative, an action fits if its first component is 0 (or
    negative); otherwise it fits if that component is anything else. So half of random discrete
    actions fit, and a policy can learn to be right always.

    Args:
        instances: B; instance i starts i places further in ``lengths`` and ``endings``.
        options: see ScriptedOptions.

    Raises:
        ConfigError: a fault cannot be read, or a length is below 1.
    """

    def __init__(self, instances: int, options: ScriptedOptions) -> None:
        self.spec = EnvSpec(
            instances,
            options.observation_size,
            _SPACES[options.action],
            control_period_s=options.control_period_s,
            max_episode_steps=max(options.lengths),
        )
        if min(options.lengths) < 1:
            raise ConfigError(f'scripted: lengths must be at least 1, received {options.lengths}')
        self._lengths = np.array(options.lengths)
        self._endings = np.array(options.endings)
        self._faults = _faults(options.faults, instances)
        self.state: ScriptedState = ScriptedState(
            calls=0,
            at=np.zeros(instances, np.int64),
            episode=np.zeros(instances, np.int64),
            over=np.zeros(instances, np.bool_),
            sign=np.zeros(instances, np.bool_),
            random=np.random.default_rng(0),
        )

    def reset(self, seed: int) -> Float32:
        """Start all instances anew; return their first observations [B, O]."""
        state = self.state
        state.random = np.random.default_rng(seed)
        state.calls = 0
        self._raise_if_due()
        state.at[:] = 0
        state.episode[:] = np.arange(self.spec.instances)
        state.over[:] = False
        return self._observe()

    def _raise_if_due(self) -> None:
        if (self.state.calls, 'raise') in self._faults:
            raise BridgeError(f'scripted: fault at call {self.state.calls}')

    def _observe(self) -> Float32:
        shape = (self.spec.instances, self.spec.observation_size)
        observation = self.state.random.standard_normal(shape, np.float32)
        self.state.sign = observation[:, 0] < 0.0
        for instance in self._faults.get((self.state.calls, 'nan_observation'), ()):
            observation[instance] = np.nan
        return observation

    def step(self, action: Int32 | Float32) -> StepResult:
        """Apply one action per instance, and fail if the options say so.

        Raises:
            BridgeError: a fault of kind 'raise' is due.
        """
        state = self.state
        state.calls += 1
        self._raise_if_due()
        starting = state.over.copy()
        state.episode += starting
        state.at = np.where(starting, 0, state.at + 1)
        low = action[:, 0] < 1 if self.spec.action.low == () else action[:, 0] < 0.0
        reward = np.where(~starting & (low == state.sign), 1.0, 0.0)
        for instance in self._faults.get((state.calls, 'nan_reward'), ()):
            reward[instance] = np.nan
        ended = ~starting & (state.at >= self._lengths[state.episode % len(self._lengths)])
        how = self._endings[state.episode % len(self._endings)]
        observation = self._observe()
        # As in the episode tracker, a first observation that is not finite can end its episode,
        # while a reward at a reset cannot.
        state.over = ended | (~starting & ~np.isfinite(reward))
        state.over |= ~np.isfinite(observation).all(axis=1)
        return StepResult(
            observation,
            reward,
            ended & (how == 'terminated'),
            ended & (how == 'truncated'),
            ended & (how == 'aborted'),
        )

    def end(self, which: Array) -> None:
        """End episodes with the newest step: those instances start anew with the next one."""
        self.state.over = self.state.over | which

    def close(self) -> None:
        """Do nothing: no resources are held."""


def _faults(texts: list[str], instances: int) -> dict[tuple[int, str], list[int]]:
    faults: dict[tuple[int, str], list[int]] = {}
    for text in texts:
        parts = text.split(':')
        good = len(parts) == 3 and parts[0].isdigit() and parts[1].isdigit()
        if not good or parts[2] not in _FAULTS or int(parts[1]) >= instances:
            raise ConfigError(
                f'scripted: fault {text!r}, expected CALL:INSTANCE:WHAT with an instance below '
                f'{instances} and WHAT one of {", ".join(_FAULTS)}'
            )
        faults.setdefault((int(parts[0]), parts[2]), []).append(int(parts[1]))
    return faults


def make(instances: int, options: ScriptedOptions) -> Environment:
    """Make a ScriptedBridge, as the registry calls it."""
    return ScriptedBridge(instances, options)
