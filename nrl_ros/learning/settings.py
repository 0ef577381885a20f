"""What fixes a learner, checked when it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from nrl_ros.base.errors import ConfigError, check_positive
from nrl_ros.learning.interfaces import PlasticityRule
from nrl_ros.learning.networks.feed_forward import NEURONS
from nrl_ros.learning.noise import NOISE_SHAPES
from nrl_ros.learning.optimisers import OPTIMISERS
from nrl_ros.learning.rules import NodePerturbation
from nrl_ros.learning.schedule import ScheduleSettings
from nrl_ros.learning.traces import TRACE_KINDS


@dataclass(frozen=True)
class LearnerSettings:
    """What fixes a learner.

    Attributes:
        hidden: neurons of each hidden layer.
        bias: give each layer one more input that is always 1.
        leak: slope of the LeakyReLU below zero [1].
        neuron: 'rate' or 'spiking' hidden neurons.
        rule: the plasticity rule.
        learning_rate: eta, weight change per unit RPE and trace [1], not negative.
        optimiser: a key of OPTIMISERS.
        schedule: clipping, decay and growth, all off by default.
        noise_shape: a key of NOISE_SHAPES.
        noise_correlation_steps: correlation time of the noise that has one [steps].
        action_from: draw the action from the 'clean' policy (authors) or the 'noisy' one (paper).
        action_std: of the Gaussian head, in units of half the action range [1].
        learn_std: let the network set the standard deviation of the Gaussian head.
        trace_kind: 'auto', 'dense' or 'factored'.
        trace_decay: factor of the trace per step, in (0, 1]; 1 sums.
        trace_reset: start traces anew with each credit window; otherwise with each episode.
        max_late_windows: closed windows kept for each instance while their RPE is late.
        seed: fixes weights, noise and actions.
        precision: 'float32' or 'float64'.
    """

    hidden: tuple[int, ...] = (64,)
    bias: bool = False
    leak: float = 0.1
    neuron: str = 'rate'
    rule: PlasticityRule = field(default_factory=NodePerturbation)
    learning_rate: float = 1e-3
    optimiser: str = 'sgd'
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    noise_shape: str = 'gaussian'
    noise_correlation_steps: float = 10.0
    action_from: str = 'clean'
    action_std: float = 0.5
    learn_std: bool = False
    trace_kind: str = 'auto'
    trace_decay: float = 1.0
    trace_reset: bool = True
    max_late_windows: int = 16
    seed: int = 0
    precision: str = 'float32'

    def __post_init__(self) -> None:
        """Check the settings."""
        for name in ('learning_rate', 'max_late_windows', 'seed'):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ConfigError(f'{name} must be >= 0, received {getattr(self, name)}')
        for name in ('noise_correlation_steps', 'action_std'):
            check_positive(name, getattr(self, name))
        if not 0.0 < self.trace_decay <= 1.0:
            raise ConfigError(f'trace_decay must be in (0, 1], received {self.trace_decay}')
        if not 0.0 <= self.leak <= 1.0:
            raise ConfigError(f'leak must be in [0, 1], received {self.leak}')
        allowed = {
            'neuron': NEURONS,
            'optimiser': tuple(OPTIMISERS),
            'noise_shape': tuple(NOISE_SHAPES),
            'action_from': ('clean', 'noisy'),
            'trace_kind': TRACE_KINDS,
            'precision': ('float32', 'float64'),
        }
        for name, choices in allowed.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f'{name}: expected {choices}, received {getattr(self, name)!r}')
