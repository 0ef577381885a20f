#!/usr/bin/env python3
"""One step of the bridges 'acrobot' and 'cartpole' beside the bridge 'gymnasium' for the same task.

    .venv/bin/python benchmarks/bridges.py

Actions are drawn at random, starts of new episodes included. Both bridges take turns within one
run, so that the ratio does not depend on what the machine does meanwhile. The rows of the table in
docs/bridges.md are this one's.
"""

from __future__ import annotations

import time

import numpy as np

from nrl_ros.environments.interfaces import Environment
from nrl_ros.environments.registry import make_bridge

INSTANCES = (1, 16, 64, 256)
TASKS = {'acrobot': 'Acrobot-v1', 'cartpole': 'CartPole-v1'}
_TURNS = 7
_TURN_S = 0.1


def turn(bridge: Environment) -> float:
    """Time of a step [us], over a turn."""
    shape = (64, bridge.spec.instances, 1)
    actions = np.random.default_rng(0).integers(0, bridge.spec.action.sizes, shape, np.int32)
    start = time.perf_counter()
    passed, steps = 0.0, 0
    while passed < _TURN_S:
        bridge.step(actions[steps % len(actions)])
        steps += 1
        passed = time.perf_counter() - start
    return passed / steps * 1e6


def compare(name: str, instances: int) -> tuple[float, float]:
    """Gymnasium's time and ours [us], each the median of its turns."""
    bridges = (
        make_bridge('gymnasium', instances, {'id': TASKS[name]}),
        make_bridge(name, instances, {}),
    )
    for bridge in bridges:
        bridge.reset(0)
    times = np.array([[turn(bridge) for bridge in bridges] for _ in range(_TURNS)])
    for bridge in bridges:
        bridge.close()
    theirs, ours = np.median(times, axis=0).tolist()
    return theirs, ours


def main() -> None:
    """Run and report."""
    for instances in INSTANCES:
        cells = [f'{value:.0f}' for name in TASKS for value in compare(name, instances)]
        print(f'| {instances} | {" | ".join(cells)} |')


if __name__ == '__main__':
    main()
