"""Finds the environment of an id: a registered one, ``MODULE:ID``, or ``FILE.py:NAME``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

from nrl_ros.base.errors import BridgeError, describe
from nrl_ros.base.part_files import is_file_name, load_part
from sim_bridge.gymnasium_options import GymnasiumOptions


def spec_of(options: GymnasiumOptions) -> Any:
    """Return Gymnasium's description of an environment, without making it.

    Raises:
        BridgeError: there is no such id, or its module cannot be imported.
        ConfigError: its file is missing or cannot be run, or has no such name.
    """
    name = options.id
    if is_file_name(name):
        return _in_file(name)
    module, _, rest = name.rpartition(':')
    if module:
        _import(module, name, Path(options.folder or '.').resolve())
    try:
        return gymnasium.spec(rest)
    except (gymnasium.error.Error, ImportError) as error:
        said = str(error).rstrip('.')
        raise BridgeError(
            f'Gymnasium does not know {name!r} ({said}); if another package brings it, '
            'install that and write the id as PACKAGE:ID'
        ) from error


def to_make(options: GymnasiumOptions) -> Any:
    """Return what ``gymnasium.make`` is given for an id, with its module imported."""
    spec = spec_of(options)
    return spec if is_file_name(options.id) else options.id


def _in_file(name: str) -> Any:
    entry = load_part(name, 'environment')
    if not callable(entry):
        raise BridgeError(
            f'environment {name!r} is a {type(entry).__name__}, expected a class of gymnasium.Env, '
            'or a function that returns one'
        )
    return EnvSpec(id=getattr(entry, '__name__', 'environment'), entry_point=entry)


def _import(module: str, name: str, folder: Path) -> None:
    """Import the module that registers an id, from where Python looks or from a folder."""
    if str(folder) not in sys.path:
        # Last, so that it hides no installed module.
        sys.path.append(str(folder))
        importlib.invalidate_caches()
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f'{module}.'.startswith(f'{error.name}.'):
            raise BridgeError(
                f'{name!r}: module {module!r} needs {error.name!r}, which is not installed'
            ) from error
        raise BridgeError(
            f'Gymnasium does not know {name!r}: there is no module {module!r}, installed or in '
            f'{folder}; install it, or name the folder that it is in with bridge.options.folder'
        ) from error
    except Exception as error:
        raise BridgeError(
            f'{name!r}: module {module!r} cannot be imported: {describe(error)}'
        ) from error
