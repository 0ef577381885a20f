"""The errors of nrl_ros: each says what was received, what was expected, and how to mend it."""

from __future__ import annotations

import difflib
import math
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

# An error's text is cut after so many characters.
_LONGEST = 500
# An error or a note names at most this many of one kind.
_MOST_NAMES = 8
# Likeness of names from which on one is suggested for the other; and of a name to one that has all
# of its words.
_NEAR, _WORDS_OF_IT = 0.5, 0.8


class NrlError(Exception):
    """Base of every error that nrl_ros raises on purpose."""


class NotBuiltError(NrlError, ImportError):
    """A compiled part of the package is missing, or is of another build."""


class ConfigError(NrlError, ValueError):
    """A setting is unknown, out of range, or does not fit another one.

    It is a ValueError too, since checks of settings models raise ValueErrors.
    """


class ConversionError(NrlError):
    """The fields of a message contradict each other, such as an array of the wrong length."""


class ShapeError(NrlError):
    """An array has another shape, length or type than its space says."""


class ProtocolError(NrlError):
    """A message does not fit what came before it: order, session, agent or credit window."""


class InvalidValueError(NrlError):
    """A value is not finite or lies outside of its space."""


class LimitError(NrlError):
    """A message asks for more than the settings allow."""


class CheckpointError(NrlError):
    """A checkpoint is missing, damaged, of another version, or of another network."""


class BridgeError(NrlError):
    """An environment bridge is unknown, cannot be imported, or misbehaves."""


def check_positive(name: str, value: float) -> None:
    """Refuse a setting that is not a positive, finite number.

    Raises:
        ConfigError: it is not positive and finite.
    """
    if not (math.isfinite(value) and value > 0.0):
        raise ConfigError(f'{name} must be a positive number, received {value}')


def describe(error: BaseException) -> str:
    """Return an error of other people's code in one line: its type, text, and place.

    The place is the last line of Python that ran: an error without a text says nothing else.
    """
    text = ' '.join(str(error).split())[:_LONGEST]
    frames = traceback.extract_tb(error.__traceback__)
    place = f' ({Path(frames[-1].filename).name}, line {frames[-1].lineno})' if frames else ''
    return f'{type(error).__name__}{": " if text else " without a text"}{text}{place}'


def some(names: Sequence[str], between: str = ', ', most: int = _MOST_NAMES) -> str:
    """Return the first names of a list, and how many more there are."""
    rest = len(names) - most
    return between.join(names[:most]) + (f' and {rest} more' if rest > 0 else '')


def closest(name: str, known: Iterable[str]) -> str:
    """Return the end of an error about an unknown name: the nearest known name, or all of them.

    Args:
        name: as received.
        known: the names that exist.
    """
    names = [each for each in known if each]
    return nearest(name, names) or f', known are {", ".join(names) or "none"}'


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the question whether the nearest of the known names was meant; '' if none is near."""
    best = max(known, key=lambda each: _likeness(name, each), default='')
    return f', did you mean {best!r}?' if best and _likeness(name, best) >= _NEAR else ''


def _likeness(name: str, known: str) -> float:
    """Return how much two names are alike, from 0 to 1; of dotted names the last part counts most.

    People leave words out (``plasticity.rate``) as well as mistyping them.
    """
    group, _, last = name.lower().rpartition('.')
    known_group, _, known_last = known.lower().rpartition('.')
    pair = (last, known_last) if group == known_group else (name.lower(), known.lower())
    ratio = difflib.SequenceMatcher(None, *pair).ratio()
    if set(last.split('_')) <= set(known_last.split('_')):
        return max(ratio, _WORDS_OF_IT + ratio / 10)
    return ratio
