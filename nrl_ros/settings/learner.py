"""Settings of the learner node."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveInt, ValidationInfo, field_validator

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.limits import LearnerLimits
from nrl_ros.base.settings import Settings, at_start, live, realtime
from nrl_ros.learning.noise import NOISE_SHAPES
from nrl_ros.learning.rules import RULES
from nrl_ros.learning.schedule import ScheduleSettings
from nrl_ros.learning.settings import LearnerSettings
from nrl_ros.settings.registry import build_rule, check_noise_shape, check_rule


class NetworkGroup(Settings):
    """The policy network."""

    hidden_sizes: tuple[PositiveInt, ...] = Field(
        (64,), description='Neurons of each hidden layer [1]'
    )
    bias: bool = Field(False, description='Give each layer one more input that is always 1')
    leak: float = Field(0.1, ge=0, le=1, description='Slope of the LeakyReLU below zero [1]')
    neuron: Literal['rate', 'spiking'] = Field(
        'rate', description='Hidden neurons: LeakyReLU, or leaky integrate-and-fire'
    )
    precision: Literal['float32', 'float64'] = Field('float32', description='Number format')


class PolicyGroup(Settings):
    """The policy head."""

    action_from: Literal['clean', 'noisy'] = Field(
        'clean',
        description='Draw the action from the pass without or with noise; of no meaning to a rule '
        'that has only one of them',
    )
    action_std: float = Field(
        0.5, gt=0, description='Standard deviation of the Gaussian policy, in half ranges [1]'
    )
    learn_std: bool = Field(False, description='Let the network set the standard deviation too')


class PlasticityGroup(Settings):
    """The learning rule."""

    rule: str = Field(
        'nrl', description=f'Learning rule, see docs/rules: {", ".join(RULES)}, or your own'
    )
    learning_rate: float = live(1e-3, 'Weight change per unit RPE and trace [1]', ge=0)
    norm: Literal['network', 'layer'] = Field(
        'network', description='What the norm of the noise runs over'
    )
    step_scale: Literal['one', 'noise_dimensions', 'layer_width'] = Field(
        'noise_dimensions', description='Factor c of the update'
    )
    samples: int = Field(
        1, ge=1, description='nrl, antithetic: noisy passes or pairs per step, averaged [1]'
    )
    reference_passes: int = Field(
        8, ge=1, description='noisy_nrl: noisy passes that stand for the clean one [1]'
    )
    reference_rate: float = Field(
        0.5, gt=0, le=1, description='learned_reference: step of what predicts the outputs [1]'
    )
    noise_estimate: Literal['explicit', 'running_mean'] = Field(
        'explicit', description='rmhl: the noise itself, or activation minus its running mean'
    )
    estimate_rate: float = Field(0.2, gt=0, le=1, description='rmhl: step of that running mean [1]')
    optimiser: Literal['sgd', 'layer_normalised', 'adam'] = Field(
        'sgd', description='From estimated gradient to weight change'
    )
    rpe_clip: float = Field(0.0, ge=0, description='Largest size of an RPE [1]; 0: not clipped')
    learning_rate_decay: float = Field(
        0.0, ge=0, description='Updates after which the learning rate has halved [1]; 0: constant'
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
    # Last: what it is checked with stands above.
    options: dict[str, Any] = Field(
        {},
        description='Options of the rule itself, given as plasticity.options.NAME',
        validate_default=True,
    )

    @field_validator('rule')
    @classmethod
    def _known(cls, rule: str) -> str:
        try:
            check_rule(rule)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return rule

    @field_validator('options')
    @classmethod
    def _fit(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if 'rule' in info.data:
            try:
                build_rule(info.data['rule'], info.data, options)
            except ConfigError as error:
                raise ValueError(str(error)) from error
        return options


class NoiseGroup(Settings):
    """The noise in the neurons."""

    shape: str = Field(
        'gaussian', description=f'Shape of the noise: {", ".join(NOISE_SHAPES)}, or your own'
    )
    sigma: float = live(1e-3, 'Standard deviation of the noise [1]', gt=0)
    correlation_steps: float = Field(
        10.0, gt=0, description='ornstein_uhlenbeck: correlation time [steps]'
    )
    sigma_decay: float = Field(
        0.0, ge=0, description='Updates after which the noise has halved [1]; 0: constant'
    )
    silent_growth: float = Field(
        1.0, ge=1, description='Factor of the noise for each window with an RPE of 0; 1: off [1]'
    )
    silent_limit: float = Field(1000.0, ge=1, description='Largest factor it reaches [1]')

    @field_validator('shape')
    @classmethod
    def _known(cls, shape: str) -> str:
        try:
            check_noise_shape(shape)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return shape


class CreditGroup(Settings):
    """Credit windows."""

    rpe_timeout_s: float = Field(
        2.0,
        gt=0,
        description='Lockstep: wait this long for the RPE of a closed window, longer only where '
        'RPEs usually take long [s]',
    )
    max_late_windows: int = Field(
        16, ge=0, description='Closed windows kept per instance while their RPE is late [1]'
    )


class CheckpointGroup(Settings):
    """Checkpoints of the learner."""

    folder: str = at_start('', 'Where checkpoints are written; empty: none')
    anywhere: bool = at_start(
        False,
        'Let the services save_checkpoint and load_checkpoint take paths outside of the folder too',
    )
    period_s: float = live(60.0, 'Time between checkpoints [s]; 0: only on request', ge=0)
    keep: int = Field(
        5, ge=1, description='Newest checkpoints of this run kept [1]; those of other runs stay'
    )
    load: str = at_start(
        '',
        'Checkpoint to start from, or a folder: its newest one that can be read, if there is one; '
        'empty: start anew',
    )
    keep_settings: bool = Field(
        False,
        description='With load: learning rate and noise as the parameters say, instead of those '
        'in force when the checkpoint was written',
    )


class LearnerNodeSettings(Settings):
    """Everything the learner node takes."""

    autostart: bool = Field(True, description='Configure and activate without being told to')
    realtime_priority: int = realtime(0)
    seed: int = Field(0, ge=0, description='Fixes weights, noise and actions')
    evaluate: bool = live(False, 'Act greedily, without noise and without learning')
    status_period_s: float = Field(0.5, gt=0, description='Time between status messages [s]')
    network: NetworkGroup = NetworkGroup()
    policy: PolicyGroup = PolicyGroup()
    plasticity: PlasticityGroup = PlasticityGroup()
    noise: NoiseGroup = NoiseGroup()
    credit: CreditGroup = CreditGroup()
    limits: LearnerLimits = LearnerLimits()
    checkpoint: CheckpointGroup = CheckpointGroup()

    def core(self) -> LearnerSettings:
        """The core's settings."""
        return LearnerSettings(
            hidden=self.network.hidden_sizes,
            bias=self.network.bias,
            leak=self.network.leak,
            precision=self.network.precision,
            neuron=self.network.neuron,
            rule=build_rule(
                self.plasticity.rule,
                self.plasticity.model_dump() | {'sigma': self.noise.sigma},
                self.plasticity.options,
            ),
            optimiser=self.plasticity.optimiser,
            schedule=ScheduleSettings(
                rpe_clip=self.plasticity.rpe_clip,
                learning_rate_decay=self.plasticity.learning_rate_decay,
                sigma_decay=self.noise.sigma_decay,
                silent_growth=self.noise.silent_growth,
                silent_limit=self.noise.silent_limit,
            ),
            noise_correlation_steps=self.noise.correlation_steps,
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
