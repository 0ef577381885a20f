"""Expand a study into conditions: a rule or variant on one task at one depth."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nrl_ros.base.config_files import find_config
from nrl_ros.base.errors import ConfigError, NrlError
from nrl_ros.base.settings import Flat
from nrl_ros.environments.registry import bridge_names
from nrl_ros.experiments.plan import Grid, Overlay, Overrides, Section, Study, Task, Variant
from nrl_ros.experiments.trials import Trial, resolved
from nrl_ros.settings.run import check, read_config

MAIN = 'comparison'
Point = dict[str, float]
Identity = tuple[str, str, str, int]


@dataclass(frozen=True)
class Condition:
    """A rule or variant that is searched once and then run with every final seed.

    Attributes:
        section: MAIN or a section's name.
        task: the task.
        name: of the rule or variant.
        depth: hidden layers.
        label: for people.
        value: of a variant on its section's axis.
        nodes: dotted settings of the three nodes, without seed, budget and point.
        points: of the grid; a single empty one if nothing is searched.
        search_of: condition whose winning point is taken instead of a search of its own.
    """

    section: str
    task: Task
    name: str
    depth: int
    label: str
    value: float | None
    nodes: dict[str, Flat]
    points: tuple[Point, ...]
    search_of: Identity | None = None

    @property
    def identity(self) -> Identity:
        """Section, task, name, depth."""
        return (self.section, self.task.name, self.name, self.depth)

    @property
    def where(self) -> str:
        """Section, name, task and depth in words, for labels and errors."""
        section = '' if self.section == MAIN else f'section {self.section}, '
        return f'{section}{self.name} on {self.task.name} with {self.depth} hidden layers'

    @property
    def searched(self) -> bool:
        """True if it has a search of its own."""
        return self.search_of is None and len(self.points) > 1

    def trial(self, point: Mapping[str, float], seed: int, *, search: bool) -> Trial:
        """Return the trial of one seed at one point of the grid.

        Raises:
            ConfigError: the settings do not pass; names the condition.
        """
        budget = (self.task.search_budget if search else None) or self.task.budget
        nodes = {name: dict(flat) for name, flat in self.nodes.items()}
        nodes['learner'] |= {**point, 'seed': seed}
        nodes['environment'] |= {
            'seed': seed,
            'stop.episodes': budget.episodes,
            'stop.steps': budget.steps,
        }
        shown = ''.join(f', {key.rpartition(".")[2]} {value:g}' for key, value in point.items())
        label = f'{self.where}{shown}, {"search " if search else ""}seed {seed}'
        return Trial(
            'train',
            resolved(nodes, source=self.where),
            label,
            (self.task.name, self.name, self.depth),
            float(budget.episodes or budget.steps),
        )


def conditions(study: Study) -> list[Condition]:
    """Return all conditions of a study, checked.

    Raises:
        ConfigError: a task has no file, or settings do not pass; names study and condition.
    """
    found = [*_comparison(study), *_sections(study)]
    try:
        for condition in found:
            _check(condition, study.seeds[0])
    except NrlError as error:
        raise ConfigError(f'study {study.name}: {error}') from error
    return found


def _check(condition: Condition, seed: int) -> None:
    """Check all that can be checked before the first trial runs."""
    for point in condition.points:
        settings = condition.trial(point, seed, search=False).settings
    checked = check(settings, source=condition.where)
    bridge = checked.environment.bridge.name
    if bridge not in bridge_names():
        known = ', '.join(bridge_names())
        raise ConfigError(f'{condition.where}: unknown bridge.name {bridge!r}, known are {known}')


def _comparison(study: Study) -> Iterator[Condition]:
    for task, depth, rule in itertools.product(study.tasks, study.depths, study.rules):
        if rule.tasks and task.name not in rule.tasks:
            continue
        parts = [rule, *(rule.by_task[name] for name in rule.by_task if name == task.name)]
        yield _condition(study, MAIN, task, rule.name, depth, rule.label or rule.name, parts)


def _sections(study: Study) -> Iterator[Condition]:
    for section in study.sections:
        task, rule = study.task(section.task), study.rule(section.rule)
        if section.budget is not None:
            task = task.model_copy(update={'budget': section.budget, 'search_budget': None})
        base = [rule, *(rule.by_task[name] for name in rule.by_task if name == task.name)]
        for depth, variant in itertools.product(section.depths, section.variants):
            of = None
            if section.search == 'rule':
                of = _search_of(study, section, depth)
            parts = [*base, Overlay(grid=section.grid), variant]
            label = variant.label or variant.name
            yield _condition(study, section.name, task, variant.name, depth, label, parts, of)


def _search_of(study: Study, section: Section, depth: int) -> Identity:
    """Return the condition of the comparison whose winning point a section takes."""
    rule = study.rule(section.rule)
    if depth not in study.depths or (rule.tasks and section.task not in rule.tasks):
        raise ConfigError(
            f'study {study.name}: section {section.name} takes what the search of {rule.name} '
            f'found on {section.task} with {depth} hidden layers, which is not part of the '
            'study; say search: each'
        )
    return (MAIN, section.task, rule.name, depth)


def _condition(
    study: Study, section: str, task: Task, name: str, depth: int, label: str,
    parts: list[Overlay], search_of: Identity | None = None,
) -> Condition:  # fmt: skip
    nodes = read_config(find_config(task.config or task.name))
    nodes['learner']['network.hidden_sizes'] = [task.width] * depth
    nodes['environment']['bridge.instances'] = task.instances
    grid: Grid = study.search.grid
    for part in [task, *parts]:
        _lay_over(nodes, part)
        if isinstance(part, Overlay) and part.grid is not None:
            grid = part.grid
    last = parts[-1]
    value = last.value if isinstance(last, Variant) else None
    points = ({},) if search_of else _points(grid)
    return Condition(section, task, name, depth, label, value, nodes, points, search_of)


def _lay_over(nodes: dict[str, Flat], overrides: Overrides) -> None:
    for node, flat in overrides.flat().items():
        if any(name.startswith('bridge.options.') or name == 'bridge.name' for name in flat):
            # Another bridge has other options, and does not know those of the task's file.
            for name in [name for name in nodes[node] if name.startswith('bridge.options.')]:
                del nodes[node][name]
        nodes[node] |= flat


def _points(grid: Grid) -> tuple[Point, ...]:
    names = list(grid)
    products = itertools.product(*(grid[name].values for name in names))
    return tuple(dict(zip(names, values, strict=True)) for values in products)


def gradients_trial(study: Study) -> Trial | None:
    """Return the section that trains nothing as one trial, None if the study has none."""
    if study.gradients is None:
        return None
    settings: dict[str, Any] = study.gradients.model_dump(mode='json')
    return Trial('gradients', settings, 'gradients', ('', 'gradients', 0), 1.0)


__all__ = ['MAIN', 'Condition', 'Identity', 'Point', 'conditions', 'gradients_trial']
