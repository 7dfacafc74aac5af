"""Settings of the C library are made where it has them, and nowhere else is anything done."""

import ctypes

import pytest

from mdm_prime.stages import memory


class Library:
    def __init__(self):
        self.set = {}

    def mallopt(self, parameter, value):
        self.set[parameter] = value
        return 1


@pytest.mark.parametrize("library", [object(), OSError()])
def test_without_glibc_nothing_is_done(monkeypatch, library):
    def load(name):
        if isinstance(library, OSError):
            raise library
        return library

    monkeypatch.setattr(ctypes, "CDLL", load)
    memory.keep_freed()


def test_freed_memory_is_kept(monkeypatch):
    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    memory.keep_freed()
    assert library.set == {memory.M_MMAP_MAX: 0, memory.M_TRIM_THRESHOLD: 2**31 - 1}
