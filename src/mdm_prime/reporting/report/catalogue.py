"""What the report shows: for each table and figure its name, its category and its place in the paper."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mdm_prime.experiment import layout

CLAIMS, BOUND, TEXT, IMAGES, TOY, IDLE, RUN = (  # Snakemake sorts categories by name
    "1 Claims",
    "2 Bound or not",
    "3 Text",
    "4 Images",
    "5 Toy in two dimensions",
    "6 Idle steps",
    "7 This run",
)
ABOUT = "about"  # the page beside those of the tables
NOT_IN_PAPER = "not in the paper"


class Entry(NamedTuple):
    """A table, figure or page of the report."""

    category: str
    title: str
    paper: str  # figure or table of arXiv 2505.18495, its errata note, or NOT_IN_PAPER

    @property
    def labels(self) -> dict[str, str]:
        """The columns of Snakemake's list of results. The first is unique in its category, as Snakemake needs it."""
        return {"result": self.title, "paper": self.paper}


TABLES = {
    "bound_validity": Entry(BOUND, "Table: both losses beside the entropy", "errata note"),
    "claims": Entry(CLAIMS, "Table: the claims and what became of them", "claims of text and tables"),
    "idle_steps": Entry(IDLE, "Table: idle steps", "Figure 1"),
    "image_likelihood": Entry(IMAGES, "Table: bits per dimension", NOT_IN_PAPER),
    "image_published": Entry(IMAGES, "Table: published values beside ours", "Tables 3 and 4"),
    "image_quality": Entry(IMAGES, "Table: quality of drawn images", "as in Tables 3 and 4"),
    "text_perplexity": Entry(TEXT, "Table: perplexity", "Table 1"),
    "toy_likelihood": Entry(TOY, "Table: both losses, and distance of samples", "Figure 4"),
}
FIGURES = {
    "bound_validity": Entry(BOUND, "Figure: both losses beside the entropy", "errata note"),
    "idle_steps": Entry(IDLE, "Figure: idle steps", "Figure 1"),
    "image_denoising": Entry(IMAGES, "Figure: from all masked to finished", "samples, on any images"),
    "image_imputation": Entry(IMAGES, "Figure: completed images", "imputation, on any images"),
    "image_quality_vs_nfe": Entry(IMAGES, "Figure: distance against evaluations", "as in Tables 3 and 4"),
    "image_quality_vs_subtokens": Entry(IMAGES, "Figure: distance against sub-tokens", "as in Tables 3 and 4"),
    "image_samples": Entry(IMAGES, "Figure: drawn images", "samples, on any images"),
    "perplexity_vs_subtokens": Entry(TEXT, "Figure: perplexity against sub-tokens", "Table 1"),
    "text_samples": Entry(TEXT, "Figure: drawn text", NOT_IN_PAPER),
    "toy_samples": Entry(TOY, "Figure: samples beside the density", "Figure 4"),
    "training_curves": Entry(RUN, "Figure: training losses", NOT_IN_PAPER),
}
PAGES = {**TABLES, ABOUT: Entry(RUN, "Commit, machine, versions, parameters", NOT_IN_PAPER)}


def page(results: str | Path, scale: str, name: str) -> Path:
    """The page of a table, or ABOUT: there only while a report is being made."""
    return layout.scale_root(results, scale) / "report" / f"{name}.html"


def report_file(results: str | Path, scale: str) -> Path:
    return Path(results) / f"report-{scale}.html"
