"""Which actions were chosen lately, by component: shares of choices, or spread of numbers."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import ActionKind, ActionSpace

# Rows of actions that are kept, and components and choices that are shown.
_KEPT = 512
_MOST_COMPONENTS, _MOST_CHOICES = 24, 24


class ActionFigures:
    """Keeps the newest actions of an environment.

    Args:
        space: of the actions.
    """

    def __init__(self, space: ActionSpace) -> None:
        self._space = space
        self._rows: deque[NDArray[Any]] = deque(maxlen=_KEPT)

    def add(self, actions: NDArray[Any]) -> None:
        """Take actions of all instances [B, components]; the newest rows are kept."""
        self._rows.extend(actions[-_KEPT:, :_MOST_COMPONENTS].copy())

    def data(self) -> dict[str, Any] | None:
        """Return the figures for the page; None before the first action."""
        if not self._rows:
            return None
        rows = np.array(self._rows)
        if self._space.kind == ActionKind.CONTINUOUS:
            return {
                'low': self._space.low[: rows.shape[1]],
                'high': self._space.high[: rows.shape[1]],
                'mean': rows.mean(axis=0).tolist(),
                'std': rows.std(axis=0).tolist(),
                'least': rows.min(axis=0).tolist(),
                'most': rows.max(axis=0).tolist(),
            }
        shares = []
        for column, size in zip(rows.T, self._space.sizes, strict=False):
            counts = np.bincount(column.astype(np.int64), minlength=size)[:_MOST_CHOICES]
            shares.append((counts / len(rows)).tolist())
        return {'shares': shares}
