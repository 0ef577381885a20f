"""Finds parts in plain Python files, which are named ``FOLDER/FILE.py:NAME``."""

from __future__ import annotations

import hashlib
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from nrl_ros.base.errors import ConfigError, closest, describe

_FILE_NAME = re.compile(r'(?P<path>.+\.py):(?P<part>[^:/\\]*)', re.DOTALL)


def is_file_name(name: str) -> bool:
    """Return True if a name is that of a part in a file, such as ``./my_rule.py:CoarseImpact``."""
    return name.endswith('.py') or _FILE_NAME.fullmatch(name) is not None


def absolute_name(name: str) -> str:
    """Return the name of a part in a file with the absolute path; any other name unchanged.

    Settings hold this form, so that nodes that run elsewhere find the file, and a run says which
    file it was.
    """
    match = _FILE_NAME.fullmatch(name)
    if match is None:
        return name
    return f'{Path(match["path"]).expanduser().resolve()}:{match["part"]}'


def file_of(name: str) -> Path | None:
    """Return the file that a name refers to; None if it is not the name of a part in a file."""
    match = _FILE_NAME.fullmatch(name)
    return None if match is None else Path(match['path'])


def load_part(name: str, what: str) -> Any:
    """Return what a file has under a name. The file is run again only if it has changed.

    Args:
        name: ``FOLDER/FILE.py:NAME``.
        what: the kind of part, for error texts.

    Raises:
        ConfigError: the file is missing or cannot be run, or has no such name.
    """
    match = _FILE_NAME.fullmatch(name)
    if match is None or not match['part']:
        raise ConfigError(f'{what} {name!r}: expected FILE.py:NAME, a file and a name in it')
    path, part = Path(match['path']).expanduser().resolve(), match['part']
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f'{what} {name!r}: cannot read {path}: {error.strerror}; a path is relative to the '
            'folder that the command is started in'
        ) from error
    module = _module(path, content, f'{what} {name!r}')
    if not hasattr(module, part):
        raise ConfigError(f'{what} {name!r}: {path.name} has no {part!r}{_offer(module, part)}')
    return getattr(module, part)


def _offer(module: ModuleType, part: str) -> str:
    """Return which names of a file may have been meant: the classes and functions made in it."""
    own = [
        key
        for key, value in vars(module).items()
        if getattr(value, '__module__', None) == module.__name__ and callable(value)
    ]
    return closest(part, own)


def _module(path: Path, content: bytes, source: str) -> ModuleType:
    # The name depends on the content: a notebook that changes the file gets the new one.
    digest = hashlib.sha256(str(path).encode() + b'\0' + content).hexdigest()[:16]
    module_name = f'{path.stem}_{digest}'
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None  # the name ends with .py
    module = module_from_spec(spec)
    folder = str(path.parent)
    if folder not in sys.path:
        # Last, so that a file beside it is found and hides no installed module.
        sys.path.append(folder)
    # Dataclasses look their module up while it is run.
    sys.modules[module_name] = module
    try:
        exec(compile(content, str(path), 'exec'), vars(module))  # noqa: S102 - the user's own file
    except BaseException as error:
        del sys.modules[module_name]
        if not isinstance(error, Exception):
            raise
        raise ConfigError(f'{source}: {path.name} cannot be run: {describe(error)}') from error
    return module
