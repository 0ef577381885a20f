"""Any Gymnasium environment by its id, for any number of instances.

An environment with an array form in Gymnasium (a vector entry point, as CartPole has) is stepped as
one array. Otherwise each instance is an environment of its own, stepped in turn. Time limits are
counted here, so that a limit can be set for both kinds.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import iterate
from numpy.typing import NDArray

from nrl_ros.base.errors import BridgeError, CheckpointError, NrlError, describe
from nrl_ros.base.records import Bool, EnvSpec, Float32, Int32, Observation, StepResult
from nrl_ros.base.state import Stateful, restore_snapshot, transient
from nrl_ros.environments.interfaces import Environment
from sim_bridge import gymnasium_faults as faults
from sim_bridge.gymnasium_forms import GymnasiumForms
from sim_bridge.gymnasium_ids import spec_of, to_make
from sim_bridge.gymnasium_options import GymnasiumOptions
from sim_bridge.gymnasium_spaces import Actions, Observations
from sim_bridge.gymnasium_wrappers import wrap

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


class GymnasiumBridge:
    """B instances of a Gymnasium environment.

    Args:
        instances: B.
        options: see GymnasiumOptions.
        backend: what Gymnasium made for B instances.

    Attributes:
        forms: how the task itself writes observations and actions.

    Raises:
        ConfigError: spaces, bounds or scaling do not fit.
    """

    def __init__(self, instances: int, options: GymnasiumOptions, backend: Backend) -> None:
        self._many = backend if isinstance(backend, VectorEnv) else None
        self._one = [] if isinstance(backend, VectorEnv) else backend
        self._id = options.id
        source: Any = self._many if self._many is not None else self._one[0]
        prefix = 'single_' if self._many is not None else ''
        seen = _space(source, f'{prefix}observation_space')
        self._observations = Observations(seen, options)
        self._actions = Actions(_space(source, f'{prefix}action_space'), options)
        self.forms = GymnasiumForms(options.id, seen, self._observations, self._actions)
        self._limit = _limit(options)
        low, high = self._observations.low, self._observations.high
        self.spec = EnvSpec(
            instances,
            len(low),
            self._actions.space,
            tuple(low.tolist()),
            tuple(high.tolist()),
            options.control_period_s or _control_period(source),
            self._limit,
            observation_shape=self._observations.shape,
            observation_format=self._observations.format,
        )
        self._steps = [0] * instances
        self._nobody = np.zeros(instances, np.bool_)
        self._nobody.flags.writeable = False
        # Which instances ended in the newest step and in the one before: (terminated, truncated)
        # each.
        self._ends = self._starting = (self._nobody, self._nobody)
        kind = self.spec.observation_format.dtype
        # Bytes are always finite.
        self._observed = 0 if kind == np.uint8 else instances * len(low)
        self._nothing = (np.zeros(instances), np.zeros(self._observed, kind))
        self._is_masked = self._is_closed = False

    def reset(self, seed: int) -> Observation:
        """Start all instances anew; return their first observations [B, O].

        Raises:
            BridgeError: an environment failed, or returned something else than its space says.
        """
        self._steps = [0] * self.spec.instances
        self._ends = self._starting = (self._nobody, self._nobody)
        if self._many is not None:
            try:
                seen = self._many.reset(seed=seed)[0]
            except Exception as error:
                raise BridgeError(f'{self._id}: reset failed: {describe(error)}') from error
            return self._observation(seen)
        # SeedSequence keeps runs with neighbouring seeds from sharing instances.
        seeds = np.random.SeedSequence(seed).generate_state(len(self._one))
        first = [self._reset_one(i, int(number)) for i, number in enumerate(seeds)]
        return self._observation(first)

    def _reset_one(self, instance: int, seed: int | None = None) -> Any:
        environment = self._one[instance]
        try:
            # A reset between episodes goes on with the generator that the first seed has set.
            received = environment.reset() if seed is None else environment.reset(seed=seed)
        except Exception as error:
            raise self._fault(instance, faults.reset_failed(environment, error)) from error
        if not faults.is_reset(received):
            raise self._fault(instance, faults.reset_returned(received))
        self._is_masked = 'action_mask' in received[1]
        return received[0]

    def _fault(self, instance: int, text: str) -> BridgeError:
        """Return the error on one instance, with its step if its episode has begun."""
        step = self._steps[instance]
        at = f', step {step}' if step else ''
        return BridgeError(f'{self._id}, instance {instance}{at}: {text}')

    def step(self, action: Int32 | Float32) -> StepResult:
        """Apply one action per instance; an instance whose episode ended is reset instead.

        Raises:
            BridgeError: an environment failed, or returned something else than its space says.
        """
        theirs = self._actions.convert(action, many=self._many is not None)
        result = self._step_many(theirs) if self._many is not None else self._step_one(theirs)
        self._starting, self._ends = self._ends, (result.terminated, result.truncated)
        # 0 times a number that is not finite is NaN, so both sums are 0 only if all numbers are
        # finite.
        nothing, nowhere = self._nothing
        numbers = result.observation.reshape(-1)[: self._observed]
        if result.reward.dot(nothing) or numbers.dot(nowhere):
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
            self._reset_next(bad, 'the environment gave a value that is not finite')

    def end(self, which: Array) -> None:
        """End episodes with the newest step: those instances are reset by the next one.

        Raises:
            BridgeError: the array form of the environment cannot reset one instance.
        """
        self._ends = (self._over | which, self._nobody)
        if self._many is not None and which.any():
            self._reset_next(which, 'a person has ended an episode')

    def _step_many(self, action: Array) -> StepResult:
        assert self._many is not None
        try:
            observation, reward, terminated, truncated, _ = self._many.step(action)
        except Exception as error:
            raise BridgeError(f'{self._id}: step failed: {describe(error)}') from error
        return StepResult(
            self._observation(observation),
            np.asarray(reward, np.float64),
            np.asarray(terminated, np.bool_),
            np.asarray(truncated, np.bool_),
            self._nobody,
        )

    def _reset_next(self, which: Array, why: str) -> None:
        previous = getattr(getattr(self._many, 'unwrapped', None), 'prev_done', None)
        if previous is None:
            raise BridgeError(
                f'{why}, and its array form cannot reset one instance; set '
                'bridge.options.vectorize to false'
            )
        previous |= which

    def _step_one(self, action: Any) -> StepResult:
        # Lists are used, since setting their items costs a fraction of setting an array's.
        observations: list[Any] = []
        rewards: list[float] = []
        ends: list[bool] = []
        late: list[bool] = []
        limit, steps, starting = self._limit, self._steps, self._over.tolist()
        reward: Any
        for i, environment in enumerate(self._one):
            if starting[i]:
                steps[i] = 0
                seen, reward, ended, out_of_time = self._reset_one(i), 0.0, False, False
            else:
                steps[i] += 1
                try:
                    received = environment.step(action[i])
                except Exception as error:
                    text = faults.step_failed(action[i], error, masked=self._is_masked)
                    raise self._fault(i, text) from error
                try:
                    seen, reward, ended, out_of_time, _ = received
                except (TypeError, ValueError) as error:
                    raise self._fault(i, faults.step_returned(received)) from error
            observations.append(seen)
            # Most environments return a float and two bools, which need no look.
            if (
                type(reward) is not float
                or type(ended) is not bool
                or type(out_of_time) is not bool
            ):
                reward, ended, out_of_time = self._numbers(i, reward, ended, out_of_time)
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

    def _numbers(
        self, instance: int, reward: Any, terminated: Any, truncated: Any
    ) -> tuple[float, bool, bool]:
        try:
            return (
                faults.as_reward(reward),
                faults.as_flag(terminated, 'terminated'),
                faults.as_flag(truncated, 'truncated'),
            )
        except faults.MisfitError as error:
            raise self._fault(instance, str(error)) from error

    def _observation(self, observations: Any) -> Observation:
        if self._many is not None and not isinstance(observations, np.ndarray):
            observations = list(iterate(self._many.observation_space, observations))
        try:
            return self._observations.convert(observations)
        except faults.InstanceFault as error:
            raise self._fault(error.instance, str(error)) from error

    def frame(self) -> Array:
        """Return the picture that the environment renders of instance 0 [height, width, 3].

        Raises:
            BridgeError: it renders none.
        """
        if not self._one:
            raise BridgeError(f'{self._id}: set bridge.options.render to have pictures')
        try:
            return faults.as_picture(self._one[0].render())
        except faults.MisfitError as error:
            modes = self._one[0].metadata.get('render_modes')
            text = f'{error}; its render_modes are {modes}, expected rgb_array among them'
            raise self._fault(0, text) from error
        except Exception as error:
            raise self._fault(0, f'render failed: {describe(error)}') from error

    def close(self) -> None:
        """Close the environments; may be called twice.

        Raises:
            BridgeError: one of them raised an error; the others are closed.
        """
        # Some environments raise if they are closed twice.
        ours: list[Any] = [*self._one]
        if self._many is not None and not self._is_closed:
            ours.append(self._many)
        self._one, self._is_closed = [], True
        raised = None
        for i, environment in enumerate(ours):
            try:
                environment.close()
            except Exception as error:  # noqa: BLE001 - told when the others are closed
                raised = raised or BridgeError(
                    f'{self._id}, instance {i}: close failed: {describe(error)}'
                )
        if raised is not None:
            raise raised


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


def _limit(options: GymnasiumOptions) -> int:
    return options.max_episode_steps or spec_of(options).max_episode_steps or 0


def _open(instances: int, options: GymnasiumOptions) -> Backend:
    # Wrappers are for single environments.
    one_array = options.vectorize and not options.wrappers and not options.render
    if one_array and spec_of(options).vector_entry_point is not None:
        many = _open_many(instances, options)
        if many is not None:
            return many
    named = to_make(options)
    shown = {'render_mode': 'rgb_array'} if options.render else {}
    made: list[gymnasium.Env[Any, Any]] = []
    try:
        for _ in range(instances):
            # -1 switches off Gymnasium's own limit: the bridge counts the steps.
            made.append(
                gymnasium.make(
                    named,
                    max_episode_steps=-1,
                    disable_env_checker=True,
                    **options.kwargs | shown,
                )
            )
            made[-1] = wrap(made[-1], options.wrappers)
    except NrlError as error:
        _close_all(made)
        raise type(error)(f'{options.id}: {error}') from error
    except Exception as error:
        _close_all(made)
        which = f'instance {len(made)} of ' if instances > 1 else ''
        raise BridgeError(
            f'Gymnasium could not make {which}{options.id!r}: {describe(error)}{_hint(error)}'
        ) from error
    return made


def _close_all(made: list[Any]) -> None:
    """Close environments after a fault: what they hold, such as a port, would stay in use."""
    for one in made:
        with contextlib.suppress(Exception):
            one.close()


def _hint(error: Exception) -> str:
    """Return how an error is mended that environments with ROS inside raise."""
    if 'Context.init() must only be called once' not in str(error):
        return ''
    return (
        '; ROS runs in this process already: let the environment call rclpy.init() only '
        '`if not rclpy.ok()`, or with a Context of its own'
    )


def _space(source: Any, name: str) -> Any:
    try:
        return getattr(source, name, None)
    except Exception:  # noqa: BLE001 - a property of the environment, which may raise anything
        return None


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
    # Wrappers may remember things of which nothing is known here.
    plain = inner.__name__ in _STATE and not options.wrappers
    known = plain and inner.__module__.startswith('gymnasium.envs.classic')
    bridge = SnapshottableGymnasiumBridge if known else GymnasiumBridge
    try:
        return bridge(instances, options, backend)
    except BaseException:
        _close_all([backend] if isinstance(backend, VectorEnv) else backend)
        raise
