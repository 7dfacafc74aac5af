"""What to type: every hint of a message is a whole command for the scale at hand."""

from __future__ import annotations

import shlex
from pathlib import Path


def verb(params: str | Path, *words: str) -> str:
    """`mdm-prime` with a params file."""
    return shlex.join(["mdm-prime", "--params", str(params), *words])


def target(path: str | Path) -> str:
    """The command that makes a result, SCALE being the folder of `results` that it lies in."""
    parts = Path(path).parts
    scale = parts[parts.index("results") + 1] if "results" in parts[:-1] else None
    below = Path(*parts[parts.index("results") :]) if scale else Path(path)
    words = ["--config", f"scale={scale}", "--"] if scale else []
    return shlex.join(["snakemake", "--cores", "all", *words, below.as_posix()])


def everything(scale: str, *options: str) -> str:
    """The command that makes all tables and figures of a scale."""
    return shlex.join(["snakemake", "--cores", "all", *options, "--config", f"scale={scale}", "--", "results/tables/"])
