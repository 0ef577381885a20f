"""Small stand-ins: records by hand, a scripted environment, a scripted flow of messages."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.records import (
    ActionBatch,
    ActionSpace,
    AgentInfo,
    Delivery,
    Ending,
    EnvSpec,
    Phase,
    RewardBatch,
    RpeBatch,
    StateBatch,
    StepResult,
)
from nrl_ros.base.settings import fields_of, load
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.settings import LearnerSettings

OBSERVATIONS = 3
# Who makes the reward-prediction errors.
NEUROMODULATOR = 11


def info_of(
    instances: int = 2,
    *,
    agent: str = 'a',
    session: int = 7,
    action: ActionSpace | None = None,
    observations: int = OBSERVATIONS,
    lockstep: bool = False,
    delivery: Delivery = Delivery.EPISODE,
    delivery_steps: int = 0,
    max_episode_steps: int = 0,
) -> AgentInfo:
    """An agent with two choices, unless told otherwise."""
    spec = EnvSpec(
        instances,
        observations,
        action or ActionSpace.discrete(2),
        max_episode_steps=max_episode_steps,
    )
    return AgentInfo(agent, session, spec, lockstep, delivery, delivery_steps)


def _full(value: Any, count: int, dtype: Any) -> np.ndarray[Any, Any]:
    return np.array(np.broadcast_to(np.asarray(value, dtype), (count,)))


def state_of(
    info: AgentInfo,
    sequence: int,
    *,
    window: Any = 0,
    phase: Any = Phase.MID,
    ending: Any = Ending.NONE,
    applied: Any = 1,
    episode: Any = 0,
    step: Any = 0,
    observation: Any = None,
) -> StateBatch:
    """A state; single values hold for all instances."""
    count = info.spec.instances
    if observation is None:
        generator = np.random.default_rng([sequence, 99])
        observation = generator.standard_normal((count, info.spec.observation_size))
    return StateBatch(
        info.agent,
        info.session,
        sequence,
        _full(episode, count, np.uint32),
        _full(step, count, np.uint32),
        _full(window, count, np.uint32),
        _full(phase, count, np.uint8),
        _full(ending, count, np.uint8),
        _full(applied, count, np.uint8),
        np.asarray(observation, np.float32),
    )


def rpe_of(
    info: AgentInfo,
    sequence: int,
    instance: Any,
    window: Any,
    rpe: Any,
    *,
    baseline: float = 0.5,
) -> RpeBatch:
    """A reward-prediction error for some instances."""
    who = np.atleast_1d(np.asarray(instance, np.uint32))
    count = len(who)
    return RpeBatch(
        info.agent,
        info.session,
        sequence,
        info.spec.instances,
        who,
        _full(0, count, np.uint32),
        _full(0, count, np.uint32),
        _full(window, count, np.uint32),
        _full(1.0, count, np.float64),
        _full(baseline, count, np.float64),
        _full(rpe, count, np.float64),
        neuromodulator=NEUROMODULATOR,
    )


def reward_of(
    sequence: int,
    instance: Any,
    window: Any,
    value: Any,
    *,
    instances: int = 2,
    session: int = 7,
    agent: str = 'a',
) -> RewardBatch:
    """Rewards for some instances."""
    who = np.atleast_1d(np.asarray(instance, np.uint32))
    count = len(who)
    return RewardBatch(
        agent,
        session,
        sequence,
        instances,
        who,
        _full(0, count, np.uint32),
        _full(0, count, np.uint32),
        _full(window, count, np.uint32),
        _full(value, count, np.float64),
    )


class ScriptedEnvironment:
    """Episodes of fixed lengths, rewards and endings; checks every action it gets.

    Args:
        lengths: steps of every episode, by instance.
        endings: how every episode ends, by instance.
        faults: (call of step, instance) -> 'observation' or 'reward', which is then NaN.
    """

    def __init__(
        self,
        lengths: list[int],
        endings: list[Ending] | None = None,
        *,
        faults: dict[tuple[int, int], str] | None = None,
        action: ActionSpace | None = None,
    ) -> None:
        self.lengths = lengths
        self.endings = endings or [Ending.TERMINATED] * len(lengths)
        self.faults = faults or {}
        self.spec = EnvSpec(len(lengths), OBSERVATIONS, action or ActionSpace.discrete(2))
        self.calls = 0
        self.at = np.zeros(len(lengths), np.int64)
        self.over = np.zeros(len(lengths), np.bool_)

    def reset(self, seed: int) -> Any:
        """All instances at step 0."""
        self.calls = seed * 1000
        self.at[:] = 0
        self.over[:] = False
        return self._observation()

    def _observation(self) -> Any:
        generator = np.random.default_rng([self.calls, 5])
        noise = generator.standard_normal((len(self.lengths), OBSERVATIONS))
        noise[:, 0] = self.at
        return noise.astype(np.float32)

    def step(self, action: Any) -> StepResult:
        """Reward is 1 plus the action, times the step within the episode."""
        assert action.shape == (len(self.lengths), self.spec.action.components)
        self.calls += 1
        starting = self.over.copy()
        self.at = np.where(starting, 0, self.at + 1)
        reward = np.where(starting, 0.0, (1.0 + action[:, 0]) * self.at)
        ended = ~starting & (self.at == self.lengths)
        how = np.asarray(self.endings)
        observation = self._observation()
        for (call, instance), what in self.faults.items():
            if call == self.calls and what == 'observation':
                observation[instance, 1] = np.nan
            elif call == self.calls:
                reward[instance] = np.nan
        faulty = [i for (call, i) in self.faults if call == self.calls]
        self.over = ended.copy()
        self.over[faulty] = True
        return StepResult(
            observation,
            reward,
            ended & (how == Ending.TERMINATED),
            ended & (how == Ending.TRUNCATED),
            ended & (how == Ending.ABORTED),
        )

    def close(self) -> None:
        """Nothing to release."""

    def snapshot(self) -> dict[str, Any]:
        """Where every instance is."""
        return {'calls': self.calls, 'at': self.at.copy(), 'over': self.over.copy()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue there."""
        self.calls = snapshot['calls']
        self.at, self.over = np.array(snapshot['at']), np.array(snapshot['over'])


