"""Judge whether an arm's controller takes what the safety node sends to it.

A position controller reads velocities as positions: zeros, which should hold the arm, would drive
every joint to position zero. So a controller is judged by its own parameters before anything is
sent. The sources of ros2_controllers (branches humble, jazzy and kilted of August 2026, and 6.9)
show which parameters there are:

- forward_command_controller/ForwardCommandController has ``joints`` (string array) and
  ``interface_name`` (string);
- velocity_controllers/JointGroupVelocityController, JointGroupPositionController and
  JointGroupEffortController are forward controllers that declare or set ``interface_name``
  themselves, to velocity, position and effort; 6.9 no longer has them;
- forward_command_controller/MultiInterfaceForwardCommandController has ``joint`` (one) and
  ``interface_names``;
- joint_trajectory_controller/JointTrajectoryController has ``joints`` and ``command_interfaces``
  (some of position, velocity, acceleration, effort); it takes trajectories with any of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

# Parameters that controllers may have. No controller has all of them.
JOINTS, INTERFACE_NAME = 'joints', 'interface_name'
INTERFACE_NAMES, COMMAND_INTERFACES = 'interface_names', 'command_interfaces'
QUESTIONS = (JOINTS, INTERFACE_NAME, INTERFACE_NAMES, COMMAND_INTERFACES)

ACTIVE = 'active'
SHOW_CONTROLLERS = 'ros2 control list_controllers'
_NUMBERS, _TRAJECTORY = 'std_msgs/msg/Float64MultiArray', 'trajectory_msgs/msg/JointTrajectory'
_SENT = {'velocity': _NUMBERS, 'position': _NUMBERS, 'trajectory': _TRAJECTORY}
# Words in a controller's name that show what it takes.
_WORDS = {
    'velocity': {'velocity', 'velocities', 'vel', 'speed'},
    'position': {'position', 'positions', 'pos'},
    'effort': {'effort', 'efforts', 'eff', 'torque', 'torques'},
    'trajectory': {'trajectory', 'trajectories', 'jtc'},
}


class ControllerFacts(NamedTuple):
    """What is known of a controller; None: it has no such parameter, or it did not answer.

    Attributes:
        name: of the controller with its namespace, such as /forward_velocity_controller.
        topic: where it listens.
        unheard: why it could not be asked for its parameters, '' if it could.
        listens: types of the messages that are subscribed on the topic, as far as known.
        joints: in order.
        interface_name: of a forward controller.
        interface_names: of a forward controller with several for one joint.
        command_interfaces: of a trajectory controller.
    """

    name: str
    topic: str
    unheard: str = ''
    listens: tuple[str, ...] = ()
    joints: tuple[str, ...] | None = None
    interface_name: str | None = None
    interface_names: tuple[str, ...] | None = None
    command_interfaces: tuple[str, ...] | None = None


class Judgement(NamedTuple):
    """Result of ``judge`` for one controller.

    Attributes:
        wrong: why it must not be commanded, with what it takes and what is sent; '' if nothing is
            known to be wrong.
        unsure: what could not be checked and why; '' if everything was checked.
    """

    wrong: str
    unsure: str


def judge(facts: ControllerFacts, joints: Sequence[str], interface: str) -> Judgement:
    """Return whether a controller fits a robot description.

    Args:
        facts: of the controller.
        joints: of the robot description, in order.
        interface: ``control.interface`` of the robot description.
    """
    kind_wrong, kind_unsure = _kind(facts, interface)
    wrong = (
        _listens_wrong(facts, interface) or _joints_wrong(facts, joints, interface) or kind_wrong
    )
    if wrong:
        return Judgement(f'controller {facts.name} {wrong}', '')
    doubts = {'the joint order': '' if facts.joints is not None else _lacks(facts, JOINTS)}
    doubts['the interface'] = kind_unsure
    what = [name for name, why in doubts.items() if why]
    if not what:
        return Judgement('', '')
    reasons = dict.fromkeys(doubts[name] for name in what)
    return Judgement(
        '',
        f'{" and ".join(what)} of the controller on {facts.topic} could not be checked, since '
        f'{", and ".join(reasons)}: compare with the robot description yourself',
    )


def order_problem(expected: Sequence[str], received: Sequence[str], *, named: bool) -> str:
    """Return why a controller's joints do not fit the robot description, '' if they do.

    Args:
        expected: joints of the robot description, in order.
        received: joints of the controller, in order.
        named: True if commands name their joints, so that the order does not matter.
    """
    mine, its = list(expected), list(received)
    if (sorted(mine) == sorted(its)) if named else (mine == its):
        return ''
    if sorted(mine) == sorted(its):
        what, mend = 'takes joints in another order', 'write them in that order there'
    else:
        what, mend = 'moves other joints', 'make both the same'
    return (
        f'{what}: received {its} from its parameter joints, expected {mine} as in the robot '
        f'description; {mend}'
    )


def name_problem(topic: str, interface: str, why: str = '') -> str:
    """Return how the name of a controller's topic contradicts the interface, '' if it does not.

    Args:
        topic: where the controller listens.
        interface: ``control.interface`` of the robot description.
        why: why only the name is known, '' if the controller has not been asked yet.
    """
    kinds = _kinds_in('/'.join(topic.split('/')[-2:]))
    if not kinds or interface in kinds:
        return ''
    reason = f' ({why})' if why else ''
    return _mismatch(f'takes {" or ".join(kinds)} by its name{reason}', interface)


def state_problem(name: str, states: Sequence[tuple[str, str]]) -> str:
    """Return why a controller moves nothing, '' if it is active or its manager does not know it.

    Args:
        name: of the controller, with its namespace or without.
        states: name and state of each controller, as ``list_controllers`` answers them.
    """
    short = name.rpartition('/')[2]
    state = dict(states).get(short, ACTIVE)
    if state == ACTIVE:
        return ''
    return (
        f'controller {name} is {state} and moves nothing; `{SHOW_CONTROLLERS}` shows it, '
        f'`ros2 control switch_controllers --activate {short}` activates it'
    )


def _lacks(facts: ControllerFacts, parameter: str) -> str:
    return facts.unheard or f'{facts.name} has no parameter {parameter!r}'


def _listens_wrong(facts: ControllerFacts, interface: str) -> str:
    """Return what is wrong if nobody subscribes to the type of message that is sent."""
    sent = _SENT[interface]
    others = [kind for kind in facts.listens if kind != sent]
    if sent in facts.listens or not others:
        return ''
    return _mismatch(f'listens for {others[0]} instead of {sent}', interface)


def _joints_wrong(facts: ControllerFacts, joints: Sequence[str], interface: str) -> str:
    """Return what is wrong with the joints; a trajectory names its own, in any order."""
    if facts.joints is None:
        return ''
    return order_problem(joints, facts.joints, named=interface == 'trajectory')


def _kind(facts: ControllerFacts, interface: str) -> tuple[str, str]:
    """Return what is wrong with the interface that a controller commands, or why it is unsure."""
    if facts.interface_names is not None:
        return _mismatch(f'commands {list(facts.interface_names)} of one joint', interface), ''
    told, several = facts.interface_name, facts.command_interfaces
    if several is not None and (interface == 'trajectory' or told is None):
        fits = interface == 'trajectory' or interface in several
        return '' if fits else _mismatch(f'commands {list(several)}', interface), ''
    if told is None:
        return _kind_by_name(facts, interface)
    by = f'takes {told!r} by its parameter {INTERFACE_NAME}'
    if told == interface:
        return '', ''
    if interface == 'trajectory' or _kinds_in(told):
        return _mismatch(by, interface), ''
    return '', f'{facts.name} {by}'


def _kind_by_name(facts: ControllerFacts, interface: str) -> tuple[str, str]:
    """Judge the interface by the controller's name, since its parameters do not give it."""
    asked = COMMAND_INTERFACES if interface == 'trajectory' else INTERFACE_NAME
    why = _lacks(facts, asked)
    wrong = name_problem(facts.topic, interface, why)
    return (wrong, '') if wrong else ('', why)


def _mismatch(what: str, interface: str) -> str:
    return (
        f'{what}, and the robot description has interface: {interface}; make both the same, or '
        'name the topic of another controller as command_topic'
    )


def _kinds_in(name: str) -> list[str]:
    """Return the kinds of command that the words of a name stand for."""
    words = set(re.split(r'[^a-z]+', name.lower()))
    return [kind for kind, known in _WORDS.items() if words & known]
