"""Observations in units of their running mean and deviation, in the learner and in its files."""

from dataclasses import replace

import numpy as np
import pytest

from nrl_ros.base.errors import CheckpointError
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.moments import RunningMoments
from nrl_ros.storage.codec import decode, encode
from tests.unit.fakes import feed, info_of, learner_settings, message_flow, same

ROWS = np.random.default_rng(0).normal(5.0, 3.0, (40, 3)).astype(np.float32)
INFO = info_of(4)


def learner(**settings):
    made = Learner(learner_settings(**{'network.normalise_observations': True, **settings}))
    made.join(INFO)
    return made


@pytest.mark.parametrize('batch', [1, 7, 40])
def test_moments_of_batches_are_those_of_all_rows(batch):
    moments = RunningMoments()
    for start in range(0, len(ROWS), batch):
        moments.add(ROWS[start : start + batch])
    assert moments.state.count == 40
    assert moments.state.mean == pytest.approx(ROWS.mean(axis=0), rel=1e-6)
    assert moments.deviation == pytest.approx(ROWS.std(axis=0), rel=1e-6)
    assert moments.normalised(ROWS).std(axis=0) == pytest.approx(1.0, rel=1e-5)


def test_numbers_stay_as_they_are_before_anything_was_seen():
    assert np.array_equal(RunningMoments().normalised(ROWS[:2]), ROWS[:2])


def test_a_number_that_never_changes_and_one_that_is_wild_stay_small():
    moments = RunningMoments()
    moments.add(np.full((50, 1), 3.0, np.float32))
    assert moments.normalised(np.array([[3.0], [1e30], [-1e30]], np.float32)).tolist() == [
        [0.0],
        [10.0],
        [-10.0],
    ]


def test_units_of_the_observations_do_not_matter():
    """Millimetres or metres: the same weights, if what is seen is normalised."""
    flow = message_flow(INFO, steps=30, seed=1)

    def scaled(message, factor):
        if not hasattr(message, 'observation'):
            return message
        return replace(message, observation=message.observation * np.float32(factor))

    ones, others = learner(), learner()
    feed(ones, flow)
    feed(others, [scaled(message, 1024.0) for message in flow])
    for one, other in zip(ones.weights, others.weights, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize('switch', ['frozen', 'evaluating'])
def test_nothing_is_taken_into_account_without_learning(switch):
    ours = learner()
    feed(ours, message_flow(INFO, steps=5, seed=1, longest_delay=0))
    before = ours.snapshot()['moments']
    setattr(ours, switch, True)
    feed(ours, message_flow(INFO, steps=9, seed=1, longest_delay=0)[-2:])
    assert same(ours.snapshot()['moments'], before)
    assert before['count'] == 5 * 4


def test_a_policy_carries_its_moments_through_a_file():
    flow = message_flow(INFO, steps=30, seed=1)
    whole, half = learner(), learner()
    feed(whole, flow)
    feed(half, flow[: len(flow) // 2])
    resumed = learner()
    resumed.restore(decode(encode('learner', half.snapshot()), 'learner'))
    feed(resumed, flow[len(flow) // 2 :])
    assert same(resumed.snapshot()['moments'], whole.snapshot()['moments'])
    assert same(resumed.weights, whole.weights)


def test_a_policy_that_was_learned_with_other_numbers_is_refused():
    plain = Learner(learner_settings())
    plain.join(INFO)
    with pytest.raises(CheckpointError, match='normalise_observations'):
        learner().restore(plain.snapshot())
    ours = learner()
    feed(ours, message_flow(INFO, steps=3, seed=1))
    for name, put, said in (
        ('squares', -1.0, 'no mean and variance'),
        ('mean', np.zeros(2), r'moments are of \(2,\) numbers, expected 3'),
    ):
        damaged = ours.snapshot()
        damaged['moments'][name] = np.full(3, put) if name == 'squares' else put
        with pytest.raises(CheckpointError, match=said):
            learner().restore(damaged)
