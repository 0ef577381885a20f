"""Finds the descriptions of the arms that a page shows, beside the page, since meshes take long."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

from nrl_ros.base.errors import NrlError
from nrl_ros.page.runs import Runs
from nrl_ros.robots.arm.description import read_robot
from nrl_ros.robots.arm.robot import Robot, make_robot
from nrl_ros.ros.description import model_of

_NAME = re.compile('[A-Za-z0-9_-]{1,80}', re.ASCII)
# Descriptions that are loaded at most.
_MOST = 64


class Robots:
    """Loads each description once, in a thread, and gives it to its arms.

    Args:
        paths: of descriptions, looked at before those of ``config/robots``.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        # What was loaded by the name and hash in SafetyStatus: the robot, or why there is none.
        self._found: dict[tuple[str, str], Robot | str] = {}
        self._drawn: dict[str, tuple[str, str]] = {}
        self._thread: threading.Thread | None = None

    def look(self, runs: Runs) -> None:
        """Draw arms whose description is known, and begin to look for another one."""
        for namespace, arm in runs.arms.items():
            wanted = str(arm.facts.get('robot', '')), str(arm.facts.get('manifest', ''))
            if not wanted[0] or self._drawn.get(namespace) == wanted:
                continue
            found = self._found.get(wanted)
            if found is None:
                share = float(arm.facts.get('speed_share', 1.0))
                self._begin(wanted, share if 0.0 < share <= 1.0 else 1.0, namespace)
                continue
            self._drawn[namespace] = wanted
            arm.draw_with(*((found, '') if isinstance(found, Robot) else (None, found)))

    def _begin(self, wanted: tuple[str, str], share: float, namespace: str) -> None:
        if len(self._found) >= _MOST or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(
            target=self._load, args=(wanted, share, namespace), daemon=True
        )
        self._thread.start()

    def _load(self, wanted: tuple[str, str], share: float, namespace: str) -> None:
        """Load the description with a name and hash; a failure is told instead."""
        name, digest = wanted
        why = f'no description of {name[:80]!r} with hash {digest[:80]} is known here'
        # The name came by a message, which must not choose a file elsewhere.
        shipped = [name] if _NAME.fullmatch(name) else []
        for path in (*self._paths, *shipped):
            try:
                description: Any = read_robot(path)
                if description.name != name:
                    # Its model may be large, or one that is waited for on a topic.
                    continue
                # Such a topic is that of the arm's own nodes, wherever this process was started.
                xml = model_of(description, namespace)
                robot = make_robot(description, xml=xml, share=share)
            except (NrlError, ImportError) as error:
                why = str(error)
                continue
            if robot.digest() == digest:
                self._found[wanted] = robot
                return
        self._found[wanted] = f'not drawn: {why}; name its description as robots of the page node'
