"""An arm's motion from its joint states: angles unwrapped, speeds measured by stamps."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_TURN = 2.0 * math.pi
# A speed is measured over this many control periods. Commands that come in steps, one of them late
# by nearly a whole period, then still look less than 1.5 times as fast as they are.
JUDGED_PERIODS = 4
# A position that stays equal for this many of its usual intervals between changes was measured
# again: the arm stands. Before that it counts as a repetition of the last measurement.
_PATIENCE = 1.5
# Number of remembered intervals between changes of the position.
_INTERVALS = 8
# Rounding of times that are differences of large numbers [s].
_ROUNDING_S = 1e-6


def unwrap(position: Array, near: Array, continuous: Array) -> Array:
    """Return positions shifted by whole turns to be nearest to the positions before.

    Args:
        position: as reported [J] [rad].
        near: where the joints were [J] [rad].
        continuous: whether a joint turns without end, so that its angle may be wrapped [J].
    """
    # Whatever was reported comes here: what is no number, or too large for a turn, stays as it is.
    with np.errstate(invalid='ignore', over='ignore'):
        turns = np.where(continuous, np.rint((near - position) / _TURN), 0.0)
        # An angle that was not wrapped stays equal to the bit.
        return np.where(np.isfinite(turns) & (turns != 0.0), position + _TURN * turns, position)


class SpeedEstimator:
    """Measures how fast joints move, over a time that no single message decides.

    The velocity of one message, or the difference of two, is noise if commands come in steps:
    hardware that follows 0.3 rad/s was seen to report 2.3. So the speed is the distance between two
    stamps that are at least ``window_s`` apart, divided by that time. Messages that repeat a
    position that was not measured again are left out. A reported velocity counts only if every
    report in the window is faster. A position further away than the largest speed leads in a whole
    window is a jump, no motion: the measurement starts again behind it. A second jump soon after in
    the same direction is motion.

    Args:
        top: largest speed that may be measured [J] [rad/s].
        window_s: shortest time that a speed is judged over [s].
        gap_s: after a longer gap between states the measurement starts again [s].

    Attributes:
        velocity: of each joint [J] [rad/s].
        known: whether the velocity is that of a whole window.
        backwards: how often the stamps have run back.
    """

    def __init__(self, top: Array, window_s: float, gap_s: float) -> None:
        self._window_s, self._gap_s = window_s - _ROUNDING_S, gap_s
        self._jump = top * window_s
        self.velocity: Array = np.zeros_like(top)
        self.known = False
        self.backwards = 0
        self._slope: Array = np.zeros_like(top)
        self._heard_s = self._changed_s = self._jumped_s = -math.inf
        self._last_jump: Array = np.zeros_like(top)
        self._samples: deque[tuple[float, Array]] = deque()
        self._reports: deque[tuple[float, Array]] = deque()
        self._intervals: deque[float] = deque(maxlen=_INTERVALS)

    def forget(self) -> None:
        """Start again: the clock of the stamps has been set."""
        self._heard_s = -math.inf
        self.velocity = np.zeros_like(self.velocity)

    def put(self, stamp_s: float, position: Array, reported: Array) -> bool:
        """Take a joint state; return whether the speed is known, or just begins to be measured.

        Args:
            stamp_s: when it was true [s].
            position: [J] [rad], finite, within ``records.LARGEST``.
            reported: velocities [J] [rad/s]; NaN if there are none.
        """
        elapsed_s = stamp_s - self._heard_s
        if elapsed_s == 0.0:
            # The first state with a stamp counts; further ones with the same stamp are ignored.
            return self.known
        begins = elapsed_s > self._gap_s
        if begins or elapsed_s < 0.0:
            self.backwards += not begins
            self._begin(stamp_s)
        self._measure(stamp_s, position)
        self._heard_s = stamp_s
        self._judge(stamp_s, reported)
        return self.known or begins

    def _begin(self, stamp_s: float) -> None:
        """Forget the states before: no motion leads from them to the next one."""
        self.known = False
        self._samples.clear()
        self._reports.clear()
        self._slope = np.zeros_like(self._slope)
        self._changed_s = stamp_s

    def _measure(self, stamp_s: float, position: Array) -> None:
        """Note the position, unless it only repeats the last one."""
        samples = self._samples
        since_s = stamp_s - self._changed_s
        if samples and (samples[-1][1] == position).all():
            if since_s <= _PATIENCE * self._usual_s():
                return
        elif samples:
            if self._jumps(stamp_s, position):
                self._begin(stamp_s)
            elif since_s <= self._gap_s:
                # For this long the last position was repeated; 0 if positions are measured as often
                # as sent.
                self._intervals.append(self._heard_s - self._changed_s)
            self._changed_s = stamp_s
        samples.append((stamp_s, position))
        _keep(samples, stamp_s - self._window_s)
        span_s = stamp_s - samples[0][0]
        self.known = span_s >= self._window_s
        if span_s > 0.0:
            self._slope = (position - samples[0][1]) / span_s

    def _usual_s(self) -> float:
        """Return for how long a position is usually repeated before it is measured again [s]."""
        intervals = sorted(self._intervals)
        # The median, not the longest: an arm that stood before it moved gives one long interval.
        return intervals[(len(intervals) - 1) // 2] if intervals else 0.0

    def _jumps(self, stamp_s: float, position: Array) -> bool:
        """Return whether this is a jump, and not a motion that goes on."""
        before_s, before = self._samples[-1]
        step = position - before
        far = np.abs(step) > self._jump
        if stamp_s - before_s >= self._window_s or not far.any():
            return False
        since_s, last = stamp_s - self._jumped_s, self._last_jump
        self._jumped_s, self._last_jump = stamp_s, np.where(far, step, 0.0)
        goes_on = (np.sign(last) == np.sign(step)) & far
        return since_s > 2.0 * self._window_s or not goes_on.any()

    def _judge(self, stamp_s: float, reported: Array) -> None:
        self._reports.append((stamp_s, np.where(np.isnan(reported), 0.0, reported)))
        _keep(self._reports, stamp_s - self._window_s)
        if not self.known:
            self.velocity = np.where(np.isnan(reported), self._slope, reported)
            return
        self.velocity = self._slope
        newest = self._reports[-1][1]
        more = np.abs(newest) > np.abs(self._slope)
        if more.any() and stamp_s - self._reports[0][0] >= self._window_s:
            least = np.minimum.reduce(np.abs([one for _, one in self._reports]))
            more = least > np.abs(self._slope)
            self.velocity = np.where(more, np.copysign(least, newest), self._slope)


def _keep(entries: deque[tuple[float, Array]], since_s: float) -> None:
    """Drop entries before ``since_s``, but keep the newest of them."""
    while len(entries) > 1 and entries[1][0] <= since_s:
        entries.popleft()
