"""The device that torch computes on, checked before anything starts."""

from __future__ import annotations

import torch

from nrl_ros.base.errors import ConfigError


def find_device(name: str, instead: str = 'take --device cpu') -> torch.device:
    """Return a device of torch.

    Args:
        name: cpu, cuda, or cuda:1.
        instead: what a person can do without the device.

    Raises:
        ConfigError: there is no such device here.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f'device {name!r}: expected cpu, cuda or cuda:N') from error
    if device.type not in ('cpu', 'cuda'):
        raise ConfigError(f'device {name!r}: expected cpu, cuda or cuda:N')
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == 'cuda' and (device.index or 0) >= count:
        raise ConfigError(
            f'device {name!r}: torch {torch.__version__} finds {count} GPUs, expected '
            f'{(device.index or 0) + 1} at least; install torch for CUDA and the driver '
            f'(docs/device.md), or {instead}'
        )
    return device
