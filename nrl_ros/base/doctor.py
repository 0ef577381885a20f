"""Check that ROS, messages, middleware and packages are present, and say how to mend what is not.

Only the standard library is imported, so that the report also works where everything else is
missing. Each probe runs alone: an exception in one of them is its finding and does not end the
others.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import platform
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nrl_ros.base import installed, machine, meeting
from nrl_ros.base.errors import ConfigError

HERE = Path(__file__).resolve().parent.parent
# Longest time in which two processes may find each other [s].
ROUNDTRIP_S = meeting.MEETING_S
# Longest time of any other probe [s].
_PROBE_S = 20.0
# The line by which the build finds modules that are to be compiled.
_MARK = 'import cython'
LOCKS = Path('/proc/locks')
SHARED = Path('/dev/shm')
_MUCH_MB = 1000.0
_WHEELS = 'python -m pip install -r requirements/jazzy.txt (or `make setup` in a checkout)'
_ONE_ROS = 'nothing, if it is not wanted; else use it alone: docs/installed_ros.md'
# Domains above it share their ports with outgoing connections on Linux.
_LAST_SAFE_DOMAIN = 101
_BUILD = (
    '`make setup` in a checkout; `pip install .` of it in a virtual environment; '
    'or `colcon build` in a workspace, then source install/setup.bash'
)
_OPTIONAL = {
    'mujoco': 'python -m pip install "nrl_ros[arm]"; only arms need it',
    'torch': 'python -m pip install torch --index-url https://download.pytorch.org/whl/cpu; only '
    'network.kind torch needs it',
}
_MESSAGES = (
    'Action', 'ArmCommand', 'EnvInfo', 'EnvState', 'EnvStatus', 'EpisodeReport', 'HumanReward',
    'LearnerOrder', 'LearnerStart', 'LearnerStatus', 'Neuromodulation', 'NeuromodulatorStatus',
    'RecorderStatus', 'Reward', 'SafetyState', 'SafetyStatus',
)  # fmt: skip
# The name of a distribution by the major version of its rclpy.
_DISTRIBUTIONS = {'7': 'jazzy', '9': 'kilted'}
_SERVICES = ('EndEpisode', 'GetLearnerState', 'LoadCheckpoint', 'SaveCheckpoint')
_ACTIONS = ('Reach',)

# The middleware loads a message's type support only when the message is serialized, so the probe
# serializes one.
_CONVERT = """
import sys
sys.path.insert(0, sys.argv[1])
import nrl_ros.msg, nrl_ros.srv, nrl_ros.action
from rclpy.serialization import deserialize_message, serialize_message
modules = nrl_ros.msg, nrl_ros.srv, nrl_ros.action
named = [names.split() for names in sys.argv[2:]]
for module, names in zip(modules, named):
    missing = [name for name in names if not hasattr(module, name)]
    if missing:
        sys.exit(f'ImportError: {module.__name__} lacks {missing}, it was built from older sources')
action = nrl_ros.msg.Action
back = deserialize_message(serialize_message(action(agent='doctor', sequence=3)), action)
if (back.agent, back.sequence) != ('doctor', 3):
    sys.exit('Error: a message does not come back from its bytes as it was')
kinds = ('messages', 'services', 'actions')
print(*(f'{len(names)} {kind}' for names, kind in zip(named, kinds)), sep=', ')
"""


_LOAD = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    importlib.import_module(name)
print(len(sys.argv[2:]))
"""


_SECURITY = """
import sys
sys.path.insert(0, sys.argv[1])
from nrl_ros.ros.security import support
print(support())
"""


class Finding(Exception):  # noqa: N818 - not an error of the program
    """A probe found that something is missing; the text describes what was found.

    Args:
        text: what was found.
        remedy: how to mend it; empty: as the check says.
    """

    def __init__(self, text: str, remedy: str = '') -> None:
        super().__init__(text)
        self.remedy = remedy


