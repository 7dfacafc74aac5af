"""A training step without numbers: its operations and its memory, counted on tensors that have shapes and no content.

Every network that can be built and every objective is counted by the code that computes it. Where a network is asked
for some positions and tokens only, which needs numbers, it is counted as if it were asked for all of them, and what is
spared in the mean over masks is taken off. Both halves of a mask, where they are one sequence, are counted as one of
which everything is read and asked for: so it is for ell = 1. For larger ell a position may stand in both, and it is
less than what is computed.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from mdm_prime.core import chunks
from mdm_prime.core.keyed import set_keys
from mdm_prime.core.noise import BatchNoise
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.core.visible_digits import fewest, places_in_order
from mdm_prime.experiment.runs import Run
from mdm_prime.stages.networks import IN_TRAINING, schedule_of
from mdm_prime.stages.train import loss_of

GRADIENT = 4  # of the bytes of IN_TRAINING
HALVES = {"complement": "joint_loss", "complement_nelbo": "nelbo"}  # of both halves of a mask, and of one
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


def trace(run: Run, *, bfloat16: bool, devices: int = 1, device: str = "cpu") -> Traced:
    """Counts a step of a run's training as one of `devices` of a type takes it; with `bfloat16` by autocast."""
    own = -(-run.training.batch_size // devices)  # of the batch
    size = min(own, run.training.micro_batch_size or own)
    kept = size < own or devices > 1  # gradients that are there before a pass
    rows, share = 1, asked(run, size, device)  # of a sequence in a step, of its length
    with FakeTensorMode():
        network = run.build()
        if run.training.objective in HALVES:
            if getattr(network, "packs_rows", False):
                run = _one_by_one(run)
            else:
                rows = 2
        parameters = sum(parameter.numel() for parameter in network.parameters())
        logits_of_all = rows * run.length * run.vocab_size  # of a sequence
        step, peak = _largest(network, run, size, share / rows, logits_of_all, bfloat16=bfloat16, kept=kept)
        body, logits = _evaluated(network.eval(), run)
    counted = _computed(step.size * logits_of_all)
    computed = _computed(size * share / rows * logits_of_all)
    unasked = run.model.masks_a_step * run.length * (rows * counted - share * computed) * logits
    return Traced(
        parameters=parameters,
        body=body,
        logits=logits,
        training=step.flops / step.size - unasked,
        memory=parameters * (IN_TRAINING - GRADIENT) + peak,
    )


def _largest(
    network: nn.Module, run: Run, size: int, share: float, logits_of_all: int, *, bfloat16: bool, kept: bool
) -> tuple[_Pass, int]:
    """A pass of `size` sequences or fewer, and the most bytes of one of `size` that computes the share of its logits.

    The rest of a pass grows evenly with its sequences. Of the logits either all are kept or a chunk is there, and all
    that are kept may be more.
    """

    def told(count: int) -> _Pass:
        return _pass(network, run, count, bfloat16=bfloat16, kept=kept)

    few = max(1, 2 * chunks.KEPT_LOGITS // logits_of_all)  # sequences of which not all logits are kept
    if size <= 2 * few:
        step = told(size)
        peak = step.peak
    else:
        less, step = told(few), told(2 * few)
        peak = less.peak + (step.peak - less.peak) * (size - few) // few
    some = math.ceil(share * size)
    if some * logits_of_all <= chunks.KEPT_LOGITS < size * logits_of_all:
        growth = (told(2 * few).peak - told(few).peak) // few
        peak = max(peak, told(some).peak + growth * (size - some))
    return step, peak


def _computed(logits: float) -> int:
    """How many products with the head so many logits and their gradient take; see core.chunks."""
    return 4 if logits > chunks.KEPT_LOGITS else 3


def asked(run: Run, size: int, device: str) -> float:
    """The mean share of all positions' logits that a training step of `size` sequences computes for one mask.

    Those of positions with a masked sub-token; of both halves of a mask the sum. Where enough of them show the same
    digit, the logits of the tokens with that digit are enough; digits are taken to be even.
    """
    halves = run.training.objective in HALVES
    if run.model.causal or (not run.carry_over and run.training.objective not in ("nelbo", "complement_nelbo")):
        return 2.0 if halves else 1.0
    u = (torch.arange(TIMES, dtype=torch.float64) + 0.5) / TIMES
    t = run.training.t_min + (1 - run.training.t_min) * u
    masked, whole = schedule_of(run).mask_probability(t), t > run.training.whole_tokens_above
    parts = [masked, 1 - masked] if halves else [masked]
    share = sum(float(torch.where(whole, part, 1 - (1 - part) ** run.num_subtokens).mean()) for part in parts)
    if run.carry_over:
        subtokenizer = Subtokenizer(run.vocab_size, run.num_subtokens)
        shown = torch.stack([torch.where(whole, 0.0, _shown(part, subtokenizer)).mean(-1) for part in parts]).sum(0)
        worth = size * run.length * shown / subtokenizer.base >= fewest(subtokenizer, device)
        share -= float((shown * worth).sum()) * (1 - 1 / subtokenizer.base)
    return share


def _shown(masked: Tensor, subtokenizer: Subtokenizer) -> Tensor:
    """By place and time, the probability that a position shows its digit first of all; see core.visible_digits.

    `masked` are the probabilities of a sub-token at each time; some other sub-token has to be masked.
    """
    first = torch.stack([masked**number * (1 - masked) for number, _ in enumerate(places_in_order(subtokenizer))])
    first[0] *= 1 - (1 - masked) ** (subtokenizer.num_subtokens - 1)
    return first


def _one_by_one(run: Run) -> Run:
    """The same run on one half of each mask."""
    training = run.training.model_copy(update={"objective": HALVES[run.training.objective]})
    return run.model_copy(update={"training": training})


# ---- tensors without content ----------------------------------------------------------------------------------------


class _Pass(NamedTuple):
    """A loss and its gradient of `size` sequences: operations of all, most bytes of gradients and what is made."""

    size: int
    flops: int
    peak: int


def _pass(network: nn.Module, run: Run, size: int, *, bfloat16: bool, kept: bool) -> _Pass:
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter) if kept else None
    x, t = torch.zeros(size, run.length, dtype=torch.long), torch.full((size,), 0.5)
    set_keys(network, torch.zeros(size, dtype=torch.long))
    noise = BatchNoise(torch.Generator(), size)
    with _Everywhere(), _Counter(network) as counter:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            value = loss_of(run)(network, x, t, noise).sum()
        value.backward()
    gradients = sum(parameter.numel() for parameter in network.parameters()) * GRADIENT
    return _Pass(size, counter.flops, counter.peak + gradients * kept)


def _evaluated(network: nn.Module, run: Run) -> tuple[int, int]:
    """See Traced.body and Traced.logits."""
    y = torch.zeros(1, run.length, run.num_subtokens, dtype=torch.long)
    where = torch.ones(y.shape[:2], dtype=torch.bool)
    layer: nn.Linear | None = getattr(network, "logits_layer", None)
    hidden = {} if layer is None else {"hidden": True}
    with _Everywhere(), _Counter(network) as counter, torch.no_grad():
        network(y, torch.zeros(1), where, **hidden)
    return counter.flops, 0 if layer is None else 2 * layer.weight.numel()


class _Everywhere(TorchFunctionMode):
    """What is taken by a mask is taken as if the mask held everywhere."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.__getitem__ and isinstance(args[1], Tensor) and args[1].dtype == torch.bool:
            return args[0].flatten(0, args[1].ndim - 1)
        if func is Tensor.numpy:  # how many positions show each digit, where everything is masked
            return np.zeros(args[0].shape, dtype=np.int64)
        return func(*args, **kwargs)


class _Counter(TorchDispatchMode):
    """Counts operations as torch's FlopCounterMode does, and bytes of what is made inside of the block: no parameters.

    A mask is taken to hold everywhere here too.

    Attributes:
        flops: of all calls.
        now, peak: bytes of what was made and is still there, and the most at any time. What the kernels themselves
            allocate is not seen.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = self.now = self.peak = 0
        self._seen = weakref.WeakSet(parameter.untyped_storage() for parameter in network.parameters())

    def __torch_dispatch__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if (
            func is torch.ops.aten.nonzero.default
        ):  # here, since a backward pass asks it too, which is not in _Everywhere
            return torch.stack(torch.unravel_index(torch.arange(args[0].numel()), args[0].shape), -1)
        made = func(*args, **(kwargs or {}))
        if (count := flop_registry.get(func._overloadpacket)) is not None:
            self.flops += count(*args, **(kwargs or {}), out_val=made)
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage()) not in self._seen:
                self._seen.add(storage)
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._freed, storage.nbytes())
        return made

    def _freed(self, size: int) -> None:
        self.now -= size
