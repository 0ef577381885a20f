"""What golden_trace.py records: every task, every rule, and what else has arithmetic of its own."""

from __future__ import annotations

from typing import Any, NamedTuple


class Case(NamedTuple):
    """One short run.

    Attributes:
        task: file in ``config`` that the settings come from.
        overrides: settings that replace those of the file, by ``NODE.NAME``.
    """

    task: str
    overrides: dict[str, Any]


Cases = dict[str, Case]

# Small, so that all cases take seconds; learning and credit do not change with the number.
INSTANCES = {'acrobot': 8, 'cartpole': 8, 'reaching': 8}
ARM_INSTANCES = 4

# With the task's own sigma of 0.001 the running estimates of these rules are nothing but rounding.
SIGMA = {'learned_reference': 0.1, 'rmhl': 0.3}

_PLASTICITY, _NOISE = 'learner.plasticity.', 'learner.noise.'
_RPE, _CRITIC = 'neuromodulator.rpe.', 'neuromodulator.critic.'

_NUMPY = {
    'learner.network.hidden_sizes': [200, 100],
    'learner.network.bias': True,
    'learner.policy.action_from': 'noisy',
    _PLASTICITY + 'trace': 'factored',
    _PLASTICITY + 'samples': 2,
    _PLASTICITY + 'norm': 'layer',
}
_SCHEDULES = {
    _PLASTICITY + 'rpe_clip': 0.1,
    _PLASTICITY + 'learning_rate_decay': 300.0,
    _NOISE + 'sigma_decay': 500.0,
    _NOISE + 'silent_growth': 1.01,
}
_LEARNING_CRITIC = {
    _RPE + 'baseline': 'critic',
    _CRITIC + 'optimiser': 'layer_normalised',
    _CRITIC + 'learning_rate': 0.03,
    _CRITIC + 'discount': 0.9,
}
_WINDOWS = {
    'environment.reward.delivery': 'every_n_steps',
    'environment.reward.steps': 4,
    _PLASTICITY + 'trace_reset': False,
    _PLASTICITY + 'trace_decay': 0.9,
}
_FAULTS = {
    'environment.bridge.name': 'scripted',
    'environment.bridge.instances': 3,
    'environment.bridge.options.action': 'continuous',
    'environment.bridge.options.lengths': [5, 9, 3],
    'environment.bridge.options.endings': ['terminated', 'truncated', 'aborted'],
    'environment.bridge.options.faults': ['131:1:nan_observation', '257:2:nan_reward'],
    'environment.reward.delivery': 'every_n_steps',
    'environment.reward.steps': 4,
    'learner.policy.learn_std': True,
    _NOISE + 'shape': 'uniform',
    _RPE + 'order': 'after',
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    'one instance': ('cartpole', {'environment.bridge.instances': 1}),
    'numpy, large network, factored traces': ('cartpole', _NUMPY),
    'float64': ('cartpole', {'learner.network.precision': 'float64'}),
    'spiking': ('reaching', {'learner.network.neuron': 'spiking', _NOISE + 'sigma': 0.2}),
    'schedules': ('reaching', _SCHEDULES),
    'no baseline': ('reaching', {_RPE + 'baseline': 'none'}),
    'critic, layer_normalised': ('reaching', _LEARNING_CRITIC),
    'windows of 4 steps, kept traces': ('reaching', _WINDOWS),
    'faults, aborted episodes, continuous actions': ('reaching', _FAULTS),
    **{
        f'optimiser {name}': ('reaching', {_PLASTICITY + 'optimiser': name})
        for name in ('adam', 'layer_normalised')
    },
    **{
        f'noise {name}': ('reaching', {_NOISE + 'shape': name})
        for name in ('uniform', 'laplace', 'binary', 'ornstein_uhlenbeck')
    },
}


def cases(tasks: list[str], rules: list[str]) -> Cases:
    """Return every case by name.

    Args:
        tasks: files in ``config``, each a case of its own.
        rules: learning rules; each one learns reaching.
    """

    def case(task: str, overrides: dict[str, Any]) -> Case:
        instances = INSTANCES.get(task, ARM_INSTANCES)
        return Case(task, {'environment.bridge.instances': instances, **overrides})

    every = {f'task {task}': case(task, {}) for task in tasks}
    for rule in rules:
        own = {_NOISE + 'sigma': SIGMA[rule]} if rule in SIGMA else {}
        every[f'rule {rule}'] = case('reaching', {_PLASTICITY + 'rule': rule, **own})
    return every | {name: case(*variant) for name, variant in VARIANTS.items()}
