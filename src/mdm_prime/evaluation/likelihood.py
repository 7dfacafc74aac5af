"""Bounds and the published loss of a trained network on held-out sequences, without a cut-off at t near 0."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mdm_prime.core.blocks import BesideClean, BlockNetwork, BlockNoise
from mdm_prime.core.masking import mask_exactly
from mdm_prime.core.noise import ExampleNoise, Noise
from mdm_prime.core.objectives import Denoiser, autoregressive_loss, sequence_losses
from mdm_prime.core.schedules import Schedule
from mdm_prime.core.subtokens import Subtokenizer

GOLDEN_RATIO = (5**0.5 - 1) / 2
FEWEST = 8  # held-out sequences that a standard error can be estimated from


class Estimate(NamedTuple):
    """A mean over draws and its standard error over held-out sequences, in nats per token."""

    mean: float
    stderr: float


class Likelihood(NamedTuple):
    """The bound and the published loss, from the same draws; both are the value itself where it is exact.

    `beside` has what else is from these draws, by names.
    """

    nelbo: Estimate
    joint_loss: Estimate
    num_samples: int
    beside: Mapping[str, Estimate] = MappingProxyType({})


class Kept(Protocol):
    """Where finished parts of an evaluation are kept: it goes on after a kill, and several processes share it."""

    def claimed(self) -> Iterable[int]:
        """The parts that are missing and no other process's, in rising order; at its end none is missing."""
        ...

    def load(self, index: int) -> dict[str, NDArray[Any]]: ...

    def save(self, index: int, **arrays: NDArray[Any]) -> None: ...


def masked_likelihood(
    denoiser: Denoiser,
    tokens: NDArray[np.unsignedinteger],
    subtokenizer: Subtokenizer,
    schedule: Schedule,
    *,
    carry_over: bool,
    num_samples: int,
    batch_size: int,
    seed: int,
    device: torch.device,
    whole_tokens: bool = False,
    block_size: int | None = None,
    report: Callable[[int], None] = lambda done: None,
    kept: Kept | None = None,
    shard_size: int | None = None,
) -> Likelihood:
    """The integral over t as a sum over the number k of masked sub-tokens.

    With n = L * ell, a uniformly random subset of k sub-tokens has the weight n / k, for every schedule; k runs over
    1..n as a low-discrepancy sequence. Given k, 1 - alpha(t) has the distribution Beta(k, n - k + 1), from which a
    time for networks that use it is drawn. Without carry-over the published loss also scores positions with nothing
    masked; its integral diverges at k = 0, a term that no k >= 1 has and that the bound never has.

    With `whole_tokens` the masks hide whole positions, n = L. The same network is then an ordinary masked diffusion of
    tokens, which it happens to read as digits, and the published loss is its bound: both values of the result are that.
    Carry-over makes no difference, since a position is visible or masked as a whole.

    With `block_size` each block is a masked diffusion of its own, n = block_size * ell, given the true blocks before
    it; their numbers k are each uniform, and spread evenly over the blocks of a draw. The sum is a bound by the chain
    rule.

    Args:
        denoiser: see mdm_prime.core.objectives; with `block_size` a mdm_prime.core.blocks.BlockNetwork.
        tokens: (N, L), held-out sequences; gone through in a random order, again and again.
        subtokenizer: the map between tokens and sub-tokens.
        schedule: gives the time that belongs to a share of masked sub-tokens.
        carry_over: see mdm_prime.core.objectives.token_log_probs.
        num_samples: draws of (sequence, subset).
        batch_size: draws in one pass.
        seed: of the random numbers; each draw has its own.
        device: where to compute.
        whole_tokens: whether whole tokens are masked instead of sub-tokens.
        block_size: positions of a block, a divisor of L; None: of the sequence.
        report: called with the number of draws done.
        kept: holds the parts that are finished; None keeps nothing.
        shard_size: draws of a part, a multiple of batch_size; None: all of them.
    """

    def losses(x: Tensor, y: Tensor, t: Tensor, noise: Noise) -> Tensor:
        rows = denoiser
        if block_size:
            clean = subtokenizer.encode(x.view(-1, tokens.shape[1]))
            rows = BesideClean(cast(BlockNetwork, denoiser), clean, block_size)
        found = sequence_losses(
            rows,
            x,
            y,
            t,
            subtokenizer,
            carry_over=carry_over or whole_tokens,  # a visible token costs nothing
            marginal=not whole_tokens,
        )
        return torch.stack(found)

    (joint, marginal), order = weighted_draws(
        losses,
        tokens,
        subtokenizer,
        schedule,
        num_samples=num_samples,
        batch_size=batch_size,
        seed=seed,
        device=device,
        whole_tokens=whole_tokens,
        block_size=block_size,
        report=report,
        kept=kept,
        shard_size=shard_size,
    )
    bound = joint if whole_tokens else marginal
    return Likelihood(estimate(bound, tokens, order), estimate(joint, tokens, order), num_samples)


