"""Training runs of a script in one process, each kept in a JSON file as soon as it is done."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nrl_ros.base.config_files import find_config
from nrl_ros.base.threads import THREAD_VARIABLES
from nrl_ros.experiments.run import binned, train
from nrl_ros.settings.run import check, read_config


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

    def run(self, name: str, task: str, overrides: Mapping[str, Any], seed: int) -> None:
        """Train one seed, unless its result is there.

        Args:
            name: of the condition.
            task: file of ``config``.
            overrides: settings by ``NODE.NAME``.
            seed: of learner and environment.
        """
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


def spread(values: Sequence[float]) -> str:
    """Return mean, worst and best of some seeds in words."""
    if not values:
        return 'not run'
    return f'{np.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})'


def _as_text(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the results as JSON with a line for each trial."""
    parts = []
    for name, trials in results.items():
        lines = [f'  {json.dumps(seed)}: {json.dumps(trial)}' for seed, trial in trials.items()]
        parts.append(f' {json.dumps(name)}: {{\n' + ',\n'.join(lines) + '\n }')
    return '{\n' + ',\n'.join(parts) + '\n}\n'
