"""What a reverse chain samples, exactly: its distribution over all V^L sequences, where these are few.

A denoising distribution may couple the tokens of a state (EDLM). Then no sum over tokens is a bound on the likelihood,
but the probability that the sampler ends at a sequence can be added up over everything that it may do on its way. A
table (V, ..., V) of L axes holds a number for each sequence; what does not depend on a position has one entry there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import cache, partial

import torch
from torch import Tensor

from mdm_prime.core.energies import Energy, completion_log_prob
from mdm_prime.core.objectives import Denoiser
from mdm_prime.core.schedules import Schedule
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.samplers.steps import step_times

Positions = tuple[int, ...]
Denoised = Callable[[Positions, float], Tensor]
"""From the masked positions and t to p(masked tokens | visible ones): a table, summing to one over the masked axes."""

CPU = torch.device("cpu")
LOWEST, STEP = -30.0, 0.25  # of the logarithm of what is integrated over; the rule's error falls exponentially


def all_sequences(vocab_size: int, length: int) -> Tensor:
    """(V^L, L) int64, in the order of a table's entries."""
    return torch.cartesian_prod(*[torch.arange(vocab_size)] * length).view(-1, length)


class Enumerated:
    """A denoiser, and an energy on it, in every state of a small space; evaluated once for each t and set of masks.

    Args:
        denoiser: p_theta; see mdm_prime.core.objectives.
        subtokenizer: of V tokens, one sub-token each.
        length: L.
        energy: E; None: 0.
        device: where both compute.
        reads_time: whether t makes a difference to either; without it each state is evaluated once for all times.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        subtokenizer: Subtokenizer,
        length: int,
        energy: Energy | None = None,
        device: torch.device = CPU,
        reads_time: bool = True,
    ) -> None:
        self.x = all_sequences(subtokenizer.vocab_size, length).to(device)
        self.shape = (subtokenizer.vocab_size,) * length
        self.denoiser, self.energy, self.subtokenizer = denoiser, energy, subtokenizer
        self.reads_time = reads_time
        self._found = cache(self._evaluated)
        self._chosen = cache(self._resampled)

    def proposals(self, masked: Positions, t: float) -> Tensor:
        """Log p_theta(masked tokens | visible ones), a table float64."""
        return self._found(self._proposals, masked, self._time(t))

    def energies(self, masked: Positions, t: float) -> Tensor:
        """E, a table float64."""
        return self._found(self._energies, masked, self._time(t))

    def _time(self, t: float) -> float:
        return t if self.reads_time else 1.0

    def _evaluated(self, what: Denoised, masked: Positions, t: float) -> Tensor:
        return what(masked, t)

    def _proposals(self, masked: Positions, t: float) -> Tensor:
        y, times = self._states(masked, t)
        return completion_log_prob(self.denoiser, self.x, y, times, self.subtokenizer).double().cpu().view(self.shape)

    def _energies(self, masked: Positions, t: float) -> Tensor:
        if self.energy is None:
            return torch.zeros(self.shape, dtype=torch.float64)
        with torch.no_grad():
            return self.energy(self.x, *self._states(masked, t)).double().cpu().view(self.shape)

    def _states(self, masked: Positions, t: float) -> tuple[Tensor, Tensor]:
        y = self.subtokenizer.encode(self.x)
        y[:, list(masked)] = self.subtokenizer.mask_id
        return y, torch.full((len(y),), t, device=y.device)

    def independent(self, masked: Positions, t: float) -> Tensor:
        """The denoiser alone: a Denoised."""
        return self.proposals(masked, t).exp()

    def log_partition(self, masked: Positions, t: float) -> Tensor:
        """Log Z(x_t), with one entry on the masked axes."""
        return (self.proposals(masked, t) - self.energies(masked, t)).logsumexp(masked, keepdim=True)

    def coupled(self, masked: Positions, t: float) -> Tensor:
        """p_theta exp(-E) / Z: a Denoised."""
        unnormalised = self.proposals(masked, t) - self.energies(masked, t)
        return (unnormalised - self.log_partition(masked, t)).exp()

    def resampled(self, masked: Positions, t: float, *, candidates: int, temperature: float = 1.0) -> Tensor:
        """What softmax(-E / temperature) chooses of k candidates of p_theta: a Denoised; `coupled` for k to infinity.

        A sequence x wins with probability k p(x) E[w(x) / (w(x) + sum of k - 1 others)], and 1 / a is the integral of
        exp(-s a) over s > 0. So it is k p(x) times the integral of w(x) exp(-s w(x)) phi(s)^(k-1), phi(s) the mean of
        exp(-s w) over candidates, computed by the trapezoidal rule in log s.
        """
        return self._chosen(masked, self._time(t), candidates, temperature)

    def _resampled(self, masked: Positions, t: float, candidates: int, temperature: float) -> Tensor:
        proposal, energy = self.proposals(masked, t), self.energies(masked, t) / temperature
        log_w = energy.amin(masked, keepdim=True) - energy  # at most 0
        places = torch.arange(LOWEST, 5.0 - float(log_w.min()), STEP, dtype=torch.float64)
        u = places.view(-1, *[1] * len(self.shape))
        exponent = (u + log_w).exp()
        log_phi = (proposal - exponent).logsumexp([axis + 1 for axis in masked], keepdim=True)
        won = STEP * (u + log_w - exponent + (candidates - 1) * log_phi).exp().sum(0)
        return candidates * proposal.exp() * won


def chain(denoised: Denoised, shape: tuple[int, ...], schedule: Schedule, num_steps: int | None) -> Tensor:
    """The probability with which each sequence comes out: a table of `shape`.

    Each masked position is revealed in a step with the probability of the schedule, all those of a step from one draw
    of the denoising distribution at the step's time: their joint marginal.

    Args:
        denoised: the denoising distribution.
        shape: V, L times.
        schedule: alpha.
        num_steps: T even steps from t = 1 to 0; None: the limit of infinitely many, in which positions are revealed one
            by one in a uniformly random order, each at the time that has as many masks in expectation.
    """
    everywhere = tuple(range(len(shape)))
    reached = {everywhere: torch.ones((1,) * len(shape), dtype=torch.float64)}  # by what is masked
    for t, share in _steps(len(shape), schedule, num_steps):
        after: dict[Positions, Tensor] = {}
        for masked, probability in reached.items():
            table = denoised(masked, t) if masked else torch.ones((), dtype=torch.float64)
            for left in _subsets(masked):
                if chance := share(len(masked), len(left)):
                    revealed = table.sum(left, keepdim=True) if left else table
                    moved = chance * probability * (1.0 if left == masked else revealed)
                    after[left] = after[left] + moved if left in after else moved
        reached = after
    return reached[()]


def _steps(
    length: int, schedule: Schedule, num_steps: int | None
) -> Iterator[tuple[float, Callable[[int, int], float]]]:
    """The time of each step, and the chance that, of so many masked positions, a particular set of so many is left."""
    if num_steps is None:
        for count in range(length, 0, -1):
            time = float(schedule.inverse(torch.tensor(1 - count / length, dtype=torch.float64)))
            yield time, lambda masked, left: 1 / masked if left == masked - 1 else 0.0
        return
    times = step_times(num_steps)
    hidden = schedule.mask_probability(times).tolist()
    for step in range(num_steps):
        yield float(times[step]), partial(_share, hidden[step + 1] / hidden[step])


def _share(kept: float, masked: int, left: int) -> float:
    return kept**left * (1 - kept) ** (masked - left)


def _subsets(positions: Positions) -> Iterator[Positions]:
    return itertools.chain.from_iterable(itertools.combinations(positions, n) for n in range(len(positions) + 1))


def cross_entropy(p: Tensor, q: Tensor) -> float:
    """-sum of p log q over all sequences, in nats; infinite where q misses something that p has."""
    return -float(torch.xlogy(p, q).sum())


def published_estimate(model: Enumerated, p: Tensor, log_partition: Callable[[Positions, float], Tensor]) -> float:
    """What EDLM reports, exactly: the mean of (1/t) [-log p_theta + E + log Z] over x, t and masks.

    A set of k of the L positions is masked with weight 1 / (k C(L, k)), the integral of 1/t times its probability; the
    network is given the time at which so many masks are expected. Nats per sequence.

    Args:
        model: the denoiser and the energy.
        p: the data's distribution, a table.
        log_partition: of a state, its expected estimate: 0 for none, the mean of -E for a single candidate.
    """
    length, total = len(model.shape), 0.0
    for masked in _subsets(tuple(range(length))):
        if count := len(masked):
            t = count / length
            values = model.energies(masked, t) - model.proposals(masked, t) + log_partition(masked, t)
            total += float(torch.where(p > 0, p * values, 0.0).sum()) / (count * math.comb(length, count))
    return total
