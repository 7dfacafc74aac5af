"""The command line: one verb a stage. Heavy libraries are imported by the verb that needs them."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from mdm_prime import engines
from mdm_prime.cli import official as cli_official
from mdm_prime.errors import UserError
from mdm_prime.experiment import config, layout

if TYPE_CHECKING:
    from mdm_prime.stages.place import Place

EXAMPLES = """\
examples:
  mdm-prime data text
  mdm-prime train text/l4/seed0
  mdm-prime evaluate text/l4/seed0
  mdm-prime --params params/smoke.yaml table claims
  snakemake --cores all results/tables/       (all of it, in the right order)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb; returns 0, 1 for a failed comparison, 2 for bad input, 130 or 143 for an interrupted stage."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS when it starts
    options = parser().parse_args(arguments)
    try:
        turn = engines.take(options.results, "dvc") if "DVC_STAGE" in os.environ else nullcontext()
        with turn:
            status: int | None = options.verb(options)
    except UserError as error:
        print(f"mdm-prime: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a folder that cannot be written
        print(f"mdm-prime: {error.filename or 'input/output'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return status or 0


def parser() -> argparse.ArgumentParser:
    """The verbs and their arguments."""
    root = argparse.ArgumentParser(
        prog="mdm-prime",
        description="Masked diffusion over sub-tokens, the published loss beside the bound.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = config.default_params()
    root.add_argument("--params", type=Path, default=Path(default), help=f"parameters of a scale (now {default})")
    root.add_argument("--results", type=Path, default=Path("results"), help="folder of all results (now results)")
    verbs = root.add_subparsers(title="verbs", required=True, metavar="VERB")

    def add(name: str, verb: Callable[[argparse.Namespace], int | None], summary: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        added.set_defaults(verb=verb)
        return added

    def add_run(name: str, verb: Callable[[argparse.Namespace], int | None], summary: str) -> None:
        add(name, verb, summary).add_argument("run", metavar="TASK/VARIANT/seedN", help="such as text/l4/seed0")

    def add_task(name: str, verb: Callable[[argparse.Namespace], int | None], summary: str) -> None:
        add(name, verb, summary).add_argument("task", metavar="TASK", help="such as text or digits")

    add("check-params", _check_params, "validate the parameters and list their runs")
    add("doctor", _doctor, "check this machine: what would fail, and how to mend it").add_argument(
        "--json", action="store_true", help="the rows as JSON instead of a table"
    )
    add_task("data", _data, "make a data set: tokens, metadata")
    add_run("train", _train, "train a run, or go on with an interrupted one")
    add_run("evaluate", _evaluate, "estimate the bound and the published loss of a trained run")
    add_run("sample", _sample, "draw samples from a trained run, counting network evaluations")
    add_task("features", _features, "train what images are compared by, and score real and independent pixels")
    add_run("quality", _quality, "compare a run's images with the training images")
    add("oracle", _oracle, "both objectives at the true posterior, by enumeration")
    add("idle-steps", _idle_steps, "count the steps of the sampler that change nothing (Figure 1)")
    imported = add("import-checkpoint", _import_checkpoint, "read an official checkpoint, running nothing in it")
    imported.add_argument("file", metavar="FILE", help="path, or hf://OWNER/NAME/FILE@REVISION")
    imported.add_argument("--format", choices=("official-text", "official-image"), required=True)
    imported.add_argument("--output", metavar="DIR", type=Path, required=True, help="new folder")
    imported.add_argument("--weights", choices=("ema", "raw"), default="ema", help="averaged or last (now ema)")
    imported.add_argument("--num-subtokens", type=int, help="stop unless the file has this many")
    imported.add_argument("--head-width", type=int, help="of images, whose files do not say it (now 64)")
    summary = "evaluate official checkpoints: what it takes (--dry-run), or one stage of it"
    cli_official.add_arguments(add("official", cli_official.run, summary))
    add("table", _table, "write a table as csv, md and tex").add_argument("name", metavar="NAME")
    add("metrics", _metrics, "write the headline numbers of each model, for dvc metrics")
    add("figure", _figure, "draw a figure as png and pdf").add_argument("name", metavar="NAME")
    add("report", _report, "put every table and figure into one HTML file, by Snakemake's --report")
    compare = add("check-reference", _check_reference, "compare results/tables with the tables of a reference run")
    compare.add_argument("--reference", type=Path, default=Path("results/reference"))
    keep = add("keep-reference", _keep_reference, "keep the present tables and figures, with machine, time and commit")
    keep.add_argument("--reference", type=Path, default=Path("results/reference"))
    pipeline = add("pipeline", _pipeline, "open or close a pipeline's MLflow run (Snakemake does), or send what waits")
    pipeline.add_argument("action", choices=("start", "finished", "failed", "send"))
    pipeline.add_argument("--run-id", default=os.environ.get("MDM_PRIME_PARENT_RUN"), help="what `start` printed")
    add("ui", _ui, "serve the MLflow pages on 127.0.0.1 and print their address").add_argument(
        "--port", type=int, default=5000
    )
    return root


def _load(options: argparse.Namespace) -> config.Config:
    """The parameters; a stage of DVC joins the pipeline that its `dvc repro` is."""
    from mdm_prime import tracking

    loaded = config.load(options.params)
    tracking.join_pipeline(options.results, loaded.scale, loaded.model_dump(mode="json"))
    return loaded


def _place(options: argparse.Namespace) -> Place:
    from mdm_prime.stages.place import Place

    return Place(_load(options), options.results)


def _check_params(options: argparse.Namespace) -> None:
    loaded = config.load(options.params)
    for task in loaded.tasks:
        for run in loaded.runs(task):
            print(run.name)


def _doctor(options: argparse.Namespace) -> int:
    from mdm_prime import doctor

    return doctor.run(options.params, options.results, as_json=options.json)


def _data(options: argparse.Namespace) -> None:
    from mdm_prime.stages.prepare import prepare_data

    prepare_data(_place(options), options.task)


def _train(options: argparse.Namespace) -> int | None:
    from mdm_prime.stages.train import train
    from mdm_prime.training.loop import TrainingInterruptedError

    try:
        train(_place(options), options.run)
    except TrainingInterruptedError as error:
        print(f"mdm-prime: {error}", file=sys.stderr)
        return 143
    return None


def _evaluate(options: argparse.Namespace) -> None:
    from mdm_prime.stages.evaluate import evaluate

    evaluate(_place(options), options.run)


def _sample(options: argparse.Namespace) -> None:
    place = _place(options)
    if place.config.run(options.run).task in place.config.images:
        from mdm_prime.stages.sample_images import sample_images

        sample_images(place, options.run)
    else:
        from mdm_prime.stages.sample import sample

        sample(place, options.run)


def _features(options: argparse.Namespace) -> None:
    from mdm_prime.stages.features import features

    features(_place(options), options.task)


def _quality(options: argparse.Namespace) -> None:
    from mdm_prime.stages.quality import quality

    quality(_place(options), options.run)


def _oracle(options: argparse.Namespace) -> None:
    from mdm_prime.stages.prepare import run_oracle

    run_oracle(_place(options))


def _idle_steps(options: argparse.Namespace) -> None:
    from mdm_prime.stages.prepare import count_idle_steps

    count_idle_steps(_place(options))


def _import_checkpoint(options: argparse.Namespace) -> None:
    from mdm_prime.official.importing import import_checkpoint

    imported = import_checkpoint(
        options.file,
        options.output,
        layout=options.format,
        weights=options.weights,
        num_subtokens=options.num_subtokens,
        head_width=options.head_width,
    )
    print(f"{options.output}: {imported.source.weights} weights, sha256 of the file {imported.source.sha256}")


def _table(options: argparse.Namespace) -> None:
    from mdm_prime.reporting import writing

    loaded = _load(options)
    writing.write_table(options.name, loaded, layout.scale_root(options.results, loaded.scale))


def _metrics(options: argparse.Namespace) -> None:
    from mdm_prime.reporting import metrics

    loaded = _load(options)
    metrics.write(loaded, layout.scale_root(options.results, loaded.scale))


def _figure(options: argparse.Namespace) -> None:
    from mdm_prime.reporting import drawing

    loaded = _load(options)
    drawing.write_figure(options.name, loaded, layout.scale_root(options.results, loaded.scale))


def _report(options: argparse.Namespace) -> None:
    from mdm_prime.reporting.report import making

    print(making.make(config.load(options.params), options.params, options.results))


def _check_reference(options: argparse.Namespace) -> int:
    from mdm_prime.reporting import reference

    root = layout.scale_root(options.results, config.load(options.params).scale)
    differences = reference.compare(options.reference, root)
    for line in differences:
        print(line)
    if not differences:
        print(f"{root}/tables agrees with {options.reference}/tables")
    return 1 if differences else 0


def _keep_reference(options: argparse.Namespace) -> None:
    from mdm_prime.stages.reference import keep_reference

    keep_reference(options.results, options.reference)


def _pipeline(options: argparse.Namespace) -> None:
    from mdm_prime import tracking

    if options.action == "start":
        loaded = config.load_any(options.params)
        resolved = loaded.model_dump(mode="json")
        print(tracking.start_pipeline(options.results, options.params, loaded.scale, resolved))
    elif options.action == "send":
        print(tracking.send(options.results))
    elif options.run_id:
        tracking.finish_pipeline(
            options.results, options.run_id, "FINISHED" if options.action == "finished" else "FAILED"
        )
    else:
        raise UserError("pipeline: --run-id is missing; give what `mdm-prime pipeline start` printed")


def _ui(options: argparse.Namespace) -> None:
    from mdm_prime import tracking

    tracking.ui(options.results, options.port)


if __name__ == "__main__":
    sys.exit(main())
