"""What the page may ask the nodes for: which requests there are, and which need a second press.

Services and parameters are those that the nodes have anyway. Nothing here calls them, and times are
arguments.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from nrl_ros.base.errors import NrlError

# A second press counts between these times after the first one [s]: not the second click of a
# double click, and not another thought a minute later.
_SOONEST_S, _LATEST_S = 0.4, 6.0
_MOST_TEXT = 500

Value = bool | float | None


class SteeringError(NrlError):
    """A request of the page that is refused; one line says why."""


class Deed(NamedTuple):
    """Something that may be asked of a node.

    Attributes:
        node: last part of the node's name; empty: any name, as environments have.
        service: last part of the service's name.
        kind: type of the service.
        wants: the value that comes with the request.
        parameter: that is set; empty: none.
        outcome: with which an episode ends; empty: it ends none.
        twice: True if only a second press does it, since an arm may move then.
    """

    node: str
    service: str
    kind: str
    wants: Literal['nothing', 'switch', 'positive', 'not negative', 'number'] = 'nothing'
    parameter: str = ''
    outcome: str = ''
    twice: bool = False


_SWITCH, _TRIGGER = 'std_srvs/srv/SetBool', 'std_srvs/srv/Trigger'
_PARAMETERS, _END = 'rcl_interfaces/srv/SetParameters', 'nrl_ros/srv/EndEpisode'
# A person's reward goes to a topic of the environment, and not to a service.
REWARD, _REWARD_TOPIC, _REWARD_KIND = 'reward', '/human_reward/', 'std_msgs/msg/Float32'
DEEDS: dict[str, Deed] = {
    'stop': Deed('safety', 'stop', _TRIGGER),
    'clear': Deed('safety', 'clear', _TRIGGER, twice=True),
    'go': Deed('', 'go', _TRIGGER, twice=True),
    'pause': Deed('', 'pause', _SWITCH, 'switch'),
    # The arm acts by other weights then.
    'approve': Deed('learner', 'approve', _SWITCH, 'switch', twice=True),
    'freeze': Deed('learner', 'freeze', _SWITCH, 'switch'),
    'evaluate': Deed('learner', 'evaluate', _SWITCH, 'switch'),
    'save': Deed('learner', 'save_checkpoint', 'nrl_ros/srv/SaveCheckpoint'),
    'learning_rate': Deed(
        'learner', 'set_parameters', _PARAMETERS, 'positive', 'plasticity.learning_rate'
    ),
    'noise': Deed('learner', 'set_parameters', _PARAMETERS, 'not negative', 'noise.sigma'),
    **{one: Deed('', 'end_episode', _END, outcome=one) for one in ('success', 'failure', 'abort')},
    REWARD: Deed('', '', _REWARD_KIND, 'number'),
}


class Control(NamedTuple):
    """Something that a node offers.

    Attributes:
        do: name of the deed.
        node: full name of the node; of a reward, of its topic.
    """

    do: str
    node: str

    @property
    def namespace(self) -> str:
        """Namespace of the node; empty: none."""
        return self.node.rpartition('/')[0]

    @property
    def service(self) -> str:
        """Full name of the service."""
        return f'{self.node}/{DEEDS[self.do].service}'


def offered(
    services: Iterable[tuple[str, list[str]]], topics: Iterable[tuple[str, list[str]]] = ()
) -> frozenset[Control]:
    """Return what the nodes of a ROS graph offer.

    Args:
        services: names of all services with their types, as a node's
            ``get_service_names_and_types``.
        topics: the same of topics.
    """
    served = {
        Control(do, name.rpartition('/')[0])
        for name, kinds in services
        for do, deed in DEEDS.items()
        if deed.kind in kinds and _is_at(name, deed)
    }
    rewarded = {
        Control(REWARD, name)
        for name, kinds in topics
        if _REWARD_KIND in kinds and _REWARD_TOPIC in name
    }
    return frozenset(served | rewarded)


def _is_at(service: str, deed: Deed) -> bool:
    node, _, last = service.rpartition('/')
    return last == deed.service and deed.node in ('', node.rpartition('/')[2])


@dataclass(frozen=True)
class Wish:
    """A request of a page.

    Attributes:
        number: by which the page knows the answer.
        control: what is asked of which node.
        value: that comes with it.
    """

    number: int
    control: Control
    value: Value = None


def read_wish(text: str, controls: frozenset[Control]) -> Wish:
    """Return the request in a message of a page.

    Args:
        text: the message: JSON with ``id``, ``do``, ``node``, and ``value`` where one belongs.
        controls: what is offered now.

    Raises:
        SteeringError: it is none, or asks for what is not offered.
    """
    if len(text) > _MOST_TEXT:
        raise SteeringError(f'a request has at most {_MOST_TEXT} characters, received {len(text)}')
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    if not isinstance(data, dict) or type(data.get('id')) is not int:
        raise SteeringError('a request is JSON with id, do, node and value')
    do, node = data.get('do'), data.get('node')
    if not isinstance(do, str) or do not in DEEDS:
        raise SteeringError(f'do: expected one of {", ".join(DEEDS)}, received {str(do)[:40]!r}')
    if not isinstance(node, str) or Control(do, node) not in controls:
        raise SteeringError(f'{do}: no such node offers it now: {str(node)[:80]!r}')
    return Wish(data['id'], Control(do, node), _value(do, data))


def _value(do: str, data: Mapping[str, Any]) -> Value:
    """Return the value of a request.

    Raises:
        SteeringError: it is not of the kind that belongs to it.
    """
    wants, value = DEEDS[do].wants, data.get('value')
    if wants == 'nothing':
        return None
    if wants == 'switch':
        if not isinstance(value, bool):
            raise SteeringError(f'{do}: expected true or false, received {str(value)[:40]!r}')
        return value
    fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    number = float(value) if fits and abs(value) < 1e300 else math.nan  # type: ignore[arg-type]
    if wants == 'number':
        if math.isnan(number):
            raise SteeringError(f'{do}: expected a number, received {str(value)[:40]!r}')
        return number
    if not (number > 0.0 or (number == 0.0 and wants == 'not negative')):
        than = 'at least 0' if wants == 'not negative' else 'above 0'
        raise SteeringError(f'{do}: expected a number {than}, received {str(value)[:40]!r}')
    return number


class Presses:
    """Lets what may move an arm be done by a second press only; times are arguments."""

    def __init__(self) -> None:
        # When each page pressed first, by page, control and value.
        self._first: dict[tuple[int, Control, Value], float] = {}

    def press(self, now: float, page: int, control: Control, value: Value = None) -> bool:
        """Return True if a request is to be carried out now, False if it has to be pressed again.

        A stop takes back every first press: what was meant before it is not meant after it.

        Args:
            now: time of a steady clock [s].
            page: that asks.
            control: what it asks for.
            value: that comes with it.
        """
        key = page, control, value
        if control.do == 'stop':
            self._first.clear()
        if not DEEDS[control.do].twice:
            return True
        since = now - self._first.get(key, -math.inf)
        if since < _SOONEST_S:
            return False
        if since <= _LATEST_S:
            del self._first[key]
            return True
        self._first[key] = now
        return False

    def leave(self, page: int) -> None:
        """Forget a page that was closed."""
        self._first = {key: at for key, at in self._first.items() if key[0] != page}
