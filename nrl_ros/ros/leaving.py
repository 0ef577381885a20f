"""The end of a process: bounded, whatever the middleware does while it is left."""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager

# Longest time for the middleware to let go, which usually takes 0.1 s. Shorter than whoever has
# told the process to end waits before it kills it.
LONGEST_S = 3.0


@contextmanager
def bounded() -> Iterator[None]:
    """Leave the middleware; end the process with exit code 1 where that does not come back.

    Fast DDS may lock itself up for good where several participants leave at the same moment, or
    where one that shared memory with this process was killed. All that matters has been saved by
    then. The stack on stderr says where it hangs. A thread of Python's own could not do it, since
    rclpy keeps Python's lock while it destroys things.
    """
    faulthandler.dump_traceback_later(LONGEST_S, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
