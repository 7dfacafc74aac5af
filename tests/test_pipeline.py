"""The commands of the README, typed exactly so, at smoke scale in a copy of the project."""

from __future__ import annotations

import re
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from browser import look, serving
from mdm_prime.experiment import config, layout
from project_copy import (
    EVERYTHING,
    both_have_nothing_to_do,
    commit,
    copy_under_dvc,
    environment,
    planned,
    run,
    succeed,
)

pytestmark = pytest.mark.pipeline


class Again(NamedTuple):
    folder: Path
    process: subprocess.Popen[str]


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Again]:
    """A second copy, made by DVC from nothing, beside the first."""
    folder = copy_under_dvc(tmp_path_factory.mktemp("again"))
    with (
        (folder / "repro.txt").open("w") as log,
        subprocess.Popen(
            ["dvc", "repro"], cwd=folder, env=environment(folder), stdout=log, stderr=log, text=True
        ) as process,
    ):
        yield Again(folder, process)
        process.terminate()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, again: Again) -> Path:
    """A copy made by the command of the README; a copy of its tables is kept in `first`."""
    folder = copy_under_dvc(tmp_path_factory.mktemp("project"))
    succeed(folder, EVERYTHING)
    shutil.copytree(folder / "results/tables", folder / "first")
    return folder


@pytest.fixture
def parameters(finished: Path):
    """The copy's smoke parameters, put back after the test."""
    path = finished / "params/smoke.yaml"
    before = path.read_text()
    yield path
    path.write_text(before)


def test_the_command_makes_every_table(finished: Path) -> None:
    for name in layout.TABLES:
        for file in layout.table_files(finished / "results", name):
            assert file.stat().st_size > 0
        assert len(pd.read_csv(finished / f"results/tables/{name}.csv")) > 0


@pytest.mark.parametrize(
    "target",
    [
        "results/tables/",
        "results/tables",
        "results/figures/",
        "results/figures",
        "results/tables/claims.csv",
        "results/tables/text_perplexity.tex",
        "results/figures/idle_steps.png",
        "--config scale=smoke -- results/tables/",
    ],
)
def test_a_finished_target_runs_nothing(finished: Path, target: str) -> None:
    assert "Nothing to be done" in succeed(finished, f"snakemake --cores all {target}")


def test_figures_come_with_the_tables(finished: Path) -> None:
    for name in layout.FIGURES:
        for file in layout.figure_files(finished / "results", name):
            assert file.stat().st_size > 1000


def test_the_report(finished: Path) -> None:
    for command in ("mdm-prime report", "mdm-prime --params params/smoke.yaml report"):
        assert "results/report-smoke.html" in succeed(finished, command)
    text = (finished / "results/report-smoke.html").read_text()
    assert all(f"results/figures/{name}.png" in text for name in layout.FIGURES)
    assert all(f"/{name}.html" in text for name in layout.TABLES)
    assert f"{finished}/" not in text


def test_a_comment_runs_nothing(finished: Path, parameters: Path) -> None:
    parameters.write_text("# a comment\n" + parameters.read_text())
    assert planned(finished) == set()


def test_a_change_for_one_variant_runs_what_depends_on_it(finished: Path, parameters: Path) -> None:
    text = parameters.read_text()
    parameters.write_text(
        text.replace(
            "  l2: {num_subtokens: 2}\n    arm", "  l2: {num_subtokens: 2, training: {learning_rate: 0.004}}\n    arm"
        )
    )
    outputs = planned(finished)
    trained = {name for name in outputs if name.endswith("weights.safetensors")}
    assert trained == {f"results/smoke/text/networks/l2/seed{seed}/weights.safetensors" for seed in (0, 1)}
    assert "results/smoke/text/samples/l2/seed0/samples.npy" in outputs
    assert {f"results/tables/{name}.csv" for name in ("text_perplexity", "idle_steps", "claims")} <= outputs
    elsewhere = ("smoke/toy", "smoke/known_entropy", "smoke/digits", "tables/toy", "bound_validity", "image")
    assert not [name for name in outputs if any(word in name for word in elsewhere)]


def test_a_change_of_the_evaluation_trains_nothing(finished: Path, parameters: Path) -> None:
    parameters.write_text(parameters.read_text().replace("num_samples: 256,", "num_samples: 300,"))
    outputs = planned(finished)
    assert outputs
    assert {Path(name).parts[3] for name in outputs if name.startswith("results/smoke")} == {"likelihood"}


def test_a_change_of_an_image_sampler_trains_nothing(finished: Path, parameters: Path) -> None:
    text = parameters.read_text()
    assert text.count("num_steps: 4, draws: marginals") == 1
    parameters.write_text(text.replace("num_steps: 4, draws: marginals", "num_steps: 3, draws: marginals"))
    outputs = {name for name in planned(finished) if name.startswith("results/smoke")}
    assert {Path(name).parts[2] for name in outputs} == {"photos"}
    assert {Path(name).parts[3] for name in outputs} == {"samples", "quality"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("learning_rate: 0.005", "learning_rate: -1", ["learning_rate", "-1", "greater than 0"]),
        ("length: 16", "lenght: 16", ["text.data.lenght", "unknown key"]),
        ("models: [l1, l3]", "models: [l1, l9]", ["toy.models", "l9"]),
    ],
)
def test_wrong_parameters_are_one_line(finished: Path, parameters: Path, old: str, new: str, words: list[str]) -> None:
    parameters.write_text(parameters.read_text().replace(old, new))
    for command in ("mdm-prime check-params", "snakemake --cores all results/tables/"):
        done = run(finished, command)
        assert done.returncode == 2
        (line,) = (line for line in done.stderr.splitlines() if line.strip())
        assert all(word in line for word in ["params/smoke.yaml", *words])


