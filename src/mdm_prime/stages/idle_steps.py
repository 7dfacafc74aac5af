"""The stage `idle-steps`: the paper's Figure 1, measured without a network."""

from __future__ import annotations

from mdm_prime import tracking
from mdm_prime.core import schedules
from mdm_prime.errors import UserError
from mdm_prime.evaluation import idle_steps
from mdm_prime.experiment import layout
from mdm_prime.results.idle_steps import IdleStepsFile
from mdm_prime.stages.workspace import Workspace


def count_idle_steps(workspace: Workspace) -> None:
    """Writes idle_steps.json. Raises UserError where the params have no section `idle_steps`."""
    settings = workspace.config.idle_steps
    if settings is None:
        raise UserError(f"{workspace.params}: idle_steps: missing; it says for which lengths and numbers of steps")
    tags = {"task": "none", "scale": workspace.config.scale}
    with tracking.stage(
        workspace.results, stage="idle_steps", name="idle_steps", params=settings.model_dump(), tags=tags
    ) as tracked:
        output = layout.idle_steps_file(workspace.root)
        rows = [
            idle_steps.measure(
                schedules.linear(), settings.length, ell, num_steps, settings.num_sequences, settings.seed
            )
            for num_steps in settings.num_steps
            for ell in settings.num_subtokens
        ]
        IdleStepsFile(rows=rows).write(output)
        tracked.artifact(output)
