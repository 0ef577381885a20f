"""Security that cannot be had is one line; policies are files that the tools of ROS take."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip('rclpy')

from nrl_ros.ros import security

ROOT = Path(__file__).parents[2]
# Of one arm, in one process.
ARM_NODES = ('environment', 'learner', 'neuromodulator', 'safety')
POLICIES = sorted((ROOT / 'config/security/policies').glob('*.xml'))
STARTS = {
    'a node': ['scripts/nodes/learner'],
    'all nodes': ['-m', 'nrl_ros.nodes.composed'],
    'the driver': ['-m', 'sim_bridge.arm_driver'],
    'nrl train': ['scripts/nodes/nrl', 'train', 'cartpole', '--steps', '1', '--out'],
    'nrl arm': ['scripts/nodes/nrl', 'arm', '--episodes', '1', '--out'],
}
# What may be in what, with which attributes: sros2/policy/schemas/policy.xsd of ros2/sros2.
CHILDREN = {
    'policy': ({'enclaves'}, {'version'}),
    'enclaves': ({'enclave'}, set()),
    'enclave': ({'profiles'}, {'path'}),
    'profiles': ({'profile'}, {'type'}),
    'profile': ({'topics', 'services', 'actions'}, {'ns', 'node'}),
    'topics': ({'topic'}, {'publish', 'subscribe'}),
    'services': ({'service'}, {'reply', 'request'}),
    'actions': ({'action'}, {'execute', 'call'}),
    'action': (set(), set()),
    'topic': (set(), set()),
    'service': (set(), set()),
}
KEYS_MISSING = (
    "SECURITY ERROR: unable to find a folder matching the name '/' in '/keys/enclaves'.\n"
)


def lacking() -> bool:
    """Whether the middleware of this machine has no security."""
    return security.support().endswith('without security')


@pytest.mark.parametrize('arguments', STARTS.values(), ids=STARTS)
def test_a_middleware_without_security_is_one_line(tmp_path: Path, arguments: list[str]) -> None:
    """Also under the strategy that would go on without it, and does so without a word."""
    if not lacking():
        pytest.skip('the middleware has security')
    out = [str(tmp_path / 'run')] if arguments[-1] == '--out' else []
    done = subprocess.run(
        [sys.executable, *arguments, *out],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, 'ROS_SECURITY_ENABLE': 'true', 'ROS_SECURITY_STRATEGY': 'Permissive'},
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith('error: ROS_SECURITY_ENABLE=true, but ')
    assert 'unset ROS_SECURITY_ENABLE' in line and (ROOT / 'docs/security.md').is_file()
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    ('content', 'found'),
    [
        (b"..This Fast DDS version doesn't have the security libraries\n..", 'librmw_x.so'),
        (b'..Cyclone DDS being used does not have security support enabled..', 'librmw_x.so'),
        (b'..dds.sec.auth.plugin..', ''),
    ],
)
def test_a_library_says_that_it_was_built_without(content: bytes, found: str) -> None:
    assert security.lacking({'librmw_dds_common.so': b'', 'librmw_x.so': content}) == found


def test_only_adapters_that_are_loaded_are_looked_at(tmp_path: Path) -> None:
    library = tmp_path / 'librmw_some.so'
    library.write_bytes(b'some')
    maps = '\n'.join(
        f'7f00-7f01 r-xp 00000000 fe:00 12 {" " * 20}{path}'
        for path in (library, library, '/usr/lib/libc.so', '/gone/librmw_gone.so', '')
    )
    assert security.loaded_libraries(maps) == {'librmw_some.so': b'some'}


def test_what_ros_refuses_for_want_of_keys_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_SECURITY_ENABLE', 'true')
    monkeypatch.setenv('ROS_SECURITY_KEYSTORE', '/keys')
    with pytest.raises(security.SecurityError) as refused, security.refused_in_one_line():
        raise RuntimeError(f'failed to initialize rcl:\n  {KEYS_MISSING}')
    text = str(refused.value)
    assert '\n' not in text
    for part in (KEYS_MISSING.strip(), 'ROS_SECURITY_KEYSTORE: /keys', 'generate_artifacts'):
        assert part in text


@pytest.mark.parametrize('value', ['', 'false', 'TRUE', '1'])
def test_other_errors_stay_what_they_are(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """What rcl does not take for yes is not security asked for."""
    monkeypatch.setenv('ROS_SECURITY_ENABLE', value)
    security.require_support()
    with pytest.raises(RuntimeError, match='another'), security.refused_in_one_line():
        raise RuntimeError('another')


def test_there_is_a_policy_for_each_node_that_a_launch_file_starts() -> None:
    assert [path.stem for path in POLICIES] == sorted(
        path.name for path in (ROOT / 'scripts/nodes').iterdir() if path.name != 'nrl'
    )


@pytest.mark.parametrize('path', POLICIES, ids=lambda path: path.stem)
def test_a_policy_keeps_to_the_schema(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    assert (root.tag, root.get('version')) == ('policy', '0.2.0')
    for part in root.iter():
        children, attributes = CHILDREN[part.tag]
        assert {child.tag for child in part} <= children
        assert set(part.attrib) <= attributes
        assert bool(list(part)) == bool(children), f'{part.tag} is empty'
        if part.tag in ('topics', 'services', 'actions'):
            assert list(part.attrib.values()) == ['ALLOW']
    (enclave,) = root.iter('enclave')
    assert enclave.get('path') == f'/nrl_ros/{path.stem}'
    nodes = ARM_NODES if path.stem == 'composed_arm' else (path.stem,)
    given = [one.attrib for one in root.iter('profile')]
    assert given == [{'ns': '/', 'node': node} for node in nodes]


def test_nodes_that_share_a_process_may_do_what_each_may_do_by_itself() -> None:
    files = {path.stem: ElementTree.parse(path).getroot() for path in POLICIES}
    profiles = files['composed_arm'].iter('profile')
    together = {str(one.get('node')): allowed(one) for one in profiles}
    for node in ARM_NODES:
        (alone,) = files[node].iter('profile')
        assert together[node] == allowed(alone)


def allowed(profile: ElementTree.Element) -> list[tuple[str, dict[str, str], str]]:
    """What a profile allows, in order."""
    return [(part.tag, part.attrib, (part.text or '').strip()) for part in profile.iter()]
