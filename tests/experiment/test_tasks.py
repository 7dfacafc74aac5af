"""Tasks and their runs: names, overrides, digests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from own_params import MINE, VALUES, changed, problem, write

from mdm_prime.errors import UserError
from mdm_prime.experiment import config, layout

CHECKPOINT = {"format": "official-text", "address": "a.ckpt"}


def load(folder: Path, content: dict[str, Any] | str = MINE) -> config.Config:
    return config.load(write(folder, content))


def test_there_may_be_any_tasks(tmp_path: Path) -> None:
    values = changed("tasks.other", VALUES["tasks"]["text"])
    del values["tasks"]["toy"], values["tasks"]["source"], values["idle_steps"]
    loaded = load(tmp_path, values)
    assert list(loaded.tasks) == ["text", "other"]
    assert loaded.idle_steps is None
    assert loaded.of_kind("text") == loaded.tasks
    assert loaded.of_kind("toy") == loaded.images == {}
    assert {run.name.split("/")[0] for name in loaded.tasks for run in loaded.runs(name)} == {"text", "other"}


def test_tasks_keep_their_order_and_are_found_by_their_kind(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert list(loaded.tasks) == ["source", "text", "toy"]
    assert list(loaded.of_kind("known_entropy")) == ["source"]
    assert loaded.task("source").oracle is not None
    assert loaded.task("text").oracle is None


def test_the_models_are_trained_in_their_order_and_the_other_variants_are_not(tmp_path: Path) -> None:
    loaded = load(tmp_path, changed("tasks.text.models", ["arm", "l4-plain", "l1"]))
    runs = [
        (run.variant, run.model.kind, run.num_subtokens, run.carry_over) for run in loaded.runs("text") if run.seed == 0
    ]
    assert runs == [("arm", "autoregressive", 1, True), ("l4-plain", "masked", 4, False), ("l1", "masked", 1, True)]


def test_a_name_says_the_number_of_subtokens_unless_it_is_another_name(tmp_path: Path) -> None:
    values = changed("tasks.text.models", ["l2", "l4-wide-2", "pair", "l03", "large", "l10"])
    values["tasks"]["text"]["variants"] = {"pair": {"num_subtokens": 2}, "l03": {}, "large": {"num_subtokens": 3}}
    values["tasks"]["text"]["network"] = {**values["tasks"]["text"]["network"], "width": 120}
    task = load(tmp_path, values).task("text")
    assert [task.num_subtokens(name) for name in task.models] == [2, 4, 2, 1, 3, 10]


def test_runs_hold_their_overrides(tmp_path: Path) -> None:
    values = changed("tasks.text.variants.l4", {"training": {"learning_rate": 0.5}, "network": {"blocks": 7}})
    loaded = load(tmp_path, values)
    run, other = loaded.run("text/l4/seed1"), loaded.run("text/l2/seed1")
    assert (run.training.learning_rate, run.network.model_dump()["blocks"], run.seed, run.num_subtokens) == (
        *(0.5, 7),
        *(1, 4),
    )
    assert (other.training.learning_rate, other.network.model_dump()["blocks"]) == (0.002, 4)
    assert run.name == "text/l4/seed1"


def test_a_variant_may_have_samplers_of_its_own(tmp_path: Path) -> None:
    own = [{"kind": "first_hitting"}, {"kind": "ancestral", "num_steps": 8}]
    task = load(tmp_path, changed("tasks.text.variants.l4", {"samplers": own})).task("text")
    assert [sampler.name for sampler in task.samplers_of("l4")] == ["first_hitting", "ancestral-8"]
    assert [sampler.name for sampler in task.samplers_of("l2")] == ["ancestral-64"]


def test_a_variant_may_have_seeds_of_its_own(tmp_path: Path) -> None:
    loaded = load(tmp_path, changed("tasks.text.variants.l4", {"seeds": [7, 9]}))
    names = [run.name for run in loaded.runs("text") if run.variant in ("l2", "l4")]
    assert names == ["text/l2/seed0", "text/l2/seed1", "text/l4/seed7", "text/l4/seed9"]
    sampled = [run.name for run in layout.sampled_runs(loaded, "text") if run.variant in ("l2", "l4")]
    assert sampled == ["text/l2/seed0", "text/l4/seed7"]


def test_unknown_runs_and_tasks_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    with pytest.raises(UserError, match=r"run 'text/l5/seed0' is not in scale 'mine'; allowed: text/l1/seed0, .*mean"):
        loaded.run("text/l5/seed0")
    with pytest.raises(UserError, match=r"task 'txet' is unknown; allowed: source, text, toy; did you mean text\?"):
        loaded.run("txet/l1/seed0")
    with pytest.raises(UserError, match="task 'text' has no images; allowed: none"):
        loaded.image_task("text")
    with pytest.raises(TypeError, match="text are no images"):
        _ = loaded.run("text/l1/seed0").image_data


# ---- several devices ------------------------------------------------------------------------------------------------


def on_devices(devices: int, batch_size: int, own: int | None = None, *, shard: bool = True) -> dict[str, Any]:
    """Params of a task on so many devices, of which a variant may have a batch size of its own."""
    values = changed("tasks.text.training.batch_size", batch_size)
    if own is not None:
        values = changed("tasks.text.variants.l4", {"training": {"batch_size": own}}, values)
    return changed("tasks.text.devices", devices, changed("tasks.text.shard_weights", shard, values))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            on_devices(2, 5),
            "training.batch_size: is 5; should be divisible by the number of devices, 2, where shard_weights is true",
        ),
        (
            on_devices(4, 8, 6),
            "variants.l4.training.batch_size: is 6; should be divisible by the number of devices, 4, where "
            "shard_weights is true",
        ),
        (on_devices(33, 32, shard=False), "devices: is 33; should be at most training.batch_size 32"),
        (on_devices(4, 8, 3, shard=False), "devices: is 4; should be at most variants.l4.training.batch_size 3"),
    ],
)
def test_a_batch_that_devices_cannot_share(tmp_path: Path, values: dict[str, Any], expected: str) -> None:
    assert problem(write(tmp_path, values)) == f"tasks.text.{expected}"


def test_batches_that_devices_can_share(tmp_path: Path) -> None:
    """Unequal parts too, where each device has all weights."""
    for values in (on_devices(2, 5, 3, shard=False), on_devices(2, 6, 8), on_devices(3, 3)):
        assert load(tmp_path, values).task("text").devices in (2, 3)


# ---- samples in blocks ----------------------------------------------------------------------------------------------


def in_blocks(num_samples: int, block_size: int) -> dict[str, Any]:
    """Params of a block model on sequences of 64 tokens."""
    values = changed("tasks.text.variants.l4", {"model": {"kind": "block", "block_size": block_size}})
    return changed("tasks.text.sampling.num_samples", num_samples, values)


def test_each_block_of_a_sample_needs_a_number_of_its_own(tmp_path: Path) -> None:
    assert problem(write(tmp_path, in_blocks(2**18 + 1, 1))) == (
        "tasks.text.sampling.num_samples: is 262145; should be at most 262144 for l4, whose samples have 64 "
        "blocks with random numbers of their own"
    )
    assert "is 8388609; should be at most 8388608 for l4" in problem(write(tmp_path, in_blocks(2**23 + 1, 32)))
    for num_samples, block_size in ((2**18, 1), (2**23, 32), (2**24, 64)):
        assert load(tmp_path, in_blocks(num_samples, block_size)).task("text").sampling.num_samples == num_samples


# ---- checkpoints ----------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_there_once_whatever_the_seeds(tmp_path: Path) -> None:
    values = changed("tasks.text.variants.l4", {"checkpoint": CHECKPOINT})
    runs = {run.name: run for run in load(tmp_path, values).runs("text")}
    assert "text/l2/seed1" in runs
    assert "text/l4/seed1" not in runs
    found = runs["text/l4/seed0"].checkpoint
    assert found is not None
    assert (found.address, found.weights, found.head_width) == ("a.ckpt", "ema", None)
    assert runs["text/l2/seed0"].checkpoint is None


@pytest.mark.parametrize(
    ("repository", "address", "expected"),
    [
        (None, "owt/a.ckpt", "owt/a.ckpt"),
        ("checkpoints", "owt/a.ckpt", "checkpoints/owt/a.ckpt"),
        ("checkpoints", "/data/a.ckpt", "/data/a.ckpt"),
        ("hf://owner/name@0123", "owt/a.ckpt", "hf://owner/name/owt/a.ckpt@0123"),
        ("hf://owner/name@0123", "hf://other/name/a.ckpt@45", "hf://other/name/a.ckpt@45"),
        ("checkpoints", "hf://other/name/a.ckpt@45", "hf://other/name/a.ckpt@45"),
    ],
)
def test_addresses_are_below_the_repository(
    repository: str | None, address: str, expected: str, tmp_path: Path
) -> None:
    values = changed("tasks.text.variants.l4", {"checkpoint": {**CHECKPOINT, "address": address}})
    checkpoint = load(tmp_path, {**values, "repository": repository}).run("text/l4/seed0").checkpoint
    assert checkpoint is not None
    assert checkpoint.address == expected


# ---- digests --------------------------------------------------------------------------------------------------------


def digests(content: dict[str, Any] | str, folder: Path) -> dict[str, str]:
    loaded = load(folder, content)
    return {run.name: run.digest for task in loaded.tasks for run in loaded.runs(task)}


@pytest.mark.parametrize(
    ("key", "value", "depends"),
    [
        ("tasks.text.variants.l4.training", {"learning_rate": 0.5}, lambda name: name.startswith("text/l4/")),
        ("tasks.text.variants.l4-plain.network", {"dropout": 0.5}, lambda name: name.startswith("text/l4-plain/")),
        ("tasks.text.training.steps", 999, lambda name: name.startswith("text/")),
        ("tasks.text.data.length", 32, lambda name: name.startswith("text/")),
        ("tasks.toy.data.seed", 9, lambda name: name.startswith("toy/")),
        ("tasks.text.evaluation.seed", 9, lambda name: False),
        ("tasks.text.sampling.num_samples", 9, lambda name: False),
        ("tasks.text.samplers", [{"kind": "first_hitting"}], lambda name: False),
        ("compute.device", "cpu", lambda name: False),
        ("tasks.source.oracle.seed", 9, lambda name: False),
    ],
)
def test_a_digest_changes_with_what_the_run_depends_on(
    key: str, value: Any, depends: Callable[[str], bool], tmp_path: Path
) -> None:
    before, after = digests(MINE, tmp_path), digests(changed(key, value), tmp_path)
    assert set(before) == set(after)
    assert {name for name in before if before[name] != after[name]} == {name for name in before if depends(name)}


def test_another_checkpoint_is_another_digest(tmp_path: Path) -> None:
    first = digests(changed("tasks.text.variants.l4", {"checkpoint": CHECKPOINT}), tmp_path)
    second = digests(changed("tasks.text.variants.l4", {"checkpoint": {**CHECKPOINT, "weights": "raw"}}), tmp_path)
    assert {name for name in first if first[name] != second[name]} == {"text/l4/seed0"}


def test_a_comment_an_added_variant_and_a_new_seed_change_no_digest(tmp_path: Path) -> None:
    before = digests(MINE, tmp_path)
    assert digests("# a comment\n" + MINE.replace("steps: 3000", "steps:  3_000  # as ever"), tmp_path) == before
    more = changed("tasks.text.models", ["l1", "l2", "l4", "arm", "l4-plain", "l8"])
    more["tasks"]["text"]["variants"]["l8"] = {"carry_over": False}
    more["tasks"]["text"]["seeds"] = [0, 1, 2]
    assert before.items() < digests(more, tmp_path).items()


def test_every_run_has_a_digest_of_its_own(tmp_path: Path) -> None:
    found = digests(MINE, tmp_path)
    assert len(set(found.values())) == len(found)
