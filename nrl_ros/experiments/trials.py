"""A trial: one run with all its settings, and the key under which its result is stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from nrl_ros.base.settings import Flat, flatten
from nrl_ros.settings.run import MODELS, check

# Increase it when the same settings give another record than before.
RECORD = 1


@dataclass(frozen=True)
class Trial:
    """One run with all its settings.

    Attributes:
        kind: 'train' or 'gradients'.
        settings: everything that decides the result, as plain data.
        label: for people.
        group: trials that take about the same time: task, name of the condition, depth.
        size: of its budget, for the estimate of time [1].
    """

    kind: str
    settings: dict[str, Any]
    label: str
    group: tuple[str, str, int]
    size: float

    @cached_property
    def key(self) -> str:
        """Key under which its record is stored (key_of)."""
        return key_of(self.kind, self.settings)

    def job(self) -> dict[str, Any]:
        """Return what a worker needs, as plain data."""
        return {'kind': self.kind, 'settings': self.settings, 'label': self.label}


def key_of(kind: str, settings: dict[str, Any]) -> str:
    """Return a hash of kind and settings; a label does not change it.

    Settings at their default are left out, so that a new setting changes no key. If a default
    changes, records with the former default get another key.
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
    """Return the default of a node's setting; a setting without one, as a bridge option, counts."""
    return _defaults().get(name, (otherwise,))


def _named(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give settings of all nodes, or of a trial without nodes, with one name each."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from ((f'{key}.{name}', item) for name, item in value.items())
        else:
            yield key, value


def resolved(nodes: dict[str, Flat], *, source: str) -> dict[str, Flat]:
    """Return all settings of all nodes, defaults included.

    Raises:
        ConfigError: naming the source and every fault.
    """
    checked = check(nodes, source=source)
    return {name: flatten(getattr(checked, name)) for name in MODELS}
