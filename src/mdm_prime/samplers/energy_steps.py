"""Ancestral sampling by importance resampling (EDLM, arXiv 2410.21357, algorithm 1), where a step reveals something.

In a step k sequences are drawn from the denoiser, one is chosen by softmax(-E / temperature), and its tokens are put
where the step reveals something. So the step's tokens come from what evaluation.chains calls `resampled`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from mdm_prime.core.draws import draw_tokens
from mdm_prime.core.energies import Candidates, Energy, candidates, log_weights
from mdm_prime.core.noise import ExampleNoise
from mdm_prime.core.samples import SamplerInput, Samples
from mdm_prime.samplers.exact import ancestral_events, number_of_events, sample_seeds


@torch.no_grad()
def energy_sample(
    given: SamplerInput,
    *,
    num_steps: int,
    num_candidates: int,
    temperature: float,
    inside: Callable[[float], bool],
) -> Samples:
    """Reveals what is masked in given.y; an evaluation of the energy counts as one of the network.

    Args:
        given: its network has a method `energy`, see core.energies.Energy.
        num_steps: even steps of time.
        num_candidates: k.
        temperature: of the choice.
        inside: whether the energy is asked at a time; elsewhere one draw is taken as it is.

    Raises:
        ValueError: a network without energy.
    """
    if not hasattr(given.network, "energy"):
        raise ValueError("the sampler energy needs a model with an energy")
    energy = cast(Energy, given.network.energy)
    y, subtokenizer = given.y.clone(), given.subtokenizer
    noise = ExampleNoise(sample_seeds(given.seed, given.indices), torch.device("cpu"))
    times = noise.uniform(*y.shape[1:], dtype=torch.float64).to(y.device)
    events = ancestral_events(times, given.schedule, num_steps, given.fixed)
    count, nfe = number_of_events(events), torch.zeros(len(y), dtype=torch.long, device=y.device)
    for number in range(int(count.max())):
        uniforms = noise.uniform(num_candidates + 1, y.shape[1], dtype=torch.float64).to(y.device)
        rows = (count > number).nonzero().squeeze(1)
        event = events.number[rows] == number
        t = events.time[rows].masked_fill(~event, -1.0).flatten(1).amax(1)
        moments = t.tolist()  # all of them at once: the device is waited for
        if given.record is not None:
            given.record(max(moments), y)
        x = torch.empty(y[rows].shape[:2], dtype=torch.long, device=y.device)
        for asked, k in ((False, 1), (True, num_candidates)):
            places = [place for place, moment in enumerate(moments) if inside(moment) == asked]
            if places:
                at = torch.tensor(places, device=y.device)
                some, state = rows[at], (y[rows[at]], t[at].float())
                where = event[at].any(-1) if k == 1 else None  # an energy reads whole sequences
                drawn = candidates(given.network, *state, uniforms[some, 1 : k + 1], subtokenizer, where)
                x[at] = _choose(energy, drawn, *state, uniforms[some, 0, 0], temperature)
                nfe[some] += 1 + (k if k > 1 else 0)
        y[rows] = torch.where(event, subtokenizer.encode(x), y[rows])
    if given.record is not None:
        given.record(0.0, y)
    return Samples(subtokenizer.decode(y), nfe)


def _choose(energy: Energy, drawn: Candidates, y: Tensor, t: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
    """One of the k candidates of each state, by uniform numbers (B,): (B, L)."""
    if drawn.x.shape[1] == 1:
        return drawn.x[:, 0]
    each = zip(drawn.x.unbind(1), drawn.log_p.unbind(1), strict=True)
    energies = torch.stack([energy(x, y, t, log_p) for x, log_p in each], 1)
    winner = draw_tokens(log_weights(energies, temperature), uniforms)
    return drawn.x[torch.arange(len(winner), device=winner.device), winner]
