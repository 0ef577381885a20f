"""Searches, the queue and the estimate of time, with records made up by hand."""

import math

import numpy as np
import pytest

from nrl_ros.experiments.conditions import MAIN
from nrl_ros.experiments.driver import State, drive
from nrl_ros.experiments.engine import Outcome, StudyError, records
from nrl_ros.experiments.run import binned, curve, last_mean
from nrl_ros.experiments.schedule import Costs, Schedule
from nrl_ros.experiments.search import Scored, at_edge, best, score, seed_score
from nrl_ros.experiments.store import Store
from tests.unit.test_study_plan import study


def record(returns, seconds=1.0, diverged=-1):
    values = np.array(returns, np.float32)
    return {
        'returns': values,
        'bins': values,
        'episodes': len(values),
        'final': float(values[-1]) if len(values) else math.nan,
        'seconds': seconds,
        'diverged_at_step': diverged,
    }


class ByHand:
    """An engine that makes a record of the learning rate itself; some trials fail."""

    workers = 2

    def __init__(self, fails: str = '') -> None:
        self.jobs = []
        self.most = 0
        self._fails = fails
        self._open = []

    def submit(self, key, job):
        self.jobs.append(job)
        self._open.append((key, job))
        self.most = max(self.most, len(self._open))

    def wait(self, timeout_s):
        key, job = self._open.pop(0)
        if self._fails and self._fails in job['label']:
            return [Outcome(key, None, 'ValueError: by hand')]
        rate = job['settings'].get('learner', {}).get('plasticity.learning_rate', 0.0)
        return [Outcome(key, record([rate] * 4) | job)]

    def close(self):
        pass


class LastFirst(ByHand):
    """An engine whose newest job ends first."""

    closed = False

    def wait(self, timeout_s):
        self._open.reverse()
        return super().wait(timeout_s)

    def close(self):
        self.closed = True


class Silent:
    def __init__(self) -> None:
        self.states = []

    def update(self, state: State) -> None:
        self.states.append((state.done, state.total, state.failed, state.seconds_left))


def run(tmp_path, engine, **changes):
    schedule = Schedule(study(**changes), Store(tmp_path))
    silent = Silent()
    drive(schedule, engine, silent)
    return schedule, silent


def test_the_score_of_a_seed_is_the_mean_of_the_last_share():
    assert seed_score(record([0, 0, 2, 4]), 0.5) == 3.0
    assert seed_score(record([0, 0, 2, 4]), 0.25) == 4.0
    assert seed_score(record([]), 0.5) == -math.inf


def test_the_worst_seed_counts_beside_the_mean():
    # Mean 10, worst 2.
    assert score([2.0, 18.0], 0.5) == 6.0
    assert score([2.0, 18.0], 0.0) == 10.0
    assert score([2.0, 18.0], 1.0) == 2.0
    assert score([-math.inf, 18.0], 0.5) == -math.inf
    assert math.isnan(score([2.0, math.nan], 0.5))


def test_the_winner_is_the_best_point_once_all_are_known():
    grid = [Scored({'a': value}, (s,), s, 0) for value, s in ((1.0, 5.0), (2.0, 9.0), (3.0, 9.0))]
    won = best(grid)
    assert won is not None and won.point == {'a': 2.0}
    assert best([*grid, Scored({'a': 4.0}, (math.nan,), math.nan, 0)]) is None
    assert at_edge(grid, {'a': 2.0}) == []
    assert at_edge(grid, {'a': 1.0}) == ['a']
    assert at_edge([grid[0]], {'a': 1.0}) == []


def test_final_cells_use_what_the_search_found_on_other_seeds(tmp_path):
    engine = ByHand()
    schedule, _ = run(tmp_path, engine)
    # 2 tasks, 2 depths: two rules with 2 points on 1 seed, three rules on 2 final seeds.
    assert len(engine.jobs) == schedule.done == 4 * (2 * 2 + 3 * 2)
    assert engine.most == 2
    for condition in schedule.conditions:
        if condition.name != 'random':
            # The record is the learning rate: the larger one wins.
            assert schedule.searches.winner(condition) == {'plasticity.learning_rate': 3e-3}
    finals = [o for o in engine.jobs if 'search' not in o['label'] and 'random' not in o['label']]
    assert {o['settings']['learner']['plasticity.learning_rate'] for o in finals} == {3e-3}
    assert {o['settings']['learner']['seed'] for o in finals} == {0, 1}
    searches = [o for o in engine.jobs if 'search' in o['label']]
    assert {o['settings']['learner']['seed'] for o in searches} == {100}


def test_a_second_start_makes_only_what_is_missing(tmp_path):
    schedule, _ = run(tmp_path, ByHand())
    again = ByHand()
    run(tmp_path, again)
    assert again.jobs == []
    condition = next(
        condition
        for condition in schedule.conditions
        if condition.identity == (MAIN, 'cartpole', 'bp', 2)
    )
    lost = schedule.searches.finals(condition)[1]
    (tmp_path / 'cells' / f'{lost.key}.nrl').unlink()
    run(tmp_path, again)
    assert [job['label'] for job in again.jobs] == [lost.label]


def test_a_changed_setting_makes_only_its_cells_anew(tmp_path):
    run(tmp_path, ByHand())
    again = ByHand()
    rules = [rule.model_dump(exclude_none=True) for rule in study().rules]
    rules[1]['learner'] = {'plasticity.rule': 'backpropagation', 'network.bias': True}
    run(tmp_path, again, rules=rules)
    assert len(again.jobs) == 4 * (2 + 2)
    assert all('bp on' in job['label'] for job in again.jobs)


