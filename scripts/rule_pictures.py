"""Pictures and tables from the figures of rule_figures.py."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image

from scripts.rule_arms import ARMS, INSTANCES, RULE_PAGES, STEPS

mpl.use('Agg')
from matplotlib import pyplot  # noqa: E402 - after the choice of what draws

GREY, BLUE, ORANGE = '#777777', '#1f6fb2', '#d1701f'
_HEAD = """# Figures of the rules

Made by `.venv/bin/python scripts/rule_figures.py`, which says what is measured; do not edit. The
pictures are on the pages of the rules, the numbers in `figures.json`.

## Cost

Microseconds a step of all instances on reaching, with everything: environment, passes, trace, and
an update at every step. Memory [KiB] of learner, traces and neuromodulator.

"""
_LEARNING = """
## Learning

Return of the last 100 trials after {steps:,} steps on reaching, as mean (worst to best) of three
seeds at each learning rate; a run that diverged counts as 0. No trial can give more than 250;
acting at random is the line `random`. Settings beside the learning rate are those of
`config/reaching.yaml` and `scripts/rule_arms.py`.

"""


def best(runs: dict[str, list[dict[str, Any]]]) -> str:
    """The step size with the highest mean score."""
    return max(runs, key=lambda rate: statistics.fmean(one['score'] for one in runs[rate]))


def draw(figures: dict[str, Any], name: str, path: Path) -> None:
    """Direction and learning curve of a rule."""
    with_direction = name in figures['direction']
    figure, axes = pyplot.subplots(
        1, 1 + with_direction, figsize=(4.4 + 4.0 * with_direction, 3.8),
        squeeze=False, layout='constrained',
    )  # fmt: skip
    if with_direction:
        draw_direction(axes[0][0], {'name': name, **figures['direction'][name]})
    lines = {'backpropagation': GREY, 'random': GREY, name: BLUE}
    draw_curves(axes[0][-1], figures['learning'], lines)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    """Few colours: a third of the size."""
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
    with Image.open(path) as picture:
        small = picture.convert('RGB').quantize(64)
    small.save(path, optimize=True)


def draw_direction(axes: Any, one: dict[str, Any]) -> None:
    """Cosine against K."""
    axes.plot(one['k'], one['cosine'], color=BLUE, marker='o', label=one['name'])
    if one['predicted']:
        axes.plot(one['k'], one['predicted'], color=GREY, ls='--', label=r'$\sqrt{K/(K+N-1)}$')
    for colour, (other, values) in zip((ORANGE, GREY), one['beside'].items(), strict=False):
        axes.plot(one['k'], values, label=other, marker='.', ls='--', color=colour)
    axes.set(xscale='log', xlabel='estimates averaged, K [1]', ylabel='cosine', title=one['title'])
    axes.set_ylim(-0.05, 1.05)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize='small')


def draw_curves(axes: Any, runs: dict[str, Any], colours: dict[str, str]) -> None:
    """Mean and range over seeds, each at its best step size."""
    for name, colour in colours.items():
        rate = best(runs[name])
        curves = np.array([one['curve'] for one in runs[name][rate]])
        steps = (np.arange(curves.shape[1]) + 0.5) * STEPS / curves.shape[1]
        label = name if name == 'random' else f'{name}, η {rate}'
        style = ':' if name == 'random' else '--' if colour == GREY else '-'
        axes.fill_between(
            steps, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15, lw=0
        )
        axes.plot(steps, curves.mean(axis=0), color=colour, ls=style, label=label)
    axes.set(xlabel='environment steps [1]', ylabel='return of a trial [1]')
    axes.set(title='reaching, mean and range of 3 seeds')
    axes.xaxis.set_major_formatter(lambda value, _: f'{value / 1000:.0f}k')
    axes.grid(alpha=0.25)
    below = {'loc': 'upper center', 'bbox_to_anchor': (0.5, -0.18), 'ncol': 2}
    axes.legend(frameon=False, fontsize='small', **below)


def draw_groups(figures: dict[str, Any], folder: Path) -> None:
    """Variants of one page in one picture each."""
    cycle = (BLUE, ORANGE, '#2c9257', '#a33b6a', '#6b5fb5', '#b5a13a')
    for page in dict.fromkeys(arm.page for arm in ARMS if arm.page not in RULE_PAGES):
        arms = [arm for arm in ARMS if arm.page == page]
        # Both sides have the same step sizes to choose from, where they have any in common.
        tried = {f'{rate:g}' for arm in arms for rate in arm.rates}
        nrl = figures['learning']['nrl']
        runs = figures['learning'] | {'nrl': {k: v for k, v in nrl.items() if k in tried} or nrl}
        figure, axes = pyplot.subplots(figsize=(5.8, 4.2), layout='constrained')
        names = ['nrl', *(arm.name for arm in arms)]
        draw_curves(axes, runs, dict(zip(names, cycle, strict=False)))
        _save(figure, folder / f'{page}.png')


def tables(figures: dict[str, Any]) -> str:
    """Cost and learning as a page."""
    lines = ['| Rule | ' + ' | '.join(f'{n} instances | KiB' for n in INSTANCES) + ' |']
    lines.append('| --- |' + ' --- |' * 2 * len(INSTANCES))
    for name, cost in figures['cost'].items():
        cells = [f'{cost[f"us_{n}"]:,.0f} | {cost[f"kib_{n}"]:,}' for n in INSTANCES]
        lines.append(f'| {name} | ' + ' | '.join(cells) + ' |')
    learning = ['| Rule or variant | Learning rate: return |', '| --- | --- |']
    for name, runs in figures['learning'].items():
        cells = []
        for rate, seeds in runs.items():
            scores = [one['score'] for one in seeds]
            text = f'{rate}: {statistics.fmean(scores):.0f}'
            text += f' ({min(scores):.0f} to {max(scores):.0f})'
            broken = sum(one['diverged'] for one in seeds)
            text += f', {broken} of {len(seeds)} diverged' if broken else ''
            cells.append(f'**{text}**' if rate == best(runs) else text)
        learning.append(f'| {name} | ' + '; '.join(cells) + ' |')
    body = _HEAD + '\n'.join(lines) + '\n' + _LEARNING.format(steps=STEPS) + '\n'.join(learning)
    return body + '\n'
