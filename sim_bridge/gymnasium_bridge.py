"""Any Gymnasium environment by its id, for any number of instances.

An environment with an array form in Gymnasium (a vector entry point, as CartPole has) is stepped as
one array. Otherwise each instance is an environment of its own, stepped in turn. Time limits are
counted here, so that a limit can be set for both kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatdim, flatten
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import iterate
from numpy.typing import NDArray
from pydantic import Field

from nrl_ros.base.errors import BridgeError, CheckpointError, ConfigError
from nrl_ros.base.records import ActionSpace, Bool, EnvSpec, Float32, Int32, StepResult
from nrl_ros.base.settings import Settings
from nrl_ros.base.state import Stateful, restore_snapshot, transient
from nrl_ros.environments.interfaces import Environment

Array = NDArray[Any]
# One environment in array form for all instances, or one for each instance.
Backend = VectorEnv[Any, Any, Any] | list[gymnasium.Env[Any, Any]]
# Attributes that decide the future of Gymnasium's classic environments, besides their generator.
_STATE: dict[str, tuple[str, ...]] = {
    'CartPoleEnv': ('state', 'steps_beyond_terminated'),
    'AcrobotEnv': ('state',),
    'PendulumEnv': ('state', 'last_u'),
    'MountainCarEnv': ('state',),
    'Continuous_MountainCarEnv': ('state',),
    'CartPoleVectorEnv': ('state', 'steps', 'prev_done'),
}


class GymnasiumOptions(Settings):
    """Options of the bridge 'gymnasium'."""

    id: str = Field(description='Id of the environment, as gymnasium.make takes it')
    kwargs: dict[str, Any] = Field({}, description="The environment's own arguments")
    max_episode_steps: int = Field(
        0, ge=0, description="Steps after which an episode is truncated; 0: the id's own [1]"
    )
    vectorize: bool = Field(True, description='Use the vector entry point if there is one')
    scaling: Literal['none', 'bounds', 'fixed'] = Field(
        'none',
        description='Observations as they are; bounded components to -1..1; or '
        '(observation - offset) * scale',
    )
    offset: list[float] = Field([], description='With fixed: [O] numbers, or one for all; empty: 0')
    scale: list[float] = Field([], description='With fixed: [O] numbers, or one for all; empty: 1')
    action_low: list[float] = Field(
        [], description='Lower action bounds [A], if the environment has none'
    )
    action_high: list[float] = Field(
        [], description='Upper action bounds [A], if the environment has none'
    )
    control_period_s: float = Field(
        0.0, ge=0, description="Period of a step [s]; 0: the environment's own"
    )


class GymnasiumBridge:
    """B instances of a Gymnasium environment.

    Args:
        instances: B.
        options: see GymnasiumOptions.
        backend: what Gymnasium made for B instances.

    Raises:
        ConfigError: spaces, bounds or scaling do not fit.
    """

    def __init__(self, instances: int, options: GymnasiumOptions, backend: Backend) -> None:
        self._many = backend if isinstance(backend, VectorEnv) else None
        self._one = [] if isinstance(backend, VectorEnv) else backend
        source: Any = self._many if self._many is not None else self._one[0]
        prefix = 'single_' if self._many is not None else ''
        self._observation_space = getattr(source, f'{prefix}observation_space')
        self._actions = _Actions(getattr(source, f'{prefix}action_space'), options)
        self._limit = _limit(options)
        low, high = _observation_bounds(self._observation_space)
        self._offset, self._scale = _scaling(options, low, high)
        ends = ((low - self._offset) * self._scale, (high - self._offset) * self._scale)
        self.spec = EnvSpec(
            instances,
            len(low),
            self._actions.space,
            tuple(np.minimum(*ends).tolist()),
            tuple(np.maximum(*ends).tolist()),
            options.control_period_s or _control_period(source),
            self._limit,
        )
        self._plain = options.scaling == 'none'
        self._flat = isinstance(self._observation_space, spaces.Box)
        self._rows = self._flat and len(self._observation_space.shape) == 1
        self._steps = [0] * instances
        self._nobody = np.zeros(instances, np.bool_)
        self._nobody.flags.writeable = False
        # Which instances ended in the newest step and in the one before: (terminated, truncated)
        # each.
        self._ends = self._starting = (self._nobody, self._nobody)
        self._nothing = (np.zeros(instances), np.zeros(instances * len(low), np.float32))

    def reset(self, seed: int) -> Float32:
        """Start all instances anew; return their first observations [B, O]."""
        self._steps = [0] * self.spec.instances
        self._ends = self._starting = (self._nobody, self._nobody)
        if self._many is not None:
            return self._observation(self._many.reset(seed=seed)[0])
        # SeedSequence keeps runs with neighbouring seeds from sharing instances.
        seeds = np.random.SeedSequence(seed).generate_state(len(self._one))
        first = [
            environment.reset(seed=int(number))[0]
            for environment, number in zip(self._one, seeds, strict=True)
        ]
        return self._observation(first)

    def step(self, action: Int32 | Float32) -> StepResult:
        """Apply one action per instance; an instance whose episode ended is reset instead."""
        theirs = self._actions.convert(action, many=self._many is not None)
        result = self._step_many(theirs) if self._many is not None else self._step_one(theirs)
        self._starting, self._ends = self._ends, (result.terminated, result.truncated)
        # 0 times a number that is not finite is NaN, so both sums are 0 only if all numbers are
        # finite.
        nothing, nowhere = self._nothing
        if result.reward.dot(nothing) or result.observation.reshape(-1).dot(nowhere):
            self._end_bad(result)
        return result

    @property
    def _over(self) -> Array:
        """Mask of the instances whose episodes have ended [B]."""
        return np.logical_or(*self._ends)

    def _end_bad(self, result: StepResult) -> None:
        """End episodes with values that are not finite, as the episode tracker does.

        A first observation that is not finite can end its episode, while a reward at a reset
        cannot.
        """
        starting = np.logical_or(*self._starting)
        bad = ~(np.isfinite(result.reward) | starting)
        bad |= ~np.isfinite(result.observation).all(axis=1)
        self._ends = (self._over | bad, self._nobody)
        if self._many is not None and bad.any():
            self._reset_next(bad)

    def _step_many(self, action: Array) -> StepResult:
        assert self._many is not None
        observation, reward, terminated, truncated, _ = self._many.step(action)
        return StepResult(
            self._observation(observation),
            np.asarray(reward, np.float64),
            np.asarray(terminated, np.bool_),
            np.asarray(truncated, np.bool_),
            self._nobody,
        )

    def _reset_next(self, bad: Array) -> None:
        previous = getattr(getattr(self._many, 'unwrapped', None), 'prev_done', None)
        if previous is None:
            raise BridgeError(
                'the environment gave a value that is not finite, and its array form cannot '
                'reset one instance; set bridge.options.vectorize to false'
            )
        previous |= bad

    def _step_one(self, action: Any) -> StepResult:
        # Lists are used, since setting their items costs a fraction of setting an array's.
        observations: list[Any] = []
        rewards: list[float] = []
        ends: list[bool] = []
        late: list[bool] = []
        limit, steps, starting = self._limit, self._steps, self._over.tolist()
        for i, environment in enumerate(self._one):
            if starting[i]:
                seen = environment.reset()[0]
                reward, ended, out_of_time = 0.0, False, False
                steps[i] = 0
            else:
                seen, paid, ended, out_of_time, _ = environment.step(action[i])
                reward = float(paid)
                steps[i] += 1
            observations.append(seen)
            rewards.append(reward)
            ends.append(ended)
            late.append(out_of_time or 0 < limit <= steps[i])
        return StepResult(
            self._observation(observations),
            np.array(rewards, np.float64),
            np.array(ends, np.bool_),
            np.array(late, np.bool_),
            self._nobody,
        )

    def _observation(self, observations: Any) -> Float32:
        count = self.spec.instances
        if self._plain and self._rows:
            # A copy in C order is needed: an array form may reuse its own array, or keep it by
            # columns.
            return np.array(observations, np.float32, order='C')
        if not self._flat:
            space = self._observation_space
            if self._many is not None:
                observations = iterate(self._many.observation_space, observations)
            observations = [flatten(space, item) for item in observations]
        flat = np.array(observations, np.float32, order='C').reshape(count, -1)
        return flat if self._plain else (flat - self._offset) * self._scale

    def close(self) -> None:
        """Close the environments; may be called twice."""
        if self._many is not None:
            self._many.close()
        # Some environments raise if they are closed twice.
        ours, self._one = self._one, []
        for environment in ours:
            environment.close()


@dataclass
class GymnasiumState:
    """What decides the future of B instances.

    Attributes:
        environment: name of its class, as several have a state of the same size.
        steps: of the episodes so far [B], up to date in snapshots alone.
        over: episodes that have ended [B], likewise.
        parts: the generator of each environment, and its attributes of ``_STATE``.
    """

    environment: str
    steps: NDArray[np.int64]
    over: Bool
    parts: list[dict[str, Any]] | None = transient()


class SnapshottableGymnasiumBridge(GymnasiumBridge, Stateful):
    """A GymnasiumBridge that can be saved, for Gymnasium's classic control: its state is known."""

    def __init__(self, instances: int, options: GymnasiumOptions, backend: Backend) -> None:
        super().__init__(instances, options, backend)
        parts = [self._many] if self._many is not None else self._one
        self._inner: list[Any] = [part.unwrapped for part in parts]
        self._names = _STATE[type(self._inner[0]).__name__]
        self.state: GymnasiumState = GymnasiumState(
            type(self._inner[0]).__name__, np.zeros(instances, np.int64), self._nobody.copy()
        )

    def before_snapshot(self) -> None:
        """Collect what Gymnasium's objects hold; some hold nothing before their reset."""
        self.state.steps[:] = self._steps
        self.state.over[:] = self._over
        self.state.parts = [
            {
                'random': inner.np_random,
                **{name: _plain(getattr(inner, name, None)) for name in self._names},
            }
            for inner in self._inner
        ]

    def check_snapshot(self, snapshot: dict[str, Any]) -> None:
        """Refuse the state of other environments, or of another number of them.

        Raises:
            CheckpointError: naming what differs.
        """
        parts = snapshot['parts']
        if not isinstance(parts, list) or len(parts) != len(self._inner):
            raise CheckpointError(f'parts: expected those of {len(self._inner)} environments')
        for inner, saved in zip(self._inner, parts, strict=True):
            generator = np.random.Generator(type(inner.np_random.bit_generator)(0))
            restore_snapshot({'random': generator, **dict.fromkeys(self._names)}, saved, 'parts')

    def after_restore(self) -> None:
        """Give Gymnasium's objects what was put back."""
        self.reset(0)
        for inner, saved in zip(self._inner, self.state.parts or (), strict=True):
            for name in self._names:
                setattr(inner, name, saved[name])
            inner.np_random.bit_generator.state = saved['random']
        self._steps = self.state.steps.tolist()
        self._ends = (self.state.over.copy(), self._nobody)


