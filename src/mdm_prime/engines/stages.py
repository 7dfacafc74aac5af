"""The stages of a scale, each declared once: Snakemake's rules and dvc.yaml both come from this table.

Patterns of files are relative to results/SCALE; `{model}` and `{seed}` stand for the runs that a stage is repeated
over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.found import module_of
from mdm_prime.experiment.layout import RUN, Files
from mdm_prime.experiment.runs import Run
from mdm_prime.experiment.sections.model_kinds import EVALUATION, SAMPLING, TRAINING
from mdm_prime.experiment.sections.models import OBJECTIVES
from mdm_prime.experiment.tasks import Task
from mdm_prime.reporting import declared

Runs = tuple[tuple[str, int], ...]
NETWORK = ("/weights.safetensors", "/run.json")
MADE = "made"  # results/SCALE/made: what each stage was made of (made.py)


@dataclass(frozen=True)
class Stage:
    """One rule of Snakemake, one stage of dvc.yaml.

    Attributes:
        name: of both.
        command: behind `mdm-prime --params FILE`.
        modules: the roots of its code, dotted; `module.*` is a whole package.
        values: dotted keys of the settings that it reads.
        inputs, outputs: files.
        in_git: suffixes of those outputs that are kept in git; the others are kept by DVC.
        modules_of: more roots, by model.
        runs: model and seed of each repetition; None for one.
        gpu: whether it computes with networks.
        devices: how many it shares that work among.
        outside: files that are no results: a checkpoint of this machine.
        task: whose runs these are; "" for none.
        first_seed: whether the runs are those of the first seed alone.
    """

    name: str
    command: str
    modules: tuple[str, ...]
    values: tuple[str, ...]
    inputs: tuple[Files, ...]
    outputs: tuple[str, ...]
    in_git: tuple[str, ...] = ()
    modules_of: dict[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    runs: Runs | None = None
    gpu: bool = False
    devices: int = 1
    outside: tuple[str, ...] = ()
    task: str = ""
    first_seed: bool = False

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(model for model, _ in self.runs or ()))

    @property
    def seeds(self) -> list[int]:
        return list(dict.fromkeys(seed for _, seed in self.runs or ()))

    @property
    def made(self) -> str:
        """The pattern of the file that says what a repetition was made of."""
        return f"{MADE}/{self.name}" + ("/{model}-seed{seed}.json" if self.runs is not None else ".json")

    @property
    def code_key(self) -> str:
        """The dotted key of the hash of its code in the settings."""
        return f"code.{self.name}" + (".{model}" if self.modules_of else "")

    def repetitions(self) -> Iterator[Repetition]:
        """Itself for each run, or once."""
        for model, seed in self.runs if self.runs is not None else [("", 0)]:
            yield Repetition(self, model, seed)


@dataclass(frozen=True)
class Repetition:
    """A stage for one run, or a stage that runs once (model "")."""

    stage: Stage
    model: str
    seed: int

    def fill(self, pattern: str) -> str:
        return pattern.format(model=self.model, seed=self.seed)

    @property
    def command(self) -> str:
        return self.fill(self.stage.command)

    @property
    def values(self) -> list[str]:
        """The keys of the settings that it depends on, that of its code among them."""
        return [self.fill(key) for key in (*self.stage.values, self.stage.code_key)]

    @property
    def inputs(self) -> list[str]:
        return [
            path
            for files in self.stage.inputs
            for path in ([self.fill(files.pattern)] if files.runs is None else files.paths())
        ]

    @property
    def outputs(self) -> list[str]:
        return [self.fill(pattern) for pattern in self.stage.outputs]

    @property
    def made(self) -> str:
        return self.fill(self.stage.made)


def stages(config: Config) -> list[Stage]:
    """Every stage of a scale."""
    found = [stage for name, task in config.tasks.items() for stage in _of_task(config, name, task)]
    if config.idle_steps:
        found.append(_stage("idle_steps", "idle-steps", "stages.idle_steps", ("idle_steps",), (), ("idle_steps.json",)))
    tables = {name: table for name, table in declared.tables().items() if table.applies(config)}
    for name, table in tables.items():
        parts = (f"{declared.TABLES}.{name}", "mdm_prime.reporting.writing", *(f"{part}.*" for part in table.parts))
        found.append(_report("table", name, table.needs(config), layout.TABLE_SUFFIXES, parts))
    found.append(_metrics(config, [name for name, table in tables.items() if table.metrics]))
    for name, figure in declared.figures().items():
        if figure.applies(config):
            parts = (f"{declared.FIGURES}.{name}", "mdm_prime.reporting.drawing")
            found.append(_report("figure", name, figure.needs(config), layout.FIGURE_SUFFIXES, parts))
    return found


def _of_task(config: Config, name: str, task: Task) -> Iterator[Stage]:
    runs = list(config.runs(name))
    of_task = f"tasks.{name}"
    data = tuple(layout.data_file(name, file) for file in task.data.outputs)
    yield _stage(
        f"data_{name}", f"data {name}", "stages.data", (f"{of_task}.data",), (),
        tuple(file.pattern for file in data), (module_of(task.data),),
    )  # fmt: skip
    if task.oracle:
        yield _stage(
            f"oracle_{name}", f"oracle {name}", "stages.oracle", (f"{of_task}.oracle",), data, (f"{name}/oracle.json",)
        )
    yield _stage(f"baselines_{name}", f"baselines {name}", "stages.baselines", (), data, (f"{name}/baselines.json",))
    trained = [run for run in runs if run.checkpoint is None and not run.parts]
    imported = [run for run in runs if run.checkpoint is not None]
    train = layout.data_file(name, "train.npy"), layout.data_file(name, "meta.json")
    networks = tuple(f"{name}/networks/{RUN}{file}" for file in NETWORK)
    if trained:
        yield _stage(
            f"train_{name}", f"train {name}/{RUN}", "stages.train", (f"{of_task}.variants.{{model}}.run",), train,
            (*networks, f"{name}/history/{RUN}.csv"), (), trained,
            {
                run.variant: (*_modules(run, TRAINING), f"{OBJECTIVES}.{run.training.objective}")
                for run in trained
            },
            devices=task.devices,
        )  # fmt: skip
    for variant in dict.fromkeys(run.variant for run in runs if run.parts):
        yield _of_parts(name, [run for run in runs if run.variant == variant], train)
    if imported:
        local = tuple(
            run.checkpoint.address for run in imported if run.checkpoint and Path(run.checkpoint.address).is_file()
        )
        yield _stage(
            f"import_{name}", f"import {name}/{RUN}", "stages.import_checkpoint",
            (f"{of_task}.variants.{{model}}.run",), data, networks, (), imported, outside=local,
        )  # fmt: skip
    network = tuple(Files(pattern) for pattern in networks)
    yield _stage(
        f"evaluate_{name}", f"evaluate {name}/{RUN}", "stages.evaluate", (f"{of_task}.evaluation",),
        (*network, *data), (f"{name}/likelihood/{RUN}.json",), (), runs,
        {run.variant: _modules(run, EVALUATION) for run in runs}, devices=task.devices,
    )  # fmt: skip
    if hybrids := layout.hybrid_runs(config, name):
        yield _stage(
            f"hybrid_{name}", f"hybrid {name}/{RUN}", "stages.hybrid", (),
            (*network, *data, Files(f"{name}/likelihood/{RUN}.json")), (f"{name}/hybrids/{RUN}.json",), (), hybrids,
            {run.variant: _modules(run) for run in hybrids},
        )  # fmt: skip
    sampled = layout.sampled_runs(config, name)
    samples = [f"{name}/samples/{RUN}/{file}" for file in layout.SAMPLE_FILES]
    views = [f"{name}/samples/{RUN}/{file}" for file in ("imputation.npz", "path.npz")] if task.on_images else []
    yield _stage(
        f"sample_{name}", f"sample {name}/{RUN}", "stages.sample",
        (f"{of_task}.sampling", f"{of_task}.variants.{{model}}.samplers"), (*network, *data), (*samples, *views), (),
        sampled,
        {
            run.variant: (*_modules(run, SAMPLING), *map(module_of, task.samplers_of(run.variant)))
            for run in sampled
        },
        first_seed=not task.on_images,
        devices=task.devices,
    )  # fmt: skip
    if task.fidelity:
        features = [f"{name}/features/baselines.json"]
        if task.fidelity.inception_weights is None:
            features.append(f"{name}/features/classifier.safetensors")
        values = (f"{of_task}.classifier", f"{of_task}.fidelity")
        yield _stage(f"features_{name}", f"features {name}", "stages.features", values, data, tuple(features), gpu=True)
        yield _stage(
            f"quality_{name}", f"quality {name}/{RUN}", "stages.quality", (f"{of_task}.fidelity",),
            (*(Files(file) for file in [*samples, *features]), *data), (f"{name}/quality/{RUN}.json",), (), sampled,
        )  # fmt: skip


def _of_parts(name: str, runs: list[Run], data: tuple[Files, ...]) -> Stage:
    """The training of a variant that is made of the networks of others, or what only puts these together."""
    first, networks = runs[0], tuple(f"{name}/networks/{RUN}{file}" for file in NETWORK)
    learns = first.model.has(TRAINING)
    parts = tuple(
        Files(f"{name}/networks/{part.variant}/seed{{seed}}{file}") for part in first.parts.values() for file in NETWORK
    )
    modules = _modules(first, TRAINING) if learns else _modules(first)
    return _stage(
        f"train_{name}_{first.variant}", f"train {name}/{RUN}", "stages.train",
        (f"tasks.{name}.variants.{{model}}.run",), (*data, *parts),
        (*networks, f"{name}/history/{RUN}.csv") if learns else networks, (), runs, {first.variant: modules},
    )  # fmt: skip


def _modules(run: Run, part: str = "") -> tuple[str, ...]:
    """The roots that a stage has by a run's network and model, of which it needs one part, and by the run's parts."""
    own = module_of(run.network), module_of(run.model), *([run.model.module_of(part)] if part else [])
    return tuple(dict.fromkeys([*own, *(module for other in run.parts.values() for module in _modules(other))]))


def _stage(
    name: str,
    command: str,
    module: str,
    values: tuple[str, ...],
    inputs: tuple[Files, ...],
    outputs: tuple[str, ...],
    modules: tuple[str, ...] = (),
    runs: list[Run] | None = None,
    modules_of: dict[str, tuple[str, ...]] | None = None,
    *,
    gpu: bool = False,
    devices: int = 1,
    outside: tuple[str, ...] = (),
    first_seed: bool = False,
) -> Stage:
    return Stage(
        name=name,
        command=command,
        modules=(f"mdm_prime.{module}", *modules),
        values=values,
        inputs=inputs,
        outputs=outputs,
        in_git=tuple(file for file in outputs if _is_read_by_people(file)),
        modules_of=modules_of or {},
        runs=None if runs is None else tuple((run.variant, run.seed) for run in runs),
        gpu=gpu or runs is not None,
        devices=devices,
        outside=outside,
        task=runs[0].task if runs else "",
        first_seed=first_seed,
    )


def _is_read_by_people(pattern: str) -> bool:
    """Whether git keeps a result: small and worth comparing. Data, samples and networks are kept by DVC."""
    name = pattern.rpartition("/")[2]
    read = {"run.json", "oracle.json", "baselines.json", "idle_steps.json"}
    return (name in read and "/features/" not in pattern) or any(
        f"/{kind}/" in pattern for kind in ("likelihood", "quality", "hybrids")
    )


def _report(kind: str, name: str, needs: Iterable[Files], suffixes: tuple[str, ...], modules: tuple[str, ...]) -> Stage:
    """A table or figure; what it joins runs of depends on which these are."""
    inputs = tuple(needs)
    tasks = dict.fromkeys(file.task for file in inputs if file.task is not None)
    outputs = tuple(f"{kind}s/{name}.{suffix}" for suffix in suffixes)
    return Stage(
        name=f"{kind}_{name}",
        command=f"{kind} {name}",
        modules=modules,
        values=tuple(f"tasks.{task}.{key}" for task in tasks for key in ("models", "seeds")),
        inputs=inputs,
        outputs=outputs,
        in_git=outputs if kind == "table" else (),
    )


def _metrics(config: Config, tables: list[str]) -> Stage:
    root = Path()
    outputs = tuple(file.as_posix() for file in layout.metrics_files(root, config))
    return Stage(
        name="metrics",
        command="metrics",
        modules=("mdm_prime.reporting.metrics", *(f"{declared.TABLES}.{name}" for name in tables)),
        values=tuple(f"tasks.{task}.models" for task in config.tasks),
        inputs=tuple(layout.table_csv(name) for name in tables),
        outputs=outputs,
        in_git=outputs,
    )


def needed(every: list[Stage]) -> list[Stage]:
    """The stages that tables, figures and metrics are made from: what an engine makes unless asked for more."""
    producers = {
        path: repetition.stage for stage in every for repetition in stage.repetitions() for path in repetition.outputs
    }
    found: set[str] = set()
    waiting = [stage for stage in every if stage.name == "metrics" or stage.name.startswith(("table_", "figure_"))]
    while waiting:
        stage = waiting.pop()
        if stage.name not in found:
            found.add(stage.name)
            inputs = {path for repetition in stage.repetitions() for path in repetition.inputs}
            waiting += {producers[path].name: producers[path] for path in inputs}.values()
    return [stage for stage in every if stage.name in found]
