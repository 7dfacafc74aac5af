"""dvc.yaml, from the table of stages: `make dvc.yaml` writes it, a test holds the committed one to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mdm_prime.engines.stages import Stage
from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files

HEAD = """\
# The stages of a scale for DVC, the same as Snakemake's rules. Made from src/mdm_prime/engines/stages.py: do not edit,
# write it anew with `make dvc.yaml`, or `make dvc.yaml SCALE=smoke` for another scale.
"""


def text(
    config: Config, stages: list[Stage], layers: list[tuple[Path, dict[str, Any]]], results: str = "results"
) -> str:
    """The file.

    Args:
        config, stages: of the scale.
        layers: its params file and the bases of that, each with the values in it (config.layers). DVC reads lists of
            models and seeds in the first, so that they may grow.
        results: folder of all results.
    """
    (params, own), *_ = layers
    root = layout.scale_root(results, config.scale).as_posix()
    content: dict[str, Any] = {
        "vars": [params.as_posix()],
        "stages": {
            "settings": _settings([file for file, _ in layers], root),
            **{stage.name: _stage(stage, params, root, own) for stage in stages},
        },
        "params": [params.as_posix()],
    }
    if plots := _plots(config, root):
        content["plots"] = plots
    return HEAD + yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def _settings(layers: list[Path], root: str) -> dict[str, Any]:
    """The stage that every other depends on: it finds out what the params say and which code a stage has."""
    return {
        "cmd": f"mdm-prime --params {layers[0].as_posix()} settings",
        "deps": [*(file.as_posix() for file in layers), "src/mdm_prime"],
        "outs": [{f"{root}/settings.json": {"cache": False}}],
    }


def _stage(stage: Stage, params: Path, root: str, own: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if stage.runs is not None:
        found["matrix"] = _matrix(stage, own)
    item = "item.run" if "run" in found.get("matrix", {}) else "item"

    def filled(pattern: str) -> str:
        return pattern.replace("{model}", f"${{{item}.model}}").replace("{seed}", f"${{{item}.seed}}")

    found["cmd"] = filled(f"mdm-prime --params {params.as_posix()} {stage.command}")
    if deps := [
        *(filled(f"{root}/{path}") for path in dict.fromkeys(map(_file_or_folder, stage.inputs))),
        *stage.outside,
    ]:
        found["deps"] = deps
    found["params"] = [{f"{root}/settings.json": [filled(key) for key in (*stage.values, stage.code_key)]}]
    if stage.name == "metrics":  # a folder, since the models in it may become more
        return found | {"outs": [f"{root}/{stage.made}"], "metrics": [{f"{root}/metrics": {"cache": False}}]}
    plots = [pattern for pattern in stage.outputs if pattern.endswith(".png")]
    found["outs"] = [
        {filled(f"{root}/{pattern}"): {"cache": False}} if pattern in stage.in_git else filled(f"{root}/{pattern}")
        for pattern in (*stage.outputs, stage.made)
        if pattern not in plots
    ]
    if plots:
        found["plots"] = [f"{root}/{pattern}" for pattern in plots]
    return found


def _file_or_folder(files: Files) -> str:
    """A file; of a file of each run the folder of all, since DVC cannot expand a list into dependencies."""
    return files.pattern if files.runs is None else files.pattern.partition("/{model}")[0]


def _matrix(stage: Stage, own: dict[str, Any]) -> dict[str, Any]:
    """The runs: models by seeds, or one by one where a variant has seeds of its own."""
    runs = stage.runs or ()
    if len(runs) == len(stage.models) * len(stage.seeds):
        return {"model": _models(stage, own), "seed": _seeds(stage, own)}
    return {"run": [{"model": model, "seed": seed} for model, seed in runs]}


def _models(stage: Stage, own: dict[str, Any]) -> Any:
    """The task's list as DVC reads it, where that is the list of this stage; else the models themselves."""
    task = own["tasks"].get(stage.task, {})
    return f"${{tasks.{stage.task}.models}}" if task.get("models") == stage.models else stage.models


def _seeds(stage: Stage, own: dict[str, Any]) -> Any:
    seeds = own["tasks"].get(stage.task, {}).get("seeds")
    if stage.first_seed:
        return [f"${{tasks.{stage.task}.seeds[0]}}"] if seeds and stage.seeds == seeds[:1] else stage.seeds
    return f"${{tasks.{stage.task}.seeds}}" if seeds == stage.seeds else stage.seeds


def _plots(config: Config, root: str) -> list[dict[str, Any]]:
    """What `dvc plots` draws beside the figures: both losses against the sub-tokens, and loss curves."""
    found: list[dict[str, Any]] = []
    if config.of_kind("text"):
        table = f"{root}/tables/text_perplexity.csv"
        found.append(
            {
                "Perplexity against sub-tokens, bound and published loss": {
                    "x": {table: "num_subtokens"},
                    "y": {table: ["ppl_bound", "published_loss_ppl"]},
                    "x_label": "sub-tokens per token",
                    "y_label": "perplexity",
                    "template": "scatter",
                }
            }
        )
    found += [{f"{root}/{name}/history": {"x": "step", "y": "loss"}} for name in config.of_kind("text")]
    return found


class _Dumper(yaml.SafeDumper):
    """Writes lists inside mappings indented, as people do, and no anchors."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True
