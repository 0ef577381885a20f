"""Two ways to read a launch file: by the launch stack and, where that is absent, by its syntax."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple


class Argument(NamedTuple):
    """A declared launch argument."""

    name: str
    description: str
    has_default: bool
    choices: tuple[str, ...]


def calls(path: Path, function: str) -> Iterator[ast.Call]:
    """All calls of a function by that name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == function:
            yield node


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    """Keyword arguments of a call."""
    return {item.arg: item.value for item in call.keywords if item.arg is not None}


def tables(path: Path) -> dict[str, ast.expr]:
    """What is assigned to names in capitals at the top of a launch file."""
    return {
        ast.unparse(node.targets[0]): node.value
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).isupper()
    }


def read_table(path: Path) -> list[Argument]:
    """Arguments declared from a table ARGUMENTS of defaults and descriptions, and one LIMITED."""
    found = tables(path)
    table, limited = found['ARGUMENTS'], ast.literal_eval(found['LIMITED'])
    assert isinstance(table, ast.Dict)
    arguments = []
    for key, value in zip(table.keys, table.values, strict=True):
        assert key is not None and isinstance(value, ast.Tuple)
        _, description = value.elts
        name = ast.literal_eval(key)
        arguments.append(
            Argument(name, ast.literal_eval(description), True, tuple(limited.get(name, ())))
        )
    return arguments


def read_syntax(path: Path) -> list[Argument]:
    """The arguments a launch file declares, from its syntax tree."""
    if 'ARGUMENTS' in tables(path):
        return read_table(path)
    arguments = []
    for call in calls(path, 'DeclareLaunchArgument'):
        given = keywords(call)
        arguments.append(
            Argument(
                name=ast.literal_eval(call.args[0]),
                description=ast.literal_eval(given.get('description', ast.Constant(''))),
                has_default='default_value' in given,
                choices=tuple(ast.literal_eval(given.get('choices', ast.Tuple([], ast.Load())))),
            )
        )
    return arguments


def read_launch(path: Path) -> list[Argument]:
    """The arguments a launch file declares, as the launch stack sees them."""
    from launch.actions import DeclareLaunchArgument
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    description = get_launch_description_from_python_launch_file(str(path))
    return [
        Argument(
            name=entity.name,
            description=entity.description,
            has_default=entity.default_value is not None,
            choices=tuple(entity.choices or ()),
        )
        for entity in description.entities
        if isinstance(entity, DeclareLaunchArgument)
    ]


def readers() -> list[Callable[[Path], list[Argument]]]:
    """What this machine can read launch files with.

    Asks for launch_ros: a folder called launch, as this project has, passes for a package launch.
    """
    present = importlib.util.find_spec('launch_ros') is not None
    return [read_syntax, read_launch] if present else [read_syntax]
