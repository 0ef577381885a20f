"""Which settings of a learner run on a device; nothing of torch is imported to say so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nrl_ros.base.errors import ConfigError
from nrl_ros.learning.neuromodulator import RpeSettings
from nrl_ros.learning.settings import LearnerSettings

OPTIMISERS_ON_DEVICE = ('sgd', 'adam', 'amsgrad')
# Rules that remember nothing from step to step.
RULES_ON_DEVICE = (
    'nrl',
    'antithetic',
    'noisy_nrl',
    'rmhl',
    'weight_perturbation',
    'backpropagation',
)
BASELINES_ON_DEVICE = ('running_average', 'none')


def check_on_device(settings: LearnerSettings, rpe: RpeSettings) -> None:
    """Refuse settings that the loop on a device does not have.

    Raises:
        ConfigError: naming the first one, and what is expected.
    """
    for name, received, expected in _asked(settings, rpe):
        if received not in expected:
            allowed = ' or '.join(repr(each) for each in expected)
            raise ConfigError(
                f'{name} {received!r} does not run on a device, expected {allowed}; set it so, or '
                'leave --device away'
            )


def _asked(
    settings: LearnerSettings, rpe: RpeSettings
) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    network, plasticity, noise = settings.network, settings.plasticity, settings.noise
    yield 'learner.network.kind', network.kind, ('dense',)
    yield 'learner.network.neuron', network.neuron, ('rate',)
    yield 'learner.network.normalise_observations', network.normalise_observations, (False,)
    for name in ('weight_bits', 'read_noise', 'update_spread', 'update_asymmetry'):
        yield f'learner.network.{name}', getattr(network, name), (0,)
    yield 'learner.policy.head', settings.policy.head, ('auto', 'softmax', 'gaussian')
    yield 'learner.policy.std_of_state', settings.policy.std_of_state, (True,)
    yield 'learner.plasticity.rule', plasticity.rule, RULES_ON_DEVICE
    estimate = getattr(settings.make_rule(), 'noise_estimate', 'explicit')
    yield 'learner.plasticity.noise_estimate', estimate, ('explicit',)
    yield 'learner.plasticity.optimiser', plasticity.optimiser, OPTIMISERS_ON_DEVICE
    yield 'learner.plasticity.trace_reset', plasticity.trace_reset, (True,)
    yield 'learner.noise.shape', noise.shape, ('gaussian',)
    yield 'learner.noise.silent_growth', noise.silent_growth, (1.0,)
    yield 'learner.guard.enabled', settings.guard.enabled, (False,)
    yield 'learner.guard.approve', settings.guard.approve, (False,)
    yield 'neuromodulator.rpe.baseline', rpe.baseline, BASELINES_ON_DEVICE
