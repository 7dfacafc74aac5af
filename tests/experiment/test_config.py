"""A params file is right, or one line says what is wrong with it."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from own_params import MINE, PARAMS, PROJECT, REMOVED, VALUES, changed, problem, write
from pydantic import ValidationError

from mdm_prime.errors import UserError
from mdm_prime.experiment import config

TOY, TEXT, SOURCE = (VALUES["tasks"][name] for name in ("toy", "text", "source"))
PARTITION = {
    "kind": "partition",
    "width": 24,
    "encoder_blocks": 1,
    "decoder_blocks": 1,
    "heads": 2,
    "conditioning_width": 8,
    "dropout": 0.0,
}
CHECKPOINT = {"format": "official-text", "address": "a.ckpt"}


@pytest.mark.parametrize(
    "path", [path for path in sorted(PARAMS.glob("*.yaml")) if path.stem != "base"], ids=lambda path: path.stem
)
def test_every_scale_of_the_project_loads(path: Path) -> None:
    loaded = config.load(path)
    assert loaded.scale == path.stem
    for name, task in loaded.tasks.items():
        own = [task.variant(model) for model in task.models]
        seeds = [1 if variant.checkpoint else len(variant.seeds or task.seeds) for variant in own]
        assert len(list(loaded.runs(name))) == sum(seeds)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        # unknown keys, at every depth
        ("txet", 1, "txet: unknown key"),
        ("tasks.text.lr", 1, "tasks.text.lr: unknown key"),
        ("tasks.text.training.lr", 1, "tasks.text.training.lr: unknown key"),
        ("tasks.text.network.widht", 1, "tasks.text.network.widht: unknown key"),
        ("tasks.text.data.lenght", 1, "tasks.text.data.lenght: unknown key"),
        ("tasks.text.variants.l4", {"ell": 4}, "tasks.text.variants.l4.ell: unknown key"),
        (
            "tasks.text.variants.l4",
            {"training": {"lr": 1}},
            "tasks.text.variants.l4.training.lr: unknown key",
        ),
        (
            "tasks.text.variants.l4",
            {"network": {"size": 1}},
            "tasks.text.variants.l4.network.size: unknown key",
        ),
        ("text", {}, "text: unknown key; compare with params/default.yaml and params/base.yaml"),
        ("scale", "other", "scale: unknown key; the scale is the name of the file"),
        # missing keys
        ("tasks", REMOVED, "tasks: missing; params/default.yaml is an example, and `base: base.yaml` gives defaults"),
        ("tasks.text.training.steps", REMOVED, "tasks.text.training.steps: missing"),
        ("tasks.text.data.hub", {}, "tasks.text.data.hub.path: missing"),
        ("tasks.text.data.kind", REMOVED, "tasks.text.data.kind: missing; allowed: known_entropy, text, toy, "),
        (
            "tasks.text.samplers",
            [{}],
            "tasks.text.samplers.0.kind: missing; allowed: ancestral, ",
        ),
        # wrong types
        ("tasks", None, "tasks: is null; should be a mapping"),
        ("tasks", [1], "tasks: is [1]; should be a mapping"),
        ("tasks.text", None, "tasks.text: is null; should be a mapping"),
        ("tasks.text.data", 3, "tasks.text.data: is 3; should be a mapping"),
        ("tasks.text.training", [1], "tasks.text.training: is [1]; should be a mapping"),
        ("tasks.text.training.learning_rate", "0.1", 'tasks.text.training.learning_rate: is "0.1"; should be a valid'),
        ("tasks.text.training.steps", True, "tasks.text.training.steps: is true; should be a valid integer"),
        ("tasks.text.training.steps", 1.5, "tasks.text.training.steps: is 1.5; should be a valid integer"),
        (
            "tasks.text.training.compile",
            "yes",
            "tasks.text.training.compile: is \"yes\"; should be 'auto', True or False",
        ),
        ("tasks.text.models", "l1", 'tasks.text.models: is "l1"; should be a valid list'),
        ("tasks.text.models", [1], "tasks.text.models.0: is 1; should be a valid string"),
        ("tasks.source.oracle.num_subtokens", [[1]], "tasks.source.oracle.num_subtokens.0: is [1]; should be a valid"),
        ("tasks.text.variants", [1], "tasks.text.variants: is [1]; should be a mapping"),
        ("tasks.text.variants.x", None, "tasks.text.variants.x: is null; should be a mapping"),
        ("tasks.text.variants.x", {"training": 5}, "tasks.text.variants.x.training: is 5; should be a mapping"),
        ("tasks.text.data.kind", ["text"], 'tasks.text.data.kind: is ["text"]; allowed: '),
        ("tasks.toy.data.image", datetime.date(2020, 1, 1), "a value is neither number, text"),
        ("tasks.text.seeds", {1, 2}, "a value is neither number, text"),
        ("base", datetime.date(2020, 1, 1), "base: is datetime.date(2020, 1, 1); should be the name of a params file"),
        ("repository", 3, "repository: is 3; should be a valid string"),
        # impossible values
        ("tasks", {}, "tasks: mapping should have at least 1 item"),
        ("tasks.text.training.steps", -1, "tasks.text.training.steps: is -1; should be greater than 0"),
        (
            "tasks.text.training.learning_rate",
            float("nan"),
            "tasks.text.training.learning_rate: is NaN; should be a finite number",
        ),
        ("tasks.text.training.betas", [0.9, 1.0], "tasks.text.training.betas.1: is 1.0; should be less than 1"),
        ("tasks.text.training.t_min", 1.0, "tasks.text.training.t_min: is 1.0; should be less than 1"),
        (
            "tasks.text.training.warmup_steps",
            2000,
            "tasks.text.training.warmup_steps: is 2000; should be at most steps 1000",
        ),
        (
            "tasks.text.training.micro_batch_size",
            5,
            "tasks.text.training.micro_batch_size: is 5; should divide batch_size 32",
        ),
        (
            "tasks.text.training.optimizer",
            "muon",
            "tasks.text.training.matrix_learning_rate: missing; needed by the optimizer muon",
        ),
        (
            "tasks.text.training.matrix_learning_rate",
            0.01,
            "tasks.text.training.matrix_learning_rate: belongs to the optimizer muon",
        ),
        ("tasks.text.training.exponent", 2.0, "tasks.text.training.exponent: belongs to the polynomial schedule"),
        (
            "tasks.text.training.objective",
            "best",
            'tasks.text.training.objective: is "best"; should be one of complement, complement_nelbo, cross_entropy, '
            "joint_loss, nelbo",
        ),
        (
            "tasks.text.training.objective",
            "cross_entropy",
            "tasks.text.training.objective: cross_entropy is for images",
        ),
        (
            "tasks.text.variants.l4",
            {"training": {"objective": "cross_entropy"}},
            "tasks.text.variants.l4.training.objective: cross_entropy is for images",
        ),
        (
            "tasks.text.samplers",
            [{"kind": "ancestral", "num_steps": 8, "top_p": 0.0}],
            "tasks.text.samplers.0.top_p: is 0.0; should be greater than 0",
        ),
        (
            "tasks.text.samplers",
            [{"kind": "euler", "num_steps": 0}],
            "tasks.text.samplers.0.num_steps: is 0; should be",
        ),
        ("tasks.text.samplers", [{"kind": "first_hitting"}] * 2, "tasks.text.samplers: is [{"),
        ("tasks.text.samplers", [], "tasks.text.samplers: is []; list should have at least 1 item"),
        (
            "tasks.text.samplers",
            [{"kind": "best"}],
            'tasks.text.samplers.0.kind: is "best"; allowed: ancestral, ',
        ),
        ("tasks.toy.sampling.prefix", "The", "tasks.toy.sampling.prefix: is for text only"),
        ("tasks.text.sampling.seed", 256, "tasks.text.sampling.seed: is 256; should be less than 256"),
        (
            "tasks.text.sampling.shard_size",
            7,
            "tasks.text.sampling.shard_size: is 7; should be a multiple of batch_size 5",
        ),
        (
            "tasks.text.evaluation.shard_size",
            15,
            "tasks.text.evaluation.shard_size: is 15; should be a multiple of batch_size 10",
        ),
        (
            "tasks.text.evaluation.num_samples",
            1,
            "tasks.text.evaluation.num_samples: is 1; should be greater than or equal to 2",
        ),
        (
            "tasks.text.evaluation.exact",
            {"orders": ["left_to_right", "by_heart"], "num_sequences": 8, "batch_size": 8},
            'tasks.text.evaluation.exact.orders.1: is "by_heart"; should be one of left_to_right, lowest_entropy,',
        ),
        (
            "tasks.text.evaluation.exact",
            {"orders": ["random", "random"], "num_sequences": 8, "batch_size": 8},
            'tasks.text.evaluation.exact.orders: is ["random", "random"]; a value stands twice',
        ),
        ("compute.device", "tpu", "compute.device: is \"tpu\"; should be 'auto', 'cpu' or 'cuda'"),
        ("compute.threads", 0, "compute.threads: is 0; should be greater than 0"),
        ("tasks.text.seeds", [], "tasks.text.seeds: is []; list should have at least 1 item"),
        ("tasks.text.seeds", [0, 0], "tasks.text.seeds: is [0, 0]; a value stands twice"),
        ("tasks.text.seeds", [2**63], "tasks.text.seeds.0: is 9223372036854775808; should be less than"),
        ("idle_steps.num_steps", [8, 8], "idle_steps.num_steps: is [8, 8]; a value stands twice"),
        ("tasks.source.oracle.num_subtokens", [0], "tasks.source.oracle.num_subtokens.0: is 0; should be greater"),
        ("tasks.source.oracle.num_subtokens", [1, 4], "tasks.source.oracle.num_subtokens: is 4; at most 3"),
        ("tasks.text.oracle", SOURCE["oracle"], "tasks.text.oracle: is for data of kind known_entropy"),
        # names
        ("tasks.text.models", [], "tasks.text.models: is []; list should have at least 1 item"),
        ("tasks.text.models", ["l1", "l1"], 'tasks.text.models: is ["l1", "l1"]; a value stands twice'),
        (
            "tasks.text.models",
            ["l1", "plain"],
            "tasks.text.models: plain is no variant; allowed: l1, l2, ..., arm, l4-plain; another name needs an entry",
        ),
        ("tasks.text.models", ["l0"], "tasks.text.models: l0 is no variant"),
        ("tasks.text.models", ["l4x"], "tasks.text.models: l4x is no variant"),
        ("tasks.text.models", ["a/b"], 'tasks.text.models.0: is "a/b"; should be letters, digits, - and _'),
        ("tasks.text.variants.a/b", {}, 'tasks.text.variants.a/b: is "a/b"; should be letters, digits, - and _'),
        ("tasks.a b", TEXT, 'tasks.a b: is "a b"; should be letters, digits, - and _, the first a letter or digit'),
        ("tasks.tables", TEXT, "tasks.tables: the name is taken; allowed: none of tables, figures, metrics"),
        # how many sub-tokens
        (
            "tasks.text.variants.l4",
            {"num_subtokens": 4},
            "tasks.text.variants.l4.num_subtokens: stands in the name already; leave it out or choose another name",
        ),
        (
            "tasks.text.variants.l4-plain",
            {"num_subtokens": 4},
            "tasks.text.variants.l4-plain.num_subtokens: stands in the name already",
        ),
        (
            "tasks.text.models",
            ["l11"],
            "tasks.text.models: l11 has 11 sub-tokens; should be at most 10, the binary digits of vocab_size 1000",
        ),
        (
            "tasks.text.variants.arm",
            {"num_subtokens": 11},
            "tasks.text.variants.arm.num_subtokens: is 11; should be at most 10",
        ),
        (
            "tasks.text.models",
            ["l5"],
            "tasks.text.network.width: is 24; should be divisible by num_subtokens 5 of variant l5",
        ),
        (
            "tasks.text.variants.arm",
            {"model": "autoregressive", "num_subtokens": 2},
            "tasks.text.variants.arm.model: is autoregressive; should be masked for 2 sub-tokens",
        ),
        (
            "tasks.text.variants.l4",
            {"model": "autoregressive"},
            "tasks.text.variants.l4.model: is autoregressive; should be masked for 4 sub-tokens",
        ),
        (
            "tasks.text.variants.l4",
            {"model": "partition"},
            "tasks.text.variants.l4.network.kind: is dit; should be partition for the model partition",
        ),
        (
            "tasks.text.variants.l4",
            {"training": {"objective": "complement", "whole_tokens_above": 0.5}},
            "tasks.text.variants.l4.training.whole_tokens_above: is not for the objective complement; leave it out",
        ),
        (
            "tasks.text.variants.l4",
            {"model": {"kind": "block", "block_size": 4}, "training": {"objective": "complement_nelbo"}},
            "tasks.text.variants.l4.training.objective: is complement_nelbo; not for the model block",
        ),
        (
            "tasks.text.variants.l4",
            {"model": "partition", "network": {**PARTITION, "heads": 5}},
            "tasks.text.variants.l4.network.width: is 24; should be divisible by 2 x heads = 10 of variant l4",
        ),
        (
            "tasks.text.variants.arm",
            {"model": "autoregressive", "network": PARTITION},
            "tasks.text.variants.arm.network.kind: is partition; should be dit for an autoregressive model",
        ),
        # networks that do not fit
        (
            "tasks.text.network.heads",
            5,
            "tasks.text.network.width: is 24; should be divisible by 2 x heads = 10 of variant l1",
        ),
        (
            "tasks.text.network",
            TOY["network"],
            "tasks.text.network.kind: is mlp; should be dit for an autoregressive model of variant arm",
        ),
        (
            "tasks.toy.network",
            TEXT["network"],
            "tasks.toy.network.width: is 24; should be divisible by num_subtokens 7 of variant l7",
        ),
        ("tasks.toy.network.kind", "cnn", 'tasks.toy.network.kind: is "cnn"; allowed: dit, mlp, partition, unet'),
        # overrides are checked as if they stood in the task, in variants that no model needs as well
        (
            "tasks.text.variants.l4",
            {"training": {"learning_rate": -1.0}},
            "tasks.text.variants.l4.training.learning_rate: is -1.0; should be greater than 0",
        ),
        (
            "tasks.text.variants.x",
            {"training": {"warmup_steps": 2000}},
            "tasks.text.variants.x.training.warmup_steps: is 2000; should be at most steps 1000",
        ),
        (
            "tasks.text.variants.l4",
            {"network": {"width": 30}},
            "tasks.text.variants.l4.network.width: is 30; should be divisible by num_subtokens 4 of variant l4",
        ),
        (
            "tasks.text.variants.l4",
            {"network": {"heads": 0}},
            "tasks.text.variants.l4.network.heads: is 0; should be greater than 0",
        ),
        ("tasks.text.variants.l4", {"network": {"width": "a"}}, 'tasks.text.variants.l4.network.width: is "a"'),
        (
            "tasks.text.variants.l4",
            {"network": {"kind": "mlp"}},
            "tasks.text.variants.l4.network.width, tasks.text.variants.l4.network.blocks, ",
        ),
        # samplers of a variant
        ("tasks.text.variants.l4", {"samplers": []}, "tasks.text.variants.l4.samplers: is []; list should have at"),
        (
            "tasks.text.variants.l4",
            {"samplers": [{"kind": "ancestral"}]},
            "tasks.text.variants.l4.samplers.0.num_steps: missing",
        ),
        # checkpoints
        (
            "tasks.text.variants.l4",
            {"checkpoint": {"address": "a"}},
            "tasks.text.variants.l4.checkpoint.format: missing",
        ),
        (
            "tasks.text.variants.l4",
            {"checkpoint": {"format": "official-image", "address": "a"}},
            "tasks.text.variants.l4.checkpoint.format: is official-image; does not fit the data",
        ),
        (
            "tasks.text.variants.l4",
            {"checkpoint": {"format": "official", "address": "a"}},
            "tasks.text.variants.l4.checkpoint.format: is \"official\"; should be 'official-text' or 'official-image'",
        ),
        (
            "tasks.text.variants.l4",
            {"checkpoint": {"format": "official-text", "address": ""}},
            'tasks.text.variants.l4.checkpoint.address: is ""; should have at least 1 character',
        ),
        (
            "tasks.text.variants.l4",
            {"checkpoint": CHECKPOINT, "training": {"steps": 1}},
            "tasks.text.variants.l4.training: is not for a checkpoint, which is not trained here",
        ),
        (
            "tasks.text.variants.l4",
            {"checkpoint": CHECKPOINT, "network": {"width": 48}},
            "tasks.text.variants.l4.network: is not for a checkpoint",
        ),
        # data
        ("tasks.text.data.kind", "txet", 'tasks.text.data.kind: is "txet"; allowed: known_entropy, text, toy, '),
        ("tasks.text.data.files", ["none.txt"], "tasks.text.data.files: no such file: none.txt"),
        ("tasks.text.data.tokenizer", "none.json", "tasks.text.data.tokenizer: no such file: none.json"),
        ("tasks.text.data.framed", 1, "tasks.text.data.framed: is 1; should be a valid boolean"),
        ("tasks.toy.data.image", "cat.png", "tasks.toy.data.image: no such file: cat.png; allowed: china.jpg, flower"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(key: str, value: Any, expected: str, tmp_path: Path) -> None:
    assert problem(write(tmp_path, changed(key, value))).startswith(expected)


def test_one_wrong_entry_of_a_list_is_one_problem(tmp_path: Path) -> None:
    assert problem(write(tmp_path, changed("tasks.text.seeds", ["a"]))) == (
        'tasks.text.seeds.0: is "a"; should be a valid integer'
    )


def test_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    values = changed("tasks.text.training.steps", REMOVED)
    del values["compute"], values["tasks"]["toy"]["models"]
    assert problem(write(tmp_path, values)) == (
        "compute, tasks.text.training.steps, tasks.toy.models: missing; "
        "params/default.yaml is an example, and `base: base.yaml` gives defaults"
    )


def test_several_problems_are_counted_and_a_typo_comes_first(tmp_path: Path) -> None:
    values = changed("tasks.text.training.steps", -1)
    values["tasks"]["toy"]["training"]["batch_size"] = 0
    assert problem(write(tmp_path, values)) == ("tasks.text.training.steps: is -1; should be greater than 0 (1 more)")
    values["tasks"]["toy"]["training"]["batchsize"] = 3
    del values["tasks"]["toy"]["models"]
    assert problem(write(tmp_path, values)).startswith("tasks.toy.training.batchsize: unknown key; compare with ")
    assert problem(write(tmp_path, values)).endswith(" (3 more)")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "holds no section; copy params/default.yaml and change it"),
        ("- 1", "holds no section"),
        (MINE + "\ncompute: {}\n", "not YAML: key 'compute' stands twice at line "),
        ("text: {seeds: [0], seeds: [1]}", "not YAML: key 'seeds' stands twice"),
        ("a:\n\tb: 1", "not YAML: "),
        (b"\xff\xfe\x00", "not YAML: "),
        ("a: 1\n---\nb: 2\n", "not YAML: expected a single document"),
        ("a: *b", "not YAML: found undefined alias"),
        ("? [1]\n: 2", "not YAML: "),
        ("a: !!python/object/apply:os.getcwd []", "not YAML: could not determine a constructor"),
        ("a: &a [*a]", "'a' contains itself"),
        ("a: &a {b: *a}", "'a' contains itself"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested more than 50 deep"),
        (MINE.replace("steps: 3000", "steps: 1" + "0" * 5000), "not YAML: Exceeds the limit"),
    ],
    ids=range(14),
)
def test_a_file_that_is_not_params(content: str | bytes, expected: str, tmp_path: Path) -> None:
    assert problem(write(tmp_path, content)).startswith(expected)


@pytest.mark.parametrize("name", ["tables.yaml", "reference.yaml", "a b.yaml"])
def test_a_scale_must_not_be_the_name_of_another_folder_of_results(name: str, tmp_path: Path) -> None:
    assert problem(write(tmp_path, MINE, name)).startswith("scale: is ")


@pytest.mark.parametrize("written", ["2e-3", "0.002", "2.E-3", "+2e-03"])
def test_numbers_may_be_written_with_an_exponent(written: str, tmp_path: Path) -> None:
    text = MINE.replace("learning_rate: 0.002", f"learning_rate: {written}")
    assert config.load(write(tmp_path, text)).task("text").training.learning_rate == 0.002


def test_a_merged_section_may_be_overridden(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, MINE))
    text, source = loaded.task("text").training, loaded.task("source").training
    assert (text.steps, source.steps) == (1000, 3000)
    assert text.betas == source.betas == (0.9, 0.99)


def test_text_has_one_source(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    own = changed("tasks.text.data.files", [str(tmp_path / "a.txt")])
    assert config.load(write(tmp_path, own)).task("text").data.model_dump()["files"] == (str(tmp_path / "a.txt"),)
    own["tasks"]["text"]["data"]["hub"] = {"path": "somewhere"}
    assert problem(write(tmp_path, own)) == "tasks.text.data: give either files or hub, not both"


def test_the_configuration_cannot_be_changed(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, MINE))
    with pytest.raises(ValidationError, match="frozen"):
        loaded.task("text").training.steps = 1  # type: ignore[misc]


# ---- which file: the scale ------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_answered_with_the_scales(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    monkeypatch.delenv(config.ENVIRONMENT_SCALE, raising=False)
    scales = "scales: default, gpu, gpu-embedded, official, paper, smoke, systems"
    assert problem(tmp_path / "none.yaml") == f"cannot be read (No such file or directory); {scales}"
    assert problem(tmp_path / "smok.yaml").endswith(f"{scales}; did you mean smoke?")
    assert problem(tmp_path) == f"cannot be read (Is a directory); {scales}"


def test_a_scale_of_the_environment_that_there_is_not_is_blamed_on_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(PROJECT)
    monkeypatch.setenv(config.ENVIRONMENT_SCALE, "nonsmoke")
    assert problem(config.params_file()) == (
        "cannot be read (No such file or directory); MDM_PRIME_SCALE is 'nonsmoke'; "
        "scales: default, gpu, gpu-embedded, official, paper, smoke, systems; did you mean smoke?"
    )
    monkeypatch.setenv(config.ENVIRONMENT_SCALE, "nonsense")
    assert "MDM_PRIME_SCALE is 'nonsense'; scales: " in problem(config.params_file())
    assert "MDM_PRIME_SCALE" not in problem(Path("params/nothing.yaml"))
    monkeypatch.setenv(config.ENVIRONMENT_SCALE, "smoke/a")
    assert "MDM_PRIME_SCALE is 'smoke/a'; scales: " in problem(config.params_file())


def test_outside_the_checkout_the_command_says_so(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != config.ENVIRONMENT_SCALE}
    done = subprocess.run(
        [sys.executable, "-c", "from mdm_prime.cli.main import main; raise SystemExit(main(['check-params']))"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "mdm-prime: params/default.yaml: cannot be read (No such file or directory); there is no folder params here: "
        "call this in the folder of the project, or give --params FILE\n"
    )


def test_the_scale_may_be_named_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(config.ENVIRONMENT_SCALE, raising=False)
    assert config.params_file() == Path("params/default.yaml")
    monkeypatch.setenv(config.ENVIRONMENT_SCALE, "")
    assert config.params_file() == Path("params/default.yaml")
    monkeypatch.setenv(config.ENVIRONMENT_SCALE, "smoke")
    assert config.params_file() == Path("params/smoke.yaml")
    assert config.params_file("paper") == Path("params/paper.yaml")


def test_a_scale_is_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    assert config.scale_name(None) is None
    assert config.scale_name("smoke") == "smoke"
    for wrong in ("../smoke", "", "a b"):
        with pytest.raises(
            UserError, match=r"^scale: is '.*'; allowed: default, gpu, .*, official, paper, smoke, systems$"
        ):
            config.scale_name(wrong)
