"""Records the parts that lie in plain files with a run: copies, from which it can be repeated."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nrl_ros.base.part_files import file_of
from nrl_ros.base.settings import flatten
from nrl_ros.cli.runs import Run
from nrl_ros.settings.run import MODELS, RunSettings

_FOLDER = 'parts'


def part_files(settings: RunSettings) -> list[Path]:
    """Return the files of all parts that are named as ``FILE.py:NAME``, each once."""
    values = (value for name in MODELS for value in flatten(getattr(settings, name)).values())
    found = (file_of(text) for value in values for text in _texts(value))
    return list(dict.fromkeys(file for file in found if file is not None))


def keep_parts(run: Run, settings: RunSettings) -> None:
    """Copy the files of parts into the folder of a run, as they are at its start."""
    for number, (path, copy) in enumerate(_copies(run, settings)):
        if not number:
            copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, copy)


def changed_parts(run: Run, settings: RunSettings) -> list[str]:
    """Return a sentence for each file of a part that is not what the run was started with."""
    return [
        f'{path} has changed since the run was started; {copy} is how it was then'
        for path, copy in _copies(run, settings)
        if copy.is_file() and path.is_file() and path.read_bytes() != copy.read_bytes()
    ]


def _copies(run: Run, settings: RunSettings) -> Iterator[tuple[Path, Path]]:
    """Yield each file with the path of its copy; files of one name are numbered."""
    taken: set[str] = set()
    for path in part_files(settings):
        name, number = path.name, 1
        while name in taken:
            number += 1
            name = f'{path.stem}_{number}{path.suffix}'
        taken.add(name)
        yield path, run.folder / _FOLDER / name


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
