"""The learner as its nodes use it: what it refuses, what it leaves alone, and how it continues."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import (
    CheckpointError,
    ConfigError,
    InvalidValueError,
    LimitError,
    NrlError,
    ProtocolError,
    ShapeError,
)
from nrl_ros.base.limits import LearnerLimits
from nrl_ros.base.records import ActionSpace, Phase, RpeBatch, StateBatch
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.rules import NodePerturbation
from nrl_ros.learning.settings import LearnerSettings
from nrl_ros.learning.snapshots import saved_baselines
from nrl_ros.storage.codec import decode, encode
from tests.unit.fakes import (
    feed,
    info_of,
    learner_of,
    learner_settings,
    message_flow,
    receive,
    reinforce,
    release,
    rpe_of,
    same,
    state_of,
)

PRECISIONS = ['float32', 'float64']


def equal(one: Learner, other: Learner) -> bool:
    return same(one.weights, other.weights)


# ------------------------------------------------------------------ bad input


def bad_states(info: Any) -> dict[str, tuple[StateBatch, type[NrlError], str]]:
    good = state_of(info, 5)
    nan = good.observation.copy()
    nan[1, 2] = np.nan
    infinite = good.observation.copy()
    infinite[0, 0] = np.inf
    return {
        'nan': (replace(good, observation=nan), InvalidValueError, 'instance 1'),
        'infinite': (replace(good, observation=infinite), InvalidValueError, 'instance 0'),
        'size': (replace(good, observation=nan[:, :2]), ShapeError, r'\(2, 3\)'),
        'instances': (replace(good, observation=nan[:1]), ShapeError, r'\(2, 3\)'),
        'flat': (replace(good, observation=nan.ravel()), ShapeError, r'\(2, 3\)'),
        'window': (replace(good, window=good.window[:1]), ShapeError, 'window'),
        'phase': (replace(good, phase=good.phase[:1]), ShapeError, 'phase'),
        'agent': (replace(good, agent='b'), ProtocolError, "unknown agent 'b'"),
        'session': (replace(good, session=8), ProtocolError, '0x8'),
    }


@pytest.mark.parametrize(
    ('name', 'counter'),
    [
        ('nan', 'invalid_states'),
        ('infinite', 'invalid_states'),
        ('size', 'invalid_states'),
        ('instances', 'invalid_states'),
        ('flat', 'invalid_states'),
        ('window', 'invalid_states'),
        ('phase', 'invalid_states'),
        ('agent', 'unknown_agent_messages'),
        ('session', 'wrong_session_messages'),
    ],
)
def test_bad_states_are_refused_counted_and_change_nothing(name: str, counter: str) -> None:
    info = info_of(2)
    learner, twin = learner_of(info), learner_of(info)
    for one in (learner, twin):
        receive(one, state_of(info, 0))
    state, error, text = bad_states(info)[name]
    with pytest.raises(error, match=text):
        receive(learner, state)
    assert +learner.counters == {counter: 1}
    flow = message_flow(info, steps=20, seed=1)[1:]
    assert same(feed(learner, flow), feed(twin, flow))
    assert equal(learner, twin)


@pytest.mark.parametrize(
    ('change', 'error', 'counter'),
    [
        ({'rpe': np.array([np.nan, 1.0])}, InvalidValueError, 'invalid_rpes'),
        ({'rpe': np.array([1.0, np.inf])}, InvalidValueError, 'invalid_rpes'),
        ({'baseline': np.array([1.0, np.nan])}, InvalidValueError, 'invalid_rpes'),
        ({'rpe': np.ones(1)}, ShapeError, 'invalid_rpes'),
        ({'window': np.ones(3, np.uint32)}, ShapeError, 'invalid_rpes'),
        ({'instance': np.array([0, 2], np.uint32)}, InvalidValueError, 'invalid_rpes'),
        ({'instance': np.array([1, 1], np.uint32)}, InvalidValueError, 'invalid_rpes'),
        ({'agent': 'b'}, ProtocolError, 'unknown_agent_messages'),
        ({'session': 8}, ProtocolError, 'wrong_session_messages'),
    ],
)
def test_bad_rpes_are_refused_counted_and_change_nothing(
    change: dict[str, Any], error: type, counter: str
) -> None:
    info = info_of(2)
    learner, twin = learner_of(info), learner_of(info)
    good = rpe_of(info, 1, [0, 1], [0, 0], [0.5, -0.5])
    for one in (learner, twin):
        receive(one, state_of(info, 0))
        receive(one, state_of(info, 1, window=1))
    with pytest.raises(error):
        reinforce(learner, replace(good, **change))
    assert +learner.counters == {counter: 1}
    assert same(saved_baselines(learner.snapshot()), saved_baselines(twin.snapshot()))
    for one in (learner, twin):
        reinforce(one, good)
    assert equal(learner, twin) and learner.updates == 1


def test_an_empty_rpe_changes_nothing() -> None:
    info = info_of(2)
    learner = learner_of(info)
    receive(learner, state_of(info, 0))
    empty = rpe_of(info, 0, np.zeros(0, np.uint32), np.zeros(0), np.zeros(0))
    assert reinforce(learner, empty) is None
    assert learner.updates == 0


@pytest.mark.parametrize('lockstep', [False, True])
def test_a_state_seen_before_gets_the_same_answer_and_changes_nothing(lockstep: bool) -> None:
    info = info_of(2, lockstep=lockstep)
    learner, twin = learner_of(info), learner_of(info)
    state = state_of(info, 0)
    first = receive(learner, state)
    assert receive(learner, state) is first and receive(learner, state) is first
    receive(twin, state)
    assert learner.counters['duplicate_states'] == 2
    flow = message_flow(info, steps=20, seed=1)[1:]
    for message in flow:
        for one, times in ((learner, 2), (twin, 1)):
            for _ in range(times):
                if isinstance(message, StateBatch):
                    receive(one, message)
                else:
                    reinforce(one, message)
    assert equal(learner, twin)
    assert learner.windows_learned == twin.windows_learned


def test_a_state_out_of_order_is_refused_and_lost_ones_are_counted() -> None:
    info = info_of(2)
    learner = learner_of(info)
    receive(learner, state_of(info, 0))
    receive(learner, state_of(info, 4))
    assert learner.counters['lost_states'] == 3
    with pytest.raises(ProtocolError, match='state 2 came after state 4'):
        receive(learner, state_of(info, 2))
    assert learner.counters['out_of_order_states'] == 1


def test_a_step_before_a_lost_state_earns_no_credit_older_ones_do() -> None:
    """Whether the action before a gap was applied is not known; the newest flag is of another."""
    info = info_of(1)
    learners = [learner_of(info) for _ in range(3)]
    for learner, applied in zip(learners, (0, 1, None), strict=True):
        receive(learner, state_of(info, 0))
        receive(learner, state_of(info, 1))
        # The third has seen all: there the step of state 1 was really not applied.
        if applied is None:
            receive(learner, state_of(info, 2, window=1, applied=0))
        else:
            receive(learner, state_of(info, 3, window=1, applied=applied))
        reinforce(learner, rpe_of(info, 0, 0, 0, 1.0))
        assert learner.counters['unapplied_steps'] == 1
        assert learner.windows_learned == 1
    for other in learners[1:]:
        assert same(learners[0].weights, other.weights)
    untouched = learner_of(info)
    assert not same(learners[0].weights, untouched.weights)


def test_another_learner_s_actions_earn_no_credit() -> None:
    """Two learners on one topic: only the one whose action was taken may learn from the step."""
    info = info_of(1)
    learner, twin = learner_of(info), learner_of(info)
    learner.identity = twin.identity = 5
    for one, whose in ((learner, 6), (twin, 5)):
        receive(one, state_of(info, 0))
        receive(one, replace(state_of(info, 1, window=1), learner=whose))
        reinforce(one, rpe_of(info, 0, 0, 0, 1.0))
    start = learner_of(info).weights
    assert same(learner.weights, start) and not same(twin.weights, start)
    assert (learner.counters['foreign_steps'], twin.counters['foreign_steps']) == (1, 0)


def test_an_agent_that_does_not_fit_throws_nobody_out() -> None:
    info = info_of(1, lockstep=True)
    learner = learner_of(info)
    receive(learner, state_of(info, 0))
    other = info_of(1, session=8, observations=9, lockstep=True)
    with pytest.raises(ShapeError, match='9 observations'):
        learner.join(other)
    assert receive(learner, state_of(info, 1)) is not None


def test_what_was_under_way_is_released_when_the_environment_went_on() -> None:
    """Loaded after a crash, a learner must not wait for RPEs that were sent long ago."""
    info = info_of(1, lockstep=True)
    learner = learner_of(info)
    receive(learner, state_of(info, 0))
    assert receive(learner, state_of(info, 1, window=1)) is None
    saved = learner.snapshot()
    later = learner_of(info)
    later.restore(saved)
    assert receive(later, state_of(info, 9, window=4)) is not None
    assert later.counters['released_windows'] == 1


# -------------------------------------------------------------------- joining


@pytest.mark.parametrize(
    'other',
    [
        info_of(2, agent='b', observations=4),
        info_of(2, agent='b', action=ActionSpace.discrete(3)),
        info_of(2, agent='b', action=ActionSpace.multi_discrete((2,))),
        info_of(2, agent='b', action=ActionSpace.continuous((0.0,), (1.0,))),
    ],
)
def test_a_second_agent_of_other_spaces_is_refused_and_the_first_goes_on(other: Any) -> None:
    info = info_of(2)
    learner = learner_of(info)
    with pytest.raises(ShapeError, match='another learner'):
        learner.join(other)
    assert list(learner.roster.infos) == ['a']
    assert receive(learner, state_of(info, 0)) is not None


def test_agents_that_join_and_leave_do_not_change_the_numbers_of_another() -> None:
    """With a step size of zero, since they do share the weights."""
    info, other = info_of(2), info_of(3, agent='b')
    alone = learner_of(info, learning_rate=0.0)
    together = learner_of(info, learning_rate=0.0)
    flow = message_flow(info, steps=30, seed=3)
    visit = message_flow(other, steps=10, seed=4)
    actions = feed(together, flow[:15])
    together.join(other)
    for mine, theirs in zip(flow[15:25], visit, strict=False):
        feed(together, [theirs])
        actions += feed(together, [mine])
    together.leave('b')
    actions += feed(together, flow[25:])
    assert same(feed(alone, flow), actions)


def test_an_agent_that_leaves_releases_its_windows() -> None:
    info = info_of(3)
    learner = learner_of(info)
    receive(learner, state_of(info, 0))
    receive(learner, state_of(info, 1, window=1))
    assert learner.windows_open == 6
    assert learner.leave('a') == 6
    assert learner.windows_open == 0 and learner.counters['released_windows'] == 6
    assert learner.leave('a') == 0


def test_messages_of_a_session_that_has_left_are_counted_and_no_error() -> None:
    """The goodbye on one topic overtakes what was sent before it on others."""
    info = info_of(2)
    learner = learner_of(info)
    receive(learner, state_of(info, 0))
    before = learner.snapshot()
    learner.leave('a')
    assert receive(learner, state_of(info, 1, window=1)) is None
    assert reinforce(learner, rpe_of(info, 1, [0, 1], [0, 0], [0.5, -0.5])) is None
    assert learner.counters['departed_agent_messages'] == 2
    assert learner.counters['unknown_agent_messages'] == 0 and not learner.roster.infos
    assert learner.snapshot()['learning'] == before['learning']
    with pytest.raises(ProtocolError, match='unknown agent'):
        receive(learner, state_of(replace(info, session=8), 1))
    # Whoever comes again in that session is served again.
    learner.join(info)
    assert receive(learner, state_of(info, 2, window=1)) is not None


def test_sessions_that_have_left_are_kept_within_the_limit() -> None:
    learner = Learner(LearnerSettings(), LearnerLimits(agents=2))
    infos = [info_of(1, agent=name) for name in ('first', 'second', 'third')]
    for info in infos:
        learner.roster.introduce(info)
        learner.leave(info.agent)
    with pytest.raises(ProtocolError, match='unknown agent'):
        receive(learner, state_of(infos[0], 0))
    assert [receive(learner, state_of(info, 0)) for info in infos[1:]] == [None, None]


def test_a_new_session_starts_with_empty_traces_and_the_old_weights() -> None:
    info = info_of(2)
    learner = learner_of(info)
    feed(learner, message_flow(info, steps=20, seed=0))
    weights = learner.weights
    again = replace(info, session=8)
    learner.join(again)
    assert learner.windows_open == 0 and same(learner.weights, weights)
    assert receive(learner, state_of(again, 0)) is not None
    with pytest.raises(ProtocolError, match='before a restart'):
        receive(learner, state_of(info, 21))


def test_joining_twice_changes_nothing() -> None:
    info = info_of(2)
    learner = learner_of(info)
    receive(learner, state_of(info, 0))
    learner.join(info_of(2))
    assert learner.windows_open == 2


# ------------------------------------------------------------------- lockstep


def test_in_lockstep_a_closing_state_waits_for_its_rpe() -> None:
    info = info_of(2, lockstep=True)
    learner = learner_of(info)
    receive(learner, state_of(info, 0))
    closing = state_of(info, 1, window=[1, 1])
    assert receive(learner, closing) is None
    assert learner.awaiting('a') is closing
    assert receive(learner, closing) is None
    assert reinforce(learner, rpe_of(info, 1, 0, 0, 0.5)) is None
    answer = reinforce(learner, rpe_of(info, 2, 1, 0, 0.5))
    assert answer is not None and answer.sequence == 1
    assert learner.awaiting('a') is None


@pytest.mark.parametrize('lockstep', [False, True])
def test_it_acts_only_when_it_is_asked_to_and_may(lockstep: bool) -> None:
    info = info_of(1, lockstep=lockstep)
    learner = learner_of(info)
    with pytest.raises(ProtocolError, match='expected one to be observed'):
        learner.act('a')
    assert learner.observe(state_of(info, 0)) is None
    assert learner.may_act('a') and learner.states == 0
    assert learner.act('a', checkpoint=4).checkpoint == 4
    assert learner.states == 1 and not learner.may_act('a')
    learner.observe(state_of(info, 1, window=1))
    assert learner.may_act('a') is not lockstep
    if lockstep:
        with pytest.raises(ProtocolError, match='to be here or released'):
            learner.act('a')
        learner.reinforce(rpe_of(info, 1, 0, 0, 0.5))
        assert learner.updates == 1 and learner.states == 1
    assert learner.act('a').checkpoint == 0


def test_in_lockstep_an_rpe_in_time_makes_no_state_wait() -> None:
    info = info_of(1, lockstep=True)
    learner = learner_of(info)
    receive(learner, state_of(info, 0))
    reinforce(learner, rpe_of(info, 1, 0, 0, 0.5))
    assert receive(learner, state_of(info, 1, window=1)) is not None
    assert learner.windows_learned == 1


def test_waiting_can_be_given_up() -> None:
    info = info_of(2, lockstep=True)
    learner = learner_of(info)
    receive(learner, state_of(info, 0))
    receive(learner, state_of(info, 1, window=1))
    answer = release(learner, 'a')
    assert answer is not None and answer.sequence == 1
    assert learner.counters['released_windows'] == 2
    assert release(learner, 'a') is None and release(learner, 'b') is None


@pytest.mark.parametrize('switch', ['frozen', 'evaluating'])
def test_a_state_that_waits_is_answered_after_learning_was_switched_off(switch: str) -> None:
    info = info_of(1, lockstep=True)
    learner = learner_of(info)
    receive(learner, state_of(info, 0))
    assert receive(learner, state_of(info, 1, window=1)) is None
    setattr(learner, switch, True)
    answer = reinforce(learner, rpe_of(info, 1, 0, 0, 0.5))
    assert answer is not None and answer.sequence == 1
    assert learner.updates == 0


# -------------------------------------------------------- freezing, evaluating


@pytest.mark.parametrize('switch', ['frozen', 'evaluating'])
@pytest.mark.parametrize('precision', PRECISIONS)
def test_without_learning_no_weight_changes(switch: str, precision: str) -> None:
    info = info_of(3)
    learner = learner_of(info, precision=precision)
    flow = message_flow(info, steps=60, seed=2)
    feed(learner, flow[:30])
    weights = learner.weights
    setattr(learner, switch, True)
    assert not learner.learning and learner.windows_open == 0
    feed(learner, flow[30:])
    assert same(learner.weights, weights)
    assert learner.counters['ignored_rpes'] > 0 and learner.windows_open == 0
    setattr(learner, switch, False)
    later = [replace_sequence(message, 1000) for message in message_flow(info, steps=60, seed=2)]
    feed(learner, later)
    assert not same(learner.weights, weights), 'and then it learns again'


def replace_sequence(message: Any, by: int) -> Any:
    return replace(message, sequence=message.sequence + by, window=message.window + np.uint32(by))


def test_a_frozen_learner_acts_as_it_did() -> None:
    info = info_of(2)
    frozen, other = (learner_of(info, learning_rate=0.0) for _ in range(2))
    frozen.frozen = True
    flow = message_flow(info, steps=30, seed=0)
    assert same(feed(frozen, flow), feed(other, flow))


def test_evaluating_is_greedy_and_draws_no_random_numbers() -> None:
    info = info_of(2)
    paused, other = (learner_of(info, learning_rate=0.0) for _ in range(2))
    for one in (paused, other):
        feed(one, [state_of(info, 0)])
    paused.evaluating = True
    before = paused.snapshot()['agents']['a']
    first = feed(paused, [state_of(info, n, observation=np.ones((2, 3))) for n in range(1, 9)])
    assert all(same(action, first[0]) for action in first)
    paused.prepare()
    after = paused.snapshot()['agents']['a']
    assert same(before['noise'], after['noise'])
    assert same(before['action_generator'], after['action_generator'])
    paused.evaluating = False
    states = [state_of(info, n) for n in range(9, 20)]
    assert same(feed(paused, states), feed(other, states))


def test_an_episode_that_is_no_training_is_greedy_and_leaves_no_trace_of_itself() -> None:
    """What is learned before and after it is what would be learned without it."""
    info = info_of(2)
    interrupted, other = (learner_of(info) for _ in range(2))
    before = message_flow(info, steps=40, seed=2)
    for learner in (interrupted, other):
        feed(learner, before)
    # Each has as much to learn from and to release by then.
    weights, count = interrupted.weights, max(m.sequence for m in before) + 1
    moving = [np.full((2, 3), 0.1 * (n % 2)) for n in range(8)]
    served = [
        replace(
            state_of(info, count + n, window=count + n, episode=99, step=n, observation=moving[n]),
            greedy=True,
        )
        for n in range(8)
    ]
    actions = feed(interrupted, served)
    assert same(actions[0], actions[2]) and same(actions[1], actions[3])
    assert same(interrupted.weights, weights)
    after = message_flow(info, steps=40, seed=3)
    later = {
        learner: feed(learner, [replace_sequence(message, count + by) for message in after])
        for learner, by in ((interrupted, len(served)), (other, 0))
    }
    assert same(later[interrupted], later[other])
    assert equal(interrupted, other) and not same(interrupted.weights, weights)


def test_greedy_action_is_the_most_probable_one() -> None:
    info = info_of(1, action=ActionSpace.discrete(3))
    learner = learner_of(info, hidden_sizes=(), precision='float64')
    learner.evaluating = True
    observation = np.array([[0.3, -1.0, 2.0]], np.float32)
    expected = int(np.argmax(learner.weights[0] @ observation[0]))
    assert receive(learner, state_of(info, 0, observation=observation)).action.tolist() == [
        [expected]
    ]


# ------------------------------------------------------------------- learning


def test_an_unapplied_step_earns_no_credit() -> None:
    """The update is that of a run whose trace never had that step's row."""
    info = info_of(1)
    learners = [learner_of(info, learning_rate=1.0) for _ in range(2)]
    for learner, flags in zip(learners, ([1, 1, 0, 1], [1, 1, 1, 1]), strict=True):
        for sequence, applied in enumerate(flags):
            receive(learner, state_of(info, sequence, applied=applied))
            if sequence == 1 and learner is learners[1]:
                learner.prepare()
                learner.roster.served('a').credit.store.retract(np.array([0]))
        receive(learner, state_of(info, 4, window=1))
        reinforce(learner, rpe_of(info, 4, 0, 0, 1.0))
    assert equal(*learners)
    assert learners[0].counters['unapplied_steps'] == 1
    whole = learner_of(info, learning_rate=1.0)
    for sequence in range(4):
        receive(whole, state_of(info, sequence))
    receive(whole, state_of(info, 4, window=1))
    reinforce(whole, rpe_of(info, 4, 0, 0, 1.0))
    assert not equal(whole, learners[0])


