"""Shows the progress of a study: a panel in a terminal, one line for each trial elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.text import Text

from nrl_ros.base.durations import duration
from nrl_ros.experiments.driver import State

_LINE_S = 1.0


class Panel:
    """Shows the progress of a study while it is entered.

    Args:
        console: where.
        title: of the study.
        plain: print lines instead of a panel.
    """

    def __init__(self, console: Console, title: str, *, plain: bool) -> None:
        self._console = console
        self._title = title
        self._start = time.monotonic()
        self._said = ''
        self._live: Live | None = None
        if not plain and console.is_terminal:
            self._live = Live(console=console, refresh_per_second=4, transient=False)

    def __enter__(self) -> Panel:
        """Start showing."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, and leave the last state on the screen."""
        if self._live is not None:
            self._live.stop()

    def update(self, state: State) -> None:
        """Show the present progress."""
        if self._live is not None:
            self._live.update(self._drawn(state))
        elif state.last and state.last != self._said:
            self._said = state.last
            line = f'{state.done}/{state.total}, {duration(state.seconds_left)} left, {state.last}'
            self._console.print(escape(line), highlight=False, soft_wrap=True)

    def _drawn(self, state: State) -> Any:
        now = time.monotonic()
        failed = f', {state.failed} failed' if state.failed else ''
        head = Text.assemble(
            (self._title, 'bold'),
            f'  {state.done} of {state.total} trials{failed}, '
            f'{duration(now - self._start)} gone, {duration(state.seconds_left)} left',
        )
        lines = [
            Text(f'  {now - begun:5.1f} s  {trial.label}', overflow='ellipsis', no_wrap=True)
            for trial, begun in state.running.values()
        ]
        last = Text(f'  newest: {state.last}', style='dim', overflow='ellipsis', no_wrap=True)
        bar = ProgressBar(total=max(state.total, 1), completed=state.done, width=60)
        return Group(head, bar, *lines, last)
