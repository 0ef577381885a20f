"""A worker of a study ends without a word when the study has ended."""

from __future__ import annotations

import multiprocessing

import pytest

from nrl_ros.experiments import engine


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
