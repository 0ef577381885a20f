"""What a machine or its terminal sets that keeps ROS 2 from running, and what is set in its place.

Only the standard library is imported, since this runs before anything else is sure to be there.
"""

from __future__ import annotations

import codecs
import contextlib
import importlib.util
import io
import os
import re
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from nrl_ros.base.errors import ConfigError

MAX_DOMAIN = 232
# Names the places of a ROS 2 that was left aside, for the processes that are started after it was.
LEFT_ASIDE = 'NRL_LEFT_ASIDE'
# The wheels of ROS 2 start each Python anew with their libraries, unless this is set.
_BOOTSTRAPPED = '_ROS_WHEELS_BOOTSTRAP_COMPLETE'
# What shows that an entry of a variable belongs to a ROS 2.
_MARKS = {
    'PYTHONPATH': 'rclpy/__init__.py',
    'LD_LIBRARY_PATH': 'librcl.so',
    'AMENT_PREFIX_PATH': 'share/rclpy',
    'CMAKE_PREFIX_PATH': 'share/rclpy',
}
_DESCRIBES = ('ROS_DISTRO', 'ROS_VERSION', 'ROS_PYTHON_VERSION')
_LOOPBACK = '127.0.0.1'
_LOOPBACK_S = 0.5
# Names of matplotlib's backends that are no module of its own.
_BACKENDS = ('notebook', 'inline', 'widget', 'ipympl')

Variables = Mapping[str, str]


def check_domain(text: str) -> int:
    """Return the number of a ROS domain.

    Args:
        text: value of ROS_DOMAIN_ID.

    Raises:
        ConfigError: it is not a number that ROS 2 has ports for.
    """
    # Text such as '²' is a digit to Python and to nobody else.
    if not re.fullmatch('[0-9]+', text.strip()) or int(text) > MAX_DOMAIN:
        raise ConfigError(
            f'ROS_DOMAIN_ID must be a whole number from 0 to {MAX_DOMAIN}, received {text!r}; '
            'unset it, or export ROS_DOMAIN_ID=<0..101>'
        )
    return int(text)


def without_other_ros(environment: Variables, prefix: Path) -> tuple[dict[str, str], list[str]]:
    """Return the environment without a ROS 2 that does not belong to this Python, and its places.

    A virtual environment with ROS 2 wheels would load the messages and libraries of another ROS 2
    that was sourced, and break in its imports. Workspaces that hold no ROS 2 stay.

    Args:
        environment: of the process.
        prefix: of this Python; without wheels in it, nothing is left aside.
    """
    kept = dict(environment)
    places: list[str] = []
    if not (prefix / 'share/rclpy').is_dir():
        return kept, places
    for name, mark in _MARKS.items():
        entries = kept.get(name, '').split(os.pathsep)
        other = [entry for entry in entries if entry and _is_other(Path(entry), mark, prefix)]
        if other:
            places += other
            kept[name] = os.pathsep.join(entry for entry in entries if entry not in other)
            if not kept[name]:
                del kept[name]
    if places:
        for name in (*_DESCRIBES, _BOOTSTRAPPED):
            kept.pop(name, None)
    return kept, places


def _is_other(entry: Path, mark: str, prefix: Path) -> bool:
    return (entry / mark).exists() and not entry.resolve().is_relative_to(prefix.resolve())


def leave_other_ros_aside() -> None:
    """Start this program anew if another ROS 2 is sourced, since libraries are found at the start.

    ``NRL_LEFT_ASIDE`` then says where the other one is.
    """
    kept, places = without_other_ros(os.environ, Path(sys.prefix))
    if places and LEFT_ASIDE not in os.environ:
        sys.stdout.flush()
        kept[LEFT_ASIDE] = os.pathsep.join(dict.fromkeys(places))
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], kept)


