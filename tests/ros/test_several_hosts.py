"""Learner, neuromodulator and environment on three hosts, as docs/several_machines.md starts them.

The hosts are network namespaces behind a switch that delays, loses, doubles and reorders packets.
"""

from __future__ import annotations

import re
import shlex
import sys

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from benchmarks.virtual_network import Link, VirtualNetwork, why_not
from nrl_ros.base.config_files import find_config
from nrl_ros.settings.run import read_config
from tests.ros.harness import ROOT, Reference, last_checkpoint, what_was_learned
from tests.unit.fakes import same

pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or 'network namespaces are permitted'),
]

HOSTS = ('learner', 'neuromodulator', 'environment')
FOLDER = 'runs/several_machines'
# Each packet on its way for 0 to 6 ms; of the four messages of a round one is lost in five rounds.
LOSSY = Link(delay_s=0.003, jitter_s=0.003, loss=0.05, duplicates=0.05)
# The namespaces share the memory of one machine; hosts do not.
ALONE = {'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}


def commands():
    """What the document starts on each host: variables, and the command in parts."""
    text = (ROOT / 'docs' / 'several_machines.md').read_text()
    found = {}
    for block in re.findall(r'```sh\n# On the host of the (\w+)\n(.*?)```', text, re.DOTALL):
        lines = block[1].replace('\\\n', ' ').splitlines()
        variables = [part for line in lines for part in shlex.split(line) if '=' in part]
        exported = dict(part.split('=', 1) for part in variables if part.startswith('ROS_'))
        found[block[0]] = (exported, shlex.split(lines[-1]))
    return found


def start(ros, network, host, folder):
    """Start the document's command on its host."""
    variables, command = commands()[host]
    assert command[:2] == ['.venv/bin/python', '-m']
    arguments = [part.replace(FOLDER, str(folder)) for part in command[1:]]
    started = (*network.inside(host), sys.executable, *arguments)
    return ros.start_command(started, variables | ALONE)


def reference(tmp_path):
    """The same run in this process, with what the commands set beyond the task's file."""
    settings = read_config(find_config('cartpole'))
    for host, (_, command) in commands().items():
        for part in command:
            name, colon, value = part.partition(':=')
            if colon and name.startswith('stop.'):
                settings[host][name] = int(value)
    return Reference(*(settings[host] for host in HOSTS)).run()


@pytest.mark.alone
def test_three_hosts_learn_the_same_weights_although_packets_are_lost(ros, tmp_path):
    """Nothing is given up: what is lost comes again long before the time limit of an RPE."""
    expected = reference(tmp_path)
    assert expected['learning']['windows_learned'] > 100, 'the run must learn, or it proves nothing'
    with VirtualNetwork(HOSTS, LOSSY) as network:
        nodes = {host: start(ros, network, host, tmp_path) for host in HOSTS}
        assert nodes['environment'].wait() == 0, nodes['environment'].output
        nodes['learner'].interrupt()
        nodes['neuromodulator'].interrupt()
    assert 'no reward-prediction error within' not in nodes['learner'].output
    assert 'no answer' not in nodes['environment'].output
    for node in nodes.values():
        assert 'XMLPARSER' not in node.output, 'Fast DDS cannot read its profile'
    got = last_checkpoint(tmp_path)
    assert same(what_was_learned(got), what_was_learned(expected))
