"""Progress of long work: a bar on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LOG_EVERY_SECONDS = 15.0

Update = Callable[[int, str], None]


@contextmanager
def progress(description: str, total: int) -> Iterator[Update]:
    """Yields `update(done, text)`; `text` stands beside the bar (loss, tokens a second)."""
    console = Console(stderr=True)
    yielded = _bar if console.is_terminal else _lines
    with yielded(description, total, console) as update:
        yield update


@contextmanager
def _bar(description: str, total: int, console: Console) -> Iterator[Update]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(description, total=total, text="")
        yield lambda done, text: bars.update(task, completed=done, text=text)


@contextmanager
def _lines(description: str, total: int, console: Console) -> Iterator[Update]:
    start = last = time.monotonic()
    began: int | None = None  # a resumed run does not start at 0

    def update(done: int, text: str) -> None:
        nonlocal last, began
        now = time.monotonic()
        if began is None:
            began = done
        if done >= total or now - last >= LOG_EVERY_SECONDS:
            last = now
            rate = (done - began) / max(now - start, 1e-9)
            left = f"{(total - done) / rate:.0f} s left" if rate else "time left unknown"
            sys.stderr.write(f"{description}: {done}/{total} {text} {now - start:.0f} s, {left}\n")
            sys.stderr.flush()

    yield update
