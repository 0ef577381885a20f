"""What goes wrong with Gymnasium environments of other people, and how each fault is mended.

Each function returns the end of an error text; the bridge puts id, instance and step before it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from nrl_ros.base.errors import describe

_KNOWN = 'Box, Discrete, MultiDiscrete, MultiBinary, Text, and Dict and Tuple of these'
_OLD = 'this is the interface of Gym before 0.26'
_RESET = 'reset(self, *, seed=None, options=None) has to return the observation and an info dict'
_STEP = 'step has to return five values: observation, reward, terminated, truncated and info'


class MisfitError(ValueError):
    """A value does not fit what the environment's space says, or what Gymnasium asks for."""


class InstanceFault(MisfitError):  # noqa: N818 - what is wrong, and where
    """A value of one instance does not fit.

    Attributes:
        instance: its number.
    """

    def __init__(self, instance: int, text: str) -> None:
        super().__init__(text)
        self.instance = instance


def space_fault(space: Any, name: str) -> str:
    """Return why a space cannot be used; '' if it can be.

    Args:
        space: what the environment has as its space.
        name: how the error text calls it.
    """
    package = type(space).__module__.partition('.')[0]
    if package == 'gym':
        return (
            f'its {name} {space} is one of the package gym, expected one of gymnasium.spaces: '
            'import the spaces from gymnasium, or wrap the environment with shimmy'
        )
    if not isinstance(space, spaces.Space):
        return f'its {name} is {space!r}, expected one of gymnasium.spaces'
    parts: Mapping[Any, Any] = {}
    if isinstance(space, spaces.Dict):
        parts = space.spaces
    elif isinstance(space, spaces.Tuple):
        parts = dict(enumerate(space.spaces))
    for key, part in parts.items():
        fault = space_fault(part, f'{name}[{key!r}]')
        if fault:
            return fault
    return '' if parts or _has_size(space) else _unusable(space, name)


def _unusable(space: Any, name: str) -> str:
    remedy = (
        '; leave it out with a wrapper around the environment, such as '
        'gymnasium.wrappers.FilterObservation, and register that under an id of its own'
    )
    return (
        f'its {name} is a {type(space).__name__} of no fixed size, so no network fits it; expected '
        f'{_KNOWN}{remedy}'
    )


def _has_size(space: Any) -> bool:
    try:
        return bool(space.is_np_flattenable)
    except Exception:  # noqa: BLE001 - a space of another package may have anything here
        return False


def reset_failed(environment: Any, error: Exception) -> str:
    """Return what a reset that raised an error means."""
    reset = type(environment.unwrapped).reset
    if isinstance(error, TypeError) and not _takes_seed(reset):
        return f'reset takes no seed: {_OLD}; {_RESET}'
    return f'reset failed: {describe(error)}'


def _takes_seed(reset: Any) -> bool:
    parameters = inspect.signature(reset).parameters
    return 'seed' in parameters or any(
        one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()
    )


def is_reset(received: Any) -> bool:
    """Return True if a reset returned what it has to: an observation, and a dict."""
    return isinstance(received, tuple) and len(received) == 2 and isinstance(received[1], dict)


def reset_returned(received: Any) -> str:
    """Return what is wrong with what a reset returned."""
    return f'reset returned {_shown(received)}: {_OLD}; {_RESET}'


def step_failed(action: Any, error: Exception, *, masked: bool) -> str:
    """Return what a step that raised an error means.

    Args:
        action: that was applied.
        error: was raised.
        masked: the environment says which actions it allows.
    """
    hint = (
        '; it tells an action_mask, which is not used here: let it take every action of its space'
        if masked
        else ''
    )
    return f'step failed with action {_shown(action)}: {describe(error)}{hint}'


def step_returned(received: Any) -> str:
    """Return what is wrong with what a step returned."""
    count = len(received) if isinstance(received, (tuple, list)) else None
    old = f', with done as the third: {_OLD}' if count == 4 else ''
    what = f'{count} values' if count is not None else _shown(received)
    return f'step returned {what}{old}; {_STEP}, with terminated and truncated apart'


