"""Data sets, one file each, and what they share."""

from __future__ import annotations

from pathlib import Path

from mdm_prime.experiment.sections.data import DataSection


def prepare(task: str, section: DataSection, output: Path) -> None:
    """Writes a task's data files, section.outputs, into `output`; see DataSection.prepare."""
    section.prepare(output, task, f"tasks.{task}.data")
