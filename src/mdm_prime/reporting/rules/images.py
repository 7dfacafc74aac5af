"""Rules about the quality of images (Tables 3 and 4), on the table image_quality.

A FID counts where data set, model, network evaluations and carry-over are the paper's: a distance on other images or
features decides nothing about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from math import nan
from statistics import fmean, stdev
from typing import Any

from mdm_prime.reporting import published
from mdm_prime.reporting.images import comparable_rows
from mdm_prime.reporting.records import Row, number
from mdm_prime.reporting.verdicts import (
    NOT_TESTABLE,
    NOTHING,
    REFUTED,
    REPRODUCED,
    Comparison,
    Estimate,
    Finding,
    Tables,
    agrees,
    all_below,
    compare,
    rows,
)

EVIDENCE = "image_quality"
PRECISE = 0.05  # share of the value: a wider agreement says nothing
TWO = ("MDM-Prime", 2)  # the model of sub-tokens that the paper compares with others


@dataclass(frozen=True)
class FidAgrees:
    """Our FID of l = 2 is the paper's."""

    dataset: str

    def __call__(self, tables: Tables) -> Finding:
        ours = _ours(tables, self.dataset)
        verdict = agrees(ours, two(self.dataset)["fid"], PRECISE) if ours else NOT_TESTABLE
        return Finding(_text(ours, self.dataset), verdict)


@dataclass(frozen=True)
class FidBelow:
    """Our FID of l = 2 lies below every one of some published FIDs."""

    dataset: str
    rivals: tuple[float, ...]

    def __call__(self, tables: Tables) -> Finding:
        ours = _ours(tables, self.dataset)
        comparisons = [compare(ours, Estimate(fid)) for fid in self.rivals] if ours else []
        return Finding(_text(ours, self.dataset), all_below(comparisons))


@dataclass(frozen=True)
class FidBelowModel:
    """Our FID of l = 2 lies below our FID of another model of the paper, at its number of network evaluations."""

    dataset: str
    rival: str

    def __call__(self, tables: Tables) -> Finding:
        other = next(row for row in headline(self.dataset) if (row["model"], row["num_subtokens"]) == (self.rival, 1))
        ours, theirs = _ours(tables, self.dataset), estimate(other, rows(tables, EVIDENCE))
        if not (ours and theirs):
            return Finding(f"none: no FID of both on {self.dataset}", NOT_TESTABLE)
        return Finding(f"{ours.text(2)} against {theirs.text(2)}", all_below([compare(ours, theirs)]))


@dataclass(frozen=True)
class InceptionScoreHighest:
    """Our Inception score of l = 2 lies above those of the other models of the paper."""

    dataset: str

    def __call__(self, tables: Tables) -> Finding:
        table, rivals = rows(tables, EVIDENCE), others(self.dataset)
        score = estimate(two(self.dataset), table, "inception_score")
        theirs = {row["model"]: ours for row in rivals if (ours := estimate(row, table, "inception_score"))}
        if score is None or len(theirs) < len(rivals):
            return Finding(f"none: no Inception score of all three on {self.dataset}", NOT_TESTABLE)
        listed = ", ".join(f"{ours.text(2)} ({model})" for model, ours in theirs.items())
        verdict = all_below(compare(ours, score) for ours in theirs.values())
        return Finding(f"{score.text(2)} against {listed}", verdict)


@dataclass(frozen=True)
class LowestAtEqualEvaluations:
    """Our FID of l = 2 lies below that of every other l, at each number of network evaluations that the paper has."""

    def __call__(self, tables: Tables) -> Finding:
        table = rows(tables, EVIDENCE)
        comparisons: list[Comparison] = []
        texts: list[str] = []
        for paper in filter(is_two, by_evaluations()):
            for other in at_equal_evaluations(paper):
                ours, theirs = estimate(paper, table), estimate(other, table)
                if ours and theirs:
                    comparisons.append(compare(ours, theirs))
                    name = f"{subtokens(other)}, {paper['dataset']}"
                    texts.append(f"{ours.text(2)} against {theirs.text(2)} ({name})")
        return Finding(", ".join(texts) or "none: no FID of these sets", all_below(comparisons))