def test_an_update_is_proportional_to_rate_and_rpe() -> None:
    info = info_of(2)

    def change(rate: float, rpe: float) -> list[np.ndarray]:
        learner = learner_of(info, learning_rate=rate)
        before = learner.weights
        receive(learner, state_of(info, 0))
        receive(learner, state_of(info, 1, window=1))
        reinforce(learner, rpe_of(info, 1, [0, 1], [0, 0], [rpe, 2 * rpe]))
        return [a - b for a, b in zip(learner.weights, before, strict=True)]

    for one, other in zip(change(0.1, 0.5), change(0.02, -5.0), strict=True):
        np.testing.assert_allclose(-2.0 * one, other, rtol=1e-9, atol=1e-15)
    assert all((part == 0.0).all() for part in change(0.1, 0.0) + change(0.0, 1.0))


def test_rate_and_noise_can_change_while_running() -> None:
    learner = learner_of(info_of(1))
    learner.set_learning_rate(0.5)
    learner.set_sigma(0.25)
    assert learner.settings.plasticity.learning_rate == 0.5 and learner.settings.noise.sigma == 0.25
    for change in (learner.set_learning_rate, learner.set_sigma):
        with pytest.raises(ConfigError):
            change(-1.0)
        with pytest.raises(ConfigError):
            change(float('nan'))
    assert learner.settings.plasticity.learning_rate == 0.5 and learner.settings.noise.sigma == 0.25


