"""An action server whose goals are worked on in the periods of its node."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from rclpy.action import ActionServer, CancelResponse

# Generic in Kilted and not in Jazzy.
_Server: Any = ActionServer
# A result is kept for who asks late; Jazzy would keep each for a quarter of an hour [s].
_KEPT_S = 10


class GoalServer:
    """Serves an action for as long as its node is configured.

    rclpy runs a coroutine for each goal, and the executor of Jazzy resumes each that waits in every
    turn, which takes the processor away from the path of a step. Here a goal is only noted, and
    ended by ``finish`` when its outcome is known.

    Args:
        node: an NrlNode that serves it; its executor must spin.
        kind: of the action.
        name: of it.
        begin: is called with the key of a goal that was accepted, and with the goal; an error of
            it is counted, and ends the goal.
        cancel: is called with the key of a goal; returns whether it is going to be cancelled.
    """

    def __init__(
        self,
        node: Any,
        kind: Any,
        name: str,
        begin: Callable[[Hashable, Any], None],
        cancel: Callable[[Hashable], bool],
    ) -> None:
        self._node, self._begin, self._cancel = node, begin, cancel
        self._handles: dict[Hashable, Any] = {}
        self._feedback, self._result = kind.Feedback, kind.Result
        self._server = _Server(
            node,
            kind,
            name,
            _not_run,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=self._on_cancel,
            result_timeout=_KEPT_S,
        )
        # The state of a goal is then EXECUTING, while nothing is run for it.
        self._run = self._server.notify_execute
        self._server.notify_execute = self._run_what_is_given

    def _run_what_is_given(self, handle: Any, callback: Callable[[Any], Any] | None) -> None:
        if callback is not None:
            self._run(handle, callback)

    def _on_accepted(self, handle: Any) -> None:
        key = bytes(handle.goal_id.uuid)
        self._handles[key] = handle
        handle.execute()
        try:
            self._begin(key, handle.request)
        except Exception as error:  # noqa: BLE001 - whatever a goal makes it say
            self._node.dropped(error)
            self.finish(key, self._result(), 'abort')

    def _on_cancel(self, handle: Any) -> CancelResponse:
        cancelled = self._cancel(bytes(handle.goal_id.uuid))
        return CancelResponse.ACCEPT if cancelled else CancelResponse.REJECT

    def feedback(self, **fields: Any) -> None:
        """Publish how the goals that are served stand."""
        for handle in self._handles.values():
            handle.publish_feedback(self._feedback(**fields))

    def finish(self, key: Hashable, result: Any, how: str) -> None:
        """End a goal.

        Args:
            key: of the goal.
            result: for the caller.
            how: the state that it ends in: succeed, abort or canceled.
        """
        handle = self._handles.pop(key, None)
        if handle is None:
            return

        def end(goal: Any) -> Any:
            getattr(goal, how)()
            return result

        self._run(handle, end)

    def destroy(self) -> None:
        """Serve no longer; who waits for a result gets none."""
        self._handles.clear()
        self._server.destroy()


def _not_run(_handle: Any) -> None:
    """Stand for the callback that rclpy wants and that is not run."""
