"""Where every result file lies, in one place for the command line, the Snakefile and the tables. Imports no library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mdm_prime.experiment.config import Config, Official
from mdm_prime.experiment.tasks import Run

TABLES = (
    "bound_validity",
    "claims",
    "idle_steps",
    "image_likelihood",
    "image_published",
    "image_quality",
    "text_perplexity",
    "toy_likelihood",
)
FIGURES = (
    "bound_validity",
    "idle_steps",
    "image_denoising",
    "image_imputation",
    "image_quality_vs_nfe",
    "image_quality_vs_subtokens",
    "image_samples",
    "perplexity_vs_subtokens",
    "text_samples",
    "toy_samples",
    "training_curves",
)
OFFICIAL_TABLES = ("official_text", "official_image")  # of a scale of official checkpoints
TABLE_SUFFIXES = ("csv", "md", "tex", "json")
FIGURE_SUFFIXES = ("png", "pdf")

DATA_FILES = {
    "known_entropy": ("train.npy", "heldout.npy", "meta.json", "source.npz"),
    "text": ("train.npy", "heldout.npy", "meta.json", "tokenizer.json"),
    "toy": ("train.npy", "heldout.npy", "meta.json", "density.npy"),
}
IMAGE_DATA_FILES = ("train.npy", "heldout.npy", "meta.json", "train_labels.npy", "heldout_labels.npy")
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


def table_inputs(results: str | Path, config: Config, name: str) -> list[Path]:
    """The files that a table is made from."""
    root = scale_root(results, config.scale)
    runs = {task: list(config.runs(task)) for task in config.tasks}

    def likelihoods(task: str) -> list[Path]:
        return [data_dir(root, task) / "meta.json"] + [likelihood_file(root, run.name) for run in runs[task]]

    def qualities(task: str) -> list[Path]:
        return [baselines_file(root, task)] + [quality_file(root, run.name) for run in runs[task]]

    def samples(task: str) -> list[Path]:
        return [file for run in sampled_runs(config, task) for file in sample_files(root, run.name)]

    if name == "bound_validity":
        return [oracle_file(root), *likelihoods("known_entropy"), *likelihoods("toy")]
    if name == "text_perplexity":
        return likelihoods("text")
    if name == "image_likelihood":
        return [file for task in config.images for file in likelihoods(task)]
    if name == "image_quality":
        return [file for task in config.images for file in [data_dir(root, task) / "meta.json", *qualities(task)]]
    if name == "image_published":
        return [Path(results) / "tables" / "image_quality.csv"]
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
    image_runs = [run.name for task in config.images for run in config.runs(task)]

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
        histories = [history_file(root, run.name) for task in config.tasks for run in config.runs(task)]
        return [data_dir(root, task) / "meta.json" for task in config.tasks] + histories
    if name.startswith("image_quality"):
        return [tables / "image_quality.csv"]
    if name == "image_samples":
        real = [data_dir(root, task) / file for task in config.images for file in ("meta.json", "heldout.npy")]
        return real + [file for run in image_runs for file in sample_files(root, run)]
    if name in ("image_imputation", "image_denoising"):
        file = {"image_imputation": imputation_file, "image_denoising": path_file}[name]
        meta = [data_dir(root, task) / "meta.json" for task in config.images]
        return meta + [file(root, run) for run in image_runs]
    raise KeyError(name)


def metrics_dir(results: str | Path) -> Path:
    return Path(results) / "metrics"


def metrics_files(results: str | Path, config: Config) -> list[Path]:
    """The headline numbers of each model, for `dvc metrics`."""
    folder = metrics_dir(results)
    return [folder / name / f"{model}.json" for name, task in config.tasks.items() for model in task.models]


def metrics_inputs(results: str | Path) -> list[Path]:
    """The tables that the headline numbers come from."""
    names = ("bound_validity", "image_likelihood", "image_quality", "text_perplexity", "toy_likelihood")
    return [table_files(results, name)[0] for name in names]


def table_files(results: str | Path, name: str) -> list[Path]:
    return [Path(results) / "tables" / f"{name}.{suffix}" for suffix in TABLE_SUFFIXES]


def figure_files(results: str | Path, name: str) -> list[Path]:
    return [Path(results) / "figures" / f"{name}.{suffix}" for suffix in FIGURE_SUFFIXES]


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


def official_table_inputs(results: str | Path, official: Official, name: str) -> list[Path]:
    """The files that a table of official checkpoints is made from."""
    root = scale_root(results, official.scale)
    tasks = ["text"] if name == "official_text" else list(official.images)
    files = []
    for task in tasks:
        files.append(data_dir(root, task) / "meta.json")
        for key in official.task(task).checkpoints:
            files += likelihood_shards(root, official, f"{task}/{key}")
            if task in official.images:
                files.append(official_quality_file(root, f"{task}/{key}"))
    return files
