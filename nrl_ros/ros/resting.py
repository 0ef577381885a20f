"""Lets the middleware receive in batches, for a node that only listens.

Fast DDS has a thread that receives. Each message wakes it, which costs its sender and this process
more than the message itself: two thirds of the thread's time were changes from one thread to
another. It calls a function after each message, and here that function rests for a moment if the
thread had to wait for the message. Messages that come meanwhile wake nobody and are taken in one
go. Where few come, as from an arm, it does not rest.

The function is compiled: Python's own lock is not taken for a message.
"""

from __future__ import annotations

import ctypes
from typing import Any

import cython
from rclpy.utilities import get_rmw_implementation_identifier

from nrl_ros.base.compiled import require_compiled
from nrl_ros.ros.wire import NANOSECONDS

require_compiled(__name__, cython.compiled)

# isort: split
from cython.cimports.posix.resource import getrusage, rusage
from cython.cimports.posix.time import CLOCK_MONOTONIC, clock_gettime, nanosleep, timespec

# Shared memory has room for a few hundredths of a second of the fastest loops.
REST_S = 0.003
_MIDDLEWARE = 'rmw_fastrtps'
# A message that comes sooner after the one before was waiting already.
_AT_ONCE_NS = cython.declare(cython.longlong, 50_000)
# It rests only where so many messages come in this time: slow loops are heard as they happen.
_MANY = cython.declare(cython.longlong, 32)
_MANY_NS = cython.declare(cython.longlong, 15_000_000)
_SECOND_NS = cython.declare(cython.longlong, NANOSECONDS)
# RUSAGE_THREAD of Linux, which Cython does not declare.
_THREAD = cython.declare(cython.int, 1)

# Messages so far; when the newest one came, and the last one of a full count; how often the thread
# had waited then; and its rests. A second thread that receives would only make it rest at times
# when it need not, or not when it might.
_count = cython.declare(cython.longlong, 0)
_last_ns = cython.declare(cython.longlong, 0)
_many_ns = cython.declare(cython.longlong, 0)
_fast = cython.declare(cython.bint, False)
_waits = cython.declare(cython.long, 0)
_rests = cython.declare(cython.longlong, 0)


def rest_between_messages(subscription: Any, rest_s: float = REST_S) -> bool:
    """Let the middleware's thread rest after messages that it had to wait for.

    Args:
        subscription: one of rclpy.
        rest_s: how long [s].

    Returns:
        False if that was not done, since the middleware is another one.
    """
    if not get_rmw_implementation_identifier().startswith(_MIDDLEWARE):
        return False
    # rclpy has loaded it, wherever it is.
    set_callback = ctypes.CDLL('librcl.so').rcl_subscription_set_on_new_message_callback
    set_callback.argtypes = [ctypes.c_void_p] * 3
    with subscription.handle:
        rest_ns = int(rest_s * NANOSECONDS)
        refused: int = set_callback(subscription.handle.pointer, callback(), rest_ns)
    return refused == 0


def callback() -> int:
    """Return the address of the function; it takes the rest [ns] and a number of messages."""
    return int(cython.cast(cython.size_t, cython.cast(cython.p_void, _on_message)))


def rests() -> int:
    """Return how often this process has rested."""
    return int(_rests)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _on_message(rest_ns: cython.p_void, count: cython.size_t) -> cython.void:
    global _count, _last_ns, _many_ns, _fast, _waits, _rests  # noqa: PLW0603 - of the thread
    rest = cython.declare(timespec)
    since_ns: cython.longlong
    now_ns: cython.longlong = _now_ns()
    _count += 1
    if _count % _MANY == 0:
        _fast = now_ns - _many_ns < _MANY_NS
        _many_ns = now_ns
    since_ns = now_ns - _last_ns
    _last_ns = now_ns
    if not _fast or since_ns < _AT_ONCE_NS:
        return
    # A thread that was only interrupted has not waited: there is more to take.
    if _waits_so_far() != _waits:
        rest.tv_sec = 0
        rest.tv_nsec = cython.cast(cython.long, cython.cast(cython.size_t, rest_ns))
        nanosleep(cython.address(rest), cython.NULL)
        _rests += 1
        _last_ns = _now_ns()
    _waits = _waits_so_far()


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _now_ns() -> cython.longlong:
    now = cython.declare(timespec)
    clock_gettime(CLOCK_MONOTONIC, cython.address(now))
    return now.tv_sec * _SECOND_NS + now.tv_nsec


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _waits_so_far() -> cython.long:
    """Return how often the thread has waited for anything."""
    used = cython.declare(rusage)
    getrusage(_THREAD, cython.address(used))
    return used.ru_nvcsw
