"""The true posterior of a Markov source, and both objectives, the other bound and the exact values at it.

With the true posterior the bound equals the entropy, and the joint loss falls below it as soon as the sub-tokens of a
token depend on each other: the proof, without any training, that the joint loss is no bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from mdm_prime.core.objectives import Denoiser, consistent, sequence_losses
from mdm_prime.core.orders import ORDERS
from mdm_prime.core.revealing import sequence_log_prob
from mdm_prime.core.schedules import linear
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.data.known_entropy import MarkovSource, entropy_per_token, sample
from mdm_prime.experiment.sections.models import Oracle
from mdm_prime.results.exact import ExactValue
from mdm_prime.results.oracle import Method, OracleRow, SourceName

BATCH = 2**15  # states at once; bounds the memory, changes no value


def posterior_and_evidence(source: MarkovSource, y: Tensor, subtokenizer: Subtokenizer) -> tuple[Tensor, Tensor]:
    """Forward-backward over the tokens that agree with the visible sub-tokens; messages are normalised.

    Args:
        source: V tokens, length L.
        y: (B, L, ell) int64, digits or the mask.
        subtokenizer: of V and ell.

    Returns:
        p(x_i | y): (B, L, V) float64, and log P(visible sub-tokens): (B,) float64, in nats.
        Where the visible sub-tokens are impossible: zeros, and -inf.
    """
    initial = torch.from_numpy(source.initial).to(y.device)
    transition = torch.from_numpy(source.transition).to(y.device)
    allowed = consistent(y.flatten(0, 1), subtokenizer.base, subtokenizer.vocab_size)
    allowed = allowed.unflatten(0, y.shape[:2]).to(torch.float64)
    forward = torch.empty_like(allowed)
    scale = allowed.new_empty(y.shape[:2])
    message = initial.expand(len(y), -1)
    for i in range(source.length):
        forward[:, i] = message * allowed[:, i]
        scale[:, i] = forward[:, i].sum(-1)
        forward[:, i] /= _nonzero(scale[:, i, None])
        message = forward[:, i] @ transition
    probabilities = forward.clone()
    backward = torch.ones_like(message)
    for i in range(source.length - 2, -1, -1):
        backward = (allowed[:, i + 1] * backward) @ transition.T / _nonzero(scale[:, i + 1, None])
        probabilities[:, i] *= backward
    log_evidence = scale.log().sum(-1)
    probabilities *= (log_evidence > -torch.inf)[:, None, None]
    return probabilities / _nonzero(probabilities.sum(-1, keepdim=True)), log_evidence


def oracle_denoiser(source: MarkovSource, subtokenizer: Subtokenizer) -> Denoiser:
    """The true posterior with the signature of a network: denoiser(y, t, where) -> logits.

    The denoiser takes y (B, L, ell) int64, t (B,) float, of no effect, and where (B, L) bool; it returns (N, V) float64
    log-probabilities at the N positions where `where` is true, in row-major order, -inf for impossible tokens. It
    raises ValueError when the source cannot produce the visible sub-tokens.
    """

    def denoiser(y: Tensor, t: Tensor, where: Tensor) -> Tensor:
        probabilities, log_evidence = posterior_and_evidence(source, y, subtokenizer)
        if torch.isneginf(log_evidence).any():
            raise ValueError("the source cannot produce these visible sub-tokens")
        return probabilities[where].log()

    return denoiser


def terms(source: MarkovSource, y: Tensor, subtokenizer: Subtokenizer) -> tuple[Tensor, Tensor, Tensor]:
    """Expected losses at the true posterior in the state y, before weighting.

    Args: see `posterior_and_evidence`.

    Returns:
        Three (B,) float64: log P(visible), the joint loss' sum over positions with a masked sub-token of H(X_i | y),
        and the bound's sum over masked sub-tokens of H(Y_ij | y), in nats.
    """
    probabilities, log_evidence = posterior_and_evidence(source, y, subtokenizer)
    masked = y == subtokenizer.mask_id
    joint = (_entropy(probabilities) * masked.any(-1)).sum(-1)
    digit_is = torch.nn.functional.one_hot(subtokenizer.digits(y.device), subtokenizer.base)  # (V, ell, b)
    marginals = torch.einsum("blv,vjd->bljd", probabilities, digit_is.to(torch.float64))
    return log_evidence, joint, (_entropy(marginals) * masked).sum((-1, -2))


def enumerated(source: MarkovSource, subtokenizer: Subtokenizer) -> tuple[float, float]:
    """Exact (joint_loss, nelbo) in nats per token: the sum over all (base+1)^(L*ell) states.

    A particular set of k of the n = L*ell sub-tokens is masked with weight 1 / (k C(n, k)), the integral over t of
    w(t) times its probability, for every schedule.
    """
    n = source.length * subtokenizer.num_subtokens
    weight = torch.tensor([0.0] + [1 / (k * math.comb(n, k)) for k in range(1, n + 1)], dtype=torch.float64)
    joint_loss = nelbo = 0.0
    for y in all_states(source.length, subtokenizer):
        log_evidence, joint, bound = terms(source, y, subtokenizer)
        share = log_evidence.exp() * weight[(y == subtokenizer.mask_id).sum((-1, -2))]
        joint_loss += float(share @ joint)
        nelbo += float(share @ bound)
    return joint_loss / source.length, nelbo / source.length


def estimated(
    source: MarkovSource, subtokenizer: Subtokenizer, num_samples: int, seed: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Monte Carlo (joint_loss, nelbo) and their standard errors, in nats per token.

    Draws x from the source and k uniformly from 1..n, in equal shares, masks k of the n sub-tokens, weight n / k. The
    standard error is that of independent k, so it is on the safe side.
    """
    rng = np.random.default_rng(seed)
    n = source.length * subtokenizer.num_subtokens
    x = torch.from_numpy(sample(source, num_samples, rng))
    k = torch.from_numpy(1 + (n * (np.arange(num_samples) + rng.random()) / num_samples).astype(np.int64)).clamp(max=n)
    values = []
    for rows in torch.arange(num_samples).split(BATCH):
        rank = torch.from_numpy(rng.random((len(rows), n)).argsort(1).argsort(1))
        masked = (rank < k[rows, None]).unflatten(1, (source.length, subtokenizer.num_subtokens))
        y = subtokenizer.encode(x[rows]).masked_fill(masked, subtokenizer.mask_id)
        _, joint, bound = terms(source, y, subtokenizer)
        values.append(torch.stack([joint, bound], 1) * (n / k[rows, None]) / source.length)
    both = torch.cat(values)
    means, errors = both.mean(0).tolist(), (both.std(0) / math.sqrt(num_samples)).tolist()
    return (means[0], means[1]), (errors[0], errors[1])


