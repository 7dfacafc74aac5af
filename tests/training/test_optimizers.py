import pytest
import torch
from small_training import MUON, network, settings

from mdm_prime.errors import UserError
from mdm_prime.networks.dit import DiTNetwork
from mdm_prime.training.optimizers import Optimizer, learning_rate


def with_gradients(model):
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    return model


def remembered(optimizer, model):
    """Names of what is kept of each parameter, by the parameter's name."""
    return {name: set(optimizer.state(parameter)) for name, parameter in model.named_parameters()}


def test_muon_has_the_matrices_of_the_blocks_and_adamw_has_the_rest():
    model = with_gradients(network())
    optimizer = Optimizer(model, settings(**MUON), DiTNetwork.blocks_at)
    optimizer.step(1)
    kept = remembered(optimizer, model)
    matrices = {name for name, keys in kept.items() if keys == {"momentum_buffer"}}
    layers = ("attn_qkv", "attn_out", "mlp.0", "mlp.2", "modulation")
    assert matrices == {f"blocks.0.{layer}.weight" for layer in layers}
    assert {frozenset(kept[name]) for name in kept.keys() - matrices} == {frozenset({"step", "exp_avg", "exp_avg_sq"})}
    assert {"embedding.embedding.weight", "head.weight", "blocks.0.norm1.weight", "blocks.0.mlp.0.bias"} <= (
        kept.keys() - matrices
    )


def test_adamw_alone_has_everything():
    model = with_gradients(network())
    optimizer = Optimizer(model, settings(), DiTNetwork.blocks_at)
    optimizer.step(1)
    assert set(map(frozenset, remembered(optimizer, model).values())) == {frozenset({"step", "exp_avg", "exp_avg_sq"})}


def test_steps_are_those_of_torch_at_learning_rates_that_warm_up_and_decay_together():
    model, other = with_gradients(network()), with_gradients(network())
    chosen = settings(**MUON, steps=8, warmup_steps=4, learning_rate=0.01, weight_decay=0.1, betas=(0.8, 0.9))
    optimizer = Optimizer(model, chosen, DiTNetwork.blocks_at)
    inside = [p for name, p in other.named_parameters() if name.startswith("blocks.") and p.ndim == 2]
    rest = [p for p in other.parameters() if not any(p is matrix for matrix in inside)]
    muon = torch.optim.Muon(inside, lr=1.0, weight_decay=0.1)
    adamw = torch.optim.AdamW(rest, lr=1.0, weight_decay=0.1, betas=(0.8, 0.9))
    for step, share in enumerate((1 / 4, 2 / 4, 3 / 4, 1, 1, 3 / 4, 2 / 4, 1 / 4), start=1):
        with_gradients(model)
        with_gradients(other)
        optimizer.step(step)
        muon.param_groups[0]["lr"], adamw.param_groups[0]["lr"] = 0.02 * share, 0.01 * share
        muon.step()
        adamw.step()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter, other.get_parameter(name), msg=f"{name} after step {step}")
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("blocks_at", [None, "norm", "block"])
def test_muon_for_a_network_without_matrices_in_blocks_is_a_clear_error(blocks_at):
    with pytest.raises(UserError, match=r"training\.optimizer: muon .*; choose adamw") as raised:
        Optimizer(network(), settings(**MUON), blocks_at)
    assert "\n" not in str(raised.value)


def test_learning_rate():
    linear = settings(steps=10, warmup_steps=4)
    values = [learning_rate(step, linear, 1.0) for step in range(1, 11)]
    assert values == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    constant = settings(steps=10, warmup_steps=0, decay="constant")
    assert [learning_rate(step, constant, 1.0) for step in (1, 5, 10)] == [1.0] * 3
    only_warmup = settings(steps=4, warmup_steps=4)
    assert [learning_rate(step, only_warmup, 1.0) for step in (1, 4)] == [0.25, 1.0]
