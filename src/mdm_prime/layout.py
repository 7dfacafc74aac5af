"""Where every result file lies, in one place for the command line, the Snakefile and the tables. Imports no library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mdm_prime.config import TASKS, Config, Run

TABLES = ("bound_validity", "claims", "idle_steps", "text_perplexity", "toy_likelihood")
FIGURES = (
    "bound_validity",
    "idle_steps",
    "perplexity_vs_subtokens",
    "text_samples",
    "toy_samples",
    "training_curves",
)
TABLE_SUFFIXES = ("csv", "md", "tex", "json")
FIGURE_SUFFIXES = ("png", "pdf")

DATA_FILES = {
    "known_entropy": ("train.npy", "validation.npy", "meta.json", "source.npz"),
    "text": ("train.npy", "validation.npy", "meta.json", "tokenizer.json"),
    "toy": ("train.npy", "validation.npy", "meta.json", "density.npy"),
}
RUN_FILES = ("weights.safetensors", "run.json", "history.csv")
SAMPLE_FILES = ("samples.npy", "samples.json")


def scale_root(results: str | Path, scale: str) -> Path:
    """results/SCALE: all that a scale's tables and figures are drawn from."""
    return Path(results) / scale


def data_dir(root: str | Path, task: str) -> Path:
    return Path(root) / task / "data"


def data_files(root: str | Path, task: str) -> list[Path]:
    return [data_dir(root, task) / name for name in DATA_FILES[task]]


def run_dir(root: str | Path, run: str) -> Path:
    """`run` is TASK/VARIANT/seedN."""
    return Path(root) / run


def run_files(root: str | Path, run: str) -> list[Path]:
    return [run_dir(root, run) / name for name in RUN_FILES]


def likelihood_file(root: str | Path, run: str) -> Path:
    return run_dir(root, run) / "likelihood.json"


def sample_files(root: str | Path, run: str) -> list[Path]:
    return [run_dir(root, run) / name for name in SAMPLE_FILES]


def oracle_file(root: str | Path) -> Path:
    return Path(root) / "oracle.json"


def idle_steps_file(root: str | Path) -> Path:
    return Path(root) / "idle_steps.json"


def sampled_runs(config: Config, task: str) -> Iterator[Run]:
    """The runs that samples are drawn from: every variant's first seed."""
    return (run for run in config.runs(task) if run.seed == config.task(task).seeds[0])


def table_inputs(results: str | Path, config: Config, name: str) -> list[Path]:
    """The files that a table is made from."""
    root = scale_root(results, config.scale)
    runs = {task: list(config.runs(task)) for task in TASKS}

    def likelihoods(task: str) -> list[Path]:
        return [data_dir(root, task) / "meta.json"] + [likelihood_file(root, run.name) for run in runs[task]]

    def samples(task: str) -> list[Path]:
        return [file for run in sampled_runs(config, task) for file in sample_files(root, run.name)]

    if name == "bound_validity":
        return [oracle_file(root), *likelihoods("known_entropy"), *likelihoods("toy")]
    if name == "text_perplexity":
        return likelihoods("text")
    if name == "idle_steps":
        return [idle_steps_file(root), *samples("text")]
    if name == "toy_likelihood":
        return [*likelihoods("toy"), data_dir(root, "toy") / "density.npy", *samples("toy")]
    if name == "claims":
        return [Path(results) / "tables" / f"{table}.csv" for table in TABLES if table != "claims"]
    raise KeyError(name)


def figure_inputs(results: str | Path, config: Config, name: str) -> list[Path]:
    """The files that a figure is drawn from."""
    root = scale_root(results, config.scale)
    tables = Path(results) / "tables"
    if name in ("bound_validity", "idle_steps"):
        return [tables / f"{name}.csv"]
    if name == "perplexity_vs_subtokens":
        return [tables / "text_perplexity.csv"]
    if name == "text_samples":
        return [file for run in sampled_runs(config, "text") for file in sample_files(root, run.name)]
    if name == "toy_samples":
        samples = [file for run in sampled_runs(config, "toy") for file in sample_files(root, run.name)]
        return [data_dir(root, "toy") / "density.npy", *samples]
    if name == "training_curves":
        histories = [run_dir(root, run.name) / "history.csv" for task in TASKS for run in config.runs(task)]
        return [data_dir(root, task) / "meta.json" for task in TASKS] + histories
    raise KeyError(name)


def table_files(results: str | Path, name: str) -> list[Path]:
    return [Path(results) / "tables" / f"{name}.{suffix}" for suffix in TABLE_SUFFIXES]


def figure_files(results: str | Path, name: str) -> list[Path]:
    return [Path(results) / "figures" / f"{name}.{suffix}" for suffix in FIGURE_SUFFIXES]
