"""When a task counts as learned: by the share of the newest episodes that reached a mark."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Ending, FinishedEpisodes
from nrl_ros.environments.mastery import Mastery, MasterySettings
from nrl_ros.experiments.run import run_trial

METRICS = ('final_distance_m', 'is_within_5_cm', 'is_within_2_cm')
WITHIN = {'mark': 'is_within_2_cm'}


def ended(*marks: int, aborted: bool = False) -> FinishedEpisodes:
    count = len(marks)
    whole: Any = np.zeros(count, np.uint32)
    ending = np.full(count, Ending.ABORTED if aborted else Ending.TRUNCATED, np.uint8)
    figures = {'is_within_2_cm': np.array(marks, float), 'is_within_5_cm': np.ones(count)}
    return FinishedEpisodes(
        'a', 1, whole.astype(np.uint64), whole, whole, whole, ending, np.zeros(count), figures
    )


def test_enough_of_the_newest_episodes_have_to_reach_the_mark() -> None:
    mastery = Mastery(MasterySettings(share=0.75, episodes=4, **WITHIN), METRICS)
    for marks, reached in (((1, 1, 1), False), ((0,), True), ((0,), False), ((1, 1), False)):
        mastery.add(ended(*marks))
        assert mastery.reached is reached
    assert mastery.share == 0.5
    mastery.add(ended(1, 1))
    assert mastery.reached
    assert mastery.about() == 'within 2 cm 100 % of 4 episodes'


def test_aborted_episodes_do_not_count() -> None:
    mastery = Mastery(MasterySettings(share=1.0, episodes=2, **WITHIN), METRICS)
    mastery.add(ended(1, 1))
    mastery.add(ended(0, 0, aborted=True))
    assert mastery.reached


def test_without_a_share_nothing_ends_and_no_mark_is_needed() -> None:
    mastery = Mastery(MasterySettings(), ())
    mastery.add(ended(1, 1, 1))
    assert not mastery.reached


@pytest.mark.parametrize(
    ('mark', 'metrics', 'expected'),
    [
        ('is_within_1_cm', METRICS, "received 'is_within_1_cm', did you mean 'is_within_"),
        ('', METRICS, "expected one of is_within_5_cm, is_within_2_cm, received ''"),
        ('', ('final_distance_m',), 'it has no such figure'),
    ],
)
def test_a_mark_that_the_environment_does_not_give_is_refused(
    mark: str, metrics: tuple[str, ...], expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        Mastery(MasterySettings(share=0.9, mark=mark), metrics)
    assert Mastery(MasterySettings(share=0.9), ('is_success',)).mark == 'is_success'


def test_a_trial_ends_when_the_task_is_learned() -> None:
    """Targets within 5 m of an arm that stands still: each episode reaches the mark."""
    options = {
        'robot': 'planar',
        'simulation.guard': False,
        'episode.steps': 3,
        'episode.success_radius_m': 5.0,
        'target.low_m': [0.1, -0.2, 0.2],
        'target.high_m': [0.3, 0.2, 0.4],
    }
    environment = {'bridge.name': 'arm', 'bridge.instances': 1, 'stop.steps': 1000}
    environment |= {f'bridge.options.{name}': value for name, value in options.items()}
    learned = {'share': 1.0, 'episodes': 5, 'mark': 'is_within_500_cm'}
    environment |= {f'stop.learned.{name}': value for name, value in learned.items()}
    nodes: dict[str, Any] = {'learner': {}, 'neuromodulator': {}, 'environment': environment}
    record = run_trial({'kind': 'task', 'label': 'test', 'settings': nodes})
    assert record['episodes'] == 5