class _Actions:
    """Converts actions of this package's spaces to the environment's."""

    def __init__(self, space: Any, options: GymnasiumOptions) -> None:
        self._start: Any = None
        self._shape: tuple[int, ...] = ()
        self._dtype: Any = np.int64
        self._binary = isinstance(space, spaces.MultiBinary)
        if isinstance(space, spaces.Discrete):
            self.space = ActionSpace.discrete(int(space.n))
            self._start = int(space.start)
        elif isinstance(space, spaces.MultiDiscrete):
            self.space = ActionSpace.multi_discrete(tuple(space.nvec.ravel().tolist()))
            self._start, self._shape = space.start.ravel(), space.nvec.shape
            self._dtype = space.dtype
        elif isinstance(space, spaces.MultiBinary):
            self.space = ActionSpace.multi_discrete((2,) * int(np.prod(space.shape)))
            self._start, self._shape, self._dtype = 0, space.shape, space.dtype
        elif isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
            low = np.array(options.action_low or space.low.ravel(), np.float64)
            high = np.array(options.action_high or space.high.ravel(), np.float64)
            size = int(np.prod(space.shape))
            if len(low) != size or len(high) != size or not np.isfinite([low, high]).all():
                raise ConfigError(
                    f'{options.id}: expected {size} finite action bounds, received '
                    f'{low.tolist()} and {high.tolist()}; set bridge.options.action_low and '
                    'bridge.options.action_high'
                )
            self.space = ActionSpace.continuous(tuple(low.tolist()), tuple(high.tolist()))
            self._shape, self._dtype = space.shape, space.dtype
        else:
            raise ConfigError(
                f'{options.id}: action space {space}, expected Discrete, MultiDiscrete, '
                'MultiBinary, or a Box of real numbers'
            )

        self._moves = self._start is not None and bool(np.any(self._start))
        self._single = isinstance(space, spaces.Discrete)

    def convert(self, action: Int32 | Float32, *, many: bool) -> Any:
        """Return actions [B, A] as the environment takes them: an array [B, ...], or a list."""
        if not many and self._single:
            return [self._start + choice for (choice,) in action.tolist()]
        if self._single and not self._moves:
            return action[:, 0].astype(self._dtype)
        moved: Array = action + self._start if self._moves else action
        return moved.astype(self._dtype).reshape(len(action), *self._shape)


