#!/usr/bin/env python3
"""What helps NRL to reach with an arm, and what does not: one setting changed at a time.

    .venv/bin/python scripts/arm_ablation.py {studied,limits} [--seeds 2] [--steps 1500000]

studied: each arm of the study is config/ur5e.yaml with STUDIED and something changed, trained in
this process; the others stay as they are. limits: the file itself, and what makes it reach under
all limits of a real arm. Scored eight times on 500 greedy episodes with unseen targets. Writes
docs/results/arm_ablation.json or arm_limits.json and a section of docs/results/arm_reaching.md.
About ten minutes each on one core.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import nrl_ros.nodes  # noqa: F401 - first, since it keeps BLAS on one thread

# isort: split
import numpy as np

from benchmarks.arm_runs import STUDIED, Training, score, settings_of, write_section

RESULTS = Path(__file__).resolve().parent.parent / 'docs' / 'results'
SCORES, SCORED = 8, 500
PLASTICITY, OPTIONS = 'learner.plasticity.', 'environment.bridge.options.'
# By what is said of them: what is set beside the file's settings.
VARIANTS: dict[str, tuple[str, ...]] = {
    'settings of the study': (),
    'K = 1 noisy pass': (f'{PLASTICITY}samples=1',),
    'K = 2': (f'{PLASTICITY}samples=2',),
    'K = 16': (f'{PLASTICITY}samples=16',),
    'antithetic pairs, as many passes': (
        f'{PLASTICITY}rule=antithetic',
        f'{PLASTICITY}samples=2',
    ),
    'exact gradient (backpropagation)': (f'{PLASTICITY}rule=backpropagation',),
    'layer-normalised steps': (
        f'{PLASTICITY}optimiser=layer_normalised',
        f'{PLASTICITY}learning_rate=0.02',
    ),
    'constant step size': (f'{PLASTICITY}learning_rate_decay=0.0',),
    'critic as baseline, discount 0': (
        'neuromodulator.rpe.baseline=critic',
        'neuromodulator.critic.discount=0.0',
        'neuromodulator.critic.learning_rate=0.003',
    ),
    'critic, discount 0.7, traces kept by 0.7': (
        'neuromodulator.rpe.baseline=critic',
        'neuromodulator.critic.discount=0.7',
        'neuromodulator.critic.learning_rate=0.003',
        f'{PLASTICITY}trace_decay=0.7',
        f'{PLASTICITY}trace_reset=false',
    ),
    'traces kept, decay 0.7': (f'{PLASTICITY}trace_decay=0.7', f'{PLASTICITY}trace_reset=false'),
    'faster running average, 0.5': ('neuromodulator.rpe.rate=0.5',),
    'full speed': (f'{OPTIONS}action.speed_share=1.0',),
    'displacements instead of velocities': (f'{OPTIONS}action.kind=displacement',),
    'five choices a joint': (f'{OPTIONS}action.choices=5',),
    'joints scaled instead of sine, cosine': (f'{OPTIONS}observation.joints=scaled',),
    'error scale 0.03 m': (f'{OPTIONS}observation.error_scale_m=0.03',),
    'no bias': ('learner.network.bias=false',),
    '128 hidden neurons': ('learner.network.hidden_sizes=[128]',),
    '64 and 64 hidden neurons': ('learner.network.hidden_sizes=[64, 64]',),
}
# The same, of the file itself; all are scored with the guard.
WITH_LIMITS: dict[str, tuple[str, ...]] = {
    'as in the file': (),
    'actions cost nothing': (f'{OPTIONS}reward.action_cost=0.0',),
    'slower running average, 0.05': ('neuromodulator.rpe.rate=0.05',),
    'trained without the guard': (f'{OPTIONS}simulation.guard=false',),
}


def learn(
    overrides: tuple[str, ...], scored_with: tuple[str, ...], seed: int, steps: int
) -> dict[str, Any]:
    """Scores of one run as it goes, and what a million steps cost."""
    settings = settings_of(overrides, seed=seed)
    scored = settings_of((*overrides, *scored_with), seed=seed)
    training = Training(settings)
    curve = []
    for part in range(1, SCORES + 1):
        training.run(steps * part // SCORES)
        curve.append(score(scored, training.learner.snapshot(), seed=seed, count=SCORED))
    seconds = training.cpu_s / training.episodes.total_steps * 1e6
    return {'seed': seed, 'curve': curve, 'seconds_per_million': round(seconds, 2)}


def row(name: str, runs: list[dict[str, Any]]) -> str:
    """One line of the table."""
    last = [100.0 * run['curve'][-1]['success_2cm'] for run in runs]
    worst = min(100.0 * part['success_2cm'] for run in runs for part in run['curve'][-3:])
    median = np.mean([run['curve'][-1]['median_mm'] for run in runs])
    first = [
        next((at for at, part in enumerate(run['curve'], 1) if part['success_5cm'] >= 0.99), 0)
        for run in runs
    ]
    reached = f'{max(first)}/{SCORES}' if all(first) else 'not'
    seconds = np.mean([run['seconds_per_million'] for run in runs])
    return (
        f'| {name} | {np.mean(last):.1f} ({min(last):.1f} to {max(last):.1f}) | {worst:.1f} | '
        f'{median:.1f} | {reached} | {seconds:.1f} |'
    )


HEAD = """| | Within 2 cm [%] | Worst of the last three | Median [mm] | 99 % within 5 cm | Processor s / 10^6 steps |
| --- | --- | --- | --- | --- | --- |"""  # noqa: E501


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """All rows."""
    return '\n'.join([HEAD, *(row(name, runs) for name, runs in found.items())])


def studied(found: dict[str, list[dict[str, Any]]], seeds: int, steps: int) -> str:
    """The page's section."""
    return f"""`python scripts/arm_ablation.py studied --seeds {seeds} --steps {steps}`:
`config/ur5e.yaml` with `STUDIED` (without the guard, which takes a fifth of the time; a running
average of 0.05; actions that cost nothing) and one thing changed, {seeds} seeds of {steps:,} steps,
in one process. Greedy episodes that end within 2 cm; the worst of the last three of {SCORES} scores
of any seed says how steady it is; the fifth column how much of the run had passed when all seeds
had been within 5 cm in 99 % of episodes. Step sizes were not tuned anew for each row.

{table(found)}"""


