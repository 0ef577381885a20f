"""A listener sees the same records of a run in one process and over ROS 2."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from nrl_ros.base.records import AgentInfo, FinishedEpisodes, StateBatch
from nrl_ros.cli.config import parameter_file
from nrl_ros.environments.listening import Listener
from nrl_ros.learning import loop
from nrl_ros.ros.listening import Listening
from tests.ros.harness import Reference, conversion, names
from tests.unit.fakes import same

pytestmark = pytest.mark.ros

# As many states as the environment keeps for a listener that a busy machine holds up.
STEPS = 36
LEARNER = {'seed': 3, 'network.hidden_sizes': [8], 'credit.rpe_timeout_s': 20.0}
NEUROMODULATOR = {'rpe.rate': 0.5}
ENVIRONMENT = {
    'agent': 'scripted',
    'bridge.name': 'scripted',
    'bridge.instances': 3,
    'bridge.options.action': 'continuous',
    'bridge.options.lengths': [5, 9, 3],
    'bridge.options.endings': ['terminated', 'truncated', 'aborted'],
    'reward.delivery': 'every_n_steps',
    'reward.steps': 4,
    'stop.steps': STEPS,
}
TOPICS = (names.STATE, names.REWARD, names.ACTION, names.NEUROMODULATION)
# One for each message.
RECORDS = ('info', 'state', 'reward', 'action', 'rpe')
# Drawn anew for each run, or of a clock.
OWN = ('session', 'learner', 'neuromodulator', 'stamp_ns')


class Kept(Listener):
    """Counts and keeps all that it is told."""

    def __init__(self) -> None:
        self.records: dict[str, list[Any]] = defaultdict(list)
        self.figures: dict[str, Any] = {}

    def on_info(self, info: AgentInfo) -> None:
        # Names of figures travel with the episodes; bounds that there are not, as infinite ones.
        spec = replace(info.spec, metrics=(), observation_low=(), observation_high=())
        self.records['info'].append(replace(info, spec=spec))

    def on_state(self, state: StateBatch) -> None:
        self.records['state'].append(state)

    def on_reward(self, reward: Any) -> None:
        self.records['reward'].append(reward)

    def on_rpe(self, rpe: Any) -> None:
        self.records['rpe'].append(rpe)

    def on_action(self, action: Any) -> None:
        self.records['action'].append(action)

    def on_episodes(self, episodes: FinishedEpisodes) -> None:
        self.records['episodes'].append(episodes)

    def on_status(self, node: str, status: Any) -> None:
        self.figures[node] = dict(status)

    def compared(self, kind: str) -> list[dict[str, Any]]:
        """Records without what is of one run alone; of episodes, one of all that ended."""
        found = [{k: v for k, v in vars(one).items() if k not in OWN} for one in self.records[kind]]
        if kind != 'episodes':
            return found
        columns = [name for name, value in found[0].items() if isinstance(value, np.ndarray)]
        return [{name: np.concatenate([one[name] for one in found]) for name in columns}]


def _all_told(kept: Kept, expected: Kept) -> bool:
    """Whether all has come; a status may have been said, and be heard, before that."""
    figures = kept.figures
    return bool(
        figures.get('environment', {}).get('finished')
        and figures.get('learner', {}).get('updates')
        and figures.get('neuromodulator', {}).get('rewards', 0) >= _count(expected, 'reward')
        and all(len(kept.records[kind]) >= len(expected.records[kind]) for kind in RECORDS)
        and _count(kept, 'episodes') >= _count(expected, 'episodes')
    )


def _count(kept: Kept, kind: str) -> int:
    return sum(len(record.instance) for record in kept.records[kind])


def in_one_process() -> Kept:
    kept, run = Kept(), Reference(LEARNER, NEUROMODULATOR, ENVIRONMENT)
    for _ in run.steps(kept):
        if run.episodes.total_steps >= STEPS:
            action, rpe = loop.answer(run.learner, run.neuromodulator, *run.episodes.newest())
            kept.on_action(action)
            if rpe is not None:
                kept.on_rpe(rpe)
            break
    return kept


def over_ros(ros: Any, folder: Any, expected: Kept) -> tuple[Kept, Listening]:
    path = folder / 'all.yaml'
    parts = {
        'learner': LEARNER,
        'neuromodulator': NEUROMODULATOR,
        'environment': {**ENVIRONMENT, 'autostart': False, 'stop.exit': False},
    }
    path.write_text(parameter_file(parts))
    ros.start('app', params_file=str(path))
    probe, kept = ros.probe(), Kept()
    listening = Listening(probe.node, kept)
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert probe.call('environment', '~/change_state', ChangeState, request).success
        probe.until(lambda: all(map(probe.node.count_publishers, TOPICS)), 'publishers')
    probe.until(lambda: _all_told(kept, expected), 'all of the run')
    return kept, listening


def test_the_same_records_in_one_process_and_over_ros(ros, tmp_path):
    expected = in_one_process()
    heard, listening = over_ros(ros, tmp_path, expected)
    assert len(expected.records['state']) > STEPS // 3
    for kind, records in expected.records.items():
        if kind != 'episodes':
            assert len(heard.records[kind]) == len(records), kind
        assert same(heard.compared(kind), expected.compared(kind)), kind
    assert heard.figures['learner']['updates'] > 0
    assert heard.figures['neuromodulator']['rewards'] == _count(expected, 'reward')
    assert not listening.counters['missed_state']


def test_records_wait_for_their_introduction_and_are_told_once(ros):
    """What another session says is told when it is introduced, and what is sent again is not."""
    run = Reference(LEARNER, NEUROMODULATOR, ENVIRONMENT)
    probe, kept = ros.probe(), Kept()
    speaker = ros.probe()
    listening = Listening(probe.node, kept)
    state = run.episodes.begin(0)
    other = replace(state, session=77)

    def said(batch: StateBatch) -> None:
        speaker.say(names.STATE, conversion.state_to_wire(batch))

    def refused(count: int) -> bool:
        return listening.counters['repeated_state'] == count

    speaker.say(names.ENV_INFO, conversion.info_to_msg(run.episodes.info, 1))
    probe.until(lambda: kept.records['info'], 'the introduction')
    for batch in (other, state, state, replace(state, sequence=3)):
        said(batch)
    probe.until(lambda: len(kept.records['state']) == 2, 'two states')
    assert [one.session for one in kept.records['state']] == [1, 1]
    assert refused(1) and listening.counters['missed_state'] == 2
    late = replace(run.episodes.info, session=77)
    speaker.say(names.ENV_INFO, conversion.info_to_msg(late, 1))
    probe.until(lambda: len(kept.records['state']) == 3, 'the state that was held')
    assert kept.records['state'][-1].session == 77