def _spec(name: str) -> Any:
    try:
        # A prefix "module:" names a module that registers the id when it is imported.
        module, _, rest = name.rpartition(':')
        if module:
            __import__(module)
        return gymnasium.spec(rest)
    except (gymnasium.error.Error, ImportError) as error:
        raise BridgeError(
            f'Gymnasium does not know {name!r}: {error}; if another package brings it, '
            'install that and write the id as PACKAGE:ID'
        ) from error


def _limit(options: GymnasiumOptions) -> int:
    return options.max_episode_steps or _spec(options.id).max_episode_steps or 0


def _open(instances: int, options: GymnasiumOptions) -> Backend:
    if options.vectorize and _spec(options.id).vector_entry_point is not None:
        many = _open_many(instances, options)
        if many is not None:
            return many
    try:
        # -1 switches off Gymnasium's own limit: the bridge counts the steps.
        return [
            gymnasium.make(
                options.id, max_episode_steps=-1, disable_env_checker=True, **options.kwargs
            )
            for _ in range(instances)
        ]
    except Exception as error:
        raise BridgeError(
            f'Gymnasium could not make {options.id!r}: {type(error).__name__}: {error}'
        ) from error


def _open_many(instances: int, options: GymnasiumOptions) -> VectorEnv[Any, Any, Any] | None:
    limit = _limit(options)
    given: dict[str, Any] = {'max_episode_steps': limit} if limit else {}
    try:
        many = gymnasium.make_vec(
            options.id,
            num_envs=instances,
            vectorization_mode=gymnasium.VectorizeMode.VECTOR_ENTRY_POINT,
            **given,
            **options.kwargs,
        )
    except (gymnasium.error.Error, TypeError, ImportError):
        # Some arguments exist for the single environment only.
        return None
    if many.metadata.get('autoreset_mode') != AutoresetMode.NEXT_STEP:
        many.close()
        return None
    return many


