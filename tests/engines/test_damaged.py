"""A stage does not begin on a file that is not as its stage made it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdm_prime import files
from mdm_prime.cli.main import main
from mdm_prime.engines.made import Made
from mdm_prime.engines.stages import stages
from mdm_prime.experiment import config
from mdm_prime.results.made import Begun

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
    for words in (["idle-steps"], ["data", "toy"]):
        assert main(["--params", str(PARAMS), "--results", str(results), *words]) == 0
    every = stages(config.load(PARAMS))  # a table needs all runs; here it has text in their place, and its record
    made = Made(results / "smoke", every, {})
    table = next(found for found in made.repetitions if found.command == "table idle_steps")
    for output in table.outputs:
        files.write_text(results / "smoke" / output, f"{output}\n")
    made.finish(table, Begun(command=table.command, values={}, inputs={}, outside={}))
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
    assert main(["--params", str(PARAMS), "--results", str(results), "idle-steps"]) == 0
    assert path.read_bytes() == before
