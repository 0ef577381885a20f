"""Turns figures into JSON that every browser reads: numbers that are none become null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """Return a value as JSON has it: NaN and infinite numbers as None, arrays as lists."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if hasattr(value, 'tolist'):
        return plain(value.tolist())
    return [plain(one) for one in value]


def to_json(value: Any) -> str:
    """Return the JSON text of a value."""
    return json.dumps(plain(value), separators=(',', ':'), allow_nan=False)
