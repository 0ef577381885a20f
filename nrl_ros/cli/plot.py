"""Draw learning curves: rolling mean of the return over environment steps, with its spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.cli.metrics import read_metrics
from nrl_ros.cli.runs import Run, RunError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 200
_WINDOW_SHARE = 0.04
_SMALLEST_WINDOW = 20
_COLOURS = ('#1f6fb2', '#d1701f', '#2c9257', '#a33b6a')


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
    window = max(min(_SMALLEST_WINDOW, len(rows)), int(_WINDOW_SHARE * len(rows)))
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
    """Return mean and standard deviation over runs, along the steps that all of them have."""
    grid = np.linspace(
        max(curve.steps[0] for curve in curves), min(curve.steps[-1] for curve in curves), _POINTS
    )
    means = np.array([np.interp(grid, curve.steps, curve.mean) for curve in curves])
    mean, spread = means.mean(axis=0), means.std(axis=0)
    return Curve(grid, mean, mean - spread, mean + spread)


def plot_runs(runs: Sequence[Run], out: Path) -> None:
    """Draw one panel per task; several runs of a task become their mean and spread.

    Raises:
        RunError: a run has no episodes, or the picture cannot be written.
    """
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot

    tasks: dict[str, list[Run]] = {}
    for run in runs:
        tasks.setdefault(run.task, []).append(run)
    width = 7.2 if len(tasks) == 1 else 5.2 * len(tasks)
    figure, axes = pyplot.subplots(
        1, len(tasks), figsize=(width, 4.2), squeeze=False, layout='constrained'
    )
    try:
        for column, (task, members) in enumerate(tasks.items()):
            _draw(axes[0][column], task, members, _COLOURS[column % len(_COLOURS)])
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=150)
    except (OSError, ValueError) as error:
        raise RunError(f'cannot write {out}: {error}') from error
    finally:
        pyplot.close(figure)


def _draw(axes: Axes, task: str, runs: Sequence[Run], colour: str) -> None:
    curves = [run_curve(run) for run in runs]
    if len(curves) == 1:
        curve, what = curves[0], '10th to 90th percentile of episodes'
        label = 'rolling mean of episodes'
    else:
        curve, what = together(curves), '± 1 standard deviation over runs'
        label = f'mean of {len(curves)} runs'
        for one in curves:
            axes.plot(one.steps, one.mean, color=colour, alpha=0.25, linewidth=0.8)
    axes.fill_between(
        curve.steps, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0, label=what
    )
    axes.plot(curve.steps, curve.mean, color=colour, linewidth=2.0, label=label)
    _draw_scores(axes, [run.read_summary() for run in runs])
    axes.set_title(task)
    axes.set_xlabel('environment steps, all instances [1]')
    axes.set_ylabel('return of an episode [1]')
    axes.set_xlim(0.0, max(one.steps[-1] for one in curves))
    axes.xaxis.set_major_formatter(_short)
    axes.grid(alpha=0.25)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize='small')


def _draw_scores(axes: Axes, summaries: Sequence[dict[str, Any]]) -> None:
    """Draw lines for the policies before and after the training, greedy and exploring."""
    for policy, colour in (('untrained', '0.6'), ('start', '0.6'), ('trained', '0.15')):
        scores = [summary[policy] for summary in summaries if summary.get(policy)]
        for acting, style in (('greedy', '--'), ('exploring', ':')):
            means = [mean_of(score, acting) for score in scores]
            if means and not np.isnan(means).any():
                value = float(np.mean(means))
                axes.axhline(
                    value,
                    linestyle=style,
                    color=colour,
                    linewidth=1.2,
                    label=f'{policy}, {acting}: {value:,.1f}',
                )


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
