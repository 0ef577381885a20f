"""Run folders: where they are, what they contain, and how they are read and written."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nrl_ros import __version__
from nrl_ros.base.errors import CheckpointError, NrlError
from nrl_ros.base.installed import versions_of
from nrl_ros.storage.bag_metadata import is_empty
from nrl_ros.storage.checkpoint import SUFFIX, read_checkpoint
from nrl_ros.storage.files import written_whole

# Files of a start wait here until the run has begun.
STARTING = '.starting'
_PACKAGES = ('numpy', 'pydantic', 'msgpack', 'gymnasium', 'typer', 'rich', 'rclpy', 'ros-rclpy')


# The first line of a run's config.yaml names the task, as in `... of RUN: reaching, from PATH.`
_ORIGIN = re.compile(r'^# Resolved settings of .*?: (.+?), from ')


class RunError(NrlError):
    """A run folder is missing or damaged, or lacks what was asked for."""


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
        folder: absolute path.
    """

    folder: Path

    @property
    def config(self) -> Path:
        """Resolved settings in ROS parameter format."""
        return self.folder / 'config.yaml'

    @property
    def metrics(self) -> Path:
        """One row per finished episode."""
        return self.folder / 'metrics.csv'

    @property
    def progress(self) -> Path:
        """Figures of all nodes, about twice a second."""
        return self.folder / 'progress.csv'

    @property
    def summary(self) -> Path:
        """Result of the run."""
        return self.folder / 'summary.json'

    @property
    def picture(self) -> Path:
        """Learning curve."""
        return self.folder / 'learning_curve.png'

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.folder / 'checkpoints'

    @property
    def best(self) -> Path:
        """The learner's checkpoint after which the returns were highest; not always the newest."""
        return self.checkpoints / f'best{SUFFIX}'

    @property
    def candidate(self) -> Path:
        """A checkpoint that may become the best one, while the run goes on."""
        return self.checkpoints / f'candidate{SUFFIX}'

    @property
    def log(self) -> Path:
        """Folder of the nodes' output."""
        return self.folder / 'log'

    def best_checkpoint(self) -> Path:
        """Return the file of the best checkpoint.

        Raises:
            RunError: the run has kept none.
        """
        if not self.best.is_file():
            raise RunError(
                f'{self.folder} has no best checkpoint: nrl train keeps one after 100 episodes, '
                'nrl arm after 20'
            )
        return self.best

    def read_summary(self) -> dict[str, Any]:
        """Return the summary; empty if the run has none (still running, or killed).

        Raises:
            RunError: the file is damaged.
        """
        if not self.summary.is_file():
            return {}
        try:
            return dict(json.loads(self.summary.read_text(encoding='utf-8')))
        except (ValueError, TypeError) as error:
            raise RunError(f'{self.summary} is damaged: {error}') from error

    def write_summary(self, data: Mapping[str, Any]) -> None:
        """Write the summary in one piece."""
        write_json(self.summary, data)

    @property
    def namespace(self) -> str:
        """ROS namespace that the run had; empty if none was kept.

        Raises:
            RunError: the file is damaged.
        """
        path = self.folder / 'ros.json'
        if not path.is_file():
            return ''
        try:
            return str(json.loads(path.read_text(encoding='utf-8')).get('namespace') or '')
        except (ValueError, AttributeError) as error:
            raise RunError(f'{path} is damaged: {error}') from error

    @property
    def task(self) -> str:
        """Name of the task: of the summary, or of the settings, or else from the folder's name."""
        task = self.read_summary().get('task') or self._first_words()
        return str(task) if task else re.sub(r'-\d{8}-\d{6}.*$', '', self.folder.name)

    def _first_words(self) -> str:
        """Return the task's name from the first line of the settings; '' if it has none."""
        try:
            with self.config.open(encoding='utf-8') as file:
                found = _ORIGIN.search(file.readline())
        except OSError:
            return ''
        return found[1] if found else ''


def create_run(root: Path, task: str, seed: int, *, folder: Path | None = None) -> Run:
    """Make an empty run folder: ``root/<task>-<YYYYmmdd-HHMMSS>-s<seed>``, or ``folder`` itself.

    Raises:
        RunError: the folder cannot be made, or already holds a run.
    """
    if folder is None:
        base = root / f'{task}-{time.strftime("%Y%m%d-%H%M%S")}-s{seed}'
        folder, number = base, 1
        while folder.exists():
            number += 1
            folder = base.with_name(f'{base.name}-{number}')
    run = Run(folder.resolve())
    if run.config.exists():
        raise RunError(f'{folder} already holds a run; choose another folder or --resume it')
    if folder.is_dir() and not _is_unused(run):
        raise RunError(f'{folder} is not empty; choose a new folder for the run')
    try:
        for part in (run.checkpoints, run.log):
            part.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f'cannot make the run folder {folder}: {error.strerror}') from error
    return run


def _is_unused(run: Run) -> bool:
    """Return True if a folder holds no more than a start leaves that has failed or was killed."""
    for path in run.folder.iterdir():
        if path == run.log:
            unused = all(one.suffix == '.log' for one in path.glob('*'))
        elif path == run.checkpoints:
            unused = all(one.name.startswith('.') for one in path.glob('*'))
        else:
            unused = path.name in (STARTING, '.start.lock') or path.name.startswith('recording')
        if not unused:
            return False
    return True


def open_run(folder: Path) -> Run:
    """Open an existing run folder.

    Raises:
        RunError: it does not exist or is not a run folder.
    """
    _check_is_folder(folder)
    run = Run(folder.resolve())
    if not run.config.is_file():
        raise RunError(f'{folder} is not a run folder: it has no config.yaml')
    return run


