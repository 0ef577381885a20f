"""Traces that are learned again from a recording are those of the learner that was recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

pytest.importorskip('pyarrow')
pytest.importorskip('mcap')
pytest.importorskip('rclpy')

from pyarrow import parquet

from nrl_ros.base.records import Delivery, RpeBatch
from nrl_ros.cli.main import app
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.registry import make_bridge
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.snapshots import weights_digest
from nrl_ros.learning.tracing import StepTraces, Tracer
from nrl_ros.nodes.learner_order import OrderNotes
from nrl_ros.ros import conversion, names
from nrl_ros.ros.interfaces import LearnerOrder
from nrl_ros.settings.learner import LearnerNodeSettings
from tests.unit.test_recorded_tables import TYPES, Recorder

TYPES |= {names.LEARNER_ORDER: 'LearnerOrder', names.LEARNER_START: 'LearnerStart'}
SETTINGS = LearnerNodeSettings.model_validate(
    {'network': {'hidden_sizes': [6]}, 'plasticity': {'samples': 2, 'learning_rate': 0.05}}
)


class Node:
    """Stands for the learner's node: what it publishes is recorded at once."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def now_ns(self) -> int:
        return self._recorder.now_ns

    def publisher(self, _kind: Any, topic: str, _qos: Any) -> Any:
        recorder = self._recorder

        class Publisher:
            def publish(self, message: Any) -> None:
                recorder.write(topic, message)

            def get_subscription_count(self) -> int:
                return 1

        return Publisher()


def run(folder: Path, steps: int) -> tuple[Learner, list[StepTraces]]:
    """Record a run of CartPole in one process, as nodes would; return its learner's own traces."""
    recorder = Recorder(folder)
    learner = Learner(SETTINGS, SETTINGS.limits)
    node: Any = Node(recorder)
    notes = OrderNotes(node, learner.identity)
    notes.begin(yaml.safe_dump(SETTINGS.model_dump(mode='json')), '', keep_settings=False)
    episodes = Episodes(
        make_bridge('cartpole', 4, {}),
        agent='pole',
        session=7,
        lockstep=True,
        delivery=Delivery.EVERY_STEP,
    )
    recorder.write(names.ENV_INFO, conversion.info_to_msg(episodes.info, 0))
    notes.info(episodes.info)
    learner.roster.introduce(episodes.info)
    tracer, found, state = Tracer(learner, (3, 1)), [], episodes.begin(3)
    rewards = None
    for number in range(steps):
        recorder.write(names.STATE, conversion.state_to_wire(state), after_ms=1.0)
        notes.state(state)
        learner.observe(state)
        if rewards is not None:
            rpes = RpeBatch(
                **{k: v for k, v in vars(rewards).items() if k != 'value'},
                reward=rewards.value,
                baseline=rewards.value,
                rpe=np.random.default_rng(number).normal(size=len(rewards.value)),
            )
            recorder.write(names.NEUROMODULATION, conversion.rpe_to_wire(rpes))
            notes.rpe(rpes)
            learner.reinforce(rpes)
        action = learner.act('pole')
        found += tracer.look()
        recorder.write(names.ACTION, conversion.action_to_wire(action), after_ms=1.0)
        advance = episodes.advance(action.action)
        rewards, state = advance.reward, advance.state
    digest = weights_digest(learner.snapshot())
    notes.note(LearnerOrder.KIND_SAVED, text='learner_00000001.nrl', detail=digest)
    notes.publish()
    recorder.writer.close({})
    return learner, found


def test_traces_of_a_recording_are_those_of_its_learner(tmp_path: Path) -> None:
    learner, expected = run(tmp_path / 'rec', 60)
    assert learner.updates > 40
    command = ['convert', str(tmp_path / 'rec'), '--traces', '3,1', '--weights-every', '20']
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0, told.output
    assert 'not those of the run' not in told.output
    tables = tmp_path / 'rec/tables'
    found = parquet.read_table(tables / 'traces.parquet').to_pydict()
    assert found['instance'] == [3, 1] * 60
    assert found['sequence'] == [one.sequence for one in expected for _ in range(2)]
    for at in range(2):
        impacts = np.concatenate([one.impact[:, at] for one in expected])
        np.testing.assert_array_equal(found[f'impact_{at}'], impacts)
        norms = np.concatenate([one.eligibility_norm[:, at] for one in expected])
        np.testing.assert_array_equal(found[f'eligibility_norm_{at}'], norms)
    noise = np.concatenate([one.noise.reshape(2, -1) for one in expected])
    np.testing.assert_array_equal(np.array(found['noise']), noise)
    steps = parquet.read_table(tables / 'steps.parquet').to_pydict()
    keys = ('sequence', 'instance', 'episode', 'step', 'window')
    rows, others = (
        set(zip(*(table[key] for key in keys), strict=True)) for table in (found, steps)
    )
    assert len(rows) == 120 and rows <= others, 'each belongs to a row of the steps'
    weights = np.load(tables / 'weights.npz')
    assert weights['updates'].tolist()[0] == 0 and (np.diff(weights['updates']) >= 20).all()
    assert weights['layer_0'].shape == (len(weights['updates']), *learner.weights[0].shape)


def test_instances_that_there_are_not_are_refused(tmp_path: Path) -> None:
    run(tmp_path / 'rec', 5)
    told = CliRunner().invoke(app, ['convert', str(tmp_path / 'rec'), '--traces', '7'])
    assert told.exit_code == 2 and "'pole' has the instances 0 to 3, received 7" in told.output
    told = CliRunner().invoke(app, ['convert', str(tmp_path / 'rec'), '--traces', 'some'])
    assert told.exit_code == 2 and 'expected all, or instances as in 0,3' in told.output
