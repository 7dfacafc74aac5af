"""Whether a SQLite store can be used, found out without mlflow, which would try a broken file for minutes."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from mdm_prime.errors import UserError


def unusable(database: Path) -> str | None:
    """One line that says why a file cannot be written as a database, or None; an empty file can."""
    try:
        with contextlib.closing(sqlite3.connect(database, timeout=3.0, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        return f"{database}: not a usable store ({error}); move it away to begin a new one"
    return None


def check(database: Path | None) -> None:
    """Raises UserError for a store that is there and cannot be used; None is another kind of store."""
    if database and database.exists() and (reason := unusable(database)):
        raise UserError(reason)
