"""Several processes that share each batch of one training, a device each, by torch.distributed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mdm_prime.errors import UserError

STORE = "MDM_PRIME_STORE"  # environment: a file through which the processes of one machine find each other


@dataclass(frozen=True)
class Processes:
    """Where this process stands among those that share the work.

    Attributes:
        rank: its number, from 0.
        count: how many there are.
        shard: whether each keeps only its part of every weight, gradient and moment: a DTensor.
    """

    rank: int
    count: int
    shard: bool = False

    @property
    def first(self) -> bool:
        """Whether it is the one that writes files."""
        return self.rank == 0

    def rows(self, batch_size: int) -> range:
        """Its rows of a batch: as many as everybody's, up to one, and every `count`-th of them.

        Times fall along a batch, once around, and with them the masked positions: neighbours would have unequal work.

        Raises UserError for a batch that they cannot share; torchrun may start another number than the params say.
        """
        if batch_size < self.count or (self.shard and batch_size % self.count):
            needed = "divisible by" if self.shard else "at least"
            raise UserError(
                f"training.batch_size: is {batch_size}; should be {needed} {self.count}, as many as processes"
            )
        return range(self.rank, batch_size, self.count)

    def share(self, objective: nn.Module) -> nn.Module:
        """The module, which leaves the mean over all processes in the gradients after each backward pass.

        With `shard` its parameters are others afterwards: whoever wants them asks for them then.
        """
        if self.count == 1:
            return objective
        if not self.shard:
            return DistributedDataParallel(objective, gradient_as_bucket_view=True)
        from torch.distributed.fsdp import fully_shard  # here, and wherever DTensor is: a second for every training

        for module in [*objective.modules()]:
            if isinstance(module, nn.ModuleList):  # the blocks of a network, each gathered when its turn comes
                for block in module:
                    fully_shard(block)
        fully_shard(objective)
        return objective

    def last_adds_up(self, objective: nn.Module, last: bool) -> AbstractContextManager[object]:
        """Inside, a backward pass keeps its gradients to itself unless it is the last one of a step."""
        if isinstance(objective, SynchronisesLater):
            objective.set_requires_gradient_sync(last)
        elif isinstance(objective, DistributedDataParallel) and not last:
            waiting: AbstractContextManager[object] = objective.no_sync()
            return waiting
        return nullcontext()

    def sum(self, value: Tensor) -> Tensor:
        """The sum of everybody's values, a scalar each."""
        if self.count > 1:
            dist.all_reduce(value)
        return value

    def any(self, flag: bool) -> bool:
        """Whether anybody's flag is set. Asked on the CPU, so that no GPU is waited for."""
        if self.count == 1:
            return flag
        flags = torch.tensor(int(flag))
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags)


@runtime_checkable
class SynchronisesLater(Protocol):
    """What `fully_shard` has made of a module."""

    def set_requires_gradient_sync(self, requires_gradient_sync: bool) -> None: ...


ALONE = Processes(rank=0, count=1)


def started() -> bool:
    """Whether torchrun, or what does its work, has started this process as one of several."""
    return "RANK" in os.environ


@contextmanager
def joined(device: torch.device, *, shard: bool = False) -> Iterator[Processes]:
    """Where this process stands among those that it was started with: alone where it was started by itself.

    Raises UserError where another of them has ended.
    """
    if not started():
        yield ALONE
        return
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if store := os.environ.get(STORE):
        rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        dist.init_process_group(backend, init_method=f"file://{store}", rank=rank, world_size=count)
    else:
        dist.init_process_group(backend)  # torchrun's environment
    processes = Processes(dist.get_rank(), dist.get_world_size(), shard)
    try:
        yield processes
    except RuntimeError as error:
        if "Connection closed by peer" in str(error) or "Connection reset by peer" in str(error):
            raise UserError(f"process {processes.rank} of {processes.count}: another one has ended") from None
        raise
    finally:
        dist.destroy_process_group()
