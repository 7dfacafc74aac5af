"""Samplers with an order have exact probabilities: small cases written out in full."""

import functools
import math

import pytest
import torch

from enumeration import all_sequences, posterior_denoiser, random_denoiser, random_joint
from mdm_prime.core import schedules
from mdm_prime.core.orders import ORDERS
from mdm_prime.core.revealing import reveal, sequence_log_prob
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.networks.modules.dit import DiT
from mdm_prime.training.losses import NoisedBatch
from mdm_prime.training.objectives import joint_loss

LINEAR = schedules.linear()
SHAPES = [(4, 3, 1), (7, 2, 2), (5, 2, 3), (4, 2, 2)]  # V, L, ell; there are invalid codes for the two in the middle


@functools.cache
def trained_network(vocab_size, length, ell):
    """A few steps on a source whose tokens and digits depend on each other."""
    x, p = random_joint(vocab_size, length, seed=3, sharpness=2.0)
    subtokenizer = Subtokenizer(vocab_size, ell)
    torch.manual_seed(0)
    network = DiT(
        base=subtokenizer.base, num_subtokens=ell, vocab_size=vocab_size, length=length, width=12, blocks=1, heads=2,
        conditioning_width=4, time_conditioning=True,
    ).double()  # fmt: skip
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        tokens = x[torch.multinomial(p, 64, replacement=True, generator=generator)]
        t = torch.rand(64, generator=generator, dtype=torch.float64) * 0.99 + 0.01
        y = subtokenizer.encode(tokens)
        hidden = torch.rand(y.shape, generator=generator) < t.view(-1, 1, 1)
        noised = NoisedBatch(
            network, tokens, y.masked_fill(hidden, subtokenizer.mask_id), t, subtokenizer, LINEAR, True
        )
        optimiser.zero_grad()
        joint_loss.loss(noised).mean().backward()
        optimiser.step()
    return network.eval()


def log_probs(denoiser, x, order, subtokenizer, **options):
    return sequence_log_prob(denoiser, x, ORDERS[order], subtokenizer, LINEAR, **{"carry_over": True} | options)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["random", "trained"])
@pytest.mark.parametrize("carry_over", [True, False])
def test_the_probabilities_of_all_sequences_sum_to_one(shape, kind, order, carry_over):
    vocab_size, length, ell = shape
    subtokenizer = Subtokenizer(vocab_size, ell)
    denoiser = trained_network(*shape) if kind == "trained" else random_denoiser(subtokenizer, length, scale=2.0)
    x = all_sequences(vocab_size, length)
    found = log_probs(denoiser, x, order, subtokenizer, carry_over=carry_over, seed=1)
    assert float(found.exp().sum()) == pytest.approx(1.0, rel=1e-6)
    assert found.isfinite().all()


def by_hand(denoiser, tokens, order, subtokenizer, seed=0):
    """The probability of one sequence with carry-over, and in which order: dictionaries in place of tensors."""
    vocab_size, ell, length = subtokenizer.vocab_size, subtokenizer.num_subtokens, len(tokens)
    codes = subtokenizer.digits().tolist()
    n = length if order.whole_tokens else length * ell
    permutation = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).tolist()
    units = [[(i, j) for j in range(ell)] for i in range(length)]
    if not order.whole_tokens:
        units = [[place] for unit in units for place in unit]
    seen, probability, revealed = {}, 1.0, []
    while len(revealed) < n:
        y = torch.full((1, length, ell), subtokenizer.mask_id)
        for (i, j), digit in seen.items():
            y[0, i, j] = digit
        t = torch.tensor([1 - len(seen) / (length * ell)])
        logits = denoiser(y, t, torch.ones(1, length, dtype=torch.bool))
        conditionals = {}
        for number, unit in enumerate(units):
            if number in revealed:
                continue
            (i, *_) = {place[0] for place in unit}
            weights = {
                c: float(logits[i, c].exp())
                for c in range(vocab_size)
                if all(seen.get((i, j), codes[c][j]) == codes[c][j] for j in range(ell))
            }
            values = {}
            for c, weight in weights.items():
                key = tuple(codes[c][j] for _, j in unit)
                values[key] = values.get(key, 0.0) + weight / sum(weights.values())
            conditionals[number] = values
        if order.first == "lowest_entropy":
            entropy = {k: -sum(p * math.log(p) for p in values.values() if p) for k, values in conditionals.items()}
            chosen = min(k for k in entropy if entropy[k] <= min(entropy.values()) + 1e-4)
        elif order.first == "random":
            chosen = min(conditionals, key=lambda k: permutation[k])
        else:
            chosen = min(conditionals)
        values = tuple(codes[tokens[i]][j] for i, j in units[chosen])
        probability *= conditionals[chosen][values]
        revealed.append(chosen)
        seen |= dict(zip(units[chosen], values, strict=True))
    return probability, revealed


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(4, 3, 1), (7, 2, 2), (5, 2, 3)])
def test_the_probability_is_the_product_along_the_order(shape, order):
    vocab_size, length, ell = shape
    subtokenizer = Subtokenizer(vocab_size, ell)
    denoiser = random_denoiser(subtokenizer, length, seed=5)
    x = all_sequences(vocab_size, length)[::5]
    found = log_probs(denoiser, x, order, subtokenizer, seed=2).exp().tolist()
    orders = set()
    for tokens, probability in zip(x.tolist(), found, strict=True):
        expected, revealed = by_hand(denoiser, tokens, ORDERS[order], subtokenizer, seed=2)
        assert probability == pytest.approx(expected, rel=1e-6)
        orders.add(tuple(revealed))
    two_tokens = ORDERS[order].whole_tokens and length == 2  # the first is the same for all, and one is left
    looks = ORDERS[order].first == "lowest_entropy" and not two_tokens
    assert (len(orders) > 1) == looks


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("carry_over", [True, False])
def test_at_the_true_posterior_every_order_gives_the_true_probability(order, carry_over):
    x, p = random_joint(5, 2, seed=1)
    subtokenizer = Subtokenizer(5, 2)
    found = log_probs(posterior_denoiser(x, p, subtokenizer), x, order, subtokenizer, carry_over=carry_over)
    torch.testing.assert_close(found, p.log())


