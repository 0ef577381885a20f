"""Contents of a study file: tasks, rules, depths, seeds, search, sections."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveInt, ValidationError, field_validator, model_validator

from nrl_ros.base.config_files import find_config, read_yaml
from nrl_ros.base.errors import ConfigError
from nrl_ros.base.settings import Flat, Settings, dotted

_NAME = r'^[A-Za-z][A-Za-z0-9_-]{0,39}$'


class Range(Settings):
    """Points evenly spaced in the logarithm."""

    low: float = Field(gt=0, description='First point')
    high: float = Field(gt=0, description='Last point')
    points: int = Field(ge=2, le=50, description='How many')

    @model_validator(mode='after')
    def _ordered(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f'expected low < high, received {self.low} and {self.high}')
        return self

    @property
    def values(self) -> tuple[float, ...]:
        """The points, rounded to four digits so that they can be read and typed."""
        step = math.log(self.high / self.low) / (self.points - 1)
        return tuple(
            float(f'{self.low * math.exp(step * index):.4g}') for index in range(self.points)
        )


class Listed(Settings):
    """Points that are listed one by one."""

    values: tuple[float, ...] = Field(min_length=1, description='The points')


# Keys are the learner's dotted settings, as plasticity.learning_rate.
Grid = dict[str, Range | Listed]


class Overrides(Settings):
    """Settings of the three nodes that differ from the task's file; dotted or nested names."""

    learner: dict[str, Any] = Field({}, description='Settings of the learner')
    neuromodulator: dict[str, Any] = Field({}, description='Settings of the neuromodulator')
    environment: dict[str, Any] = Field({}, description='Settings of the environment')

    def flat(self) -> dict[str, Flat]:
        """Return the settings by node, with dotted names."""
        return {
            'learner': dotted(self.learner),
            'neuromodulator': dotted(self.neuromodulator),
            'environment': dotted(self.environment),
        }


class Overlay(Overrides):
    """Overrides, and the settings that are searched."""

    grid: Grid | None = Field(
        None, description="Grid of the search; empty: none; left out: the study's"
    )

    @field_validator('grid', mode='before')
    @classmethod
    def _lists_are_points(cls, grid: Any) -> Any:
        return listed(grid)


class Budget(Settings):
    """End of a run: at the first of these limits."""

    episodes: int = Field(0, ge=0, description='Ended episodes; 0: no limit [1]')
    steps: int = Field(0, ge=0, description='Steps of all instances; 0: no limit [1]')

    @model_validator(mode='after')
    def _limited(self) -> Budget:
        if not (self.episodes or self.steps):
            raise ValueError('expected a number of episodes, steps, or both')
        return self


class Task(Overrides):
    """A task: its file, how it is run, and when a seed counts as having learned."""

    name: str = Field(pattern=_NAME)
    config: str = Field('', description='File of config/; empty: the name')
    instances: PositiveInt = Field(16, description='Parallel instances in one process [1]')
    width: PositiveInt = Field(64, description='Neurons of each hidden layer [1]')
    budget: Budget
    search_budget: Budget | None = Field(
        None, description='End of a search trial; left out: budget'
    )
    learned_at: float | None = Field(
        None, description='Final performance at which a seed counts as having learned'
    )
    smoothing: PositiveInt = Field(
        50, description='Episodes over which the mean must reach a level [1]'
    )


class Rule(Overlay):
    """A rule to be compared."""

    name: str = Field(pattern=_NAME)
    label: str = ''
    tasks: tuple[str, ...] = Field((), description='Only these tasks; empty: all')
    by_task: dict[str, Overlay] = Field({}, description='Overrides for single tasks')


class Search(Settings):
    """The search that all rules share: a grid, scored on seeds of its own."""

    seeds: tuple[int, ...] = Field(
        min_length=1, description='Seeds of the search; different from the final seeds'
    )
    grid: Grid = {}
    share: float = Field(
        0.5, gt=0, le=1, description='Score of a seed: mean return of this last share of episodes'
    )
    worst_weight: float = Field(
        0.5, ge=0, le=1, description='Weight of the worst seed beside the mean over seeds'
    )

    @field_validator('grid', mode='before')
    @classmethod
    def _lists_are_points(cls, grid: Any) -> Any:
        return listed(grid)


class Variant(Overlay):
    """One value of what a section varies."""

    name: str = Field(pattern=r'^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$')
    label: str = ''
    value: float | None = Field(
        None, description='Its place on the axis, if the values are numbers'
    )


class Section(Settings):
    """One thing varied on one task."""

    name: str = Field(pattern=_NAME)
    title: str = ''
    task: str
    depths: tuple[PositiveInt, ...] = Field((1,), min_length=1)
    rule: str = Field(description='Rule of the study that the variants start from')
    search: Literal['each', 'rule'] = Field(
        'each', description="Search for each variant, or take what the rule's search found"
    )
    budget: Budget | None = Field(None, description="Budget of every run; left out: the task's")
    grid: Grid | None = Field(None, description="Grid of every variant; left out: the rule's")
    axis: str = Field('', description='What the values are')
    variants: tuple[Variant, ...] = Field(min_length=1)

    @field_validator('grid', mode='before')
    @classmethod
    def _lists_are_points(cls, grid: Any) -> Any:
        return listed(grid)


