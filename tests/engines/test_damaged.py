"""A stage does not begin on a file that is not as its stage made it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdm_prime.cli.main import main

PARAMS = Path(__file__).parents[2] / "params" / "smoke.yaml"


def flip(path: Path) -> bytes:
    """Changes the last bit of a file's middle, as a disk does: size and time stay. Returns what it was."""
    before, times = path.read_bytes(), path.stat()
    content = bytearray(before)
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return before


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("damaged") / "results"
    for words in (["idle-steps"], ["table", "idle_steps"], ["data", "toy"]):
        assert main(["--params", str(PARAMS), "--results", str(results), *words]) == 0
    return results


@pytest.mark.parametrize(
    ("file", "stage", "maker"),
    [
        ("idle_steps.json", "table idle_steps", "idle-steps"),
        ("toy/data/train.npy", "train toy/l1/seed0", "data toy"),
        ("toy/data/meta.json", "train toy/l1/seed0", "data toy"),
        ("tables/idle_steps.csv", "keep-reference", "table idle_steps"),
        ("tables/idle_steps.json", "report", "table idle_steps"),
    ],
)
def test_one_flipped_bit_is_a_line_with_the_command_that_makes_the_file(
    file: str, stage: str, maker: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = results / "smoke" / file
    before = flip(path)
    try:
        assert main(["--params", str(PARAMS), "--results", str(results), *stage.split()]) == 2
    finally:
        path.write_bytes(before)
    again = f"make it again: mdm-prime --params {PARAMS} {maker}"
    assert capsys.readouterr().err == f"mdm-prime: {path}: is not as `{maker}` made it; {again}\n"


def test_the_command_mends_it(results: Path) -> None:
    path = results / "smoke" / "idle_steps.json"
    before = flip(path)
    for words in (["idle-steps"], ["table", "idle_steps"]):
        assert main(["--params", str(PARAMS), "--results", str(results), *words]) == 0
    assert path.read_bytes() == before
