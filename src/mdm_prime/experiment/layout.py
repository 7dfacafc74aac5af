"""Where every result file lies, in one place for the command line, the Snakefile and the tables. Imports no library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mdm_prime.experiment.config import Config, Official
from mdm_prime.experiment.tasks import Run

TABLE_SUFFIXES = ("csv", "md", "tex", "json")
FIGURE_SUFFIXES = ("png", "pdf")

DATA_FILES = {
    "known_entropy": ("train.npy", "validation.npy", "meta.json", "source.npz"),
    "text": ("train.npy", "validation.npy", "meta.json", "tokenizer.json"),
    "toy": ("train.npy", "validation.npy", "meta.json", "density.npy"),
}
IMAGE_DATA_FILES = ("train.npy", "validation.npy", "meta.json", "train_labels.npy", "validation_labels.npy")
NETWORK_FILES = ("weights.safetensors", "run.json")
SAMPLE_FILES = ("samples.npy", "samples.json")


def scale_root(results: str | Path, scale: str) -> Path:
    """results/SCALE: all that a scale's tables and figures are drawn from."""
    return Path(results) / scale


def data_dir(root: str | Path, task: str) -> Path:
    return Path(root) / task / "data"


def data_files(root: str | Path, task: str) -> list[Path]:
    return [data_dir(root, task) / name for name in DATA_FILES.get(task, IMAGE_DATA_FILES)]


def classifier_file(root: str | Path, task: str) -> Path:
    """The network of a task on images whose features its images are compared by."""
    return Path(root) / task / "features" / "classifier.safetensors"


def baselines_file(root: str | Path, task: str) -> Path:
    """What real test images and independent pixels score where samples are scored."""
    return Path(root) / task / "features" / "baselines.json"


def of_run(root: str | Path, kind: str, run: str) -> Path:
    """TASK/KIND/VARIANT/seedN of a run, which is called TASK/VARIANT/seedN: a folder holds one kind of all runs.

    So a stage of DVC that joins runs depends on one folder, whatever runs the params name.
    """
    task, variant, seed = run.split("/")
    return Path(root) / task / kind / variant / seed


def network_dir(root: str | Path, run: str) -> Path:
    """The trained network; while it is trained, the state that training goes on from."""
    return of_run(root, "networks", run)


def history_file(root: str | Path, run: str) -> Path:
    """The training loss over the steps."""
    return of_run(root, "history", run).with_suffix(".csv")


def network_files(root: str | Path, run: str) -> list[Path]:
    """The weights, and what they are."""
    return [network_dir(root, run) / name for name in NETWORK_FILES]


def run_files(root: str | Path, run: str) -> list[Path]:
    """What training makes."""
    return [*network_files(root, run), history_file(root, run)]


def likelihood_file(root: str | Path, run: str) -> Path:
    return of_run(root, "likelihood", run).with_suffix(".json")


def sample_files(root: str | Path, run: str) -> list[Path]:
    return [of_run(root, "samples", run) / name for name in SAMPLE_FILES]


def feature_files(root: str | Path, config: Config, task: str) -> list[Path]:
    """The baselines and, unless Inception's weights are given, the classifier."""
    trained = config.image_task(task).fidelity.inception_weights is None
    return [*([classifier_file(root, task)] if trained else []), baselines_file(root, task)]


def image_sample_files(root: str | Path, run: str) -> list[Path]:
    return [*sample_files(root, run), imputation_file(root, run), path_file(root, run)]


def imputation_file(root: str | Path, run: str) -> Path:
    """Images completed from what is given of them."""
    return of_run(root, "samples", run) / "imputation.npz"


def path_file(root: str | Path, run: str) -> Path:
    """Images on their way from all masked to finished."""
    return of_run(root, "samples", run) / "path.npz"


def quality_file(root: str | Path, run: str) -> Path:
    """Distances of a run's images from the real ones, for every sampler."""
    return of_run(root, "quality", run).with_suffix(".json")


def oracle_file(root: str | Path) -> Path:
    return Path(root) / "oracle.json"


