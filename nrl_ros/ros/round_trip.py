"""Estimate how long answers may take from earlier ones, as TCP does (RFC 6298).

Nothing here reads a clock: each time is an argument, by any steady clock.
"""

from __future__ import annotations

from nrl_ros.base.errors import ConfigError, check_positive

# Gains of the running mean and of the running deviation, and how many deviations beyond the mean
# are waited for: RFC 6298, section 2.
_MEAN_GAIN = 1.0 / 8.0
_DEVIATION_GAIN = 1.0 / 4.0
_DEVIATIONS = 4.0
# The limit of AwaitedAnswers is _PATIENCE times the estimate, since an answer may be lost more than
# once. It is at most _MOST_PATIENCE times the setting, since one answer that took minutes must not
# stop everything for as long.
_PATIENCE = 4.0
_MOST_PATIENCE = 10.0


class DurationEstimate:
    """Estimates the longest usual duration from a running mean and deviation (Jacobson)."""

    def __init__(self) -> None:
        self._mean_s = self._deviation_s = 0.0
        self._known = False

    @property
    def longest_s(self) -> float:
        """Mean and four mean deviations [s]; 0 before anything was measured."""
        return self._mean_s + _DEVIATIONS * self._deviation_s

    def measured(self, took_s: float) -> None:
        """Add one measured duration [s] to the estimate."""
        if not self._known:
            self._known = True
            self._mean_s, self._deviation_s = took_s, took_s / 2.0
            return
        error_s = took_s - self._mean_s
        self._deviation_s += _DEVIATION_GAIN * (abs(error_s) - self._deviation_s)
        self._mean_s += _MEAN_GAIN * error_s


class RoundTrip:
    """Tells when a question should be repeated, since its answer is later than usual.

    The answer to a repeated question is not measured, since nobody can tell which of the two
    questions it answers. Instead the limit doubles with each repetition and stays so until the
    answer to a question that was asked once is measured (Karn).

    Args:
        first_s: the limit before anything is measured [s].
        least_s: lowest limit [s]: an answer that is late once because a machine is busy is waited
            for.
        most_s: repetitions never double the limit beyond it [s].

    Raises:
        ConfigError: a limit is not a positive number, or ``least_s`` is above ``most_s``.
    """

    def __init__(self, first_s: float, *, least_s: float, most_s: float) -> None:
        for name, value in (('first_s', first_s), ('least_s', least_s), ('most_s', most_s)):
            check_positive(name, value)
        if least_s > most_s:
            raise ConfigError(f'least_s must be at most most_s = {most_s}, received {least_s}')
        self._least_s, self._most_s = least_s, most_s
        self._estimate = DurationEstimate()
        self._limit_s = first_s
        self._asked_s = 0.0
        self._measures = False

    @property
    def limit_s(self) -> float:
        """How long an answer is waited for after the question was asked last [s]."""
        return self._limit_s

    def ask(self, now_s: float) -> None:
        """Note that a new question is asked.

        Args:
            now_s: the time [s]; so below.
        """
        self._asked_s = now_s
        self._measures = True

    def ask_again(self, now_s: float) -> None:
        """Note that the question is repeated, and double the limit."""
        self._asked_s = now_s
        self._measures = False
        self._limit_s = max(self._limit_s, min(2.0 * self._limit_s, self._most_s))

    def answered(self, now_s: float) -> None:
        """Measure how long the answer took, unless the question was repeated."""
        if not self._measures:
            return
        self._measures = False
        self._estimate.measured(now_s - self._asked_s)
        self._limit_s = max(self._estimate.longest_s, self._least_s)

    def late(self, now_s: float) -> bool:
        """Return whether the answer has not come within the limit."""
        return now_s - self._asked_s >= self._limit_s


class AwaitedAnswers:
    """Tells which of several askers has waited too long for an answer.

    Each has a limit of its own, four times the longest usual time of its answers. An answer that
    comes after its limit is measured too, since a limit that is too short for a slow network would
    otherwise stay so.

    Args:
        least_s: no limit is below it [s].

    Raises:
        ConfigError: it is not a positive number.
    """

    def __init__(self, least_s: float) -> None:
        check_positive('least_s', least_s)
        self._least_s = least_s
        self._estimates: dict[str, DurationEstimate] = {}
        # The last question of each asker (number and time), and who waits for an answer.
        self._asked: dict[str, tuple[int, float]] = {}
        self._waiting: set[str] = set()

    def ask(self, who: str, number: int, now_s: float) -> None:
        """Note that somebody waits.

        Args:
            who: name of the asker.
            number: of the question; a repeated one is measured from its first time.
            now_s: the time [s].
        """
        if self._asked.get(who, (-1, 0.0))[0] != number:
            self._asked[who] = (number, now_s)
        self._waiting.add(who)

    def answered(self, who: str, number: int, now_s: float) -> None:
        """Measure the first answer to the last question."""
        asked, since_s = self._asked.get(who, (-1, 0.0))
        if asked != number:
            return
        self._asked[who] = (-1, since_s)
        self._estimates.setdefault(who, DurationEstimate()).measured(max(now_s - since_s, 0.0))

    def done(self, who: str) -> None:
        """Note that an asker waits no longer, whatever the reason is."""
        self._waiting.discard(who)

    def forget(self, who: str) -> None:
        """Forget an asker that has left."""
        self._waiting.discard(who)
        self._asked.pop(who, None)
        self._estimates.pop(who, None)

    def limit_s(self, who: str) -> float:
        """Return how long an asker waits at most [s]."""
        estimate = self._estimates.get(who)
        usual_s = 0.0 if estimate is None else estimate.longest_s
        return min(max(_PATIENCE * usual_s, self._least_s), _MOST_PATIENCE * self._least_s)

    def late(self, now_s: float) -> list[str]:
        """Return the askers that have waited longer than their limit."""
        return [who for who in self._waiting if now_s - self._asked[who][1] > self.limit_s(who)]
