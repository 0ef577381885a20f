"""Which publisher of joint states and of commands is taken."""

from __future__ import annotations

import pytest

from nrl_ros.robots.safety.sources import Commanders, NumberedSources, OneSource

ME, OTHER = '/safety', '/rqt'


def test_a_second_one_is_refused_and_told_until_it_has_been_silent() -> None:
    one = OneSource(0.1)
    for tick in range(100):
        assert one.take(0.01 * tick, 'first')
    assert not one.take(1.0, 'second')
    assert one.rival(1.0) == 'second'
    for tick in range(100, 400):
        assert one.take(0.01 * tick, 'first')
    assert one.rival(2.9) == 'second' and one.rival(3.1) is None


@pytest.mark.parametrize('rate_hz', [1.0, 10.0, 30.0, 110.0, 500.0])
@pytest.mark.parametrize('late_s', [0.0, 0.5])
def test_two_are_always_found_whoever_comes_first(rate_hz: float, late_s: float) -> None:
    """At 125 Hz beside another rate, with either first."""
    times = [(0.008 * tick, 'true') for tick in range(1000)]
    times += [(late_s + tick / rate_hz, 'other') for tick in range(int(7 * rate_hz))]
    one, found = OneSource(0.1), []
    for now, source in sorted(times):
        one.take(now, source)
        if one.rival(now) is not None:
            found.append(now)
    assert found[0] <= late_s + 1.0 / rate_hz + 0.1
    # From then on there is never a moment at which the arm might begin.
    assert all(later - now < 0.2 for now, later in zip(found, found[1:], strict=False))


def test_one_that_takes_the_place_of_another_is_taken() -> None:
    one = OneSource(0.1)
    one.take(0.0, 'first')
    assert one.take(0.2, 'second') and one.rival(0.2) is None


@pytest.mark.parametrize('begin', [1, 2, 500, 5_000])
def test_publishers_are_told_apart_by_their_numbers(begin: int) -> None:
    """Of another one that begins to count at ``begin`` while the first is at 500 or so."""
    numbered, one = NumberedSources(), OneSource(0.1)
    for number in range(1, 500):
        assert one.take(0.01 * number, numbered.identify(number))
    for number in range(3):
        one.take(5.0 + 0.01 * number, numbered.identify(begin + number))
        one.take(5.0 + 0.01 * number, numbered.identify(500 + number))
    assert one.rival(5.02) is not None


def test_messages_that_tell_neither_publisher_nor_number_are_of_one() -> None:
    """As of CycloneDDS on Jazzy: they must not be refused as those of ever new publishers."""
    numbered, one = NumberedSources(), OneSource(0.1)
    assert all(one.take(0.01 * tick, numbered.source_of(b'', 0)) for tick in range(10))
    assert numbered.source_of(b'id', 7) == numbered.source_of(b'id', 9_000) == b'id'
    assert numbered.source_of(b'', 7) == numbered.source_of(b'', 8) != numbered.source_of(b'', 3)


def test_lost_messages_do_not_make_another_publisher() -> None:
    numbered = NumberedSources()
    assert {numbered.identify(number) for number in range(1, 5_000, 37)} == {0}


def test_only_the_newest_publishers_are_remembered() -> None:
    sources = NumberedSources()
    found = [sources.source_of(b'', 1 + 10_000 * publisher) for publisher in range(20)]
    assert found == list(range(20)) and len(sources._last) == 8
    # One that is forgotten is a new one when it comes again.
    assert sources.source_of(b'', 2) == 20
    assert sources.source_of(b'', 190_002) == 19


def test_another_node_on_the_command_topic_is_refused_while_it_is_there() -> None:
    commanders = Commanders(ME, began=0.0)
    assert commanders.refused(10.0, []) == []
    assert commanders.refused(11.0, [(b'1', OTHER)]) == [OTHER]
    assert not commanders.is_listened_for(11.0)
    assert commanders.refused(12.0, []) == []


def test_a_dead_namesake_is_listened_for_and_then_ignored() -> None:
    commanders = Commanders(ME, began=0.0)
    dead = [(b'1', ME)]
    assert commanders.refused(0.5, dead) == [ME]
    assert commanders.is_listened_for(1.0) and commanders.refused(1.0, dead) == [ME]
    assert commanders.refused(1.6, dead) == [] and not commanders.is_listened_for(1.6)
    # The graph has forgotten it by now, were it dead.
    assert commanders.refused(40.0, dead) == [ME]


def test_a_living_namesake_is_refused() -> None:
    commanders = Commanders(ME, began=0.0)
    commanders.refused(0.5, [(b'1', ME)])
    commanders.spoke()
    for now in (1.0, 2.0, 20.0):
        assert commanders.refused(now, [(b'1', ME)]) == [ME]
    assert commanders.refused(21.0, []) == []


def test_a_namesake_that_comes_later_is_refused_at_once() -> None:
    commanders = Commanders(ME, began=0.0)
    commanders.refused(1.0, [])
    for now in (5.0, 6.5, 10.0):
        assert commanders.refused(now, [(b'1', ME)]) == [ME]
