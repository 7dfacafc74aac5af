"""A forked command is to its caller as the command itself."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import forked

TELL = """
import os, sys
print(sys.argv, os.getcwd(), os.environ["A"], os.getppid(), sys.stdin.read(), "mlflow" in sys.modules, sys.path[0])
print("an error", file=sys.stderr)
"""


def call(code: str, *arguments: str, folder: Path, **options: object) -> subprocess.Popen[str]:
    python = str(forked.commands("python") / "python")
    environment = {**os.environ, "A": "b", "PYTHONPATH": "/elsewhere"}
    pipe = subprocess.PIPE
    return subprocess.Popen(  # type: ignore[call-overload]
        [python, "-c", code, *arguments], cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True,
        **options,
    )  # fmt: skip


def test_it_has_what_it_was_given(tmp_path: Path) -> None:
    said = call(TELL, "1", "x y", folder=tmp_path).communicate("input")
    expected = f"['-c', '1', 'x y'] {tmp_path} b {os.getpid()} input True /elsewhere\n"
    assert said == (expected, "an error\n")


@pytest.mark.parametrize("status", [0, 2, -signal.SIGTERM])
def test_it_ends_as_it_ends(status: int, tmp_path: Path) -> None:
    code = f"import os, sys; sys.exit({status}) if {status} >= 0 else os.kill(os.getpid(), {-status})"
    process = call(code, folder=tmp_path)
    process.communicate()
    assert process.returncode == status


def test_it_holds_a_lock_that_it_was_handed_until_it_lets_go(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        number = file.fileno()
        code = "import os, sys; print(flush=True); sys.stdin.readline(); os.close(int(sys.argv[1])); input()"
        process = call(code, str(number), folder=tmp_path, pass_fds=[number])
    assert process.stdin
    assert process.stdout
    process.stdout.readline()
    with (tmp_path / "lock").open("w") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        process.stdin.write("\n")
        process.stdin.flush()
        fcntl.flock(file, fcntl.LOCK_EX)  # returns
    process.communicate("\n")
    assert process.returncode == 0


def test_it_is_killed_with_its_client(tmp_path: Path) -> None:
    process = call("import os, time; print(os.getpid(), flush=True); time.sleep(100)", folder=tmp_path)
    assert process.stdout
    forked_id = int(process.stdout.readline())
    process.kill()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{forked_id}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.communicate()


def test_this_project_is_imported_anew_from_where_it_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "mdm_prime.py").write_text("WHERE = 'here'")
    code = "import sys; sys.path.insert(0, '.'); import mdm_prime; print(mdm_prime.WHERE)"
    assert call(code, folder=tmp_path).communicate()[0] == "here\n"


def test_without_a_server_it_is_the_command_itself() -> None:
    done = subprocess.run([forked.commands() / "python", "--version"], capture_output=True, text=True)
    assert done.stdout == f"Python {sys.version.split()[0]}\n"
