"""Snakemake's rules and dvc.yaml are the same graph; a change of one alone is seen. How the two take turns."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine_graphs import ASK_DVC, ASK_SNAKEMAKE, Graph, differences, graph
from mdm_prime import engines
from mdm_prime.cli import main as cli
from mdm_prime.engines import dvc
from mdm_prime.errors import UserError
from project_copy import copy_project

SCALES = {  # what a reader changes in dvc.yaml for another scale
    "default": {},
    "smoke": {"scale: default": "scale: smoke", "params/default.yaml": "params/smoke.yaml"},
    "paper": {
        "scale: default": "scale: paper",
        "params/default.yaml": "params/paper.yaml",
        "digits": "cifar10",
        "photos": "imagenet32",
    },
}


def environment_of(project: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(project / "src"), "MDM_PRIME_SETTLING": "1"}


def change(path: Path, changes: dict[str, str]) -> None:
    text = path.read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project under DVC, for reading graphs."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    shutil.rmtree(folder / ".dvc", ignore_errors=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=folder, check=True)
    return folder


def of_dvc(project: Path, scale: str, changes: dict[str, str]) -> Graph:
    """DVC's graph with these changes of dvc.yaml."""
    before = (project / "dvc.yaml").read_text()
    try:
        change(project / "dvc.yaml", {**SCALES[scale], **changes})
        return graph(ASK_DVC, project, scale, environment_of(project))
    finally:
        (project / "dvc.yaml").write_text(before)


@pytest.fixture(scope="module")
def of_snakemake(project: Path) -> Graph:
    return graph(ASK_SNAKEMAKE, project, "default", environment_of(project))


@pytest.mark.parametrize("scale", SCALES)
def test_both_engines_have_the_same_graph(project: Path, scale: str) -> None:
    snakemake = graph(ASK_SNAKEMAKE, project, scale, environment_of(project))
    assert len(snakemake) > 50
    assert all(node.after for command, node in snakemake.items() if " train " in command)
    assert differences(snakemake, of_dvc(project, scale, {}), project) == []


@pytest.mark.parametrize(
    ("old", "new", "seen"),
    [
        ("idle-steps\n", "idle-steps --slowly\n", "idle-steps --slowly: a stage of DVC alone"),
        ("          - ${section}.network\n", "", "train text/l1/seed0: params text.network"),
        ("          - ${section}.evaluation\n", "          - ${section}.sampling\n", "params text.evaluation"),
        ("      - src/mdm_prime/evaluation/likelihood.py\n", "", "code src/mdm_prime/evaluation/likelihood.py"),
        ("      - src/mdm_prime/training\n", "", "code src/mdm_prime/training/loop.py"),
        ("      - results/${scale}/text/likelihood\n", "", "table text_perplexity: edge from mdm-prime"),
        ("      - results/${scale}/toy/data/density.npy\n", "", "input results/default/toy/data/density.npy"),
        ('"${toy.models}"', "[l1, l2]", "train toy/l7/seed0: a stage of Snakemake alone"),
        ("history/${item.model}/seed${item.seed}.csv", "history/${item.model}-${item.seed}.csv", "output results"),
    ],
)
def test_a_change_of_dvc_alone_is_seen(project: Path, of_snakemake: Graph, old: str, new: str, seen: str) -> None:
    found = differences(of_snakemake, of_dvc(project, "default", {old: new}), project)
    assert any(seen in line for line in found), found


@pytest.mark.parametrize(
    ("rules", "old", "new", "seen"),
    [
        ("train", '"network", ', "", "params text.network"),
        ("sample", "layout.sample_files(ROOT, RUN)", "layout.sample_files(ROOT, RUN)[:1]", "edge"),
        ("evaluate", '"{CLI} evaluate', '"{CLI} evaluate --again', "a stage of DVC alone"),
        ("data", 'sources("data/*.py")', '"Snakefile"', "code src/mdm_prime/data/text.py"),
    ],
)
def test_a_change_of_snakemake_alone_is_seen(
    project: Path, tmp_path: Path, rules: str, old: str, new: str, seen: str
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(project, changed, symlinks=True)
    change(changed / f"workflow/rules/{rules}.smk", {old: new})
    try:
        snakemake = graph(ASK_SNAKEMAKE, changed, "default", environment_of(changed))
    except AssertionError as error:  # the rule's other users miss what it no longer makes
        assert seen == "edge" and "MissingInputException" in str(error)  # noqa: PT017, PT018
        return
    found = differences(snakemake, of_dvc(project, "default", {}), project)
    assert any(seen in line for line in found), found


def test_one_engine_at_a_time(tmp_path: Path) -> None:
    refused = pytest.raises(UserError, match=r"snakemake is at work here; wait until it has ended")
    with engines.take(tmp_path, "snakemake"), engines.take(tmp_path, "snakemake"), refused:
        engines.take(tmp_path, "dvc")
    with engines.take(tmp_path, "dvc"), pytest.raises(UserError, match="dvc is at work here"):
        engines.take(tmp_path, "snakemake")
    engines.take(tmp_path, "snakemake").close()  # the refused ones hold nothing


def test_a_killed_engine_holds_nothing(tmp_path: Path) -> None:
    hold = f"from mdm_prime import engines; held = engines.take({str(tmp_path)!r}, 'dvc'); print(flush=True)"
    command = [sys.executable, "-c", f"{hold}; import time; time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        with pytest.raises(UserError):
            engines.take(tmp_path, "snakemake")
        process.kill()
        process.wait()
        engines.take(tmp_path, "snakemake").close()


def test_a_stage_of_dvc_is_refused_while_snakemake_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DVC_STAGE", "idle_steps")
    params = Path(__file__).parents[1] / "params/smoke.yaml"
    with engines.take(tmp_path, "snakemake"):
        assert cli.main(["--params", str(params), "--results", str(tmp_path), "idle-steps"]) == 2
    assert capsys.readouterr().err.startswith(f"mdm-prime: {tmp_path}: snakemake is at work here")
    assert not list(tmp_path.glob("smoke/**/*"))


def test_descendants_follow_files_and_folders() -> None:
    stages = [
        dvc.Stage("a", "", ("x/1.json",), ()),
        dvc.Stage("b", "", ("y",), ("x",)),
        dvc.Stage("c", "", ("z/file",), ("y/inside.npy",)),
        dvc.Stage("d", "", ("xx/1.json",), ("other",)),
    ]
    assert dvc.with_descendants({"a"}, stages) == {"a", "b", "c"}
    assert dvc.with_descendants({"d"}, stages) == {"d"}
