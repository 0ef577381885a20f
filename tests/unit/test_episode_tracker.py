"""The compiled episode tracker says what plain numpy says, over many episodes with faults."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.records import Delivery
from nrl_ros.base.state import restore_snapshot, take_snapshot
from nrl_ros.environments import episode_tracker
from nrl_ros.environments.episode_tracker import EpisodeTracker
from tests.oracles.episode_tracker import ReferenceTracker
from tests.unit.fakes import same, uncompiled

SOURCE = Path(__file__).parents[2] / 'nrl_ros/environments/episode_tracker.py'


def random_step(random: np.random.Generator, instances: int, often: float) -> list[Any]:
    """Reward, flags and invalid observations of one step; invalid: None where nobody is."""
    flags = [random.random(instances) < often * chance for chance in (0.15, 0.1, 0.05)]
    invalid = random.random(instances) < 0.1 if random.random() < 0.2 else None
    if invalid is not None:
        flags[2] = flags[2] | invalid
    return [random.standard_normal(instances), *flags, invalid]


@pytest.mark.parametrize('delivery', list(Delivery))
@pytest.mark.parametrize(('instances', 'often'), [(1, 1.0), (7, 1.0), (100, 0.05)])
def test_it_is_the_reference(delivery: Delivery, instances: int, often: float) -> None:
    steps = 3 if delivery == Delivery.EVERY_N_STEPS else 0
    tracker = EpisodeTracker(instances, delivery, steps)
    reference = ReferenceTracker(instances, delivery, steps)
    observation = np.zeros((instances, 1), np.float32)
    random = np.random.default_rng(0)
    seen = np.zeros(3, int)
    for _ in range(400):
        *step, invalid = random_step(random, instances, often)
        starting = np.count_nonzero(reference.state['phase'] == 2)
        assert tracker.receive(observation, *step)
        tracker.move(invalid)
        reference.step(*step, np.zeros(instances, bool) if invalid is None else invalid)
        closed, finished = tracker.closed_windows(), tracker.finished_episodes()
        assert same(tracker.state, reference.state)
        assert same(tracker.ending, reference.ending)
        assert same(list(closed) if closed else [], reference.closed if closed else [])
        assert len(reference.closed[0]) == tracker.closed_count
        assert same(list(finished.values()), reference.finished)
        assert len(reference.finished[0]) == tracker.finished_count
        assert tracker.aborted_count == np.count_nonzero(reference.ending == 3)
        assert tracker.live == instances - starting
        seen += (closed is not None, tracker.finished_count > 0, invalid is not None)
    assert (seen > 20).all()
    restore_snapshot(tracker, take_snapshot(EpisodeTracker(instances, delivery, steps)))
    assert not tracker.state['window'].any() and not tracker.state['phase'].any()
    assert tracker.closed_windows() is None and not tracker.finished_count


@pytest.mark.filterwarnings('ignore:invalid value')
@pytest.mark.parametrize('delivery', list(Delivery))
def test_compiled_it_says_what_its_text_says(delivery: Delivery) -> None:
    steps = 3 if delivery == Delivery.EVERY_N_STEPS else 0
    both = [
        module.EpisodeTracker(5, delivery, steps, 2)
        for module in (episode_tracker, uncompiled(episode_tracker))
    ]
    random = np.random.default_rng(1)
    for step in range(60):
        observation = random.standard_normal((5, 2)).astype(np.float32)
        observation[4, 1] = np.nan if step % 9 == 8 else 0.0
        *given, invalid = random_step(random, 5, 1.0)
        seen = []
        for tracker in both:
            seen.append([tracker.receive(observation, *given)])
            tracker.move(invalid)
            counts = (tracker.live, tracker.closed_count, tracker.finished_count)
            seen[-1] += [*counts, tracker.aborted_count, take_snapshot(tracker)]
            seen[-1] += [list(tracker.closed_windows() or ()), tracker.ending]
            seen[-1] += [tracker.finished_episodes()]
        assert same(*seen), step


def test_its_text_is_refused_as_a_part_of_the_package() -> None:
    pytest.importorskip('cython')
    spec = importlib.util.spec_from_file_location(episode_tracker.__name__, SOURCE)
    assert spec is not None and spec.loader is not None
    with pytest.raises(ImportError, match='is not compiled; build it: make setup'):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_actions_below_the_number_of_choices_are_accepted() -> None:
    tracker = EpisodeTracker(40, Delivery.EPISODE, 0)
    action = np.full((40, 1), 2, np.int32)
    assert tracker.accepts(action, 3) and not tracker.accepts(action, 2)
    action[17] = -1
    assert not tracker.accepts(action, 3)


def test_what_is_not_finite_is_seen() -> None:
    tracker = EpisodeTracker(40, Delivery.EPISODE, 0, 3)
    flags = np.zeros(40, bool)
    observation, reward = np.full((40, 3), 3e38, np.float32), np.full(40, -1e308)
    observation[5], reward[5] = -0.0, 5e-324
    assert tracker.receive(observation, reward, flags, flags, flags)
    for bad in (np.nan, -np.nan, np.inf, -np.inf):
        for array in (observation, reward):
            array.flat[39], kept = bad, array.flat[39]
            assert not tracker.receive(observation, reward, flags, flags, flags)
            array.flat[39] = kept
    assert tracker.receive(observation, reward, flags, flags, flags)
