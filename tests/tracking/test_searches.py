"""The search strings of docs/mlflow.md find what they say, and resolved configurations are where it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import small_runs
from mlflow_store import found_by, search

PAGE = Path(__file__).parents[2] / "docs" / "mlflow.md"
MODELS = {name: {f"{stage} text/l{name}/seed0" for stage in ("train", "evaluate", "sample")} for name in (1, 2, 4)}
ALL = set().union(*MODELS.values())
IMAGES = {"evaluate digits/l3/seed0"}
EXPECTED = {
    "by sub-tokens": MODELS[4],
    "by model": ALL | IMAGES,
    "by seed": ALL | IMAGES,
    "by scale": ALL | IMAGES | {"pipeline smoke"},
    "by commit": ALL | IMAGES | {"pipeline smoke"},
    "by data set": ALL,
    "one network, all its stages": MODELS[2],
    "trainings with uncommitted changes": None,  # depends on the checkout
    "bound below a value": {f"evaluate text/l{ell}/seed0" for ell in MODELS},
    "published loss and bound apart": {"evaluate text/l2/seed0", "evaluate text/l4/seed0"},
    "by the weights' hash": {"train text/l2/seed0"},
    "pipelines only": {"pipeline smoke"},
}


@pytest.fixture(scope="module")
def runs(uri: str) -> dict[str, dict[str, Any]]:
    return {run["name"]: run for run in search(uri)}


@pytest.fixture(scope="module")
def uri(small_results: Path) -> str:
    return f"sqlite:///{small_results / 'mlflow.db'}"


def test_the_searches_of_the_page(uri: str, runs: dict[str, dict[str, Any]]) -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## Finding runs")[2].partition("\n## ")[0]
    found = dict(re.findall(r"^\| (.+?) \| `(.+)` \|$", section, flags=re.MULTILINE))
    assert set(found) == set(EXPECTED)
    commit = runs["pipeline smoke"]["tags"]["git.commit"]
    digest = runs["train text/l2/seed0"]["tags"]["weights.sha256"]
    filled = [text.replace("COMMIT", commit).replace("SHA256", digest) for text in found.values()]
    dirty = runs["pipeline smoke"]["tags"]["git.dirty"] == "true"
    uncommitted = {name for name in ALL if dirty and name.startswith("train")}
    names = dict(zip(found, found_by(uri, *filled), strict=True))
    assert names == {what: uncommitted if wanted is None else wanted for what, wanted in EXPECTED.items()}
    assert found_by(uri, f"tags.git.commit LIKE '{commit[:7]}%'") == [ALL | IMAGES | {"pipeline smoke"}]


def test_resolved_configurations_are_artifacts_and_weights_are_not(runs: dict[str, dict[str, Any]]) -> None:
    pipeline = runs["pipeline smoke"]
    assert json.loads(pipeline["files"]["config.json"]) == small_runs.CONFIG
    assert set(pipeline["files"]) == {"config.json", "smoke.yaml", "tables/claims.csv", "figures/text_samples.png"}
    training = runs["train text/l4/seed0"]
    assert json.loads(training["files"]["config.json"])["training"] == {"steps": 100, "learning_rate": 0.002}
    assert runs["sample text/l4/seed0"]["files"]["samples.txt"] == "Return the value, in 4 sub-tokens.\n"
    assert not [name for run in runs.values() for name in run["files"] if name.endswith(".safetensors")]


def test_what_models_are_compared_by_is_a_parameter_of_every_stage(runs: dict[str, dict[str, Any]]) -> None:
    for ell, names in MODELS.items():
        for name in names:
            params = runs[name]["params"]
            assert {key: params[key] for key in ("task", "variant", "model", "num_subtokens", "scale")} == {
                "task": "text",
                "variant": f"l{ell}",
                "model": "masked",
                "num_subtokens": str(ell),
                "scale": "smoke",
            }
