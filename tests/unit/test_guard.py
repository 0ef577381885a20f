"""The guard: what counts as a fall, what follows from it, and that a run is saved by it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.config_files import find_config
from nrl_ros.base.errors import ProtocolError
from nrl_ros.base.records import (
    ActionBatch,
    Applied,
    Ending,
    FinishedEpisodes,
    Phase,
    RpeBatch,
    StateBatch,
)
from nrl_ros.environments.best_window import Window
from nrl_ros.environments.listening import Listener
from nrl_ros.experiments.in_process import InProcessRun
from nrl_ros.learning.episode_returns import MOST, Complete, EpisodeReturns
from nrl_ros.learning.guard import Guard, GuardSettings, Mode, Move
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.replay import Did, Entry, Replayer
from nrl_ros.settings.run import RunSettings, check, read_config
from nrl_ros.storage.codec import decode, encode
from tests.unit.fakes import info_of, rpe_of, state_of

RATE = 0.003


class Course:
    """Returns around a mean, given to a guard one by one, of one instance."""

    def __init__(self, seed: int = 0, **settings: Any) -> None:
        self.guard = Guard(GuardSettings(enabled=True, episodes=20, **settings))
        self.generator = np.random.default_rng(seed)
        self.complete = 0
        self.moves: list[Move] = []

    def play(self, mean: float, episodes: int, spread: float = 3.0) -> list[Move]:
        """Moves that followed from so many episodes, without those that change nothing."""
        made = []
        for value in self.generator.normal(mean, spread, episodes):
            self.complete += 1
            counts = Complete(1, self.complete, self.complete)
            move = self.guard.hear(self.complete, [(self.complete, float(value))], counts)
            if move in (Move.RESTORE, Move.OLDER, Move.EVALUATE):
                self.complete = 0
            if move is not Move.NONE:
                made.append(move)
        return made


def test_a_fall_is_told_and_the_rate_is_halved_and_the_good_weights_are_checked_first() -> None:
    course = Course()
    assert course.play(20.0, 60) and course.play(100.0, 60)
    moves = course.play(10.0, 12)
    assert moves[-1] is Move.RESTORE
    assert course.guard.mode is Mode.CHECKING
    assert course.guard.holds
    assert course.guard.state.rate_factor == 0.5
    # The rest of that window is of weights that do not learn.
    assert course.play(100.0, 20) == [Move.LEARN]
    assert course.guard.mode is Mode.LEARNING
    assert course.guard.state.rate_factor == 0.5


@pytest.mark.parametrize('checked', [93.0, 104.0])
def test_a_check_keeps_the_better_of_its_own_window_and_the_best_one(checked: float) -> None:
    """Else each fall lowers what counts as good, and worse weights are kept in its place."""
    course = Course()
    course.play(20.0, 60)
    course.play(100.0, 60, spread=0.1)
    best = course.guard.windows.best
    assert best is not None
    assert best.mean == pytest.approx(100.0, abs=0.5)
    course.play(10.0, 12)
    assert course.guard.mode is Mode.CHECKING
    assert course.play(checked, 20, spread=0.1) == [Move.LEARN]
    kept = course.guard.windows.best
    assert kept is not None
    assert kept.mean == pytest.approx(max(checked, best.mean), abs=0.5)
    # Weights that are as good as at the check are neither called better nor a fall.
    assert course.play(checked, 200, spread=0.1).count(Move.RESTORE) == 0


def test_a_best_window_that_its_own_weights_do_not_reach_is_given_up() -> None:
    """It came while they learned on, and they would fall below it again and again."""
    course = Course()
    windows = course.guard.windows
    windows.first = Window(1, 0.0, 1.0, 20)
    windows.best, windows.chosen = Window(2, 100.0, 1.0, 20), Window(2, 40.0, 1.0, 20)
    assert course.play(10.0, 21) == [Move.RESTORE]
    assert course.play(40.0, 20) == [Move.LEARN]
    assert windows.best.mean == pytest.approx(40.0, abs=3.0)
    assert course.play(40.0, 200).count(Move.RESTORE) == 0


@pytest.mark.parametrize('sign', [1.0, -1.0])
def test_what_is_tolerated_is_a_share_of_what_was_gained_also_below_zero(sign: float) -> None:
    course = Course(tolerated_fall=0.5)
    low = 100.0 if sign > 0 else -500.0
    course.play(low, 60)
    course.play(low + 100.0, 60)
    assert course.guard.tolerated == pytest.approx(low + 50.0, abs=3.0)
    assert Move.RESTORE not in course.play(low + 60.0, 60)
    assert Move.RESTORE in course.play(low + 40.0, 60)


def test_a_task_that_pays_less_for_good_weights_is_no_fall_of_the_weights() -> None:
    course = Course()
    course.play(20.0, 60)
    course.play(100.0, 400)
    assert Move.RESTORE in course.play(10.0, 30)
    # The good weights before those are tried too.
    assert course.play(10.0, 100)[:2] == [Move.OLDER, Move.FORGET]
    assert course.guard.state.rate_factor == 1.0
    # The new level is what is compared with from now on.
    assert Move.RESTORE not in course.play(10.0, 200)


def test_a_person_is_waited_for_if_that_is_set() -> None:
    course = Course(then='wait')
    course.play(20.0, 60)
    course.play(100.0, 60)
    assert Move.RESTORE in course.play(10.0, 30)
    assert course.guard.mode is Mode.WAITING
    assert course.play(100.0, 100) == []
    course.guard.go_on()
    assert course.guard.mode is Mode.LEARNING
    assert not course.guard.holds


def test_noise_alone_is_no_fall_however_long_it_goes_on() -> None:
    for seed in range(20):
        course = Course(seed)
        assert Move.RESTORE not in course.play(50.0, 5_000, spread=40.0)


def test_greedy_episodes_are_measured_now_and_then() -> None:
    course = Course(measure='greedy', every=50)
    assert course.play(20.0, 1) == [Move.EVALUATE]
    assert course.guard.greedy
    assert not course.guard.holds
    assert course.play(30.0, 20) == [Move.KEEP]
    assert not course.guard.greedy
    assert course.play(20.0, 50) == [Move.EVALUATE]
    assert course.play(100.0, 20) == [Move.KEEP]
    assert course.play(20.0, 50) == [Move.EVALUATE]
    assert course.play(12.0, 20) == [Move.RESTORE]
    assert course.guard.greedy
    assert course.play(100.0, 20) == [Move.LEARN]


def test_an_instance_whose_episodes_do_not_end_is_not_waited_for_without_end() -> None:
    guard = Guard(GuardSettings(enabled=True, episodes=10, measure='greedy', every=1))
    assert guard.hear(0, [(1, 0.0)], Complete(2, 0, 1)) is Move.EVALUATE
    moves = [guard.hear(n, [(n, 1.0)], Complete(2, 0, n)) for n in range(1, 41)]
    assert moves == [Move.NONE] * 39 + [Move.KEEP]


# ------------------------------------------------------------------------ runs


def settings(delivery: str = 'episode', **learner: Any) -> RunSettings:
    nodes = read_config(find_config('cartpole'))
    nodes['learner'] |= {'plasticity.learning_rate': RATE, 'guard.episodes': 50, **learner}
    nodes['environment'] |= {'bridge.instances': 16, 'reward.delivery': delivery}
    return check(nodes, source='test')


def bytes_of(learner: Learner) -> bytes:
    return encode('learner', learner.snapshot())


class Run:
    """A run in this process, some steps at a time."""

    def __init__(
        self, delivery: str = 'episode', *, listener: Listener | None = None, **learner: Any
    ) -> None:
        self.run = InProcessRun(settings(delivery, **learner))
        self.learner = self.run.learner
        self.steps = self.run.steps(listener)
        self.returns: list[float] = []
        self.events: list[str] = []

    def until(self, steps: int) -> Run:
        while self.run.episodes.total_steps < steps:
            ends: FinishedEpisodes | None = next(self.steps)
            if ends is not None:
                kept = ends.ending != Ending.ABORTED
                self.returns += ends.episode_return[kept].tolist()
            self.events += self.learner.take_events()
        return self

    def last(self) -> float:
        return float(np.mean(self.returns[-100:]))


@pytest.mark.parametrize('delivery', ['episode', 'every_step'])
def test_the_learner_hears_the_returns_that_the_environment_reports(delivery: str) -> None:
    run = Run(delivery, **{'guard.enabled': True, 'guard.episodes': 1000})
    heard: list[float] = []
    guarded = run.learner.guarded
    assert guarded is not None
    tell = guarded.note

    def note(agent: str, ended: Any, steps: int) -> Any:
        heard.extend(value for _, value in ended)
        return tell(agent, ended, steps)

    guarded.note = note  # type: ignore[method-assign]
    run.until(20_000)
    assert len(run.returns) > 300
    # The rewards of the newest step are heard with the next one, and the guard looks at the returns
    # when some have gathered.
    assert len(run.returns) - len(heard) <= 16 + MOST
    assert sorted(heard) == sorted(run.returns[: len(heard)])


def test_a_run_whose_rate_is_far_too_high_is_saved() -> None:
    """The same run without a guard ends at 9.5, the return of a policy that always goes one way."""
    scores = {}
    for guarded in (False, True):
        run = Run(seed=2, **{'guard.enabled': guarded}).until(30_000)
        before = run.last()
        run.learner.set_learning_rate(50.0 * RATE)
        scores[guarded] = run.until(60_000).last()
    assert scores[False] < 15.0
    assert scores[True] > 0.7 * before > 40.0
    assert run.learner.counters['guard_restores'] >= 1
    assert run.learner.counters['guard_task_changes'] == 0
    assert run.learner.counters['guard_dropped_windows'] > 0
    assert 'back to the last good weights' in run.events[0]
    assert run.learner.learning_rate < 50.0 * RATE


@pytest.mark.parametrize('seed', range(4))
def test_a_healthy_run_is_left_alone_bit_for_bit(seed: int) -> None:
    runs = [Run(seed=seed, **{'guard.enabled': on}).until(40_000) for on in (False, True)]
    assert runs[1].learner.counters['guard_restores'] == 0
    for plain, guarded in zip(*(run.learner.weights for run in runs), strict=True):
        np.testing.assert_array_equal(plain, guarded)


def test_weights_that_are_not_finite_are_put_back_at_once() -> None:
    run = Run(**{'guard.enabled': True}).until(5_000)
    policy = run.learner.roster.policy
    assert policy is not None
    run.learner.set_learning_rate(1e300)
    run.until(6_000)
    assert run.learner.counters['guard_restores'] >= 1
    assert 'not finite' in run.events[0]
    assert np.isfinite(run.learner.weight_norm)


class Flow(Listener):
    """Keeps what a learner hears and answers, a step a row."""

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []

    def on_state(self, state: StateBatch) -> None:
        self.rows.append([state, None, None])

    def on_rpe(self, rpe: RpeBatch) -> None:
        self.rows[-1][1] = rpe

    def on_action(self, action: ActionBatch) -> None:
        self.rows[-1][2] = action


@pytest.mark.parametrize('measure', ['returns', 'greedy'])
def test_a_run_continues_bit_for_bit_through_a_fall(measure: str) -> None:
    chosen = {'guard.enabled': True, 'guard.measure': measure, 'guard.every': 200}
    flow = Flow()
    run = Run(listener=flow, seed=2, **chosen).until(30_000)
    run.learner.set_learning_rate(50.0 * RATE)
    while not run.learner.counters['guard_restores']:
        run.until(run.run.episodes.total_steps + 16)
    guarded = run.learner.guarded
    assert guarded is not None
    assert guarded.holds
    saved = bytes_of(run.learner)
    del flow.rows[:-1]
    run.until(run.run.episodes.total_steps + 15_000)
    other = Run(seed=2, **chosen).learner
    other.join(run.run.episodes.info)
    other.restore(decode(saved, 'learner'))
    assert other.learning_rate == 25.0 * RATE
    for state, rpe, action in flow.rows[:-1]:
        other.observe(state)
        if rpe is not None:
            other.reinforce(rpe)
        other.release_waiting(state.agent)
        np.testing.assert_array_equal(other.act(state.agent).action, action.action)
    assert bytes_of(other) == bytes_of(run.learner)
    assert not guarded.holds


# -------------------------------------------------------------------- approval


def test_a_candidate_is_one_larger_step_and_acts_only_when_it_is_approved() -> None:
    """Gathered changes do not act, so that twice the rate changes the candidate twice as far."""
    runs = [
        Run(**{'guard.approve': True, 'plasticity.learning_rate': rate})
        for rate in (RATE, 2 * RATE)
    ]
    begun = [run.until(16).learner.weights for run in runs]
    steps = []
    for run, weights in zip(runs, begun, strict=True):
        run.until(10_000)
        policy = run.learner.roster.policy
        assert policy is not None and policy.candidate is not None
        for old, new in zip(weights, run.learner.weights, strict=True):
            np.testing.assert_array_equal(old, new)
        pairs = zip(policy.candidate.weights, policy.network.weights, strict=True)
        steps.append([new - old for new, old in pairs])
    assert runs[0].returns == runs[1].returns
    for single, double in zip(*steps, strict=True):
        assert np.abs(single).max() > 0.0
        np.testing.assert_allclose(2.0 * single, double, rtol=1e-4, atol=1e-5)


def test_an_approval_lets_the_candidate_act_and_drops_open_windows() -> None:
    run = Run(**{'guard.approve': True}).until(10_000)
    policy = run.learner.roster.policy
    assert policy is not None and policy.candidate is not None
    gathered = [weight.copy() for weight in policy.candidate.weights]
    saved = decode(bytes_of(run.learner), 'learner')
    said = run.learner.approve(yes=True)
    assert 'open windows dropped' in said
    for one, other in zip(gathered, run.learner.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert run.learner.counters['guard_dropped_windows'] > 0
    with pytest.raises(ProtocolError, match='nothing waits for approval'):
        run.learner.approve(yes=True)
    # The gathered updates survive a restart.
    other = InProcessRun(settings(**{'guard.approve': True})).learner
    other.restore(saved)
    other.approve(yes=True)
    for one, two in zip(gathered, other.weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_what_is_not_approved_is_gone() -> None:
    run = Run(**{'guard.approve': True, 'plasticity.optimiser': 'adam'}).until(5_000)
    before = run.learner.weights
    assert 'discarded' in run.learner.approve(yes=False)
    policy = run.learner.roster.policy
    assert policy is not None and policy.candidate is not None
    for one, two, three in zip(before, run.learner.weights, policy.candidate.weights, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)
    assert run.learner.counters['guard_discarded_updates'] > 0


def test_without_a_guard_there_is_nothing_to_approve() -> None:
    with pytest.raises(ProtocolError, match='guard.enabled'):
        Run().until(16).learner.approve(yes=True)


def test_a_recording_of_a_guarded_run_is_replayed_with_its_falls_and_approvals() -> None:
    flow, chosen = Flow(), {'guard.enabled': True, 'guard.approve': True, 'seed': 2}
    run = Run(listener=flow, **chosen)
    approved = []
    for steps in range(4_000, 40_000, 4_000):
        run.until(steps)
        if steps == 20_000:
            run.learner.set_learning_rate(100.0 * RATE)
        approved.append((len(flow.rows) - 1, run.learner.settings.plasticity.learning_rate))
        run.learner.approve(yes=True)
    run.until(40_000)
    assert run.learner.counters['guard_restores'] > 0
    replayer = Replayer(Run(**chosen).learner)
    replayer.learner.join(run.run.episodes.info)
    rates = dict(approved)
    for number, (state, rpe, _) in enumerate(flow.rows[:-1]):
        if number in rates:
            replayer.apply(Entry(number, Did.LEARNING_RATE, value=rates[number]))
            replayer.apply(Entry(number, Did.APPROVED, value=1.0))
        replayer.apply(Entry(number, Did.STATE, state.agent), state)
        if rpe is not None:
            replayer.apply(Entry(number, Did.RPE, state.agent), rpe)
    assert not replayer.refused
    assert replayer.digest() == Replayer(run.learner).digest()


@pytest.mark.parametrize('comes', [True, False])
def test_in_lockstep_a_state_waits_for_the_rewards_of_an_ended_episode(comes: bool) -> None:
    """Also where its trace was dropped, so that the guard decides before the next action."""
    flow = Flow()
    run = Run(listener=flow, **{'guard.enabled': True}).until(400)
    ended = [n for n, row in enumerate(flow.rows) if (row[0].phase == Phase.LAST).any()]
    learner = Run(**{'guard.enabled': True}).learner
    learner.join(run.run.episodes.info)
    for state, rpe, _ in flow.rows[: ended[0]]:
        learner.observe(state)
        if rpe is not None:
            learner.reinforce(rpe)
        learner.act(state.agent)
    state, rpe, _ = flow.rows[ended[0]]
    learner.roster.release_all()
    learner.observe(state)
    assert not learner.may_act(state.agent)
    if comes:
        learner.reinforce(rpe)
    else:
        # The node calls this after a time-out.
        learner.release_waiting(state.agent)
    assert learner.may_act(state.agent)


def test_an_episode_counts_if_it_is_whole_and_the_policy_s_own() -> None:
    """Rewards before and after the last state, then a lost one, an aborted episode, a person."""
    info = info_of(1)
    returns = EpisodeReturns(1)
    found = []
    for episode in range(6):
        first = 2 * episode
        ending = Ending.ABORTED if episode == 3 else Ending.TERMINATED
        shown = (
            (Phase.FIRST, Ending.NONE, Applied.AS_SENT),
            (Phase.MID, Ending.NONE, Applied.PERSON if episode == 4 else Applied.AS_SENT),
            (Phase.LAST, ending, Applied.AS_SENT),
        )
        states = [
            state_of(
                info, n, window=first + n, episode=episode, phase=phase, ending=how, applied=by
            )
            for n, (phase, how, by) in enumerate(shown)
        ]
        rewards = [
            replace(rpe_of(info, n, 0, first + n, 0.0), episode=np.array([episode], np.uint32))
            for n in range(2)
        ]
        found += returns.hear_state(states[0]) + returns.hear_state(states[1])
        found += returns.hear_rewards(rewards[0])
        if episode == 1:
            # Twice, as a repeated message comes.
            found += returns.hear_rewards(rewards[0]) + returns.hear_rewards(rewards[1])
            found += returns.hear_state(states[2])
            continue
        found += returns.hear_state(states[2])
        assert returns.awaits == (episode not in (3, 4))
        if episode == 2:
            returns.release()
        found += returns.hear_rewards(rewards[1])
    # Each reward of these is 1.
    assert found == [(1, 2.0), (2, 2.0), (3, 2.0)]
