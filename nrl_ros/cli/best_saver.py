"""Asks the learner of a run for checkpoints that may be its best, and keeps the best of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nrl_ros.cli.best import keep_best
from nrl_ros.cli.monitor import Monitor
from nrl_ros.cli.runs import Run
from nrl_ros.monitor.best_watch import BestWatch
from nrl_ros.ros.interfaces import SaveCheckpoint
from nrl_ros.ros.names import LEARNER, SAVE_CHECKPOINT


class BestSaver:
    """Asks the learner for candidates, and keeps the best of them.

    Args:
        monitor: the node that asks.
        watch: knows when, and which is the best.
        run: gets the checkpoint.
        warn: prints what a person has to know.
    """

    def __init__(
        self, monitor: Monitor, watch: BestWatch, run: Run, warn: Callable[[str], None]
    ) -> None:
        self._watch, self._run, self._warn = watch, run, warn
        self._client: Any = monitor.create_client(
            SaveCheckpoint, SAVE_CHECKPOINT.replace('~', LEARNER)
        )
        self._answer: Any = None
        self._fails = False

    def look(self, now_s: float) -> None:
        """Take the answer to the last request, keep the best, and make the next request."""
        if self._answer is not None:
            if self._answer.done():
                response, self._answer = self._answer.result(), None
                self._watch.answered(now_s, saved=response.success)
                self._tell('' if response.success else response.message)
            return
        self.keep()
        if self._client.service_is_ready() and self._watch.is_due(now_s):
            request = SaveCheckpoint.Request(path=str(self._run.candidate))
            self._answer = self._client.call_async(request)

    def keep(self) -> None:
        """Keep the candidate if it is the best."""
        if self._watch.take() and self._watch.best is not None:
            try:
                keep_best(self._run, self._watch.best)
            except OSError as error:
                self._tell(error.strerror or str(error))

    def end(self) -> None:
        """Keep the last candidate or delete it."""
        self.keep()
        try:
            self._run.candidate.unlink(missing_ok=True)
        except OSError as error:
            # The result of the run is still to be written.
            self._tell(error.strerror or str(error))

    def _tell(self, fault: str) -> None:
        """Warn of a fault, once until it has passed."""
        if fault and not self._fails:
            self._warn(f'the best checkpoint is not kept: {fault}')
        self._fails = bool(fault)
