"""The image sampler of MDM-Prime: Euler steps with a corrector, a temperature and uneven steps, for any ell.

It follows the published reference implementation, whose time is 1 - t. In a step from t to s = t - h

1. each masked sub-token is revealed with probability (alpha(s) - alpha(t)) / (1 - alpha(t)), as the value y0 that the
   network predicts at y_t;
2. the corrector, where there is one, lets every sub-token jump with rate (1 + c) w to y0, unless it has that value, and
   with rate c v to the mask, unless it is masked. Here w = -alpha'(t) / (1 - alpha(t)) and v = -alpha'(t) / alpha(t).
   It jumps with probability 1 - exp(-h * sum of its rates), to either target in proportion to the rates.

The part c w of the rate to y0 balances c v: together they keep the share of masked sub-tokens. The part w repeats the
drift of 1., as in the reference. Sub-tokens are therefore visible earlier than alpha says, which changes no
distribution for a network that ignores time. At t = 1 nothing is visible and v is infinite: there the corrector does
nothing. The last step reveals all that is masked, without a corrector. Without carry-over the corrector also replaces
visible sub-tokens by other values.

No code >= V is ever made. What is revealed together is restricted to valid codes; a position whose corrector jumps
would leave it with the sub-tokens of no token keeps what it had before them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mdm_prime.core.bases import grid_sizes
from mdm_prime.core.completion import completable, smallest_completion
from mdm_prime.core.draws import draw_tokens
from mdm_prime.core.noise import ExampleNoise
from mdm_prime.core.objectives import Denoiser, consistent
from mdm_prime.core.rows import of_rows
from mdm_prime.core.samples import SamplerInput, Samples
from mdm_prime.core.schedules import Schedule
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.errors import UserError
from mdm_prime.samplers.exact import sample_seeds

Distribution = Literal["joint", "marginals"]
LOGITS_AT_ONCE = 2**24  # that tokens are drawn from, in float64: bounds the memory, changes no value
TimeFunction = Callable[[Tensor], Tensor]  # of times (K,) float64


def temperature(t: Tensor, a: float, n: float, b: float) -> Tensor:
    """Divides the logits: a (1 - t)^n + b. With the paper's a < 0 and b = 1 it goes from 1 down to 1 + a."""
    return a * (1 - t) ** n + b


def corrector(t: Tensor, a: float, n: float, b: float) -> Tensor:
    """The strength c of the corrector: a (1 - t)^n t^b.

    The paper's formula. Its released code takes n for both exponents and never reads b; params with b = n repeat it.
    """
    return a * (1 - t) ** n * t**b


def time_steps(u: Tensor, a: float, n: float, b: float) -> Tensor:
    """The time t of the even step u: a u^n - b, clipped to [0, 1]. The paper has a = 1 and b = 0."""
    return (a * u**n - b).clamp(0, 1)


class Step(NamedTuple):
    """The numbers of one step.

    Attributes:
        t: the time at which the network is evaluated.
        temperature: divides its logits.
        reveal: probability that a masked sub-token is revealed.
        to_value: the corrector's rate to the drawn value, times h.
        to_mask: the corrector's rate to the mask, times h.
    """

    t: float
    temperature: float
    reveal: float
    to_value: float
    to_mask: float


def plan_steps(
    schedule: Schedule,
    num_steps: int,
    *,
    temperature: TimeFunction | None = None,
    corrector: TimeFunction | None = None,
    time_steps: TimeFunction | None = None,
) -> list[Step]:
    """The numbers of all T steps, which do not depend on the network; the three functions are those of euler_sample.

    Raises ValueError for less than one step; UserError for times that do not fall from 1 to 0, a temperature that is
    not positive or a corrector that is negative, or for either if it is not finite.
    """
    if num_steps < 1:
        raise ValueError(f"num_steps {num_steps} must be at least 1")
    even = 1 - torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
    times = even if time_steps is None else time_steps(even)
    if times[0] != 1 or times[-1] != 0 or not (times.diff() < 0).all():
        raise UserError(
            f"time_steps: the times go from {float(times[0]):g} to {float(times[-1]):g}; should go from 1 to 0 and "
            f"fall in each of {num_steps} steps; give a: 1, n: above 0 and b: 0, or null for even steps"
        )
    t, h = times[:-1], -times.diff()
    heat = torch.ones_like(t) if temperature is None else temperature(t)
    if not (heat.isfinite() & (heat > 0)).all():
        raise UserError(f"temperature: goes from {float(heat.min()):g} to {float(heat.max()):g}; should be positive")
    alpha, d_alpha = schedule.alpha_and_derivative(times)
    reveal = alpha.diff() / (1 - alpha[:-1])
    reveal[-1] = 1.0
    to_value, to_mask = torch.zeros_like(t), torch.zeros_like(t)
    if corrector is not None:
        c = corrector(t)
        if not (c.isfinite() & (c >= 0)).all():
            raise UserError(f"corrector: goes from {float(c.min()):g} to {float(c.max()):g}; should be 0 or positive")
        acts = alpha[:-1] > 0
        acts[-1] = False
        to_value = torch.where(acts, h * (1 + c) * schedule.loss_weight(t), 0.0)
        to_mask = torch.where(acts, h * c * -d_alpha[:-1] / alpha[:-1], 0.0)
    columns = (values.tolist() for values in (t, heat, reveal, to_value, to_mask))
    return [Step(*numbers) for numbers in zip(*columns, strict=True)]


