"""What a guarded learner has to say to people: its log, its diagnostics, and their approval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from std_srvs.srv import SetBool

from nrl_ros.base.errors import NrlError
from nrl_ros.learning.guarded import GuardedLearning
from nrl_ros.learning.learner import Learner
from nrl_ros.ros import names
from nrl_ros.ros.diagnostics import OK, WARN, diagnostics
from nrl_ros.ros.interfaces import LearnerOrder
from nrl_ros.ros.lifecycle import NrlNode


class GuardReports:
    """Tells what the guard of a learner does, and serves ``approve``.

    Args:
        node: the learner's, while it is configured.
        core: the learner.
        publisher: of DiagnosticArray.
        changed: publishes the learner's status, and answers states that wait for released windows.
        note: notes for recordings what was done, as ``OrderNotes.note``.
    """

    def __init__(
        self,
        node: NrlNode[Any],
        core: Learner,
        publisher: Any,
        changed: Callable[[], None],
        *,
        note: Callable[..., None],
    ) -> None:
        self._node, self._core = node, core
        self._publisher, self._changed, self._note = publisher, changed, note
        node.service(SetBool, names.APPROVE, self._on_approve)

    def look(self) -> None:
        """Say once what has happened since the last call."""
        for text in self._core.take_events():
            self._node.get_logger().warning(text)
            self._changed()
            self._publish(text, WARN)

    def publish(self) -> None:
        """Publish what the guard does at present as diagnostics."""
        guarded = self._core.guarded
        if guarded is not None:
            self._publish(guarded.text, WARN if guarded.holds else OK)

    def _publish(self, text: str, level: bytes) -> None:
        guarded: GuardedLearning | None = self._core.guarded
        if guarded is None:
            return
        values = {
            name: value
            for name, value in self._core.counters.items()
            if name.startswith('guard_') and value
        }
        self._publisher.publish(
            diagnostics(
                f'{self._node.get_fully_qualified_name().lstrip("/")}: guard',
                text,
                {'rate_factor': guarded.rate_factor, 'gathered': guarded.gathered, **values},
                level=level,
                hardware='',
                stamp_ns=self._node.now_ns(),
            )
        )

    def _on_approve(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._note(LearnerOrder.KIND_APPROVED, value=request.data)
        try:
            response.message = self._core.approve(yes=request.data)
            response.success = True
            self._node.get_logger().info(f'approve {request.data}: {response.message}')
            self._changed()
        except NrlError as error:
            response.success, response.message = False, str(error)
        return response
