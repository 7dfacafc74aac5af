"""Losses of a chunk of positions at a time are those of all positions at once, without their memory."""

import weakref
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mdm_prime.core import chunks, objectives, schedules, visible_digits
from mdm_prime.core.chunks import Group, in_chunks
from mdm_prime.core.noise import BatchNoise
from mdm_prime.core.objectives import autoregressive_loss, sequence_losses
from mdm_prime.core.state_dependent import StateSchedule, exponents_of, terms
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.core.visible_digits import by_visible_digit
from mdm_prime.networks.modules.dit import DiT
from mdm_prime.training.losses import masked_loss
from quadrature import random_raw

LENGTH, VOCAB_SIZE = 4, 7
EVERYTHING = 2**40


@pytest.fixture
def at_once(monkeypatch):
    """Sets how many positions are a chunk."""

    def set_both(positions, vocab_size=VOCAB_SIZE):
        for limit in ("KEPT_LOGITS", "CHUNK_LOGITS"):
            monkeypatch.setattr(chunks, limit, positions * vocab_size)

    return set_both


@pytest.fixture
def grouped(monkeypatch):
    """Makes positions that show the same digit a group, however few; returns the numbers of groups that there were."""

    def always():
        found = []

        def counted(*given):
            groups = by_visible_digit(*given)
            found.append(len(groups))
            return groups

        monkeypatch.setattr(visible_digits, "WORTH", {"cpu": 1})
        monkeypatch.setattr(objectives, "by_visible_digit", counted)
        return found

    return always


class OnlyLogits(nn.Module):
    """A network as a user may write it: the head is its own."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.head = network.head

    def forward(self, y, t, where):
        return self.network(y, t, where)


def dit(num_subtokens, *, causal=False, dtype=torch.float64):
    torch.manual_seed(0)
    network = DiT(
        base=Subtokenizer(VOCAB_SIZE, num_subtokens).base,
        num_subtokens=num_subtokens,
        vocab_size=VOCAB_SIZE,
        length=LENGTH,
        width=12,
        blocks=1,
        heads=2,
        conditioning_width=4,
        causal=causal,
    ).to(dtype)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network


def tokens(num=8, seed=0):
    return torch.randint(VOCAB_SIZE, (num, LENGTH), generator=torch.Generator().manual_seed(seed))


def value_and_gradients(loss, network):
    """Of a loss (B,): itself, and every parameter's gradient for weights that differ between sequences."""
    value = loss(network)
    weights = torch.linspace(0.5, 2.0, len(value), dtype=value.dtype)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad((weights * value).sum(), parameters, allow_unused=True)
    return [value.detach(), *(gradient for gradient in gradients if gradient is not None)]


def agree(found, expected, **tolerance):
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, **tolerance)


def masked(objective, carry_over, num_subtokens):
    """The training loss of a network on the same tokens with the same masks; a position may have none."""
    loss = masked_loss(
        Subtokenizer(VOCAB_SIZE, num_subtokens), schedules.linear(), objective=objective, carry_over=carry_over
    )
    t = torch.linspace(0.2, 0.9, 8, dtype=torch.float64)
    return lambda network: loss(network, tokens(), t, BatchNoise(torch.Generator().manual_seed(1), 8))


