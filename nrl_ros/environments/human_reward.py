"""Rewards of people: each one enters the credit window that is open when it comes.

The environment binds them, since it alone knows which window, episode and step that is. What enters
a window is a part of the reward that closes it, so that the neuromodulator, the learner and every
recording have it without a rule of their own, and a recorded run is computed again bit by bit.
Nothing here reads a clock or knows a topic: times are arguments, by any steady clock [s].
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from pydantic import Field, model_validator

from nrl_ros.base.errors import ConfigError, InvalidValueError, ShapeError
from nrl_ros.base.records import Bool, Float64, HumanRewardBatch, HumanSource, Phase
from nrl_ros.base.settings import Settings, live
from nrl_ros.environments.episodes import Episodes

_LAST = int(Phase.LAST)


class HumanRewardSettings(Settings):
    """What a reward of a person counts."""

    weight: float = live(1.0, 'Factor of the rewards of people in a window [1]', ge=0)
    replace: bool = Field(
        False,
        description="Only people reward: the task's own rewards count in returns and teach nothing",
    )
    limit: float = Field(
        1.0, gt=0, description='A reward of a person is clipped to this and its negative [1]'
    )
    per_second: float = Field(
        10.0, ge=1, description='Rewards of people taken in a second; more are refused [1/s]'
    )
    instance: int = Field(
        -1, ge=-1, description='Instance that people look at and reward; -1: all of them'
    )
    buttons: tuple[int, ...] = Field(
        (), description='Buttons of a joystick on the topic joy that reward; none: it is not heard'
    )
    button_values: tuple[float, ...] = Field(
        (), description='The reward of each of these buttons [1]'
    )

    @model_validator(mode='after')
    def _buttons_fit(self) -> HumanRewardSettings:
        if len(self.buttons) != len(self.button_values):
            raise ValueError(
                f'human_reward.button_values must have a number for each of {len(self.buttons)} '
                f'buttons, received {len(self.button_values)}'
            )
        return self


class RateLimit:
    """Allows so many events in a second, as a bucket that fills steadily.

    Args:
        per_second: at least 1.
    """

    def __init__(self, per_second: float) -> None:
        self._per_second = self._left = per_second
        self._at = -math.inf

    def allows(self, now_s: float) -> bool:
        """Return True and count an event, or return False if there were too many."""
        if self._at > -math.inf:
            gained = max(now_s - self._at, 0.0) * self._per_second
            self._left = min(self._left + gained, self._per_second)
        self._at = now_s
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Buttons:
    """Turns the buttons of a joystick into rewards: one for each press.

    Args:
        buttons: numbers of those that reward.
        values: the reward of each.
    """

    def __init__(self, buttons: Sequence[int], values: Sequence[float]) -> None:
        self._values = dict(zip(buttons, values, strict=True))
        # A button that is held when the first message comes was pressed for something else.
        self._held: set[int] | None = None

    def pressed(self, buttons: Sequence[int]) -> list[float]:
        """Return the rewards of buttons that were released in the message before.

        Args:
            buttons: of a message, 0 for a button that is not pressed.
        """
        held = {number for number in self._values if number < len(buttons) and buttons[number] != 0}
        new = set() if self._held is None else held - self._held
        self._held = held
        return [self._values[number] for number in sorted(new)]


class HumanRewards:
    """Adds rewards of people to the open credit windows of an environment.

    Args:
        settings: may be replaced, as ``settings``.
        episodes: of the environment.
        counters: where ``human_rewards`` and those that were refused or clipped are counted.

    Attributes:
        settings: what a reward counts.

    Raises:
        ConfigError: the environment has no such instance.
    """

    def __init__(
        self,
        settings: HumanRewardSettings,
        episodes: Episodes,
        counters: Counter[str] | None = None,
    ) -> None:
        instances = episodes.info.spec.instances
        if settings.instance >= instances:
            raise ConfigError(
                f'human_reward.instance: expected -1 to {instances - 1}, received '
                f'{settings.instance}'
            )
        self.settings, self._episodes = settings, episodes
        self._meant = np.ones(instances, np.bool_)
        if settings.instance >= 0:
            self._meant[:] = False
            self._meant[settings.instance] = True
        self._rate = RateLimit(settings.per_second)
        self.counters: Counter[str] = Counter() if counters is None else counters

    def give(self, value: float, now_s: float, stamp_ns: int = 0) -> HumanRewardBatch | None:
        """Add a reward to the open windows of the instances that people look at.

        An instance between two episodes has no open window; a greedy episode takes no reward.

        Args:
            value: the number that a person gave.
            now_s: the time.
            stamp_ns: of the record [ns].

        Returns:
            What has entered which windows, or None if nothing has.

        Raises:
            InvalidValueError: the number is not finite.
        """
        if not math.isfinite(value):
            self.counters['human_rewards_refused'] += 1
            raise InvalidValueError(f'a reward of a person is {value}, expected a finite number')
        if not self._rate.allows(now_s):
            self.counters['human_rewards_too_often'] += 1
            return None
        return self._weigh(np.full(len(self._meant), value), self._meant, stamp_ns)

    def give_each(self, values: Float64, stamp_ns: int = 0) -> HumanRewardBatch | None:
        """Add a reward for each instance, as a program that stands for people gives them.

        Other than ``give`` it is not limited in its rate.

        Args:
            values: [B], 0 for an instance that gets none.
            stamp_ns: of the record [ns].

        Returns:
            What has entered which windows, or None if nothing has.

        Raises:
            ShapeError: there is not one number for each instance.
            InvalidValueError: a number is not finite.
        """
        values = np.asarray(values, np.float64)
        if values.shape != self._meant.shape:
            raise ShapeError(
                f'rewards of people: expected {len(self._meant)}, one for each instance, received '
                f'shape {values.shape}'
            )
        if not np.isfinite(values).all():
            self.counters['human_rewards_refused'] += 1
            raise InvalidValueError(
                f'rewards of people are {values.tolist()}, expected finite numbers'
            )
        which = values != 0.0
        return self._weigh(values, which, stamp_ns) if which.any() else None

    def conclude(self, value: float, which: Bool, stamp_ns: int = 0) -> HumanRewardBatch | None:
        """Add the reward of an end that a person has told; it is neither clipped nor weighed.

        Args:
            value: task units.
            which: instances whose episode ends [B].
            stamp_ns: of the record [ns].

        Returns:
            What has entered which windows, or None if the reward is 0.
        """
        values = np.full(len(which), value)
        return self._enter(HumanSource.END, values, values, which, stamp_ns) if value else None

    def _weigh(self, received: Float64, which: Bool, stamp_ns: int) -> HumanRewardBatch | None:
        clipped = np.clip(received, -self.settings.limit, self.settings.limit)
        self.counters['human_rewards_clipped'] += bool((clipped != received).any())
        values = self.settings.weight * clipped
        return self._enter(HumanSource.REWARD, received, values, which, stamp_ns)

    def _enter(
        self, source: HumanSource, received: Float64, values: Float64, which: Bool, stamp_ns: int
    ) -> HumanRewardBatch | None:
        episodes = self._episodes
        state, info = episodes.tracker.state, episodes.info
        index = np.flatnonzero(which & (state['phase'] != _LAST))
        if not len(index) or episodes.greedy:
            self.counters['human_rewards_without_window'] += 1
            return None
        self.counters['human_rewards'] += 1
        state['window_reward'][index] += values[index]
        return HumanRewardBatch(
            info.agent,
            info.session,
            episodes.sequence,
            info.spec.instances,
            int(source),
            index.astype(np.uint32),
            state['episode'][index],
            state['step'][index],
            state['window'][index],
            received[index],
            values[index],
            stamp_ns,
        )
