"""The line that tells how a training goes where no display shows it."""

from __future__ import annotations

import math
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from nrl_ros.nodes.progress_line import Figures, progress_line


@pytest.mark.parametrize(
    ('more', 'line'),
    [
        ({}, '12,345 steps, 67 episodes, 1,234 steps/s'),
        (
            {'mean_return': 123.456},
            '12,345 steps, 67 episodes, 1,234 steps/s; last 100 episodes: return 123.5',
        ),
        (
            {'mean_return': -0.5, 'metrics': {'is_success': 0.8, 'final_distance_m': math.nan}},
            '12,345 steps, 67 episodes, 1,234 steps/s; '
            'last 100 episodes: return -0.5, success 80 %',
        ),
        (
            {'counters': {'late_actions': 0, 'missing_actions': 1200, 'aborted': 2}},
            '12,345 steps, 67 episodes, 1,234 steps/s; counted: missing_actions 1,200, aborted 2',
        ),
    ],
    ids=['first', 'return', 'success', 'counters'],
)
def test_what_is_known_is_told(more: dict[str, Any], line: str) -> None:
    assert progress_line(Figures(12_345, 67, 1234.4, **more)) == line


def test_a_session_is_silent_until_it_moves_and_tells_the_rate_since_the_last_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip('rclpy')
    pytest.importorskip('nrl_ros.msg')
    from nrl_ros.nodes import environment_status

    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(environment_status, 'time', clock)
    now = 10.0
    session: Any = SimpleNamespace(
        total_steps=0, total_episodes=0, aborted=0, info=SimpleNamespace(session=7)
    )
    nobody = environment_status.ReportPublishers(None, None, None)
    reports = environment_status.EnvironmentReports(session, nobody)
    now = 15.0
    assert reports.progress(Counter()) == ''
    now, session.total_steps, session.total_episodes, session.aborted = 20.0, 500, 3, 1
    counted = Counter(late_actions=2, missing_actions=0)
    assert reports.progress(counted) == (
        '500 steps, 3 episodes, 100 steps/s; counted: late_actions 2, aborted 1'
    )
    now = 25.0
    assert reports.progress(Counter()).startswith('500 steps, 3 episodes, 0 steps/s')
