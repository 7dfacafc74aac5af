"""Snakemake and DVC on one tree: each takes what the other has made for made, and both see every change."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from project_copy import EVERYTHING, both_have_nothing_to_do, change, commit, copy_under_dvc, planned, run, typed

pytestmark = pytest.mark.pipeline

OF_THE_MODEL = ["evaluate_toy", "sample_toy", "train_toy"]
WITH_THE_LIKELIHOOD = [
    "figure_bound_validity",
    "metrics",
    "settings",
    "table_bound_validity",
    "table_claims",
    "table_toy_likelihood",
]
WITH_THE_MODEL = [*WITH_THE_LIKELIHOOD, "figure_toy_samples", "figure_training_curves"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy made by the README's command; nothing in it may be changed."""
    folder = copy_under_dvc(tmp_path_factory.mktemp("made"))
    said = typed(folder, EVERYTHING)
    assert said.rstrip().splitlines()[-1].startswith("scale tiny: results/tiny/tables and results/tiny/figures, shown")
    commit(folder, "first")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "project", symlinks=True))


def reran(folder: Path, command: str = "dvc repro") -> list[str]:
    """The stages that DVC ran."""
    return sorted(re.findall(r"Running stage '(\w+)", typed(folder, command)))


def snapshot(folder: Path) -> dict[str, tuple[int, str]]:
    """Time and content of every file and link, but for the engines' own logs, locks and temporary files."""
    passing = (".snakemake/log", ".snakemake/locks", ".snakemake/iocache", ".dvc/tmp", ".dvc/cache/runs")
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not name.startswith(passing) and "__pycache__" not in name and (path.is_symlink() or path.is_file()):
            content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
            found[name] = (path.lstat().st_mtime_ns, hashlib.sha256(content).hexdigest())
    return found


def test_after_snakemake_neither_has_anything_to_do(made: Path) -> None:
    assert both_have_nothing_to_do(made)
    assert "Data and pipelines are up to date" in typed(made, "dvc repro")


def test_a_changed_value_runs_what_depends_on_it_and_an_older_commit_comes_back(project: Path) -> None:
    change(project, "params/tiny.yaml", "steps: 4", "steps: 5")
    assert "train toy/l2/seed0" not in planned(project)
    said = typed(project, "snakemake -n --cores all results/tables/")
    assert "tasks.toy.variants.l2.run.training.steps has changed" in said
    assert planned(project) == sorted([*OF_THE_MODEL, *WITH_THE_MODEL])
    older = (project / "results/tiny/tables/toy_likelihood.csv").read_bytes()
    assert reran(project) == sorted([*OF_THE_MODEL, *WITH_THE_MODEL])
    assert both_have_nothing_to_do(project)
    commit(project, "second")
    looking_changes_nothing(project)
    assert "tasks.toy.variants.l2.run.training.steps" in typed(project, "dvc params diff HEAD~1")
    assert "results/tiny/metrics/toy/l2.json" in typed(project, "dvc metrics diff HEAD~1")
    typed(project, "git checkout -q HEAD~1")
    typed(project, "dvc checkout -q")
    assert both_have_nothing_to_do(project)
    assert (project / "results/tiny/tables/toy_likelihood.csv").read_bytes() == older


def looking_changes_nothing(project: Path) -> None:
    """Where DVC has made what is there, and there is something to do."""
    change(project, "params/tiny.yaml", "steps: 5", "steps: 6")
    before = snapshot(project)
    for command in ("-n", "--lint", "--dag", "--list", "--summary"):
        run(project, f"snakemake --cores all {command} -- results/tables/")
        assert snapshot(project) == before, command
    typed(project, "dvc status")
    assert snapshot(project) == before
    change(project, "params/tiny.yaml", "steps: 6", "steps: 5")


