import os
import socket
import threading
from pathlib import Path

import pytest
from doctor_scenes import HUB_IMAGES, has_state, scene_of, with_hub, without_params

from mdm_prime.doctor import finding, inputs, machine, waiting
from mdm_prime.experiment import config, layout


def test_params():
    has_state(inputs.params(scene_of()), "ok", "mine.yaml", "runs")
    has_state(inputs.params(without_params()), "failure", "none.yaml", "check-params")


def test_a_reader_that_breaks_is_a_row(monkeypatch):
    def broken(path):
        raise MemoryError("no room")

    monkeypatch.setattr(config, "load", broken)
    has_state(inputs.params(finding.scene(Path("a.yaml"), Path("results"))), "failure", "a.yaml: MemoryError: no room")


@pytest.mark.parametrize("check", [inputs.named_files, inputs.inception, inputs.hub, machine.processors, machine.disk])
def test_what_needs_params_says_that_it_was_not_checked(check):
    found = check(without_params())
    assert found.state == "warning"
    assert "not checked" in found.found


def test_named_files(tmp_path, monkeypatch):
    has_state(inputs.named_files(scene_of()), "ok", "none")
    (tmp_path / "a.txt").write_text("text")
    change = lambda values: values["text"]["data"].update(files=["a.txt"])  # noqa: E731
    has_state(inputs.named_files(scene_of(change)), "ok", "1 files")
    readable = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != "a.txt" and readable(path, mode))
    has_state(inputs.named_files(scene_of(change)), "failure", "text.data.files[0]: a.txt: not readable")


def test_a_local_data_set_that_is_not_there(tmp_path):
    def local(values):
        values["images"]["photos"]["data"] = HUB_IMAGES | {"path": "./cifar"}

    has_state(inputs.named_files(scene_of(local)), "failure", "images.photos.data.path: cifar: no such")
    (tmp_path / "cifar").mkdir()
    has_state(inputs.named_files(scene_of(local)), "ok")


def test_a_folder_that_lacks_batches(tmp_path):
    def batches(values):
        data = {"kind": "image_batches", "dataset": "ImageNet-32", "folder": "here", "size": 32, "seed": 0}
        values["images"]["photos"]["data"] = data

    (tmp_path / "here").mkdir()
    has_state(inputs.named_files(scene_of(batches)), "failure", "val_data")
    for name in [f"train_data_batch_{number}" for number in range(1, 11)] + ["val_data"]:
        (tmp_path / "here" / name).write_bytes(bytes(1000))
    has_state(inputs.named_files(scene_of(batches)), "ok")


def test_inception(tmp_path):
    has_state(inputs.inception(scene_of()), "ok", "not asked for")
    weights = tmp_path / "weights.pth"
    weights.touch()
    change = lambda values: values["images"]["digits"]["fidelity"].update(inception_weights=str(weights))  # noqa: E731
    has_state(inputs.inception(scene_of(change)), "failure", "weights.pth")
    weights.write_bytes(b"weights")
    has_state(inputs.inception(scene_of(change)), "ok", "weights.pth")


def no_network(*arguments):
    raise OSError("no network here")


def test_the_hub_is_not_asked_where_nothing_needs_it(monkeypatch):
    monkeypatch.setattr(inputs, "within", no_network)
    has_state(inputs.hub(scene_of()), "ok", "not needed")


def test_the_hub_that_is_needed(monkeypatch):
    monkeypatch.setattr(inputs, "within", no_network)
    scene = scene_of(with_hub)
    told = "images.photos.data.path uoft-cs/cifar10"
    has_state(inputs.hub(scene), "failure", "huggingface.co:443", "no network here", told)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    has_state(inputs.hub(scene), "failure", "HF_HUB_OFFLINE", told)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(inputs, "within", lambda seconds, action: None)
    has_state(inputs.hub(scene), "ok", "huggingface.co:443 can be reached", told)


def test_data_that_are_made_need_no_hub(monkeypatch):
    monkeypatch.setattr(inputs, "within", no_network)
    for path in layout.data_files("results/mine", "photos"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    has_state(inputs.hub(scene_of(with_hub)), "ok", "is there")


@pytest.mark.parametrize("folder", ["datasets/uoft-cs___cifar10", "hub/datasets--uoft-cs--cifar10"])
def test_a_cache_makes_it_a_warning(monkeypatch, tmp_path, folder):
    monkeypatch.setattr(inputs, "within", no_network)
    (tmp_path / "home" / ".cache" / "huggingface" / folder).mkdir(parents=True)
    has_state(inputs.hub(scene_of(with_hub)), "warning", "perhaps in the cache")


def test_proxy_and_mirror_are_asked_in_its_place(monkeypatch):
    asked = []
    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: asked.append(address) or no_network())
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example:8443/hf")
    inputs.hub(scene_of(with_hub))
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunter2@proxy.example:3128")
    found = inputs.hub(scene_of(with_hub))
    assert asked == [("mirror.example", 8443), ("proxy.example", 3128)]
    assert "the proxy proxy.example:3128" in found.found
    assert "hunter2" not in str(found)


def test_waiting_ends():
    held = threading.Event()
    with pytest.raises(TimeoutError, match="no answer within"):
        waiting.within(0.01, held.wait)
    held.set()
    with pytest.raises(OSError, match="no network here"):
        waiting.within(5.0, no_network)


def test_a_folder_of_the_name_of_a_data_set_comes_before_the_hub(monkeypatch):
    monkeypatch.setattr(inputs, "within", no_network)
    Path("uoft-cs/cifar10").mkdir(parents=True)
    has_state(inputs.hub(scene_of(with_hub)), "ok", "no data come from it")
    has_state(inputs.named_files(scene_of(with_hub)), "ok", "1 files")
