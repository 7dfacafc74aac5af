"""Who has Snakemake's lock."""

import subprocess
import sys
from pathlib import Path

import pytest

from mdm_prime.engines import lock


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="no /proc")
def test_a_running_snakemake_is_seen_in_its_folder_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "snakemake").write_text("print(flush=True); input()")
    for folder, seen in ((tmp_path, True), (tmp_path / "other", False)):
        command = [sys.executable, str(tmp_path / "snakemake")]
        with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            assert lock.running() == (process.pid if seen else None)
            process.communicate("\n")
