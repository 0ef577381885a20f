"""The learner node by its topics, services and parameters: the test plays everybody else."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from std_srvs.srv import SetBool

from nrl_ros.base.health import NAMES
from nrl_ros.ros import conversion, names
from nrl_ros.ros.interfaces import GetLearnerState, LoadCheckpoint, SaveCheckpoint
from nrl_ros.storage.checkpoint import read_checkpoint
from tests.ros.harness import counters, last_checkpoint
from tests.unit.fakes import info_of, rpe_of, same, state_of

pytestmark = pytest.mark.ros


class Dialogue:
    """A learner in a process, and a probe that says states and reward-prediction errors."""

    def __init__(self, ros, info, settings=None):
        self.info = info
        self.process = ros.start('learner', {'status_period_s': 0.1, **(settings or {})})
        self.probe = ros.probe()
        self.probe.hear(names.ACTION, names.LEARNER_STATUS)
        self.probe.until(lambda: self.probe.node.count_publishers(names.ACTION) == 1, 'the learner')
        for topic in (names.STATE, names.NEUROMODULATION):
            self.probe.publisher(topic)
        # What it says arrives here: it announced its actions before its status.
        self.probe.until_heard(names.LEARNER_STATUS)
        self.join(info)

    def join(self, info, text='joined'):
        self.probe.say(names.ENV_INFO, conversion.info_to_msg(info, 0))
        self.process.until_logged(f"agent '{info.agent}' {text}")

    def state(self, sequence, **fields):
        self.send(state_of(self.info, sequence, **fields))

    def send(self, state):
        self.probe.say(names.STATE, conversion.state_to_wire(state))

    def action(self, sequence, count=1):
        """The answer to a state, once it has come ``count`` times."""

        def heard():
            found = [m for m in self.probe.heard[names.ACTION] if m.sequence == sequence]
            return found if len(found) >= count else None

        return self.probe.until(heard, f'{count} answers to state {sequence}')

    def rpe(self, sequence, window, value=1.0):
        message = rpe_of(self.info, sequence, [0, 1], window, value)
        self.probe.say(names.NEUROMODULATION, conversion.rpe_to_wire(message))

    def counter(self, name, least):
        return self.probe.counter(names.LEARNER_STATUS, name, least)

    def status(self):
        request = GetLearnerState.Request()
        return self.probe.call('learner', names.GET_STATE, GetLearnerState, request)

    def switch(self, service, on):
        return self.probe.call('learner', service, SetBool, SetBool.Request(data=on))

    def teach(self, start, window):
        """Two steps in a window, its end, its reward-prediction error."""
        for sequence in (start, start + 1, start + 2):
            self.state(sequence, window=window + (sequence == start + 2))
            self.action(sequence)
        self.rpe(start + 2, window)


@pytest.fixture
def dialogue(ros):
    return Dialogue(ros, info_of(2))


def test_late_doubled_and_unknown_signals(dialogue):
    """A late one teaches the right trace, once; the others are counted and teach nothing."""
    for sequence in range(5):
        dialogue.state(sequence, window=int(sequence >= 3))
        dialogue.action(sequence)
    before = dialogue.status().status
    dialogue.rpe(3, 0)
    assert dialogue.counter('late_rpes', 2) == 2
    learned = dialogue.status().status
    assert learned.windows_learned == 2
    assert learned.weight_norm != before.weight_norm
    dialogue.rpe(3, 0)
    assert dialogue.counter('duplicate_rpes', 2) == 2
    dialogue.rpe(9, 9)
    assert dialogue.counter('unknown_window_rpes', 2) == 2
    after = dialogue.status().status
    assert (after.weight_norm, after.windows_learned) == (learned.weight_norm, 2)


def test_lost_doubled_and_reordered_states(dialogue):
    dialogue.state(0)
    [first] = dialogue.action(0)
    dialogue.state(0)
    again = dialogue.action(0, count=2)[1]
    assert list(again.discrete) == list(first.discrete)
    dialogue.state(3)
    dialogue.action(3)
    assert dialogue.counter('lost_states', 2) == 2
    dialogue.state(1)
    dialogue.process.until_logged('state 1 came after state 3')
    status = counters(dialogue.status().status)
    assert (status['duplicate_states'], status['out_of_order_states']) == (1, 1)


def test_messages_of_another_session_do_not_teach(dialogue):
    stale = replace(dialogue.info, session=dialogue.info.session + 1)
    dialogue.send(state_of(stale, 0))
    dialogue.process.until_logged('it was sent before a restart')
    assert dialogue.counter('wrong_session_messages', 1) == 1
    dialogue.state(0)
    dialogue.action(0)


def test_in_lockstep_a_missing_signal_is_given_up_and_said(ros):
    info = info_of(2, lockstep=True)
    dialogue = Dialogue(ros, info, {'credit.rpe_timeout_s': 0.3})
    dialogue.state(0)
    dialogue.action(0)
    dialogue.state(1, window=1)
    dialogue.process.until_logged('is the neuromodulator running?')
    dialogue.action(1)
    assert dialogue.counter('released_windows', 2) == 2


def test_agents_join_and_leave_while_it_runs(dialogue):
    second = info_of(3, agent='b', session=9)
    dialogue.join(second)
    dialogue.send(state_of(second, 0))
    dialogue.probe.until_heard(names.ACTION, lambda m: m.agent == 'b')
    dialogue.state(0)
    dialogue.action(0)
    assert sorted(dialogue.status().status.agent) == ['a', 'b']
    dialogue.join(replace(second, active=False), 'left, 3 open windows released')
    assert list(dialogue.status().status.agent) == ['a']
    other = info_of(1, agent='c', observations=8)
    dialogue.probe.say(names.ENV_INFO, conversion.info_to_msg(other, 0))
    dialogue.process.until_logged("agent 'c' has 8 observations")
    assert list(dialogue.status().status.agent) == ['a']


def files_of(dialogue):
    """Save and load by service."""

    def save(path):
        request = SaveCheckpoint.Request(path=str(path))
        return dialogue.probe.call('learner', names.SAVE_CHECKPOINT, SaveCheckpoint, request)

    def load(path):
        request = LoadCheckpoint.Request(path=str(path))
        return dialogue.probe.call('learner', names.LOAD_CHECKPOINT, LoadCheckpoint, request)

    return save, load


def test_save_learn_on_load(ros, tmp_path):
    """What is loaded is what was saved, bit for bit; a damaged file changes nothing."""
    dialogue = Dialogue(ros, info_of(2), {'checkpoint.folder': str(tmp_path)})
    save, load = files_of(dialogue)
    dialogue.teach(0, 0)
    dialogue.counter('late_rpes', 2)
    saved = tmp_path / 'saved.nrl'
    assert save(saved.name).success
    norm = dialogue.status().status.weight_norm
    dialogue.teach(3, 1)
    dialogue.counter('late_rpes', 4)
    assert dialogue.status().status.weight_norm != norm
    damaged = tmp_path / 'damaged.nrl'
    data = bytearray(saved.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    norm_now = dialogue.status().status.weight_norm
    for path in (damaged, tmp_path / 'missing.nrl'):
        answer = load(path)
        assert not answer.success
        assert str(path) in answer.message
    assert dialogue.status().status.weight_norm == norm_now
    assert load(saved).success
    assert dialogue.status().status.weight_norm == norm
    again = tmp_path / 'again.nrl'
    assert save(again).success
    before, after = read_checkpoint(saved, 'learner'), read_checkpoint(again, 'learner')
    assert same(before['network'], after['network'])
    numbered = save('')
    assert numbered.message == str(tmp_path / 'learner_00000001.nrl')


def test_files_that_others_name_lie_in_the_folder(ros, tmp_path):
    """Anybody in the domain may ask; nothing of the user's is read or written over."""
    folder = tmp_path / 'checkpoints'
    folder.mkdir()
    thesis = tmp_path / 'thesis.tex'
    thesis.write_text('years of work')
    (folder / 'notes').write_text('not a checkpoint')
    (folder / 'link').symlink_to(thesis)
    os.mkfifo(folder / 'pipe.nrl')
    dialogue = Dialogue(ros, info_of(2), {'checkpoint.folder': str(folder)})
    save, load = files_of(dialogue)
    for path in (thesis, '../thesis.tex', 'link', '/dev/null', 'notes', 'pipe.nrl', 'x' * 5000):
        for attempt in (save, load):
            answer = attempt(path)
            assert not answer.success and answer.message, (path, attempt)
    assert not save('learner_00000001.nrl').success
    assert thesis.read_text() == 'years of work'
    # Nor may others move the folder or what is read at the start.
    for name, value in (('folder', '/'), ('load', str(thesis)), ('anywhere', True)):
        answer = dialogue.probe.set_parameter('learner', **{f'checkpoint__{name}': value})
        assert not answer.successful and 'when the node is started' in answer.reason
    dialogue.state(0)
    dialogue.action(0)
    assert sorted(one.name for one in folder.iterdir()) == [
        '.learner.lock', 'link', 'notes', 'pipe.nrl'
    ]  # fmt: skip


