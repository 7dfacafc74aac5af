"""The image tasks of a params file: what they hold, and what is refused in one line."""

from __future__ import annotations

import copy
import csv
from pathlib import Path
from typing import Any

import pytest
import yaml

from mdm_prime.errors import UserError
from mdm_prime.experiment import config

PROJECT = Path(__file__).parents[1]
SMOKE: dict[str, Any] = yaml.safe_load((PROJECT / "params/smoke.yaml").read_text())


def write(folder: Path, changes: dict[str, Any], task: str = "digits") -> Path:
    """The smoke parameters with dotted keys of an image task replaced."""
    values = copy.deepcopy(SMOKE)
    for key, value in changes.items():
        section = values["images"][task]
        *parents, last = key.split(".")
        for parent in parents:
            section = section[parent]
        section[last] = value
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


@pytest.mark.parametrize(
    ("task", "key", "value", "words"),
    [
        ("digits", "network.norm_groups", 7, ["digits.network.norm_groups", "7", "24"]),
        ("digits", "network.head_width", 7, ["digits.network.head_width", "7", "48"]),
        ("digits", "network.attention_at", [4], ["attention_at", "4", "1, 2"]),
        ("digits", "network", {"kind": "mlp", "width": 8, "blocks": 1, "time_conditioning": False}, ["unet"]),
        ("digits", "network.multipliers", [1, 1, 1, 1, 1], ["multipliers", "5 levels", "8"]),
        ("digits", "network.width", 20, ["digits.network.norm_groups"]),
        ("digits", "variants.x", {"num_subtokens": 6}, ["variants.x", "at most 5", "17"]),
        ("digits", "variants.x", {"num_subtokens": 5}, ["digits.network.width", "24", "divisible by 5", "x"]),
        ("digits", "models", ["l3", "l9"], ["digits.models", "l9", "l3, mixture"]),
        ("digits", "samplers.x", [{"kind": "first_hitting"}], ["digits.samplers.x", "no variant"]),
        ("digits", "samplers", {"l3": [{"kind": "first_hitting"}]}, ["digits.samplers.mixture", "missing"]),
        ("digits", "data.augmentation", "flip", ["digits.data.augmentation", "flip", "shift"]),
        ("digits", "data.test_fraction", 1.5, ["test_fraction", "1.5"]),
        ("digits", "data.kind", "text", ["digits.data", "text"]),
        ("digits", "variants.s", {"super_tokens": True}, ["variants.s.super_tokens", "3 channels"]),
        ("digits", "variants.arm", {"model": "autoregressive"}, ["variants.arm.model", "autoregressive"]),
        ("digits", "training.gradient_clip", 0, ["digits.training.gradient_clip", "0"]),
        ("digits", "samplers.l3", [], ["digits.samplers.l3"]),
        ("digits", "samplers.l3", [{"kind": "euler"}], ["samplers.l3.0.num_steps: missing"]),
        ("digits", "samplers.l3", [{"kind": "euler", "num_steps": 0}], ["num_steps", "0"]),
        (
            "digits",
            "samplers.l3",
            [{"kind": "first_hitting", "num_steps": 4}],
            ["samplers.l3.0.num_steps: unknown key"],
        ),
        (
            "digits",
            "samplers.l3",
            [{"kind": "ancestral", "num_steps": 4, "draws": "marginals"}],
            ["samplers.l3.0.draws: unknown key"],
        ),
        (
            "digits",
            "samplers.l3",
            [{"kind": "ancestral", "num_steps": 4, "corrector": {"a": 1.0, "n": 1.0, "b": 1.0}}],
            ["samplers.l3.0.corrector: unknown key"],
        ),
        ("digits", "samplers.l3", [{"kind": "euler", "num_steps": 4}] * 2, ["samplers", "twice"]),
        ("digits", "classifier.steps", -1, ["digits.classifier.steps", "-1"]),
        ("digits", "fidelity.kid_subset_size", 1, ["kid_subset_size", "1"]),
        ("digits", "fidelity.inception_weights", "/no/such.pth", ["digits.fidelity.inception_weights", "/no/such.pth"]),
        ("photos", "data.folder", "/no/such", ["photos.data.folder", "/no/such"]),
        ("photos", "data.channels", 1, ["photos.data.channels", "1"]),
        ("photos", "data.kind", "image_batches", ["photos.data"]),
    ],
)
def test_a_wrong_value_is_one_line(tmp_path: Path, task: str, key: str, value: Any, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        config.load(write(tmp_path, {key: value}, task))
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in ["mine.yaml", *words]), message


def test_a_task_may_not_take_the_place_of_another(tmp_path: Path) -> None:
    values = copy.deepcopy(SMOKE)
    values["images"]["text"] = values["images"]["digits"]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=r"images\.text: the name is taken"):
        config.load(path)


def test_images_may_be_left_out(tmp_path: Path) -> None:
    values = {key: value for key, value in SMOKE.items() if key != "images"}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    assert tuple(config.load(path).tasks) == config.TOKEN_TASKS


def test_super_tokens_change_what_the_network_sees() -> None:
    loaded = config.load(PROJECT / "params/smoke.yaml")
    run = loaded.run("photos/super/seed0")
    size = loaded.images["photos"].data.size
    assert (run.vocab_size, run.length) == (4096, 2 * size * size)
    assert (run.data.vocab_size, run.data.length) == (256, 3 * size * size)
    assert (run.vocab_size, run.length) == (256**1.5, run.data.length * 2 / 3)


def test_a_model_has_its_own_samplers(tmp_path: Path) -> None:
    task = config.load(write(tmp_path, {"samplers.mixture": [{"kind": "euler", "num_steps": 3}]})).images["digits"]
    assert [sampler.name for sampler in task.samplers["l3"]] == ["euler-1", "first_hitting", "euler-8"]
    assert [sampler.name for sampler in task.samplers["mixture"]] == ["euler-3"]


def test_the_paper_params_have_the_sampler_of_every_published_cell() -> None:
    path = PROJECT / "src/mdm_prime/reporting/published/image_fid.csv"
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    cells = [row for row in rows if row["temperature_a"]]
    tasks = {task.data.dataset: task for task in config.load(PROJECT / "params/paper.yaml").images.values()}
    off = {"temperature": (1.0, 0.0, 0.0), "corrector": (0.0, 0.0, 0.0), "time_steps": (1.0, 0.0, 0.0)}
    assert len(cells) == 38
    for cell in cells:
        task = tasks[cell["dataset"]]
        name = "super" if cell["num_subtokens"] == "2/3" else f"l{cell['num_subtokens']}"
        (sampler,) = (s for s in task.samplers[name] if s.num_steps == int(cell["nfe"]))
        assert (sampler.draws == "marginals") == task.variants[name].carry_over == (cell["carry_over"] == "yes")
        for key, values in off.items():
            curve = getattr(sampler, key)
            given = (curve.a, curve.n, curve.b) if curve else values
            assert given == tuple(float(cell[f"{key}_{letter}"]) for letter in "anb"), cell
