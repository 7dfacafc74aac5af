"""Claims about the quality of images (Tables 3 and 4, and the values by network evaluations beside the code)."""

from __future__ import annotations

from itertools import groupby
from math import nan
from statistics import fmean, stdev
from typing import Any

from mdm_prime.reporting import published
from mdm_prime.reporting.claims.claim import (
    NOT_TESTABLE,
    Claim,
    Comparison,
    Estimate,
    Tables,
    compare,
    evidence,
    improves,
    rows,
)
from mdm_prime.reporting.images import ours_for
from mdm_prime.reporting.records import Row, number

EVIDENCE = evidence("image_quality")
BY_EVALUATIONS = "official repository, image/README.md"  # FID for each l and number of network evaluations
TWO = ("MDM-Prime", 2)


def cifar10_beats_mdm(tables: Tables) -> Claim:
    return _beats(tables, "CIFAR-10", "Table 3", "MDM")


def cifar10_beats_mixture(tables: Tables) -> Claim:
    return _beats(tables, "CIFAR-10", "Table 3", "MDM-Mixture")


def imagenet32_beats_mdm(tables: Tables) -> Claim:
    return _beats(tables, "ImageNet-32", "Table 4", "MDM")


def imagenet32_beats_mixture(tables: Tables) -> Claim:
    return _beats(tables, "ImageNet-32", "Table 4", "MDM-Mixture")


def two_subtokens_best(tables: Tables) -> Claim:
    """At each number of network evaluations that the paper has for l = 2."""
    table = rows(tables, "image_quality")
    comparisons: list[Comparison] = []
    texts: list[str] = []
    for two in (row for row in _by_evaluations() if _is_two(row)):
        for other in _by_evaluations():
            same = all(other[key] == two[key] for key in ("dataset", "nfe"))
            ours = [estimate(paper, table) for paper in (two, other)] if same and not _is_two(other) else []
            if len(known := [value for value in ours if value]) == 2:
                comparisons.append(compare(*known))
                texts.append(f"{known[0].text(2)} against {known[1].text(2)} ({_name(other)}, {two['dataset']})")
    best = [row for row in _by_evaluations() if _is_two(row) and row["inception_score"] is not None]
    return Claim(
        claim="MDM-Prime with l=2 has the lowest FID of all l on CIFAR-10 and ImageNet-32, at equal evaluations",
        where=BY_EVALUATIONS,
        published_value="; ".join(_lowest(row) for row in best),
        corrected_value="",
        our_value=", ".join(texts) or "none: no FID of these sets",
        verdict=improves(comparisons),
        evidence=EVIDENCE,
    )


def more_evaluations_help(tables: Tables) -> Claim:
    """Judged on every data set and distance: each network is compared with itself, so no spread over seeds enters.

    A distance has no standard error here, so that each comparison counts by its sign alone; but all must agree.
    """
    drawn = [row for row in rows(tables, "image_quality") if row["nfe"] is not None]
    drawn.sort(key=lambda row: str(_network(row)))
    comparisons: list[Comparison] = []
    by_set: dict[str, list[bool]] = {}
    for _, group in groupby(drawn, key=_network):
        samplers = sorted(group, key=lambda row: float(row["nfe"]))
        fewest, most = samplers[0], samplers[-1]
        if fewest["nfe"] < most["nfe"]:
            falls = bool(most["distance"] < fewest["distance"])
            comparisons.append("below" if falls else "above")
            by_set.setdefault(f"{most['dataset']} ({most['distance_name']})", []).append(falls)
    paper = [row for row in _by_evaluations() if _is_two(row) and row["dataset"] == "CIFAR-10"]
    paper.sort(key=lambda row: int(row["nfe"]))
    return Claim(
        claim="More network evaluations give better images, for every l",
        where=BY_EVALUATIONS,
        published_value=f"FID falls for every l on both sets, such as CIFAR-10, l=2: "
        f"{', '.join(format(row['fid'], '.2f') for row in paper)} with {', '.join(str(row['nfe']) for row in paper)}",
        corrected_value="",
        our_value="; ".join(
            f"{name}: falls from the fewest to the most for {sum(falls)} of {len(falls)} trained networks"
            for name, falls in by_set.items()
        )
        or "none",
        verdict=improves(comparisons),
        evidence=EVIDENCE,
    )


def _beats(tables: Tables, dataset: str, where: str, rival: str) -> Claim:
    """By FIDs of this data set alone: a distance on other images or features decides nothing about it."""
    paper = {(row["model"], row["num_subtokens"]): row for row in headline(dataset)}
    two, other = paper[TWO], paper[rival, 1]
    table = rows(tables, "image_quality")
    ours, theirs = estimate(two, table), estimate(other, table)
    return Claim(
        claim=f"MDM-Prime (l=2) has a lower FID than {rival} on {dataset} with {two['nfe']} network evaluations",
        where=where,
        published_value=f"{two['fid']:.2f} against {other['fid']:.2f}",
        corrected_value="",
        our_value=f"{ours.text(2)} against {theirs.text(2)}"
        if ours and theirs
        else f"none: no FID of both on {dataset}",
        verdict=improves([compare(ours, theirs)]) if ours and theirs else NOT_TESTABLE,
        evidence=EVIDENCE,
    )


def estimate(paper: Row, table: list[Row], column: str = "distance") -> Estimate | None:
    """Our FID, or another column, for a row of the paper, of the first way to sample in the table; None without one."""
    for seeds in ours_for(paper, table)[:1]:
        values = [float(row[column]) for row in seeds]
        errors = [number(row[f"{column}_stderr"]) for row in seeds if f"{column}_stderr" in row]
        return Estimate(fmean(values), max(errors, default=0.0), stdev(values) if len(values) > 1 else nan)
    return None


def headline(dataset: str) -> list[Row]:
    """The models that Tables 3 and 4 compare, which have an Inception score."""
    return [row for row in _of_the_paper() if row["dataset"] == dataset and row["inception_score"] is not None]


def _by_evaluations() -> list[Row]:
    return [row for row in _of_the_paper() if row["epochs"] is not None]


def _of_the_paper() -> list[Row]:
    return [row for row in published.read("image_fid") if row["num_subtokens"] is not None]


def _lowest(two: Row) -> str:
    """The value of l = 2 and the next lowest of another l with as many network evaluations."""
    others = [row for row in _by_evaluations() if all(row[key] == two[key] for key in ("dataset", "nfe"))]
    second = min((row for row in others if not _is_two(row)), key=lambda row: float(row["fid"]))
    return f"{two['dataset']}: {two['fid']:.2f}, next {second['fid']:.2f} ({_name(second)})"


def _is_two(row: Row) -> bool:
    return (row["model"], row["num_subtokens"]) == TWO


def _name(row: Row) -> str:
    return f"l={row['num_subtokens']}"


def _network(row: Row) -> tuple[Any, ...]:
    """What may be compared over network evaluations: one trained network, drawn from by one kind of sampler."""
    keys = ("dataset", "distance_name", "variant", "seed", "draws")
    return (*(row[key] for key in keys), str(row["sampler"]).split("-")[0])
