import copy
from pathlib import Path

import pytest
import yaml

from mdm_prime import cli

SMOKE = Path(__file__).parents[2] / "params" / "smoke.yaml"


class Workplace:
    """A folder with parameters of its own and the results made from them, by the command line."""

    def __init__(self, folder):
        self.params = folder / "tiny.yaml"
        self.results = folder / "results"
        self.values = yaml.safe_load(SMOKE.read_text())

    @property
    def root(self):
        return self.results / "tiny"

    def set(self, task, section, **values):
        self.values[task][section] = copy.deepcopy(self.values[task][section]) | values

    def arguments(self, *verb):
        self.params.write_text(yaml.safe_dump(self.values, sort_keys=False))
        return ["--params", str(self.params), "--results", str(self.results), *verb]

    def run(self, *verb):
        """The exit code."""
        return cli.main(self.arguments(*verb))

    def folder(self, run):
        return self.root / run


@pytest.fixture
def workplace(tmp_path, monkeypatch, deterministic_mode_restored):
    """In the folder of a test; what it does belongs to a pipeline, so no stage waits for MLflow."""
    monkeypatch.setenv("MDM_PRIME_PARENT_RUN", "pipeline-test")
    return Workplace(tmp_path)
