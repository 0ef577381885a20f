"""Bound the time in which a process leaves the middleware."""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager

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
