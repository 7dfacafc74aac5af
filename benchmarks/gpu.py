"""What does a GPU make of it? One command for a few minutes of one: its numbers as JSON, and docs/gpu.md from them.

    python benchmarks/gpu.py                          # on a GPU: writes docs/gpu.json and docs/gpu.md
    python benchmarks/gpu.py --page                   # docs/gpu.md again, from docs/gpu.json
    python benchmarks/gpu.py --device cpu --quick --output gpu.json     # whether it runs, in seconds

Needs the package and what that needs, no data and no results: training steps of the paper's text network and of its
U-Net for CIFAR-10, compiled and not, samples at T = 1,024, and, where the data of the default scale's text are there or
can be made (`tokenizers`), its runs trained and evaluated on this device. What would begin after --minutes is left out
and named. After each part the file is written, so that nothing is lost when time is up.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from rich.filesize import decimal
from training_step import measure, precision_of, with_training

from mdm_prime.core import visible_digits
from mdm_prime.cost.machines import this_machine
from mdm_prime.cost.timing import seconds_a_call
from mdm_prime.cost.work import SAMPLE, Work
from mdm_prime.errors import UserError
from mdm_prime.experiment import config, layout
from mdm_prime.experiment.config import Config
from mdm_prime.samplers.ancestral import AncestralSampler
from mdm_prime.stages.networks import schedule_of

ROOT = Path(__file__).parents[1]
JSON, PAGE = ROOT / "docs/gpu.json", ROOT / "docs/gpu.md"
REFERENCE = ROOT / "results/reference/tables/text_perplexity.csv"
Row = dict[str, Any]
Part = tuple[str, Callable[[], Row]]  # a name for people, and what makes its row


def parts(options: argparse.Namespace, device: torch.device) -> Iterator[Part]:
    """All that is measured, the most wanted first."""
    quick = options.quick
    scale = config.load(ROOT / f"params/{'smoke' if quick else 'paper'}.yaml")
    texts, images = ("l1", "l2") if quick else ("l1", "l4"), "digits" if quick else "cifar10"
    sizes = {"text": (2,) if quick else (32, 64), images: (2,) if quick else (64, 128)}
    for task, models in (("text", texts), (images, ("l3", "mixture") if quick else ("l1", "l2"))):
        for compiled in (False,) if quick else (False, True):
            for model in models:
                for size in sizes[task][:1] if compiled else sizes[task]:
                    name = f"{task}/{model}/seed0"
                    said = f"step {name}, {size} sequences{', compiled' if compiled else ''}"
                    yield said, lambda n=name, s=size, c=compiled: step(scale, n, s, c, True, device, options.seconds)
    last, size = f"text/{texts[-1]}/seed0", sizes["text"][0]
    yield f"step {last} without groups", lambda: step(scale, last, size, False, False, device, options.seconds)
    for model in texts:
        name = f"text/{model}/seed0"
        yield f"samples {name}", lambda n=name: samples(scale, n, device, 4 * options.seconds)
    default = config.load(ROOT / f"params/{'smoke' if quick else 'default'}.yaml")
    for model in ("l2",) if quick else ("l1", "l2", "l4", "arm"):
        name = f"text/{model}/seed0"
        yield f"training {name}", lambda n=name: bound(default, n, options.data, device)


def step(
    scale: Config, name: str, size: int, compiled: bool, grouped: bool, device: torch.device, seconds: float
) -> Row:
    """A training step of `size` sequences in one pass; not `grouped`: with the logits of all tokens."""
    run = with_training(scale.run(name), batch_size=size, micro_batch_size=None, compile=compiled)
    with mock.patch.dict(visible_digits.WORTH, {} if grouped else {device.type: 2**62}):
        found = measure(run, device, seconds)
    rate = this_machine(device, precision_of(run, device)).rate
    return {
        "part": "step",
        "run": name,
        "sequences": size,
        "compiled": compiled,
        "grouped": grouped,
        "seconds": found.seconds,
        "sequences_per_second": size / found.seconds,
        "tokens_per_second": size * run.length / found.seconds,
        "flops": found.flops,
        "share": found.flops / found.seconds / rate,
        "memory": found.memory,
        "told_memory": found.told_memory,
    }


def samples(scale: Config, name: str, device: torch.device, seconds: float) -> Row:
    """Ancestral samples at T = 1,024 in a batch of the params' size, from the time of their first steps."""
    sampler, run = AncestralSampler(kind="ancestral", num_steps=1024), scale.run(name)
    task = scale.task("text").model_copy(update={"samplers": (sampler,)})
    batch = min(task.sampling.batch_size, task.sampling.num_samples)
    nfe = sampler.evaluations(run.length, run.num_subtokens, schedule_of(run))
    call = seconds_a_call(task, run, Work(SAMPLE, "0", nfe, 0.0), device, seconds)
    return {
        "part": "samples",
        "run": name,
        "sequences": batch,
        "evaluations": nfe,
        "seconds_per_evaluation": call,
        "seconds_per_sample": call * nfe / batch,
    }


