"""Chooses settings for a task from what random steps have shown of it, and says why.

Pure: the same facts give the same settings. What is chosen is a beginning, not the end of a search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nrl_ros.base.records import ActionKind
from nrl_ros.base.settings import Flat
from nrl_ros.environments.random_steps import Facts
from nrl_ros.settings.presets import PRESETS

GYMNASIUM = 'gymnasium'
ALL, _PRESET = '**', 'robust'
INSTANCES = 16
STEPS = 1_000_000
# An episode without an end gets one after so many steps [1].
EPISODE_STEPS = 1_000
# Rewards of which this share is the same number tell little at each step [1].
_SAME_SHARE = 0.9


@dataclass(frozen=True)
class Chosen:
    """One setting that was chosen.

    Attributes:
        node: whose setting it is; '**': of all three.
        name: dotted.
        value: of the setting.
        comment: a few words for a file; empty: none.
    """

    node: str
    name: str
    value: Any
    comment: str = ''


@dataclass(frozen=True)
class Proposal:
    """Settings for a task.

    Attributes:
        settings: all that were chosen.
        lines: what was chosen and why, a sentence each.
    """

    settings: tuple[Chosen, ...]
    lines: tuple[str, ...]

    def nodes(self) -> dict[str, Flat]:
        """Return the settings by node."""
        nodes: dict[str, Flat] = {'learner': {}, 'neuromodulator': {}, 'environment': {}}
        for one in self.settings:
            for node in nodes if one.node == ALL else [one.node]:
                nodes[node][one.name] = one.value
        return nodes


def propose(facts: Facts, *, bridge: str, agent: str) -> Proposal:
    """Choose head, scaling of observations, delivery of rewards, baseline, and the size of a run.

    Args:
        facts: of random steps.
        bridge: name of the environment's bridge.
        agent: name of its agent.
    """
    parts = (
        preset(),
        _head(facts),
        _observations(facts),
        _episodes(facts) if bridge == GYMNASIUM else ((), ''),
        _rewards(facts),
        _size(facts),
    )
    settings = [one for chosen, _ in parts for one in chosen]
    lines = [_seen(facts), *(line for _, line in parts if line)]
    return Proposal((*settings, Chosen('environment', 'agent', agent)), tuple(lines))


Part = tuple[tuple[Chosen, ...], str]


def preset() -> Part:
    """Return the settings of the rule: this is the one place where they are chosen."""
    learner = PRESETS[_PRESET]['learner']
    return (Chosen(ALL, 'preset', _PRESET, 'rule, network and critic; see docs/rules'),), (
        f'rule: the preset {_PRESET}, nrl with {learner["plasticity.optimiser"]} at '
        f'{learner["plasticity.learning_rate"]:g} and {learner["plasticity.samples"]} noisy passes '
        'a step, which learns many tasks without a search'
    )


def only_returns_tell(facts: Facts) -> bool:
    """Return True if nearly all rewards are the same number, but the returns of episodes differ.

    Then a step says nothing by itself, and the length of an episode is what is learned from.
    """
    if len(facts.returns) < 2 or _most_common(facts)[1] < _SAME_SHARE:
        return False
    value = _most_common(facts)[0]
    return value != 0.0 and min(facts.returns) != max(facts.returns)


def _most_common(facts: Facts) -> tuple[float, float]:
    """Return the most frequent reward, and its share of all [1]."""
    values, counts = np.unique(np.round(facts.rewards, 9), return_counts=True)
    most = int(counts.argmax())
    return float(values[most]), float(counts[most]) / len(facts.rewards)


def _seen(facts: Facts) -> str:
    space = facts.spec.action
    actions = {
        ActionKind.DISCRETE: f'one of {space.sizes[0]} choices',
        ActionKind.MULTI_DISCRETE: f'{len(space.sizes)} choices at once',
        ActionKind.CONTINUOUS: f'{_count(space.sizes[0], "real number")}',
    }[space.kind]
    observed = _count(facts.spec.observation_size, 'number')
    said = f'seen in {len(facts.rewards)} random steps: {observed} observed, an action is {actions}'
    if not facts.lengths:
        return f'{said}; no episode ended'
    low, high = min(facts.lengths), max(facts.lengths)
    worst, best = min(facts.returns), max(facts.returns)
    episodes = _count(len(facts.lengths), 'episode')
    return f'{said}; {episodes} of {_range(low, high)} steps with returns of {_range(worst, best)}'


def _count(number: int, what: str) -> str:
    return f'{number:,} {what}' if number == 1 else f'{number:,} {what}s'


def _range(low: float, high: float) -> str:
    return f'{low:,.4g}' if low == high else f'{low:,.4g} to {high:,.4g}'


def _head(facts: Facts) -> Part:
    if facts.spec.action.kind == ActionKind.CONTINUOUS:
        head, why = 'gaussian', 'actions are real numbers'
    else:
        head, why = 'softmax', 'actions are choices'
    return (Chosen('learner', 'policy.head', head, why),), f'head: {head}, since {why}'


def _observations(facts: Facts) -> Part:
    low, high = np.array(facts.spec.observation_low), np.array(facts.spec.observation_high)
    if len(low) and ((low == 0.0) & (high == 1.0)).all():
        why = 'observations lie between 0 and 1'
        chosen = (
            Chosen('learner', 'network.normalise_observations', False, why),
            Chosen('neuromodulator', 'critic.normalise_observations', False, why),
        )
        return chosen, 'observations: as they are, since they lie between 0 and 1'
    spread = facts.std[facts.std > 0.0]
    told = _range(float(spread.min()), float(spread.max())) if len(spread) else '0'
    line = (
        'observations: in units of their running mean and spread, which the policy keeps, since '
        f'they spread by {told} in random steps'
    )
    return (), line


def _episodes(facts: Facts) -> Part:
    if facts.lengths or facts.spec.max_episode_steps:
        return (), ''
    name = 'bridge.options.max_episode_steps'
    chosen = Chosen('environment', name, EPISODE_STEPS, 'the task itself has no limit')
    return (chosen,), (
        f'episodes: ended after {EPISODE_STEPS:,} steps, since the task has no limit and none ended'
    )


def _rewards(facts: Facts) -> Part:
    """Return delivery and baseline, which belong together."""
    value, share = _most_common(facts) if len(facts.rewards) else (0.0, 1.0)
    same = f'{100 * share:.4g} % of the rewards are {value:g}'
    if only_returns_tell(facts):
        chosen = [
            Chosen('environment', 'reward.delivery', 'episode', 'only the sum tells'),
            Chosen('neuromodulator', 'rpe.baseline', 'running_average', 'one reward an episode'),
            Chosen('neuromodulator', 'rpe.rate', 0.1, 'step of the average [1]'),
        ]
        if min(facts.returns) > 0.0 or max(facts.returns) < 0.0:
            large = 'returns change with the length of an episode'
            chosen.append(Chosen('neuromodulator', 'rpe.scale', 'absolute_reward', large))
        return tuple(chosen), (
            f'rewards: at the end of each episode, against the running average, since {same}: '
            'only their sum tells'
        )
    why = f'{same}: few steps tell' if share >= _SAME_SHARE else 'rewards differ from step to step'
    chosen = [
        Chosen('environment', 'reward.delivery', 'every_step', why),
        Chosen('neuromodulator', 'rpe.baseline', 'critic', 'it knows what steps lead to'),
    ]
    line = f'rewards: at every step, against a critic that learns values of states, since {why}'
    if share == 1.0:
        line += '; nothing is learned before exploring finds another one'
    return tuple(chosen), line


def _size(facts: Facts) -> Part:
    chosen = (
        Chosen('environment', 'bridge.instances', INSTANCES, 'parallel copies, one learner'),
        Chosen('environment', 'stop.steps', STEPS, 'of all instances together'),
    )
    minutes = STEPS * facts.step_s / 60.0
    alone = f'{minutes:,.0f} minutes' if minutes >= 1.5 else 'a minute'
    return chosen, (
        f'size: {STEPS:,} steps of {INSTANCES} instances, of which the environment alone takes '
        f'at most {alone}; --steps and --instances change them'
    )
