"""Pictures of a study: learning curves, final performance, sections, gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.experiments.plan import Section
from nrl_ros.experiments.store import Record
from nrl_ros.experiments.summary import Result, Table, curve_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Draw = Callable[['Axes', Result, str], None]

_POINTS = 150
# An axis whose largest and smallest values have at least this ratio is logarithmic.
_DECADE = 8.0
_LEGEND_COLUMNS = 4
_RATE = 'plasticity.learning_rate'
_COLOURS = (
    '#1f6fb2', '#d1701f', '#2c9257', '#a33b6a', '#7a5cc0', '#8c6d31', '#3aa6a6', '#777777',
)  # fmt: skip


def draw(table: Table, gradients: Record | None, out: Path) -> list[str]:
    """Draw every picture for which there are records; return the names of the pictures."""
    import matplotlib as mpl

    mpl.use('Agg')
    names = []
    if any(result.condition.section == 'comparison' and result.records for result in table.all):
        curves = _grid(table, out, 'curves', _band, 'return [1]')
        names += [curves, _finals(table, out)]
    if any(steps_of(result) for result in table.all):
        names.append(_grid(table, out, 'step_sizes', _score, 'score of the search [1]'))
    for section in table.study.sections:
        if table.section(section.name):
            names.append(_section(table, section, out))
    if gradients is not None:
        names.append(_gradients(gradients, out))
    return names


def _subplots(rows: int, columns: int, width: float = 4.2, height: float = 3.2) -> tuple[Any, Any]:
    from matplotlib import pyplot

    return pyplot.subplots(
        rows,
        columns,
        figsize=(width * columns, height * rows),
        squeeze=False,
        layout='constrained',
    )


def _two_parts() -> tuple[Any, list[Any], list[Any]]:
    """Return a figure, its left and right part, and a panel in each, below which is room."""
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(8.4, 3.7), layout='constrained')
    parts: list[Any] = [*figure.subfigures(1, 2, squeeze=False).flat]
    return figure, parts, [part.subplots() for part in parts]


def _save(figure: Any, out: Path, name: str) -> str:
    from matplotlib import pyplot

    # The file holds no date and no version, so that the same records give the same file.
    figure.savefig(out / f'{name}.png', dpi=110, metadata={'Software': None})
    pyplot.close(figure)
    return name


def _tidy(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    if not axes.has_data():
        # Such as a task whose settings were given and not searched.
        axes.set_axis_off()
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)


def smooth(result: Result) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return episodes and smoothed returns [seeds, points], as far as all seeds have episodes."""
    curves = [curve_of(record) for record in result.records]
    count = min(len(curve) for curve in curves)
    window = min(result.condition.task.smoothing, count)
    at = np.unique(np.linspace(window, count, _POINTS).astype(int))
    rows = []
    for curve in curves:
        total = np.concatenate([[0.0], np.cumsum(curve, dtype=np.float64)])
        rows.append((total[at] - total[at - window]) / window)
    return at, np.array(rows)


def _count_episodes(axes: Axes) -> None:
    """Label an axis of episodes so that its numbers do not touch: 2.5 k for 2,500."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.set_xlabel('episodes [1]')
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(EngFormatter())


def _band(axes: Axes, result: Result, colour: str) -> None:
    if min(record['episodes'] for record in result.records) == 0:
        return
    at, rows = smooth(result)
    mean = rows.mean(axis=0)
    spread = rows.std(axis=0, ddof=1) if len(rows) > 1 else np.zeros_like(mean)
    axes.fill_between(at, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
    axes.plot(at, mean, color=colour, linewidth=1.6, label=result.condition.label)
    _count_episodes(axes)


def _grid(table: Table, out: Path, name: str, draw_one: Draw, axis_name: str) -> str:
    """Draw a panel for each task and depth, a colour for each rule; return the picture's name."""
    study = table.study
    figure, axes = _subplots(len(study.tasks), len(study.depths))
    for row, task in enumerate(study.tasks):
        for column, depth in enumerate(study.depths):
            panel = axes[row][column]
            for index, rule in enumerate(study.rules):
                result = table.main(task.name, rule.name, depth)
                if result is not None:
                    draw_one(panel, result, _COLOURS[index % len(_COLOURS)])
            panel.set_title(f'{task.name}, {depth} hidden')
            panel.set_ylabel(axis_name)
            _tidy(panel)
    _common_legend(figure, axes.flat)
    return _save(figure, out, name)


def _common_legend(figure: Any, axes: Iterable[Axes]) -> None:
    """Draw one legend for all panels, since a rule may be missing in some panels.

    It is below them, so that it covers nothing, and has as many columns as there is room for.

    Args:
        figure: or a part of one, which has room for it.
        axes: the panels.
    """
    found: dict[str, Any] = {}
    for panel in axes:
        handles, labels = panel.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    for columns in range(min(len(found), _LEGEND_COLUMNS), 0, -1):
        legend = figure.legend(
            list(found.values()),
            list(found),
            loc='outside lower center',
            ncols=columns,
            frameon=False,
            fontsize='small',
        )
        root = figure if figure.canvas.figure is figure else figure.canvas.figure
        root.draw_without_rendering()
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def steps_of(result: Result) -> list[tuple[float, float]]:
    """Return the learning rates of a search with their best scores."""
    found: dict[float, float] = {}
    for one in result.grid:
        rate = one.point.get(_RATE)
        if rate is not None and np.isfinite(one.score):
            found[rate] = max(found.get(rate, one.score), one.score)
    return sorted(found.items()) if len(found) > 1 else []


