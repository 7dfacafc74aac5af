"""The commands of the README, typed exactly so, at smoke scale in a copy of the project."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from mdm_prime import config, layout

PROJECT = Path(__file__).parents[1]
COPIED = ("Snakefile", "workflow", "params", "src", "pyproject.toml", "dvc.yaml", ".dvcignore", ".gitignore")

pytestmark = pytest.mark.pipeline


def copy_project(folder: Path) -> Path:
    for name in COPIED:
        source = PROJECT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, folder / name)
    return folder


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command line in a copy, at smoke scale, with the copy's own modules."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MDM_PRIME", "MLFLOW"))}
    environment |= {"MDM_PRIME_SCALE": "smoke", "PYTHONPATH": str(folder / "src")}
    return subprocess.run(command.split(), cwd=folder, env=environment, capture_output=True, text=True)


def succeed(folder: Path, command: str) -> str:
    done = run(folder, command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def planned(folder: Path) -> set[str]:
    """The outputs that a dry run would make again."""
    lines = succeed(folder, "snakemake --dry-run --cores all results/tables/").splitlines()
    outputs = [line.removeprefix("    output: ") for line in lines if line.startswith("    output: ")]
    return {name for line in outputs for name in line.split(", ")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("project"))
    succeed(folder, "snakemake --cores all results/tables/")
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
    ["results/tables/", "results/tables", "results/tables/claims.csv", "results/tables/text_perplexity.tex"],
)
def test_a_finished_target_runs_nothing(finished: Path, target: str) -> None:
    assert "Nothing to be done" in succeed(finished, f"snakemake --cores all {target}")


def test_figures_come_with_the_tables(finished: Path) -> None:
    for name in layout.FIGURES:
        for file in layout.figure_files(finished / "results", name):
            assert file.stat().st_size > 1000
    for target in ("results/figures", "results/figures/idle_steps.png"):
        assert "Nothing to be done" in succeed(finished, f"snakemake --cores all {target}")


def test_the_report(finished: Path) -> None:
    for command in ("mdm-prime report", "mdm-prime --params params/smoke.yaml report"):
        assert "results/report-smoke.html" in succeed(finished, command)
    text = (finished / "results/report-smoke.html").read_text()
    assert all(f"results/figures/{name}.png" in text for name in layout.FIGURES)
    assert all(f"/{name}.html" in text for name in layout.TABLES)
    assert f"{finished}/" not in text


def test_two_runs_give_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    again = copy_project(tmp_path)
    succeed(again, "snakemake --cores all --config scale=smoke -- results/tables/")
    for name in layout.TABLES:
        for first, second in zip(*(layout.table_files(f / "results", name) for f in (finished, again)), strict=True):
            assert first.read_bytes() == second.read_bytes(), first.name


def test_a_comment_runs_nothing(finished: Path, parameters: Path) -> None:
    parameters.write_text("# a comment\n" + parameters.read_text())
    assert planned(finished) == set()


def test_a_change_for_one_variant_runs_what_depends_on_it(finished: Path, parameters: Path) -> None:
    text = parameters.read_text()
    parameters.write_text(text.replace("  l2: {num_subtokens: 2}\n    arm", "  l2: {num_subtokens: 2, training: {learning_rate: 0.004}}\n    arm"))
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
        ("num_subtokens: [1, 3]", "num_subtokens: [1, 9]", ["toy", "9"]),
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
