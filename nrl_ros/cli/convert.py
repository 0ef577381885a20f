"""The command ``nrl convert``: a recording as tables with named columns."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError
from nrl_ros.cli.display import Say
from nrl_ros.cli.runs import recording_of
from nrl_ros.storage.recordings import Recording
from nrl_ros.storage.tables import CsvTables, ParquetTables

if TYPE_CHECKING:
    from nrl_ros.cli.replay_life import LifeReplay
    from nrl_ros.learning.tracing import StepTraces, Tracer

Tables = ParquetTables | CsvTables
FORMS: dict[str, Callable[[Path], Tables]] = {'parquet': ParquetTables, 'csv': CsvTables}
_ROWS = 5_000


@dataclass(frozen=True)
class TraceOptions:
    """What of the learner's own traces is written too.

    Attributes:
        instances: of each environment; empty: all.
        weights_every: updates between two copies of the weights; 0: none.
    """

    instances: Sequence[int] = ()
    weights_every: int = 0


def chosen_instances(text: str) -> tuple[int, ...]:
    """Return the instances that ``--traces`` names, as in 0,3 or all.

    Raises:
        ConfigError: it names none.
    """
    if text == 'all':
        return ()
    try:
        found = tuple(int(part) for part in text.split(','))
    except ValueError:
        found = (-1,)
    if min(found) < 0:
        raise ConfigError(f'--traces: expected all, or instances as in 0,3, received {text!r}')
    return found


def convert(
    path: Path, form: str, out: Path | None, say: Say, traces: TraceOptions | None = None
) -> Path:
    """Write the tables of a recording.

    Args:
        path: folder or file of a recording, or folder of a recorded run.
        form: parquet or csv.
        out: folder of the tables; None: ``tables`` beside the files of the recording.
        say: gets a line for each table, and for what could not be converted.
        traces: what the learner computed in each step, which is learned again for it; None: none.

    Returns:
        The folder of the tables.

    Raises:
        NrlError: there is no recording, it is damaged, or a package is missing.
    """
    if form not in FORMS:
        raise ConfigError(f'--to: expected one of {", ".join(FORMS)}, received {form!r}')
    recording = Recording(recording_of(path))
    folder = out or recording.folder / 'tables'
    scratch = folder / f'.writing.{os.getpid()}'
    # A missing package is told before anything is made.
    files = FORMS[form](scratch)
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    scratch.mkdir()
    try:
        try:
            said = _convert(recording, files)
            if traces is not None:
                said += _convert_traces(path, files, scratch, traces)
        finally:
            files.close()
        for file in scratch.iterdir():
            file.replace(folder / file.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if fresh and not any(folder.iterdir()):
            folder.rmdir()
    for table, rows in files.rows.items():
        say(f'{folder / table}.{form}: {rows:,} rows')
    if not files.rows:
        say(f'no table: {recording.path} has nothing of a run with numbers')
    for line in said:
        say(line)
    return folder


def _convert(recording: Recording, files: Tables) -> list[str]:
    """Write the tables; return what could not be converted."""
    from nrl_ros.ros.recorded_tables import RunTables

    tables = RunTables(recording)
    for block in tables.blocks():
        files.add(block.table, block.columns)
    return [
        *recording.cut_off.values(),
        *(f'{topic} was left out: {why}' for topic, why in tables.records.unreadable.items()),
        *(
            f'{count:,} rewards of {agent} belong to no recorded step'
            for agent, count in tables.unplaced.items()
        ),
        *(
            f'{table} lacks columns that came later: {", ".join(sorted(names))}'
            for table, names in tables.left_out.items()
        ),
    ]


@dataclass
class _Weights:
    """Copies of the weights while a run is learned again."""

    every: int
    updates: list[int] = field(default_factory=list)
    layers: list[list[NDArray[Any]]] = field(default_factory=list)

    def look(self, updates: int, weights: Sequence[NDArray[Any]]) -> None:
        if self.every and (not self.updates or updates >= self.updates[-1] + self.every):
            self.updates.append(updates)
            self.layers.append([np.array(one) for one in weights])

    def write(self, path: Path) -> None:
        layers = zip(*self.layers, strict=True)
        stacked: dict[str, Any] = {f'layer_{at}': np.array(one) for at, one in enumerate(layers)}
        np.savez_compressed(path, **{'updates': np.array(self.updates), **stacked})


def _convert_traces(path: Path, files: Tables, folder: Path, options: TraceOptions) -> list[str]:
    """Learn again from a recording, and write what the learner computes on the way."""
    from nrl_ros.cli.replay import replay
    from nrl_ros.learning.tracing import Tracer

    tracers: dict[int, Tracer] = {}
    weights = _Weights(options.weights_every)
    waiting: list[StepTraces] = []

    def flush() -> None:
        # Learners of other networks would have rows of another length.
        if waiting:
            files.add('traces', _columns(waiting))
            waiting.clear()

    def seen(life: LifeReplay, _step: Any) -> None:
        if life.replayer is None:
            return
        learner = life.replayer.learner
        tracer = tracers.get(id(learner))
        if tracer is None:
            tracer = tracers[id(learner)] = Tracer(learner, options.instances)
        waiting.extend(tracer.look())
        if learner.roster.policy is not None:
            weights.look(learner.updates, learner.weights)
        if len(waiting) >= _ROWS:
            flush()

    done = replay(path, seen)
    flush()
    said = [] if done.exact else ['the traces are not those of the run everywhere: nrl replay']
    if weights.updates:
        weights.write(folder / 'weights.npz')
        said.append(f'weights.npz, beside the tables: {len(weights.updates):,} copies of weights')
    return said


def _columns(steps: Sequence[StepTraces]) -> dict[str, NDArray[Any]]:
    count = len(steps[0].instance)
    columns: dict[str, NDArray[Any]] = {
        'environment': np.repeat([one.agent for one in steps], count),
        'session': np.repeat([one.session for one in steps], count),
        'sequence': np.repeat([one.sequence for one in steps], count),
    }
    for name in ('instance', 'episode', 'step', 'window'):
        columns[name] = np.concatenate([getattr(one, name) for one in steps])
    impact = np.concatenate([one.impact for one in steps])
    norms = np.concatenate([one.eligibility_norm for one in steps])
    noise = np.concatenate([one.noise.reshape(count, -1) for one in steps])
    columns |= {f'impact_{at}': values for at, values in enumerate(impact.T)}
    columns |= {f'eligibility_norm_{at}': values for at, values in enumerate(norms.T)}
    return columns | {'noise_norm': np.linalg.norm(noise, axis=1), 'noise': noise}