def by_sequences(source: MarkovSource, subtokenizer: Subtokenizer) -> tuple[float, dict[str, float]]:
    """What else the evaluation reports, at the true posterior: every sequence that the source can produce, weighted.

    Returns:
        The bound by masks of whole tokens, from all masks, and the exact value of each order; nats per token.
    """
    number = Subtokenizer(source.vocab_size**source.length, source.length)
    x = number.encode(torch.arange(number.vocab_size))
    initial, transition = torch.from_numpy(source.initial), torch.from_numpy(source.transition)
    probabilities = initial[x[:, 0]] * transition[x[:, :-1], x[:, 1:]].prod(-1)
    x, probabilities = x[probabilities > 0], probabilities[probabilities > 0]
    denoiser = oracle_denoiser(source, subtokenizer)
    bound, exact = 0.0, dict.fromkeys(ORDERS, 0.0)
    masks = Subtokenizer(2**source.length, source.length).encode(torch.arange(1, 2**source.length)).bool()
    for rows in torch.arange(len(x)).split(BATCH):
        share = probabilities[rows] / source.length
        for mask in masks:
            k = int(mask.sum())
            y = subtokenizer.encode(x[rows]).masked_fill(mask[:, None], subtokenizer.mask_id)
            losses = sequence_losses(
                denoiser, x[rows], y, torch.zeros(len(y)), subtokenizer, carry_over=True, marginal=False
            )
            bound += float(share @ losses.joint) / (k * math.comb(source.length, k))
        for name, order in ORDERS.items():
            log_probs = sequence_log_prob(denoiser, x[rows], order, subtokenizer, linear(), carry_over=True)
            exact[name] -= float(share @ log_probs)
    return bound, exact


