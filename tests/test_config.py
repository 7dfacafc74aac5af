"""A params file is right, or one line says what is wrong with it."""

from __future__ import annotations

import copy
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from mdm_prime.errors import UserError
from mdm_prime.experiment import config

PARAMS = Path(__file__).parents[1] / "params"
MINE = """\
compute: {device: auto, threads: 1}
known_entropy:
  data:
    kind: known_entropy
    vocab_size: 8
    length: 4
    concentration: 0.3
    train_sequences: 100
    validation_sequences: 10
    seed: 0
  network: &dit
    {kind: dit, width: 24, blocks: 2, heads: 2, conditioning_width: 16, dropout: 0.0, time_conditioning: false}
  training: &training
    objective: joint_loss
    schedule: linear
    t_min: 0.001
    steps: 3000
    batch_size: 32
    learning_rate: 0.002
    warmup_steps: 100
    decay: linear
    weight_decay: 0.01
    betas: [0.9, 0.99]
    gradient_clip: 1.0
    ema_decay: 0.99
    precision: auto
    compile: false
    log_every: 50
    checkpoint_every: 500
  models: [l1, l2, l3]
  seeds: [0, 1]
  variants:
    l1: {num_subtokens: 1}
    l2: {num_subtokens: 2}
    l3: {num_subtokens: 3}
  evaluation: &evaluation {num_samples: 100, batch_size: 10, seed: 0}
  sampling: &sampling
    {num_samples: 10, batch_size: 5, seed: 0}
  samplers: &samplers [{kind: ancestral, num_steps: 64}]
text:
  data: {kind: text, vocab_size: 1000, length: 64, validation_fraction: 0.1, seed: 0}
  network: {<<: *dit, blocks: 4}
  training:
    <<: *training
    steps: 1000
  models: [l1, l2, l4, arm, l4-plain]
  variants:
    l1: {num_subtokens: 1}
    l2: {num_subtokens: 2}
    l4: {num_subtokens: 4}
    arm: {model: autoregressive}
    l4-plain: {num_subtokens: 4, carry_over: false}
  seeds: [0, 1]
  evaluation: *evaluation
  sampling: *sampling
  samplers: *samplers
toy:
  data:
    kind: toy
    image: china.jpg
    vocab_size: 128
    contrast: 2.0
    train_sequences: 100
    validation_sequences: 10
    seed: 0
  network: {kind: mlp, width: 25, blocks: 3, time_conditioning: false}
  training: *training
  models: [l1, l7]
  variants:
    l1: {num_subtokens: 1}
    l7: {num_subtokens: 7}
  seeds: [0]
  evaluation: *evaluation
  sampling: *sampling
  samplers: *samplers
oracle: {num_subtokens: [1, 2], copies_of_one_bit: [1, 2], max_states: 1000, num_samples: 20, seed: 0}
idle_steps: {length: 16, num_subtokens: [1, 2], num_steps: [8, 16], num_sequences: 10, seed: 0}
"""
VALUES: dict[str, Any] = json.loads(json.dumps(yaml.safe_load(MINE)))  # no section is shared
REMOVED = object()


def changed(key: str, value: Any) -> dict[str, Any]:
    """The params above with one value changed; a variant that is not there is made."""
    values = copy.deepcopy(VALUES)
    *parents, last = key.split(".")
    section = values
    for parent in parents:
        section = section.setdefault(parent, {})
    if value is REMOVED:
        del section[last]
    else:
        section[last] = value
    return values


