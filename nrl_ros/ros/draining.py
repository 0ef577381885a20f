"""An executor for a node that only listens: it sleeps, and then takes all that has come.

To wake for each message would take the processor away from the nodes that send them; the middleware
keeps the messages meanwhile, and says when each was received.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from nrl_ros.ros.executor import StepExecutor, take_waiting

# Queues of the subscriptions hold what comes in this time many times over.
_SLEEP_S = 0.02
_REST_S = 0.1
# Of one subscription in a row, so that none keeps all others waiting.
_MOST = 1000


class DrainingExecutor(StepExecutor):
    """Spins one node whose subscriptions may wait for some hundredths of a second."""

    _rest_at_s = 0.0
    _heard: Sequence[Any] = ()

    def _collect(self) -> None:
        super()._collect()
        self._heard = list(self._subscriptions.values())

    def run_once(self) -> None:
        """Sleep, then take what has come; look for timers, services and events now and then."""
        if self._stale:
            self._collect()
        time.sleep(_SLEEP_S)
        for subscription in self._heard:
            if self._stale or self.stop_requested:
                break
            take_waiting(subscription, _MOST)
        if self._idle is not None:
            self._idle()
        now_s = time.monotonic()
        if now_s >= self._rest_at_s and not self._stale:
            self._rest_at_s = now_s + _REST_S
            self._wait_and_handle(0)