def message_flow(
    info: AgentInfo, *, steps: int, seed: int, longest_delay: int = 4
) -> list[StateBatch | RpeBatch]:
    """States as an environment sends them, and RPEs that come when they will.

    Nothing in it depends on actions, so that two learners can be fed the same.
    """
    generator = np.random.default_rng(seed)
    count = info.spec.instances
    window = np.zeros(count, np.int64)
    phase = np.zeros(count, np.int64)
    due: list[tuple[int, int, int]] = []
    flow: list[StateBatch | RpeBatch] = []
    for now in range(steps):
        ending = np.zeros(count, np.int64)
        if now:
            last = phase == Phase.LAST
            ends = ~last & (generator.random(count) < 0.15)
            closes = ends | (~last & (generator.random(count) < 0.2))
            aborted = ends & (generator.random(count) < 0.2)
            ending[ends] = Ending.TERMINATED
            ending[aborted] = Ending.ABORTED
            for i in np.flatnonzero(closes & ~aborted).tolist():
                due.append((now + int(generator.integers(0, longest_delay + 1)), i, int(window[i])))
            window[closes] += 1
            phase = np.where(ends, Phase.LAST, np.where(last, Phase.FIRST, Phase.MID))
        rpes = sorted({(i, w) for when, i, w in due if when == now})
        for number, (i, w) in enumerate(rpes):
            flow.append(rpe_of(info, 1000 * now + number, i, w, generator.standard_normal()))
        applied = (generator.random(count) > 0.1).astype(np.uint8)
        flow.append(state_of(info, now, window=window, phase=phase, ending=ending, applied=applied))
    return flow


def receive(learner: Learner, state: StateBatch) -> ActionBatch | None:
    """Let a learner learn from a state, and act if nothing is awaited, as its node does."""
    again = learner.observe(state)
    return acted(learner, state.agent) if again is None else again


def reinforce(learner: Learner, rpe: RpeBatch) -> ActionBatch | None:
    """Let a learner learn from RPEs, and act if a state waited for them alone."""
    learner.reinforce(rpe)
    return acted(learner, rpe.agent)


def release(learner: Learner, agent: str) -> ActionBatch | None:
    """Let a learner give up waiting for RPEs, and act if a state waits."""
    learner.release_waiting(agent)
    return acted(learner, agent)


def acted(learner: Learner, agent: str) -> ActionBatch | None:
    """Let a learner act if it may."""
    return learner.act(agent) if learner.may_act(agent) else None


def feed(learner: Learner, flow: list[StateBatch | RpeBatch]) -> list[Any]:
    """Give a flow to a learner; returns the actions."""
    actions = []
    for message in flow:
        if isinstance(message, StateBatch):
            answer = receive(learner, message)
        else:
            answer = reinforce(learner, message)
        if answer is not None:
            actions.append(answer.action)
    return actions


def learner_settings(*, rule: Any = None, **values: Any) -> LearnerSettings:
    """Settings by their last names, in whatever group they are, and a rule that was made before."""
    places = {name.rpartition('.')[2]: name for name in fields_of(LearnerSettings)}
    flat = {places.get(name, name): value for name, value in values.items()}
    if rule is not None:
        flat |= {'plasticity.rule': rule.name, 'noise.sigma': rule.sigma}
        options = {name: value for name, value in dict(rule).items() if name != 'sigma'}
        flat |= {f'plasticity.options.{name}': value for name, value in options.items()}
    return load(LearnerSettings, flat, source='settings')


def learner_of(info: AgentInfo, **settings: Any) -> Learner:
    """A small float64 learner with the agent joined."""
    chosen: dict[str, Any] = {'hidden_sizes': (4,), 'precision': 'float64', 'learning_rate': 0.1}
    learner = Learner(learner_settings(**(chosen | settings)))
    learner.join(info)
    return learner


def same(left: Any, right: Any) -> bool:
    """Equal to the last bit, through lists, dicts and arrays; NaN equals NaN."""
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(same(left[key], right[key]) for key in left)
        )
    if isinstance(left, list):
        return (
            isinstance(right, list)
            and len(left) == len(right)
            and all(same(a, b) for a, b in zip(left, right, strict=True))
        )
    if isinstance(left, np.ndarray):
        return (
            isinstance(right, np.ndarray)
            and left.dtype == right.dtype
            and left.shape == right.shape
            and left.tobytes() == right.tobytes()
        )
    if isinstance(left, float) and left != left:
        return isinstance(right, float) and right != right
    return type(left) is type(right) and left == right


def uncompiled(module: ModuleType) -> ModuleType:
    """A compiled module as the plain Python that it is written in, under another name."""
    pytest.importorskip('cython')
    name = module.__name__.rpartition('.')[2]
    source = Path(str(module.__file__)).with_name(f'{name}.py')
    spec = importlib.util.spec_from_file_location(f'{name}_text', source)
    assert spec is not None and spec.loader is not None
    text = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(text)
    return text
