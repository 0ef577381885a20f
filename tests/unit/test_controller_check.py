"""How a controller and its manager are asked: each thing on its own, again until all is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip('rcl_interfaces')

from rcl_interfaces.msg import ParameterType, ParameterValue

from nrl_ros.robots.arm.controller_facts import QUESTIONS
from nrl_ros.ros import controller

TOPIC = '/ns/arm/commands'


class Client:
    """Answers at once, unless it is to be silent."""

    def __init__(self, service: str, answer: Any) -> None:
        self.srv_name, self._answer = service, answer
        self.ready, self.silent = True, False
        self.requests: list[Any] = []

    def service_is_ready(self) -> bool:
        return self.ready

    def call_async(self, request: Any) -> SimpleNamespace:
        self.requests.append(request)
        silent, answer = self.silent, self._answer(request)
        return SimpleNamespace(done=lambda: not silent, result=lambda: answer)

    def remove_pending_request(self, _call: Any) -> None:
        pass


class Node:
    """A node with one client, whose listeners are all controllers; keeps what is logged."""

    def __init__(self, answer: Any) -> None:
        self._answer, self.said = answer, []

    def create_client(self, _kind: Any, service: str) -> Client:
        self.client = Client(service, self._answer)
        return self.client

    def get_fully_qualified_name(self) -> str:
        return '/safety'

    def resolve_topic_name(self, topic: str) -> str:
        return topic

    def get_subscriptions_info_by_topic(self, _topic: str) -> list[Any]:
        return [
            SimpleNamespace(
                endpoint_gid=[1], node_name='arm', node_namespace='/ns', topic_type='numbers'
            )
        ]

    def get_logger(self) -> Any:
        return SimpleNamespace(warning=self.said.append, info=self.said.append)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(controller, 'time', clock)
    return clock


def pass_time(clock: SimpleNamespace, look: Any, seconds: float) -> None:
    for _ in range(round(seconds / 0.1)):
        look()
        clock.now += 0.1


def rclcpp(parameters: dict[str, str]) -> Any:
    """Nothing at all is answered to a request that names a parameter which is not declared."""

    def answer(request: Any) -> SimpleNamespace:
        if not parameters.keys() >= set(request.names):
            return SimpleNamespace(values=[])
        kind = ParameterType.PARAMETER_STRING
        return SimpleNamespace(
            values=[ParameterValue(type=kind, string_value=parameters[it]) for it in request.names]
        )

    return answer


def test_each_parameter_is_asked_for_on_its_own(clock: SimpleNamespace) -> None:
    node, seen = Node(rclcpp({'interface_name': 'velocity'})), []

    def judge(listens: Any, values: Any, unheard: str) -> tuple[str, str]:
        seen.append((listens, values, unheard))
        return '', ''

    check = controller.ControllerCheck(
        node, TOPIC, questions=QUESTIONS, judge=judge, judged=lambda _: None
    )
    pass_time(clock, check.look, 5.0)
    assert node.client.srv_name == '/ns/arm/get_parameters'
    assert [list(request.names) for request in node.client.requests] == [[it] for it in QUESTIONS]
    wanted = {name: None for name in QUESTIONS} | {'interface_name': 'velocity'}
    assert seen == [(('numbers',), wanted, '')]
    assert check.is_sure


def test_what_is_not_known_is_said_once_asked_again_each_second_and_taken_back(
    clock: SimpleNamespace,
) -> None:
    node, judged = Node(rclcpp({})), []
    check = controller.ControllerCheck(
        node,
        TOPIC,
        questions=('joints',),
        judge=lambda _listens, _values, unheard: ('', f'not checked: {unheard}' * bool(unheard)),
        judged=judged.append,
    )
    node.client.silent = True
    pass_time(clock, check.look, 10.0)
    assert node.said == ['not checked: /ns/arm/get_parameters does not answer']
    assert 4 <= len(node.client.requests) <= 10 and not check.is_sure
    node.client.silent = False
    pass_time(clock, check.look, 3.0)
    assert len(node.said) == 2 and 'has answered at last' in node.said[1]
    assert judged == [''] and check.is_sure


def test_what_is_wrong_stays_so_while_nobody_answers(clock: SimpleNamespace) -> None:
    node, judged = Node(rclcpp({})), []
    check = controller.ControllerCheck(
        node,
        TOPIC,
        questions=('joints',),
        judge=lambda _listens, _values, unheard: ('', unheard) if unheard else ('wrong', ''),
        judged=judged.append,
    )
    pass_time(clock, check.look, 1.0)
    node.client.ready = False
    pass_time(clock, check.look, 5.0)
    assert judged == ['wrong']


def test_the_manager_is_asked_for_the_state_once_a_second(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller, 'ListControllers', SimpleNamespace(Request=object))
    state, judged = ['inactive'], []

    def answer(_request: Any) -> SimpleNamespace:
        return SimpleNamespace(controller=[SimpleNamespace(name='arm', state=state[0])])

    node = Node(answer)
    check = controller.ControllerState(
        node,
        TOPIC,
        problem=lambda states: '' if dict(states)['arm'] == 'active' else 'it is not active',
        judged=judged.append,
    )
    pass_time(clock, check.look, 3.0)
    assert node.client.srv_name == '/ns/controller_manager/list_controllers'
    assert judged == ['it is not active'] and len(node.client.requests) <= 3
    state[0] = 'active'
    pass_time(clock, check.look, 2.0)
    assert judged == ['it is not active', '']


def test_without_its_messages_the_manager_is_not_asked(clock: SimpleNamespace) -> None:
    if controller.ListControllers is not None:
        pytest.skip('controller_manager_msgs is installed')
    node = Node(None)
    check = controller.ControllerState(node, TOPIC, problem=lambda _: 'x', judged=pytest.fail)
    pass_time(clock, check.look, 2.0)
    assert not hasattr(node, 'client')