def weighted_draws(
    losses: Callable[[Tensor, Tensor, Tensor, Noise], Tensor],
    tokens: NDArray[np.unsignedinteger],
    subtokenizer: Subtokenizer,
    schedule: Schedule,
    *,
    num_samples: int,
    batch_size: int,
    seed: int,
    device: torch.device,
    whole_tokens: bool = False,
    block_size: int | None = None,
    report: Callable[[int], None] = lambda done: None,
    kept: Kept | None = None,
    shard_size: int | None = None,
) -> tuple[Tensor, NDArray[np.int64]]:
    """Draws whose mean is the integral over t of w(t) times losses; see masked_likelihood, also for the arguments.

    Args:
        losses: of tokens x (M, L), their masked sub-tokens y (M, L, ell), times t (M,) and further random numbers of
            each row: (K, M) in nats. With `block_size` a row is a block: those of a sequence follow each other.

    Returns:
        (K, num_samples) float64 on the CPU, weighted and in nats per token; and the row of tokens that each draw is of.
    """
    rng = np.random.default_rng(seed)
    seeds = np.random.SeedSequence((seed, 1)).generate_state(num_samples, np.uint64)
    order, shares = even_draws(len(tokens), num_samples, rng)
    width = block_size or tokens.shape[1]
    count, size = tokens.shape[1] // width, width * (1 if whole_tokens else subtokenizer.num_subtokens)
    places = np.tile(np.arange(count), (num_samples, 1))
    shares = (shares[:, None] + np.random.default_rng((seed, 2)).permuted(places, axis=1)) / count  # of each block
    numbers = numbers_at(shares, size)
    times = schedule.inverse(1 - torch.from_numpy(rng.beta(numbers, size - numbers + 1)))

    def evaluated(batch: slice) -> Tensor:
        x = torch.from_numpy(tokens[order[batch]].astype(np.int64)).to(device)
        clean, number = subtokenizer.encode(x), torch.from_numpy(numbers[batch]).to(device).flatten()
        noise = BlockNoise(ExampleNoise(seeds[batch], device), count)
        rows = clean.reshape(-1, width, clean.shape[-1])
        y = mask_exactly(rows, number, subtokenizer.mask_id, noise, whole_tokens=whole_tokens)
        with torch.no_grad():
            found = losses(x.reshape(-1, width), y, times[batch].float().to(device).flatten(), noise)
        weighted: Tensor = found.double() * (size / number.double())
        return weighted.view(len(found), -1, count).sum(-1).cpu()

    return in_parts(num_samples, batch_size, evaluated, report, kept, shard_size) / tokens.shape[1], order


