"""The tasks on images of a params file: what they hold, and what is refused in one line."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from own_params import PARAMS, PROJECT, REMOVED, changed, problem, write

from mdm_prime.experiment import config

SMOKE = config.read(PARAMS / "smoke.yaml")
EULER = {"kind": "euler", "num_steps": 4}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (
            "digits.network.norm_groups",
            7,
            "digits.network.norm_groups: is 7; should divide width x multiplier, here 24",
        ),
        ("digits.network.head_width", 7, "digits.network.head_width: is 7; should divide width x multiplier, here 48"),
        ("digits.network.attention_at", [4], "digits.network.attention_at: is 4; should be one of 1, 2"),
        (
            "digits.network.multipliers",
            [1, 1, 1, 1, 1],
            "digits.network.multipliers: 5 levels; should be fewer, to halve",
        ),
        ("digits.network.width", 20, "digits.network.norm_groups: is 12; should divide width x multiplier, here 20"),
        (
            "digits.network",
            {"kind": "mlp", "width": 8, "blocks": 1, "time_conditioning": False},
            "digits.network.kind: is mlp; does not fit data.kind digits",
        ),
        ("digits.variants.mixture", {"network": {"components": 0}}, "digits.variants.mixture.network.components: is 0"),
        ("digits.models", ["l6"], "digits.models: l6 has 6 sub-tokens; should be at most 5, the binary digits of"),
        ("digits.models", ["l5"], "digits.network.width: x multipliers[0] is 24; should be divisible by 5, the sub-"),
        (
            "digits.models",
            ["l3", "plain"],
            "digits.models: plain is no variant; allowed: l1, l2, ..., mixture, super; ",
        ),
        ("digits.models", ["super"], "digits.variants.super.super_tokens: needs images of 3 channels"),
        (
            "digits.variants.mixture",
            {"model": "autoregressive"},
            "digits.network.kind: is unet; should be dit for an autoregressive model of variant mixture",
        ),
        (
            "digits.variants.mixture",
            {"checkpoint": {"format": "official-text", "address": "a"}},
            "digits.variants.mixture.checkpoint.format: is official-text; does not fit the data",
        ),
        ("digits.data.augmentation", "flip", "digits.data.augmentation: is \"flip\"; should be 'none' or 'shift'"),
        ("digits.data.heldout_fraction", 1.5, "digits.data.heldout_fraction: is 1.5; should be less than 1"),
        ("digits.data.kind", "text", "digits.data.augmentation: unknown key"),
        ("digits.training.gradient_clip", 0, "digits.training.gradient_clip: is 0; should be greater than 0"),
        ("digits.sampling.prefix", "The", "digits.sampling.prefix: is for text only"),
        ("digits.samplers", [], "digits.samplers: is []; list should have at least 1 item"),
        ("digits.samplers", [{"kind": "euler"}], "digits.samplers.0.num_steps: missing"),
        ("digits.samplers", [{**EULER, "num_steps": 0}], "digits.samplers.0.num_steps: is 0; should be greater than 0"),
        ("digits.samplers", [{**EULER, "kind": "first_hitting"}], "digits.samplers.0.num_steps: unknown key"),
        (
            "digits.samplers",
            [{**EULER, "kind": "ancestral", "distribution": "marginals"}],
            "digits.samplers.0.distribution: unknown key",
        ),
        (
            "digits.samplers",
            [{**EULER, "kind": "ancestral", "corrector": {"a": 1.0, "n": 1.0, "b": 1.0}}],
            "digits.samplers.0.corrector: unknown key",
        ),
        ("digits.samplers", [EULER] * 2, "digits.samplers: is [{"),
        ("digits.variants.mixture", {"samplers": [EULER] * 2}, "digits.variants.mixture.samplers: is [{"),
        ("digits.classifier", REMOVED, "digits.classifier: missing; images need it"),
        ("digits.fidelity", None, "digits.fidelity: missing; images need it"),
        ("text.classifier", SMOKE["tasks"]["digits"]["classifier"], "text.classifier: is for images"),
        ("digits.classifier.steps", -1, "digits.classifier.steps: is -1; should be greater than 0"),
        ("digits.fidelity.kid_subset_size", 1, "digits.fidelity.kid_subset_size: is 1; should be greater than or"),
        (
            "digits.fidelity.inception_weights",
            "/no/such.pth",
            "digits.fidelity.inception_weights: no such file: /no/such.pth; null: the task's own classifier",
        ),
        ("photos.data.folder", "/no/such", "photos.data.folder: no such folder: /no/such"),
        (
            "digits.variants.l3",
            {"training": {"optimizer": "muon", "matrix_learning_rate": 0.01}},
            "digits.variants.l3.training.optimizer: muon is not for a network of kind unet; should be adamw",
        ),
        ("photos.data.channels", 2, "photos.data.channels: is 2; should be 1 or 3"),
        ("photos.data.kind", "image_batches", "photos.data.train_images: unknown key"),
        (
            "photos.data",
            {"kind": "image_folder", "dataset": "mine", "size": 16, "folder": "/no/such", "seed": 0},
            "photos.data.folder: no such folder: /no/such",
        ),
    ],
)
def test_a_wrong_value_is_one_line(key: str, value: Any, expected: str, tmp_path: Path) -> None:
    assert problem(write(tmp_path, changed(f"tasks.{key}", value, SMOKE))).startswith(f"tasks.{expected}")


def test_there_may_be_images_only_or_none(tmp_path: Path) -> None:
    images = {name: SMOKE["tasks"][name] for name in ("digits", "photos")}
    loaded = config.load(write(tmp_path, {"compute": SMOKE["compute"], "tasks": images}))
    assert list(loaded.images) == list(loaded.tasks) == ["digits", "photos"]
    tokens = {name: SMOKE["tasks"][name] for name in ("text", "toy")}
    assert config.load(write(tmp_path, {"compute": SMOKE["compute"], "tasks": tokens})).images == {}


def test_what_a_task_on_images_has_besides() -> None:
    loaded = config.load(PARAMS / "smoke.yaml")
    assert loaded.image_task("digits") == loaded.images["digits"]
    assert loaded.image_task("digits").classifier == loaded.task("digits").classifier
    run = loaded.run("digits/l3/seed0")
    assert run.image_data.size == 8
    assert (run.on_images, run.channels, loaded.run("text/l2/seed0").on_images) == (True, 1, False)


def test_super_tokens_change_what_the_network_sees() -> None:
    run = config.load(PARAMS / "smoke.yaml").run("photos/super/seed0")
    size = run.image_data.size
    assert (run.vocab_size, run.length, run.channels) == (4096, 2 * size * size, 2)
    assert (run.data.vocab_size, run.data.length) == (256, 3 * size * size)
    assert (run.vocab_size, run.length) == (256**1.5, run.data.length * 2 / 3)
    assert (run.shape.vocab_size, run.shape.length, run.shape.channels) == (run.vocab_size, run.length, 2)


def test_a_model_may_have_its_own_samplers(tmp_path: Path) -> None:
    own = changed("tasks.digits.variants.mixture.samplers", [{"kind": "euler", "num_steps": 3}], SMOKE)
    task = config.load(write(tmp_path, own)).task("digits")
    assert [sampler.name for sampler in task.samplers_of("l3")] == ["euler-1", "first_hitting", "euler-8"]
    assert [sampler.name for sampler in task.samplers_of("mixture")] == ["euler-3"]


@pytest.mark.parametrize("scale", ["paper", "official"])
def test_the_params_have_the_sampler_of_every_published_cell(scale: str) -> None:
    path = PROJECT / "src/mdm_prime/reporting/published/image_fid.csv"
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    cells = [row for row in rows if row["temperature_a"]]
    loaded = config.load(PARAMS / f"{scale}.yaml")
    tasks = {images.data.dataset: loaded.task(name) for name, images in loaded.images.items()}
    off = {"temperature": (1.0, 0.0, 0.0), "corrector": (0.0, 0.0, 0.0), "time_steps": (1.0, 0.0, 0.0)}
    assert len(cells) == 38
    for cell in cells:
        task = tasks[cell["dataset"]]
        name = "super" if cell["num_subtokens"] == "2/3" else f"l{cell['num_subtokens']}"
        samplers = [sampler.model_dump() for sampler in task.samplers_of(name)]
        (sampler,) = (values for values in samplers if values["num_steps"] == int(cell["nfe"]))
        carry_over = task.variant(name).carry_over
        assert (sampler["distribution"] == "marginals") == carry_over == (cell["carry_over"] == "yes")
        for key, values in off.items():
            curve = sampler[key]
            given = tuple(curve[letter] for letter in "anb") if curve else values
            assert given == tuple(float(cell[f"{key}_{letter}"]) for letter in "anb"), cell