def test_mlflow_has_a_parent_with_a_child_for_every_stage(finished: Path) -> None:
    with sqlite3.connect(finished / "results/mlflow.db") as store:
        tags = pd.read_sql("select run_uuid, key, value from tags", store)
        runs = pd.read_sql("select run_uuid, status from runs", store)
    tags = tags.pivot(index="run_uuid", columns="key", values="value").join(runs.set_index("run_uuid"))
    settings = config.load(finished / "params/smoke.yaml")
    names = {run.name for task in settings.tasks for run in settings.runs(task)}
    pipelines = tags[tags["stage"] == "pipeline"]
    children = tags[tags["mlflow.parentRunId"].isin(pipelines.index)]
    for stage in ("train", "evaluate"):
        assert set(children.loc[children["stage"] == stage, "mlflow.runName"].str.split(" ").str[-1]) >= names
    assert set(tags["status"]) == {"FINISHED"}


@pytest.mark.browser
def test_the_browser_shows_the_runs_of_the_pipeline(finished: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with serving(finished / "results", port) as addresses:
        text = look(addresses[0], "pipeline")
    for name in ("pipeline smoke", "evaluate text/l2/seed0", "train digits/l3/seed0", "sample toy/l3/seed0"):
        assert name in text


def test_after_snakemake_dvc_has_nothing_to_do(finished: Path) -> None:
    assert both_have_nothing_to_do(finished)
    commit(finished, "first")


def test_after_a_changed_value_dvc_runs_what_depends_on_it(finished: Path) -> None:
    change(
        finished,
        "  l2: {num_subtokens: 2}\n    arm",
        "  l2: {num_subtokens: 2, training: {learning_rate: 0.004}}\n    arm",
    )
    ran = set(re.findall(r"Running stage '([^']+)'", succeed(finished, "dvc repro")))
    of_l2 = {f"{stage}_text@l2-{seed}" for stage in ("train", "evaluate") for seed in (0, 1)} | {"sample_text@l2-0"}
    assert of_l2 <= ran
    assert {"table_text_perplexity", "table_claims", "metrics", "figure_training_curves"} <= ran
    assert {name for name in ran if not name.startswith(("table_", "figure_"))} == of_l2 | {"metrics"}
    assert not {"table_bound_validity", "table_toy_likelihood", "table_image_quality", "figure_toy_samples"} & ran
    assert both_have_nothing_to_do(finished)
    assert "text.variants.l2.training.learning_rate" in succeed(finished, "dvc params diff")
    compared = succeed(finished, "dvc metrics diff")
    assert "results/metrics/text/l2.json" in compared
    assert "results/metrics/text/l1.json" not in compared
    commit(finished, "second")


def test_after_a_changed_value_snakemake_runs_what_depends_on_it(finished: Path) -> None:
    change(
        finished, "evaluation: {num_samples: 1000, batch_size: 500", "evaluation: {num_samples: 900, batch_size: 500"
    )
    ran = re.findall(r"^(?:local)?rule (\S+):", succeed(finished, EVERYTHING), flags=re.MULTILINE)
    assert ran.count("evaluate") == 2
    assert not {"train", "sample", "sample_images", "quality"} & set(ran)
    assert both_have_nothing_to_do(finished)
    commit(finished, "third")


def test_a_clone_gets_everything_without_training(finished: Path, tmp_path: Path) -> None:
    succeed(finished, f"dvc remote add --local --default store {tmp_path / 'store'}")
    succeed(finished, "dvc push -q")
    clone = tmp_path / "clone"
    succeed(finished, f"git clone -q {finished} {clone}")
    succeed(clone, f"dvc remote add --local --default store {tmp_path / 'store'}")
    succeed(clone, "dvc pull -q")
    assert both_have_nothing_to_do(clone)
    assert not list((clone / "results/tracking").glob("*.jsonl"))
    for name in layout.TABLES:
        table = layout.table_files("results", name)[0]
        assert (clone / table).read_bytes() == (finished / table).read_bytes()


def test_an_older_commit_comes_back_without_training(finished: Path) -> None:
    journals = set((finished / "results/tracking").glob("*.jsonl"))
    newest = (finished / "results/tables/text_perplexity.csv").read_bytes()
    for revision, same in (("HEAD~2", True), ("-", False)):
        succeed(finished, f"git checkout -q {revision}")
        succeed(finished, "dvc checkout -q")
        assert both_have_nothing_to_do(finished)
        table = (finished / "results/tables/text_perplexity.csv").read_bytes()
        assert (table == (finished / "first/text_perplexity.csv").read_bytes()) == same
    assert table == newest
    assert set((finished / "results/tracking").glob("*.jsonl")) == journals


def test_an_experiment(finished: Path) -> None:
    succeed(finished, "dvc exp run --name seeds -S params/smoke.yaml:idle_steps.seed=1")
    shown = succeed(finished, "dvc exp show --csv --only-changed")
    assert "seeds" in shown
    assert "idle_steps.seed" in shown
    assert both_have_nothing_to_do(finished)


def test_dvc_from_nothing_gives_the_same_bytes(finished: Path, again: Again) -> None:
    assert again.process.wait(1200) == 0, (again.folder / "repro.txt").read_text()
    for name in layout.TABLES:
        for table in layout.table_files(again.folder / "results", name):
            assert table.read_bytes() == (finished / "first" / table.name).read_bytes(), table.name
    assert both_have_nothing_to_do(again.folder)


def change(folder: Path, old: str, new: str) -> None:
    path = folder / "params/smoke.yaml"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
