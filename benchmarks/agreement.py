"""What do the differences from the reference implementation change? The numbers of docs/agreement.md.

    python benchmarks/agreement.py [--seed 0] [--draws 20000]

Nothing is trained and nothing is read: each number follows from a formula or from a seeded experiment on a CPU.
"""

from __future__ import annotations

import argparse
import math
import platform

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.special import betainc
from scipy.stats import binom

from mdm_prime.core.schedules import polynomial
from mdm_prime.core.subtokens import smallest_base
from mdm_prime.samplers import euler_steps as euler

EPS = 1e-3  # of the reference's noise of text, of its smallest time, and of its image likelihood
VOCABULARY, LENGTH, PERPLEXITY = 50257, 1024, 22.98  # OpenWebText, and MDLM there
Numbers = NDArray[np.float64]
STEP = 2.0**-24  # between the largest float32 numbers below 1 that a uniform draw may give


def bases(table: Table) -> None:
    """How often ceil(V ** (1 / l)) is not the smallest base, and in which direction."""
    wrong = [
        (vocab_size, ell, found)
        for ell in range(2, 17)
        for vocab_size in range(3, 65537)
        if (found := math.ceil(vocab_size ** (1 / ell))) != smallest_base(vocab_size, ell)
    ]
    pairs = ", ".join(f"({vocab_size:,}, {ell}): {found}" for vocab_size, ell, found in sorted(wrong))
    table.add_row("base", "(V, l) with a wrong base, V to 65,536, l to 16, and that base", pairs)


def schedule_eps(table: Table) -> None:
    """Share of the integral over time that is left, with masks of probability (1 - eps) t and t in (eps, 1].

    In the share u of masked sub-tokens the integrals run over du / u, from (1 - eps) eps to 1 - eps, and the mean over
    uniform t divides by 1 - eps. A set of k of n has the weight of a Beta(k, n - k + 1) distribution of u, over k.
    """
    n = LENGTH
    k = np.arange(1, n + 1)
    left = np.asarray(betainc(k, n - k + 1, 1 - EPS) - betainc(k, n - k + 1, (1 - EPS) * EPS))
    independent = left.mean() / (1 - EPS)  # a loss of k c where k are masked
    copies = left[-1] / (1 - EPS)  # nothing to pay unless all are masked
    nats = math.log(PERPLEXITY)
    # Outside the limits the loss of a masked token is taken for 0 to log V, which bounds what is lost.
    most = EPS * (1 + 1 - EPS) * math.log(VOCABULARY)
    reported = [math.exp((nats - lost) / (1 - EPS)) for lost in (most, 0)]
    table.add_row("eps 0.001", "loss that is left: independent tokens, L = 1,024", f"{independent:.4f}")
    table.add_row("eps 0.001", "loss that is left: 1,024 copies of one token", f"{copies:.4f}")
    table.add_row("eps 0.001", f"perplexity {PERPLEXITY} is reported as", f"{reported[0]:.2f} to {reported[1]:.2f}")


def mean_times_weight(table: Table, generator: np.random.Generator) -> None:
    """Independent pixels under their own network: a loss of 1 nat a masked pixel, so the true value is 1.

    The times of a batch differ; the mean loss of the batch is multiplied by the mean of the weights instead of each
    loss by its weight. alpha(t) = (1 - t)^3, t from 0.001, as in the paper's images.
    """
    schedule, pixels, batch, num_batches = polynomial(3.0), 3072, 64, 4000
    t = torch.from_numpy(EPS + (1 - EPS) * generator.random((num_batches, batch)))
    masked = np.asarray(binom.rvs(pixels, schedule.mask_probability(t), random_state=generator)) / pixels
    weight = schedule.loss_weight(t).numpy()
    right, theirs = (masked * weight).mean(), (masked.mean(1) * weight.mean(1)).mean()
    table.add_row("mean x weight", "1 nat a pixel, each loss times its own weight", f"{right:.3f}")
    table.add_row("mean x weight", "the same, mean loss times mean weight, batches of 64", f"{theirs:.3f}")


