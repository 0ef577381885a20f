"""`nrl export`: writes the policy of a run as a bundle, and checks it against the learner."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError, NrlError
from nrl_ros.base.installed import versions_of
from nrl_ros.base.records import ObservationFormat
from nrl_ros.bundles.manifest import (
    ActionManifest,
    GraphManifest,
    ObservationManifest,
    PolicyManifest,
    digest,
    write_manifest,
)
from nrl_ros.cli.config import RunSettings, resolve
from nrl_ros.cli.runs import Run, newest, open_run
from nrl_ros.environments.faults import closing
from nrl_ros.environments.registry import make_bridge
from nrl_ros.experiments.policy import CallablePolicy
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.policy import Policy
from nrl_ros.storage.checkpoint import read_checkpoint

Array = NDArray[Any]

# Observations on which graph and learner are compared, and how far actions may differ [1].
_CHECKED = 1000
_TOLERANCE = 1e-5
# Share of the observations on which rounding may decide.
_BY_ROUNDING = 0.002
_FILES = {'onnx': 'policy.onnx', 'torchscript': 'policy.pt', 'nir': 'policy.nir'}
TASK_FILE = 'task.yaml'


def export(
    folder: Path, out: Path | None, form: str, *, best: bool, force: bool = False
) -> tuple[Path, float]:
    """Write a bundle.

    Args:
        folder: of the run.
        out: of the bundle; None: ``policy`` in the run's folder.
        form: of the graph, onnx, torchscript or nir.
        best: take the best checkpoint instead of the newest.
        force: replace a bundle that is there.

    Returns:
        The folder, and the largest difference between an action of graph and learner.

    Raises:
        NrlError: there is no checkpoint, the folder is in use, or the policy cannot be exported.
    """
    run = open_run(folder)
    settings = resolve(run.config)
    file = run.best_checkpoint() if best else newest(run, settings.environment.agent).learner
    snapshot = read_checkpoint(file, 'learner')
    learned = CallablePolicy(settings.learner, snapshot)
    policy = _policy_of(settings, snapshot)
    target = run.folder / 'policy' if out is None else out
    _make_room(target, force=force)
    scratch = target.with_name(f'{target.name}.writing')
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        content = _graph(policy, form)
        (scratch / _FILES[form]).write_bytes(content)
        write_manifest(_manifest(run, settings, policy, form, content), scratch)
        shutil.copyfile(run.config, scratch / TASK_FILE)
        difference = _difference(scratch, policy, learned, form)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    if difference > _TOLERANCE:
        shutil.rmtree(scratch)
        raise NrlError(
            f'the graph gives other actions than the learner: {difference:.2g} apart, expected at '
            f'most {_TOLERANCE:g}; nothing was written; please report it with the run folder'
        )
    shutil.rmtree(target, ignore_errors=True)
    scratch.replace(target)
    return target, difference


def _make_room(target: Path, *, force: bool) -> None:
    if target.exists() and not (target / 'manifest.yaml').is_file() and any(target.iterdir()):
        raise ConfigError(f'{target}: is there and is no bundle, expected another folder')
    if target.exists() and not force:
        raise ConfigError(f'{target}: is there already; give --force, or another folder by --out')


def _policy_of(settings: RunSettings, snapshot: dict[str, Any]) -> Policy:
    """Return the policy as it acts without noise, by averaged weights where there are some."""
    learner = Learner(settings.learner)
    learner.restore(snapshot)
    policy = learner.roster.policy
    assert policy is not None  # the policy to compare with was made of the same snapshot
    averaged = policy.network.averaged
    return policy if averaged is None else replace(policy, network=averaged)


def _graph(policy: Policy, form: str) -> bytes:
    if form == 'onnx':
        try:
            from nrl_ros.bundles.onnx_graph import policy_graph
        except ImportError as error:
            raise ConfigError(
                f'onnx is not installed ({error}): python -m pip install "nrl_ros[export]"'
            ) from error
        content: bytes = policy_graph(policy).SerializeToString()
        return content
    if form == 'nir':
        from nrl_ros.bundles.nir_graph import nir_file

        return nir_file(policy)
    from nrl_ros.bundles.torchscript import policy_script

    return policy_script(policy)


def _manifest(
    run: Run, settings: RunSettings, policy: Policy, form: str, content: bytes
) -> PolicyManifest:
    summary = run.read_summary()
    memory = policy.network.memory_size > 0
    names: dict[str, Any] = {'memory': 'memory', 'new_memory': 'new_memory'} if memory else {}
    if form == 'nir':
        names = {'observation': 'input', 'action': 'output', 'scaled': False}
    trained = {
        name: summary[name]
        for name in ('task', 'steps', 'episodes', 'updates', 'greedy', 'exploring', 'ended')
        if name in summary
    }
    return PolicyManifest(
        task=settings.environment.agent,
        observation=ObservationManifest(
            size=policy.network.spec.inputs,
            format=str(policy.network.observation_format.dtype),
            meaning=tuple(policy.manifest.splitlines()),
        ),
        action=ActionManifest.of(policy.space),
        control_period_s=_period_s(settings),
        graph=GraphManifest(file=_FILES[form], sha256=digest(content), **names),
        trained=yaml.safe_load(yaml.safe_dump(trained)),
        versions={name: str(value) for name, value in versions_of(('nrl_ros', 'numpy')).items()},
    )


def _period_s(settings: RunSettings) -> float:
    """Return the time between two actions as the environment states it [s]; 0 if it has none."""
    bridge = settings.environment.bridge
    with closing(make_bridge(bridge.name, 1, dict(bridge.options))) as environment:
        period_s: float = environment.spec.control_period_s
        return period_s


def _difference(folder: Path, policy: Policy, learned: CallablePolicy, form: str) -> float:
    """Return the largest difference of an action on observations of the size that was learned on.

    Raises:
        NrlError: the bundle cannot be played.
    """
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((_CHECKED, policy.network.spec.inputs)) * 2.0
    if policy.moments is not None and policy.moments.state.mean is not None:
        rows = rows * policy.moments.deviation + policy.moments.state.mean
    if policy.network.observation_format == ObservationFormat.UINT8:
        rows = generator.integers(0, 256, rows.shape).astype(np.float64)
    rows = rows.astype(np.float32)
    expected = learned(rows)
    if form == 'onnx':
        from nrl_ros.bundles.onnx_policy import OnnxPolicy

        played = OnnxPolicy(folder)
        received, _ = played.act(rows, played.new_memory(_CHECKED))
    elif form == 'nir':
        from nrl_ros.bundles.nir_graph import run_nir

        received = run_nir(folder / _FILES[form], rows, policy.space)
    else:
        from nrl_ros.bundles.torchscript import run_script

        received = run_script(folder / _FILES[form], rows, policy.network.memory_size)
    apart = np.abs(received - expected).max(axis=1).astype(np.float64)
    if not policy.space.low or policy.network.spec.neuron == 'spiking':
        # Of a choice between two equal outputs, and of a spike at the threshold, rounding decides.
        apart = np.sort(apart)[: round(len(apart) * (1.0 - _BY_ROUNDING))]
    return float(apart.max())