@pytest.mark.parametrize("wrapped", [lambda network: network, OnlyLogits], ids=["head", "logits"])
@pytest.mark.parametrize("size", [1, 7, EVERYTHING])
@pytest.mark.parametrize("num_subtokens", [1, 2, 3])
@pytest.mark.parametrize("carry_over", [True, False])
@pytest.mark.parametrize("objective", ["joint_loss", "nelbo", "cross_entropy"])
def test_losses_and_gradients_are_those_of_all_positions(objective, carry_over, num_subtokens, size, wrapped, at_once):
    loss, network = masked(objective, carry_over, num_subtokens), dit(num_subtokens)
    at_once(EVERYTHING)
    expected = value_and_gradients(loss, OnlyLogits(network))
    at_once(size)
    agree(value_and_gradients(loss, wrapped(network)), expected, rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(loss(wrapped(network)), expected[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1, 7, EVERYTHING])
@pytest.mark.parametrize("num_subtokens", [2, 3])
@pytest.mark.parametrize("carry_over", [True, False])
@pytest.mark.parametrize("objective", ["joint_loss", "nelbo"])
def test_losses_and_gradients_are_the_same_in_groups_that_show_a_digit(
    objective, num_subtokens, size, carry_over, at_once, grouped
):
    loss, network = masked(objective, carry_over, num_subtokens), dit(num_subtokens)
    at_once(EVERYTHING)
    expected = value_and_gradients(loss, OnlyLogits(network))
    at_once(size)
    groups = grouped()
    agree(value_and_gradients(loss, network), expected, rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(loss(network), expected[0], rtol=1e-12, atol=1e-12)
    assert min(groups) > 1 if carry_over else not groups


def test_without_a_head_there_are_no_groups(grouped):
    """All logits are there anyway."""
    loss, network = masked("nelbo", True, 2), dit(2)
    groups = grouped()
    loss(OnlyLogits(network))
    assert not groups
    group = Group(lambda logits, at: logits.sum(-1), torch.arange(2), slice(0, 1))
    with pytest.raises(ValueError, match="several groups need a head"):
        in_chunks(torch.zeros(2, 3), None, None, [group])


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize(("kept", "times"), [(6 * VOCAB_SIZE, 1), (6 * VOCAB_SIZE - 1, 2)])
def test_logits_are_kept_or_computed_again_for_the_gradient(kept, times, recorded, monkeypatch):
    """And where no gradient is recorded nothing is kept, though the head could have one."""
    monkeypatch.setattr(chunks, "KEPT_LOGITS", kept)
    monkeypatch.setattr(chunks, "CHUNK_LOGITS", 2 * VOCAB_SIZE)
    hidden, weight, bias = head(6, 3, VOCAB_SIZE)
    calls = []

    def terms(logits, at):
        calls.append((len(logits), torch.is_grad_enabled()))
        return logits.logsumexp(-1)

    with torch.set_grad_enabled(recorded):
        found = in_chunks(hidden, weight, bias, [Group(terms, torch.arange(6))])
    if recorded:
        found.sum().backward()
        assert calls == [(2, True)] * 3 if times == 1 else [(2, False)] * 3 + [(2, True)] * 3
    else:
        assert calls == [(2, False)] * 3


@pytest.mark.parametrize("size", [1, EVERYTHING])
def test_all_positions_may_show_the_same_digit(size, at_once, grouped):
    network, subtokenizer = dit(2), Subtokenizer(VOCAB_SIZE, 2)
    x = torch.tensor([[1, 4, 1, 4]])  # base 3: the last digit is 1
    y = subtokenizer.encode(x)
    y[..., 0] = subtokenizer.mask_id

    def loss(network):
        return sequence_losses(network, x, y, torch.zeros(1), subtokenizer, carry_over=True).marginal

    at_once(EVERYTHING)
    expected = value_and_gradients(loss, network)
    at_once(size)
    groups = grouped()
    agree(value_and_gradients(loss, network), expected, rtol=1e-10, atol=1e-12)
    assert groups == [1]


@pytest.mark.parametrize("size", [1, 7, EVERYTHING])
def test_autoregressive_loss_and_gradients_are_those_of_all_positions(size, at_once):
    network = dit(1, causal=True)

    def loss(network):
        return autoregressive_loss(network, tokens(), VOCAB_SIZE)

    at_once(EVERYTHING)
    expected = value_and_gradients(loss, OnlyLogits(network))
    at_once(size)
    agree(value_and_gradients(loss, network), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [1, 7, EVERYTHING])
@pytest.mark.parametrize(("num_subtokens", "in_groups"), [(1, False), (2, False), (2, True), (3, False), (3, True)])
def test_what_terms_read_besides_has_its_gradient_too(num_subtokens, in_groups, size, at_once, grouped):
    """The exponents of core/state_dependent.py."""
    network, subtokenizer = dit(num_subtokens), Subtokenizer(VOCAB_SIZE, num_subtokens)
    network.raw = nn.Parameter(random_raw(subtokenizer))
    y, t = subtokenizer.encode(tokens()), torch.linspace(0.2, 0.9, 8, dtype=torch.float64)
    y = y.masked_fill(torch.rand(y.shape, generator=torch.Generator().manual_seed(1)) < 0.5, subtokenizer.mask_id)

    def loss(network):
        return terms(network, tokens(), y, t, StateSchedule(exponents_of(network.raw), 0.0, subtokenizer)).rate

    at_once(EVERYTHING)
    expected = value_and_gradients(loss, network)
    at_once(size)
    groups = grouped() if in_groups else [2]
    agree(value_and_gradients(loss, network), expected, rtol=1e-10, atol=1e-12)
    (of_raw,) = [gradient for gradient in expected[1:] if gradient.shape == network.raw.shape]
    assert of_raw.any()
    assert min(groups) > 1


def both_losses(num, num_subtokens, vocab_size):
    """Maps hidden states (num, D), weight and bias of a head to the losses (2, num) of num sequences of one token."""
    subtokenizer = Subtokenizer(vocab_size, num_subtokens)
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(vocab_size, (num, 1), generator=generator)
    y = subtokenizer.encode(x)
    y = y.masked_fill(torch.rand(y.shape, generator=generator) < 0.6, subtokenizer.mask_id)
    y[:, :, -1] = subtokenizer.mask_id  # a logit wanted of every sequence

    class Given:
        def __init__(self, hidden, weight, bias):
            self.hidden = hidden
            self.logits_layer = SimpleNamespace(weight=weight, bias=bias)

        def __call__(self, y, t, where, hidden):
            assert hidden
            return self.hidden[where.flatten()]

    def losses(hidden, weight, bias):
        network = Given(hidden, weight, bias)
        return torch.stack(sequence_losses(network, x, y, torch.zeros(num), subtokenizer, carry_over=True))

    return losses


def head(num, width, vocab_size):
    generator = torch.Generator().manual_seed(2)
    shapes = ((num, width), (vocab_size, width), (vocab_size,))
    return [torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in shapes]


@pytest.mark.parametrize("size", [1, 4, EVERYTHING])
@pytest.mark.parametrize(("num_subtokens", "in_groups"), [(1, False), (2, False), (2, True), (3, False), (3, True)])
def test_gradients_are_those_of_finite_differences(num_subtokens, in_groups, size, at_once, grouped):
    at_once(size)
    if in_groups:
        grouped()
    assert torch.autograd.gradcheck(both_losses(6, num_subtokens, VOCAB_SIZE), head(6, 3, VOCAB_SIZE))


@pytest.mark.parametrize("size", [2, EVERYTHING])
def test_gradients_of_what_is_not_trained_are_not_computed(size, at_once, grouped):
    at_once(size)
    grouped()
    losses = both_losses(6, 2, VOCAB_SIZE)
    inputs = head(6, 3, VOCAB_SIZE)
    expected = torch.autograd.grad(losses(*inputs).sum(), inputs)
    for kept in ([0], [1], [2], [1, 2]):
        some = [tensor.detach().requires_grad_(i in kept) for i, tensor in enumerate(inputs)]
        found = torch.autograd.grad(losses(*some).sum(), [some[i] for i in kept])
        agree(found, [expected[i] for i in kept])


def test_a_head_without_bias(at_once):
    at_once(2)
    hidden, weight, _ = head(6, 3, VOCAB_SIZE)

    def terms(logits, at):
        return logits.logsumexp(-1)

    found = torch.autograd.grad(in_chunks(hidden, weight, None, [Group(terms)]).sum(), [hidden, weight])
    agree(found, torch.autograd.grad((hidden @ weight.T).logsumexp(-1).sum(), [hidden, weight]))


class Memory(TorchDispatchMode):
    """Bytes of the largest tensor, and of all tensors made here that are there at one time."""

    def __init__(self):
        super().__init__()
        self.largest = self.peak = self.now = 0
        self.tensors = {}  # of each storage

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        given = {leaf.untyped_storage().data_ptr() for leaf in tree_leaves(args) if isinstance(leaf, torch.Tensor)}
        for tensor in (leaf for leaf in tree_leaves(made) if isinstance(leaf, torch.Tensor)):
            self.largest = max(self.largest, tensor.numel() * tensor.element_size())
            storage = tensor.untyped_storage()
            key, size = storage.data_ptr(), storage.nbytes()
            if key in self.tensors or key not in given:
                self.now += 0 if key in self.tensors else size
                self.tensors[key] = self.tensors.get(key, 0) + 1
                weakref.finalize(tensor, self.forget, key, size)
        self.peak = max(self.peak, self.now)
        return made

    def forget(self, key, size):
        self.tensors[key] -= 1
        if not self.tensors[key]:
            del self.tensors[key]
            self.now -= size


@pytest.mark.parametrize("num_subtokens", [1, 2, 3])
def test_memory_does_not_grow_with_the_positions(num_subtokens, at_once):
    """But for what is as small as hidden states: V = 400 against their width of 2."""
    vocab_size = 400
    found = {}
    for num in (40, 400):
        at_once(10, vocab_size)
        losses, inputs = both_losses(num, num_subtokens, vocab_size), head(num, 2, vocab_size)
        with Memory() as memory:
            losses(*inputs).sum().backward()
        found[num] = memory
    assert found[400].largest == found[40].largest
    assert found[400].peak - found[40].peak < 360 * 8 * vocab_size / 10
    at_once(EVERYTHING)
    with Memory() as memory:
        losses(*inputs).sum().backward()
    assert memory.peak > 5 * found[400].peak  # what is measured is there to be measured


@pytest.mark.parametrize("in_groups", [False, True])
@pytest.mark.parametrize("objective", ["joint_loss", "nelbo"])
def test_bfloat16_is_that_of_autocast(objective, in_groups, at_once, grouped):
    network = dit(2, dtype=torch.float32)
    loss = masked(objective, True, 2)

    def under_autocast(network):
        with torch.autocast("cpu", torch.bfloat16):
            return loss(network)

    at_once(EVERYTHING)
    expected = value_and_gradients(under_autocast, network)
    at_once(3)
    if in_groups:
        grouped()
    found = value_and_gradients(under_autocast, network)
    assert found[0].dtype == expected[0].dtype
    agree(found[:1], expected[:1])  # each position's logits are the same
    for ours, theirs in zip(found[1:], expected[1:], strict=True):  # sums of rounded numbers, in another order
        assert float((ours - theirs).norm()) <= 0.02 * float(theirs.norm())


def test_autocast_keeps_nothing_of_a_head_that_would_lose_a_gradient(at_once):
    """A weight that autocast rounds where no gradient is recorded must not be used again where one is."""
    at_once(3)
    network = dit(2, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        first = masked("nelbo", True, 2)(network)
        y = Subtokenizer(VOCAB_SIZE, 2).encode(tokens())
        second = network(y, torch.zeros(8), torch.ones(8, LENGTH, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(second.sum(), [network.head.weight])
    assert gradient.any()
    assert first.requires_grad


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of torch's own, where a graph goes on behind `where`
def test_a_compiled_network_hands_out_its_head_too(at_once):
    network, loss = dit(2), masked("nelbo", True, 2)
    expected = value_and_gradients(loss, network)
    compiled = torch.compile(network, backend="eager")
    at_once(3)
    agree(value_and_gradients(lambda _: loss(compiled), network), expected)
