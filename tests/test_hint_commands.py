"""A hint is a whole command: typed as it stands, it does what the message promises."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from mdm_prime import files, hints
from mdm_prime.cli.main import STAGES, parser
from mdm_prime.engines.stages import stages
from mdm_prime.errors import UserError
from mdm_prime.experiment import config

PROJECT = Path(__file__).parents[1]


def test_a_verb_is_called_with_its_params_file() -> None:
    assert hints.verb("params/mine.yaml", "data", "text") == "mdm-prime --params params/mine.yaml data text"
    assert hints.verb(Path("my params.yaml"), "report") == "mdm-prime --params 'my params.yaml' report"


@pytest.mark.parametrize("stage", STAGES)
def test_the_command_line_takes_every_verb_that_is_hinted_at(stage: str) -> None:
    words = shlex.split(hints.verb("params/mine.yaml", stage, *(["text"] if STAGES[stage].argument else [])))
    options = parser().parse_args(words[1:])
    assert words[0] == "mdm-prime"
    assert (options.verb_name, options.params) == (stage, Path("params/mine.yaml"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("results/mine/text/data/meta.json", "--config scale=mine -- results/mine/text/data/meta.json"),
        ("/home/me/results/mine/oracle.json", "--config scale=mine -- results/mine/oracle.json"),
        ("results/tables/claims.csv", "results/tables/claims.csv"),
        ("results/figures/idle_steps.png", "results/figures/idle_steps.png"),
        ("results/mlflow.db", "results/mlflow.db"),
        ("elsewhere/a b.json", "'elsewhere/a b.json'"),
        ("a.json", "a.json"),
    ],
)
def test_a_file_is_made_by_its_scale(path: str, expected: str) -> None:
    assert hints.target(path) == f"snakemake --cores all {expected}"


def test_everything_of_a_scale() -> None:
    assert hints.everything("mine") == "snakemake --cores all --config scale=mine -- results/tables/"


def test_a_missing_result_is_answered_with_the_command_of_its_scale() -> None:
    with pytest.raises(UserError) as caught:
        files.read_json("results/mine/text/data/meta.json")
    assert str(caught.value) == (
        "results/mine/text/data/meta.json: cannot be read (No such file or directory); "
        "make it with: snakemake --cores all --config scale=mine -- results/mine/text/data/meta.json"
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Snakemake reads of the project, and a scale of one's own."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("workflow", "params"):
        shutil.copytree(PROJECT / name, folder / name)
    shutil.copy2(PROJECT / "Snakefile", folder)
    (folder / "own.txt").write_text("text")
    own = "base: base.yaml\ntasks:\n  own:\n    data: {kind: text, files: [own.txt]}\n"
    (folder / "params/mine.yaml").write_text(own)
    return folder


def typed(command: str, folder: Path) -> str:
    """Snakemake's plan for a command, by a dry run."""
    environment = {name: value for name, value in os.environ.items() if name != config.ENVIRONMENT_SCALE}
    environment["PYTHONPATH"] = str(PROJECT / "src")
    words = shlex.split(command)
    done = subprocess.run(
        [*words[:1], "--dry-run", *words[1:]], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_hints_are_commands_at_a_scale_that_is_not_the_default(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    made = {path for stage in stages(config.load("params/mine.yaml")) for path in stage.outputs}
    assert {"own/data/meta.json", "tables/text_perplexity.csv"} <= made
    assert "results/mine/own/data/meta.json" in typed(hints.target("results/mine/own/data/meta.json"), checkout)
    assert "results/mine/tables/text_perplexity.csv" in typed(hints.everything("mine"), checkout)
    assert "results/default/tables/claims.csv" in typed(hints.target("results/tables/claims.csv"), checkout)
