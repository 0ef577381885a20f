"""What ``nrl doctor`` says where something is missing."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nrl_ros.base import doctor, installed

ROOT = Path(__file__).parents[2]
_PRINT = (
    'import json, sys; sys.path.insert(0, sys.argv[1]); from nrl_ros.base import doctor; '
    'doctor.ROUNDTRIP_S = 5.0; print(json.dumps([vars(check) for check in doctor.run()]))'
)


@pytest.fixture
def unbuilt(tmp_path):
    """The package as a fresh clone has it: no messages, nothing compiled."""
    generated = shutil.ignore_patterns(
        'msg', 'srv', 'action', '*.so', '__pycache__', 'interfaces.sha256'
    )
    shutil.copytree(ROOT / 'nrl_ros', tmp_path / 'nrl_ros', ignore=generated)
    return tmp_path


def report(folder, *options, **variables):
    done = subprocess.run(
        [sys.executable, *options, '-c', _PRINT, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, **variables},
        timeout=60,
    )
    return {check['name']: check for check in json.loads(done.stdout)}


def test_without_site_packages_every_probe_still_reports(unbuilt):
    """-S hides everything that was installed."""
    checks = report(unbuilt, '-S', '-I')
    assert checks['Python']['ok']
    for name in ('numpy', 'pydantic', 'ROS 2 (rclpy)', 'messages', 'message between processes'):
        assert not checks[name]['ok'], name
        assert checks[name]['required']
        assert checks[name]['remedy']
    assert checks['numpy']['detail'] == 'not installed'
    assert 'numpy>=1.26' in checks['numpy']['remedy']
    assert not checks['compiled modules']['ok']
    assert checks['compiled modules']['required']


def test_without_messages_it_says_how_to_build_them(unbuilt):
    pytest.importorskip('rclpy')
    checks = report(unbuilt)
    assert checks['ROS 2 (rclpy)']['ok']
    assert checks['middleware']['ok']
    # These two have found each other.
    assert checks['message between processes']['ok']
    assert not checks['messages']['ok']
    assert 'nrl_ros.msg' in checks['messages']['detail']
    assert 'make setup' in checks['messages']['remedy']
    assert 'colcon build' in checks['messages']['remedy']


def test_without_compiled_modules_it_says_how_to_build_them(unbuilt):
    """Their text would run as it is, hundreds of times slower."""
    pytest.importorskip('cython')
    check = report(unbuilt)['compiled modules']
    assert not check['ok'] and check['required']
    assert 'nrl_ros.environments.episode_tracker is not compiled' in check['detail']
    assert 'make setup' in check['remedy']


def test_an_unknown_middleware_is_named(unbuilt):
    pytest.importorskip('rclpy')
    checks = report(unbuilt, RMW_IMPLEMENTATION='rmw_nothing_cpp')
    assert not checks['middleware']['ok']
    assert 'rmw_nothing_cpp' in checks['middleware']['detail']
    assert not checks['ROS 2 (rclpy)']['ok']
    assert 'RMW_IMPLEMENTATION' in checks['middleware']['remedy']


@pytest.mark.parametrize(('text', 'ok'), [('', True), ('101', True), ('102', False), ('x', False)])
def test_domain(monkeypatch, text, ok):
    monkeypatch.setenv('ROS_DOMAIN_ID', text)
    assert doctor._check('domain', doctor._domain, 'x').ok is ok


@pytest.mark.parametrize(
    ('version', 'ok'), [('2.6', True), ('2.14.3', True), ('2.5.9', False), ('3.0', False)]
)
def test_versions(monkeypatch, version, ok):
    monkeypatch.setattr(installed, 'version', lambda _name: version)
    check = doctor._check('pydantic', lambda: doctor._package('pydantic'), 'x')
    assert check.ok is ok
    assert ok or version in check.detail


def test_the_remedy_fits_what_keeps_two_processes_apart(monkeypatch):
    """A process that talks to itself would not have seen it."""
    monkeypatch.setattr(doctor, '_in_a_process', lambda _: '')

    def meet(variables, _limit_s):
        return 'nothing arrived' if 'ROS_DISCOVERY_SERVER' in variables else ''

    monkeypatch.setattr(doctor.meeting, 'meet', meet)
    assert doctor._check('x', doctor._roundtrip, 'mend').ok
    monkeypatch.setenv('ROS_DISCOVERY_SERVER', '127.0.0.1:11811')
    check = doctor._check('x', doctor._roundtrip, 'mend')
    assert not check.ok and check.detail == 'nothing arrived'
    assert 'unset ROS_DISCOVERY_SERVER' in check.remedy


def test_a_wrong_domain_and_no_home_do_not_fail_the_other_probes(monkeypatch, tmp_path):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('HOME', str(tmp_path / 'file/home'))
    monkeypatch.setenv('ROS_DOMAIN_ID', '300')
    found = doctor._environment()
    assert 'ROS_DOMAIN_ID' not in found
    assert found['ROS_LOG_DIR']


def test_a_probe_that_raises_is_a_finding():
    check = doctor._check('x', lambda: 1 // 0, 'mend')
    assert not check.ok
    assert check.detail.startswith('ZeroDivisionError')
    assert check.remedy == 'mend'


def test_changed_sources_are_seen(tmp_path, monkeypatch):
    for name in ('msg', 'srv', 'action', 'scripts'):
        shutil.copytree(ROOT / name, tmp_path / name)
    module = 'nrl_ros/environments/episode_tracker.py'
    kernels = 'nrl_ros/learning/kernels'
    shutil.copytree(ROOT / kernels, tmp_path / kernels)
    (tmp_path / module).parent.mkdir(parents=True)
    shutil.copy(ROOT / module, tmp_path / module)
    for name in ('CMakeLists.txt', 'package.xml'):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(doctor, 'HERE', tmp_path / 'nrl_ros')
    assert not doctor._check('x', doctor._stamp, '').ok
    monkeypatch.syspath_prepend(str(ROOT / 'scripts'))
    import build_interfaces

    digest = build_interfaces.digest(tmp_path)
    (tmp_path / 'nrl_ros/interfaces.sha256').write_text(f'{digest}\n')
    assert doctor._check('x', doctor._stamp, '').detail == 'yes'
    for name in ('msg/Action.msg', module, f'{kernels}/arithmetic.c', f'{kernels}/arithmetic.pxd'):
        kept = (tmp_path / name).read_text()
        (tmp_path / name).write_text(f'{kept}\n')
        assert 'changed' in doctor._check('x', doctor._stamp, '').detail
        (tmp_path / name).write_text(kept)
        assert doctor._check('x', doctor._stamp, '').ok


def test_named_messages_are_those_of_the_sources():
    assert sorted(doctor._MESSAGES) == sorted(path.stem for path in (ROOT / 'msg').glob('*.msg'))
    assert sorted(doctor._SERVICES) == sorted(path.stem for path in (ROOT / 'srv').glob('*.srv'))
    assert sorted(doctor._ACTIONS) == sorted(p.stem for p in (ROOT / 'action').glob('*.action'))


def test_names_are_unique_and_remedies_given():
    checks = doctor.run()
    assert len({check.name for check in checks}) == len(checks)
    assert all(check.remedy for check in checks)
    assert not any('\n' in check.detail for check in checks)


def test_what_killed_nodes_left_behind_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, 'SHARED', tmp_path)
    assert doctor._shared_memory() == '0 segments of Fast DDS, 0 MB'
    with (tmp_path / 'fastdds_0123').open('wb') as segment:
        segment.truncate(1500 * 2**20)
    with pytest.raises(doctor.Finding, match='1 segments of Fast DDS, 1500 MB'):
        doctor._shared_memory()


@pytest.mark.skipif(not doctor.LOCKS.is_file(), reason='the system does not list its locks')
def test_segments_of_nodes_that_are_gone_are_told_from_others(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, 'SHARED', tmp_path)
    (tmp_path / 'fastdds_port7411_el').touch()
    with (tmp_path / 'fastdds_0123_el').open('wb') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert doctor._shared_memory() == '2 segments of Fast DDS, 0 MB'
    assert doctor._shared_memory().endswith(', also of 1 nodes that were killed')
