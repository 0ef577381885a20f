"""Settings of the learner node."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from nrl_ros.core.plasticity import RULES
from nrl_ros.core.settings import LearnerSettings
from nrl_ros.schema.base import Settings, live


class NetworkGroup(Settings):
    """The policy network."""

    hidden_sizes: tuple[PositiveInt, ...] = Field(
        (64,), description='Neurons of each hidden layer [1]'
    )
    bias: bool = Field(False, description='Give each layer one more input that is always 1')
    leak: float = Field(0.1, ge=0, le=1, description='Slope of the LeakyReLU below zero [1]')
    precision: Literal['float32', 'float64'] = Field('float32', description='Number format')


class PolicyGroup(Settings):
    """The policy head."""

    action_from: Literal['clean', 'noisy'] = Field(
        'clean', description='Draw the action from the pass without or with noise'
    )
    action_std: float = Field(
        0.5, gt=0, description='Standard deviation of the Gaussian policy, in half ranges [1]'
    )
    learn_std: bool = Field(False, description='Let the network set the standard deviation too')


class PlasticityGroup(Settings):
    """The learning rule."""

    rule: Literal['nrl'] = Field('nrl', description='Noise-based reward-modulated learning')
    learning_rate: float = live(1e-3, 'Weight change per unit RPE and trace [1]', ge=0)
    norm: Literal['network', 'layer'] = Field(
        'network', description='What the norm of the noise runs over'
    )
    step_scale: Literal['one', 'noise_dimensions', 'layer_width'] = Field(
        'noise_dimensions', description='Factor c of the update'
    )
    samples: int = Field(1, ge=1, description='Noisy passes per step, averaged [1]')
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


class NoiseGroup(Settings):
    """The noise in the neurons."""

    shape: Literal['gaussian', 'uniform', 'laplace', 'binary'] = Field(
        'gaussian', description='Distribution of the noise'
    )
    sigma: float = live(1e-3, 'Standard deviation of the noise [1]', gt=0)


class CreditGroup(Settings):
    """Credit windows."""

    rpe_timeout_s: float = Field(
        2.0, gt=0, description='Lockstep: wait this long for the RPE of a closed window [s]'
    )
    max_late_windows: int = Field(
        16, ge=0, description='Closed windows kept per instance while their RPE is late [1]'
    )


class CheckpointGroup(Settings):
    """Checkpoints of the learner."""

    folder: str = Field('', description='Where checkpoints are written; empty: none')
    period_s: float = live(60.0, 'Time between checkpoints [s]; 0: only on request', ge=0)
    keep: int = Field(5, ge=1, description='Newest checkpoints kept [1]')
    load: str = Field(
        '',
        description='Checkpoint to start from, or a folder: its newest one that can be read, '
        'if there is one; empty: start anew',
    )
    keep_settings: bool = Field(
        False,
        description='With load: learning rate and noise as the parameters say, instead of those '
        'in force when the checkpoint was written',
    )


class LearnerNodeSettings(Settings):
    """Everything the learner node takes."""

    autostart: bool = Field(True, description='Configure and activate without being told to')
    seed: int = Field(0, ge=0, description='Fixes weights, noise and actions')
    evaluate: bool = live(False, 'Act greedily, without noise and without learning')
    status_period_s: float = Field(0.5, gt=0, description='Time between status messages [s]')
    network: NetworkGroup = NetworkGroup()
    policy: PolicyGroup = PolicyGroup()
    plasticity: PlasticityGroup = PlasticityGroup()
    noise: NoiseGroup = NoiseGroup()
    credit: CreditGroup = CreditGroup()
    checkpoint: CheckpointGroup = CheckpointGroup()

    def core(self) -> LearnerSettings:
        """The core's settings."""
        return LearnerSettings(
            hidden=self.network.hidden_sizes,
            bias=self.network.bias,
            leak=self.network.leak,
            precision=self.network.precision,
            rule=RULES[self.plasticity.rule](
                sigma=self.noise.sigma,
                norm=self.plasticity.norm,
                step_scale=self.plasticity.step_scale,
                samples=self.plasticity.samples,
            ),
            learning_rate=self.plasticity.learning_rate,
            noise_shape=self.noise.shape,
            action_from=self.policy.action_from,
            action_std=self.policy.action_std,
            learn_std=self.policy.learn_std,
            trace_kind=self.plasticity.trace,
            trace_decay=self.plasticity.trace_decay,
            trace_reset=self.plasticity.trace_reset,
            max_late_windows=self.credit.max_late_windows,
            seed=self.seed,
        )
