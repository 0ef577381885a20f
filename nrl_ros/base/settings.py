"""The base of all settings models: frozen, no unknown keys, errors that say how to mend them.

A setting is declared once, as a field of the model that stands beside what it sets: default, range,
unit and description, and whether it may change while a node runs. ROS parameters, the check of YAML
files, the reference page and the object that reads it are made from that field.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from nrl_ros.base.errors import ConfigError, closest

Model = TypeVar('Model', bound=BaseModel)
# Names as users write them, ``group.name``, and values.
Flat = dict[str, Any]


class Settings(BaseModel):
    """Base of every settings model; numbers are finite.

    Raises:
        ConfigError: naming every faulty setting, what was received, and what is expected.
    """

    model_config = ConfigDict(extra='forbid', frozen=True, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError('; '.join(explain(error, type(self)))) from None

    # pydantic would call this __init__ for groups within groups too, unless it is marked as its
    # own. It only translates errors, which only the outermost model has to do.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]


def live(default: Any, description: str, **limits: Any) -> Any:
    """Declare a field that may change while the node runs."""
    return Field(default, description=description, json_schema_extra={'live': True}, **limits)


def at_start(default: Any, description: str) -> Any:
    """Declare a field that is set only when the node is started: a file that it reads or writes.

    Otherwise anybody in the ROS domain could set the parameter and configure the node anew.
    """
    return Field(default, description=description, json_schema_extra={'at_start': True})


def realtime(priority: int) -> Any:
    """Declare the field of a node's real-time priority."""
    return Field(
        priority,
        ge=0,
        le=98,
        description='Of the process, SCHED_FIFO; 0: scheduled as usual [1]',
    )


def shared(owner: Callable[..., Any], name: str, description: str = '') -> Any:
    """Declare a field with the default, range and description of another field.

    Use it for a setting that a group offers to its users and that belongs to a part which can also
    be made by itself, such as a learning rule.

    Args:
        owner: settings model with that field, or a function that takes it as an annotated argument.
        name: of the field or argument there.
        description: replaces the one there.
    """
    if isinstance(owner, type) and issubclass(owner, BaseModel):
        field = owner.model_fields[name]
    else:
        argument = inspect.signature(owner, eval_str=True).parameters[name]
        field = FieldInfo.from_annotated_attribute(argument.annotation, argument.default)
    limits: dict[str, Any] = {}
    for limit in field.metadata:
        for key in ('gt', 'ge', 'lt', 'le'):
            value = getattr(limit, key, None)
            if value is not None:
                limits[key] = value
    return Field(field.default, description=description or field.description, **limits)


def fields_of(model: type[BaseModel], prefix: str = '') -> dict[str, FieldInfo]:
    """Return the declarations of all settings by dotted name, in order of declaration."""
    fields: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            fields |= fields_of(inner, f'{prefix}{name}.')
        else:
            fields[prefix + name] = field
    return fields


def mark_of(field: FieldInfo) -> str:
    """Return when a setting may change: 'live', 'at_start', or '' for when a node is configured."""
    extra = field.json_schema_extra
    marks = extra if isinstance(extra, dict) else {}
    return next((mark for mark in ('live', 'at_start') if marks.get(mark)), '')


def flatten(model: BaseModel, prefix: str = '') -> Flat:
    """Return dotted names and plain values of all settings, in order of declaration."""
    flat: Flat = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            flat |= flatten(value, f'{prefix}{name}.')
        elif isinstance(value, dict):
            flat |= dotted(value, f'{prefix}{name}.')
        else:
            flat[prefix + name] = list(value) if isinstance(value, tuple) else value
    return flat