def idle_steps_file(root: str | Path) -> Path:
    return Path(root) / "idle_steps.json"


def sampled_runs(config: Config, task: str) -> Iterator[Run]:
    """The runs that samples are drawn from: all on images, every variant's first seed on tokens."""
    return (run for run in config.runs(task) if task in config.images or run.seed == config.task(task).seeds[0])


@dataclass(frozen=True)
class Files:
    """Files below results/SCALE: one path, or one for each run (model, seed) of a task."""

    pattern: str  # "text/likelihood/{model}/seed{seed}.json", "tables/idle_steps.csv"
    task: str | None = None  # of the runs
    runs: tuple[tuple[str, int], ...] | None = None

    def paths(self) -> list[str]:
        """Relative to results/SCALE, with forward slashes."""
        if self.runs is None:
            return [self.pattern]
        return [self.pattern.format(model=model, seed=seed) for model, seed in self.runs]


def data_file(task: str, name: str) -> Files:
    return Files(f"{task}/data/{name}")


def of_runs(config: Config, task: str, kind: str, suffix_or_name: str, runs: Iterable[Run] | None = None) -> Files:
    """What each run of a task has of a kind: TASK/KIND/MODEL/seedN with a suffix, or a file of that name in it."""
    end = suffix_or_name if suffix_or_name.startswith(".") else f"/{suffix_or_name}"
    chosen = config.runs(task) if runs is None else runs
    names = tuple((run.variant, run.seed) for run in chosen)
    return Files(f"{task}/{kind}/{{model}}/seed{{seed}}{end}", task, names)


def baselines(task: str) -> Files:
    return Files(f"{task}/features/baselines.json")


def oracle(task: str) -> Files:
    return Files(f"{task}/oracle.json")


def idle_steps() -> Files:
    return Files("idle_steps.json")


def table_csv(name: str) -> Files:
    return Files(f"tables/{name}.csv")


def metrics_dir(root: str | Path) -> Path:
    return Path(root) / "metrics"


def metrics_files(root: str | Path, config: Config) -> list[Path]:
    """The headline numbers of each model, for `dvc metrics`."""
    folder = metrics_dir(root)
    return [folder / name / f"{model}.json" for name, task in config.tasks.items() for model in task.models]


def table_files(root: str | Path, name: str) -> list[Path]:
    return [Path(root) / "tables" / f"{name}.{suffix}" for suffix in TABLE_SUFFIXES]


def figure_files(root: str | Path, name: str) -> list[Path]:
    return [Path(root) / "figures" / f"{name}.{suffix}" for suffix in FIGURE_SUFFIXES]


# ---- official checkpoints: NAME is TASK/CHECKPOINT ----------------------------------------------------------------


def of_checkpoint(root: str | Path, kind: str, name: str) -> Path:
    """TASK/KIND/CHECKPOINT."""
    task, checkpoint = name.split("/")
    return Path(root) / task / kind / checkpoint


def imported_files(root: str | Path, name: str) -> list[Path]:
    """The imported network."""
    return [of_checkpoint(root, "imported", name) / file for file in ("official.json", "weights.safetensors")]


def likelihood_shards(root: str | Path, official: Official, name: str) -> list[Path]:
    """Both losses, on a part of the held-out sequences each."""
    jobs = official.task(name.split("/")[0]).evaluation.jobs
    return [of_checkpoint(root, "likelihood", name) / f"{shard}-of-{jobs}.json" for shard in range(jobs)]


def sample_shards(root: str | Path, official: Official, name: str, sampler: int) -> list[Path]:
    """The images of one of a checkpoint's samplers, a part each."""
    jobs = official.image_task(name.split("/")[0]).sampling.jobs
    folder = of_checkpoint(root, "samples", name) / f"sampler{sampler}"
    return [folder / f"{shard}-of-{jobs}.npz" for shard in range(jobs)]


def official_quality_file(root: str | Path, name: str) -> Path:
    """Distances of a checkpoint's images from the real ones, for every sampler."""
    return of_checkpoint(root, "quality", name).with_suffix(".json")
