"""One line on the progress of a training, for logs without a display."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from nrl_ros.environments.figures import figure_text


@dataclass(frozen=True)
class Figures:
    """Progress of a session.

    Args:
        steps: environment steps of all instances.
        episodes: that ended.
        steps_per_second: since the last line.
        mean_return: of the last 100 episodes; NaN before the first.
        metrics: further figures of episodes by name, means of the last 100, such as
            ``final_distance_m`` or ``is_success``.
        counters: by name; those that are zero are left out.
    """

    steps: int
    episodes: int
    steps_per_second: float
    mean_return: float = math.nan
    metrics: Mapping[str, float] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)


def progress_line(figures: Figures) -> str:
    """Return the line, without figures that are not known yet."""
    parts = [
        f'{figures.steps:,} steps',
        f'{figures.episodes:,} episodes',
        f'{figures.steps_per_second:,.0f} steps/s',
    ]
    means = {'return': figures.mean_return, **figures.metrics}
    known = [figure_text(name, value) for name, value in means.items() if not math.isnan(value)]
    if known:
        parts.append(f'last 100 episodes: {", ".join(known)}')
    counted = [f'{name} {value:,}' for name, value in figures.counters.items() if value]
    if counted:
        parts.append(f'counted: {", ".join(counted)}')
    return '; '.join([', '.join(parts[:3]), *parts[3:]])
