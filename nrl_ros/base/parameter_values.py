"""Conversion of settings to values that ROS parameters can hold, and back.

A ROS parameter is true or false, an integer of 64 bits, a real number, a text, or a non-empty list
of one of these. All other values of settings (null, an empty list or group, a list of lists or of
groups) are carried by one more parameter, a JSON text::

settings_json: '{"bridge.options.kwargs.wind": null}'
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.settings import Flat

SETTINGS_JSON = 'settings_json'

_LARGEST = 2**63
_KINDS = (bool, int, float, str)


def is_ros_value(value: Any) -> bool:
    """Return True if a ROS parameter can hold a value, and a file returns it unchanged."""
    if isinstance(value, list):
        kinds = {type(item) for item in value}
        return len(kinds) == 1 and kinds <= set(_KINDS) and all(map(is_ros_value, value))
    if type(value) is int:
        return -_LARGEST <= value < _LARGEST
    return type(value) in _KINDS


def pack(flat: Mapping[str, Any]) -> Flat:
    """Return settings as ROS parameters; those that ROS cannot hold become one JSON text together.

    Args:
        flat: dotted names and values.

    Raises:
        ConfigError: a value is of a kind that no settings file can carry, such as a date.
    """
    held = {name: value for name, value in flat.items() if is_ros_value(value)}
    others = {name: value for name, value in flat.items() if name not in held}
    faults = [fault for name, value in others.items() for fault in _faults(name, value)]
    if faults:
        raise ConfigError('; '.join(faults))
    return held | ({SETTINGS_JSON: json.dumps(others)} if others else {})


def unpack(flat: Mapping[str, Any], source: str) -> Flat:
    """Return the settings of ROS parameters: the opposite of ``pack``.

    Args:
        flat: dotted names and values.
        source: where they came from, for the error text.

    Raises:
        ConfigError: the JSON text is damaged, or a setting is given in it and as a parameter too.
    """
    settings = {name: value for name, value in flat.items() if name != SETTINGS_JSON}
    if SETTINGS_JSON not in flat:
        return settings
    text = flat[SETTINGS_JSON]
    try:
        others = json.loads(text)
    except (TypeError, ValueError) as error:
        raise ConfigError(f'{source}: {SETTINGS_JSON} is not JSON: {error}') from None
    if not isinstance(others, dict):
        raise ConfigError(
            f'{source}: {SETTINGS_JSON} must hold names and values, received {text!r}'
        )
    twice = sorted(settings.keys() & others.keys())
    if twice:
        raise ConfigError(
            f'{source}: {", ".join(twice)} is given as a parameter and in {SETTINGS_JSON}: '
            'remove one'
        )
    return settings | others


def with_one_type(value: Any) -> Any:
    """Return a list of one type, as ROS needs it: whole numbers beside real ones become real."""
    if isinstance(value, list) and {type(item) for item in value} == {int, float}:
        return [float(item) for item in value]
    return value


def _faults(name: str, value: Any) -> list[str]:
    """Return what is wrong in a value that is to be carried as JSON, with its place."""
    if isinstance(value, dict):
        wrong = [key for key in value if not isinstance(key, str)]
        if wrong:
            return [f'{name}: expected names as text, received {wrong[0]!r}: put it in quotes']
        return [one for key, item in value.items() for one in _faults(f'{name}.{key}', item)]
    if isinstance(value, list):
        return [one for at, item in enumerate(value) for one in _faults(f'{name}.{at}', item)]
    if value is None or type(value) in _KINDS:
        return []
    return [
        f'{name}: received {value!r}, which a file of settings cannot carry; expected texts, '
        'numbers, true, false, null, and lists and groups of these; put a text in quotes'
    ]
