"""The learning of one arm diverges, in lockstep with all limits of a live one, and is put back."""

from __future__ import annotations

import numpy as np

from nrl_ros.cli import config
from nrl_ros.cli.arm_task import from_nothing
from nrl_ros.experiments.in_process import InProcessRun


def test_an_arm_whose_learning_diverges_acts_by_its_good_weights_and_stays_within_its_limits() -> (
    None
):
    nodes = from_nothing(config.read_config(config.find_config('planar')))
    # As of hardware, with a window that is filled sooner.
    nodes['learner'] |= config.read_config(config.find_config('real', 'arm'))['learner']
    nodes['learner']['guard.episodes'] = 8
    nodes['environment'] |= {'bridge.instances': 1, 'stop.learned.share': 0.0}
    run = InProcessRun(config.resolve_nodes(nodes, (), {}, source='planar'))
    plant, limits = run.environment.plant, run.environment.robot.limits  # type: ignore[attr-defined]
    learner, steps = run.learner, run.steps()
    events: list[str] = []

    def go(count: int) -> None:
        for _ in range(count):
            next(steps)
            events.extend(learner.take_events())
            assert (plant.position >= np.array(limits.position_low)).all()
            assert (plant.position <= np.array(limits.position_high)).all()
            assert (np.abs(plant.velocity) <= np.array(limits.velocity) + 1e-9).all()

    go(2500)
    assert not events
    norm, rate = learner.weight_norm, 300.0 * learner.settings.plasticity.learning_rate
    learner.set_learning_rate(rate)
    for _ in range(4000):
        go(1)
        if events:
            break
        diverged = learner.weight_norm
    assert 'back to the last good weights' in events[0]
    assert diverged > 3.0 * norm > 2.0 * learner.weight_norm
    assert learner.learning_rate == 0.5 * rate
    # It is checked, and learns nothing meanwhile.
    before = learner.weights
    go(100)
    for one, other in zip(before, learner.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    run.close()
