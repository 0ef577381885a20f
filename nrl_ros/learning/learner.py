"""The learner: one policy network that serves many agents and learns from broadcast RPEs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from numpy.typing import NDArray

from nrl_ros.base.errors import ProtocolError
from nrl_ros.base.limits import LearnerLimits
from nrl_ros.base.records import ActionBatch, AgentInfo, RpeBatch, StateBatch
from nrl_ros.learning.agent import ServedAgent
from nrl_ros.learning.credit import Creditable
from nrl_ros.learning.episode_returns import Ended
from nrl_ros.learning.guarded import GuardedLearning
from nrl_ros.learning.learner_state import LearnerState
from nrl_ros.learning.roster import Roster
from nrl_ros.learning.rpe_tally import RpeTally
from nrl_ros.learning.settings import LearnerSettings

Array = NDArray[Any]


class Learner:
    """Acts upon states, keeps traces, and learns when an RPE arrives.

    A step has two halves: ``observe`` and ``reinforce`` learn, ``act`` acts. Between them no step
    is half done, so a snapshot taken there continues bit for bit.

    Nothing here waits, reads a clock or logs: refused input raises one NrlError and is counted.

    Args:
        settings: of the learner.
        limits: how much agents may ask for; None: no limit.

    Attributes:
        identity: tells this learner's actions from those of another one on the same topics.
    """

    def __init__(self, settings: LearnerSettings, limits: LearnerLimits | None = None) -> None:
        self._state = LearnerState.new(settings, limits)
        self._frozen = self._evaluating = False
        self.identity = 0

    # ------------------------------------------------------------------ agents

    @property
    def roster(self) -> Roster:
        """The agents that are known and served, and the policy that they share."""
        return self._state.roster

    def join(self, info: AgentInfo) -> bool:
        """Serve an agent from now on; arguments, result and errors are those of ``Roster.join``."""
        return self._state.roster.join(info)

    def leave(self, name: str) -> int:
        """Stop serving an agent, and return how many windows were released."""
        return self._state.roster.leave(name)

    # ------------------------------------------------------- settings and modes

    @property
    def settings(self) -> LearnerSettings:
        """Settings in force."""
        return self._state.settings

    @property
    def parts(self) -> LearnerState:
        """What decides its future, for what learns in its place (``learning/device``)."""
        return self._state

    def set_learning_rate(self, learning_rate: float) -> None:
        """Change eta from the next update on; another one forgets the halvings of the guard."""
        guarded = self._state.guarded
        if guarded is not None and learning_rate != self.settings.plasticity.learning_rate:
            guarded.rate_is_set()
        self._state.change('plasticity.learning_rate', learning_rate)

    def set_sigma(self, sigma: float) -> None:
        """Change the noise from the next step on; recorded traces keep theirs."""
        self._state.change('noise.sigma', sigma)

    @property
    def frozen(self) -> bool:
        """True if the learner acts without learning; to set it releases all windows."""
        return self._frozen

    @frozen.setter
    def frozen(self, value: bool) -> None:
        """True if the learner acts without learning; setting it releases all windows."""
        self._frozen = value
        self._change_mode(released=value)

    @property
    def evaluating(self) -> bool:
        """True if it acts greedily, without noise or learning; to set it releases all windows."""
        return self._evaluating

    @evaluating.setter
    def evaluating(self, value: bool) -> None:
        """True if it acts greedily, without noise or learning; setting it releases all windows."""
        self._evaluating = value
        self._change_mode(released=value)

    def _change_mode(self, *, released: bool) -> None:
        if self._state.guarded is not None:
            self._state.guarded.pause()
        if released:
            self._state.roster.release_all()

    @property
    def learning(self) -> bool:
        """True if RPEs are matched with traces, which change weights unless the guard holds."""
        return not (self._frozen or self._greedy)

    @property
    def _greedy(self) -> bool:
        guarded = self._state.guarded
        return self._evaluating or (guarded is not None and guarded.greedy)

    # ------------------------------------------------------------------- guard

    @property
    def guarded(self) -> GuardedLearning | None:
        """What watches returns and weights; None: learning is not guarded."""
        return self._state.guarded

    @property
    def learning_rate(self) -> float:
        """Learning rate in force, before its decay [1]."""
        guarded, rate = self._state.guarded, self.settings.plasticity.learning_rate
        return rate if guarded is None else rate * guarded.rate_factor

    def take_events(self) -> list[str]:
        """Return what the guard has to say to a person since the last call, in words."""
        guarded = self._state.guarded
        if guarded is None or not guarded.events:
            return []
        events, guarded.events = guarded.events, []
        return events

    def approve(self, *, yes: bool) -> str:
        """Take a person's decision on what waits for approval; as ``GuardedLearning.approve``."""
        guarded = self._state.guarded
        if guarded is None:
            raise ProtocolError(
                'nothing waits for approval: learning is not guarded; set guard.enabled or '
                'guard.approve when the learner starts'
            )
        said = guarded.approve(yes=yes)
        self._state.spread_sigma()
        return said

    def _note_restored(self, restored: bool) -> None:
        """Let agents have the noise that belongs to weights which the guard has put back."""
        if restored:
            self._state.spread_sigma()

    def _watches(self) -> bool:
        """Return True if the guard hears what happens now."""
        return self._state.guarded is not None and not (self._frozen or self._evaluating)

    # ----------------------------------------------------------------- figures

    @property
    def counters(self) -> Counter[str]:
        """What was lost, late, doubled, released or refused, by name."""
        return self._state.counters

    @property
    def states(self) -> int:
        """States acted upon so far."""
        return self._state.states

    @property
    def steps(self) -> int:
        """Steps of all instances so far."""
        return self._state.steps

    @property
    def updates(self) -> int:
        """Weight changes so far."""
        return self._state.update.updates

    @property
    def windows_learned(self) -> int:
        """Credit windows that the weights learned from."""
        return self._state.update.windows_learned

    @property
    def rpes(self) -> RpeTally:
        """Sums over the RPEs that this object has learned from, without those of a checkpoint."""
        return self._state.update.rpes

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise at present, with the factor of its schedule [1]."""
        return self.settings.noise.sigma * self._state.update.sigma_factor()

    @property
    def windows_open(self) -> int:
        """Windows of all agents that still have a trace."""
        return sum(agent.credit.open_count for agent in self._state.roster.agents)

    @property
    def weights(self) -> list[Array]:
        """Copies of the weight matrices [out, in], empty before the first agent joins."""
        policy = self._state.roster.policy
        return [] if policy is None else [weight.copy() for weight in policy.network.weights]

    @property
    def weight_norm(self) -> float:
        """Frobenius norm over all layers [1]."""
        policy = self._state.roster.policy
        return 0.0 if policy is None else policy.weight_norm

    # ------------------------------------------------------------------ acting

    def observe(self, state: StateBatch) -> ActionBatch | None:
        """Take a state: close windows, and learn from those whose RPE has come.

        In lockstep, a state that closes windows waits until their RPEs are here, so that they
        change the weights before the next action: ``may_act`` says when ``act`` is next.

        Returns:
            The action that was given before, for a state that was acted upon already; None
            otherwise, also for a state of a session that has left.

        Raises:
            ProtocolError: unknown agent, other session, or out of order.
            ShapeError: arrays do not fit the agent's spaces.
            InvalidValueError: an observation is not finite.
        """
        agent = self._state.roster.sender_of(state)
        if agent is None:
            return None
        if state.sequence <= agent.sequence:
            return agent.again(state)
        creditable = agent.observe(state, self.identity)
        if creditable is not None:
            self.learn_from(agent, creditable)
        guarded = self._state.guarded
        if guarded is not None and self._watches():
            self._note_restored(guarded.hear_state(agent, state, self.steps))
        return None

    def may_act(self, name: str) -> bool:
        """Return True if a state of this agent waits for an action and for nothing else."""
        agent, guarded = self._state.roster.served(name), self._state.guarded
        if agent is None or not agent.may_act:
            return False
        return guarded is None or not (agent.info.lockstep and guarded.awaits(name))

    def awaiting(self, name: str) -> StateBatch | None:
        """Return the state of an agent that waits for an action, None if none does."""
        agent = self._state.roster.served(name)
        return None if agent is None else agent.pending

    @property
    def awaits_rpes(self) -> bool:
        """True if any closed window waits for its RPE."""
        return any(a.credit.waiting or a.credit.has_late for a in self._state.roster.agents)

    def release_waiting(self, name: str) -> None:
        """Release windows whose RPEs do not come, so that the agent ``may_act``."""
        agent = self._state.roster.served(name)
        if agent is not None and agent.pending is not None and not self.may_act(name):
            self.release(agent)

    def release(self, agent: ServedAgent) -> None:
        """Release an agent's windows and episodes that wait for RPEs."""
        agent.credit.release_waiting()
        if self._state.guarded is not None:
            self._state.guarded.release(agent.info.agent)

    def act(self, name: str, checkpoint: int = 0) -> ActionBatch:
        """Act upon the state of an agent that ``may_act``.

        Args:
            name: of the agent.
            checkpoint: number of the checkpoint that was saved just now, under which the
                environment saves its own state; 0: none.

        Raises:
            ProtocolError: no state of this agent may be acted upon.
            InvalidValueError: the policy has diverged.
        """
        agent = self._state.roster.served(name)
        if agent is None or not self.may_act(name):
            raise ProtocolError(
                f'agent {name!r}: no state may be acted upon, expected one to be observed and its '
                'reward-prediction errors to be here or released'
            )
        answer = agent.act(
            greedy=self._greedy,
            record=self.learning,
            checkpoint=checkpoint,
            learner=self.identity,
        )
        self._state.states += 1
        self._state.steps += agent.info.spec.instances
        return answer

    def prepare(self) -> None:
        """Record the last steps and draw noise in advance, while there is nothing else to do."""
        for agent in self._state.roster.agents:
            agent.prepare(greedy=self._greedy)

    # ---------------------------------------------------------------- learning

    def reinforce(self, rpe: RpeBatch) -> int:
        """Learn from reward-prediction errors; RPEs for an open window are held until it closes.

        Returns:
            How many of them counted.

        Raises:
            ProtocolError: unknown agent or other session.
            ShapeError: arrays of unequal length.
            InvalidValueError: an RPE is not finite, or an instance does not exist or is named
                twice.
        """
        agent = self._state.roster.learner_of(rpe)
        if agent is None:
            return 0
        counted, creditable = agent.reinforce(rpe, learning=self.learning)
        if creditable is not None:
            self.learn_from(agent, creditable)
        guarded = self._state.guarded
        if guarded is not None and self._watches():
            self._note_restored(guarded.hear_rewards(agent, rpe, self.steps))
        return counted

    def learn_from(self, agent: ServedAgent, creditable: Creditable) -> None:
        """Change the weights by an agent's traces, and clear those traces."""
        state = self._state
        policy, credit, guarded = state.roster.policy, agent.credit, state.guarded
        assert policy is not None
        for other in state.roster.agents:
            # Rows may need the weights that acted, so they are computed before any agent's reward
            # changes them.
            other.credit.prepare()
        if guarded is not None and guarded.holds:
            guarded.hold(agent, creditable)
            return
        learn, network = state.update.learn, policy.learning
        if not learn(network, credit.store, creditable, self.learning_rate, head=policy.head):
            state.counters['rejected_updates'] += 1
            credit.clear_overflown(network.spec)
            return
        self._note_restored(guarded is not None and guarded.updated())
        if state.update.changes_sigma:
            state.spread_sigma()

    # ------------------------------------------------------------- fused cycle

    def served(self, name: str) -> ServedAgent | None:
        """Return what is kept for an agent that is served, None if it is not."""
        return self._state.roster.served(name)

    def unhindered(self, agent: ServedAgent) -> bool:
        """Return True if only this agent's next step has to be done, so that it may be fused."""
        return (
            self.learning
            and len(self._state.roster.agents) == 1
            and agent.pending is None
            and not agent.credit.has_late
        )

    def plain_ascent(self) -> tuple[list[Array], list[float]] | None:
        """Return weights and scales if an update is just ``W += learning_rate scale total``."""
        policy = self._state.roster.policy
        scales = None if policy is None else self._state.update.plain_scales(policy.learning)
        if policy is None or scales is None:
            return None
        return policy.learning.weights, scales

    @property
    def holds(self) -> bool:
        """True if traces must not change weights now, since the guard checks those."""
        guarded = self._state.guarded
        return guarded is not None and guarded.holds

    def ended(self, agent: ServedAgent, episodes: Ended) -> None:
        """Note complete episodes, which the guard sums itself otherwise."""
        guarded = self._state.guarded
        if guarded is not None:
            self._note_restored(guarded.note(agent, episodes, self.steps))

    def act_upon(self, agent: ServedAgent, state: StateBatch) -> Array:
        """Act upon a state that the agent's windows have received; returns [B, A]."""
        agent.pending = state
        return self.act(state.agent).action

    def acted(self, agent: ServedAgent, sequence: int, observation: Array) -> None:
        """Note that an agent acts upon a state whose rows are in its traces already."""
        agent.acted_elsewhere(sequence, observation)
        self._state.states += 1
        self._state.steps += agent.info.spec.instances

    def learned(self, rpe: Array, windows: int, *, rejected: bool) -> None:
        """Note that weights were changed, or that an update was rejected.

        Args:
            rpe: as of ``LearningStep.note``.
            windows: as of ``LearningStep.note``.
            rejected: the update was rejected.
        """
        if rejected:
            self._state.counters['rejected_updates'] += 1
            return
        self._state.update.note(rpe, windows)
        guarded = self._state.guarded
        self._note_restored(guarded is not None and guarded.updated())

    # -------------------------------------------------------------- checkpoint

    def snapshot(self) -> dict[str, Any]:
        """Return everything that decides the future, as plain data and copied arrays."""
        return self._state.snapshot()

    def restore(self, snapshot: dict[str, Any], *, keep_settings: bool = False) -> None:
        """Replace the learner's state; agents continue if they are of the same session.

        Args:
            snapshot: as saved.
            keep_settings: keep learning rate and noise as they are now, instead of taking those of
                the snapshot.

        Raises:
            CheckpointError: the snapshot is of another network; nothing was changed.
        """
        self._state = self._state.restored(snapshot, keep_settings=keep_settings)
