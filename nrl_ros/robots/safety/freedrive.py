"""A person moves the arm by hand (freedrive): when that begins, and what may end it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# How far a commanded position stays behind a hand that moves the arm, as a share of the allowed
# tracking error. It follows at all so that the arm is not called back when its servos are on again;
# and at a distance, since the weight of an arm that its servos hold must not lead it away.
_LEASH = 0.5
BY_HAND = 'a person moves the arm by hand'
# Text that tells what ends it.
_END = '~/freedrive with false ends it, once the arm stands'


def behind_hand(commanded: Array, measured: Array, tracking_error: float) -> Array:
    """Return the position to command to an arm that a hand moves [J] [rad].

    Args:
        commanded: before [J] [rad].
        measured: where the hand has moved it to [J] [rad].
        tracking_error: that is allowed [rad]; 0: the measured position is commanded.
    """
    leash = _LEASH * tracking_error
    return np.asarray(measured + np.clip(commanded - measured, -leash, leash))


class Freedrive:
    """Remembers that an arm is left to a person's hand, from the first word until a clear end.

    A person or the robot itself may begin it at any time. Only a person ends it, by a request of
    its own: a button of the robot that is let go of says that a hand is gone, and not that the
    learner may move the arm.
    """

    def __init__(self) -> None:
        self._robot_says = False
        self.active = False

    @property
    def text(self) -> str:
        """What is said while a person moves the arm; empty: nobody does."""
        return f'{BY_HAND}: {_END}' if self.active else ''

    def begin(self) -> None:
        """Leave the arm to a person, who has asked for it."""
        self.active = True

    def hear_robot(self, *, free: bool) -> None:
        """Take from the robot whether it lets itself be moved by hand."""
        self._robot_says = free
        self.active |= free

    def end(self, obstacles: str) -> str:
        """End it, or return why not.

        Args:
            obstacles: why the arm must not be commanded now; empty: it may be.
        """
        if not self.active:
            return ''
        if self._robot_says:
            return 'the robot says that it is moved by hand: end its own mode first'
        if obstacles:
            return obstacles
        self.active = False
        return ''
