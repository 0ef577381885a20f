"""What rule_figures.py compares: rules and variants, with the step sizes each is tried at."""

from __future__ import annotations

from typing import NamedTuple


class Arm(NamedTuple):
    """Settings of one line of a picture.

    Attributes:
        name: of the rule or variant.
        page: of docs/rules that shows it.
        rates: learning rates that are tried.
        overrides: of reaching's settings.
        estimates: its estimate is compared with the gradient.
    """

    name: str
    page: str
    rates: tuple[float, ...]
    overrides: tuple[str, ...] = ()
    estimates: bool = False


# Of the learning runs, and of the measurement of cost.
STEPS = 200_000
SEEDS = (0, 1, 2)
INSTANCES = (16, 256)

_RULE = 'learner.plasticity.rule='
_PLASTICITY = 'learner.plasticity.'
_SIGMA = 'learner.noise.sigma='
_SHAPE = 'learner.noise.shape='
_CRITIC, _OF_CRITIC = 'neuromodulator.rpe.baseline=critic', 'neuromodulator.critic.'
_USUAL = (0.0007, 0.002, 0.005)


def _rule(name: str, rates: tuple[float, ...], *more: str, estimates: bool = True) -> Arm:
    return Arm(name, name, rates, (_RULE + name, *more), estimates)


def _traces(name: str, *overrides: str) -> Arm:
    return Arm(name, 'traces', (0.0007, 0.002), overrides)


ARMS = (
    _rule('nrl', _USUAL),
    _rule('antithetic', _USUAL),
    _rule('noisy_nrl', _USUAL),
    _rule('learned_reference', (0.0002, 0.0007, 0.002), _SIGMA + '0.1'),
    _rule('rmhl', (0.003, 0.01, 0.03), _SIGMA + '0.3'),
    _rule('weight_perturbation', (0.0001,)),
    _rule('backpropagation', _USUAL, estimates=False),
    _rule('random', (0.0,), estimates=False),
    Arm('nrl, 4 samples', 'samples', (0.002, 0.005), (_PLASTICITY + 'samples=4',)),
    *(
        Arm(shape, 'noise', (0.002,), (_SHAPE + shape,))
        for shape in ('uniform', 'laplace', 'binary', 'ornstein_uhlenbeck')
    ),
    Arm('spiking', 'spiking', (0.002,), ('learner.network.neuron=spiking', _SIGMA + '0.2')),
    _traces('decay 0.8, kept', _PLASTICITY + 'trace_decay=0.8', _PLASTICITY + 'trace_reset=false'),
    _traces(
        'decay 0.95, kept', _PLASTICITY + 'trace_decay=0.95', _PLASTICITY + 'trace_reset=false'
    ),
    Arm('no baseline', 'baselines', (0.0007, 0.002), ('neuromodulator.rpe.baseline=none',)),
    Arm('critic', 'baselines', (0.0007, 0.002), (_CRITIC,)),
    Arm(
        'critic, layer_normalised', 'baselines', (0.0007, 0.002),
        (_CRITIC, _OF_CRITIC + 'optimiser=layer_normalised', _OF_CRITIC + 'learning_rate=0.03',
         _OF_CRITIC + 'discount=0.9'),
    ),
    Arm(
        'critic, discount 0.9', 'baselines', (0.0007, 0.002),
        (_CRITIC, _OF_CRITIC + 'discount=0.9'),
    ),
    Arm('layer_normalised', 'steps', (0.003, 0.01), (_PLASTICITY + 'optimiser=layer_normalised',)),
    Arm('adam', 'steps', (0.0003, 0.001), (_PLASTICITY + 'optimiser=adam',)),
    Arm('rpe_clip 0.1', 'steps', (0.005,), (_PLASTICITY + 'rpe_clip=0.1',)),
    Arm('rate halved in 2000', 'steps', (0.005,), (_PLASTICITY + 'learning_rate_decay=2000',)),
)  # fmt: skip
RULE_PAGES = tuple(arm.name for arm in ARMS if arm.name == arm.page and arm.name != 'spiking')
