"""Sixteen stages at once, and sixteen mirrors: every point is in the store, once."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from mdm_prime import tracking
from mdm_prime.tracking import journal, pipeline, store

WRITERS, POINTS = 16, 150
STAGE = """
import sys
from pathlib import Path
from mdm_prime import tracking
results, number, points = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
sys.stdin.readline()  # all at once
with tracking.stage(results, stage="train", name=f"text/l{number}/seed0", params={}, tags={"seed": number}) as run:
    for step in range(points):
        run.metric(step, {"loss": number + step / points, "learning_rate": 0.1})
"""


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, str]:
    """A pipeline of sixteen stages that wrote at the same time, while two mirrors read."""
    (tmp_path / "p.yaml").write_text("")
    results = tmp_path / "results"
    parent = tracking.start_pipeline(results, tmp_path / "p.yaml", "smoke")
    stages = [
        subprocess.Popen(
            [sys.executable, "-c", STAGE, str(results), str(number), str(POINTS)],
            env={**os.environ, tracking.PARENT_RUN: parent},
            stdin=subprocess.PIPE,
        )
        for number in range(WRITERS)
    ]
    mirrors = [pipeline.mirror_process(results) for _ in range(2)]
    for stage in stages:
        assert stage.stdin
        stage.stdin.write(b"\n")
        stage.stdin.flush()
    for stage in stages:
        stage.communicate()
    assert [stage.returncode for stage in stages] == [0] * WRITERS
    assert [process and process.wait(300) for process in mirrors] == [0, 0]
    return results, parent


def points(results: Path) -> Counter[tuple[str, str, int, float]]:
    """How often each point is in the store: run, metric, step, value."""
    query = "SELECT r.name, m.key, m.step, m.value FROM metrics m JOIN runs r ON r.run_uuid = m.run_uuid"
    with closing(sqlite3.connect(results / "mlflow.db")) as database:
        return Counter(database.execute(query).fetchall())


def expected() -> Counter[tuple[str, str, int, float]]:
    names = {number: f"train text/l{number}/seed0" for number in range(WRITERS)}
    steps = [(number, step) for number in range(WRITERS) for step in range(POINTS)]
    losses = [(names[number], "loss", step, number + step / POINTS) for number, step in steps]
    return Counter(losses + [(names[number], "learning_rate", step, 0.1) for number, step in steps])


def test_sixteen_stages_and_sixteen_mirrors_at_once_lose_nothing_and_double_nothing(written: tuple[Path, str]) -> None:
    results, parent = written
    mirrors = [pipeline.mirror_process(results) for _ in range(WRITERS)]
    assert [process and process.wait(300) for process in mirrors] == [0] * WRITERS
    assert points(results) == expected()
    tracking.finish_pipeline(results, parent, "FINISHED")
    assert pipeline.mirror(results, 300)
    assert points(results) == expected()
    assert points(results).total() == WRITERS * POINTS * 2
    assert pipeline.waiting(results) == (0, 0)
    with closing(sqlite3.connect(results / "mlflow.db")) as database:
        names = Counter(name for (name,) in database.execute("SELECT name FROM runs"))
    assert names == Counter(["pipeline smoke", *(f"train text/l{number}/seed0" for number in range(WRITERS))])


def test_what_is_in_the_store_is_not_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.append(tmp_path, "a", "start", stage="s", name="n", parent=None, params={}, tags={})
    store.mirror(tmp_path)
    sent: list[Path] = []
    monkeypatch.setattr(store, "send", sent.append)
    store.mirror(tmp_path)
    assert not sent
    journal.append(tmp_path, "a", "end", status="FINISHED")
    store.mirror(tmp_path)
    assert sent == [tmp_path]
    (tmp_path / "mlflow.db").unlink()
    assert pipeline.waiting(tmp_path) == (1, 0)
