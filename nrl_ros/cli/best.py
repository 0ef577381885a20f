"""The best checkpoint of a run on the disk, with what it is worth beside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nrl_ros.cli.runs import Run, write_json
from nrl_ros.environments.best_window import Window


def read_best(run: Run) -> Window | None:
    """Return the window of the best checkpoint that a run has kept; None if there is none."""
    if not run.best.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(_beside(run.best).read_text(encoding='utf-8'))
        return Window(**found)
    except (OSError, ValueError, TypeError):
        # Without its window nobody knows how good it was; the next one replaces it.
        return None


def keep_best(run: Run, window: Window) -> None:
    """Make the candidate the best checkpoint of a run, and write beside it what it is worth.

    Raises:
        OSError: a file cannot be written.
    """
    run.candidate.replace(run.best)
    write_json(_beside(run.best), asdict(window))


def _beside(path: Path) -> Path:
    return path.with_suffix('.json')
