"""Perplexities of text models: the valid bound and the published loss, never one without the other."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log
from pathlib import Path
from typing import Any

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.experiment.sections import model_kinds
from mdm_prime.reporting import columns, published
from mdm_prime.reporting.columns import TRAINED_PPL, Column, Tolerance, spread_of, stderr_of
from mdm_prime.reporting.declared import TEXT, Content, DeclaredTable, Metrics
from mdm_prime.reporting.loading import baselines, likelihoods, meta, over_seeds
from mdm_prime.reporting.records import Row, yes_no
from mdm_prime.reporting.text_models import ONE_STEP
from mdm_prime.results.data_set import DataSet

FIRST = ("ARM", "MDM", "MDM-Prime")  # other models follow
PERPLEXITIES = {  # column -> what it is the exp of
    "ppl_bound": "nelbo",
    "ppl_bound_tokens": "bound_tokens",
    "ppl_exact_left_to_right": "exact_left_to_right",
    "ppl_exact_lowest_entropy": "exact_lowest_entropy",
    "published_loss_ppl": "joint_loss",
}
COUNTED = ("ppl_bound", "ppl_exact_left_to_right")  # what an n-gram model has of the columns
OPENWEBTEXT = "openwebtext"  # in the name of the corpus that the paper's Table 1 is measured on

COLUMNS = (
    columns.TASK,
    Column("model", "ARM: autoregressive; MDM: masked diffusion of whole tokens; MDM-Prime: of sub-tokens; unigram, "
           "bigram: counted in the training part, smoothed; others: docs/systems.md", heading="Model"),
    replace(columns.VARIANT, description=f"{columns.VARIANT.description}; empty for what is counted"),
    columns.NUM_SUBTOKENS,
    columns.BASE,
    replace(columns.CARRY_OVER, description=f"{columns.CARRY_OVER.description}; empty for ARM", heading="Carry-over"),
    Column("seed", "training seed, or mean over seeds", heading="Seed"),
    columns.PARAMETERS,
    columns.TRAIN_TOKENS,
    Column("ppl_bound", "upper bound on the perplexity per token: exp of the valid bound; the perplexity itself where "
           "exact is yes", 2, heading="Bound", tolerance=TRAINED_PPL),
    stderr_of("ppl_bound", "Monte Carlo standard error (delta method); in the mean row the mean over seeds, which "
              "share their draws", 2),
    spread_of("ppl_bound", 2),
    *columns.estimate(
        Column("ppl_bound_tokens", "upper bound likewise, by masks of whole tokens; for l = 1 the same bound; empty "
               "for ARM", 2, heading="Bound, whole tokens", tolerance=TRAINED_PPL),
        "Monte Carlo standard error, likewise",
    ),
    *columns.estimate(
        Column("ppl_exact_left_to_right", "perplexity of the sampler that reveals the sub-tokens from left to right: "
               "no bound, the value itself; for ARM its own", 2, heading="Exact, left to right", tolerance=TRAINED_PPL),
        "standard error over held-out sequences",
    ),
    *columns.estimate(
        Column("ppl_exact_lowest_entropy", "perplexity of the sampler that reveals the sub-token whose distribution "
               "has the least entropy", 2, heading="Exact, lowest entropy", tolerance=TRAINED_PPL),
        "standard error over held-out sequences",
    ),
    columns.EXACT_SEQUENCES,
    Column("published_loss_ppl", "exp of the loss that the paper reports; no bound on the perplexity for l above 1", 2,
           heading="Published loss", tolerance=replace(TRAINED_PPL, with_carry_over_only=True)),
    replace(stderr_of("published_loss_ppl", "Monte Carlo standard error, likewise", 2),
            tolerance=replace(columns.STDERR, with_carry_over_only=True)),
    Column("bits_per_byte_bound", "valid bound in bits per byte of held-out text: comparable between vocabularies", 4,
           heading="Bits/byte", tolerance=Tolerance(relative=0.07, of_networks=True)),  # a logarithm of the perplexity
    Column("owt_paper_published_ppl", "the paper's Table 1, OpenWebText, another scale: matched by model and l", 2,
           heading="Paper, published"),
    Column("owt_paper_corrected_ppl", "the authors' corrected bound, OpenWebText; empty where they give none", 2,
           heading="Paper, corrected"),
    Column("exact", f"yes where ppl_bound is exact rather than a bound; {ONE_STEP}: exact where all tokens are drawn "
           "in one step"),
    spread_of("published_loss_ppl", 2),
    replace(columns.OBJECTIVE, description=f"{columns.OBJECTIVE.description}, or the exact likelihood"),
    Column("corpus", "text that ours were trained and validated on"),
    Column("num_samples", "draws of a held-out sequence and of what is masked in it; sequences for ARM"),
    Column("ppl_bound_less_corrected", "our bound less the authors' corrected one; empty on another corpus than "
           "OpenWebText", 2, tolerance=None),
    Column("published_loss_ppl_less_paper", "our value of the published loss less the paper's; empty on another corpus",
           2, tolerance=None),
    *columns.ORIGIN,
    Column("permuted", "whether tokens were numbered anew by a permutation before they became digits (MDM-Prime-v2)"),
)  # fmt: skip


def needs(config: Config) -> list[Files]:
    return [
        files
        for task in config.of_kind("text")
        for files in (
            layout.data_file(task, "meta.json"),
            layout.baselines(task),
            layout.of_runs(config, task, "likelihood", ".json"),
        )
    ]


def build(config: Config, root: Path) -> Content:
    rows: list[Row] = []
    extra: dict[str, Any] = {}
    summaries = []
    for task in config.of_kind("text"):
        facts = meta(root, task)
        tokens = {"train": facts.train_sequences * facts.length, "heldout": facts.heldout_sequences * facts.length}
        found = _counted(baselines(root, task), facts) + _rows(likelihoods(config, root, task), facts)
        rows += [{"task": task, **row} for row in found]
        extra[task] = facts.model_dump(include={"corpus", "sha256", "heldout_bytes"}) | {"tokens": tokens}
        summaries.append(
            f"{facts.corpus['name']} ({tokens['heldout']} tokens, vocabulary {facts.vocab_size}, length {facts.length})"
        )
    summary = f"Perplexity per token on the held-out text of {', and of '.join(summaries)}."
    return Content(rows, summary=summary, extra={"tasks": extra})


def headline(rows: list[Row]) -> Metrics:
    """All perplexities that there are, with standard errors; of several seeds the mean."""
    names = [f"{name}{error}" for name in PERPLEXITIES for error in ("", "_stderr")]
    return {
        (row["task"], row["variant"]): {name: row[name] for name in names if row[name] is not None}
        for row in rows
        if row["seed"] == "mean"
    }


def _rows(variants: dict[str, list[Row]], facts: DataSet) -> list[Row]:
    """A row for each seed of each variant and a mean row below them, ordered by model, l and carry-over."""
    rows = []
    for seeds in sorted(variants.values(), key=lambda seeds: _order(seeds[0])):
        for row in seeds:
            for ppl, loss in PERPLEXITIES.items():
                if row.get(loss) is not None:
                    row[ppl] = exp(row[loss])
                    row[f"{ppl}_stderr"] = row[ppl] * row[f"{loss}_stderr"]  # d exp(u) = exp(u) du
        rows += [_row([row], str(row["seed"]), facts) for row in seeds]
        rows.append(_row(seeds, "mean", facts))
    return rows


def _counted(found: dict[str, Row], facts: DataSet) -> list[Row]:
    """A row for each n-gram model, whose likelihood is exact: no bound and no published loss."""
    rows = []
    for name, row in found.items():
        value, error = exp(row["nats"]), exp(row["nats"]) * row["nats_stderr"]
        rows.append(
            {f"{column}{end}": cell for column in COUNTED for end, cell in (("", value), ("_stderr", error))}
            | {
                "model": name,
                "num_samples": row["num_sequences"],
                "exact_sequences": row["num_sequences"],
                "train_tokens": row["train_tokens"],
                "bits_per_byte_bound": _bits_per_byte(row["nats"], facts),
                "exact": "yes",
                "objective": "counted",
                "corpus": facts.corpus["name"],
            }
        )
    return rows


def _order(row: Row) -> tuple[int, str, int, bool]:
    title = model_kinds.title(row["model"], row["num_subtokens"])
    place = FIRST.index(title) if title in FIRST else len(FIRST)
    return place, title, row["num_subtokens"], not row["carry_over"]


def _row(seeds: list[Row], seed: str, facts: DataSet) -> Row:
    first = seeds[0]
    model = model_kinds.title(first["model"], first["num_subtokens"])
    corpus = str(facts.corpus["name"])
    paper = published.openwebtext(model, first["num_subtokens"]) or {}
    ours = over_seeds(seeds, PERPLEXITIES)
    nelbo = over_seeds(seeds, ("nelbo",))["nelbo"]
    row = {key: first[key] for key in ("variant", "num_subtokens", "base", "parameters", "train_tokens", "num_samples")}
    row["exact_sequences"] = first.get("exact_sequences")
    row |= {key: value for key, value in ours.items() if seed == "mean" or not key.endswith("_spread")}
    row |= {column.name: first.get(column.name) for column in columns.ORIGIN}
    kind = model_kinds.kinds()[first["model"]]
    exact = kind.exact_order is not None
    row |= {
        "model": model,
        "carry_over": None if exact else yes_no(first["carry_over"]),
        "permuted": yes_no(first["permutation"] is not None),
        "seed": seed,
        "bits_per_byte_bound": _bits_per_byte(nelbo, facts),
        "owt_paper_published_ppl": paper.get("published_ppl"),
        "owt_paper_corrected_ppl": paper.get("corrected_ppl"),
        "exact": ONE_STEP
        if exact and kind.parts
        else yes_no(exact),  # of samples in more steps no exact value is known
        "objective": "exact likelihood" if exact and not kind.parts else first["objective"],
        "corpus": corpus,
    }
    if OPENWEBTEXT in corpus.lower():
        row["ppl_bound_less_corrected"] = _less(ours["ppl_bound"], paper.get("corrected_ppl"))
        row["published_loss_ppl_less_paper"] = _less(ours["published_loss_ppl"], paper.get("published_ppl"))
    return row


def _less(ours: float, theirs: float | None) -> float | None:
    return None if theirs is None else ours - theirs


def _bits_per_byte(nats_per_token: float, facts: DataSet) -> float | None:
    if not facts.heldout_bytes:
        return None
    tokens = facts.heldout_sequences * facts.length
    return nats_per_token * float(tokens / facts.heldout_bytes) / log(2)


TABLE = DeclaredTable(
    label="Table: perplexity",
    category=TEXT,
    paper="Table 1",
    caption="**Table 1.** Perplexities of our text: *ppl_bound* from the valid bound, *published_loss_ppl* from the "
    "published loss, which for ℓ > 1 is neither a bound nor a perplexity. The columns *owt_paper* are those of the "
    "paper and of its errata note on OpenWebText, with far larger models: compare their order, not their size.",
    title="Perplexity of text models, with the valid bound beside the published loss",
    summary="Perplexity per token on held-out text.",
    columns=COLUMNS,
    keys=("task", "model", "variant", "seed"),
    needs=needs,
    build=build,
    metrics=headline,
    notes=(
        "ppl_bound is an upper bound on the perplexity for every model; for ARM and what is counted (exact: yes) it is "
        "the perplexity. So is ppl_bound_tokens a bound, where whole tokens are masked instead of sub-tokens.",
        "EDLM-coAR's perplexity is that of drawing all tokens in one step, its autoregressive model's; of samples in "
        "more steps none is known.",
        "ppl_exact columns are no bounds: a sampler that reveals sub-tokens in an order which depends only on what is "
        "revealed gives every text one probability, and this is its perplexity. They are measured on exact_sequences "
        "held-out sequences, the bounds on more.",
        "unigram and bigram are what counting gives, smoothed as their training part alone suggests: a network that "
        "does not lie well below the unigram has learnt no more than how frequent the tokens are.",
        "published_loss_ppl is what the paper reports. For l = 1 with carry-over it is the same bound. Above l = 1 "
        "it is not a bound and not a perplexity: see bound_validity. Without carry-over it also counts visible "
        "tokens, and may be very large. GenMD4 has no other loss than its bound, which stands in both columns.",
        "The owt_paper columns are the paper's own numbers on OpenWebText, with another tokenizer and far larger "
        "models; they stand here for their order, not for their size. They are compared with ours where the corpus is "
        "OpenWebText itself: the standard errors are ours, and a difference within two of them is none. Paper and "
        "errata give one value for each l, whatever the carry-over.",
        "A bound above the ARM's perplexity does not prove that the true perplexity is above it; it only leaves no "
        "evidence that it is below.",
    ),
)
