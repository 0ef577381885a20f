"""Settings with which a learner is made, in groups that are declared beside what they set."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from nrl_ros.base.settings import Settings
from nrl_ros.learning.guard import GuardSettings
from nrl_ros.learning.heads import PolicySettings
from nrl_ros.learning.interfaces import PlasticityRule
from nrl_ros.learning.networks.kinds import check_network
from nrl_ros.learning.networks.settings import NetworkSettings
from nrl_ros.learning.noise.settings import NoiseSettings
from nrl_ros.learning.rules import make_rule
from nrl_ros.learning.rules.settings import PlasticitySettings


class CreditSettings(Settings):
    """Settings of the credit windows."""

    max_late_windows: int = Field(
        16, ge=0, description='Closed windows kept per instance while their RPE is late [1]'
    )


class LearnerSettings(Settings):
    """All settings of a learner that are given when it is made.

    Raises:
        ConfigError: naming every faulty setting.
    """

    seed: int = Field(0, ge=0, description='Fixes weights, noise and actions [1]')
    network: NetworkSettings = NetworkSettings()
    policy: PolicySettings = PolicySettings()
    plasticity: PlasticitySettings = PlasticitySettings()
    noise: NoiseSettings = NoiseSettings()
    credit: CreditSettings = CreditSettings()
    guard: GuardSettings = GuardSettings()

    @field_validator('network')
    @classmethod
    def _known_network(cls, network: NetworkSettings) -> NetworkSettings:
        check_network(network)
        return network

    @model_validator(mode='after')
    def _std_has_a_bias(self) -> LearnerSettings:
        if not self.policy.std_of_state and self.network.kind == 'torch':
            raise ValueError(
                'policy.std_of_state is false, expected network.kind: dense with it: the deviation '
                'is the bias of an output, and a torch module has no weights of that form'
            )
        if not (self.policy.std_of_state or self.network.bias):
            raise ValueError(
                'policy.std_of_state is false, expected network.bias: true with it: the deviation '
                'is the bias of an output'
            )
        return self

    def make_rule(self) -> PlasticityRule:
        """Return the rule with its options and its noise."""
        shared = {**dict(self.plasticity), 'sigma': self.noise.sigma}
        return make_rule(self.plasticity.rule, shared, self.plasticity.options)
