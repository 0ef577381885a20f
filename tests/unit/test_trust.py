"""What the benchmark of trust counts: garbage is garbage, and an arm that moves on is seen."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')
pytest.importorskip('mujoco')

sys.path.insert(0, str(Path(__file__).parents[2] / 'benchmarks'))

from trust_arm import last_motion
from trust_wire import garbage

from nrl_ros.base.errors import NrlError
from nrl_ros.ros import conversion
from nrl_ros.ros.interfaces import EnvState
from tests.unit.fakes import info_of, state_of


def test_a_motion_is_seen_up_to_its_last_message() -> None:
    at = [(0.1 * number, (0.0, 0.0, min(number, 5) * 1e-3)) for number in range(10)]
    assert last_motion(at, 0.0) == pytest.approx(0.5)
    # It came to rest before that moment.
    assert last_motion(at, 0.7) == 0.7
    assert last_motion([], 1.0) == 1.0


def test_no_garbage_says_what_the_true_message_says() -> None:
    state = state_of(info_of(instances=3), 0)
    true = bytes(conversion.state_to_wire(state))
    choose, refused = random.Random(0), 0
    for _ in range(300):
        made = garbage(EnvState, true, choose)
        assert made != true
        try:
            read = conversion.state_from_wire(made)
        except NrlError:
            refused += 1
            continue
        shapes = {len(read.episode), len(read.step), len(read.window)}
        assert (read.agent, read.session) != (state.agent, state.session) or shapes != {3}
    assert refused > 100
