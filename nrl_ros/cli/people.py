"""What a person tells a run: rewards and ends of episodes, by keys, words and commands."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rich.console import Console
from std_msgs.msg import Float32

from nrl_ros.base.errors import NrlError
from nrl_ros.base.records import Outcome
from nrl_ros.cli.display import lines_to
from nrl_ros.cli.waiting import OnlyOne, Waiting, node_of_command
from nrl_ros.ros import names, qos
from nrl_ros.ros.graph import subscribers
from nrl_ros.ros.interfaces import EndEpisode

# Keys that need no Enter, and the reward of each.
KEYS = {'+': 1.0, '-': -1.0}
OUTCOMES = {outcome.name.lower(): outcome for outcome in Outcome}
WORDS = (*KEYS, *OUTCOMES)
# Longest wait for an environment to be found, and for its answer [s].
_FIND_S = 8.0
_WORDS = OnlyOne(
    'environments hear people',
    '--agent and --namespace',
    'no environment that hears people is',
    'name the domain that `nrl train` or `nrl arm` shows by --domain-id; a run with --device has '
    'no nodes, and hears nobody',
)


class PeopleVoice:
    """Rewards and ends the episodes of one environment on behalf of a person at a terminal.

    Args:
        node: of the command.
        agent: name of the environment.
        say: prints a line.
    """

    def __init__(self, node: Node, agent: str, say: Callable[[str], None]) -> None:
        self._say = say
        self._reward = node.create_publisher(Float32, f'{names.HUMAN_REWARD}/{agent}', qos.event())
        service = names.END_EPISODE.replace('~', names.ENVIRONMENT)
        self._client: Any = node.create_client(EndEpisode, service)

    def obey(self, word: str) -> bool:
        """Do what a key or a word says; return False if it says nothing of this."""
        if word in KEYS:
            self._reward.publish(Float32(data=KEYS[word]))
        elif word in OUTCOMES:
            self._end(word)
        else:
            return False
        return True

    def _end(self, word: str) -> None:
        if not self._client.service_is_ready():
            self._say(f'{word}: the environment is not there yet')
            return
        future = self._client.call_async(EndEpisode.Request(outcome=int(OUTCOMES[word])))
        future.add_done_callback(lambda done: self._say(f'{word}: {done.result().message}'))


@dataclass(frozen=True)
class PeopleOptions:
    """The environment that a command speaks to.

    Attributes:
        agent: its name; empty: that of the only one that is found.
        namespace: of its run; empty: of the only one that is found.
        domain: ROS domain; None: ROS_DOMAIN_ID.
    """

    agent: str = ''
    namespace: str = ''
    domain: int | None = None


def reward(options: PeopleOptions, value: float, console: Console) -> int:
    """Give one environment a reward; return the exit code.

    Raises:
        NrlError: it is not found, or there are several.
    """
    with node_of_command('person', options.domain) as (node, signals):
        waiting = Waiting(node, signals)
        topic = _environment(waiting, options)[0]
        publisher = node.create_publisher(Float32, topic, qos.event())
        if not waiting.until(lambda: publisher.get_subscription_count() > 0, _FIND_S):
            raise NrlError(f'{topic}: its environment has gone')
        publisher.publish(Float32(data=value))
        publisher.wait_for_all_acked(Duration(seconds=1.0))
        lines_to(console)(f'{value:g} on {topic}')
    return 0


def end(options: PeopleOptions, outcome: str, instances: Sequence[int], console: Console) -> int:
    """End episodes of one environment; return the exit code: 1 if it has refused.

    Raises:
        NrlError: it is not found, or there are several, or it does not answer.
    """
    with node_of_command('person', options.domain) as (node, signals):
        waiting = Waiting(node, signals)
        client = node.create_client(EndEpisode, _environment(waiting, options)[1])
        request = EndEpisode.Request(outcome=int(OUTCOMES[outcome]), instance=list(instances))
        answer = waiting.call(client, request, find_s=_FIND_S, answer_s=_FIND_S, of='environment')
        lines_to(console)(f'{outcome}: {answer.message}')
    return 0 if answer.success else 1


def _environment(waiting: Waiting, options: PeopleOptions) -> tuple[str, str]:
    """Return the topic of rewards of the environment that is meant, and its service of ends.

    Raises:
        NrlError: there is none, or there are several.
    """
    heard: dict[str, str] = {}

    def found() -> Collection[str]:
        heard.clear()
        known = waiting.node.get_topic_names_and_types()
        for topic, kinds in known:
            place, middle, agent = topic.rpartition(f'/{names.HUMAN_REWARD}/')
            meant = middle and options.agent in ('', agent) and 'std_msgs/msg/Float32' in kinds
            if not meant or (
                options.namespace and place.strip('/') != options.namespace.strip('/')
            ):
                continue
            # The middleware may know of a subscription before it knows whose it is.
            nodes = [one.node for one in subscribers(waiting.node, topic) if one.node]
            if nodes:
                heard[topic] = nodes[0]
        return heard

    topic = waiting.only(found, _FIND_S, _WORDS)
    return topic, names.END_EPISODE.replace('~', heard[topic])
