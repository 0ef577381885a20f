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
    spread = facts.std[facts.std > 0.0]
    told = _range(float(spread.min()), float(spread.max())) if len(spread) else '0'
    # Also where they lie between 0 and 1: FrozenLake, whose places are such, came to 0.7 with it
    # and to 0.1 without, after 250,000 steps.
    name, why = 'normalise_observations', f'they spread by {told} in random steps'
    return (
        Chosen('learner', f'network.{name}', True, 'in units of their running mean and spread'),
        Chosen('neuromodulator', f'critic.{name}', True, 'likewise'),
    ), f'observations: in units of their running mean and spread, which the policy keeps; {why}'


def _episodes(facts: Facts) -> Part:
    if facts.lengths or facts.spec.max_episode_steps:
        return (), ''
    name = 'bridge.options.max_episode_steps'
    chosen = Chosen('environment', name, EPISODE_STEPS, 'the task itself has no limit')
    return (chosen,), (
        f'episodes: ended after {EPISODE_STEPS:,} steps, since the task has no limit and none ended'
    )


def _rewards(facts: Facts) -> Part:
    """Return delivery and baseline, which belong together.

    A critic is chosen also where all rewards are one number, as CartPole's: with the sum of each
    episode against its running average one seed of two stood still at a return of 180.
    """
    value, share = _most_common(facts) if len(facts.rewards) else (0.0, 1.0)
    same = f'{100 * share:.4g} % of the rewards are {value:g}'
    why = 'rewards differ from step to step'
    if share >= _SAME_SHARE:
        why = f'{same}, and it tells which states lead where'
    chosen = (
        Chosen(
            'environment', 'reward.delivery', 'every_step', 'a critic tells what a step is worth'
        ),
        Chosen('neuromodulator', 'rpe.baseline', 'critic', 'values of states are learned'),
    )
    line = f'rewards: at every step, against a critic that learns values of states, since {why}'
    if share == 1.0 and len(set(facts.returns)) < 2:
        line += '; nothing is learned before exploring finds another reward or return'
    return chosen, line


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
