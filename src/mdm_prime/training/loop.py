"""The training loop. Every random number of a step follows from (seed, step), so a resumed run has the same bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mdm_prime.core.keyed import set_keys
from mdm_prime.core.masking import stratified_times
from mdm_prime.core.noise import BatchNoise, Noise
from mdm_prime.errors import TrainingInterruptedError, UserError
from mdm_prime.experiment.sections.models import Training
from mdm_prime.training import checkpoint, ema
from mdm_prime.training.losses import Loss
from mdm_prime.training.optimizers import Optimizer, learning_rate
from mdm_prime.training.parts import local, whole
from mdm_prime.training.processes import ALONE, Processes


class Progress(NamedTuple):
    """A row of history.csv.

    Loss (nats per token) and gradient norm are means over the steps since the last row; the learning rate is AdamW's.
    """

    step: int
    train_tokens: int
    loss: float
    learning_rate: float
    gradient_norm: float


def train(
    network: nn.Module,
    tokens: NDArray[np.unsignedinteger],
    loss: Loss,
    settings: Training,
    *,
    seed: int,
    digest: str,
    state_file: Path,
    device: torch.device,
    blocks_at: str | None = None,
    prepare: Callable[[Tensor, Noise], Tensor] = lambda x, noise: x,
    report: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
    processes: Processes = ALONE,
) -> tuple[dict[str, Tensor], list[Progress]]:
    """Trains `network` on the sequences tokens (N, L) and returns its averaged weights and the loss curve.

    Args:
        network: changed in place; on `device`.
        tokens: (N, L) unsigned; may be memory-mapped.
        loss: from mdm_prime.training.losses.
        settings: the section `training` of the params file.
        seed: of the order of the data, the times and the masks.
        digest: identifies the run; a state file of another digest is not used.
        state_file: written every checkpoint_every steps; if it is there, training goes on from it.
        device: where to compute.
        blocks_at: see optimizers.Optimizer.
        prepare: what becomes of a batch (B, L) int64 before it is used: augmentation, other tokens.
        report: called every log_every steps.
        stop: asked after every step; when true, the state is saved and TrainingInterruptedError raised.
        processes: that share each batch, of which this is one. What a step computes does not depend on their number,
            nor on micro_batch_size, up to the rounding of sums.

    Raises:
        UserError: the loss or the gradient stopped being finite; the last good state file is kept.
        TrainingInterruptedError: see `stop`.
    """
    if settings.compile is True or (settings.compile == "auto" and device.type == "cuda" and not processes.shard):
        network.compile()
    objective = processes.share(Objective(network, loss))
    optimizer = Optimizer(network, settings, blocks_at)
    average = ema.copy_weights(network)
    first, history = 1, list[Progress]()
    sums = torch.zeros(2, dtype=torch.float64, device=device)  # loss and gradient norm since the last row of history
    if state_file.exists():
        tensors, metadata = checkpoint.load(state_file, device)
        if metadata.get("digest") == digest:
            checkpoint.unpack(tensors, network, average, optimizer)
            first, history = metadata["step"] + 1, [Progress(*row) for row in metadata["history"]]
            sums.copy_(torch.tensor(metadata["sums"], dtype=torch.float64))
    saved = first - 1  # the step that the state file holds, 0: none of this run

    def save(step: int) -> None:
        metadata = {"digest": digest, "step": step, "history": history, "sums": sums.tolist()}
        tensors = checkpoint.pack(network, average, optimizer)
        if processes.first:
            checkpoint.save(state_file, tensors, metadata)

    network.train()
    own = processes.rows(settings.batch_size)
    passes = parts(len(own), settings.micro_batch_size or len(own))
    for step in range(first, settings.steps + 1):
        noise, keys = step_noise(seed, step, settings.batch_size, own, device)
        x = torch.from_numpy(tokens[batch_rows(step, settings.batch_size, len(tokens), seed, own)].astype(np.int64))
        x = prepare(x.to(device), noise)
        size = settings.batch_size * x.shape[1]
        t = at(own, stratified_times(settings.batch_size, settings.t_min, noise.generator))
        losses = torch.zeros((), device=device)
        for here in passes:
            set_keys(network, keys[here])
            with processes.last_adds_up(objective, here == passes[-1]):
                with autocast(settings.precision, device):
                    mean = objective(x[here], t[here], noise.part(own[here])) / size
                (mean * processes.count).backward()  # gradients are averaged over the processes
            losses += mean.detach()
        sums[0] += processes.sum(losses)
        sums[1] += whole(nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip or math.inf))
        optimizer.step(step)
        ema.update(average, network, settings.ema_decay, step)
        last, stopping = step == settings.steps, processes.any(stop())
        due = last or step % settings.log_every == 0
        saving = last or stopping or step % settings.checkpoint_every == 0
        if (due or saving) and processes.any(not all_finite([sums, *map(local, network.parameters())])):
            kept = f"the last good state, step {saved}, is kept in {state_file}" if saved else "no state was saved yet"
            raise UserError(
                f"step {step}: the loss, its gradient or a weight is not finite; {kept}; "
                "lower training.learning_rate or training.gradient_clip and train again"
            )
        if due:
            rate = learning_rate(step, settings, settings.learning_rate)
            loss_mean, norm_mean = (sums / (step - (history[-1].step if history else 0))).tolist()
            history.append(Progress(step, step * size, loss_mean, rate, norm_mean))
            report(history[-1])
            sums.zero_()
        if saving:
            save(step)
            saved = step
        if stopping and not last:
            raise TrainingInterruptedError(f"stopped after step {step} of {settings.steps}; the same command goes on")
    return {name: whole(value) for name, value in average.items()}, history


class Objective(nn.Module):
    """A network and its loss as one module, since DistributedDataParallel acts on what is called."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, x: Tensor, t: Tensor, noise: Noise) -> Tensor:
        """The sum of the losses of x (B, L) at times t (B,), in nats."""
        return self.loss(self.network, x, t, noise).sum()


