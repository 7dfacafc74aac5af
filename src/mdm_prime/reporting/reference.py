"""Compares fresh tables with those of a reference run, within tolerances that say why they are what they are."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from mdm_prime.errors import UserError
from mdm_prime.experiment import layout
from mdm_prime.files import read_json
from mdm_prime.reporting.records import Row, number, read_csv

KEYS = {
    "bound_validity": ("source", "num_subtokens", "variant"),
    "claims": ("claim",),
    "idle_steps": ("measured_by", "num_steps", "num_subtokens", "length", "variant"),
    "image_likelihood": ("dataset", "variant"),
    "image_published": ("dataset", "model", "num_subtokens", "nfe", "our_variant", "our_sampler", "our_draws"),
    "image_quality": ("dataset", "model", "variant", "sampler", "draws", "seed"),
    "text_perplexity": ("variant", "seed"),
    "toy_likelihood": ("variant",),
}


@dataclass(frozen=True)
class Tolerance:
    """Allowed difference: stderrs * combined standard error + relative * reference + absolute."""

    stderrs: float = 0.0
    relative: float = 0.0
    absolute: float = 0.0

    def allowed(self, reference: float, stderr: float) -> float:
        return self.stderrs * stderr + self.relative * abs(reference) + self.absolute


# The same machine and seeds give the same bytes. Another processor or torch gives another network, as another seed
# would: the two seeds of the reference run differ by up to 24 % in perplexity (ARM), most others by less than 10 %.
TRAINED_NATS = Tolerance(stderrs=3, absolute=0.04)
TRAINED_PPL = Tolerance(stderrs=3, relative=0.25)
# Images: no two machines have been compared yet. A classifier trained elsewhere has other features, on which distances
# have another size; shares of images and the other numbers of another network are taken to differ as widely.
IMAGE_DISTANCE = Tolerance(stderrs=3, relative=0.5, absolute=0.5)
IMAGE_SHARE = Tolerance(absolute=0.15)
IMAGE_BPD = Tolerance(stderrs=3, relative=0.1)
TOLERANCES: dict[str, Tolerance | None] = {
    "trained_joint_loss": TRAINED_NATS,
    "trained_nelbo": TRAINED_NATS,
    "joint_loss": TRAINED_NATS,
    "nelbo": TRAINED_NATS,
    "ppl_bound": TRAINED_PPL,
    "published_loss_ppl": TRAINED_PPL,
    "bits_per_byte_bound": Tolerance(relative=0.07),  # a logarithm of the perplexity
    "total_variation": Tolerance(absolute=0.02),  # of samples of another network
    "total_variation_floor": Tolerance(relative=0.01),  # an expectation over simulated sets of draws
    "oracle_joint_loss": Tolerance(stderrs=3, absolute=1e-6),  # no training: enumeration, or Monte Carlo
    "oracle_nelbo": Tolerance(stderrs=3, absolute=1e-6),
    "idle_measured": Tolerance(stderrs=3, absolute=0.5),  # the standard error of ten rare events may be zero
    "bpd_bound": IMAGE_BPD,
    "bpd_published": IMAGE_BPD,
    "distance": IMAGE_DISTANCE,
    "our_distance": IMAGE_DISTANCE,
    "difference": IMAGE_DISTANCE,
    "inception_score": Tolerance(stderrs=3, relative=0.25),
    "our_inception_score": Tolerance(relative=0.25),
    "kid": Tolerance(stderrs=3, relative=0.5, absolute=0.01),
    "precision": IMAGE_SHARE,
    "recall": IMAGE_SHARE,
    "memorised": IMAGE_SHARE,
    "nearest": Tolerance(relative=0.2),
    "nfe": Tolerance(relative=0.02, absolute=0.5),  # only the exact samplers skip idle steps, by chance
    "our_value": None,  # text made from numbers of the other tables, which are compared there
}
STDERR = Tolerance(relative=0.5, absolute=1e-6)  # of a loss with heavy tails
EXACT = Tolerance(relative=1e-6, absolute=1e-9)  # everything else: counts, entropies, closed forms, the paper's numbers


def compare(reference: Path, results: Path) -> list[str]:
    """Differences between results/tables/*.csv and reference/tables/*.csv beyond TOLERANCES, a readable line each.

    Spreads over seeds are not compared: the standard deviation of two values says little. Raises UserError when the
    reference holds no table.
    """
    names = [name for name in layout.TABLES if layout.table_files(reference, name)[0].is_file()]
    if not names:
        raise UserError(f"{reference}/tables: holds no table to compare with; copy results/tables of a run there")
    lines: list[str] = []
    for name in names:
        fresh = layout.table_files(results, name)[0]
        if not fresh.is_file():
            lines.append(f"{name}.csv: missing; make it with: snakemake --cores all {fresh}")
            continue
        scales = [_scale(folder, name) for folder in (reference, results)]
        if scales[0] != scales[1]:
            lines.append(f"{name}.csv: scale {scales[1]!r} cannot be compared with the reference's {scales[0]!r}")
            continue
        lines += compare_rows(name, read_csv(layout.table_files(reference, name)[0]), read_csv(fresh))
    return lines


def compare_rows(name: str, reference: list[Row], fresh: list[Row]) -> list[str]:
    """Differences between two versions of a table."""
    columns = [list(rows[0]) if rows else [] for rows in (reference, fresh)]
    if columns[0] != columns[1]:
        return [f"{name}.csv: columns {', '.join(columns[1])}; reference {', '.join(columns[0])}"]
    old, new = ({_key(name, row): row for row in rows} for rows in (reference, fresh))
    lines = [f"{name}.csv: {key}: row is missing" for key in old if key not in new]
    lines += [f"{name}.csv: {key}: row is not in the reference" for key in new if key not in old]
    for key, row in old.items():
        if key in new:
            lines += [
                f"{name}.csv: {key}: {problem}"
                for column in columns[0]
                if (problem := _difference(column, row, new[key]))
            ]
    return lines


def _difference(column: str, old: Row, new: Row) -> str:
    """What is different in a cell, "" if nothing is."""
    before, after = old[column], new[column]
    tolerance = _tolerance(column)
    if (
        tolerance is None
        or before == after
        or (column.startswith(("published_loss_ppl", "bpd_published")) and old["carry_over"] == "no")
    ):
        return ""  # without carry-over that loss counts visible tokens at weight 1/t: it varies by factors
    if not (_is_number(before) and _is_number(after)):
        return f"{column} is {after!r}, reference {before!r}"
    stderr = sqrt(sum(number(row.get(f"{column}_stderr") or 0.0) ** 2 for row in (old, new)))
    allowed = tolerance.allowed(before, stderr)
    if abs(after - before) <= allowed:
        return ""
    return f"{column} is {after:.6g}, reference {before:.6g}, allowed difference {allowed:.2g}"


def _tolerance(column: str) -> Tolerance | None:
    if column in TOLERANCES:
        return TOLERANCES[column]
    if column.endswith("_spread"):
        return None
    return STDERR if column.endswith("_stderr") else EXACT


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _key(name: str, row: Row) -> str:
    cells = [f"{column} {row[column]}" for column in KEYS[name] if row.get(column) is not None]
    return ", ".join(cells)


def _scale(folder: Path, name: str) -> Any:
    """The scale in a table's json file; None without that file."""
    path = layout.table_files(folder, name)[3]
    return read_json(path).get("scale") if path.is_file() else None
