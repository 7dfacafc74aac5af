"""What is compared to find out what must run again: the params joined with their defaults, and hashes of the code.

Both engines go by these values. DVC reads them from results/SCALE/settings.json, which its first stage writes.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mdm_prime.engines.code import Source
from mdm_prime.engines.stages import Stage
from mdm_prime.experiment.config import Config

PACKAGE_FOLDER = Path(__file__).parents[1]


def settings(config: Config, stages: list[Stage], source: Source | None = None) -> dict[str, Any]:
    """The values that stages name by dotted keys."""
    source = source or Source(PACKAGE_FOLDER)
    found: dict[str, Any] = {"tasks": {name: _of_task(config, name) for name in config.tasks}}
    if config.idle_steps:
        found["idle_steps"] = config.idle_steps.model_dump(mode="json")
    found["code"] = {
        stage.name: (
            {model: source.digest({*stage.modules, *roots}) for model, roots in sorted(stage.modules_of.items())}
            if stage.modules_of
            else source.digest(stage.modules)
        )
        for stage in stages
    }
    return found


def value(settings: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key."""
    return functools.reduce(operator.getitem, key.split("."), settings)


def _of_task(config: Config, name: str) -> dict[str, Any]:
    task = config.task(name)
    values = task.model_dump(mode="json", exclude={"variants", "network", "training", "samplers"})
    variants = {}
    for model in task.models:
        run = task.run(name, model, 0).model_dump(mode="json", exclude={"task", "variant", "seed", "data"})
        samplers = [sampler.model_dump(mode="json") for sampler in task.samplers_of(model)]
        variants[model] = {"run": run, "samplers": samplers}
    seeds = {model: list(task.seeds_of(model)) for model in task.models}
    return values | {"seeds": seeds, "variants": variants}
