"""Faults of environments in one line each: what failed, what came, and what was expected.

Environments are other people's code, so any of them may raise anything, or return anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nrl_ros.base.errors import BridgeError, NrlError, describe
from nrl_ros.base.records import Delivery, EnvSpec, StepResult
from nrl_ros.environments.interfaces import Environment

# Episodes that end by themselves seldom last longer than this [1].
_MANY_STEPS = 2000

NEVER_ENDS = (
    f'no episode has ended in {_MANY_STEPS:,} steps of each instance, and rewards are delivered at '
    'the end of an episode, so nothing has been learned yet: let episodes end '
    '(bridge.options.max_episode_steps of gymnasium), or set reward.delivery to every_step or '
    'every_n_steps'
)


def failed(agent: str, what: str, error: Exception) -> BridgeError:
    """Return the error to raise for any error that an environment raised; one of ours stays."""
    if isinstance(error, BridgeError):
        return error
    return BridgeError(f'the environment of agent {agent!r} failed at {what}: {describe(error)}')


def first_observation_fault(observation: Any, spec: EnvSpec) -> str:
    """Return what is wrong with the shape of the first observations; '' if nothing is."""
    expected = (spec.instances, spec.observation_size)
    return _fault('observation', observation, expected) or _format_fault(observation, spec)


def step_fault(result: Any, spec: EnvSpec) -> str:
    """Return what is wrong with the shapes of what a step returned; '' if nothing is."""
    if not isinstance(result, StepResult):
        return f'expected a StepResult, received {type(result).__name__}'
    flags = dict.fromkeys(('reward', 'terminated', 'truncated', 'aborted'), (spec.instances,))
    expected = {'observation': (spec.instances, spec.observation_size), **flags}
    faults = (_fault(name, getattr(result, name), shape) for name, shape in expected.items())
    return next(filter(None, faults), '') or _format_fault(result.observation, spec)


def _format_fault(observation: Any, spec: EnvSpec) -> str:
    """Return what is wrong with the number format of observations; '' if nothing is."""
    received, expected = np.asarray(observation).dtype, spec.observation_format.dtype
    if (received.itemsize == 1) == (expected.itemsize == 1):
        return ''
    return (
        f'observation: expected {expected} as EnvSpec.observation_format says, received {received}'
    )


def _fault(name: str, value: Any, expected: tuple[int, ...]) -> str:
    shape = getattr(value, 'shape', None)
    if shape is None:
        return f'{name}: expected an array of shape {expected}, received {type(value).__name__}'
    if shape != expected:
        return f'{name}: expected shape {expected}, received {shape}'
    return '' if np.asarray(value).dtype.kind in 'biuf' else f'{name}: expected numbers'


def close_fault(environment: Environment) -> str:
    """Close an environment, and return what it raised; '' if it closed well.

    What was learned or found is not lost because an environment cannot end in order.
    """
    try:
        environment.close()
    except NrlError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever another package's code raises
        return f'the environment failed at close: {describe(error)}'
    return ''


@contextmanager
def closing(environment: Environment, tell: Callable[[str], None] | None = None) -> Iterator[Any]:
    """Give an environment, and close it in the end.

    Args:
        environment: as it was made.
        tell: gets what ``close_fault`` returns, if it is not empty; None: nobody, since the start
            of the run has told of it.
    """
    try:
        yield environment
    finally:
        fault = close_fault(environment)
        if fault and tell is not None:
            tell(fault)


def never_ends(spec: EnvSpec, *, steps: int, episodes: int, delivery: Delivery) -> bool:
    """Return True if episodes seem to have no end, so that no reward is ever delivered.

    Args:
        spec: of the environment.
        steps: of all instances so far.
        episodes: of all instances that have ended.
        delivery: when rewards are handed over.
    """
    waits = delivery == Delivery.EPISODE and not (episodes or spec.max_episode_steps)
    return waits and steps // spec.instances >= _MANY_STEPS
