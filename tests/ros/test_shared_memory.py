"""Who listens on shared memory: not the processes of an arm, however they are started."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

import rclpy

from tests.ros.harness import names, robot_file

pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(
        'fastrtps' not in rclpy.get_rmw_implementation_identifier(),
        reason='only Fast DDS has such files',
    ),
]


def ports(process):
    """Files of shared memory through which this process is left messages, or leaves some."""
    maps = Path(f'/proc/{process.process.pid}/maps').read_text()
    return {line.split()[-1] for line in maps.splitlines() if '_port' in line and '/shm/' in line}


def threads(process):
    """Names of the threads of a process: the middleware has one for each port."""
    tasks = Path(f'/proc/{process.process.pid}/task').iterdir()
    return {(task / 'comm').read_text().strip() for task in tasks}


def test_an_arms_processes_listen_by_udp_alone_and_are_heard_by_everybody(ros, tmp_path):
    """Whoever is killed amid a message in shared memory holds up all that listen there."""
    safety = ros.start('safety', {'robot': robot_file(tmp_path)})
    safety.until_logged('manifest')
    learner = ros.start('learner')
    probe = ros.probe()
    # Both share memory, and understand the safety node.
    probe.until_heard(names.LEARNER_STATUS)
    probe.until_heard(names.SAFETY_STATUS)
    assert ports(learner)
    # Who opens the memory of a program that has just started may sleep for a third of a second.
    assert not ports(safety)
    # And no multicast lets other machines find it.
    assert all(f'dds.udp.{7_400 + 250 * ros.domain}' != name for name in threads(safety))
