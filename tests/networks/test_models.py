import pytest
import torch
from torch import nn

from golden_values import golden
from mdm_prime.core.keyed import set_keys
from mdm_prime.experiment.shape import Shape
from mdm_prime.networks.dit import DiTNetwork
from mdm_prime.networks.mlp import MLPNetwork
from mdm_prime.networks.modules.dit import Block, DiT
from mdm_prime.networks.modules.layers import SubtokenEmbedding, SummedEmbedding, rotary_angles
from mdm_prime.networks.modules.mlp import MLP

TOLERANCE = {"rtol": 0.0, "atol": 1e-5}


def everywhere(y):
    return torch.ones(y.shape[:2], dtype=torch.bool)


def load_golden(network, weights):
    """Loads weights; what they leave out must be of no effect, so it is set to zero (a modulation) or to noise."""
    missing, unexpected = network.load_state_dict(weights, strict=False)
    assert not unexpected
    for name in missing:
        assert name.startswith("time_embedding.") or name.endswith("modulation.weight")
        parameter = network.get_parameter(name)
        if name.startswith("time_embedding."):
            nn.init.normal_(parameter)
        else:
            nn.init.zeros_(parameter)
    return network.eval()


def golden_dit(ell, time_conditioning):
    return load_golden(
        DiT(
            base={1: 64, 2: 8, 3: 4}[ell],
            num_subtokens=ell,
            vocab_size=64,
            length=64,
            width=48,
            blocks=2,
            heads=4,
            conditioning_width=16,
            time_conditioning=time_conditioning,
            causal=ell == 1,
        ),
        golden({1: "causal", 2: "dit_l2", 3: "dit_l3"}[ell] + "/weights"),
    )


@pytest.mark.parametrize(("ell", "time_conditioning"), [(2, True), (2, False), (3, False)])
@torch.no_grad()
def test_transformer_is_that_of_the_paper(ell, time_conditioning):
    values = golden(f"dit_l{ell}")
    y = values["y"]
    network = golden_dit(ell, time_conditioning)
    t = torch.zeros(2) if time_conditioning else torch.tensor([0.3, 0.9])  # without conditioning, any time is 0
    logits = network(y, t, everywhere(y)).view(2, 12, 64)
    torch.testing.assert_close(logits, values["logits_at_0"], **TOLERANCE)
    assert logits.std() > 0.1


@pytest.mark.parametrize("causal", [False, True])
def test_one_modulation_of_all_positions_computes_what_one_for_each_does(causal):
    """Output and every gradient, though the one is part of the weights and the other multiplies each position."""
    torch.manual_seed(0)
    block = Block(width=12, heads=2, conditioning_width=5, dropout=0.0, causal=causal).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    h, conditioning = torch.randn(3, 7, 12).double(), torch.randn(5).double()
    angles = tuple(part.double() for part in rotary_angles(7, 6, h.device))
    inputs = [h.requires_grad_(), conditioning.requires_grad_(), *block.parameters()]
    found = []
    for shape in ((5,), (1, 1, 5), (3, 7, 5)):
        out = block(h, angles, conditioning.expand(shape))
        found.append([out, *torch.autograd.grad(out.sin().sum(), inputs)])
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-8, atol=1e-8)


@torch.no_grad()
def test_time_enters_as_in_the_paper():
    values = golden("dit_l2")
    logits = golden_dit(2, time_conditioning=True)(values["y"], values["t"], everywhere(values["y"]))
    torch.testing.assert_close(logits.view(2, 12, 64), values["logits"], **TOLERANCE)
    assert (values["logits"] - values["logits_at_0"]).abs().max() > 0.01


@torch.no_grad()
def test_causal_transformer_is_the_autoregressive_model_of_the_paper():
    values = golden("causal")
    x = values["x"]
    logits = golden_dit(1, time_conditioning=False)(x[..., None], torch.zeros(2), everywhere(x))
    torch.testing.assert_close(logits.view(2, 12, 64).log_softmax(-1), values["log_probs"], **TOLERANCE)


@torch.no_grad()
def test_perceptron_is_that_of_the_paper():
    values = golden("mlp")
    network = MLP(base=8, num_subtokens=3, vocab_size=32, length=2, width=16, blocks=3, time_conditioning=True)
    network.load_state_dict(golden("mlp/weights"))
    logits = network(values["y"], values["t"], everywhere(values["y"]))
    torch.testing.assert_close(logits.view(5, 2, 32), values["logits"], **TOLERANCE)


def random_dit(ell=2, causal=False, dropout=0.0, time_conditioning=True):
    torch.manual_seed(0)
    network = DiT(
        base=3,
        num_subtokens=ell,
        vocab_size=7,
        length=5,
        width=24,
        blocks=2,
        heads=2,
        conditioning_width=8,
        dropout=dropout,
        time_conditioning=time_conditioning,
        causal=causal,
    )
    for parameter in network.parameters():  # a fresh network gives zeros
        nn.init.normal_(parameter, std=0.3)
    return network.eval()


def random_mlp(ell=2, time_conditioning=True):
    torch.manual_seed(0)
    return MLP(
        base=3, num_subtokens=ell, vocab_size=7, length=5, width=16, blocks=2, time_conditioning=time_conditioning
    )


def inputs(ell=2):
    generator = torch.Generator().manual_seed(1)
    y = torch.randint(0, 4, (3, 5, ell), generator=generator)
    return y, torch.rand(3, generator=generator), torch.rand(3, 5, generator=generator) < 0.5


@pytest.mark.parametrize("network", [random_dit(), random_dit(causal=True), random_mlp()])
@torch.no_grad()
def test_logits_come_for_the_positions_asked_for_in_row_major_order(network):
    y, t, where = inputs()
    some = network(y, t, where)
    assert some.shape == (int(where.sum()), 7)
    torch.testing.assert_close(some, network(y, t, everywhere(y)).view(3, 5, 7)[where])
    assert network(y, t, torch.zeros_like(where)).shape == (0, 7)


