"""PPO and SAC of stable-baselines3 on the arms that NRL learns on: pip install '.[yardstick]'.

The same bridge, observations, rewards, episodes and number of arms; actions in -1 .. 1 of the same
bounds. Both with the library's own settings but for those named here, which suit many short
episodes at once; neither was tuned further.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from benchmarks.arm_runs import Act, settings_of
from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import StateBatch
from nrl_ros.environments.registry import make_bridge
from nrl_ros.settings.environment import BridgeGroup

Array = NDArray[Any]

# What differs from the library's defaults.
SETTINGS: dict[str, dict[str, Any]] = {
    # 50 steps of 256 arms a rollout, minibatches of 1,600.
    'ppo': {'n_steps': 50, 'batch_size': 1600, 'gamma': 0.95},
    # Of all arms together one step an update; as many updates a step as there is time for.
    'sac': {'gamma': 0.95, 'learning_starts': 10_000, 'gradient_steps': 4, 'batch_size': 256},
}
# Of one arm alone, which is a step of a rollout or of replay at a time.
ALONE: dict[str, dict[str, Any]] = {
    'ppo': {'n_steps': 250, 'batch_size': 50, 'gamma': 0.95},
    'sac': {'gamma': 0.95, 'learning_starts': 250},
}
ARMS = {'ppo': 256, 'sac': 64}
ALGORITHMS: dict[str, type[BaseAlgorithm]] = {'ppo': PPO, 'sac': SAC}


class Arms(VecEnv):
    """A bridge whose episodes all end together, as stable-baselines3 wants it.

    Args:
        name: of the bridge.
        instances: B.
        options: of the bridge.
        seed: of targets and starts.

    Raises:
        ConfigError: its actions are choices.
    """

    def __init__(self, name: str, instances: int, options: dict[str, Any], seed: int) -> None:
        self._bridge = make_bridge(name, instances, options)
        self._seed = seed
        spec = self._bridge.spec
        if not spec.action.low:
            raise ConfigError('the yardstick takes continuous actions; set action.choices to 0')
        low, high = np.array(spec.action.low), np.array(spec.action.high)
        self._middle, self._half = (low + high) / 2.0, (high - low) / 2.0
        super().__init__(
            instances,
            spaces.Box(-np.inf, np.inf, (spec.observation_size,), np.float32),
            spaces.Box(-1.0, 1.0, (spec.action.components,), np.float32),
        )

    def scaled(self, action: Array) -> Array:
        """Actions in -1 .. 1 in the bridge's units [B, A]."""
        inside = np.clip(action, -1.0, 1.0)
        return np.asarray(self._middle + self._half * inside, np.float32)

    def reset(self) -> Array:
        """See VecEnv."""
        return self._bridge.reset(self._seed)

    def step_async(self, actions: Array) -> None:
        """See VecEnv."""
        self._action = self.scaled(actions)

    def step_wait(self) -> tuple[Array, Array, Array, list[dict[str, Any]]]:
        """See VecEnv: an ended episode's last observation is in the infos."""
        result = self._bridge.step(self._action)
        done = result.terminated | result.truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        observation = result.observation
        if done.any():
            if not done.all():
                raise ConfigError('the yardstick takes episodes that all end together')
            for info, last, cut in zip(infos, observation, result.truncated, strict=True):
                info |= {'terminal_observation': last, 'TimeLimit.truncated': bool(cut)}
            # The step in which the bridge begins anew is none of an episode.
            observation = self._bridge.step(np.zeros_like(self._action)).observation
        return observation, result.reward.astype(np.float32), done, infos

    def close(self) -> None:
        """See VecEnv."""
        self._bridge.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """See VecEnv; all that is ever asked for is how to draw it."""
        return [{'render_mode': None}[attr_name]] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """See VecEnv."""
        raise AttributeError(attr_name)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """See VecEnv."""
        raise AttributeError(method_name)

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """See VecEnv."""
        return [False] * self.num_envs


class _Marks(BaseCallback):
    """Calls a function with the number of steps at each of several marks, and ends at the last."""

    def __init__(self, marks: Sequence[int], at: Callable[[int], None]) -> None:
        super().__init__()
        self._marks, self._at = list(marks), at

    def _on_step(self) -> bool:
        if self._marks and self.num_timesteps >= self._marks[0]:
            self._at(self._marks.pop(0))
        return bool(self._marks)


class _Deadline(BaseCallback):
    """Ends training when the time is up, by a clock."""

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        super().__init__()
        self._clock, self._end = clock, clock() + seconds

    def _on_step(self) -> bool:
        return self._clock() < self._end


class Limit(NamedTuple):
    """How long a method may train.

    Attributes:
        seconds: as the clock counts them.
        clock: of wall time, or of the processor time of this process.
    """

    seconds: float
    clock: Callable[[], float] = time.perf_counter


class Trained(NamedTuple):
    """What a method has learned.

    Attributes:
        act: its policy.
        steps: of the environment, of all arms together.
        seconds: of wall time that they took.
        processor_s: of processor time.
    """

    act: Act
    steps: int
    seconds: float
    processor_s: float


def train(
    algorithm: str, overrides: Sequence[str], *, seed: int, limit: Limit, task: str = 'ur5e'
) -> Trained:
    """Train for so long on one core.

    Args:
        algorithm: 'ppo' or 'sac'.
        overrides: of the task's file, as ``NODE.NAME=VALUE``.
        seed: of everything.
        limit: of the time.
        task: name of the file.
    """
    torch.set_num_threads(1)
    bridge = settings_of(overrides, seed=seed, task=task).environment.bridge
    arms = Arms(bridge.name, ARMS[algorithm], dict(bridge.options), seed)
    model = ALGORITHMS[algorithm]('MlpPolicy', arms, seed=seed, device='cpu', **SETTINGS[algorithm])
    start, used = time.perf_counter(), time.process_time()
    model.learn(10**12, callback=_Deadline(limit.clock, limit.seconds))
    took, used = time.perf_counter() - start, time.process_time() - used

    def act(state: StateBatch) -> Array:
        action, _ = model.predict(state.observation, deterministic=True)
        return arms.scaled(action)

    return Trained(act, model.num_timesteps, round(took, 1), round(used, 1))


def train_alone(
    algorithm: str,
    bridge: BridgeGroup,
    *,
    seed: int,
    marks: Sequence[int],
    scored: Callable[[int, Act], None],
) -> None:
    """Train on one arm, and let its policy be scored on the way.

    Args:
        algorithm: 'ppo' or 'sac'.
        bridge: of the task; its arms are one.
        seed: of everything.
        marks: actions after which it is scored; the last ends it.
        scored: gets the actions so far, and the policy.
    """
    torch.set_num_threads(1)
    arms = Arms(bridge.name, 1, dict(bridge.options), seed)
    model = ALGORITHMS[algorithm]('MlpPolicy', arms, seed=seed, device='cpu', **ALONE[algorithm])

    def act(state: StateBatch) -> Array:
        action, _ = model.predict(state.observation, deterministic=True)
        return arms.scaled(action)

    model.learn(10**12, callback=_Marks(marks, lambda actions: scored(actions, act)))
