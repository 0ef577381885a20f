"""Training runs of a script in one process, each kept in a JSON file as soon as it is done."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import report
from nrl_ros.base.config_files import find_config
from nrl_ros.base.threads import THREAD_VARIABLES
from nrl_ros.experiments.run import binned, train
from nrl_ros.settings.run import check, read_config

ROOT = Path(__file__).resolve().parent.parent
# Page or picture of the results, written to a path.
Draw = Callable[['KeptTrials', Path], None]


class Condition(NamedTuple):
    """What a script trains with several seeds.

    Attributes:
        name: of the condition.
        task: file of ``config``.
        overrides: settings by ``NODE.NAME``.
    """

    name: str
    task: str
    overrides: Mapping[str, Any]


class KeptTrials:
    """Results by name and seed; what is there is not run again.

    Args:
        path: of the JSON file, made at the first result.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # torch reads them when a network asks for it. Two threads for small matrices cost three
        # times the processor's time.
        for name in THREAD_VARIABLES:
            os.environ.setdefault(name, '1')
        self.results: dict[str, dict[str, dict[str, Any]]] = {}
        if path.exists():
            self.results = json.loads(path.read_text(encoding='utf-8'))

    def run(self, condition: Condition, seed: int) -> None:
        """Train one seed of learner and environment, unless its result is there."""
        name, task, overrides = condition
        mine = self.results.setdefault(name, {})
        if str(seed) in mine:
            return
        nodes = read_config(find_config(task))
        seeds = {'learner.seed': seed, 'environment.seed': seed}
        for key, value in {**overrides, **seeds}.items():
            node, _, setting = key.partition('.')
            nodes[node][setting] = value
        found = train(check(nodes, source=task))
        mine[str(seed)] = {
            'steps': int(found['steps']),
            'episodes': int(found['episodes']),
            'final': round(float(found['final']), 4),
            'diverged_at_step': int(found['diverged_at_step']),
            'bins': [round(float(value), 4) for value in found['bins']],
        }
        self._path.write_text(_as_text(self.results), encoding='utf-8')
        print(f'{name}, seed {seed}: {mine[str(seed)]["final"]:.2f}', flush=True)

    def finals(self, name: str) -> list[float]:
        """Return the means of the last tenth of the episodes, one for each seed."""
        return [one['final'] for one in self.results.get(name, {}).values()]

    def curves(self, name: str, points: int = 32) -> list[tuple[Any, Any]]:
        """Return steps and mean returns of each seed, at so many points."""
        found = []
        for one in self.results.get(name, {}).values():
            bins = binned(np.array(one['bins']), points)
            found.append((one['steps'] * (np.arange(len(bins)) + 0.5) / len(bins), bins))
        return found


def arguments(about: str, *, minutes: float) -> argparse.ArgumentParser:
    """Return the options of a script, to which it may add its own.

    Args:
        about: its docstring.
        minutes: after which it begins no run, if nothing else is given.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument('--minutes', type=float, default=minutes, help='begin no run after that')
    parser.add_argument('--draw', action='store_true', help='train nothing')
    parser.add_argument('--out', type=Path, default=ROOT / 'docs' / 'results')
    return parser


def make_results(
    options: argparse.Namespace,
    name: str,
    conditions: Sequence[Condition],
    page: Callable[[KeptTrials], str],
    draw: Draw,
) -> None:
    """Train what is missing while there is time, then write page and picture.

    Args:
        options: of ``arguments``.
        name: of the files.
        conditions: in the order in which each seed trains them.
        page: the page as Markdown.
        draw: writes the picture.
    """
    kept, end = KeptTrials(options.out / f'{name}.json'), time.monotonic()
    end += 0.0 if options.draw else 60.0 * options.minutes
    for seed in options.seeds:
        for condition in conditions:
            if time.monotonic() < end:
                kept.run(condition, seed)
    (options.out / f'{name}.md').write_text(page(kept), encoding='utf-8')
    draw(kept, options.out / f'{name}.png')


def spread(values: Sequence[float]) -> str:
    """Return mean, worst and best of some seeds in words."""
    if not values:
        return 'not run'
    return report.spread(values)


def _as_text(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the results as JSON with a line for each trial."""
    parts = []
    for name, trials in results.items():
        lines = [f'  {json.dumps(seed)}: {json.dumps(trial)}' for seed, trial in trials.items()]
        parts.append(f' {json.dumps(name)}: {{\n' + ',\n'.join(lines) + '\n }')
    return '{\n' + ',\n'.join(parts) + '\n}\n'
