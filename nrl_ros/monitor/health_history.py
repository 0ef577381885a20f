"""Plasticity health over a run: what it is now, and what was said of it so far."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from nrl_ros.base.health import MEASURES, UNKNOWN, Health


@dataclass
class Told:
    """A sentence that was said in a run.

    Attributes:
        hint: what to change.
        value: of the measure when it was said last.
        from_steps: environment steps when it was said first.
        to_steps: when it was said last.
    """

    hint: str
    value: float
    from_steps: int
    to_steps: int


class HealthHistory:
    """Keeps what the learner reports of its health.

    Attributes:
        now: the newest report.
        told: sentences so far, by the names of their measures.
    """

    def __init__(self) -> None:
        self.now: Health = UNKNOWN
        self.told: dict[str, Told] = {}

    def hear(self, steps: int, health: Health) -> None:
        """Take a report.

        Args:
            steps: environment steps by now.
            health: as reported.
        """
        self.now = health
        for name, hint in health.hints.items():
            value, told = health.values.get(name, math.nan), self.told.get(name)
            if told is None:
                self.told[name] = Told(hint, value, steps, steps)
            else:
                told.hint, told.value, told.to_steps = hint, value, steps

    def sentences(self) -> list[str]:
        """Return what was said in the run, a line each.

        What holds at its end comes first. Sentences that several measures share are said once.
        """
        now, lines = self.now.hints, dict[str, str]()
        order = [measure.name for measure in MEASURES if measure.name in self.told]
        for name in [*(n for n in order if n in now), *(n for n in order if n not in now)]:
            told = self.told[name]
            when = 'to its end' if name in now else f'to step {told.to_steps:,}'
            span = f'{name} {told.value:.3g}, from step {told.from_steps:,} {when}'
            lines.setdefault(told.hint, f'{told.hint} ({span})')
        return list(lines.values())

    def summary(self) -> dict[str, Any]:
        """Return health for a run's summary: the last values, and what was said."""
        values = {name: _plain(value) for name, value in self.now.values.items()}
        told = [
            {
                **asdict(told),
                'measure': name,
                'value': _plain(told.value),
                'holds': name in self.now.hints,
            }
            for name, told in self.told.items()
        ]
        return {'values': values, 'told': told, 'sentences': self.sentences()}


def _plain(value: float) -> float | None:
    """Return a number as JSON has it; None for what is no finite number."""
    return float(f'{value:.6g}') if math.isfinite(value) else None
