"""Bound the time in which a process leaves the middleware."""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager

from rclpy.context import Context

# Longest time for leaving the middleware, which usually takes 0.1 s. It is shorter than launch and
# other parents wait before they kill the process.
LONGEST_S = 3.0


@contextmanager
def bounded() -> Iterator[None]:
    """Leave the middleware inside; if that hangs, end the process with exit code 1.

    Fast DDS may lock up for good if several participants leave at the same moment, or if one was
    killed that shared memory with this process. Everything that matters has been saved by then. The
    stack on stderr shows where it hangs. A Python thread could not do this, since rclpy holds
    Python's lock while it destroys things.
    """
    faulthandler.dump_traceback_later(LONGEST_S, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextmanager
def kept(context: Context) -> Iterator[None]:
    """Keep a context running while other people's code ends, which may shut ROS down for all.

    Args:
        context: of nodes that still have to leave in order, and to save what they have.
    """
    calls = ('shutdown', 'try_shutdown')
    vars(context).update(dict.fromkeys(calls, lambda: None))
    try:
        yield
    finally:
        for call in calls:
            del vars(context)[call]