@dataclass(frozen=True)
class FallsWithEvaluations:
    """The distance falls from the fewest to the most network evaluations, of every network, on any images.

    Each network is compared with itself, so no spread over seeds enters. A distance has no standard error here, so that
    each comparison counts by its sign alone; but all must agree.
    """

    def __call__(self, tables: Tables) -> Finding:
        drawn = [row for row in rows(tables, EVIDENCE) if row["nfe"] is not None]
        by_set: dict[str, list[bool]] = {}
        for _, group in groupby(sorted(drawn, key=lambda row: str(_network(row))), key=_network):
            samplers = sorted(group, key=lambda row: float(row["nfe"]))
            fewest, most = samplers[0], samplers[-1]
            if fewest["nfe"] < most["nfe"]:
                falls = by_set.setdefault(f"{most['dataset']} ({most['distance_name']})", [])
                falls.append(bool(most["distance"] < fewest["distance"]))
        if not by_set:
            return NOTHING
        text = "; ".join(
            f"{name}: falls from the fewest to the most for {sum(falls)} of {len(falls)} trained networks"
            for name, falls in by_set.items()
        )
        verdicts = {fall for falls in by_set.values() for fall in falls}
        return Finding(text, NOT_TESTABLE if len(verdicts) > 1 else REPRODUCED if True in verdicts else REFUTED)


# ---- the paper's rows -----------------------------------------------------------------------------------------------


def of_the_paper() -> list[Row]:
    return [row for row in published.read("image_fid") if row["num_subtokens"] is not None]


def headline(dataset: str) -> list[Row]:
    """The models that Tables 3 and 4 compare, which have an Inception score."""
    return [row for row in of_the_paper() if row["dataset"] == dataset and row["inception_score"] is not None]


def two(dataset: str) -> Row:
    """Of these MDM-Prime with l = 2."""
    return next(filter(is_two, headline(dataset)))


def others(dataset: str) -> list[Row]:
    """Of these the others."""
    return [row for row in headline(dataset) if not is_two(row)]


def by_evaluations() -> list[Row]:
    """The values for each l and number of network evaluations, from the official repository."""
    return [row for row in of_the_paper() if row["epochs"] is not None]


def at_equal_evaluations(paper: Row) -> list[Row]:
    """Of these all but l = 2, on the same images with as many network evaluations."""
    equal = ("dataset", "nfe")
    return [row for row in by_evaluations() if not is_two(row) and all(row[key] == paper[key] for key in equal)]


def is_two(row: Row) -> bool:
    return (row["model"], row["num_subtokens"]) == TWO


def subtokens(row: Row) -> str:
    return f"l={row['num_subtokens']}"


# ---- ours -----------------------------------------------------------------------------------------------------------


def estimate(paper: Row, table: Iterable[Row], column: str = "distance") -> Estimate | None:
    """Our FID, or another column, for a row of the paper, of the first way to sample in the table; None without one."""
    for seeds in comparable_rows(paper, list(table))[:1]:
        values = [float(row[column]) for row in seeds]
        errors = [number(row[f"{column}_stderr"]) for row in seeds if f"{column}_stderr" in row]
        return Estimate(fmean(values), max(errors, default=0.0), stdev(values) if len(values) > 1 else nan)
    return None


def _ours(tables: Tables, dataset: str) -> Estimate | None:
    """Our FID for the paper's row of MDM-Prime with l = 2."""
    return estimate(two(dataset), rows(tables, EVIDENCE))


def _text(ours: Estimate | None, dataset: str) -> str:
    return ours.text(2) if ours else f"none: no FID on {dataset}"


def _network(row: Row) -> tuple[Any, ...]:
    """What may be compared over network evaluations: one trained network, drawn from by one kind of sampler."""
    keys = ("dataset", "distance_name", "task", "variant", "seed", "distribution")
    return (*(row.get(key) for key in keys), str(row["sampler"]).split("-")[0])