def dotted(nested: Mapping[Any, Any], prefix: str = '') -> Flat:
    """Return the dotted names of nested groups; an empty group within stays a value.

    Raises:
        ConfigError: a name is no text.
    """
    flat: Flat = {}
    for key, value in nested.items():
        if not isinstance(key, str):
            raise ConfigError(
                f'{prefix}{key}: expected a name, received {key!r}; names that YAML reads as '
                'something else, such as 1, on or no, need quotes'
            )
        if isinstance(value, Mapping) and value:
            flat |= dotted(value, f'{prefix}{key}.')
        else:
            flat[f'{prefix}{key}'] = value
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested groups of dotted names: the opposite of dotted.

    Raises:
        ConfigError: a name is that of a value and of a group.
    """
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *groups, last = name.split('.')
        target = nested
        for group in groups:
            target = target.setdefault(group, {})
            if not isinstance(target, dict):
                raise ConfigError(f'{name}: {group} is a value and a group: remove one')
        # An empty group does not empty one that others have filled.
        if value == {} and isinstance(target.get(last), dict):
            continue
        target[last] = value
    return nested


def overlay(flat: Mapping[str, Any], more: Mapping[str, Any]) -> Flat:
    """Return dotted settings with others in their place.

    A value replaces a group of its name, and a group a value. An empty group empties the group.
    """
    result = dict(flat)
    for name, value in more.items():
        groups = name.split('.')
        above = {'.'.join(groups[:count]) for count in range(1, len(groups))}
        result = {
            key: item
            for key, item in result.items()
            if key not in above and not key.startswith(f'{name}.')
        }
        result[name] = value
    return result


def load(model: type[Model], flat: Mapping[str, Any], *, source: str) -> Model:
    """Check dotted settings against a model.

    Args:
        model: the settings model.
        flat: dotted names and values.
        source: where they came from, for the error text.

    Raises:
        ConfigError: naming every faulty key, what was received, and what is expected.
    """
    return parse(model, nest(flat), source=source)


def parse(
    model: type[Model],
    nested: Mapping[str, Any],
    *,
    source: str,
    what: str = 'parameter',
    hidden: Iterable[str] = (),
) -> Model:
    """Check nested settings against a model.

    Args:
        model: the settings model.
        nested: groups of names and values.
        source: where they came from, for the error text.
        what: how the error text calls one of them.
        hidden: settings that the error text does not offer, since they are set elsewhere.

    Raises:
        ConfigError: naming every faulty key, what was received, and what is expected.
    """
    try:
        return model.model_validate(dict(nested))
    except ValidationError as error:
        raise ConfigError(f'{source}: ' + '; '.join(explain(error, model, what, hidden))) from None


def changed(settings: Model, flat: Mapping[str, Any]) -> Model:
    """Return the same settings with some of them replaced, all checked anew.

    Args:
        settings: not changed.
        flat: dotted names and their new values.

    Raises:
        ConfigError: a name is unknown or a value out of its range.
    """
    return load(type(settings), flatten(settings) | dict(flat), source='settings')


def explain(
    error: ValidationError,
    model: type[BaseModel],
    what: str = 'parameter',
    hidden: Iterable[str] = (),
) -> list[str]:
    """Return one line for each fault: which setting, what is wrong, what was received."""
    known = [name for name in fields_of(model) if name not in set(hidden)]
    return [_line(item, known, what) for item in error.errors()]


def _line(item: Any, known: list[str], what: str) -> str:
    name = '.'.join(str(part) for part in item['loc'])
    if item['type'] == 'extra_forbidden':
        return f'unknown {what} {name!r}{closest(name, known)}'
    if item['type'] == 'missing':
        return f'{what} {name!r} is missing'
    # A check of several settings together names those that it means.
    received = f' (received {item["input"]!r})' if name and not _says_all(item) else ''
    said = item['msg'].removeprefix('Value error, ')
    if item['type'] == 'string_type' and not isinstance(item['input'], (str, list, dict)):
        # YAML reads names such as 1, 1e3, on, no and ~ as something else.
        said += '; names that YAML reads as something else, such as 1, on or no, need quotes'
    return f'{name}: {said}{received}' if name else f'{said}'


def _says_all(item: Any) -> bool:
    """Return True if the check is one of a whole group, whose input is the whole group."""
    return item['type'] == 'value_error' and isinstance(item['input'], (dict, BaseModel))
