"""Three processes over DDS and one process without ROS: the same weights, bit for bit."""

from __future__ import annotations

import shutil

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

import torch
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from nrl_ros.cli.config import parameter_file
from tests.ros.harness import Reference, last_checkpoint, names, what_was_learned
from tests.unit.fakes import same

pytestmark = pytest.mark.ros

LEARNER = {
    'seed': 3,
    'network.hidden_sizes': [24],
    'plasticity.learning_rate': 0.002,
    'credit.rpe_timeout_s': 20.0,
}
CARTPOLE = {
    'agent': 'pole',
    'seed': 5,
    'bridge.name': 'gymnasium',
    'bridge.options.id': 'CartPole-v1',
    'reward.delivery': 'episode',
    'resend_period_s': 0.3,
}
SCALED = {'rpe.scale': 'absolute_reward'}

# Learner, neuromodulator and environment of each run.
RUNS = {
    'cartpole, one instance': (LEARNER, SCALED, {**CARTPOLE, 'stop.steps': 3000}),
    'cartpole, batch of 16': (
        LEARNER,
        SCALED,
        {**CARTPOLE, 'bridge.instances': 16, 'stop.steps': 20_000},
    ),
    'cartpole, batch that stops at episodes': (
        LEARNER,
        SCALED,
        {**CARTPOLE, 'bridge.instances': 4, 'stop.episodes': 40},
    ),
    'cartpole in numpy, large network, factored, two samples': (
        {
            **LEARNER,
            'network.hidden_sizes': [200, 100],
            'network.bias': True,
            'plasticity.trace': 'factored',
            'plasticity.samples': 2,
            'plasticity.norm': 'layer',
            'policy.action_from': 'noisy',
        },
        SCALED,
        {**CARTPOLE, 'bridge.instances': 4, 'stop.steps': 2000},
    ),
    'reaching, a reward each step': (
        LEARNER,
        {},
        {
            'agent': 'arm',
            'bridge.name': 'reaching',
            'bridge.instances': 8,
            'reward.delivery': 'every_step',
            'stop.steps': 8000,
            'resend_period_s': 0.3,
        },
    ),
    'scripted: every way to end, NaN, windows of 4 steps, continuous actions': (
        {**LEARNER, 'policy.learn_std': True, 'noise.shape': 'uniform'},
        {'rpe.order': 'after'},
        {
            'agent': 'scripted',
            'bridge.name': 'scripted',
            'bridge.instances': 3,
            'bridge.options.action': 'continuous',
            'bridge.options.lengths': [5, 9, 3],
            'bridge.options.endings': ['terminated', 'truncated', 'aborted'],
            'bridge.options.faults': ['31:1:nan_observation', '57:2:nan_reward'],
            'reward.delivery': 'every_n_steps',
            'reward.steps': 4,
            'stop.steps': 900,
            'resend_period_s': 0.3,
        },
    ),
}

RUNS['acrobot: a critic hears the states, both normalise, traces go on after a reward'] = (
    {
        **LEARNER,
        'network.normalise_observations': True,
        'plasticity.learning_rate': 3e-5,
        'plasticity.samples': 2,
        'plasticity.trace_reset': False,
        'plasticity.trace_decay': 0.95,
    },
    {
        'rpe.baseline': 'critic',
        'critic.hidden_sizes': [16],
        'critic.optimiser': 'adam',
        'critic.normalise_observations': True,
        'critic.normalise_rewards': True,
    },
    {
        'agent': 'acrobot',
        'bridge.name': 'acrobot',
        'bridge.instances': 4,
        'bridge.options.max_episode_steps': 100,
        'reward.delivery': 'every_step',
        'stop.steps': 4000,
        'resend_period_s': 0.3,
    },
)

# A rate far too high: the returns fall after 14,700 steps, and weights are put back.
RUNS['cartpole, guarded, through a fall'] = (
    {
        **LEARNER,
        'plasticity.learning_rate': 0.05,
        'guard.enabled': True,
        'guard.episodes': 8,
        'guard.tolerated_fall': 0.2,
    },
    SCALED,
    {**CARTPOLE, 'bridge.instances': 4, 'stop.steps': 16_000},
)

# Rules with something of their own to keep in step: weights read by a row, noise turned over, the
# running means of an explorer.
for rule, own in {
    'backpropagation': {'plasticity.optimiser': 'adam', 'network.bias': True},
    'antithetic': {'plasticity.samples': 2, 'plasticity.rpe_clip': 0.5},
    'rmhl': {'plasticity.noise_estimate': 'running_mean', 'noise.sigma': 0.1},
}.items():
    RUNS[f'cartpole by {rule}'] = (
        {**LEARNER, 'plasticity.rule': rule, **own},
        SCALED,
        {**CARTPOLE, 'bridge.instances': 4, 'stop.steps': 2000},
    )

RUNS['cartpole by a torch module that remembers'] = (
    {
        **{name: value for name, value in LEARNER.items() if not name.startswith('network.')},
        'network.kind': 'torch',
        'network.factory': 'recurrent',
        'network.options.size': 12,
        'plasticity.samples': 2,
    },
    SCALED,
    {**CARTPOLE, 'bridge.instances': 4, 'stop.steps': 2000},
)