@pytest.mark.parametrize('kind', ['dense', 'factored'])
def test_an_update_that_is_not_finite_is_rejected_and_later_ones_are_not(kind: str) -> None:
    info = info_of(1)
    learner = learner_of(info, precision='float32', trace=kind)
    weights = learner.weights
    receive(learner, state_of(info, 0))
    receive(learner, state_of(info, 1, window=1))
    with np.errstate(all='ignore'):
        reinforce(learner, rpe_of(info, 1, 0, 0, 1e308))
        receive(learner, state_of(info, 2, window=1, observation=np.full((1, 3), 3e38)))
        receive(learner, state_of(info, 3, window=2))
        reinforce(learner, rpe_of(info, 2, 0, 1, 1e300))
    rejected = learner.counters['rejected_updates']
    assert rejected == 2 and same(learner.weights, weights)
    receive(learner, state_of(info, 4, window=3))
    reinforce(learner, rpe_of(info, 3, 0, 2, 0.01))
    assert learner.counters['rejected_updates'] == rejected
    assert not same(learner.weights, weights)


@pytest.mark.parametrize(
    'setting',
    [
        {'learning_rate': -1.0},
        {'learning_rate': float('inf')},
        {'shape': 'pink'},
        {'action_from': 'both'},
        {'trace': 'sparse'},
        {'precision': 'float16'},
        {'max_late_windows': -1},
        {'seed': -1},
    ],
)
def test_impossible_settings_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        learner_settings(**setting)


