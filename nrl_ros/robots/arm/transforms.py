"""Frames that tf connects with those of a model, kept as they were heard last.

Nothing here knows a topic or reads a clock; times are of one steady clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nrl_ros.base.errors import InvalidValueError
from nrl_ros.robots.arm.chain_parts import Pose, inverse

# A transform that moves counts as lost if it has not come for so long [s].
OLDEST_S = 1.0
# More frames than any robot has: what comes beyond that is refused, so that memory is bounded.
_MOST_FRAMES = 10_000
# Frames that an error names at most.
_NAMED = 8


@dataclass(frozen=True)
class _Edge:
    """The pose of a frame in its parent.

    Attributes:
        parent: its name.
        pose: brings points of the frame into the parent.
        heard_at: when it has come; infinite: it holds for ever.
    """

    parent: str
    pose: Pose
    heard_at: float


class TransformTree:
    """The newest transforms of each frame.

    A frame has one parent, as in tf: the newest one counts. The age of a transform is the time
    since it came, not that since its stamp, so that other machines' clocks do not matter.
    """

    def __init__(self) -> None:
        self._edges: dict[str, _Edge] = {}
        self._children: dict[str, set[str]] = {}

    def __len__(self) -> int:
        """Return how many frames have a parent."""
        return len(self._edges)

    def hear(self, now: float, parent: str, child: str, pose: Pose, *, static: bool) -> None:
        """Take a transform.

        Args:
            now: [s].
            parent: name of a frame; a / in front of a name does not count.
            child: another one.
            pose: brings points of the child into the parent.
            static: it holds for ever.

        Raises:
            InvalidValueError: names or numbers make no sense, or there are too many frames.
        """
        parent, child = parent.lstrip('/'), child.lstrip('/')
        if not parent or not child or parent == child:
            raise InvalidValueError(
                f'transform from {child!r} to {parent!r}, expected two names that differ'
            )
        if not (np.isfinite(pose.translation).all() and np.isfinite(pose.rotation).all()):
            raise InvalidValueError(
                f'transform from {child!r} to {parent!r} is not finite: {pose.translation.tolist()}'
            )
        before = self._edges.get(child)
        if before is None and len(self._edges) >= _MOST_FRAMES:
            raise InvalidValueError(
                f'transform of frame {child!r}, which is one more than {_MOST_FRAMES}'
            )
        if before is not None and before.parent != parent:
            self._children[before.parent].discard(child)
        self._children.setdefault(parent, set()).add(child)
        self._edges[child] = _Edge(parent, pose, np.inf if static else now)

    def find(self, now: float, frame: str, known: Callable[[str], Pose | None]) -> Pose:
        """Return the pose that brings points of a frame to where a model's own frames lead.

        Args:
            now: [s].
            frame: its name.
            known: returns the pose of a frame of the model that stands still, None of others.

        Raises:
            InvalidValueError: the frame is not known, is connected with none that stands still, or
                only by transforms that are too old.
        """
        start = frame.lstrip('/')
        if (own := known(start)) is not None:
            return own
        if start not in self._edges and start not in self._children:
            raise InvalidValueError(f'tf does not know it either ({len(self)} frames)')
        seen, waiting = {start: Pose()}, deque([start])
        late: list[str] = []
        while waiting:
            name = waiting.popleft()
            for other, pose, heard_at in self._beside(name):
                if other in seen:
                    continue
                if now - heard_at > OLDEST_S:
                    late.append(f'{name!r} to {other!r}: {now - heard_at:.1f} s')
                    continue
                seen[other] = pose @ seen[name]
                found = known(other)
                if found is not None:
                    return found @ seen[other]
                waiting.append(other)
        if late:
            raise InvalidValueError(
                f'tf has only transforms of it that are older than {OLDEST_S:g} s, '
                f'{"; ".join(late[:_NAMED])}: is their publisher still running?'
            )
        raise InvalidValueError(
            f'tf connects it only with {", ".join(sorted(seen.keys() - {start})[:_NAMED])}'
        )

    def _beside(self, name: str) -> list[tuple[str, Pose, float]]:
        """Return the frames next to one, the poses into them, and when these were heard."""
        found = []
        own = self._edges.get(name)
        if own is not None:
            found.append((own.parent, own.pose, own.heard_at))
        for child in sorted(self._children.get(name, ())):
            edge = self._edges[child]
            found.append((child, inverse(edge.pose), edge.heard_at))
        return found
