"""`mdm-prime ui` and Debian's chromium: what a person sees. Screenshots are kept in build/ui/."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PICTURES = Path(__file__).parents[1] / "build" / "ui"
MISSING = "no browser: these tests need Debian's chromium (apt install chromium fonts-dejavu-core; .ci/run does it)"
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1800,1000")


def look(address: str, name: str) -> str:
    """The text of a page once it is drawn; keeps a screenshot by this name. Fails where there is no browser."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.fail(MISSING)
    PICTURES.mkdir(parents=True, exist_ok=True)
    picture = PICTURES / f"{name}.png"
    picture.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as profile:  # a person's first visit
        places = [f"--user-data-dir={profile}", f"--screenshot={picture}", "--virtual-time-budget=30000"]
        command = [browser, *OPTIONS, *places, "--dump-dom", address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert picture.stat().st_size > 10_000, done.stderr
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<(style|script).*?</\1>", " ", done.stdout)))


@contextmanager
def serving(results: Path, port: int) -> Iterator[list[str]]:
    """The addresses that `mdm-prime ui` prints, while it serves."""
    command = [sys.executable, "-m", "mdm_prime.cli.main", "--results", str(results), "ui", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            lines = [process.stdout.readline() for _ in range(3)]
            yield [address for line in lines for address in re.findall(r"http://\S+", line)]
        finally:
            process.terminate()
