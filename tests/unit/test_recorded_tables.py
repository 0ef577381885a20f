"""A recording becomes tables whose rows belong together, and a page on what happened in the run."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip('mcap')
pytest.importorskip('rclpy')

from rclpy.serialization import serialize_message

from nrl_ros.base.identity import draw_identity
from nrl_ros.base.records import ActionSpace, AgentInfo, Applied, Delivery, EnvSpec, RpeBatch
from nrl_ros.cli.doctor_run import recording_lines
from nrl_ros.cli.main import app
from nrl_ros.cli.plan import Sessions
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.registry import make_bridge
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.robots.arm.task import ReachTask
from nrl_ros.robots.safety.takeover import SHUT_DOWN
from nrl_ros.ros import conversion, names
from nrl_ros.ros.interfaces import (
    EnvStatus,
    HumanReward,
    LearnerStatus,
    SafetyState,
    SafetyStatus,
)
from nrl_ros.ros.recorded_tables import RunTables, flattened, names_of
from nrl_ros.ros.schemas import UnknownTypeError, schema_of, without_string_bounds
from nrl_ros.storage.bag_metadata import Topic
from nrl_ros.storage.recording_writer import RecordingWriter
from nrl_ros.storage.recordings import Recording
from nrl_ros.storage.tables import CsvTables, ParquetTables

MS = 1_000_000
TYPES = {
    names.ENV_INFO: 'EnvInfo',
    names.STATE: 'EnvState',
    names.ACTION: 'Action',
    names.REWARD: 'Reward',
    names.NEUROMODULATION: 'Neuromodulation',
    names.EPISODES: 'EpisodeReport',
    names.HUMAN_REWARD_GIVEN: 'HumanReward',
    names.ENV_STATUS: 'EnvStatus',
    'environment/transition_event': 'EnvStatus',
    names.LEARNER_STATUS: 'LearnerStatus',
    names.SAFETY_STATUS: 'SafetyStatus',
    names.SAFETY_STATE: 'SafetyState',
}


class Recorder:
    """Writes messages of a run in namespace /lab."""

    def __init__(self, folder: Path) -> None:
        self.writer = RecordingWriter(folder, {'namespace': '/lab'})
        self.now_ns = 1_000_000_000

    def write(self, topic: str, data: Any, *, after_ms: float = 0.0) -> None:
        kind = f'nrl_ros/msg/{TYPES[topic]}'
        name = f'/lab/{topic}'
        self.writer.add_topic(Topic(name, kind, schema_of(kind)))
        self.now_ns += int(after_ms * MS)
        wire = data if isinstance(data, bytes) else serialize_message(data)
        self.writer.write(name, wire, self.now_ns, self.now_ns)


def recorded(
    folder: Path, *, lose: int = -1, steps: int = 40, ahead: bool = False
) -> list[dict[str, Any]]:
    """Record CartPole with three instances; return what each row has to be.

    Args:
        folder: of the recording.
        lose: sequence of the state that is not recorded.
        steps: of each instance.
        ahead: actions come to the recorder before the states that they answer.
    """
    random = np.random.default_rng(1)
    environment = make_bridge('cartpole', 3, {})
    episodes = Episodes(
        environment, agent='pole', session=7, lockstep=True, delivery=Delivery.EVERY_STEP
    )
    recorder, expected = Recorder(folder), []
    recorder.write(names.ENV_INFO, conversion.info_to_msg(episodes.info, 0))
    state = episodes.begin(3)
    ended: list[Any] = []
    for number in range(steps):
        action = random.integers(0, 2, (3, 1)).astype(np.int32)
        answer = conversion.action_to_wire(state.answered(action, 5))
        if ahead:
            recorder.write(names.ACTION, answer)
        if number != lose:
            recorder.write(names.STATE, conversion.state_to_wire(state))
        if not ahead:
            recorder.write(names.ACTION, answer, after_ms=2.0)
        rows = [
            {
                'sequence': state.sequence,
                'instance': at,
                'episode': int(state.episode[at]),
                'step': int(state.step[at]),
                'observation': state.observation[at].tolist(),
                'action': int(action[at, 0]),
                'phase': int(state.phase[at]),
            }
            for at in range(3)
        ]
        if number != lose:
            expected += rows
        if number == 5:
            # A person praises twice; the recorder may hear it before the state.
            for value in (0.5, 0.25):
                praise = HumanReward(
                    agent='pole', session=7, sequence=5, instances=3, instance=[1], value=[value]
                )
                recorder.write(names.HUMAN_REWARD_GIVEN, praise)
        advance = episodes.advance(action)
        rewards, state = advance.reward, advance.state
        if rewards is not None:
            for at, value in zip(rewards.instance.tolist(), rewards.value.tolist(), strict=True):
                rows[at]['reward'] = value
            recorder.write(names.REWARD, conversion.reward_to_wire(rewards), after_ms=1.0)
            rpes = RpeBatch(
                **{k: v for k, v in vars(rewards).items() if k != 'value'},
                reward=rewards.value,
                baseline=rewards.value - 0.25,
                rpe=np.full(len(rewards.value), 0.25),
            )
            data = conversion.rpe_to_wire(rpes)
            recorder.write(names.NEUROMODULATION, data, after_ms=3.0)
        if advance.ends is not None:
            ended.append(advance.ends)
    recorder.write(names.EPISODES, conversion.report_to_msg(ended, 0))
    # A topic below a node's name is a file in the folder of tables, and not in one of its own.
    recorder.write('environment/transition_event', EnvStatus(agent='pole', steps=7))
    for steps_done, late in ((100, 0), (120, 2)):
        status = LearnerStatus(updates=steps_done, counter_name=['late_rpes'], counter_value=[late])
        recorder.write(names.LEARNER_STATUS, status, after_ms=500.0)
    recorder.writer.close()
    return expected


def tables_of(folder: Path) -> tuple[dict[str, dict[str, Any]], RunTables]:
    tables = RunTables(Recording(folder))
    found: dict[str, dict[str, Any]] = {}
    for block in tables.blocks():
        assert block.table not in found, 'a short run is one piece'
        found[block.table] = dict(block.columns)
    return found, tables


@pytest.mark.parametrize(('lose', 'ahead'), [(-1, False), (9, False), (-1, True)])
def test_a_row_has_what_belongs_to_one_step_of_one_instance(
    tmp_path: Path, lose: int, ahead: bool
) -> None:
    expected = recorded(tmp_path / 'rec', lose=lose, ahead=ahead)
    tables, told = tables_of(tmp_path / 'rec')
    steps = tables['steps']
    assert len(steps['step']) == len(expected)
    for name in ('sequence', 'instance', 'episode', 'step'):
        assert steps[name].tolist() == [row[name] for row in expected]
    for at in range(4):
        shown = steps[f'observation_{at}'].tolist()
        assert shown == [row['observation'][at] for row in expected]
    assert steps['action_0'].tolist() == [row['action'] for row in expected]
    rewards = np.array([row.get('reward', np.nan) for row in expected])
    assert np.isfinite(rewards).sum() > 90
    np.testing.assert_array_equal(steps['reward'], rewards)
    np.testing.assert_array_equal(steps['rpe'], np.where(np.isnan(rewards), np.nan, 0.25))
    given = {
        (int(steps['sequence'][row]), int(steps['instance'][row])): steps['human_reward'][row]
        for row in np.flatnonzero(steps['human_reward'])
    }
    assert given == {(5, 1): 0.75}
    assert set(steps['environment']) == {'pole'} and set(steps['phase']) >= {'first', 'mid'}
    # The next state tells how an action was applied, where it was recorded.
    unknown = set(steps['sequence'][steps['applied'] == ''].tolist())
    assert unknown == ({39} if lose < 0 else {lose - 1, 39})
    assert sum(told.unplaced.values()) == (0 if lose < 0 else 3)


def test_episodes_and_status_have_tables_with_named_columns(tmp_path: Path) -> None:
    recorded(tmp_path / 'rec')
    tables, _ = tables_of(tmp_path / 'rec')
    episodes = tables['episodes']
    assert set(episodes['ending']) == {'terminated'} and (episodes['return'] > 5).all()
    assert tables['learner_status']['counter.late_rpes'].tolist() == [0, 2]
    assert tables['learner_status']['updates'].tolist() == [100, 120]
    gap_ns = np.diff(tables['learner_status']['received_ns'])
    assert gap_ns.tolist() == [500 * MS]


def test_the_command_writes_parquet_and_csv(tmp_path: Path) -> None:
    pq = pytest.importorskip('pyarrow.parquet')
    recorded(tmp_path / 'rec')
    told = CliRunner().invoke(app, ['convert', str(tmp_path / 'rec')])
    assert told.exit_code == 0, told.output
    assert 'steps.parquet: 120 rows' in told.output
    assert 'environment.transition_event.parquet: 1 rows' in told.output
    table = pq.read_table(tmp_path / 'rec/tables/steps.parquet').to_pydict()
    out = tmp_path / 'csv'
    told = CliRunner().invoke(
        app, ['convert', str(tmp_path / 'rec'), '--to', 'csv', '--out', str(out)]
    )
    assert told.exit_code == 0, told.output
    with (out / 'steps.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [int(row['sequence']) for row in rows] == table['sequence']
    assert [float(row['observation_2']) for row in rows] == table['observation_2']
    told = CliRunner().invoke(app, ['convert', str(tmp_path / 'rec'), '--to', 'xls'])
    assert told.exit_code == 2 and 'expected one of parquet, csv' in told.output


@pytest.mark.parametrize('name', ['learner', 'neuromodulator', 'session', 'sequence'])
def test_an_identity_keeps_its_64_bits(tmp_path: Path, name: str) -> None:
    """A float holds 53 of them, and pyarrow refuses to lose the others."""
    pq = pytest.importorskip('pyarrow.parquet')
    tables = ParquetTables(tmp_path)
    tables.add('status', {name: np.array([0, 0]), 'steps': np.array([1, 2])})
    tables.add('status', {name: np.array([638267635869917906]), 'steps': np.array([2.5])})
    tables.close()
    found = pq.read_table(tmp_path / 'status.parquet').to_pydict()
    assert found == {name: [0, 0, 638267635869917906], 'steps': [1.0, 2.0, 2.5]}


@pytest.mark.parametrize('kind', [KeyboardInterrupt, OSError])
def test_tables_that_were_not_finished_have_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    """Ctrl-C or a full disk leave the tables of before, or none, and never half a table."""
    recorded(tmp_path / 'rec')
    command = ['convert', str(tmp_path / 'rec'), '--to', 'csv', '--out', str(tmp_path / 'csv')]

    add, code = CsvTables.add, 1 if kind is OSError else 130

    def interrupted(self: CsvTables, table: str, columns: Any) -> None:
        add(self, table, columns)
        raise kind

    def interrupt() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(CsvTables, 'add', interrupted)
            assert CliRunner().invoke(app, command).exit_code == code

    interrupt()
    assert not (tmp_path / 'csv').exists()
    assert CliRunner().invoke(app, command).exit_code == 0
    before = {one.name: one.read_bytes() for one in (tmp_path / 'csv').iterdir()}
    interrupt()
    assert {one.name: one.read_bytes() for one in (tmp_path / 'csv').iterdir()} == before


@pytest.mark.parametrize(
    'more',
    [{}, {'observation': {'joints': 'sine'}}, {'target': {'orientation': {'axes': ('x', 'y')}}}],
)
def test_an_arm_names_its_numbers(more: dict[str, Any]) -> None:
    robot = load_robot('ur5e')
    task = ReachTask(robot, ReachSettings.model_validate({'robot': 'ur5e', **more}))
    spec = EnvSpec(
        1, task.observation_size, task.action_space, manifest=task.manifest(), control_period_s=0.04
    )
    info = AgentInfo('arm', 1, spec, lockstep=False, delivery=Delivery.EVERY_STEP)
    observed, acted = names_of(info, task.observation_size)
    assert acted[0] == 'action.shoulder_pan_joint' and len(acted) == 6
    # Two joints are moved, and the tool: the named numbers change, and those of nothing else.
    at = {name: number for number, name in enumerate(observed)}
    position, velocity = robot.home[None], np.zeros((1, 6))
    tool = robot.chain.tool(position)
    turned = [np.zeros((1, 3)), np.eye(3)[None]] if 'target' in more else []
    before = task.observe(position, velocity, tool, tool, *turned)[0]
    velocity = velocity.copy()
    velocity[0, 2] = 0.5
    after = task.observe(position, velocity, tool, tool + [[0.0, 0.1, 0.0]], *turned)[0]
    changed = {observed[one] for one in np.flatnonzero(before != after)}
    assert changed == {
        'observation.velocity.elbow_joint',
        'observation.target.y',
        'observation.error.y',
    }
    assert len(at) == task.observation_size
    plain = replace(info, spec=EnvSpec(1, 3, ActionSpace.discrete(4)))
    assert names_of(plain, 3)[1] == ['action_0']


def test_a_status_is_flat() -> None:
    state = SafetyState(joint=['a', 'b'], wanted=[0.1, 0.2], measured=[1.0, 2.0], mode=1)
    found = flattened(state)
    assert (found['wanted.b'], found['measured.a'], found['mode']) == (0.2, 1.0, 1)
    assert 'velocity.a' not in found


def test_the_page_of_a_recording_says_what_was_lost_and_how_long_answers_took(
    tmp_path: Path,
) -> None:
    recorded(tmp_path / 'rec', lose=9)
    text = '\n'.join(recording_lines(tmp_path / 'rec'))
    assert "environment 'pole', session 7: 39 states" in text
    assert 'answered after 2.00 ms (half of them), 2.00 ms (99 %), at most 2.00 ms' in text
    assert 'RPEs after 3.00 ms' in text
    assert 'states: 1 missing (sequence 9)' in text
    assert 'actions: ' not in text and 'RPEs: ' not in text
    assert 'counted: late_rpes 2' in text
    assert 'how many messages its recorder dropped is not known' in text
    told = CliRunner().invoke(app, ['doctor', str(tmp_path / 'rec')])
    assert told.exit_code == 0 and told.output.strip() == text.strip()


def test_the_page_says_why_an_arm_was_stopped_and_what_was_limited(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / 'rec')
    spec = EnvSpec(1, 2, ActionSpace.continuous((-1.0,), (1.0,)), control_period_s=0.008)
    info = AgentInfo('arm', 3, spec, lockstep=False, delivery=Delivery.EVERY_STEP)
    recorder.write(names.ENV_INFO, conversion.info_to_msg(info, 0))
    environment = make_bridge('cartpole', 1, {})
    state = Episodes(
        environment, agent='arm', session=3, lockstep=True, delivery=Delivery.EVERY_STEP
    ).begin(0)
    for number in range(10):
        applied = np.array([Applied.LIMITED if number == 4 else Applied.AS_SENT], np.uint8)
        one = replace(state, sequence=number, applied=applied)
        # One comes twice, and two change places.
        at = {6: 7, 7: 6}.get(number, number)
        data = conversion.state_to_wire(replace(one, sequence=at))
        for _ in range(2 if number == 3 else 1):
            recorder.write(names.STATE, data, after_ms=8.0)
    old = 'joint states are too old'
    for mode, why in ((1, ''), (3, old), (4, old), (1, ''), (4, SHUT_DOWN)):
        recorder.write(names.SAFETY_STATUS, SafetyStatus(mode=mode, why=why), after_ms=100.0)
    recorder.write(names.ENV_STATUS, EnvStatus(agent='arm', late_actions=4, aborted=1))
    recorder.writer.close({'/lab/state': 12})
    text = '\n'.join(recording_lines(tmp_path / 'rec'))
    assert 'safety: 1 stop\n  after 0.3 s: joint states are too old' in text
    assert 'states: 1 again, 1 reordered' in text
    assert 'of the actions 11.11 % changed by a limit' in text
    assert 'late 4, aborted episodes 1' in text
    assert 'its recorder dropped 12 messages: /lab/state 12' in text
    assert 'answered after nothing: no answer was recorded' in text


def test_an_image_is_one_column_of_lists(tmp_path: Path) -> None:
    pq = pytest.importorskip('pyarrow.parquet')
    recorder = Recorder(tmp_path / 'rec')
    spec = EnvSpec(2, 30 * 30, ActionSpace.discrete(2))
    info = AgentInfo('eye', 3, spec, lockstep=True, delivery=Delivery.EVERY_STEP)
    recorder.write(names.ENV_INFO, conversion.info_to_msg(info, 0))
    small = Episodes(
        make_bridge('cartpole', 2, {}),
        agent='eye',
        session=3,
        lockstep=True,
        delivery=Delivery.EVERY_STEP,
    ).begin(0)
    image = np.random.default_rng(0).random((2, 900)).astype(np.float32)
    recorder.write(names.STATE, conversion.state_to_wire(replace(small, observation=image)))
    recorder.writer.close()
    told = CliRunner().invoke(app, ['convert', str(tmp_path / 'rec')])
    assert told.exit_code == 0, told.output
    table = pq.read_table(tmp_path / 'rec/tables/steps.parquet').to_pydict()
    np.testing.assert_array_equal(np.array(table['observation'], np.float32), image)
    assert len(table) < 30


def test_what_an_action_sends_has_a_definition_too() -> None:
    """Its goals' feedback is recorded, with the types that it names."""
    text = schema_of('nrl_ros/action/Reach_FeedbackMessage')
    assert text.startswith('unique_identifier_msgs/UUID goal_id\nnrl_ros/Reach_Feedback feedback\n')
    assert 'MSG: nrl_ros/Reach_Feedback\n' in text
    with pytest.raises(UnknownTypeError, match='nrl_ros/Nothing_Feedback is not installed'):
        schema_of('nrl_ros/action/Nothing_Feedback')


def test_definitions_are_those_that_plotjuggler_reads() -> None:
    """It takes a string with a bound for one without, and an array of them for one string."""
    text = schema_of('nrl_ros/msg/SafetyState')
    assert 'string[] joint\n' in text and 'string<=' not in text
    assert without_string_bounds('string<=9[] a\nwstring<=9 b\nint8[<=3] c\n') == (
        'string[] a\nwstring b\nint8[<=3] c\n'
    )


def test_identities_are_numbers_that_a_double_holds() -> None:
    """PlotJuggler refuses a recording with others, since it draws doubles."""
    drawn = [draw_identity() for _ in range(100)] + [Sessions().first for _ in range(100)]
    assert all(0 < one <= 2**53 for one in drawn)
