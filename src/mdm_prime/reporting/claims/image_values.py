"""Claims about the values of Tables 3 and 4, and beside models that we do not train (abstract, Tables 3 and 4)."""

from __future__ import annotations

from mdm_prime.reporting import published
from mdm_prime.reporting.claims.claim import (
    NOT_TESTABLE,
    REFUTED,
    REPRODUCED,
    Claim,
    Comparison,
    Estimate,
    Tables,
    Verdict,
    agrees,
    compare,
    improves,
    rows,
)
from mdm_prime.reporting.claims.images import EVIDENCE, TWO, estimate, headline
from mdm_prime.reporting.records import Row

CIFAR, IMAGENET = ("CIFAR-10", "Table 3"), ("ImageNet-32", "Table 4")
PRECISE = 0.05  # share of the value: a wider agreement says nothing
DISCRETE = ("PixelCNN",)  # and all that the table gives a number of network evaluations for; the others are continuous
COMPARABLE = 0.1  # share by which a FID may exceed one that it is comparable to; the paper gives no number


def cifar10_fid(tables: Tables) -> Claim:
    return _fid(tables, *CIFAR)


def imagenet32_fid(tables: Tables) -> Claim:
    return _fid(tables, *IMAGENET)


def cifar10_inception_score(tables: Tables) -> Claim:
    return _inception_score(tables, *CIFAR)


def imagenet32_inception_score(tables: Tables) -> Claim:
    return _inception_score(tables, *IMAGENET)


def cifar10_beats_discrete(tables: Tables) -> Claim:
    two, ours = _two(tables, CIFAR[0])
    rivals = [row for row in _others(CIFAR[0]) if row["nfe"] is not None]
    return Claim(
        claim="MDM-Prime (l=2) has a lower FID on CIFAR-10 than other discrete models with more network evaluations",
        where=CIFAR[1],
        published_value=f"{two['fid']:.2f} with {two['nfe']} against "
        + ", ".join(f"{_named(row)} with {row['nfe']}" for row in rivals),
        corrected_value="",
        our_value=_text(ours, CIFAR[0]),
        verdict=improves([compare(ours, Estimate(row["fid"])) for row in rivals]) if ours else NOT_TESTABLE,
        evidence=EVIDENCE,
    )


def cifar10_like_continuous(tables: Tables) -> Claim:
    return _like_continuous(tables, *CIFAR)


def imagenet32_like_continuous(tables: Tables) -> Claim:
    return _like_continuous(tables, *IMAGENET)


def imagenet32_beats_scoreflow(tables: Tables) -> Claim:
    two, ours = _two(tables, IMAGENET[0])
    rival = next(row for row in _others(IMAGENET[0]) if row["model"] == "ScoreFlow (VP)")
    return Claim(
        claim="MDM-Prime (l=2) has a lower FID on ImageNet-32 than ScoreFlow (VP)",
        where=IMAGENET[1],
        published_value=f"{two['fid']:.2f} against {_named(rival)}, better by {rival['fid'] - two['fid']:.2f}",
        corrected_value="",
        our_value=_text(ours, IMAGENET[0]),
        verdict=improves([compare(ours, Estimate(rival["fid"]))]) if ours else NOT_TESTABLE,
        evidence=EVIDENCE,
    )


def _fid(tables: Tables, dataset: str, where: str) -> Claim:
    two, ours = _two(tables, dataset)
    return Claim(
        claim=f"The FID of MDM-Prime (l=2) on {dataset} with {two['nfe']} network evaluations",
        where=f"abstract, {where}",
        published_value=f"{two['fid']:.2f}",
        corrected_value="",
        our_value=_text(ours, dataset),
        verdict=agrees(ours, two["fid"], PRECISE) if ours else NOT_TESTABLE,
        evidence=EVIDENCE,
    )


def _inception_score(tables: Tables, dataset: str, where: str) -> Claim:
    table, paper = rows(tables, "image_quality"), headline(dataset)
    two = next(row for row in paper if (row["model"], row["num_subtokens"]) == TWO)
    rivals = [row for row in paper if row is not two]
    score = estimate(two, table, "inception_score")
    known = [(row, ours) for row in rivals if (ours := estimate(row, table, "inception_score"))]
    complete = score is not None and len(known) == len(rivals)
    comparisons: list[Comparison] = [compare(ours, score) for _, ours in known] if score else []
    return Claim(
        claim=f"MDM-Prime (l=2) has a higher Inception score than MDM and MDM-Mixture on {dataset}",
        where=where,
        published_value=f"{two['inception_score']:.2f} against "
        + ", ".join(f"{row['inception_score']:.2f} ({row['model']})" for row in rivals),
        corrected_value="",
        our_value=f"{score.text(2)} against " + ", ".join(f"{ours.text(2)} ({row['model']})" for row, ours in known)
        if score and complete
        else f"none: no Inception score of all three on {dataset}",
        verdict=improves(comparisons) if complete else NOT_TESTABLE,
        evidence=EVIDENCE,
    )


def _like_continuous(tables: Tables, dataset: str, where: str) -> Claim:
    two, ours = _two(tables, dataset)
    rivals = [row for row in _others(dataset) if row["nfe"] is None and row["model"] not in DISCRETE]
    best = min(rivals, key=lambda row: float(row["fid"]))
    lower = sum(two["fid"] < row["fid"] for row in rivals)
    share = 100 * (two["fid"] / best["fid"] - 1)
    verdict: Verdict = NOT_TESTABLE
    if ours:
        limit = Estimate((1 + COMPARABLE) * best["fid"])
        verdict = {"below": REPRODUCED, "above": REFUTED, "undecided": NOT_TESTABLE}[compare(ours, limit)]
    return Claim(
        claim=f"MDM-Prime (l=2) has a FID on {dataset} that is comparable to the best continuous model's, which is "
        f"taken for at most {100 * COMPARABLE:.0f} % higher",
        where=f"abstract, {where}",
        published_value=f"{two['fid']:.2f} against {_named(best)}, {share:.0f} % higher; lower than {lower} of "
        f"{len(rivals)} continuous models",
        corrected_value="",
        our_value=_text(ours, dataset),
        verdict=verdict,
        evidence=EVIDENCE,
    )


def _two(tables: Tables, dataset: str) -> tuple[Row, Estimate | None]:
    """The paper's row of MDM-Prime with l = 2, and our FID for it."""
    two = next(row for row in headline(dataset) if (row["model"], row["num_subtokens"]) == TWO)
    return two, estimate(two, rows(tables, "image_quality"))


def _others(dataset: str) -> list[Row]:
    return [row for row in published.read("image_fid") if row["dataset"] == dataset and row["num_subtokens"] is None]


def _named(row: Row) -> str:
    return f"{row['fid']:.2f} ({row['model']})"


def _text(ours: Estimate | None, dataset: str) -> str:
    return ours.text(2) if ours else f"none: no FID on {dataset}"
