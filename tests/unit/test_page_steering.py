"""What the page may ask the nodes for, and what needs a second press; no node is there."""

from __future__ import annotations

import json

import pytest

from nrl_ros.page.steering import (
    DEEDS,
    Control,
    Presses,
    SteeringError,
    Wish,
    offered,
    read_wish,
)

SWITCH, TRIGGER = 'std_srvs/srv/SetBool', 'std_srvs/srv/Trigger'
STOP, CLEAR, GO = (Control(do, '/arm/safety') for do in ('stop', 'clear', 'go'))
FREEZE, RATE, NOISE, SAVE = (
    Control(do, '/learner') for do in ('freeze', 'learning_rate', 'noise', 'save')
)
ALL = frozenset({STOP, CLEAR, GO, FREEZE, RATE, NOISE, SAVE})


def text(do: object, node: object = '/learner', value: object = None, number: object = 7) -> str:
    return json.dumps({'id': number, 'do': do, 'node': node, 'value': value})


def test_what_the_nodes_offer_is_found_by_name_and_type() -> None:
    services = [
        ('/cart/learner/freeze', [SWITCH]),
        ('/cart/learner/evaluate', [TRIGGER]),  # another type
        ('/cart/learner/save_checkpoint', ['nrl_ros/srv/SaveCheckpoint']),
        ('/cart/learner/set_parameters', ['rcl_interfaces/srv/SetParameters']),
        ('/cart/environment/set_parameters', ['rcl_interfaces/srv/SetParameters']),
        ('/cart/second/pause', [SWITCH]),
        ('/arm/safety/stop', [TRIGGER]),
        ('/washing_machine/stop', [TRIGGER]),
        ('/learner/freeze', [SWITCH]),
    ]
    assert offered(services) == {
        Control('freeze', '/cart/learner'),
        Control('save', '/cart/learner'),
        Control('learning_rate', '/cart/learner'),
        Control('noise', '/cart/learner'),
        Control('pause', '/cart/second'),
        Control('stop', '/arm/safety'),
        Control('freeze', '/learner'),
    }
    assert Control('freeze', '/learner').namespace == ''
    assert Control('save', '/cart/learner').service == '/cart/learner/save_checkpoint'


@pytest.mark.parametrize(
    ('control', 'value', 'read'),
    [
        (FREEZE, True, True),
        (FREEZE, False, False),
        (STOP, None, None),
        (STOP, 'x', None),
        (SAVE, '/etc/passwd', None),
        (RATE, 1e-3, 1e-3),
        (RATE, 2, 2.0),
        (NOISE, 0, 0.0),
    ],
)
def test_a_request_is_read(control: Control, value: object, read: object) -> None:
    assert read_wish(text(control.do, control.node, value), ALL) == Wish(7, control, read)


@pytest.mark.parametrize(
    ('received', 'why'),
    [
        ('', 'JSON'),
        ('[]', 'JSON'),
        ('{}', 'JSON'),
        ('{"id": 1', 'JSON'),
        ('7', 'JSON'),
        (text('freeze', value=True, number='7'), 'JSON'),
        (text('freeze', number=True), 'JSON'),
        (text('shutdown'), 'expected one of stop, clear'),
        (text(['stop']), 'expected one of'),
        (text('stop'), 'no such node'),
        (text('freeze', '/other'), 'no such node'),
        (text('freeze', ['/learner'], True), 'no such node'),
        (text('freeze', None), 'no such node'),
        (text('freeze', value=1), 'true or false'),
        (text('freeze'), 'true or false'),
        (text('freeze', value='true'), 'true or false'),
        (text('learning_rate', value=0), 'above 0'),
        (text('learning_rate', value=-1e-3), 'above 0'),
        (text('learning_rate', value='1'), 'above 0'),
        (text('learning_rate', value=True), 'above 0'),
        (text('learning_rate'), 'above 0'),
        (text('noise', value=-1), 'at least 0'),
        ('{"id":1,"do":"noise","node":"/learner","value":NaN}', 'at least 0'),
        ('{"id":1,"do":"noise","node":"/learner","value":Infinity}', 'at least 0'),
        ('{"id":1,"do":"noise","node":"/learner","value":1e999}', 'at least 0'),
        (text('noise', value=10**400), 'at least 0'),
        (text('freeze', 'x' * 600, True), 'at most 500'),
        ('[' * 400, 'JSON'),
    ],
)
def test_a_request_that_makes_no_sense_gets_one_line(received: str, why: str) -> None:
    with pytest.raises(SteeringError, match=why) as caught:
        read_wish(received, ALL)
    assert '\n' not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_what_may_move_an_arm_needs_a_second_press() -> None:
    assert {do for do, deed in DEEDS.items() if deed.twice} == {'clear', 'go', 'approve'}


