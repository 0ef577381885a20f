"""What nodes that save have in common: a folder of their own, and what to do when it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nrl_ros.base.errors import CheckpointError, NrlError
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.settings.environment import EnvironmentCheckpointGroup
from nrl_ros.settings.learner import CheckpointGroup
from nrl_ros.storage.lock import FolderLock
from nrl_ros.storage.rescue import rescue
from nrl_ros.storage.series import CheckpointSeries


def open_series(
    node: NrlNode[Any], place: CheckpointGroup | EnvironmentCheckpointGroup, name: str, kind: str
) -> CheckpointSeries | None:
    """The checkpoints that a node writes while it is configured; nobody else writes them then.

    Args:
        node: the node.
        place: where it writes them; without a folder it writes none.
        name: first part of the file names.
        kind: what the data is of.

    Raises:
        CheckpointError: the folder cannot be made or written to, or is in use.
    """
    if not place.folder:
        return None
    series = CheckpointSeries(Path(place.folder), name, kind, place.keep)
    hold(node, series)
    return series


def hold(node: NrlNode[Any], lock: FolderLock | CheckpointSeries) -> None:
    """Keep others from writing the same files for as long as a node is configured.

    Raises:
        CheckpointError: somebody else has the lock, or the folder cannot be written to.
    """
    unsure = lock.hold()
    if unsure:
        node.get_logger().warning(unsure)
    node.at_take_down(lock.release)


def prune(node: NrlNode[Any], series: CheckpointSeries) -> None:
    """Delete old checkpoints; that one cannot be deleted harms nothing that was learned."""
    try:
        series.prune()
    except CheckpointError as error:
        node.say_seldom('prune', str(error))


def not_saved(
    node: NrlNode[Any], what: str, kind: str, data: dict[str, Any], why: NrlError
) -> None:
    """Say that the last of what was learned is not where it belongs, and rescue a copy.

    The process ends with exit code 1 then, when it ends.

    Args:
        node: that could not save.
        what: it would have saved, and first part of the copy's file name.
        kind: what the data is of.
        data: of the checkpoint.
        why: it could not.
    """
    node.exit_code = 1
    node.get_logger().error(
        f'the {what} could not be saved at the end: {why}; {rescue(what, kind, data)}'
    )
