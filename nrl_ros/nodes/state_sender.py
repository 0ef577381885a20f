"""Publishes the states of a session, each after its rewards, and sends them again if needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nrl_ros.base.records import RewardBatch, StateBatch
from nrl_ros.ros import conversion
from nrl_ros.ros.round_trip import RoundTrip

# An answer is never late before this time, since a learner on a busy machine may take so long [s].
# Repetitions stretch the time up to this multiple of resend_period_s.
_LEAST_RESEND_S = 0.1
_MOST_RESEND_PERIODS = 4.0
# So long the first state waits for somebody who hears rewards; a policy that does not learn needs
# nobody [s].
_FIRST_S = 1.0


class StateSender:
    """Keeps what was sent last until it is answered.

    Args:
        state: publisher of EnvState.
        reward: publisher of Reward.
        resend_period_s: an answer is late after this time, until earlier answers were measured [s].
    """

    def __init__(self, state: Any, reward: Any, resend_period_s: float) -> None:
        self._state, self._reward = state, reward
        self._newest: StateBatch | None = None
        self._state_message: Any = None
        self._reward_message: Any = None
        self._held_until_s: float | None = None
        self._round_trip = RoundTrip(
            resend_period_s,
            least_s=min(_LEAST_RESEND_S, resend_period_s),
            most_s=_MOST_RESEND_PERIODS * resend_period_s,
        )

    @property
    def is_heard(self) -> bool:
        """True if somebody subscribes to the states."""
        return bool(self._state.get_subscription_count() > 0)

    def send(self, state: StateBatch, reward: RewardBatch | None, now_s: float) -> None:
        """Publish a state, and before it the rewards of its step.

        The rewards go first, since they take longer: they pass through the neuromodulator.
        """
        self._reward_message = None
        if reward is not None:
            self._reward_message = conversion.reward_to_wire(reward)
            self._reward.publish(self._reward_message)
        self._newest, self._state_message = state, conversion.state_to_wire(state)
        self._round_trip.ask(now_s)
        self._state.publish(self._state_message)

    def begin(self, state: StateBatch, now_s: float) -> None:
        """Publish the first state of a session, once somebody hears the rewards.

        A learner that is found first answers it, and then it is never sent again: a neuromodulator
        that is found later, and whose critic hears states, would value the first rewards otherwise.
        """
        self._newest, self._state_message = state, conversion.state_to_wire(state)
        self._held_until_s = now_s + _FIRST_S
        self._send_held(now_s)

    def _send_held(self, now_s: float) -> None:
        assert self._held_until_s is not None
        if self._reward.get_subscription_count() > 0 or now_s >= self._held_until_s:
            self._held_until_s = None
            self._round_trip.ask(now_s)
            self._state.publish(self._state_message)

    def answered(self, now_s: float) -> None:
        """Note that the newest state was answered."""
        self._round_trip.answered(now_s)

    def send_again_if_late(self, now_s: float) -> bool:
        """Publish both again if the answer is late; return True if that was done."""
        if self._held_until_s is not None:
            self._send_held(now_s)
            return False
        if self._newest is None or not self._round_trip.late(now_s):
            return False
        if self.is_heard:
            self._round_trip.ask_again(now_s)
        else:
            # The wait must not grow while nobody hears the states.
            self._round_trip.ask(now_s)
        if self._reward_message is not None:
            self._reward.publish(self._reward_message)
        self._state.publish(self._state_message)
        return True

    def renew(self, session: int) -> None:
        """Send the newest state as part of another session from now on, without its rewards."""
        if self._newest is not None:
            self._newest = replace(self._newest, session=session)
            self._state_message = conversion.state_to_wire(self._newest)
        self._reward_message = None
