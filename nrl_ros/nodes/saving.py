"""Open, lock and prune the checkpoint folder of a node, and rescue what cannot be saved there."""

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
    """Open the checkpoints that a node writes while it is configured, locked against others.

    Args:
        node: the node.
        place: settings of the folder; without a folder there are no checkpoints.
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
    """Hold a lock for as long as a node is configured.

    Raises:
        CheckpointError: another process holds it, or the folder cannot be written to.
    """
    unsure = lock.hold()
    if unsure:
        node.get_logger().warning(unsure)
    node.at_take_down(lock.release)


def prune(node: NrlNode[Any], series: CheckpointSeries) -> None:
    """Delete old checkpoints; a failure is only logged, since nothing that was learned is lost."""
    try:
        series.prune()
    except CheckpointError as error:
        node.say_seldom('prune', str(error))


def not_saved(
    node: NrlNode[Any], what: str, kind: str, data: dict[str, Any], why: NrlError
) -> None:
    """Log that the last state could not be saved, and rescue a copy elsewhere.

    The process will end with exit code 1.

    Args:
        node: that could not save.
        what: what it would have saved; also the first part of the copy's file name.
        kind: what the data is of.
        data: of the checkpoint.
        why: it could not.
    """
    node.exit_code = 1
    node.get_logger().error(
        f'the {what} could not be saved at the end: {why}; {rescue(what, kind, data)}'
    )
