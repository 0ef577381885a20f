"""Xacro files, expanded where the xacro package is installed.

Only files are expanded: a xacro file is a program, and one that comes on a topic is nobody's wish.
"""

from __future__ import annotations

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
        with _packages_found(path, packages):
            return str(xacro.process_file(str(path), mappings=values).toxml())
    # It evaluates expressions of Python, so that an error may be of any kind.
    except Exception as error:  # noqa: BLE001
        raise unexpanded(str(path), arguments, why=describe(error)) from None


@contextmanager
def _packages_found(path: Path, packages: Sequence[Path]) -> Iterator[None]:
    """Let ``$(find PACKAGE)`` find what ``package://`` finds, not only installed packages."""
    from xacro import substitution_args

    functions: dict[str, Any] = vars(substitution_args)
    usual = functions.get('_eval_find')

    def found(package: str) -> str:
        name = f'package://{package}'
        folder = locate(name, path.parent, packages)
        if folder is None:
            raise ConfigError(f'$(find {package}): {why_not_located(name, path.parent, packages)}')
        return str(folder)

    functions['_eval_find'] = found
    try:
        yield
    finally:
        functions['_eval_find'] = usual
