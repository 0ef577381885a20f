"""Episodes, credit windows and rewards against a scripted environment, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import (
    CheckpointError,
    ConfigError,
    InvalidValueError,
    ShapeError,
)
from nrl_ros.base.records import ActionSpace, Delivery, Ending, Phase
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.interfaces import Environment
from tests.unit.fakes import ScriptedEnvironment, same

FIRST, MID, LAST = int(Phase.FIRST), int(Phase.MID), int(Phase.LAST)


def episodes_of(
    environment: Environment, delivery: Delivery = Delivery.EPISODE, delivery_steps: int = 0
) -> Episodes:
    return Episodes(
        environment,
        agent='a',
        session=7,
        lockstep=True,
        delivery=delivery,
        delivery_steps=delivery_steps,
    )


def play(episodes: Episodes, steps: int, action: int = 0) -> list[Any]:
    """Some steps with one action; the reward is (1 + action) * step in the episode."""
    batch = episodes.info.spec.instances
    return [episodes.advance(np.full((batch, 1), action, np.int32)) for _ in range(steps)]


def column(advances: list[Any], name: str, instance: int = 0) -> list[int]:
    return [int(getattr(advance.state, name)[instance]) for advance in advances]


def rewards(advances: list[Any], instance: int = 0) -> list[tuple[int, int, float] | None]:
    """(window, step, value) of one instance, None where it got no reward."""
    found: list[tuple[int, int, float] | None] = []
    for advance in advances:
        entry = None
        if advance.reward is not None:
            at = np.flatnonzero(advance.reward.instance == instance)
            if len(at):
                reward = advance.reward
                entry = (
                    int(reward.window[at[0]]),
                    int(reward.step[at[0]]),
                    float(reward.value[at[0]]),
                )
        found.append(entry)
    return found


def test_the_scripted_environment_is_one() -> None:
    assert isinstance(ScriptedEnvironment([3]), Environment)


def test_first_state() -> None:
    episodes = episodes_of(ScriptedEnvironment([3, 2]))
    state = episodes.begin(0)
    assert (state.sequence, state.session, state.agent) == (0, 7, 'a')
    assert state.phase.tolist() == [FIRST, FIRST]
    for name in ('episode', 'step', 'window', 'ending'):
        assert getattr(state, name).tolist() == [0, 0]
    assert state.applied.tolist() == [1, 1]


def test_return_is_delivered_once_at_the_end_of_an_episode() -> None:
    episodes = episodes_of(ScriptedEnvironment([3, 2]))
    episodes.begin(0)
    advances = play(episodes, 8)
    # Instance 0: three steps, then one that resets, and again.
    assert column(advances, 'phase') == [MID, MID, LAST, FIRST, MID, MID, LAST, FIRST]
    assert column(advances, 'step') == [1, 2, 3, 0, 1, 2, 3, 0]
    assert column(advances, 'episode') == [0, 0, 0, 1, 1, 1, 1, 2]
    assert column(advances, 'window') == [0, 0, 1, 1, 1, 1, 2, 2]
    assert column(advances, 'ending') == [0, 0, 1, 0, 0, 0, 1, 0]
    assert column(advances, 'applied') == [1] * 8
    assert rewards(advances) == [None, None, (0, 2, 6.0), None, None, None, (1, 2, 6.0), None]
    assert rewards(advances, 1) == [
        None, (0, 1, 3.0), None, None, (1, 1, 3.0), None, None, (2, 1, 3.0),
    ]  # fmt: skip
    assert [advance.state.sequence for advance in advances] == list(range(1, 9))


def test_reward_of_every_step() -> None:
    episodes = episodes_of(ScriptedEnvironment([3]), Delivery.EVERY_STEP)
    episodes.begin(0)
    advances = play(episodes, 6, action=1)
    assert column(advances, 'window') == [1, 2, 3, 3, 4, 5]
    assert rewards(advances) == [
        (0, 0, 2.0), (1, 1, 4.0), (2, 2, 6.0), None, (3, 0, 2.0), (4, 1, 4.0),
    ]  # fmt: skip


def test_reward_of_every_second_step_and_at_the_end() -> None:
    episodes = episodes_of(ScriptedEnvironment([5]), Delivery.EVERY_N_STEPS, 2)
    episodes.begin(0)
    advances = play(episodes, 9)
    assert column(advances, 'window') == [0, 1, 1, 2, 3, 3, 3, 4, 4]
    assert rewards(advances) == [
        None, (0, 1, 3.0), None, (1, 3, 7.0), (2, 4, 5.0), None, None, (3, 1, 3.0), None,
    ]  # fmt: skip


@pytest.mark.parametrize('delivery', list(Delivery))
def test_all_rewards_of_an_episode_are_delivered(delivery: Delivery) -> None:
    steps = 3 if delivery == Delivery.EVERY_N_STEPS else 0
    episodes = episodes_of(ScriptedEnvironment([7, 4]), delivery, steps)
    episodes.begin(0)
    advances = play(episodes, 8 * 5)
    for instance, (length, episode_return) in enumerate([(7, 28.0), (4, 10.0)]):
        paid = sum(entry[2] for entry in rewards(advances, instance) if entry)
        assert paid == episode_return * (40 // (length + 1))
        windows = [entry[0] for entry in rewards(advances, instance) if entry]
        assert windows == list(range(len(windows)))


def test_report_of_ends() -> None:
    environment = ScriptedEnvironment([2, 3], [Ending.TERMINATED, Ending.TRUNCATED])
    episodes = episodes_of(environment)
    episodes.begin(0)
    advances = play(episodes, 3)
    assert advances[0].ends is None
    first, second = advances[1].ends, advances[2].ends
    assert first.instance.tolist() == [0] and second.instance.tolist() == [1]
    assert first.length.tolist() == [2] and second.length.tolist() == [3]
    assert first.episode_return.tolist() == [3.0] and second.episode_return.tolist() == [6.0]
    assert first.ending.tolist() == [Ending.TERMINATED]
    assert second.ending.tolist() == [Ending.TRUNCATED]
    assert first.episode.tolist() == [0]
    assert episodes.total_episodes == 2


def test_total_steps_count_no_resets() -> None:
    episodes = episodes_of(ScriptedEnvironment([3, 100]))
    episodes.begin(0)
    advances = play(episodes, 8)
    assert episodes.total_steps == 16 - 2
    assert advances[2].ends.total_steps.tolist() == [6]
    assert advances[6].ends.total_steps.tolist() == [13]


def test_aborted_episode_gives_no_reward_and_its_window_is_over() -> None:
    episodes = episodes_of(ScriptedEnvironment([2], [Ending.ABORTED]))
    episodes.begin(0)
    advances = play(episodes, 6)
    assert rewards(advances) == [None] * 6
    assert column(advances, 'ending') == [0, 3, 0, 0, 3, 0]
    assert column(advances, 'window') == [0, 1, 1, 1, 2, 2]
    assert episodes.aborted == 2 and episodes.total_episodes == 2


def test_the_step_that_aborts_gives_no_reward_but_earlier_windows_keep_theirs() -> None:
    episodes = episodes_of(ScriptedEnvironment([3], [Ending.ABORTED]), Delivery.EVERY_STEP)
    episodes.begin(0)
    assert rewards(play(episodes, 5)) == [(0, 0, 1.0), (1, 1, 2.0), None, None, (3, 0, 1.0)]


@pytest.mark.parametrize('what', ['observation', 'reward'])
def test_a_sensor_value_that_is_not_finite_aborts_the_episode(what: str) -> None:
    environment = ScriptedEnvironment([9, 9], faults={(3, 1): what})
    episodes = episodes_of(environment)
    episodes.begin(0)
    advances = play(episodes, 5)
    assert column(advances, 'phase', 1) == [MID, MID, LAST, FIRST, MID]
    assert column(advances, 'ending', 1) == [0, 0, 3, 0, 0]
    assert column(advances, 'window', 1) == [0, 0, 1, 1, 1]
    assert column(advances, 'phase', 0) == [MID] * 5, 'the other instance goes on'
    assert rewards(advances, 1) == [None] * 5
    assert all(np.isfinite(advance.state.observation).all() for advance in advances)
    assert np.isfinite(advances[2].ends.episode_return).all()
    assert episodes.aborted == 1
    later = play(episodes, 8)
    assert (1, 8, 45.0) in rewards(later, 1), 'the next episode is paid in full'


def test_a_reward_that_is_not_finite_in_the_step_that_resets_ends_nothing() -> None:
    faulty = ScriptedEnvironment([2, 9], faults={(3, 0): 'reward'})
    episodes = episodes_of(faulty, Delivery.EVERY_STEP)
    episodes.begin(0)
    advances = play(episodes, 4)
    assert column(advances, 'phase') == [MID, LAST, FIRST, MID]
    assert column(advances, 'window') == [1, 2, 2, 3]
    assert rewards(advances)[2] is None
    assert episodes.aborted == 0 and episodes.total_episodes == 1


def test_a_reset_without_a_valid_observation_is_an_aborted_episode_of_no_steps() -> None:
    faulty = ScriptedEnvironment([2, 9], faults={(3, 0): 'observation'})
    episodes = episodes_of(faulty, Delivery.EVERY_STEP)
    episodes.begin(0)
    advances = play(episodes, 3)
    assert column(advances, 'phase') == [MID, LAST, LAST]
    assert column(advances, 'episode') == [0, 0, 1]
    assert column(advances, 'ending')[2] == Ending.ABORTED
    assert advances[2].ends.length.tolist() == [0]
    assert rewards(advances)[2] is None, 'nobody acts upon a state that was not seen'
    assert np.isfinite(advances[2].state.observation).all()
    assert episodes.aborted == 1 and episodes.total_episodes == 2


def test_a_first_observation_that_is_not_finite_is_an_error() -> None:
    class Broken(ScriptedEnvironment):
        def reset(self, seed: int) -> Any:
            return super().reset(seed) * np.float32(np.nan)

    with pytest.raises(InvalidValueError, match='first observation'):
        episodes_of(Broken([3])).begin(0)


def test_applied_flags_are_passed_on() -> None:
    episodes = episodes_of(ScriptedEnvironment([9, 9]))
    episodes.begin(0)
    action = np.zeros((2, 1), np.int32)
    advance = episodes.advance(action, applied=np.array([1, 0], np.uint8), stamp_ns=5)
    assert advance.state.applied.tolist() == [1, 0]
    assert advance.state.stamp_ns == 5
    assert episodes.advance(action).state.applied.tolist() == [1, 1]


@pytest.mark.parametrize(
    ('action', 'error'),
    [
        (np.zeros((1, 1), np.int32), ShapeError),
        (np.zeros((2, 2), np.int32), ShapeError),
        (np.zeros(2, np.int32), ShapeError),
        (np.array([[0], [2]], np.int32), InvalidValueError),
        (np.array([[-1], [0]], np.int32), InvalidValueError),
    ],
)
def test_discrete_actions_that_do_not_fit_are_refused(action: Any, error: type) -> None:
    environment = ScriptedEnvironment([9, 9])
    episodes = episodes_of(environment)
    episodes.begin(0)
    with pytest.raises(error, match="'a'"):
        episodes.advance(action)
    assert environment.calls == 0 and episodes.total_steps == 0


@pytest.mark.parametrize('value', [np.nan, np.inf, 1.5, -1.01])
def test_continuous_actions_out_of_bounds_are_refused(value: float) -> None:
    space = ActionSpace.continuous((-1.0, 0.0), (1.0, 4.0))
    environment = ScriptedEnvironment([9, 9], action=space)
    episodes = episodes_of(environment)
    episodes.begin(0)
    episodes.advance(np.array([[1.0, 0.0], [-1.0, 4.0]], np.float32))
    with pytest.raises(InvalidValueError, match='instance 1'):
        episodes.advance(np.array([[0.0, 0.0], [value, 0.0]], np.float32))
    assert environment.calls == 1


@pytest.mark.parametrize(
    ('delivery', 'steps'),
    [(Delivery.EVERY_N_STEPS, 0), (Delivery.EPISODE, 3), (Delivery.EVERY_STEP, 1)],
)
def test_steps_of_delivery_that_do_not_fit_are_refused(delivery: Delivery, steps: int) -> None:
    with pytest.raises(ConfigError, match='delivery_steps'):
        episodes_of(ScriptedEnvironment([3]), delivery, steps)


@pytest.mark.parametrize('after', [1, 3, 4, 6])
def test_continues_from_a_snapshot_as_if_nothing_had_happened(after: int) -> None:
    def fresh() -> Episodes:
        environment = ScriptedEnvironment([3, 5])
        return episodes_of(environment, Delivery.EVERY_N_STEPS, 2)

    original = fresh()
    original.begin(0)
    states = [advance.state for advance in play(original, after)]
    snapshot = original.snapshot()
    restored = fresh()
    state = restored.resume(snapshot)
    for name in ('episode', 'step', 'window', 'phase', 'observation'):
        assert same(getattr(state, name), getattr(states[-1], name)), name
    assert (state.sequence, state.session) == (states[-1].sequence, 7)
    for mine, theirs in zip(play(original, 9), play(restored, 9), strict=True):
        assert same(vars(mine.state), vars(theirs.state))
        assert (mine.reward is None) == (theirs.reward is None)
        if mine.reward is not None:
            assert same(vars(mine.reward), vars(theirs.reward))
    assert original.total_steps == restored.total_steps


def test_snapshot_of_another_agent_is_refused() -> None:
    original = episodes_of(ScriptedEnvironment([3]))
    original.begin(0)
    snapshot, other = original.snapshot(), episodes_of(ScriptedEnvironment([3, 3]))
    with pytest.raises(CheckpointError, match=r'tracker.episode: expected uint32 \[2\], received'):
        other.resume(snapshot)
    with pytest.raises(CheckpointError, match="agent: expected 'a', received 'b'"):
        original.resume(snapshot | {'agent': 'b'})


def test_environment_that_cannot_be_saved_has_no_snapshot() -> None:
    class Unsaved:
        spec = ScriptedEnvironment([3]).spec

    assert not episodes_of(Unsaved()).can_be_saved


class Serves(ScriptedEnvironment):
    """A live environment that also works for others, who learn nothing from it."""

    greedy = False

    def on_configure(self, node: Any) -> None:
        """Not used here, as all below."""

    def poll(self) -> bool:
        return True

    def send(self, action: Any) -> None:
        pass

    def applied(self) -> Any:
        return np.ones(1, np.uint8)

    def hold(self) -> None:
        pass

    def shutdown(self) -> None:
        pass

    def interrupted(self, reason: str) -> None:
        pass


@pytest.mark.parametrize('delivery', [Delivery.EVERY_STEP, Delivery.EPISODE])
def test_an_episode_that_is_no_training_is_not_rewarded_or_counted(delivery: Delivery) -> None:
    environment = Serves([3])
    episodes = episodes_of(environment, delivery)
    assert not episodes.begin(0).greedy
    assert any(rewards(play(episodes, 3)))
    assert episodes.total_episodes == 1
    environment.greedy = True
    served = play(episodes, 4)
    assert all(advance.state.greedy for advance in served)
    assert rewards(served) == [None] * 4
    assert all(advance.ends is None for advance in served)
    assert served[-1].state.phase[0] == LAST and served[-1].state.ending[0] == Ending.TERMINATED
    environment.greedy = False
    after = play(episodes, 4)
    assert not after[0].state.greedy and any(rewards(after))
    assert after[-1].ends is not None and episodes.total_episodes == 2
    # Windows count on, so that none is taken for another one.
    assert column(after, 'window')[0] == served[-1].state.window[0]