def bound(scale: Config, name: str, data: Path | None, device: torch.device) -> Row:
    """A run trained and evaluated on this device; its bound beside that of the reference run, which a CPU made."""
    from mdm_prime.stages import data as data_stage
    from mdm_prime.stages import evaluate as evaluation
    from mdm_prime.stages import train as training
    from mdm_prime.stages.workspace import Workspace

    os.environ.setdefault("MDM_PRIME_PARENT_RUN", "benchmark")  # nothing is sent to MLflow
    changed = scale.model_copy(update={"compute": scale.compute.model_copy(update={"device": device.type})})
    run = changed.run(name)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(changed, Path(folder), ROOT / f"params/{scale.scale}.yaml")
        if data is None:
            data_stage.make_data(workspace, run.task)
        else:
            place = layout.data_dir(workspace.root, run.task)
            place.parent.mkdir(parents=True)
            place.symlink_to(data.absolute(), target_is_directory=True)
        times = [time.perf_counter()]
        for stage in (training.train, evaluation.evaluate):
            stage(workspace, name)
            times.append(time.perf_counter())
        found = json.loads(layout.likelihood_file(workspace.root, name).read_text(encoding="utf-8"))
        meta = workspace.meta(run.task)
    value = found["nelbo"]
    return {
        "part": "bound",
        "run": name,
        "train_seconds": times[1] - times[0],
        "evaluate_seconds": times[2] - times[1],
        "ppl_bound": float(torch.tensor(value, dtype=torch.float64).exp()),
        "reference_ppl_bound": reference_bound(run.variant) if scale.scale == "default" else None,
        "data_sha256": meta.sha256,
    }


def reference_bound(variant: str) -> float | None:
    """The mean over seeds in the reference run's table; None where it has no such variant."""
    with REFERENCE.open(encoding="utf-8", newline="") as file:
        values = [float(row["ppl_bound"]) for row in csv.DictReader(file) if row["variant"] == variant]
    return sum(values) / len(values) if values else None


