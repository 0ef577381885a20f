"""The errors of nrl_ros: few, typed, each saying what, received, expected, and how to mend it."""

from __future__ import annotations

import math


class NrlError(Exception):
    """Base of every error that nrl_ros raises on purpose."""


class ConfigError(NrlError):
    """A setting is unknown, out of range, or does not fit another one."""


class ConversionError(NrlError):
    """A message does not hold what its own fields promise."""


class ShapeError(NrlError):
    """An array has another shape, length or type than the spaces promise."""


class ProtocolError(NrlError):
    """A message does not fit what came before it: order, session, agent or credit window."""


class InvalidValueError(NrlError):
    """A value is not finite or lies outside of its space."""


class LimitError(NrlError):
    """A message asks for more than the settings allow."""


class CheckpointError(NrlError):
    """A checkpoint is missing, damaged, of another version, or of another network."""


class BridgeError(NrlError):
    """An environment bridge is unknown, cannot be imported, or misbehaves."""


def check_positive(name: str, value: float) -> None:
    """Refuse a setting that is not a positive, finite number.

    Raises:
        ConfigError: it is not.
    """
    if not (math.isfinite(value) and value > 0.0):
        raise ConfigError(f'{name} must be a positive number, received {value}')
