"""Takes what nodes report of themselves into the figures of a run."""

from __future__ import annotations

import math
from array import array
from typing import Any

import numpy as np

from nrl_ros.base.records import Ending, FinishedEpisodes
from nrl_ros.monitor.arm_figures import ArmFigures
from nrl_ros.monitor.progress import Progress
from nrl_ros.robots.safety.records import STOPPED_MODES, Mode
from nrl_ros.robots.safety.takeover import SHUT_DOWN
from nrl_ros.ros import names
from nrl_ros.ros.hearing import counters_of, health_of
from nrl_ros.ros.interfaces import (
    ArmCommand,
    EnvStatus,
    LearnerStatus,
    NeuromodulatorStatus,
    SafetyStatus,
)

# A stop stands out from the other modes.
MODES: dict[int, str] = {
    mode: mode.name if mode in STOPPED_MODES else mode.name.lower() for mode in Mode
}
MOVES = {
    ArmCommand.PURPOSE_ACTION: 'acts',
    ArmCommand.PURPOSE_HOMING: 'drives home',
    ArmCommand.PURPOSE_HOLD: 'stands still',
    ArmCommand.PURPOSE_PERSON: 'follows a person',
}
# What ``facts_of`` returns of a text, and of a list.
_LONGEST, _MOST = 4000, 32
_LARGEST_WHOLE = 2**53 - 1
_ENV_COUNTERS = ('late_actions', 'missing_actions', 'resent_states')


def facts_of(message: Any) -> dict[str, Any]:
    """Return the plain fields of a message by name: numbers, switches, texts, and short lists.

    Whole numbers that a browser cannot hold become texts. Named counters are left out
    (``hearing.counters_of``).
    """
    found: dict[str, Any] = {}
    for name in message.get_fields_and_field_types():
        value = getattr(message, name)
        if isinstance(value, str):
            found[name] = value[:_LONGEST]
        elif isinstance(value, int) and not isinstance(value, bool):
            found[name] = value if abs(value) <= _LARGEST_WHOLE else str(value)
        elif isinstance(value, (bool, float)):
            found[name] = value
        elif isinstance(value, list) and name != 'counter_name':
            found[name] = [one[:_LONGEST] for one in value[:_MOST] if isinstance(one, str)]
        elif isinstance(value, array) and value.typecode == 'd':
            found[name] = value[:_MOST].tolist()
    return found


def take_episodes(progress: Progress, ends: FinishedEpisodes, worth: Any = None) -> None:
    """Add finished episodes to the figures of their run.

    Args:
        progress: the figures.
        ends: at least one episode.
        worth: what each is worth for the choice of the best checkpoint [K]; None: its return.
    """
    steps = int(ends.total_steps[-1]) + progress.earlier_steps
    kept = ends.ending != Ending.ABORTED
    progress.add_episodes(
        steps,
        ends.episode_return[kept].tolist(),
        ends.length[kept].tolist(),
        None if worth is None else worth[kept].tolist(),
    )
    progress.figures.add({name: one[kept] for name, one in ends.figures.items()})
    progress.steps = max(progress.steps, steps)
    progress.moving = True


def take_environment(progress: Progress, message: EnvStatus) -> None:
    """Take the status of a run's environment.

    Raises:
        ConversionError: its counters have not as many values as names.
    """
    counters = counters_of(message)
    progress.environment_heard += 1
    progress.steps = message.steps + progress.earlier_steps
    progress.moving = True
    progress.episodes = message.episodes
    progress.steps_per_second = message.steps_per_second
    progress.finished = message.finished
    progress.left = not message.active
    shown = {name: getattr(message, name) for name in _ENV_COUNTERS}
    progress.counters[names.ENVIRONMENT] = shown | counters


def take_learner(progress: Progress, message: LearnerStatus, agent: str) -> None:
    """Take the status of the learner that acts for a run's environment.

    Args:
        progress: figures of the run.
        message: the status.
        agent: name of the environment.

    Raises:
        ConversionError: its counters or its health have not as many values as names.
    """
    counters, health = counters_of(message), health_of(message)
    progress.health.hear(progress.steps, health)
    progress.learner_heard += 1
    progress.weight_norm = message.weight_norm
    progress.learning_rate = message.learning_rate
    progress.noise_sigma = message.noise_sigma
    progress.busy_share = message.busy_share
    progress.guard = message.guard
    if progress.served and agent not in message.agent:
        # The agent has left in order, so the windows that it left open are not shown as a problem.
        released = progress.counters[names.LEARNER].get('released_windows', 0)
        counters['released_windows'] = released
    progress.served |= agent in message.agent
    progress.counters[names.LEARNER] = counters
    progress.restored.setdefault(names.LEARNER, dict(counters))


def take_neuromodulator(progress: Progress, message: NeuromodulatorStatus) -> None:
    """Take the status of a run's neuromodulator.

    Raises:
        ConversionError: its counters have not as many values as names.
    """
    counters = counters_of(message)
    # NaN means that no RPE came since the last status, so the last figure is still the newest.
    if not math.isnan(message.mean_absolute_rpe):
        progress.mean_absolute_rpe = message.mean_absolute_rpe
    progress.baseline = message.mean_baseline
    progress.counters[names.NEUROMODULATOR] = counters


def take_safety(figures: ArmFigures, message: SafetyStatus) -> None:
    """Take the status of an arm's safety node."""
    mode = MODES.get(message.mode, str(message.mode))
    mode = f'dry run, {mode}' if message.dry_run else mode
    # A safety node that ends with its arm at rest has not stopped it for a fault.
    stopped = message.mode in STOPPED_MODES and message.why != SHUT_DOWN
    figures.hear_safety(mode, message.why, stopped=stopped)


def take_aborted(figures: ArmFigures, ends: FinishedEpisodes) -> None:
    """Note of the episodes of an arm how many have ended, and which of them were aborted."""
    figures.hear_episodes(np.equal(ends.ending, Ending.ABORTED).tolist())
