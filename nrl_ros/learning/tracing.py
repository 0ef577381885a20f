"""Notes what a learner computes in each step and sends nowhere: noise, impact, eligibility.

It is meant for a learner that learns again from a recording (docs/recording.md): the steps of a run
are not delayed by what an analysis may want later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError
from nrl_ros.learning.agent import ServedAgent
from nrl_ros.learning.interfaces import Explorer, Rows
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.networks.feed_forward import NetworkSpec
from nrl_ros.learning.rules.base import PerturbationRule

Array = NDArray[Any]


@dataclass(frozen=True)
class StepTraces:
    """One step of one environment, for C chosen instances.

    Attributes:
        agent: the environment.
        session: of it.
        sequence: of the state.
        instance: chosen ones [C].
        episode: of each [C].
        step: of each [C].
        window: of each [C].
        noise: z = xi / sigma, in units of its standard deviation [C, K, N].
        impact: rho, change of the log-probability of the action by the noise of each of K rows
            [C, K]; NaN for a rule that does not compare.
        eligibility_norm: Frobenius norm of what the step adds to the trace, of each layer [C, L];
            NaN for a rule that disturbs weights.
    """

    agent: str
    session: int
    sequence: int
    instance: Array
    episode: Array
    step: Array
    window: Array
    noise: Array
    impact: Array
    eligibility_norm: Array


class _Watched:
    """An explorer that keeps copies of the noise and the rows of its newest step.

    Args:
        inner: the rule at work.
        chosen: instances [C].
        batch: B.
    """

    def __init__(self, inner: Explorer, chosen: Array, batch: int) -> None:
        self._inner, self._chosen, self._batch = inner, chosen, batch
        self.noise: Array | None = None
        self.post: Array | None = None
        self.pre: Array | None = None

    def __getattr__(self, name: str) -> Any:
        """Leave everything else to the explorer."""
        return getattr(self._inner, name)

    def explore(
        self, observation: Array, noise: Array, generator: np.random.Generator
    ) -> tuple[Array, Rows]:
        """Act, and keep the noise of the chosen instances, which the rows overwrite."""
        self.noise = self._of_chosen(noise.reshape(-1, self._batch, noise.shape[-1]))
        self.post = self.pre = None
        choice, rows = self._inner.explore(observation, noise, generator)

        def watched() -> tuple[Array, Array]:
            post, pre = rows()
            if post.ndim == 3 and post.shape[1] == self._batch and pre.ndim == 3:
                self.post, self.pre = self._of_chosen(post), self._of_chosen(pre)
            return post, pre

        return choice, watched

    def _of_chosen(self, rows: Array) -> Array:
        """Return a copy of the rows of the chosen instances [C, K, ...]."""
        return np.array(np.swapaxes(rows[:, self._chosen], 0, 1), np.float64)


class Tracer:
    """Takes the traces of a learner's steps.

    Args:
        learner: whose agents are watched.
        instances: those that are noted, of every environment; empty: all.
    """

    def __init__(self, learner: Learner, instances: Sequence[int] = ()) -> None:
        self._learner, self._instances = learner, np.array(instances, np.int64)
        learner.roster.served_from_now = self._watch
        self._last: dict[tuple[str, int], int] = {}

    def look(self) -> list[StepTraces]:
        """Return the traces of the steps since the last look; to be called after each message.

        Raises:
            ConfigError: there is no such instance.
        """
        found = []
        for agent in self._learner.roster.agents:
            watched = self._watch(agent)
            answer = agent.answer
            key = (agent.info.agent, agent.info.session)
            if answer is None or answer.sequence == self._last.get(key):
                continue
            self._last[key] = answer.sequence
            if watched.noise is None:
                continue
            # The learner does so itself, after its action was sent.
            agent.credit.prepare()
            found.append(self._traces(agent, watched))
            watched.noise = None
        return found

    def _watch(self, agent: ServedAgent) -> _Watched:
        explorer: Any = agent.explorer
        if isinstance(explorer, _Watched):
            return explorer
        batch = agent.info.spec.instances
        chosen = self._instances if len(self._instances) else np.arange(batch)
        if chosen.min() < 0 or chosen.max() >= batch:
            raise ConfigError(
                f'--traces: environment {agent.info.agent!r} has the instances 0 to {batch - 1}, '
                f'received {", ".join(map(str, chosen.tolist()))}'
            )
        watched: Any = _Watched(explorer, chosen, batch)
        agent.explorer = watched
        return watched  # type: ignore[no-any-return]

    def _traces(self, agent: ServedAgent, watched: _Watched) -> StepTraces:
        answer, chosen = agent.answer, watched._chosen
        assert answer is not None and watched.noise is not None
        policy = self._learner.roster.policy
        assert policy is not None
        spec, noise = policy.network.spec, watched.noise
        impact = np.full(noise.shape[:2], np.nan)
        norms = np.full((len(chosen), len(spec.noise_slices)), np.nan)
        if watched.post is not None and watched.pre is not None:
            rule: Any = self._learner.settings.make_rule().with_sigma(self._learner.sigma)
            impact = _impact(rule, noise, watched.post, spec)
            if rule.trace_form == 'outer':
                norms = eligibility_norms(watched.post, watched.pre, spec)
        return StepTraces(
            agent.info.agent,
            agent.info.session,
            answer.sequence,
            chosen,
            answer.episode[chosen],
            answer.step[chosen],
            answer.window[chosen],
            noise,
            impact,
            norms,
        )


# This one compares no two log-probabilities.
_WITHOUT_IMPACT = 'rmhl'


def _impact(rule: Any, noise: Array, post: Array, spec: NetworkSpec) -> Array:
    """Return the impact [C, K] out of rows rho z / |z|^2 times a factor of the rule."""
    rows = noise[:, : post.shape[1]]
    known = isinstance(rule, PerturbationRule) and rule.name != _WITHOUT_IMPACT
    if not known or rows.shape != post.shape:
        return np.full(post.shape[:2], np.nan)
    groups = len(rule.norm_ends(spec))
    return np.asarray(np.einsum('ckn,ckn->ck', rows, post) / (rule.row_scale * groups))


def eligibility_norms(post: Array, pre: Array, spec: NetworkSpec) -> Array:
    """Return the Frobenius norm of the sum of outer products of each layer [C, L].

    Args:
        post: postsynaptic rows [C, K, N].
        pre: presynaptic rows [C, K, M].
        spec: where the layers lie in them.
    """
    norms = []
    for after, before in zip(spec.noise_slices, spec.input_slices, strict=True):
        one, other = post[..., after], pre[..., before]
        # |sum_k a_k b_k^T|^2 is the sum over k, l of (a_k a_l)(b_k b_l).
        products = np.einsum('ckn,cln->ckl', one, one) * np.einsum('ckm,clm->ckl', other, other)
        norms.append(np.sqrt(np.maximum(products.sum(axis=(1, 2)), 0.0)))
    return np.stack(norms, axis=1)
