"""``nrl tune``: search settings for a task within bounds, and write them into a file."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from nrl_ros.base.durations import duration
from nrl_ros.base.errors import ConfigError
from nrl_ros.base.settings import Flat, flatten
from nrl_ros.cli import config
from nrl_ros.cli.options import TrainOptions, TuneOptions
from nrl_ros.cli.plan import task_settings
from nrl_ros.cli.runs import check_can_write, write_json, write_whole
from nrl_ros.cli.trials import make_engine, run_trials
from nrl_ros.experiments.engine import Engine
from nrl_ros.experiments.store import Store
from nrl_ros.experiments.tune_result import TuneResult
from nrl_ros.experiments.tuning import TuneSettings, Tuning

_SHOWN = 5
# A trial of the search takes this share of the steps of a final run.
_SEARCH_SHARE = 4


class Deadline:
    """Ends a search in time for its final runs, and these at the end of the time.

    Args:
        tuning: the search.
        minutes: for all of it; 0: no limit.
        workers: trials at once.
        clock: a steady time [s].
    """

    def __init__(
        self, tuning: Tuning, minutes: float, workers: Callable[[], int], clock: Callable[[], float]
    ) -> None:
        self._tuning, self._workers, self._clock = tuning, workers, clock
        self._end = clock() + 60.0 * minutes if minutes else None

    def look(self) -> None:
        """Let no trial begin for which there is no time."""
        if self._end is None:
            return
        tuning, left = self._tuning, self._end - self._clock()
        tuning.search_is_over |= left <= tuning.final_seconds(self._workers())
        tuning.is_over |= left <= 0.0


def run(options: TuneOptions, console: Console, say: Callable[[str], None]) -> int:
    """Run a search, write what it found, and return the exit code.

    Raises:
        NrlError: the task or an option is wrong.
    """
    name, origin, nodes = task_settings(options.train, say)
    overrides, wanted = options.train.overrides, _wanted(options.train)
    own = config.resolve_nodes(nodes, overrides, wanted, source=origin)
    steps = own.environment.stop.steps
    if not steps:
        raise ConfigError(
            f'{origin}: stop.steps is 0, expected the steps of a run: give them with --steps'
        )
    flat = {node: flatten(getattr(own, node)) for node in config.MODELS}
    store = Store(options.root / name)
    bounds = TuneSettings(
        options.trials,
        steps,
        options.search_steps or max(1, steps // _SEARCH_SHARE),
        options.seeds,
        own.learner.seed,
    )
    tuning = Tuning(name, flat, bounds, store)
    store.prepare()
    out = options.out or store.folder / 'tuned.yaml'
    out.parent.mkdir(parents=True, exist_ok=True)
    check_can_write(out)
    begun = time.monotonic()
    stopped = _run(tuning, options, console, f'tune {name}')
    if stopped:
        return 128 + stopped
    result = tuning.result()
    _write(out, tuning, result, options, flat)
    write_json(store.folder / 'tune.json', {'task': name, 'steps': steps, **result.data()})
    _report(tuning, result, console, time.monotonic() - begun)
    console.print(
        f'{out}: train with it: nrl train {options.task or name} --config {out}',
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    return 1 if tuning.failed and not result.own_seeds else 0


def _run(tuning: Tuning, options: TuneOptions, console: Console, title: str) -> int:
    """Run the trials that are left; return the signal that stopped them, 0 if none did."""
    made: list[Engine] = []

    def engine() -> Engine:
        made.append(make_engine(options.engine, options.workers, options.address))
        return made[0]

    deadline = Deadline(tuning, options.minutes, lambda: made[0].workers, time.monotonic)
    return run_trials(tuning, engine, console, title, plain=options.plain, look=deadline.look)


def _wanted(options: TrainOptions) -> dict[str, Flat]:
    environment: Flat = {}
    if options.instances is not None:
        environment['bridge.instances'] = options.instances
    if options.steps is not None:
        environment['stop.steps'] = options.steps
    return {'environment': environment}


def _write(
    out: Path, tuning: Tuning, result: TuneResult, options: TuneOptions, own: dict[str, Flat]
) -> None:
    """Write the parameter file, which says at its beginning how sure it is."""
    source = f'the settings that nrl tune chose for {options.task}'
    settings = config.check(tuning.nodes(result.chosen), source=source)
    lines = [
        f'Settings for {options.task or options.config}, by nrl tune.',
        result.verdict(),
        f'default: {result.own}: {_seeds(result.own_seeds)}',
        f'winner of the search: {result.winner}: {_seeds(result.winner_seeds)}',
        f'Here: {"the winner" if result.is_better else "the default"}.',
    ]
    write_whole(out, config.to_yaml(settings, comment='\n'.join(lines)))


def _seeds(returns: tuple[float, ...]) -> str:
    return ', '.join(f'{value:,.4g}' for value in returns) or 'not run'


def _report(tuning: Tuning, result: TuneResult, console: Console, seconds: float) -> None:
    """Print the best of what was tried, the final runs, and how sure it is."""

    def line(text: str) -> None:
        console.print(escape(text), highlight=False, soft_wrap=True)

    known = [one for one in result.tried if one.known]
    ranked = sorted(known, key=lambda one: (-len(one.seeds), -one.score))
    line(f'{len(known)} settings tried in {duration(seconds)}; the best of the search:')
    for one in ranked[:_SHOWN]:
        mark = ' (default)' if one.candidate == result.own else ''
        line(f'  {one.score:12,.4g}  {one.candidate}{mark}, {len(one.seeds)} seeds')
    line(f'final return of the default: {_seeds(result.own_seeds)}')
    if result.winner != result.own:
        line(f'final return of the winner, {result.winner}: {_seeds(result.winner_seeds)}')
    line(result.verdict())
    for fault in tuning.failed.values():
        line(f'failed: {fault}')
