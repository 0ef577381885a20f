"""Each policy of config/security allows what the real node does, and nothing else."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from tests.ros.harness import ROOT, Probe, Ros

pytestmark = pytest.mark.ros

# What rules allow, and which question to the graph tells it.
KINDS = {
    ('topic', 'publish'): 'publisher',
    ('topic', 'subscribe'): 'subscriber',
    ('service', 'reply'): 'service',
    ('service', 'request'): 'client',
}
# What nodes do only where their settings or their surroundings ask for it, and not in this test.
ELSEWHERE = {
    'environment': {
        ('subscriber', '/robot_description'),  # `model: topic` of a robot
        ('subscriber', '/joy'),  # `human_reward.buttons`
        ('subscriber', '/target'),  # `target.source: topic`
        # Where tf2_msgs is installed.
        ('subscriber', '/tf'),
        ('subscriber', '/tf_static'),
        ('publisher', '/tf'),
        # Where visualization_msgs is installed.
        ('publisher', '/environment/markers'),
    },
    'safety': {
        ('subscriber', '/robot_description'),
        ('subscriber', '/forward_velocity_controller/commands'),  # while it has a namesake
        ('client', '/controller_manager/list_controllers'),  # where its messages are installed
    },
}

# What a server of an action has, below its name.
ACTION = {
    ('service', '_action/cancel_goal'),
    ('service', '_action/get_result'),
    ('service', '_action/send_goal'),
    ('publisher', '_action/feedback'),
    ('publisher', '_action/status'),
}

Rules = set[tuple[str, str]]


def allowed(node: str) -> Rules:
    """What a policy allows, by kind of endpoint and full name."""
    path = ROOT / 'config/security/policies' / f'{node}.xml'
    rules = set()
    for group in ElementTree.parse(path).iter():
        for (tag, right), kind in KINDS.items():
            if group.get(right) == 'ALLOW':
                for item in group.findall(tag):
                    assert item.text is not None
                    # Names that end with that of an environment are allowed for each.
                    name = item.text.replace('~', f'/{node}').replace('*', 'agent')
                    rules.add((kind, f'/{name.lstrip("/")}'))
        if group.get('execute') == 'ALLOW':
            for item in group.findall('action'):
                rules |= {(kind, f'/{item.text}/{name}') for kind, name in ACTION}
    return rules


def found(probe: Probe, node: str) -> Rules:
    """What a node has in the graph."""

    def ask(kind: str) -> list[tuple[str, Any]]:
        try:
            return list(getattr(probe.node, f'get_{kind}_names_and_types_by_node')(node, '/'))
        except RuntimeError:  # not there yet
            return []

    return {(kind, name) for kind in KINDS.values() for name, _ in ask(kind)}


def test_a_policy_names_exactly_what_its_node_has(ros: Ros) -> None:
    arm = {'robot': 'ur5e', 'realtime_priority': 0}
    ros.start('learner', params_file=str(ROOT / 'config/cartpole.yaml'))
    # With a critic, which hears states.
    ros.start('neuromodulator', params_file=str(ROOT / 'config/acrobot.yaml'))
    ros.start('safety', arm)
    ros.start('arm_driver', arm)
    bridge = {'name': 'ros2_control_arm', 'instances': 1, 'options.robot': 'ur5e'}
    ros.start(
        'environment',
        {f'bridge.{key}': value for key, value in bridge.items()} | {'mode': 'realtime'},
    )
    probe = ros.probe()
    for node in ('learner', 'neuromodulator', 'environment', 'safety', 'arm_driver'):
        compare(probe, node)


def compare(probe: Probe, node: str) -> None:
    """Wait until a node has all that its policy allows; it has nothing else then."""
    optional = ELSEWHERE.get(node, set())
    assert optional <= allowed(node)
    wanted = allowed(node) - optional
    try:
        probe.until(lambda: found(probe, node) >= wanted, f'{node} with all of its policy')
    except AssertionError as error:
        raise AssertionError(f'{error}: lacks {sorted(wanted - found(probe, node))}') from None
    assert found(probe, node) - optional == wanted
