"""Plasticity rules, one in each file. A rule turns one step into rows of the eligibility trace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.part_files import is_file_name
from nrl_ros.base.registry import Registry
from nrl_ros.learning.interfaces import PlasticityRule
from nrl_ros.learning.rules.antithetic import AntitheticPairs
from nrl_ros.learning.rules.backpropagation import Backpropagation
from nrl_ros.learning.rules.learned_reference import LearnedReference
from nrl_ros.learning.rules.node_perturbation import NodePerturbation
from nrl_ros.learning.rules.noisy_reference import NoisyReference
from nrl_ros.learning.rules.random_policy import RandomPolicy
from nrl_ros.learning.rules.reward_modulated_hebbian import RewardModulatedHebbian
from nrl_ros.learning.rules.weight_perturbation import WeightPerturbation

# Keys are the names in settings. A new rule is one more file and one more line here.
RULES: Registry[PlasticityRule] = Registry(
    'rule',
    'nrl_ros.rules',
    {
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
    },
    parts=(
        *('explorer', 'name', 'trace_form', 'memory'),
        *('sigma', 'samples', 'with_sigma', 'noise_size', 'scales'),
    ),
    elsewhere={'sigma': 'noise.sigma'},
)
RuleName = Annotated[str, AfterValidator(RULES.known)]


def make_rule(
    name: str, settings: Mapping[str, Any], options: Mapping[str, Any] | None = None
) -> PlasticityRule:
    """Make a rule from the settings that all rules share and from options of its own.

    Args:
        name: of the rule.
        settings: of all rules, by name; a rule ignores those that it does not have.
        options: of this rule, by name; they replace settings of the same name.

    Raises:
        ConfigError: there is no such rule, or a setting is unknown, of another type, or out of
            range.
    """
    rule = RULES.make(name, shared=settings, options=options)
    if is_file_name(name):
        if rule.name in RULES:
            raise ConfigError(
                f'rule {name!r} calls itself {rule.name!r}, as a rule of nrl_ros does: give the '
                'class a name of its own, since checkpoints are told apart by it'
            )
    elif rule.name != name:
        raise ConfigError(
            f'rule {name!r} calls itself {rule.name!r}: its name and that of its entry point must '
            'be equal, since checkpoints are told apart by it'
        )
    return rule


__all__ = [
    'RULES',
    'AntitheticPairs',
    'Backpropagation',
    'LearnedReference',
    'NodePerturbation',
    'NoisyReference',
    'RandomPolicy',
    'RewardModulatedHebbian',
    'RuleName',
    'WeightPerturbation',
    'make_rule',
]
