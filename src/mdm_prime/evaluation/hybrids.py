"""What EDLM reports as a perplexity, from draws on held-out sequences: E (1/t) [-log p_theta + E (- E of a candidate)].

For the energy of an autoregressive model it is computed as it is written, and beside the exact likelihood of that model
on the same sequences: they are the same number. None of these estimates is a bound on the likelihood of EDLM's samples.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mdm_prime.core.energies import Energy, candidates, completion_log_prob, log_partition
from mdm_prime.core.noise import Noise
from mdm_prime.core.objectives import Denoiser, autoregressive_loss
from mdm_prime.core.schedules import Schedule
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.evaluation.likelihood import Estimate, Kept, Likelihood, estimate, in_parts, weighted_draws
from mdm_prime.evaluation.measurement import BOUND, Evaluated, Measurement
from mdm_prime.networks.modules.energies import WithEnergy


class Reported(NamedTuple):
    """Nats per token, all from the same draws.

    Attributes:
        published: EDLM's estimate.
        denoiser: the bound of the denoiser by itself.
        autoregressive: the exact value of the autoregressive model, on the sequences that were drawn; None without one.
        difference: published - autoregressive, with the standard error of the differences.
    """

    published: Estimate
    denoiser: Estimate
    autoregressive: Estimate | None
    difference: Estimate | None


def reported(
    denoiser: Denoiser,
    energy: Energy,
    tokens: NDArray[np.unsignedinteger],
    subtokenizer: Subtokenizer,
    schedule: Schedule,
    *,
    num_samples: int,
    batch_size: int,
    seed: int,
    device: torch.device,
    num_candidates: int = 0,
    autoregressive: Denoiser | None = None,
    report: Callable[[int], None] = lambda done: None,
    kept: Kept | None = None,
    shard_size: int | None = None,
) -> Reported:
    """EDLM's estimate in the k-form; see masked_likelihood for what is not said here.

    Args:
        denoiser: p_theta.
        energy: E.
        num_candidates: of p_theta, from which log Z is estimated (energies.log_partition); 0: it is taken for 0, as it
            is for EDLM-coAR. EDLM-NCE takes 1.
        autoregressive: whose exact likelihood it is compared with.
    """

    def losses(x: Tensor, y: Tensor, t: Tensor, noise: Noise) -> Tensor:
        log_p = completion_log_prob(denoiser, x, y, t, subtokenizer)
        published = -(log_p - energy(x, y, t, log_p))
        if num_candidates:
            uniforms = noise.uniform(num_candidates, x.shape[1], dtype=torch.float64)
            others = candidates(denoiser, y, t, uniforms, subtokenizer)
            each = zip(others.x.unbind(1), others.log_p.unbind(1), strict=True)
            energies = torch.stack([energy(other, y, t, of_it) for other, of_it in each], 1)
            published = published + log_partition(energies)
        return torch.stack([published.double(), -log_p.double()])

    draws = partial(weighted_draws, num_samples=num_samples, batch_size=batch_size, seed=seed, device=device)
    (published, alone), order = draws(
        losses, tokens, subtokenizer, schedule, report=report, kept=kept, shard_size=shard_size
    )
    exact = difference = None
    if autoregressive is not None:
        values = _autoregressive(autoregressive, tokens, subtokenizer, batch_size, device)[torch.from_numpy(order)]
        exact, difference = estimate(values, tokens, order), estimate(published - values, tokens, order)
    return Reported(estimate(published, tokens, order), estimate(alone, tokens, order), exact, difference)


def measurements(
    given: Evaluated, exact: Callable[[Evaluated], Estimate], num_candidates: int = 0
) -> dict[str, Measurement]:
    """Of a model with an energy: as bound what `exact` gives, as published loss EDLM's estimate; see `reported`."""
    settings = given.settings

    def measured(**progress: Any) -> Likelihood:
        network = cast(WithEnergy, given.network)
        estimated = reported(
            network,
            network.energy,
            given.tokens,
            given.subtokenizer,
            given.schedule,
            num_samples=settings.num_samples,
            batch_size=settings.batch_size,
            seed=settings.seed,
            device=given.device,
            num_candidates=num_candidates,
            **progress,
        )
        return Likelihood(exact(given), estimated.published, len(given.tokens))

    return {BOUND: Measurement(settings.num_samples, settings.batch_size, settings.shard_size, measured)}


def _autoregressive(
    network: Denoiser,
    tokens: NDArray[np.unsignedinteger],
    subtokenizer: Subtokenizer,
    batch_size: int,
    device: torch.device,
) -> Tensor:
    """(N,) float64, exact, of each sequence: nats per token."""

    def evaluated(batch: slice) -> Tensor:
        x = torch.from_numpy(tokens[batch].astype(np.int64)).to(device)
        with torch.no_grad():
            return autoregressive_loss(network, x, subtokenizer.mask_id).double().cpu()

    sums: Tensor = in_parts(len(tokens), batch_size, evaluated, lambda done: None, None, None)
    return torch.div(sums, tokens.shape[1])
