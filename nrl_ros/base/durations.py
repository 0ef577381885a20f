"""Durations as people read them."""

from __future__ import annotations


def duration(seconds: float | None) -> str:
    """Return a duration as 0:42 or 1:05:00; a question mark if it is unknown (None)."""
    if seconds is None:
        return '?'
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f'{hours}:{minutes:02d}:{whole % 60:02d}' if hours else f'{minutes}:{whole % 60:02d}'