def drifting_grid(table: Table, generator: np.random.Generator) -> None:
    """512 times of one image a batch: all are shifted by one uniform number, and that result is the next batch's grid.

    With each batch the grid shrinks by 1 - eps and is cut open at another place. The spread of the mean of t (1 - t)
    over the images shows how even it is. CIFAR-10 has 782 batches of 64; one of eight parts has 98.
    """
    size, columns = 512, 500
    grid = np.repeat(np.linspace(0, 1, size, endpoint=False)[:, None], columns, 1)
    for batch in range(1, 783):
        grid = (grid + generator.random(columns)) % 1 * (1 - EPS)
        if batch in (1, 98, 782):
            gaps = np.diff(np.sort(grid, 0), axis=0, append=np.sort(grid, 0)[:1] + 1)
            spread = (grid * (1 - grid)).mean(0).std()
            table.add_row(
                "time grid",
                f"batch {batch}: largest gap (even: {1 / size:.4f}), spread of the mean of t (1 - t)",
                f"{gaps.max(0).mean():.4f}, {spread:.5f}",
            )
    fresh = (np.linspace(0, 1, size, endpoint=False)[:, None] + generator.random(columns)) % 1
    independent = generator.random((size, columns))
    for name, times in (("even grid, shifted", fresh), ("512 independent times", independent)):
        table.add_row(
            "time grid", f"{name}: spread of the mean of t (1 - t)", f"{(times * (1 - times)).mean(0).std():.5f}"
        )


def kept(ratio: Numbers) -> Numbers:
    """The share of the draws that float32 keeps for a token with this ratio of probability to that of the mask.

    The smallest of exponential numbers, divided by the probabilities, wins. In float32 they are multiples of 2^-24, at
    least one, so a token wins against the mask's number E with probability floor(r E / 2^-24) 2^-24 and not r E. The
    mean over E is 2^-24 / (e^(2^-24 / r) - 1).
    """
    z = np.minimum(STEP / ratio, 700)
    return np.asarray(z / np.expm1(z))


def entropy(probabilities: Numbers) -> float:
    p = probabilities[probabilities > 0] / probabilities.sum()
    return float(-(p * np.log(p)).sum())


def float32_draws(table: Table, draws: int, seed: int) -> None:
    """One step of 1,024 at t = 1/2 for l = 1, where the mask competes with 50,257 tokens of equal probability.

    Each token has 1 / V of the probability dt that the position is revealed, the mask has t - dt; dt is 1/1,024.
    """
    ratio = np.full(1, 1 / 511 / VOCABULARY)
    generator = torch.Generator().manual_seed(seed)
    for dtype in (torch.float32, torch.float64):
        wins = 0
        for part in torch.arange(draws).split(400):
            token = torch.rand((len(part), VOCABULARY), generator=generator, dtype=dtype).amax(1)
            mask = torch.rand((len(part),), generator=generator, dtype=dtype)
            wins += int((token.log() / ratio.item() > mask.log()).sum())
        what = f"equal tokens, {draws:,} draws in {str(dtype).removeprefix('torch.')}: revealed, of the right number"
        table.add_row("float32 draws", what, f"{512 * wins / draws:.2f} ± {512 * wins**0.5 / draws:.2f}")
    table.add_row("float32 draws", "the same in float32 by the formula", f"{kept(ratio).item():.2f}")


def float32_entropy(table: Table) -> None:
    """Entropy of the tokens that whole runs draw when every prediction is Zipf's law over 50,257 tokens."""
    zipf = 1 / np.arange(1, VOCABULARY + 1)
    zipf /= zipf.sum()
    exact = f"{entropy(zipf):.2f}"
    for steps in (256, 1024):
        what = f"Zipf's law, l = 1, {steps:,} steps: entropy exactly, drawn (nats)"
        table.add_row("float32 draws", what, f"{exact}, {entropy(whole_run(zipf, steps)):.2f}")
    what = "Zipf's law, l above 1, where no mask competes: entropy exactly, drawn (nats)"
    table.add_row("float32 draws", what, f"{exact}, {entropy(zipf * kept(zipf)):.2f}")