# ------------------------------------------------------------------ snapshots

SPACES = {
    'discrete': ActionSpace.discrete(3),
    'multi_discrete': ActionSpace.multi_discrete((2, 3)),
    'continuous': ActionSpace.continuous((-1.0, 0.0), (1.0, 5.0)),
}


@pytest.mark.parametrize('through_bytes', [False, True])
@pytest.mark.parametrize('precision', PRECISIONS)
@pytest.mark.parametrize('kind', ['dense', 'factored'])
@pytest.mark.parametrize('at', [0, 23, 61])
def test_continues_bit_for_bit_from_a_snapshot(
    at: int, kind: str, precision: str, through_bytes: bool
) -> None:
    info, other = info_of(4), info_of(2, agent='b')
    settings = {'trace': kind, 'precision': precision, 'bias': True, 'learning_rate': 1e-3}
    flow: list[Any] = []
    for pair in zip(
        message_flow(info, steps=60, seed=at, longest_delay=6),
        message_flow(other, steps=60, seed=at + 1),
        strict=False,
    ):
        flow += pair
    original = learner_of(info, **settings)
    original.join(other)
    feed(original, flow[:at])
    original.prepare()
    snapshot = original.snapshot()
    if through_bytes:
        snapshot = decode(encode('learner', snapshot), 'learner')
    if at == 61:
        assert any(agent['credit']['late'] for agent in snapshot['agents'].values())
    restored = learner_of(info, **(settings | {'learning_rate': 0.7}), seed=99)
    feed(restored, message_flow(info, steps=5, seed=77))
    restored.restore(snapshot)
    restored.join(other)
    assert same(feed(original, flow[at:]), feed(restored, flow[at:]))
    assert same(original.snapshot(), restored.snapshot())
    assert original.windows_learned > 5