def test_snakemake_runs_it_and_dvc_takes_it_over(project: Path) -> None:
    change(project, "params/tiny.yaml", "num_samples: 50, batch_size: 50", "num_samples: 40, batch_size: 40")
    assert planned(project) == sorted(["evaluate_toy", *WITH_THE_LIKELIHOOD])
    typed(project, EVERYTHING)
    assert both_have_nothing_to_do(project)


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        (
            "stages/train.py",
            "carry_over=run.carry_over)",
            "carry_over=not run.carry_over)",
            ["train_toy", "evaluate_toy", "sample_toy", *WITH_THE_MODEL],
        ),
        (
            "stages/evaluate.py",
            "        values, estimates = saved(run, found)\n",
            '        values, estimates = saved(run, found)\n        values["nelbo"] *= 2\n',
            ["evaluate_toy", *WITH_THE_LIKELIHOOD],
        ),
        ("data/images/photos.py", "SHORTER_SIDE = ", "X = 1\nSHORTER_SIDE = ", []),
        (
            "reporting/tables/toy_likelihood.py",
            "COLUMNS = (",
            "X = 1\nCOLUMNS = (",
            ["table_toy_likelihood", "figure_toy_samples", "metrics", "settings", "table_claims"],
        ),
        ("training/loop.py", '"""', '"""Another docstring. ', []),
    ],
)  # fmt: skip
def test_changed_code_runs_what_depends_on_it(
    project: Path, file: str, old: str, new: str, expected: list[str]
) -> None:
    path = project / "src/mdm_prime" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    assert planned(project) == sorted(expected)
    ran = reran(project)  # a stage whose inputs have come out the same is not among them
    assert set(ran) <= {"settings", *expected}
    assert {"settings", *expected[:1]} <= set(ran)
    assert both_have_nothing_to_do(project)


def test_what_somebody_has_edited_or_removed_is_made_again(project: Path) -> None:
    likelihood = project / "results/tiny/toy/likelihood/l2/seed0.json"
    before = likelihood.read_bytes()
    likelihood.write_text("{}")
    assert "evaluate_toy" in planned(project)
    typed(project, "dvc repro")
    assert likelihood.read_bytes() == before
    (project / "results/tiny/tables/toy_likelihood.csv").unlink()
    assert "table_toy_likelihood" in planned(project)


def test_a_clone_has_nothing_to_do(project: Path, tmp_path: Path) -> None:
    typed(project, f"dvc remote add --local --default store {tmp_path / 'store'}")
    typed(project, "dvc push -q")
    clone = tmp_path / "clone"
    typed(project, f"git clone -q {project} {clone}")
    typed(clone, f"dvc remote add --local --default store {tmp_path / 'store'}")
    typed(clone, "dvc pull -q")
    assert "Data and pipelines are up to date" in typed(clone, "dvc status")
    assert planned(clone) == ["settings"]  # results/tables shows no scale yet
    typed(clone, EVERYTHING)
    assert both_have_nothing_to_do(clone)
    for name in ("toy_likelihood.csv", "claims.csv"):
        table = Path("results/tiny/tables", name)
        assert (clone / table).read_bytes() == (project / table).read_bytes()


def test_an_experiment(project: Path) -> None:
    typed(project, "dvc exp run --name longer -S params/tiny.yaml:tasks.toy.training.steps=5")
    assert "longer" in typed(project, "dvc exp show --csv --only-changed")
    assert both_have_nothing_to_do(project)


def test_dvc_from_nothing_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    again = copy_under_dvc(tmp_path / "again")
    typed(again, "dvc repro")
    for path in (made / "results/tiny/tables").iterdir():
        assert (again / "results/tiny/tables" / path.name).read_bytes() == path.read_bytes(), path.name
    assert both_have_nothing_to_do(again)


def test_a_model_more_needs_no_new_dvc_yaml(project: Path) -> None:
    change(project, "params/tiny.yaml", "models: [l2]", "models: [l2, l3]")
    ran = reran(project)
    assert {*OF_THE_MODEL, "table_toy_likelihood", "metrics"} <= set(ran)
    assert (project / "results/tiny/metrics/toy/l3.json").is_file()
    assert both_have_nothing_to_do(project)


def test_what_is_ignored_and_what_git_keeps(made: Path) -> None:
    kept = set(typed(made, "git ls-files results").split())
    assert {"results/tiny/tables/claims.csv", "results/tiny/metrics/toy/l2.json", "results/tiny/settings.json"} <= kept
    assert "results/tiny/toy/likelihood/l2/seed0.json" in kept
    assert not [name for name in kept if "/data/" in name or name.endswith((".npy", ".safetensors", ".png"))]
    assert "results/tables" not in kept
    assert typed(made, "git status --porcelain") == ""
