"""The headline numbers of each model are those of the tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from synthetic_results import Tree

from mdm_prime.errors import UserError
from mdm_prime.experiment import layout
from mdm_prime.reporting import metrics
from mdm_prime.reporting.records import read_table


@pytest.fixture
def made(finished: Tree, tmp_path: Path) -> Tree:
    """The finished tables in a folder of their own, with the metrics made from them."""
    root = layout.scale_root(tmp_path, finished.config.scale)
    shutil.copytree(finished.root / "tables", root / "tables")
    metrics.write(finished.config, root)
    return Tree(finished.config, tmp_path)


def read(tree: Tree, name: str) -> dict[str, object]:
    content: dict[str, object] = json.loads((layout.metrics_dir(tree.root) / name).read_text())
    return content


def test_every_model_has_a_file(made: Tree) -> None:
    files = layout.metrics_files(made.root, made.config)
    assert sorted(layout.metrics_dir(made.root).rglob("*.json")) == sorted(files)
    models = [(path.parent.name, path.stem) for path in files]
    assert models == [(name, model) for name, task in made.config.tasks.items() for model in task.models]


def test_numbers_are_those_of_the_tables(made: Tree) -> None:
    (mean,) = (r for r in read_table(made.root, "text_perplexity") if (r["variant"], r["seed"]) == ("l2", "mean"))
    names = ("bound", "bound_tokens", "exact_left_to_right", "exact_lowest_entropy")
    keys = [
        f"{name}{error}" for name in (*(f"ppl_{n}" for n in names), "published_loss_ppl") for error in ("", "_stderr")
    ]
    assert read(made, "text/l2.json") == {key: mean[key] for key in keys}
    assert set(keys) - set(read(made, "text/arm.json")) == {  # an autoregressive model has one order and no masks
        f"ppl_{name}{error}" for name in ("bound_tokens", "exact_lowest_entropy") for error in ("", "_stderr")
    }
    assert mean["published_loss_ppl"] < mean["ppl_bound"]
    (row,) = (
        r for r in read_table(made.root, "bound_validity") if r["source"] == "known_entropy" and r["variant"] == "l3"
    )
    assert read(made, "known_entropy/l3.json")["nelbo"] == row["trained_nelbo"]
    (row,) = (r for r in read_table(made.root, "toy_likelihood") if r["variant"] == "l2")
    assert read(made, "toy/l2.json")["joint_loss"] == row["joint_loss"]


def test_images_have_their_distances_by_sampler(made: Tree) -> None:
    found = read(made, "digits/l2.json")
    rows = [r for r in read_table(made.root, "image_quality") if (r["dataset"], r["variant"]) == ("digits", "l2")]
    assert len(rows) == 4  # two samplers, two seeds
    means = {name: sum(r["distance"] for r in rows if r["sampler"] == name) / 2 for name in ("euler-4", "euler-16")}
    assert found["fd_digits"] == pytest.approx(means)
    assert {"bpd_bound", "bpd_published"} <= set(found)
    assert set(read(made, "photos/super.json")["fd_photos"]) == {"first_hitting"}  # type: ignore[call-overload]


def test_models_that_are_no_more_leave_no_file(made: Tree) -> None:
    stale = layout.metrics_dir(made.root) / "text/l9.json"
    stale.write_text("{}")
    metrics.write(made.config, made.root)
    assert not stale.exists()


def test_a_missing_table_is_one_line(made: Tree) -> None:
    layout.table_files(made.root, "toy_likelihood")[0].unlink()
    with pytest.raises(UserError, match=r"toy_likelihood\.csv: cannot be read"):
        metrics.write(made.config, made.root)
