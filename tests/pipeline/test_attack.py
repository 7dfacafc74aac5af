"""A few attacks of the campaign (`make attack` has all of them), and that it sees what it looks for."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import attack
from mdm_prime.engines.made import Made
from mdm_prime.results.base import Result
from mdm_prime.results.made import Record
from project_copy import NOBODYS_RUN

pytestmark = pytest.mark.pipeline


@pytest.fixture(autouse=True)
def _of_nobodys_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NOBODYS_RUN.items():
        monkeypatch.setenv(name, value)


def ends(kind: Callable[[Path], attack.Attack], folder: Path, count: int) -> Iterator[tuple[str, str]]:
    """Of so many attacks, one after the other as they are asked for."""
    made = kind(folder)
    return (attack.outcome(made, random.Random(index)) for index in range(count))  # noqa: S311 (to be repeated)


@pytest.mark.parametrize(
    ("kind", "count"),
    [(attack.params, 15), (attack.checkpoints, 12), (attack.journals, 40)],
    ids=["params", "checkpoints", "journals"],
)
def test_input_of_others(kind: Callable[[Path], attack.Attack], count: int, tmp_path: Path) -> None:
    found = list(ends(kind, tmp_path, count))
    assert [said for how, said in found if how == attack.FAILED] == []
    assert len({how for how, _ in found}) == 1 + (kind is attack.checkpoints)


def test_forged_results(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    kind = partial(attack.forged, scale="tiny")
    found = list(ends(kind, tmp_path / "first", 10))
    assert [said for how, said in found if how == attack.FAILED] == []
    assert attack.REFUSED in {how for how, _ in found}
    of_a_stage = Record.read
    monkeypatch.setattr(Result, "read", classmethod(unchecked))
    monkeypatch.setattr(Record, "read", of_a_stage)
    assert any(how == attack.FAILED for how, _ in ends(kind, tmp_path / "second", 10))


def unchecked(kind: type[Result], path: Path, again: str | None = None) -> Result:
    """What a file holds, taken for good."""
    return kind.model_construct(**json.loads(path.read_text()))


def test_damaged_results(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    kind = partial(attack.results, scale="tiny")
    found = list(ends(kind, tmp_path / "first", 8))
    assert [said for how, said in found if how == attack.FAILED] == []
    monkeypatch.setattr(Made, "damaged", lambda self, paths: None)  # nobody compares
    assert any(how == attack.FAILED for how, _ in ends(kind, tmp_path / "second", 8))