def _observation_bounds(space: Any) -> tuple[Array, Array]:
    if isinstance(space, spaces.Box):
        return space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)
    if not space.is_np_flattenable:
        raise ConfigError(f'observation space {space} has no fixed size, so no network fits it')
    size = flatdim(space)
    unknown = isinstance(space, (spaces.Dict, spaces.Tuple))
    return (
        np.full(size, -np.inf if unknown else 0.0),
        np.full(size, np.inf if unknown else 1.0),
    )


def _scaling(options: GymnasiumOptions, low: Array, high: Array) -> tuple[Array, Array]:
    size = len(low)
    offset, scale = np.zeros(size, np.float32), np.ones(size, np.float32)
    if options.scaling == 'bounds':
        # Ranges of 1e30 and more count as unbounded: CartPole declares a bound of 3.4e38.
        bounded = np.isfinite(low) & np.isfinite(high) & (high - low < 1e30) & (high > low)
        offset[bounded] = (low[bounded] + high[bounded]) / 2.0
        scale[bounded] = 2.0 / (high[bounded] - low[bounded])
        return offset, scale
    for name, target in (('offset', offset), ('scale', scale)):
        given = getattr(options, name)
        if given and options.scaling != 'fixed':
            raise ConfigError(f'{name} is given: set bridge.options.scaling to fixed')
        if len(given) not in (0, 1, size):
            raise ConfigError(f'{name}: expected 1 or {size} numbers, received {len(given)}')
        if given:
            target[:] = given
    if not (np.isfinite(offset).all() and np.isfinite(scale).all() and scale.all()):
        raise ConfigError(
            f'offset must be finite and scale finite and not 0, received {options.offset} and '
            f'{options.scale}'
        )
    return offset, scale


def _control_period(environment: Any) -> float:
    for name in ('tau', 'dt'):
        value = getattr(environment.unwrapped, name, None)
        if isinstance(value, (int, float)) and value > 0.0:
            return float(value)
    frames = environment.metadata.get('render_fps')
    return 1.0 / frames if frames else 0.0


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return np.array(value)


def make(instances: int, options: GymnasiumOptions) -> Environment:
    """Make a GymnasiumBridge, as the registry asks for it.

    Raises:
        BridgeError: Gymnasium does not know the id, or cannot make it.
        ConfigError: an option, or a space, does not fit.
    """
    backend = _open(instances, options)
    inner = type(backend.unwrapped if isinstance(backend, VectorEnv) else backend[0].unwrapped)
    known = inner.__name__ in _STATE and inner.__module__.startswith('gymnasium.envs.classic')
    bridge = SnapshottableGymnasiumBridge if known else GymnasiumBridge
    return bridge(instances, options, backend)
