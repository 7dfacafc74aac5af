"""Perplexities of text models: the valid bound and the published loss, never one without the other."""

from __future__ import annotations

from math import exp, log, nan
from pathlib import Path
from typing import Any

import pandas as pd

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.reporting import published
from mdm_prime.reporting.loading import likelihoods, meta, over_seeds, yes_no
from mdm_prime.reporting.records import number
from mdm_prime.reporting.tables.table import Column, Table, below, frame_of

META_KEYS = ("vocab_size", "length", "train_sequences", "validation_sequences", "validation_bytes", "sha256", "corpus")
MODELS = ("ARM", "MDM", "MDM-Prime")

COLUMNS = (
    Column("model", "ARM: autoregressive; MDM: masked diffusion of whole tokens; MDM-Prime: of sub-tokens",
           heading="Model"),
    Column("variant", "name of the variant in the params file"),
    Column("num_subtokens", "l, sub-tokens per token", heading=r"$\ell$"),
    Column("base", "b, values of a sub-token, the mask not counted", heading="$b$"),
    Column("carry_over", "whether tokens that contradict a visible sub-token get probability zero; empty for ARM",
           heading="Carry-over"),
    Column("seed", "training seed, or mean over seeds", heading="Seed"),
    Column("parameters", "number of weights"),
    Column("train_tokens", "tokens seen in training"),
    Column("ppl_bound", "upper bound on the perplexity per token: exp of the valid bound; the perplexity itself where "
           "exact is yes", 2, heading="Bound"),
    Column("ppl_bound_stderr", "Monte Carlo standard error (delta method); in the mean row the mean over seeds, which "
           "share their draws", 2),
    Column("ppl_bound_spread", "standard deviation over seeds; empty for one seed", 2),
    Column("published_loss_ppl", "exp of the loss that the paper reports; no bound on the perplexity for l above 1", 2,
           heading="Published loss"),
    Column("published_loss_ppl_stderr", "Monte Carlo standard error, likewise", 2),
    Column("bits_per_byte_bound", "valid bound in bits per byte of validation text: comparable between vocabularies", 4,
           heading="Bits/byte"),
    Column("owt_paper_published_ppl", "the paper's Table 1, OpenWebText, another scale: matched by model and l", 2,
           heading="Paper, published"),
    Column("owt_paper_corrected_ppl", "the authors' corrected bound, OpenWebText; empty where they give none", 2,
           heading="Paper, corrected"),
    Column("exact", "yes where the likelihood is exact rather than bounded"),
    Column("published_loss_ppl_spread", "standard deviation over seeds; empty for one seed", 2),
    Column("objective", "what was trained: joint_loss (published loss), nelbo (valid bound), or the exact likelihood"),
    Column("corpus", "text that ours were trained and validated on"),
)  # fmt: skip


def build(config: Config, results: Path) -> Table:
    root = layout.scale_root(results, config.scale)
    facts = meta(root, "text", META_KEYS)
    rows = rows_of(likelihoods(config, root, "text"), facts)
    corpus = facts["corpus"]
    tokens = {
        "train": facts["train_sequences"] * facts["length"],
        "validation": facts["validation_sequences"] * facts["length"],
    }
    return Table(
        name="text_perplexity",
        title="Perplexity of text models, with the valid bound beside the published loss",
        caption=f"Perplexity per token on the validation text of {corpus.get('name', 'the corpus')} "
        f"({tokens['validation']} tokens, vocabulary {facts['vocab_size']}, length {facts['length']}).",
        columns=COLUMNS,
        frame=frame_of(rows, COLUMNS),
        scale=config.scale,
        inputs=below(results, layout.table_inputs(results, config, "text_perplexity")),
        notes=(
            "ppl_bound is an upper bound on the perplexity for every model; for ARM (exact: yes) it is the perplexity.",
            "published_loss_ppl is what the paper reports. For l = 1 with carry-over it is the same bound. Above l = 1 "
            "it is not a bound and not a perplexity: see bound_validity. Without carry-over it also counts visible "
            "tokens, and may be very large.",
            "The owt_paper columns are the paper's own numbers on OpenWebText, with another tokenizer and far larger "
            "models; they stand here for their order, not for their size.",
            "A bound above the ARM's perplexity does not prove that the true perplexity is above it; it only leaves no "
            "evidence that it is below.",
        ),
        extra={
            "corpus": corpus,
            "sha256": facts["sha256"],
            "validation_bytes": facts["validation_bytes"],
            "tokens": tokens,
        },
    )


def rows_of(frame: pd.DataFrame, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each seed of each variant and a mean row below them, ordered by model, l and carry-over."""
    labels = [_model(*pair) for pair in zip(frame["model"], frame["num_subtokens"], strict=True)]
    frame = frame.assign(label=labels)
    frame = frame.assign(order=frame["label"].map(MODELS.index), plain=~frame["carry_over"].astype(bool))
    frame = frame.sort_values(["order", "num_subtokens", "plain"], kind="stable")
    for loss, ppl in (("nelbo", "ppl_bound"), ("joint_loss", "published_loss_ppl")):
        frame[ppl] = frame[loss].map(exp)
        frame[f"{ppl}_stderr"] = frame[ppl] * frame[f"{loss}_stderr"]  # d exp(u) = exp(u) du
    rows = []
    for _, group in frame.groupby("variant", sort=False):
        rows += [_row(group[group["seed"] == seed], str(seed), facts) for seed in group["seed"]]
        rows.append(_row(group, "mean", facts))
    return rows


def _row(group: pd.DataFrame, seed: str, facts: dict[str, Any]) -> dict[str, Any]:
    first = group.iloc[0]
    exact = bool(first["exact"])
    try:
        paper = published.openwebtext(str(first["label"]), int(first["num_subtokens"]))
    except KeyError:
        paper = {}
    values = over_seeds(group, ("ppl_bound", "published_loss_ppl"))
    if seed != "mean":
        values = {name: value for name, value in values.items() if not name.endswith("_spread")}
    return {
        "model": first["label"],
        "variant": first["variant"],
        "num_subtokens": int(first["num_subtokens"]),
        "base": int(first["base"]),
        "carry_over": "" if exact else yes_no(bool(first["carry_over"])),
        "seed": seed,
        "parameters": int(first["parameters"]),
        "train_tokens": int(first["train_tokens"]),
        **values,
        "bits_per_byte_bound": _bits_per_byte(float(group["nelbo"].mean()), facts),
        "owt_paper_published_ppl": number(paper.get("published_ppl")),
        "owt_paper_corrected_ppl": number(paper.get("corrected_ppl")),
        "exact": yes_no(exact),
        "objective": "exact likelihood" if exact else first["objective"],
        "corpus": facts["corpus"].get("name", ""),
    }


def _model(kind: str, num_subtokens: int) -> str:
    if kind == "autoregressive":
        return "ARM"
    return "MDM" if num_subtokens == 1 else "MDM-Prime"


def _bits_per_byte(nats_per_token: float, facts: dict[str, Any]) -> float:
    if not facts["validation_bytes"]:
        return nan
    tokens = facts["validation_sequences"] * facts["length"]
    return nats_per_token * float(tokens / facts["validation_bytes"]) / log(2)
