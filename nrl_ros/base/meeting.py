"""Try whether two processes find each other over the middleware, and what keeps them apart.

Only the standard library is imported here, ROS by the two processes alone.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.machine import loopback_fault

# How long two processes may take to start ROS and to find each other [s]. Usually it is one second.
MEETING_S = 6.0
_RANGE = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
_SERVER, _SERVER_PORT = 'ROS_DISCOVERY_SERVER', '11811'

_PROGRAM = """
import sys, time
import rclpy
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import UInt64
role, topic, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
node = rclpy.create_node('nrl_' + role)
seen = []
if role == 'hears':
    node.create_subscription(UInt64, topic, seen.append, 10)
else:
    publisher = node.create_publisher(UInt64, topic, 10)
end = time.monotonic() + seconds
while not seen and time.monotonic() < end:
    if role == 'says':
        publisher.publish(UInt64(data=7))
    rclpy.spin_once(node, timeout_sec=0.05)
if seen:
    print('arrived', flush=True)
node.destroy_node()
rclpy.try_shutdown()
"""

Variables = Mapping[str, str]
Meet = Callable[[Variables], str]


@dataclass(frozen=True)
class Cause:
    """One thing that may keep two processes apart.

    Args:
        asked: variables, any of which shows that it may be the cause; empty: it always may.
        without: variables to try instead; an empty value stands for none.
        remedy: how to mend it, if two processes meet like this.
    """

    asked: tuple[str, ...]
    without: Mapping[str, str]
    remedy: str


def _unset(*names: str, remedy: str = '') -> Cause:
    return Cause(names, dict.fromkeys(names, ''), remedy or f'unset {" ".join(names)}')


CAUSES = (
    _unset('ROS_STATIC_PEERS'),
    Cause((_RANGE,), {_RANGE: 'LOCALHOST'}, f'export {_RANGE}=LOCALHOST'),
    _unset('ROS_LOCALHOST_ONLY'),
    _unset('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE', 'CYCLONEDDS_URI'),
    _unset('FASTDDS_BUILTIN_TRANSPORTS'),
    _unset('RMW_IMPLEMENTATION', 'ZENOH_ROUTER_CHECK_ATTEMPTS'),
    Cause(
        (),
        {'NRL_UDP_ONLY': '1', 'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'},
        'messages arrive without shared memory: while no ROS 2 node runs on this machine, '
        'rm /dev/shm/*fastdds* /dev/shm/*fastrtps*; or export NRL_UDP_ONLY=1',
    ),
)


def meet(environment: Variables, limit_s: float = MEETING_S) -> str:
    """Let one process send to another one; return '' if it arrives, else what happened.

    Args:
        environment: of the two processes.
        limit_s: longest time [s].
    """
    topic = f'/nrl_meeting_{os.getpid()}'
    with contextlib.ExitStack() as stack:
        hearing, saying = (
            stack.enter_context(_started([role, topic, str(limit_s)], environment))
            for role in ('hears', 'says')
        )
        try:
            heard, errors = hearing.communicate(timeout=2.0 * limit_s)
        except subprocess.TimeoutExpired:
            heard, errors = '', ''
        if 'arrived' in heard:
            return ''
        if hearing.returncode:
            return _last_error(errors) or f'a process ended with exit code {hearing.returncode}'
        if saying.poll():
            return f'a process ended with exit code {saying.returncode}'
    return f'nothing arrived from one process to another within {limit_s:.0f} s'


@contextlib.contextmanager
def _started(arguments: list[str], environment: Variables) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, '-c', _PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding='utf-8',
        errors='replace',
        env=dict(environment),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _last_error(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return ([line for line in lines if 'rror' in line] or lines or [''])[-1]


def remedy_for(environment: Variables, meet: Meet = meet) -> str:
    """Return how to let two processes meet that do not: the first change with which they do.

    Args:
        environment: with which they do not meet.
        meet: tries it with other variables.
    """
    fault = loopback_fault()
    if fault:
        return (
            f'the loopback device does not carry messages ({fault}): `sudo ip link set lo up`; '
            'in a container, give it a network'
        )
    server = environment.get(_SERVER, '')
    if server:
        if not meet(_changed(environment, {_SERVER: ''})):
            return f'{start_server(server)}, or unset {_SERVER}'
        environment = _changed(environment, {_SERVER: ''})
    for cause in CAUSES:
        if cause.asked and not any(environment.get(name) for name in cause.asked):
            continue
        if not meet(_changed(environment, cause.without)):
            return cause.remedy
    return (
        'a firewall or a container without network is the usual cause: allow UDP on the loopback '
        'device'
    )


def start_server(server: str) -> str:
    """Return how to start the first discovery server of a list such as '10.0.0.1:11811;...'."""
    host, _, port = server.strip(';').partition(';')[0].partition(':')
    return (
        f'nothing answers at {_SERVER}={server}: start it, as with '
        f'`fastdds discovery -i 0 -l {host} -p {port or _SERVER_PORT}`'
    )


def _changed(environment: Variables, changes: Mapping[str, str]) -> dict[str, str]:
    changed = {**environment, **changes}
    return {name: value for name, value in changed.items() if value or name not in changes}


def suspects(environment: Variables) -> list[str]:
    """Return the variables that a person has set and that may keep processes apart."""
    names = [_SERVER, *(name for cause in CAUSES for name in cause.asked)]
    return [
        name
        for name in names
        if environment.get(name) and (name != _RANGE or environment[name] == 'OFF')
    ]


def check_meeting(asked: Variables, environment: Variables, meet: Meet = meet) -> None:
    """Let two processes meet if a variable is set that may keep them apart.

    Without such a variable they are not tried, which takes a second.

    Args:
        asked: variables as the user has set them.
        environment: of the nodes.
        meet: tries it.

    Raises:
        ConfigError: they do not find each other; one line with the remedy.
    """
    found = suspects(asked)
    if not found:
        return
    fault = meet(environment)
    if fault:
        names = ', '.join(f'{name}={asked[name]}' for name in found)
        raise ConfigError(
            f'with {names}, {fault}, so the nodes would not either; '
            f'to mend it: {remedy_for(environment, meet)}'
        )