def test_a_record_made_with_another_default_is_made_anew(tmp_path):
    schedule, _ = run(tmp_path, ByHand())
    changed, older = schedule.searches.finals(schedule.conditions[0])
    settings = {node: dict(flat) for node, flat in changed.settings.items()}
    settings['learner']['network.leak'] = 0.2
    schedule.store.put(changed, changed.job() | record([1.0]) | {'settings': settings})
    settings = {node: dict(flat) for node, flat in older.settings.items()}
    del settings['learner']['network.leak']
    schedule.store.put(older, older.job() | record([1.0]) | {'settings': settings})
    again = ByHand()
    run(tmp_path, again)
    # What the older one lacks is at its default now: it was made with that.
    assert [job['label'] for job in again.jobs] == [changed.label]


def test_a_failed_cell_is_told_of_and_the_others_go_on(tmp_path):
    schedule, silent = run(tmp_path, ByHand(fails='bp on reaching with 1 hidden layers, learning'))
    # Both points of one search fail, so that its 2 final trials cannot be begun.
    assert schedule.done == 40 - 4
    assert len(schedule.failed) == 2
    assert all('ValueError: by hand' in text for text in schedule.failed.values())
    assert silent.states[-1][2] == 2


def test_one_cell_of_each_task_and_depth_comes_first(tmp_path):
    engine = ByHand()
    run(tmp_path, engine)
    first = [job['label'] for job in engine.jobs[:4]]
    for place in ('reaching with 1', 'reaching with 2', 'cartpole with 1', 'cartpole with 2'):
        assert sum(place in label for label in first) == 1


def test_costs_come_from_the_nearest_of_the_same_task():
    costs = Costs()
    assert costs.seconds(('a', 'nrl', 1), 100.0) is None
    costs.add(('a', 'nrl', 1), 100.0, 10.0)
    costs.add(('a', 'nrl', 1), 100.0, 30.0)
    costs.add(('a', 'bp', 2), 100.0, 50.0)
    # Its own kind: 0.2 s a unit.
    assert costs.seconds(('a', 'nrl', 1), 200.0) == pytest.approx(40.0)
    # Another rule at the same depth, then any depth: mean of 0.2 and 0.5 s a unit.
    assert costs.seconds(('a', 'rmhl', 1), 10.0) == pytest.approx(2.0)
    assert costs.seconds(('a', 'nrl', 3), 10.0) == pytest.approx(3.5)
    assert costs.seconds(('b', 'nrl', 1), 10.0) is None


def test_the_time_left_is_what_all_cells_take_over_the_workers(tmp_path):
    schedule = Schedule(study(depths=[1]), Store(tmp_path))
    assert schedule.seconds_left({}, 2) == (2 * (2 * 2 + 3 * 2), None)
    for task, per_episode in (('reaching', 1.0), ('cartpole', 0.5)):
        schedule.costs.add((task, 'nrl', 1), 1.0, per_episode)
    # reaching: 10 trials of 32 episodes; cartpole: 4 of 32 and 6 of 64.
    seconds = 10 * 32 * 1.0 + (4 * 32 + 6 * 64) * 0.5
    assert schedule.seconds_left({}, 2) == (20, pytest.approx(seconds / 2))
    running = next(schedule.ready())
    assert schedule.seconds_left({running.key: 12.0}, 2)[1] == pytest.approx((seconds - 12.0) / 2)
    # No more cores than trials help.
    assert schedule.seconds_left({}, 1000)[1] == pytest.approx(32.0)


def ends(total_steps, returns, ending=1):
    from nrl_ros.base.records import FinishedEpisodes

    count = len(returns)
    index = np.arange(count)
    return FinishedEpisodes(
        'agent', 1, np.full(count, total_steps, np.uint64), index, index, index,
        np.full(count, ending, np.uint8), np.array(returns), {},
    )  # fmt: skip


def test_a_curve_is_in_order_of_ending_without_aborted_episodes_and_beyond_the_budget():
    found = curve([ends(10, [1.0, 2.0]), ends(15, [9.0], ending=3), ends(20, [3.0, 4.0, 5.0])], 4)
    assert found['returns'].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert found['ended_at'].tolist() == [10, 10, 20, 20]
    assert found['episodes'] == 4 and found['final'] == 4.0


def test_bins_and_last_means():
    assert binned(np.arange(6.0), 3).tolist() == [0.5, 2.5, 4.5]
    assert binned(np.arange(2.0), 3).tolist() == [0.0, 1.0]
    assert binned(np.zeros(0), 3).tolist() == []
    assert last_mean(np.arange(20.0), 0.1) == 18.5
    assert last_mean(np.arange(3.0), 0.1) == 2.0
    assert math.isnan(last_mean(np.zeros(0), 0.1))


def test_jobs_fill_all_workers_and_their_records_come_in_order():
    engine = LastFirst()
    jobs = [{'label': f'job {number}', 'settings': {}} for number in range(5)]
    assert [one['label'] for one in records(engine, jobs)] == [job['label'] for job in jobs]
    assert engine.most == engine.workers and engine.closed


def test_a_job_that_fails_ends_them_all_with_its_reason():
    engine = LastFirst(fails='job 1')
    with pytest.raises(StudyError, match='job 1 failed: ValueError: by hand'):
        records(engine, [{'label': f'job {number}', 'settings': {}} for number in range(3)])
    assert engine.closed
