"""The whole cycle in one process, without ROS: the distributed run must equal it."""

from __future__ import annotations

from collections.abc import Iterator

from nrl_ros.base.records import ActionBatch, RewardBatch, RpeBatch, StateBatch
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.listening import Listener
from nrl_ros.environments.people import Attended
from nrl_ros.learning.cycle import Cycle, suits
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.neuromodulator import Neuromodulator


def learn(
    learner: Learner, neuromodulator: Neuromodulator, state: StateBatch, reward: RewardBatch | None
) -> RpeBatch | None:
    """Let the RPEs of closed windows change the weights, before the state is acted upon.

    A window whose reward was refused is released, as it is over ROS 2 after a time-out.
    """
    neuromodulator.observe(state)
    rpe = None if reward is None else neuromodulator.evaluate(reward)
    learner.observe(state)
    if rpe is not None:
        learner.reinforce(rpe)
    learner.release_waiting(state.agent)
    return rpe


def answer(
    learner: Learner, neuromodulator: Neuromodulator, state: StateBatch, reward: RewardBatch | None
) -> tuple[ActionBatch, RpeBatch | None]:
    """Learn, then act."""
    rpe = learn(learner, neuromodulator, state, reward)
    return learner.act(state.agent), rpe


def run(
    episodes: Episodes,
    learner: Learner,
    neuromodulator: Neuromodulator,
    *,
    seed: int,
    listener: Listener | None = None,
    attended: Attended | None = None,
) -> Iterator[int]:
    """Step for ever in lockstep, with fused calls if that is possible and there is no listener.

    Args:
        episodes: the environment's side.
        learner: acts and learns.
        neuromodulator: turns rewards into RPEs.
        seed: of the environment.
        listener: is told each record; the weights are the same with and without one.
        attended: the environment with a person beside it, who rewards and takes over.

    Yields:
        How many episodes ended with each step. Until the next step, ``episodes.ends()`` makes the
        record of them, and ``episodes.newest()`` those of state and rewards. (With 256 instances of
        CartPole to make the record in each step took 2 % of the time, ``benchmarks/core.py``.)
    """
    learner.join(episodes.info)
    if listener is not None or attended is not None:
        heard = listener or Listener()
        yield from _run_heard(episodes, learner, neuromodulator, seed, heard, attended)
    action = answer(learner, neuromodulator, episodes.begin(seed), None)[0].action
    cycle: Cycle | None = None
    tracker = episodes.tracker
    may_fuse = suits(episodes, learner, neuromodulator)
    while True:
        made: tuple[StateBatch, RewardBatch | None] | None = None
        if cycle is None:
            advance = episodes.advance(action)
            made = advance.state, advance.reward
        else:
            cycle.advance(action)
        yield tracker.finished_count
        if cycle is not None and not cycle.fits:
            cycle = None
        quick = None if cycle is None else cycle.answer()
        if quick is not None:
            action = quick
            continue
        state, reward = made or episodes.newest()
        action = answer(learner, neuromodulator, state, reward)[0].action
        if cycle is None and may_fuse and neuromodulator.averages(episodes.info) is not None:
            may_fuse = suits(episodes, learner, neuromodulator)
            cycle = Cycle(episodes, learner, neuromodulator) if may_fuse else None


def _run_heard(
    episodes: Episodes,
    learner: Learner,
    neuromodulator: Neuromodulator,
    seed: int,
    listener: Listener,
    attended: Attended | None,
) -> Iterator[int]:
    """Step for ever and tell a listener the records that nodes would publish."""
    info = episodes.info
    listener.on_info(info)
    state, reward = episodes.begin(seed), None
    listener.on_state(state)
    while True:
        action, rpe = answer(learner, neuromodulator, state, reward)
        if rpe is not None:
            listener.on_rpe(rpe)
        listener.on_action(action)
        applied, taken = None, action.action
        if attended is not None:
            taken, applied, given = attended.look(state, taken)
            for one in given:
                listener.on_human_reward(one)
        advance = episodes.advance(taken, applied=applied)
        state, reward = advance.state, advance.reward
        if reward is not None:
            listener.on_reward(reward)
        listener.on_state(state)
        if advance.ends is not None:
            listener.on_episodes(advance.ends)
        yield episodes.tracker.finished_count
