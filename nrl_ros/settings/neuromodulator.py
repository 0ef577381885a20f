"""Settings of the neuromodulator node."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from nrl_ros.base.limits import Limits
from nrl_ros.base.settings import Settings, at_start, live, realtime
from nrl_ros.learning.baselines.critic import CriticSettings
from nrl_ros.learning.neuromodulator import RpeSettings
from nrl_ros.learning.rules import make_rule


class RpeGroup(Settings):
    """How rewards become reward-prediction errors."""

    baseline: Literal['running_average', 'critic', 'none'] = Field(
        'running_average', description='What a reward is compared with'
    )
    rate: float = live(0.66, 'Step of the running-average reward, lambda [1]', gt=0, le=1)
    scale: Literal['none', 'absolute_reward'] = Field(
        'none', description='Divide the RPE by |reward|, where that is not 0'
    )
    order: Literal['before', 'after'] = Field(
        'before', description='Take the RPE before or after the average moves'
    )


class CriticGroup(Settings):
    """The critic, where the baseline is one."""

    hidden_sizes: tuple[PositiveInt, ...] = Field(
        (64,), description='Neurons of each hidden layer [1]'
    )
    rule: Literal['nrl', 'antithetic', 'backpropagation'] = Field(
        'nrl', description='How it learns values: by the noise of its neurons, or by gradient'
    )
    samples: int = Field(1, ge=1, description='Noisy passes per state, averaged [1]')
    sigma: float = Field(1e-3, gt=0, description='Standard deviation of its noise [1]')
    learning_rate: float = Field(1e-3, ge=0, description='Size of its steps [1]')
    optimiser: Literal['sgd', 'layer_normalised', 'adam'] = Field(
        'adam', description='From estimated gradient to weight change'
    )
    discount: float = Field(0.99, ge=0, le=1, description='Of values, per step [1]')
    seed: int = Field(0, ge=0, description='Fixes its weights and noise')
    folder: str = at_start(
        '',
        'Where it is saved, as critic.nrl, every minute and at the end; empty: nowhere',
    )

    def core(self) -> CriticSettings:
        """The core's settings."""
        return CriticSettings(
            hidden=self.hidden_sizes,
            rule=make_rule(self.rule, {'samples': self.samples, 'sigma': self.sigma}),
            learning_rate=self.learning_rate,
            optimiser=self.optimiser,
            discount=self.discount,
            seed=self.seed,
        )


class NeuromodulatorNodeSettings(Settings):
    """Everything the neuromodulator node takes."""

    autostart: bool = Field(True, description='Configure and activate without being told to')
    realtime_priority: int = realtime(0)
    status_period_s: float = Field(0.5, gt=0, description='Time between status messages [s]')
    load: str = at_start(
        '',
        "Learner's checkpoint, or folder of them, to take the baselines from; a critic "
        'is looked for beside it',
    )
    rpe: RpeGroup = RpeGroup()
    critic: CriticGroup = CriticGroup()
    limits: Limits = Limits()

    def core(self) -> RpeSettings:
        """The core's settings."""
        return RpeSettings(
            rate=self.rpe.rate,
            scale=self.rpe.scale,
            order=self.rpe.order,
            baseline=self.rpe.baseline,
            critic=self.critic.core(),
        )