def whole_run(p: Numbers, num_steps: int) -> Numbers:
    """What a masked token becomes in T steps to the time 0.00001, if its predicted distribution p stays the same.

    What is still masked then becomes the likeliest token.
    """
    end = 1e-5
    drawn, masked = np.zeros_like(p), 1.0
    dt = (1 - end) / num_steps
    for t in np.linspace(1, end, num_steps + 1)[:-1]:
        ratio = p * dt / (t - dt)
        wins = ratio * kept(ratio) / (1 + ratio.sum())
        drawn += masked * wins
        masked *= 1 - wins.sum()
    drawn[p.argmax()] += masked
    return drawn


def correctors(table: Table) -> None:
    """The setting of CIFAR-10, l = 2, 512 evaluations: a = 16, n = 2, b = 0.75, alpha = (1 - t)^3, uneven steps."""
    a, n, b = 16.0, 2.0, 0.75
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    strongest = [float(euler.corrector(t, a, n, exponent).max()) for exponent in (b, n)]
    table.add_row("corrector", "strongest c: with two exponents, with one", f"{strongest[0]:.2f}, {strongest[1]:.2f}")
    schedule = polynomial(3.0)
    steps = euler.plan_steps(
        schedule,
        512,
        corrector=lambda t: euler.corrector(t, a, n, n),
        time_steps=lambda u: euler.time_steps(u, 1.0, 1.7, 0.0),
    )
    masked, half = 1.0, next(step for step in steps if step.t <= 0.5)
    for step in steps[: steps.index(half)]:
        masked *= 1 - step.reveal
        masked = masked * math.exp(-step.to_value) + (1 - masked) * (1 - math.exp(-step.to_mask))
    planned = float(schedule.mask_probability(torch.tensor(half.t)))
    table.add_row("repeated drift", "masked at t = 1/2: by alpha, with the drift twice", f"{planned:.3f}, {masked:.3f}")


def small_fid(table: Table, generator: np.random.Generator) -> None:
    """Distances of samples from the reference images' own distribution, 64 normal features: the true value is 0."""
    size, models = 64, 20
    for num in (2000, 50000):
        found = []
        for _ in range(models):
            x = generator.standard_normal((num, size))
            covariance = np.cov(x.T)
            root = np.sqrt(np.linalg.eigvalsh(covariance)).sum()  # the other covariance is the identity
            found.append((x.mean(0) ** 2).sum() + np.trace(covariance) + size - 2 * root)
        table.add_row(
            "FID of few",
            f"64 features, {num:,} samples: mean, spread, and lowest of {models} equal samplers",
            f"{np.mean(found):.4f}, {np.std(found):.4f}, {min(found):.4f}",
        )


def idle_batches(table: Table) -> None:
    """A step's network is reused only where no sequence of the batch has changed; T = L = 1,024, l = 1."""
    n = LENGTH
    for batch in (1, 8, 32):
        table.add_row(
            "idle steps", f"steps that reuse the network, batch of {batch}", f"{100 * (1 - 1 / n) ** (n * batch):.2f} %"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=20000, help="draws of one token of 50,257, in float32 and float64")
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = np.random.default_rng(options.seed)
    table = Table(
        "difference", "what", "value", title=f"seed {options.seed}, {platform.machine()}, torch {torch.__version__}"
    )
    bases(table)
    schedule_eps(table)
    mean_times_weight(table, generator)
    drifting_grid(table, generator)
    float32_draws(table, options.draws, options.seed)
    float32_entropy(table)
    correctors(table)
    small_fid(table, generator)
    idle_batches(table)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
