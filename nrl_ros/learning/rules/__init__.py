"""Plasticity rules, one a file. A rule turns one step into rows of the eligibility trace."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from nrl_ros.base.errors import ConfigError
from nrl_ros.learning.interfaces import PlasticityRule
from nrl_ros.learning.rules.antithetic import AntitheticPairs
from nrl_ros.learning.rules.backpropagation import Backpropagation
from nrl_ros.learning.rules.learned_reference import LearnedReference
from nrl_ros.learning.rules.node_perturbation import NodePerturbation
from nrl_ros.learning.rules.noisy_reference import NoisyReference
from nrl_ros.learning.rules.random_policy import RandomPolicy
from nrl_ros.learning.rules.reward_modulated_hebbian import RewardModulatedHebbian
from nrl_ros.learning.rules.weight_perturbation import WeightPerturbation

# By the name under which settings know them; a new rule is one more file and one more line here.
# Rules of other packages come in through settings/registry.py.
RULES: dict[str, Callable[..., PlasticityRule]] = {
    rule.name: rule
    for rule in (
        NodePerturbation,
        AntitheticPairs,
        NoisyReference,
        LearnedReference,
        RewardModulatedHebbian,
        WeightPerturbation,
        Backpropagation,
        RandomPolicy,
    )
}


def make_rule(name: str, settings: dict[str, Any]) -> PlasticityRule:
    """A rule by name, with those of the settings that it has.

    Args:
        name: a key of RULES.
        settings: of all rules, by field name; what a rule does not have is of no meaning to it.

    Raises:
        ConfigError: there is no such rule, or a setting is out of its range.
    """
    kind = RULES.get(name)
    if kind is None:
        raise ConfigError(f'unknown plasticity rule {name!r}, expected one of {list(RULES)}')
    known = signature(kind).parameters
    return kind(**{key: value for key, value in settings.items() if key in known})


__all__ = [
    'RULES',
    'AntitheticPairs',
    'Backpropagation',
    'LearnedReference',
    'NodePerturbation',
    'NoisyReference',
    'RandomPolicy',
    'RewardModulatedHebbian',
    'WeightPerturbation',
    'make_rule',
]
