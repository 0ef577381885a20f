"""Torch modules that learn at every step: NRL beside pure inference and beside backpropagation.

    python benchmarks/torch_networks.py [--quick] [--device cuda] [--json FILE]

A learning step: passes, drawn actions, rows of the trace, one product for each layer, plain ascent.
The same module, batch and machine for all, one after the other, several rounds; the figures are
medians, and the ratios are taken within a round. Two passes and one product cost three times
inference, which bounds the share of NRL with one sample at a third. Beside dense networks stands
the same step in plain torch (``plain_torch.py``): what the machine allows (``ratio_to_plain``).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import in_words, machine
from benchmarks.plain_torch import plain_learning
from nrl_ros.base.records import ActionSpace
from nrl_ros.learning.credit import Creditable
from nrl_ros.learning.heads import PolicySettings, make_head
from nrl_ros.learning.networks.kinds import check_network, new_network
from nrl_ros.learning.networks.settings import NetworkSettings
from nrl_ros.learning.noise import NoiseSettings, NoiseStream
from nrl_ros.learning.rules import Backpropagation, NodePerturbation
from nrl_ros.learning.settings import LearnerSettings
from nrl_ros.learning.traces import make_store
from nrl_ros.learning.update import LearningStep

OUTPUTS = 4
# Name: inputs and settings of the network.
NETWORKS: dict[str, tuple[int, dict[str, Any]]] = {
    'dense 64': (8, {'factory': 'dense', 'hidden_sizes': (64,), 'bias': True}),
    'dense 3 x 1024': (8, {'factory': 'dense', 'hidden_sizes': (1024,) * 3, 'bias': True}),
    'convolutional': (
        400,
        {'factory': 'convolutional', 'options': {'image': (10, 10, 4)}},
    ),
    'recurrent': (8, {'factory': 'recurrent', 'options': {'size': 64}}),
}
HEADLINE = ('dense 3 x 1024', 1024, 1)


class Case:
    """One network and batch, and the three things that are timed with it."""

    def __init__(self, name: str, instances: int, noise: str, device: str) -> None:
        inputs, chosen = NETWORKS[name]
        settings = NetworkSettings(kind='torch', device=device, **chosen)
        # As a learner checks it: a device that is not there is one line.
        check_network(settings)
        self._network = new_network(settings, inputs, OUTPUTS, seed=0)
        self._head = make_head(ActionSpace.discrete(OUTPUTS), PolicySettings())
        self._instances, self._noise = instances, noise
        generator = np.random.default_rng(0)
        self._observation = generator.standard_normal((instances, inputs), dtype=np.float32)
        everyone = np.arange(instances)
        self._creditable = Creditable(
            everyone, generator.standard_normal(instances), [], np.zeros(instances, np.bool_)
        )

    def inference(self) -> Callable[[], None]:
        """Return a step of greedy actions."""
        explorer = Backpropagation().explorer(
            self._network, self._head, batch=self._instances, source=0
        )

        def step() -> None:
            explorer.greedy(self._observation)

        return step

    def learning(self, rule: Any) -> Callable[[], None]:
        """Return a learning step of a rule."""
        network, batch = self._network, self._instances
        explorer = rule.explorer(network, self._head, batch=batch, source=0)
        rows, components = rule.noise_size(network.spec, batch)
        stream = NoiseStream(
            NoiseSettings(shape=self._noise),
            np.random.default_rng(1),
            rows=rows,
            components=components,
        )
        store = make_store(
            'auto', network.spec, instances=batch, samples=rule.samples, decay=1.0, window_steps=1
        )
        settings = LearnerSettings.model_validate({'plasticity': {'rule': rule.name}})
        update, generator = LearningStep(settings), np.random.default_rng(2)

        def step() -> None:
            _, made = explorer.explore(self._observation, stream.next(), generator)
            post, pre = made()
            store.record(post, pre, None)
            # A rate of nearly 0: the work is the same, and no network diverges.
            update.learn(network, store, self._creditable, 1e-12)

        return step


def synchronous(step: Callable[[], None], device: str) -> Callable[[], None]:
    """Return a step that waits for its device, as ours do for what they give to the host."""
    if device == 'cpu':
        return step

    def waiting() -> None:
        step()
        torch.cuda.synchronize(device)

    return waiting


def steps_per_second(step: Callable[[], None], seconds: float) -> float:
    """Return calls a second, after one that is not counted."""
    step()
    begin, count = time.perf_counter(), 0
    while True:
        step()
        count += 1
        passed = time.perf_counter() - begin
        if passed >= seconds:
            return count / passed


def measure(case: tuple[str, int, int, str], seconds: float, device: str = 'cpu') -> dict[str, Any]:
    """Return the figures of a network, batch, number of samples and noise on a device."""
    name, instances, samples, noise = case
    made = Case(name, instances, noise, device)
    steps = {
        'inference': made.inference(),
        'nrl': made.learning(NodePerturbation(samples=samples)),
        'backpropagation': made.learning(Backpropagation()),
    }
    inputs, chosen = NETWORKS[name]
    if chosen['factory'] == 'dense':
        sizes = (inputs, *chosen['hidden_sizes'], OUTPUTS)
        steps['plain'] = synchronous(plain_learning(sizes, instances, samples, device), device)
    rounds = [
        {kind: steps_per_second(step, seconds / 3) for kind, step in steps.items()}
        for _ in range(3)
    ]

    def median(of: Callable[[dict[str, float]], float]) -> float:
        return statistics.median(of(one) for one in rounds)

    return {
        'network': name,
        'instances': instances,
        'samples': samples,
        'noise': noise,
        'device': device,
        **{
            f'{kind}_steps_per_second': round(instances * median(itemgetter(kind)), 1)
            for kind in steps
        },
        'share_of_inference': round(median(lambda r: r['nrl'] / r['inference']), 3),
        'ratio_to_backpropagation': round(median(lambda r: r['nrl'] / r['backpropagation']), 3),
        **(
            {'ratio_to_plain': round(median(lambda r: r['nrl'] / r['plain']), 3)}
            if 'plain' in steps
            else {}
        ),
    }


def main() -> None:
    """Measure, print a table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--quick', action='store_true', help='the headline network alone')
    parser.add_argument('--seconds', type=float, default=3.0, help='for each figure')
    parser.add_argument('--device', default='cpu', help='cpu, cuda or cuda:1')
    parser.add_argument('--json', type=Path)
    options = parser.parse_args()
    print(f'{in_words()}, torch {torch.__version__}, {torch.get_num_threads()} threads')
    cases = [(*HEADLINE, 'gaussian'), (*HEADLINE, 'binary')]
    if not options.quick:
        cases += [
            (name, instances, samples, 'gaussian')
            for name in NETWORKS
            for instances in (1, 64, 1024, *([16_384] if options.device != 'cpu' else []))
            for samples in (1, 8)
            if (name, instances, samples) != HEADLINE
        ]
    found = []
    for name, instances, samples, noise in cases:
        row = measure((name, instances, samples, noise), options.seconds, options.device)
        found.append(row)
        print(
            f'{name:15} B {instances:5} K {samples} {noise:8}: NRL '
            f'{row["nrl_steps_per_second"]:>11,.0f} steps/s, {row["share_of_inference"]:.3f} of '
            f'inference, {row["ratio_to_backpropagation"]:.2f} of backpropagation'
            + (f', {row["ratio_to_plain"]:.2f} of plain torch' if 'ratio_to_plain' in row else ''),
            flush=True,
        )
    headline = {key: found[0][key] for key in ('share_of_inference', 'ratio_to_backpropagation')}
    if options.json:
        options.json.write_text(
            json.dumps(
                {**headline, 'machine': machine('numpy', 'torch'), 'networks': found}, indent=2
            )
            + '\n'
        )


if __name__ == '__main__':
    main()