class Gradients(Settings):
    """Comparison of the estimates with the exact gradient; nothing is trained."""

    depths: tuple[PositiveInt, ...] = (1, 2, 3)
    width: PositiveInt = 64
    inputs: PositiveInt = 4
    outputs: int = Field(2, ge=2)
    sigma: float = Field(1e-3, gt=0)
    samples: tuple[PositiveInt, ...] = (1, 2, 4, 8, 16, 32, 64)
    passes: tuple[PositiveInt, ...] = (1, 2, 4, 8, 16, 32, 64)
    states: PositiveInt = Field(200, description='Random networks and states, one of each [1]')
    seed: int = Field(0, ge=0)


class Roles(Settings):
    """Rules and tasks that the claims refer to; claims about missing ones are left out."""

    nrl: str = 'nrl'
    reference: str = 'bp'
    rmhl: str = 'rmhl'
    improved: str = ''
    floor: str = 'random'
    noisy: str = Field('reference_passes', description='Section that varies the noisy passes')
    reaching: str = 'reaching'
    acrobot: str = 'acrobot'


class Study(Settings):
    """The content of a study file."""

    name: str = Field(pattern=_NAME)
    title: str = ''
    tasks: tuple[Task, ...] = Field(min_length=1)
    rules: tuple[Rule, ...] = Field(min_length=1)
    depths: tuple[PositiveInt, ...] = Field((1,), min_length=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    search: Search
    sections: tuple[Section, ...] = ()
    gradients: Gradients | None = None
    roles: Roles = Roles()

    @model_validator(mode='after')
    def _consistent(self) -> Study:
        tasks, rules = [t.name for t in self.tasks], [r.name for r in self.rules]
        sections = [section.name for section in self.sections]
        lists: dict[str, list[Any]] = {}
        lists |= {'tasks': tasks, 'rules': rules, 'sections': sections, 'depths': list(self.depths)}
        lists |= {'seeds': list(self.seeds), 'search.seeds': list(self.search.seeds)}
        lists |= {f'variants of {s.name}': [v.name for v in s.variants] for s in self.sections}
        for what, names in lists.items():
            if len(set(names)) != len(names):
                raise ValueError(f'{what}: expected each once, received {names}')
        both = sorted(set(self.seeds) & set(self.search.seeds))
        if both:
            raise ValueError(f'seeds {both} are searched on and reported: expected other ones')
        for rule in self.rules:
            _known(f'rule {rule.name!r}', (*rule.tasks, *rule.by_task), tasks)
        for section in self.sections:
            _known(f'section {section.name!r}', (section.task,), tasks)
            _known(f'section {section.name!r}', (section.rule,), rules)
        return self

    def task(self, name: str) -> Task:
        """Return a task by its name."""
        return next(task for task in self.tasks if task.name == name)

    def rule(self, name: str) -> Rule:
        """Return a rule by its name."""
        return next(rule for rule in self.rules if rule.name == name)


def listed(grid: Any) -> Any:
    """Return the grid with each list ``[1, 2]`` written as ``{values: [1, 2]}``."""
    if not isinstance(grid, dict):
        return grid
    return {
        name: {'values': points} if isinstance(points, list | tuple) else points
        for name, points in grid.items()
    }


def _known(where: str, names: tuple[str, ...], known: list[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f'{where}: unknown {name!r}, known are {", ".join(known)}')


def read_study(which: str) -> Study:
    """Read a study by its name in ``config/study`` or by the path of its file.

    Raises:
        ConfigError: there is no such file, or its content is wrong.
    """
    path = Path(which)
    if path.suffix not in ('.yaml', '.yml'):
        path = find_config(which, 'study')
    data = read_yaml(path)
    try:
        return Study.model_validate(data)
    except ValidationError as error:
        faults = [_fault(item, data) for item in error.errors()]
        raise ConfigError(f'study {path.name}: ' + '; '.join(faults)) from None


def _fault(item: Any, data: Any) -> str:
    """Return where and what is wrong, with names of list entries instead of numbers."""
    words, here = [], data
    for part in item['loc']:
        try:
            here = here[part]
        except (LookupError, TypeError):
            here = None
        name = here.get('name') if isinstance(part, int) and isinstance(here, dict) else None
        words.append(f'{name or part}')
    message = str(item['msg']).removeprefix('Value error, ')
    received = (
        '' if item['type'] in ('missing', 'value_error') else f' (received {item["input"]!r})'
    )
    return f'{" › ".join(words)}: {message}{received}'.removeprefix(': ')
