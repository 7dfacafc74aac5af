"""A training step without numbers: its operations and its memory, counted on tensors that have shapes and no content.

Every network that can be built and every objective is counted by the code that computes it. Where a network is asked
for some positions only, which needs numbers, it is counted as if it were asked for all of them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from mdm_prime.core import chunks
from mdm_prime.core.noise import BatchNoise
from mdm_prime.core.schedules import Schedule
from mdm_prime.experiment.runs import Run
from mdm_prime.networks.modules.keyed import set_keys
from mdm_prime.stages.networks import IN_TRAINING, schedule_of
from mdm_prime.stages.train import loss_of

GRADIENT = 4  # of the bytes of IN_TRAINING
TIMES = 1000  # that the mean over times is taken of


class Traced(NamedTuple):
    """What a run's network takes. Operations are floating-point ones, a multiplication and an addition counted as two.

    Attributes:
        parameters: how many.
        body: operations of a sequence in evaluation, without the logits.
        logits: of a position that logits are asked for; 0 where a network computes them for all in its body.
        training: of a sequence in a training step, forward and backward.
        memory: most bytes that are there during a training step, one micro-batch at a time.
    """

    parameters: int
    body: float
    logits: float
    training: float
    memory: int


def trace(run: Run, *, bfloat16: bool) -> Traced:
    """Counts a step of a run's training; with `bfloat16` by autocast, as on a GPU."""
    training = run.training
    size = training.micro_batch_size or training.batch_size
    few = max(1, 2 * chunks.MAX_LOGITS // (run.length * run.vocab_size))  # so many that their loss has two chunks
    if size <= 2 * few:
        step = _step(run, size, bfloat16=bfloat16)
        peak = step.peak
    else:  # every chunk is the same, and the rest grows evenly
        step, less = _step(run, 2 * few, bfloat16=bfloat16), _step(run, few, bfloat16=bfloat16)
        peak = less.peak + (step.peak - less.peak) * (size - few) // few
    chunked = step.size * run.length * run.vocab_size > chunks.MAX_LOGITS
    unasked = run.length * (1 - asked(run)) * step.logits
    return Traced(
        parameters=step.parameters,
        body=step.body,
        logits=step.logits,
        training=step.flops / step.size - unasked * (4 if chunked else 3),  # those of a chunk are computed twice
        memory=step.parameters * (IN_TRAINING - GRADIENT) + peak,
    )


def asked(run: Run) -> float:
    """The mean share of the positions that a training step asks logits for: those with a masked sub-token."""
    if run.model == "autoregressive" or (not run.carry_over and run.training.objective != "nelbo"):
        return 1.0
    u = (torch.arange(TIMES, dtype=torch.float64) + 0.5) / TIMES
    t = run.training.t_min + (1 - run.training.t_min) * u
    return float(_some_masked(schedule_of(run), t, run.num_subtokens).mean())


def _some_masked(schedule: Schedule, t: Tensor, num_subtokens: int) -> Tensor:
    return 1 - (1 - schedule.mask_probability(t)) ** num_subtokens


# ---- tensors without content ----------------------------------------------------------------------------------------


class _Step(NamedTuple):
    """A pass of `size` sequences; peak: bytes of the gradients and all that it makes, flops: of all sequences."""

    parameters: int
    size: int
    body: float
    logits: float
    flops: float
    peak: int


def _step(run: Run, size: int, *, bfloat16: bool) -> _Step:
    with FakeTensorMode():
        network = run.network.build(run.shape)
        x, t = torch.zeros(size, run.length, dtype=torch.long), torch.full((size,), 0.5)
        parameters = list(network.parameters())
        accumulating = run.training.micro_batch_size not in (None, run.training.batch_size)
        if accumulating:  # from the second pass of a step on the gradients of the first are there
            for parameter in parameters:
                parameter.grad = torch.zeros_like(parameter)
        count = sum(parameter.numel() for parameter in parameters)
        set_keys(network, torch.zeros(size, dtype=torch.long))
        loss, noise = loss_of(run), BatchNoise(torch.Generator(), size)
        counter = FlopCounterMode(display=False)
        with _Everywhere(), _Live() as live, counter:
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                value = loss(network, x, t, noise).sum()
            value.backward()  # type: ignore[no-untyped-call]
        peak = live.peak + GRADIENT * count * accumulating
        body, logits = _evaluated(network.eval(), run)
    return _Step(count, size, body, logits, counter.get_total_flops(), peak)


def _evaluated(network: nn.Module, run: Run) -> tuple[float, float]:
    """See Traced.body and Traced.logits; within FakeTensorMode."""
    y = torch.zeros(1, run.length, run.num_subtokens, dtype=torch.long)
    where = torch.ones(y.shape[:2], dtype=torch.bool)
    layer: nn.Linear | None = getattr(network, "logits_layer", None)
    hidden = {} if layer is None else {"hidden": True}
    with _Everywhere(), FlopCounterMode(display=False) as counter, torch.no_grad():
        network(y, torch.zeros(1), where, **hidden)
    return counter.get_total_flops(), 0 if layer is None else 2 * layer.weight.numel()


class _Everywhere(TorchFunctionMode):
    """What is taken by a mask is taken as if the mask held everywhere."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.__getitem__ and isinstance(args[1], Tensor) and args[1].dtype == torch.bool:
            return args[0].flatten(0, args[1].ndim - 1)
        if func is Tensor.nonzero:
            places = torch.unravel_index(torch.arange(args[0].numel()), args[0].shape)
            return places if kwargs.get("as_tuple") else torch.stack(places, -1)
        return func(*args, **kwargs)


class _Live(TorchDispatchMode):
    """Bytes of the tensors that are made inside of the block and still there: `now`, and the most at any time, `peak`.

    What the kernels themselves allocate is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen = weakref.WeakSet[torch.UntypedStorage]()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage()) not in self._seen:
                self._seen.add(storage)
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._freed, storage.nbytes())
        return made

    def _freed(self, size: int) -> None:
        self.now -= size
