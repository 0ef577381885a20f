"""Of two senders one is listened to, until it fails to answer."""

from __future__ import annotations

from nrl_ros.ros.sender import BoundSender, Sender

FIRST, SECOND = Sender(1, b'a'), Sender(2, b'b')


def test_the_first_that_is_of_use_is_bound_and_others_are_refused() -> None:
    bound = BoundSender(2.0)
    assert not bound.refuses(SECOND, 0.0)
    assert bound.heard(FIRST) and not bound.heard(FIRST)
    for now in (0.0, 1e6):
        assert not bound.refuses(FIRST, now)
        assert bound.refuses(SECOND, now), 'silence alone is no failure: rewards may be rare'


def test_one_that_says_no_identity_or_takes_another_one_s_is_refused() -> None:
    bound = BoundSender(2.0)
    assert bound.refuses(Sender(0), 0.0)
    bound.heard(FIRST)
    assert bound.refuses(Sender(0, b'a'), 0.0)
    assert bound.refuses(Sender(1, b'b'), 0.0)


def test_another_one_takes_its_place_when_it_owes_an_answer_for_too_long() -> None:
    bound = BoundSender(2.0)
    bound.heard(FIRST)
    bound.owes(10.0)
    bound.owes(11.0)
    assert bound.refuses(SECOND, 12.0)
    assert not bound.refuses(SECOND, 12.1)
    # It answers after all.
    bound.heard(FIRST)
    assert bound.refuses(SECOND, 100.0)
    bound.owes(100.0)
    assert not bound.refuses(SECOND, 103.0) and bound.heard(SECOND)
    assert bound.refuses(FIRST, 103.0)
    bound.release()
    assert not bound.refuses(FIRST, 103.0)
