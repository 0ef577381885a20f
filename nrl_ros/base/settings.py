"""What all settings models share: frozen, no unknown keys, errors that say how to mend them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nrl_ros.base.errors import ConfigError

Model = TypeVar('Model', bound=BaseModel)


class Settings(BaseModel):
    """Base of every settings model."""

    model_config = ConfigDict(extra='forbid', frozen=True)


def live(default: Any, description: str, **limits: Any) -> Any:
    """A field that may change while the node runs."""
    return Field(default, description=description, json_schema_extra={'live': True}, **limits)


def at_start(default: Any, description: str) -> Any:
    """A field that only whoever starts the node decides: a file that it reads or writes.

    Anybody in the ROS domain may set parameters, and configure a node anew.
    """
    return Field(default, description=description, json_schema_extra={'at_start': True})


def realtime(priority: int) -> Any:
    """The field of a node's real-time priority."""
    return Field(
        priority, ge=0, le=98, description='Of the process, SCHED_FIFO; 0: scheduled as usual'
    )


def flatten(model: BaseModel, prefix: str = '') -> dict[str, Any]:
    """Dotted names and plain values of all settings, in order of declaration."""
    flat: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            flat |= flatten(value, f'{prefix}{name}.')
        elif isinstance(value, dict):
            flat |= _flatten_dict(value, f'{prefix}{name}.')
        else:
            flat[prefix + name] = list(value) if isinstance(value, tuple) else value
    return flat


def _flatten_dict(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten_dict(value, f'{prefix}{key}.')
        else:
            flat[prefix + key] = value
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The opposite of flatten: dotted names to nested dictionaries."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *groups, last = name.split('.')
        target = nested
        for group in groups:
            target = target.setdefault(group, {})
        target[last] = value
    return nested


def load(model: type[Model], flat: Mapping[str, Any], *, source: str) -> Model:
    """Check dotted settings against a model.

    Args:
        model: the settings model.
        flat: dotted names and values.
        source: where they came from, for the error text.

    Raises:
        ConfigError: naming every faulty key, what was received, and what is expected.
    """
    try:
        return model.model_validate(nest(flat))
    except ValidationError as error:
        known = list(flatten(model()))
        lines = [_explain(item, known) for item in error.errors()]
        raise ConfigError(f'{source}: ' + '; '.join(lines)) from None


def _explain(item: Any, known: list[str]) -> str:
    name = '.'.join(str(part) for part in item['loc'])
    if item['type'] == 'extra_forbidden':
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f', did you mean {close[0]!r}?' if close else f', known are {", ".join(known)}'
        return f'unknown parameter {name!r}{hint}'
    # A check of several settings together says itself which of them it means.
    received = f' (received {item["input"]!r})' if name and item['type'] != 'missing' else ''
    said = item['msg'].removeprefix('Value error, ')
    if item['type'] == 'string_type' and not isinstance(item['input'], (str, list, dict)):
        # YAML reads names such as 1, 1e3, on, no and ~ as something else.
        said += '; names that YAML reads as something else, such as 1, on or no, need quotes'
    return f'{name}: {said}{received}' if name else f'{said}'
