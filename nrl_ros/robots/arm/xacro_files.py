"""Xacro files, expanded where the xacro package is installed.

Only files are expanded: a xacro file is a program, and one that comes on a topic is nobody's wish.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nrl_ros.base.errors import ConfigError, describe
from nrl_ros.robots.arm.model_files import (
    argument_text,
    holds_xacro,
    locate,
    read_model,
    unexpanded,
    why_not_located,
)

Argument = str | bool | int | float


def model_text(
    path: Path, arguments: Mapping[str, Argument] | None = None, packages: Sequence[Path] = ()
) -> str:
    """Return the text of a model's file, expanded if it is a xacro file and xacro is installed.

    Args:
        path: of the file.
        arguments: values of its ``xacro:arg``, by name.
        packages: folders in which packages are looked for first.

    Raises:
        ConfigError: it cannot be read, is a xacro file that cannot be expanded, or is none and
            arguments are given.
    """
    text = read_model(path)
    if not holds_xacro(text):
        if arguments:
            raise ConfigError(
                f'xacro_arguments are given, and {path} is no xacro file: remove them'
            )
        return text
    try:
        import xacro
    except ImportError:
        raise unexpanded(str(path), arguments) from None
    values = {name: argument_text(value) for name, value in (arguments or {}).items()}
    try:
        with _packages_found(path, packages) as missing:
            return str(xacro.process_file(str(path), mappings=values).toxml())
    # It evaluates expressions of Python, so that an error may be of any kind.
    except Exception as error:  # noqa: BLE001
        why = missing[0] if missing else _of_arguments(describe(error))
        raise unexpanded(str(path), arguments, why=why) from None


def _of_arguments(why: str) -> str:
    """Return how an argument without a value is given, or the reason as it is."""
    found = re.search(r'Undefined substitution argument (\w+)', why)
    if found is None:
        return why
    name = found[1]
    return (
        f'its argument {name} has no value: {name}: VALUE in xacro_arguments, --xacro '
        f'{name}:=VALUE with `nrl robot new`'
    )


@contextmanager
def _packages_found(path: Path, packages: Sequence[Path]) -> Iterator[list[str]]:
    """Let ``$(find PACKAGE)`` find what ``package://`` finds, not only installed packages.

    Yields:
        What is said of packages that are not found: xacro tells an error again in each file.
    """
    from xacro import substitution_args

    functions: dict[str, Any] = vars(substitution_args)
    usual = functions.get('_eval_find')
    missing: list[str] = []

    def found(package: str) -> str:
        name = f'package://{package}'
        folder = locate(name, path.parent, packages)
        if folder is None:
            missing.append(f'$(find {package}): {why_not_located(name, path.parent, packages)}')
            raise ConfigError(missing[-1])
        return str(folder)

    functions['_eval_find'] = found
    try:
        yield missing
    finally:
        functions['_eval_find'] = usual
