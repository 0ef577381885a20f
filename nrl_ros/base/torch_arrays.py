"""numpy's functions for tensors of torch, so that one text computes with either.

A text that is meant for both takes the functions as an argument: the module ``numpy`` itself, or a
``TorchArrays``. Results go to the last argument, as in ``multiply(a, b, out)``, so that numpy pays
nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

Tensor = torch.Tensor


class TorchArrays:
    """Functions of numpy, for tensors on one device.

    Args:
        device: of the tensors that are made.
        dtype: of the real ones among them.
    """

    float32 = torch.float32

    def __init__(self, device: torch.device | str, dtype: torch.dtype) -> None:
        self.device, self.dtype = torch.device(device), dtype

    def array(self, values: Any) -> Tensor:
        """Return values as a tensor of real numbers."""
        return torch.tensor(values, dtype=self.dtype, device=self.device)

    def zeros(self, shape: int | Sequence[int], dtype: Any = None) -> Tensor:
        """Return zeros; ``dtype`` may be ``bool``."""
        kind = torch.bool if dtype is bool else self.dtype
        return torch.zeros(shape, dtype=kind, device=self.device)

    def full(self, shape: int | Sequence[int], value: float, dtype: torch.dtype) -> Tensor:
        """Return a tensor of one number."""
        size = (shape,) if isinstance(shape, int) else tuple(shape)
        return torch.full(size, value, dtype=dtype, device=self.device)

    def asarray(self, values: Any, dtype: torch.dtype) -> Tensor:
        """Return values as a tensor of a number format."""
        return torch.as_tensor(values, dtype=dtype, device=self.device)

    clip = staticmethod(torch.clip)
    exp = staticmethod(torch.exp)

    @staticmethod
    def copyto(target: Tensor, source: Tensor) -> None:
        """Copy numbers into a tensor."""
        target.copy_(source)

    @staticmethod
    def _with_out(function: Callable[..., Tensor], count: int) -> Any:
        """Return a function whose argument after so many others is where its result goes."""

        def call(*given: Any) -> Tensor:
            if len(given) == count:
                return function(*given)
            return function(*given[:count], out=given[count])

        return staticmethod(call)

    for _name in ('add', 'subtract', 'multiply', 'divide', 'greater', 'logical_or'):
        locals()[_name] = _with_out(getattr(torch, _name), 2)
    for _name in ('cos', 'sin', 'abs', 'sqrt'):
        locals()[_name] = _with_out(getattr(torch, _name), 1)
    del _name
