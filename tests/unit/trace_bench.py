"""A learner whose traces go on after a reward, and what its weights should come to."""

from __future__ import annotations

from typing import Any

import numpy as np

from nrl_ros.base.records import Ending, Phase
from nrl_ros.learning.rules import NodePerturbation, WeightPerturbation
from tests.unit.fakes import info_of, learner_of, receive, reinforce, rpe_of, state_of

KINDS = ['dense', 'factored', 'whole']
DECAY = 0.8


def settings_of(kind: str, **more: Any) -> dict[str, Any]:
    rule = WeightPerturbation(sigma=0.1) if kind == 'whole' else NodePerturbation(sigma=0.1)
    chosen = {'rule': rule, 'trace_reset': False, 'trace_decay': DECAY, 'learning_rate': 0.01}
    return chosen | {'trace': 'auto' if kind == 'whole' else kind} | more


class Bench:
    """A learner with one instance whose steps are written down as matrices."""

    def __init__(self, kind: str, *, lockstep: bool = False, **more: Any) -> None:
        self.info = info_of(1, lockstep=lockstep)
        self.learner = learner_of(self.info, **settings_of(kind, **more))
        assert self.learner.roster.served('a').credit.store.kind == kind
        self.sequence = self.window = self.episode = 0
        self.steps: list[np.ndarray] = []
        self.expected = np.zeros(sum(w.size for w in self.learner.weights))
        self.before = self.flat()
        self.listen()

    def listen(self) -> None:
        """Write down the steps of the learner from now on."""
        credit, scales = self.learner.roster.served('a').credit, agent_scales(self.learner)
        record = credit.record

        def heard(post: Any, pre: Any, state: Any) -> None:
            if state.phase[0] != Phase.LAST:
                self.steps.append(scales * matrix_of(self.learner, post, pre))
            record(post, pre, state)

        credit.record = heard  # type: ignore[method-assign]

    def flat(self) -> np.ndarray:
        return np.concatenate([weight.ravel() for weight in self.learner.weights])

    def state(self, phase: Phase = Phase.MID, ending: Ending = Ending.NONE, **more: Any) -> None:
        """The next state, which closes a window unless it is the first of an episode."""
        if phase == Phase.FIRST and self.sequence:
            self.episode += 1
        elif self.sequence:
            self.window += 1
        state = state_of(
            self.info,
            self.sequence,
            window=self.window,
            phase=phase,
            ending=ending,
            episode=self.episode,
            **more,
        )
        self.sequence += 1
        receive(self.learner, state)

    def credit(self, delta: float, steps: list[np.ndarray]) -> None:
        """What an RPE should add, the newest of the steps being one step old."""
        for age, step in enumerate(reversed(steps)):
            self.expected += 0.01 * delta * DECAY**age * step

    def rpe(self, window: int, delta: float) -> None:
        # As sent with the next state, or later: no earlier one can have closed a window.
        reinforce(self.learner, rpe_of(self.info, self.sequence, 0, window, delta))

    def check(self) -> None:
        np.testing.assert_allclose(self.flat() - self.before, self.expected, rtol=1e-9, atol=1e-13)
        assert np.abs(self.expected).max() > 1e-4


def agent_scales(learner: Any) -> np.ndarray:
    spec, rule = learner.roster.policy.network.spec, learner.settings.make_rule()
    return np.concatenate(
        [np.full(o * i, c) for (o, i), c in zip(spec.shapes, rule.scales(spec), strict=True)]
    )


def matrix_of(learner: Any, post: np.ndarray, pre: np.ndarray) -> np.ndarray:
    if not pre.shape[-1]:
        return np.array(post[0, 0])
    spec = learner.roster.policy.network.spec
    return np.concatenate(
        [
            np.einsum('ko,ki->oi', post[:, 0, out], pre[:, 0, where]).ravel()
            for out, where in zip(spec.noise_slices, spec.input_slices, strict=True)
        ]
    )


def acted(bench: Bench) -> list[np.ndarray]:
    """Steps that were acted upon: those at an episode's end add nothing."""
    bench.learner.windows_open  # noqa: B018
    return bench.steps