def test_without_a_folder_files_are_where_a_setting_allows_them(ros, tmp_path):
    dialogue = Dialogue(ros, info_of(2))
    save, load = files_of(dialogue)
    for path in ('', str(tmp_path / 'x.nrl')):
        for attempt in (save, load):
            refused = attempt(path)
            assert not refused.success and 'checkpoint.folder' in refused.message
    ros.end(dialogue.process)
    ros.end(dialogue.probe)
    dialogue = Dialogue(ros, info_of(2), {'checkpoint.anywhere': True})
    save, load = files_of(dialogue)
    assert save(tmp_path / 'x.nrl').success
    assert load(tmp_path / 'x.nrl').success


def test_a_policy_that_finds_no_place_is_rescued_and_said(ros, tmp_path, monkeypatch):
    """Its folder has become a file: exit code 1, an error, and a copy where temporary files are."""
    temporary = tmp_path / 'temporary'
    temporary.mkdir()
    monkeypatch.setenv('TMPDIR', str(temporary))
    folder = tmp_path / 'checkpoints'
    dialogue = Dialogue(ros, info_of(2), {'checkpoint.folder': str(folder)})
    dialogue.teach(0, 0)
    dialogue.counter('late_rpes', 2)
    folder.rename(tmp_path / 'moved')
    folder.write_text('')
    dialogue.process.send(signal.SIGINT)
    assert dialogue.process.wait() == 1
    assert 'the policy could not be saved at the end: ' in dialogue.process.output
    (copy,) = temporary.glob('nrl_ros_rescued_*/policy.nrl')
    assert f'a copy was written to {copy}' in dialogue.process.output
    assert read_checkpoint(copy, 'learner')['learning']['updates'] == 1


