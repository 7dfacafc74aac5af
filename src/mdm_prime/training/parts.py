"""Tensors of which several processes keep a part each (torch's DTensor), and those that one process keeps whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from torch import Tensor

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor  # importing it takes a second


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, of which this process may have a part: everybody asks at the same time."""
    return tensor.full_tensor() if is_shared(tensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """What this process has of a tensor, to be changed in place."""
    return tensor.to_local() if is_shared(tensor) else tensor


def like(values: Tensor, tensor: Tensor) -> Tensor:
    """Values that everybody has, kept as another tensor is: whole or in parts."""
    if is_shared(tensor) and values.shape == tensor.shape:
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(values, tensor.device_mesh, tensor.placements)
    return values


def is_shared(tensor: Tensor) -> TypeGuard[DTensor]:
    """Whether several processes have a part of it each."""
    return hasattr(tensor, "full_tensor")
