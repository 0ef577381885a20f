"""What people do to an environment over topics and a service: reward, take over, end episodes."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Joy
from std_msgs.msg import Float32, Float64MultiArray

from nrl_ros.base.errors import NrlError
from nrl_ros.base.records import Applied, HumanRewardBatch, Outcome
from nrl_ros.environments.episodes import Episodes, check_action, safe_action
from nrl_ros.environments.human_reward import Buttons, HumanRewards
from nrl_ros.environments.intervention import InstanceTakeover
from nrl_ros.environments.people import end_episodes
from nrl_ros.ros import conversion, names, qos
from nrl_ros.ros.interfaces import EndEpisode, HumanReward
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.settings.environment import EnvironmentNodeSettings

Array = NDArray[Any]

_OUTCOMES = {int(outcome): outcome for outcome in Outcome}


def topics_of(topic: str, agent: str) -> tuple[str, str]:
    """Return the names of a topic of people: for all environments of a namespace, and for one."""
    return topic, f'{topic}/{agent}'


class EnvironmentPeople:
    """Hears people on behalf of an environment node.

    Args:
        node: of the environment, while it is configured.
        takes_over: a person's actions are applied here; False for an environment that does it
            itself, such as an arm.
    """

    def __init__(self, node: NrlNode[EnvironmentNodeSettings], *, takes_over: bool) -> None:
        self._node, self._takes_over = node, takes_over
        settings = node.settings
        self._episodes: Episodes | None = None
        self._rewards: HumanRewards | None = None
        self._takeover: InstanceTakeover | None = None
        self._given = node.publisher(HumanReward, names.HUMAN_REWARD_GIVEN, qos.event())
        for topic in topics_of(names.HUMAN_REWARD, settings.agent):
            node.subscription(Float32, topic, qos.event(), self._on_reward)
        if settings.human_reward.buttons:
            group = settings.human_reward
            self._buttons = Buttons(group.buttons, group.button_values)
            node.subscription(Joy, names.JOY, qos.sensor(), self._on_joy)
        if takes_over:
            topic = topics_of(names.INTERVENTION, settings.agent)[1]
            node.subscription(Float64MultiArray, topic, qos.sensor(), self._on_action)
        node.service(EndEpisode, names.END_EPISODE, self._on_end)

    def begin(self, episodes: Episodes) -> None:
        """Serve a session of the environment.

        Raises:
            ConfigError: the settings name an instance that it does not have.
        """
        settings, spec = self._node.settings, episodes.info.spec
        rewards = HumanRewards(settings.human_reward, episodes, self._node.counters)
        if self._takes_over:
            shape = (spec.instances, spec.action.components)
            self._takeover = InstanceTakeover(
                settings.intervention, shape, safe_action(episodes.info)
            )
        self._episodes, self._rewards = episodes, rewards

    def settings_changed(self, settings: EnvironmentNodeSettings) -> None:
        """Apply a changed weight."""
        if self._rewards is not None:
            self._rewards.settings = settings.human_reward

    def mixed(
        self, action: Array, applied: NDArray[np.uint8] | None
    ) -> tuple[Array, NDArray[np.uint8] | None]:
        """Return what is applied in place of the learner's actions, as of ``InstanceTakeover``."""
        if self._takeover is None or not self._takeover.in_use:
            return action, applied
        action, applied = self._takeover.mixed(action, applied, time.monotonic())
        if applied is not None:
            theirs = int(np.count_nonzero(applied == int(Applied.PERSON)))
            self._node.counters['intervened_steps'] += theirs
        return action, applied

    def _publish(self, given: HumanRewardBatch | None) -> None:
        if given is not None:
            self._given.publish(conversion.human_reward_to_wire(given))

    def _on_reward(self, message: Float32) -> None:
        self._reward(message.data)

    def _on_joy(self, message: Joy) -> None:
        for value in self._buttons.pressed(message.buttons):
            self._reward(value)

    def _reward(self, value: float) -> None:
        if self._rewards is None:
            return
        node = self._node
        refused = node.counters['human_rewards_too_often']
        self._publish(self._rewards.give(value, time.monotonic(), node.now_ns()))
        if node.counters['human_rewards_too_often'] != refused:
            node.say_seldom(
                'rewards too often',
                f'more than {node.settings.human_reward.per_second:g} rewards of people in a '
                'second: the rest is refused; human_reward.per_second sets the limit',
            )

    def _on_action(self, message: Float64MultiArray) -> None:
        if self._takeover is None or self._episodes is None:
            return
        actions = self._takeover.actions_of(np.array(message.data))
        check_action(actions, self._episodes.info)
        self._takeover.hear(actions, time.monotonic())

    def _on_end(
        self, request: EndEpisode.Request, response: EndEpisode.Response
    ) -> EndEpisode.Response:
        try:
            response.message = self._end(request.outcome, list(request.instance))
            response.success = True
        except NrlError as error:
            response.message = f'refused: {error}'
        return response

    def _end(self, outcome: int, instances: list[int]) -> str:
        """End episodes; return in words what was ended.

        Raises:
            NrlError: no such outcome or instance, or no episode runs.
        """
        episodes, rewards, node = self._episodes, self._rewards, self._node
        if episodes is None or rewards is None or not node.active:
            raise NrlError('the environment is not active')
        if outcome not in _OUTCOMES:
            raise NrlError(f'outcome {outcome}, expected one of {sorted(_OUTCOMES)}')
        count = episodes.info.spec.instances
        if instances and max(instances) >= count:
            raise NrlError(f'instance {max(instances)}, expected 0 to {count - 1}')
        which = episodes.running
        if instances:
            which = which & np.isin(np.arange(count), instances)
        ended = int(np.count_nonzero(which))
        if not ended or episodes.greedy:
            raise NrlError('no episode runs that could be ended')
        end = node.settings.end_episode
        how = _OUTCOMES[outcome]
        self._publish(end_episodes(episodes, rewards, end, how, which, node.now_ns()))
        node.counters[f'ended_{how.name.lower()}'] += ended
        return f'{ended} of {count} episodes end with the next step: {how.name.lower()}'