def _score(axes: Axes, result: Result, colour: str) -> None:
    """Draw the search's scores over the learning rate, which show how wide the working range is."""
    points = steps_of(result)
    if points:
        axes.semilogx(*zip(*points, strict=True), 'o-', color=colour, label=result.condition.label)
        axes.set_xlabel('learning rate [1]')


def _finals(table: Table, out: Path) -> str:
    """Draw every seed as a dot, since means hide seeds that fail; return the picture's name."""
    study = table.study
    figure, axes = _subplots(1, len(study.tasks))
    width = 0.8 / len(study.rules)
    for panel, task in zip(axes[0], study.tasks, strict=True):
        for index, rule in enumerate(study.rules):
            colour, named = _COLOURS[index % len(_COLOURS)], False
            for place, depth in enumerate(study.depths):
                result = table.main(task.name, rule.name, depth)
                if result is None:
                    continue
                x = place + (index - (len(study.rules) - 1) / 2) * width
                label = None if named else result.condition.label
                panel.plot([x] * len(result.finals), result.finals, '.', color=colour, alpha=0.5)
                panel.plot(x, result.mean, '_', color=colour, markersize=12, label=label)
                named = True
        panel.set_xticks(range(len(study.depths)), [str(depth) for depth in study.depths])
        panel.set_title(task.name)
        panel.set_xlabel('hidden layers [1]')
        panel.set_ylabel('final performance [1]')
        _tidy(panel)
    _common_legend(figure, axes.flat)
    return _save(figure, out, 'finals')


def _section(table: Table, section: Section, out: Path) -> str:
    """Draw a section's final performance (by value if all are numbers, else by name) and curves."""
    found = table.section(section.name)
    figure, parts, (left, right) = _two_parts()
    numbers = all(result.condition.value is not None for result in found)
    for index, depth in enumerate(section.depths):
        rows = [result for result in found if result.condition.depth == depth]
        x = [result.condition.value for result in rows] if numbers else list(range(len(rows)))
        _dots(left, rows, x, _COLOURS[index], f'{depth} hidden')
    _ticks(left, section, numbers)
    left.set_xlabel(section.axis)
    left.set_ylabel('final performance [1]')
    deepest = [result for result in found if result.condition.depth == section.depths[-1]]
    for index, result in enumerate(deepest):
        _band(right, result, _COLOURS[index % len(_COLOURS)])
    right.set_title(f'{section.depths[-1]} hidden')
    right.set_ylabel('return [1]')
    for part, panel in zip(parts, (left, right), strict=True):
        _tidy(panel)
        _common_legend(part, [panel])
    figure.suptitle(f'{section.title or section.name} ({section.task})')
    return _save(figure, out, f'section_{section.name}')


def _ticks(axes: Axes, section: Section, numbers: bool) -> None:
    """Set ticks at the values that were run, and at no others."""
    if not numbers:
        names = [variant.label or variant.name for variant in section.variants]
        axes.set_xticks(range(len(names)), names, rotation=20, ha='right')
        return
    values = [float(variant.value or 0.0) for variant in section.variants]
    if min(values) > 0.0 and max(values) / min(values) >= _DECADE:
        axes.set_xscale('log')
    axes.set_xticks(values, [f'{value:g}' for value in values])
    axes.minorticks_off()


def _dots(axes: Axes, rows: Sequence[Result], x: Sequence[Any], colour: str, label: str) -> None:
    for place, result in zip(x, rows, strict=True):
        axes.plot([place] * len(result.finals), result.finals, '.', color=colour, alpha=0.5)
    means, spreads = [r.mean for r in rows], [r.std for r in rows]
    axes.errorbar(x, means, spreads, color=colour, linewidth=1.4, capsize=2, label=label)


def _gradients(record: Record, out: Path) -> str:
    figure, parts, (left, right) = _two_parts()
    for index, row in enumerate(record['rows']):
        colour, label = _COLOURS[index], f'{row["depth"]} hidden, N={row["noise_components"]}'
        left.plot(record['samples'], row['cosine_neurons'], 'o', color=colour, label=label)
        left.plot(record['samples'], row['predicted'], '-', color=colour, linewidth=1.0)
        right.plot(record['passes'], row['reference_error'], 'o', color=colour, label=label)
    right.plot(
        record['passes'], record['rows'][0]['reference_predicted'], '-', color='0.3', linewidth=1.0
    )
    left.set_ylabel('cosine with the gradient [1]')
    left.set_xlabel('estimates averaged, K (lines: predicted)')
    right.set_ylabel('error of the reference / impact [1]')
    right.set_xlabel('noisy passes, n (line: 1/sqrt(n))')
    left.set_xscale('log', base=2)
    right.set_xscale('log', base=2)
    right.set_yscale('log', base=2)
    for part, panel in zip(parts, (left, right), strict=True):
        _tidy(panel)
        _common_legend(part, [panel])
    return _save(figure, out, 'gradients')