def log_variables(environment: Variables) -> dict[str, str]:
    """Return where ROS and matplotlib may write, if the home folder does not let them.

    Args:
        environment: of the process.

    Raises:
        ConfigError: a folder that was asked for cannot be written.
    """
    asked = next((name for name in ('ROS_LOG_DIR', 'ROS_HOME') if environment.get(name)), '')
    if asked:
        folder = Path(environment[asked]).expanduser()
        if not _writable(folder):
            raise ConfigError(f'{asked}={folder} cannot be written: name a folder of yours')
    home = environment.get('HOME', '')
    spare = Path(tempfile.gettempdir(), f'nrl_ros_{os.getuid()}')
    found = {}
    if not asked and not (home and _writable(Path(home, '.ros/log'))):
        found['ROS_LOG_DIR'] = str(spare / 'log')
    if not environment.get('MPLCONFIGDIR') and not (
        home and _writable(Path(environment.get('XDG_CONFIG_HOME') or Path(home, '.config')))
    ):
        found['MPLCONFIGDIR'] = str(spare / 'matplotlib')
    return found


def _writable(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        return os.access(folder, os.W_OK | os.X_OK)
    return False


def unusable_backend(environment: Variables, installed: Callable[[str], object]) -> bool:
    """Return whether MPLBACKEND names what draws in another program, such as a notebook's kernel.

    matplotlib refuses to be imported then.

    Args:
        environment: of the process.
        installed: looks for a module by its name; a false value or ModuleNotFoundError: none.
    """
    name = environment.get('MPLBACKEND', '')
    if not name or name.lower() in _BACKENDS:
        return False
    module = name.removeprefix('module://')
    if module == name:
        module = f'matplotlib.backends.backend_{name.lower()}'
    try:
        return not installed(module)
    except ModuleNotFoundError:
        return True


def prepare_pictures() -> None:
    """Let matplotlib draw into files if what MPLBACKEND names is not here."""
    if unusable_backend(os.environ, _find_file):
        os.environ['MPLBACKEND'] = 'Agg'


def _find_file(module: str) -> bool:
    """Look for a module without importing the packages above it, which may take a second."""
    top, _, below = module.partition('.')
    spec = importlib.util.find_spec(top)
    if spec is None or not below:
        return spec is not None
    path = below.replace('.', os.sep)
    folders = [Path(folder, path) for folder in spec.submodule_search_locations or ()]
    return any(folder.with_suffix('.py').exists() or folder.is_dir() for folder in folders)


def loopback_fault() -> str:
    """Return why a datagram of this machine does not reach itself, '' if it does."""
    try:
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as here:
            here.settimeout(_LOOPBACK_S)
            here.bind((_LOOPBACK, 0))
            here.sendto(b'nrl', here.getsockname())
            here.recv(8)
    except OSError as error:
        return str(error.strerror or error)
    return ''


def check_loopback() -> None:
    """Check that processes of this machine can reach each other.

    Raises:
        ConfigError: a datagram does not arrive.
    """
    fault = loopback_fault()
    if fault:
        raise ConfigError(
            f'the loopback device does not carry messages ({fault}), so the nodes would not find '
            'each other: `sudo ip link set lo up`; in a container, give it a network'
        )


def print_what_fits() -> None:
    """Let the output have in ASCII what the encoding of the terminal has no sign for."""
    codecs.register_error('nrl_plain', plain_text)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='nrl_plain')


def plain_text(error: UnicodeError) -> tuple[str, int]:
    """Write what an encoding has no sign for in ASCII: an error handler of ``codecs``."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return ''.join(_PLAIN.get(sign, '?') for sign in text), error.end


_PLAIN = {
    '–': '-', '—': '-', '−': '-', '→': '->', '←': '<-', '±': '+-', '·': '*', '×': 'x', '≥': '>=',
    '≤': '<=', '≈': '~', '…': '...', '∞': 'inf', '²': '^2', '°': ' deg', 'σ': 'sigma', 'η': 'eta',
    'δ': 'delta', '▁': '_', '▂': '_', '▃': '.', '▄': '-', '▅': '-', '▆': '=', '▇': '=', '█': '#',
    '━': '-', '╸': '-', '╺': '-', '│': '|', '─': '-', '╭': '+', '╮': '+', '╰': '+', '╯': '+',
    'ä': 'ae', 'ö': 'oe', 'ü': 'ue', 'Ä': 'Ae', 'Ö': 'Oe', 'Ü': 'Ue', 'ß': 'ss', 'µ': 'u',
    '“': '"', '”': '"', '‘': "'", '’': "'",
}  # fmt: skip
