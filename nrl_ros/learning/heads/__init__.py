"""Policy heads, one in each file: from the network's outputs to actions and log-probabilities.

A head works on outputs ``z`` of any leading shape, so that the clean and all noisy passes are
evaluated in one call; its log-probabilities are exact. The *choice* is what was drawn: indices [B,
A] for discrete kinds, the normalised action [B, A] in units of half the range for continuous ones.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from nrl_ros.base.records import ActionKind, ActionSpace
from nrl_ros.base.registry import Registry
from nrl_ros.base.settings import Settings, shared
from nrl_ros.learning.heads.base import AmendsUpdates, PolicyHead
from nrl_ros.learning.heads.gaussian import GaussianHead, std_fault
from nrl_ros.learning.heads.softmax import SoftmaxHead

AUTO = 'auto'
# Keys are the names in settings. A new head is one more file and one more line here.
HEADS: Registry[PolicyHead] = Registry(
    'policy head',
    'nrl_ros.policy_heads',
    {'softmax': SoftmaxHead, 'gaussian': GaussianHead},
    arguments=1,
    parts=(
        'outputs',
        'action_dtype',
        'draw',
        'sample',
        'greedy',
        'log_probability',
        'gradient',
        'to_action',
    ),
)


def _known(name: str) -> str:
    return name if name == AUTO else HEADS.known(name)


class PolicySettings(Settings):
    """Settings of the policy head."""

    action_from: Literal['clean', 'noisy'] = Field(
        'clean',
        description='Draw the action from the pass without or with noise; ignored by a rule '
        'that has only one of them',
    )
    head: Annotated[str, AfterValidator(_known)] = Field(
        AUTO,
        description=f'Distribution of actions: {", ".join(HEADS)}, or your own; auto: softmax for '
        'choices, gaussian for real actions',
    )
    action_std: float = shared(GaussianHead, 'action_std')
    learn_std: bool = shared(GaussianHead, 'learn_std')
    std_of_state: bool = shared(GaussianHead, 'std_of_state')
    entropy_bonus: float = shared(GaussianHead, 'entropy_bonus')
    options: dict[str, Any] = Field(
        {}, description='Options of the head itself, given as policy.options.NAME'
    )

    @model_validator(mode='after')
    def _std_fits(self) -> PolicySettings:
        fault = std_fault(self.learn_std, self.std_of_state, self.entropy_bonus)
        if fault:
            raise ValueError(fault)
        return self

    @field_validator('options')
    @classmethod
    def _fit(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        head = info.data.get('head', AUTO)
        return options if head == AUTO else HEADS.check(head, options, info.data)


def make_head(space: ActionSpace, settings: PolicySettings | None = None) -> PolicyHead:
    """Return the head for an action space.

    Args:
        space: what an action is.
        settings: which head, and its options; None: the usual one.

    Raises:
        ConfigError: the head is not one for such actions.
    """
    settings = settings or PolicySettings()
    usual = 'gaussian' if space.kind == ActionKind.CONTINUOUS else 'softmax'
    name = usual if settings.head == AUTO else settings.head
    return HEADS.make(name, space, options=settings.options, shared=settings.model_dump())


__all__ = [
    'HEADS',
    'AmendsUpdates',
    'GaussianHead',
    'PolicyHead',
    'PolicySettings',
    'SoftmaxHead',
    'make_head',
]