def write(folder: Path, content: dict[str, Any] | str | bytes, name: str = "mine.yaml") -> Path:
    path = folder / name
    if isinstance(content, dict):
        content = yaml.safe_dump(content, sort_keys=False)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def problem(path: Path) -> str:
    """The error message after the file's name; it must be one line that begins with it."""
    with pytest.raises(UserError) as caught:
        config.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("path", sorted(PARAMS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_params_file_of_the_project_loads(path: Path) -> None:
    loaded = config.load_any(path)
    assert loaded.scale == path.stem
    if isinstance(loaded, config.Official):
        return
    for task in loaded.tasks:
        assert len(list(loaded.runs(task))) == len(loaded.task(task).models) * len(loaded.task(task).seeds)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        # unknown keys, at every depth
        ("txet", 1, "txet: unknown key"),
        ("text.lr", 1, "text.lr: unknown key"),
        ("text.training.lr", 1, "text.training.lr: unknown key"),
        ("text.network.widht", 1, "text.network.widht: unknown key"),
        ("text.data.lenght", 1, "text.data.lenght: unknown key"),
        ("text.variants.l4", {"ell": 4}, "text.variants.l4.ell: unknown key"),
        ("text.variants.l4", {"num_subtokens": 4, "training": {"lr": 1}}, "text.variants.l4.training.lr: unknown key"),
        (
            "text.variants.l4",
            {"num_subtokens": 4, "network": {"size": 1}},
            "text.variants.l4.network.size: unknown key",
        ),
        ("scale", "other", "scale: unknown key; the scale is the name of the file"),
        # missing keys
        ("oracle", REMOVED, "oracle: missing"),
        ("text.training.steps", REMOVED, "text.training.steps: missing"),
        ("text.data.kind", REMOVED, "text.data: Unable to extract tag using discriminator 'kind'"),
        # wrong types
        ("text", None, "text: is null; should be a mapping"),
        ("text.training", [1], "text.training: is [1]; should be a mapping"),
        ("text.training.learning_rate", "0.1", 'text.training.learning_rate: is "0.1"; should be a valid number'),
        ("text.training.steps", True, "text.training.steps: is true; should be a valid integer"),
        ("text.training.steps", 1.5, "text.training.steps: is 1.5; should be a valid integer"),
        ("text.training.compile", "yes", 'text.training.compile: is "yes"; should be a valid boolean'),
        ("text.models", "l1", 'text.models: is "l1"; should be a valid list'),
        ("text.models", [1], "text.models.0: is 1; should be a valid string"),
        ("oracle.num_subtokens", [[1]], "oracle.num_subtokens.0: is [1]; should be a valid integer"),
        ("text.variants", [1], "text.variants: is [1]; should be a mapping"),
        ("text.variants.x", None, "text.variants.x: is null; should be a mapping"),
        ("text.variants.x", {"training": 5}, "text.variants.x.training: is 5; should be a mapping"),
        ("toy.data.image", datetime.date(2020, 1, 1), "a value is neither number, text"),
        ("text.seeds", {1, 2}, "a value is neither number, text"),
        # impossible values
        ("text.training.steps", -1, "text.training.steps: is -1; should be greater than 0"),
        ("text.training.learning_rate", float("nan"), "text.training.learning_rate: is NaN; should be a finite number"),
        ("text.training.betas", [0.9, 1.0], "text.training.betas.1: is 1.0; should be less than 1"),
        ("text.training.t_min", 1.0, "text.training.t_min: is 1.0; should be less than 1"),
        ("text.training.warmup_steps", 2000, "text.training.warmup_steps: is 2000; should be at most steps 1000"),
        ("text.training.micro_batch_size", 5, "text.training.micro_batch_size: is 5; should divide batch_size 32"),
        ("text.training.exponent", 2.0, "text.training.exponent: belongs to the polynomial schedule"),
        (
            "text.samplers",
            [{"kind": "ancestral", "num_steps": 8, "top_p": 0.0}],
            "text.samplers.0.top_p: is 0.0; should be greater than 0",
        ),
        ("text.samplers", [{"kind": "euler", "num_steps": 0}], "text.samplers.0.num_steps: is 0; should be greater"),
        ("text.samplers", [{"kind": "first_hitting"}] * 2, "text.samplers: is [{"),
        (
            "text.samplers",
            [{"kind": "best"}],
            "text.samplers.0: Input tag 'best' found using 'kind' does not match any of the expected tags: ",
        ),
        ("toy.sampling.prefix", "The", "toy.sampling.prefix: is for text only"),
        ("text.evaluation.num_samples", 1, "text.evaluation.num_samples: is 1; should be greater than or equal to 2"),
        ("compute.device", "tpu", "compute.device: is \"tpu\"; should be 'auto', 'cpu' or 'cuda'"),
        ("compute.threads", 0, "compute.threads: is 0; should be greater than 0"),
        ("text.seeds", [], "text.seeds: is []; list should have at least 1 item"),
        ("text.seeds", [0, 0], "text.seeds: is [0, 0]; a value stands twice"),
        ("text.seeds", [2**63], "text.seeds.0: is 9223372036854775808; should be less than 9223372036854775808"),
        ("idle_steps.num_steps", [8, 8], "idle_steps.num_steps: is [8, 8]; a value stands twice"),
        ("oracle.num_subtokens", [0], "oracle.num_subtokens.0: is 0; should be greater than 0"),
        ("oracle.num_subtokens", [1, 4], "oracle.num_subtokens: is 4; at most 3"),
        ("text.models", [], "text.models: is []; list should have at least 1 item"),
        ("text.models", ["l1", "l1"], 'text.models: is ["l1", "l1"]; a value stands twice'),
        ("text.models", ["l1", "l8"], "text.models: l8 is no variant; allowed: l1, l2, l4, arm, l4-plain"),
        ("text.variants.x", {"num_subtokens": 11}, "text.variants.x.num_subtokens: is 11; should be at most 10"),
        (
            "text.variants.x",
            {"num_subtokens": 5},
            "text.network.width: is 24; should be divisible by num_subtokens 5 of variant x",
        ),
        ("text.network.heads", 5, "text.network.width: is 24; should be divisible by 2 x heads = 10 of variant l1"),
        ("text.variants.l4", {"num_subtokens": 2}, "text.variants.l4.num_subtokens: is 2; should be 4"),
        ("text.variants.a/b", {}, 'text.variants.a/b: is "a/b"; String should match pattern'),
        (
            "text.variants.x",
            {"model": "autoregressive", "num_subtokens": 2},
            "text.variants.x.num_subtokens: is 2; should be 1 for an autoregressive model",
        ),
        (
            "toy.variants.x",
            {"model": "autoregressive"},
            "toy.network.kind: is mlp; should be dit for an autoregressive model",
        ),
        # overrides are checked as if they stood in the task
        (
            "text.variants.l4",
            {"num_subtokens": 4, "training": {"learning_rate": -1.0}},
            "text.variants.l4.training.learning_rate: is -1.0; should be greater than 0",
        ),
        (
            "text.variants.l4",
            {"num_subtokens": 4, "training": {"warmup_steps": 2000}},
            "text.variants.l4.training.warmup_steps: is 2000; should be at most steps 1000",
        ),
        (
            "text.variants.l4",
            {"num_subtokens": 4, "network": {"width": 30}},
            "text.variants.l4.network.width: is 30; should be divisible by num_subtokens 4 of variant l4",
        ),
        (
            "text.variants.l4",
            {"num_subtokens": 4, "network": {"heads": 0}},
            "text.variants.l4.network.heads: is 0; should be greater than 0",
        ),
        ("text.variants.l4", {"num_subtokens": 4, "network": {"width": "a"}}, 'text.variants.l4.network.width: is "a"'),
        (
            "text.variants.l4",
            {"num_subtokens": 4, "network": {"kind": "mlp"}},
            "text.variants.l4.network.kind: is \"mlp\"; should be 'dit'",
        ),
        # a task's own kind of data and network
        ("text.data.kind", "images", "text.data: Input tag 'images' found using 'kind' does not match any"),
        ("text", VALUES["toy"], "text.data.kind: is toy; should be text"),
        (
            "toy.network",
            VALUES["text"]["network"],
            "toy.network.width: is 24; should be divisible by num_subtokens 7 of variant l7",
        ),
        # files that are not there
        ("text.data.files", ["none.txt"], "text.data.files: no such file: none.txt"),
        ("text.data.tokenizer", "none.json", "text.data.tokenizer: no such file: none.json"),
        ("toy.data.image", "cat.png", "toy.data.image: no such file: cat.png; allowed: china.jpg, flower.jpg"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(key: str, value: Any, expected: str, tmp_path: Path) -> None:
    assert problem(write(tmp_path, changed(key, value))).startswith(expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "holds no section"),
        ("- 1", "holds no section"),
        (MINE + "\noracle: {}\n", "not YAML: key 'oracle' stands twice at line "),
        ("text: {seeds: [0], seeds: [1]}", "not YAML: key 'seeds' stands twice"),
        ("a:\n\tb: 1", "not YAML: "),
        (b"\xff\xfe\x00", "not YAML: "),
        ("a: 1\n---\nb: 2\n", "not YAML: expected a single document"),
        ("a: *b", "not YAML: found undefined alias"),
        ("? [1]\n: 2", "not YAML: "),
        ("a: !!python/object/apply:os.getcwd []", "not YAML: could not determine a constructor"),
        ("a: &a [*a]", "a value is neither number, text"),
        ("a: " + "[" * 5000 + "]" * 5000, "not YAML: maximum recursion"),
        (MINE.replace("steps: 3000", "steps: 1" + "0" * 5000), "not YAML: Exceeds the limit"),
    ],
    ids=range(13),
)
def test_a_file_that_is_not_params(content: str | bytes, expected: str, tmp_path: Path) -> None:
    assert problem(write(tmp_path, content)).startswith(expected)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert problem(tmp_path / "none.yaml") == "cannot be read (No such file or directory); give one of params/*.yaml"
    assert problem(tmp_path) == "cannot be read (Is a directory); give one of params/*.yaml"


@pytest.mark.parametrize("name", ["tables.yaml", "reference.yaml", "a b.yaml"])
def test_a_scale_must_not_be_the_name_of_another_folder_of_results(name: str, tmp_path: Path) -> None:
    assert problem(write(tmp_path, MINE, name)).startswith("scale: is ")


def test_several_problems_are_counted(tmp_path: Path) -> None:
    values = changed("text.training.steps", -1)
    values["toy"]["training"]["batch_size"] = 0
    assert problem(write(tmp_path, values)).endswith("(1 more)")


@pytest.mark.parametrize("written", ["2e-3", "0.002", "2.E-3", "+2e-03"])
def test_numbers_may_be_written_with_an_exponent(written: str, tmp_path: Path) -> None:
    text = MINE.replace("learning_rate: 0.002", f"learning_rate: {written}")
    assert config.load(write(tmp_path, text)).text.training.learning_rate == 0.002


def test_a_merged_section_may_be_overridden(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, MINE))
    assert (loaded.text.training.steps, loaded.known_entropy.training.steps) == (1000, 3000)
    assert loaded.text.training.betas == loaded.known_entropy.training.betas == (0.9, 0.99)


