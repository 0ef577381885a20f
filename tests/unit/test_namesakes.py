"""Of two environments with one name the one that came later leaves."""

from nrl_ros.ros.namesakes import Namesakes

MINE, OTHER, SINCE = 7, 8, 1_000


def heard(since_ns: int, *, session: int = OTHER, active: bool = True) -> Namesakes:
    known = Namesakes()
    known.mine.add(MINE)
    known.hear(session, since_ns, active=active)
    return known


def test_one_that_began_earlier_stays_and_one_that_began_later_does_not_matter() -> None:
    assert not Namesakes().has_earlier(MINE, SINCE)
    assert heard(SINCE - 1).has_earlier(MINE, SINCE)
    assert not heard(SINCE + 1).has_earlier(MINE, SINCE)


def test_of_two_that_began_at_once_exactly_one_leaves() -> None:
    assert heard(SINCE, session=MINE + 1).has_earlier(MINE, SINCE) is False
    assert heard(SINCE, session=MINE - 1).has_earlier(MINE, SINCE) is True


def test_ones_own_earlier_sessions_are_nobody() -> None:
    assert not heard(SINCE - 1, session=MINE).has_earlier(MINE, SINCE)


def test_one_that_has_left_is_forgotten() -> None:
    known = heard(SINCE - 1)
    known.hear(OTHER, SINCE - 1, active=False)
    assert not known.has_earlier(MINE, SINCE)
    known = heard(SINCE - 1)
    known.forget()
    assert not known.has_earlier(MINE, SINCE)


def test_whoever_floods_the_topic_takes_no_memory() -> None:
    known = Namesakes()
    for session in range(10_000):
        known.hear(session, SINCE, active=True)
    assert len(known._since) == 64
