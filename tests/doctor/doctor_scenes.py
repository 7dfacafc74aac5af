"""What the tests of the doctor examine: the smoke params, changed, in an empty folder."""

from pathlib import Path

import yaml

from mdm_prime.doctor import finding

ROOT = Path(__file__).parents[2]
GOOD_TORCH = {"version": "2.9", "gpus": [], "gpu_problem": None, "parameters": None}
HUB_IMAGES = {"kind": "hub_images", "dataset": "CIFAR-10", "path": "uoft-cs/cifar10", "size": 32, "seed": 0}


def params_file(change=None):
    """The smoke params, changed by a function of their values, in this folder."""
    values = yaml.safe_load((ROOT / "params" / "smoke.yaml").read_text())
    if change:
        change(values)
    path = Path("mine.yaml")
    path.write_text(yaml.safe_dump(values))
    return path


def scene_of(change=None, torch=GOOD_TORCH):
    made = finding.scene(params_file(change), Path("results"))
    assert made.config, made.problem
    made.__dict__["torch"] = torch
    return made


def without_params():
    made = finding.scene(Path("none.yaml"), Path("results"))
    made.__dict__["torch"] = GOOD_TORCH
    return made


def with_hub(values):
    values["images"]["photos"]["data"] = HUB_IMAGES


def device(name):
    return lambda values: values["compute"].update(device=name)


def has_state(found, state, *told):
    assert found.state == state, found
    assert bool(found.mend) == (state != "ok"), found
    for part in told:
        assert part in found.found + found.mend, found
