"""Many simulated arms on a device, with the limits and the task of a real one.

What is steps' own work is done for all arms alike, so that it can be compiled or recorded. On the
processor without compilation the arms of ``arm.py`` step instead: their numpy does what few arms
need for few arms alone (docs/device.md has the figures). Both compute by one text.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from nrl_ros.base.errors import CheckpointError, ConfigError
from nrl_ros.base.torch_arrays import TorchArrays, put_tensors, tensors_data
from nrl_ros.environments.device import DeviceEnvironment, DeviceStep
from nrl_ros.robots.arm.description import read_robot
from nrl_ros.robots.arm.device_motion import DeviceMotionFilter
from nrl_ros.robots.arm.enclosing import EnclosingGuard
from nrl_ros.robots.arm.episode import RADII, ReachEpisodes
from nrl_ros.robots.arm.plant import servo_share, servo_step
from nrl_ros.robots.arm.robot import Robot, load_robot
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.robots.arm.targets import Targets
from nrl_ros.robots.arm.task import distance_to
from nrl_ros.robots.arm.variation import is_varied
from nrl_ros.robots.safety.braking import Limited
from nrl_ros.robots.safety.limits import Guard
from sim_bridge.arm import ArmBridge, draw_starts

Tensor = torch.Tensor

# Starts and targets that are drawn before the first step, from which episodes take theirs.
_POOL = 16384
# Of these limits is counted how many steps they changed.
_COUNTED = (Limited.VELOCITY, Limited.ACCELERATION, Limited.POSITION, Limited.WORKSPACE)


class LimitCounts:
    """How many steps of arms each limit changed.

    Args:
        device: of the sums.

    Attributes:
        sums: by the name of the limit, int64.
    """

    def __init__(self, device: torch.device) -> None:
        self.sums = {
            f'limited_by_{limit.name.lower()}': torch.zeros((), dtype=torch.int64, device=device)
            for limit in _COUNTED
            if limit.name
        }

    def add(self, limited: Tensor, went: Tensor) -> None:
        """Count a step.

        Args:
            limited: uint8 [B], of Limited.
            went: arms that made a step, bool [B].
        """
        for limit, total in zip(_COUNTED, self.sums.values(), strict=True):
            total.add_((((limited & int(limit)) > 0) & went).sum())


class HostArms:
    """B arms of ``ArmBridge``, whose arrays share their memory with tensors.

    Args:
        instances: B.
        options: of the bridge.

    Attributes:
        spec: as that of the bridge.
        counts: as ``LimitCounts`` has them.
    """

    def __init__(self, instances: int, options: ReachSettings) -> None:
        self._bridge = ArmBridge(instances, options)
        self.spec = self._bridge.spec
        self._limits = LimitCounts(torch.device('cpu'))
        self.counts = self._limits.sums

    def begin(self, generator: torch.Generator) -> Tensor:
        """Begin an episode in every arm, with a seed that the generator gives."""
        seed = int(torch.randint(2**31, (), generator=generator))
        return torch.from_numpy(self._bridge.reset(seed))

    def draw(self, generator: torch.Generator) -> None:
        """Do nothing: the arms have generators of their own."""

    def step(self, action: Tensor, over: Tensor) -> DeviceStep:
        """Apply one action for each arm."""
        result = self._bridge.step(action.numpy())
        self._limits.add(torch.from_numpy(self._bridge.limited), ~over)
        figures = None if result.metrics is None else torch.from_numpy(result.metrics)
        return DeviceStep(
            torch.from_numpy(result.observation),
            torch.from_numpy(result.reward),
            torch.from_numpy(np.asarray(result.terminated)),
            torch.from_numpy(np.asarray(result.truncated)),
            figures,
        )

    def snapshot(self) -> dict[str, Any]:
        """Return the state of the bridge, and the counts."""
        return {'bridge': self._bridge.snapshot(), 'counts': tensors_data(self.counts)}

    def restore(self, saved: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        if saved.keys() != {'bridge', 'counts'}:
            raise CheckpointError(
                f'environment: expected bridge, counts, received {", ".join(saved)}; it was saved '
                'with other settings, or with --compile'
            )
        self._bridge.restore(saved['bridge'])
        put_tensors(self.counts, saved['counts'], 'environment')


class DeviceArms:
    """B arms in tensors that stay the same ones.

    Args:
        instances: B.
        arrays: of the device.
        options: of the bridge.

    Attributes:
        spec: as that of the bridge.
        counts: as ``LimitCounts`` has them.
        state: what decides the future of the arms, by name.
        pools: starts [S, J], and targets [S, 3].
        picks: places in the pools that the next episodes take, [B] each.

    Raises:
        ConfigError: a setting has no form for a device.
    """

    def __init__(self, instances: int, arrays: TorchArrays, options: ReachSettings) -> None:
        _check(options)
        robot = load_robot(options.robot)
        episodes = ReachEpisodes(robot, options, instances)
        self.spec, self._options = episodes.spec, options
        self._arrays = do = TorchArrays(arrays.device, torch.float64, traced=arrays.traced)
        guard: Guard | None = EnclosingGuard(robot) if options.simulation.guard else None
        self._host_guard, self._robot, self._targets = guard, robot, episodes.state.targets
        self._task, self._chain = episodes.task.on(do), robot.chain.on(do)
        limits, period = robot.limits, robot.period_s
        if isinstance(guard, EnclosingGuard):
            guard = guard.on(do)
        self._filter = DeviceMotionFilter(limits, period, arms=instances, guard=guard, arrays=do)
        self._range = do.array(robot.model.position_low), do.array(robot.model.position_high)
        self._times = servo_share(period, options.simulation.time_constant_s), period
        self._radii = do.array(np.array(RADII) * options.episode.success_radius_m)
        joints, device = self._task.joints, do.device
        self.state = {
            'position': do.zeros((instances, joints)),
            'velocity': do.zeros((instances, joints)),
            'wanted': do.zeros((instances, joints)),
            'target': do.zeros((instances, 3)),
            'distance': do.zeros(instances),
            'nearest': do.zeros(instances),
            'strayed': do.zeros(instances),
            'steps': torch.zeros(instances, dtype=torch.int64, device=device),
            'episode': torch.zeros(instances, dtype=torch.int64, device=device),
        }
        self._limits = LimitCounts(device)
        self.counts = self._limits.sums
        self.pools: tuple[Tensor, Tensor] = do.zeros((1, joints)), do.zeros((1, 3))
        self.picks = torch.zeros(2, instances, dtype=torch.int64, device=device)

    def begin(self, generator: torch.Generator) -> Tensor:
        """Begin an episode in every arm, with starts and targets of pools that are drawn now."""
        do, state = self._arrays, self.state
        seed = int(torch.randint(2**31, (), generator=generator, device=do.device))
        self.pools = _pools(self._robot, self._options, self._host_guard, self._targets, seed, do)
        self.draw(generator)
        everyone = state['steps'] == state['steps']
        state['episode'].zero_()
        self._place(everyone)
        tool: Any = self._chain.tool(state['position'])  # type: ignore[arg-type]
        self._aim(everyone, tool)
        return self._observe(tool)

    def draw(self, generator: torch.Generator) -> None:
        """Draw which starts and targets the next episodes take."""
        self.picks.random_(0, len(self.pools[0]), generator=generator)

    def step(self, action: Tensor, over: Tensor) -> DeviceStep:
        """Apply one action for each arm; one whose episode is over begins another one instead."""
        do, state, task = self._arrays, self.state, self._task
        asked: Any = task.wanted_velocity(action)  # type: ignore[arg-type]
        wanted: Any = torch.where(over[:, None], 0.0, asked)
        limited: Any = do.uint8(0)
        for _ in range(self._options.action_every):
            motion: Any = self._filter.follow(wanted)
            limited = limited | motion.limited
            now = state['position'], state['velocity']
            position, velocity = servo_step(now, motion.velocity, self._range, self._times, do)
            state['position'].copy_(position)
            state['velocity'].copy_(velocity)
        self._limits.add(limited, ~over)
        state['episode'].add_(over)
        every = self._options.episode.home_every
        if every:
            self._place(over & (state['episode'] % every == 0))
        tool: Any = self._chain.tool(state['position'])  # type: ignore[arg-type]
        self._aim(over, tool)
        return self._finish(wanted, over, tool)

    def _tensors(self) -> dict[str, Tensor]:
        return {**self.state, **self.counts, **self._filter.tensors()}

    def snapshot(self) -> dict[str, Any]:
        """Return motion, tasks and counts of the arms, and the pools of their episodes."""
        starts, targets = self.pools
        return tensors_data({'starts': starts, 'targets': targets, **self._tensors()})

    def restore(self, saved: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        kept = dict(saved)
        pools = [kept.pop(name, None) for name in ('starts', 'targets')]
        sizes = (self._task.joints, 3)
        for name, pool, size in zip(('starts', 'targets'), pools, sizes, strict=True):
            if pool is None or pool.ndim != 2 or pool.shape[1] != size:
                raise CheckpointError(
                    f'environment.{name}: expected rows of {size} numbers; it was saved with other '
                    'settings, or without --compile'
                )
        put_tensors(self._tensors(), kept, 'environment')
        self.pools = self._arrays.array(pools[0]), self._arrays.array(pools[1])

    def _place(self, which: Tensor) -> None:
        """Put arms to starts of the pool, at rest."""
        state, start = self.state, self.pools[0][self.picks[0]]
        self._filter.begin(start, which)
        state['position'].copy_(torch.where(which[:, None], start, state['position']))
        state['velocity'].mul_(~which[:, None])

    def _aim(self, which: Tensor, tool: Any) -> None:
        """Begin episodes with targets of the pool, where the tools are [B, 3]."""
        state, do = self.state, self._arrays
        target = self.pools[1][self.picks[1]]
        state['target'].copy_(torch.where(which[:, None], target, state['target']))
        distance: Any = distance_to(tool, state['target'], do)  # type: ignore[arg-type]
        strayed: Any = self._task.strayed(state['position'])  # type: ignore[arg-type]
        for name, value in (('distance', distance), ('nearest', distance), ('strayed', strayed)):
            state[name].copy_(torch.where(which, value, state[name]))
        state['wanted'].mul_(~which[:, None])
        state['steps'].mul_(~which)

    def _finish(self, wanted: Any, over: Tensor, tool: Any) -> DeviceStep:
        """Return the result of a step, and count it; as ``ReachEpisodes.finish``."""
        state, went, task = self.state, ~over, self._task
        distance: Any = distance_to(tool, state['target'], self._arrays)  # type: ignore[arg-type]
        state['steps'].add_(went)
        late = (state['steps'] >= self._options.episode.steps) & went
        there: Any = torch.zeros_like(late)
        if self._options.episode.terminate_at_target:
            there = task.at_target(distance) & went
        given = state['distance'], distance, wanted, state['wanted'], late | there
        strayed: Any = task.strayed(state['position'])  # type: ignore[arg-type]
        reward: Any = task.reward(*given)  # type: ignore[arg-type]
        reward = reward - self._options.reward.home_cost * (strayed - state['strayed'])
        for name, value in (('distance', distance), ('strayed', strayed)):
            state[name].copy_(value)
        state['nearest'].copy_(torch.minimum(state['nearest'], distance))
        state['wanted'].copy_(wanted * went[:, None])
        within = (distance[:, None] < self._radii).to(distance.dtype)
        figures = torch.cat([distance[:, None], state['nearest'][:, None], within], 1)
        paid = torch.where(went, reward, 0.0)
        return DeviceStep(self._observe(tool), paid, there, late & ~there, figures)

    def _observe(self, tool: Any) -> Tensor:
        state: Any = self.state
        seen: Any = self._task.observe(state['position'], state['velocity'], tool, state['target'])
        return seen  # type: ignore[no-any-return]


def _check(options: ReachSettings) -> None:
    """Refuse settings that arms in tensors do not have.

    Raises:
        ConfigError: naming the first one.
    """
    asked = (
        ('simulation.physics', options.simulation.physics, 'servo'),
        ('simulation.randomise', is_varied(options.simulation.randomise), False),
        ('target.orientation.axes', options.target.orientation.axes, ()),
        ('target.every_steps', options.target.every_steps, 0),
        ('target.speed_m_s', options.target.speed_m_s, 0.0),
        ('obstacles.random.most', options.obstacles.random.most, 0),
        ('observation.obstacles', options.observation.obstacles, 0),
    )
    for name, received, expected in asked:
        if received != expected:
            raise ConfigError(
                f'{name} {received!r} does not run on a GPU or compiled, expected {expected!r}; '
                'take --device cpu --no-compile, or leave --device away'
            )


def _pools(
    robot: Robot,
    options: ReachSettings,
    guard: Guard | None,
    targets: Targets,
    seed: int,
    do: TorchArrays,
) -> tuple[Tensor, Tensor]:
    """Draw starts and targets by what draws those of every other run."""
    random = np.random.default_rng([seed, 1])
    targets.seed(seed)
    start = draw_starts(robot, options, guard, random, _POOL)
    return do.array(start), do.array(targets.draw(_POOL))


def make(instances: int, arrays: TorchArrays, options: ReachSettings) -> DeviceEnvironment:
    """Make simulated arms on a device, as the registry calls it."""
    on_host = arrays.device.type == 'cpu' and not arrays.traced
    # Obstacles are compared with exact shapes alone.
    around = options.obstacles.random.most or read_robot(options.robot).obstacles
    shapes = 'exact' if on_host and around else 'enclosing'
    simulation = options.simulation.model_copy(update={'shapes': shapes})
    options = options.model_copy(update={'simulation': simulation})
    if on_host:
        return HostArms(instances, options)
    return DeviceArms(instances, arrays, options)