def copies_of_one_bit(num_copies: int) -> MarkovSource:
    """One token made of `num_copies` copies of a fair bit: entropy log 2, joint loss (log 2) / num_copies."""
    initial = np.zeros(2**num_copies)
    initial[[0, -1]] = 0.5
    return MarkovSource(initial, np.tile(initial, (len(initial), 1)), length=1)


def cases(settings: Oracle, source: MarkovSource) -> list[tuple[SourceName, MarkovSource, Subtokenizer, int]]:
    """`source` for every num_subtokens that is asked for, and copies of one bit; with the number of their states."""
    found: list[tuple[SourceName, MarkovSource, int]] = [
        ("known_entropy", source, ell) for ell in settings.num_subtokens
    ]
    found += [("copies of one bit", copies_of_one_bit(ell), ell) for ell in settings.copies_of_one_bit]
    divided = [(name, case, Subtokenizer(case.vocab_size, ell)) for name, case, ell in found]
    return [(*case, _num_states(*case[1:])) for case in divided]


def oracle_rows(settings: Oracle, source: MarkovSource) -> list[OracleRow]:
    """The rows of oracle.json: a row for each case."""
    return [_row(*case, settings) for case in cases(settings, source)]


def _num_states(source: MarkovSource, subtokenizer: Subtokenizer) -> int:
    states: int = (subtokenizer.base + 1) ** (source.length * subtokenizer.num_subtokens)
    return states


def _row(name: SourceName, source: MarkovSource, subtokenizer: Subtokenizer, states: int, oracle: Oracle) -> OracleRow:
    method: Method = "monte carlo"
    tokens: float | None = None
    exact: dict[str, ExactValue] = {}
    if states <= oracle.max_states:
        method, errors = "enumeration", (0.0, 0.0)
        values = enumerated(source, subtokenizer)
        tokens, orders = by_sequences(source, subtokenizer)
        exact = {order: ExactValue(nll=nll, nll_stderr=0.0) for order, nll in orders.items()}
    else:
        values, errors = estimated(source, subtokenizer, oracle.num_samples, oracle.seed)
    return OracleRow(
        source=name,
        num_subtokens=subtokenizer.num_subtokens,
        base=subtokenizer.base,
        vocab_size=source.vocab_size,
        length=source.length,
        entropy=entropy_per_token(source),
        method=method,
        states=states,
        joint_loss=values[0],
        joint_loss_stderr=errors[0],
        nelbo=values[1],
        nelbo_stderr=errors[1],
        bound_tokens=tokens,
        bound_tokens_stderr=None if tokens is None else 0.0,
        exact=exact,
    )


def all_states(length: int, subtokenizer: Subtokenizer) -> Iterator[Tensor]:
    """Every y, (B, L, ell), in batches: the numbers 0, 1, ... written with base + 1 digits, the last one the mask."""
    n = length * subtokenizer.num_subtokens
    number = Subtokenizer((subtokenizer.base + 1) ** n, n)
    for start in range(0, number.vocab_size, BATCH):
        states = torch.arange(start, min(start + BATCH, number.vocab_size))
        yield number.encode(states).unflatten(1, (length, subtokenizer.num_subtokens))


def _nonzero(total: Tensor) -> Tensor:
    """Divisors with 1 in the place of 0."""
    return torch.where(total > 0, total, 1.0)


def _entropy(p: Tensor) -> Tensor:
    return -torch.xlogy(p, p).sum(-1)
