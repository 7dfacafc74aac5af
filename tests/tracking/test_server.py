"""`mdm-prime ui` without a browser: what it serves, to whom, and what it refuses."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest
from mlflow_store import free_port

from browser import serving
from mdm_prime import tracking
from mdm_prime.errors import UserError


def test_ui_lists_the_runs_on_this_machine_only(small_results: Path) -> None:
    port = free_port()
    with serving(small_results, port) as addresses:
        address = re.fullmatch(rf"http://127\.0\.0\.1:{port}/#/experiments/(\w+)/runs\S+", addresses[0])
        assert address, addresses
        with urllib.request.urlopen(addresses[0], timeout=300) as page:  # noqa: S310
            assert "<title>MLflow</title>" in page.read().decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/runs/search",
            json.dumps({"experiment_ids": [address.group(1)]}).encode(),
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


def test_ui_without_runs_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="holds no run; make some with: snakemake --cores all --config scale=tiny -- results/tables/"
    ):
        tracking.ui(tmp_path, 5000, "tiny")


def test_ui_names_a_server_that_is_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://example.org")
    with pytest.raises(UserError, match="open its address in a browser"):
        tracking.ui(tmp_path, 5000, "tiny")
