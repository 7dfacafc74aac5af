"""The command line: each stage is a verb. Heavy libraries are imported by the verb that needs them."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from mdm_prime import engines
from mdm_prime.cli.stage_verbs import STAGES
from mdm_prime.errors import TrainingInterruptedError, UserError, printable
from mdm_prime.experiment import config, layout

FAILURES = "MDM_PRIME_FAILURES"  # environment variable: a file of Snakemake's, which repeats the lines in it at its end


REFERENCE = Path("results/reference")

EXAMPLES = """\
examples:
  mdm-prime data text
  mdm-prime train text/l4/seed0
  mdm-prime evaluate text/l4/seed0
  mdm-prime table claims --params params/smoke.yaml
  snakemake --cores all results/tables/       (all of it, in the right order)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb; returns 0, 1 for a failed comparison, 2 for bad input, 130 or 143 for an interrupted stage."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS when it starts
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words:
        parser().print_help(sys.stderr)
        return 2
    options = parser().parse_args(words)
    options.params = options.params or _params_file(options)
    try:
        turn = engines.hold_turn(options.results, "dvc") if "DVC_STAGE" in os.environ else nullcontext()
        with turn:
            status = options.verb(options)
    except UserError as error:
        return _failed(options, str(error))
    except OSError as error:  # a full disk, a folder that cannot be written
        return _failed(options, printable(f"{error.filename or 'input/output'}: {error.strerror or error}"))
    except KeyboardInterrupt:
        return 130
    except TrainingInterruptedError as error:
        print(f"mdm-prime: {error}", file=sys.stderr)
        return 143
    return status or 0


def _params_file(options: argparse.Namespace) -> Path:
    """That of the chosen scale; a report is by default of the scale that results/tables shows."""
    follows = options.verb_name == "report" and config.ENVIRONMENT_SCALE not in os.environ
    return config.params_file(engines.shows(options.results, "tables") if follows else None)


def _failed(options: argparse.Namespace, line: str) -> int:
    print(f"mdm-prime: {line}", file=sys.stderr)
    if report := os.environ.get(FAILURES):  # a file of Snakemake's rules, which repeat the line at the end
        with suppress(OSError), Path(report).open("a", encoding="utf-8") as file:
            file.write(f"{' '.join(filter(None, [options.verb_name, getattr(options, 'name', '')]))}: {line}\n")
    return 2


