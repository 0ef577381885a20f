"""The cycle of one process in few calls: what ``loop.answer`` and ``Episodes.advance`` do, fused.

It works on the arrays that the learner, the neuromodulator and the episode tracker keep anyway,
so that it can step in and out at any step: where anything is out of the way (an episode that was
aborted, a number that is not finite, a learner that is frozen), one step is taken as always. The
weights are the same to the last bit; a test compares both.
"""

from __future__ import annotations

from nrl_ros.base.records import Float32, Float64, Int32, RewardBatch, StateBatch
from nrl_ros.environments.episodes import Advance, EpisodeEnds, Episodes
from nrl_ros.learning.agent import ServedAgent
from nrl_ros.learning.credit import Creditable
from nrl_ros.learning.kernels.cycle import Learned, NativeCycle
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.neuromodulator import Neuromodulator
from nrl_ros.learning.rules.node_perturbation import CompiledExplorer
from nrl_ros.learning.traces import DenseTraces


class QuickAdvance:
    """An Advance whose parts are made when asked for, before the next step.

    Args:
        cycle: whose step it was.
    """

    __slots__ = ('_cycle',)

    def __init__(self, cycle: Cycle) -> None:
        self._cycle = cycle

    @property
    def state(self) -> StateBatch:
        """See Advance."""
        return self._cycle.told()[0]

    @property
    def reward(self) -> RewardBatch | None:
        """See Advance."""
        return self._cycle.told()[1]

    @property
    def ends(self) -> EpisodeEnds | None:
        """See Advance."""
        return self._cycle.ends()


def suits(episodes: Episodes, learner: Learner, neuromodulator: Neuromodulator) -> bool:
    """Whether the cycle of these can ever be fused, once the learner serves the environment."""
    agent = learner.served(episodes.info.agent)
    return (
        agent is not None
        and episodes.info.lockstep
        and neuromodulator.critic is None
        and type(agent.explorer) is CompiledExplorer
        and isinstance(agent.credit.store, DenseTraces)
        and agent.credit.store.native is not None
        and agent.credit.plain
    )


class Cycle:
    """An environment, its learner and their neuromodulator, of which ``suits`` says yes.

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
        assert isinstance(explorer, CompiledExplorer) and isinstance(store, DenseTraces)
        self._explorer = explorer
        assert credit.native is not None and store.native is not None
        self._native = NativeCycle(
            episodes.tracker,
            averages,
            credit.native,
            explorer.step,
            store.native,
            noise=agent.noise,
            generator=agent.action_generator,
            baseline=agent.baseline,
            known=agent.baseline_known,
        )
        self._metrics: Float64 | None = None
        # Whether the tracker has received what the learner will see.
        self._seen = False
        self._set()

    @property
    def fits(self) -> bool:
        """Whether it can go on: nobody was replaced."""
        learner, info = self._learner, self._episodes.info
        return (
            info is self._info
            and learner.served(info.agent) is self._agent
            and self._neuromodulator.averages(info) is self._averages
        )

    def _set(self) -> None:
        """Take over what may change under way."""
        learner, rpe, native = self._learner, self._neuromodulator.settings, self._native
        self._settings, self._rpe, self._rule = learner.settings, rpe, self._explorer.rule
        native.compare(
            rate=rpe.rate,
            order='never' if rpe.baseline == 'none' else rpe.order,
            scaled=rpe.scale == 'absolute_reward',
        )
        native.explore(self._rule.sigma, self._explorer.scale)
        ascent = learner.plain_ascent()
        if ascent is not None:
            native.ascend(*ascent)

    def advance(self, action: Int32 | Float32) -> Advance:
        """Step the environment."""
        result = self._episodes.step(action)
        self._seen = self._episodes.receive(result)
        if not self._seen:
            return self._episodes.take(result)
        self._metrics = result.metrics
        self._episodes.move(result)
        return QuickAdvance(self)

    def ends(self) -> EpisodeEnds | None:
        """Of the episodes that ended with the newest step."""
        return self._episodes.ends(self._metrics)

    def told(self) -> tuple[StateBatch, RewardBatch | None]:
        """State and rewards of the newest step."""
        return self._episodes.told()

    def answer(self) -> Int32 | None:
        """Learn from the newest step and act; None where that takes more, and nothing was done."""
        learner, agent, native = self._learner, self._agent, self._native
        if not (self._seen and learner.unhindered(agent)):
            return None
        agent.settle()
        if (
            learner.settings is not self._settings
            or self._neuromodulator.settings is not self._rpe
            or self._explorer.rule is not self._rule
        ):
            self._set()
        learned = native.learn()
        if learned == Learned.UNUSUAL:
            return None
        if native.learned:
            self._neuromodulator.counters['rewards'] += native.learned
            self._learn(agent, learned)
        learner.acted(agent, self._episodes.sequence)
        return native.act()

    def _learn(self, agent: ServedAgent, learned: int) -> None:
        learner, native = self._learner, self._native
        if learned == Learned.OPEN:
            index, rpe = native.credited()
            learner.learn_from(agent, Creditable(index, rpe, [], index < 0))
            if self._explorer.rule is not self._rule:
                self._set()
        else:
            learner.learned(native.learned, native.rpe_size, rejected=learned == Learned.REJECTED)
