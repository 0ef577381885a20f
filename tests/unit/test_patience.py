"""How long something may last."""

from __future__ import annotations

import pytest

from nrl_ros.base.durations import duration
from nrl_ros.base.patience import Patience
from nrl_ros.monitor.progress import StallWatch


def test_patience_ends_once_something_has_lasted() -> None:
    patience = Patience(8.0)
    found = [patience.over(float(now), waits=now not in (5, 6)) for now in range(20)]
    assert found.index(True) == 16 and not any(found[:16])


def stalled(told: list[tuple[int, int]]) -> list[int]:
    """Seconds at which a run was called stalled, told steps and resent states each second."""
    watch = StallWatch(5.0)
    return [at for at, counters in enumerate(told) if watch.is_stalled(100.0 + at, *counters)]


def test_a_run_is_stalled_once_states_are_sent_again_for_long_and_nothing_steps() -> None:
    assert stalled([(8, 0), *[(8, resent) for resent in range(1, 10)]]) == [6, 7, 8, 9]
    # From the first state on, too.
    assert stalled([(0, 0), *[(0, resent) for resent in range(1, 10)]]) == [6, 7, 8, 9]


def test_a_run_that_steps_or_waits_for_nobody_is_not_stalled() -> None:
    assert not stalled([(step, 3 * step) for step in range(30)])
    # Nothing is sent again while it is paused.
    assert not stalled([(8, 0)] * 30)
    assert not stalled([(8, 4)] * 30)


def test_each_step_starts_the_time_anew() -> None:
    late = [(1, resent) for resent in range(1, 5)] + [(2, resent) for resent in range(5, 10)]
    assert not stalled([(0, 0), *late])


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [(None, '?'), (0.4, '0:00'), (42, '0:42'), (3599.6, '1:00:00'), (3900, '1:05:00')],
)
def test_durations_are_read_as_people_say_them(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text
