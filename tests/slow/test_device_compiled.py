"""Steps on a device as one graph, which a GPU records and repeats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from nrl_ros.cli.config import find_config, resolve
from nrl_ros.experiments.on_device import DeviceOptions, DeviceRun


@pytest.mark.parametrize('task', ['cartpole', 'ur5e'])
def test_a_step_and_an_update_are_one_graph_without_a_decision_on_the_host(task: str) -> None:
    wanted = {'environment': {'bridge.instances': 8}, 'learner': {}, 'neuromodulator': {}}
    run = DeviceRun(resolve(find_config(task), (), wanted), DeviceOptions(compiled=True), print)
    loop = run.learning
    called: list[str] = []

    def noted(graph: torch.fx.GraphModule, _: list[torch.Tensor]) -> Callable[..., Any]:
        called.extend(str(node.target) for node in graph.graph.nodes)
        return graph.forward

    with torch.no_grad():
        loop.begin()
        # What is made once, such as rows of the kinematics, is made by the first step.
        loop.draw()
        loop.step()
        loop.update()
        for part in (loop.step, loop.update):
            loop.draw()
            # fullgraph fails where Python would have to decide something in between.
            torch.compile(part, backend=noted, fullgraph=True)()
    assert int(loop.counts['steps']) == 16
    # Such a product is a call of its own, around which nothing is fused.
    assert not [name for name in called if 'einsum' in name or 'bmm' in name]
