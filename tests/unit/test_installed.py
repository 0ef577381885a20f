"""Packages that are too old are met with one line; package.xml names all that is imported."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from nrl_ros.base import installed

ROOT = Path(__file__).parents[2]
# Under which name package.xml (rosdep's, for Python packages) has what is imported.
KEYS = {
    'aiohttp': 'python3-aiohttp',
    'annotated_types': 'python3-pydantic',  # which brings it
    'collada': 'python3-collada',
    'gymnasium': 'python3-gymnasium-pip',
    'matplotlib': 'python3-matplotlib',
    'mpl_toolkits': 'python3-matplotlib',
    'PIL': 'python3-pil',
    'msgpack': 'python3-msgpack',
    'mujoco': 'python3-mujoco-pip',
    'numpy': 'python3-numpy',
    'pydantic': 'python3-pydantic',
    'rich': 'python3-rich',
    'typer': 'python3-typer',
    'xacro': 'xacro',
    'yaml': 'python3-yaml',
}
# Asked for by extras of setup.py; rosdep knows no key of most.
OPTIONAL = {
    'mcap',
    'zstandard',
    'ray',
    'nir',
    'onnx',
    'onnxruntime',
    'torch',
    'tensorboardX',
    'pyarrow',
}
# The text of compiled modules names it; what Cython makes of the text does not need it.
TO_BUILD = {'cython'}
OWN = {'nrl_ros', 'sim_bridge'}
STARTS = {
    'a node': ['scripts/nodes/learner'],
    'the safety node': ['scripts/nodes/safety'],
    'a node as a module': ['-m', 'nrl_ros.nodes.environment'],
    'all nodes': ['-m', 'nrl_ros.nodes.composed'],
    'the driver': ['-m', 'sim_bridge.arm_driver'],
    'a command': ['scripts/nodes/nrl', 'params'],
}


@pytest.fixture
def system(tmp_path):
    """Python packages of an old system, as far as their metadata go; returns how to add one."""

    def add(name: str, version: str) -> None:
        folder = tmp_path / f'{name}-{version}.dist-info'
        folder.mkdir()
        (folder / 'METADATA').write_text(
            f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n'
        )

    return tmp_path, add


def start(system, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(system)},
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize('arguments', STARTS.values(), ids=STARTS)
def test_an_old_package_is_met_with_one_line(system, arguments):
    pytest.importorskip('rclpy')
    folder, add = system
    add('pydantic', '1.10.4')
    add('typer', '0.12.0')
    done = start(folder, arguments)
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith('error: pydantic (1.10.4, wanted pydantic>=2.6,<3) in ')
    assert 'pip install "pydantic>=2.6,<3"' in line
    assert 'docs/installed_ros.md' in line and (ROOT / 'docs/installed_ros.md').is_file()


def test_what_prints_is_looked_at_before_it_is_used(system):
    folder, add = system
    add('typer', '0.7.0')
    add('pydantic', '1.10.4')
    done = start(folder, ['scripts/nodes/nrl', 'doctor'])
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert 'typer (0.7.0, wanted typer>=0.12)' in line
    # The remedy mends all of them, so that the next command does not find the next one.
    assert '"pydantic>=2.6,<3" "typer>=0.12"' in line


def test_the_version_is_told_whatever_is_installed(system):
    folder, add = system
    add('pydantic', '1.10.4')
    assert start(folder, ['scripts/nodes/nrl', 'version']).returncode == 0


def test_a_node_does_not_ask_for_what_only_commands_use(system):
    folder, add = system
    add('matplotlib', '3.6.3')
    code = 'from nrl_ros.nodes.process import prepare_process; prepare_process()'
    done = start(folder, ['-c', code])
    assert done.returncode == 0, done.stderr
    assert 'matplotlib (3.6.3' in start(folder, ['scripts/nodes/nrl', 'params']).stderr


def test_outside_of_a_virtual_environment_one_is_proposed(monkeypatch):
    monkeypatch.setattr(installed, 'version', lambda _name: '0.1')
    monkeypatch.setattr(sys, 'prefix', sys.base_prefix)
    with pytest.raises(SystemExit, match='venv --system-site-packages'):
        installed.require(['numpy'])


def imported() -> set[str]:
    """Top names of what the package, its launch files and its programs import."""
    files = [ROOT / 'scripts/nodes' / name for name in os.listdir(ROOT / 'scripts/nodes')]
    for top in ('nrl_ros', 'sim_bridge', 'launch'):
        files += (ROOT / top).rglob('*.py')
    found: set[str] = set()
    for path in files:
        inside = path.relative_to(ROOT).parts
        made = inside[0] == 'nrl_ros' and inside[1] in ('msg', 'srv', 'action')
        if made or not path.is_file():
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split('.')[0])
    return found - set(sys.stdlib_module_names) - OWN


def test_package_xml_names_all_that_is_imported_and_nothing_else():
    package = ElementTree.parse(ROOT / 'package.xml')
    named = {
        item.text
        for kind in ('depend', 'exec_depend')
        for item in package.findall(kind)
        if item.text != 'rosidl_default_runtime'  # of the generated messages
    }
    assert named == {KEYS.get(name, name) for name in imported() - OPTIONAL - TO_BUILD}


def test_the_keys_of_rosdep_cover_what_pip_is_asked_for():
    lines = (ROOT / 'requirements/run.txt').read_text().split()
    assert sorted(lines) == sorted(installed.wanted(name) for name in installed.NEEDED)
    named = {item.text for item in ElementTree.parse(ROOT / 'package.xml').iter()}
    for name in installed.NEEDED:
        assert KEYS[{'PyYAML': 'yaml', 'pillow': 'PIL'}.get(name, name)] in named


def test_importing_a_node_changes_nothing_of_the_process():
    """Who imports nodes, as a test or a notebook does, keeps its variables and signal handlers."""
    pytest.importorskip('rclpy')
    code = (
        'import os, signal, sys\n'
        'sys.argv = ["-m"]\n'
        'before = dict(os.environ), signal.getsignal(signal.SIGINT)\n'
        'import nrl_ros.nodes.learner, nrl_ros.nodes.environment, nrl_ros.nodes.safety\n'
        'assert before == (dict(os.environ), signal.getsignal(signal.SIGINT))\n'
        'from nrl_ros.nodes.process import THREAD_VARIABLES, prepare_process\n'
        'prepare_process()\n'
        'assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL\n'
        'assert all(name in os.environ for name in THREAD_VARIABLES)\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
