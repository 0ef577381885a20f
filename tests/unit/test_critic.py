"""The critic: temporal-difference errors and updates by hand; states and rewards joined."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nrl_ros.base.errors import CheckpointError, ConfigError, InvalidValueError, ShapeError
from nrl_ros.base.records import Ending, Phase
from nrl_ros.learning.baselines.critic import Critic, CriticSettings
from nrl_ros.learning.neuromodulator import Neuromodulator, RpeSettings
from tests.unit.fakes import info_of, reward_of, same, state_of

INFO = info_of(2)
ONE = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
TWO = np.array([[0.0, 0.0, 2.0], [1.0, 1.0, 1.0]])
THREE = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])


def linear(discount: float = 0.5, learning_rate: float = 0.1) -> CriticSettings:
    """``V(s) = w s + b``, whose gradient is the observation itself."""
    return CriticSettings(
        hidden_sizes=(),
        rule='backpropagation',
        learning_rate=learning_rate,
        optimiser='sgd',
        discount=discount,
    )


def neuromodulator(settings: CriticSettings) -> Neuromodulator:
    return Neuromodulator(RpeSettings(baseline='critic'), critic=settings)


def show(core: Neuromodulator, sequence: int, observation: np.ndarray, **fields: object):
    return core.observe(state_of(INFO, sequence, observation=observation, **fields))


def test_errors_and_weights_of_two_windows_by_hand() -> None:
    core = neuromodulator(linear())
    show(core, 0, ONE, window=0, phase=Phase.FIRST, step=0)
    show(core, 1, TWO, window=1, step=1)
    first = core.evaluate(reward_of(1, [0, 1], 0, [2.0, -4.0]))
    # All values are 0 at first: delta is the reward. W += 0.1 * mean(delta * (s, 1)).
    assert first.rpe.tolist() == [2.0, -4.0]
    weight = 0.05 * (2.0 * np.r_[ONE[0], 1.0] - 4.0 * np.r_[ONE[1], 1.0])
    assert np.allclose(core.critic._network.weights[0][0], weight, atol=1e-7)
    # The window that began in TWO was valued before that update, at 0.
    show(core, 2, THREE, window=2, step=2)
    second = core.evaluate(reward_of(2, [0, 1], 1, [1.0, 1.0]))
    value = np.c_[THREE, np.ones(2)] @ weight
    assert second.rpe == pytest.approx(1.0 + 0.5 * value - 0.0, abs=1e-6)


def test_what_follows_counts_after_truncation_but_not_after_termination() -> None:
    core = neuromodulator(linear(discount=0.5, learning_rate=0.0))
    show(core, 0, ONE, window=0, phase=Phase.FIRST)
    core.critic._network.weights[0][...] = [[1.0, 2.0, 3.0, 4.0]]
    show(core, 1, ONE, window=1, step=1)
    core.evaluate(reward_of(1, [0, 1], 0, [0.0, 0.0]))
    ending = [Ending.TERMINATED, Ending.TRUNCATED]
    # A window of three steps: what follows is discounted three times.
    show(core, 2, TWO, window=2, step=4, phase=Phase.LAST, ending=ending)
    answer = core.evaluate(reward_of(2, [0, 1], 1, [10.0, 10.0]))
    # V(ONE) = 5, 6; V(TWO) = 10, 10.
    assert answer.rpe.tolist() == [10.0 - 5.0, 10.0 + 0.125 * 10.0 - 6.0]


def test_a_reward_before_its_state_waits_for_it() -> None:
    early, late = neuromodulator(linear()), neuromodulator(linear())
    for core in (early, late):
        show(core, 0, ONE, window=0, phase=Phase.FIRST)
    assert early.evaluate(reward_of(1, [0, 1], 0, [2.0, -4.0])) is None
    got = show(early, 1, TWO, window=1, step=1)
    assert show(late, 1, TWO, window=1, step=1) is None
    expected = late.evaluate(reward_of(1, [0, 1], 0, [2.0, -4.0]))
    assert got.rpe.tolist() == expected.rpe.tolist()
    assert same(early.critic.snapshot(), late.critic.snapshot())


def test_a_window_whose_states_were_lost_does_not_train() -> None:
    core = neuromodulator(linear())
    show(core, 0, ONE, window=0, phase=Phase.FIRST)
    # State 1, which closed window 0 and opened window 1, did not arrive.
    show(core, 2, TWO, window=2, step=2)
    before = core.critic.snapshot()
    answer = core.evaluate(reward_of(2, [0, 1], 1, [1.0, 1.0]))
    assert answer is None
    assert core.counters['unmatched_rewards'] == 2
    assert same(core.critic.snapshot(), before)


def test_a_reward_counts_once() -> None:
    core = neuromodulator(linear())
    show(core, 0, ONE, window=0, phase=Phase.FIRST)
    show(core, 1, TWO, window=1, step=1)
    first = core.evaluate(reward_of(1, [0, 1], 0, [2.0, -4.0]))
    weights = core.critic.snapshot()
    again = core.evaluate(reward_of(1, [0, 1], 0, [2.0, -4.0]))
    assert again is first
    assert same(core.critic.snapshot(), weights)


def test_backpropagation_changes_weights_as_autograd_says() -> None:
    settings = CriticSettings(
        hidden_sizes=(6, 5),
        rule='backpropagation',
        learning_rate=0.3,
        optimiser='sgd',
        discount=0.9,
        seed=4,
    )
    core = neuromodulator(settings)
    show(core, 0, ONE, window=0, phase=Phase.FIRST)
    network = core.critic._network
    network.weights[-1][...] = np.random.default_rng(0).standard_normal((1, 6))
    gradients = autograd(network.weights, TWO)
    show(core, 1, TWO, window=1, step=1)
    core.evaluate(reward_of(1, [0, 1], 0, [0.0, 0.0]))
    # The window that begins in TWO keeps the gradient of then.
    show(core, 2, THREE, window=2, step=2)
    before = [weight.copy() for weight in network.weights]
    answer = core.evaluate(reward_of(2, [0, 1], 1, [3.0, -1.0]))
    for layer, gradient in enumerate(gradients):
        expected = 0.3 * 0.5 * np.tensordot(answer.rpe, gradient, axes=1)
        assert np.abs(expected).max() > 1e-3
        assert np.allclose(network.weights[layer] - before[layer], expected, atol=1e-6)


def autograd(weights: list[np.ndarray], observation: np.ndarray) -> list[np.ndarray]:
    """Gradients of the value of each instance [B, out, in], a list by layer."""
    rows = []
    for one in torch.tensor(observation):
        parameters = [torch.tensor(w.astype(np.float64), requires_grad=True) for w in weights]
        x = one
        for layer, parameter in enumerate(parameters):
            x = torch.nn.functional.leaky_relu(x, 0.1) if layer else x
            x = parameter @ torch.cat([x, torch.ones(1, dtype=torch.float64)])
        x[0].backward()
        rows.append([parameter.grad.numpy() for parameter in parameters])
    return [np.stack(layer) for layer in zip(*rows, strict=True)]


@pytest.mark.parametrize('rule', [{'rule': 'nrl', 'samples': 4}, {'rule': 'backpropagation'}])
def test_learns_the_discounted_value_of_a_chain(rule) -> None:
    """Three states in turn, 1 at the end of each round: values g^2, g, 1, repeated for ever."""
    settings = CriticSettings(
        hidden_sizes=(16,), learning_rate=0.05, optimiser='sgd', discount=0.8, **rule
    )
    core = neuromodulator(settings)
    chain = [np.tile(np.eye(3)[k], (2, 1)) for k in range(3)]
    show(core, 0, chain[0], window=0, phase=Phase.FIRST)
    for step in range(1, 6000):
        show(core, step, chain[step % 3], window=step, step=step)
        core.evaluate(reward_of(step, [0, 1], step - 1, float(step % 3 == 0)))
    expected = np.array([0.64, 0.8, 1.0]) / (1.0 - 0.8**3)
    assert core.critic.value(np.eye(3)) == pytest.approx(expected, rel=0.05)


def test_none_compares_with_nothing() -> None:
    core = Neuromodulator(RpeSettings(baseline='none'))
    for sequence in range(3):
        answer = core.evaluate(reward_of(sequence, [0, 1], sequence, [5.0, -2.0]))
        assert answer.rpe.tolist() == [5.0, -2.0]


def test_what_was_learned_is_restored_and_another_critic_refused() -> None:
    core = neuromodulator(linear())
    show(core, 0, ONE, window=0, phase=Phase.FIRST)
    show(core, 1, TWO, window=1, step=1)
    core.evaluate(reward_of(1, [0, 1], 0, [2.0, -4.0]))
    other = Critic(linear())
    other.restore(core.critic.snapshot())
    assert other.value(ONE).tolist() == core.critic.value(ONE).tolist() != [0.0, 0.0]
    with pytest.raises(CheckpointError, match="hidden_sizes: expected '8', received ''"):
        Critic(CriticSettings(hidden_sizes=(8,))).restore(core.critic.snapshot())
    damaged = core.critic.snapshot()
    damaged['weights'][0][0, 0] = np.nan
    before = other.snapshot()
    with pytest.raises(CheckpointError, match='not finite'):
        other.restore(damaged)
    damaged['weights'][0] = np.zeros((2, 4), np.float32)
    with pytest.raises(CheckpointError, match=r'weights\[0\]: expected float32 \[1, 4\]'):
        other.restore(damaged)
    with pytest.raises(CheckpointError, match=r'expected \[\(1, 4\)\], received \[\(2, 4\)\]'):
        Critic(linear()).restore(damaged)
    assert same(other.snapshot(), before)


def test_bad_input_is_refused_and_counted() -> None:
    core = neuromodulator(linear())
    show(core, 0, ONE, window=0, phase=Phase.FIRST)
    with pytest.raises(InvalidValueError, match='not finite'):
        show(core, 1, np.full((2, 3), np.nan), window=1)
    other = info_of(2, agent='b', observations=5)
    with pytest.raises(ShapeError, match='5 observations, expected 3'):
        core.observe(state_of(other, 0))
    assert core.counters['invalid_messages'] == 2
    core.critic._network.weights[0][...] = np.inf
    show(core, 1, TWO, window=1, step=1)
    with pytest.raises(InvalidValueError, match='have diverged; lower critic.learning_rate'):
        core.evaluate(reward_of(1, [0, 1], 0, [2.0, -4.0]))


@pytest.mark.parametrize(
    ('settings', 'says'),
    [
        ({'discount': 1.5}, 'discount'),
        ({'learning_rate': -1.0}, 'learning_rate'),
        ({'optimiser': 'x'}, 'optimiser'),
        ({'rule': 'weight_perturbation'}, 'weight_perturbation'),
    ],
)
def test_settings_out_of_range(settings, says) -> None:
    with pytest.raises(ConfigError, match=says):
        CriticSettings(**settings)


def test_normalised_rewards_change_the_unit_of_values_and_not_the_errors_by_hand() -> None:
    settings = linear(discount=0.5, learning_rate=0.1).model_copy(
        update={'normalise_rewards': True}
    )
    core = neuromodulator(settings)
    show(core, 0, ONE, window=0, phase=Phase.FIRST, step=0)
    show(core, 1, TWO, window=1, step=1)
    first = core.evaluate(reward_of(1, [0, 1], 0, [20.0, -40.0]))
    # All values are 0 at first, so an error is its reward. The critic learns from it in units of
    # the deviation of the returns 20 and -40, which is 30.
    assert first.rpe.tolist() == [20.0, -40.0]
    weight = 0.05 / 30.0 * (20.0 * np.r_[ONE[0], 1.0] - 40.0 * np.r_[ONE[1], 1.0])
    assert np.allclose(core.critic._network.weights[0][0], weight, atol=1e-7)
    assert core.critic.value(TWO) == pytest.approx(30.0 * np.c_[TWO, np.ones(2)] @ weight, rel=1e-5)
    show(core, 2, THREE, window=2, step=2)
    second = core.evaluate(reward_of(2, [0, 1], 1, [1.0, 1.0]))
    unit = np.std([20.0, -40.0, 0.5 * 20.0 + 1.0, 0.5 * -40.0 + 1.0])
    value = np.c_[THREE, np.ones(2)] @ weight
    assert second.rpe == pytest.approx(1.0 + unit * 0.5 * value, rel=1e-5)


@pytest.mark.parametrize('factor', [1e-3, 1e4])
def test_with_both_normalised_units_of_the_task_do_not_matter(factor: float) -> None:
    """Grams or tonnes: the errors of a task in other units are the same, in these units."""

    def errors(unit: float) -> np.ndarray:
        both = {'normalise_observations': True, 'normalise_rewards': True}
        core = neuromodulator(CriticSettings(hidden_sizes=(8,), learning_rate=0.05, **both))
        generator = np.random.default_rng(4)
        show(core, 0, ONE * unit, window=0, phase=Phase.FIRST, step=0)
        found = []
        for step in range(1, 30):
            seen = generator.normal(2.0, 3.0, (2, 3)) * unit
            show(core, step, seen, window=step, step=step)
            reward = reward_of(step, [0, 1], step - 1, (seen[:, 0] + 1.0).tolist())
            found.append(core.evaluate(replace(reward, value=seen[:, 0])).rpe / unit)
        return np.array(found)

    assert errors(factor) == pytest.approx(errors(1.0), rel=2e-2, abs=2e-2)


def test_a_normalising_critic_continues_from_its_file() -> None:
    both = {'normalise_observations': True, 'normalise_rewards': True}
    ours, other = (neuromodulator(CriticSettings(hidden_sizes=(4,), **both)) for _ in range(2))
    for step in range(5):
        show(ours, step, ONE * step, window=step, step=step)
        if step:
            ours.evaluate(reward_of(step, [0, 1], step - 1, [1.0 * step, 3.0]))
    other.critic.restore(ours.critic.snapshot())
    assert same(other.critic.snapshot(), ours.critic.snapshot())
    assert np.array_equal(other.critic.value(THREE), ours.critic.value(THREE))
    with pytest.raises(CheckpointError, match='expected'):
        neuromodulator(CriticSettings(hidden_sizes=(4,))).critic.restore(ours.critic.snapshot())
    damaged = ours.critic.snapshot()
    damaged['observations'] |= {'mean': np.zeros(2), 'squares': np.zeros(2)}
    with pytest.raises(CheckpointError, match='moments of'):
        neuromodulator(CriticSettings(hidden_sizes=(4,), **both)).critic.restore(damaged)
