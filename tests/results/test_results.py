"""Every kind of result JSON: what is written is read again, and whatever else stands there is one line."""

from __future__ import annotations

import copy
import json
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import small_results
from mdm_prime import results
from mdm_prime.errors import UserError
from mdm_prime.results.base import Result
from mdm_prime.results.baselines import BaselinesFile
from mdm_prime.results.data_set import DataSet
from mdm_prime.results.features import FeaturesFile
from mdm_prime.results.hybrid import HybridFile
from mdm_prime.results.idle_steps import IdleStepsFile
from mdm_prime.results.likelihood import LikelihoodFile
from mdm_prime.results.made import Record
from mdm_prime.results.network import NetworkFile
from mdm_prime.results.oracle import OracleFile
from mdm_prime.results.quality import QualityFile
from mdm_prime.results.samples import SamplesFile
from mdm_prime.results.tables import TableFile

SCORES = dict.fromkeys(("distance", "inception_score", "inception_score_stderr", "kid", "kid_stderr"), 0.5)
SCORES |= dict.fromkeys(("precision", "recall", "memorised", "nearest"), 0.25) | {"num_samples": 20}
LOSSES = dict.fromkeys(("nelbo", "nelbo_stderr", "joint_loss", "joint_loss_stderr"), 0.5)
TOKENS = {"bound_tokens": 0.5, "bound_tokens_stderr": 0.1}
EXACT = {"nll": 0.5, "nll_stderr": 0.1}
ENERGY = {"num_samples": 9, "denoiser": {"nats": 0.5, "stderr": 0.1}, "autoregressive": None, "difference": None}
ORACLE = {"num_subtokens": 2, "base": 3, "vocab_size": 8, "length": 4, "entropy": 1.1, "states": 4**8} | LOSSES
STEPS = {"num_steps": 16, "num_subtokens": 1, "length": 8, "num_sequences": 4}
NAMES = {"dataset": "digits", "features": "digits classifier", "distance_name": "fd_digits"}
FILE = {"size": 3, "mtime_ns": 10**18, "sha256": "0"}
EULER = {"kind": "euler", "num_steps": 4, "distribution": "marginals", "temperature": {"a": 1.0, "n": 2.0, "b": 3.0}}
MLP = {"kind": "mlp", "width": 8, "blocks": 1}
EXAMPLES: dict[type[Result], dict[str, Any]] = {
    DataSet: small_results.data_set(entropy_per_token=1.5, heldout_bytes=7, corpus={"name": "x", "classes": 3}),
    NetworkFile: small_results.network(),
    LikelihoodFile: small_results.FACTS
    | {
        "base": 2,
        "parameters": 1,
        "train_tokens": 1,
        "num_samples": 9,
        "exact": {"random": EXACT | {"num_sequences": 4}},
        "energy": None,
    }
    | LOSSES
    | TOKENS,
    SamplesFile: small_results.samples(
        small_results.drawn(4.0, corrector=None, time_steps=None, **EULER),
        small_results.drawn(8.0, kind="first_hitting", temperature=0.5, top_p=0.9) | {"texts": ["a", "b"]},
    ),
    QualityFile: small_results.FACTS
    | NAMES
    | {"rows": [SCORES | {"sampler": "euler-4", "distribution": "joint", "nfe": 4.0}]},
    FeaturesFile: {"task": "digits", **NAMES, "classifier_accuracy": 0.5, "rows": [SCORES | {"baseline": "real"}]},
    BaselinesFile: {
        "task": "text",
        "num_sequences": 5,
        "train_tokens": 9,
        "rows": [{"baseline": "unigram", "nats": 2.5, "nats_stderr": 0.1}],
        "token_entropy": 2.5,
        "digits": [{"num_subtokens": 2, "base": 4, "permuted": True, "entropies": [1.2, 1.3]}],
    },
    OracleFile: {
        "rows": [
            {"source": "known_entropy", "method": "enumeration", "exact": {"random": EXACT}} | ORACLE | TOKENS,
            {"source": "copies of one bit", "method": "monte carlo", "exact": {}} | ORACLE | dict.fromkeys(TOKENS),
        ],
        "grouped": [
            {
                "source": "known_entropy",
                "num_subtokens": 2,
                "above": 0.5,
                "entropy": 0.9,
                "mixture": 0.8,
                "marginals": 1.1,
            }
        ],
    },
    HybridFile: small_results.hybrid(),
    IdleStepsFile: {"rows": [STEPS | {"idle_measured": 3.5, "idle_stderr": 0.5}]},
    Record: {
        "command": "data toy",
        "values": {"tasks.toy.data": {"kind": "toy"}},
        "inputs": {"a": "0", "b": None},
        "outside": {"c": FILE},
        "outputs": {"d": FILE},
    },
    TableFile: {
        "table": "sizes",
        "scale": "mine",
        "title": "x",
        "caption": "x",
        "columns": {"task": "x"},
        "notes": ["x"],
        "inputs": ["x"],
    },
}
# Their keys are not declared.
OPEN = ("corpus", "config", "values", "columns", "inputs", "outside", "outputs", "exact", "parts")
MORE = (TableFile,)  # to whose keys a table adds its own
MAY_BE_NULL = ("source", "permutation", "entropy_per_token", "heldout_bytes", "classifier_accuracy", "temperature")
MAY_BE_NULL += ("corrector", "enumeration", "num_steps", "time_steps", "network", "texts", "a", "b")


