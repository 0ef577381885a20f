"""What the benchmark of reaching keeps, adds and compares, with runs that take no time."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

pytest.importorskip('mujoco')

from benchmarks import arm_reaching

OPTIONS = argparse.Namespace(
    task='pose',
    robot='ur5e',
    equal='processor',
    in_process=True,
    go_on=True,
    quick=False,
    seeds=2,
    yardstick_seeds=2,
)


def run_of(seed: int, **more: Any) -> dict[str, Any]:
    """An entry of a file."""
    shares = {f'success_{radius}cm': 1.0 for radius in (5, 2, 1)}
    times = {'steps': 10, 'seconds': 50.0, 'processor_s': 7.0 + seed}
    middle = {'median_mm': 1.0, 'success_pose': 0.5 + 0.1 * seed, 'median_deg': 1.0}
    return {'seed': seed, **times, **shares, **middle, **more}


def test_runs_of_a_file_are_kept_and_those_it_lacks_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first entry is the mean share of poses, whatever order the runs were made in."""
    made = []

    def train(name: str, seed: int, steps: int, *, task: str) -> dict[str, Any]:
        made.append((name, seed, task))
        return run_of(seed)

    monkeypatch.setattr(arm_reaching, 'in_process', train)
    runs = {'backpropagation': [run_of(0)], 'nrl': [run_of(0, median_mm=3.0)]}
    names = ['backpropagation', 'nrl']
    told = list(arm_reaching.measure(OPTIONS, names, runs, task='ur5e_pose'))
    assert told == names
    assert made == [(name, 1, 'ur5e_pose') for name in names]
    assert [run['median_mm'] for run in runs['nrl']] == [3.0, 1.0]
    result = arm_reaching.result_of(OPTIONS, runs, task='ur5e_pose')
    assert next(iter(result.items())) == ('success_pose', pytest.approx(0.55))
    assert list(result['runs']) == ['nrl', 'backpropagation']
    assert result['command'].endswith('--task pose --in-process --json FILE')
    page = arm_reaching.table(result)
    assert 'NRL, one process' in page and 'Processor time [s]' in page
    del runs['nrl'][0]['processor_s']
    assert 'Processor time' not in arm_reaching.table(result)


@pytest.mark.parametrize(
    ('equal', 'seconds', 'clock'),
    [('processor', 8.0, time.process_time), ('wall', 50.0, time.perf_counter)],
)
def test_a_yardstick_has_the_time_that_nrl_took_with_its_seed(
    monkeypatch: pytest.MonkeyPatch, equal: str, seconds: float, clock: Callable[[], float]
) -> None:
    given = []

    class Limit(NamedTuple):
        seconds: float
        clock: Callable[[], float]

    def train(*_args: Any, limit: Limit, **_more: Any) -> Any:
        given.append(limit)
        return SimpleNamespace(act=None, steps=1, seconds=2.0, processor_s=3.0)

    fake = SimpleNamespace(Limit=Limit, train=train)
    monkeypatch.setitem(sys.modules, 'benchmarks.arm_yardstick', fake)
    monkeypatch.setattr(arm_reaching, 'final_figures', lambda *_: {})
    monkeypatch.setattr(arm_reaching, 'success', lambda _: {'success_pose': 1.0})
    like = [run_of(0), run_of(1)]
    found = arm_reaching.yardstick('ppo', 1, task='ur5e_pose', equal=equal, like=like)
    assert given == [Limit(seconds, clock)]
    assert (found['steps'], found['processor_s'], found['success_pose']) == (1, 3.0, 1.0)
    with pytest.raises(SystemExit, match='of which FILE has none'):
        arm_reaching.yardstick('ppo', 2, task='ur5e_pose', equal=equal, like=like)


def test_runs_of_nodes_and_of_one_process_are_not_mixed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / 'poses.json'
    file.write_text('{"runs": {"nrl": []}}')
    given = ['--task', 'pose', '--json', str(file), '--in-process', '--go-on']
    monkeypatch.setattr(sys, 'argv', ['arm_reaching.py', *given])
    with pytest.raises(SystemExit, match='holds runs of three nodes over ROS 2, asked for'):
        arm_reaching.main()
