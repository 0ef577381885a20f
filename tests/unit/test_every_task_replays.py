"""A recording of each task, and of each kind of network and rule, gives the run's weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('mcap')
pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')
pytest.importorskip('gymnasium')

from nrl_ros.base.config_files import find_config
from nrl_ros.cli.replay import replay
from nrl_ros.settings.run import check
from scripts.golden_cases import VARIANTS, Case, cases
from scripts.golden_runs import rule_names, settings_by_node
from tests.unit.recorded_run import RecordedRun

STEPS = 40
# A description of one's own names its model; any arm will do that reaches its targets.
_MODELS = {'generic': {'environment.bridge.options.robot': 'ur5e'}}
_NAMES = [path.stem for path in find_config('reaching').parent.glob('*.yaml')]
EVERY: dict[str, Case] = cases(sorted(_NAMES), rule_names())
_GYMNASIUM: dict[str, Any] = {
    'environment.bridge.name': 'gymnasium',
    'environment.bridge.instances': 2,
    'environment.bridge.options.id': 'Pendulum-v1',
}
EVERY['continuous actions of Gymnasium'] = Case('reaching', _GYMNASIUM)


def test_every_shipped_task_is_among_them() -> None:
    assert {f'task {name}' for name in _NAMES} <= set(EVERY) and set(VARIANTS) <= set(EVERY)


@pytest.mark.parametrize('name', EVERY)
def test_a_recording_has_the_weights_of_the_run(tmp_path: Path, name: str) -> None:
    case = EVERY[name]
    if case.task == 'camera' and importlib.util.find_spec('torch') is None:
        pytest.skip('the camera has a network of torch')
    nodes = check(settings_by_node(case, _MODELS.get(case.task)), source=name)
    run = RecordedRun(tmp_path, nodes=nodes)
    before = [layer.tobytes() for layer in run.core.weights]
    run.steps(STEPS, save=1).steps(STEPS, save=2)
    run.bridge.close()
    done = replay(run.write())
    (life,) = done.lives
    assert done.exact, life.result.lines()
    assert [one.equal for one in life.result.compared] == [True, True]
    assert (life.result.actions, life.result.missing_actions) == (2 * STEPS, 0)
    assert life.replayer is not None
    after = [layer.tobytes() for layer in life.replayer.learner.weights]
    assert after == [layer.tobytes() for layer in run.core.weights]
    # They were learned, except by the one rule that learns nothing.
    assert (after == before) == (name == 'rule random')
