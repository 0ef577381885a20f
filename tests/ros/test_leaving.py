"""Nodes that end: once however often they are told, seen by nobody afterwards, without a trace."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.context import Context

from nrl_ros.base.errors import BridgeError, ConfigError
from nrl_ros.ros import leaving
from nrl_ros.ros.description import wait_for_description
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.ros.signals import Signals, told_to_end
from nrl_ros.settings.neuromodulator import NeuromodulatorNodeSettings
from tests.ros.harness import EXIT_S, ROOT, Ros

OWN = re.compile(r'/dev/shm/fast(dds|rtps)_[0-9a-f]{16}_el')
pytestmark = pytest.mark.ros

# What a node is told to end by.
TWICE = (signal.SIGINT, signal.SIGINT)
IMPATIENT = (signal.SIGINT, signal.SIGTERM, signal.SIGINT)
CLOSED = (signal.SIGHUP, signal.SIGHUP)
# Who is seen for as long as its lease lasts is seen for 20 s.
GONE_S = 5.0


def segments(pid: int | str) -> set[str]:
    """Shared memory of a process's own: it holds the lock beside it for as long as it lives."""
    names = set()
    for link in Path(f'/proc/{pid}/fd').iterdir():
        with contextlib.suppress(FileNotFoundError):
            names.add(str(link.readlink()).removesuffix(' (deleted)'))
    return {name for name in names if OWN.fullmatch(name)}


def test_nodes_leave_the_graph_at_once_and_no_shared_memory(ros: Ros) -> None:
    task = str(ROOT / 'config' / 'cartpole.yaml')
    arm = {'robot': 'planar', 'realtime_priority': 0}
    told = {
        'learner': (ros.start('learner', params_file=task), TWICE),
        'neuromodulator': (ros.start('neuromodulator', params_file=task), IMPATIENT),
        'environment': (ros.start('environment', params_file=task), CLOSED),
        'safety': (ros.start('safety', arm), TWICE),
        'arm_driver': (ros.start('arm_driver', arm), IMPATIENT),
    }
    probe = ros.probe()

    def present() -> set[str]:
        return told.keys() & set(probe.node.get_node_names())

    probe.until(lambda: len(present()) == len(told), 'all nodes')
    # What it does not watch it says while it is configured, some time after it is seen.
    told['safety'][0].until_logged('is not watched')
    kept = {name: segments(process.process.pid) for name, (process, _) in told.items()}
    for process, _ in told.values():
        process.logged('')
    for process, numbers in told.values():
        for number in numbers:
            process.send(number)
    for process, _ in told.values():
        before = len(process.output)
        assert process.wait() == 0, process.output
        # A safety node may say at this very moment what it waits for.
        last = re.sub(r'.*WAITING: .*', '', process.output[before:])
        assert not re.search('Traceback|WARN|ERROR', last), last
    ended = time.monotonic()
    probe.until(lambda: not present(), 'no node any more', GONE_S)
    assert time.monotonic() - ended < GONE_S
    left = [name for names in kept.values() for name in names if Path(name).exists()]
    assert not left, left


def test_all_nodes_in_one_process_leave_likewise(ros: Ros) -> None:
    process = ros.start('app', params_file=str(ROOT / 'config' / 'cartpole.yaml'))
    probe = ros.probe()
    probe.until_heard('learner_status', lambda message: message.steps)
    kept = segments(process.process.pid)
    for number in TWICE:
        process.send(number)
    assert process.wait() == 0, process.output
    probe.until(lambda: probe.node.get_node_names() == ['probe'], 'nobody else', GONE_S)
    assert not [name for name in kept if Path(name).exists()]


class Failing(NrlNode[NeuromodulatorNodeSettings]):
    """Cannot be configured."""

    def configure(self) -> None:
        """Say so."""
        raise ConfigError('no such robot')


@pytest.mark.parametrize('spoilt', ['configure', 'make'])
def test_a_node_that_cannot_start_leaves_although_somebody_keeps_it(
    monkeypatch: pytest.MonkeyPatch, spoilt: str, domain: int
) -> None:
    """As an error's traceback does, or the collector that was told to leave objects alone."""
    before = segments('self')
    context = rclpy.Context()
    context.init(domain_id=domain)
    kept: list[Any] = []
    if spoilt == 'make':

        def refuse(node: Any, *_: Any) -> None:
            kept.append(node)
            raise ConfigError('unknown parameter')

        monkeypatch.setattr('nrl_ros.ros.lifecycle.NodeParameters', refuse)
        with pytest.raises(ConfigError):
            Failing('failing', NeuromodulatorNodeSettings, context=context)
    else:
        kept.append(Failing('failing', NeuromodulatorNodeSettings, context=context))
        assert not kept[0].start(Signals())
    context.try_shutdown()
    assert segments('self') <= before
    assert kept


def test_who_waits_for_a_description_is_ended_meanwhile() -> None:
    """A driver that never comes must not hold up a launch that ends."""
    before = signal.getsignal(signal.SIGINT)
    start = time.monotonic()
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(BridgeError, match='robot description'):
            wait_for_description('nobody/robot_description', timeout_s=60.0)
        assert signals.received and told_to_end()
    assert time.monotonic() - start < 30.0
    assert not told_to_end() and signal.getsignal(signal.SIGINT) == before


def test_a_node_that_a_person_has_shut_down_ends_without_a_word(ros: Ros) -> None:
    process = ros.start('neuromodulator', {})
    probe = ros.probe()
    for transition in (
        Transition.TRANSITION_DEACTIVATE,
        Transition.TRANSITION_INACTIVE_SHUTDOWN,
    ):
        request = ChangeState.Request(transition=Transition(id=transition))
        probe.until_heard('neuromodulator_status')
        assert probe.call('x', '/neuromodulator/change_state', ChangeState, request).success
    process.interrupt()
    assert 'Traceback' not in process.output


# Destroying a node does not come back, and keeps Python's lock, as a lock within the middleware.
LOCKED_UP = """
import ctypes
from nrl_ros.nodes.neuromodulator import NeuromodulatorNode
from nrl_ros.ros.lifecycle import main

class LockedUp(NeuromodulatorNode):
    def destroy_node(self):
        ctypes.PyDLL(None).sleep(60)

main(LockedUp)
"""


def test_a_process_ends_although_the_middleware_does_not_let_it_go(ros: Ros) -> None:
    process = ros.start_command([sys.executable, '-c', LOCKED_UP])
    probe = ros.probe()
    probe.until_heard('neuromodulator_status')
    process.send(signal.SIGINT)
    assert process.wait(leaving.LONGEST_S + EXIT_S) == 1
    assert 'in destroy_node' in process.output


def test_a_foreign_shutdown_does_not_end_the_nodes():
    """As from the close of an environment that speaks ROS itself."""
    context = Context()
    rclpy.init(context=context)
    with leaving.kept(context):
        rclpy.shutdown(context=context)
        rclpy.try_shutdown(context=context)
    assert context.ok()
    rclpy.shutdown(context=context)
    assert not context.ok()