@pytest.mark.parametrize('space', list(SPACES))
def test_snapshots_of_every_action_space_pass_through_bytes(space: str) -> None:
    info = info_of(3, action=SPACES[space])
    flow = message_flow(info, steps=30, seed=1)
    original = learner_of(info, rule=NodePerturbation(samples=2))
    feed(original, flow[:20])
    restored = Learner(original.settings)
    restored.restore(decode(encode('learner', original.snapshot()), 'learner'))
    restored.join(info)
    assert same(feed(original, flow[20:]), feed(restored, flow[20:]))
    assert equal(original, restored)


def test_a_snapshot_is_not_changed_by_what_comes_after() -> None:
    info = info_of(3)
    flow = message_flow(info, steps=60, seed=5)
    learner = learner_of(info)
    feed(learner, flow[:30])
    snapshot = learner.snapshot()
    frozen = encode('learner', snapshot)
    restored = learner_of(info)
    restored.restore(snapshot)
    feed(learner, flow[30:])
    feed(restored, flow[30:])
    assert encode('learner', snapshot) == frozen


def test_a_snapshot_before_any_agent_can_be_restored() -> None:
    learner = Learner(LearnerSettings())
    learner.restore(Learner(LearnerSettings()).snapshot())
    learner.join(info_of(1))
    assert receive(learner, state_of(info_of(1), 0)) is not None


