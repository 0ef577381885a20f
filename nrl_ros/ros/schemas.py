"""Definitions of message types as text, from the generated classes: no file of them is needed."""

from __future__ import annotations

import importlib
import re
from functools import lru_cache
from typing import Any

from nrl_ros.base.errors import NrlError

_ARRAY = re.compile(r'sequence<(.+?)(?:, (\d+))?>|(.+)\[(\d+)\]')
_BOUND = re.compile(r'^(w?string)<=\d+', re.MULTILINE)
_STRING = re.compile(r'(w?string)<(\d+)>')
_PLAIN = {'float': 'float32', 'double': 'float64', 'boolean': 'bool', 'octet': 'byte'}
_SEPARATOR = '=' * 80


class UnknownTypeError(NrlError):
    """The Python package of a message type is not installed here."""


@lru_cache(512)
def message_class(name: str) -> Any:
    """Return the class of a message type.

    Args:
        name: such as std_msgs/msg/Bool, or std_msgs/Bool; also of what an action sends, as
            nrl_ros/action/Reach_FeedbackMessage.

    Raises:
        UnknownTypeError: it is not installed.
    """
    package, _, rest = name.partition('/')
    kind = rest.rpartition('/')[2]
    try:
        if not kind:
            raise ValueError('it is none of ROS')
        found = getattr(importlib.import_module(f'{package}.msg'), kind, None)
        return _class_of_action(package, kind) if found is None else found
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UnknownTypeError(f'the message type {name} is not installed: {error}') from error


def _class_of_action(package: str, kind: str) -> Any:
    """Return a class that stands beside its action, of which the package shows the action alone."""
    action = getattr(importlib.import_module(f'{package}.action'), kind.partition('_')[0])
    return getattr(importlib.import_module(action.__module__), kind)


@lru_cache(512)
def schema_of(name: str) -> str:
    """Return the definition of a type and of all types in it, in the format ``ros2msg``.

    The bounds of strings are left out: bytes are the same, and PlotJuggler reads none with them.

    Args:
        name: such as std_msgs/msg/Bool.

    Raises:
        UnknownTypeError: a type is not installed.
    """
    parts: list[str] = []
    seen: set[str] = set()
    waiting = [_short(name)]
    while waiting:
        short = waiting.pop(0)
        if short in seen:
            continue
        seen.add(short)
        text, inner = _definition(message_class(short))
        parts.append(text if not parts else f'{_SEPARATOR}\nMSG: {short}\n{text}')
        waiting += inner
    return '\n'.join(parts)


def without_string_bounds(schema: str) -> str:
    """Return a definition without the bounds of its strings, which earlier recordings have."""
    return _BOUND.sub(r'\1', schema)


def _short(name: str) -> str:
    package, *_, kind = name.split('/')
    return f'{package}/{kind}'


def _definition(kind: Any) -> tuple[str, list[str]]:
    """Return the lines of a definition, and the other types that it names."""
    lines = [
        f'{"bool" if isinstance(value, bool) else "int64"} {name}={value}'
        for name, value in _constants(kind).items()
    ]
    inner = []
    for name, declared in kind.get_fields_and_field_types().items():
        text, element = _declaration(declared)
        lines.append(f'{text} {name}')
        if '/' in element:
            inner.append(element)
    return '\n'.join(lines) + '\n', inner


def _constants(kind: Any) -> dict[str, int]:
    """Return the whole numbers among the constants of a type."""
    found = getattr(type(kind), f'_{type(kind).__name__}__constants', {})
    return {name: value for name, value in found.items() if isinstance(value, int)}


def _declaration(declared: str) -> tuple[str, str]:
    """Return a declared type in the format of .msg files, and the type of its elements."""
    found = _ARRAY.fullmatch(declared)
    if found is None:
        text = _element(declared)
        return text, text
    element = _element(found[1] or found[3])
    if found[4]:
        return f'{element}[{found[4]}]', element
    return f'{element}[<={found[2]}]' if found[2] else f'{element}[]', element


def _element(name: str) -> str:
    bound = _STRING.fullmatch(name)
    return bound[1] if bound else _PLAIN.get(name, name)
