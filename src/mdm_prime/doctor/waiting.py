"""A limit on what has none of its own, such as asking for the address of a host."""

from __future__ import annotations

import threading
from collections.abc import Callable


def within(seconds: float, action: Callable[[], None]) -> None:
    """Runs `action`; raises what it raises, and TimeoutError (an OSError) when it takes longer: it is left behind."""
    raised: list[Exception] = []

    def act() -> None:
        try:
            action()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:g} s")
    if raised:
        raise raised[0]