@dataclass(frozen=True)
class Check:
    """Result of one probe: one line of the report.

    Args:
        name: what was checked.
        ok: True if it is as needed.
        detail: what was found.
        remedy: how to mend it.
        required: False if nrl_ros works without it.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ''
    required: bool = True


def run() -> list[Check]:
    """Run all checks, each one after those that it depends on, and return their results."""
    checks = [
        _check('Python', _python, 'install Python 3.10 or later'),
        _check('system', _system, 'Linux with glibc is what ROS 2 wheels exist for'),
        _check('C and C++ compiler', _compiler, 'apt install g++ (Debian, Ubuntu)', required=False),
    ]
    checks += [
        _check(name, partial(_package, name), f'python -m pip install "{installed.wanted(name)}"')
        for name in installed.NEEDED
    ]
    checks += [
        _check(name, partial(installed.version, name), remedy, required=False)
        for name, remedy in _OPTIONAL.items()
    ]
    checks += [
        _check(
            'ROS 2 (rclpy)',
            _rclpy,
            'unset RMW_IMPLEMENTATION; in a new terminal, source '
            f'/opt/ros/<distribution>/setup.bash, or {_WHEELS}',
        ),
        _check('middleware', _middleware, f'unset RMW_IMPLEMENTATION, or {_WHEELS}'),
        _check(
            'ROS_DOMAIN_ID',
            _domain,
            'export ROS_DOMAIN_ID=<0..101>; larger ones collide with ephemeral ports',
        ),
        _check('other ROS 2', _other_ros, _ONE_ROS, required=False),
        _check('logs of ROS', _logs, 'export ROS_LOG_DIR=<a folder of yours>'),
        _check('messages', _messages, _BUILD),
        _check('built from these sources', _stamp, 'make setup', required=False),
        _check('compiled modules', _compiled, _BUILD),
        _check(
            'message between processes',
            _roundtrip,
            'first what is said of ROS 2 above',
        ),
        _check(
            'DDS security',
            _security,
            'only needed on a network that others are on: an installed ROS 2 has it, wheels have '
            'not (docs/security.md)',
            required=os.environ.get('ROS_SECURITY_ENABLE') == 'true',
        ),
        _check(
            'ros2 launch (launch_ros)',
            _launch,
            'not needed for `nrl train`; apt install ros-<distribution>-launch-ros',
            required=False,
        ),
        _check(
            'shared memory',
            _shared_memory,
            'while no ROS 2 node runs on this machine: rm /dev/shm/*fastdds* /dev/shm/*fastrtps*',
            required=False,
        ),
        _check(
            'real-time priority',
            _priority,
            'for arms only: `@realtime - rtprio 98` in /etc/security/limits.conf, be in that '
            'group, log in again',
            required=False,
        ),
        _check('write here', _write, 'change to a folder of yours, or use --out'),
    ]
    return checks


def _check(name: str, probe: Callable[[], str], remedy: str, *, required: bool = True) -> Check:
    try:
        return Check(name, True, probe(), remedy, required)
    except Finding as finding:
        return Check(name, False, str(finding), finding.remedy or remedy, required)
    except installed.Unsuitable as finding:
        return Check(name, False, str(finding), remedy, required)
    except Exception as error:  # noqa: BLE001 - whatever is broken, the report goes on
        text = ' '.join(f'{type(error).__name__}: {error}'.split())
        return Check(name, False, text, remedy, required)


def _python() -> str:
    if sys.version_info < (3, 10):  # noqa: UP036 - the report says so
        raise Finding(f'{platform.python_version()}, at least 3.10 is needed')
    return f'{platform.python_version()} in {sys.prefix}'


def _system() -> str:
    if sys.platform != 'linux':
        raise Finding(platform.platform())
    return f'{platform.platform()}, {os.cpu_count()} processors'


def _compiler() -> str:
    found = [path for name in ('c++', 'g++', 'clang++') if (path := shutil.which(name))]
    if not found or not any(shutil.which(name) for name in ('cc', 'gcc', 'clang')):
        raise Finding('none; only building needs it')
    return found[0]


def _package(name: str) -> str:
    found = installed.suitable(name)
    # A broken installation may have left only its metadata, so the package is imported as well.
    importlib.import_module({'PyYAML': 'yaml'}.get(name, name))
    return found


def _rclpy() -> str:
    place = Path(_in_a_process('import rclpy; print(rclpy.__file__)')).parent.parent
    found = os.environ.get('ROS_DISTRO', '')
    for name in ('ros-rclpy', 'rclpy'):
        if not found and _installed(name):
            version = importlib.metadata.version(name)
            found = f'{_DISTRIBUTIONS.get(version.split(".")[0], "unknown")} (rclpy {version})'
    return f'{found or "unknown distribution"} in {place}'


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _middleware() -> str:
    return _in_a_process(
        'import rclpy; from rclpy.utilities import get_rmw_implementation_identifier as name; '
        'rclpy.init(); print(name()); rclpy.shutdown()'
    )


def _security() -> str:
    found = _in_a_process(_SECURITY, str(HERE.parent))
    if found.endswith('without security'):
        raise Finding(found)
    return found


def _domain() -> str:
    text = os.environ.get('ROS_DOMAIN_ID', '')
    if not text:
        return '0 (not set; each `nrl train` takes a free one)'
    try:
        number = machine.check_domain(text)
    except ConfigError as error:
        raise Finding(str(error)) from None
    if number > _LAST_SAFE_DOMAIN:
        raise Finding(f'{text!r} is not one of 0 to {_LAST_SAFE_DOMAIN}')
    return text


def _other_ros() -> str:
    places = os.environ.get(machine.LEFT_ASIDE, '')
    if not places:
        return 'none'
    raise Finding(f'left aside, since this Python has its own: {places}')


def _logs() -> str:
    try:
        found = machine.log_variables(os.environ)
    except ConfigError as error:
        raise Finding(str(error)) from None
    return found.get('ROS_LOG_DIR', 'in the home folder, or where ROS_LOG_DIR says')


def _environment() -> dict[str, str]:
    """Return the variables of a probe: those of a run's nodes, without what is found wrong."""
    environment = dict(os.environ)
    with contextlib.suppress(ConfigError):
        environment |= machine.log_variables(environment)
    environment.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    try:
        machine.check_domain(environment.get('ROS_DOMAIN_ID', '0') or '0')
    except ConfigError:
        del environment['ROS_DOMAIN_ID']
    return environment


