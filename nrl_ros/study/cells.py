"""A cell: one run with all its settings, and the key under which its result is kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nrl_ros.schema.base import flatten
from nrl_ros.schema.files import MODELS, Flat, check

# Grows when the same settings come to give another record.
RECORD = 1


@dataclass(frozen=True)
class Cell:
    """One run.

    Attributes:
        kind: 'train' or 'gradients'.
        settings: everything that decides the result, as plain data.
        label: for people.
        group: what its time is like: task, name of the arm, depth.
        size: of its budget, for the estimate of time [1].
    """

    kind: str
    settings: dict[str, Any]
    label: str
    group: tuple[str, str, int]
    size: float

    @cached_property
    def key(self) -> str:
        """Hash of kind and settings: what changes the result changes it, a label does not."""
        said = json.dumps([RECORD, self.kind, self.settings], sort_keys=True, allow_nan=False)
        return hashlib.blake2b(said.encode(), digest_size=10).hexdigest()

    def order(self) -> dict[str, Any]:
        """What a worker needs, as plain data."""
        return {'kind': self.kind, 'settings': self.settings, 'label': self.label}


def resolved(nodes: dict[str, Flat], *, source: str) -> dict[str, Flat]:
    """All settings of all nodes, defaults included.

    Raises:
        ConfigError: naming the source and every fault.
    """
    checked = check(nodes, source=source)
    return {name: flatten(getattr(checked, name)) for name in MODELS}