def places(content: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every key in a file, as the path that leads there."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*above, key)
        if key not in ("corpus", "config", "values"):
            yield from places(value, (*above, key))


def changed(content: Any, place: tuple[str | int, ...]) -> tuple[Any, Any, str | int]:
    """A copy, and in it what holds a key, and the key."""
    copied = copy.deepcopy(content)
    holder = copied
    for key in place[:-1]:
        holder = holder[key]
    return copied, holder, place[-1]


def refusal(kind: type[Result], content: Any, path: Path) -> str:
    path.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        assert kind.read(path) is None, content
    assert str(caught.value).startswith(f"{path}: ")
    assert "run the pipeline again: snakemake" in str(caught.value)
    return str(caught.value)


def test_there_is_an_example_of_every_kind() -> None:
    found = set()
    for module in pkgutil.iter_modules(results.__path__, f"{results.__name__}."):
        for value in vars(import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Result) and value.__name__.endswith("File"):
                found.add(value)
    assert set(EXAMPLES) == found | {DataSet, Record}


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_what_is_written_is_read_again(kind: type[Result], tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(EXAMPLES[kind]))
    found = kind.read(path)
    found.write(path)
    assert json.loads(path.read_text()) == EXAMPLES[kind]
    assert kind.read(path) == found


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_a_value_of_another_type_is_one_line(kind: type[Result], tmp_path: Path) -> None:
    for place in places(EXAMPLES[kind]):
        for wrong in (None, "5", True, [5], {"a": 5}):
            content, holder, key = changed(EXAMPLES[kind], place)
            if holder[key] is None or key in OPEN or (wrong is None and key in MAY_BE_NULL):
                continue
            if type(holder[key]) is not type(wrong):
                holder[key] = wrong
                refusal(kind, content, tmp_path / "a.json")


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_what_is_no_number_and_what_is_none_of_this_world_is_one_line(kind: type[Result], tmp_path: Path) -> None:
    for place in places(EXAMPLES[kind]):
        content, holder, key = changed(EXAMPLES[kind], place)
        if type(holder[key]) is int and key not in ("states", "mtime_ns", "size"):
            holder[key] = 10**30
            refusal(kind, content, tmp_path / "a.json")
        if type(holder[key]) in (int, float):
            holder[key] = float("nan")
            assert "NaN is no number of JSON" in refusal(kind, content, tmp_path / "a.json")
            holder[key] = -float("inf")
            assert "-Infinity is no number of JSON" in refusal(kind, content, tmp_path / "a.json")


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_a_missing_and_an_unknown_key_are_named(kind: type[Result], tmp_path: Path) -> None:
    for place in places(EXAMPLES[kind]):
        content, holder, key = changed(EXAMPLES[kind], place)
        if isinstance(holder, dict) and not set(place[:-1]) & set(OPEN):
            del holder[key]
            if "settings" not in place:
                assert f"({'.'.join(map(str, place))}: missing)" in refusal(kind, content, tmp_path / "a.json")
        content, holder, key = changed(EXAMPLES[kind], place)
        if isinstance(holder[key], dict) and key not in OPEN:
            holder[key]["more"] = 1
            assert "more: unknown key" in refusal(kind, content, tmp_path / "a.json")
    if kind not in MORE:
        assert "(more: unknown key)" in refusal(kind, EXAMPLES[kind] | {"more": 1}, tmp_path / "a.json")


@pytest.mark.parametrize(
    "text", ["[]", "1", "null", '"x"', "{}", "", "{", '{"rows": [1e999]}', '{"rows": [' + "[" * 10**5]
)
def test_another_document_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=r"a\.json: not (JSON|as it was written) \("):
        IdleStepsFile.read(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        (LikelihoodFile, {"bound_tokens": None}, "bound_tokens: should be given for the model masked"),
        (LikelihoodFile, {"energy": ENERGY}, "energy: should be null for the model masked"),
        (
            LikelihoodFile,
            dict.fromkeys(TOKENS) | {"model": "energy_ar"},
            "energy: should be given for the model energy_ar",
        ),
        (LikelihoodFile, {"nelbo": 800.0}, "nelbo: is 800.0; should be less than 700"),
        (LikelihoodFile, {"exact": {"backwards": EXACT | {"num_sequences": 4}}}, "exact.backwards"),
        (NetworkFile, {"steps": None}, "steps: should be null for an imported network"),
        (NetworkFile, {"source": small_results.SOURCE}, "train_tokens: should be null for an imported network"),
        (NetworkFile, {"schedule": "square"}, "schedule: is \"square\"; should be 'linear', 'polynomial' or 'cosine'"),
        (DataSet, {"corpus": {"name": "x", "classes": 0}}, "corpus: classes: should be at least 1"),
        (DataSet, {"corpus": {"classes": 3}}, "corpus: name: should be a text"),
        (SamplesFile, {"samplers": []}, "samplers: is []"),
        (QualityFile, {"rows": {"a": 1}}, "rows: should be a valid array"),
    ],
)
def test_values_that_do_not_go_together_are_named(
    kind: type[Result], changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    assert said in refusal(kind, EXAMPLES[kind] | changes, tmp_path / "a.json")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_steps": None}, "samplers.0: num_steps: is None; the settings say 4"),
        ({"idle_steps_mean": None}, "samplers.0.idle_steps_mean: should be null without steps"),
        ({"kind": "ancestral"}, "samplers.0: kind: is 'ancestral'; the settings say 'euler'"),
    ],
)
def test_a_sampler_is_described_as_it_is_set(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    example = EXAMPLES[SamplesFile]
    first, second = example["samplers"]
    assert said in refusal(SamplesFile, example | {"samplers": [first | changes, second]}, tmp_path / "a.json")


def test_what_a_stage_should_not_write_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="finite"):
        BaselinesFile.model_validate(EXAMPLES[BaselinesFile] | {"rows": [{"baseline": "x", "nats": float("nan")}]})


def test_the_command_can_be_another(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(UserError, match=r"; make it with: mdm-prime data toy$"):
        DataSet.read(tmp_path / "a.json", "mdm-prime data toy")
