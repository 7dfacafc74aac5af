"""A denoiser with an energy on a source that can be enumerated: what is reported, what is true, what samplers give."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from mdm_prime.core.schedules import Schedule
from mdm_prime.data.known_entropy import MarkovSource, entropy_per_token
from mdm_prime.evaluation.chains import Denoised, Enumerated, chain, cross_entropy, expected_events, published_estimate
from mdm_prime.results.hybrid import Chain, Enumeration

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
        if window == ALWAYS or _inside(window, steps) > 0
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

    def denoised(masked: tuple[int, ...], t: float) -> Tensor:
        return (chosen if window[0] <= t <= window[1] else model.independent)(masked, t)

    q = chain(denoised, model.shape, schedule, num_steps)
    length = len(model.shape)
    inside = 1.0 if window == ALWAYS else _inside(window, num_steps)
    return Chain(
        num_steps=num_steps,
        candidates=candidates,
        window=window,
        evaluations=None if candidates is None else expected_events(length, num_steps) * (1 + inside * candidates),
        nats=cross_entropy(p, q) / length,
        total_variation=min(1.0, float((p - q).abs().sum() / 2)),
    )


def _inside(window: tuple[float, float], num_steps: int | None) -> float:
    """The share of the steps whose time is in the window; of infinitely many 0, since it is not looked at."""
    steps = num_steps or 0
    return sum(window[0] <= 1 - step / steps <= window[1] for step in range(steps)) / max(steps, 1)
