"""A results tree with made-up numbers in the real formats, for every file that tables and figures read."""

import shutil
from dataclasses import dataclass, field
from math import log
from pathlib import Path

import numpy as np
import yaml
from synthetic_images import (
    IMAGE_NATS,
    IMAGE_TASK,
    IMAGES,
    described,
    of_model,
    write_image_data,
    write_images,
    write_quality,
)

from mdm_prime.core.bases import smallest_base
from mdm_prime.core.orders import ORDERS
from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config, load
from mdm_prime.experiment.runs import Run
from mdm_prime.experiment.sections.samplers import SamplerSection
from mdm_prime.files import write_json, write_text
from mdm_prime.reporting import declared, drawing, writing

JOINT_PPL = {1: 369.0, 2: 327.0, 3: 282.0, 4: 259.0, 6: 264.0}
BOUND_PPL = {1: 369.0, 2: 390.0, 3: 399.0, 4: 392.0, 6: 391.0}
ARM_PPL = 67.5
COUNTED_PPL = {"unigram": 600.0, "bigram": 300.0}
COUNTED_NATS = 2.8  # per token, of independent pixels
ENTROPY = {"known_entropy": 1.1, "toy": 4.2}
ABOVE = {"nelbo": {1: 0.02, 2: 0.05, 3: 0.08}, "joint_loss": {1: 0.02, 2: -0.06, 3: -0.03}}
BELOW = {  # the bound, in nats, of every masked model
    "bound_tokens": 0.001,
    "left_to_right": 0.005,
    "lowest_entropy": 0.01,
    "random": 0.003,
    "left_to_right_tokens": 0.004,
    "lowest_entropy_tokens": 0.006,
    "random_tokens": 0.002,
}
STDERR = 0.004  # nats, of every likelihood
ENERGY = {  # of every model with one, though no table of likelihoods shows it
    "num_samples": 9,
    "denoiser": {"nats": 6.0, "stderr": STDERR},
    "autoregressive": None,
    "difference": None,
}
# Tables of models that the default scale has not; they have tests of their own.
OF_OTHER_SCALES = {"block_diffusion", "hybrids", "hybrid_samplers", "schedules"}
SHOWN_FIGURES = tuple(name for name in declared.figures() if name != "systems")  # likewise


@dataclass(frozen=True)
class Tree:
    config: Config
    results: Path

    @property
    def root(self) -> Path:
        return layout.scale_root(self.results, self.config.scale)


@dataclass(frozen=True)
class AnyTasks:
    """A scale with chosen tasks of another, each under names of its own: several of a kind, or none."""

    base: Config
    names: dict[str, str]  # name -> task of the base
    idle_steps: object = None
    changes: dict[str, object] = field(default_factory=dict)  # of every run

    @property
    def scale(self) -> str:
        return self.base.scale

    @property
    def tasks(self) -> dict[str, object]:
        return {name: self.base.tasks[source] for name, source in self.names.items()}

    @property
    def images(self) -> dict[str, object]:
        return {name: self.base.images[source] for name, source in self.names.items() if source in self.base.images}

    def of_kind(self, kind: str) -> dict[str, object]:
        return {name: task for name, task in self.tasks.items() if task.data.kind == kind}

    def task(self, name: str) -> object:
        return self.tasks[name]

    def runs(self, name: str) -> list[Run]:
        return [run.model_copy(update={"task": name, **self.changes}) for run in self.base.runs(self.names[name])]


def any_tasks(tree: Tree, folder: Path, names: dict[str, str], **more: object) -> Tree:
    """A tree with copies of a tree's tasks."""
    copied = Tree(AnyTasks(tree.config, names, **more), folder)
    for name, source in names.items():
        shutil.copytree(tree.root / source, copied.root / name)
    if copied.config.idle_steps is not None:
        shutil.copy(tree.root / layout.idle_steps().pattern, copied.root)
    return copied


def make_tree(folder: Path, change: dict[str, object] | None = None) -> Tree:
    config = tiny_config(folder, change)
    tree = Tree(config, folder / "results")
    write_tree(config, tree.results)
    return tree


def write_tables(tree: Tree) -> None:
    for name in tables_in_order(tree.config):
        writing.write_table(name, tree.config, tree.root)


def write_figures(tree: Tree) -> None:
    for name, figure in declared.figures().items():
        if figure.applies(tree.config):
            drawing.write_figure(name, tree.config, tree.root)