def test_a_folder_that_another_learner_saves_to_is_refused(ros, tmp_path):
    settings = {'checkpoint.folder': str(tmp_path)}
    first = Dialogue(ros, info_of(2), settings)
    second = ros.start('learner', settings, '-r', '__ns:=/second')
    assert second.wait() == 1
    assert f'is in use: process {first.process.process.pid} on ' in second.output
    # What the system gives back when a process is killed is free for whoever comes next.
    ros.end(first.process)
    third = ros.start('learner', settings, '-r', '__ns:=/third')
    probe = ros.probe('third')
    probe.until_heard(names.LEARNER_STATUS)
    third.interrupt()


def test_a_restarted_learner_continues_and_writes_over_nothing(ros, tmp_path):
    """Same folder for loading and saving, as a supervisor that starts it again would use."""
    folder = tmp_path / 'saved'
    settings = {'checkpoint.folder': str(folder), 'checkpoint.load': str(folder)}
    for start in range(3):
        dialogue = Dialogue(ros, info_of(2, session=start + 1), settings)
        newest = f'continues from {folder}/learner_{start:08d}.nrl'
        assert (newest if start else 'starts anew') in dialogue.process.output
        dialogue.teach(0, 0)
        dialogue.counter('late_rpes', 2 * (start + 1))
        dialogue.join(replace(dialogue.info, active=False), 'left')
        dialogue.process.interrupt()
        # The next learner would hear what this probe latched, and let the agent leave again.
        ros.end(dialogue.probe)
        # What the processes before have learned is in it too: one update each.
        assert last_checkpoint(folder)['learning']['updates'] == start + 1
    files = sorted(path.name for path in folder.iterdir())
    # And no lock.
    assert files == [f'learner_{number:08d}.nrl' for number in (1, 2, 3)]


