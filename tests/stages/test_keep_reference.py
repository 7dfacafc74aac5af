"""keep-reference: copies with where they come from, or one line and nothing touched."""

import json
from pathlib import Path

import pytest

from mdm_prime.errors import UserError
from mdm_prime.experiment import config
from mdm_prime.stages.reference import keep_reference

TINY = config.load(Path(__file__).parents[2] / "params" / "smoke.yaml").model_copy(update={"scale": "tiny"})


def write_journal(results, run_id, *events):
    folder = results / "tracking"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{run_id}.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


def start(stage, time, parent=None, commit="abc", name="tiny"):
    tags = {"git.commit": commit, "git.dirty": "false"}
    return {
        "event": "start",
        "time": time,
        "stage": stage,
        "name": name,
        "parent": parent,
        "params": {},
        "tags": tags,
    }


@pytest.fixture
def results(tmp_path):
    for name in ("tables", "figures"):
        (tmp_path / "results/tiny" / name).mkdir(parents=True)
        (tmp_path / "results/tiny" / name / "a.csv").write_text(name)
    return tmp_path / "results"


def test_tables_figures_and_where_they_were_made(results):
    end = {"event": "end", "status": "FINISHED"}
    write_journal(results, "pipeline-old", start("pipeline", 0, commit="old"), {**end, "time": 9_000_000})
    write_journal(results, "pipeline-new", start("pipeline", 10_000_000), {**end, "time": 10_600_000})
    other = start("pipeline", 20_000_000, commit="of another scale", name="default")
    write_journal(results, "pipeline-other", other, {**end, "time": 20_600_000})
    write_journal(results, "train-1", start("train", 10_100_000, "pipeline-new"), {**end, "time": 10_200_000})
    reference = results / "reference"
    reference.mkdir()
    (reference / "stale.txt").write_text("of an older run")
    keep_reference(TINY, results, reference)
    assert (reference / "tables/a.csv").read_text() == "tables"
    assert (reference / "figures/a.csv").read_text() == "figures"
    assert not (reference / "stale.txt").exists()
    about = json.loads((reference / "about.json").read_text())
    assert (about["commit"], about["uncommitted_changes"], about["scale"]) == ("abc", "false", "tiny")
    assert about["pipeline_runs"] == [{"stages": 1, "minutes": 10.0}]


def test_without_a_finished_pipeline_nothing_is_touched(results):
    reference = results / "reference"
    write_journal(results, "pipeline-new", start("pipeline", 0), {"event": "end", "time": 1, "status": "FAILED"})
    with pytest.raises(UserError, match=r"no finished pipeline run; make one with: snakemake .* scale=tiny"):
        keep_reference(TINY, results, reference)
    assert not reference.exists()


def test_without_figures(results, tmp_path):
    (results / "tiny/figures/a.csv").unlink()
    (results / "tiny/figures").rmdir()
    with pytest.raises(UserError, match=r"figures: not there; make it with: snakemake .* scale=tiny -- results/"):
        keep_reference(TINY, results, tmp_path / "reference")