def even_draws(
    num_sequences: int, num_samples: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which sequence each draw is of, and a number in [0, 1) for it, (num_samples,) both.

    The sequences are gone through in a random order, again and again; the numbers are spread evenly over the sequences
    and over the passes of each sequence, and each of them is uniform.
    """
    count = -(-num_samples // num_sequences)
    order = np.concatenate([rng.permutation(num_sequences) for _ in range(count)])[:num_samples]
    passes = np.arange(num_samples) // num_sequences
    return order, (rng.random() + GOLDEN_RATIO * order + passes / (passes[-1] + 1)) % 1.0


def numbers_at(shares: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """The numbers 1..size at shares in [0, 1) of that range."""
    return 1 + np.minimum((shares * size).astype(np.int64), size - 1)


def autoregressive_likelihood(
    network: Denoiser,
    tokens: NDArray[np.unsignedinteger],
    start_id: int,
    *,
    batch_size: int,
    device: torch.device,
    report: Callable[[int], None] = lambda done: None,
    kept: Kept | None = None,
    shard_size: int | None = None,
) -> Likelihood:
    """The exact negative log-likelihood of every sequence of tokens (N, L); the standard error is over sequences."""
    evaluated = autoregressive_values(network, tokens, start_id, device)
    return of_sequences(in_parts(len(tokens), batch_size, evaluated, report, kept, shard_size), tokens)


def autoregressive_values(
    network: Denoiser, tokens: NDArray[np.unsignedinteger], start_id: int, device: torch.device
) -> Callable[[slice], Tensor]:
    """What gives -log p, (M,) float64 in nats, of M of the sequences tokens (N, L)."""

    def evaluated(batch: slice) -> Tensor:
        x = torch.from_numpy(tokens[batch].astype(np.int64)).to(device)
        with torch.no_grad():
            return autoregressive_loss(network, x, start_id).double().cpu()

    return evaluated


def of_sequences(values: Tensor, tokens: NDArray[np.unsignedinteger]) -> Likelihood:
    """From the exact -log p of each sequence, values (N,) in nats, of tokens (N, L)."""
    exact = estimate(values / tokens.shape[1], tokens, np.arange(len(tokens)))
    return Likelihood(exact, exact, len(tokens))


def different(sequences: Iterable[NDArray[np.unsignedinteger]]) -> int:
    """How many sequences differ from each other; FEWEST for more."""
    seen = set()
    for sequence in sequences:
        seen.add(sequence.tobytes())
        if len(seen) == FEWEST:
            break
    return len(seen)


def in_parts(
    total: int,
    batch_size: int,
    evaluated: Callable[[slice], Tensor],
    report: Callable[[int], None],
    kept: Kept | None,
    shard_size: int | None,
) -> Tensor:
    """What `evaluated` gives of `total` draws, (..., total) float64; it is given batches, and gives (..., M) of M."""
    size = shard_size or total

    def part(index: int) -> Tensor:
        batches, last = [], min((index + 1) * size, total)
        for start in range(index * size, last, batch_size):
            stop = min(start + batch_size, last)
            batches.append(evaluated(slice(start, stop)))
            report(stop)
        return torch.cat(batches, -1)

    count = -(-total // size)
    if kept is None:
        return torch.cat([part(index) for index in range(count)], -1)
    for index in kept.claimed():
        kept.save(index, values=part(index).numpy())
    return torch.cat([torch.from_numpy(kept.load(index)["values"]) for index in range(count)], -1)


def estimate(values: Tensor, tokens: NDArray[np.unsignedinteger], sequence: NDArray[np.int64]) -> Estimate:
    """Mean of values (M,) and its standard error; sequence (M,) says which row of tokens each was drawn from.

    Draws from one sequence share its deviation, so their errors are added up before they are squared: held-out data
    gone through again and again leaves the error of its choice. It is NaN, unknown, where fewer than FEWEST sequences
    differ from each other: those that happen to be alike would seem to leave no error.
    """
    numbers, places = np.unique(sequence, return_inverse=True)
    count = len(numbers)
    if different(tokens[number] for number in numbers) < FEWEST:
        return Estimate(float(values.mean()), float("nan"))
    errors = values.new_zeros(count).index_add(0, torch.from_numpy(places), values - values.mean())
    return Estimate(float(values.mean()), float((errors.square().sum() * count / (count - 1)).sqrt() / len(values)))