def tables_in_order(config: Config) -> list[str]:
    """The tables that a scale has, each behind those that it is made from."""
    waiting = {
        name: {Path(path).stem for files in table.needs(config) for path in files.paths() if path.startswith("tables/")}
        for name, table in declared.tables().items()
        if table.applies(config)
    }
    done: list[str] = []
    while waiting:
        ready = [name for name, needed in waiting.items() if needed <= set(done)]
        assert ready, waiting
        done += ready
        waiting = {name: needed for name, needed in waiting.items() if name not in ready}
    return done


def tiny_config(folder: Path, change: dict[str, object] | None = None) -> Config:
    """params/default.yaml with fewer models; `change` maps dotted keys to values."""
    params = Path(__file__).parents[2] / "params"
    values = yaml.safe_load((params / "default.yaml").read_text())
    tasks = values["tasks"]
    for name in ("digits", "photos"):
        del tasks[name]
    tasks["text"] |= {"models": ["l1", "l2", "l4", "arm", "l2-plain"], "seeds": [0, 1]}
    tasks["toy"] |= {"models": ["l1", "l2"]}
    tasks["toy"]["data"]["vocab_size"] = 64
    tasks |= {name: {**task, **IMAGE_TASK} for name, task in IMAGES.items()}
    for key, value in (change or {}).items():
        if key == "images":
            for name in IMAGES:
                del tasks[name]
            continue
        *path, last = key.split(".")
        section = values if path[:1] == ["idle_steps"] or not path else tasks
        for part in path:
            section = section.setdefault(part, {})
        section[last] = value
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(params / "base.yaml", folder)
    file = folder / "tiny.yaml"
    write_text(file, yaml.safe_dump(values, sort_keys=False))
    return load(file)


def write_tree(config: Config, results: Path, density: np.ndarray | None = None) -> None:
    """All inputs of all tables and figures, below results/SCALE."""
    root = layout.scale_root(results, config.scale)
    for task in config.tasks:
        write_meta(config, root, task)
        _write_baselines(config, root, task)
        for run in config.runs(task):
            _write_run(config, root, run)
    for task in config.images:
        write_image_data(config, root, task)
    _write_toy(config, root, density)
    _write_oracle(config, root)
    _write_idle_steps(config, root)


def write_meta(config: Config, root: Path, task: str) -> None:
    data = config.task(task).data
    write_json(
        layout.data_dir(root, task) / "meta.json",
        {
            "task": task,
            "vocab_size": data.vocab_size,
            "length": data.length,
            "train_sequences": 10_000,
            "heldout_sequences": 1_500 if task == "text" else 20_000,
            "entropy_per_token": ENTROPY.get(task),
            "sha256": f"sha of {task}",
            "corpus": {"name": f"corpus of {task}", "documents": 379, "bytes": 1_900_000, "python": "3.11.7"},
            "heldout_bytes": 250_000 if task == "text" else None,
        },
    )


def _write_baselines(config: Config, root: Path, task: str) -> None:
    counted = (
        {"independent pixels": COUNTED_NATS}
        if task in config.images
        else {name: log(ppl) for name, ppl in COUNTED_PPL.items()}
    )
    rows = [{"baseline": name, "nats": nats, "nats_stderr": STDERR} for name, nats in counted.items()]
    facts: dict[str, object] = {"task": task, "num_sequences": 1_500, "train_tokens": 640_000}
    write_json(
        layout.baselines_file(root, task), facts | {"rows": rows, "token_entropy": 5.0, "digits": _digits(config, task)}
    )


def _write_run(config: Config, root: Path, run: Run) -> None:
    joint, bound = losses(run)
    shift = 0.004 * (-1) ** run.seed  # nats between seeds
    facts = {
        "task": run.task,
        "variant": run.variant,
        "seed": run.seed,
        "model": run.model.kind,
        "num_subtokens": run.num_subtokens,
        "base": smallest_base(run.vocab_size, run.num_subtokens),
        "carry_over": run.carry_over,
        "super_tokens": run.super_tokens,
        "permutation": run.permutation,
        "components": getattr(run.network, "components", 1),
        "objective": run.training.objective,
        "parameters": 1_234_567,
        "train_tokens": 2_048_000,
        "source": None,
    }
    write_json(
        layout.likelihood_file(root, run.name),
        facts
        | {
            "num_samples": config.task(run.task).evaluation.num_samples,
            "nelbo": bound + shift,
            "nelbo_stderr": STDERR,
            "joint_loss": joint + shift,
            "joint_loss_stderr": STDERR,
            "energy": ENERGY if run.model.parts else None,
        }
        | _exact(config, run, bound + shift),
    )
    write_history(root, run, joint)
    if run.task in config.images:
        write_quality(config, root, run, facts)
        write_images(config, root, run, facts)
    elif run in list(layout.sampled_runs(config, run.task)):
        _write_samples(config, root, run, facts)