def test_own_files_are_taken(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    loaded = config.load(write(tmp_path, changed("text.data.files", [str(tmp_path / "a.txt")])))
    assert loaded.text.data.kind == "text"
    assert loaded.text.data.files == (str(tmp_path / "a.txt"),)
    both = changed("text.data.files", [str(tmp_path / "a.txt")])
    both["text"]["data"]["hub"] = {"path": "somewhere"}
    assert problem(write(tmp_path, both)) == "text.data: give either files or hub, not both"


def test_the_models_are_trained_in_their_order_and_the_other_variants_are_not(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, changed("text.models", ["arm", "l4-plain", "l1"])))
    runs = [(run.variant, run.model, run.num_subtokens, run.carry_over) for run in loaded.runs("text") if run.seed == 0]
    assert runs == [("arm", "autoregressive", 1, True), ("l4-plain", "masked", 4, False), ("l1", "masked", 1, True)]


def test_runs_hold_their_overrides(tmp_path: Path) -> None:
    values = changed(
        "text.variants.l4", {"num_subtokens": 4, "training": {"learning_rate": 0.5}, "network": {"blocks": 7}}
    )
    loaded = config.load(write(tmp_path, values))
    run, other = loaded.run("text/l4/seed1"), loaded.run("text/l2/seed1")
    assert (run.training.learning_rate, run.network.blocks, run.seed, run.num_subtokens) == (0.5, 7, 1, 4)
    assert (other.training.learning_rate, other.network.blocks) == (0.002, 4)
    assert run.name == "text/l4/seed1"


