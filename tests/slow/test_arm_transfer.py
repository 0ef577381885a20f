"""What is learned on many simulated arms is reached by one held as hardware is held.

The live side is that of ``tests/unit/test_arm_equal.py``: the supervisor with its filter and guard,
the controllers and servos of the driver, the episodes of the environment, in real time's order.
"""

from __future__ import annotations

import pytest

pytest.importorskip('mujoco')
pytest.importorskip('rclpy')

from benchmarks.arm_runs import Training, final_distances, greedy, settings_of
from nrl_ros.base.records import Delivery
from nrl_ros.base.settings import parse
from nrl_ros.environments.episodes import Episodes
from nrl_ros.robots.arm.settings import ReachSettings
from tests.unit.test_arm_equal import Live

pytestmark = pytest.mark.slow

STEPS, TARGETS = 300_000, 6


def test_a_trained_policy_reaches_within_all_limits_of_a_real_arm() -> None:
    """Each target from home, in 4 s, with nothing that stops the arm."""
    settings = settings_of()
    training = Training(settings)
    training.run(STEPS)
    snapshot = training.learner.snapshot()
    ends = []
    for seed in range(TARGETS):
        task = parse(
            ReachSettings,
            settings.environment.bridge.options,
            source="bridge 'arm'",
            what='option',
        )
        books = Episodes(
            Live(task, 'velocity'),
            agent='live',
            session=1,
            lockstep=True,
            delivery=Delivery.EPISODE,
        )
        ends += final_distances(books, greedy(settings, snapshot, books), seed).tolist()
    assert max(ends) < 0.02
