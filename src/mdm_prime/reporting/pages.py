"""What pages have from reference runs: README tables and headline claims, docs/systems.md its table.

Each stands between two comments and is written by keep-reference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from operator import itemgetter
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from mdm_prime.errors import UserError
from mdm_prime.files import write_text
from mdm_prime.reporting.claim import claims
from mdm_prime.reporting.records import Row, read_table
from mdm_prime.reporting.rules.general import estimate
from mdm_prime.reporting.text_models import EXACT, ONE_STEP, best_column

BEGIN, END = "<!-- {}: from {} -->", "<!-- end of {} -->"
ALL = "All {} claims and their evidence ({}): [results/reference/tables/claims.md](results/reference/tables/claims.md)."
CLAIMS = {
    "claim": "claim",
    "where": "where",
    "published_value": "published",
    "corrected_value": "corrected",
    "our_value": "ours",
    "verdict": "verdict",
}
EXACTNESS = {  # by the column `exact`: what is said behind a value
    "no": "",
    "yes": " (exact)",
    ONE_STEP: " (exact if drawn in one step; of more steps none is known)",
}
TRAINED = {"joint_loss": "the published loss", "nelbo": "the valid bound", "exact likelihood": "its likelihood"}


def update(reference: Path) -> None:
    """Writes the page of a reference run, if there is one, with what it found."""
    for page in PAGES:
        if page.reference == reference:
            write_text(page.path, with_results(page, page.path.read_text(encoding="utf-8"), reference))


def with_results(page: Page, content: str, reference: Path) -> str:
    """The text of a page with every block made anew. Raises UserError without the two lines of one."""
    for name, block in page.blocks.items():
        begin, end = BEGIN.format(name, page.reference), END.format(name)
        before, found, rest = content.partition(f"{begin}\n")
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise UserError(f"{page.path}: needs one line {begin!r} and, below it, one {end!r}")
        content = f"{before}{begin}\n{block(reference)}{end}{after}"
    return content


def text(reference: Path) -> str:
    """One row for each model of the task text: means over its seeds."""
    heads = ["model", "sub-tokens", "carry-over", "trained on", "valid bound", "exact, better of two orders"]
    heads += ["published loss", "paper: published", "paper: corrected"]
    found = [
        row
        for row in read_table(reference, "text_perplexity")
        if row["task"] == "text" and row["seed"] in ("mean", None)
    ]
    lines = []
    for row in found:
        best = best_column(row, EXACT)
        lines.append(
            [
                row["model"],
                row["num_subtokens"] if row["model"].startswith("MDM") else None,
                row["carry_over"],
                TRAINED.get(row["objective"], row["objective"]),
                _measured(row, "ppl_bound") if row["exact"] == "no" else None,
                best and _measured(row, best),
                _measured(row, "published_loss_ppl"),
                _number(row["owt_paper_published_ppl"], 2),
                _number(row["owt_paper_corrected_ppl"], 2),
            ]
        )
    return markdown(heads, lines)


def digits(reference: Path) -> str:
    """One row for each model of the task digits: its samplers' distances and its likelihoods, means over seeds."""
    quality = [row for row in read_table(reference, "image_quality") if row["task"] == "digits"]
    bits = {
        row["variant"] or row["model"]: row
        for row in read_table(reference, "image_likelihood")
        if row["task"] == "digits"
    }
    samplers = list(dict.fromkeys(row["sampler"] for row in quality if row["sampler"]))
    models = dict.fromkeys(row["variant"] or row["model"] for row in quality)
    heads = ["model", "sub-tokens", *samplers, "precision", "`bpd_bound` (valid)", "`bpd_published`"]
    lines = []
    for name in models:
        rows = [row for row in quality if (row["variant"] or row["model"]) == name]
        of_sampler = {
            sampler: [row["distance"] for row in rows if row["sampler"] in (sampler, None)] for sampler in samplers
        }
        likelihood = bits.get(name, {})
        lines.append(
            [
                rows[0]["model"],
                rows[0]["num_subtokens"],
                *(_number(fmean(distances), 2) for distances in of_sampler.values()),
                _number(fmean(row["precision"] for row in rows if row["sampler"] in (samplers[-1], None)), 2),
                _number(likelihood.get("bpd_bound"), 3),
                _number(likelihood.get("bpd_published"), 3),
            ]
        )
    return markdown(heads, lines)


def headlines(reference: Path) -> str:
    """The headline claims, and where all of them are."""
    rows = read_table(reference, "claims")
    chosen = {claim.claim for claim in claims() if claim.headline}
    lines = [
        [f"**{row[name]}**" if name == "verdict" else row[name] for name in CLAIMS]
        for row in rows
        if row["claim"] in chosen
    ]
    verdicts = Counter(row["verdict"] for row in rows)
    counted = ", ".join(f"{number} {verdict}" for verdict, number in sorted(verdicts.items(), key=itemgetter(1)))
    return f"{markdown(CLAIMS.values(), lines)}\n{ALL.format(len(rows), counted)}\n"


def systems(reference: Path) -> str:
    """One row for each variant of text: its bounds, and its published loss where it is another number."""
    heads = ["model", "variant", "training tokens", "valid bound", "valid bound, whole tokens masked"]
    heads += ["published loss, where it is another number"]
    lines = []
    for row in read_table(reference, "text_perplexity"):
        if row["seed"] != "mean":
            continue
        several = row["num_subtokens"] > 1
        lines.append(
            [
                row["model"],
                f"`{row['variant']}`",
                f"{row['train_tokens']:,}",
                f"{_measured(row, 'ppl_bound')}{EXACTNESS[row['exact']]}",
                _measured(row, "ppl_bound_tokens") if several else None,
                _measured(row, "published_loss_ppl")
                if several and row["published_loss_ppl"] != row["ppl_bound"]
                else None,
            ]
        )
    return markdown(heads, lines)


class Page(NamedTuple):
    """A page with blocks that are made of the tables of a reference run."""

    path: Path
    reference: Path
    blocks: dict[str, Callable[[Path], str]]


PAGES = (
    Page(Path("README.md"), Path("results/reference"), {"text": text, "digits": digits, "claims": headlines}),
    Page(Path("docs/systems.md"), Path("results/reference-systems"), {"systems": systems}),
)


def markdown(heads: Iterable[str], lines: Iterable[Iterable[object]]) -> str:
    """A table; None is an empty cell."""
    heads = list(heads)
    cells = [heads, ["---"] * len(heads), *([("" if cell is None else str(cell)) for cell in line] for line in lines)]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in cells)


def _measured(row: Row, column: str) -> str | None:
    """A value with its uncertainty; what is counted has no seeds to differ by."""
    if row["seed"] is None or row[column] is None:
        return _number(row[column], 1)
    return estimate(row, column).text(1)


def _number(value: float | None, places: int) -> str | None:
    return None if value is None else f"{value:.{places}f}"
