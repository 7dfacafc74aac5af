"""`mdm-prime ui` and Debian's chromium: what a person sees. Screenshots are kept in build/ui/.

Tests that look are marked `browser`. Without a browser they are left out, and one line at the end says so; where CI or
MDM_PRIME_BROWSER=1 is set they fail instead.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PICTURES = Path(__file__).parents[1] / "build" / "ui"
MISSING = "no browser; to have it, on Debian: apt install chromium fonts-dejavu-core"
WINDOW = (1600, 1000)  # pixels of an ordinary screen
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


def is_left_out() -> bool:
    """Whether tests that need a browser are skipped here."""
    demanded = os.environ.get("CI") or os.environ.get("MDM_PRIME_BROWSER") == "1"
    return not demanded and shutil.which("chromium") is None


def look(address: str, name: str) -> str:
    """The text of a page once it is drawn; keeps a screenshot by this name. Fails where there is no browser."""
    return text_of(drawn(address, name))


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<(style|script).*?</\1>", " ", page)))


def drawn(address: str, name: str) -> str:
    """A page as HTML."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.fail(MISSING)
    PICTURES.mkdir(parents=True, exist_ok=True)
    picture = PICTURES / f"{name}.png"
    picture.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as profile:  # a person's first visit
        places = [f"--user-data-dir={profile}", f"--screenshot={picture}", "--virtual-time-budget=30000"]
        command = [browser, *OPTIONS, f"--window-size={WINDOW[0]},{WINDOW[1]}", *places, "--dump-dom", address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert picture.stat().st_size > 10_000, done.stderr
    return done.stdout


@contextmanager
def serving(results: Path, port: int) -> Iterator[list[str]]:
    """The addresses that `mdm-prime ui` prints, while it serves; nothing is left of it afterwards."""
    command = [sys.executable, "-m", "mdm_prime.cli.main", "--results", str(results), "ui", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            lines = [process.stdout.readline() for _ in range(3)]
            yield [address for line in lines for address in re.findall(r"http://\S+", line)]
        finally:
            process.terminate()
    assert process.returncode == 0
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=60)
