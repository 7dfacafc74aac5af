import pickle
import pickletools
import struct

import numpy as np
import pytest

from mdm_prime.data import pickles
from mdm_prime.errors import UserError

BATCH = {
    "data": np.random.default_rng(0).integers(0, 256, (3, 12), dtype=np.uint8),
    "mean": np.linspace(0, 1, 12),
    "big": np.arange(6, dtype=">i4").reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3)),
    "labels": [1, 2, 1000],
    "numbers": [np.int64(7), np.float32(0.5)],
    "plain": {"text": ("a", b"b", b"", None, True, 1.5)},
}


def write(path, value, protocol=4):
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_and_plain_containers_come_back(tmp_path, protocol):
    found = pickles.load_dictionary(write(tmp_path / "batch", BATCH, protocol))
    assert list(found) == list(BATCH)
    for name in ("data", "mean", "big", "columns"):
        np.testing.assert_array_equal(found[name], BATCH[name], strict=True)
    for name in ("labels", "numbers", "plain"):
        assert found[name] == BATCH[name]
    assert [type(number) for number in found["numbers"]] == [int, float]


def test_numpy_before_version_2_and_python_2(tmp_path):
    """What Python 2 wrote: the core's old name, and bytes as its `str` (opcode BINSTRING)."""
    content = pickle.dumps({"data": BATCH["data"]}, protocol=2).replace(b"numpy._core.", b"numpy.core.")
    assert content.count(b"numpy.core.multiarray") == 1
    (tmp_path / "old").write_bytes(content)
    np.testing.assert_array_equal(pickles.load_dictionary(tmp_path / "old")["data"], BATCH["data"])

    def text(value):
        return b"T" + struct.pack("<i", len(value)) + value

    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
        b"(K\x01K\x02K\x02\x86cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R"
        b"(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + b"\x89"
        + text(b"\x00\x7f\x80\xff")
        + b"tb"
    )
    (tmp_path / "python2").write_bytes(b"\x80\x02}" + text(b"data") + array + b"s.")
    found = pickles.load_dictionary(tmp_path / "python2")
    np.testing.assert_array_equal(found["data"], np.array([[0, 127], [128, 255]], np.uint8), strict=True)


class Calls:
    """Pickled, it is a call of a function when it is read."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def attacks(target):
    import os
    import subprocess
    from pathlib import Path

    state = b"}U\x03keyU\x05valuesb."
    return {
        "os.system": pickle.dumps({"data": Calls(os.system, f"touch {target}")}),
        "eval": pickle.dumps({"data": Calls(eval, f"open({str(target)!r}, 'w')")}, protocol=2),
        "subprocess": pickle.dumps(Calls(subprocess.check_call, ["touch", str(target)])),
        "Path": pickle.dumps(Calls(Path.touch, target)),
        "import": b"cantigravity\ngeohash\n.",
        "getattr": pickle.dumps({"data": Calls(getattr, BATCH, "clear")}),
        "numpy.load": pickle.dumps(Calls(np.load, str(target))),
        "numpy inside": b"cnumpy\nfromfile\n(S'x'\ntR.",
        "a name with dots": b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__base__\x93.",
        "an extension": b"\x80\x02\x82\x01.",
        "a persistent name": b"Px\n.",
        "an instance": b"(ios\nsystem\n.",
        "a class changed": b"cnumpy\ndtype\n" + state,
        "codecs changed": b"c_codecs\nencode\n" + state,
        "another codec": pickle.dumps({"data": Calls(__import__("_codecs").encode, "x", "rot13")}),
        "objects": pickle.dumps({"data": np.array([Calls(os.system, f"touch {target}")], dtype=object)}),
        "an array of objects": pickle.dumps({"data": np.array([None, [1]], dtype=object)}),
        "records": pickle.dumps({"data": np.zeros(2, dtype=[("a", "i4")])}),
        "an address": b"cnumpy\nndarray\n((K\x01tU\x01OtR.",
        "a class of ours": pickle.dumps(UserError("x")),
    }


@pytest.mark.parametrize("name", attacks(""))
def test_nothing_in_a_pickle_is_run(tmp_path, name):
    target = tmp_path / "made-by-the-pickle"
    (tmp_path / "batch").write_bytes(attacks(target)[name])
    with pytest.raises(UserError, match=r"batch: (not read, because it asks for .*; allowed|no whole pickle)") as error:
        pickles.load_dictionary(tmp_path / "batch")
    assert "\n" not in str(error.value)
    assert not target.exists()


def test_the_attacks_would_work_on_another_reader(tmp_path):
    target = tmp_path / "made-by-the-pickle"
    pickle.loads(attacks(target)["os.system"])  # noqa: S301 (our own)
    assert target.exists()


def test_every_truncation_is_one_line(tmp_path):
    content = pickle.dumps({"data": BATCH["data"], "labels": [1, 2, 3]}, protocol=4)
    for size in range(len(content)):
        (tmp_path / "batch").write_bytes(content[:size])
        with pytest.raises(UserError, match=r"batch: (no whole pickle|not read)") as error:
            pickles.load_dictionary(tmp_path / "batch")
        assert "\n" not in str(error.value)


def test_every_damaged_byte_is_read_or_refused(tmp_path):
    """No error but the one line, whatever the byte becomes."""
    content = pickle.dumps({"data": BATCH["data"][:1, :3], "labels": [np.int64(1)]}, protocol=2)
    rng = np.random.default_rng(0)
    messages = []
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= int(rng.integers(1, 256))
        (tmp_path / "batch").write_bytes(damaged)
        try:
            pickles.load_dictionary(tmp_path / "batch")
        except UserError as error:
            messages.append(str(error))
    assert len(messages) > len(content) / 2
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize(
    ("value", "kind"), [([1], "list"), (BATCH["data"], "array"), ("text", "str"), (None, "nonetype")]
)
def test_what_is_no_dictionary_is_named(tmp_path, value, kind):
    with pytest.raises(UserError, match=f"holds {kind}, not a dictionary"):
        pickles.load_dictionary(write(tmp_path / "batch", value))


def test_an_array_of_the_wrong_shape_is_one_line(tmp_path):
    content = pickle.dumps({"data": np.zeros((2, 3), np.uint8)}, protocol=4)
    operations = [position for operation, argument, position in pickletools.genops(content) if argument == 3]
    damaged = bytearray(content)
    damaged[operations[0] + 1] = 4
    (tmp_path / "batch").write_bytes(damaged)
    with pytest.raises(UserError, match=r"no whole pickle \(cannot reshape array of size 6 into shape \(2,4\)\)"):
        pickles.load_dictionary(tmp_path / "batch")


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"batch: cannot be read \(No such file or directory\)"):
        pickles.load_dictionary(tmp_path / "batch")
