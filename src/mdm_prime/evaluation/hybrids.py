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
from mdm_prime.core.objectives import Denoiser
from mdm_prime.core.schedules import Schedule
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.evaluation.likelihood import (
    Estimate,
    Kept,
    Likelihood,
    estimate,
    in_parts,
    of_sequences,
    weighted_draws,
)
from mdm_prime.evaluation.measurement import (
    AUTOREGRESSIVE,
    BOUND,
    DENOISER,
    DIFFERENCE,
    PUBLISHED,
    Evaluated,
    Measurement,
)
from mdm_prime.networks.modules.energies import WithEnergy


class Reported(NamedTuple):
    """Nats per token, all from the same draws.

    Attributes:
        published: EDLM's estimate.
        denoiser: the bound of the denoiser by itself.
        exact: the given exact values on the sequences that were drawn; None without them.
        difference: published - exact, with the standard error of the differences.
    """

    published: Estimate
    denoiser: Estimate
    exact: Estimate | None
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
    exact: Tensor | None = None,
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
        exact: (N,) float64, -log p of every sequence in nats, by another model that it is compared with.
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
    compared = difference = None
    if exact is not None:
        values = (exact / tokens.shape[1])[torch.from_numpy(order)]
        compared, difference = estimate(values, tokens, order), estimate(published - values, tokens, order)
    return Reported(estimate(published, tokens, order), estimate(alone, tokens, order), compared, difference)


def measurements(
    given: Evaluated, exact: Callable[[slice], Tensor], *, num_candidates: int = 0, compared: bool = False
) -> dict[str, Measurement]:
    """Of a model with an energy: as bound an exact value, and apart from it EDLM's estimate; see `reported`.

    Args:
        given: see Evaluated.
        exact: gives -log p, (M,) float64 in nats, of M of the held-out sequences.
        num_candidates: see `reported`.
        compared: whether the estimate is compared with what is exact, sequence by sequence.
    """
    settings, total = given.settings, len(given.tokens)
    values: list[Tensor] = []  # of every sequence, once they are known

    def bound(
        report: Callable[[int], None] = lambda done: None, kept: Kept | None = None, shard_size: int | None = None
    ) -> Likelihood:
        values[:] = [in_parts(total, settings.batch_size, exact, report, kept, shard_size)]
        return of_sequences(values[0], given.tokens)

    def published(**progress: Any) -> Likelihood:
        network = cast(WithEnergy, given.network)
        if compared and not values:  # the bound is not asked for, or later
            bound()
        found = reported(
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
            exact=values[0] if compared else None,
            **progress,
        )
        beside = {DENOISER: found.denoiser, AUTOREGRESSIVE: found.exact, DIFFERENCE: found.difference}
        return Likelihood(
            found.published,
            found.published,
            settings.num_samples,
            {name: value for name, value in beside.items() if value is not None},
        )

    return {
        BOUND: Measurement(total, settings.batch_size, settings.shard_size, bound),
        PUBLISHED: Measurement(settings.num_samples, settings.batch_size, settings.shard_size, published),
    }
