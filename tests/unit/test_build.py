"""What a build asks for and says, without building."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / 'scripts'


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module


@pytest.fixture
def backend(load, monkeypatch):
    pytest.importorskip('setuptools')
    for name in ('AMENT_PREFIX_PATH', 'ROS_DISTRO', 'ROS'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(importlib.util, 'find_spec', lambda _name: None)
    monkeypatch.setattr(platform, 'system', lambda: 'Linux')
    monkeypatch.setattr(platform, 'machine', lambda: 'x86_64')
    return load('build_backend')


def test_ros_wheels_are_fetched_where_no_ros_is_installed(backend):
    assert any(line.startswith('ros-rclpy[fastrtps]==') for line in backend._ros())


@pytest.fixture
def installed(load, monkeypatch):
    """Pretends that wheels of these versions are in the environment; returns the module."""
    ros_wheels = load('ros_wheels')
    monkeypatch.delenv('ROS', raising=False)

    def pretend(versions):
        def version(name):
            if name not in versions:
                raise metadata.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(ros_wheels.metadata, 'version', version)
        return ros_wheels

    return pretend


def test_a_new_environment_gets_jazzy(installed):
    assert installed({}).chosen() == 'jazzy'


def test_an_environment_keeps_its_distribution(installed):
    assert installed({'ros-rclpy': '9.1.2'}).chosen() == 'kilted'
    assert installed({'ros-rclpy': '7.1.6'}).chosen() == 'jazzy'
    assert installed({'ros-rclpy': '99.0'}).chosen() == 'jazzy'


def test_the_variable_chooses_the_distribution(installed, monkeypatch):
    ros_wheels = installed({'ros-rclpy': '7.1.6'})
    monkeypatch.setenv('ROS', 'kilted')
    assert ros_wheels.chosen() == 'kilted'
    monkeypatch.setenv('ROS', '/opt/ros/kilted')
    with pytest.raises(SystemExit, match='/opt/ros/kilted: wheels are known of jazzy and kilted'):
        ros_wheels.chosen()


@pytest.mark.parametrize(('name', 'version'), [('jazzy', '7.1.6'), ('kilted', '9.1.2')])
def test_pip_takes_the_distribution_of_the_variable(backend, monkeypatch, name, version):
    monkeypatch.setenv('ROS', name)
    assert f'ros-rclpy[fastrtps]=={version}' in backend._ros()


def test_a_package_needs_the_wheels_that_it_was_built_with(installed):
    ros_wheels = installed({'ros-rclpy': '9.1.2', 'ros-std-msgs': '5.5.1', 'ros-ament-cmake': '1'})
    assert ros_wheels.needed_to_run() == ['ros-rclpy[fastrtps]==9.1.2', 'ros-std-msgs==5.5.1']


def test_messages_are_built_anew_for_another_distribution(load, monkeypatch):
    interfaces = load('build_interfaces')
    digests = set()
    for version in ('7.1.6', '9.1.2'):
        monkeypatch.setattr(interfaces.metadata, 'version', lambda _name, version=version: version)
        digests.add(interfaces.digest())
    assert len(digests) == 2


def test_stubs_have_the_fields_of_the_generated_messages(load):
    messages = pytest.importorskip('nrl_ros.msg')
    stubs = load('message_stubs')
    names = [path.stem for path in (SCRIPTS.parent / 'msg').glob('*.msg')]
    assert names
    for name in names:
        definition = (SCRIPTS.parent / 'msg' / f'{name}.msg').read_text()
        declared = [one.name for one in stubs.fields(definition, name) if one.written]
        assert declared == list(getattr(messages, name).get_fields_and_field_types())


def test_what_a_stub_says_of_a_field(load):
    stubs = load('message_stubs')
    lines = 'uint8 BIG=2 # many', 'string<=9[] name', 'float32[<=3] x', 'std_msgs/Header header'
    definition = '\n'.join(lines)
    assert [tuple(field) for field in stubs.fields(definition, 'A.msg')] == [
        ('BIG', 'int', '', '2'),
        ('name', 'list[str]', 'Iterable[str]', ''),
        ('x', 'array[float]', 'Iterable[float]', ''),
        ('header', 'Header', 'Header', ''),
    ]
    assert stubs.imports(definition) == 'from std_msgs.msg import Header as Header\n'
    with pytest.raises(SystemExit, match=r"A.msg: 'float64\[3\] x' is not understood"):
        list(stubs.fields('float64[3] x', 'A.msg'))


def test_a_rebuilt_library_leaves_the_file_alone_that_is_loaded(load, tmp_path):
    interfaces = load('build_interfaces')
    for name in ('old', 'new'):
        (tmp_path / name).write_text(name)
    (tmp_path / 'loaded').hardlink_to(tmp_path / 'old')
    interfaces._replace(tmp_path / 'new', tmp_path / 'old')
    assert (tmp_path / 'old').read_text() == 'new'
    assert (tmp_path / 'loaded').read_text() == 'old'


@pytest.mark.parametrize('name', ['AMENT_PREFIX_PATH', 'ROS_DISTRO'])
def test_an_installed_ros_is_taken(backend, monkeypatch, name):
    monkeypatch.setenv(name, 'x')
    assert backend._ros() == []


def test_no_wheels_are_asked_for_where_there_are_none(backend, monkeypatch):
    monkeypatch.setattr(platform, 'machine', lambda: 'aarch64')
    assert backend._ros() == []


@pytest.mark.parametrize(
    ('present', 'package'), [('', r'g\+\+'), ('cc', r'g\+\+'), ('cc c++', 'python3-dev')]
)
def test_a_missing_tool_is_named(load, monkeypatch, tmp_path, present, package):
    interfaces = load('build_interfaces')
    for name in ('CC', 'CXX'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(shutil, 'which', lambda name: name if name in present.split() else None)
    monkeypatch.setattr(interfaces.sysconfig, 'get_paths', lambda: {'include': str(tmp_path)})
    with pytest.raises(SystemExit, match=f'apt install {package}'):
        interfaces._check_tools()


def test_without_any_ros_the_build_says_so(load, monkeypatch, tmp_path):
    interfaces = load('build_interfaces')
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    monkeypatch.setattr(importlib.util, 'find_spec', lambda _name: None)
    monkeypatch.setattr(interfaces.sys, 'prefix', str(tmp_path))
    with pytest.raises(SystemExit, match='no ROS 2 found'):
        interfaces._environment()


def test_ros_is_found_where_its_wheels_lie(load, monkeypatch, tmp_path):
    interfaces = load('build_interfaces')
    site = tmp_path / 'lib/python3/site-packages'
    (site / 'ament_package').mkdir(parents=True)
    (site / 'ament_package/__init__.py').touch()
    (tmp_path / 'share/ament_cmake').mkdir(parents=True)
    spec = importlib.util.spec_from_file_location(
        'ament_package', site / 'ament_package/__init__.py'
    )
    monkeypatch.setattr(importlib.util, 'find_spec', lambda _name: spec)
    monkeypatch.setenv('AMENT_PREFIX_PATH', '')
    assert str(tmp_path) in interfaces._environment()['AMENT_PREFIX_PATH'].split(':')


def test_cmake_is_told_of_no_path_that_it_cannot_read(load, monkeypatch, tmp_path):
    """ROS's CMake files split a path at its blanks, and lose one with letters beyond ASCII."""
    interfaces = load('build_interfaces')
    prefix = tmp_path / 'my dir ü/.venv'
    for folder in ('bin', 'share/ament_cmake'):
        (prefix / folder).mkdir(parents=True)
    (prefix / 'bin/python').touch()
    seen = []

    def run(commands, environment):
        names = ('AMENT_PREFIX_PATH', 'CMAKE_PREFIX_PATH', 'PATH')
        seen.extend([*(environment[name] for name in names), *(sum(commands, []))])
        source, python = (commands[0][n].partition('=')[2] or commands[0][n] for n in (2, -3))
        assert Path(source, 'CMakeLists.txt').is_file() and Path(python).exists()
        (tmp_path / 'my dir ü/build/cmake').mkdir()

    monkeypatch.setattr(interfaces, '_run', run)
    monkeypatch.setattr(interfaces.sys, 'prefix', str(prefix))
    monkeypatch.setattr(interfaces.sys, 'executable', str(prefix / 'bin/python'))
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    monkeypatch.delenv('CMAKE_PREFIX_PATH', raising=False)
    monkeypatch.setenv('PATH', '/bin')
    build = prefix.parent / 'build'
    with interfaces.plain_paths() as plain:
        interfaces._configure_and_build(build / 'cmake', build / 'stage', plain)
        assert plain(Path('/opt/ros/jazzy')) == Path('/opt/ros/jazzy')
    assert not [text for text in seen if 'my dir' in text]


