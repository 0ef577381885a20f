"""The executor of an arm whose nodes share a process: what comes in a cycle, and what waits."""

from __future__ import annotations

import time
from collections import Counter

import pytest

pytest.importorskip('rclpy')

from rcl_interfaces.srv import GetParameters
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from nrl_ros.nodes.cyclic_executor import CyclicExecutor
from tests.ros.harness import lone_node, run_until

pytestmark = [pytest.mark.ros, pytest.mark.alone]

CYCLE_S, SELDOM_S = 0.002, 0.25


@pytest.fixture
def node(ros):
    with lone_node(ros.domain) as made:
        yield made


@pytest.fixture
def cycles(node):
    """How often the timer of each cycle was called."""
    called = Counter()
    node.create_timer(CYCLE_S, lambda: called.update(['cycle']))
    return called


@pytest.fixture
def executor(node, cycles):
    made = CyclicExecutor([node], lambda: None)
    yield made
    made.shutdown()


def test_reports_that_are_due_at_once_come_in_different_cycles(node, cycles, executor):
    """Each may take a millisecond, and all of them in one cycle would cost a period."""
    called = [Counter() for _ in range(4)]
    for one in called:
        node.create_timer(SELDOM_S, lambda one=one: one.update([cycles['cycle']]))
    run_until(executor, lambda: all(one.total() >= 2 for one in called))
    assert max(sum(called, Counter()).values()) == 1


def test_a_topic_of_no_step_is_taken_in_the_cycle_in_which_it_has_come(node, executor):
    """Such as an emergency stop, for which services are waited for no longer."""
    heard = []
    node.create_subscription(Bool, 'said', heard.append, 10)
    publisher = node.create_publisher(Bool, 'said', 10)
    run_until(executor, lambda: publisher.get_subscription_count() == 1)
    executor.run_once()
    executor._rare_at_ns = time.monotonic_ns() + 3_600_000_000_000
    # The middleware of one process hands a message over before it returns.
    publisher.publish(Bool(data=True))
    executor.run_once()
    assert len(heard) == 1


def test_services_of_the_node_and_those_for_parameters_are_answered(node, executor):
    node.create_service(Trigger, 'asked', lambda _request, answer: answer)
    clients = [
        node.create_client(Trigger, 'asked'),
        node.create_client(GetParameters, 'one/get_parameters'),
    ]
    run_until(executor, lambda: all(client.service_is_ready() for client in clients))
    futures = [client.call_async(client.srv_type.Request()) for client in clients]
    run_until(executor, lambda: all(future.done() for future in futures))
