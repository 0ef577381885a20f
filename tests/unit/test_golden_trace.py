"""Short runs give the weights and messages that were recorded, and the same ones in either loop."""

from __future__ import annotations

import pytest

pytest.importorskip('mujoco')

from scripts.golden_machine import machine, other_machine
from scripts.golden_trace import (
    BLOCKS,
    case_of,
    compare,
    first_difference,
    read,
    run,
)

# Compiled and fused; compiled with a critic; in numpy, factored; an arm; every way to end.
CASES = (
    'task reaching',
    'task acrobot',
    'task planar',
    'numpy, large network, factored traces',
    'faults, aborted episodes, continuous actions',
)


@pytest.mark.parametrize('name', CASES)
def test_the_loop_of_one_process_gives_what_single_messages_give(name):
    case = case_of(read()[1][name])
    expected, got = (run(way, case)[0].digests() for way in ('messages', 'loop'))
    assert got['weights'][-1] is not None
    assert first_difference(expected, got) is None


@pytest.mark.parametrize('name', CASES)
def test_weights_and_messages_are_those_that_were_recorded(name):
    made_on, recorded = read()
    others = other_machine(made_on)
    if others:
        pytest.skip(f'recorded on another machine: {"; ".join(others)}')
    assert compare(recorded[name], 'messages')[0] is None


def test_a_difference_is_found_with_its_block_and_its_kind():
    digests = {stream: ['a'] * BLOCKS for stream in ('states', 'rewards', 'rpes', 'actions')}
    expected = {**digests, 'weights': ['a'] * BLOCKS}
    later = ['a'] * 3 + ['b'] * (BLOCKS - 3)
    assert first_difference(expected, expected) is None
    assert first_difference(expected, {**expected, 'rpes': later}) == (3, ['rpes'])
    changed = {**expected, 'weights': later, 'states': ['a'] * 4 + ['b'] * (BLOCKS - 4)}
    assert first_difference(expected, changed) == (3, ['weights'])
    # What a way does not show is compared with nothing.
    assert first_difference(expected, {**changed, 'weights': [None] * BLOCKS}) == (4, ['states'])


def test_another_rounding_of_library_functions_is_another_machine():
    here = machine()
    assert other_machine(here) == []
    [line] = other_machine({**here, 'library functions': 'others'})
    assert line.startswith('library functions: recorded others')
