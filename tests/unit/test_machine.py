"""What a machine or a terminal sets that would keep ROS 2 from running: it works, or is told."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nrl_ros.base import machine, meeting
from nrl_ros.base.errors import ConfigError

SERVER = {'ROS_DISCOVERY_SERVER': '10.0.0.1:11888;10.0.0.2'}


@pytest.mark.parametrize('text', ['300', '-1', '67.0', '²', 'abc', '0x10', '1e1', '٣'])
def test_a_domain_without_ports_is_refused_with_what_to_set(text: str) -> None:
    with pytest.raises(ConfigError, match='from 0 to 232.*export ROS_DOMAIN_ID'):
        machine.check_domain(text)


def test_domains_with_ports_are_taken() -> None:
    assert [machine.check_domain(text) for text in ('0', ' 67 ', '232')] == [0, 67, 232]


# ------------------------------------------------------------------ another ROS 2


def ros_in(prefix: Path) -> dict[str, str]:
    """Make what an installed ROS 2 looks like, and return the variables of who sources it."""
    (prefix / 'share/rclpy').mkdir(parents=True)
    modules = prefix / 'lib/python3/site-packages'
    (modules / 'rclpy').mkdir(parents=True)
    (modules / 'rclpy/__init__.py').write_text('raise ImportError("of another Python")')
    (prefix / 'lib/librcl.so').touch()
    return {
        'AMENT_PREFIX_PATH': str(prefix),
        'LD_LIBRARY_PATH': str(prefix / 'lib'),
        'PYTHONPATH': str(modules),
        'ROS_DISTRO': 'humble',
    }


def test_another_ros_is_left_aside_and_workspaces_stay(tmp_path: Path) -> None:
    ros_in(tmp_path / 'venv')
    other = ros_in(tmp_path / 'humble')
    workspace = {'PYTHONPATH': '/ws/lib/python3', 'AMENT_PREFIX_PATH': '/ws', 'HOME': '/home/a'}
    both = {**other, **{n: f'{v}:{other.get(n, v)}' for n, v in workspace.items() if n != 'HOME'}}
    own = tmp_path / 'venv/lib'
    kept, places = machine.without_other_ros(
        {**both, 'HOME': '/home/a', 'LD_LIBRARY_PATH': f'{own}:{tmp_path}/humble/lib'},
        tmp_path / 'venv',
    )
    assert kept == {**workspace, 'LD_LIBRARY_PATH': str(own)}
    assert sorted(places) == sorted({value for n, value in other.items() if n != 'ROS_DISTRO'})


def test_where_the_sourced_ros_is_the_only_one_it_stays(tmp_path: Path) -> None:
    sourced = ros_in(tmp_path / 'jazzy')
    assert machine.without_other_ros(sourced, tmp_path / 'venv') == (sourced, [])


def test_the_command_begins_anew_without_the_other_ros(tmp_path: Path) -> None:
    pytest.importorskip('ros_wheels_bootstrapper')
    code = (
        'import os, sys; from nrl_ros.base.machine import leave_other_ros_aside; '
        'leave_other_ros_aside(); import rclpy; print(os.environ["NRL_LEFT_ASIDE"], sys.argv[1])'
    )
    other = ros_in(tmp_path / 'humble')
    done = subprocess.run(
        [sys.executable, '-c', code, 'a b'],
        env={**os.environ, **other},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(other['PYTHONPATH']) and done.stdout.endswith(' a b\n')


# ---------------------------------------------------------------- folders and pictures


def test_logs_go_elsewhere_without_a_home_folder_that_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / 'file'
    file.touch()
    for home in ({}, {'HOME': ''}, {'HOME': str(file / 'home')}):
        found = machine.log_variables(home)
        assert sorted(found) == ['MPLCONFIGDIR', 'ROS_LOG_DIR']
        assert machine.log_variables({**home, **found}) == {}
    assert machine.log_variables({'HOME': str(tmp_path)}) == {}


@pytest.mark.parametrize('name', ['ROS_LOG_DIR', 'ROS_HOME'])
def test_a_folder_for_logs_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigError, match=f'{name}=.*file/log cannot be written'):
        machine.log_variables({'HOME': str(tmp_path), name: f'{tmp_path}/file/log'})


@pytest.mark.parametrize(
    ('backend', 'unusable'),
    [
        ('', False),
        ('Agg', False),
        ('TkAgg', False),
        ('notebook', False),
        ('module://os', False),
        ('module://matplotlib_inline_of_nobody.backend_inline', True),
        ('nonsense', True),
    ],
)
def test_what_draws_in_a_notebook_is_not_asked_for_elsewhere(
    monkeypatch: pytest.MonkeyPatch, backend: str, unusable: bool
) -> None:
    pytest.importorskip('matplotlib')
    monkeypatch.setenv('MPLBACKEND', backend)
    machine.prepare_pictures()
    assert os.environ['MPLBACKEND'] == ('Agg' if unusable else backend)


@pytest.mark.parametrize('encoding', ['ascii', 'latin-1', 'utf-8'])
def test_a_terminal_gets_what_it_has_signs_for(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    output = io.BytesIO()
    monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(output, encoding=encoding))
    machine.print_what_fits()
    print('untrained 8 ± 2 → 9 –▁█ 語 \udcff', flush=True)  # noqa: T201
    said = output.getvalue().decode(encoding)
    expected = {
        'ascii': 'untrained 8 +- 2 -> 9 -_# ? ?\n',
        'latin-1': 'untrained 8 ± 2 -> 9 -_# ? ?\n',
        'utf-8': 'untrained 8 ± 2 → 9 –▁█ 語 ?\n',
    }
    assert said == expected[encoding]


# ------------------------------------------------------------------ two processes


def test_a_loopback_device_that_is_down_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    machine.check_loopback()
    # An address of the documentation's, which no machine has.
    monkeypatch.setattr(machine, '_LOOPBACK', '203.0.113.1')
    with pytest.raises(ConfigError, match='ip link set lo up'):
        machine.check_loopback()


@pytest.mark.parametrize(
    ('variables', 'wrong', 'remedy'),
    [
        (SERVER, 'ROS_DISCOVERY_SERVER', '-l 10.0.0.1 -p 11888`, or unset ROS_DISCOVERY_SERVER'),
        ({'RMW_IMPLEMENTATION': 'rmw_zenoh_cpp'}, 'RMW_IMPLEMENTATION', 'unset RMW_IMPLEMENTATION'),
        ({**SERVER, 'ROS_STATIC_PEERS': '10.0.0.3'}, 'ROS_STATIC_PEERS', 'unset ROS_STATIC_PEERS'),
        ({'FASTDDS_DEFAULT_PROFILES_FILE': 'mine.xml'}, 'FASTDDS_DEFAULT_PROFILES_FILE', 'unset'),
    ],
)
def test_the_remedy_is_the_change_with_which_two_processes_meet(
    variables: dict[str, str], wrong: str, remedy: str
) -> None:
    def meet(environment: meeting.Variables) -> str:
        return 'nothing arrived' if wrong in environment else ''

    assert remedy in meeting.remedy_for(variables, meet)


def test_shared_memory_and_discovery_that_is_off_are_told_apart() -> None:
    off = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF'}

    def found(environment: meeting.Variables) -> str:
        return '' if environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE') != 'OFF' else 'nothing'

    def by_udp(environment: meeting.Variables) -> str:
        return '' if environment.get('NRL_UDP_ONLY') else 'nothing'

    assert meeting.remedy_for(off, found) == 'export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST'
    assert '/dev/shm' in meeting.remedy_for(off, by_udp)
    assert 'firewall' in meeting.remedy_for(off, lambda _: 'nothing')


def test_processes_are_tried_before_a_run_only_where_a_variable_may_keep_them_apart() -> None:
    tried: list[meeting.Variables] = []

    def meet(environment: meeting.Variables) -> str:
        tried.append(environment)
        return 'nothing arrived' if 'ROS_DISCOVERY_SERVER' in environment else ''

    meeting.check_meeting({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}, {}, meet)
    assert not tried
    with pytest.raises(ConfigError, match=r'10\.0\.0\.1.*nothing arrived.*unset ROS_DISC'):
        meeting.check_meeting(SERVER, SERVER, meet)
    meeting.check_meeting(SERVER, {}, meet)


def test_a_process_that_cannot_start_is_not_taken_for_a_network(tmp_path: Path) -> None:
    ros_in(tmp_path / 'humble')
    path = str(tmp_path / 'humble/lib/python3/site-packages')
    fault = meeting.meet({**os.environ, 'PYTHONPATH': path}, 3.0)
    assert fault == 'ImportError: of another Python'
