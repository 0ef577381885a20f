"""Finds and reads YAML settings files, and refuses what could be meant in two ways."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

import nrl_ros
from nrl_ros.base.errors import ConfigError, closest

PARAMETERS = 'ros__parameters'

# A file of settings is small. A larger one is another kind of file, or one whose aliases multiply.
_MOST_BYTES = 4 * 2**20
_MOST_KEYS = 20_000


class KeyTwiceError(yaml.YAMLError):
    """A file holds one setting twice, so it is not clear which of the two is meant."""


class RosLoader(yaml.SafeLoader):
    """YAML loader with ROS's rules: ``1e-3`` is a number, not a text, and each key occurs once."""

    def get_single_node(self) -> Any:
        """Return the root of the document.

        Raises:
            KeyTwiceError: a key stands twice in one mapping, or one setting is given as ``a.b`` and
                as ``a: {b: ...}``.
        """
        node = super().get_single_node()
        if node is not None:
            _Keys().check(node, '')
        return node


class _Keys:
    """Finds settings that stand twice in a document, with the lines of both."""

    def __init__(self) -> None:
        self._line: dict[str, int] = {}
        self._seen = 0

    def check(self, node: Any, prefix: str) -> None:
        if isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                self.check(item, f'{prefix}{number}.')
        if not isinstance(node, yaml.MappingNode):
            return
        here: dict[str, int] = {}
        for key, value in node.value:
            self._seen += 1
            if self._seen > _MOST_KEYS:
                raise yaml.YAMLError(f'more than {_MOST_KEYS} keys, with those that aliases repeat')
            # A merged mapping (``<<``) only gives defaults: the keys beside it may replace its
            # keys.
            if not isinstance(key, yaml.ScalarNode) or key.tag == 'tag:yaml.org,2002:merge':
                continue
            name, line = f'{prefix}{key.value}', key.start_mark.line + 1
            self._note(here, name, line)
            if not isinstance(value, yaml.MappingNode):
                self._note(self._line, name, line)
            self.check(value, f'{name}.')

    @staticmethod
    def _note(lines: dict[str, int], name: str, line: int) -> None:
        if name in lines:
            raise KeyTwiceError(
                f'key {name!r} stands twice, in line {lines[name]} and in line {line}: remove one'
            )
        lines[name] = line


RosLoader.add_implicit_resolver(
    'tag:yaml.org,2002:float',
    re.compile(r'^[-+]?(\d[\d_]*)(\.[\d_]*)?[eE][-+]?\d+$'),
    list('-+0123456789'),
)


class RosDumper(yaml.SafeDumper):
    """YAML writer that puts a text in quotes if ROS would read something else without them."""


# ROS takes y and n for true and false, and reads numbers as the C library does.
RosDumper.add_implicit_resolver(
    'tag:yaml.org,2002:float',
    re.compile(r'^([-+.]*\d.*|[-+.]?(nan|inf|infinity)|y|n)$', re.IGNORECASE | re.DOTALL),
    list('-+.0123456789yYnNiI'),
)


def one_line(value: Any) -> str:
    """Return a value of settings as YAML in one line."""
    text = yaml.dump(value, Dumper=RosDumper, default_flow_style=True, width=sys.maxsize)
    return str(text).removesuffix('\n').removesuffix('...').strip()


def config_folders() -> list[Path]:
    """Return the folders with task files: that of a checkout first, then installed ones."""
    checkout = Path(nrl_ros.__file__).resolve().parent.parent
    folders = [checkout / 'config'] if (checkout / 'msg').is_dir() else []
    prefixes = (*_paths('AMENT_PREFIX_PATH'), Path(sys.prefix))
    folders += [prefix / 'share' / 'nrl_ros' / 'config' for prefix in prefixes]
    return [folder for folder in folders if folder.is_dir()]