def test_restored_into_a_new_session_the_weights_stay_and_the_traces_go() -> None:
    info = info_of(2)
    learner = learner_of(info)
    feed(learner, message_flow(info, steps=10, seed=0))
    snapshot = learner.snapshot()
    again = learner_of(replace(info, session=8))
    again.restore(snapshot)
    assert equal(again, learner) and again.windows_open == 0
    assert again.counters['released_windows'] == (
        learner.counters['released_windows'] + learner.windows_open
    )
    assert receive(again, state_of(replace(info, session=8), 0)) is not None


def test_other_numbers_of_instances_use_the_weights_alone() -> None:
    learner = learner_of(info_of(2))
    feed(learner, message_flow(info_of(2), steps=10, seed=0))
    other = learner_of(info_of(5))
    other.restore(learner.snapshot())
    assert equal(other, learner)
    assert receive(other, state_of(info_of(5), 0)) is not None


@pytest.mark.parametrize(
    ('settings', 'info', 'text'),
    [
        ({'hidden_sizes': (5,)}, info_of(2), 'hidden'),
        ({'bias': True}, info_of(2), 'bias'),
        ({'leak': 0.2}, info_of(2), 'leak'),
        ({'precision': 'float32'}, info_of(2), 'precision'),
        ({'shape': 'uniform'}, info_of(2), 'noise_shape'),
        ({'rule': NodePerturbation(samples=2)}, info_of(2), 'samples'),
        ({'trace': 'dense'}, info_of(2), 'dense'),
        ({}, info_of(2, observations=4), 'inputs'),
        ({}, info_of(2, action=ActionSpace.discrete(4)), 'sizes'),
        ({}, info_of(2, max_episode_steps=1), 'steps'),
    ],
)
def test_a_snapshot_that_does_not_fit_is_refused_and_nothing_changes(
    settings: dict[str, Any], info: Any, text: str
) -> None:
    source = learner_of(info_of(2), trace='factored')
    feed(source, message_flow(info_of(2), steps=15, seed=0))
    target, twin = (learner_of(info, **({'trace': 'factored'} | settings)) for _ in range(2))
    flow = message_flow(info, steps=40, seed=1)
    for one in (target, twin):
        feed(one, flow[:20])
    before = encode('learner', target.snapshot())
    with pytest.raises(CheckpointError, match=text):
        target.restore(source.snapshot())
    assert encode('learner', target.snapshot()) == before
    assert same(feed(target, flow[20:]), feed(twin, flow[20:]))
    assert equal(target, twin)


