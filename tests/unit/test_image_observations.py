"""Observations of bytes, as images: shape and format, from the environment to the network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from nrl_ros.base.errors import BridgeError, CheckpointError, ConfigError, ShapeError
from nrl_ros.base.records import ActionSpace, Delivery, EnvSpec, ObservationFormat, StepResult
from nrl_ros.environments.contract import check_bridge
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.registry import make_bridge
from nrl_ros.learning import loop
from nrl_ros.learning.health.monitor import HealthMonitor
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.networks.inputs import network_input
from nrl_ros.learning.neuromodulator import Neuromodulator, RpeSettings
from sim_bridge.camera import Camera, CameraGroup
from sim_bridge.gymnasium_bridge import make as make_gymnasium
from sim_bridge.gymnasium_options import GymnasiumOptions
from tests.unit.fakes import info_of, learner_settings, same, state_of

SHAPE = (4, 4, 2)
SIZE = 32
BYTES = ObservationFormat.UINT8


class Pictures:
    """Episodes of five steps; random pictures, as bytes or as the same numbers from 0 to 1."""

    def __init__(self, kind: ObservationFormat = BYTES, instances: int = 3) -> None:
        self.spec = EnvSpec(
            instances,
            SIZE,
            ActionSpace.discrete(2),
            max_episode_steps=5,
            observation_shape=SHAPE,
            observation_format=kind,
        )
        self.calls = self.at = 0

    def reset(self, seed: int) -> Any:
        self.calls, self.at = 1000 * seed, 0
        return self._observation()

    def _observation(self) -> Any:
        generator = np.random.default_rng(self.calls)
        shape = self.spec.instances, SIZE
        pixels = generator.integers(0, 256, shape, dtype=np.uint8)
        return pixels if self.spec.observation_format == BYTES else network_input(pixels, 'f4')

    def step(self, action: Any) -> StepResult:
        count = self.spec.instances
        starting = self.at == 5
        self.calls, self.at = self.calls + 1, 0 if starting else self.at + 1
        reward = np.zeros(count) if starting else action[:, 0] + 0.5
        never = np.zeros(count, np.bool_)
        return StepResult(self._observation(), reward, never, np.full(count, self.at == 5), never)

    def close(self) -> None:
        pass


def episodes_of(environment: Any) -> Episodes:
    return Episodes(environment, agent='a', session=7, lockstep=True, delivery=Delivery.EVERY_STEP)


NETWORKS: dict[str, dict[str, Any]] = {
    'dense': {'network.hidden_sizes': (6,)},
    'dense, normalised': {'network.normalise_observations': True},
    'spiking': {'network.neuron': 'spiking', 'noise.sigma': 0.2},
    'convolutional': {
        'network.kind': 'torch',
        'network.factory': 'convolutional',
        'network.options.channels': (2, 3),
        'network.options.hidden_size': 5,
    },
    'convolutional, weights': {
        'network.kind': 'torch',
        'network.factory': 'convolutional',
        'network.options.channels': (2, 3),
        'network.options.hidden_size': 5,
        'plasticity.rule': 'weight_perturbation',
    },
    'backpropagation': {'plasticity.rule': 'backpropagation'},
}


def weights_after(steps: int, kind: ObservationFormat, **settings: Any) -> list[Any]:
    learner = Learner(learner_settings(**settings))
    cycle = loop.run(episodes_of(Pictures(kind)), learner, Neuromodulator(RpeSettings()), seed=2)
    for _ in range(steps):
        next(cycle)
    return learner.weights


@pytest.mark.parametrize('name', NETWORKS)
def test_bytes_are_to_a_network_what_numbers_from_0_to_1_are(name: str) -> None:
    settings = {'plasticity.learning_rate': 0.01, **NETWORKS[name]}
    as_bytes = weights_after(12, BYTES, **settings)
    as_numbers = weights_after(12, ObservationFormat.FLOAT32, **settings)
    assert same(as_bytes, as_numbers)
    assert not same(as_bytes, weights_after(0, BYTES, **settings))


def test_a_critic_values_bytes_as_numbers_from_0_to_1() -> None:
    rpes = []
    for kind in ObservationFormat:
        neuromodulator = Neuromodulator(RpeSettings(baseline='critic'))
        learner, episodes = Learner(learner_settings()), episodes_of(Pictures(kind))
        learner.join(episodes.info)
        state, reward = episodes.begin(2), None
        for _ in range(8):
            action, rpe = loop.answer(learner, neuromodulator, state, reward)
            rpes.append(None if rpe is None else rpe.rpe)
            advance = episodes.advance(action.action)
            state, reward = advance.state, advance.reward
    assert same(rpes[:8], rpes[8:])


def test_the_health_of_bytes_is_that_of_numbers_from_0_to_1() -> None:
    looks = []
    for kind in ObservationFormat:
        learner = Learner(learner_settings(**NETWORKS['convolutional']))
        cycle = loop.run(
            episodes_of(Pictures(kind)), learner, Neuromodulator(RpeSettings()), seed=2
        )
        monitor = HealthMonitor(learner)
        for _ in range(6):
            next(cycle)
            looks.append(dict(monitor.look().values))
    assert same(looks[:6], looks[6:])
    assert looks[-1]['observation_size'] < 1.0


def test_a_picture_reaches_the_learner_without_a_copy() -> None:
    environment = Pictures()
    episodes = episodes_of(environment)
    episodes.begin(0)
    result = environment.step(np.zeros((3, 1), np.int32))
    state = episodes.take(result).state
    assert state.observation is result.observation
    assert state.observation.dtype == np.uint8


def test_a_shape_has_as_many_numbers_as_the_observation() -> None:
    with pytest.raises(ConfigError, match=r'product is observation_size 12, received \(4, 4\)'):
        EnvSpec(1, 12, ActionSpace.discrete(2), observation_shape=(4, 4))


@pytest.mark.parametrize('at', ['reset', 'step'])
@pytest.mark.parametrize('said', list(ObservationFormat))
def test_an_environment_that_gives_another_format_is_told_so(
    said: ObservationFormat, at: str
) -> None:
    environment = Pictures(said)
    other = Pictures(ObservationFormat(1 - said))
    setattr(environment, at, getattr(other, at))
    episodes = episodes_of(environment)
    expected, received = said.dtype, other.spec.observation_format.dtype
    match = f"agent 'a', {at}.*observation: expected {expected} .* received {received}"
    with pytest.raises(BridgeError, match=match):
        episodes.begin(0)
        episodes.advance(np.zeros((3, 1), np.int32))


def test_a_number_that_is_not_finite_aborts_an_episode_of_pictures() -> None:
    environment = Pictures()
    episodes = episodes_of(environment)
    episodes.begin(0)
    result = environment.step(np.zeros((3, 1), np.int32))
    result.reward[1] = np.nan
    state = episodes.take(result).state
    assert state.ending.tolist() == [0, 3, 0]
    assert state.observation.dtype == np.uint8
    assert not state.observation[1].any()


def test_a_state_of_another_format_than_introduced_is_refused_and_counted() -> None:
    info = info_of(2, observations=SIZE)
    learner = Learner(learner_settings())
    learner.join(info)
    state = state_of(info, 0, phase=0)
    pixels = replace(state, observation=np.zeros((2, SIZE), np.uint8))
    with pytest.raises(ShapeError, match=r'received an observation of uint8, expected float32'):
        learner.observe(pixels)
    assert learner.counters['invalid_states'] == 1
    learner.observe(state)


def test_an_agent_of_another_shape_or_format_needs_another_learner() -> None:
    learner = Learner(learner_settings())
    first = episodes_of(Pictures()).info
    learner.join(first)
    for spec in (
        replace(first.spec, observation_shape=(2, 4, 4)),
        Pictures(ObservationFormat.FLOAT32).spec,
    ):
        with pytest.raises(ShapeError, match=r'made for uint8 \(4, 4, 2\)'):
            learner.join(replace(first, agent='b', spec=spec))


def test_a_checkpoint_of_pictures_continues_with_pictures_alone() -> None:
    settings = learner_settings(**NETWORKS['convolutional'])
    learner = Learner(settings)
    learner.join(episodes_of(Pictures()).info)
    saved = learner.snapshot()
    alone, other = Learner(settings), Learner(learner_settings(**NETWORKS['convolutional']))
    alone.restore(saved)
    assert same(alone.weights, learner.weights)
    other.join(episodes_of(Pictures(ObservationFormat.FLOAT32)).info)
    with pytest.raises(CheckpointError, match='observations of uint8'):
        other.restore(saved)


def test_a_convolution_without_the_shape_of_its_image_is_refused() -> None:
    learner = Learner(learner_settings(**NETWORKS['convolutional']))
    with pytest.raises(ConfigError, match=r'network\.options\.image \(\): expected height'):
        learner.join(info_of(observations=SIZE))


# ----------------------------------------------------------------------- the camera


def test_the_camera_keeps_the_promises_of_an_environment() -> None:
    target = {'low_m': [0.0, -0.6, 0.0], 'high_m': [0.6, 0.6, 0.001], 'far_m': 0.65}
    options = {'target': target | {'centre_m': [0.0, 0.0, 0.0]}, 'camera': {'pixels': 12}}
    check_bridge('camera', instances=3, options=options, steps=130)
    environment = make_bridge('camera', 2, options)
    assert environment.spec.observation_shape == (12, 12, 3)
    assert 'observation: picture of 12 x 12 pixels' in environment.spec.manifest


def test_the_camera_sees_target_tool_and_links_where_they_are() -> None:
    settings = CameraGroup(pixels=20, half_m=1.0, link_width_m=0.1, marker_width_m=0.1)
    joints = np.array([[[0.0, 0.0], [0.0, 0.45], [0.55, 0.45]]])
    picture = Camera(settings).pictures(joints, np.array([[-0.75, -0.35]])).reshape(20, 20, 3)
    # A pixel is 0.1 m wide; the first row is the uppermost.
    red, green, blue = (np.argwhere(picture[..., channel] == 255) for channel in range(3))
    assert red.tolist() == [[13, 2]]
    assert green.tolist() == [[5, 15]]
    assert [5, 12] in blue.tolist()
    assert not picture[:5].any()
    assert 100 < picture[8, 9, 2] < 150, 'a line between two columns of pixels covers half of each'


def test_a_camera_does_not_show_orientations() -> None:
    options = {'target': {'orientation': {'axes': ['x']}}}
    with pytest.raises(ConfigError, match=r'orientation\.axes is given, expected none'):
        make_bridge('camera', 1, options)


# ------------------------------------------------------------------------ Gymnasium


class Screen(gymnasium.Env[Any, Any]):
    """An image of bytes, or whatever it is told to return."""

    observation_space = spaces.Box(0, 255, SHAPE, np.uint8)
    action_space = spaces.Discrete(2)
    returned: Any = np.arange(SIZE, dtype=np.uint8).reshape(SHAPE)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.returned, {}

    def step(self, action: Any) -> Any:
        return self.returned, 0.0, False, False, {}


gymnasium.register('Screen-v0', Screen)


def test_an_image_of_gymnasium_stays_bytes() -> None:
    bridge = make_gymnasium(2, GymnasiumOptions(id='Screen-v0'))
    assert bridge.spec.observation_shape == SHAPE
    first = bridge.reset(0)
    assert first.dtype == np.uint8
    assert first.tolist() == [list(range(SIZE))] * 2
    assert bridge.step(np.zeros((2, 1), np.int32)).observation.dtype == np.uint8
    scaled = make_gymnasium(2, GymnasiumOptions(id='Screen-v0', scaling='bounds'))
    assert scaled.spec.observation_format == ObservationFormat.FLOAT32


def test_an_image_of_gymnasium_that_is_no_bytes_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Screen, 'returned', np.full(SHAPE, 300.0))
    bridge = make_gymnasium(1, GymnasiumOptions(id='Screen-v0'))
    with pytest.raises(BridgeError, match=r'Screen-v0, instance 0.*float64.*Box of uint8'):
        bridge.reset(0)
