"""The stage `data`: a task's data set, tokenised."""

from __future__ import annotations

from mdm_prime import tracking
from mdm_prime.experiment import layout
from mdm_prime.stages.workspace import Workspace


def make_data(workspace: Workspace, task: str) -> None:
    """Writes the files that the section of the task's data names."""
    section = workspace.config.task(task).data
    output = layout.data_dir(workspace.root, task)
    tags = {"task": task, "scale": workspace.config.scale}
    with tracking.stage(
        workspace.results, stage="data", name=task, params=section.model_dump(mode="json"), tags=tags
    ) as tracked:
        section.prepare(output, task, f"tasks.{task}.data")
        tracked.link("train", output / "train.npy")
        tracked.link("heldout", output / "heldout.npy")
        tracked.artifact(output / "meta.json")