@pytest.mark.parametrize(
    ('second_s', 'does'), [(0.0, False), (0.39, False), (0.4, True), (6.0, True), (6.1, False)]
)
def test_the_second_press_counts_in_time(second_s: float, does: bool) -> None:
    presses = Presses()
    assert not presses.press(100.0, 1, CLEAR)
    assert presses.press(100.0 + second_s, 1, CLEAR) is does


def test_a_press_that_was_too_late_is_a_first_one_again_and_a_third_one_is_none() -> None:
    presses = Presses()
    assert not presses.press(0.0, 1, GO)
    assert not presses.press(7.0, 1, GO)
    assert presses.press(8.0, 1, GO)
    assert not presses.press(9.0, 1, GO)


def test_presses_of_other_pages_and_other_buttons_do_not_count() -> None:
    presses = Presses()
    assert not presses.press(0.0, 1, CLEAR)
    assert not presses.press(1.0, 2, CLEAR)
    assert not presses.press(1.0, 1, GO)
    assert not presses.press(1.0, 1, Control('clear', '/other/safety'))
    assert presses.press(1.0, 1, CLEAR)


def test_people_reward_and_end_episodes_of_environments() -> None:
    topic = '/cart/human_reward/cartpole'
    found = offered(
        [('/cart/second/end_episode', ['nrl_ros/srv/EndEpisode'])],
        [(topic, ['std_msgs/msg/Float32']), ('/cart/human_reward_given', ['x/msg/Y']),
         ('/cart/temperature', ['std_msgs/msg/Float32'])],
    )  # fmt: skip
    ends = {Control(one, '/cart/second') for one in ('success', 'failure', 'abort')}
    assert found == {*ends, Control('reward', topic)}
    assert read_wish(text('reward', topic, -1), found).value == -1.0
    assert read_wish(text('abort', '/cart/second'), found).control.service == (
        '/cart/second/end_episode'
    )
    for wrong in (None, True, '1', 10**400):
        with pytest.raises(SteeringError, match='expected a number'):
            read_wish(text('reward', topic, wrong), found)


def test_to_reject_is_no_second_press_of_to_approve() -> None:
    presses, approve = Presses(), Control('approve', '/learner')
    assert not presses.press(0.0, 1, approve, True)
    assert not presses.press(1.0, 1, approve, False)
    assert presses.press(2.0, 1, approve, True)


def test_a_stop_is_done_at_once_and_takes_back_what_was_pressed_before() -> None:
    presses = Presses()
    assert not presses.press(0.0, 1, CLEAR)
    assert not presses.press(0.0, 2, GO)
    assert presses.press(1.0, 3, STOP)
    assert not presses.press(1.5, 1, CLEAR)
    assert not presses.press(1.5, 2, GO)


def test_a_page_that_was_closed_leaves_nothing() -> None:
    presses = Presses()
    presses.press(0.0, 1, CLEAR)
    presses.press(0.0, 2, CLEAR)
    presses.leave(1)
    assert not presses.press(1.0, 1, CLEAR)
    assert presses.press(1.0, 2, CLEAR)
