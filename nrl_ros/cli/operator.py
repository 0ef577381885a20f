"""Read the words that a person types while a command runs."""

from __future__ import annotations

import os
import select
import sys


class Operator:
    """Reads whole lines of the standard input without waiting for any.

    In the background of a terminal it reads nothing, since reading would suspend the command.
    """

    def __init__(self) -> None:
        self._buffer = b''
        try:
            self._input: int | None = sys.stdin.fileno()
            if os.isatty(self._input) and os.tcgetpgrp(self._input) != os.getpgrp():
                self._input = None
        except (AttributeError, OSError, ValueError):
            self._input = None

    def words(self) -> list[str]:
        """Return the lines that have come since the last call, stripped and in lower case."""
        while self._input is not None and select.select([self._input], [], [], 0.0)[0]:
            data = os.read(self._input, 4096)
            if not data:
                self._input = None
            self._buffer += data
        *lines, self._buffer = self._buffer.split(b'\n')
        return [line.decode(errors='replace').strip().lower() for line in lines]
