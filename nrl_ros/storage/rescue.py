"""Save what was learned to another place when its own folder cannot be written to."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nrl_ros.base.errors import CheckpointError
from nrl_ros.storage.checkpoint import SUFFIX, file_name, write_checkpoint
from nrl_ros.storage.files import reason


def rescue(name: str, kind: str, data: dict[str, Any], places: Iterable[Path] = ()) -> str:
    """Write a checkpoint to the first place that can be written to, readable by this user only.

    Args:
        name: first part of the file name.
        kind: what the data is of.
        data: of the checkpoint.
        places: folders, tried in this order; none: the temporary folder, then the home folder.

    Returns:
        A sentence for an error: where the copy is, or why there is none.
    """
    refused = []
    for place in places or _usual():
        folder = None
        try:
            folder = Path(tempfile.mkdtemp(prefix='nrl_ros_rescued_', dir=place))
            path = folder / f'{file_name(name)}{SUFFIX}'
            write_checkpoint(path, kind, data)
        except (OSError, ValueError) as error:
            refused.append(f'{place}: {reason(error)}')
        except CheckpointError as error:
            refused.append(str(error))
        else:
            return f'a copy was written to {path}: move it to where it stays, and load that'
        if folder is not None:
            with contextlib.suppress(OSError):
                folder.rmdir()
    return f'no copy could be written elsewhere, it is lost ({"; ".join(refused)})'


def _usual() -> list[Path]:
    places = []
    # Each call raises if there is no such folder.
    with contextlib.suppress(OSError):
        places.append(Path(tempfile.gettempdir()))
    with contextlib.suppress(RuntimeError):
        places.append(Path.home())
    return places