@torch.no_grad()
def euler_sample(
    given: SamplerInput,
    *,
    num_steps: int,
    distribution: Distribution,
    temperature: TimeFunction | None = None,
    corrector: TimeFunction | None = None,
    time_steps: TimeFunction | None = None,
) -> Samples:
    """Samples (B, L) in T steps; each counts as T network evaluations, though idle rows are left out of some.

    Args:
        given: see SamplerInput; its `record` is called before each step with its time, and at the end with time 0.
        num_steps: T.
        distribution: whether the sub-tokens of a position are drawn as one token, or each from its own marginal.
        temperature: of the logits, from times (T,); None: 1.
        corrector: its strength c, from times (T,); None: no corrector at all.
        time_steps: the times t of even steps u from 1 to 0, (T + 1,) both; None: t = u.

    Raises ValueError for a start that no sample has, else see plan_steps.
    """
    y, subtokenizer, record = given.y, given.subtokenizer, given.record
    if (given.fixed & (y == subtokenizer.mask_id)).any():
        raise ValueError("a masked sub-token cannot be fixed")
    if (smallest_completion(y, subtokenizer) >= subtokenizer.vocab_size).any():
        raise ValueError(f"the given sub-tokens belong to no token below {subtokenizer.vocab_size}")
    steps = plan_steps(given.schedule, num_steps, temperature=temperature, corrector=corrector, time_steps=time_steps)
    uniforms = step_uniforms(given.seed, given.indices, y.shape[1:], y.device)
    for step in steps:
        if record is not None:
            record(step.t, y)
        y = euler_step(
            given.network,
            y,
            given.fixed,
            next(uniforms),
            step,
            subtokenizer,
            distribution=distribution,
            carry_over=given.carry_over,
        )
    if record is not None:
        record(0.0, y)
    return Samples(subtokenizer.decode(y), torch.full((len(y),), num_steps, device=y.device))


def step_uniforms(seed: int, indices: range, shape: torch.Size, device: torch.device) -> Iterator[Tensor]:
    """For each step (3, B, L, ell) float64 in [0, 1), for reveals, jumps and draws; a generator for each sample."""
    noise = ExampleNoise(sample_seeds(seed, indices), device)
    while True:
        yield noise.uniform(3, *shape, dtype=torch.float64).transpose(0, 1)