RUNS['an arm seen by a camera: bytes, and a convolution of their shape'] = (
    {
        **{name: value for name, value in LEARNER.items() if not name.startswith('network.')},
        'network.kind': 'torch',
        'network.factory': 'convolutional',
        'network.options.channels': [2, 3],
        'network.options.kernels': [4, 3],
        'network.options.strides': [4, 2],
        'network.options.hidden_size': 8,
        'plasticity.learning_rate': 1e-5,
    },
    {},
    {
        'agent': 'eye',
        'bridge.name': 'camera',
        'bridge.instances': 4,
        'bridge.options.camera.pixels': 16,
        'bridge.options.target.low_m': [0.0, -0.6, 0.0],
        'bridge.options.target.high_m': [0.6, 0.6, 0.001],
        'bridge.options.target.centre_m': [0.0, 0.0, 0.0],
        'bridge.options.target.far_m': 0.65,
        'bridge.options.episode.steps': 20,
        'reward.delivery': 'every_step',
        'stop.steps': 800,
        'resend_period_s': 0.3,
    },
)


def distributed(ros, learner, neuromodulator, environment, folder, timeout_s=60.0):
    """Run three processes to the end of the environment; returns the learner's checkpoint."""
    saving = {'checkpoint.folder': str(folder), 'checkpoint.period_s': 0.0}
    learning = ros.start('learner', {**learner, **saving})
    broadcasting = ros.start('neuromodulator', neuromodulator)
    # As nrl train does: what is said before somebody is found is lost to him.
    probe = ros.probe()
    critic = neuromodulator.get('rpe.baseline') == 'critic'
    hearers, speakers = probe.node.count_subscribers, probe.node.count_publishers

    def found():
        return hearers(names.STATE) >= 1 + critic and hearers(names.REWARD)

    if critic:
        # Without the first state, which is not sent again once the learner has answered, it values
        # others. Who comes later is found at once; who comes at the same time, seconds later.
        probe.until(found, 'learner and neuromodulator')
    acting = ros.start('environment', {**environment, 'autostart': False})
    probe.until(found, 'learner and neuromodulator')
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request(transition=Transition(id=transition))
        answer = probe.call('environment', '~/change_state', ChangeState, request)
        assert answer.success, acting.output
        probe.until(lambda: speakers(names.STATE) and speakers(names.REWARD), 'the environment')
    assert acting.wait(timeout_s) == 0, acting.output
    assert 'no answer' not in acting.output
    learning.interrupt()
    broadcasting.interrupt()
    return last_checkpoint(folder)


@pytest.mark.parametrize('name', RUNS)
def test_same_weights_baselines_and_generators(ros, tmp_path, name):
    learner, neuromodulator, environment = RUNS[name]
    # As in a node: how torch divides a sum between threads shows in its last bits.
    torch.set_num_threads(1)
    expected = Reference(learner, neuromodulator, environment).run()
    assert expected['learning']['windows_learned'] > 20, 'the run must learn, or it proves nothing'
    got = distributed(ros, learner, neuromodulator, environment, tmp_path / 'checkpoints')
    assert same(what_was_learned(got), what_was_learned(expected))
    for counter in ('lost_states', 'late_rpes', 'unknown_window_rpes', 'out_of_order_states'):
        assert got['counters'][counter] == 0


def test_a_killed_run_continues_bit_for_bit(ros, tmp_path):
    """SIGKILL to all three; from the newest pair of checkpoints to the end of the run."""
    environment = {**CARTPOLE, 'bridge.instances': 8, 'stop.steps': 60_000}
    expected = Reference(LEARNER, SCALED, environment).run()
    folder = tmp_path / 'checkpoints'
    saving = {'checkpoint.folder': str(folder), 'checkpoint.keep': 100}
    processes = [
        ros.start('learner', {**LEARNER, **saving, 'checkpoint.period_s': 0.2}),
        ros.start('neuromodulator', SCALED),
        ros.start('environment', {**environment, **saving, 'stop.steps': 0}),
    ]
    probe = ros.probe()
    probe.until(lambda: len(list(folder.glob('environment_pole_*'))) >= 2, 'two pairs')
    for process in processes:
        process.kill()
    number = sorted(folder.glob('environment_pole_*'))[0].stem.rsplit('_', 1)[1]
    [learners] = folder.glob(f'learner_{number}*')
    [environments] = folder.glob(f'environment_pole_{number}*')
    moved = tmp_path / 'start'
    moved.mkdir()
    starts = [shutil.copy(path, moved) for path in (learners, environments)]
    got = distributed(
        ros,
        {**LEARNER, 'checkpoint.load': str(starts[0])},
        {**SCALED, 'load': str(starts[0])},
        {**environment, 'checkpoint.load': str(starts[1])},
        tmp_path / 'resumed',
    )
    assert same(what_was_learned(got), what_was_learned(expected))


def test_composed_in_one_process(ros, tmp_path):
    environment = {**CARTPOLE, 'bridge.instances': 4, 'stop.steps': 4000}
    expected = Reference(LEARNER, SCALED, environment).run()
    folder = tmp_path / 'checkpoints'
    path = tmp_path / 'all.yaml'
    parts = {
        'learner': {**LEARNER, 'checkpoint.folder': str(folder)},
        'neuromodulator': SCALED,
        'environment': environment,
    }
    path.write_text(parameter_file(parts))
    assert ros.start('app', params_file=str(path)).wait() == 0
    assert same(what_was_learned(last_checkpoint(folder)), what_was_learned(expected))