def test_configured_anew_with_other_settings(dialogue):
    """Deactivate, clean up, change, configure, activate: one learner, with what was changed."""
    dialogue.state(0)
    dialogue.action(0)
    norm = dialogue.status().status.weight_norm

    def change(transition):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert dialogue.probe.call('learner', '~/change_state', ChangeState, request).success

    change(Transition.TRANSITION_DEACTIVATE)
    change(Transition.TRANSITION_CLEANUP)
    changed = dialogue.probe.set_parameter('learner', network__hidden_sizes=[3], seed=9)
    assert changed.successful, changed.reason
    change(Transition.TRANSITION_CONFIGURE)
    assert not dialogue.probe.set_parameter('learner', seed=8).successful
    change(Transition.TRANSITION_ACTIVATE)
    dialogue.probe.until(lambda: list(dialogue.status().status.agent) == ['a'], 'the agent again')
    assert 'hidden_sizes:\n  - 3\n' in dialogue.status().settings
    dialogue.state(1)
    dialogue.action(1)
    status = dialogue.status().status
    # Not twice, as it would be had the first configuration's subscriptions stayed.
    assert (status.states, counters(status).get('duplicate_states', 0)) == (1, 0)
    assert status.weight_norm != norm


def test_a_transition_that_is_not_possible_is_refused(dialogue):
    """Two commands that start one node: the second one ended it with a traceback."""
    for transition in (Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_CLEANUP, 77):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert not dialogue.probe.call('learner', '~/change_state', ChangeState, request).success
    unknown = ChangeState.Request(transition=Transition(label='fly'))
    assert not dialogue.probe.call('learner', '~/change_state', ChangeState, unknown).success
    dialogue.counter('dropped_ProtocolError', 4)
    dialogue.state(0)
    dialogue.action(0)


def test_a_checkpoint_brings_its_learning_rate_unless_told_otherwise(ros, tmp_path):
    """What is in force and what the parameters say are the same, whichever of them wins."""
    first = Dialogue(ros, info_of(2), {'checkpoint.folder': str(tmp_path)})
    first.teach(0, 0)
    assert first.probe.set_parameter('learner', plasticity__learning_rate=0.25).successful
    first.process.interrupt()
    for keep, expected in ((False, 0.25), (True, 0.5)):
        settings = {
            'plasticity.learning_rate': 0.5,
            'checkpoint.load': str(tmp_path),
            'checkpoint.keep_settings': keep,
        }
        process = ros.start('learner', settings)
        output = process.until_logged('continues from')
        assert ('learning_rate is 0.25 as in the checkpoint, not 0.5' in output) != keep
        probe = ros.probe()
        assert probe.get_parameter('learner', 'plasticity.learning_rate') == expected
        state = probe.call('learner', names.GET_STATE, GetLearnerState, GetLearnerState.Request())
        assert state.status.learning_rate == expected
        process.interrupt()


def test_frozen_it_acts_and_does_not_learn(dialogue):
    assert dialogue.switch(names.FREEZE, True).success
    norm = dialogue.status().status.weight_norm
    dialogue.teach(0, 0)
    dialogue.counter('ignored_rpes', 2)
    status = dialogue.status().status
    assert status.frozen
    assert (status.weight_norm, status.windows_learned) == (norm, 0)
    assert dialogue.switch(names.FREEZE, False).success
    dialogue.teach(3, 1)
    dialogue.counter('late_rpes', 2)
    assert dialogue.status().status.weight_norm != norm


