#!/usr/bin/env python3
"""Draw what a training looks like that does not learn, for each usual cause, beside one that does.

    .venv/bin/python scripts/symptom_pictures.py

CartPole in one process, with the settings of config/cartpole.yaml and one of them spoilt. Writes
the pictures of docs/it_does_not_learn.md and the numbers of that page, in
docs/results/symptoms. Takes a minute or two.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image

from nrl_ros.base.config_files import find_config
from nrl_ros.cli.config import resolve
from nrl_ros.cli.evaluate import evaluate_snapshot
from nrl_ros.experiments.in_process import InProcessRun

mpl.use('Agg')
from matplotlib import pyplot  # noqa: E402 - after the choice of what draws

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / 'docs/results/symptoms'
STEPS, POINTS, EPISODES = 1_000_000, 40, 32
GREY, ORANGE, BLUE = '#777777', '#d1701f', '#1f6fb2'
HEALTHY = 'healthy'
LABELS = {
    'exploring': 'return, exploring',
    'greedy': 'return, greedy',
    'rpe': 'mean |RPE| [1]',
    'weights': 'weight norm |W| [1]',
    'baseline': 'baseline',
}


@dataclass(frozen=True)
class Symptom:
    """One cause, and what shows it.

    Args:
        settings: what is spoilt, as for ``--set``.
        shown: the figures that are drawn.
        seeds: how many runs.
    """

    settings: tuple[str, ...]
    shown: tuple[str, ...] = ('exploring', 'rpe', 'weights')
    seeds: int = 1


SYMPTOMS = {
    HEALTHY: Symptom((), seeds=3),
    'rewards_tell_nothing': Symptom(('environment.reward.delivery=every_step',)),
    'rate_too_small': Symptom(('learner.plasticity.learning_rate=0.000005',)),
    'rate_too_large': Symptom(('learner.plasticity.learning_rate=0.02',)),
    'baseline_lags': Symptom(
        ('neuromodulator.rpe.rate=0.002',), shown=('exploring', 'baseline', 'rpe')
    ),
    'noise_too_large': Symptom(
        ('learner.noise.sigma=1.0',), shown=('exploring', 'greedy', 'weights')
    ),
    'seeds_differ': Symptom(
        ('learner.plasticity.learning_rate=0.003',), shown=('exploring', 'weights'), seeds=3
    ),
}


@dataclass
class Course:
    """Figures of a run, one number each POINTS-th of it."""

    steps: list[int] = field(default_factory=list)
    figures: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in LABELS})

    def note(self, steps: int, **figures: float) -> None:
        """Add one point of each figure."""
        self.steps.append(steps)
        for name, value in figures.items():
            self.figures[name].append(float(value))


def course(settings: tuple[str, ...], seed: int) -> Course:
    """Train in this process, and note what ``nrl train`` would show."""
    seeds = (f'learner.seed={seed}', f'environment.seed={seed}')
    resolved = resolve(find_config('cartpole'), (*settings, *seeds))
    run, noted, returns = InProcessRun(resolved), Course(), deque[float](maxlen=100)
    learner, instances = run.learner, resolved.environment.bridge.instances
    rpe, windows = 0.0, 0
    period = STEPS // (POINTS * instances)
    for tick, ended in enumerate(run.steps(), 1):
        if ended is not None:
            returns.extend(ended.episode_return.tolist())
        if tick % period:
            continue
        new = learner.windows_learned - windows
        noted.note(
            tick * instances,
            exploring=float(np.mean(returns)) if returns else np.nan,
            greedy=evaluate_snapshot(
                resolved, learner.snapshot(), episodes=EPISODES, seed=10_000
            ).mean,
            rpe=(learner.rpes.absolute - rpe) / new if new else np.nan,
            weights=learner.weight_norm,
            baseline=run.neuromodulator.mean_baseline,
        )
        rpe, windows = learner.rpes.absolute, learner.windows_learned
        if tick * instances >= STEPS:
            break
    run.close()
    return noted


def draw(name: str, courses: dict[str, list[Course]], shown: tuple[str, ...]) -> None:
    """Draw the runs of a symptom beside healthy ones."""
    figure, axes = pyplot.subplots(
        1, len(shown), figsize=(3.1 * len(shown), 2.3), squeeze=False, layout='constrained'
    )
    for panel, figure_name in zip(axes[0], shown, strict=True):
        for kind, colour in ((HEALTHY, GREY), (name, ORANGE)):
            for number, one in enumerate(courses[kind]):
                steps = np.array(one.steps) / 1e6
                label = kind.replace('_', ' ') if number == 0 else None
                panel.plot(steps, one.figures[figure_name], color=colour, label=label, lw=1.3)
        panel.set(xlabel='million steps', title=LABELS[figure_name])
        panel.title.set_fontsize('medium')
        panel.grid(alpha=0.25)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc='outside lower center', ncols=2,
                  frameon=False, fontsize='small')  # fmt: skip
    path = FOLDER / f'{name}.png'
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
    with Image.open(path) as picture:
        small = picture.convert('RGB').quantize(64)
    small.save(path, optimize=True)


def last_figures(courses: list[Course]) -> list[dict[str, Any]]:
    """Return the figures at the end of each run."""
    return [
        {name: float(f'{values[-1]:.3g}') for name, values in one.figures.items()}
        for one in courses
    ]


def main() -> int:
    """Train, draw, and write the numbers."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    courses: dict[str, list[Course]] = {}
    for name, symptom in SYMPTOMS.items():
        courses[name] = [course(symptom.settings, seed) for seed in range(symptom.seeds)]
        print(name, *last_figures(courses[name]), sep='\n  ', flush=True)
        if name != HEALTHY:
            draw(name, courses, symptom.shown)
    numbers = {
        name: {'set': SYMPTOMS[name].settings, 'end': last_figures(found)}
        for name, found in courses.items()
    }
    (FOLDER / 'symptoms.json').write_text(json.dumps(numbers, indent=1) + '\n', encoding='utf-8')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
