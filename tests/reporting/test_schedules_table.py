"""The table of schedules and what the claims about them conclude from it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

import small_results
from mdm_prime.experiment import config, layout
from mdm_prime.files import write_json
from mdm_prime.reporting import declared
from mdm_prime.reporting.rules import bits, schedules
from mdm_prime.reporting.verdicts import NOT_TESTABLE, REFUTED, REPRODUCED
from project_copy import PROJECT

VARIANTS: dict[str, dict[str, Any]] = {
    "l1": {},
    "cosine": {"training": {"schedule": "cosine"}},
    "cubic": {"training": {"schedule": "polynomial", "exponent": 3.0}},
    "two": {"model": {"kind": "masked", "masks": 2}, "network": {"time_conditioning": True}},
    "timed": {"network": {"time_conditioning": True}},
    "learnt": {"model": "genmd4", "network": {"time_conditioning": True}},
    "arm": {"model": "autoregressive"},
}


@pytest.fixture
def scale(tmp_path: Path) -> config.Config:
    values = yaml.safe_load((PROJECT / "params/smoke.yaml").read_text())
    task = values["tasks"]["text"] | {"models": list(VARIANTS), "variants": VARIANTS, "seeds": [0, 1]}
    task["evaluation"] = {**task.get("evaluation", {}), "exact": None}
    task.pop("samplers", None)
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({"base": str(PROJECT / "params/base.yaml"), "tasks": {"text": task}}))
    return config.load(path)


def write(root: Path, scale: config.Config, bounds: dict[str, float]) -> None:
    """Likelihoods of all runs: bounds in nats, 0.01 apart between the seeds."""
    for run in scale.runs("text"):
        nelbo = bounds.get(run.variant, 3.0) + 0.01 * run.seed
        write_json(
            layout.likelihood_file(root, run.name),
            small_results.FACTS
            | {
                "task": "text",
                "variant": run.variant,
                "seed": run.seed,
                "model": run.model.kind,
                "num_subtokens": 1,
                "objective": run.model.minimised or "joint_loss",
                "base": run.shape.base,
                "parameters": 10,
                "train_tokens": 100,
                "num_samples": 50,
                "nelbo": nelbo,
                "nelbo_stderr": 0.004,
                "joint_loss": nelbo,
                "joint_loss_stderr": 0.004,
                "bound_tokens": None if run.model.causal else nelbo,
                "bound_tokens_stderr": None if run.model.causal else 0.004,
                "exact": {"left_to_right": {"nll": nelbo, "nll_stderr": 0.004, "num_sequences": 50}}
                if run.model.causal
                else {},
                "energy": None,
            },
        )


def tables(root: Path, scale: config.Config, unigram: float = 200.0) -> dict[str, list[dict[str, Any]]]:
    rows = declared.table("schedules").build(scale, root).rows
    return {"schedules": rows, "text_perplexity": [{"task": "text", "model": "unigram", "ppl_bound": unigram}]}


def test_a_row_says_what_a_variant_is_trained_with(tmp_path: Path, scale: config.Config) -> None:
    write(tmp_path, scale, {})
    rows = {row["variant"]: row for row in tables(tmp_path, scale)["schedules"]}
    said = {name: (row["model"], row["schedule"], row["masks"], row["time"]) for name, row in rows.items()}
    assert said == {
        "l1": ("MDM", "linear", 1, "no"),
        "cosine": ("MDM", "cosine", 1, "no"),
        "cubic": ("MDM", "polynomial 3", 1, "no"),
        "two": ("MDM", "linear", 2, "yes"),
        "timed": ("MDM", "linear", 1, "yes"),
        "learnt": ("GenMD4", "learnt", 2, "yes"),
    }
    assert rows["l1"]["nelbo"] == pytest.approx(3.005)
    assert rows["l1"]["ppl_bound"] == pytest.approx((math.exp(3) + math.exp(3.01)) / 2)
    assert rows["l1"]["ppl_bound_stderr"] == pytest.approx(0.004 * rows["l1"]["ppl_bound"])
    assert rows["l1"]["seeds"] == 2


def test_a_scale_without_a_learnt_schedule_has_no_such_table() -> None:
    assert not declared.table("schedules").applies(config.load(PROJECT / "params/smoke.yaml"))


@pytest.mark.parametrize(
    ("learnt", "masks", "verdict"),
    [(2.8, 1, REPRODUCED), (2.8, 2, REFUTED), (2.6, 2, REPRODUCED), (2.71, 2, NOT_TESTABLE), (3.2, 1, REFUTED)],
)
def test_a_learnt_schedule_is_judged_by_the_networks_with_as_many_masks(
    tmp_path: Path, scale: config.Config, learnt: float, masks: int, verdict: str
) -> None:
    write(tmp_path, scale, {"learnt": learnt, "two": 2.7})
    assert schedules.learnt_is_lower(masks)(tables(tmp_path, scale)).verdict == verdict


@pytest.mark.parametrize(
    ("cosine", "verdict"), [(3.005, REPRODUCED), (3.2, REFUTED), (2.8, REFUTED), (math.nan, NOT_TESTABLE)]
)
def test_schedules_that_are_chosen_agree_or_not(
    tmp_path: Path, scale: config.Config, cosine: float, verdict: str
) -> None:
    write(tmp_path, scale, {"cosine": 3.0 if math.isnan(cosine) else cosine})
    found = tables(tmp_path, scale)
    if math.isnan(cosine):
        found["schedules"] = [row for row in found["schedules"] if row["schedule"] == "linear"]
    assert schedules.same_for_every_schedule()(found).verdict == verdict


@pytest.mark.parametrize(
    ("tokens", "long", "verdict"),
    [(190, 2.6, REFUTED), (190, 3.0, REPRODUCED), (100, 3.0, NOT_TESTABLE), (201, 3.0, NOT_TESTABLE)],
)
@pytest.mark.parametrize("learnt", [False, True])
def test_two_masks_are_judged_by_as_many_passes_with_one(
    tmp_path: Path, scale: config.Config, tokens: int, long: float, verdict: str, learnt: bool
) -> None:
    """Others of one mask do not stand for the long one; the other schedule, with two masks, is on its other side."""
    judged, other = ("learnt", "two") if learnt else ("two", "learnt")
    write(tmp_path, scale, {judged: 2.8, other: 2 * long - 2.8, "l1": 2.8, "timed": long})
    found = tables(tmp_path, scale)
    (timed,) = (row for row in found["schedules"] if row["variant"] == "timed")
    timed["train_tokens"] = tokens
    assert schedules.lower_at_equal_passes(2, learnt)(found).verdict == verdict


@pytest.mark.parametrize(
    ("masks", "tokens", "verdict"), [(4, 390, REPRODUCED), (4, 401, NOT_TESTABLE), (2, 190, NOT_TESTABLE)]
)
def test_the_number_of_masks_says_how_many_passes_are_equal(
    tmp_path: Path, scale: config.Config, masks: int, tokens: int, verdict: str
) -> None:
    """Here a network has four masks, and no chosen schedule two."""
    write(tmp_path, scale, {"two": 2.8})
    found = tables(tmp_path, scale)
    rows = {row["variant"]: row for row in found["schedules"]}
    rows["two"]["masks"], rows["timed"]["train_tokens"] = 4, tokens
    assert schedules.lower_at_equal_passes(masks, learnt=False)(found).verdict == verdict


def test_a_network_that_was_trained_longer_is_not_compared_by_its_schedule(
    tmp_path: Path, scale: config.Config
) -> None:
    write(tmp_path, scale, {"cosine": 2.0})
    found = tables(tmp_path, scale)
    (cosine,) = (row for row in found["schedules"] if row["variant"] == "cosine")
    cosine["train_tokens"] = 190
    assert "cosine" not in schedules.same_for_every_schedule()(found).our_value


def test_networks_that_have_learnt_little_decide_nothing(tmp_path: Path, scale: config.Config) -> None:
    write(tmp_path, scale, {"learnt": 2.0})
    assert schedules.learnt_is_lower(1)(tables(tmp_path, scale, unigram=15.0)).verdict == NOT_TESTABLE
    assert schedules.learnt_is_lower(1)({}).verdict == NOT_TESTABLE


@pytest.mark.parametrize(("ours", "verdict"), [(2.76, REPRODUCED), (3.4, REFUTED), (None, NOT_TESTABLE)])
def test_published_bits_are_compared_on_the_same_images_only(ours: float | None, verdict: str) -> None:
    row = {"model": "MDM", "objective": "nelbo", "num_subtokens": 1, "bpd_bound_stderr": 0.01, "bpd_bound_spread": 0.02}
    images = [row | {"dataset": "digits", "bpd_bound": 2.75}]
    images += [] if ours is None else [row | {"dataset": "CIFAR-10", "bpd_bound": ours}]
    assert bits.BitsAgree("CIFAR-10", 2.75)({"image_likelihood": images}).verdict == verdict