def _messages() -> str:
    named = (' '.join(names) for names in (_MESSAGES, _SERVICES, _ACTIONS))
    count = _in_a_process(_CONVERT, str(HERE.parent), *named)
    return f'{count}, and one comes back from its bytes as it was'


def _stamp() -> str:
    sources = HERE.parent
    script = sources / 'scripts/build_interfaces.py'
    if not script.is_file():
        return 'installed package, nothing to compare with'
    stamp = HERE / 'interfaces.sha256'
    if not stamp.is_file():
        raise Finding('not built in this checkout')
    if stamp.read_text().strip() != runpy.run_path(str(script))['digest'](sources):
        raise Finding('sources have changed since messages and compiled modules were built')
    return 'yes'


def _compiled() -> str:
    """Load each module that is marked as compiled."""
    folder = HERE.parent
    found = [
        path for path in sorted(HERE.rglob('*.py')) if _MARK in path.read_text('utf-8').splitlines()
    ]
    names = ['.'.join(path.relative_to(folder).with_suffix('').parts) for path in found]
    return _in_a_process(_LOAD, str(folder), *names)


def _in_a_process(code: str, *arguments: str) -> str:
    """Run code in a process of its own, so that a crash ends only that, and return its output."""
    try:
        done = subprocess.run(
            [sys.executable, *_flags(), '-c', code, *arguments],
            capture_output=True,
            encoding='utf-8',
            errors='replace',
            env=_environment(),
            timeout=_PROBE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Finding(f'no end within {_PROBE_S:.0f} s') from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        chosen = [line for line in lines if 'Error' in line or 'rror:' in line] or lines
        raise Finding(chosen[-1].strip() if chosen else f'exit code {done.returncode}')
    return done.stdout.strip()


def _flags() -> list[str]:
    flags = {'-I': sys.flags.isolated, '-S': sys.flags.no_site}
    return [flag for flag, given in flags.items() if given]


def _roundtrip() -> str:
    environment = _environment()
    # Without ROS there is nothing to try, and no remedy of the middleware's.
    _in_a_process('import rclpy')

    def meet(variables: Mapping[str, str]) -> str:
        return meeting.meet(variables, ROUNDTRIP_S)

    fault = meet(environment)
    if fault:
        raise Finding(fault, meeting.remedy_for(environment, meet))
    return 'arrived'


def _launch() -> str:
    importlib.import_module('launch_ros')
    return 'ros2 launch nrl_ros train.launch.py' + (
        '' if shutil.which('ros2') else '; but the ros2 command is not in PATH'
    )


def _shared_memory() -> str:
    """Report the segments of Fast DDS: killed nodes leave theirs, and a full /dev/shm stops all."""
    found = [path for name in ('fastdds', 'fastrtps') for path in SHARED.glob(f'*{name}*')]
    size = sum(path.stat().st_size for path in found) / 2**20
    text = f'{len(found)} segments of Fast DDS, {size:.0f} MB'
    killed = _owners_gone()
    if killed:
        text += f', also of {killed} nodes that were killed'
    if size > _MUCH_MB:
        raise Finding(f'{text}; killed nodes leave theirs behind')
    return text


def _owners_gone() -> int:
    """Count the nodes that left segments behind: the system has released the lock beside each."""
    if not LOCKS.is_file():
        return 0
    held = {line.split()[-3] for line in LOCKS.read_text('utf-8').splitlines()}
    gone = 0
    for path in SHARED.glob('fast*_el'):
        if '_port' not in path.name:
            found = path.stat()
            device = f'{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}'
            gone += f'{device}:{found.st_ino}' not in held
    return gone


def _priority() -> str:
    """Try a real-time priority in a process of its own, which ends at once."""
    ask = 'import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(60))'
    _in_a_process(ask)
    return 'permitted'


def _write() -> str:
    with contextlib.closing(tempfile.NamedTemporaryFile(dir=Path.cwd(), prefix='.nrl-')):
        return str(Path.cwd())
