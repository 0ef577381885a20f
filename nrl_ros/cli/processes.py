"""Run the nodes as processes: start them with one file of settings, watch and stop them."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nrl_ros
from nrl_ros.base.config_files import config_folders
from nrl_ros.base.errors import ConfigError, NrlError
from nrl_ros.base.machine import LEFT_ASIDE, check_domain, check_loopback, log_variables
from nrl_ros.base.meeting import check_meeting
from nrl_ros.base.threads import THREAD_VARIABLES
from nrl_ros.ros.middleware import PROFILE_VARIABLES, fast_dds_version, middleware_variables

_GRACE_S = 5.0
# An environment waits at its end until its listeners have the last messages: 3.5 s where one of
# them was killed and is not yet known to be gone [s].
_HEARD_S = 10.0
# The learner may write a large checkpoint to a slow disk at its end [s].
_SAVING_S = 30.0
_LAST_LINES = 15
_PR_SET_PDEATHSIG = 1

# Domains above 101 share their ports with outgoing connections on Linux.
_DOMAINS = 101
_FIRST_PORT = 7400
_PORTS_PER_DOMAIN = 250

_NAMESPACE = re.compile('/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*/?', re.ASCII)
# Words of a label that stand in the namespace of a run.
_MOST_WORDS = 6

COMPOSED = 'app'
COMPOSED_ARM = 'composed_arm'
MODULES = {
    'learner': 'nrl_ros.nodes.learner',
    'neuromodulator': 'nrl_ros.nodes.neuromodulator',
    'environment': 'nrl_ros.nodes.environment',
    'safety': 'nrl_ros.nodes.safety',
    'arm_driver': 'sim_bridge.arm_driver',
    'watchdog': 'nrl_ros.nodes.watchdog',
    'recorder': 'nrl_ros.nodes.recorder',
    'page': 'nrl_ros.nodes.page',
    COMPOSED: 'nrl_ros.nodes.composed',
    COMPOSED_ARM: 'nrl_ros.nodes.composed_arm',
}
# These nodes save what was learned or recorded when they end.
_SAVING = ('learner', COMPOSED, COMPOSED_ARM, 'recorder')


class ProcessError(NrlError):
    """A node ended that should still run."""


@dataclass(frozen=True)
class Started:
    """One running node process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


