"""Gymnasium's wrappers by name.

The options of the bridge 'gymnasium' list them::

wrappers: [FlattenObservation, {FrameStackObservation: {stack_size: 4}}, my_module:MyWrapper]

The first one is put around the environment first, and each later one around all before it.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from typing import Any

import gymnasium
from gymnasium import wrappers

from nrl_ros.base.errors import BridgeError, ConfigError, closest, describe

# How a wrapper is written: its name, or its name with options.
Wrapping = str | dict[str, dict[str, Any]]

# Those that change what is seen, done or paid, and whose options can be written in a file.
KNOWN = (
    'AddRenderObservation',
    'AddWhiteNoise',
    'AtariPreprocessing',
    'ClipAction',
    'ClipReward',
    'DelayObservation',
    'DiscretizeAction',
    'DiscretizeObservation',
    'FilterObservation',
    'FlattenObservation',
    'FrameStackObservation',
    'GrayscaleObservation',
    'MaxAndSkipObservation',
    'RepeatAction',
    'RescaleAction',
    'RescaleObservation',
    'ReshapeObservation',
    'ResizeObservation',
    'StickyAction',
    'TimeAwareObservation',
)
# Those that are refused, with what to set in their place.
_INSTEAD = {
    'Autoreset': 'the bridge resets by itself',
    'NormalizeObservation': 'its statistics would be missing from checkpoints; set '
    'network.normalise_observations of the learner, and critic.normalise_observations',
    'NormalizeReward': 'its statistics would be missing from checkpoints; set '
    'critic.normalise_rewards of the neuromodulator',
    'TimeLimit': 'set bridge.options.max_episode_steps',
}


def known_wrappers(chosen: Sequence[Wrapping]) -> None:
    """Check names and options, as far as that is possible without an environment.

    Raises:
        ConfigError: one is unknown, or a required option is missing.
    """
    for wrapping in chosen:
        name, options = _parts(wrapping)
        _check_options(name, _class_of(name), options)


def wrap(environment: gymnasium.Env[Any, Any], chosen: Sequence[Wrapping]) -> Any:
    """Put wrappers around an environment, the first one innermost.

    Raises:
        BridgeError: one does not fit the environment.
        ConfigError: one is unknown, or an option of it is.
    """
    wrapped = environment
    for wrapping in chosen:
        name, options = _parts(wrapping)
        made = _class_of(name)
        _check_options(name, made, options)
        given = {key: _without_lists(value) for key, value in options.items()}
        try:
            wrapped = made(wrapped, **given)
        except Exception as error:
            raise BridgeError(
                f'wrapper {name} does not fit this environment: {describe(error)}; it gets '
                f'observations of {_short(wrapped.observation_space)} and actions of '
                f'{_short(wrapped.action_space)}'
            ) from error
    return wrapped


def _short(space: Any) -> str:
    """Return a space without its bounds, which may be thousands of numbers."""
    return f'{type(space).__name__} of shape {space.shape}'


def _without_lists(value: Any) -> Any:
    """Return lists as tuples: the wrappers compare shapes and ranges with tuples."""
    return tuple(map(_without_lists, value)) if isinstance(value, list) else value


def _parts(wrapping: Wrapping) -> tuple[str, dict[str, Any]]:
    if isinstance(wrapping, str):
        return wrapping, {}
    if len(wrapping) != 1:
        raise ConfigError(
            f'expected a name, or one name with its options, received {wrapping}; '
            'write each wrapper as an item of its own'
        )
    return next(iter(wrapping.items()))


def _class_of(name: str) -> Any:
    module, _, attribute = name.rpartition(':')
    if not module:
        if name in _INSTEAD:
            raise ConfigError(f'wrapper {name!r} cannot be used here: {_INSTEAD[name]}')
        if name not in KNOWN:
            raise ConfigError(
                f'unknown wrapper {name!r}{closest(name, [*KNOWN])}; expected {", ".join(KNOWN)}, '
                'or MODULE:CLASS for one of your own'
            )
        return getattr(wrappers, name)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise ConfigError(f'wrapper {name!r} cannot be imported: {describe(error)}') from error
    if not (isinstance(found, type) and issubclass(found, gymnasium.Wrapper)):
        raise ConfigError(f'wrapper {name!r} is {found!r}, expected a class of gymnasium.Wrapper')
    return found


def _check_options(name: str, made: Any, options: dict[str, Any]) -> None:
    # The first argument is the environment.
    parameters = list(inspect.signature(made).parameters.values())[1:]
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
        return
    names = [one.name for one in parameters]
    expected = f'expected {", ".join(names)}' if names else 'it takes no options'
    for key in options:
        if key not in names:
            raise ConfigError(f'wrapper {name}: unknown option {key!r}; {expected}')
    missing = [
        one.name
        for one in parameters
        if one.default is one.empty
        and one.kind is not inspect.Parameter.VAR_POSITIONAL
        and one.name not in options
    ]
    if missing:
        raise ConfigError(f'wrapper {name}: option {missing[0]!r} is missing; {expected}')