def test_the_command_starts_in_a_folder_of_any_name(tmp_path):
    """The system reads the first line of a program only up to its first blank."""
    launcher = re.search("<<'END'\n(.*?)END\n", (SCRIPTS / 'setup.sh').read_text(), re.DOTALL)[1]
    program = tmp_path / f'my dir ü {"x" * 120}/nrl'
    program.parent.mkdir()
    program.write_text(launcher + 'import sys\nprint(*sys.argv[1:], sep="|")\n')
    program.chmod(0o755)
    (program.parent / 'python').symlink_to(sys.executable)
    (tmp_path / 'link').symlink_to(program)
    done = subprocess.run([tmp_path / 'link', 'a b', 'ü'], capture_output=True, text=True)
    assert done.stdout == 'a b|ü\n', done.stderr


def test_what_names_folders_of_the_build_is_left_out(load, tmp_path):
    interfaces = load('build_interfaces')
    kept = ['share/nrl_ros/package.xml', 'lib/libnrl_ros.so']
    for name in (
        *kept,
        'share/nrl_ros/local_setup.sh',
        'share/nrl_ros/cmake/nrl_rosConfig.cmake',
        'share/ament_index/resource_index/parent_prefix_path/nrl_ros',
        'lib/python3.12/site-packages/nrl_ros/__init__.py',
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    files = [file for _, files in interfaces.prefix_files(tmp_path) for file in files]
    assert sorted(files) == sorted(str(tmp_path / name) for name in kept)


def test_what_is_compiled_is_known_to_the_types_and_to_the_coverage(load):
    """mypy and coverage are told by name which modules have decorators of Cython."""
    tomllib = pytest.importorskip('tomllib')
    tools = tomllib.loads((ROOT / 'pyproject.toml').read_text())['tool']
    found = load('build_interfaces')._compiled(ROOT)
    compiled = {path.relative_to(ROOT).as_posix() for path in found if path.suffix == '.py'}
    typed = next(
        one['module'] for one in tools['mypy']['overrides'] if 'disallow_untyped_decorators' in one
    )
    assert {f'{name.replace(".", "/")}.py' for name in typed} == compiled
    made = {'nrl_ros/msg/*', 'nrl_ros/srv/*', 'nrl_ros/action/*'}
    assert set(tools['coverage']['run']['omit']) == compiled | made
