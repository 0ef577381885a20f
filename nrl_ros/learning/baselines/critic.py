"""A critic: a learned value of states, with which the neuromodulator compares rewards.

The temporal-difference error of a credit window that began in state s and closed in s' after n
steps is ``delta = r + g^n V(s') - V(s)``. Here r is the window's reward, and V(s') = 0 if the task
ended in s' (Sutton and Barto 2018, sections 6.1 and 12). The critic is a network like the policy
and learns by the same rule: with noise in its neurons, ``rho = V~(s) - V(s)`` takes the place of
the policy's impact, and the eligibility is an estimate of the gradient of V. With the rule
'backpropagation' it is that gradient. ``W <- W + eta c mean(delta e)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, ValidationInfo, field_validator

from nrl_ros.base.errors import (
    CheckpointError,
    InvalidValueError,
    ProtocolError,
    ShapeError,
)
from nrl_ros.base.limits import Limits
from nrl_ros.base.records import Ending, Phase, RewardBatch, StateBatch
from nrl_ros.base.settings import Settings, shared
from nrl_ros.learning.baselines.base import Baseline
from nrl_ros.learning.checks import check_arrays
from nrl_ros.learning.heads import PolicyHead
from nrl_ros.learning.interfaces import Explorer, PlasticityRule
from nrl_ros.learning.moments import RunningMoments
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec, xavier_normal
from nrl_ros.learning.networks.inputs import network_input
from nrl_ros.learning.networks.settings import NetworkSettings
from nrl_ros.learning.noise import NoiseSettings, NoiseStream, agent_generators
from nrl_ros.learning.optimisers import OPTIMISERS, Optimiser, OptimiserName
from nrl_ros.learning.rules import NodePerturbation, make_rule

Array = NDArray[Any]

_LAST = int(Phase.LAST)
_GOES_ON = int(Ending.NONE)
_TERMINATED = int(Ending.TERMINATED)
_NO_WINDOW = -1
# Normalised errors are cut off here, since a first reward after many of 0 is far from all others.
_LARGEST_ERROR = 10.0
# So many sessions of one agent are remembered at the same time.
_SESSIONS = 4
_FLOAT_BYTES = 8


class CriticSettings(Settings):
    """Settings of the critic, which count if the baseline is 'critic'.

    Raises:
        ConfigError: a setting is out of its range.
    """

    hidden_sizes: tuple[PositiveInt, ...] = shared(NetworkSettings, 'hidden_sizes')
    rule: Literal['nrl', 'antithetic', 'backpropagation'] = Field(
        'nrl', description='How it learns values: by the noise of its neurons, or by gradient'
    )
    samples: int = shared(NodePerturbation, 'samples', 'Noisy passes per state, averaged [1]')
    sigma: float = shared(NodePerturbation, 'sigma', 'Standard deviation of its noise [1]')
    learning_rate: float = Field(1e-3, ge=0, description='Size of its steps [1]')
    optimiser: OptimiserName = Field(
        'adam',
        description='From estimated gradient to weight change: '
        f'{", ".join(OPTIMISERS)}, or your own',
    )
    discount: float = Field(0.99, ge=0, le=1, description='Of values, per step [1]')
    normalise_observations: bool = Field(
        False,
        description='Value each observation as standard deviations from the mean of all seen',
    )
    normalise_rewards: bool = Field(
        False,
        description='Learn values in units of the running standard deviation of discounted '
        "returns; RPEs stay in the task's units",
    )
    seed: int = Field(0, ge=0, description='Fixes its weights and noise [1]')
    # These fields stand last, since their checks need the values of the fields above.
    optimiser_options: dict[str, Any] = Field(
        {}, description='Options of the optimiser itself, given as critic.optimiser_options.NAME'
    )

    @field_validator('optimiser_options')
    @classmethod
    def _fit(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        name = info.data.get('optimiser')
        return options if name is None else OPTIMISERS.check(name, options)

    def make_rule(self) -> PlasticityRule:
        """Return the rule by which the critic learns."""
        return make_rule(self.rule, {'samples': self.samples, 'sigma': self.sigma})


class ValueHead(PolicyHead):
    """A head of one output, the value, which the rules treat like a log-probability."""

    outputs = 1
    action_dtype: type[np.int32] | type[np.float32] = np.float32

    def draw(self, z: Array, generator: np.random.Generator) -> Array:
        """Return the value itself [B, 1]; nothing is drawn."""
        return np.array(z)

    def greedy(self, z: Array) -> Array:
        """Return the value itself [B, 1]."""
        return np.array(z)

    def log_probability(self, z: Array, choice: Array) -> Array:
        """Return the value [..., B]."""
        return np.asarray(z[..., 0], np.float64)

    def gradient(self, z: Array, choice: Array) -> Array:
        """Return 1 for each output: the value is the output itself."""
        return np.ones_like(z)

    def to_action(self, choice: Array) -> Array:
        """Return the value unchanged; it is never sent as an action."""
        return choice


class _Track:
    """What is remembered of one agent: its open windows, and those that closed last."""

    def __init__(
        self, state: StateBatch, network: Network, rule: PlasticityRule, seed: int
    ) -> None:
        batch, spec = len(state.phase), network.spec
        self.sequence = -1
        self.states = 0
        noise, self.generator = agent_generators(seed, f'critic of {state.agent}', 2)
        rows, components = rule.noise_size(spec, batch)
        self.noise = NoiseStream(
            NoiseSettings(), noise, rows=rows, components=components, dtype=network.dtype
        )
        self.explorer: Explorer = rule.explorer(network, ValueHead(), batch=batch, source=0)
        post = np.zeros((batch, rule.samples, spec.noise_components), network.dtype)
        pre = np.zeros((batch, rule.samples, spec.input_components), network.dtype)
        self.open = _Windows(batch, post, pre)
        self.closed = _Windows(batch, post.copy(), pre.copy())
        # Discounted sums of the rewards of each instance's episode.
        self.returns = np.zeros(batch)
        self.bytes = self.bytes_of(batch, rule.samples * (rows_of(spec)))

    @staticmethod
    def bytes_of(batch: int, row: int) -> int:
        """Return about how much a track takes: rows of open and closed windows, and their noise."""
        return 3 * batch * row * _FLOAT_BYTES


def rows_of(spec: NetworkSpec) -> int:
    """Return the numbers in the rows of one step."""
    return spec.noise_components + spec.input_components


class _Windows:
    """The window of each instance: value and rows of its first state, and what followed it."""

    def __init__(self, batch: int, post: Array, pre: Array) -> None:
        self.window = np.full(batch, _NO_WINDOW, np.int64)
        self.step = np.zeros(batch, np.int64)
        self.value = np.zeros(batch)
        self.post = post
        self.pre = pre
        self.following = np.zeros(batch)
        self.discount = np.ones(batch)
        self.over = np.zeros(batch, np.bool_)

    def take(self, other: _Windows, index: Array) -> None:
        """Copy some windows of another record."""
        for name in ('window', 'step', 'value', 'post', 'pre'):
            getattr(self, name)[index] = getattr(other, name)[index]


@dataclass
class CriticState:
    """What a critic has learned; its open windows are not part of it.

    Attributes:
        hidden_sizes: as in the settings, in words.
        optimiser_name: as in the settings.
        optimiser: from gradients to weights.
        weights: one matrix [out, in] for each layer; empty before the first state.
    """

    hidden_sizes: str
    optimiser_name: str
    optimiser: Optimiser
    weights: list[Array] = field(default_factory=list)


@dataclass
class NormalisedCriticState(CriticState):
    """What a critic has learned that normalises observations or rewards.

    Attributes:
        observations: moments of the observations seen.
        returns: moments of the discounted returns.
    """

    observations: RunningMoments = field(default_factory=RunningMoments)
    returns: RunningMoments = field(default_factory=RunningMoments)


class Critic(Baseline):
    """Values of states for all agents; the first agent that is seen sets the sizes.

    Args:
        settings: what cannot change while it runs; None: the defaults.
        limits: how much agents may ask for; None: no limit.
    """

    sees_states = True

    def __init__(
        self, settings: CriticSettings | None = None, limits: Limits | None = None
    ) -> None:
        self.settings = settings = settings or CriticSettings()
        self._rule = settings.make_rule()
        self._limits = limits
        self._network: Network | None = None
        self._tracks: dict[tuple[str, int], _Track] = {}
        normalises = settings.normalise_observations or settings.normalise_rewards
        self.state: CriticState = (NormalisedCriticState if normalises else CriticState)(
            ', '.join(map(str, settings.hidden_sizes)),
            settings.optimiser,
            OPTIMISERS.make(settings.optimiser, options=settings.optimiser_options),
        )

    @property
    def _observations(self) -> RunningMoments | None:
        """Moments of observations; None if they are not normalised."""
        state, wanted = self.state, self.settings.normalise_observations
        return state.observations if wanted and isinstance(state, NormalisedCriticState) else None

    @property
    def _returns(self) -> RunningMoments | None:
        """Moments of discounted returns; None if rewards are not normalised."""
        state, wanted = self.state, self.settings.normalise_rewards
        return state.returns if wanted and isinstance(state, NormalisedCriticState) else None

    @property
    def _unit(self) -> float:
        """What a value of 1 is in the task's units."""
        returns = self._returns
        return 1.0 if returns is None else float(returns.deviation[0])

    def _build(self, inputs: int) -> Network:
        settings = self.settings
        spec = NetworkSpec(inputs, settings.hidden_sizes, 1, bias=True)
        generator = np.random.Generator(np.random.SFC64(np.random.SeedSequence(settings.seed + 1)))
        weights = xavier_normal(spec, generator)
        # All values begin at 0. In tasks with costs only, states that were not seen yet then look
        # best.
        weights[-1][...] = 0.0
        return Network(spec, weights)

    def waits_for(self, reward: RewardBatch) -> bool:
        """Return whether the state that rewards came with has not been seen yet.

        Raises:
            ProtocolError: it had another number of instances.
        """
        track = self._tracks.get((reward.agent, reward.session))
        if track is None or track.sequence < reward.sequence:
            return True
        batch = len(track.open.window)
        if reward.instances != batch:
            raise ProtocolError(
                f'agent {reward.agent!r} has {batch} instances, its reward says {reward.instances}'
            )
        return False

    def observe(self, state: StateBatch) -> None:
        """Take a state: compute its value, close the windows that are over, and open the new ones.

        Raises:
            ShapeError: it has another size than those before, or arrays of unequal length.
            InvalidValueError: an observation is not finite.
            LimitError: it is larger than the limits allow.
        """
        batch, inputs = state.observation.shape
        key = state.agent, state.session
        track = self._tracks.get(key)
        if self._limits is not None and track is None:
            self._limits.check_sizes(state.agent, batch, inputs)
        check_arrays(state, batch if track is None else len(track.open.window), inputs)
        if state.observation.dtype == np.uint8:
            state = replace(state, observation=network_input(state.observation, np.float32))
        if not np.isfinite(state.observation).all():
            raise InvalidValueError(f'state of {state.agent!r}: an observation is not finite')
        if self._network is None:
            self._network = self._build(inputs)
            self.state.weights = self._network.weights
        if inputs != self._network.spec.inputs:
            raise ShapeError(
                f'critic: agent {state.agent!r} has {inputs} observations, expected '
                f'{self._network.spec.inputs}; start another neuromodulator, in another namespace'
            )
        if track is None:
            track = self._begin(state, self._network)
        if state.sequence <= track.sequence:
            return
        track.sequence = state.sequence
        track.states += 1
        observations = self._observations
        if observations is not None:
            observations.add(state.observation)
        self._advance(track, state)

    def _begin(self, state: StateBatch, network: Network) -> _Track:
        """Begin to remember a session; the newest few sessions of an agent are kept."""
        if self._limits is not None:
            batch, rule, spec = len(state.phase), self._rule, network.spec
            row = rule.samples * rows_of(spec)
            used = sum(track.bytes for track in self._tracks.values())
            self._limits.check_memory(state.agent, _Track.bytes_of(batch, row), used)
        track = _Track(state, network, self._rule, self.settings.seed)
        mine = [key for key in self._tracks if key[0] == state.agent]
        if len(mine) >= _SESSIONS:
            # The session with the fewest states is forgotten, so that none that still runs is lost.
            del self._tracks[min(mine, key=lambda key: self._tracks[key].states)]
        self._tracks[state.agent, state.session] = track
        return track

    def _advance(self, track: _Track, state: StateBatch) -> None:
        opened, closed = track.open, track.closed
        window = state.window.astype(np.int64)
        over = opened.window != window
        begins = over & (state.phase != _LAST)
        if not over.any():
            return
        observation = self._as_learned(state.observation)
        value, rows = track.explorer.explore(observation, track.noise.next(), track.generator)
        closes = np.flatnonzero(over & (opened.window != _NO_WINDOW))
        if len(closes):
            closed.take(opened, closes)
            steps = state.step[closes].astype(np.int64) - opened.step[closes]
            discount = np.power(self.settings.discount, np.maximum(steps, 1))
            closed.discount[closes] = discount
            closed.over[closes] = state.ending[closes] != _GOES_ON
            goes_on = state.ending[closes] != _TERMINATED
            closed.following[closes] = np.where(goes_on, discount * value[closes, 0], 0.0)
        opened.window[over] = _NO_WINDOW
        index = np.flatnonzero(begins)
        if len(index):
            post, pre = rows()
            opened.window[index] = window[index]
            opened.step[index] = state.step[index]
            opened.value[index] = value[index, 0]
            opened.post[index] = post[:, index].swapaxes(0, 1)
            opened.pre[index] = pre[:, index].swapaxes(0, 1)

    def _as_learned(self, observation: Array) -> Array:
        observations = self._observations
        return observation if observations is None else observations.normalised(observation)

    def matches(self, reward: RewardBatch) -> Array:
        """Return the windows [K] whose states are known."""
        closed = self._tracks[reward.agent, reward.session].closed
        return np.asarray(closed.window[reward.instance] == reward.window)

    def expect(self, reward: RewardBatch, average: Array) -> Array:
        """Return what rewards are compared with: ``V(s) - g^n V(s')`` [K]."""
        track, index = self._tracks[reward.agent, reward.session], reward.instance
        closed = track.closed
        if self._returns is not None:
            track.returns[index] = closed.discount[index] * track.returns[index] + reward.value
            self._returns.add(track.returns[index, None])
            track.returns[index[closed.over[index]]] = 0.0
        return np.asarray(self._unit * (closed.value[index] - closed.following[index]))

    def learn(self, reward: RewardBatch, instance: Array, rpe: Array) -> None:
        """Learn from temporal-difference errors [K] of the windows closed last."""
        network = self._network
        closed = self._tracks[reward.agent, reward.session].closed
        assert network is not None
        spec, count = network.spec, len(instance)
        if self._returns is not None:
            rpe = np.clip(rpe / self._unit, -_LARGEST_ERROR, _LARGEST_ERROR)
        weight = (rpe / max(count, 1)).astype(network.dtype)[:, None, None]
        post = (closed.post[instance] * weight).reshape(-1, spec.noise_components)
        pre = closed.pre[instance].reshape(-1, spec.input_components)
        scales = self._rule.scales(spec)
        totals = [
            scale * (post[:, out].T @ pre[:, where])
            for scale, out, where in zip(scales, spec.noise_slices, spec.input_slices, strict=True)
        ]
        if all(np.isfinite(total).all() for total in totals):
            self.state.optimiser.step(network.weights, totals, self.settings.learning_rate)
        # The critic learns from each window once.
        closed.window[instance] = _NO_WINDOW

    def value(self, observation: Array) -> Array:
        """Return the values [B] of observations [B, O], without noise, in the task's units."""
        if self._network is None:
            return np.zeros(len(observation))
        activity = np.asarray(self._as_learned(observation), np.float64)
        spec = self._network.spec
        for layer, weight in enumerate(self._network.weights):
            if layer:
                activity = np.maximum(activity, spec.leak * activity)
            activity = np.concatenate([activity, np.ones((len(activity), 1))], axis=1) @ weight.T
        return np.asarray(self._unit * activity[:, 0])

    def check_snapshot(self, snapshot: dict[str, Any]) -> None:
        """Refuse weights that are no finite ones of such a critic.

        Raises:
            CheckpointError: they are not.
        """
        weights = snapshot['weights']
        for weight in weights:
            if not (isinstance(weight, np.ndarray) and weight.ndim == 2):
                raise CheckpointError('the saved critic has weights that are no matrices')
            if not np.isfinite(weight).all():
                raise CheckpointError('the saved critic has weights that are not finite')
        try:
            network = self._network_of(weights)
        except ShapeError as error:
            raise CheckpointError(f'the saved critic: {error}') from error
        mean = snapshot.get('observations', {}).get('mean')
        if network is not None and mean is not None and mean.shape != (network.spec.inputs,):
            raise CheckpointError(
                f'the saved critic has moments of {mean.shape} numbers for observations of '
                f'{network.spec.inputs}'
            )

    def after_restore(self) -> None:
        """Compute the values of states with the restored weights; open windows are forgotten."""
        self._network = self._network_of(self.state.weights)
        self._tracks.clear()

    def _network_of(self, weights: list[Array]) -> Network | None:
        """Return the network of saved weights; None before there are any."""
        if not weights:
            return None
        spec = NetworkSpec(weights[0].shape[1] - 1, self.settings.hidden_sizes, 1, bias=True)
        return Network(spec, weights)
