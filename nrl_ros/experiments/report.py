"""Write the report of a study from its stored records: page, pictures and numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nrl_ros.experiments import figures
from nrl_ros.experiments.claims import Claim, claims, percent, raw_share
from nrl_ros.experiments.schedule import Schedule
from nrl_ros.experiments.store import Record
from nrl_ros.experiments.summary import Result, Table, median, results, slowdown

_MARK = {True: 'yes', False: 'no', None: ''}


def write_report(schedule: Schedule, out: Path, made: Mapping[str, str]) -> None:
    """Write report.md, report.json and the pictures.

    Args:
        schedule: study and store.
        out: folder; is made if it is missing.
        made: command and commit, for the page.
    """
    table = Table(schedule.study, results(schedule))
    gradients = schedule.gradients
    out.mkdir(parents=True, exist_ok=True)
    pictures = figures.draw(table, gradients, out)
    found = claims(table)
    lines = [
        *_head(schedule, table, made),
        *_claims(found),
        *_comparison(table),
        *_slowdowns(table),
        *_sections(table),
        *_gradients(gradients),
        *(f'![{name}]({name}.png)\n' for name in pictures),
        *_searches(table),
    ]
    (out / 'report.md').write_text('\n'.join(lines), encoding='utf-8')
    data = {
        'made': dict(made),
        'study': schedule.study.model_dump(mode='json'),
        'claims': [claim.__dict__ for claim in found],
        'conditions': [_condition_data(table, result) for result in table.all],
        'gradients': None if gradients is None else gradients['rows'],
        'failed': sorted(schedule.failed.values()),
    }
    text = json.dumps(plain(data), indent=1, allow_nan=False)
    (out / 'report.json').write_text(text + '\n', encoding='utf-8')


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: arrays as lists, NaN as null, infinity as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, 'tolist'):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else 'never' if value > 0 else '-infinity'
    return value


def _head(schedule: Schedule, table: Table, made: Mapping[str, str]) -> Iterator[str]:
    study = schedule.study
    records = [record for result in table.all for record in result.records]
    yield f'# {study.title or study.name}\n'
    commit = f' at commit {made["commit"]}' if made.get('commit') else ''
    yield (
        f'Made by `{made["command"]}`{commit} with {_versions(records)}. Final seeds '
        f'{_listed(study.seeds)}; search seeds {_listed(study.search.seeds)}. '
        f'One process a trial, without ROS; {sum(r["seconds"] for r in records) / 60:,.0f} minutes '
        'of one core in the final trials.\n'
    )
    left = sum(1 for _ in schedule.open_sizes())
    if left or schedule.failed:
        yield (
            f'**Not complete:** {left} trials are left, {len(schedule.failed)} failed. A row has '
            'the seeds that it counts; rules and variants without any are left out.\n'
        )
    yield (
        'Final performance is the mean return of the last 10 % of the episodes of the budget, '
        'exploring. A spread over seeds is the sample standard deviation. Episodes to 90 %: '
        'episodes until the mean over a window of them reaches '
        f'floor + 0.9 ({_name(table, study.roles.reference)} − floor), where the floor is '
        f'{_name(table, study.roles.floor)} at the same depth, and both are '
        'means of final performance over seeds; `never` is a seed that does not within the budget, '
        'and counts as infinite in a median. Windows: '
        f'{", ".join(f"{task.name} {task.smoothing}" for task in study.tasks)} episodes.\n'
    )


def _versions(records: Sequence[Record]) -> str:
    """Return every combination of versions that records were made with."""
    found = sorted({tuple(record['versions'].items()) for record in records})
    said = [
        f'nrl_ros {v["nrl_ros"]}, Python {v["python"]}, numpy {v["numpy"]}, {v["machine"]}'
        for v in map(dict, found)
    ]
    return '; '.join(said) or 'nothing yet'


def _claims(found: Sequence[Claim]) -> Iterator[str]:
    yield '## Claims\n'
    rows = [(claim.number, claim.text, _MARK[claim.holds], claim.figure) for claim in found]
    yield _markdown(('', 'Claim', 'Holds', 'Found'), rows)


def _comparison(table: Table) -> Iterator[str]:
    yield '## Rules\n'
    yield (
        "Share is of the reference's way up from the floor; raw is the ratio of returns, where "
        'they are positive.\n'
    )
    header = (
        'Task', 'Depth', 'Rule', 'Seeds', 'Final', 'Worst', 'Best', 'Share', 'Raw',
        'Episodes to 90 %', 'Reached', 'Diverged', 'Steps/s', 'Settings',
    )  # fmt: skip
    rows = []
    for task in table.study.tasks:
        for depth in table.study.depths:
            for rule in table.study.rules:
                result = table.main(task.name, rule.name, depth)
                if result is not None:
                    label = result.condition.label
                    rows.append((task.name, depth, label, *_figures(table, result)))
    yield _markdown(header, rows)


def _figures(table: Table, result: Result) -> tuple[Any, ...]:
    task, depth = result.condition.task.name, result.condition.depth
    reference = table.main(task, table.study.roles.reference, depth)
    episodes = table.episodes_to_level(result)
    count = sum(1 for value in episodes if math.isfinite(value))
    speed = sum(r['steps_per_second'] for r in result.records) / len(result.records)
    known = not any(map(math.isnan, episodes))
    return (
        len(result.records),
        f'{result.mean:,.1f} ± {result.std:,.1f}',
        f'{min(result.finals):,.1f}',
        f'{max(result.finals):,.1f}',
        percent(table.share(task, depth, result.mean)),
        '–' if reference is None else percent(raw_share(result.mean, reference.mean)),
        number(median(episodes)),
        f'{count}/{len(episodes)}' if known else '–',
        result.diverged or '',
        f'{speed:,.0f}',
        _point(result),
    )


def _slowdowns(table: Table) -> Iterator[str]:
    depths = sorted(table.study.depths)
    pairs = list(zip(depths, depths[1:], strict=False))
    if not pairs:
        return
    yield '## Slowdown per hidden layer\n'
    yield 'Ratio of the median episodes to 90 %, deeper over shallower.\n'
    rows = []
    for task in table.study.tasks:
        for rule in table.study.rules:
            cells = []
            for pair in pairs:
                both = [table.main(task.name, rule.name, depth) for depth in pair]
                known = [r for r in both if r is not None]
                ratio = math.nan
                if len(known) == 2:
                    ratio = slowdown(*(median(table.episodes_to_level(r)) for r in known))
                cells.append(number(ratio, 2))
            rows.append((task.name, rule.label or rule.name, *cells))
    yield _markdown(('Task', 'Rule', *(f'{deep} over {low}' for low, deep in pairs)), rows)


def _sections(table: Table) -> Iterator[str]:
    for section in table.study.sections:
        rows = []
        for result in table.section(section.name):
            rows.append((result.condition.label, result.condition.depth, *_figures(table, result)))
        if not rows:
            continue
        how = 'each with a search of its own'
        if section.search == 'rule':
            how = f'with the settings that the search of {section.rule} found'
        yield f'## {section.title or section.name}\n'
        yield f'On {section.task}, varied from {section.rule}, {how}.\n'
        header = (
            section.axis or 'Variant', 'Depth', 'Seeds', 'Final', 'Worst', 'Best', 'Share', 'Raw',
            'Episodes to 90 %', 'Reached', 'Diverged', 'Steps/s', 'Settings',
        )  # fmt: skip
        yield _markdown(header, rows)


def _gradients(record: Record | None) -> Iterator[str]:
    if record is None:
        return
    yield '## Gradients\n'
    yield (
        f'Nothing is trained: {record["states"]} random networks and states. Cosine of the mean of '
        'K estimates with the exact gradient, with respect to the pre-activations; predicted is '
        'sqrt(K / (K + N − 1)) for K well above 1, N being the neurons.\n'
    )
    rows: list[tuple[Any, ...]] = []
    for row in record['rows']:
        shown = [
            f'{found:.3f} ({wanted:.3f})'
            for found, wanted in zip(row['cosine_neurons'], row['predicted'], strict=True)
        ]
        rows.append((row['depth'], row['noise_components'], *shown))
    yield _markdown(('Depth', 'N', *(f'K={k} (predicted)' for k in record['samples'])), rows)
    yield (
        'Error of log π(a|s) from n noisy passes instead of a clean one, as a share of the root '
        'mean square of the impact ρ; predicted is 1/sqrt(n).\n'
    )
    rows = []
    for row in record['rows']:
        both = zip(row['reference_error'], row['reference_predicted'], strict=True)
        rows.append((row['depth'], *(f'{found:.3f} ({wanted:.3f})' for found, wanted in both)))
    yield _markdown(('Depth', *(f'n={n} (predicted)' for n in record['passes'])), rows)


def _searches(table: Table) -> Iterator[str]:
    searched = [result for result in table.all if result.grid]
    if not searched:
        return
    search = table.study.search
    yield '## Search\n'
    yield (
        f'Score of a seed: mean return of the last {search.share:.0%} of its episodes; of a point: '
        f'{1 - search.worst_weight:g} of the mean and {search.worst_weight:g} of the worst over '
        f'seeds {_listed(search.seeds)}. Chosen ones are bold; ◂ marks a choice at the edge of '
        'the grid, where a wider one might find a better point. † is a seed that diverged.\n'
    )
    for result in searched:
        parts = []
        for one in result.grid:
            shown = f'{point_text(one.point)}: {number(one.score, 1)}{"†" * one.diverged}'
            parts.append(f'**{shown}**' if one.point == result.point else shown)
        edge = ' ◂' if result.edge else ''
        yield f'- {result.condition.where}{edge}: {", ".join(parts)}'
    yield ''


def _condition_data(table: Table, result: Result) -> dict[str, Any]:
    condition = result.condition
    return {
        'section': condition.section,
        'task': condition.task.name,
        'name': condition.name,
        'label': condition.label,
        'depth': condition.depth,
        'value': condition.value,
        'point': result.point,
        'edge': result.edge,
        'grid': [one._asdict() for one in result.grid],
        'finals': result.finals,
        'episodes_to_level': table.episodes_to_level(result),
        'trials': [
            {
                key: record.get(key)
                for key in ('seed', 'episodes', 'steps', 'diverged_at_step', 'seconds', 'counters')
            }
            for record in result.records
        ],
    }


def _markdown(header: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return 'Nothing is finished yet.\n'
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join('| ' + ' | '.join(str(cell) for cell in line) + ' |' for line in lines) + '\n'


def number(value: float, digits: int = 0) -> str:
    """Return a number as text: 'never' for infinity, a dash for NaN."""
    if math.isnan(value):
        return '–'
    return f'{value:,.{digits}f}' if math.isfinite(value) else 'never' if value > 0 else '−∞'


def point_text(point: Mapping[str, float]) -> str:
    """Return settings as people say them."""
    return ' '.join(f'{name.rpartition(".")[2]} {value:g}' for name, value in point.items())


def _point(result: Result) -> str:
    return (point_text(result.point or {}) + (' ◂' if result.edge else '')) or '–'


def _listed(values: Sequence[int]) -> str:
    return ', '.join(map(str, values))


def _name(table: Table, rule: str) -> str:
    return next((r.label or r.name for r in table.study.rules if r.name == rule), rule)
