"""numpy's functions for tensors of torch, so that one text computes with either.

A text that is meant for both takes the functions as an argument: the module ``numpy`` itself, or a
``TorchArrays``. Results go to the last argument, as in ``multiply(a, b, out)``, so that numpy pays
nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nrl_ros.base.errors import CheckpointError

Tensor = torch.Tensor


def tensors_data(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return copies of tensors as arrays of numpy, as a checkpoint holds them."""
    return {name: np.array(tensor.cpu().numpy()) for name, tensor in tensors.items()}


def put_tensors(tensors: Mapping[str, Tensor], saved: Mapping[str, Any], part: str) -> None:
    """Write what ``tensors_data`` has returned into tensors of the same names and shapes.

    Args:
        tensors: stay the same ones.
        saved: by name.
        part: whose they are, for errors.

    Raises:
        CheckpointError: one is missing, unknown, or of another shape; nothing was changed.
    """

    def kinds(arrays: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
        return {name: (*array.shape, str(array.dtype)) for name, array in arrays.items()}

    expected, received = kinds(tensors_data(tensors)), kinds(saved)
    for name in sorted(expected.keys() | received.keys()):
        if expected.get(name) != received.get(name):
            raise CheckpointError(
                f'{part}.{name}: expected {expected.get(name, "nothing")}, received '
                f'{received.get(name, "nothing")}; it was saved with other settings'
            )
    for name, tensor in tensors.items():
        tensor.copy_(torch.from_numpy(np.array(saved[name])))


class _Reduced:
    """A function of two tensors that also brings all numbers along one axis together."""

    def __init__(self, both: Callable[..., Tensor], along: Callable[..., Tensor]) -> None:
        self._both, self._along = both, along

    def __call__(self, one: Any, other: Any, *out: Tensor) -> Tensor:
        result = self._both(one, other)
        return out[0].copy_(result) if out else result

    def reduce(self, values: Tensor, axis: int = 0, *, keepdims: bool = False) -> Tensor:
        """Return the numbers along an axis, brought together."""
        return self._along(values, axis, keepdim=keepdims)


def _largest(one: Any, other: Any) -> Tensor:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.maximum(one, other)
    return torch.clamp(one, min=other) if isinstance(one, Tensor) else _largest(other, one)


def _smallest(one: Any, other: Any) -> Tensor:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.minimum(one, other)
    return torch.clamp(one, max=other) if isinstance(one, Tensor) else _smallest(other, one)


def _any_bit(values: Tensor, axis: int, *, keepdim: bool) -> Tensor:
    parts = values.unbind(axis)
    found = parts[0]
    for part in parts[1:]:
        found = found | part
    return found.unsqueeze(axis) if keepdim else found


class TorchArrays:
    """Functions of numpy, for tensors on one device.

    Args:
        device: of the tensors that are made.
        dtype: of the real ones among them.
        traced: what is computed with them is compiled, or recorded and repeated, so that it must
            be the same work each time.
    """

    float32, float64 = torch.float32, torch.float64

    def __init__(
        self, device: torch.device | str, dtype: torch.dtype, *, traced: bool = False
    ) -> None:
        self.device, self.dtype, self.traced = torch.device(device), dtype, traced

    def array(self, values: Any) -> Tensor:
        """Return values as a tensor of real numbers."""
        if isinstance(values, torch.Tensor):
            return values.to(self.device, self.dtype)
        return torch.tensor(values, dtype=self.dtype, device=self.device)

    def zeros(self, shape: int | Sequence[int], dtype: Any = None) -> Tensor:
        """Return zeros; ``dtype`` may be ``bool``."""
        kind = torch.bool if dtype is bool else self.dtype
        return torch.zeros(shape, dtype=kind, device=self.device)

    def full(self, shape: int | Sequence[int], value: float, dtype: torch.dtype) -> Tensor:
        """Return a tensor of one number."""
        size = (shape,) if isinstance(shape, int) else tuple(shape)
        return torch.full(size, value, dtype=dtype, device=self.device)

    def asarray(self, values: Any, dtype: torch.dtype | None = None) -> Tensor:
        """Return values as a tensor of a number format."""
        return torch.as_tensor(values, dtype=dtype, device=self.device)

    def empty(self, shape: Sequence[int]) -> Tensor:
        """Return room for real numbers."""
        return torch.empty(tuple(shape), dtype=self.dtype, device=self.device)

    def eye(self, size: int) -> Tensor:
        """Return the identity matrix."""
        return torch.eye(size, dtype=self.dtype, device=self.device)

    def uint8(self, value: int) -> Tensor:
        """Return a small number as a tensor without dimensions."""
        return torch.full((), int(value), dtype=torch.uint8, device=self.device)

    def concatenate(
        self, parts: Sequence[Tensor], axis: int = 0, dtype: torch.dtype | None = None, **_: Any
    ) -> Tensor:
        """Return tensors one after another along an axis, of one number format."""
        joined = torch.cat(list(parts), axis)
        return joined if dtype is None else joined.to(dtype)

    maximum = _Reduced(_largest, torch.amax)
    minimum = _Reduced(_smallest, torch.amin)
    logical_and = _Reduced(torch.logical_and, torch.all)
    logical_or = _Reduced(torch.logical_or, torch.any)
    bitwise_or = _Reduced(torch.bitwise_or, _any_bit)
    where, clip = staticmethod(torch.where), staticmethod(torch.clip)

    @staticmethod
    def einsum(text: str, *parts: Tensor) -> Tensor:
        """Return what numpy's function of this name does."""
        if text == 'ij,ij->i':
            # torch makes products of matrices of this one, with which a compiler fuses nothing.
            one, other = parts
            return (one * other).sum(1)
        return torch.einsum(text, *parts)

    @staticmethod
    def argmax(values: Tensor, axis: int) -> Tensor:
        """Return where the largest number along an axis is."""
        return torch.argmax(values, axis)

    @staticmethod
    def take_along_axis(values: Tensor, index: Tensor, axis: int) -> Tensor:
        """Return the numbers at indices along an axis."""
        return torch.take_along_dim(values, index, axis)

    isfinite = staticmethod(torch.isfinite)
    copysign, fmin = staticmethod(torch.copysign), staticmethod(torch.fmin)
    exp, log = staticmethod(torch.exp), staticmethod(torch.log)

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
            out: Tensor = given[count]
            if given[0].shape == out.shape and not torch.compiler.is_compiling():
                return function(*given[:count], out=out)
            # numpy repeats what is smaller; torch would make the result as small. Nor can parts of
            # a tensor be results of what is compiled.
            return out.copy_(function(*given[:count]))

        return staticmethod(call)

    for _name in ('add', 'subtract', 'multiply', 'divide', 'greater'):
        locals()[_name] = _with_out(getattr(torch, _name), 2)
    for _name in ('cos', 'sin', 'abs', 'sqrt'):
        locals()[_name] = _with_out(getattr(torch, _name), 1)
    del _name
