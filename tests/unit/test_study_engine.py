"""Engines: a worker ends with its study; a Ray that is not there is told in one line."""

from __future__ import annotations

import multiprocessing
import sys
import types

import pytest

from nrl_ros.experiments import engine
from nrl_ros.experiments.ray_engine import RayEngine


@pytest.mark.parametrize('while_it_works', [False, True], ids=['while it waits', 'while it works'])
def test_a_worker_whose_study_was_killed_ends_quietly(monkeypatch, while_it_works):
    """The pipe may be closed before the worker's other thread sees that its parent is gone."""
    monkeypatch.setattr(engine, '_die_with_parent', lambda: None)
    study, worker = multiprocessing.Pipe()
    done: list[dict] = []

    def work(job):
        study.close()
        done.append(job)
        return {}

    if while_it_works:
        study.send({'key': 'a trial'})
    else:
        study.close()
    # A fault would leave as an exception of this call.
    engine._serve(worker, work)
    assert done == [{'key': 'a trial'}] * while_it_works


@pytest.fixture()
def late_ray(monkeypatch):
    """A Ray whose node does not start in its time, which Ray tells by a bare Exception."""

    def init(**_):
        raise Exception('The current node timed out during startup.\nThis could happen because')

    ended = []
    ray = types.SimpleNamespace(init=init, shutdown=lambda: ended.append(True))
    monkeypatch.setitem(sys.modules, 'ray', ray)
    return ended


def test_a_ray_that_does_not_start_is_one_line_and_leaves_nothing_behind(late_ray):
    with pytest.raises(engine.StudyError, match='busy may exceed.*--engine processes') as found:
        RayEngine(1, dict)
    assert 'timed out during startup. This could' in str(found.value)
    assert late_ray == [True]


@pytest.mark.parametrize(
    ('address', 'named'),
    [
        ('127.0.0.1:1', 'Connection refused.*ray start'),
        ('127.0.0.1:port', "'port'"),
        ('somewhere', 'expected HOST:PORT or auto'),
    ],
)
def test_a_cluster_that_does_not_answer_is_refused_at_once(late_ray, address, named):
    """Ray itself waits for it for a minute and a half, and writes lines of its own meanwhile."""
    with pytest.raises(engine.StudyError, match=named):
        RayEngine(1, dict, address)
    assert not late_ray
