"""The action server of the nodes: its goals wait without work, and none is left without an end."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.action')

import rclpy
from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient

from nrl_ros.ros.actions import GoalServer
from nrl_ros.ros.executor import StepExecutor
from nrl_ros.ros.interfaces import Reach
from tests.ros.harness import TIMEOUT_S

pytestmark = pytest.mark.ros


class Pair:
    """A node that serves an action, and one that asks."""

    def __init__(self, domain: int) -> None:
        self.context = rclpy.Context()
        self.context.init(domain_id=domain)
        self.server: Any = rclpy.create_node('server', context=self.context)
        self.client: Any = rclpy.create_node('client', context=self.context)
        self.dropped: list[Exception] = []
        self.server.dropped = self.dropped.append
        self.begun: list[Any] = []
        self.goals = GoalServer(self.server, Reach, 'reach', self.begin, self.begun.__contains__)
        self.asks = ActionClient(self.client, Reach, 'reach')
        self.executors = [StepExecutor(self.server), StepExecutor(self.client)]
        self.until(self.asks.server_is_ready)

    def begin(self, key: Any, request: Any) -> None:
        if request.tolerance_m < 0.0:
            raise RuntimeError('unforeseen')
        self.begun.append(key)

    def until(self, holds: Any) -> Any:
        end = time.monotonic() + TIMEOUT_S
        while not holds():
            assert time.monotonic() < end, f'not within {TIMEOUT_S} s'
            for executor in self.executors:
                executor.run_once()

    def send(self, **fields: Any) -> Any:
        sent = self.asks.send_goal_async(Reach.Goal(**fields))
        self.until(sent.done)
        return sent.result()

    def close(self) -> None:
        self.goals.destroy()
        for executor in self.executors:
            executor.shutdown()
        self.asks.destroy()
        for node in (self.server, self.client):
            node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def pair(ros: Any) -> Any:
    made = Pair(ros.domain)
    yield made
    made.close()


def test_a_goal_runs_until_it_is_ended_and_takes_no_turn_meanwhile(pair: Pair) -> None:
    handle = pair.send()
    ending = handle.get_result_async()
    pair.until(lambda: handle.status == GoalStatus.STATUS_EXECUTING)
    # A coroutine that waits would be a task of the executor, resumed in each turn.
    assert not [task for task, *_ in pair.executors[0]._tasks if not task.done()]
    pair.goals.finish(pair.begun[0], Reach.Result(reason='there'), 'succeed')
    pair.until(ending.done)
    assert ending.result().status == GoalStatus.STATUS_SUCCEEDED
    assert ending.result().result.reason == 'there'
    # Once is enough.
    pair.goals.finish(pair.begun[0], Reach.Result(), 'abort')


def test_a_goal_is_cancelled_when_its_end_says_so(pair: Pair) -> None:
    handle = pair.send()
    ending, asked = handle.get_result_async(), handle.cancel_goal_async()
    pair.until(asked.done)
    assert len(asked.result().goals_canceling) == 1 and not ending.done()
    pair.goals.finish(pair.begun[0], Reach.Result(), 'canceled')
    pair.until(ending.done)
    assert ending.result().status == GoalStatus.STATUS_CANCELED


def test_a_fault_that_a_goal_finds_is_counted_and_ends_that_goal_alone(pair: Pair) -> None:
    ending = pair.send(tolerance_m=-1.0).get_result_async()
    pair.until(ending.done)
    assert ending.result().status == GoalStatus.STATUS_ABORTED
    assert [str(error) for error in pair.dropped] == ['unforeseen']
    assert pair.send().accepted and len(pair.begun) == 1