def as_reward(value: Any) -> float:
    """Return a reward as a number; an array of one number is taken for it.

    Raises:
        MisfitError: it is none, with what it is.
    """
    if isinstance(value, (int, float, np.number, np.bool_)):
        return float(value)
    return float(_single(value, 'reward', 'a number'))


def as_flag(value: Any, name: str) -> bool:
    """Return a flag as a bool; an array of one flag, and 0 and 1, are taken for it.

    Raises:
        MisfitError: it is none, with what it is.
    """
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    single = _single(value, name, 'True or False')
    if single not in (0, 1):
        raise MisfitError(f'{name} is {_shown(value)}, expected True or False')
    return bool(single)


def as_picture(value: Any) -> NDArray[Any]:
    """Return what an environment has rendered as a picture [height, width, 3].

    Raises:
        MisfitError: it is none, with what it is.
    """
    array = np.asarray(value) if isinstance(value, np.ndarray) else None
    if array is None or array.ndim != 3 or array.shape[2] != 3:
        what = _shown(value) if array is None else f'an array of shape {array.shape}'
        raise MisfitError(f'render() returned {what}, expected a picture [height, width, 3]')
    return array


def _single(value: Any, name: str, expected: str) -> Any:
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in 'biuf':
        raise MisfitError(f'{name} is {_shown(value)}, expected {expected}')
    return array.reshape(-1)[0]


def as_box(space: Any, value: Any, dtype: Any = np.float32) -> Any:
    """Return an observation of a Box as an array of the space's shape.

    A bare number is taken for a shape of (1,).

    Args:
        space: the Box.
        value: whatever the environment returned.
        dtype: float32, or uint8 where only bytes are taken.

    Raises:
        MisfitError: it has another shape, or is no array of numbers.
    """
    try:
        # None would become NaN.
        array = np.asarray('' if value is None else value)
        if dtype == np.uint8 and array.dtype != np.uint8:
            raise TypeError
        array = array.astype(dtype, copy=False)
    except (TypeError, ValueError):
        raise MisfitError(
            f'observation is {_shown(value)}, expected numbers of shape {space.shape} '
            f'as its space {_short(space)} says'
        ) from None
    if array.shape == () and space.shape == (1,):
        array = array.reshape(1)
    if array.shape != space.shape:
        raise MisfitError(
            f'observation has the shape {array.shape}, its space {_short(space)} has {space.shape}'
        )
    return array


def observation_fault(space: Any, value: Any, name: str = 'observation') -> str:
    """Return in which part an observation is not in its space; '' if no part is wrong."""
    if isinstance(space, spaces.Dict):
        missing = space.spaces.keys() - (value.keys() if isinstance(value, Mapping) else set())
        if missing or not isinstance(value, Mapping):
            return f'{name} is {_shown(value)}, its space has the parts {list(space.spaces)}'
        parts = [(part, value[key], f'{name}[{key!r}]') for key, part in space.spaces.items()]
    elif isinstance(space, spaces.Tuple):
        if not isinstance(value, (tuple, list)) or len(value) != len(space.spaces):
            return f'{name} is {_shown(value)}, its space has {len(space.spaces)} parts'
        parts = [(part, value[at], f'{name}[{at}]') for at, part in enumerate(space.spaces)]
    elif isinstance(space, spaces.Box):
        shape = np.shape(value)
        fits = shape == space.shape
        return '' if fits else f'{name} has the shape {shape}, its space has {space.shape}'
    else:
        return '' if space.contains(value) else f'{name} is {_shown(value)}, expected {space}'
    return next(filter(None, (observation_fault(*part) for part in parts)), '')


def _short(space: Any) -> str:
    """Return a Box without its bounds, which may be thousands of numbers."""
    return f'Box of {space.dtype}'


def _shown(value: Any) -> str:
    """Return a value of any kind in few words."""
    if isinstance(value, np.ndarray):
        return f'an array of {value.dtype} and shape {value.shape}'
    if isinstance(value, tuple):
        return f'{len(value)} values ({", ".join(type(item).__name__ for item in value)})'
    text = ' '.join(repr(value).split())
    shape = getattr(value, 'shape', None)
    if len(text) > 80:
        text = f'{text[:80]} ...'
    return text if shape is None else f'{text} of shape {tuple(shape)}'
