"""A run on a device that was stopped goes on as if it had not been, open windows included."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from nrl_ros.base.errors import CheckpointError
from nrl_ros.base.torch_arrays import TorchArrays
from nrl_ros.cli.config import find_config, resolve
from nrl_ros.cli.options import TrainOptions
from nrl_ros.cli.runs import OF_DEVICE, Run, newest, saved_states
from nrl_ros.cli.train_device import train_on_device
from nrl_ros.environments.device import make_on_device
from nrl_ros.experiments.on_device import DeviceOptions, DeviceRun
from nrl_ros.storage.checkpoint import read_checkpoint
from tests.unit.test_device_loop import UR5E

CARTPOLE = ('environment.bridge.instances=24', 'learner.checkpoint.period_s=0')
CASES: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    'episodes': ('cartpole', CARTPOLE, {}),
    'adam, averaged, three steps': (
        'cartpole',
        (*CARTPOLE, 'learner.plasticity.optimiser=adam', 'learner.plasticity.averaging=50',
         'environment.reward.delivery=every_n_steps', 'environment.reward.steps=7',
         'learner.noise.sigma_decay=500'),
        {'update_every': 3},
    ),
    'arms': ('ur5e', ('environment.bridge.instances=16', 'learner.checkpoint.period_s=0'), {}),
}  # fmt: skip


def train(overrides: tuple[str, ...] = (), **options: Any) -> tuple[Run, str]:
    """Train as the command does; return the folder, and what was said."""
    said = io.StringIO()
    given = TrainOptions(
        device='cpu', episodes=0, untrained=False, overrides=overrides, quiet=True, **options
    )
    assert train_on_device(given, Console(file=said, width=500)) == 0
    return Run(options.get('out') or options['resume']), said.getvalue()


def state_of(run: Run, agent: str) -> tuple[dict[str, Any], dict[str, Any]]:
    saved = newest(run, agent, exact=True, kind=OF_DEVICE)
    assert saved.environment is not None
    learner = read_checkpoint(saved.learner, 'learner')
    return learner, read_checkpoint(saved.environment, OF_DEVICE)


def differences(one: Any, other: Any, path: str = '') -> list[str]:
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        return [d for name in one for d in differences(one[name], other[name], f'{path}.{name}')]
    if isinstance(one, list):
        assert len(one) == len(other), path
        pairs = enumerate(zip(one, other, strict=True))
        return [d for at, (a, b) in pairs for d in differences(a, b, f'{path}.{at}')]
    return [] if np.array_equal(one, other) else [path]


@pytest.mark.parametrize('case', CASES)
def test_a_run_that_was_stopped_has_the_bits_of_one_that_was_not(case: str, tmp_path: Path) -> None:
    task, overrides, more = CASES[case]
    whole, _ = train(overrides, task=task, steps=3_000, out=tmp_path / 'whole', **more)
    first, _ = train(overrides, task=task, steps=1_300, out=tmp_path / 'parts', **more)
    before, saved = state_of(first, task)
    # Something is open: the states of the traces or of the windows are not those of a beginning.
    assert any(np.any(part) for name, part in saved['learning'].items() if 'window' in name)
    parts, said = train(resume=tmp_path / 'parts', steps=3_000, **more)
    assert 'start anew' not in said
    (learner, loop), (expected, whole_loop) = state_of(parts, task), state_of(whole, task)
    learner.pop('number'), expected.pop('number')
    assert differences(learner, expected) == [] and differences(loop, whole_loop) == []
    assert differences(before['network'], expected['network']) != []
    summary, of_whole = parts.read_summary(), whole.read_summary()
    assert summary['resumed_from'] == 1 and of_whole['resumed_from'] is None
    for name in ('steps', 'episodes'):
        assert summary[name] == of_whole[name]
    assert summary['device']['counts'] == of_whole['device']['counts']
    # Every episode is told once.
    assert len(parts.metrics.read_text().splitlines()) == summary['episodes'] + 1


def test_without_its_state_the_episodes_begin_anew_and_that_is_said(tmp_path: Path) -> None:
    run, _ = train(CARTPOLE, task='cartpole', steps=1_000, out=tmp_path / 'run')
    for file in run.checkpoints.glob('device_*'):
        file.unlink()
    run, said = train(resume=tmp_path / 'run', steps=2_000)
    assert 'its episodes start anew, learning goes on' in said
    assert 2_000 <= run.read_summary()['steps'] < 2_024


def test_another_size_is_one_line_and_leaves_the_run_as_it_was(tmp_path: Path) -> None:
    run, _ = train(CARTPOLE, task='cartpole', steps=1_000, out=tmp_path / 'run')
    saved = saved_states(run, 'cartpole', OF_DEVICE)
    with pytest.raises(
        CheckpointError, match=r'environment.motion: expected \(4, 8, .* \(4, 24'
    ) as e:
        train(resume=tmp_path / 'run', steps=2_000, instances=8)
    assert '\n' not in str(e.value) and saved_states(run, 'cartpole', OF_DEVICE) == saved


def test_a_run_of_another_device_begins_new_episodes() -> None:
    said: list[str] = []
    wanted = {'environment': {'bridge.instances': 4}, 'learner': {}, 'neuromodulator': {}}
    run = DeviceRun(resolve(find_config('cartpole'), (), wanted), DeviceOptions(), said.append)
    run.resume({'form': 'cuda, compiled'}, 777)
    assert said == [
        'the run was saved on cuda, compiled and goes on on cpu: its episodes start anew, '
        'learning goes on'
    ]
    assert run.total_steps == 777


def test_arms_in_tensors_continue_from_their_snapshot() -> None:
    def arms() -> Any:
        return make_on_device('arm', 6, TorchArrays('cpu', torch.float32, traced=True), UR5E)

    generator = torch.Generator().manual_seed(1)
    first, other, over = arms(), arms(), torch.zeros(6, dtype=torch.bool)
    first.begin(generator)
    other.begin(torch.Generator().manual_seed(2))
    for step in range(40):
        if step == 12:
            other.restore(first.snapshot())
        action = torch.randn(6, 6, generator=generator)
        first.draw(generator)
        other.picks.copy_(first.picks)
        one, two = first.step(action, over), other.step(action, over)
        if step >= 12:
            for name in ('observation', 'reward', 'truncated', 'figures'):
                assert torch.equal(getattr(one, name), getattr(two, name)), (step, name)
        over = one.terminated | one.truncated
    with pytest.raises(CheckpointError, match='with other settings, or with --compile'):
        make_on_device('arm', 6, TorchArrays('cpu', torch.float32), UR5E).restore(first.snapshot())
