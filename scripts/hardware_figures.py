#!/usr/bin/env python3
"""Final score against bits of the weights and against noise of the device; table and picture.

    .venv/bin/python scripts/hardware_figures.py [--seeds 0 1 2] [--minutes 30] [--draw]

Trains CartPole and Reaching in this process with the settings of config/TASK.yaml, but fewer steps,
and keeps each result in docs/results/hardware_noise.json at once: a run that was stopped goes on
where it left off. ``--draw`` only writes table and picture of what is there.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from scripts.kept_trials import KeptTrials, spread

ROOT = Path(__file__).resolve().parent.parent
STEPS = {'cartpole': 600_000, 'reaching': 400_000}
BITS = (32, 16, 8, 6, 4)
NETWORK = 'learner.network.'
# Setting and its values; 0 is the exact device.
DEVICES: dict[str, tuple[str, tuple[float, ...]]] = {
    'read noise': ('read_noise', (0.0, 0.0003, 0.003, 0.03)),
    'spread of updates': ('update_spread', (0.0, 0.3, 1.0)),
    'asymmetry of updates': ('update_asymmetry', (0.0, 0.1, 0.3)),
}
_HEAD = """# Learning with imperfect weights

Made by `.venv/bin/python scripts/hardware_figures.py`, in one process: NRL with the settings of
`config/TASK.yaml`, but {steps}, and no search for settings of each
condition. Score: mean return of the last tenth of the episodes, exploring; in brackets the worst
and the best seed. What the settings do: [torch.md](../torch.md#imperfect-hardware). 32 bits is
`network.weight_bits: 0`. The figures by seed are in `hardware_noise.json`.

"""


def name_of(task: str, setting: str, value: float) -> str:
    """Return the name of a condition; all exact ones are the same."""
    exact = value in (0.0, 32)
    return f'{task}, exact' if exact else f'{task}, {setting} {value:g}'


def conditions() -> list[tuple[str, str, dict[str, Any]]]:
    """Return name, task and settings of each condition, each once."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    values: list[tuple[str, float]] = [('weight_bits', bits) for bits in BITS]
    values += [(name, value) for name, several in DEVICES.values() for value in several]
    for task, steps in STEPS.items():
        for setting, value in values:
            name, chosen = name_of(task, setting, value), 0 if value == 32 else value
            found.setdefault(
                name,
                (task, {NETWORK + setting: chosen, 'environment.stop.steps': steps}),
            )
    return [(name, *rest) for name, rest in found.items()]


def table(kept: KeptTrials) -> str:
    """Return the page."""
    steps = ', '.join(f'{count:,} steps of {task}' for task, count in STEPS.items())
    seeds = {len(one) for one in kept.results.values()}
    lines = [
        _HEAD.format(steps=steps) + f'Seeds: {min(seeds)} to {max(seeds)} each.'
        if len(seeds) > 1
        else _HEAD.format(steps=steps) + f'Seeds: {max(seeds, default=0)} each.',
        '',
        '| Setting | Value | CartPole | Reaching |',
        '| --- | --- | --- | --- |',
    ]
    rows: list[tuple[str, float]] = [('weight_bits', bits) for bits in BITS]
    rows += [(name, value) for name, several in DEVICES.values() for value in several if value]
    for setting, value in rows:
        scores = ' | '.join(spread(kept.finals(name_of(task, setting, value))) for task in STEPS)
        lines.append(f'| `{setting}` | {value:g} | {scores} |')
    return '\n'.join(lines) + '\n\n![Score against bits and noise](hardware_noise.png)\n'


def draw(kept: KeptTrials, path: Path) -> None:
    """Write the picture: one row for each task, one column for bits and each kind of noise."""
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot

    columns: list[tuple[str, str, tuple[float, ...]]] = [('bits', 'weight_bits', BITS)]
    columns += [(title, setting, values) for title, (setting, values) in DEVICES.items()]
    figure, axes = pyplot.subplots(
        len(STEPS), len(columns), figsize=(12.0, 5.5), layout='constrained', sharey='row'
    )
    for row, task in zip(axes, STEPS, strict=True):
        for axis, (title, setting, values) in zip(row, columns, strict=True):
            found = [kept.finals(name_of(task, setting, value)) for value in values]
            places = range(len(values))
            for place, scores in zip(places, found, strict=True):
                axis.plot([place] * len(scores), scores, 'o', color='#1f6fb2', alpha=0.4)
            means = [np.mean(scores) if scores else np.nan for scores in found]
            axis.plot(places, means, '-', color='#1f6fb2')
            axis.set_xticks(places, [f'{value:g}' for value in values])
            axis.set_xlabel(title)
            axis.grid(alpha=0.3)
            axis.set_ylim(bottom=0.0)
        row[0].set_ylabel(f'{task}: mean return')
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    """Train what is missing while there is time, then write table and picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--minutes', type=float, default=30.0, help='begin no run after that')
    parser.add_argument('--draw', action='store_true', help='train nothing')
    parser.add_argument('--out', type=Path, default=ROOT / 'docs' / 'results')
    options = parser.parse_args()
    kept, end = KeptTrials(options.out / 'hardware_noise.json'), time.monotonic()
    end += 0.0 if options.draw else 60.0 * options.minutes
    for seed in options.seeds:
        for name, task, overrides in conditions():
            if time.monotonic() < end:
                kept.run(name, task, overrides, seed)
    (options.out / 'hardware_noise.md').write_text(table(kept), encoding='utf-8')
    draw(kept, options.out / 'hardware_noise.png')


if __name__ == '__main__':
    main()
