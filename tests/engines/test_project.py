"""results/tables shows the scale that was made last, also where stages side by side say so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

AGAIN_AND_AGAIN = """
import sys
from pathlib import Path
from types import SimpleNamespace
from mdm_prime.engines import show

for number in range(200):
    show(SimpleNamespace(scale=f"{sys.argv[2]}{number % 2}"), Path(sys.argv[1]))
"""


def test_two_stages_at_once_may_set_the_links(tmp_path: Path) -> None:
    command = [sys.executable, "-c", AGAIN_AND_AGAIN, str(tmp_path)]
    both = [subprocess.Popen([*command, name], stderr=subprocess.PIPE, text=True) for name in "ab"]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures", "tables"]
    assert (tmp_path / "tables").readlink().parts[1] == "tables"
