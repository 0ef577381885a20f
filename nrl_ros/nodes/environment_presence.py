"""Introduces an environment by its name, and refuses a second one of that name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rclpy.duration import Duration

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.identity import draw_identity
from nrl_ros.environments.episodes import Episodes
from nrl_ros.ros import conversion, graph, names
from nrl_ros.ros.interfaces import EnvInfo
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.ros.namesakes import Namesakes
from nrl_ros.ros.wire import nanoseconds
from nrl_ros.settings.environment import EnvironmentNodeSettings

# Longest wait for the subscribers to acknowledge the goodbye. It is short, since the middleware
# waits for a learner that was killed until it knows that the learner is gone.
_FAREWELL_S = 0.5


class EnvironmentPresence:
    """Publishes the introduction of this environment, and notices others of the same name.

    Environments are told apart only by their names, so of two with one name the later one must end.

    Args:
        node: of the environment.
        info: publisher of EnvInfo.
        namesakes: what is known of others; it outlives a configuration.
    """

    def __init__(
        self, node: NrlNode[EnvironmentNodeSettings], info: Any, namesakes: Namesakes
    ) -> None:
        self._node, self._info, self._namesakes = node, info, namesakes
        self._since_ns = 0

    def new_session(self) -> int:
        """Return a number for a session of this environment."""
        first = self._node.settings.session
        session = first + len(self._namesakes.mine) if first else draw_identity()
        self._namesakes.mine.add(session)
        return session

    def begin(self, episodes: Episodes, is_answered: Callable[[], bool]) -> None:
        """Publish the introduction of this environment for the first time in a session.

        Args:
            episodes: of the session.
            is_answered: returns True if a learner has answered it.

        Raises:
            ConfigError: the name is another environment's.
        """
        self._episodes, self._is_answered = episodes, is_answered
        self._since_ns = self._node.now_ns()
        self._namesakes.mine.add(episodes.info.session)
        self._refuse_a_second_one()
        self.introduce()

    def introduce(self) -> None:
        """Publish the introduction of this environment once more."""
        self._publish(active=True)

    def leave(self) -> None:
        """Publish that the environment leaves, and wait until all subscribers have received it."""
        self._publish(active=False)
        self._info.wait_for_all_acked(Duration(seconds=_FAREWELL_S))

    def hear(self, message: EnvInfo) -> None:
        """Take an introduction; the node fails if it is the later one of two of its name."""
        node = self._node
        if message.agent != node.settings.agent or message.session in self._namesakes.mine:
            return
        since_ns = nanoseconds(message.header.stamp)
        self._namesakes.hear(message.session, since_ns, active=message.active)
        try:
            if node.active:
                self._refuse_a_second_one()
        except ConfigError as error:
            node.fail(str(error))

    def _publish(self, *, active: bool) -> None:
        info = replace(self._episodes.info, active=active)
        self._info.publish(conversion.info_to_msg(info, self._since_ns))

    def _refuse_a_second_one(self) -> None:
        node, info = self._node, self._episodes.info
        if not self._namesakes.has_earlier(info.session, self._since_ns):
            return
        text = f'agent {info.agent!r} is already the name of another environment here'
        if not self._is_answered():
            raise ConfigError(
                f'{text}; set another agent for this one, or start it in another namespace'
            )
        # The other one's stamp may be false. This environment stays, since the learner answers only
        # the first.
        node.counters['foreign_infos'] += 1
        who = graph.named(graph.publishers(node, names.ENV_INFO))
        node.say_seldom(
            'second', f'{text}; this environment stays; publishers: {who}', every_s=60.0
        )