def without(data: Any, *path: Any, put: Any = None) -> Any:
    """A copy of a snapshot with another value at a path; None: without it."""
    copied = decode(encode('learner', data), 'learner')
    at = copied
    for key in path[:-1]:
        at = at[key]
    if put is None:
        del at[path[-1]]
    else:
        at[path[-1]] = put
    return copied


def test_damaged_content_is_refused_and_nothing_changes() -> None:
    info = info_of(2)
    learner = learner_of(info)
    feed(learner, message_flow(info, steps=15, seed=0))
    snapshot = learner.snapshot()
    before = encode('learner', snapshot)

    broken = [
        without(snapshot, 'settings'),
        without(snapshot, 'network'),
        without(snapshot, 'network', 'weights'),
        without(snapshot, 'agents', 'a', 'noise'),
        without(snapshot, 'agents', 'a', 'credit', 'store', 'post'),
        without(snapshot, 'agents', 'a', 'credit', 'windows', 'done', put=np.zeros(9)),
        without(snapshot, 'agents', 'a', 'noise', 'generator', put={'bit_generator': 'PCG64'}),
        without(snapshot, 'steps', put=[1]),
        without(snapshot, 'learning', 'updates', put=1.0),
        without(snapshot, 'network', 'weights', 0, put=np.full((4, 3), np.nan)),
        without(snapshot, 'network', 'weights', 0, put=np.zeros((4, 2))),
        without(snapshot, 'network', 'weights', 0, put=np.zeros((4, 3), np.float32)),
    ]
    for data in broken:
        with pytest.raises(CheckpointError):
            learner.restore(data)
        assert encode('learner', learner.snapshot()) == before


def test_baselines_are_those_last_broadcast() -> None:
    info = info_of(2)
    learner = learner_of(info)
    receive(learner, state_of(info, 0))
    reinforce(learner, rpe_of(info, 1, 1, 0, 0.5, baseline=3.5))
    assert same(
        saved_baselines(learner.snapshot()),
        {'a': {'baseline': np.array([0.0, 3.5]), 'known': np.array([False, True])}},
    )


@pytest.mark.parametrize(
    ('path', 'put', 'told'),
    [
        (('agents',), None, 'no baselines'),
        (('agents', 'a', 'baseline'), None, "no baselines: KeyError: 'baseline'"),
        (('agents', 'a', 'baseline'), np.zeros(2, np.int64), 'agents.a.baseline: expected float64'),
        (('agents', 'a', 'baseline_known'), np.zeros(3, np.bool_), r'agents.a.known: .*bool \[2\]'),
    ],
)
def test_baselines_of_another_version_are_refused(path: Any, put: Any, told: str) -> None:
    learner = learner_of(info_of(2))
    receive(learner, state_of(info_of(2), 0))
    with pytest.raises(CheckpointError, match=told):
        saved_baselines(without(learner.snapshot(), *path, put=put))


def test_only_rpes_that_count_change_the_baseline() -> None:
    """A duplicate, one of no window, and one that answers no reward that there can be, do not."""
    info = info_of(2)
    learner = learner_of(info)
    receive(learner, state_of(info, 0))
    receive(learner, state_of(info, 1, window=1))
    reinforce(learner, rpe_of(info, 1, [0, 1], 0, 0.5, baseline=3.5))
    before, weights = saved_baselines(learner.snapshot()), learner.weights
    for sequence, window in ((1, 0), (7, 5), (1, 1)):
        reinforce(learner, rpe_of(info, sequence, [0, 1], window, 1e3, baseline=-999.0))
    assert same(saved_baselines(learner.snapshot()), before)
    receive(learner, state_of(info, 2, window=1))
    assert same(learner.weights, weights)
    assert learner.counters['duplicate_rpes'] == learner.counters['unknown_window_rpes'] == 2
    assert learner.counters['early_rpes'] == 2
    reinforce(learner, rpe_of(info, 3, 0, 1, 0.5, baseline=4.5))
    assert saved_baselines(learner.snapshot())['a']['baseline'].tolist() == [4.5, 3.5]


