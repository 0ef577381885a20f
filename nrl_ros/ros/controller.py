"""Ask the controller of an arm for its joints, its interface and whether it is active."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameters

from nrl_ros.ros.graph import subscribers

try:
    from controller_manager_msgs.srv import ListControllers
except ImportError:
    # The package controller_manager_msgs is not among the wheels. Without it, an inactive
    # controller is noticed only because the arm does not move.
    ListControllers = None

# A controller whose parameter service is not found within this time has none [s].
_NO_SERVICE_S = 1.0
# A question is given up after _ANSWER_S, and asked again until the answer is right.
_ANSWER_S, _AGAIN_S = 1.0, 1.0
_NOBODY_S = 3.0

Answers = dict[str, Any]


def parameter_service(command_topic: str) -> str:
    """Return the name of the parameter service of the controller on a resolved topic."""
    return f'{command_topic.rpartition("/")[0]}/get_parameters'


def _value(answer: Any) -> Any:
    """Return the text or the texts of a parameter, None if it does not exist."""
    value = answer.values[0] if answer is not None and answer.values else None
    if value is None:
        return None
    if value.type == ParameterType.PARAMETER_STRING_ARRAY:
        return tuple(value.string_array_value)
    return value.string_value if value.type == ParameterType.PARAMETER_STRING else None


class _Calls:
    """Calls of one service that are made together and given up together."""

    def __init__(self, node: Any, kind: Any, service: str) -> None:
        self._node = node
        self.client = node.create_client(kind, service)
        self._pending: dict[str, Any] = {}
        self._asked_at = 0.0

    def close(self) -> None:
        """Stop waiting, and destroy the client."""
        self._node.destroy_client(self.client)

    @property
    def is_waiting(self) -> bool:
        """True while an answer is awaited."""
        return bool(self._pending)

    def ask(self, now: float, requests: dict[str, Any]) -> None:
        """Make the calls; each has a name."""
        self._asked_at = now
        self._pending = {
            name: self.client.call_async(request) for name, request in requests.items()
        }

    def answers(self, now: float) -> Answers | None:
        """Return all answers by name, {} if they are too late, None if they are not there yet."""
        if all(call.done() for call in self._pending.values()):
            answers = {name: call.result() for name, call in self._pending.items()}
        elif now - self._asked_at > _ANSWER_S:
            answers = {}
            for call in self._pending.values():
                self.client.remove_pending_request(call)
        else:
            return None
        self._pending = {}
        return answers


class ControllerCheck:
    """Asks a controller for its parameters, again once a second until all are known and right.

    Each parameter is asked for in its own request, since rclcpp answers a request with nothing at
    all if it names one parameter that the controller does not have.

    Args:
        node: makes the client; ``look`` must be called a few times a second.
        command_topic: where the controller listens, resolved.
        questions: names of the parameters to ask for.
        judge: gets the types of messages that are subscribed, the parameters' values by name (None:
            there is no such parameter) and why they could not be had ('': they could); returns what
            is wrong and what is unsure.
        judged: called with what is wrong whenever it changes, '' if the arm may be commanded.
        patient: False: the arm may be commanded while nobody subscribes (nothing is sent).
    """

    def __init__(
        self,
        node: Any,
        command_topic: str,
        *,
        questions: Sequence[str],
        judge: Callable[[tuple[str, ...], Answers, str], tuple[str, str]],
        judged: Callable[[str], None],
        patient: bool = True,
    ) -> None:
        self._node, self._topic, self._questions = node, command_topic, questions
        self._judge, self._judged, self._patient = judge, judged, patient
        self._calls = _Calls(node, GetParameters, parameter_service(command_topic))
        self._began = time.monotonic()
        self._listened_since: float | None = None
        self._listened_at = self._answered_at = float('-inf')
        self._listens: tuple[str, ...] = ()
        # What was found wrong. None: not known yet; '': nothing, or it cannot be known.
        self._found: str | None = None
        self._asked_once = self._said_nobody = False
        self._unsure = ''

    @property
    def is_sure(self) -> bool:
        """True if everything was asked and answered, and is right."""
        return self._found == '' and not self._unsure

    def close(self) -> None:
        """Stop asking."""
        self._calls.close()

    def look(self) -> None:
        """Ask the next questions that are due, and judge answers that have come."""
        now = time.monotonic()
        if self._calls.is_waiting:
            answers = self._calls.answers(now)
            if answers is None:
                return
            self._answered_at = now
            service = self._calls.client.srv_name
            self._take(
                now,
                {name: _value(answer) for name, answer in answers.items()},
                '' if answers else f'{service} does not answer',
            )
        elif self._calls.client.service_is_ready():
            if not self._asked_once or (not self.is_sure and now - self._answered_at > _AGAIN_S):
                self._asked_once = True
                requests = {name: GetParameters.Request(names=[name]) for name in self._questions}
                self._calls.ask(now, requests)
        else:
            # A controller that comes back may be another one, so ask again.
            self._asked_once = False
            self._without_service(now)

    def _without_service(self, now: float) -> None:
        listens = self._listening(now)
        if self._patient and not listens:
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
            self._take(now, {}, f'there is no service {self._calls.client.srv_name}')

    def _listening(self, now: float) -> tuple[str, ...]:
        """Return the types of messages that are subscribed, looked up once a second."""
        if now - self._listened_at > _AGAIN_S or not self._listens:
            self._listened_at = now
            own = self._node.get_fully_qualified_name()
            there = subscribers(self._node, self._topic)
            self._listens = tuple(sorted({one.kind for one in there if one.node != own}))
        return self._listens

    def _take(self, now: float, values: Answers, unheard: str) -> None:
        """Judge what is known, and report what has changed."""
        wrong, unsure = self._judge(self._listening(now), values, unheard)
        logger = self._node.get_logger()
        if unsure and not self._unsure:
            logger.warning(unsure)
        elif self._unsure and not unsure and not wrong:
            logger.info(
                f'the controller on {self._topic} has answered at last: its joints and its '
                'interface are those of the robot description'
            )
        self._unsure = unsure
        # A fault stays until an answer shows that it is mended.
        if wrong != self._found and not (self._found and unheard and not wrong):
            self._found = wrong
            self._judged(wrong)


class ControllerState:
    """Asks the controller manager once a second which controllers are active, if there is one.

    Args:
        node: makes the client; ``look`` must be called a few times a second.
        command_topic: where the controller listens, resolved.
        problem: gets name and state of each controller, returns what is wrong.
        judged: called with what is wrong whenever it changes, '' if nothing is known to be.
    """

    def __init__(
        self,
        node: Any,
        command_topic: str,
        *,
        problem: Callable[[list[tuple[str, str]]], str],
        judged: Callable[[str], None],
    ) -> None:
        self._problem, self._judged = problem, judged
        self._found, self._answered_at = '', float('-inf')
        namespace = command_topic.rpartition('/')[0].rpartition('/')[0]
        service = f'{namespace}/controller_manager/list_controllers'
        self._calls = _Calls(node, ListControllers, service) if ListControllers else None

    def close(self) -> None:
        """Stop asking."""
        if self._calls is not None:
            self._calls.close()

    def look(self) -> None:
        """Ask if it is due, and judge an answer that has come."""
        calls, now = self._calls, time.monotonic()
        if calls is None:
            return
        if calls.is_waiting:
            answers = calls.answers(now)
            if answers is None:
                return
            self._answered_at = now
            answer = answers.get('')
            if answer is None:
                # Without an answer nothing is known.
                return
            found = self._problem([(one.name, one.state) for one in answer.controller])
            if found != self._found:
                self._found = found
                self._judged(found)
        elif now - self._answered_at > _AGAIN_S and calls.client.service_is_ready():
            calls.ask(now, {'': ListControllers.Request()})