def find_config(task: str, group: str = '') -> Path:
    """Return the file of a task.

    Args:
        task: its name.
        group: folder below ``config`` for files of another kind, such as 'study'.

    Raises:
        ConfigError: there is no such file; the error names those that exist.
    """
    known, kind = config_files(group), group.removesuffix('s') or 'task'
    if task in known:
        return known[task]
    if task and os.path.exists(task):  # False for what can be no path, as a name that is too long
        found = 'folder' if os.path.isdir(task) else 'file'
        raise ConfigError(
            f'unknown {kind} {task!r}{closest(task, known)}; the {found} of this name is none of '
            'settings, whose names end with .yaml'
        )
    if not known:
        raise ConfigError('no task files found, the installation is not complete; see nrl doctor')
    raise ConfigError(f'unknown {kind} {task!r}{closest(task, known)}')


def config_files(group: str = '') -> dict[str, Path]:
    """Return the files of ``config`` by name, sorted; the first folder with a name counts.

    Args:
        group: folder below ``config`` for files of another kind, such as 'study'.
    """
    found: dict[str, Path] = {}
    for folder in config_folders():
        for path in (folder / group).glob('*.yaml'):
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file.

    Raises:
        ConfigError: the file is missing, too large or not YAML, or a key stands in it twice.
    """
    try:
        with path.open('rb') as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ConfigError(
                f'{path} is larger than {_MOST_BYTES} bytes: expected a file of settings'
            )
        # The parser is given bytes, because it then detects which Unicode encoding they have.
        return yaml.load(data, RosLoader)
    except OSError as error:
        raise ConfigError(f'cannot read {path}: {error.strerror}') from error
    except KeyTwiceError as error:
        raise ConfigError(f'{path}: {error}') from None
    except RecursionError:
        raise ConfigError(f'{path} is not valid YAML: it is nested too deeply') from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f'{path} is not valid YAML: {_yaml_fault(error)}') from error


def _yaml_fault(error: Exception) -> str:
    """Return in one line what the parser found, where, and what helps against the usual ones."""
    if isinstance(error, yaml.reader.ReaderError):
        return f'byte {error.position} is none of a text: expected a file of settings'
    mark = getattr(error, 'problem_mark', None)
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return ' '.join(str(error).split())
    context = f'{error.context}, ' if error.context else ''
    tab = ': indent with spaces, not with tabs' if "'\\t'" in str(error.problem) else ''
    found = f'line {mark.line + 1}, column {mark.column + 1}: {context}{error.problem}{tab}'
    return ' '.join(found.split())


def package_folders(name: str, paths: Sequence[Path] = ()) -> list[Path]:
    """Return the folders that a ROS package may be in, the most explicit first.

    Args:
        name: of the package.
        paths: folders to look in before AMENT_PREFIX_PATH and ROS_PACKAGE_PATH: packages
            themselves, or folders that hold packages, repositories of packages or an installation.
    """
    if name in ('', '.', '..'):
        return []
    found = [folder for path in paths for folder in _packages_in(path, name)]
    for prefix in _paths('AMENT_PREFIX_PATH'):
        found.append(prefix / 'share' / name)
    for path in _paths('ROS_PACKAGE_PATH'):
        found += _packages_in(path, name)
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]


def is_package(folder: Path, name: str) -> bool:
    """Return whether a folder holds the sources of a ROS package, whatever the folder's name is."""
    try:
        text = (folder / 'package.xml').read_text(errors='replace')
    except OSError:
        return False
    return re.search(rf'<name>\s*{re.escape(name)}\s*</name>', text) is not None


def _packages_in(path: Path, name: str) -> list[Path]:
    """Return where a package may be below a folder, or the folder itself if it is the package."""
    own = [path] if path.name == name or is_package(path, name) else []
    installed = [path / 'share' / name, path / name / 'share' / name]
    # A workspace's sources lie in folders of repositories, each with packages in it.
    return [*own, path / name, *installed, *sorted(path.glob(f'*/{name}'))]


def _paths(variable: str) -> list[Path]:
    return [Path(each) for each in os.environ.get(variable, '').split(os.pathsep) if each]


def cache_folder() -> Path | None:
    """Return the user's folder for files that can be made again; None if there is none."""
    named = Path(os.environ.get('XDG_CACHE_HOME', ''))
    # A relative path is invalid by the specification, and is to be ignored.
    try:
        folder = named if named.is_absolute() else Path.home() / '.cache'
    except RuntimeError:
        return None
    return folder / 'nrl_ros'