def test_what_is_introduced_takes_no_memory_and_gives_way() -> None:
    """Agents that never send a state are forgotten for others; those that act are not."""
    learner = Learner(LearnerSettings(), LearnerLimits(agents=3, instances=10_000, memory_mb=10))
    first = info_of(2, agent='first')
    learner.roster.introduce(first)
    assert receive(learner, state_of(first, 0)) is not None
    for number in range(5):
        assert learner.roster.introduce(info_of(10_000, agent=f'ghost{number}'))
    assert list(learner.roster.infos) == ['first', 'ghost3', 'ghost4']
    assert learner.counters['forgotten_agents'] == 3
    # Now it would have to be served.
    with pytest.raises(LimitError, match='limits.memory_mb'):
        receive(learner, state_of(info_of(10_000, agent='ghost4'), 0))
    for name in ('second', 'third'):
        info = info_of(2, agent=name)
        learner.roster.introduce(info)
        assert receive(learner, state_of(info, 0)) is not None
    with pytest.raises(LimitError, match='limits.agents'):
        learner.roster.introduce(info_of(2, agent='fourth'))
    assert receive(learner, state_of(first, 1)) is not None


@pytest.mark.parametrize(
    ('info', 'setting'),
    [
        (info_of(2**32 - 1), 'instances'),
        (info_of(1, observations=2**32 - 1), 'observation_size'),
        (info_of(1, action=ActionSpace.discrete(2**32 - 1)), 'action_size'),
        (info_of(1, action=ActionSpace.multi_discrete((40_000, 40_000))), 'action_size'),
    ],
)
def test_what_is_too_large_is_refused_before_anything_is_allocated(info, setting) -> None:
    learner = Learner(LearnerSettings(), LearnerLimits())
    with pytest.raises(LimitError, match=f'limits.{setting}'):
        learner.roster.introduce(info)
    assert learner.weights == [] and learner.roster.infos == {}


def test_an_introduction_that_changes_no_sizes_releases_nothing() -> None:
    """Other bounds or periods in the same session leave windows and traces alone."""
    info = info_of(2)
    one, other = learner_of(info), learner_of(info)
    for learner in (one, other):
        receive(learner, state_of(info, 0))
    anew = replace(info, spec=replace(info.spec, control_period_s=0.5, max_episode_steps=9))
    assert not one.join(anew)
    assert one.roster.infos['a'].spec.max_episode_steps == 9
    for changed in (
        replace(info, lockstep=True),
        replace(info, spec=replace(info.spec, instances=3)),
    ):
        with pytest.raises(ProtocolError, match='the same within a session'):
            one.join(changed)
    assert one.counters['changed_infos'] == 2 and one.counters['released_windows'] == 0
    for learner in (one, other):
        receive(learner, state_of(info, 1, window=1))
        reinforce(learner, rpe_of(info, 1, [0, 1], 0, 0.5))
    assert same(one.weights, other.weights) and one.updates == 1


def test_after_a_state_far_ahead_an_agent_can_start_over() -> None:
    """A forged number and window would have every true state refused for ever."""
    info = info_of(2)
    learner = learner_of(info)
    receive(learner, state_of(info, 0))
    reinforce(learner, rpe_of(info, 1, [0, 1], 0, 0.5, baseline=3.5))
    receive(learner, state_of(info, 2**63, window=2**32 - 1))
    weights = learner.weights
    with pytest.raises(ProtocolError):
        receive(learner, state_of(info, 1, window=1))
    assert learner.roster.start_over('a') == 2 and learner.roster.start_over('nobody') == 0
    assert receive(learner, state_of(info, 1, window=1)) is not None
    assert receive(learner, state_of(info, 2, window=2)) is not None
    assert same(learner.weights, weights)
    reinforce(learner, rpe_of(info, 2, [0, 1], 1, 0.5))
    assert not same(learner.weights, weights)
    assert learner.counters['lost_states'] == 2**32 - 1, 'of the forged one alone'


def test_actions_repeat_the_names_of_their_state() -> None:
    info = info_of(2)
    state = state_of(info, 3, window=[4, 5], episode=[6, 7], step=[8, 9], phase=Phase.FIRST)
    answer = receive(learner_of(info), state)
    assert answer is not None
    for name in ('agent', 'session', 'sequence', 'episode', 'step', 'window', 'stamp_ns'):
        assert same(getattr(answer, name), getattr(state, name)), name
    assert isinstance(rpe_of(info, 0, 0, 0, 0.0), RpeBatch)


def test_an_agent_that_left_keeps_baselines_and_generators_for_its_return():
    """A new session draws on where the old one stopped; windows of the old one are gone."""
    info = info_of(2)
    learner = learner_of(info)
    receive(learner, state_of(info, 0))
    reinforce(learner, rpe_of(info, 1, 0, 0, 0.5, baseline=2.5))
    learner.prepare()
    before = learner.snapshot()['agents'][info.agent]
    learner.leave(info.agent)
    assert learner.windows_open == 0
    kept = learner.snapshot()['agents'][info.agent]
    for key in ('noise', 'action_generator', 'baseline', 'baseline_known'):
        assert same(kept[key], before[key]), key
    again = info_of(2, session=8)
    learner.join(again)
    after = learner.snapshot()['agents'][info.agent]
    assert after['baseline'][0] == 2.5
    assert same(after['noise'], before['noise'])
    assert same(after['action_generator'], before['action_generator'])
    assert receive(learner, state_of(again, 0)) is not None
