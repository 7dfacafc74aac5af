"""A result file is whole or not there."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from math import inf, nan
from pathlib import Path

import numpy as np
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


def on_a_small_disk(tmp_path: Path, code: str, size: int = 4096) -> subprocess.CompletedProcess[str]:
    """Runs code with `path` in a process whose files stop growing at `size` bytes, as on a disk that is full.

    The kernel then takes a part of a write and refuses the next one, whoever runs the test.
    """
    head = (
        "import resource, signal, sys; from pathlib import Path; import numpy as np; from mdm_prime import files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
        "path = Path(sys.argv[1])\n"
    )
    call = [sys.executable, "-c", head + code, str(tmp_path / "train.npy")]
    return subprocess.run(call, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "code",
    [
        "files.save_array(path, np.arange(4000, dtype=np.uint8))",  # 128 bytes of header: a flush of 4,128
        "files.save_array(path, np.arange(5000, dtype=np.int64))",
        "files.save_arrays(path, a=np.arange(5000))",
        "files.write_text(path, 'x' * 4097)",
        "files.write_json(path, ['x'] * 4000)",
        "with files.replacing(path) as temporary, temporary.open('wb') as file: file.write(bytes(4097))",
    ],
)
def test_a_full_disk_leaves_the_old_file_and_is_said_with_its_name(code: str, tmp_path: Path) -> None:
    path = tmp_path / "train.npy"
    path.write_bytes(b"old")
    done = on_a_small_disk(tmp_path, code)
    assert done.stderr.splitlines()[-1] == f"OSError: [Errno 27] File too large: '{path}'"
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_small_disk_takes_what_fits(tmp_path: Path) -> None:
    done = on_a_small_disk(tmp_path, "files.save_array(path, np.arange(3968, dtype=np.uint8))")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "train.npy").stat().st_size == 4096
    assert files.load_array(tmp_path / "train.npy")[-1] == 3967 % 256


def test_numpy_alone_would_lose_the_end_of_an_array(tmp_path: Path) -> None:
    """So that the test above could fail: numpy hears nothing of a flush that did not fit."""
    done = on_a_small_disk(tmp_path, "np.save(path, np.arange(4000, dtype=np.uint8))")
    assert done.returncode == 0
    assert (tmp_path / "train.npy").stat().st_size == 4096


def test_another_file_is_not_taken_for_the_one_that_is_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="corpus"), files.replacing(tmp_path / "a"):
        (tmp_path / "corpus").read_text()
    with pytest.raises(ConnectionError, match="hub"), files.replacing(tmp_path / "a"):
        raise ConnectionError("hub")


def test_file_and_folder_are_on_the_disk_before_the_block_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[bool, bool]] = []
    path = tmp_path / "a"
    monkeypatch.setattr(
        os, "fsync", lambda handle: synced.append((stat.S_ISDIR(os.fstat(handle).st_mode), path.exists()))
    )
    files.write_text(path, "x")
    assert synced == [(False, False), (True, True)]  # the content before the name


def test_what_a_killed_writer_left_is_removed_and_what_is_written_is_not(tmp_path: Path) -> None:
    path = tmp_path / "seed0.csv"
    (tmp_path / ".seed0-abcd1234.csv").write_text("half")
    others = [".seed1-abcd1234.csv", ".seed0-abcd1234.json", ".seed0-abcd.csv", "seed0-abcd1234.csv"]
    for name in others:
        (tmp_path / name).write_text("kept")
    with files.replacing(path) as other:
        files.write_text(path, "first")
        assert other.exists()
        other.write_text("second")
    assert path.read_text() == "second"
    assert {file.name for file in tmp_path.iterdir()} == {*others, "seed0.csv"}


READERS = {
    "json": (files.read_json, "not JSON"),
    "npy": (files.load_array, "no array"),
    "npz": (files.load_arrays, "no arrays"),
}


@pytest.mark.parametrize("suffix", READERS)
def test_every_cut_and_every_other_file_is_one_line(suffix: str, tmp_path: Path) -> None:
    read, problem = READERS[suffix]
    path = tmp_path / f"a.{suffix}"
    files.write_json(tmp_path / "a.json", {"rows": [1, 2.5]})
    files.save_array(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    files.save_arrays(tmp_path / "a.npz", first=np.arange(6), second=np.ones(2))
    whole = path.read_bytes()
    read(path)
    cuts = [whole[:size] for size in {0, 1, 5, 40, 100, len(whole) // 2, len(whole) - 3} if size < len(whole) - 2]
    for content in (*cuts, b"\xff\xfe", b"PK\x03\x04", b"\x93NUMPY", b"null text", b"\x80\x04N."):
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"a\.{suffix}: {problem} .*run the pipeline again: snakemake") as error:
            read(path)
        assert "\n" not in str(error.value)
    path.unlink()
    with pytest.raises(UserError, match=r"cannot be read \(No such file or directory\); make it with: snakemake"):
        read(path)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "[" * 100_000, "9" * 5000, "[1] 2"])
def test_json_that_nothing_here_writes_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=r"a\.json: not JSON \("):
        files.read_json(tmp_path / "a.json")


@pytest.mark.parametrize("read", [files.read_json, files.load_array, files.load_arrays, files.sha256_of])
def test_a_fifo_and_a_device_are_refused_at_once(read: Callable[[Path], object], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(UserError, match="is a device, a FIFO or a socket; give a file"):
            read(path)
