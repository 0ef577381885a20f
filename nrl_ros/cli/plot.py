"""Draw learning curves: rolling mean of the return over environment steps, with its spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.cli.grouping import Group, group_runs
from nrl_ros.cli.metrics import read_metrics
from nrl_ros.cli.runs import Run, RunError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 200
_WINDOW_SHARE = 0.04
_SMALLEST_WINDOW = 20
_COLOURS = (
    '#1f6fb2', '#d1701f', '#2c9257', '#a33b6a', '#7a5cc0', '#8c6d31', '#3aa6a6', '#777777',
)  # fmt: skip


class Curve(NamedTuple):
    """Returns along the environment steps, on _POINTS evenly spaced points."""

    steps: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def run_curve(run: Run) -> Curve:
    """Return a run's rolling mean, with the 10th and 90th percentile of episodes in the window.

    Raises:
        RunError: the run has no finished episodes.
    """
    rows = [row for row in read_metrics(run) if row.ending != 'aborted']
    if not rows:
        raise RunError(f'{run.metrics} has no finished episode yet')
    steps = np.array([row.total_steps for row in rows], np.float64)
    returns = np.array([row.episode_return for row in rows])
    # Instances may end their episodes together: a window has one of each, and a curve no steps.
    instances = 1 + max(row.instance for row in rows)
    smallest = max(_SMALLEST_WINDOW, instances)
    window = max(min(smallest, len(rows)), int(_WINDOW_SHARE * len(rows)))
    grid = np.linspace(steps[0], steps[-1], _POINTS)
    # The window ends at the grid point, since a curve must not use later episodes.
    ends = np.clip(np.searchsorted(steps, grid, side='right'), 1, len(rows))
    parts = [returns[max(0, end - window) : end] for end in ends]
    return Curve(
        grid,
        np.array([part.mean() for part in parts]),
        np.array([np.percentile(part, 10) for part in parts]),
        np.array([np.percentile(part, 90) for part in parts]),
    )


def together(curves: Sequence[Curve]) -> Curve:
    """Return mean and standard deviation over runs, along the steps that all of them have.

    Raises:
        RunError: there are no such steps.
    """
    first = max(curve.steps[0] for curve in curves)
    last = min(curve.steps[-1] for curve in curves)
    if last < first:
        raise RunError(
            f'runs with equal settings have no steps in common: one ends at {last:,.0f}, another '
            f'begins at {first:,.0f}; leave one of them out'
        )
    grid = np.linspace(first, last, _POINTS)
    means = np.array([np.interp(grid, curve.steps, curve.mean) for curve in curves])
    mean, spread = means.mean(axis=0), means.std(axis=0)
    return Curve(grid, mean, mean - spread, mean + spread)


def plot_runs(runs: Sequence[Run], out: Path) -> None:
    """Draw one panel per task, and in it a line for each setting that differs.

    Runs with equal settings become their mean and spread.

    Raises:
        RunError: a run has no episodes, or the picture cannot be written.
        ConfigError: the settings of a run cannot be read.
    """
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot

    tasks: dict[str, list[Run]] = {}
    for run in runs:
        tasks.setdefault(run.task, []).append(run)
    width = 7.2 if len(tasks) == 1 else 5.2 * len(tasks)
    figure, axes = pyplot.subplots(
        1, len(tasks), figsize=(width, 5.0), squeeze=False, layout='constrained'
    )
    try:
        for column, (task, members) in enumerate(tasks.items()):
            # A picture of one group for each task has a colour for each task.
            _draw(axes[0][column], task, group_runs(members), column)
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=150)
    except (OSError, ValueError) as error:
        raise RunError(f'cannot write {out}: {error}') from error
    finally:
        pyplot.close(figure)


def _draw(axes: Axes, task: str, groups: Sequence[Group], first_colour: int) -> None:
    last = max(
        _draw_group(axes, group, _COLOURS[(first_colour + index) % len(_COLOURS)])
        for index, group in enumerate(groups)
    )
    if len(groups) == 1:
        _draw_scores(axes, groups[0].runs)
    axes.set_title(task)
    axes.set_xlabel('environment steps, all instances [1]')
    axes.set_ylabel('return of an episode [1]')
    axes.set_xlim(0.0, last)
    axes.xaxis.set_major_formatter(_short)
    axes.grid(alpha=0.25)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    # Below the axes, since a curve may run anywhere in them.
    axes.legend(frameon=False, fontsize='small', loc='upper center', bbox_to_anchor=(0.5, -0.16))


def _draw_group(axes: Axes, group: Group, colour: str) -> float:
    """Draw the curve of runs with equal settings, with their spread; return its last step."""
    curves = [run_curve(run) for run in group.runs]
    curve = curves[0] if len(curves) == 1 else together(curves)
    if len(curves) == 1:
        what = 'rolling mean of episodes, and 10th to 90th percentile'
    else:
        what = f'mean of {len(curves)} runs ± 1 standard deviation'
        for one in curves:
            axes.plot(one.steps, one.mean, color=colour, alpha=0.25, linewidth=0.8)
    if group.label:
        what = f'{group.label}: {what}{_scores_in_words(group.runs)}'
    axes.fill_between(curve.steps, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(curve.steps, curve.mean, color=colour, linewidth=2.0, label=what)
    return float(max(one.steps[-1] for one in curves))


def _scores_in_words(runs: Sequence[Run]) -> str:
    """Return the scores after the training as a line of a legend; '' if there are none."""
    scores = [found for run in runs if (found := run.read_summary().get('trained'))]
    shown = [
        f'{acting} {value:,.1f}'
        for acting in ('greedy', 'exploring')
        if scores and not np.isnan(value := _mean_over(scores, acting))
    ]
    return f'\n{", ".join(shown)} at the end' if shown else ''


def _mean_over(scores: Sequence[Mapping[str, Any]], acting: str) -> float:
    return float(np.mean([mean_of(score, acting) for score in scores]))


def _draw_scores(axes: Axes, runs: Sequence[Run]) -> None:
    """Draw lines for the policies before and after the training, and the best checkpoint."""
    summaries = [run.read_summary() for run in runs]
    for policy, colour in (('untrained', '0.6'), ('start', '0.6'), ('trained', '0.15')):
        scores = [summary[policy] for summary in summaries if summary.get(policy)]
        for acting, style in (('greedy', '--'), ('exploring', ':')):
            value = _mean_over(scores, acting) if scores else np.nan
            if not np.isnan(value):
                label = f'{policy}, {acting}: {value:,.1f}'
                axes.axhline(value, linestyle=style, color=colour, linewidth=1.2, label=label)
    best = summaries[0].get('best_window') if len(summaries) == 1 else None
    if best:
        label = f'best checkpoint: {best["mean"]:,.1f} in the episodes after it'
        axes.plot(best['steps'], best['mean'], '*', color='#c1272d', markersize=10, label=label)


def mean_of(score: Mapping[str, Any], acting: str) -> float:
    """Return the mean of a score in a summary, greedy or exploring; NaN if it has none."""
    found = score if acting == 'greedy' else score.get(acting) or {}
    return float(found.get('mean', np.nan))


def _short(value: float, _position: float | None = None) -> str:
    """Return a number of steps in short form: 250 k, 1.5 M."""
    for size, unit in ((1e6, ' M'), (1e3, ' k')):
        if abs(value) >= size:
            return f'{value / size:g}{unit}'
    return f'{value:g}'
