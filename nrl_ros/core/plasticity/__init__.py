"""Plasticity rules, one a file. A rule turns one step into rows of the eligibility trace."""

from collections.abc import Callable

from nrl_ros.core.interfaces import PlasticityRule
from nrl_ros.core.plasticity.node_perturbation import NodePerturbation

# By the name under which settings know them; a new rule is one more file and one more line here.
RULES: dict[str, Callable[..., PlasticityRule]] = {'nrl': NodePerturbation}

__all__ = ['RULES', 'NodePerturbation']
