import resource
import signal

import pytest
import torch
from small_training import MUON, settings
from torch import nn

from mdm_prime.errors import UserError
from mdm_prime.training import checkpoint, ema
from mdm_prime.training.optimizers import Optimizer


def trained(seed, steps=3, **changes):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    optimizer = Optimizer(network, settings(**changes), "0")
    average = ema.copy_weights(network)
    for step in range(1, steps + 1):
        network(torch.randn(5, 3)).square().sum().backward()
        optimizer.step(step)
        ema.update(average, network, 0.9, step)
    return network, average, optimizer


@pytest.mark.parametrize("changes", [{}, MUON], ids=["adamw", "muon"])
def test_everything_comes_back(tmp_path, changes):
    path = tmp_path / "new folder" / "state.safetensors"
    network, average, optimizer = trained(0, **changes)
    metadata = {"step": 3, "history": [[1, 0.1 + 0.2, 1e-300]], "text": "é\n"}
    checkpoint.save(path, checkpoint.pack(network, average, optimizer), metadata)

    tensors, loaded = checkpoint.load(path)
    assert loaded == metadata
    other, other_average, other_optimizer = trained(1, steps=1, **changes)
    checkpoint.unpack(tensors, other, other_average, other_optimizer)
    for name, parameter in network.named_parameters():
        mine = other.get_parameter(name)
        assert torch.equal(mine, parameter)
        assert torch.equal(other_average[name], average[name])
        before, after = optimizer.state(parameter), other_optimizer.state(mine)
        assert before
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) and before[key].dtype == after[key].dtype for key in before)

    x = torch.randn(5, 3)
    for model, update in ((network, optimizer), (other, other_optimizer)):
        model(x).square().sum().backward()
        update.step(4)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))


def test_what_is_loaded_is_not_shared_with_the_optimizer():
    network, average, optimizer = trained(0)
    tensors = {name: value.detach().clone() for name, value in checkpoint.pack(network, average, optimizer).items()}
    kept = {name: value.clone() for name, value in tensors.items()}
    other, other_average, other_optimizer = trained(1)
    checkpoint.unpack(tensors, other, other_average, other_optimizer)
    other(torch.randn(5, 3)).sum().backward()
    other_optimizer.step(2)
    assert all(torch.equal(tensors[name], kept[name]) for name in kept)


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    checkpoint.save(path, {"x": torch.ones(2)}, {"step": 1})
    with pytest.raises(TypeError):
        checkpoint.save(path, {"x": torch.zeros(2)}, {"step": object()})

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(path, {"x": torch.zeros(2)}, {"step": 2})
    tensors, metadata = checkpoint.load(path)
    assert tensors["x"].tolist() == [1.0, 1.0]
    assert metadata == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"weights\.safetensors: cannot be read .* make it with") as raised:
        checkpoint.load(tmp_path / "weights.safetensors")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 7, b"{}", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ", b"\xff" * 100]
)
def test_what_is_no_checkpoint_is_a_clear_error(tmp_path, content):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a checkpoint"):
        checkpoint.load(path)


def test_a_full_disk_is_one_line_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "weights.safetensors"
    checkpoint.save(path, {"a": torch.ones(2)}, {})
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"weights\.safetensors: cannot be written .*; make room and repeat"):
            checkpoint.save(path, {"a": torch.ones(1_000_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
