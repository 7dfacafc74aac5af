"""The verbs that make results: of each stage one, and nothing of it is imported before it runs."""

from __future__ import annotations

from typing import NamedTuple


class StageVerb(NamedTuple):
    """A verb that makes results.

    Its function is called with a workspace and the name; one of reporting with the name, config and results/SCALE. What
    it has to say to a person it returns as one line.
    """

    module: str
    function: str
    argument: str
    example: str
    summary: str


TASK = ("TASK", "such as text or digits")
IMAGES = ("TASK", "such as digits")
RUN = ("TASK/VARIANT/seedN", "such as text/l4/seed0")
STAGES = {
    "data": StageVerb("stages.data", "make_data", *TASK, "make a data set: tokens, metadata"),
    "baselines": StageVerb("stages.baselines", "baselines", *TASK, "count n-grams, or pixels at their places"),
    "train": StageVerb("stages.train", "train", *RUN, "train a run, or go on with an interrupted one"),
    "import": StageVerb(
        "stages.import_checkpoint",
        "import_run",
        RUN[0],
        "such as openwebtext/l2/seed0, with --scale official",
        "read the checkpoint that a run has instead of training",
    ),
    "evaluate": StageVerb(
        "stages.evaluate", "evaluate", *RUN, "estimate the bound and the published loss of a run on held-out data"
    ),
    "hybrid": StageVerb(
        "stages.hybrid",
        "hybrid",
        RUN[0],
        "such as pairs/coar/seed0, with --scale systems",
        "what EDLM reports of a run with an energy, beside what is exact",
    ),
    "sample": StageVerb("stages.sample", "sample", *RUN, "draw samples from a run, counting network evaluations"),
    "features": StageVerb(
        "stages.features",
        "features",
        *IMAGES,
        "train what images are compared by, and score real and independent pixels",
    ),
    "quality": StageVerb(
        "stages.quality",
        "quality",
        RUN[0],
        "such as digits/l2/seed0",
        "compare a run's images with the training images",
    ),
    "oracle": StageVerb(
        "stages.oracle",
        "run_oracle",
        "TASK",
        "such as known_entropy",
        "both objectives at the true posterior, by enumeration",
    ),
    "idle-steps": StageVerb(
        "stages.idle_steps", "count_idle_steps", "", "", "count the steps of the sampler that change nothing (Figure 1)"
    ),
    "table": StageVerb(
        "reporting.writing", "write_table", "TABLE", "such as claims", "write a table as csv, md, tex and json"
    ),
    "metrics": StageVerb(
        "reporting.metrics", "write", "", "", "write the headline numbers of each model, for dvc metrics"
    ),
    "figure": StageVerb(
        "reporting.drawing", "write_figure", "FIGURE", "such as idle_steps", "draw a figure as png and pdf"
    ),
}
