#!/usr/bin/env python3
"""Final score against bits of the weights and against noise of the device; table and picture.

    .venv/bin/python scripts/hardware_figures.py [--seeds 0 1 2 3 4] [--minutes 30] [--draw]

Trains CartPole and Reaching in this process with the settings of config/TASK.yaml, but fewer steps,
and keeps each result in docs/results/hardware_noise.json at once: a run that was stopped goes on
where it left off. ``--draw`` only writes table and picture of what is there.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.kept_trials import Condition, KeptTrials, arguments, make_results, spread

STEPS = {'cartpole': 600_000, 'reaching': 400_000}
BITS = (32, 16, 8, 6, 4)
NETWORK, SIGMA = 'learner.network.', 'learner.noise.sigma'


class Sweep(NamedTuple):
    """Values of one setting; 0 is the exact device, 32 are all bits.

    Attributes:
        title: below the axis.
        setting: of the network.
        values: of it.
        sigma: of the rule's noise; 0: as the task's file has it.
    """

    title: str
    setting: str
    values: tuple[float, ...]
    sigma: float = 0.0


READ = (0.0, 0.0003, 0.003, 0.03)
SWEEPS = (
    Sweep('bits', 'weight_bits', BITS),
    Sweep('read noise', 'read_noise', READ),
    # Clean and noisy passes read apart, so the rule's own noise has to stand out.
    Sweep('read noise, sigma 0.1', 'read_noise', READ, 0.1),
    Sweep('spread of updates', 'update_spread', (0.0, 0.3, 1.0)),
    Sweep('asymmetry of updates', 'update_asymmetry', (0.0, 0.1, 0.3)),
)
_HEAD = """# Learning with imperfect weights

Made by `.venv/bin/python scripts/hardware_figures.py`, in one process: NRL with the settings of
`config/TASK.yaml`, but {steps}, and no search for settings of each
condition. Score: mean return of the last tenth of the episodes, exploring; in brackets the worst
and the best seed. What the settings do: [torch.md](../torch.md#imperfect-hardware). 32 bits is
`network.weight_bits: 0`. The figures by seed are in `hardware_noise.json`.

"""


def name_of(task: str, sweep: Sweep, value: float) -> str:
    """Return the name of a condition; all exact ones of one sigma are the same."""
    what = 'exact' if value in (0.0, 32) else f'{sweep.setting} {value:g}'
    return f'{task}, sigma {sweep.sigma:g}, {what}' if sweep.sigma else f'{task}, {what}'


def conditions() -> list[Condition]:
    """Return all conditions, each once."""
    found: dict[str, Condition] = {}
    for task, steps in STEPS.items():
        for sweep in SWEEPS:
            for value in sweep.values:
                settings = {
                    NETWORK + sweep.setting: 0 if value == 32 else value,
                    'environment.stop.steps': steps,
                }
                if sweep.sigma:
                    settings[SIGMA] = sweep.sigma
                name = name_of(task, sweep, value)
                found.setdefault(name, Condition(name, task, settings))
    return list(found.values())


def page(kept: KeptTrials) -> str:
    """Return the page."""
    steps = ', '.join(f'{count:,} steps of {task}' for task, count in STEPS.items())
    seeds = sorted({len(kept.finals(name)) for name, *_ in conditions()})
    lines = [
        _HEAD.format(steps=steps)
        + f'Seeds of each condition: {" to ".join(str(count) for count in {seeds[0], seeds[-1]})}.',
        '',
        '| Setting | Value | CartPole | Reaching |',
        '| --- | --- | --- | --- |',
    ]
    for sweep in SWEEPS:
        setting = f'`{sweep.setting}`' + (f', sigma {sweep.sigma:g}' if sweep.sigma else '')
        for value in sweep.values:
            scores = ' | '.join(spread(kept.finals(name_of(task, sweep, value))) for task in STEPS)
            lines.append(f'| {setting} | {value:g} | {scores} |')
    return '\n'.join(lines) + '\n\n![Score against bits and noise](hardware_noise.png)\n'


def draw(kept: KeptTrials, path: Path) -> None:
    """Write the picture: one row for each task, one column for bits and each kind of noise."""
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        len(STEPS), len(SWEEPS), figsize=(14.0, 5.5), layout='constrained', sharey='row'
    )
    for row, task in zip(axes, STEPS, strict=True):
        for axis, sweep in zip(row, SWEEPS, strict=True):
            found = [kept.finals(name_of(task, sweep, value)) for value in sweep.values]
            places = range(len(sweep.values))
            for place, scores in zip(places, found, strict=True):
                axis.plot([place] * len(scores), scores, 'o', color='#1f6fb2', alpha=0.4)
            means = [np.mean(scores) if scores else np.nan for scores in found]
            axis.plot(places, means, '-', color='#1f6fb2')
            axis.set_xticks(places, [f'{value:g}' for value in sweep.values])
            axis.set_xlabel(sweep.title)
            axis.grid(alpha=0.3)
        row[0].set_ylabel(f'{task}: mean return')
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    """Train what is missing while there is time, then write table and picture."""
    options = arguments(__doc__ or '', minutes=30.0).parse_args()
    make_results(options, 'hardware_noise', conditions(), page, draw)


if __name__ == '__main__':
    main()
