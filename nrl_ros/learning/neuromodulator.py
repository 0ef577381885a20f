"""Reward-prediction errors: how much better a reward is than its instance's expectation."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator

from nrl_ros.base.errors import (
    InvalidValueError,
    NrlError,
    ProtocolError,
    ShapeError,
)
from nrl_ros.base.limits import Limits
from nrl_ros.base.records import AgentInfo, RewardBatch, RpeBatch, StateBatch
from nrl_ros.base.settings import Settings, live
from nrl_ros.learning.baselines import (
    BASELINES,
    AverageBaseline,
    BaselineName,
    Critic,
    NoBaseline,
)
from nrl_ros.learning.baselines.critic import CriticSettings
from nrl_ros.learning.baselines.running_average import Order, RunningAverage, Scale, rewards_fit
from nrl_ros.learning.checks import check_instances

# So many sessions of one agent are kept: the present one, and those that restarts have left.
_SESSIONS = 4
# After so many messages in a row that hold only duplicates, they are taken as true (``_is_ahead``).
_REFUSED_IN_A_ROW = 8


class RpeSettings(Settings):
    """Settings that say how rewards become reward-prediction errors.

    Raises:
        ConfigError: a setting is out of its range.
    """

    baseline: BaselineName = Field(
        'running_average',
        description=f'What a reward is compared with: {", ".join(BASELINES)}, or your own',
    )
    rate: float = live(0.66, 'Step of the running-average reward, lambda [1]', gt=0, le=1)
    scale: Scale = Field('none', description='Divide the RPE by |reward|, unless that is 0')
    order: Order = Field('before', description='Take the RPE before or after the average moves')
    options: dict[str, Any] = Field(
        {},
        description='Options of a baseline of your own, given as rpe.options.NAME; a critic has '
        'its own group',
    )

    @field_validator('options')
    @classmethod
    def _fit(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        name = info.data.get('baseline')
        return options if name is None else BASELINES.check(name, options)


Floats = NDArray[np.float64]


@dataclass
class _Agent:
    session: int
    averages: RunningAverage
    last_answer: RpeBatch | None = None
    # Rewards whose state has not come yet, which a critic has to see.
    early: RewardBatch | None = None
    # Messages that were answered.
    rewarded: int = 0
    # Messages in a row that said another number of instances.
    contradicted: int = 0
    # Messages in a row of which every reward was a duplicate, and the sequence of the newest.
    refused: tuple[int, int] = (0, -1)


def _rpe_batch(reward: RewardBatch, baseline: Floats, rpe: Floats, identity: int) -> RpeBatch:
    return RpeBatch(
        reward.agent,
        reward.session,
        reward.sequence,
        reward.instances,
        reward.instance,
        reward.episode,
        reward.step,
        reward.window,
        reward.value,
        baseline,
        rpe,
        reward.stamp_ns,
        identity,
    )


class Neuromodulator:
    """Keeps a running-average reward for each instance of each agent.

    ``delta = r - r_mean; r_mean <- r_mean + rate (r - r_mean)``. The first reward sets the average,
    so the first delta is 0 (paper, equation for the RPE; order and scaling as in its authors'
    program). A reward may instead be compared with what a critic expects of the states
    (``critic.py``), or with 0. A critic must be given every state.

    Args:
        settings: how rewards become errors.
        limits: how much agents may ask for; None: no limit.
        critic: settings of the baseline 'critic'; None: the defaults.

    Attributes:
        settings: may be replaced while running, except for the baseline.
        baseline: what rewards are compared with.
        identity: tells its errors from those of another neuromodulator; 0: not known.
        counters: duplicates, invalid rewards and the like, by name.
    """

    def __init__(
        self,
        settings: RpeSettings,
        limits: Limits | None = None,
        *,
        critic: CriticSettings | None = None,
    ) -> None:
        self.settings = settings
        self.identity = 0
        self._limits = limits
        self.counters: Counter[str] = Counter(
            dict.fromkeys(
                (
                    'rewards',
                    'duplicate_rewards',
                    'invalid_rewards',
                    'invalid_messages',
                    'unmatched_rewards',
                ),
                0,
            )
        )
        self.baseline = BASELINES.make(
            settings.baseline,
            options=settings.options,
            shared={'settings': critic or CriticSettings(), 'limits': limits},
        )
        # By name and session; and the one of each name that was rewarded last.
        self._agents: dict[str, dict[int, _Agent]] = {}
        self._newest: dict[str, _Agent] = {}
        self._restored: dict[str, Any] = {}

    @property
    def averaging(self) -> bool:
        """True if rewards are compared with running averages or with 0, never with a critic."""
        return type(self.baseline) in (AverageBaseline, NoBaseline)

    @property
    def critic(self) -> Critic | None:
        """The critic; None if the baseline is another one."""
        return self.baseline if isinstance(self.baseline, Critic) else None

    def observe(self, state: StateBatch) -> RpeBatch | None:
        """Take a state; do nothing if there is no critic.

        Returns:
            What ``evaluate`` would have returned for a reward that came before its state.

        Raises:
            ShapeError: it has another size than those before, or arrays of unequal length.
            InvalidValueError: an observation is not finite.
            LimitError: it is larger than the limits allow.
        """
        if not self.baseline.sees_states or state.greedy:
            return None
        try:
            self.baseline.observe(state)
        except NrlError:
            self.counters['invalid_messages'] += 1
            raise
        agent = self._agents.get(state.agent, {}).get(state.session)
        early = None if agent is None else agent.early
        if agent is None or early is None or early.sequence > state.sequence:
            return None
        agent.early = None
        return self.evaluate(early)

    def evaluate(self, reward: RewardBatch) -> RpeBatch | None:
        """Turn rewards into reward-prediction errors.

        A message that was seen before gets the same answer again. Single rewards are left out and
        counted if they are not finite or their window was rewarded before, and with a critic also
        if their states are not known.

        Returns:
            One entry for each valid reward. None if there is none, or if the critic has not seen
            the state that came with the reward yet.

        Raises:
            ShapeError: arrays of unequal length.
            InvalidValueError: an instance does not exist or is named twice.
            ProtocolError: the agent changed its number of instances within a session.
            LimitError: it has more instances, or there are more agents, than the limits allow.
        """
        try:
            self._check(reward)
            agent = self._agent(reward)
        except NrlError:
            self.counters['invalid_messages'] += 1
            raise
        last = agent.last_answer
        if last is not None and last.sequence == reward.sequence:
            self.counters['duplicate_rewards'] += len(reward.instance)
            return last
        if self.baseline.waits_for(reward):
            before = agent.early
            if before is not None and before.sequence != reward.sequence:
                self.counters['unmatched_rewards'] += len(before.instance)
            agent.early = reward
            return None
        averages = agent.averages
        usual = averages.receive(reward.instance, reward.window, reward.value)
        if not usual or not self.averaging or not averages.count:
            if self._is_ahead(reward, agent):
                averages.state['last_window'][reward.instance] = reward.window - 1.0
            reward = self._valid_part(reward, agent)
            if not len(reward.instance):
                return None
            averages.receive(reward.instance, reward.window, reward.value)
        self.compare(averages, reward)
        agent.last_answer = answer = self._answer(reward, averages)
        agent.rewarded += 1
        agent.refused = (0, -1)
        self.counters['rewards'] += len(reward.instance)
        return answer

    def _is_ahead(self, reward: RewardBatch, agent: _Agent) -> bool:
        """Return True if what is known of an agent's windows cannot be true.

        One faulty reward with a window far ahead cannot be told from a true one, and would make all
        true ones look like duplicates for ever. So if message after message, each later than the
        one before, holds nothing but duplicates, they are taken as true.
        """
        if (reward.window > agent.averages.state['last_window'][reward.instance]).any():
            agent.refused = (0, -1)
            return False
        count, sequence = agent.refused
        if reward.sequence > sequence:
            agent.refused = (count + 1, reward.sequence)
        return agent.refused[0] >= _REFUSED_IN_A_ROW

    def compare(self, averages: RunningAverage, reward: RewardBatch | None = None) -> None:
        """Turn the rewards that ``averages`` has received into errors.

        Args:
            averages: of the session.
            reward: what it has received; may be None if only averages are compared with.
        """
        settings = self.settings
        expected: Floats | float | None = None
        if isinstance(self.baseline, NoBaseline):
            expected = 0.0
        elif reward is not None and not self.averaging:
            expected = self._expect(averages, reward)
        averages.compare(
            settings.rate, order=settings.order, scale=settings.scale, expected=expected
        )

    def _expect(self, averages: RunningAverage, reward: RewardBatch) -> Floats:
        """Let the baseline learn from rewards; return what it expected of them."""
        settings = self.settings
        # numpy looks up indices of another integer type ten times as slowly.
        index = reward.instance.astype(np.int64)
        average = averages.expect(settings.rate, settings.order).copy()
        expected: Floats = self.baseline.expect(reward, average)
        rpe = reward.value - expected
        if not np.isfinite(rpe).all():
            raise InvalidValueError(
                f'the baseline {settings.baseline!r} expects rewards of {reward.agent!r} that are '
                'not finite: its weights have diverged; lower critic.learning_rate, or set '
                'critic.optimiser to layer_normalised, where it is a critic'
            )
        self.baseline.learn(reward, index, rpe)
        return expected

    def _answer(self, reward: RewardBatch, averages: RunningAverage) -> RpeBatch:
        after, rpe = (array[: averages.count].copy() for array in (averages.after, averages.rpe))
        return _rpe_batch(reward, after, rpe, self.identity)

    def _check(self, reward: RewardBatch) -> None:
        count = len(reward.instance)
        alike = count == len(reward.episode) == len(reward.step)
        if not (alike and count == len(reward.window) == len(reward.value)):
            parts = ('episode', 'step', 'window', 'value')
            lengths = {name: len(getattr(reward, name)) for name in parts}
            raise ShapeError(
                f'reward of {reward.agent!r}: expected {count} values as in instance, '
                f'received {lengths}'
            )
        if count:
            check_instances(reward.instance, reward.instances, f'reward of {reward.agent!r}')

    def _valid_part(self, reward: RewardBatch, agent: _Agent) -> RewardBatch:
        finite = rewards_fit(reward.value)
        matched = self.baseline.matches(reward)
        fresh = reward.window > agent.averages.state['last_window'][reward.instance]
        keep = finite & fresh & matched
        if np.count_nonzero(keep) == len(keep):
            return reward
        self.counters['invalid_rewards'] += int((~finite).sum())
        self.counters['duplicate_rewards'] += int((finite & ~fresh).sum())
        self.counters['unmatched_rewards'] += int((finite & fresh & ~matched).sum())
        parts = ('instance', 'episode', 'step', 'window', 'value')
        return replace(reward, **{name: getattr(reward, name)[keep] for name in parts})

    def _agent(self, reward: RewardBatch) -> _Agent:
        """Return what is kept of the session that rewards belong to.

        Several sessions of one agent are kept. So neither a reward that was sent before a restart
        nor one with a false session changes what the rewards of another session are compared with.
        """
        count = reward.instances
        sessions = self._agents.get(reward.agent, {})
        agent = sessions.get(reward.session)
        if agent is None:
            return self._begin(reward, sessions)
        known = len(agent.averages.rpe)
        if known == count:
            agent.contradicted = 0
        else:
            # The first message of a session says its size, and may be somebody's lie: more messages
            # in a row than ever agreed with it are right.
            agent.contradicted += 1
            if agent.contradicted > max(agent.rewarded, _REFUSED_IN_A_ROW):
                return self._begin(reward, sessions)
            raise ProtocolError(
                f'agent {reward.agent!r} has {known} instances, its reward says {count}'
            )
        if self._newest.get(reward.agent) is not agent:
            self._newest[reward.agent] = agent
        return agent

    def _begin(self, reward: RewardBatch, sessions: dict[int, _Agent]) -> _Agent:
        """Begin a session; after a restart of its environment it continues the averages.

        A session that is there already is replaced, and only if the new one is within the limits.
        """
        name, count = reward.agent, reward.instances
        if self._limits is not None:
            self._limits.check_sizes(name, count)
            if not sessions:
                self._limits.check_agents(name, len(self._agents))
        replaced = sessions.pop(reward.session, None)
        if replaced is not None and self._newest.get(name) is replaced:
            del self._newest[name]
        averages = RunningAverage(count)
        before = self._newest.get(name)
        # The environment was restarted: its rewards are still the same kind of reward.
        kept = self._restored.get(name) if before is None else before.averages.state
        if kept is not None and len(kept['baseline']) == count:
            self._restored.pop(name, None)
            for part in ('baseline', 'known'):
                averages.state[part][:] = kept[part]
        fresh = _Agent(reward.session, averages)
        if len(sessions) >= _SESSIONS:
            # The session with the fewest rewards is forgotten, so that none that still runs is
            # lost.
            del sessions[min(sessions, key=lambda session: sessions[session].rewarded)]
        sessions[reward.session] = fresh
        self._agents[name] = sessions
        self._newest[name] = fresh
        return fresh

    def averages(self, info: AgentInfo) -> RunningAverage | None:
        """Return an agent's averages; None before its first reward in this session."""
        agent = self._agents.get(info.agent, {}).get(info.session)
        return None if agent is None else agent.averages

    @property
    def mean_baseline(self) -> float:
        """Mean over all instances that have one; NaN when none has."""
        states = [agent.averages.state for agent in self._newest.values()]
        known = [state['baseline'][state['known']] for state in states]
        values = np.concatenate(known) if known else np.zeros(0)
        return float(values.mean()) if len(values) else math.nan

    def resume(self, baselines: dict[str, dict[str, Any]]) -> None:
        """Start from saved averages.

        Args:
            baselines: by agent, ``baseline`` [B] and ``known`` [B].
        """
        self._agents.clear()
        self._newest.clear()
        self._restored = dict(baselines)
