"""Show progress live: as a panel in a terminal, one line per second elsewhere, or not at all."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from textwrap import fill
from typing import IO, Any, Protocol, cast

from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nrl_ros.base.durations import duration
from nrl_ros.monitor.progress import FIGURE_EPISODES, Progress

_BARS = '▁▂▃▄▅▆▇█'
_SPARK_WIDTH = 40
_HINT_WIDTH = 76
_LINE_PERIOD_S = 1.0
# When what takes long is said for the first time, and how often again [s].
_SLOW_S = 2.0
_AGAIN_S = 10.0

Say = Callable[[str], None]


class Display(Protocol):
    """Shows the progress repeatedly."""

    def __enter__(self) -> Display:
        """Take the screen."""
        ...

    def __exit__(self, *_: object) -> None:
        """Give the screen back."""
        ...

    def show(self, progress: Progress, wall_time_s: float) -> None:
        """Show the newest figures."""
        ...


class LastingStream:
    """A text stream that continues, into nothing, after its reader has gone."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        """Return any other attribute, such as the encoding, from the stream."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text and return its length."""
        try:
            return self._stream.write(text)
        except OSError:
            self._give_up()
            return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        try:
            self._stream.flush()
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        """Redirect the descriptor to nowhere, so that what is still in a buffer goes there too."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


def lasting_console() -> Console:
    """Return a console that outlives its reader, for commands that run long."""
    return Console(file=cast(IO[str], LastingStream(sys.stdout)))


def lines_to(console: Console, *, quiet: bool = False) -> Say:
    """Return a function that prints one line as it is; nothing if quiet."""

    def say(text: str) -> None:
        if not quiet:
            console.print(escape(text), soft_wrap=True, highlight=False)

    return say


def warn(console: Console, text: object) -> None:
    """Print one line about something that does not end the command."""
    console.print(f'[yellow]warning:[/] {escape(str(text))}', soft_wrap=True, highlight=False)


@contextmanager
def told_if_slow(say: Say, what: str, *, first_s: float = _SLOW_S) -> Iterator[None]:
    """Say what a block of code waits for, once it has taken a while, and then now and then.

    Args:
        say: prints a line.
        what: is waited for.
        first_s: when it is said for the first time [s].
    """
    done, start = threading.Event(), time.monotonic()

    def tell() -> None:
        wait_s = first_s
        while not done.wait(wait_s):
            say(f'waiting for {what}: {time.monotonic() - start:.0f} s so far')
            wait_s = _AGAIN_S

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class EvaluationLines:
    """Prints how far an evaluation is, for one that takes long.

    Args:
        say: prints a line.
        acting: how the policy acts, greedy or exploring.
        period_s: between two lines [s].
    """

    def __init__(self, say: Say, acting: str, period_s: float = _SLOW_S) -> None:
        self._say, self._acting, self._period_s = say, acting, period_s
        self._last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Note that so many of all episodes have ended."""
        now = time.monotonic()
        if now - self._last >= self._period_s and done < total:
            self._last = now
            self._say(f'evaluating: {done} of {total} {self._acting} episodes')


def make_display(console: Console, title: str, *, quiet: bool, plain: bool) -> Display:
    """Return the display for the output: a panel in a terminal, else lines, or nothing."""
    if quiet:
        return Silent()
    if plain or not console.is_terminal:
        return Lines(console)
    return LivePanel(console, title)


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Silent:
        """Do nothing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def show(self, progress: Progress, wall_time_s: float) -> None:
        """Show nothing."""


class Lines:
    """Prints one line per second, for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = -_LINE_PERIOD_S
        self._phase = self._hint = ''

    def __enter__(self) -> Lines:
        """Do nothing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def show(self, progress: Progress, wall_time_s: float) -> None:
        """Print each phase without steps once, and else a line if the last one is a second old."""
        if progress.phase:
            if progress.phase != self._phase:
                self._print(f'{wall_time_s:6.1f} s {progress.phase}')
            self._phase = progress.phase
            return
        if wall_time_s - self._last < _LINE_PERIOD_S:
            return
        self._last = wall_time_s
        self._print(line_of(progress, wall_time_s))
        hint = progress.health.now.first_hint
        if hint and hint != self._hint:
            self._hint = hint
            self._print(f'{wall_time_s:6.1f} s {hint}')

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


class LivePanel:
    """Draws a panel and redraws it in place."""

    def __init__(self, console: Console, title: str) -> None:
        self._title = title
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._last = 0.0
        self._phase = ''

    def __enter__(self) -> LivePanel:
        """Take the screen."""
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last panel on the screen."""
        self._live.__exit__(None, None, None)

    def show(self, progress: Progress, wall_time_s: float) -> None:
        """Redraw about four times a second, and whenever another phase begins."""
        now = time.monotonic()
        if now - self._last < 0.25 and progress.phase == self._phase:
            return
        self._last, self._phase = now, progress.phase
        self._live.update(panel_of(progress, wall_time_s, self._title), refresh=True)


