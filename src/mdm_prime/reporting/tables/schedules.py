"""Bounds of masked models by their schedules: chosen ones (MD4) beside the one that is learnt (GenMD4)."""

from __future__ import annotations

from math import exp
from pathlib import Path

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.experiment.naming import schedule_name
from mdm_prime.experiment.runs import Run
from mdm_prime.reporting import columns
from mdm_prime.reporting.columns import TRAINED_NATS, TRAINED_PPL, Column, spread_of, stderr_of
from mdm_prime.reporting.declared import NOT_IN_PAPER, TEXT, Content, DeclaredTable
from mdm_prime.reporting.loading import likelihoods, over_seeds
from mdm_prime.reporting.records import Row, yes_no

LEARNT = "learnt"  # the schedule of GenMD4
KINDS = ("masked", "genmd4")
OBJECTIVES = ("joint_loss", "nelbo")  # of one mask at a time

COLUMNS = (
    columns.TASK,
    columns.VARIANT,
    Column("model", "MDM: masked diffusion of whole tokens, as MD4 is; GenMD4: with a learnt schedule; Prime: of "
           "sub-tokens", heading="Model"),
    columns.NUM_SUBTOKENS,
    Column("schedule", f"linear, cosine or polynomial with its exponent; {LEARNT}: an exponent for each value",
           heading="Schedule"),
    Column("masks", "masks of each sequence in a training step", heading="Masks"),
    Column("time", "whether the network reads the time", heading="Time"),
    columns.OBJECTIVE,
    columns.SEEDS,
    columns.PARAMETERS,
    columns.TRAIN_TOKENS,
    Column("nelbo", "valid bound by the model's own masks, nats per token, mean over seeds", 4, heading="Bound",
           tolerance=TRAINED_NATS),
    stderr_of("nelbo", "Monte Carlo standard error, mean over seeds"),
    spread_of("nelbo"),
    Column("ppl_bound", "its exponential: upper bound on the perplexity per token", 2, heading="Perplexity",
           tolerance=TRAINED_PPL),
    stderr_of("ppl_bound", "Monte Carlo standard error, by the delta method", 2),
    spread_of("ppl_bound", 2),
)  # fmt: skip


def needs(config: Config) -> list[Files]:
    return [layout.of_runs(config, task, "likelihood", ".json") for task in _tasks(config)]


def build(config: Config, root: Path) -> Content:
    rows: list[Row] = []
    for task in _tasks(config):
        saved = likelihoods(config, root, task)
        runs = {run.variant: run for run in config.runs(task)}
        found = [_row(runs[variant], seeds) for variant, seeds in saved.items() if _shown(runs[variant])]
        rows += sorted(found, key=lambda row: (row["num_subtokens"], row["schedule"] == LEARNT))
    return Content(rows)


def _tasks(config: Config) -> list[str]:
    """The texts with a learnt schedule."""
    return [task for task in config.of_kind("text") if any(run.model.kind == "genmd4" for run in config.runs(task))]


def _shown(run: Run) -> bool:
    """Whether nothing but its schedule, its masks, the time and l tells a run from MDM-Prime."""
    plain = run.permutation is None and run.training.whole_tokens_above == 1 and run.training.objective in OBJECTIVES
    return run.model.kind in KINDS and run.carry_over and run.checkpoint is None and plain


def _row(run: Run, seeds: list[Row]) -> Row:
    first = seeds[0]
    for row in seeds:
        row["ppl_bound"] = exp(row["nelbo"])
        row["ppl_bound_stderr"] = row["ppl_bound"] * row["nelbo_stderr"]
    return {
        "task": run.task,
        "variant": run.variant,
        "model": run.model.title(run.num_subtokens),
        "num_subtokens": run.num_subtokens,
        "schedule": _schedule(run),
        "masks": run.model.masks_a_step,
        "time": yes_no(bool(getattr(run.network, "time_conditioning", False))),
        "seeds": len(seeds),
        **{key: first[key] for key in ("objective", "parameters", "train_tokens")},
        **over_seeds(seeds, ("nelbo", "ppl_bound")),
    }


def _schedule(run: Run) -> str:
    if run.model.kind == "genmd4":
        return LEARNT
    return schedule_name(run.training)


TABLE = DeclaredTable(
    label="Table: schedules",
    category=TEXT,
    paper=NOT_IN_PAPER,
    caption="Bounds on the perplexity of our text by the schedule that networks are trained with. Of a network that "
    "ignores the time the bound is the same for every chosen schedule, so that such rows differ by their training "
    "only. GenMD4 learns how soon each value is masked; it draws two masks of a sequence in each step, and stands "
    "beside MDM with two masks.",
    title="Schedules: chosen, and learnt (MD4, GenMD4)",
    summary="Valid bounds of masked models on held-out text, by schedule, masks a step and time conditioning.",
    columns=COLUMNS,
    keys=("task", "variant"),
    needs=needs,
    build=build,
    notes=(
        "MD4 (arXiv 2406.04329) with one sub-token per token is what is called MDM here.",
        "The bound of GenMD4 is measured from t = 0 to 1, with the term of what is visible at t = 1, and without a "
        "reconstruction at a smallest time.",
    ),
)
