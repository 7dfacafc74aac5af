"""What every stage is given: devices, and one line for what is missing."""

import json

import numpy as np
import pytest
import torch

import small_results
from mdm_prime.errors import UserError
from mdm_prime.stages import gpus


def test_stages_at_the_same_time_take_different_gpus(workplace, monkeypatch):
    workplace.values["compute"]["device"] = "cuda"
    workspace = workplace.workspace
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(gpus, "_HELD", {})
    assert workspace.device() == workspace.device() == torch.device("cuda", 0), "a process keeps its own"
    held = [gpus._HELD]
    monkeypatch.setattr(gpus, "_HELD", {})  # as in another process
    assert workspace.device() == torch.device("cuda", 1)
    held.append(gpus._HELD)
    monkeypatch.setattr(gpus, "_HELD", {})
    with pytest.raises(UserError, match=r"other stages hold the 2 GPUs; run at most .*: --resources gpu=2"):
        workspace.device()
    with pytest.raises(UserError, match="devices: is 3; this machine has 2 GPUs; allowed here: at most 2"):
        gpus.take(workspace.results, 2, 3)
    held[0].pop(0).close()  # as when the process ends
    assert workspace.device() == torch.device("cuda", 0)
    for lock in [*held[1].values(), *gpus._HELD.values()]:
        lock.close()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert workspace.device() == torch.device("cuda")


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_without_a_gpu_the_processor_computes(workplace, monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    workplace.values["compute"]["device"] = device
    assert workplace.workspace.device() == torch.device("cpu")
    workplace.values["compute"]["device"] = "cuda"
    with pytest.raises(UserError, match=r"compute\.device is 'cuda' but torch sees no GPU"):
        workplace.workspace.device()


@pytest.mark.parametrize("content", [None, b"no array", np.zeros((3, 2, 2), np.uint8), np.zeros((3, 5), np.uint8)])
def test_tokens_that_are_not_those_of_the_task_are_one_line(workplace, content):
    folder = workplace.root / "known_entropy" / "data"
    folder.mkdir(parents=True)
    if isinstance(content, np.ndarray):
        np.save(folder / "train.npy", content)
    elif content:
        (folder / "train.npy").write_bytes(content)
    (folder / "meta.json").write_text(json.dumps(small_results.data_set(vocab_size=6)))
    for read in (
        lambda: workplace.workspace.tokens("known_entropy", "train"),
        lambda: workplace.workspace.meta("known_entropy"),
    ):
        with pytest.raises(UserError) as error:
            read()
        assert str(error.value).endswith(f"make it with: {workplace.hint('data', 'known_entropy')}")
        assert "\n" not in str(error.value)
