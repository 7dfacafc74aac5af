"""Rules about the quality of images (Tables 3 and 4), on the table image_quality.

A FID counts where data set, model, network evaluations and carry-over are the paper's: a distance on other images or
features decides nothing about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from math import nan
from statistics import fmean, stdev
from typing import Any, NamedTuple

from mdm_prime.reporting import published
from mdm_prime.reporting.images import FID, INDEPENDENT, comparable_rows
from mdm_prime.reporting.records import Row, number
from mdm_prime.reporting.rules.learnt import if_learnt
from mdm_prime.reporting.verdicts import (
    NOT_TESTABLE,
    NOTHING,
    REFUTED,
    REPRODUCED,
    Decision,
    Estimate,
    Finding,
    Tables,
    agrees,
    all_below,
    rows,
    separation,
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
        decision = agrees(ours, two(self.dataset)["fid"], PRECISE) if ours else Decision(NOT_TESTABLE)
        return _if_learnt(Finding(_text(ours, self.dataset), *decision), [two(self.dataset)], tables)


@dataclass(frozen=True)
class FidBelow:
    """Our FID of l = 2 lies below every one of some published FIDs."""

    dataset: str
    rivals: tuple[float, ...]

    def __call__(self, tables: Tables) -> Finding:
        ours = _ours(tables, self.dataset)
        found = [separation(ours, Estimate(fid)) for fid in self.rivals] if ours else []
        return _if_learnt(Finding(_text(ours, self.dataset), *all_below(found)), [two(self.dataset)], tables)


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
        finding = Finding(f"{ours.text(2)} against {theirs.text(2)}", *all_below([separation(ours, theirs)]))
        return _if_learnt(finding, [two(self.dataset), other], tables)


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
        decision = all_below(separation(ours, score) for ours in theirs.values())
        finding = Finding(f"{score.text(2)} against {listed}", *decision)
        return _if_learnt(finding, [two(self.dataset), *rivals], tables)


@dataclass(frozen=True)
class LowestAtEqualEvaluations:
    """Our FID of l = 2 lies below that of every other l, at each number of network evaluations that the paper has."""

    def __call__(self, tables: Tables) -> Finding:
        table = rows(tables, EVIDENCE)
        found: list[float] = []
        texts: list[str] = []
        networks: list[Row] = []
        for paper in filter(is_two, by_evaluations()):
            for other in at_equal_evaluations(paper):
                ours, theirs = estimate(paper, table), estimate(other, table)
                if ours and theirs:
                    found.append(separation(ours, theirs))
                    networks += [paper, other]
                    name = f"{subtokens(other)}, {paper['dataset']}"
                    texts.append(f"{ours.text(2)} against {theirs.text(2)} ({name})")
        finding = Finding(", ".join(texts) or "none: no FID of these sets", *all_below(found))
        return _if_learnt(finding, networks, tables)


@dataclass(frozen=True)
class FallsWithEvaluations:
    """The distance falls from the fewest to the most network evaluations, of every model, on any images.

    Each network is compared with itself: what counts is the mean fall of a model's seeds, and its standard deviation
    over them. A model of one seed decides nothing, but one that rises leaves the others undecided. What must have been
    learnt is asked of the images with the most evaluations.
    """

    def __call__(self, tables: Tables) -> Finding:
        by_set: dict[tuple[str, str], list[Change]] = {}
        for change in _changes(rows(tables, EVIDENCE)):
            by_set.setdefault((change.dataset, change.distance_name), []).append(change)
        found = [self._of(changes, tables) for changes in by_set.values()]
        if not found:
            return NOTHING
        text = "; ".join(finding.our_value for finding in found)
        deciding = [finding for finding in found if finding.verdict != NOT_TESTABLE]
        verdicts = {finding.verdict for finding in deciding}
        margins = [finding.margin for finding in deciding or found if finding.margin is not None]
        return Finding(text, verdicts.pop() if len(verdicts) == 1 else NOT_TESTABLE, min(margins, default=None))

    def _of(self, changes: list[Change], tables: Tables) -> Finding:
        first = changes[0]
        decision = all_below(separation(change.rise, Estimate(0.0)) for change in changes if len(change.rises) > 1)
        single = [change for change in changes if len(change.rises) == 1]
        agreeing = {REPRODUCED: min, REFUTED: max}.get(decision.verdict)  # of single seeds by their sign alone
        if agreeing and any((change.rise.value < 0) != (agreeing is min) for change in single):
            decision = Decision(NOT_TESTABLE, 0.0)
        falls = sum(change.rise.value < 0 for change in changes)
        text = (
            f"{first.dataset} ({first.distance_name}): falls from the fewest to the most for {falls} of {len(changes)} "
            f"models, {len(changes) - len(single)} of them with several seeds"
        )
        baselines = rows(tables, EVIDENCE, model=INDEPENDENT, dataset=first.dataset, distance_name=first.distance_name)
        networks = {change.variant: change.most for change in changes}
        return if_learnt(Finding(text, *decision), networks, baselines, "distance")


class Change(NamedTuple):
    """What a model's distance does from the fewest to the most network evaluations, for each of its seeds."""

    dataset: str
    distance_name: str
    variant: str
    rises: list[float]
    most: Estimate  # the distance with the most evaluations

    @property
    def rise(self) -> Estimate:
        return _over_seeds(self.rises)