def test_evaluating_it_is_greedy(ros):
    """The same observation, the same choice each time; of 40 random ones not all are alike."""
    dialogue = Dialogue(ros, info_of(40))
    observation = np.tile(np.array([[0.3, -0.2, 0.1]], np.float32), (40, 1))
    dialogue.state(0, observation=observation)
    [random] = dialogue.action(0)
    assert len(set(random.discrete)) == 2
    assert dialogue.switch(names.EVALUATE, True).success
    dialogue.state(1, observation=observation)
    [greedy] = dialogue.action(1)
    assert len(set(greedy.discrete)) == 1
    assert dialogue.status().status.evaluating


def test_evaluating_outlasts_other_parameters(dialogue):
    """Service and parameter are one switch."""
    assert dialogue.switch(names.EVALUATE, True).success
    assert dialogue.probe.set_parameter('learner', checkpoint__period_s=7.0).successful
    assert dialogue.status().status.evaluating
    assert dialogue.probe.get_parameter('learner', 'evaluate') is True
    assert dialogue.probe.set_parameter('learner', evaluate=False).successful
    assert not dialogue.status().status.evaluating


def test_parameters_that_may_change_and_those_that_may_not(dialogue):
    probe = dialogue.probe
    assert probe.set_parameter('learner', plasticity__learning_rate=0.25).successful
    assert probe.set_parameter('learner', noise__sigma=0.125).successful
    status = dialogue.status()
    assert (status.status.learning_rate, status.status.noise_sigma) == (0.25, 0.125)
    assert 'learning_rate: 0.25' in status.settings
    for wrong, said in (
        ({'plasticity__learning_rate': -1.0}, 'learning_rate'),
        ({'noise__sigma': float('nan')}, 'sigma'),
        ({'network__hidden_sizes': [8]}, 'network.hidden_sizes cannot change while'),
        ({'seed': 4}, 'clean it up first'),
    ):
        result = probe.set_parameter('learner', **wrong)
        assert not result.successful
        assert said in result.reason
    assert dialogue.status().status.learning_rate == 0.25


def test_what_is_wrong_with_the_noise_is_in_status_and_diagnostics(ros):
    """The most likely cause comes first, and is a warning for ROS's own tools."""
    dialogue = Dialogue(ros, info_of(2), {'noise.sigma': 1e-9})
    dialogue.probe.hear(names.DIAGNOSTICS)
    dialogue.state(0)

    def hints(status):
        return dict(zip(status.health_name, status.health_hint, strict=True))

    told = dialogue.probe.until_heard(names.LEARNER_STATUS, lambda m: any(hints(m).values()))
    first = next(filter(None, told.health_hint))
    assert first == hints(told)['impact_over_rounding']
    assert tuple(told.health_name) == NAMES
    parts = (told.health_unit, told.health_value, told.health_low, told.health_high)
    assert {len(part) for part in parts} == {len(NAMES)}

    def warned(message):
        [item] = message.status
        return item if item.level == DiagnosticStatus.WARN else None

    item = warned(dialogue.probe.until_heard(names.DIAGNOSTICS, warned))
    assert (item.name, item.message) == ('learner: plasticity', first)
    assert 'impact [nat]' in {value.key for value in item.values}


def test_updates_wait_until_a_person_approves_them(ros):
    dialogue = Dialogue(ros, info_of(2, lockstep=True), {'guard.approve': True})
    asked = SetBool.Request(data=True)
    answer = dialogue.probe.call('learner', names.APPROVE, SetBool, asked)
    assert not answer.success
    assert 'nothing waits for approval' in answer.message
    dialogue.state(0, window=0)
    dialogue.action(0)
    dialogue.state(1, window=1)
    dialogue.rpe(1, 0)
    dialogue.action(1)
    status = dialogue.probe.until_heard(
        names.LEARNER_STATUS, lambda message: '1 updates wait' in message.guard
    )
    assert status.updates == 1
    answer = dialogue.probe.call('learner', names.APPROVE, SetBool, asked)
    assert answer.success
    assert 'acts by 1 more updates' in answer.message
    dialogue.probe.until_heard(
        names.LEARNER_STATUS, lambda message: '0 updates wait' in message.guard
    )
