"""A result file is whole or not there."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import sys
from math import inf, nan
from pathlib import Path

import pytest

from mdm_prime import files
from mdm_prime.errors import UserError


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "table.csv"
    with files.replacing(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".csv"  # writers that look at the suffix do not add one
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_old_file_and_nothing_else(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write() -> None:
        with files.replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    command = (
        "import os, signal, sys; from mdm_prime import files\n"
        "with files.replacing(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", command, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert not [other for other in tmp_path.glob("*") if other != path and not other.name.startswith(".")]


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with files.replacing(path) as first, files.replacing(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # the outer block ends last


def test_a_target_that_is_a_folder_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "table.csv").mkdir()
    with pytest.raises(OSError, match=r"table\.csv"):
        files.write_text(tmp_path / "table.csv", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_the_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "a", "text")
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_text_is_utf_8(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a", "\N{GREEK SMALL LETTER ALPHA}\n")
    assert (tmp_path / "a").read_bytes() == b"\xce\xb1\n"


def test_json_comes_back_in_its_order(tmp_path: Path) -> None:
    value = {"b": 0.1 + 0.2, "a": [1, None, "\N{GREEK SMALL LETTER ALPHA}"]}
    files.write_json(tmp_path / "a.json", value)
    again = files.read_json(tmp_path / "a.json")
    assert again == value
    assert list(again) == ["b", "a"]
    assert (tmp_path / "a.json").read_bytes().endswith(b"}\n")


@pytest.mark.parametrize("value", [nan, inf])
def test_json_has_no_number_that_other_readers_refuse(value: float, tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"loss": value})
    assert files.read_json(tmp_path / "a.json") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_unreadable_json_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(
        UserError, match=r"a\.json: cannot be read \(No such file .*make it with: snakemake --cores all"
    ):
        files.read_json(path)
    path.write_text('{"a": ')
    with pytest.raises(UserError, match=r"a\.json: not JSON .* delete it and run the pipeline again"):
        files.read_json(path)
    path.write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"a\.json: not JSON"):
        files.read_json(path)


def test_sha256(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(content)
    assert files.sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()
