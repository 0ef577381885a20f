"""Plasticity rules, one a file. A rule turns one step into rows of the eligibility trace."""

from nrl_ros.core.plasticity.node_perturbation import NodePerturbation

__all__ = ['NodePerturbation']
