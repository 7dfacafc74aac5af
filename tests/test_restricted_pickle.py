"""A pickle of others costs no more than its size explains, and nothing that was made of it can be changed."""

from __future__ import annotations

import io
import pickle
import struct
import subprocess
import sys
import time
from typing import Any

import pytest

from mdm_prime import restricted_pickle
from mdm_prime.restricted_pickle import Call, RefusedError, Rules

RULES = Rules(lambda name: None, lambda function, arguments, budget: Call(str(function), arguments))


def read(content: bytes) -> Any:
    return restricted_pickle.load(io.BytesIO(content), len(content), RULES)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_are_those_that_python_reads(protocol: int) -> None:
    shared = ["a", 1]
    value = {
        "a": [shared, shared],
        2: (1.5, True, None, ()),
        "c": {"d": {}},
        "long": -(2**100),
        "text": "\N{SNOWMAN}'\n",
    }
    if protocol >= 3:
        value["bytes"] = b"\x00\xff"
    found = read(pickle.dumps(value, protocol))
    assert found == value
    assert found["a"][0] is found["a"][1]
    if protocol >= 4:
        assert read(pickle.dumps([{1, "x"}, frozenset({2})], protocol)) == [{1, "x"}, frozenset({2})]


def test_text_of_python_2_keeps_its_bytes() -> None:
    assert read(b"S'\\x80a'\n.") == "\x80a"


def test_a_state_is_given_once_and_to_calls_only() -> None:
    made = read(b"cx\ny\n)R(S'a'\ntb.")
    assert (made.name, made.arguments, made.state) == ("x.y", (), ("a",))
    for content in (b"cx\ny\n)R(S'a'\ntb(S'b'\ntb.", b"cx\ny\n}b.", b"]}b.", b"(I1\nt}b.", b"S'a'\n}b."):
        with pytest.raises(RefusedError, match="a state of"):
            read(content)
    assert read(b"}}S'x'\nI1\nsb.") == {}  # the attributes of a dictionary are dropped


def test_a_call_that_became_a_plain_value_cannot_be_changed() -> None:
    """What a format has checked when it was called stays as it was: opcode BUILD once set the fields of handles."""
    fixed = Rules(lambda name: None, lambda function, arguments, budget: Fixed())
    for content in (b"cx\ny\n)R}S'size'\nI1000\nsb.", b"cx\ny\n)RN}S'size'\nI1000\ns\x86b."):
        with pytest.raises(RefusedError, match="a state of Fixed"):
            restricted_pickle.load(io.BytesIO(content), len(content), fixed)


class Fixed:
    size = 1


NESTED_TUPLES = b"N" + b"\x85" * 100_000 + b"."
DOUBLED = b"K\x01\x85q\x00" + b"".join(b"0h%c" % i + b"h%c\x86q%c" % (i, i + 1) for i in range(60)) + b"."
HOSTILE = {
    "bytes that are not there": b"\x8e" + struct.pack("<Q", 2**60) + b".",
    "bytes of two gigabytes that are not there": b"B" + struct.pack("<I", 2**31) + b".",
    "text that is not there": b"\x8d" + struct.pack("<Q", 2**62) + b".",
    "an array of bytes that is not there": b"\x96" + struct.pack("<Q", 2**40) + b".",
    "an integer of 5,000 digits": b"L" + b"9" * 5000 + b"L\n.",
    "an integer of 3,000 digits": b"I" + b"9" * 3000 + b"\n.",
    "an integer of a megabyte": b"\x8b" + struct.pack("<i", 2**20) + b"\x01" * 2**20 + b".",
    "tuples in tuples": NESTED_TUPLES,
    "a key of tuples in tuples": b"}" + NESTED_TUPLES[:-1] + b"Ns.",
    "a key that is doubled again and again": b"}" + DOUBLED[:-1] + b"Ns.",
    "marks in marks": b"(" * 200_000 + b"l" * 200_000 + b".",
    "three million instructions": b"N0" * 1_500_000 + b"N.",
    "colliding keys": b"}("
    + b"".join(b"\x8a\x09" + (k * (2**61 - 1)).to_bytes(9, "little") + b"N" for k in range(1, 200))
    + b"u.",
    "an extension": b"\x82\x01.",
    "a persistent name": b"Px\n.",
    "numbers from elsewhere": b"NQ.",
    "a buffer from elsewhere": b"\x97.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_costs_an_error(name: str) -> None:
    """Not that of a full memory or stack, and soon."""
    started = time.monotonic()
    with pytest.raises((RefusedError, ValueError, IndexError)):
        read(HOSTILE[name])
    assert time.monotonic() - started < 30


def test_a_place_in_memory_costs_nothing() -> None:
    """The index of a place is a key; Python's own reader makes a table up to it: 16 GB for these bytes."""
    code = (
        "import io, resource\n"
        "from mdm_prime import restricted_pickle\n"
        "from mdm_prime.restricted_pickle import Rules\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "restricted_pickle.load(io.BytesIO(b'Nr\\xff\\xff\\xff\\x0f.'), 7, Rules(None, None))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 10_000  # KiB


def test_small_calls_do_not_multiply_a_text() -> None:
    rules = Rules(lambda name: None, lambda function, arguments, budget: budget.spend(len(arguments[0])))
    text = b"X" + struct.pack("<I", 10_000_000) + b"a" * 10_000_000 + b"q\x000"
    content = text + b"cx\ny\nh\x00\x85R0" * 10 + b"N."
    with pytest.raises(RefusedError, match="more memory than its size explains"):
        restricted_pickle.load(io.BytesIO(content), len(content), rules)
    assert restricted_pickle.load(io.BytesIO(text + b"cx\ny\nh\x00\x85R0N."), len(content), rules) is None
