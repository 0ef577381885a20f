"""Keys and words of a person at a terminal: what comes at once, what waits for Enter."""

from __future__ import annotations

import os
import pty
import sys
import termios
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nrl_ros.cli.operator import Operator

Type = Callable[[str], None]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Type, int]]:
    """A terminal in place of the standard input: types into it; and its descriptor."""
    master, slave = pty.openpty()
    monkeypatch.setattr(os, 'tcgetpgrp', lambda _: os.getpgrp())
    with os.fdopen(slave, 'r') as terminal:
        monkeypatch.setattr(sys, 'stdin', terminal)
        yield (lambda text: os.write(master, text.encode()) and None), slave
    os.close(master)


def modes(terminal: int) -> Any:
    return termios.tcgetattr(terminal)[3]


def test_a_key_counts_at_once_and_a_word_with_enter(typed: tuple[Type, int]) -> None:
    write, terminal = typed
    before = modes(terminal)
    operator = Operator('+-')
    assert not modes(terminal) & termios.ICANON and modes(terminal) & termios.ISIG
    write('++')
    assert operator.words() == ['+', '+']
    write('st')
    assert operator.words() == []
    write('op\n-Clear\n')
    # A key within a line is a letter of it.
    assert operator.words() == ['stop', '-', 'clear']
    write('goo\x7f\n')
    assert operator.words() == ['go']
    operator.close()
    operator.close()
    assert modes(terminal) == before


def test_without_keys_the_terminal_stays_as_it_is(typed: tuple[Type, int]) -> None:
    write, terminal = typed
    before = modes(terminal)
    operator = Operator()
    assert modes(terminal) == before
    write('stop\n')
    assert operator.words() == ['stop']


@pytest.mark.parametrize(('terminal_only', 'words'), [(False, ['stop']), (True, [])])
def test_lines_that_are_meant_for_others_are_left(
    monkeypatch: pytest.MonkeyPatch, *, terminal_only: bool, words: list[str]
) -> None:
    """A command in a loop over lines of a file must not read them."""
    read, write = os.pipe()
    os.write(write, b'stop\n')
    with os.fdopen(read) as given:
        monkeypatch.setattr(sys, 'stdin', given)
        assert Operator('+', terminal_only=terminal_only).words() == words
    os.close(write)
