"""What to type: every hint of a message is a whole command for the scale at hand."""

from __future__ import annotations

import shlex
from pathlib import Path

LINKS = ("tables", "figures")  # in results/: those of the scale that was made last


def verb(params: str | Path, *words: str) -> str:
    """`mdm-prime` with a params file."""
    return shlex.join(["mdm-prime", "--params", str(params), *words])


def target(path: str | Path) -> str:
    """The command that makes a result; results/SCALE/... names its scale."""
    parts = Path(path).parts
    below = parts[parts.index("results") :] if "results" in parts else parts
    of_a_scale = below[0] == "results" and len(below) > 2 and below[1] not in LINKS
    words = ["--config", f"scale={below[1]}", "--"] if of_a_scale else []
    return shlex.join(["snakemake", "--cores", "all", *words, Path(*below).as_posix()])


def everything(scale: str, *options: str) -> str:
    """The command that makes all tables and figures of a scale."""
    return shlex.join(["snakemake", "--cores", "all", *options, "--config", f"scale={scale}", "--", "results/tables/"])
