"""A scripted environment, for tests and for trying out a robot's topics.

Its options say how long episodes are, how they end, and when a sensor fails.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from nrl_ros.base.errors import BridgeError, CheckpointError, ConfigError
from nrl_ros.base.records import ActionSpace, EnvSpec, Float32, Int32, StepResult
from nrl_ros.base.settings import Settings
from nrl_ros.environments.interfaces import Environment

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
        ['terminated'], min_length=1, description='How they end, one after the other, repeated'
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


class ScriptedBridge:
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
        self._random = np.random.default_rng(0)
        self._calls = 0
        self._at = np.zeros(instances, np.int64)
        self._episode = np.zeros(instances, np.int64)
        self._over = np.zeros(instances, np.bool_)
        self._sign = np.zeros(instances, np.bool_)

    def reset(self, seed: int) -> Float32:
        """Start all instances anew; return their first observations [B, O]."""
        self._random = np.random.default_rng(seed)
        self._calls = 0
        self._raise_if_due()
        self._at[:] = 0
        self._episode[:] = np.arange(self.spec.instances)
        self._over[:] = False
        return self._observe()

    def _raise_if_due(self) -> None:
        if (self._calls, 'raise') in self._faults:
            raise BridgeError(f'scripted: fault at call {self._calls}')

    def _observe(self) -> Float32:
        shape = (self.spec.instances, self.spec.observation_size)
        observation = self._random.standard_normal(shape, np.float32)
        self._sign = observation[:, 0] < 0.0
        for instance in self._faults.get((self._calls, 'nan_observation'), ()):
            observation[instance] = np.nan
        return observation

    def step(self, action: Int32 | Float32) -> StepResult:
        """Apply one action per instance, and fail if the options say so.

        Raises:
            BridgeError: a fault of kind 'raise' is due.
        """
        self._calls += 1
        self._raise_if_due()
        starting = self._over.copy()
        self._episode += starting
        self._at = np.where(starting, 0, self._at + 1)
        low = action[:, 0] < 1 if self.spec.action.low == () else action[:, 0] < 0.0
        reward = np.where(~starting & (low == self._sign), 1.0, 0.0)
        for instance in self._faults.get((self._calls, 'nan_reward'), ()):
            reward[instance] = np.nan
        ended = ~starting & (self._at >= self._lengths[self._episode % len(self._lengths)])
        how = self._endings[self._episode % len(self._endings)]
        observation = self._observe()
        # As in the episode tracker, a first observation that is not finite can end its episode,
        # while a reward at a reset cannot.
        self._over = ended | (~starting & ~np.isfinite(reward))
        self._over |= ~np.isfinite(observation).all(axis=1)
        return StepResult(
            observation,
            reward,
            ended & (how == 'terminated'),
            ended & (how == 'truncated'),
            ended & (how == 'aborted'),
        )

    def close(self) -> None:
        """Do nothing: no resources are held."""

    def snapshot(self) -> dict[str, Any]:
        """Return everything that decides the future, as plain data and copied arrays."""
        return {
            'calls': self._calls,
            'at': self._at.copy(),
            'episode': self._episode.copy(),
            'over': self._over.copy(),
            'sign': self._sign.copy(),
            'random': self._random.bit_generator.state,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot.

        Raises:
            CheckpointError: it is not one of as many scripted instances.
        """
        same = snapshot.keys() == {'calls', 'at', 'episode', 'over', 'sign', 'random'}
        if not same or len(snapshot['at']) != self.spec.instances:
            raise CheckpointError('the snapshot is not one of this scripted environment')
        self._calls = snapshot['calls']
        self._at = np.array(snapshot['at'])
        self._episode = np.array(snapshot['episode'])
        self._over = np.array(snapshot['over'])
        self._sign = np.array(snapshot['sign'])
        self._random.bit_generator.state = snapshot['random']


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
    """Make a ScriptedBridge, as the registry asks for it."""
    return ScriptedBridge(instances, options)
