"""Image models: what tables and figures call them, and what is saved about the quality of their images."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.runs import PIXEL_CHANNELS, SUPER_TOKENS, Run
from mdm_prime.reporting.loading import origin_of
from mdm_prime.reporting.records import Row, yes_no
from mdm_prime.results.features import FeaturesFile
from mdm_prime.results.quality import QualityFile
from mdm_prime.results.samples import SamplesFile
from mdm_prime.results.scores import Scores

MODELS = ("MDM", "MDM-Mixture", "MDM-Prime")
INDEPENDENT = "independent pixels"  # a baseline, in the column of models; the other one is real images
FID = "fid"  # the distance's name on Inception features, and on no others

METRICS = tuple(Scores.model_fields)
MODEL_KEYS = ("variant", "seed", "num_subtokens", "carry_over", "super_tokens", "components")


def model_name(num_subtokens: int, super_tokens: bool, components: int) -> str:
    """One of MODELS."""
    if components > 1:
        return "MDM-Mixture"
    return "MDM" if channel_subtokens(num_subtokens, super_tokens) == 1 else "MDM-Prime"


def channel_subtokens(num_subtokens: int, super_tokens: bool) -> Fraction:
    """Sub-tokens per pixel channel: two super-tokens, of num_subtokens each, hold three channels."""
    return Fraction(num_subtokens * SUPER_TOKENS, PIXEL_CHANNELS) if super_tokens else Fraction(num_subtokens)


def model_columns(facts: Row) -> Row:
    """The columns `model`, `variant`, `num_subtokens` and `carry_over` of a model saved with MODEL_KEYS."""
    parts = facts["num_subtokens"], facts["super_tokens"]
    return {
        "model": model_name(*parts, facts["components"]),
        "variant": facts["variant"],
        "num_subtokens": str(channel_subtokens(*parts)),
        "carry_over": yes_no(facts["carry_over"]),
    }


def sampled_model(root: Path, run: Run) -> Row:
    """The same of a run with samples."""
    return model_columns(SamplesFile.read(layout.sample_files(root, run.name)[1]).of_model())


def model_columns_of(run: Run) -> Row:
    """The same of a run that is trained here; of a checkpoint only its file tells the components."""
    components = getattr(run.network, "components", 1)
    return model_columns({**run.model_dump(include=set(MODEL_KEYS)), "components": components})


def model_order(row: Row) -> tuple[Any, ...]:
    """Sorts rows by model, sub-tokens (2/3 first) and carry-over (with it first)."""
    return MODELS.index(row["model"]), Fraction(str(row["num_subtokens"])), row["carry_over"] != "yes"


def display_name(row: Row, separator: str = ", ") -> str:
    """A model's name in a figure; `separator` stands before what is said of its carry-over."""
    name = str(row["model"])
    if name == "MDM-Prime":
        name += rf" $\ell$ = {row['num_subtokens']}"
    return name if row["carry_over"] == "yes" else f"{name}{separator}no carry-over"


def qualities(config: Config, root: Path, task: str) -> list[tuple[Row, list[Row]]]:
    """For each run, what it is (MODEL_KEYS, dataset, distance_name, origin) and metrics for each of its samplers."""
    found = []
    for run in config.runs(task):
        saved = QualityFile.read(layout.quality_file(root, run.name))
        facts = saved.model_dump(include={*MODEL_KEYS, "dataset", "distance_name"})
        found.append((facts | origin_of(saved.source), [dict(row) for row in saved.rows]))
    return found


def baselines(root: Path, task: str) -> tuple[Row, list[Row]]:
    """The data set's name, features and their accuracy, and a row of metrics for each baseline."""
    saved = FeaturesFile.read(layout.quality_baselines_file(root, task))
    return saved.model_dump(exclude={"task", "rows"}), [dict(row) for row in saved.rows]


def comparable_rows(published: Row, table: list[Row]) -> list[list[Row]]:
    """Our rows of image_quality that a row of the paper can be compared with: a list of seeds for each way to sample.

    The data set, model, sub-tokens and network evaluations (rounded) are the paper's, carry-over too where the paper
    tells it, and the distance is a FID.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in table:
        if row["distance_name"] == FID and same_setting(published, row):
            groups.setdefault((row.get("task"), row["variant"], row["sampler"], row["distribution"]), []).append(row)
    return list(groups.values())


def same_setting(published: Row, row: Row) -> bool:
    """Whether data set, model, sub-tokens, network evaluations and carry-over are those of a row of the paper."""
    return (
        all(str(row[key]) == str(published[key]) for key in ("dataset", "model", "num_subtokens"))
        and None not in (row["nfe"], published["nfe"])
        and round(row["nfe"]) == published["nfe"]
        and published["carry_over"] in (None, row["carry_over"])
    )