@torch.no_grad()
def test_hidden_states_are_what_the_head_makes_logits_of():
    network, (y, t, where) = random_dit(), inputs()
    hidden = network(y, t, where, hidden=True)
    assert hidden.shape == (int(where.sum()), 24)
    assert torch.equal(network.logits_layer(hidden), network(y, t, where))


@pytest.mark.parametrize("make", [random_dit, random_mlp])
@torch.no_grad()
def test_time_matters_only_where_it_should(make):
    y, t, where = inputs()
    with_time, without = make(time_conditioning=True), make(time_conditioning=False)
    assert not torch.allclose(with_time(y, t, where), with_time(y, t / 2, where))
    assert torch.equal(without(y, t, where), without(y, t / 2, where))


@pytest.mark.parametrize("network", [random_dit(), random_mlp()])
@torch.no_grad()
def test_every_logit_depends_on_every_subtoken_and_on_no_other_sequence(network):
    y, t, _ = inputs()
    before = network(y, t, everywhere(y)).view(3, 5, 7)
    for i in range(5):
        for j in range(2):
            changed = y.clone()
            changed[0, i, j] = (changed[0, i, j] + 1) % 4
            after = network(changed, t, everywhere(y)).view(3, 5, 7)
            assert ((after - before)[0].abs() > 1e-7).any(-1).all()
            torch.testing.assert_close(after[1:], before[1:])


@torch.no_grad()
def test_causal_transformer_sees_no_later_token():
    network = random_dit(ell=1, causal=True)
    y, t, _ = inputs(ell=1)
    before = network(y, t, everywhere(y)).view(3, 5, 7)
    for i in range(5):
        changed = y.clone()
        changed[:, i] = (changed[:, i] + 1) % 4
        after = network(changed, t, everywhere(y)).view(3, 5, 7)
        assert torch.equal(after[:, :i], before[:, :i])
        assert ((after - before)[:, i:].abs() > 1e-7).any(-1).all()


@torch.no_grad()
def test_digits_of_a_position_are_told_apart_by_their_place():
    network = random_dit()
    y = torch.tensor([[[0, 1], [2, 2]]])
    a, b = (network(rows, torch.zeros(1), everywhere(y)) for rows in (y, y.flip(-1)))
    assert not torch.allclose(a, b)


def test_embedding_concatenates_the_digits():
    embedding = SubtokenEmbedding(base=3, num_subtokens=2, width=8)
    table = embedding.embedding.weight
    assert table.shape == (4, 4)  # three digits and the mask
    assert torch.equal(embedding(torch.tensor([[[0, 3]]]))[0, 0], torch.cat([table[0], table[3]]))
    with pytest.raises(ValueError, match="not divisible"):
        SubtokenEmbedding(base=3, num_subtokens=3, width=8)


def test_dropout_acts_in_training_only():
    network = random_dit(dropout=0.5)
    y, t, where = inputs()
    assert torch.equal(network(y, t, where), network(y, t, where))
    network.train()
    found = []
    for key in (1, 1, 3):
        set_keys(network, torch.arange(len(y)) + key)
        found.append(network(y, t, where))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


DIT = DiTNetwork(kind="dit", width=24, blocks=1, heads=2, conditioning_width=8, dropout=0.0, time_conditioning=False)
PERCEPTRON = MLPNetwork(kind="mlp", width=8, blocks=2, time_conditioning=False)


def test_a_fresh_transformer_gives_every_token_the_same_probability():
    network = DIT.build(Shape(base=3, num_subtokens=2, vocab_size=7, length=5))
    y, t, where = inputs()
    assert not network(y, t, where).any()


@pytest.mark.parametrize("causal", [False, True])
def test_build_makes_what_the_parameters_say(causal):
    network = DIT.build(Shape(base=7, num_subtokens=1, vocab_size=7, length=5, causal=causal))
    assert isinstance(network, DiT)
    assert [block.causal for block in network.blocks] == [causal]
    assert isinstance(PERCEPTRON.build(Shape(base=3, num_subtokens=2, vocab_size=7, length=5)), MLP)


def test_there_is_no_causal_perceptron():
    with pytest.raises(ValueError, match=r"kind: is .*; should be dit for an autoregressive model"):
        PERCEPTRON.build(Shape(base=7, num_subtokens=1, vocab_size=7, length=5, causal=True))


@pytest.mark.parametrize(
    ("num_subtokens", "heads", "message"),
    [(5, 2, "width: is 24; should be divisible by num_subtokens 5"), (1, 5, "divisible by 2 x heads = 10")],
)
def test_a_transformer_that_cannot_be_is_refused(num_subtokens, heads, message):
    section = DIT.model_copy(update={"heads": heads})
    with pytest.raises(ValueError, match=message):
        section.check(Shape(base=2, num_subtokens=num_subtokens, vocab_size=7, length=5))


def test_a_summed_embedding_adds_a_row_of_each_places_table():
    layer = SummedEmbedding(base=4, num_subtokens=3, width=6)
    y = torch.randint(0, 5, (2, 7, 3), generator=torch.Generator().manual_seed(0))
    tables = layer.embedding.weight.view(3, 5, 6)
    torch.testing.assert_close(layer(y), sum(tables[place][y[..., place]] for place in range(3)))
    shape = Shape(base=3, num_subtokens=5, vocab_size=200, length=4)
    section = DIT.model_copy(update={"embedding": "summed"})
    section.check(shape)  # no division of the width among places
    assert isinstance(section.build(shape).embedding, SummedEmbedding)
