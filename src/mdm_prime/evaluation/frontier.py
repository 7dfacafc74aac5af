"""A denoiser with an energy on a source that can be enumerated: what is reported, what is true, what samplers give."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from mdm_prime.core.schedules import Schedule
from mdm_prime.data.known_entropy import MarkovSource, entropy_per_token
from mdm_prime.evaluation.chains import Denoised, Enumerated, chain, cross_entropy, published_estimate
from mdm_prime.results.hybrid import Chain, Enumeration
from mdm_prime.samplers.energy import EnergySampler

STEPS: tuple[int | None, ...] = (1, 2, 4, 8, 16, None)
ALWAYS, EDLM = (0.0, 1.0), (0.4, 0.6)  # windows of t: the second is that of the released code
CHOICES = ((0, ALWAYS), (2, ALWAYS), (4, ALWAYS), (16, ALWAYS), (2, EDLM), (None, ALWAYS))  # k and its window


def source_table(source: MarkovSource) -> Tensor:
    """The probability of every sequence: a table (V, ..., V) of L axes, float64."""
    table, transition = torch.from_numpy(source.initial), torch.from_numpy(source.transition)
    for _ in range(source.length - 1):
        table = table[..., None] * transition
    return table


def enumeration(model: Enumerated, source: MarkovSource, schedule: Schedule, candidates: int) -> Enumeration:
    """Everything that is exact, in nats per token.

    Args:
        model: the denoiser and its energy on all sequences of the source.
        source: the data.
        schedule: alpha.
        candidates: from which EDLM estimates log Z: 0, where it is taken for 0, or 1.
    """
    p, length = source_table(source), source.length
    everywhere = tuple(range(length))

    def estimated(masked: tuple[int, ...], t: float) -> Tensor:
        if not candidates:
            return torch.zeros((), dtype=torch.float64)
        return -(model.independent(masked, t) * model.energies(masked, t)).sum(masked, keepdim=True)

    states = [tuple(i for i in everywhere if number >> i & 1) for number in range(1, 2**length)]
    log_z = torch.cat([model.log_partition(masked, len(masked) / length).flatten() for masked in states])
    chains = [
        _chain(model, p, schedule, steps, k, window)
        for steps in STEPS
        for k, window in CHOICES
        if window == ALWAYS or (steps and any(_sampler(steps, k, window).steps_inside()))
    ]
    return Enumeration(
        entropy=entropy_per_token(source),
        published=published_estimate(model, p, estimated) / length,
        published_exact_partition=published_estimate(model, p, model.log_partition) / length,
        one_step=cross_entropy(p, model.coupled(everywhere, 1.0)) / length,
        least_log_partition=float(log_z.min()),
        greatest_log_partition=float(log_z.max()),
        chains=chains,
    )


def _chain(
    model: Enumerated,
    p: Tensor,
    schedule: Schedule,
    num_steps: int | None,
    candidates: int | None,
    window: tuple[float, float],
) -> Chain:
    """The samples of one sampler; see results.hybrid.Chain."""
    if candidates == 0:
        chosen: Denoised = model.independent
    elif candidates is None:
        chosen = model.coupled
    else:
        chosen = partial(model.resampled, candidates=candidates)

    sampler, length = _sampler(num_steps or 1, candidates, window), len(model.shape)

    def denoised(masked: tuple[int, ...], t: float) -> Tensor:
        return (chosen if sampler.inside(t) else model.independent)(masked, t)

    q = chain(denoised, model.shape, schedule, num_steps)
    evaluations = None
    if candidates is not None:  # of infinitely many steps each token has one, always with candidates
        evaluations = sampler.evaluations(length, 1, schedule) if num_steps else length * (1.0 + candidates)
    return Chain(
        num_steps=num_steps,
        candidates=candidates,
        window=window,
        evaluations=evaluations,
        nats=cross_entropy(p, q) / length,
        total_variation=min(1.0, float((p - q).abs().sum() / 2)),
    )


def _sampler(num_steps: int, candidates: int | None, window: tuple[float, float]) -> EnergySampler:
    """Where it has candidates, and what it evaluates; with 0 of them it takes the denoiser's own draw."""
    return EnergySampler(kind="energy", num_steps=num_steps, candidates=candidates or 1, window=window)
