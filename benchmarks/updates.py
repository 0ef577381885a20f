"""What an update costs by NRL and by backpropagation (core.py runs it)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.torch_loop import TorchReinforce
from nrl_ros.base.records import ActionSpace, AgentInfo, Delivery, EnvSpec, RpeBatch, StateBatch
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.networks.feed_forward import NetworkSpec
from nrl_ros.learning.networks.settings import NetworkSettings
from nrl_ros.learning.rules import RULES
from nrl_ros.learning.rules.settings import PlasticitySettings
from nrl_ros.learning.settings import LearnerSettings

SEED = 0


class OurUpdate:
    """A window of all instances by one of our rules: acting at each step, learning at the end."""

    def __init__(self, rule: str, spec: NetworkSpec, steps: int, instances: int) -> None:
        space = ActionSpace.discrete(spec.outputs)
        env = EnvSpec(instances, spec.inputs, space, max_episode_steps=steps)
        self._learner = Learner(
            LearnerSettings(
                seed=SEED,
                network=NetworkSettings(hidden_sizes=spec.hidden),
                plasticity=PlasticitySettings(rule=rule, learning_rate=1e-6),
            )
        )
        self._learner.join(AgentInfo('bench', 1, env, True, Delivery.EPISODE))
        generator = np.random.default_rng(SEED)
        self._seen = generator.standard_normal((instances, spec.inputs), np.float32)
        self._delta = generator.standard_normal(instances)
        self._who = np.arange(instances, dtype=np.uint32)
        self._steps = steps
        self._sequence = 0
        self._window = 0

    def __call__(self) -> None:
        """Act ``steps`` times; the first of the next window closes this one."""
        none, zeros = np.zeros(len(self._who), np.uint8), np.zeros_like(self._who)
        window = np.full_like(self._who, self._window)
        marks = (none + 1, none, none + 1)  # In mid-episode, not ending, applied.
        for _ in range(self._steps):
            state = StateBatch('bench', 1, self._sequence, zeros, zeros, window, *marks, self._seen)
            self._sequence += 1
            self._learner.observe(state)
            if not self._learner.may_act('bench'):
                self._reinforce(window - 1)
            self._learner.act('bench')
        self._window += 1

    def _reinforce(self, closed: Any) -> None:
        zeros, delta = np.zeros_like(closed), self._delta
        self._learner.reinforce(
            RpeBatch(
                'bench',
                1,
                self._sequence,
                len(delta),
                self._who,
                zeros,
                zeros,
                closed,
                delta,
                delta,
                delta,
            )
        )


def torch_update(spec: NetworkSpec, steps: int, instances: int) -> Callable[[], None]:
    """The same by autograd: REINFORCE with the same delta and plain gradient steps."""
    agent = TorchReinforce((spec.inputs, *spec.hidden, spec.outputs), learning_rate=1e-6)
    generator = torch.Generator().manual_seed(SEED)
    seen = torch.randn(instances, spec.inputs, generator=generator)
    delta = torch.randn(instances, generator=generator)

    def run_window() -> None:
        for _ in range(steps):
            agent.step(seen)
        agent.learn(delta)

    return run_window


def costs(quick: bool) -> list[dict[str, Any]]:
    """Microseconds of processor time a step of all instances, its share of the update included."""
    steps, turns = 50, 3 if quick else 7
    hiddens = ((64,), (128, 128)) if quick else ((64,), (64, 64), (128, 128), (256, 256))
    rows = []
    for hidden in hiddens:
        for instances in (1, 64, 256):
            spec = NetworkSpec(4, hidden, 2)
            runs: dict[str, Callable[[], None]] = {'nrl': OurUpdate('nrl', spec, steps, instances)}
            if 'backpropagation' in RULES:
                runs['bp'] = OurUpdate('backpropagation', spec, steps, instances)
            runs['bp_torch'] = torch_update(spec, steps, instances)
            times: dict[str, list[float]] = {name: [] for name in runs}
            for turn in range(turns + 1):
                for name, one in runs.items():
                    start = time.process_time()
                    one()
                    if turn:
                        times[name].append(time.process_time() - start)
            middle = {name: 1e6 * statistics.median(t) / steps for name, t in times.items()}
            rows.append(
                {
                    'hidden_sizes': list(hidden),
                    'instances': instances,
                    **{f'{name}_us': round(value, 1) for name, value in middle.items()},
                    'bp_torch_over_nrl': round(middle['bp_torch'] / middle['nrl'], 2),
                }
            )
    return rows
