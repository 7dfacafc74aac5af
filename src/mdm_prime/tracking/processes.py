"""Which process is DVC's, and whether it is still alive: told apart by host, id and start, as ids are used again."""

from __future__ import annotations

import os
import platform
from typing import Any

from mdm_prime.tracking import journal

Record = dict[str, Any]  # of a process: host, pid, created (seconds since 1970)

TOLERANCE = 2.0  # seconds; the start is counted from the boot, whose time moves when the clock is set


def under_dvc() -> bool:
    """Whether `dvc repro` runs this process as a stage."""
    return "DVC_ROOT" in os.environ and "DVC_STAGE" in os.environ


def this() -> Record | None:
    """The process that asks; None without psutil."""
    psutil = _psutil()
    return _record(psutil.Process()) if psutil else None


def of_dvc() -> Record | None:
    """The nearest ancestor that is no stage itself: DVC sets DVC_STAGE for its stages only.

    None, with a warning, without psutil or where a process may not be looked at.
    """
    psutil = _psutil()
    if psutil is None:
        journal.warn_once("psutil is not installed, so this stage of dvc has a run without a parent")
        return None
    try:
        for ancestor in psutil.Process().parents():
            if "DVC_STAGE" not in ancestor.environ():
                return _record(ancestor)
    except psutil.Error as error:
        journal.warn_once(f"the process of dvc cannot be found ({error}), so this stage has a run without a parent")
        return None
    journal.warn_once("no process of dvc is above this stage, so it has a run without a parent")
    return None


def same(one: Record, other: Record) -> bool:
    """Whether two records are of one process."""
    named = all(one[key] == other[key] for key in ("host", "pid"))
    return named and abs(one["created"] - other["created"]) < TOLERANCE


def alive(record: Record | None) -> bool | None:
    """Whether a process still runs; None where that cannot be told: no record, another host, no psutil."""
    psutil = _psutil()
    if record is None or record["host"] != platform.node() or psutil is None:
        return None
    try:
        found = psutil.Process(record["pid"])
        return same(_record(found), record) and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _psutil() -> Any:
    """The library, None where it is missing: dvc needs it, a bare machine that trains does not."""
    try:
        import psutil  # type: ignore[import-untyped]
    except ImportError:
        return None
    return psutil


def _record(process: Any) -> Record:
    return {"host": platform.node(), "pid": process.pid, "created": process.create_time()}
