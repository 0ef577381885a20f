"""A recording decides every weight, or it says which message it lacks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('mcap')
pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from nrl_ros.base.errors import ConfigError
from nrl_ros.cli.replay import replay, run_replay
from nrl_ros.learning.replay import Did
from nrl_ros.learning.what_if import effective_share
from nrl_ros.ros import names
from nrl_ros.ros.interfaces import LearnerOrder
from nrl_ros.ros.recorded import RunRecords
from nrl_ros.ros.schemas import schema_of
from nrl_ros.storage.checkpoint import read_checkpoint
from nrl_ros.storage.recording_writer import RecordingError
from nrl_ros.storage.recordings import Recording
from tests.unit.recorded_run import AGENT, RecordedRun


def test_the_kinds_of_the_message_are_those_of_the_records() -> None:
    for kind in Did:
        assert getattr(LearnerOrder, f'KIND_{kind.name}') == kind
    assert sum(name.startswith('KIND_') for name in dir(LearnerOrder)) == len(Did)


@pytest.mark.parametrize(('lockstep', 'late'), [(True, 0), (False, 0), (False, 3)])
def test_a_replay_has_the_weights_of_the_run(tmp_path: Path, lockstep: bool, late: int) -> None:
    run = RecordedRun(tmp_path, lockstep=lockstep, late=late)
    run.steps(40, save=1).steps(40, save=2)
    before = run.core.weights
    done = replay(run.write())
    (life,) = done.lives
    result = life.result
    assert done.exact and result.began == 'as the run did, from nothing'
    assert [one.equal for one in result.compared] == [True, True]
    assert (result.actions, result.different_actions, result.missing_actions) == (80, 0, 0)
    assert life.replayer is not None
    found = life.replayer.learner.weights
    assert all((mine == theirs).all() for mine, theirs in zip(found, before, strict=True))
    # They were learned: it is not the first weights that are equal.
    first = RecordedRun(tmp_path / 'other').core.weights
    assert not all((mine == theirs).all() for mine, theirs in zip(found, first, strict=True))
    if late:
        assert life.replayer.learner.counters['late_rpes'] > 0


def test_actions_that_the_recorder_received_late_are_not_missing(tmp_path: Path) -> None:
    """A recorder that was held up asks for what it has missed, and gets it topic by topic."""
    run = RecordedRun(tmp_path).steps(1000, save=1)
    lost = [(names.ACTION, 300), (names.ACTION, 301)]
    result = replay(run.write(actions_last=True, without=lost)).lives[0].result
    assert (result.missing_actions, result.actions, result.different_actions) == (2, 998, 0)


def test_the_order_counts(tmp_path: Path) -> None:
    """With the entries of two RPEs exchanged with what came before them, the weights are others."""
    run = RecordedRun(tmp_path, lockstep=False, late=2).steps(60, save=1)
    places = [n for n, entry in enumerate(run.entries) if entry[0] == Did.RPE]
    for place in places[1:]:
        entries = run.entries
        entries[place - 1], entries[place] = entries[place], entries[place - 1]
    assert not replay(run.write()).exact


def test_changes_of_settings_and_modes_are_repeated(tmp_path: Path) -> None:
    run = RecordedRun(tmp_path, lockstep=False, late=2).steps(20)
    run.note(Did.LEARNING_RATE, value=0.03)
    run.core.set_learning_rate(0.03)
    run.note(Did.NOISE_SIGMA, value=0.02)
    run.core.set_sigma(0.02)
    run.steps(20, save=1)
    run.note(Did.FROZEN, value=1.0)
    run.core.frozen = True
    run.steps(10)
    run.note(Did.FROZEN, value=0.0)
    run.core.frozen = False
    run.steps(20, save=2)
    done = replay(run.write())
    assert done.exact and len(done.lives[0].result.compared) == 2


def test_a_run_that_went_on_begins_from_its_checkpoint(tmp_path: Path) -> None:
    saved = RecordedRun(tmp_path / 'first').steps(30, save=1).core.snapshot() | {'number': 1}
    run = RecordedRun(tmp_path / 'second', start=saved).steps(30, save=10)
    done = replay(run.write())
    assert done.exact
    assert done.lives[0].result.began == 'as the run did, from learner_00000009.nrl'


def test_a_checkpoint_that_is_gone_is_said(tmp_path: Path) -> None:
    saved = RecordedRun(tmp_path / 'first').steps(30, save=1).core.snapshot() | {'number': 1}
    run = RecordedRun(tmp_path / 'second', start=saved).steps(30)
    Path(run.start_file).unlink()
    done = replay(run.write())
    (life,) = done.lives
    assert not done.exact
    assert 'learner_00000009.nrl, from which the run went on, is not there' in life.result.left[0]


@pytest.mark.parametrize('topic', [names.STATE, names.NEUROMODULATION])
def test_a_gap_is_named_and_the_replay_goes_on_at_the_next_checkpoint(
    tmp_path: Path, topic: str
) -> None:
    run = RecordedRun(tmp_path).steps(18, save=1).steps(20, save=2).steps(20, save=3)
    number = next(one for name, one, _ in run.messages if name == topic and one > 20)
    done = replay(run.write(without=[(topic, number)]))
    result = done.lives[0].result
    assert not done.exact
    assert [gap.sequence for gap in done.gaps] == [number]
    (said,) = result.left
    assert said.startswith(f"{topic} {number} of environment 'scripted' (instance ")
    assert ': episode ' in said and said.endswith(') is missing')
    assert [(one.equal, Path(one.file).name) for one in result.compared] == [
        (True, 'learner_00000001.nrl'),
        (True, 'learner_00000003.nrl'),
    ]
    assert 'and from learner_00000002.nrl' in result.began
    assert result.different_actions == 0
    lines: list[str] = []
    file = tmp_path / 'result.json'
    assert run_replay(tmp_path / 'recording', lines.append, json=file) == 1
    assert any(line.startswith(f'missing: {topic} {number} of') for line in lines)
    assert json.loads(file.read_text())['gaps'][0]['sequence'] == number


def test_the_place_of_a_gap_is_that_of_the_message(tmp_path: Path) -> None:
    run = RecordedRun(tmp_path).steps(40)
    states = [
        one.record
        for one in RunRecords(Recording(run.write()))
        if one.topic == names.STATE and one.record.sequence == 25
    ]
    (state,) = states
    (gap,) = replay(RecordedRun(tmp_path / 'b').steps(40).write(without=[(names.STATE, 25)])).gaps
    expected = zip(range(2), state.episode, state.step, state.window, strict=True)
    assert gap.place == tuple(tuple(map(int, one)) for one in expected)
    assert (gap.agent, gap.session) == (AGENT, 5)


def test_entries_that_are_missing_are_said(tmp_path: Path) -> None:
    run = RecordedRun(tmp_path).steps(60, save=1).steps(30, save=2)
    result = replay(run.write(first_entry=50)).lives[0].result
    assert 'begins after 50 entries of the learner' in result.left[0]
    assert result.began.startswith('from learner_00000001.nrl')
    assert [one.equal for one in result.compared] == [True]


@pytest.mark.parametrize('lockstep', [True, False])
def test_a_checkpoint_whose_state_was_taken_before_the_recording_is_passed_over(
    tmp_path: Path, lockstep: bool
) -> None:
    run = RecordedRun(tmp_path, lockstep=lockstep)
    # Entries are recorded in pieces of 50. The state is the last one of a piece. The checkpoint,
    # saved before the learner acts upon that state, is the first one of the next.
    while len(run.entries) % 50 != 49:
        run.step()
    saved = len(run.entries) + 1
    run.step(save=1)
    run.steps(30, save=2).steps(30, save=3)
    result = replay(run.write(first_entry=saved)).lives[0].result
    assert 'begins after' in result.left[0] and len(result.left) == 1
    assert result.began.startswith('from learner_00000002.nrl')
    assert [one.equal for one in result.compared] == [True]
    assert result.actions >= 30 and result.different_actions == 0


def test_a_checkpoint_that_was_saved_between_state_and_action_is_resumed(tmp_path: Path) -> None:
    run = RecordedRun(tmp_path).steps(60)
    run.step(save=1)
    run.steps(30, save=2)
    result = replay(run.write(first_entry=50)).lives[0].result
    assert result.began.startswith('from learner_00000001.nrl')
    assert [one.equal for one in result.compared] == [True]
    assert result.actions >= 31 and result.different_actions == 0


def test_a_run_recorded_from_its_middle_begins_with_its_modes(tmp_path: Path) -> None:
    run = RecordedRun(tmp_path).steps(40)
    run.note(Did.LEARNING_RATE, value=0.05)
    run.core.set_learning_rate(0.05)
    run.steps(30, save=1).steps(30, save=2)
    result = replay(run.write(first_entry=50)).lives[0].result
    assert [one.equal for one in result.compared] == [True]
    assert result.different_actions == 0


def test_a_recording_that_was_cut_off_is_equal_as_far_as_it_goes(tmp_path: Path) -> None:
    run = RecordedRun(tmp_path).steps(300, save=1)
    folder = run.write()
    path = folder / 'recording_0.mcap'
    # All in one chunk: the cut takes everything, which is said as what it is.
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(RecordingError, match='lacks the order in which the learner heard'):
        replay(folder)


def test_a_recording_without_the_order_is_refused(tmp_path: Path) -> None:
    folder = RecordedRun(tmp_path).steps(10).write(order=False)
    with pytest.raises(RecordingError, match=r'\(/a/learner_order\): it cannot be replayed'):
        replay(folder)


def test_other_messages_are_refused(tmp_path: Path) -> None:
    older = schema_of('nrl_ros/msg/EnvState').replace('bool greedy\n', '', 1)
    folder = RecordedRun(tmp_path).steps(10).write(schemas={'EnvState': older})
    with pytest.raises(
        RecordingError,
        match=r"other messages: nrl_ros/msg/EnvState had .* lacked \['bool greedy'\]",
    ):
        replay(folder)


def test_a_recording_whose_definitions_bound_their_strings_is_read(tmp_path: Path) -> None:
    """Recorders wrote them so at first."""
    bounded = schema_of('nrl_ros/msg/EnvState').replace('string agent', 'string<=256 agent')
    folder = RecordedRun(tmp_path).steps(10).write(schemas={'EnvState': bounded})
    assert 'string<=256 agent' in bounded and len(replay(folder).lives) == 1


def test_other_settings_that_are_the_same_learn_the_same(tmp_path: Path) -> None:
    """The second learner is given the choices of the first one, and draws none."""
    folder = RecordedRun(tmp_path).steps(250, save=1).write()
    done = replay(folder, overrides=['learner.plasticity.learning_rate=0.01'])
    last = done.lives[0].result.what_if[-1]
    assert done.exact
    assert last.distance == 0.0 and last.updates == done.lives[0].result.updates
    assert last.steps == last.episodes == 1.0 and last.sound


def test_other_settings_are_sound_as_long_as_the_policy_is_alike(tmp_path: Path) -> None:
    folder = RecordedRun(tmp_path).steps(250, save=1).write()
    shares = {}
    for rate in (0.012, 0.1, 30.0):
        done = replay(folder, overrides=[f'learner.plasticity.learning_rate={rate}'])
        assert done.exact, 'what is asked changes nothing of the replay'
        shares[rate] = done.lives[0].result.what_if[-1]
    assert 0.0 < shares[0.012].distance < shares[0.1].distance < shares[30.0].distance
    assert shares[0.012].sound and shares[0.012].episodes > shares[0.1].episodes
    assert not shares[30.0].sound


def test_what_other_settings_learn_is_a_checkpoint(tmp_path: Path) -> None:
    folder = RecordedRun(tmp_path).steps(60, save=1).write()
    lines: list[str] = []
    asked, file = 'learner.plasticity.rule=backpropagation', tmp_path / 'other.nrl'
    assert run_replay(folder, lines.append, overrides=[asked], out=file) == 0
    assert any(line.startswith(f'{asked}: ') for line in lines)
    data = read_checkpoint(file, 'learner')
    assert data['settings']['rule'] == 'backpropagation'
    assert data['learning']['updates'] > 0


@pytest.mark.parametrize(
    'text', ['learner.plasticity.learning_rte=1', 'learner.noise.sigma=-1', 'environment.seed=1']
)
def test_a_wrong_setting_is_one_error(tmp_path: Path, text: str) -> None:
    folder = RecordedRun(tmp_path).steps(5).write()
    with pytest.raises(ConfigError):
        replay(folder, overrides=[text])


def test_effective_shares() -> None:
    assert effective_share(np.zeros(7)) == 1.0
    assert effective_share(np.array([0.0, -1000.0, -1000.0, -1000.0])) == pytest.approx(0.25)
    # Weights 1 and 2: nine fifths of two.
    assert effective_share(np.log([1.0, 2.0])) == pytest.approx(0.9)


def test_what_a_person_has_approved_is_repeated(tmp_path: Path) -> None:
    """Weights that wait for approval are a part of the digest, and move when it is given."""
    run = RecordedRun(tmp_path, settings={'guard.approve': True}).steps(60, save=1)
    run.note(Did.APPROVED, value=1.0)
    run.core.approve(yes=True)
    run.steps(30, save=2)
    done = replay(run.write())
    assert done.exact and len(done.lives[0].result.compared) == 2
    run.entries = [entry for entry in run.entries if entry[0] != Did.APPROVED]
    run.folder = tmp_path / 'without'
    assert not replay(run.write()).exact