def write_history(root: Path, run: Run, last: float) -> None:
    """A loss that falls to about `last`."""
    steps = np.arange(50, 1001, 50)
    noise = np.random.default_rng(run.seed + 10 * run.num_subtokens).normal(0, 0.02, len(steps))
    loss = last + 2.5 * np.exp(-steps / 150) + noise
    lines = [f"{s},{s * 2048},{value:.6f},0.001,0.5" for s, value in zip(steps, loss, strict=True)]
    write_text(
        layout.history_file(root, run.name),
        "\n".join(["step,train_tokens,loss,learning_rate,gradient_norm", *lines]) + "\n",
    )


def _exact(config: Config, run: Run, bound: float) -> dict[str, object]:
    """The other bound and the exact values, below the bound by a share of it for each order."""
    if run.model.exact_order:
        value = {"nll": bound, "nll_stderr": STDERR, "num_sequences": 1_500}
        return {"bound_tokens": None, "bound_tokens_stderr": None, "exact": {run.model.exact_order: value}}
    settings = config.task(run.task).evaluation.exact
    return {
        "bound_tokens": bound - BELOW["bound_tokens"],
        "bound_tokens_stderr": STDERR,
        "exact": {
            order: {"nll": bound - BELOW[order], "nll_stderr": STDERR, "num_sequences": settings.num_sequences}
            for order in (settings.orders if settings else ())
        },
    }


def losses(run: Run) -> tuple[float, float]:
    """Published loss and valid bound of a variant, nats per token, before the seed's shift."""
    if run.model.causal:
        return log(ARM_PPL), log(ARM_PPL)
    if run.task == "text":
        worse = 0.0 if run.carry_over else 0.05
        visible = 0.0 if run.carry_over else 2.0 / run.num_subtokens
        return log(JOINT_PPL.get(run.num_subtokens, 270.0)) + worse + visible, log(
            BOUND_PPL.get(run.num_subtokens, 395.0)
        ) + worse
    if run.task not in ENTROPY:
        return IMAGE_NATS["joint_loss"], IMAGE_NATS["nelbo"]
    nearest = min(run.num_subtokens, 3)
    return tuple(ENTROPY[run.task] + ABOVE[loss][nearest] for loss in ("joint_loss", "nelbo"))


def _write_samples(config: Config, root: Path, run: Run, facts: dict[str, object]) -> None:
    sampling = config.task(run.task).sampling
    samplers = config.task(run.task).samplers_of(run.variant)
    generator = np.random.default_rng(run.num_subtokens)
    length = run.data.length
    size = (sampling.num_samples, length)
    array_file, json_file = layout.sample_files(root, run.name)
    if run.task != "toy":
        array_file.parent.mkdir(parents=True, exist_ok=True)
        np.save(array_file, generator.integers(run.data.vocab_size, size=(len(samplers), *size), dtype=np.uint16))
    texts = None
    if run.task == "text":
        words = [
            "Return",
            "the",
            "value",
            "of\n",
            "$x$",
            "_name_",
            "\\alpha",
            "列",
            "\x07",
            "\t",
            "emoji 🎉",
            "object.",
            "dict",
        ]
        texts = [" ".join(generator.choice(words, 45)) for _ in range(sampling.num_samples)]
    write_json(
        json_file,
        of_model(facts)
        | {
            "prefix": sampling.prefix,
            "prefix_tokens": 2 * bool(sampling.prefix),
            "num_samples": sampling.num_samples,
            "length": length,
            "samplers": [{**described(sampler), **_evaluations(run, sampler), "texts": texts} for sampler in samplers],
        },
    )


def _evaluations(run: Run, sampler: SamplerSection) -> dict[str, float | None]:
    """Network evaluations and idle steps; one for each token where there are no steps."""
    steps = sampler.description["num_steps"]
    if not run.model.idle_steps or steps is None:
        return {"nfe_mean": run.data.length, "nfe_stderr": 0.0, "idle_steps_mean": None, "idle_steps_stderr": None}
    idle = steps * (1 - 1 / steps) ** (run.data.length * run.num_subtokens)
    return {"nfe_mean": steps - idle, "nfe_stderr": 0.5, "idle_steps_mean": idle, "idle_steps_stderr": 0.5}


