import shutil
from collections import namedtuple

import pytest
from doctor_scenes import GOOD_TORCH, device, has_state, params_file, scene_of, with_hub

from mdm_prime.doctor import machine, probe
from mdm_prime.experiment import config

GPU = GOOD_TORCH | {"gpus": [["A100", 80 * 10**9]]}
BROKEN_GPU = GPU | {"gpu_problem": "CUDA error: no kernel image is available"}


@pytest.mark.parametrize(
    ("wanted", "torch", "state", "told"),
    [
        ("auto", GOOD_TORCH, "ok", "no GPU"),
        ("auto", GPU, "ok", "A100 (80.0 GB)"),
        ("cpu", GPU, "ok", "not used"),
        ("cpu", BROKEN_GPU, "ok", "not used"),
        ("cuda", GPU, "ok", "A100"),
        ("cuda", GOOD_TORCH, "failure", "compute.device"),
        ("cuda", BROKEN_GPU, "failure", "no kernel image"),
        ("auto", BROKEN_GPU, "failure", "no kernel image"),
        ("cpu", {"problem": "No module named 'torch'"}, "failure", "No module named 'torch'"),
    ],
)
def test_torch(monkeypatch, wanted, torch, state, told):
    monkeypatch.setattr(shutil, "which", lambda command: None)
    has_state(machine.torch(scene_of(device(wanted), torch)), state, told)


def test_a_gpu_that_torch_does_not_see(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda command: f"/bin/{command}")
    has_state(machine.torch(scene_of(device("auto"))), "warning", "nvidia-smi")
    has_state(machine.torch(scene_of(device("cpu"))), "ok")


def test_the_probe_counts_the_parameters_of_every_network():
    import torch

    from mdm_prime.stages.place import network_of

    found = probe.ask(params_file())
    assert found["version"] == torch.__version__
    loaded = config.load("mine.yaml")
    assert set(found["parameters"]) == {
        f"{run.task}/{run.variant}" for task in loaded.tasks for run in loaded.runs(task)
    }
    for name in ("text/l2", "digits/l3", "toy/l1"):
        network = network_of(loaded.run(f"{name}/seed0"))
        assert found["parameters"][name] == sum(part.numel() for part in network.parameters())


@pytest.mark.parametrize(
    ("code", "problem"),
    [("raise ImportError('libcudart.so: cannot open')", "libcudart.so"), ("import os; os.abort()", "exit code -6")],
)
def test_a_broken_torch_is_an_answer(monkeypatch, tmp_path, code, problem):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "torch.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    assert problem in probe.ask(params_file())["problem"]


def test_a_torch_that_hangs_is_an_answer(monkeypatch, tmp_path):
    (tmp_path / "torch.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(probe, "WITHIN", 0.5)
    assert probe.ask(params_file()) == {"problem": "no answer within 0.5 s"}


def test_processors(monkeypatch):
    monkeypatch.setattr(machine, "available_cores", lambda: 4)
    has_state(machine.processors(scene_of(lambda values: values["compute"].update(threads=2))), "ok", "side by side: 2")
    found = machine.processors(scene_of(lambda values: values["compute"].update(threads=8)))
    has_state(found, "warning", "4 cores", "compute.threads 8")


def test_folders(tmp_path):
    has_state(machine.folders(scene_of()), "ok")
    assert not (tmp_path / "results").exists()
    (tmp_path / "results").write_text("a file")
    has_state(machine.folders(scene_of()), "failure", "results: Not a directory")


def test_disk(monkeypatch):
    need, left_out = machine.needed_space(scene_of().config, None)
    assert left_out == ["networks"]
    space = namedtuple("space", "free")
    for free, state in ((need - 1, "failure"), (need + 1, "warning"), (3 * need, "ok")):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: space(free))
        has_state(machine.disk(scene_of()), state, "free; a fresh run needs about", "not counted: networks")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: space(100 * need))
    has_state(machine.disk(scene_of(with_hub)), "warning", "not counted: uoft-cs/cifar10")


def test_needed_space_counts_what_grows():
    def more(values):
        values["known_entropy"]["data"]["train_sequences"] += 1000

    before, after = scene_of().config, scene_of(more).config
    grown = machine.needed_space(after, None)[0] - machine.needed_space(before, None)[0]
    assert grown == 1000 * before.known_entropy.data.length  # a byte a token
    runs = [run for task in before.tasks for run in before.runs(task)]
    parameters = {f"{run.task}/{run.variant}": 10 for run in runs}
    weights = machine.needed_space(before, parameters)[0] - machine.needed_space(before, None)[0]
    assert weights == 4 * 10 * (len(runs) + 8)
    assert machine.needed_space(scene_of(with_hub).config, parameters)[1] == ["uoft-cs/cifar10"]