class Processes:
    """The node processes of one run.

    Args:
        params: parameter files, later ones winning.
        log: folder for the nodes' output.
        namespace: ROS namespace of all nodes; empty: none.
        environment: environment variables of the processes.
    """

    def __init__(
        self,
        params: Sequence[Path],
        log: Path,
        *,
        namespace: str,
        environment: Mapping[str, str],
    ) -> None:
        arguments = ['--ros-args']
        for file in params:
            arguments += ['--params-file', str(file)]
        if absolute_namespace(namespace):
            arguments += ['-r', f'__ns:={absolute_namespace(namespace)}']
        self._arguments = arguments
        self._log = log
        self._environment = dict(environment)
        self._started: list[Started] = []
        # Processes that were still running when they were asked to end.
        self._stopped: list[Started] = []

    def start(self, name: str, *arguments: str) -> None:
        """Start one of MODULES; processes are stopped in the opposite order.

        Args:
            name: of the node.
            arguments: further ROS arguments of this one, such as '-p', 'only_rest:=true'.
        """
        command = [sys.executable, '-m', MODULES[name], *self._arguments, *arguments]
        self._started.append(_start(name, command, self._log / f'{name}.log', self._environment))

    def ended(self) -> dict[str, int]:
        """Return the exit codes of the processes that have ended, by name."""
        codes = {one.name: one.process.poll() for one in self._started}
        return {name: code for name, code in codes.items() if code is not None}

    def last_lines(self, name: str) -> str:
        """Return the last lines of a node's output, or of the one process that runs all nodes."""
        logs = {one.name: one.log for one in self._started}
        log = logs.get(name) or logs.get(COMPOSED) or logs.get(COMPOSED_ARM)
        if log is None:
            return ''
        try:
            lines = log.read_text(encoding='utf-8', errors='replace').splitlines()
        except OSError:
            return ''
        return '\n'.join(lines[-_LAST_LINES:])

    def stop(self, names: Sequence[str] | None = None) -> None:
        """Ask processes to end, and kill those that do not.

        They have 5 s, an environment 10 s, and nodes that save 30 s.

        Args:
            names: which; None: all.
        """
        chosen = [one for one in reversed(self._started) if names is None or one.name in names]
        for one in chosen:
            if one.process.poll() is None:
                self._stopped.append(one)
                one.process.send_signal(signal.SIGINT)
        start = time.monotonic()
        for one in chosen:
            grace_s = _longest_s(one.name)
            try:
                one.process.wait(max(start + grace_s - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                one.process.kill()
                # The kernel may keep even a killed process for a while, but the command must end.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    one.process.wait(_GRACE_S)

    def was_killed(self, name: str) -> bool:
        """Return True if the newest process of a name was ended by a signal it cannot handle."""
        codes = {one.name: one.process.poll() for one in self._started}
        code = codes.get(name)
        # A process that SIGINT ended had not installed its handler yet, so it had done nothing.
        return code is not None and code < 0 and code != -signal.SIGINT

    def failed(self) -> str:
        """Return what went wrong with processes that were told to stop, with their last lines.

        Returns:
            Empty if all have ended well, or had not begun yet.
        """
        said = []
        for one in dict.fromkeys(self._stopped):
            code = one.process.poll()
            if code is None or code == -signal.SIGKILL:
                lost = ': what it has not saved is lost'
                said.append(
                    f'{one.name} did not end when it was told to, and was killed'
                    f'{lost if one.name in _SAVING else ""}'
                )
            elif code not in (0, -signal.SIGINT):
                said.append(f'{one.name} ended with {exit_text(code)}')
            else:
                continue
            said.append(self.last_lines(one.name))
        return '\n'.join(said).rstrip()


def _start(name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Started:
    with log.open('ab') as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            # Ctrl+C in the terminal reaches only the command, which then stops the nodes in order.
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == 'linux' else None,  # noqa: PLW1509
        )
    return Started(name, process, log)


def _longest_s(name: str) -> float:
    """Return how long a node may take to end after it was told to [s]."""
    if name in _SAVING:
        return _SAVING_S
    return _HEARD_S if name == 'environment' else _GRACE_S


def _end_with_parent() -> None:
    """Let the kernel stop the node when the command that started it is gone for any reason."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def node_environment(domain: int, *, udp_only: bool = False) -> dict[str, str]:
    """Return the nodes' environment: one thread each, this machine only unless set otherwise.

    Args:
        domain: ROS domain.
        udp_only: the nodes share no memory (``middleware_variables``).
    """
    result = dict(os.environ)
    result |= middleware_variables(result, udp_only=udp_only, version=fast_dds_version())
    for name in THREAD_VARIABLES:
        result.setdefault(name, '1')
    result |= log_variables(result)
    result.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    result['ROS_DOMAIN_ID'] = str(domain)
    result['PYTHONUNBUFFERED'] = '1'
    # The nodes must run the same code as this command, not a copy in the current folder.
    result['PYTHONSAFEPATH'] = '1'
    root = Path(nrl_ros.__file__).parent.parent
    if root.name not in ('site-packages', 'dist-packages'):
        paths = [str(root), *filter(None, [result.get('PYTHONPATH')])]
        result['PYTHONPATH'] = os.pathsep.join(paths)
    return result


def check_machine(environment: Mapping[str, str]) -> str:
    """Check that processes of this machine can find each other, before anything is started.

    Args:
        environment: of the nodes.

    Returns:
        What a person should know of it; empty: nothing.

    Raises:
        ConfigError: they cannot; one line with the remedy.
    """
    check_loopback()
    check_meeting(_of_the_user(os.environ), environment)
    places = os.environ.get(LEFT_ASIDE, '')
    return f'the ROS 2 in {places} is left aside: this Python has its own' if places else ''


def _of_the_user(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out the profile that an earlier run of this process has set."""
    own = [str(folder / 'middleware') for folder in config_folders()]
    return {
        name: value
        for name, value in environment.items()
        if name not in PROFILE_VARIABLES.values() or os.path.dirname(value) not in own
    }


def choose_domain(wanted: int | None) -> int:
    """Return the ROS domain of a run.

    It is the one asked for, else ROS_DOMAIN_ID, else one between 1 and 101 that follows from the
    process id and whose discovery port is free, so that two users of one machine do not meet.

    Raises:
        ConfigError: ROS_DOMAIN_ID is no number of a domain.
    """
    if wanted is not None:
        return wanted
    given = os.environ.get('ROS_DOMAIN_ID', '').strip()
    if given:
        return check_domain(given)
    taken = _udp_ports()
    start = os.getpid() % _DOMAINS
    for offset in range(_DOMAINS):
        domain = 1 + (start + offset) % _DOMAINS
        if _FIRST_PORT + _PORTS_PER_DOMAIN * domain not in taken:
            return domain
    return 1 + start


def choose_known_domain(wanted: int | None) -> int:
    """Return the ROS domain of what others have started.

    It is the one asked for, else ROS_DOMAIN_ID, else 0, in which all nodes are to which nobody has
    given another one.

    Raises:
        ConfigError: ROS_DOMAIN_ID is no number of a domain.
    """
    given = os.environ.get('ROS_DOMAIN_ID', '').strip()
    return choose_domain(0 if wanted is None and not given else wanted)


def _udp_ports() -> set[int]:
    """Return the local UDP ports in use, as far as the system tells."""
    ports: set[int] = set()
    for table in ('/proc/net/udp', '/proc/net/udp6'):
        try:
            lines = Path(table).read_text(encoding='ascii').splitlines()[1:]
        except OSError:
            continue
        ports |= {int(line.split()[1].rsplit(':', 1)[1], 16) for line in lines}
    return ports


def choose_namespace(wanted: str | None, folder: Path, label: str, *, secured: bool) -> str:
    """Return the ROS namespace of a run, absolute; empty: none.

    It is the one asked for, else one of the run's own, so that runs do not meet in one ROS domain.

    Args:
        wanted: on the command line; None: not given.
        folder: of the run, which no other run has.
        label: words by which a person recognises the run.
        secured: keys protect the topics by their names, so that another namespace has none.

    Raises:
        ConfigError: it is no namespace.
    """
    if wanted is not None:
        if wanted.strip('/') and not _NAMESPACE.fullmatch(wanted):
            raise ConfigError(
                f'--namespace: expected names of letters, digits and _ with / between them, none '
                f'beginning with a digit, received {wanted!r}'
            )
        return absolute_namespace(wanted)
    if secured:
        return ''
    name = '_'.join([*re.findall('[A-Za-z0-9]+', label)[-_MOST_WORDS:], _mark(folder)])
    return f'/run_{name}' if name[0].isdigit() else f'/{name}'


def is_own_namespace(namespace: str, folder: Path) -> bool:
    """Return whether a namespace was made for the run of this folder, so that no other has it."""
    return namespace.endswith(f'_{_mark(folder)}')


def _mark(folder: Path) -> str:
    """Return what tells the run of a folder from all others, on other hosts too."""
    where = f'{socket.gethostname()}:{folder.resolve()}'
    return hashlib.sha256(where.encode(errors='surrogateescape')).hexdigest()[:6]


def absolute_namespace(namespace: str) -> str:
    """Return a namespace with its leading slash; empty stays empty."""
    return f'/{namespace.strip("/")}' if namespace.strip('/') else ''


def exit_text(code: int) -> str:
    """Return an exit code of a process in words."""
    if code >= 0:
        return f'exit code {code}'
    try:
        return f'signal {signal.Signals(-code).name}'
    except ValueError:
        return f'signal {-code}'