def line_of(progress: Progress, wall_time_s: float) -> str:
    """Return the figures in one line."""
    share = '' if math.isnan(progress.share_done) else f' {100 * progress.share_done:3.0f} %'
    parts = [
        f'{wall_time_s:6.1f} s{share}',
        f'steps {progress.steps:,}',
        f'{progress.steps_per_second:,.0f}/s',
        f'episodes {progress.episodes:,}',
        f'return {number(progress.mean_return)} ({number(progress.mean_reward)} a step)',
        f'|RPE| {number(progress.mean_absolute_rpe)}',
        f'baseline {number(progress.baseline)}',
        f'|W| {number(progress.weight_norm)}',
    ]
    shares = progress.figures.shares()
    parts[5:5] = [f'{name} {100 * share:.0f} %' for name, share in shares.items()]
    parts += [f'{name} {value:,}' for name, value in progress.groups.items() if value]
    if progress.guard:
        parts.append(f'guard {progress.guard}')
    return '  '.join(parts)


def panel_of(progress: Progress, wall_time_s: float, title: str) -> RenderableType:
    """Return the figures as a panel."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style='dim', justify='right')
    grid.add_column(min_width=14)
    grid.add_column(style='dim', justify='right')
    grid.add_column(min_width=14)
    busy = '–' if math.isnan(progress.busy_share) else f'{100 * progress.busy_share:.0f} %'
    grid.add_row('steps', f'{progress.steps:,}', 'speed', f'{progress.steps_per_second:,.0f} /s')
    grid.add_row('episodes', f'{progress.episodes:,}', 'time', duration(wall_time_s))
    grid.add_row(
        'mean |RPE|', number(progress.mean_absolute_rpe), 'baseline', number(progress.baseline)
    )
    grid.add_row('weight norm', number(progress.weight_norm), 'learner busy', busy)
    outer = Table.grid(padding=(0, 0))
    outer.add_row(_bar(progress, wall_time_s))
    outer.add_row(grid)
    curve = Text.assemble(
        ('return ', 'dim'),
        (f'{number(progress.mean_return):>8} ', 'bold green'),
        (sparkline([value for _, value in progress.curve]), 'green'),
        (f' mean of 100 episodes, {number(progress.mean_reward)} a step', 'dim'),
    )
    outer.add_row(curve)
    shares = progress.figures.shares()
    if shares:
        outer.add_row(_shares(shares))
    if progress.guard:
        outer.add_row(Text.assemble(('guard ', 'dim'), progress.guard))
    people = progress.counters.get('environment', {})
    if people.get('human_rewards') or people.get('intervened_steps'):
        outer.add_row(_people(people))
    counts = Text('messages ', style='dim')
    for name, value in progress.groups.items():
        counts.append(f' {name} {value:,} ', style='bold yellow' if value else 'dim')
    outer.add_row(counts)
    hint = progress.health.now.first_hint
    if hint:
        outer.add_row(Text(fill(hint, _HINT_WIDTH), style='yellow'))
    return Panel(outer, title=title, title_align='left', border_style='cyan', expand=False)


def _people(counters: Mapping[str, int]) -> Text:
    row = Text('people ', style='dim')
    for name, counter in (('rewards', 'human_rewards'), ('steps', 'intervened_steps')):
        row.append(f' {name} {counters.get(counter, 0):,} ', style='bold green')
    return row


def _shares(shares: Mapping[str, float]) -> Text:
    row = Text()
    for name, share in shares.items():
        row.append(f'{name} ', style='dim')
        row.append(f'{100 * share:.1f} %  ', style='bold green')
    row.append(f'of {FIGURE_EPISODES} episodes, exploring', style='dim')
    return row


def _bar(progress: Progress, wall_time_s: float) -> RenderableType:
    if progress.phase:
        return Text(progress.phase, style='bold yellow')
    share = progress.share_done
    if math.isnan(share):
        return Text('until Ctrl+C', style='dim')
    row = Table.grid(padding=(0, 1))
    left = duration(wall_time_s / share - wall_time_s) if share > 0.01 else '–'
    row.add_row(
        ProgressBar(total=1.0, completed=share, width=48),
        f'{100 * share:3.0f} %',
        Text(f'{left} left', style='dim'),
    )
    return row


def sparkline(values: list[float], width: int = _SPARK_WIDTH) -> str:
    """Return a curve as a row of blocks, from its lowest to its highest value."""
    values = [value for value in values if not math.isnan(value)]
    if not values:
        return ''
    if len(values) > width:
        edges = [round(index * len(values) / width) for index in range(width + 1)]
        groups = [values[a:b] for a, b in zip(edges, edges[1:], strict=False)]
        values = [sum(group) / len(group) for group in groups]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return ''.join(_BARS[int((value - low) / span * (len(_BARS) - 1))] for value in values)


def number(value: float) -> str:
    """Return a figure as a person reads it; a dash for none."""
    if math.isnan(value):
        return '–'
    if abs(value) >= 100.0:
        return f'{value:,.1f}'
    return f'{value:.3g}'
