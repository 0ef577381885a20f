"""CartPole on a device: the motion of ``cartpole.py`` in tensors of torch."""

from __future__ import annotations

from typing import Any

import torch

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.torch_arrays import TorchArrays, put_tensors, tensors_data
from nrl_ros.environments.device import DeviceEnvironment, DeviceStep
from sim_bridge.cartpole import CartMotion, CartPoleOptions, spec_of

Tensor = torch.Tensor

_GYMNASIUM = 'CartPole-v1'


class DeviceCartPole:
    """B instances of CartPole.

    Args:
        instances: B.
        arrays: of the device.
        options: of the bridge.

    Attributes:
        spec: as that of the bridge.
        counts: empty; nothing limits a cart.
        carts: their motion.
    """

    def __init__(self, instances: int, arrays: TorchArrays, options: CartPoleOptions) -> None:
        self._limit = options.max_episode_steps
        self.spec = spec_of(instances, self._limit)
        self.counts: dict[str, Tensor] = {}
        self.carts = CartMotion(instances, arrays)
        self._steps = torch.zeros(instances, dtype=torch.int32, device=arrays.device)
        self._fresh = arrays.zeros((4, instances))

    def begin(self, generator: torch.Generator) -> Tensor:
        """Begin an episode in every instance; return the first observations [B, 4]."""
        self.draw(generator)
        self.carts.motion.copy_(self._fresh)
        self._steps.zero_()
        return self._observe()

    def draw(self, generator: torch.Generator) -> None:
        """Draw where episodes begin."""
        most = CartMotion.reset_range
        self._fresh.uniform_(-most, most, generator=generator)

    def step(self, action: Tensor, over: Tensor) -> DeviceStep:
        """Push each cart; an instance whose episode is over is reset instead."""
        motion = self.carts.motion
        self.carts.advance(action[:, 0])
        fallen = self.carts.fallen() & ~over
        self._steps.add_(1).mul_(~over)
        late = self._steps >= self._limit
        motion.copy_(torch.where(over, self._fresh, motion))
        return DeviceStep(self._observe(), (~over).to(motion.dtype), fallen, late)

    def _tensors(self) -> dict[str, Tensor]:
        return {'motion': self.carts.motion, 'steps': self._steps}

    def snapshot(self) -> dict[str, Any]:
        """Return the motion of the carts and the steps of their episodes."""
        return tensors_data(self._tensors())

    def restore(self, saved: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        put_tensors(self._tensors(), saved, 'environment')

    def _observe(self) -> Tensor:
        observation: Tensor = self.carts.motion.T.to(torch.float32)
        return observation


def make(instances: int, arrays: TorchArrays, options: CartPoleOptions) -> DeviceEnvironment:
    """Make CartPole on a device, as the registry calls it."""
    return DeviceCartPole(instances, arrays, options)


def make_of_gymnasium(
    instances: int, arrays: TorchArrays, options: dict[str, Any]
) -> DeviceEnvironment:
    """Make the one task of Gymnasium that has a form for a device, CartPole-v1.

    Raises:
        ConfigError: the options name another task, or something besides the task.
    """
    if options != {'id': _GYMNASIUM}:
        raise ConfigError(
            f'bridge gymnasium with {options} does not run on a device, expected '
            f"{{'id': {_GYMNASIUM!r}}} alone; leave --device away"
        )
    return DeviceCartPole(instances, arrays, CartPoleOptions())