@pytest.mark.parametrize("order", ORDERS)
def test_what_is_next_depends_on_what_is_revealed_and_on_nothing_else(order):
    """Sequences that agree so far go on at the same place; a network that saw what is masked would tell them apart."""
    subtokenizer = Subtokenizer(7, 2)
    x = all_sequences(7, 2)
    y = torch.full((len(x), 2, 2), subtokenizer.mask_id)
    states, following = [], {}

    def choose(step):
        for row, position, revealed in zip(
            step.rows.tolist(), step.position.tolist(), step.revealed.tolist(), strict=True
        ):
            state = tuple(states[-1][row].flatten().tolist())
            following.setdefault(state, set()).add((position, tuple(revealed)))
        return x[step.rows, step.position]

    denoiser = random_denoiser(subtokenizer, 2, seed=6, scale=2.0)
    found = reveal(
        denoiser, y, ORDERS[order], subtokenizer, LINEAR, choose, carry_over=True,
        record=lambda t, state: states.append(state.clone()),
    )  # fmt: skip
    assert torch.equal(subtokenizer.decode(found.y), x)
    assert all(len(next_ones) == 1 for next_ones in following.values())
    assert len(following) > 7
    if order == "lowest_entropy":
        assert len({unit for (unit,) in following.values()}) == 4


def test_of_equal_entropies_the_first_is_revealed():
    subtokenizer = Subtokenizer(4, 2)
    places = []

    def choose(step):
        places.append((step.position.item(), step.revealed[0].tolist().index(True)))
        return torch.zeros(1, dtype=torch.long)

    def uniform(y, t, where):
        return torch.zeros(int(where.sum()), 4)

    y = torch.full((1, 3, 2), subtokenizer.mask_id)
    found = reveal(uniform, y, ORDERS["lowest_entropy"], subtokenizer, LINEAR, choose, carry_over=True)
    assert places == [(i, j) for i in range(3) for j in range(2)]
    assert float(found.log_prob) == pytest.approx(-6 * math.log(2))


@pytest.mark.parametrize("order", ["left_to_right", "lowest_entropy_tokens"])
def test_what_is_given_is_kept_and_conditioned_on(order):
    x, p = random_joint(5, 2, seed=7)
    subtokenizer = Subtokenizer(5, 2)
    y = subtokenizer.encode(x)
    y[:, 0] = subtokenizer.mask_id
    y[:, 1, 1] = subtokenizer.mask_id
    denoiser = posterior_denoiser(x, p, subtokenizer)
    found = reveal(
        denoiser, y, ORDERS[order], subtokenizer, LINEAR, lambda step: x[step.rows, step.position], carry_over=True
    )
    assert torch.equal(found.y, subtokenizer.encode(x))
    assert set(found.nfe.tolist()) == ({3} if order == "left_to_right" else {2})
    first = x[:, 1] // subtokenizer.base
    given = torch.zeros(2, dtype=torch.float64).index_add(0, first, p)[first]
    torch.testing.assert_close(found.log_prob, (p / given).log())


@pytest.mark.parametrize("order", ["left_to_right", "random", "lowest_entropy", "left_to_right_tokens"])
def test_logits_are_asked_for_only_where_they_are_needed(order):
    subtokenizer = Subtokenizer(7, 2)
    table = random_denoiser(subtokenizer, 3)
    asked, times = [], []

    def denoiser(y, t, where):
        assert (y == subtokenizer.mask_id).any(-1)[where].all()
        asked.append(int(where.sum()))
        times.append(float(t[0]))
        return table(y, t, where)

    x = all_sequences(7, 3)[:4]
    log_probs(denoiser, x, order, subtokenizer)
    steps = 3 if order.endswith("tokens") else 6
    assert times == pytest.approx([1 - k / steps for k in range(steps)])
    if order == "lowest_entropy":
        assert asked[0] == 12
        assert asked == sorted(asked, reverse=True)
    else:
        assert asked == [4] * steps


@pytest.mark.parametrize("order", ORDERS)
def test_the_batch_changes_no_probability(order):
    network, x = trained_network(7, 2, 2), all_sequences(7, 2)
    whole = log_probs(network, x, order, Subtokenizer(7, 2))
    for size in (1, 10):
        parts = [log_probs(network, part, order, Subtokenizer(7, 2)) for part in x.split(size)]
        torch.testing.assert_close(torch.cat(parts), whole)