def run_all(options: argparse.Namespace) -> Row:
    """All parts, written after each. What fails or would be too late is named in `left_out`."""
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    machine = this_machine(device, dtype)
    found: Row = {
        "device": machine.name,
        "matrix_rate": machine.rate,
        "dtype": str(dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "quick": options.quick,
        "rows": [],
        "left_out": [],
    }
    began = time.perf_counter()
    for name, make in parts(options, device):
        if time.perf_counter() - began > 60 * options.minutes:
            found["left_out"].append(f"{name}: the time was up")
            continue
        start = time.perf_counter()
        try:
            found["rows"].append(make() | {"took": time.perf_counter() - start})
        except (UserError, RuntimeError, ImportError) as error:  # the others are still wanted
            found["left_out"].append(f"{name}: {' '.join(str(error).split())[:300]}")
        if device.type == "cuda":
            torch.cuda.empty_cache()
        print(f"{time.perf_counter() - began:5.0f} s {name}", flush=True)
        found["seconds"] = time.perf_counter() - began
        options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


# ---- the page -------------------------------------------------------------------------------------------------------

HEAD = """\
# On a GPU

Made by `benchmarks/gpu.py`: do not edit.

{said}

```sh
python benchmarks/gpu.py  # needs a GPU, and the package with what it needs; less than 8 minutes
```

It measures training steps of the paper's text network (one and four sub-tokens) and of its U-Net for CIFAR-10 (one and
two), compiled and not, and without the [groups](cost.md#what-a-training-step-saves) of positions; samples at T = 1,024;
and the default scale's text runs with their bounds beside the CPU's. Where `results/default/text/data` is not there,
`--data FOLDER` names the data set, or it is made, which needs `tokenizers` and differs with the version of Python. With
`--page` this page is written again from the JSON file.
"""
NONE = "This has run on a CPU only: no number stands here."
COLUMNS: dict[str, dict[str, Callable[[Row], str]]] = {
    "step": {
        "run": lambda row: f"`{row['run']}`",
        "sequences": lambda row: f"{row['sequences']}",
        "compiled": lambda row: "yes" if row["compiled"] else "no",
        "groups": lambda row: "yes" if row["grouped"] else "no",
        "ms": lambda row: f"{row['seconds'] * 1000:,.1f}",
        "sequences/s": lambda row: f"{row['sequences_per_second']:,.1f}",
        "tokens/s": lambda row: f"{row['tokens_per_second']:,.0f}",
        "share of the rate": lambda row: f"{row['share']:.0%}",
        "memory": lambda row: "-" if row["memory"] is None else decimal(row["memory"]),
        "told beforehand": lambda row: decimal(row["told_memory"]),
    },
    "samples": {
        "run": lambda row: f"`{row['run']}`",
        "at once": lambda row: f"{row['sequences']}",
        "evaluations": lambda row: f"{row['evaluations']:,.0f}",
        "ms an evaluation": lambda row: f"{row['seconds_per_evaluation'] * 1000:,.1f}",
        "s a sample": lambda row: f"{row['seconds_per_sample']:,.2f}",
    },
    "bound": {
        "run": lambda row: f"`{row['run']}`",
        "training, s": lambda row: f"{row['train_seconds']:,.0f}",
        "evaluation, s": lambda row: f"{row['evaluate_seconds']:,.0f}",
        "perplexity, bound": lambda row: f"{row['ppl_bound']:.2f}",
        "the CPU's": lambda row: "-" if row["reference_ppl_bound"] is None else f"{row['reference_ppl_bound']:.2f}",
    },
}
TITLES = {"step": "Training steps", "samples": "Samples at T = 1,024", "bound": "Runs of the default scale"}


def page(found: Row | None) -> str:
    """docs/gpu.md of what was measured; None: nothing was."""
    if found is None:
        return HEAD.format(said=NONE)
    said = (
        f"{found['device']}, {found['matrix_rate'] / 1e12:,.1f} TFLOP/s in {found['dtype']} matrix products, "
        f"torch {found['torch']}, Python {found['python']}, {found['seconds'] / 60:.1f} minutes."
    )
    text = [HEAD.format(said=said)]
    for part, columns in COLUMNS.items():
        rows = [row for row in found["rows"] if row["part"] == part]
        if rows:
            lines = [list(columns), ["---"] * len(columns), *([show(row) for show in columns.values()] for row in rows)]
            text.append(f"## {TITLES[part]}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
    if found["left_out"]:
        text.append("## Left out\n\n" + "\n".join(f"- {line}" for line in found["left_out"]) + "\n")
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="the smoke scale's networks, to try the script itself")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--minutes", type=float, default=6.0, help="after which no part begins any more")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--data", type=Path, help="the default scale's text, as results/default/text/data")
    parser.add_argument("--output", type=Path, default=JSON, help="the page is written beside it")
    parser.add_argument("--page", action="store_true", help="only write the page, from the output that is there")
    options = parser.parse_args()
    made = ROOT / "results/default/text/data"
    options.data = options.data or (made if (made / "meta.json").is_file() and not options.quick else None)
    if options.device == "cuda" and not options.page and not torch.cuda.is_available():
        parser.error("torch sees no GPU; --device cpu --quick tries the script without one")
    if options.page:
        found = json.loads(options.output.read_text(encoding="utf-8")) if options.output.is_file() else None
    else:
        found = run_all(options)
    options.output.with_suffix(".md").write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
