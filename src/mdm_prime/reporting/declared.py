"""What a table or figure says of itself, and how the files that say it are found.

A table is a file tables/NAME.py with `TABLE = DeclaredTable(...)`, a figure a file figures/NAME.py with
`FIGURE = DeclaredFigure(...)`. Nothing else lists them. Importing one loads neither pandas nor matplotlib nor torch.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mdm_prime.errors import UserError
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.reporting.columns import Column
from mdm_prime.reporting.records import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLES, FIGURES, CLAIMS = (f"{__package__}.{kind}" for kind in ("tables", "figures", "claims"))

CLAIMS_CATEGORY, BOUND, TEXT, IMAGES, TOY, IDLE, RUN = (  # of the report; Snakemake sorts them by name
    "1 Claims",
    "2 Bound or not",
    "3 Text",
    "4 Images",
    "5 Toy in two dimensions",
    "6 Idle steps",
    "7 This run",
)
NOT_IN_PAPER = "not in the paper"

Metrics = Mapping[tuple[str, str], Mapping[str, Any]]  # by task and variant: name -> number, or names -> numbers


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What the report says of a table or figure, and what it is made from.

    Attributes:
        label: its name in the report, the only one in its category.
        category: one of those above, or another.
        paper: figure or table of arXiv 2505.18495, its errata note, or NOT_IN_PAPER.
        caption: how to read it, in reStructuredText, without numbers of a run.
        needs: the files that it is made from, of a scale's parameters; none where it has nothing to show.
    """

    label: str
    category: str
    paper: str
    caption: str
    needs: Callable[[Config], list[Files]]

    def applies(self, config: Config) -> bool:
        """Whether a scale has what it shows."""
        return bool(self.needs(config))

    @property
    def labels(self) -> dict[str, str]:
        """The columns of Snakemake's list of results. The first is unique in its category, as Snakemake needs it."""
        return {"result": self.label, "paper": self.paper}


@dataclass(frozen=True)
class Content:
    """What is computed of a table.

    Attributes:
        rows: cells by column name; one that is missing is empty.
        summary: instead of the declared one.
        notes: before the declared ones.
        extra: more for the json file, such as the corpus.
    """

    rows: list[Row]
    summary: str = ""
    notes: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DeclaredTable(Declared):
    """A table.

    Attributes:
        title: one line above it.
        summary: a sentence below the title: what is measured, on what.
        columns: in order.
        notes: below the table: how to read it, and what not to read into it.
        keys: columns that tell its rows apart.
        build: its content from the parameters and the scale's folder. Raises UserError for an unreadable input.
        metrics: headline numbers of its rows, for `dvc metrics`; None: it has none.
        parts: packages whose every module takes part in it, beside its own file.
    """

    title: str
    summary: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    build: Callable[[Config, Path], Content]
    notes: tuple[str, ...] = ()
    metrics: Callable[[list[Row]], Metrics] | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DeclaredFigure(Declared):
    """A figure; `draw` makes it from the parameters and the scale's folder, inside drawing.style()."""

    draw: Callable[[Config, Path], Figure]


D = TypeVar("D", bound=Declared)


def tables() -> dict[str, DeclaredTable]:
    """Every table by name."""
    return {name: _declared(TABLES, name, "TABLE", DeclaredTable) for name in names(TABLES)}


def figures() -> dict[str, DeclaredFigure]:
    """Every figure by name."""
    return {name: _declared(FIGURES, name, "FIGURE", DeclaredFigure) for name in names(FIGURES)}


def table(name: str) -> DeclaredTable:
    """Raises UserError for an unknown name."""
    return _declared(TABLES, _known(TABLES, name), "TABLE", DeclaredTable)


def figure(name: str) -> DeclaredFigure:
    """Raises UserError for an unknown name."""
    return _declared(FIGURES, _known(FIGURES, name), "FIGURE", DeclaredFigure)


@cache
def names(package: str) -> tuple[str, ...]:
    """The files of a package, by their stems, in alphabetical order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(import_module(package).__path__)))


def _known(package: str, name: str) -> str:
    if name not in names(package):
        kind = package.rpartition(".")[2].removesuffix("s")
        raise UserError(f"{kind} {name!r} is unknown; allowed: {', '.join(names(package))}")
    return name


def _declared(package: str, name: str, attribute: str, kind: type[D]) -> D:
    found = getattr(import_module(f"{package}.{name}"), attribute, None)
    if not isinstance(found, kind):
        raise TypeError(f"{package}.{name}: needs {attribute} = {kind.__name__}(...)")
    return found
