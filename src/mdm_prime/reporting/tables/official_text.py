"""Perplexities of the authors' own text networks: the valid bound and the published loss beside paper and errata."""

from __future__ import annotations

from math import exp
from pathlib import Path

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Official
from mdm_prime.reporting import published
from mdm_prime.reporting.loading import meta, yes_no
from mdm_prime.reporting.records import Row, number
from mdm_prime.reporting.shards import pooled
from mdm_prime.reporting.tables.table import Column, Table, below, frame_of

OPENWEBTEXT = "openwebtext"  # in the name of the corpus that the paper's Table 1 is measured on
COLUMNS = (
    Column("model", "ARM: autoregressive; MDM: masked diffusion of whole tokens; MDM-Prime: of sub-tokens",
           heading="Model"),
    Column("num_subtokens", "l, sub-tokens per token", heading=r"$\ell$"),
    Column("carry_over", "whether tokens that contradict a visible sub-token get probability zero here; empty for ARM",
           heading="Carry-over"),
    Column("ppl_bound", "upper bound on the perplexity per token: exp of the valid bound; the perplexity itself for "
           "ARM", 2, heading="Bound"),
    Column("ppl_bound_stderr", "standard error over held-out sequences and draws (delta method)", 2),
    Column("published_loss_ppl", "exp of the loss that the paper reports; no bound on the perplexity for l above 1", 2,
           heading="Published loss"),
    Column("published_loss_ppl_stderr", "standard error, likewise", 2),
    Column("paper_published_ppl", "the paper's Table 1", 2, heading="Paper, published"),
    Column("errata_corrected_ppl", "the authors' corrected bound; empty where they give none", 2,
           heading="Errata, corrected"),
    Column("ppl_bound_less_errata", "our bound less the errata's; empty where there is none, or on another corpus", 2,
           heading="Bound less errata"),
    Column("published_loss_ppl_less_paper", "our value of the published loss less the paper's; empty on another corpus",
           2, heading="Published loss less paper"),
    Column("num_samples", "draws of a held-out sequence and of what is masked in it; sequences for ARM",
           heading="Draws"),
    Column("dataset", "held-out text"),
    Column("checkpoint", "name in the params file"),
    Column("weights", "averaged (ema) or last (raw)"),
    Column("carry_over_of_file", "what the file says of its training"),
    Column("step", "updates of the weights; empty where the file does not say"),
    Column("sha256", "hash of the authors' file"),
)  # fmt: skip


def build(official: Official, results: Path) -> Table:
    root = layout.scale_root(results, official.scale)
    facts = meta(root, "text", ("corpus", "validation_sequences", "sha256"))
    rows = [_row(official, root, key, facts["corpus"]["name"]) for key in official.text.checkpoints]
    return Table(
        name="official_text",
        title="Perplexity of the authors' text networks, with the valid bound beside the published loss",
        caption=f"The authors' checkpoints on held-out text of {facts['corpus']['name']} "
        f"({facts['validation_sequences']} sequences of {official.text.length} tokens).",
        columns=COLUMNS,
        frame=frame_of(rows, COLUMNS),
        scale=official.scale,
        inputs=below(results, layout.official_table_inputs(results, official, "official_text")),
        notes=(
            "ppl_bound is an upper bound on the perplexity for every model; for ARM it is the perplexity.",
            "published_loss_ppl is what the paper reports. For l = 1 with carry-over it is the same bound. Above l = 1 "
            "it is not a bound and not a perplexity. Without carry-over it also counts visible tokens, here from one "
            "masked sub-token on; the released code leaves out times below 0.001.",
            "Paper and errata give one value for each l; it stands beside the checkpoints with and without carry-over. "
            "For MDM and ARM the errata leave the paper's value.",
            "The standard errors are ours; paper and errata give none. A difference within two of them is none.",
        ),
        extra={"corpus": facts["corpus"], "sha256": facts["sha256"]},
    )


def _row(official: Official, root: Path, key: str, corpus: str) -> Row:
    found = pooled(layout.likelihood_shards(root, official, f"text/{key}"))
    model = official.text.checkpoints[key].model
    bound, loss = exp(found["nelbo"]), exp(found["joint_loss"])
    paper = _published(model, found["num_subtokens"])
    same = OPENWEBTEXT in corpus.lower()
    source = found["source"]
    return {
        "model": model,
        "num_subtokens": found["num_subtokens"],
        "carry_over": "" if model == "ARM" else yes_no(found["carry_over"]),
        "ppl_bound": bound,
        "ppl_bound_stderr": bound * found["nelbo_stderr"],  # d exp(u) = exp(u) du
        "published_loss_ppl": loss,
        "published_loss_ppl_stderr": loss * found["joint_loss_stderr"],
        "paper_published_ppl": paper["published_ppl"],
        "errata_corrected_ppl": paper["corrected_ppl"],
        "ppl_bound_less_errata": bound - number(paper["corrected_ppl"]) if same else None,
        "published_loss_ppl_less_paper": loss - number(paper["published_ppl"]) if same else None,
        "num_samples": found["num_samples"],
        "dataset": corpus,
        "checkpoint": key,
        "weights": source["weights"],
        "carry_over_of_file": "" if model == "ARM" else yes_no(found["carry_over_of_file"]),
        "step": source["step"],
        "sha256": source["sha256"],
    }


def _published(model: str, num_subtokens: int) -> Row:
    """The row of Table 1; empty for an l that it does not have."""
    try:
        return published.openwebtext(model, num_subtokens)
    except KeyError:
        return {"published_ppl": None, "corrected_ppl": None}
