"""Note the signals that tell a process to end, so that it ends once and in order."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# Senders: Ctrl-C and ros2 launch; systemd and kill; a terminal that was closed.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_entered: list[Signals] = []


def told_to_end() -> bool:
    """Return whether a signal has come to any ``Signals`` that is entered now."""
    return any(signals.received for signals in _entered)


class Signals:
    """Notes SIGINT, SIGTERM and SIGHUP while it is entered; none of them interrupts anything.

    A SIGHUP that was ignored before stays ignored: that is how ``nohup`` keeps a command alive.

    Args:
        last: nothing but the end of the process follows, which ignores the signals from then on.
            Otherwise Python would give SIGINT back to the system while it shuts down, and a second
            Ctrl-C at that moment would make an orderly end look like a crash.

    Attributes:
        received: number of the newest signal; 0: none came.
    """

    def __init__(self, *, last: bool = False) -> None:
        self.received = 0
        self._last = last
        self._raises = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        """Take the signals over."""
        for number in ENDING:
            before = signal.getsignal(number)
            if number == signal.SIGHUP and before == signal.SIG_IGN:
                continue
            self._before[number] = before
            signal.signal(number, self._note)
        _entered.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back, or ignore them for the rest of the process."""
        _entered.remove(self)
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_IGN if self._last else before)

    @contextmanager
    def skipping(self) -> Iterator[None]:
        """Leave the block at the next signal; what comes after the block is done all the same."""
        self._raises = True
        try:
            yield
        except KeyboardInterrupt:
            pass
        finally:
            self._raises = False

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
        if self._raises:
            self._raises = False
            raise KeyboardInterrupt
