import json
import shutil
from pathlib import Path

import pytest
import yaml

from mdm_prime import hints
from mdm_prime.cli import main as cli
from mdm_prime.experiment import config, layout
from mdm_prime.stages.workspace import Workspace

SMOKE = Path(__file__).parents[2] / "params" / "smoke.yaml"
TRAINING = {"objective": "joint_loss", "steps": 20, "batch_size": 32, "log_every": 10, "checkpoint_every": 20}
TINY = {  # what the tests count on; the rest is as in the smoke parameters
    "known_entropy": {
        "data": {"vocab_size": 5, "length": 2, "train_sequences": 2000, "heldout_sequences": 500},
        "training": TRAINING,
        "models": ["l1", "l2"],
        "seeds": [0],
        "evaluation": {"num_samples": 1000, "batch_size": 250},
        "samplers": [{"kind": "ancestral", "num_steps": 16}],
        "sampling": {"num_samples": 100, "batch_size": 50},
    },
    "text": {
        "training": TRAINING,
        "models": ["l1", "l2", "l4", "arm", "l2-plain"],
        "seeds": [0, 1],
        "samplers": [{"kind": "ancestral", "num_steps": 32, "temperature": 0.9, "top_p": 0.95}],
    },
}


class Workplace:
    """A folder with parameters of its own and the results made from them, by the command line."""

    def __init__(self, folder):
        self.params = folder / "tiny.yaml"
        self.results = folder / "results"
        self.values = json.loads(json.dumps(config.read(SMOKE)))  # whole, and no part shared by two tasks
        for task, sections in TINY.items():
            for section, values in sections.items():
                if isinstance(values, dict):
                    self.set(task, section, **values)
                else:
                    self.values["tasks"][task][section] = values

    @property
    def root(self):
        return self.results / "tiny"

    @property
    def workspace(self):
        """What the stages are given."""
        self.arguments()
        return Workspace(config.load(self.params), self.results, self.params)

    def set(self, task, section, **values):
        self.values["tasks"][task][section].update(json.loads(json.dumps(values)))

    def arguments(self, *verb):
        self.params.write_text(yaml.safe_dump(self.values, sort_keys=False))
        return ["--params", str(self.params), "--results", str(self.results), *verb]

    def run(self, *verb):
        """The exit code."""
        return cli.main(self.arguments(*verb))

    def hint(self, *verb):
        """The command that a message gives."""
        return hints.verb(self.params, *verb)

    def file(self, run, name):
        """A file of a run by its kind: weights, state, history, likelihood, samples, quality."""
        kind = {
            "history.csv": layout.history_file(self.root, run),
            "likelihood.json": layout.likelihood_file(self.root, run),
            "quality.json": layout.quality_file(self.root, run),
        }
        if name in (*layout.SAMPLE_FILES, "imputation.npz", "path.npz"):
            return layout.of_run(self.root, "samples", run) / name
        return kind.get(name, layout.network_dir(self.root, run) / name)


@pytest.fixture
def workplace(tmp_path, monkeypatch, deterministic_mode_restored):
    """In the folder of a test; what it does belongs to a pipeline, so no stage waits for MLflow."""
    monkeypatch.setenv("MDM_PRIME_PARENT_RUN", "pipeline-test")
    return Workplace(tmp_path)


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """`once(workplace, make)`: what make(workplace) does, done once in a file of tests; every test has a copy of it."""
    made = {}

    def fill(workplace, make):
        if make not in made:
            made[make] = Workplace(tmp_path_factory.mktemp("once"))
            make(made[make])
        workplace.values = json.loads(json.dumps(made[make].values))
        shutil.copytree(made[make].results, workplace.results)
        return workplace

    return fill
