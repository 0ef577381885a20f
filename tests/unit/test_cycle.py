"""The fused cycle of one process is the plain one, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from itertools import islice
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.records import ActionSpace, Delivery, Ending, FinishedEpisodes
from nrl_ros.environments.episodes import Episodes
from nrl_ros.learning import cycle
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.loop import answer, run
from nrl_ros.learning.neuromodulator import Neuromodulator, RpeSettings
from nrl_ros.learning.rules import NodePerturbation
from tests.unit.fakes import ScriptedEnvironment, learner_settings, same

STEPS = 90
Change = Callable[['Run', int], None]


class Run:
    """The three objects, on episodes that end in every way, with numbers that are not finite."""

    def __init__(
        self,
        delivery: Delivery = Delivery.EPISODE,
        *,
        action: ActionSpace | None = None,
        rpe: RpeSettings | None = None,
        faults: bool = True,
        **settings: Any,
    ) -> None:
        endings = [Ending.TERMINATED, Ending.TRUNCATED, Ending.ABORTED, Ending.TERMINATED]
        broken = {(11, 0): 'reward', (20, 3): 'observation', (21, 3): 'reward'}
        # Over a whole episode, so that its first observation is among them.
        broken |= {(call, 1): 'observation' for call in range(50, 57)}
        self.episodes = Episodes(
            ScriptedEnvironment(
                [3, 5, 4, 7], endings, faults=broken if faults else {}, action=action
            ),
            agent='a',
            session=7,
            lockstep=True,
            delivery=delivery,
            delivery_steps=2 if delivery == Delivery.EVERY_N_STEPS else 0,
        )
        chosen: dict[str, Any] = {'hidden_sizes': (8,), 'learning_rate': 1e-3, 'trace': 'dense'}
        self.learner = Learner(learner_settings(**(chosen | settings)))
        self.neuromodulator = Neuromodulator(rpe or RpeSettings())

    def everything(self) -> Any:
        """All that decides the future, and what is told of the past."""
        snapshot = self.learner.snapshot()
        assert self.learner.rpes.absolute >= 0.0
        return {
            'learner': snapshot,
            'episodes': self.episodes.snapshot(),
            'rewards': dict(self.neuromodulator.counters),
            'rpe': np.float32(self.learner.rpes.absolute),
            'mean': self.neuromodulator.mean_baseline,
        }


def plain(it: Run, steps: int, change: Change, seen: list[Any]) -> Run:
    """Message by message."""
    it.learner.join(it.episodes.info)
    state, reward = it.episodes.begin(3), None
    for step in range(steps):
        action, _ = answer(it.learner, it.neuromodulator, state, reward)
        advance = it.episodes.advance(action.action)
        note(it, advance.ends, seen)
        change(it, step)
        state, reward = advance.state, advance.reward
    return it


def fused(it: Run, steps: int, change: Change, seen: list[Any]) -> Run:
    """As ``run`` does it."""
    steady = run(it.episodes, it.learner, it.neuromodulator, seed=3)
    for step, ended in enumerate(islice(steady, steps)):
        ends = it.episodes.ends()
        assert ended == (0 if ends is None else len(ends.instance))
        note(it, ends, seen)
        change(it, step)
    return it


def note(it: Run, ends: FinishedEpisodes | None, seen: list[Any]) -> None:
    state, reward = it.episodes.newest()
    seen.append([vars(state), reward and vars(reward), ends and vars(ends)])
    if len(seen) % 7 == 0:
        seen.append(it.everything())


def nothing(it: Run, step: int) -> None:
    pass


def compare(
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], Run],
    change: Change = nothing,
    updates: int = 6,
) -> int:
    """Both give the same at every step; returns how many of them were taken fused."""
    quick = []
    own = cycle.Cycle.answer

    def counted(self: cycle.Cycle) -> Any:
        action = own(self)
        quick.append(action is not None)
        return action

    monkeypatch.setattr(cycle.Cycle, 'answer', counted)
    expected: list[Any] = []
    received: list[Any] = []
    one = plain(make(), STEPS, change, expected)
    other = fused(make(), STEPS, change, received)
    for step, (left, right) in enumerate(zip(expected, received, strict=True)):
        assert same(left, right), step
    assert same(one.everything(), other.everything())
    assert one.learner.updates >= updates or one.learner.counters['rejected_updates'] > 0
    return sum(quick)


@pytest.mark.parametrize('delivery', list(Delivery))
@pytest.mark.parametrize(
    'settings',
    [
        {},
        {'hidden_sizes': (), 'bias': True},
        {'hidden_sizes': (33, 5), 'bias': True, 'trace_decay': 0.9},
        {'rule': NodePerturbation(sigma=0.1, samples=3, norm='layer'), 'action_from': 'noisy'},
        {'shape': 'laplace'},
        {'shape': 'ornstein_uhlenbeck'},
        {'optimiser': 'adam'},
        {'optimiser': 'layer_normalised', 'rpe_clip': 1.0},
        {'silent_growth': 1.5, 'sigma_decay': 10.0},
        {'learning_rate': 1e30},
        {'precision': 'float64'},
        {'precision': 'float32'},
        {'precision': 'float32', 'hidden_sizes': (210, 100), 'trace_decay': 0.9},
    ],
    ids=str,
)
def test_the_fused_cycle_is_the_plain_one(
    monkeypatch: pytest.MonkeyPatch, delivery: Delivery, settings: dict[str, Any]
) -> None:
    assert compare(monkeypatch, lambda: Run(delivery, **settings)) > STEPS // 2


@pytest.mark.parametrize('delivery', list(Delivery))
@pytest.mark.parametrize(
    'guard',
    [
        {},
        {'tolerated_fall': 1e-6, 'learning_rate': 30.0},
        {'measure': 'greedy', 'every': 12},
        {'then': 'wait', 'learning_rate': 30.0},
        {'learning_rate': 1e30},
        {'approve': True},
    ],
    ids=str,
)
def test_a_guard_decides_the_same_in_it(
    monkeypatch: pytest.MonkeyPatch, delivery: Delivery, guard: dict[str, Any]
) -> None:
    given = {'guard.enabled': True, 'guard.episodes': 5} | {
        name if name == 'learning_rate' else f'guard.{name}': value for name, value in guard.items()
    }
    # A guard that measures or checks learns nothing meanwhile.
    assert compare(monkeypatch, lambda: Run(delivery, **given), updates=1) > 10


@pytest.mark.parametrize(
    'rpe',
    [
        RpeSettings(rate=0.3, order='after'),
        RpeSettings(scale='absolute_reward'),
        RpeSettings(baseline='none'),
    ],
    ids=str,
)
def test_whatever_rewards_are_compared_with(
    monkeypatch: pytest.MonkeyPatch, rpe: RpeSettings
) -> None:
    assert compare(monkeypatch, lambda: Run(rpe=rpe)) > STEPS // 2


def test_with_several_choices_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    action = ActionSpace.multi_discrete((3, 2))
    assert compare(monkeypatch, lambda: Run(action=action)) > STEPS // 2


def test_where_nothing_goes_wrong_every_step_but_the_first_ones_is_fused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def make() -> Run:
        it = Run(faults=False)
        it.episodes.state.environment.endings = [Ending.TERMINATED] * 4  # type: ignore[attr-defined]
        return it

    # The first reward comes at the third step, and is compared at the fourth.
    assert compare(monkeypatch, make) == STEPS - 4


def test_what_a_step_gave_stays_as_it_was() -> None:
    it = Run()
    kept, copies = [], []
    for _ in islice(run(it.episodes, it.learner, it.neuromodulator, seed=3), STEPS):
        state, reward = it.episodes.newest()
        ends = it.episodes.ends()
        kept.append([vars(state), reward and vars(reward), ends and vars(ends)])
        copies.append(deepcopy(kept[-1]))
    assert same(kept, copies)
    assert any(ends for *_, ends in kept) and any(reward for _, reward, _ in kept)


def set_rate(it: Run) -> None:
    it.learner.set_learning_rate(1e-2)


def set_sigma(it: Run) -> None:
    it.learner.set_sigma(0.02)


def set_rpe(it: Run) -> None:
    it.neuromodulator.settings = RpeSettings(rate=0.1, order='after')


def freeze(it: Run) -> None:
    it.learner.frozen = not it.learner.frozen


def evaluate(it: Run) -> None:
    it.learner.evaluating = not it.learner.evaluating


def prepare(it: Run) -> None:
    it.learner.prepare()


def restart(it: Run) -> None:
    it.learner.restore(it.learner.snapshot())


def hear_of_another(it: Run) -> None:
    other = Run().episodes.info
    it.learner.join(type(other)('b', 9, other.spec, True, other.delivery))


@pytest.mark.parametrize(
    'what', [set_rate, set_sigma, set_rpe, freeze, evaluate, prepare, restart, hear_of_another]
)
def test_what_is_changed_under_way_holds_from_then_on(
    monkeypatch: pytest.MonkeyPatch, what: Callable[[Run], None]
) -> None:
    def change(it: Run, step: int) -> None:
        if step in (30, 44):
            what(it)

    assert compare(monkeypatch, Run, change) > 20


@pytest.mark.parametrize(
    'settings',
    [
        {'trace': 'factored'},
        {'trace_reset': False},
        {'rpe': RpeSettings(baseline='critic')},
        {'action': ActionSpace.continuous((0.0,), (1.0,))},
    ],
    ids=str,
)
def test_what_it_does_not_suit_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    assert compare(monkeypatch, lambda: Run(**settings)) == 0
