"""Draw learning curves: rolling means of the return, and of success, over environment steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.cli.grouping import Group, group_runs
from nrl_ros.cli.metrics import EpisodeRow, read_metrics
from nrl_ros.cli.runs import Run, RunError
from nrl_ros.environments.figures import is_share, label
from nrl_ros.storage.files import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 200
_WINDOW_SHARE = 0.04
_SMALLEST_WINDOW = 20
_COLOURS = (
    '#1f6fb2', '#d1701f', '#2c9257', '#a33b6a', '#7a5cc0', '#8c6d31', '#3aa6a6', '#777777',
)  # fmt: skip


# Lines of several marks of success in one panel.
_STYLES = ('-', '--', ':', '-.')


class Curve(NamedTuple):
    """Values along the environment steps, on _POINTS evenly spaced points."""

    steps: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


class RunCurves(NamedTuple):
    """The curves of one run: of its returns, and of each mark of success by its name [1]."""

    returns: Curve
    success: dict[str, Curve]


def run_curves(run: Run) -> RunCurves:
    """Return a run's rolling means, with the 10th and 90th percentile of episodes in the window.

    Raises:
        RunError: the run has no finished episodes.
    """
    rows = [row for row in read_metrics(run) if row.ending != 'aborted']
    if not rows:
        raise RunError(f'{run.metrics} has no finished episode yet')
    marks = [name for name in rows[0].figures if is_share(name)]
    return RunCurves(
        _rolling(rows, [row.episode_return for row in rows]),
        {mark: _rolling(rows, [row.figures.get(mark, 0.0) for row in rows]) for mark in marks},
    )


def _rolling(rows: Sequence[EpisodeRow], values: Sequence[float]) -> Curve:
    steps = np.array([row.total_steps for row in rows], np.float64)
    # Instances may end their episodes together: a window has one of each, and a curve no steps.
    instances = 1 + max(row.instance for row in rows)
    smallest = max(_SMALLEST_WINDOW, instances)
    window = max(min(smallest, len(rows)), int(_WINDOW_SHARE * len(rows)))
    grid = np.linspace(steps[0], steps[-1], _POINTS)
    # The window ends at the grid point, since a curve must not use later episodes.
    ends = np.clip(np.searchsorted(steps, grid, side='right'), 1, len(rows))
    parts = [np.array(values[max(0, end - window) : end]) for end in ends]
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
    """Draw a column per task: returns, and below them success, where the task has marks of it.

    There is a line for each setting that differs. Runs with equal settings become their mean and
    spread.

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
    groups = {task: [_curves_of(one) for one in group_runs(own)] for task, own in tasks.items()}
    rows = 2 if any(one.marks for column in groups.values() for one in column) else 1
    width = 7.2 if len(tasks) == 1 else 5.2 * len(tasks)
    figure, axes = pyplot.subplots(
        rows,
        len(tasks),
        figsize=(width, 5.0 if rows == 1 else 8.0),
        squeeze=False,
        layout='constrained',
        height_ratios=[3, 2][:rows],
    )
    try:
        for column, (task, members) in enumerate(groups.items()):
            # A picture of one group for each task has a colour for each task.
            colours = [_COLOURS[(column + at) % len(_COLOURS)] for at in range(len(members))]
            _draw_returns(axes[0][column], task, members, colours)
            if rows == 2:
                _draw_success(axes[1][column], members, colours)
        out.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(out) as temporary:
            figure.savefig(temporary, dpi=150, format=out.suffix.lstrip('.') or 'png')
    except (OSError, ValueError) as error:
        raise RunError(
            f'cannot write {out}: {getattr(error, "strerror", None) or error}'
        ) from error
    finally:
        pyplot.close(figure)


class _Curves(NamedTuple):
    """A group of runs with equal settings, the curves of each, and the marks that all have."""

    group: Group
    runs: list[RunCurves]
    marks: tuple[str, ...]

    @property
    def last(self) -> float:
        """The last step of the longest run."""
        return float(max(one.returns.steps[-1] for one in self.runs))


def _curves_of(group: Group) -> _Curves:
    curves = [run_curves(run) for run in group.runs]
    first = curves[0].success
    marks = tuple(mark for mark in first if all(mark in one.success for one in curves))
    return _Curves(group, curves, marks)


def _draw_returns(axes: Axes, task: str, groups: Sequence[_Curves], colours: Sequence[str]) -> None:
    for one, colour in zip(groups, colours, strict=True):
        label = f'{one.group.label}: ' if one.group.label else ''
        scores = _scores_in_words(one.group.runs) if label else ''
        curves = [run.returns for run in one.runs]
        _draw_curves(axes, curves, label + _what_of(curves) + scores, colour=colour)
    if len(groups) == 1:
        _draw_scores(axes, groups[0].group.runs)
    axes.set_title(task)
    axes.set_ylabel('return of an episode [1]')
    _finish(axes, groups)


def _draw_success(axes: Axes, groups: Sequence[_Curves], colours: Sequence[str]) -> None:
    """Draw the share of episodes that reached each mark; of several groups the middle mark."""
    for one, colour in zip(groups, colours, strict=True):
        marks = one.marks
        if len(groups) > 1:
            # An environment names its marks from the easiest to the hardest.
            marks = marks[(len(marks) - 1) // 2 :][:1]
        for at, mark in enumerate(marks):
            curves = [run.success[mark] for run in one.runs]
            name = f'{one.group.label}: {label(mark)}' if one.group.label else label(mark)
            style = _STYLES[at % len(_STYLES)]
            _draw_curves(axes, curves, name, colour=colour, style=style, spread=len(curves) > 1)
    if not axes.lines:
        axes.set_axis_off()
        return
    axes.set_ylabel('share of episodes [1]')
    axes.set_ylim(-0.02, 1.02)
    _finish(axes, groups, columns=4 if len(groups) == 1 else 1)


def _finish(axes: Axes, groups: Sequence[_Curves], *, columns: int = 1) -> None:
    from matplotlib.ticker import EngFormatter

    axes.set_xlabel('environment steps, all instances [1]')
    axes.set_xlim(0.0, max(one.last for one in groups))
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.grid(alpha=0.25)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    # Below the axes, since a curve may run anywhere in them.
    axes.legend(
        frameon=False,
        fontsize='small',
        loc='upper center',
        bbox_to_anchor=(0.5, -0.16 if axes.get_title() else -0.22),
        ncols=columns,
    )


def _what_of(curves: Sequence[Curve]) -> str:
    if len(curves) == 1:
        return 'rolling mean of episodes, and 10th to 90th percentile'
    return f'mean of {len(curves)} runs ± 1 standard deviation'


def _draw_curves(
    axes: Axes,
    curves: Sequence[Curve],
    what: str,
    *,
    colour: str,
    style: str = '-',
    spread: bool = True,
) -> None:
    """Draw the curve of runs with equal settings, with their spread."""
    curve = curves[0] if len(curves) == 1 else together(curves)
    if len(curves) > 1:
        for one in curves:
            axes.plot(one.steps, one.mean, style, color=colour, alpha=0.25, linewidth=0.8)
    if spread:
        axes.fill_between(curve.steps, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(curve.steps, curve.mean, style, color=colour, linewidth=2.0, label=what)


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
