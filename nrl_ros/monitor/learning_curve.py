"""The learning curve of a run from its first episode on, thinned out: one row at a time."""

from __future__ import annotations

from nrl_ros.monitor.progress import Progress
from nrl_ros.monitor.series import Row

# Figures of the last 100 episodes, after the steps of all instances by then. The shares of success
# follow, each under its label.
COLUMNS = ('steps', 'return', 'low', 'high', 'length')


def curve_row(progress: Progress) -> tuple[tuple[str, ...], Row]:
    """Return the newest point of a learning curve: the names of its columns, and its numbers.

    Args:
        progress: has taken at least one episode.
    """
    found = progress.figures.shares()
    numbers = (progress.steps, progress.mean_return, *progress.spread, progress.mean_length)
    return (*COLUMNS, *found), (*map(float, numbers), *found.values())
