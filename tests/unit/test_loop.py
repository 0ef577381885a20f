"""The whole cycle in one process: the reference of the run over ROS 2."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nrl_ros.base.records import ActionSpace, Delivery, Ending
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.listening import Listener
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.loop import learn, run
from nrl_ros.learning.neuromodulator import Neuromodulator, RpeSettings
from nrl_ros.learning.rules import NodePerturbation
from nrl_ros.learning.snapshots import saved_baselines
from nrl_ros.storage.codec import decode, encode
from tests.unit.fakes import ScriptedEnvironment, learner_settings, same

ENDINGS = [Ending.TERMINATED, Ending.TRUNCATED, Ending.ABORTED]


def episodes_of(delivery: Delivery = Delivery.EPISODE) -> Episodes:
    return Episodes(
        ScriptedEnvironment([3, 5, 4], ENDINGS, faults={(11, 0): 'reward'}),
        agent='a',
        session=7,
        lockstep=True,
        delivery=delivery,
        delivery_steps=2 if delivery == Delivery.EVERY_N_STEPS else 0,
    )


def learner_of(seed: int = 0, **settings: Any) -> Learner:
    chosen: dict[str, Any] = {'hidden_sizes': (8,), 'learning_rate': 1e-3, 'seed': seed}
    return Learner(learner_settings(**(chosen | settings)))


def train(seed: int, steps: int, delivery: Delivery = Delivery.EPISODE, **settings: Any) -> Learner:
    learner = learner_of(seed, **settings)
    cycle = run(episodes_of(delivery), learner, Neuromodulator(RpeSettings()), seed=0)
    for _, _ in zip(range(steps), cycle, strict=False):
        pass
    return learner


@pytest.mark.parametrize('delivery', list(Delivery))
@pytest.mark.parametrize('kind', ['dense', 'factored'])
@pytest.mark.parametrize('precision', ['float32', 'float64'])
def test_the_same_seed_gives_the_same_bits_and_another_one_others(
    delivery: Delivery, kind: str, precision: str
) -> None:
    settings = {'trace': kind, 'precision': precision}
    one = train(1, 80, delivery, **settings)
    assert same(one.weights, train(1, 80, delivery, **settings).weights)
    assert not same(one.weights, train(2, 80, delivery, **settings).weights)
    assert one.updates > 10


@pytest.mark.parametrize('delivery', list(Delivery))
def test_in_lockstep_nothing_is_late_lost_or_unknown(delivery: Delivery) -> None:
    learner = train(0, 120, delivery)
    assert set(+learner.counters) <= {'aborted_windows'}
    assert learner.counters['aborted_windows'] > 0
    assert learner.windows_learned > 20


def test_noise_drawn_ahead_changes_nothing() -> None:
    lazy, eager = train(0, 60), learner_of()
    cycle = run(episodes_of(), eager, Neuromodulator(RpeSettings()), seed=0)
    for _, _ in zip(range(60), cycle, strict=False):
        eager.prepare()
    assert same(lazy.weights, eager.weights)


@pytest.mark.parametrize('delivery', list(Delivery))
@pytest.mark.parametrize('at', [1, 7, 16, 30])
def test_continues_bit_for_bit_from_a_checkpoint_at_a_boundary(delivery: Delivery, at: int) -> None:
    """Learner and environment save between learning and acting, as their nodes do."""
    saved: dict[str, Any] = {}

    def play(episodes: Episodes, learner: Learner, start: Any, steps: int, save_at: int) -> Any:
        neuromodulator = start['neuromodulator']
        state, reward = start['state'], None
        for step in range(steps):
            learn(learner, neuromodulator, state, reward)
            if step == save_at:
                saved['learner'] = learner.snapshot()
            action = learner.act(state.agent, checkpoint=4 * (step == save_at))
            if step == save_at:
                assert action.checkpoint == 4
                saved['environment'] = episodes.snapshot()
            advance = episodes.advance(action.action)
            state, reward = advance.state, advance.reward
        return learner

    episodes, learner = episodes_of(delivery), learner_of()
    learner.join(episodes.info)
    start = {'state': episodes.begin(0), 'neuromodulator': Neuromodulator(RpeSettings())}
    whole = play(episodes, learner, start, 60, at)
    data = decode(encode('run', saved), 'run')

    episodes, learner = episodes_of(delivery), learner_of(seed=5)
    neuromodulator = Neuromodulator(RpeSettings())
    neuromodulator.resume(saved_baselines(data['learner']))
    state = episodes.resume(data['environment'])
    learner.restore(data['learner'])
    learner.join(episodes.info)
    resumed = play(
        episodes, learner, {'state': state, 'neuromodulator': neuromodulator}, 60 - at, -1
    )
    assert same(whole.weights, resumed.weights)
    assert same(whole.snapshot(), resumed.snapshot())


@pytest.mark.parametrize('source', ['clean', 'noisy'])
@pytest.mark.parametrize(
    'action', [ActionSpace.discrete(2), ActionSpace.continuous((0.0,), (1.0,))]
)
def test_the_rule_learns_to_choose_the_better_action(action: ActionSpace, source: str) -> None:
    """The scripted environment pays 1 + action: the larger one is better."""
    environment = ScriptedEnvironment([1] * 16, action=action)
    episodes = Episodes(
        environment, agent='a', session=7, lockstep=True, delivery=Delivery.EVERY_STEP
    )
    learner = learner_of(
        bias=True,
        learning_rate=3e-2,
        action_from=source,
        rule=NodePerturbation(sigma=1e-2, samples=2),
    )
    # The reward of a step is (1 + action) * 1, so the return tells the action.
    cycle = run(episodes, learner, Neuromodulator(RpeSettings()), seed=0)
    returns = []
    for _, ended in zip(range(600), cycle, strict=False):
        ends = episodes.ends()
        assert ended == (0 if ends is None else len(ends.instance))
        if ends is not None:
            returns.append(float(np.mean(ends.episode_return)))
    assert np.mean(returns[:5]) < 1.75
    assert np.mean(returns[-50:]) > 1.9


class Kept(Listener):
    """Keeps which records it was told, in order: what they are and their number."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.lengths: list[int] = []

    def on_info(self, info: Any) -> None:
        self.told.append(('info', info.session))

    def on_state(self, state: Any) -> None:
        self.told.append(('state', state.sequence))

    def on_reward(self, reward: Any) -> None:
        self.told.append(('reward', reward.sequence))

    def on_rpe(self, rpe: Any) -> None:
        self.told.append(('rpe', rpe.sequence))

    def on_action(self, action: Any) -> None:
        self.told.append(('action', action.sequence))

    def on_episodes(self, episodes: Any) -> None:
        self.lengths += episodes.length.tolist()


@pytest.mark.parametrize('delivery', list(Delivery))
def test_a_listener_is_told_each_record_once_and_changes_nothing(delivery: Delivery) -> None:
    kept, learner, neuromodulator = Kept(), learner_of(1), Neuromodulator(RpeSettings())
    cycle = run(episodes_of(delivery), learner, neuromodulator, seed=0, listener=kept)
    for _, _ in zip(range(80), cycle, strict=False):
        pass
    assert same(learner.weights, train(1, 80, delivery).weights)
    assert kept.told[:3] == [('info', 7), ('state', 0), ('action', 0)]
    for kind in ('state', 'action'):
        numbers = [number for name, number in kept.told if name == kind]
        assert numbers == list(range(len(numbers))) and len(numbers) >= 80
    # A reward comes just before the state of its step, its RPE after that.
    rewards = [at for at, (name, _) in enumerate(kept.told) if name == 'reward']
    assert len(rewards) > 10
    for at in rewards:
        number = kept.told[at][1]
        assert kept.told[at + 1] == ('state', number)
        assert ('rpe', number) in kept.told[at + 2 : at + 3] or at + 2 >= len(kept.told)
    assert len(kept.lengths) > 20 and set(kept.lengths) <= {1, 2, 3, 4, 5}
