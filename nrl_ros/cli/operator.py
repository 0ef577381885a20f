"""Read the keys and words that a person types while a command runs."""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import sys
import termios
from collections.abc import Collection
from typing import Any

_BACKSPACE = b'\x7f\x08'


class Operator:
    """Reads whole lines of the standard input, and single keys, without waiting for any.

    In the background of a terminal it reads nothing, since reading would suspend the command.

    Args:
        keys: characters that count at once, without Enter, where a line begins with them.
        terminal_only: read nothing but a terminal: another input may be meant for somebody else,
            such as the lines of a loop in a script.
    """

    def __init__(self, keys: Collection[str] = (), *, terminal_only: bool = False) -> None:
        self._buffer = b''
        self._keys = frozenset(key.encode() for key in keys)
        self._before: list[Any] | None = None
        try:
            self._input: int | None = sys.stdin.fileno()
            terminal = os.isatty(self._input)
            if terminal and os.tcgetpgrp(self._input) != os.getpgrp():
                self._input = None
            elif terminal and keys:
                self._take_keys(self._input)
            elif terminal_only and not terminal:
                self._input = None
        except (AttributeError, OSError, ValueError, termios.error):
            self._input = None

    def _take_keys(self, terminal: int) -> None:
        """Let the terminal hand over each key at once; signals and the echo stay."""
        self._before = termios.tcgetattr(terminal)
        changed = termios.tcgetattr(terminal)
        changed[3] &= ~termios.ICANON
        termios.tcsetattr(terminal, termios.TCSADRAIN, changed)
        atexit.register(self.close)

    def close(self) -> None:
        """Give the terminal back as it was; may be called twice."""
        before, self._before = self._before, None
        if before is not None:
            atexit.unregister(self.close)
            # The terminal may have gone.
            with contextlib.suppress(termios.error, ValueError):
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)

    def words(self) -> list[str]:
        """Return the keys and lines since the last call, lines stripped and in lower case."""
        found = []
        while self._input is not None and select.select([self._input], [], [], 0.0)[0]:
            data = os.read(self._input, 4096)
            if not data:
                self._input = None
            for number in data:
                found += self._take(bytes([number]))
        return found

    def _take(self, key: bytes) -> list[str]:
        if self._before is not None and key in _BACKSPACE:
            self._buffer = self._buffer[:-1]
        elif not self._buffer and key in self._keys:
            return [key.decode()]
        elif key == b'\n':
            line, self._buffer = self._buffer, b''
            return [line.decode(errors='replace').strip().lower()]
        else:
            self._buffer += key
        return []
