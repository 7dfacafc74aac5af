"""The numbers of docs/agreement.md: those that follow from a formula are computed again, the others are checked."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from rich.table import Table

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def agreement() -> ModuleType:
    spec = importlib.util.spec_from_file_location("agreement", PROJECT / "benchmarks" / "agreement.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page() -> str:
    return (PROJECT / "docs" / "agreement.md").read_text(encoding="utf-8")


def rows(function: Callable[..., None], *arguments: object) -> dict[str, str]:
    """What a function adds to the table: the value of each row, by what it is."""
    table = Table("difference", "what", "value")
    function(table, *arguments)
    _, what, value = (list(column.cells) for column in table.columns)
    return dict(zip(map(str, what), map(str, value), strict=True))


@pytest.fixture(scope="module")
def formulas(agreement: ModuleType) -> dict[str, dict[str, str]]:
    names = ("bases", "schedule_eps", "float32_entropy", "correctors", "idle_batches")
    return {name: rows(getattr(agreement, name)) for name in names}


def test_rows_by_formula_stand_in_the_page(formulas: dict[str, dict[str, str]], page: str) -> None:
    for found in formulas.values():
        assert found
        for what, value in found.items():
            assert f"| {what} | {value} |" in page


def test_values_told_in_the_tables_of_the_page(formulas: dict[str, dict[str, str]], page: str) -> None:
    told = page.partition("## Numbers")[0]
    assert formulas["schedule_eps"]["perplexity 22.98 is reported as"] in told
    for value in formulas["float32_entropy"].values():
        assert value.split(", ")[1] in told
    for value in formulas["correctors"].values():
        assert all(part in told for part in value.split(", "))
    for value in formulas["idle_batches"].values():
        assert value in told
    (wrong,) = formulas["bases"].values()
    assert wrong.count("(") == 5
    assert all(pair.partition(", ")[0] in told for pair in wrong.split("(")[1:])


def test_the_formula_of_float32_draws_is_that_of_float32_draws(agreement: ModuleType) -> None:
    """The race of one token and the mask in numbers of 8 bits, with every pair gone through."""
    bits, ratio = 8, 0.02
    noise = -np.log(np.arange(1, 2**bits) / 2**bits)  # all but an infinite one
    wins = (noise[:, None] < ratio * noise).mean()
    step, agreement.STEP = agreement.STEP, 2.0**-bits
    try:
        expected = ratio * float(agreement.kept(np.full(1, ratio))[0])
    finally:
        agreement.STEP = step
    assert wins == pytest.approx(expected, rel=0.05)
    assert wins < 0.95 * ratio


def test_uniform_float32_numbers_have_the_step(agreement: ModuleType) -> None:
    numbers = torch.rand(2**20, generator=torch.Generator().manual_seed(0))
    assert 0 < 1 - float(numbers.max().double()) < 2.0**-16
    assert torch.equal((numbers.double() / agreement.STEP).frac(), torch.zeros(2**20, dtype=torch.float64))


def test_the_product_of_means_is_too_large(agreement: ModuleType, page: str) -> None:
    right, theirs = map(float, rows(agreement.mean_times_weight, np.random.default_rng(1)).values())
    assert right == pytest.approx(1.0, abs=0.02)
    assert theirs == pytest.approx(4.31, abs=0.1)
    assert "4.313 times" in page


def test_the_grid_becomes_uneven(agreement: ModuleType) -> None:
    found = list(rows(agreement.drifting_grid, np.random.default_rng(1)).values())
    gaps, spreads = zip(*(map(float, value.split(", ")) for value in found[:3]), strict=True)
    assert gaps[0] < gaps[1] < gaps[2]
    even, independent = map(float, found[3:])
    assert even <= spreads[0] < spreads[1] < spreads[2] < independent
    assert spreads[2] > 0.4 * independent
