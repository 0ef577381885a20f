"""Two ways to read a launch file: with the launch stack, and with what stands in for it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import patch


class Argument(NamedTuple):
    """A declared launch argument."""

    name: str
    description: str
    has_default: bool
    choices: tuple[str, ...]


class Made:
    """An object of the launch stack: what it was made with."""

    def __init__(self, *args: Any, **given: Any) -> None:
        self.args, self.given = args, given

    @property
    def kind(self) -> str:
        """Name of its class."""
        return type(self).__name__


class StandIn(ModuleType):
    """A module of the launch stack, each class of which notes what its objects are made with."""

    def __getattr__(self, name: str) -> type[Made]:
        if name.startswith('__'):
            raise AttributeError(name)
        made = type(name, (Made,), {})
        setattr(self, name, made)
        return made


MODULES = (
    'launch', 'launch.actions', 'launch.conditions', 'launch.event_handlers',
    'launch.substitutions', 'launch_ros', 'launch_ros.actions', 'launch_ros.parameter_descriptions',
    'launch_ros.substitutions',
)  # fmt: skip


def described(path: Path) -> list[Made]:
    """Return what a launch file describes, with and without the launch stack at hand."""
    modules = {name: StandIn(name) for name in MODULES}
    with patch.dict(sys.modules, modules):
        # Imported anew: what tests that have the launch stack have imported is made of it.
        sys.modules.pop('nrl_ros.launch', None)
        spec = importlib.util.spec_from_file_location('described', path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        (entities,) = module.generate_launch_description().args
    return list(entities)


def of_kind(path: Path, kind: str) -> Iterator[Made]:
    """Yield those things of a kind that a launch file describes."""
    return (entity for entity in described(path) if entity.kind == kind)


def read_stand_in(path: Path) -> list[Argument]:
    """Return the arguments that a launch file declares."""
    return [
        Argument(
            name=made.args[0],
            description=made.given.get('description', ''),
            has_default='default_value' in made.given,
            choices=tuple(made.given.get('choices') or ()),
        )
        for made in of_kind(path, 'DeclareLaunchArgument')
    ]


def read_launch(path: Path) -> list[Argument]:
    """Return the arguments that a launch file declares, as the launch stack sees them."""
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
    """Return what this machine can read launch files with.

    Asks for launch_ros: a folder called launch, as this project has, passes for a package launch.
    """
    present = importlib.util.find_spec('launch_ros') is not None
    return [read_stand_in, read_launch] if present else [read_stand_in]
