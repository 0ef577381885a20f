"""Each rule and optimiser that runs on a device changes the weights as it does elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nrl_ros
from nrl_ros.base.records import ActionSpace, AgentInfo, Delivery
from nrl_ros.learning.agent_memory import traces_of
from nrl_ros.learning.device.learning import DeviceLearning
from nrl_ros.learning.device.supported import RULES_ON_DEVICE
from nrl_ros.learning.heads.base import PolicyHead
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.neuromodulator import RpeSettings
from nrl_ros.storage.checkpoint import read_checkpoint
from tests.unit.test_device_loop import (
    SMALL,
    STEPS,
    B,
    Drift,
    Plain,
    learn_beside,
    loop_of,
    settings_of,
)

SPACES = {
    'choices': ActionSpace.multi_discrete((3, 2)),
    'real': ActionSpace.continuous((-1.0, -2.0), (1.0, 2.0)),
}
DELIVERIES = {'episodes': (Delivery.EPISODE, 0), 'steps': (Delivery.EVERY_STEP, 0)}


class DrawnHead(PolicyHead):
    """The head of a policy, with the choices that the head of a loop makes of drawn numbers."""

    def __init__(self, head: PolicyHead, loop: DeviceLearning) -> None:
        self._own, self._loop = head, loop

    def draw(self, z: Any, generator: Any) -> Any:
        return self._loop._head.draw(torch.from_numpy(np.array(z)), generator).numpy()

    def log_probability(self, z: Any, choice: Any) -> Any:
        return self._own.log_probability(np.ascontiguousarray(z), choice)

    def gradient(self, z: Any, choice: Any) -> Any:
        return self._own.gradient(z, choice)


class Ruled(Plain):
    """A rule of every other run, given the noise and the chance of a loop."""

    def __init__(
        self, learner: Learner, rpe: RpeSettings, loop: DeviceLearning, info: AgentInfo
    ) -> None:
        super().__init__(learner, rpe, loop)
        self._store = traces_of(learner.settings, self.network, info)
        source = int(learner.settings.policy.action_from == 'noisy')
        rule: Any = learner.settings.make_rule()
        self._explorer = rule.explorer(
            self.network, DrawnHead(self._head, loop), batch=B, source=source
        )

    def step(self, drawn: Any) -> None:
        loop = self._loop
        observation, over = loop.observation.numpy().copy(), loop.windows.over.numpy().copy()
        self._explorer.set_sigma(self._settings.noise.sigma * self._update.sigma_factor())
        noise = loop.noise.numpy().copy()
        _, rows = self._explorer.explore(observation, noise, drawn)
        post, pre = rows()
        self._store.record(post, pre, np.flatnonzero(~over))


@pytest.mark.parametrize('space', SPACES)
@pytest.mark.parametrize('delivery', DELIVERIES)
@pytest.mark.parametrize('rule', RULES_ON_DEVICE)
def test_a_rule_changes_the_weights_as_elsewhere(rule: str, delivery: str, space: str) -> None:
    plasticity = {
        'rule': rule, 'samples': 2, 'trace': 'dense', 'trace_decay': 0.9, 'learning_rate': 1e-3,
        'norm': 'layer' if delivery == 'steps' else 'network', 'reference_passes': 3,
    }  # fmt: skip
    policy = {'learn_std': True} if space == 'real' else {}
    settings = settings_of(
        plasticity=plasticity, policy=policy, noise={'sigma': 0.05, 'sigma_decay': 30.0}
    )
    rpe = RpeSettings(rate=0.5)
    loop, learner, info = loop_of(settings, rpe, Drift(SPACES[space]), *DELIVERIES[delivery])
    compare(loop, Ruled(learner, rpe, loop, info))


@pytest.mark.parametrize('optimiser', ['adam', 'amsgrad'])
def test_an_optimiser_steps_as_elsewhere(optimiser: str) -> None:
    plasticity = {'optimiser': optimiser, 'trace': 'dense', 'learning_rate': 0.01}
    settings, rpe = settings_of(plasticity=plasticity), RpeSettings(rate=0.5)
    loop, learner, info = loop_of(settings, rpe, Drift(SPACES['real']), Delivery.EVERY_STEP)
    compare(loop, Ruled(learner, rpe, loop, info))
    assert ('largest' in loop.moments) == (optimiser == 'amsgrad')


def compare(loop: DeviceLearning, plain: Ruled) -> None:
    before = loop.weights.clone()
    learn_beside(loop, plain, lambda drawn: plain.step(drawn.clone()))
    assert (loop.weights - before).abs().max() > 1e-6


def test_amsgrad_of_a_device_goes_on_without_it_and_back(tmp_path: Path) -> None:
    more = {'learner.plasticity.optimiser': 'amsgrad', 'learner.plasticity.learning_rate': 0.003}
    run = nrl_ros.train('cartpole', device='cpu', steps=3_000, settings=SMALL | more, say=None,
                        out=tmp_path / 'a')  # fmt: skip
    saved = read_checkpoint(run.checkpoint, 'learner')['learning']['optimiser']
    assert saved['count'] > 10 and all(part.max() > 0 for part in saved['largest'])
    load = {'learner.checkpoint.load': str(run.checkpoint)}
    for device in ('', 'cpu'):
        on = nrl_ros.train('cartpole', device=device, steps=3_000, settings=SMALL | more | load,
                           say=None, out=tmp_path / f'b{device}')  # fmt: skip
        later = read_checkpoint(on.checkpoint, 'learner')['learning']['optimiser']
        assert later['count'] > saved['count']
        for then, now in zip(saved['largest'], later['largest'], strict=True):
            # The largest so far never becomes smaller.
            assert (now >= then).all() and (now > then).any()


@pytest.mark.parametrize('rule', ['nrl', 'weight_perturbation'])
@pytest.mark.parametrize('decay', [1.0, 0.8])
def test_steps_without_a_decision_on_the_host_change_the_weights_alike(
    rule: str, decay: float
) -> None:
    plasticity = {'rule': rule, 'trace_decay': decay, 'learning_rate': 1e-3}
    settings, rpe = settings_of(plasticity=plasticity), RpeSettings()
    drift = Drift(SPACES['choices'])
    loops = [loop_of(settings, rpe, drift, Delivery.EPISODE)[0] for _ in range(2)]
    loops[1]._decides = False
    with torch.no_grad():
        for _ in range(STEPS):
            for loop in loops:
                loop.draw()
                loop.step()
                loop.update()
    torch.testing.assert_close(loops[0].weights, loops[1].weights, rtol=0, atol=1e-12)
    assert int(loops[0].counts['updates']) == int(loops[1].counts['updates']) > STEPS / 10
