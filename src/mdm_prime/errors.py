"""What ends a command without a traceback: a user's mistake, exit code 2, and a training that was stopped."""

from __future__ import annotations

LONGEST, END = 2000, 400  # characters of a line, and those of its end, which says what to do


class UserError(Exception):
    """Bad input (a file, a key, a value). `str(error)` is one line: what, where, what is allowed, what to do."""

    def __init__(self, line: str) -> None:
        super().__init__(printable(line))


def printable(text: str) -> str:
    """A text of others as a part of one line: what moves the cursor, or no terminal and no file takes, is escaped."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - END]} [...] {text[-END:]}"


class TrainingInterruptedError(Exception):
    """Training was asked to stop; its state is saved."""
