"""What the C library does with memory that is freed: settings of the process, which change no number."""

from __future__ import annotations

import contextlib
import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # names and numbers of glibc's malloc.h


def keep_freed() -> None:
    """Keeps freed memory for the next tensor. Does nothing where the C library is not glibc.

    Otherwise each tensor of more than some 100 KB is asked of the system, page by page, and given back, in every step:
    8 % of the time of a training step of the default scale's text, a third with a vocabulary of 50,257.
    """
    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_MAX, 0)  # no block of memory is the system's own, to be given back
        library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
