"""One of several processes that share a stage: `python -m mdm_prime.stages.worker PARAMS RESULTS VERB NAME`.

It needs the environment that torchrun or stages.launch gives it. Of `train` the first process writes what the stage
makes; of `evaluate` and `sample` each finishes parts, from which the process that started them makes the result.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mdm_prime.errors import TrainingInterruptedError, UserError
from mdm_prime.experiment import config
from mdm_prime.stages.launch import FAILURE, LOG
from mdm_prime.stages.workspace import Workspace


def main(arguments: Sequence[str]) -> int:
    """Runs this process's share; returns 0, 2 for bad input, 143 where it was stopped."""
    params, results, verb, name = arguments
    told = os.environ.get(FAILURE)
    if told and os.environ["RANK"] != "0":  # one of them speaks for all
        with Path(told).with_suffix(LOG).open("w") as log:
            os.dup2(log.fileno(), sys.stderr.fileno())
    stage = importlib.import_module(f"mdm_prime.stages.{verb}")
    try:
        stage.share(Workspace(config.load(Path(params)), Path(results), Path(params)), name)
    except UserError as error:
        if told:
            Path(told).write_text(json.dumps(str(error)), encoding="utf-8")
        else:
            sys.stderr.write(f"mdm-prime: {error}\n")
        return 2
    except TrainingInterruptedError:
        return 143
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
