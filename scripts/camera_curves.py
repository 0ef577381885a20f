#!/usr/bin/env python3
"""Learning curves of the arm seen by a camera: NRL beside backpropagation, several seeds.

    .venv/bin/python scripts/camera_curves.py [--seeds 0 1 2] [--steps N] [--minutes 60] [--draw]

Trains with config/camera.yaml in this process and keeps each result in docs/results/camera.json at
once. Both rules have the same network, step size and reward-prediction errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scripts.kept_trials import Condition, KeptTrials, arguments, make_results, spread

RULES: dict[str, dict[str, Any]] = {
    'NRL, 8 samples': {},
    'backpropagation': {
        'learner.plasticity.rule': 'backpropagation',
        'learner.plasticity.samples': 1,
    },
}
COLOURS = ('#1f6fb2', '#c1272d')
_HEAD = """# Learning from pictures

Made by `.venv/bin/python scripts/camera_curves.py`: `config/camera.yaml` in one process,
{steps:,} steps, {seeds} seeds. A planar arm that reaches a target, seen by a camera of 16 x 16
pixels; the return of an episode is the way that the tool came nearer to the target, in
centimetres. Both rules have the same network, step size and reward-prediction errors, and no
search for settings of their own.

| Rule | Mean return of the last tenth of the episodes (worst to best seed) |
| --- | --- |
"""


def page(kept: KeptTrials) -> str:
    """Return the page."""
    results = [one for rule in kept.results.values() for one in rule.values()]
    seeds = min((len(kept.finals(rule)) for rule in RULES), default=0)
    head = _HEAD.format(steps=max((one['steps'] for one in results), default=0), seeds=seeds)
    rows = '\n'.join(f'| {rule} | {spread(kept.finals(rule))} |' for rule in RULES)
    return f'{head}{rows}\n\n![Learning curves](camera.png)\n'


def draw(kept: KeptTrials, path: Path) -> None:
    """Write the picture: a thin line for each seed, and a thick one for their mean."""
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.0, 4.2), layout='constrained')
    for rule, colour in zip(RULES, COLOURS, strict=True):
        curves = kept.curves(rule)
        for steps, means in curves:
            axes.plot(steps, means, color=colour, alpha=0.45, linewidth=0.9)
        if curves:
            mean = np.mean([means for _, means in curves], axis=0)
            axes.plot(curves[0][0], mean, color=colour, linewidth=2.4, label=rule)
    axes.set_xlabel('steps of all arms')
    axes.set_ylabel('mean return [cm nearer to the target]')
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    """Train what is missing while there is time, then write page and picture."""
    parser = arguments(__doc__ or '', minutes=60.0)
    parser.add_argument('--steps', type=int, default=2_000_000)
    options = parser.parse_args()
    conditions = [
        Condition(rule, 'camera', {**overrides, 'environment.stop.steps': options.steps})
        for rule, overrides in RULES.items()
    ]
    make_results(options, 'camera', conditions, page, draw)


if __name__ == '__main__':
    main()
