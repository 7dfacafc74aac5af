"""keep-reference: copies with where they come from, or one line and nothing touched."""

import json

import pytest

from mdm_prime.errors import UserError
from mdm_prime.stages.reference import keep_reference


def write_journal(results, run_id, *events):
    folder = results / "tracking"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{run_id}.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


def start(stage, time, parent=None, commit="abc"):
    tags = {"git.commit": commit, "git.dirty": "false"}
    return {
        "event": "start",
        "time": time,
        "stage": stage,
        "name": "tiny",
        "parent": parent,
        "params": {},
        "tags": tags,
    }


@pytest.fixture
def results(tmp_path):
    for name in ("tables", "figures"):
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "a.csv").write_text(name)
    return tmp_path / "results"


def test_tables_figures_and_where_they_were_made(results):
    end = {"event": "end", "status": "FINISHED"}
    write_journal(results, "pipeline-old", start("pipeline", 0, commit="old"), {**end, "time": 9_000_000})
    write_journal(results, "pipeline-new", start("pipeline", 10_000_000), {**end, "time": 10_600_000})
    write_journal(results, "train-1", start("train", 10_100_000, "pipeline-new"), {**end, "time": 10_200_000})
    reference = results / "reference"
    reference.mkdir()
    (reference / "stale.txt").write_text("of an older run")
    keep_reference(results, reference)
    assert (reference / "tables/a.csv").read_text() == "tables"
    assert (reference / "figures/a.csv").read_text() == "figures"
    assert not (reference / "stale.txt").exists()
    about = json.loads((reference / "about.json").read_text())
    assert (about["commit"], about["uncommitted_changes"], about["scale"]) == ("abc", "false", "tiny")
    assert about["pipeline_runs"] == [{"stages": 1, "minutes": 10.0}]


def test_without_a_finished_pipeline_nothing_is_touched(results):
    reference = results / "reference"
    write_journal(results, "pipeline-new", start("pipeline", 0), {"event": "end", "time": 1, "status": "FAILED"})
    with pytest.raises(UserError, match="no finished pipeline run"):
        keep_reference(results, reference)
    assert not reference.exists()


def test_without_figures(results, tmp_path):
    (results / "figures/a.csv").unlink()
    (results / "figures").rmdir()
    with pytest.raises(UserError, match="figures: not there"):
        keep_reference(results, tmp_path / "reference")
