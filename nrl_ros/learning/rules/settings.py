"""Settings of the rule: which rule changes the weights, how far, and how its traces are kept."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from nrl_ros.base.settings import Settings, live, shared
from nrl_ros.learning.optimisers import OPTIMISERS, OptimiserName
from nrl_ros.learning.rules import (
    RULES,
    LearnedReference,
    NodePerturbation,
    NoisyReference,
    RewardModulatedHebbian,
    RuleName,
    make_rule,
)


class PlasticitySettings(Settings):
    """Settings of the learning rule."""

    rule: RuleName = Field(
        'nrl', description=f'Learning rule, see docs/rules: {", ".join(RULES)}, or your own'
    )
    learning_rate: float = live(1e-3, 'Weight change per unit RPE and trace [1]', ge=0)
    norm: Literal['network', 'layer'] = shared(NodePerturbation, 'norm')
    step_scale: Literal['one', 'noise_dimensions', 'layer_width'] = shared(
        NodePerturbation, 'step_scale'
    )
    samples: int = shared(NodePerturbation, 'samples')
    reference_passes: int = shared(NoisyReference, 'reference_passes')
    reference_rate: float = shared(LearnedReference, 'reference_rate')
    noise_estimate: Literal['explicit', 'running_mean'] = shared(
        RewardModulatedHebbian, 'noise_estimate'
    )
    estimate_rate: float = shared(RewardModulatedHebbian, 'estimate_rate')
    optimiser: OptimiserName = Field(
        'sgd',
        description='From estimated gradient to weight change: '
        f'{", ".join(OPTIMISERS)}, or your own',
    )
    rpe_clip: float = Field(0.0, ge=0, description='Largest size of an RPE [1]; 0: not clipped')
    learning_rate_decay: float = Field(
        0.0, ge=0, description='Updates after which the learning rate has halved [1]; 0: constant'
    )
    averaging: int = Field(
        0,
        ge=0,
        description='Act without noise by weights that are averaged over about so many updates; 0: '
        'by the newest weights [1]',
    )
    trace: Literal['auto', 'dense', 'factored'] = Field(
        'auto', description='How eligibility traces are kept; auto takes the cheaper'
    )
    trace_decay: float = Field(
        1.0, gt=0, le=1, description='Factor of the trace per step; 1 sums [1]'
    )
    trace_reset: bool = Field(
        True,
        description='Start traces anew with each credit window; otherwise with each episode: with '
        'a decay and a reward at every step that is discounted return-to-go',
    )
    # These fields stand last, since their checks need the values of the fields above.
    options: dict[str, Any] = Field(
        {},
        description='Options of the rule itself, given as plasticity.options.NAME',
        validate_default=True,
    )
    optimiser_options: dict[str, Any] = Field(
        {},
        description='Options of the optimiser itself, given as plasticity.optimiser_options.NAME',
    )

    @field_validator('options')
    @classmethod
    def _fit_rule(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if 'rule' in info.data:
            make_rule(info.data['rule'], info.data, options)
        return options

    @field_validator('optimiser_options')
    @classmethod
    def _fit_optimiser(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        name = info.data.get('optimiser')
        return options if name is None else OPTIMISERS.check(name, options)