def step_noise(seed: int, step: int, batch_size: int, own: range, device: torch.device) -> tuple[BatchNoise, Tensor]:
    """The random numbers of the rows `own` of a step's batch, and keys (B,) int64 for core.keyed."""
    for_masks, for_keys = np.random.SeedSequence((seed, step)).generate_state(2)
    keys = torch.from_numpy(np.random.SeedSequence(int(for_keys)).generate_state(batch_size).astype(np.int64))
    generator = torch.Generator(device).manual_seed(int(for_masks))
    return BatchNoise(generator, batch_size, own), at(own, keys).to(device)


def at(rows: range, values: Tensor) -> Tensor:
    """Those of the values of a batch that are at `rows`."""
    return values[rows.start : rows.stop : rows.step]


def parts(number: int, size: int) -> list[slice]:
    """So many rows in pieces of `size`; the last may be smaller."""
    return [slice(start, min(start + size, number)) for start in range(0, number, size)]


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether no element of any tensor is NaN or infinite; asked of a GPU once."""
    return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all())


def batch_rows(step: int, batch_size: int, num_sequences: int, seed: int, own: range) -> NDArray[np.int64]:
    """The sequences at `own` of a batch; those of step 1, 2, ... are pieces of one permutation after another."""
    positions = (step - 1) * batch_size + np.array(own)
    epochs, places = positions // num_sequences, positions % num_sequences
    return np.array([_permutation(seed, int(e), num_sequences)[p] for e, p in zip(epochs, places, strict=True)])


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, num_sequences: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(num_sequences)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Bfloat16 where asked for, and for `auto` on a GPU that has it; float32 elsewhere."""
    wanted = precision == "bfloat16" or (
        precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
    )
    return torch.autocast(device.type, torch.bfloat16) if wanted else nullcontext()
