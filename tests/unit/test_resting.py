"""The thread that receives rests where it had to wait for one of many messages, and only there."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

import pytest

pytest.importorskip('rclpy')

from nrl_ros.ros import resting

REST_NS = 1_000
MANY = 200


def rests_of(wait: Callable[[], None]) -> int:
    """How often it rests between so many messages, before each of which it does something."""
    said = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t)(resting.callback())
    before = resting.rests()
    for _ in range(MANY):
        wait()
        said(REST_NS, 1)
    return resting.rests() - before


def busy() -> None:
    """Compute for longer than messages are apart that come at once."""
    end = time.perf_counter_ns() + 60_000
    while time.perf_counter_ns() < end:
        pass


def test_it_rests_after_messages_that_it_waited_for() -> None:
    assert rests_of(lambda: time.sleep(60e-6)) > MANY // 20


def test_it_does_not_rest_while_more_has_come() -> None:
    assert rests_of(lambda: None) <= MANY // 50


def test_it_does_not_rest_when_it_was_only_held_up() -> None:
    """What has come meanwhile must be taken before shared memory is full."""
    assert rests_of(busy) <= MANY // 50


def test_it_does_not_rest_where_few_messages_come() -> None:
    rests_of(lambda: time.sleep(1e-3))
    assert rests_of(lambda: time.sleep(1e-3)) == 0
