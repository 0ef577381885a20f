"""Settings chosen from what random steps have shown: each fact decides what it should, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.records import ActionKind, ActionSpace, EnvSpec
from nrl_ros.cli.new_task import file_of_proposal
from nrl_ros.environments.random_steps import Facts, random_action, take_random_steps
from nrl_ros.experiments.proposal import Proposal, propose
from nrl_ros.settings.run import RunSettings, check, read_config
from tests.unit.fakes import ScriptedEnvironment

GIVEN: dict[str, Any] = {
    'learner': {},
    'neuromodulator': {},
    'environment': {'bridge.name': 'gymnasium', 'bridge.options.id': 'Task-v0'},
}


def spec_of(action: ActionSpace | None = None, **others: Any) -> EnvSpec:
    action = action or ActionSpace.discrete(3)
    return EnvSpec(1, 2, action, **{'max_episode_steps': 100, **others})


def facts_of(rewards: Any, **others: Any) -> Facts:
    """Facts of a task of two numbers and three choices."""
    usual = Facts(spec_of(), np.zeros(2), np.array([0.5, 20.0]), np.asarray(rewards, np.float64))
    return replace(usual, **others)


DENSE = facts_of(np.linspace(-3.0, 1.0, 50))


def settings_of(facts: Facts, bridge: str = 'gymnasium') -> tuple[RunSettings, Proposal]:
    proposal = propose(facts, bridge=bridge, agent='Task_v0')
    nodes = proposal.nodes()
    nodes['environment'] |= GIVEN['environment']
    return check(nodes, source='x'), proposal


@pytest.mark.parametrize(
    ('action', 'head'),
    [
        (ActionSpace.discrete(3), 'softmax'),
        (ActionSpace.multi_discrete((3, 2)), 'softmax'),
        (ActionSpace.continuous((-1.0,), (1.0,)), 'gaussian'),
    ],
)
def test_the_head_fits_the_actions(action: ActionSpace, head: str) -> None:
    settings, proposal = settings_of(replace(DENSE, spec=spec_of(action)))
    assert settings.learner.policy.head == head
    assert any(line.startswith(f'head: {head}, since') for line in proposal.lines)


def test_rewards_that_differ_are_delivered_at_every_step_against_a_critic() -> None:
    settings, proposal = settings_of(DENSE)
    assert settings.environment.reward.delivery == 'every_step'
    assert settings.neuromodulator.rpe.baseline == 'critic'
    assert settings.learner.preset == settings.environment.preset == 'robust'
    assert any('differ from step to step' in line for line in proposal.lines)


def test_one_reward_over_and_over_is_told_with_its_share_and_gets_a_critic_too() -> None:
    facts = facts_of(np.ones(50), lengths=(20, 30), returns=(20.0, 30.0), terminated=2)
    settings, proposal = settings_of(facts)
    assert settings.environment.reward.delivery == 'every_step'
    assert settings.neuromodulator.rpe.baseline == 'critic'
    assert any('100 % of the rewards are 1' in line for line in proposal.lines)
    assert not any('nothing is learned' in line for line in proposal.lines)


def test_rare_rewards_are_told_and_so_is_their_absence() -> None:
    rare = facts_of([0.0] * 49 + [1.0], lengths=(25, 25), returns=(0.0, 1.0))
    lines = settings_of(rare)[1].lines
    assert any('98 % of the rewards are 0' in line for line in lines)
    assert not any('nothing is learned' in line for line in lines)
    never = facts_of([-1.0] * 50, lengths=(25, 25), returns=(-25.0, -25.0))
    assert any(
        'nothing is learned before exploring' in line for line in settings_of(never)[1].lines
    )


def test_observations_are_normalised_and_their_spread_is_told() -> None:
    settings, proposal = settings_of(DENSE)
    assert settings.learner.network.normalise_observations
    assert settings.neuromodulator.critic.normalise_observations
    assert any('they spread by 0.5 to 20' in line for line in proposal.lines)


def test_a_task_without_an_end_gets_one_and_others_keep_theirs() -> None:
    endless = replace(DENSE, spec=spec_of(max_episode_steps=0))
    assert settings_of(endless)[0].environment.bridge.options['max_episode_steps'] == 1000
    assert 'max_episode_steps' not in settings_of(DENSE)[0].environment.bridge.options
    ended = replace(endless, lengths=(5,), returns=(1.0,))
    assert 'max_episode_steps' not in settings_of(ended)[0].environment.bridge.options


def test_a_file_reads_back_as_what_was_chosen_with_a_comment_on_each(tmp_path: Path) -> None:
    facts = facts_of(np.ones(50), lengths=(20, 30), returns=(20.0, 30.0))
    settings, proposal = settings_of(facts)
    path = tmp_path / 'task.yaml'
    path.write_text(file_of_proposal('gymnasium:Task-v0', proposal))
    assert check(read_config(path), source='x') == settings
    for line in path.read_text().splitlines():
        assert len(line) <= 100
    assert 'head: softmax' in path.read_text() and '# actions are choices' in path.read_text()


def test_random_steps_see_rewards_episodes_and_spread() -> None:
    environment = ScriptedEnvironment([3])
    ticks: Iterator[int] = count()
    facts = take_random_steps(
        environment, 'x', steps=8, limit_s=1e9, clock=lambda: float(next(ticks))
    )
    assert facts.lengths == (3, 3) and len(facts.rewards) == 6  # resets pay nothing
    assert facts.returns == (sum(facts.rewards[:3]), sum(facts.rewards[3:6]))
    assert facts.std.shape == (environment.spec.observation_size,) and (facts.std >= 0.0).all()


def test_random_steps_end_in_time_and_leave_what_runs_by_itself_alone() -> None:
    clock = iter([0.0, 1.0, 2.0, 3.0, 4.0])
    seen: list[int] = []
    take_random_steps(
        ScriptedEnvironment([3]),
        'x',
        steps=100,
        limit_s=2.0,
        clock=lambda: next(clock),
        told=lambda done, _: seen.append(done),
    )
    assert seen == [1, 2]


@pytest.mark.parametrize('kind', list(ActionKind))
def test_random_actions_lie_in_their_space_and_reach_all_of_it(kind: ActionKind) -> None:
    space = {
        ActionKind.DISCRETE: ActionSpace.discrete(3),
        ActionKind.MULTI_DISCRETE: ActionSpace.multi_discrete((3, 2)),
        ActionKind.CONTINUOUS: ActionSpace.continuous((-1.0, 2.0), (1.0, 4.0)),
    }[kind]
    generator = np.random.default_rng(0)
    drawn = np.concatenate([random_action(space, generator) for _ in range(200)])
    low, high = drawn.min(axis=0), drawn.max(axis=0)
    if kind == ActionKind.CONTINUOUS:
        assert drawn.dtype == np.float32
        assert (low >= space.low).all() and (high <= space.high).all()
        assert (high - low > 1.8).all()
    else:
        assert low.tolist() == [0] * len(space.sizes)
        assert high.tolist() == [size - 1 for size in space.sizes]
