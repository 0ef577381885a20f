"""No message of any type, on any topic, ends a node or a listener, or finds a fault of the program.

The subscribers are those that the configured nodes have made, so that a new one is covered by
itself. Their callbacks get bytes, as from the middleware, which has no part in it.
"""

from __future__ import annotations

import importlib
import math
from collections import Counter
from contextlib import ExitStack
from functools import cache
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

import rclpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from rclpy.subscription import Subscription

from nrl_ros.base import errors
from nrl_ros.cli.arm_watch import ArmMonitor
from nrl_ros.monitor.arm_figures import ArmFigures
from nrl_ros.monitor.progress import Progress
from nrl_ros.nodes.environment import EnvironmentNode
from nrl_ros.nodes.learner import LearnerNode
from nrl_ros.nodes.neuromodulator import NeuromodulatorNode
from nrl_ros.nodes.safety import SafetyNode
from nrl_ros.ros import conversion
from sim_bridge.arm_driver import ArmDriver
from tests.ros.harness import own_domain
from tests.unit.fakes import info_of, receive, state_of

pytestmark = pytest.mark.ros

# The environments' own names are not among those that are said: of two of a name one leaves.
SCRIPTED = {'bridge.name': 'scripted', 'bridge.instances': 2}
PLANAR = ('shoulder', 'elbow')
INFO = info_of(2, lockstep=True)
BITS = {'uint8': 8, 'byte': 8, 'octet': 8, 'uint16': 16, 'uint32': 32, 'uint64': 64}
SIGNED = {'int8': 8, 'int16': 16, 'int32': 32, 'int64': 64}
# A word that means something to somebody is worth more than chance.
WORDS = ('', 'a', 'ghost', 'ticks', 'final_distance_m', 'joint1', 'joint2', 'x' * 200)


def made(kind: Any, context: Any, name: str = '', **values: Any) -> Any:
    """A node that is active, with its settings (``__`` stands for a dot)."""
    overrides = [Parameter(key.replace('__', '.'), value=value) for key, value in values.items()]
    remap = ['--ros-args', '-r', f'__node:={name}'] if name else None
    node = kind(context=context, parameter_overrides=overrides, cli_args=remap)
    for trigger in (node.trigger_configure, node.trigger_activate):
        assert trigger() == TransitionCallbackReturn.SUCCESS, name
    return node


@pytest.fixture(scope='module')
def listeners():
    """Everything of the package that subscribes; nobody is spun, so that nobody hears another."""
    own = ExitStack()
    context = rclpy.Context()
    context.init(domain_id=own.enter_context(own_domain()))
    scripted = {key.replace('.', '__'): value for key, value in SCRIPTED.items()}
    nodes = [
        made(LearnerNode, context),
        made(NeuromodulatorNode, context),
        made(
            NeuromodulatorNode,
            context,
            'critical',
            rpe__baseline='critic',
            critic__hidden_sizes=[4],
        ),
        made(EnvironmentNode, context, **scripted),
        made(EnvironmentNode, context, 'timed', mode='realtime', control_period_s=0.1, **scripted),
        made(
            EnvironmentNode,
            context,
            'arm',
            bridge__name='ros2_control_arm',
            bridge__options__robot='planar',
            bridge__options__target__source='topic',
            mode='realtime',
        ),
        made(SafetyNode, context, robot='planar'),
        made(ArmDriver, context, robot='planar'),
        ArmMonitor(ArmFigures(), 'a', Progress(), lambda _rows: None, context=context),
    ]
    learner = nodes[0]
    learner._core.roster.introduce(INFO)
    receive(learner._core, state_of(INFO, 0))
    yield nodes
    for node in nodes:
        node.destroy_node()
    context.try_shutdown()
    own.close()


@cache
def messages(kind: Any) -> st.SearchStrategy[Any]:
    """Any message of a class."""
    fields = kind.get_fields_and_field_types()
    return st.builds(kind, **{name: values(name, text) for name, text in fields.items()})


def values(name: str, kind: str) -> st.SearchStrategy[Any]:
    """Any value of a field."""
    if kind.startswith('sequence<'):
        inner = kind[len('sequence<') : -1].split(',')[0]
        return st.lists(values(name, inner), max_size=4)
    if '[' in kind:
        inner, size = kind[:-1].split('[')
        return st.lists(values(name, inner), min_size=int(size), max_size=int(size))
    if '/' in kind:
        package, plain = kind.split('/')
        return messages(getattr(importlib.import_module(f'{package}.msg'), plain))
    if kind.startswith('string'):
        return st.sampled_from(WORDS)
    if kind == 'boolean':
        return st.booleans()
    if kind in ('float', 'double'):
        return st.sampled_from((0.0, 0.1, -1.0, 1e30, math.nan, math.inf, -math.inf))
    bits, low = BITS.get(kind), 0
    if bits is None:
        bits, low = SIGNED[kind] - 1, -(2 ** (SIGNED[kind] - 1))
    known = [INFO.session, INFO.spec.observation_size] if bits >= 32 else []
    choice = [0, 1, 2, 3, 4, 2**bits - 1, 2 ** (bits - 1), low, *known]
    if kind in ('byte', 'octet'):
        return st.sampled_from([bytes([number]) for number in (0, 1, 255)])
    return st.sampled_from(choice)


def tell(subscription: Any, data: bytes) -> None:
    """Hand over bytes, as the executor does."""
    if subscription._callback_type is Subscription.CallbackType.WithMessageInfo:
        gid = {'implementation_identifier': 'x', 'data': b'\1' * 16}
        subscription.callback(data, {'publisher_gid': gid})
    else:
        subscription.callback(data)


def faults(nodes: Any) -> Counter[str]:
    """What was refused that the program did not expect."""
    found: Counter[str] = Counter()
    for node in nodes:
        for name, count in node._refusals._counters.items():
            kind = name.removeprefix('dropped_')
            if kind != name and not hasattr(errors, kind):
                found[f'{node.get_name()}: {kind}'] += count
    return found


def subscriptions(nodes: Any) -> list[tuple[Any, Any]]:
    """All of them, with their nodes."""
    return [(node, one) for node in nodes for one in node.subscriptions]


def test_every_subscription_of_the_package_is_among_them(listeners):
    """A node that hears something past ``hearing.hear`` would not be guarded."""
    heard = subscriptions(listeners)
    assert len(heard) > 20
    assert all(hasattr(one, 'on_step_path') for _node, one in heard)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_any_well_typed_message_is_taken_or_refused(listeners, data):
    for _node, one in subscriptions(listeners):
        message = data.draw(messages(one.msg_type))
        tell(one, bytes(serialize_message(message)))
    for node in listeners:
        for timer in list(node.timers):
            timer.callback()
    assert not faults(listeners)
    assert not any(getattr(node, 'exit_requested', False) for node in listeners)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(noise=st.binary(max_size=200), cut=st.integers(0, 200))
def test_any_bytes_are_refused(listeners, noise, cut):
    for _node, one in subscriptions(listeners):
        whole = bytes(serialize_message(one.msg_type()))
        for data in (noise, b'\0\1\0\0' + noise, b'\0\0\0\0' + noise, whole[:cut]):
            tell(one, data)
    assert not faults(listeners)


def test_the_learner_still_learns_afterwards(listeners):
    """After all that was said in the tests above."""
    learner = listeners[0]
    state = conversion.state_to_wire(state_of(INFO, 1))
    before = learner._core.states
    [states] = [one for one in learner.subscriptions if one.topic.endswith('state')]
    tell(states, state)
    assert learner._core.states == before + 1
