import math

import pytest
import torch
from torch import nn

from enumeration import all_sequences, random_denoiser
from golden_values import golden, names
from mdm_prime.core.bases import grid_sizes
from mdm_prime.core.objectives import (
    autoregressive_loss,
    consistent,
    sequence_losses,
    shifted,
    token_log_probs,
    true_subtoken_losses,
    true_token_loss,
)
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.networks.modules.dit import DiT

SIZES = [(5, 1), (5, 2), (5, 3), (8, 3), (7, 2)]


def all_states(subtokenizer):
    """Every visible pattern of one position that some token has, (N, ell)."""
    y = all_sequences(subtokenizer.base + 1, subtokenizer.num_subtokens)
    digits = subtokenizer.digits()
    possible = ((y[:, None] == digits) | (y[:, None] == subtokenizer.mask_id)).all(-1).any(-1)
    return y[possible]


def noised(x, subtokenizer, share, seed=0):
    y = subtokenizer.encode(x)
    u = torch.rand(y.shape, generator=torch.Generator().manual_seed(seed))
    return y.masked_fill(u < share, subtokenizer.mask_id)


def random_tokens(num, length, vocab_size, seed=0):
    return torch.randint(0, vocab_size, (num, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("carry_over", [True, False])
@pytest.mark.parametrize(("vocab_size", "ell"), SIZES)
def test_token_probabilities_by_hand(vocab_size, ell, carry_over):
    subtokenizer = Subtokenizer(vocab_size, ell)
    y = all_states(subtokenizer)
    logits = torch.randn(len(y), vocab_size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = token_log_probs(logits, y, subtokenizer.base, carry_over)
    for row, state, given in zip(found.tolist(), y.tolist(), logits.tolist(), strict=True):
        weights = []
        for token in range(vocab_size):
            code = [token // subtokenizer.base ** (ell - 1 - j) % subtokenizer.base for j in range(ell)]
            agrees = all(s in (subtokenizer.mask_id, c) for s, c in zip(state, code, strict=True))
            weights.append(math.exp(given[token]) if agrees or not carry_over else 0.0)
        expected = [math.log(w / sum(weights)) if w else -math.inf for w in weights]
        assert row == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("vocab_size", "ell"), SIZES)
def test_consistent_tokens_are_those_that_can_still_come(vocab_size, ell):
    subtokenizer = Subtokenizer(vocab_size, ell)
    y = all_states(subtokenizer)
    allowed = consistent(y, subtokenizer.base, subtokenizer.vocab_size)
    assert allowed.any(-1).all()
    visible = (y != subtokenizer.mask_id).all(-1)
    assert torch.equal(allowed[visible].sum(-1), torch.ones(int(visible.sum()), dtype=torch.long))
    assert torch.equal(allowed[visible].int().argmax(-1), subtokenizer.decode(y[visible]))
    assert allowed[(y == subtokenizer.mask_id).all(-1)].all()


@pytest.mark.parametrize("carry_over", [True, False])
@pytest.mark.parametrize(("vocab_size", "ell"), SIZES)
def test_marginals_by_hand_and_summing_to_one(vocab_size, ell, carry_over):
    subtokenizer = Subtokenizer(vocab_size, ell)
    digits, mask_id = subtokenizer.digits(), subtokenizer.mask_id
    y = all_states(subtokenizer)
    logits = torch.randn(len(y), vocab_size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    log_probs = token_log_probs(logits, y, subtokenizer.base, carry_over)
    totals = torch.zeros(y.shape, dtype=torch.float64)
    for value in range(subtokenizer.base):
        possible = torch.tensor([value < size for size in grid_sizes(subtokenizer.base, ell, vocab_size)])
        clean = torch.full_like(y, value).where(possible, 0)  # the first sub-token of a token has fewer values
        losses = true_subtoken_losses(log_probs, y, clean, subtokenizer.base)
        transposed = log_probs.T.contiguous().T
        assert torch.equal(true_subtoken_losses(transposed, y, clean, subtokenizer.base), losses)
        for n in range(len(y)):
            for j in possible.nonzero().flatten().tolist():
                p = sum(math.exp(log_probs[n, c]) for c in range(vocab_size) if digits[c, j] == value)
                expected = -math.log(p) if p and y[n, j] == mask_id else (math.inf if y[n, j] == mask_id else 0.0)
                assert float(losses[n, j]) == pytest.approx(expected, abs=1e-12)
        totals += torch.where(y == mask_id, (-losses).exp() * possible, 1 / subtokenizer.base)
    torch.testing.assert_close(totals, torch.ones_like(totals))


@pytest.mark.parametrize(("vocab_size", "ell"), [(5, 2), (300, 6), (50257, 4), (50257, 14), (33, 7)])
def test_the_grid_is_the_smallest_that_holds_all_codes(vocab_size, ell):
    """No place has more values than the codes have there."""
    subtokenizer = Subtokenizer(vocab_size, ell)
    sizes = grid_sizes(subtokenizer.base, ell, vocab_size)
    assert sizes == (subtokenizer.digits().amax(0) + 1).tolist()
    assert vocab_size <= math.prod(sizes)


def test_low_precision_logits_give_float32_probabilities():
    subtokenizer = Subtokenizer(5, 2)
    y = torch.full((1, 2), subtokenizer.mask_id)
    logits = torch.tensor([[1.0, 2.0, 0.5, -1.0, 0.0]], dtype=torch.bfloat16)
    found = token_log_probs(logits, y, subtokenizer.base, True)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, logits.float().log_softmax(-1))


@pytest.mark.parametrize("case", names("objectives"))
def test_published_loss_is_that_of_the_reference_implementation(case):
    vocab_size, ell = (int(part[1:]) for part in case.split("_"))
    values, subtokenizer = golden(f"objectives/{case}"), Subtokenizer(vocab_size, ell)
    x, y, logits = values["x"], values["y"], values["logits"]
    flat = logits.flatten(0, 1), y.flatten(0, 1), subtokenizer.base
    log_probs = token_log_probs(*flat, True)
    torch.testing.assert_close(log_probs, values["log_probs"].flatten(0, 1), rtol=0, atol=1e-5)
    for carry_over, name in ((True, "loss"), (False, "loss_plain")):
        losses = sequence_losses(
            lambda y, t, where: logits[where], x, y, torch.zeros(4), subtokenizer, carry_over=carry_over
        )
        expected = values[name].sum(-1)
        torch.testing.assert_close(values["weight"].squeeze(1) * losses.joint, expected, rtol=1e-6, atol=1e-4)
        token_losses = true_token_loss(token_log_probs(*flat, carry_over), x.flatten()).view_as(x)
        torch.testing.assert_close(values["weight"] * token_losses, values[name], rtol=1e-6, atol=1e-5)


def test_marginals_are_those_of_the_reference_implementation():
    values, subtokenizer = golden("marginals/V50_l3"), Subtokenizer(50, 3)
    log_probs = values["tokens"].log()
    y = torch.full((len(log_probs), 3), subtokenizer.mask_id)
    for value in range(subtokenizer.base):
        losses = true_subtoken_losses(log_probs, y, torch.full_like(y, value), subtokenizer.base)
        torch.testing.assert_close((-losses).exp(), values["digits"][..., value], rtol=0, atol=1e-6)


@pytest.mark.parametrize("vocab_size", [2, 6])
def test_one_subtoken_is_the_cross_entropy_of_a_masked_diffusion_model(vocab_size):
    subtokenizer = Subtokenizer(vocab_size, 1)
    x = random_tokens(20, 6, vocab_size)
    y = noised(x, subtokenizer, 0.5)
    denoiser = random_denoiser(subtokenizer, 6)
    losses = sequence_losses(denoiser, x, y, torch.zeros(20), subtokenizer, carry_over=True)
    logits = denoiser(y, None, torch.ones_like(x, dtype=torch.bool)).view(20, 6, vocab_size)
    each = nn.functional.cross_entropy(logits.transpose(1, 2), x, reduction="none")
    expected = (each * (y.squeeze(-1) == subtokenizer.mask_id)).sum(-1)
    torch.testing.assert_close(losses.joint, expected)
    torch.testing.assert_close(losses.marginal, expected)


def small_network(ell, vocab_size, base):
    torch.manual_seed(0)
    network = DiT(
        base=base, num_subtokens=ell, vocab_size=vocab_size, length=8, width=12, blocks=1, heads=2, conditioning_width=4
    ).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network


@pytest.mark.parametrize("carry_over", [True, False])
@pytest.mark.parametrize("objective", ["joint", "marginal"])
@pytest.mark.parametrize(("vocab_size", "ell"), [(5, 1), (5, 2), (7, 3)])
def test_gathered_gradients_are_those_of_all_positions(vocab_size, ell, objective, carry_over):
    subtokenizer = Subtokenizer(vocab_size, ell)
    x = random_tokens(6, 5, vocab_size)
    y = noised(x, subtokenizer, 0.3)
    y[0] = subtokenizer.encode(x[0])  # a sequence with nothing masked
    weights = torch.linspace(0.5, 2, 6, dtype=torch.float64)
    network = small_network(ell, vocab_size, subtokenizer.base)

    found = sequence_losses(
        network,
        x,
        y,
        torch.zeros(6, dtype=torch.float64),
        subtokenizer,
        carry_over=carry_over,
        joint=objective == "joint",
        marginal=objective == "marginal",
    )
    found = getattr(found, objective)
    gradients = torch.autograd.grad((weights * found).sum(), list(network.parameters()), allow_unused=True)

    digits = subtokenizer.digits()
    everywhere = torch.ones_like(x, dtype=torch.bool)
    logits = network(y, torch.zeros(6, dtype=torch.float64), everywhere).view(6, 5, vocab_size)
    agrees = ((y[:, :, None] == digits) | (y[:, :, None] == subtokenizer.mask_id)).all(-1)
    p = (logits.masked_fill(~agrees, -1e9) if carry_over else logits).softmax(-1)  # (B, L, V)
    if objective == "joint":
        full = -p.gather(-1, x[..., None]).squeeze(-1).log().sum(-1)
    else:
        same_digit = (digits[x][:, :, None] == digits).double()  # (B, L, V, ell)
        marginals = torch.einsum("blv,blvj->blj", p, same_digit)
        full = -(marginals.log() * (y == subtokenizer.mask_id)).sum((1, 2))
    expected = torch.autograd.grad((weights * full).sum(), list(network.parameters()), allow_unused=True)

    torch.testing.assert_close(found, full)
    for ours, theirs in zip(gradients, expected, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs)


def spy(vocab_size):
    seen = []

    def denoiser(y, t, where):
        seen.append((y.clone(), t.clone(), where.clone()))
        return torch.randn(int(where.sum()), vocab_size)

    return denoiser, seen


@pytest.mark.parametrize(
    ("carry_over", "joint", "only_masked"),
    [(True, True, True), (True, False, True), (False, False, True), (False, True, False)],
)
def test_logits_are_asked_for_only_where_a_term_can_differ_from_zero(carry_over, joint, only_masked):
    subtokenizer = Subtokenizer(7, 3)
    x = random_tokens(8, 6, 7)
    y = noised(x, subtokenizer, 0.2)
    denoiser, seen = spy(7)
    t = torch.rand(8)
    sequence_losses(denoiser, x, y, t, subtokenizer, carry_over=carry_over, joint=joint)
    ((given, time, where),) = seen
    masked = (y == subtokenizer.mask_id).any(-1)
    assert 0 < masked.sum() < masked.numel()
    assert torch.equal(given, y)
    assert torch.equal(time, t)
    assert torch.equal(where, masked if only_masked else torch.ones_like(masked))


def test_what_is_not_asked_for_is_zero_and_no_mask_costs_nothing():
    subtokenizer = Subtokenizer(7, 2)
    x = random_tokens(4, 3, 7)
    y = noised(x, subtokenizer, 0.6)
    denoiser, _ = spy(7)
    losses = [
        sequence_losses(denoiser, x, y, torch.zeros(4), subtokenizer, carry_over=True, joint=joint, marginal=not joint)
        for joint in (True, False)
    ]
    assert not losses[0].marginal.any()
    assert not losses[1].joint.any()
    clean = sequence_losses(denoiser, x, subtokenizer.encode(x), torch.zeros(4), subtokenizer, carry_over=True)
    assert not torch.stack(clean).any()


def causal_network(vocab_size, dtype=torch.float64):
    torch.manual_seed(0)
    network = DiT(
        base=vocab_size,
        num_subtokens=1,
        vocab_size=vocab_size,
        length=8,
        width=12,
        blocks=2,
        heads=2,
        conditioning_width=4,
        causal=True,
    ).to(dtype)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.4)
    return network


def test_shifted():
    assert shifted(torch.tensor([[1, 2, 3], [4, 5, 6]]), 9).tolist() == [[9, 1, 2], [9, 4, 5]]


@torch.no_grad()
def test_autoregressive_loss_token_by_token():
    network, x = causal_network(4), random_tokens(5, 4, 4)
    found = autoregressive_loss(network, x, start_id=4)
    for row, value in zip(x, found.tolist(), strict=True):
        expected = 0.0
        for i in range(4):
            prefix = torch.cat([torch.tensor([4]), row[:i]])[None, :, None]
            where = torch.zeros(1, i + 1, dtype=torch.bool)
            where[0, i] = True
            log_probs = network(prefix, torch.zeros(1, dtype=torch.float64), where).log_softmax(-1)
            expected -= float(log_probs[0, row[i]])
        assert value == pytest.approx(expected, rel=1e-9)


@torch.no_grad()
def test_autoregressive_probabilities_sum_to_one():
    x = all_sequences(4, 3)
    total = (-autoregressive_loss(causal_network(4), x, start_id=4)).exp().sum()
    assert float(total) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sub_token_that_no_token_has_costs_infinitely_and_moves_nothing(dtype):
    logits = torch.full((2, 4), -torch.inf, dtype=dtype)
    logits[0, :2] = 0.0  # the first sub-token is 0
    logits[1] = 1.0
    logits.requires_grad_()
    masked, clean = torch.full((2, 2), 2), torch.tensor([[1, 1], [1, 0]])
    losses = true_subtoken_losses(logits, masked, clean, 2)
    assert losses[0].tolist() == [math.inf, pytest.approx(0.0)]
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    assert gradient[0].tolist() == [0.0, -1.0, 0.0, 0.0]
    assert gradient.isfinite().all()


@pytest.mark.parametrize(("vocab_size", "ell"), [*SIZES, (300, 2), (300, 4)])
def test_gradients_of_marginals_are_those_of_sums(vocab_size, ell):
    """Also of sub-tokens so unlikely that their probability is no number of float32."""
    subtokenizer = Subtokenizer(vocab_size, ell)
    x = random_tokens(30, 1, vocab_size).squeeze(1)
    clean = subtokenizer.encode(x)
    y = noised(x[:, None], subtokenizer, 0.6).squeeze(1)
    logits = 60 * torch.randn(30, vocab_size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, expected = [], []
    for values, dtype in ((found, torch.float32), (expected, torch.float64)):
        given = logits.to(dtype).requires_grad_()
        log_probs = token_log_probs(given, y, subtokenizer.base, True)
        if dtype == torch.float32:
            losses = true_subtoken_losses(log_probs, y, clean, subtokenizer.base)
        else:
            same = subtokenizer.digits()[None] == clean[:, None]  # (N, V, ell)
            sums = log_probs[..., None].masked_fill(~same, -1e9).logsumexp(1)
            losses = -sums * (y == subtokenizer.mask_id)
        values += [losses, *torch.autograd.grad(losses.sum(), given)]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)
    assert float(found[0].detach().max()) > 100
