"""Calls the services and sets the parameters that a page asks for, and says what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from std_msgs.msg import Float32
from std_srvs.srv import SetBool, Trigger

from nrl_ros.page.steering import DEEDS, REWARD, Control, Wish
from nrl_ros.ros import qos
from nrl_ros.ros.interfaces import EndEpisode, SaveCheckpoint

# An answer is waited for so long; a service that is in the graph may need a moment to be reached
# [s].
_ANSWER_S = 10.0
# A new publisher may need a moment until it is heard. A reward that came later would be for
# something else [s].
_HEARD_S = 1.0
# Requests that are under way at most, and services that are kept.
_MOST, _MOST_CLIENTS = 32, 64


class _Call(NamedTuple):
    """A request under way."""

    wish: Wish
    page: int
    client: Any
    future: Any
    until: float


class Callers:
    """Carries out what pages ask for.

    Args:
        node: makes the clients; its executor handles their answers.
        answered: called with the page, the request, whether it was done, and what was said.
    """

    def __init__(self, node: Any, answered: Callable[[int, Wish, bool, str], None]) -> None:
        self._node, self._answered = node, answered
        self._clients: dict[Control, Any] = {}
        self._rewards: dict[Control, Any] = {}
        self._waiting: list[tuple[Wish, int, float]] = []
        self._calls: list[_Call] = []

    def ask(self, now: float, page: int, wish: Wish) -> None:
        """Make a request of a page; a stop comes before all that wait."""
        if wish.control.do == 'stop':
            self._waiting.insert(0, (wish, page, now + _ANSWER_S))
        elif len(self._waiting) + len(self._calls) >= _MOST:
            self._answered(page, wish, False, 'too many requests are under way')
            return
        else:
            patience_s = _HEARD_S if wish.control.do == REWARD else _ANSWER_S
            self._waiting.append((wish, page, now + patience_s))
        self.look(now)

    def _reward(self, page: int, wish: Wish) -> bool:
        """Publish the reward of a person; return False if nobody hears it yet."""
        publisher = self._rewards.get(wish.control)
        if publisher is None or publisher.get_subscription_count() == 0:
            return False
        publisher.publish(Float32(data=float(wish.value or 0.0)))
        self._answered(page, wish, True, 'given')
        return True

    def look(self, now: float) -> None:
        """Call the services that are there by now, and take the answers that have come."""
        waiting, self._waiting = self._waiting, []
        for wish, page, until in waiting:
            if wish.control.do == REWARD:
                if not self._reward(page, wish):
                    if now < until:
                        self._waiting.append((wish, page, until))
                    else:
                        self._answered(page, wish, False, f'nobody hears {wish.control.node}')
                continue
            client = self._client(wish.control)
            if client.service_is_ready():
                future = client.call_async(_request(wish))
                self._calls.append(_Call(wish, page, client, future, now + _ANSWER_S))
            elif now < until:
                self._waiting.append((wish, page, until))
            else:
                self._answered(page, wish, False, f'{wish.control.service} is not there')
        calls, self._calls = self._calls, []
        for call in calls:
            if call.future.done():
                self._answered(call.page, call.wish, *_answer(call.future.result()))
            elif now < call.until:
                self._calls.append(call)
            else:
                call.client.remove_pending_request(call.future)
                self._answered(call.page, call.wish, False, f'no answer in {_ANSWER_S:.0f} s')

    @property
    def is_busy(self) -> bool:
        """True while a request is under way."""
        return bool(self._waiting or self._calls)

    def close(self) -> None:
        """Leave the services."""
        for client in self._clients.values():
            self._node.destroy_client(client)
        for publisher in self._rewards.values():
            self._node.destroy_publisher(publisher)
        self._clients.clear()
        self._rewards.clear()

    def keep(self, controls: frozenset[Control]) -> None:
        """Keep a client for each stop, so that none has to be found first; drop those long gone."""
        for control in controls:
            if control.do == 'stop':
                self._client(control)
            elif (
                control.do == REWARD
                and control not in self._rewards
                and len(self._rewards) < _MOST_CLIENTS
            ):
                # Made before it is needed, since a first reward would find nobody yet.
                self._rewards[control] = self._node.create_publisher(
                    Float32, control.node, qos.event()
                )
        if self.is_busy or len(self._clients) < _MOST_CLIENTS:
            return
        for control in self._clients.keys() - controls:
            self._node.destroy_client(self._clients.pop(control))

    def _client(self, control: Control) -> Any:
        if control not in self._clients:
            kind = _KINDS[DEEDS[control.do].kind]
            self._clients[control] = self._node.create_client(kind, control.service)
        return self._clients[control]


_KINDS: dict[str, Any] = {
    'std_srvs/srv/SetBool': SetBool,
    'std_srvs/srv/Trigger': Trigger,
    'nrl_ros/srv/SaveCheckpoint': SaveCheckpoint,
    'nrl_ros/srv/EndEpisode': EndEpisode,
    'rcl_interfaces/srv/SetParameters': SetParameters,
}


def _request(wish: Wish) -> Any:
    deed = DEEDS[wish.control.do]
    kind = _KINDS[deed.kind]
    if kind is SetBool:
        return SetBool.Request(data=bool(wish.value))
    if kind is SetParameters:
        number = float(wish.value or 0.0)
        value = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=number)
        return SetParameters.Request(parameters=[Parameter(name=deed.parameter, value=value)])
    if kind is EndEpisode:
        outcome = getattr(EndEpisode.Request, f'OUTCOME_{deed.outcome.upper()}')
        return EndEpisode.Request(outcome=outcome)
    return kind.Request()


def _answer(response: Any) -> tuple[bool, str]:
    """Return whether it was done, and what was said."""
    if response is None:
        return False, 'no answer'
    if isinstance(response, SetParameters.Response):
        results = response.results
        if not results:
            return False, 'no answer'
        return results[0].successful, results[0].reason or 'set'
    return bool(response.success), str(response.message)