def parser() -> argparse.ArgumentParser:
    """The verbs and their arguments."""
    root = argparse.ArgumentParser(
        prog="mdm-prime",
        description="Masked diffusion over sub-tokens, the published loss beside the bound.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_places(root, None, Path("results"))
    places = argparse.ArgumentParser(add_help=False)  # the same behind the verb, where nothing given changes nothing
    _add_places(places, argparse.SUPPRESS, argparse.SUPPRESS)
    verbs = root.add_subparsers(title="verbs", required=True, metavar="VERB", dest="verb_name")

    def add(name: str, verb: Callable[[argparse.Namespace], int | None], summary: str) -> argparse.ArgumentParser:
        about = summary[0].upper() + summary[1:] + "."
        added = verbs.add_parser(name, help=summary, description=about, parents=[places])
        added.set_defaults(verb=verb)
        return added

    add("check-params", _check_params, "validate the parameters and list their runs")
    plan = add("plan", _plan, "what each run takes: parameters, operations, memory, disk and hours, less what is done")
    plan.add_argument(
        "name", metavar="TARGET", nargs="?", help="a task, its variant or a run, such as text/l4 (now all)"
    )
    plan.add_argument("--json", action="store_true", help="the rows as JSON instead of a table")
    add("doctor", _doctor, "check this machine: what would fail, and how to mend it").add_argument(
        "--json", action="store_true", help="the rows as JSON instead of a table"
    )
    for name, stage in STAGES.items():
        added = add(name, _stage, stage.summary)
        if stage.argument:
            added.add_argument("name", metavar=stage.argument, help=stage.example)
        else:
            added.set_defaults(name="")
    imported = add("import-checkpoint", _import_checkpoint, "read any official checkpoint, running nothing in it")
    imported.add_argument("file", metavar="FILE", help="path, or hf://OWNER/NAME/FILE@REVISION")
    imported.add_argument("--format", choices=("official-text", "official-image"), required=True)
    imported.add_argument("--output", metavar="DIR", type=Path, required=True, help="new folder")
    imported.add_argument("--weights", choices=("ema", "raw"), default="ema", help="averaged or last (now ema)")
    imported.add_argument("--num-subtokens", type=int, help="stop unless the file has this many")
    imported.add_argument("--head-width", type=int, help="of images, whose files do not say it (now 64)")
    add("checkpoints", _checkpoints, "list the checkpoints of the params: which are here, what is to be downloaded")
    add("show", _show, "let results/tables and results/figures show this scale, and say where everything is")
    add("report", _report, "put every table and figure into one HTML file, by Snakemake's --report")
    compare = add("check-reference", _check_reference, "compare a scale's tables with those of a reference run")
    compare.add_argument("--reference", type=Path, default=REFERENCE, help="its folder (now %(default)s)")
    keep = add("keep-reference", _keep_reference, "keep the present tables and figures, with machine, time and commit")
    keep.add_argument("--reference", type=Path, default=REFERENCE, help="its folder (now %(default)s)")
    add("settings", _settings, "write what the params say in full, with hashes of the code, for DVC")
    add("dvc-yaml", _dvc_yaml, "write dvc.yaml for this scale")
    pipeline = add(
        "pipeline",
        _pipeline,
        "open or close a pipeline's MLflow run (Snakemake and `make repro` do), or send what waits",
    )
    pipeline.add_argument("action", choices=("start", "finished", "failed", "send"))
    pipeline.add_argument("--run-id", default=os.environ.get("MDM_PRIME_PARENT_RUN"), help="what `start` printed")
    pipeline.add_argument("--engine", choices=("snakemake", "dvc"), default="snakemake", help="what runs the stages")
    pipeline.add_argument("--pid", type=int, help="process of the pipeline (now the one that called `start`)")
    add("ui", _ui, "serve the MLflow pages on 127.0.0.1 and print their address").add_argument(
        "--port", type=int, default=5000, help="of 127.0.0.1 (now %(default)s)"
    )
    return root


def _add_places(parser: argparse.ArgumentParser, params: object, results: object) -> None:
    parser.add_argument(
        "--params", type=Path, default=params, help=f"parameters of a scale (now {config.params_file()})"
    )
    parser.add_argument(
        "--scale", metavar="NAME", dest="params", type=config.params_file, default=argparse.SUPPRESS,
        help="that of params/NAME.yaml",
    )  # fmt: skip
    parser.add_argument("--results", type=Path, default=results, help="folder of all results (now results)")


# ---- stages: they make results, and leave a record of what these were made of ----------------------------------------


def _stage(options: argparse.Namespace) -> None:
    """Runs a stage. What it will have been made of is noted before it starts."""
    stage = STAGES[options.verb_name]
    loaded = config.load(options.params)
    command = f"{options.verb_name} {options.name}".strip()
    with engines.recorded(loaded, options.results, command, options.params) as outputs:
        function = getattr(importlib.import_module(f"mdm_prime.{stage.module}"), stage.function)
        if stage.module.startswith("reporting"):
            root = layout.scale_root(options.results, loaded.scale)
            said = function(*([options.name] if stage.argument else []), loaded, root)
        else:
            from mdm_prime.stages.workspace import Workspace

            workspace = Workspace(loaded, options.results, options.params)
            said = function(workspace, *([options.name] if stage.argument else []))
    if not {"DVC_STAGE", FAILURES} & os.environ.keys():  # typed by a person
        if isinstance(said, str):
            print(said)
        if outputs:
            print(f"made {outputs[0]}" + (f" and {len(outputs) - 1} more files" if outputs[1:] else ""))


# ---- what makes no result of its own --------------------------------------------------------------------------------


def _check_params(options: argparse.Namespace) -> None:
    loaded = config.load(options.params)
    for task in loaded.tasks:
        for run in loaded.runs(task):
            print(run.name)


def _plan(options: argparse.Namespace) -> None:
    from mdm_prime.cost import plan

    plan.show(config.load(options.params), options.results, options.name, as_json=options.json)


def _doctor(options: argparse.Namespace) -> int:
    from mdm_prime.cli import doctor

    return doctor.run(options.params, options.results, as_json=options.json)


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


def _checkpoints(options: argparse.Namespace) -> None:
    from mdm_prime.official import plan

    plan.show(config.load(options.params), options.results)


def _settings(options: argparse.Namespace) -> None:
    print(engines.write_settings(config.load(options.params), options.results))


def _dvc_yaml(options: argparse.Namespace) -> None:
    engines.write_dvc_yaml(options.params, options.results)


def _show(options: argparse.Namespace) -> None:
    loaded = config.load(options.params)
    engines.show(loaded, options.results)
    print(engines.where_it_is(loaded, options.params, options.results))


def _report(options: argparse.Namespace) -> None:
    from mdm_prime.reporting.report import making

    loaded = config.load(options.params)
    engines.check_made(loaded, options.results, options.params)
    print(making.make(loaded, options.params, options.results))


def _check_reference(options: argparse.Namespace) -> int:
    from mdm_prime.reporting import reference

    root = layout.scale_root(options.results, config.load(options.params).scale)
    differences, left_out = reference.compare(options.reference, root)
    for line in [*differences, *left_out]:
        print(line)
    if not differences:
        print(f"{root}/tables agrees with {options.reference}/tables")
    return 1 if differences else 0


def _keep_reference(options: argparse.Namespace) -> None:
    from mdm_prime.reporting import pages
    from mdm_prime.stages.reference import keep_reference

    loaded = config.load(options.params)
    engines.check_made(loaded, options.results, options.params)
    keep_reference(loaded, options.results, options.reference)
    pages.update(options.reference)


def _pipeline(options: argparse.Namespace) -> None:
    from mdm_prime import tracking

    if options.action == "start":
        loaded = config.load(options.params)
        resolved = loaded.model_dump(mode="json")
        started = tracking.start_pipeline(
            options.results, options.params, loaded.scale, resolved, engine=options.engine, pid=options.pid
        )
        print(started)
    elif options.action == "send":
        print(tracking.send(options.results, options.params.stem))
    elif options.run_id:
        tracking.finish_pipeline(
            options.results, options.run_id, "FINISHED" if options.action == "finished" else "FAILED"
        )
    else:
        raise UserError("pipeline: --run-id is missing; give what `mdm-prime pipeline start` printed")


def _ui(options: argparse.Namespace) -> None:
    from mdm_prime import tracking

    tracking.ui(options.results, options.port, options.params.stem)


if __name__ == "__main__":
    sys.exit(main())
