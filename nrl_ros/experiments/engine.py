"""Engines run trials on cores; this one, which every machine has, uses processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Protocol

from nrl_ros.base.errors import NrlError
from nrl_ros.base.threads import THREAD_VARIABLES

Work = Callable[[Mapping[str, Any]], dict[str, Any]]
# A worker that was killed is replaced, and its trial repeated at most this often.
RETRIES = 3
_END_S = 1.0
_POLL_S = 1.0
# The matrices are small and each core has a worker, so more threads would only slow all of them.
ONE_THREAD = dict.fromkeys(THREAD_VARIABLES, '1')


class StudyError(NrlError):
    """A study cannot be run or reported."""


@dataclass(frozen=True)
class Outcome:
    """Result of a trial: a record, or the reason why there is none."""

    key: str
    record: dict[str, Any] | None
    error: str = ''


class Engine(Protocol):
    """Runs trials at the same time.

    Attributes:
        workers: number of trials at once.
    """

    workers: int

    def submit(self, key: str, job: dict[str, Any]) -> None:
        """Begin a trial; there may be at most ``workers`` at once."""
        ...

    def wait(self, timeout_s: float) -> list[Outcome]:
        """Return the trials that have ended, as soon as there is one or the time is up."""
        ...

    def close(self) -> None:
        """End all trials at once."""
        ...


def _die_with_parent() -> None:
    """End this worker when its parent ends, even by SIGKILL."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _serve(connection: Connection, work: Work) -> None:
    """Take jobs and send back records until the parent ends."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    # That the parent has ended is seen here at times before that thread sees it.
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            job = connection.recv()
            try:
                connection.send((work(job), ''))
            except Exception as error:  # the other trials go on
                connection.send((None, f'{type(error).__name__}: {error}'))


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    key: str = ''


class ProcessEngine:
    """Runs each trial in a worker process, one per core.

    Args:
        workers: how many; 0: as many as this process may use cores.
        work: makes a record of a job; must be importable.
    """

    def __init__(self, workers: int, work: Work) -> None:
        self.workers = workers or cores()
        self._work = work
        self._context = multiprocessing.get_context('spawn')
        self._jobs: dict[str, dict[str, Any]] = {}
        self._tries: dict[str, int] = {}
        self._pool: list[_Worker] = []

    def _start(self) -> _Worker:
        mine, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(theirs, self._work), daemon=True, name='nrl-study'
        )
        with _one_thread(), _without_interrupt():
            process.start()
        theirs.close()
        worker = _Worker(process, mine)
        self._pool.append(worker)
        return worker

    def submit(self, key: str, job: dict[str, Any]) -> None:
        """Begin a trial in a free worker."""
        self._jobs[key] = job
        worker = next((worker for worker in self._pool if not worker.key), None) or self._start()
        worker.key = key
        # A worker that died while it was idle is noticed by ``wait``, as any other.
        with contextlib.suppress(OSError):
            worker.connection.send(job)

    def wait(self, timeout_s: float) -> list[Outcome]:
        """Return the trials that have ended, as soon as there is one or the time is up."""
        connections = {worker.connection: worker for worker in self._pool}
        outcomes = []
        for connection in wait(list(connections), timeout_s):
            worker = connections[connection]  # type: ignore[index]
            try:
                record, error = worker.connection.recv()
            except (EOFError, OSError):
                outcomes += self._lost(worker)
                continue
            outcomes.append(Outcome(worker.key, record, error))
            self._jobs.pop(worker.key)
            worker.key = ''
        return outcomes

    def _lost(self, worker: _Worker) -> list[Outcome]:
        """Repeat the trial of a worker that died in another one, at most RETRIES times."""
        self._pool.remove(worker)
        worker.connection.close()
        worker.process.join(_END_S)
        key = worker.key
        if not key:
            return []
        self._tries[key] = self._tries.get(key, 0) + 1
        job = self._jobs.pop(key)
        if self._tries[key] > RETRIES:
            return [Outcome(key, None, f'its worker died {self._tries[key]} times')]
        self.submit(key, job)
        return []

    def close(self) -> None:
        """End all workers at once."""
        for worker in self._pool:
            worker.process.terminate()
        for worker in self._pool:
            worker.process.join(_END_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
        self._pool.clear()


def records(engine: Engine, jobs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run jobs on all workers of an engine, close it, and return their records in order.

    Raises:
        StudyError: a job failed; the others are ended.
    """
    found: dict[str, dict[str, Any]] = {}
    left = deque((str(number), job) for number, job in enumerate(jobs))
    running = 0
    try:
        while len(found) < len(jobs):
            while left and running < engine.workers:
                engine.submit(*left.popleft())
                running += 1
            for outcome in engine.wait(_POLL_S):
                if outcome.record is None:
                    raise StudyError(f'job {outcome.key} failed: {outcome.error}')
                found[outcome.key] = outcome.record
                running -= 1
    finally:
        engine.close()
    return [found[str(number)] for number in range(len(jobs))]


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def _without_interrupt() -> Iterator[None]:
    """Start children with SIGINT blocked: a terminal sends it to all, the parent handles it."""
    # The tracker unblocks SIGINT when it starts, so it must be started before.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Set the variables from which children take the number of threads when they load numpy."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
