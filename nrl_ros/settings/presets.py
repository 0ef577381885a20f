"""Presets: values of many settings under one name, which a file's own values replace.

One line in a settings file sets all three nodes of a run::

    /**: {ros__parameters: {preset: robust}}

Its parts are explained in docs/rules/steps.md (the optimiser) and docs/rules/traces.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from nrl_ros.base.settings import Flat, Settings, at_start, dotted, nest, overlay

PresetName = Literal['none', 'robust']

# By preset and node. benchmarks/gymnasium_tasks.py says on which tasks the values were found, and
# docs/results/tasks.md what they reach.
PRESETS: dict[str, dict[str, Flat]] = {
    'robust': {
        'learner': {
            'network.hidden_sizes': [64, 64],
            'network.bias': True,
            'network.normalise_observations': True,
            # Mean squares over 100 updates: with 1,000, one failure makes a step of 30 rates.
            'plasticity.optimiser': 'amsgrad',
            'plasticity.optimiser_options.beta2': 0.99,
            'plasticity.learning_rate': 1e-3,
            'plasticity.samples': 8,
            'plasticity.trace_decay': 0.94,
            'plasticity.trace_reset': False,
        },
        'neuromodulator': {
            'rpe.baseline': 'critic',
            'critic.hidden_sizes': [64, 64],
            'critic.samples': 8,
            'critic.optimiser': 'amsgrad',
            'critic.optimiser_options.beta2': 0.99,
            'critic.learning_rate': 2e-3,
            'critic.discount': 0.98,
            'critic.normalise_observations': True,
            'critic.normalise_rewards': True,
        },
        'environment': {
            'bridge.instances': 16,
            'reward.delivery': 'every_step',
        },
    },
}


class WithPreset(Settings):
    """Base of the settings of a node of which a preset has values.

    Attributes:
        preset: whose values stand where nothing else is given.
    """

    node: ClassVar[str] = ''

    preset: PresetName = at_start(
        'none',
        'Values for all settings that are not given: robust learns many tasks without a search; '
        'give it to all three nodes, below /**',
    )

    @model_validator(mode='before')
    @classmethod
    def _fill(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        values = PRESETS.get(str(given.get('preset')), {}).get(cls.node)
        if not values:
            return given
        return nest(overlay(values, dotted(_plain(given))))


def _plain(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested groups as plain dicts, where some are models already."""
    return {
        name: value.model_dump() if isinstance(value, Settings) else value
        for name, value in given.items()
    }