def _changes(table: Iterable[Row]) -> list[Change]:
    """Of every model and kind of sampler with several numbers of network evaluations."""
    drawn = sorted((row for row in table if row["nfe"] is not None), key=lambda row: str(_drawn_alike(row)))
    found = []
    for _, group in groupby(drawn, key=_drawn_alike):
        by_seed: dict[object, list[Row]] = {}
        for row in sorted(group, key=lambda row: float(row["nfe"])):
            by_seed.setdefault(row["seed"], []).append(row)
        ends = [(samplers[0], samplers[-1]) for samplers in by_seed.values()]
        if all(fewest["nfe"] < most["nfe"] for fewest, most in ends):
            rises = [float(most["distance"] - fewest["distance"]) for fewest, most in ends]
            dataset, distance_name, variant = (str(ends[0][1][key]) for key in ("dataset", "distance_name", "variant"))
            lowest = _over_seeds([float(most["distance"]) for _, most in ends])
            found.append(Change(dataset, distance_name, variant, rises, lowest))
    return found


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
        return replace(_over_seeds(values), stderr=max(errors, default=0.0))
    return None


def _ours(tables: Tables, dataset: str) -> Estimate | None:
    """Our FID for the paper's row of MDM-Prime with l = 2."""
    return estimate(two(dataset), rows(tables, EVIDENCE))


def _text(ours: Estimate | None, dataset: str) -> str:
    return ours.text(2) if ours else f"none: no FID on {dataset}"


def _drawn_alike(row: Row) -> tuple[Any, ...]:
    """What may be compared over network evaluations: the networks of a model, drawn from by one kind of sampler."""
    keys = ("dataset", "distance_name", "task", "variant", "distribution")
    return (*(row.get(key) for key in keys), str(row["sampler"]).split("-")[0])


def _over_seeds(values: list[float]) -> Estimate:
    return Estimate(fmean(values), spread=stdev(values) if len(values) > 1 else nan)


def _if_learnt(finding: Finding, papers: list[Row], tables: Tables) -> Finding:
    """A finding about our networks for some rows of the paper, of one set of images or several."""
    table = rows(tables, EVIDENCE)
    for paper in papers:
        if ours := estimate(paper, table):
            name = f"{paper['model']} {subtokens(paper)}"
            baselines = rows(tables, EVIDENCE, model=INDEPENDENT, dataset=paper["dataset"], distance_name=FID)
            finding = if_learnt(finding, {name: ours}, baselines, "distance")
    return finding