def test_unknown_runs_and_tasks_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, MINE))
    with pytest.raises(UserError, match=r"run 'text/l5/seed0' is not in scale 'mine'; allowed: text/l1/seed0, "):
        loaded.run("text/l5/seed0")
    with pytest.raises(UserError, match="task 'txet' is unknown; allowed: known_entropy, text, toy"):
        loaded.run("txet/l1/seed0")


def test_the_configuration_cannot_be_changed(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, MINE))
    with pytest.raises(ValidationError, match="frozen"):
        loaded.text.training.steps = 1  # type: ignore[misc]


def digests(content: dict[str, Any] | str, folder: Path) -> dict[str, str]:
    loaded = config.load(write(folder, content))
    return {run.name: run.digest for task in loaded.tasks for run in loaded.runs(task)}


@pytest.mark.parametrize(
    ("key", "value", "depends"),
    [
        ("text.variants.l4.training", {"learning_rate": 0.5}, lambda name: name.startswith("text/l4/")),
        ("text.variants.l4-plain.network", {"dropout": 0.5}, lambda name: name.startswith("text/l4-plain/")),
        ("text.training.steps", 999, lambda name: name.startswith("text/")),
        ("text.data.length", 32, lambda name: name.startswith("text/")),
        ("toy.data.seed", 9, lambda name: name.startswith("toy/")),
        ("text.evaluation.seed", 9, lambda name: False),
        ("text.sampling.num_samples", 9, lambda name: False),
        ("compute.device", "cpu", lambda name: False),
        ("oracle.seed", 9, lambda name: False),
    ],
)
def test_a_digest_changes_with_what_the_run_depends_on(
    key: str, value: Any, depends: Callable[[str], bool], tmp_path: Path
) -> None:
    before, after = digests(MINE, tmp_path), digests(changed(key, value), tmp_path)
    assert set(before) == set(after)
    assert {name for name in before if before[name] != after[name]} == {name for name in before if depends(name)}


def test_a_comment_an_added_variant_and_a_new_seed_change_no_digest(tmp_path: Path) -> None:
    before = digests(MINE, tmp_path)
    assert digests("# a comment\n" + MINE.replace("steps: 3000", "steps:  3_000  # as ever"), tmp_path) == before
    more = changed("text.models", ["l1", "l2", "l4", "arm", "l4-plain", "l8"])
    more["text"]["variants"]["l8"] = {"num_subtokens": 8}
    more["text"]["seeds"] = [0, 1, 2]
    assert before.items() < digests(more, tmp_path).items()


def test_every_run_has_a_digest_of_its_own(tmp_path: Path) -> None:
    found = digests(MINE, tmp_path)
    assert len(set(found.values())) == len(found)


def test_the_scale_may_be_named_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(config.ENVIRONMENT_SCALE, raising=False)
    assert config.default_params() == "params/default.yaml"
    monkeypatch.setenv(config.ENVIRONMENT_SCALE, "")
    assert config.default_params() == "params/default.yaml"
    monkeypatch.setenv(config.ENVIRONMENT_SCALE, "smoke")
    assert config.default_params() == "params/smoke.yaml"
