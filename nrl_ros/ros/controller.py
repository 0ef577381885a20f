"""In which order the controller of an arm takes its joints, as its own parameters say."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameters

JOINTS = 'joints'
# A controller that is there and has no parameter service after this long has none.
_NO_SERVICE_S = 1.0
# A question is given up after this long, and asked again as long as the answer was wrong.
_ANSWER_S, _AGAIN_S = 1.0, 1.0
_NOBODY_S = 3.0


def parameter_service(command_topic: str) -> str:
    """Name of the parameter service of the controller that listens on a topic (resolved)."""
    return f'{command_topic.rpartition("/")[0]}/get_parameters'


class ControllerCheck:
    """Asks a controller for its joints, and again whenever it comes anew.

    Args:
        node: makes the client; ``look`` is to be called a few times a second.
        command_topic: where the controller listens, resolved.
        listeners: number of those who listen there.
        problem: what is wrong with its joints, '' if nothing.
        judged: called with what is wrong, '' if the arm may be commanded.
        patient: False: it may be commanded while nobody listens (nothing is sent).
    """

    def __init__(
        self,
        node: Any,
        command_topic: str,
        *,
        listeners: Callable[[], int],
        problem: Callable[[Sequence[str]], str],
        judged: Callable[[str], None],
        patient: bool = True,
    ) -> None:
        self._node, self._topic, self._listeners = node, command_topic, listeners
        self._problem, self._judged, self._patient = problem, judged, patient
        self._name = command_topic.rpartition('/')[0]
        self._client = node.create_client(GetParameters, parameter_service(command_topic))
        self._began = time.monotonic()
        self._listened_since: float | None = None
        self._asked_at = self._answered_at = 0.0
        self._pending: Any = None
        # What it was found to be: None: not known yet; '': as it should be, or cannot be known.
        self._found: str | None = None
        self._asked_once = self._said_unknown = self._said_nobody = False

    def close(self) -> None:
        """Ask no more."""
        self._node.destroy_client(self._client)

    def look(self) -> None:
        """Ask what is to be asked, and take what has been answered."""
        now = time.monotonic()
        if self._pending is not None:
            if self._pending.done():
                answer, self._pending = self._pending.result(), None
                self._answered_at = now
                self._take(answer)
            elif now - self._asked_at > _ANSWER_S:
                self._client.remove_pending_request(self._pending)
                self._pending = None
                self._unknown(f'{self._client.srv_name} does not answer')
        elif self._client.service_is_ready():
            again = bool(self._found) and now - self._answered_at > _AGAIN_S
            if not self._asked_once or again:
                self._asked_once, self._asked_at = True, now
                self._pending = self._client.call_async(GetParameters.Request(names=[JOINTS]))
        else:
            # Who comes back may be another one.
            self._asked_once = False
            self._without_service(now)

    def _without_service(self, now: float) -> None:
        if self._patient and not self._listeners():
            if now - self._began > _NOBODY_S and self._found is None and not self._said_nobody:
                self._said_nobody = True
                self._node.get_logger().warning(
                    f'nobody listens on {self._topic}: is the controller loaded, is command_topic '
                    'of the robot description right? The arm is not commanded before'
                )
            return
        if self._listened_since is None:
            self._listened_since = now
        if now - self._listened_since > _NO_SERVICE_S:
            self._unknown(f'there is no service {self._client.srv_name}')

    def _take(self, answer: Any) -> None:
        value = answer.values[0] if answer is not None and answer.values else None
        if value is None or value.type != ParameterType.PARAMETER_STRING_ARRAY:
            self._unknown(f'{self._name} has no parameter {JOINTS!r}')
            return
        wrong = self._problem(list(value.string_array_value))
        self._judge(f'controller {self._name} {wrong}' if wrong else '')

    def _unknown(self, why: str) -> None:
        if self._found is None and not self._said_unknown:
            self._said_unknown = True
            self._node.get_logger().warning(
                f'the joint order of the controller on {self._topic} could not be checked, since '
                f'{why}: compare it with the robot description yourself'
            )
        if not self._found:
            self._judge('')

    def _judge(self, wrong: str) -> None:
        if wrong != self._found:
            self._found = wrong
            self._judged(wrong)