def _check_is_folder(folder: Path) -> None:
    if folder.is_file():
        raise RunError(f'{folder} is a file, expected the folder of a run')
    if not folder.is_dir():
        raise RunError(f'there is no run folder {folder}')


def check_can_write(path: Path) -> None:
    """Refuse a file that could not be written, before the work whose result it is to hold.

    Raises:
        RunError: its folder is missing or not writable, or a folder stands in its place.
    """
    folder = path.parent
    if path.is_dir():
        raise RunError(f'{path} is a folder, expected a file to write')
    if not folder.is_dir():
        raise RunError(f'{path} cannot be written: there is no folder {folder}')
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise RunError(f'{path} cannot be written: permission denied')


def recording_of(path: Path) -> Path:
    """Return the newest recording with messages of a run's folder, or the path itself."""
    if (path / 'config.yaml').is_file():
        found = sorted(path.glob('recording*'), key=lambda one: (len(one.name), one.name))
        if not found:
            raise RunError(f'{path} holds no recording: run it with --record')
        return next((one for one in reversed(found) if not is_empty(one)), found[-1])
    return path


class Saved(NamedTuple):
    """Checkpoint files of one moment; the environment's may be missing."""

    number: int
    learner: Path
    environment: Path | None


# Kinds of files with the state of an environment: of its node, and of the whole loop on a device.
OF_NODE, OF_DEVICE = 'environment', 'device'


def saved_states(run: Run, agent: str, kind: str = OF_NODE) -> list[Saved]:
    """Return the learner's checkpoints, oldest first, each with its environment's if it exists.

    Args:
        run: the run.
        agent: name of its agent.
        kind: of the environment's files.
    """
    learners = _numbered(run.checkpoints, 'learner')
    environments = _numbered(run.checkpoints, f'{kind}_{agent}')
    return [Saved(n, path, environments.get(n)) for n, path in sorted(learners.items())]


def newest(
    run: Run,
    agent: str,
    *,
    exact: bool = False,
    kind: str = OF_NODE,
    skipped: Callable[[CheckpointError], None] | None = None,
) -> Saved:
    """Return the newest checkpoint that can be read.

    Args:
        run: the run.
        agent: name of its agent.
        exact: only those that hold the state of the environment too.
        kind: of the environment's files.
        skipped: told of each newer one that is damaged.

    Raises:
        RunError: there is none.
    """
    for state in reversed(saved_states(run, agent, kind)):
        try:
            read_checkpoint(state.learner, 'learner')
            if state.environment is not None:
                read_checkpoint(state.environment, kind)
        except CheckpointError as error:
            if skipped is not None:
                skipped(error)
            continue
        if state.environment is not None or not exact:
            return state
    if not exact:
        raise RunError(f'{run.checkpoints} has no readable checkpoint: nothing to load')
    raise RunError(
        f'{run.checkpoints} has no checkpoint with the state of the environment, which is kept '
        'every learner.checkpoint.period_s while a run goes on, and not at its end: leave --exact '
        'away to continue from the newest checkpoint'
    )


def _numbered(folder: Path, name: str) -> dict[int, Path]:
    pattern = re.compile(rf'{re.escape(name)}_(\d+){re.escape(SUFFIX)}')
    found = {}
    for path in folder.glob(f'{name}_*{SUFFIX}'):
        match = pattern.fullmatch(path.name)
        if match:
            found[int(match[1])] = path
    return found


def write_whole(path: Path, text: str) -> None:
    """Write a text so that a reader sees the old file or the new one, never half of it."""
    with (
        written_whole(path) as temporary,
        temporary.open('w', newline='', encoding='utf-8') as file,
    ):
        file.write(text)


def json_text(data: Mapping[str, Any]) -> str:
    """Return data as the files of a run hold it."""
    return json.dumps(data, indent=2) + '\n'


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write data as the files of a run hold it, whole or not at all."""
    write_whole(path, json_text(data))


def versions() -> dict[str, Any]:
    """Return the versions of everything that a run is made with."""
    found: dict[str, Any] = {'nrl_ros': __version__, **versions_of(_PACKAGES)}
    for name in ('ROS_DISTRO', 'RMW_IMPLEMENTATION'):
        found[name] = os.environ.get(name, '')
    found |= {'platform': platform.platform(), 'cores': os.cpu_count(), 'command': sys.argv}
    found['commit'] = _commit()
    return found


def _commit() -> str:
    """Return the commit of the checkout that holds this code, or an empty text outside of one."""
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ['git', '-C', str(here), 'rev-parse', '--short', 'HEAD'],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ''
    return done.stdout.strip() if done.returncode == 0 else ''


def where_nodes_are(folder: Path, domain: int | None, namespace: str | None) -> tuple[int, str]:
    """Return the ROS domain and the namespace of the nodes of a run.

    Args:
        folder: of the run.
        domain: None: what the folder says.
        namespace: None: what the folder says.

    Raises:
        RunError: the folder does not say it, or there is none.
    """
    _check_is_folder(folder)
    path = folder / 'ros.json'
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
        own = int(found['ROS_DOMAIN_ID']), str(found['namespace'])
    except (OSError, ValueError, LookupError, TypeError) as error:
        why = 'is not there' if isinstance(error, FileNotFoundError) else f'is damaged: {error}'
        raise RunError(
            f'{path}, which says where the nodes of a run are, {why}: name a folder of nrl train '
            'or nrl arm, or --domain-id and --namespace without a folder'
        ) from error
    return own[0] if domain is None else domain, own[1] if namespace is None else namespace
