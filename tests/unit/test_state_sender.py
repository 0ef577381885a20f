"""The first state of a session waits for those who hear its rewards, but not for ever."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from nrl_ros.base.records import Delivery
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.registry import make_bridge
from nrl_ros.nodes.state_sender import StateSender

RESEND_S = 0.5


class Topic:
    """A publisher that keeps what it is given.

    Args:
        hearers: subscribers that it has.
    """

    def __init__(self, hearers: int) -> None:
        self.hearers, self.sent = hearers, list[bytes]()

    def get_subscription_count(self) -> int:
        return self.hearers

    def publish(self, message: bytes) -> None:
        self.sent.append(message)


def begun(hearers_of_rewards: int) -> tuple[Topic, Topic, StateSender, Episodes]:
    """Return topics, sender and episodes whose first state was given to the sender at 10 s."""
    state, reward = Topic(1), Topic(hearers_of_rewards)
    sender = StateSender(state, reward, RESEND_S)
    episodes = Episodes(
        make_bridge('scripted', 2, {}),
        agent='a',
        session=1,
        lockstep=True,
        delivery=Delivery.EPISODE,
    )
    sender.begin(episodes.begin(0), 10.0)
    return state, reward, sender, episodes


def test_a_first_state_is_sent_at_once_where_rewards_are_heard() -> None:
    state, _, sender, _ = begun(1)
    assert len(state.sent) == 1
    assert not sender.send_again_if_late(10.0 + 0.9 * RESEND_S)
    assert sender.send_again_if_late(10.0 + 1.1 * RESEND_S), 'nobody has answered'
    assert len(state.sent) == 2 and state.sent[0] == state.sent[1]


def test_a_first_state_waits_for_who_hears_rewards() -> None:
    """Once the learner has answered it, it is never sent again; a critic would miss it."""
    state, reward, sender, _ = begun(0)
    assert not sender.send_again_if_late(10.6) and not state.sent
    reward.hearers = 1
    assert not sender.send_again_if_late(10.62), 'it is no repetition'
    assert len(state.sent) == 1
    # The time for an answer counts from when it was sent.
    assert not sender.send_again_if_late(10.62 + 0.9 * RESEND_S)
    assert sender.send_again_if_late(10.62 + 1.1 * RESEND_S)


def test_a_first_state_does_not_wait_for_ever() -> None:
    """A policy that does not learn needs nobody who hears rewards."""
    state, _, sender, episodes = begun(0)
    assert not sender.send_again_if_late(10.99) and not state.sent
    assert not sender.send_again_if_late(11.0) and len(state.sent) == 1
    sender.answered(11.1)
    advance = episodes.advance(np.zeros((2, 1), np.int64))
    sender.send(advance.state, advance.reward, 11.1)
    assert len(state.sent) == 2, 'later states do not wait'
