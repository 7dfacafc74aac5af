"""tables/NAME.json: what a table is, beside its rows in csv."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

from mdm_prime.results.base import Result


class TableFile(Result):
    """No time, machine or commit, so that equal inputs give equal bytes; a table adds keys of its own."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Any]
    table: str
    scale: str
    title: str
    caption: str
    columns: dict[str, str]
    notes: list[str]
    inputs: list[str]
