"""The cycle of one process in few calls: ``loop.answer`` and ``Episodes.advance``, fused.

It works on the arrays that the learner, the neuromodulator and the episode tracker keep anyway, so
it can start and stop at any step. An unusual step (an aborted episode, a number that is not finite,
a frozen learner, one that its guard measures) is taken in the ordinary way. The weights are the
same to the last bit; a test compares both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import ActionKind, Float32, Int32, ObservationFormat
from nrl_ros.environments.episodes import Episodes
from nrl_ros.learning.agent import ServedAgent
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.neuromodulator import Neuromodulator
from nrl_ros.learning.plain_update import PlainUpdate
from nrl_ros.learning.rules.node_perturbation import NodeExplorer
from nrl_ros.learning.traces import DenseTraces

Array = NDArray[Any]


def suits(episodes: Episodes, learner: Learner, neuromodulator: Neuromodulator) -> bool:
    """Return True if the cycle of these can be fused, once the learner serves the environment."""
    agent = learner.served(episodes.info.agent)
    return (
        agent is not None
        and episodes.info.lockstep
        and episodes.info.spec.observation_format == ObservationFormat.FLOAT32
        and neuromodulator.averaging
        and isinstance(agent.explorer, NodeExplorer)
        and agent.explorer.in_place
        and not learner.settings.network.normalise_observations
        and episodes.info.spec.action.kind != ActionKind.CONTINUOUS
        and isinstance(agent.credit.store, DenseTraces)
        and agent.credit.resets
    )


class Cycle:
    """Fused cycle of an environment, its learner and their neuromodulator that ``suits`` accepts.

    Args:
        episodes: the environment's side.
        learner: serves it.
        neuromodulator: has compared rewards of it.
    """

    def __init__(
        self, episodes: Episodes, learner: Learner, neuromodulator: Neuromodulator
    ) -> None:
        self._episodes, self._learner, self._neuromodulator = episodes, learner, neuromodulator
        self._info = episodes.info
        agent, averages = learner.served(self._info.agent), neuromodulator.averages(self._info)
        assert agent is not None and averages is not None
        self._agent, self._averages = agent, averages
        explorer, store, credit = agent.explorer, agent.credit.store, agent.credit
        assert isinstance(explorer, NodeExplorer) and isinstance(store, DenseTraces)
        self._explorer, self._store, self._credit = explorer, store, credit
        self._tracker, self._windows = episodes.tracker, credit.windows
        # These arrays stay the same ones and are written in every step.
        state, closed = self._tracker.state, self._tracker.closed
        self._rewarded = rewarded = (closed['instance'], closed['window'])
        outcome = (state['window'], state['phase'], self._tracker.ending)
        self._windows.watch(outcome, (*rewarded, averages.rpe))
        known = agent.state.baseline_known.view(np.uint8)
        averages.watch((*rewarded, closed['value']), (agent.state.baseline, known))
        # The guard sums the returns of episodes, and decides when some have ended.
        guarded = learner.guarded
        self._returns = None if guarded is None else guarded.returns_of(agent)
        if self._returns is not None:
            heard = (state['episode'], *outcome)
            paid = (closed['instance'], closed['episode'], closed['window'], closed['value'])
            self._returns.watch(heard, paid)
        self._fresh = self._windows.state['fresh'].view(np.uint8)
        self._instances = episodes.info.spec.instances
        # The noise is drawn into the memory of its rows.
        self._noise = store.post.reshape(agent.noise.buffer.shape)
        explorer.watch(self._tracker.observation)
        # True if the window tracker has received the state that the learner will see.
        self._seen = False
        self._set()

    @property
    def fits(self) -> bool:
        """True if the cycle may continue: none of its objects was replaced."""
        learner, info = self._learner, self._episodes.info
        return (
            info is self._info
            and learner.served(info.agent) is self._agent
            and self._neuromodulator.averages(info) is self._averages
        )

    def _set(self) -> None:
        """Use the settings that may change during a run."""
        self._settings = self._learner.settings
        ascent = self._learner.plain_ascent()
        self._update = None if ascent is None else PlainUpdate(self._store, *ascent)

    def advance(self, action: Int32 | Float32) -> None:
        """Step the environment."""
        episodes = self._episodes
        result = episodes.step(action)
        self._seen = episodes.receive(result)
        if self._seen:
            episodes.move(result)
        else:
            episodes.take(result)

    def answer(self) -> Int32 | None:
        """Learn from the newest step and act; do nothing and return None if the step is unusual."""
        learner, agent, credit = self._learner, self._agent, self._credit
        if not (self._seen and learner.unhindered(agent)):
            return None
        if learner.settings is not self._settings:
            self._set()
        averages, count = self._averages, self._tracker.closed_count
        if count and not averages.look(count):
            return None
        credit.look()
        # In lockstep no RPE is held, since those of the windows that close come now.
        credit.close()
        returns, ended = self._returns, False
        if returns is not None and returns.look():
            learner.ended(agent, returns.hand_over())
            ended = True
        if count:
            self._neuromodulator.compare(averages)
            self._neuromodulator.counters['rewards'] += count
            self._learn(agent)
            if returns is not None and returns.count(count):
                learner.ended(agent, returns.hand_over())
                ended = True
        if self._windows.waiting or (returns is not None and returns.awaits):
            learner.release(agent)
        if ended and not learner.learning:
            # The guard measures the policy from here on.
            return learner.act_upon(agent, self._episodes.newest()[0])
        learner.acted(agent, self._episodes.sequence, self._tracker.observation)
        return self._act(agent)

    def _act(self, agent: ServedAgent) -> Int32:
        """Act upon the newest state, and add the rows of the step to the traces."""
        store, windows = self._store, self._windows
        count = windows.note()
        store.fold(windows.acting, count)
        agent.noise.next_into(self._noise)
        action = self._explorer.explore_in_place(
            self._tracker.observation, store.post, store.pre, agent.state.action_generator
        )
        if count < self._instances:
            store.forget_rows(self._fresh)
        return action

    def _learn(self, agent: ServedAgent) -> None:
        learner, averages, update = self._learner, self._averages, self._update
        windows, count = self._windows, averages.count
        matched = windows.match_watched(count)
        if matched and update is not None and not learner.holds:
            averages.tell()
            ready, rpe, rate = windows.ready, windows.ready_rpe, learner.learning_rate
            done = update.learn(ready, rpe, windows.ready_count, rate)
            learner.learned(rpe, count, rejected=not done)
            return
        instance, window = (array[:count].astype(np.int64) for array in self._rewarded)
        rpe = averages.rpe[:count].copy()
        creditable = self._credit.collect(instance, window, rpe, matched=matched)
        agent.note_baseline(instance, averages.after[:count], self._credit.refused)
        if creditable is None:
            return
        learner.learn_from(agent, creditable)
