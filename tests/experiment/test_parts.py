"""Params of models that are made of other variants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from own_params import VALUES, changed, problem, write

from mdm_prime.experiment import config

ENERGY = [{"kind": "energy", "num_steps": 4}]
COAR = {"model": {"kind": "energy_ar", "denoiser": "l1", "autoregressive": "arm"}, "samplers": ENERGY}
NCE = {"model": {"kind": "energy", "denoiser": "l1"}, "samplers": ENERGY}


def params(variant: dict[str, Any], task: str = "text") -> dict[str, Any]:
    values = changed(f"tasks.{task}.variants.made", variant)
    return changed(f"tasks.{task}.models", [*VALUES["tasks"][task]["models"], "made"], values)


def model(**changes: str) -> dict[str, Any]:
    return COAR | {"model": COAR["model"] | changes}


def test_a_run_knows_its_parts_and_changes_with_them(tmp_path: Path) -> None:
    run = config.load(write(tmp_path, params(COAR))).run("text/made/seed1")
    assert {key: part.name for key, part in run.parts.items()} == {
        "denoiser": "text/l1/seed1",
        "autoregressive": "text/arm/seed1",
    }
    other = changed("tasks.text.variants.l1", {"training": {"steps": 700}}, params(COAR))
    assert config.load(write(tmp_path, other)).run("text/made/seed1").digest != run.digest


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        (model(denoiser="l9"), "variants.made.model.denoiser: is l9; should be one of models: l1, l2, "),
        (model(denoiser="made"), "variants.made.model.denoiser: is made; should be a variant that is trained here"),
        (model(denoiser="l2"), "variants.made.model.denoiser: is l2; should be of model masked with one"),
        (model(autoregressive="l1"), "variants.made.model.autoregressive: is l1; should be of model autoregressive"),
        (COAR | {"seeds": [0, 5]}, "variants.made.model.denoiser: is l1, which has no seed 5; give both"),
        (COAR | {"num_subtokens": 2}, "variants.made.num_subtokens: is 2; should be 1 for the model energy_ar"),
        (COAR | {"samplers": None}, "samplers: ancestral is not for the model energy_ar of made; give variants.made"),
        ({"samplers": ENERGY}, "variants.made.samplers: energy is not for the model masked of made; it is for energy"),
        (NCE, "variants.made.model: is energy; should be on data of at most 4096 sequences"),
    ],
)  # fmt: skip
def test_what_cannot_be(tmp_path: Path, variant: dict[str, Any], said: str) -> None:
    assert said in problem(write(tmp_path, params(variant)))


PERMUTED, CUBIC = {"permutation": 0}, {"training": {"schedule": "polynomial", "exponent": 3.0}}


@pytest.mark.parametrize(
    ("made", "part", "change", "said"),
    [
        (COAR, "l1", PERMUTED, "model.denoiser: is l1 with permutation 0; should be with null"),
        (COAR, "arm", PERMUTED, "model.autoregressive: is arm with permutation 0; should be with null"),
        (COAR, "l1", CUBIC, "model.denoiser: is l1 with schedule polynomial 3; should be with that of made, linear"),
        (NCE, "l1", PERMUTED, "model.denoiser: is l1 with permutation 0; should be with null"),
        (NCE | CUBIC, "l1", {"training": CUBIC["training"] | {"exponent": 2.0}},
         "model.denoiser: is l1 with schedule polynomial 2; should be with that of made, polynomial 3"),
    ],
)  # fmt: skip
def test_parts_read_the_same_tokens_at_the_same_times(
    tmp_path: Path, made: dict[str, Any], part: str, change: dict[str, Any], said: str
) -> None:
    task = "source" if made["model"]["kind"] == "energy" else "text"
    own = VALUES["tasks"][task].get("variants", {}).get(part, {})
    values = changed(f"tasks.{task}.variants.{part}", own | change, params(made, task))
    assert f"variants.made.{said}" in problem(write(tmp_path, values))


def test_a_part_may_have_the_schedule_of_what_is_made_of_it(tmp_path: Path) -> None:
    values = changed("tasks.text.variants.l1", CUBIC, params(COAR | CUBIC))
    assert config.load(write(tmp_path, values)).run("text/made/seed1").training.exponent == 3.0


def test_a_window_rises(tmp_path: Path) -> None:
    backwards = NCE | {"samplers": [ENERGY[0] | {"window": [0.6, 0.4]}]}
    assert "window: is [0.6, 0.4]; should be [lowest, highest]" in problem(write(tmp_path, params(backwards, "source")))
