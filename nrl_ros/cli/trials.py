"""Runs the trials of a study or of a search: engines, signals, and the panel."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from rich.console import Console

from nrl_ros.experiments.driver import Queue, State, drive
from nrl_ros.experiments.engine import Engine, ProcessEngine, StudyError
from nrl_ros.experiments.progress import Panel
from nrl_ros.experiments.run import run_trial


class Stopped(KeyboardInterrupt):
    """SIGINT or SIGTERM has come."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def make_engine(name: str, workers: int, address: str) -> Engine:
    """Return the engine that a command line names.

    Args:
        name: processes or ray.
        workers: trials at once; 0: one per core.
        address: of Ray's cluster; empty: none.

    Raises:
        StudyError: there is none of that name, or an address without Ray.
    """
    if name == 'processes':
        if address:
            raise StudyError('--address is of --engine ray; processes run on this machine')
        return ProcessEngine(workers, run_trial)
    if name != 'ray':
        raise StudyError(f'--engine: expected processes or ray, received {name!r}')
    from nrl_ros.experiments.ray_engine import RayEngine

    return RayEngine(workers, run_trial, address)


class _Watched(Panel):
    """A panel beside which somebody else hears of the progress too."""

    look: Callable[[], None] | None = None

    def update(self, state: State) -> None:
        """Show the present progress."""
        if self.look is not None:
            self.look()
        super().update(state)


def run_trials(
    queue: Queue,
    engine: Callable[[], Engine],
    console: Console,
    title: str,
    *,
    plain: bool,
    look: Callable[[], None] | None = None,
) -> int:
    """Run all trials that are left.

    Args:
        queue: knows them.
        engine: makes the engine.
        console: for the panel.
        title: of the panel.
        plain: lines instead of a panel.
        look: is called about four times a second.

    Returns:
        The signal that stopped them, 0 if none did.
    """
    try:
        with _signals():
            made = engine()
            # Ray replaces the handlers when it starts, so they are set again.
            panel = _Watched(console, title, plain=plain)
            panel.look = look
            with _signals(), contextlib.closing(made), panel:
                drive(queue, made, panel)
    except Stopped as stop:
        kept = f'stopped; {queue.done} trials are kept, the same command continues from there'
        console.print(kept, highlight=False)
        return stop.number
    return 0


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Stop at the first SIGINT or SIGTERM, and ignore further ones."""

    def stop(number: int, _: FrameType | None) -> NoReturn:
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        raise Stopped(number)

    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    for one in before:
        signal.signal(one, stop)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
