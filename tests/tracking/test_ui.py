"""`mdm-prime ui`: what it serves, to whom, what it refuses, and what a person sees of it in a browser (build/ui/)."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import small_runs
from mlflow_store import free_port, search

from browser import drawn, look, serving, text_of
from mdm_prime import tracking
from mdm_prime.errors import UserError

in_a_browser = pytest.mark.browser
TABLE = 935  # pixels of the table in a window of 1600, beside the menu and the pane of the assistant


@pytest.fixture(scope="module")
def ids(small_results: Path) -> dict[str, str]:
    return {run["name"]: run["id"] for run in search(f"sqlite:///{small_results / 'mlflow.db'}")}


@pytest.fixture(scope="module")
def printed(small_results: Path) -> Iterator[list[str]]:
    with serving(small_results, free_port()) as addresses:
        yield addresses


@pytest.fixture(scope="module")
def experiment(printed: list[str]) -> str:
    return printed[0].partition("/runs")[0]


def test_ui_lists_the_runs_on_this_machine_only(small_results: Path, printed: list[str]) -> None:
    address = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/#/experiments/(\w+)/runs\S+", printed[0])
    assert address, printed
    port = int(address.group(1))
    with urllib.request.urlopen(printed[0], timeout=300) as page:  # noqa: S310
        assert "<title>MLflow</title>" in page.read().decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/runs/search",
        json.dumps({"experiment_ids": [address.group(2)]}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=300) as answer:  # noqa: S310
        assert len(json.load(answer)["runs"]) == 11
    listening = re.findall(rf"(\w+):{port:04X} 00000000:0000 0A", Path("/proc/net/tcp").read_text())
    assert listening == ["0100007F"]
    assert f":{port:04X} 0000" not in Path("/proc/net/tcp6").read_text()
    with pytest.raises(UserError, match=f"port {port}: cannot be used"):
        tracking.ui(small_results, port, "tiny")
    assert not (small_results / "mlartifacts" / "mlartifacts").exists()
    assert not (small_results / "mlruns").exists()


@pytest.mark.parametrize(("host", "answer"), [("localhost:8000", 200), ("192.168.1.5", 403), ("evil.example", 403)])
def test_only_names_of_this_machine_are_answered(printed: list[str], host: str, answer: int) -> None:
    """A page elsewhere whose name leads here (DNS rebinding) gets nothing; a tunnel has a port of its own."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(printed[0]).netloc, timeout=300)
    with contextlib.closing(connection):
        connection.request("GET", "/", headers={"Host": host})
        assert connection.getresponse().status == answer


def test_ui_without_runs_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="make some with: snakemake --cores all --config scale=tiny -- results/tables/"):
        tracking.ui(tmp_path, 5000, "tiny")


def test_ui_names_a_server_that_is_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://example.org")
    with pytest.raises(UserError, match="open its address in a browser"):
        tracking.ui(tmp_path, 5000, "tiny")


@in_a_browser
def test_the_page_of_runs_lists_them(printed: list[str], ids: dict[str, str]) -> None:
    text = look(printed[0], "runs")
    assert len(ids) == 11
    for name in ids:
        assert name in text
    assert "11 matching runs" in text
    for column in ("num_subtokens", "model", "scale", "seed", "ppl_bound"):
        assert f" {column} " in text
    assert " masked " in text


@in_a_browser
def test_the_page_of_losses_has_both_for_every_model_on_the_screen(printed: list[str]) -> None:
    page = drawn(printed[1], "losses")
    text = text_of(page)
    assert "4 matching runs" in text
    for ell, losses in small_runs.LOSSES.items():
        assert f"evaluate text/l{ell}/seed0" in text
        for loss in losses:
            assert f"{math.exp(loss):.6f}"[:8] in text  # the page shows all digits
    assert " 2.25 2.125 " in text
    (pinned,) = re.findall(r'class="ag-pinned-left-header[^>]*"width: (\d+)px', page)
    for name in ("ppl_bound", "published_loss_ppl", "bpd_bound", "bpd_published"):
        (cell,) = re.findall(rf'<div class="ag-header-cell [^>]*col-id="metrics.`{name}`"[^>]*>', page)
        left, width = (int(re.findall(rf"{what}: (\d+)px", cell)[0]) for what in ("left", "width"))
        assert int(pinned) + left + width <= TABLE, name


@in_a_browser
def test_a_run_shows_its_metrics_parameters_and_tags(experiment: str, ids: dict[str, str]) -> None:
    text = look(f"{experiment}/runs/{ids['evaluate text/l2/seed0']}", "run")
    for name, value in (("nelbo", "5.95"), ("joint_loss", "5.7"), ("num_subtokens", "2"), ("num_samples", "256")):
        assert f" {name} {value} " in text
    assert "Parent run pipeline smoke" in text
    assert re.search(r"git\.commit\s*: (?:[0-9a-f]{40}|unknown)", text)
    text = look(f"{experiment}/runs/{ids['train text/l2/seed0']}", "training")
    assert re.search(r"weights\.path\s*: ", text)
    assert re.search(r"weights\.sha256\s*: [0-9a-f]{64}", text)


@in_a_browser
def test_a_training_has_charts(experiment: str, ids: dict[str, str]) -> None:
    text = look(f"{experiment}/runs/{ids['train text/l2/seed0']}/model-metrics", "metrics")
    assert "Model metrics (2)" in text


@in_a_browser
def test_artifacts_are_shown(experiment: str, ids: dict[str, str]) -> None:
    pipeline = f"{experiment}/runs/{ids['pipeline smoke']}/artifacts"
    text = look(f"{pipeline}/figures/text_samples.png", "figure")
    for name in ("figures", "tables", "smoke.yaml", "config.json"):
        assert f" {name} " in text
    text = look(f"{pipeline}/config.json", "config")
    assert re.search(r'"weight_decay"\s*:\s*0\.01', text)
    text = look(f"{experiment}/runs/{ids['sample text/l4/seed0']}/artifacts/samples.txt", "samples")
    assert "Return the value, in 4 sub-tokens." in text


@in_a_browser
def test_three_models_compared(experiment: str, ids: dict[str, str]) -> None:
    names = [f"evaluate text/l{ell}/seed0" for ell in small_runs.LOSSES]
    chosen = urllib.parse.urlencode({"runs": json.dumps([ids[name] for name in names]), "experiments": '["1"]'})
    text = look(f"{experiment.partition('#')[0]}#/compare-runs?{chosen}", "compare")
    for name in (*names, "num_subtokens", "nelbo", "joint_loss", "ppl_bound", "published_loss_ppl"):
        assert name in text
    for losses in small_runs.LOSSES.values():
        for loss in losses:
            assert f" {loss:g} " in text