def with_limits(found: dict[str, list[dict[str, Any]]], seeds: int, steps: int) -> str:
    """The page's section."""
    return f"""`python scripts/arm_ablation.py limits --seeds {seeds} --steps {steps}`:
`config/ur5e.yaml` itself with one thing changed, columns as above; all of them scored with the
guard, as a real arm is held.

{table(found)}"""


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=('studied', 'limits'))
    parser.add_argument('--seeds', type=int, default=2)
    parser.add_argument('--steps', type=int, default=1_500_000)
    options = parser.parse_args()
    limits = options.what == 'limits'
    variants = WITH_LIMITS if limits else {n: (*STUDIED, *more) for n, more in VARIANTS.items()}
    scored_with = (f'{OPTIONS}simulation.guard=true',) if limits else ()
    found: dict[str, list[dict[str, Any]]] = {}
    for name, overrides in variants.items():
        found[name] = [
            learn(overrides, scored_with, seed, options.steps) for seed in range(options.seeds)
        ]
        print(row(name, found[name]), flush=True)
    file = 'arm_limits.json' if limits else 'arm_ablation.json'
    (RESULTS / file).write_text(json.dumps(found, indent=1) + '\n')
    write, title = (with_limits, 'With all limits') if limits else (studied, 'What helped')
    write_section(RESULTS / 'arm_reaching.md', title, write(found, options.seeds, options.steps))


if __name__ == '__main__':
    main()
