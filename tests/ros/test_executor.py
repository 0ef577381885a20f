"""The executor of the nodes: nothing that rclpy's own takes is forgotten."""

from __future__ import annotations

import time

import pytest

pytest.importorskip('rclpy')

import rclpy
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from nrl_ros.ros import executor as module
from nrl_ros.ros.executor import StepExecutor
from tests.ros.harness import TIMEOUT_S

pytestmark = pytest.mark.ros


@pytest.fixture
def node(ros, monkeypatch):
    """A node whose events are looked for once, and then not again."""
    monkeypatch.setattr(module, '_EVENTS_NS', 3_600_000_000_000)
    context = rclpy.Context()
    context.init(domain_id=ros.domain)
    made = rclpy.create_node('one', context=context)
    yield made
    made.destroy_node()
    context.try_shutdown()


def run_until(executor, holds):
    end = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < end, f'not within {TIMEOUT_S} s'
        executor.run_once()


def test_a_service_is_called_and_answers_whoever_called_it(node):
    """Both in one node: request and response come through the kept wait set."""
    asked, answers = [], []

    def answer(_request, response):
        asked.append(True)
        response.success = True
        return response

    node.create_service(Trigger, 'asked', answer)
    client = node.create_client(Trigger, 'asked')
    executor = StepExecutor(node)
    run_until(executor, client.service_is_ready)
    for number in range(3):
        client.call_async(Trigger.Request()).add_done_callback(answers.append)
        run_until(executor, lambda: len(answers) == number + 1)  # noqa: B023 - used at once
    assert len(asked) == 3
    assert all(future.result().success for future in answers)
    executor.shutdown()


def test_what_is_made_later_is_heard_too(node):
    executor = StepExecutor(node)
    executor.run_once()
    heard, called = [], []
    node.create_subscription(Bool, 'said', heard.append, 10)
    publisher = node.create_publisher(Bool, 'said', 10)
    timer = node.create_timer(0.01, lambda: called.append(True))
    run_until(executor, lambda: publisher.get_subscription_count() == 1 and called)
    node.destroy_timer(timer)
    publisher.publish(Bool(data=True))
    run_until(executor, lambda: heard)
    assert heard[0].data
    before = len(called)
    for _ in range(3):
        publisher.publish(Bool(data=False))
        count = len(heard)
        run_until(executor, lambda: len(heard) > count)  # noqa: B023 - used at once
    assert len(called) == before
    executor.shutdown()


def test_a_guard_condition_calls_once_for_each_trigger(node):
    called = []
    guard = node.create_guard_condition(lambda: called.append(True))
    executor = StepExecutor(node)
    executor.run_once()
    for number in range(3):
        guard.trigger()
        run_until(executor, lambda: len(called) == number + 1)  # noqa: B023 - used at once
    for _ in range(3):
        executor.run_once()
    assert len(called) == 3
    executor.shutdown()


def test_a_task_runs(node):
    executor = StepExecutor(node)
    executor.run_once()
    task = executor.create_task(lambda: 7)
    run_until(executor, task.done)
    assert task.result() == 7
    executor.shutdown()
