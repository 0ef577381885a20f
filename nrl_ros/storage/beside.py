"""Writes files in a thread beside the program, which must not wait for the disk."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class WriterBeside:
    """Runs one function at a time in a thread of its own.

    A checkpoint is on the disk after two ``fsync``, which take from milliseconds to a second. A
    program that commands an arm in the same thread would miss its periods meanwhile.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, 'writer')
        self._last: Future[Any] | None = None

    @property
    def is_busy(self) -> bool:
        """True while a function runs."""
        return self._last is not None and not self._last.done()

    def start(self, write: Callable[[], Any]) -> None:
        """Run a function beside the program; what the one before raised is forgotten."""
        self._last = self._pool.submit(write)

    def finish(self) -> None:
        """Wait for the function that was started last, and raise what it raised, once."""
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def close(self) -> None:
        """End the thread after the function that runs."""
        self._pool.shutdown()
