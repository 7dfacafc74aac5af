"""What a run is described by beside its own parameters: versions, machine, commit. Nothing is imported for it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

PACKAGES = ("mdm-prime", "torch", "numpy", "snakemake", "dvc")  # what numbers, or the order of the work, depend on


def environment() -> dict[str, Any]:
    """Versions of packages and Python, and the machine."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[f"version.{package}"] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions | {
        "version.python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
    }


def git_tags() -> dict[str, str]:
    """The commit that is checked out, and whether a tracked file differs from it."""
    commit = _git("rev-parse", "HEAD")
    changes = _git("--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
    dirty = "unknown" if commit is None or changes is None else str(bool(changes)).lower()
    return {"git.commit": commit or "unknown", "git.dirty": dirty}


def _processor() -> str:
    """The processor's name where Linux tells it; platform.processor() is mostly empty there."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