def euler_step(
    denoiser: Denoiser,
    y: Tensor,
    fixed: Tensor,
    uniforms: Tensor,
    step: Step,
    subtokenizer: Subtokenizer,
    *,
    distribution: Distribution,
    carry_over: bool,
) -> Tensor:
    """One step of all sequences, (B, L, ell) to (B, L, ell); uniforms (3, B, L, ell), the rest as in euler_sample.

    The network is asked only where a sub-token may take a value. A jump to a value is possible where its uniform number
    lies below the largest probability that any prediction could give it.
    """
    masked = y == subtokenizer.mask_id
    revealed = masked & (uniforms[0] < step.reveal)
    largest = jump_probability(step.to_value + ~masked * uniforms.new_tensor(step.to_mask))
    replaceable = ~fixed & ~revealed & (masked | (not carry_over))  # with carry-over a visible value is drawn again
    where = (revealed | (replaceable & (uniforms[1] < largest))).any(-1)
    rows = where.any(-1)
    value = y.clone()
    if rows.any():
        asked = of_rows(denoiser, rows.nonzero().squeeze(1))
        logits = asked(y[rows], torch.full((int(rows.sum()),), step.t, device=y.device), where[rows])
        draw = {"joint": draw_jointly, "marginals": draw_marginally}[distribution]
        positions = (logits, y[where], revealed[where], uniforms[2][where])
        drawn = []
        for part in torch.arange(len(logits), device=y.device).split(LOGITS_AT_ONCE // logits.shape[-1]):
            some, given, reveals, numbers = (values[part] for values in positions)
            some = some.double() / step.temperature
            if carry_over:
                some = some.masked_fill(~consistent(given, subtokenizer.base, subtokenizer.vocab_size), -torch.inf)
            drawn.append(draw(some, given, reveals, numbers, subtokenizer))
        value[where] = torch.cat(drawn)
    forward = torch.where(revealed, value, y)

    value_rate = (value != forward) * uniforms.new_tensor(step.to_value)
    rate = value_rate + (forward != subtokenizer.mask_id) * uniforms.new_tensor(step.to_mask)
    probability = jump_probability(rate)
    jumps = ~fixed & (uniforms[1] < probability)
    target = torch.where(uniforms[1] * rate < probability * value_rate, value, subtokenizer.mask_id)
    after = torch.where(jumps, target, forward)
    possible = smallest_completion(after, subtokenizer) < subtokenizer.vocab_size
    return torch.where(possible[..., None], after, forward)


def jump_probability(rate: Tensor) -> Tensor:
    """1 - exp(-rate), for rates that are multiplied by the length of the step."""
    return -torch.expm1(-rate)


def draw_jointly(logits: Tensor, y: Tensor, revealed: Tensor, uniforms: Tensor, subtokenizer: Subtokenizer) -> Tensor:
    """The digits (N, ell) of one token at each position.

    Args:
        logits: (N, V).
        y: (N, ell) the positions' sub-tokens.
        revealed: (N, ell) bool, those that take their drawn digit.
        uniforms: (N, ell) float64; the first of a position is used.
        subtokenizer: the map between tokens and sub-tokens.
    """
    digits = subtokenizer.digits(y.device)
    allowed = completable(y, revealed, digits, subtokenizer)
    return digits[draw_tokens(logits.masked_fill(~allowed, -torch.inf), uniforms[:, 0])]


def draw_marginally(
    logits: Tensor, y: Tensor, revealed: Tensor, uniforms: Tensor, subtokenizer: Subtokenizer
) -> Tensor:
    """Digits (N, ell), each from its own marginal; arguments as those of draw_jointly.

    From the most significant on, a digit is restricted to those that a token has together with the visible digits and
    the revealed ones already drawn. Where the network gives none of these any probability, all of them are alike.
    """
    base, vocab_size = subtokenizer.base, subtokenizer.vocab_size
    marginals = subtoken_marginals(logits.double().softmax(-1), base, y.shape[-1])
    values = torch.arange(base, device=y.device)
    known, drawn = y.clone(), []
    for j, place in enumerate(subtokenizer.place_values().tolist()):
        rest = known.clone()
        rest[:, j] = 0
        allowed = smallest_completion(rest, subtokenizer)[:, None] + place * values < vocab_size
        log_probs = marginals[:, j].log().clamp(min=torch.finfo(marginals.dtype).min / 4)
        index = draw_tokens(log_probs.masked_fill(~allowed, -torch.inf), uniforms[:, j])
        drawn.append(values[index])  # b, the index that comes of logits of nan, is no value and raises IndexError
        known[:, j] = torch.where(revealed[:, j], drawn[j], y[:, j])
    return torch.stack(drawn, -1)


def subtoken_marginals(probs: Tensor, base: int, num_subtokens: int) -> Tensor:
    """The marginal distribution of each sub-token, (N, ell, b), under token probabilities (N, V).

    Tokens seen as a grid, one axis a sub-token, the last axis is taken and then summed away, and so on.
    """
    sizes = grid_sizes(base, num_subtokens, probs.shape[-1])
    grid = F.pad(probs, (0, math.prod(sizes) - probs.shape[-1]))
    marginals = []
    for size in reversed(sizes):
        axes = grid.unflatten(1, (-1, size))
        marginals.append(F.pad(axes.sum(1), (0, base - size)))
        grid = axes.sum(2)
    return torch.stack(marginals[::-1], 1)
