"""How near a rule's estimates come to the exact gradient, for rule_figures.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import ActionKind, ActionSpace
from nrl_ros.base.state import restore_snapshot, take_snapshot
from nrl_ros.environments.registry import make_bridge
from nrl_ros.experiments.gradients import exact
from nrl_ros.learning.heads import SoftmaxHead
from nrl_ros.learning.interfaces import PlasticityRule
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec, xavier_normal
from nrl_ros.learning.networks.forward_pass import ForwardPass
from nrl_ros.learning.rules import Backpropagation, NodePerturbation
from nrl_ros.settings.run import RunSettings

Array = NDArray[Any]
COUNTS = (1, 4, 16, 64, 256, 1024, 4096)
STATES = 4
ACTIONS = 3
# Of each action, for rules that hear the reward alone.
REWARDS = np.array([1.0, -1.0, 0.0])
_WARM = 100


class FixedHead(SoftmaxHead):
    """A policy that always takes the action it is told to."""

    choice = 0

    def draw(self, z: Array, generator: np.random.Generator) -> Array:
        """The action told."""
        return np.full((len(z), 1), self.choice)


class _Situation:
    """Reaching's network as it starts, and states that it meets while the target is shown."""

    def __init__(self, settings: RunSettings) -> None:
        self.generator = np.random.default_rng(0)
        bridge = make_bridge('reaching', COUNTS[-1], {'fixation_s': 0.05})
        observation = bridge.reset(0)
        for _ in range(20):
            moves = self.generator.integers(0, ACTIONS, (COUNTS[-1], 1)).astype(np.int32)
            observation = bridge.step(moves).observation
        self.observations = observation
        self.spec = NetworkSpec(
            observation.shape[1], settings.learner.network.hidden_sizes, ACTIONS
        )
        self.network = Network(self.spec, xavier_normal(self.spec, self.generator))


def direction(settings: RunSettings) -> dict[str, Any]:
    """Cosines of a rule's estimates against how many are averaged."""
    rule = settings.learner.make_rule()
    situation = _Situation(settings)
    by_reward = rule.name == 'rmhl'
    beside: dict[str, Any] = {}
    if by_reward:
        others: dict[str, PlasticityRule] = {
            'nrl': NodePerturbation(),
            'backpropagation': Backpropagation(),
        }
        beside = {k: _cosines(situation, other, True) for k, other in others.items()}
    components = rule.noise_size(situation.spec, 1)[1]
    predicted = [round(float(np.sqrt(k / (k + components - 1))), 3) for k in COUNTS]
    what = 'update, gradient of E[r]' if by_reward else r'estimate of $\nabla \log\pi(a|s)$'
    return {
        'k': COUNTS,
        'cosine': _cosines(situation, rule, by_reward),
        'predicted': [] if by_reward else predicted,
        'noise_components': components,
        'sigma': rule.sigma,
        'title': what,
        'beside': beside,
    }


def _cosines(situation: _Situation, rule: PlasticityRule, by_reward: bool) -> list[float]:
    space = ActionSpace(ActionKind.DISCRETE, (ACTIONS,))
    fixed = FixedHead(space)
    head = SoftmaxHead(space) if by_reward else fixed
    generator, count = situation.generator, COUNTS[-1]
    explorer = rule.explorer(situation.network, _Plain(head), batch=count, source=0)
    size = rule.noise_size(situation.spec, count)

    def step(observation: Array) -> tuple[Array, Array]:
        noise = generator.standard_normal(size, dtype=np.float32)
        choice, rows = explorer.explore(observation, noise, generator)
        return choice[:, 0], np.asarray(rows()[0].sum(axis=0), np.float64)

    if explorer.state is not None:
        # What learns a reference has met many states before.
        for _ in range(_WARM):
            step(generator.permutation(situation.observations))
    saved = take_snapshot(explorer)
    found = np.zeros((STATES, len(COUNTS)))
    for state in range(STATES):
        restore_snapshot(explorer, saved)
        fixed.choice = state % ACTIONS
        observation = situation.observations[state]
        choice, estimate = step(np.repeat(observation[None], count, axis=0))
        if by_reward:
            gradient, rpe = _of_reward(situation, observation)
            estimate = rpe[choice, None] * estimate
        else:
            gradient = _of_policy(situation, observation, state % ACTIONS)
            if rule.trace_form == 'whole':
                gradient = _of_weights(situation, observation, gradient)
        found[state] = [_mean_cosine(estimate, gradient, k) for k in COUNTS]
    return [round(float(value), 3) for value in found.mean(axis=0)]


class _Plain:
    """A head that hides its type, so that rules take their general way and ask it for actions."""

    def __init__(self, head: SoftmaxHead) -> None:
        self._head = head

    def __getattr__(self, name: str) -> Any:
        return getattr(self._head, name)


def _of_policy(situation: _Situation, observation: Array, choice: int) -> Array:
    network = Network(situation.spec, [w.astype(np.float64) for w in situation.network.weights])
    return exact(network, observation.astype(np.float64), choice)[0]


def _of_reward(situation: _Situation, observation: Array) -> tuple[Array, Array]:
    """Gradient of the expected reward, and each action's reward-prediction error."""
    z = ForwardPass(situation.network, 1, 0).run(observation[None], None, 0.0)[0, 0]
    policy = np.exp(z - z.max())
    policy /= policy.sum()
    rpe = REWARDS - policy @ REWARDS
    parts = [policy[a] * rpe[a] * _of_policy(situation, observation, a) for a in range(ACTIONS)]
    return np.sum(parts, axis=0), rpe


def _of_weights(situation: _Situation, observation: Array, gradient: Array) -> Array:
    spec, passes = situation.spec, ForwardPass(situation.network, 1, 0)
    passes.run(observation[None], None, 0.0)
    pre = passes.presynaptic()[0]
    outers = [
        np.outer(gradient[out], pre[where]).ravel()
        for out, where in zip(spec.noise_slices, spec.input_slices, strict=True)
    ]
    return np.concatenate(outers)


def _mean_cosine(estimate: Array, gradient: Array, k: int) -> float:
    """Mean cosine of means of k estimates."""
    means = estimate.reshape(len(estimate) // k, k, -1).mean(axis=1)
    lengths = np.linalg.norm(means, axis=1) * np.linalg.norm(gradient)
    return float((means @ gradient / np.maximum(lengths, 1e-300)).mean())