def _write_toy(config: Config, root: Path, density: np.ndarray | None) -> None:
    size = config.task("toy").data.vocab_size
    if density is None:
        x, y = np.meshgrid(np.linspace(-2, 2, size), np.linspace(-2, 2, size))
        density = np.exp(-((x - 0.5) ** 2) * 2 - y**2) + 0.5 * np.exp(-((x + 1) ** 2) * 6 - (y - 1) ** 2 * 6)
        density /= density.sum()
    np.save(layout.data_dir(root, "toy") / "density.npy", density)
    for run in layout.sampled_runs(config, "toy"):
        blurred = (1 - 0.04 * run.num_subtokens) * density + 0.04 * run.num_subtokens / density.size
        draws = np.random.default_rng(run.num_subtokens).choice(
            density.size, size=config.task("toy").sampling.num_samples, p=blurred.ravel() / blurred.sum()
        )
        path = layout.sample_files(root, run.name)[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.stack([draws // size, draws % size], axis=1).astype(np.uint16)[None])


def _digits(config: Config, task: str) -> list[dict[str, object]]:
    """Entropies of digits of each l: lower as tokens are numbered than permuted."""
    return [
        {
            "num_subtokens": ell,
            "base": smallest_base(config.task(task).data.vocab_size, ell),
            "permuted": permuted,
            "entropies": [(0.9 if permuted else 0.8) * 5.0 / ell] * ell,
        }
        for ell in (1, 2, 4)
        for permuted in (False, True)
    ]


def _write_oracle(config: Config, root: Path) -> None:
    rows = [
        {
            "source": "known_entropy",
            "num_subtokens": number,
            "base": smallest_base(8, number),
            "vocab_size": 8,
            "length": 4,
            "entropy": ENTROPY["known_entropy"],
            "method": "enumeration",
            "states": 4096,
            "joint_loss": ENTROPY["known_entropy"] - 0.09 * (number > 1) - 0.01 * (number - 1),
            "joint_loss_stderr": 0.0,
            "nelbo": ENTROPY["known_entropy"],
            "nelbo_stderr": 0.0,
            **_oracle_values(ENTROPY["known_entropy"]),
        }
        for number in config.task("known_entropy").oracle.num_subtokens
    ]
    rows += [
        {
            "source": "copies of one bit",
            "num_subtokens": number,
            "base": 2,
            "vocab_size": 2**number,
            "length": 1,
            "entropy": log(2),
            "method": "enumeration",
            "states": 2**number,
            "joint_loss": log(2) / number,
            "joint_loss_stderr": 0.0,
            "nelbo": log(2),
            "nelbo_stderr": 0.0,
            **_oracle_values(log(2)),
        }
        for number in config.task("known_entropy").oracle.copies_of_one_bit
    ]
    grouped = [
        {
            "source": "copies of one bit",
            "num_subtokens": 2,
            "above": above,
            "entropy": log(2),
            "mixture": (1 - above + above**2) * log(2),
            "marginals": (2 - 2 * above + above**2) * log(2),
        }
        for above in config.task("known_entropy").oracle.grouped_above
    ]
    write_json(root / layout.oracle("known_entropy").pattern, {"rows": rows, "grouped": grouped})


def _oracle_values(entropy: float) -> dict[str, object]:
    exact = {order: {"nll": entropy, "nll_stderr": 0.0} for order in ORDERS}
    return {"bound_tokens": entropy, "bound_tokens_stderr": 0.0, "exact": exact}


def _write_idle_steps(config: Config, root: Path) -> None:
    generator = np.random.default_rng(0)
    options = config.idle_steps
    rows = []
    for steps in options.num_steps:
        for number in options.num_subtokens:
            balls = generator.integers(steps, size=(options.num_sequences, options.length * number))
            idle = np.array([steps - len(np.unique(row)) for row in balls])
            rows.append(
                {
                    "num_steps": steps,
                    "num_subtokens": number,
                    "length": options.length,
                    "num_sequences": options.num_sequences,
                    "idle_measured": float(idle.mean()),
                    "idle_stderr": float(idle.std(ddof=1) / len(idle) ** 0.5),
                }
            )
    write_json(layout.idle_steps_file(root), {"rows": rows})
