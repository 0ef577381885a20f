"""Check the needed Python packages, so that an unsuitable one gives one line and no traceback.

Only the standard library is imported, so that the check also works where all others are too old.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import sys
from collections.abc import Iterable

# The oldest version that works; requirements/run.txt has the same.
NEEDED = {
    'gymnasium': (1, 1),
    'matplotlib': (3, 8),
    'msgpack': (1, 0),
    'numpy': (1, 26),
    'pillow': (9,),
    'pydantic': (2, 6),
    'PyYAML': (6,),
    'rich': (13,),
    'typer': (0, 12),
}
# The first version that does not work any more.
_BELOW = {'gymnasium': 2, 'pydantic': 3}
# Every node imports these, whatever its settings are.
NODES = ('msgpack', 'numpy', 'pydantic', 'PyYAML')
# Every command prints with these, `nrl doctor` too.
SCREEN = ('rich', 'typer')


class Unsuitable(Exception):  # noqa: N818 - not an error of the program
    """A package is missing or has another version than the needed one; the text says which."""


def wanted(name: str) -> str:
    """Return the requirement of a package in pip's notation."""
    return f'{name}>={".".join(map(str, NEEDED[name]))}' + (
        f',<{_BELOW[name]}' if name in _BELOW else ''
    )


def version(name: str) -> str:
    """Return the version of an installed package.

    Raises:
        Unsuitable: it is not installed.
    """
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        raise Unsuitable('not installed') from None


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python and of these packages by name, without those not installed."""
    found = {'python': platform.python_version()}
    for name in names:
        with contextlib.suppress(Unsuitable):
            found[name] = version(name)
    return found


def suitable(name: str) -> str:
    """Return the version of a needed package.

    Raises:
        Unsuitable: it is not installed, too old, or too new.
    """
    found = version(name)
    numbers = []
    for part in found.split('.'):
        if not part.isdigit():
            break
        numbers.append(int(part))
    if tuple(numbers) < NEEDED[name] or numbers[0] >= _BELOW.get(name, sys.maxsize):
        raise Unsuitable(f'{found}, wanted {wanted(name)}')
    return found


def _fault(name: str) -> str:
    try:
        suitable(name)
    except Unsuitable as fault:
        return str(fault)
    return ''


def require(names: Iterable[str]) -> None:
    """Check that these packages are installed in suitable versions, and end the program otherwise.

    Raises:
        SystemExit: one line that names each that does not, and how to mend it; exit code 1.
    """
    faults = {name: fault for name in NEEDED if (fault := _fault(name))}
    asked = [f'{name} ({faults[name]})' for name in names if name in faults]
    if not asked:
        return
    # The command installs everything that is missing, so that the user need not run it twice.
    install = 'python3 -m pip install ' + ' '.join(f'"{wanted(name)}"' for name in faults)
    # pip must not change the Python of the operating system, and newer systems refuse it.
    venv = (
        'python3 -m venv --system-site-packages ~/nrl_venv && . ~/nrl_venv/bin/activate && '
        if sys.prefix == sys.base_prefix
        else ''
    )
    sys.exit(
        f'error: {", ".join(asked)} in {sys.prefix}; to mend it: {venv}{install} '
        '(docs/installed_ros.md)'
    )
