"""A trial: one run with all its settings, and the key under which its result is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from nrl_ros.base.settings import Flat, flatten
from nrl_ros.settings.run import MODELS, check

# Grows when the same settings come to give another record.
RECORD = 1


@dataclass(frozen=True)
class Trial:
    """One run.

    Attributes:
        kind: 'train' or 'gradients'.
        settings: everything that decides the result, as plain data.
        label: for people.
        group: what its time is like: task, name of the condition, depth.
        size: of its budget, for the estimate of time [1].
    """

    kind: str
    settings: dict[str, Any]
    label: str
    group: tuple[str, str, int]
    size: float

    @cached_property
    def key(self) -> str:
        """See key_of."""
        return key_of(self.kind, self.settings)

    def job(self) -> dict[str, Any]:
        """What a worker needs, as plain data."""
        return {'kind': self.kind, 'settings': self.settings, 'label': self.label}


def key_of(kind: str, settings: dict[str, Any]) -> str:
    """Hash of kind and settings: what changes the result changes it, a label does not.

    Settings at their default are left out, so that a setting which is new to the schema changes no
    key. Where a default changed, records that hold the former one get another key.
    """
    chosen = {name: value for name, value in _named(settings) if value != _default(name, value)}
    said = json.dumps([RECORD, kind, chosen], sort_keys=True, allow_nan=False)
    return hashlib.blake2b(said.encode(), digest_size=10).hexdigest()


@cache
def _defaults() -> dict[str, Any]:
    return {
        f'{node}.{name}': value
        for node, model in MODELS.items()
        for name, value in flatten(model()).items()
    }


def _default(name: str, otherwise: Any) -> Any:
    """Default of a node's setting; what has none, as options of bridges, is always chosen."""
    return _defaults().get(name, (otherwise,))


def _named(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Settings of all nodes, or those of a trial without nodes, by one name each."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from ((f'{key}.{name}', item) for name, item in value.items())
        else:
            yield key, value


def resolved(nodes: dict[str, Flat], *, source: str) -> dict[str, Flat]:
    """All settings of all nodes, defaults included.

    Raises:
        ConfigError: naming the source and every fault.
    """
    checked = check(nodes, source=source)
    return {name: flatten(getattr(checked, name)) for name in MODELS}
