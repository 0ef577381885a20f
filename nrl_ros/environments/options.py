"""Options of bridges: checked models, and errors that name the faulty option and known ones."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from nrl_ros.base.errors import ConfigError

Model = TypeVar('Model', bound=BaseModel)


class Options(BaseModel):
    """Base of every bridge's options: unknown keys are refused, and values cannot be changed."""

    model_config = ConfigDict(extra='forbid', frozen=True)


def parse(model: type[Model], options: Mapping[str, Any], bridge: str) -> Model:
    """Check options against a bridge's model and return the model.

    Raises:
        ConfigError: an option is unknown, missing or out of range.
    """
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        known = list(model.model_fields)
        lines = '; '.join(_explain(item, known) for item in error.errors())
        raise ConfigError(f'bridge {bridge!r}: {lines}') from None


def _explain(item: Any, known: list[str]) -> str:
    name = '.'.join(str(part) for part in item['loc'])
    if item['type'] == 'extra_forbidden':
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f'did you mean {close[0]!r}?' if close else f'known are {", ".join(known)}'
        return f'unknown option {name!r}, {hint}'
    if item['type'] == 'missing':
        return f'option {name!r} is missing; set bridge.options.{name}'
    where = f'option {name!r}: ' if name else ''
    return f'{where}{item["msg"]} (received {item["input"]!r})'
