"""Check of what every bridge promises, to be run on one's own bridge.

from nrl_ros.environments.contract import check_bridge
check_bridge('my_robot', instances=3, options={'port': 1})
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import BridgeError
from nrl_ros.base.records import ActionSpace, StepResult
from nrl_ros.environments.interfaces import Environment, Snapshottable
from nrl_ros.environments.registry import make_bridge

Array = NDArray[Any]


def check_bridge(
    name: str, *, instances: int = 2, options: Mapping[str, Any] | None = None, steps: int = 200
) -> None:
    """Make a bridge, step it with random actions, and check that it keeps its promises.

    Five things are checked: shapes, types and finiteness of all arrays; an instance whose episode
    ended starts anew with reward 0 and no flags at the next step; a seed fixes what happens; and a
    bridge that can be saved continues bit for bit.

    Args:
        name: as ``make_bridge`` takes it.
        instances: B.
        options: the bridge's own.
        steps: how many.

    Raises:
        BridgeError: naming the step and what was received and expected.
    """
    given = dict(options or {})
    first = make_bridge(name, instances, given)
    second = make_bridge(name, instances, given)
    try:
        seen = _walk(first, steps, seed=1)
        _same(seen, _walk(second, steps, seed=1), 'with the same seed')
        if isinstance(first, Snapshottable) and isinstance(second, Snapshottable):
            second.reset(7)
            second.restore(first.snapshot())
            actions = _actions(first.spec.action, instances, steps, seed=2)
            ended = np.array(_ended(seen[-1]))
            ahead = [_step(first, action, ended, at) for at, action in enumerate(actions)]
            again = [second.step(action) for action in actions]
            _same(ahead, again, 'after its snapshot')
        for bridge in (first, first):
            bridge.close()
    finally:
        second.close()


def _walk(bridge: Environment, steps: int, *, seed: int) -> list[StepResult]:
    shape = (bridge.spec.instances, bridge.spec.observation_size)
    observation = bridge.reset(seed)
    _expect(observation, shape, bridge.spec.observation_format.dtype, 'the first observation')
    ended = np.zeros(shape[0], np.bool_)
    actions = _actions(bridge.spec.action, shape[0], steps, seed=seed)
    return [_step(bridge, action, ended, at) for at, action in enumerate(actions)]


def _step(bridge: Environment, action: Array, ended: Array, at: int) -> StepResult:
    """Make and check one step; ``ended`` holds which instances have ended, and is updated."""
    size = bridge.spec.instances
    result = bridge.step(action)
    shape, kind = (size, bridge.spec.observation_size), bridge.spec.observation_format.dtype
    _expect(result.observation, shape, kind, f'observation {at}')
    _expect(result.reward, (size,), np.float64, f'reward {at}')
    for name in ('terminated', 'truncated', 'aborted'):
        _expect(getattr(result, name), (size,), np.bool_, f'{name} {at}')
    if result.metrics is not None:
        figures = (size, len(bridge.spec.metrics))
        _expect(result.metrics, figures, np.float64, f'metrics {at}')
    now = _ended(result)
    wrong = np.flatnonzero(ended & (now | (result.reward != 0.0)))
    if len(wrong):
        raise BridgeError(
            f'step {at}: instance {int(wrong[0])} had ended, so this step must only start it anew; '
            f'received reward {result.reward[wrong[0]]} and ended {bool(now[wrong[0]])}, '
            'expected 0 and false'
        )
    ended[:] = now
    # A bridge may reuse its arrays, so copies are kept.
    kept: dict[str, Any] = {
        name: None if part is None else np.array(part) for name, part in vars(result).items()
    }
    return StepResult(**kept)


def _ended(result: StepResult) -> Array:
    ended: Array = result.terminated | result.truncated | result.aborted
    return ended


def _expect(value: Any, shape: tuple[int, ...], dtype: Any, what: str) -> None:
    received = (getattr(value, 'shape', None), getattr(value, 'dtype', type(value)))
    if received != (shape, np.dtype(dtype)):
        raise BridgeError(f'{what}: expected {np.dtype(dtype)} {shape}, received {received}')
    if np.dtype(dtype).kind == 'f' and not np.isfinite(value).all():
        raise BridgeError(f'{what}: expected finite numbers, received {value.tolist()}')


def _same(one: list[StepResult], two: list[StepResult], when: str) -> None:
    for at, (left, right) in enumerate(zip(one, two, strict=True)):
        for name, value in vars(left).items():
            if not np.array_equal(value, getattr(right, name)):
                raise BridgeError(
                    f'{name} {at} {when}: received {getattr(right, name).tolist()}, '
                    f'expected {value.tolist()} as before'
                )


def _actions(space: ActionSpace, instances: int, steps: int, *, seed: int) -> list[Array]:
    random = np.random.default_rng(seed)
    shape = (steps, instances, space.components)
    if space.low:
        return list(random.uniform(space.low, space.high, shape).astype(np.float32))
    return list(random.integers(0, space.sizes, shape, dtype=np.int32))
