"""Is the published loss a bound on the likelihood? Both objectives beside an entropy that is known exactly."""

from __future__ import annotations

from math import nan
from pathlib import Path
from typing import Any

import pandas as pd

from mdm_prime.errors import UserError
from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.files import read_json
from mdm_prime.reporting.below_entropy import ROUNDING, STDERRS, is_below
from mdm_prime.reporting.loading import likelihoods, meta, over_seeds, yes_no
from mdm_prime.reporting.records import pick
from mdm_prime.reporting.tables.table import Column, Table, below, frame_of

TRAINED_TASKS = ("known_entropy", "toy")

ORACLE_KEYS = (
    "source",
    "num_subtokens",
    "entropy",
    "method",
    "joint_loss",
    "joint_loss_stderr",
    "nelbo",
    "nelbo_stderr",
)
COLUMNS = (
    Column("source", "known_entropy: seeded Markov source; copies of one bit: one token of l equal fair bits; "
           "toy: 2-D density of an image", heading="Source"),
    Column("num_subtokens", "l, sub-tokens per token", heading=r"$\ell$"),
    Column("entropy", "entropy of the source, nats per token, exact", 6, heading="Entropy"),
    Column("oracle_joint_loss", "published loss at the exact posterior, nats per token", 6,
           heading="Oracle, published"),
    Column("oracle_joint_loss_stderr", "its standard error; 0 where every state was enumerated", 6),
    Column("oracle_nelbo", "valid bound at the exact posterior, nats per token", 6, heading="Oracle, bound"),
    Column("oracle_nelbo_stderr", "its standard error; 0 where every state was enumerated", 6),
    Column("trained_joint_loss", "published loss of the trained networks, nats per token, mean over seeds", 4,
           heading="Trained, published"),
    Column("trained_joint_loss_stderr", "its standard error as a statement about the source: mean over seeds, times "
           "sqrt(draws / validation sequences) where sequences are drawn more than once", 4),
    Column("trained_nelbo", "valid bound of the trained networks, nats per token, mean over seeds", 4,
           heading="Trained, bound"),
    Column("trained_nelbo_stderr", "its standard error, likewise", 4),
    Column("oracle_joint_loss_below_entropy", f"yes if by more than {STDERRS:g} standard errors and {ROUNDING:g} nats",
           heading="Oracle below"),
    Column("trained_joint_loss_below_entropy", "the same for the trained networks", heading="Trained below"),
    Column("trained_joint_loss_spread", "standard deviation over seeds", 4),
    Column("trained_nelbo_spread", "standard deviation over seeds", 4),
    Column("seeds", "number of trained networks"),
    Column("oracle_method", "how the expectation over masks and sequences was taken"),
    Column("variant", "name of the trained variant in the params file"),
    Column("carry_over", "whether the trained network is restricted to tokens that agree with the visible sub-tokens"),
    Column("objective", "what was trained: joint_loss (published loss) or nelbo (valid bound)"),
)  # fmt: skip


def build(config: Config, results: Path) -> Table:
    root = layout.scale_root(results, config.scale)
    oracle = _oracle(root)
    rows: list[dict[str, Any]] = []
    for task in TRAINED_TASKS:
        rows += _merge(task, oracle.pop(task, {}), _trained(config, root, task))
    for source, by_number in oracle.items():
        rows += _merge(source, by_number, [])
    return Table(
        name="bound_validity",
        title="The published loss is not a bound on the likelihood; the valid bound is",
        caption="Both objectives on sources whose entropy is known, in nats per token, at the exact posterior (oracle) "
        "and for trained networks.",
        columns=COLUMNS,
        frame=frame_of(rows, COLUMNS),
        scale=config.scale,
        inputs=below(results, layout.table_inputs(results, config, "bound_validity")),
        notes=(
            "No model can have an expected negative log-likelihood below the entropy of its data. A loss that falls "
            "below it is therefore no upper bound on the negative log-likelihood.",
            "With one sub-token per token, and carry-over, both objectives are the same.",
            "At the exact posterior the valid bound equals the entropy.",
        ),
    )


def _oracle(root: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """Rows of oracle.json by source and number of sub-tokens."""
    path = layout.oracle_file(root)
    result: dict[str, dict[int, dict[str, Any]]] = {}
    for row in pick(path, read_json(path), ("rows",))["rows"]:
        kept = pick(path, row, ORACLE_KEYS)
        result.setdefault(kept["source"], {})[kept["num_subtokens"]] = kept
    return result


def _trained(config: Config, root: Path, task: str) -> list[dict[str, Any]]:
    """One row per masked variant, mean over seeds."""
    facts = meta(root, task, ("entropy_per_token",))
    frame = likelihoods(config, root, task)
    rows = []
    for variant, group in frame[frame["model"] == "masked"].groupby("variant", sort=False):
        first = group.iloc[0]
        means = over_seeds(group, ("joint_loss", "nelbo"))
        rows.append(
            {
                "variant": variant,
                "num_subtokens": int(first["num_subtokens"]),
                "carry_over": yes_no(bool(first["carry_over"])),
                "objective": first["objective"],
                "seeds": len(group),
                "entropy": facts["entropy_per_token"],
                **{f"trained_{name}": value for name, value in means.items()},
            }
        )
    return rows


def _merge(source: str, oracle: dict[int, dict[str, Any]], trained: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each trained variant with the oracle's values for its l, and one for each l that was not trained."""
    numbers = sorted({*oracle, *(row["num_subtokens"] for row in trained)})
    rows: list[dict[str, Any]] = []
    for number in numbers:
        same = [row for row in trained if row["num_subtokens"] == number]
        rows += [_row(source, number, oracle.get(number), row) for row in same or [{}]]
    return rows


def _row(source: str, number: int, oracle: dict[str, Any] | None, trained: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"source": source, "num_subtokens": number, **trained}
    if oracle:
        if trained and abs(oracle["entropy"] - trained["entropy"]) > ROUNDING:
            raise UserError(
                f"oracle.json: entropy {oracle['entropy']:.6f} of {source} differs from {trained['entropy']:.6f} in "
                "meta.json; the two come from different params: run the pipeline again"
            )
        row["entropy"] = oracle["entropy"]
        row["oracle_method"] = oracle["method"]
        for name in ("joint_loss", "joint_loss_stderr", "nelbo", "nelbo_stderr"):
            row[f"oracle_{name}"] = oracle[name]
    for who in ("oracle", "trained"):
        value, stderr = row.get(f"{who}_joint_loss", nan), row.get(f"{who}_joint_loss_stderr", nan)
        if not pd.isna(value):
            row[f"{who}_joint_loss_below_entropy"] = yes_no(is_below(value, stderr, row["entropy"]))
    return row
