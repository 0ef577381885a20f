"""Arrays that are watched give what handing them over gives, and other sizes are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import ShapeError
from nrl_ros.learning.baselines.running_average import RunningAverage
from nrl_ros.learning.window_tracker import WindowTracker

B = 3


def arrays(size: int = B) -> list[Any]:
    """Windows, phases and endings; then instances, windows and errors of closed ones."""
    whole, small = np.zeros((3, size), np.uint32), np.zeros((2, size), np.uint8)
    return [whole[0], small[0], small[1], whole[1], whole[2], np.zeros(size)]


def test_windows_that_watch_do_what_windows_that_receive_do() -> None:
    window, phase, ending, instance, closed, rpe = watched = arrays()
    watching, receiving = WindowTracker(B, reset=True), WindowTracker(B, reset=True)
    watching.watch(watched[:3], watched[3:])
    for number in range(4):
        window[:] = number
        watching.look()
        receiving.receive(window, phase, ending)
        for tracker in (watching, receiving):
            tracker.close()
        if number:
            instance[:2], closed[:2], rpe[:2] = (2, 0), number - 1, (0.5, -number)
            assert watching.match_watched(2)
            assert receiving.match(instance[:2], closed[:2], rpe[:2], is_early=True)
            assert watching.ready_rpe[:2].tolist() == [0.5, -number]
            assert watching.ready[:2].tolist() == receiving.ready[:2].tolist() == [2, 0]
        assert watching.note() == receiving.note() == B
        for name, value in receiving.state.items():
            assert np.array_equal(watching.state[name], value), name


def test_averages_that_watch_do_what_averages_that_receive_do() -> None:
    instance, window = np.zeros((2, B), np.uint32)
    value, told, known = np.zeros(B), np.zeros(B), np.zeros(B, np.uint8)
    watching, receiving = RunningAverage(B), RunningAverage(B)
    watching.watch((instance, window, value), (told, known))
    for number in range(1, 4):
        instance[:2], window[:2], value[:2] = (2, 1), number, (number, np.sqrt(number))
        assert watching.look(2)
        assert receiving.receive(instance[:2], window[:2], value[:2])
        for averages in (watching, receiving):
            averages.compare(0.25, order='before', scale='none')
        watching.tell()
        assert np.array_equal(watching.rpe, receiving.rpe)
        assert told.tolist() == receiving.state['baseline'].tolist()
    assert known.tolist() == [0, 1, 1]
    value[1] = np.nan
    assert not watching.look(2)


@pytest.mark.parametrize('position', range(6))
def test_arrays_of_another_size_are_refused(position: int) -> None:
    given = arrays()
    given[position] = arrays(B + 1)[position]
    with pytest.raises(ShapeError, match=r'shape \(3,\), received \(4,\)'):
        WindowTracker(B, reset=True).watch(given[:3], given[3:])
    if position < 5:
        sizes = [B + (position == number) for number in range(5)]
        kinds = (np.uint32, np.uint32, np.float64, np.float64, np.uint8)
        parts = [np.zeros(size, kind) for size, kind in zip(sizes, kinds, strict=True)]
        with pytest.raises(ShapeError, match=r'shape \(3,\), received \(4,\)'):
            RunningAverage(B).watch(parts[:3], parts[3:])
