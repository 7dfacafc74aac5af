"""Files that are no checkpoints, damaged ones, pickles that would run something: an error, nothing written or run."""

import collections
import io
import os
import pickle
import random
import re
import subprocess
import zipfile

import numpy as np
import official_files
import pytest
import torch
from official_files import save

from mdm_prime.errors import UserError
from mdm_prime.official import pickled
from mdm_prime.official.importing import import_checkpoint


@pytest.fixture
def good(tmp_path):
    return save(tmp_path / "good.ckpt", official_files.text())


@pytest.fixture
def refused(tmp_path):
    """Imports a file and returns the message; nothing new may lie in the folder afterwards."""

    def check(path, layout="official-text", weights="raw"):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(UserError) as error:
            import_checkpoint(str(path), tmp_path / "results" / "out", layout=layout, weights=weights)
        assert sorted(tmp_path.rglob("*")) == before
        assert "\n" not in str(error.value)
        return str(error.value)

    return check


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "an HTML page, no checkpoint"),
        (b"\n  <html lang='en'>", "an HTML page, no checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS"),
        (b"", "empty; get the file again"),
        (b"GIF89a", "no checkpoint of torch"),
        (pickle.dumps({"state_dict": {}}, protocol=2), "a bare pickle, as torch before 1.6 wrote it"),
    ],
)
def test_a_file_that_is_something_else(tmp_path, refused, content, message):
    path = tmp_path / "file.ckpt"
    path.write_bytes(content)
    assert message in refused(path)


def test_a_file_of_torch_before_the_zip_format(tmp_path, refused):
    torch.save({"state_dict": {}}, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    assert "a bare pickle, as torch before 1.6 wrote it; load it where you trust it" in refused(tmp_path / "old.ckpt")


def test_a_missing_file_and_a_folder(tmp_path, refused):
    assert "cannot be read (No such file or directory); give the file of a checkpoint" in refused(
        tmp_path / "none.ckpt"
    )
    assert "cannot be read (Is a directory)" in refused(tmp_path)


@pytest.mark.parametrize("part", [0.001, 0.3, 0.9, 0.999])
def test_a_truncated_file(tmp_path, refused, good, part):
    content = good.read_bytes()
    path = tmp_path / "truncated.ckpt"
    path.write_bytes(content[: int(len(content) * part)])
    assert "truncated, the end of the archive is missing or damaged; get the file again" in refused(path)


def test_a_changed_number_is_noticed_by_its_checksum(tmp_path, refused, good):
    content = bytearray(good.read_bytes())
    with zipfile.ZipFile(good) as file:
        offset = file.getinfo("good/data/8").header_offset
    content[offset + 200] ^= 1
    good.write_bytes(content)
    assert "data/8 is damaged (Bad CRC-32" in refused(good)


def rewritten(good, path, change):
    """A copy of an archive whose entries {name: bytes} were changed."""
    with zipfile.ZipFile(good) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    change(entries)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: entries.pop("good/data/3"), "holds no data/3"),
        (lambda entries: entries.update({"good/data/3": b"1234"}), "good/data/3 has 4 bytes, not"),
        (lambda entries: entries.pop("good/data.pkl"), "a zip archive without one data.pkl"),
        (lambda entries: entries.update({"other/data.pkl": b""}), "a zip archive without one data.pkl"),
        (lambda entries: entries.update({"good/byteorder": b"big"}), "another byte order"),
        (lambda entries: entries.update({"good/data.pkl": entries["good/data.pkl"][:900]}), "no whole pickle"),
        (lambda entries: entries.update({"good/data.pkl": b""}), "no whole pickle"),
        (lambda entries: entries.update({"good/data.pkl": pickle.dumps([1])}), "checkpoint: is a list"),
    ],
)
def test_a_damaged_archive(tmp_path, refused, good, change, message):
    assert message in refused(rewritten(good, tmp_path / "changed.ckpt", change))


def test_a_compressed_archive(tmp_path, refused, good):
    path = tmp_path / "small.ckpt"
    with zipfile.ZipFile(good) as file, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as other:
        for name in file.namelist():
            other.writestr(name, file.read(name))
    assert "is compressed; torch writes its numbers as they are" in refused(path)


def changed(tmp_path, change):
    """A text checkpoint whose whole dictionary was changed."""
    for checkpoint in official_files.text():
        change(checkpoint)
        torch.save(checkpoint, tmp_path / "changed.ckpt")
    return tmp_path / "changed.ckpt"


def sets(key, value):
    return lambda checkpoint: checkpoint.__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda made: made["state_dict"].pop("backbone.blocks.1.mlp.0.bias"),
            "weights for blocks.1.mlp.0.bias: missing",
        ),
        (
            lambda made: made["state_dict"].update({"backbone.new": torch.ones(2)}),
            "weights 'new': the network that the",
        ),
        (lambda made: made["state_dict"].update({"noise.rate": torch.ones(2)}), "state_dict['noise.rate']: unknown"),
        (lambda made: made["state_dict"].update({"backbone.new": 3}), "should be a tensor"),
        (
            lambda made: made["state_dict"].update({"backbone.vocab_embed.embedding": torch.ones(5, 12).long()}),
            "weights 'vocab_embed.embedding': of torch.int64; should be floating-point numbers",
        ),
        (
            lambda made: made["state_dict"]["backbone.blocks.0.mlp.0.bias"].fill_(float("nan")),
            "weights for blocks.0.mlp.0.bias are not all finite",
        ),
        (lambda made: made["state_dict"].pop("backbone.rotary_emb.inv_freq"), "rotary_emb.inv_freq: missing"),
        (
            lambda made: made["state_dict"].update({"backbone.output_layer.linear.bias": torch.tensor(1.0)}),
            "weights 'output_layer.linear.bias': have shape (); do not fit head.bias (13,)",
        ),
        (lambda made: made.pop("state_dict"), "checkpoint.state_dict: missing"),
        (lambda made: made.pop("global_step"), "checkpoint.global_step: missing"),
        (lambda made: made["hyper_parameters"].update(config=None), "config: is None; should be named values"),
    ],
)
def test_weights_that_are_missing_too_many_or_no_weights(tmp_path, refused, change, message):
    assert message in refused(changed(tmp_path, change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda made: made["ema"]["shadow_params"].pop(), "holds 29 averaged weights; the network has 30 parameters"),
        (lambda made: made["ema"]["shadow_params"].append(torch.ones(1)), "holds 31 averaged weights; the network has"),
        (lambda made: made["ema"]["shadow_params"].insert(0, made["ema"]["shadow_params"].pop()), "do not fit"),
        (lambda made: made.pop("ema"), "checkpoint.ema: missing"),
        (
            lambda made: made["ema"].update(shadow_params=None),
            "ema.shadow_params: is None; should be a list of tensors",
        ),
    ],
)
def test_averaged_weights_that_are_not_those_of_the_network(tmp_path, refused, change, message):
    assert message in refused(changed(tmp_path, change), weights="ema")


class Payload:
    """Pickles as any call: what `__reduce__` returns is done while the file is read, by a reader that trusts it."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


def payloads(marker):
    """Ways to run a command that leaves a file, all of which do so in pickle.loads or torch.load."""
    command = f"touch {marker}"
    system = Payload(os.system, (command,))
    return {
        "reduce": system,
        "eval": Payload(eval, (f"__import__('os').system({command!r})",)),
        "exec": Payload(exec, (f"import os; os.system({command!r})",)),
        "getattr": Payload(getattr, (Payload(__import__, ("os",)), "system")),
        "popen": Payload(subprocess.check_call, (["touch", str(marker)],)),
        "state": Payload(collections.OrderedDict, (), {"x": system}),
        "items": Payload(collections.OrderedDict, (), None, None, iter([("x", system)])),
        "list items": Payload(list, (), None, iter([system])),
        "key": {system: 1},
        "array": np.array([system], dtype=object),
    }


PLACES = ["top", "hyper_parameters", "callbacks", "shadow_params"]


@pytest.mark.parametrize(
    ("name", "where"),
    [*((name, "state_dict") for name in sorted(payloads(""))), *(("reduce", place) for place in PLACES)],
)
def test_a_malicious_pickle_is_refused_and_nothing_of_it_is_run(tmp_path, refused, name, where):
    marker = tmp_path / "left"
    payload = payloads(marker)[name]
    places = {
        "top": lambda made: made.update(new=payload),
        "state_dict": lambda made: made["state_dict"].update({"backbone.new": payload}),
        "hyper_parameters": lambda made: made["hyper_parameters"].update(new=payload),
        "callbacks": lambda made: made["callbacks"].update(new=[payload]),
        "shadow_params": lambda made: made["ema"]["shadow_params"].append(payload),
    }
    message = refused(changed(tmp_path, places[where]))
    assert re.search(r"not read, because it asks for (posix|subprocess|builtins)\.\w+, which no checkpoint", message)
    assert "nothing of it was run" in message
    assert not marker.exists()


def test_the_payloads_would_run(tmp_path):
    """So that the test above could fail."""
    marker = tmp_path / "left"
    for name, payload in payloads(marker).items():
        if name != "getattr":  # only reaches for the function
            pickle.loads(pickle.dumps(payload, protocol=2))  # noqa: S301 (what must not happen)
            assert marker.exists(), name
            marker.unlink()


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_is_refused_alike(protocol, tmp_path):
    content = pickle.dumps({"x": Payload(os.system, (f"touch {tmp_path / 'left'}",))}, protocol=protocol)
    with pytest.raises(pickled.RefusedError, match="system"):
        pickled.load(content)
    assert not (tmp_path / "left").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"c__builtin__\neval\n(S'1'\ntR.",
        b"ccommands\ngetoutput\n(S'true'\ntR.",  # of Python 2; subprocess now
        b"csubprocess\nPopen\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'true'\no.",  # OBJ
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",  # STACK_GLOBAL
        b"\x80\x02cos\nsystem\n)\x81.",  # NEWOBJ
        b"\x82\x01.",  # EXT1
        b"cpickle\nloads\n(S'x'\ntR.",
        b"csys\nexit\n)R.",
        b"ctorch.hub\nload\n(S'x'\ntR}(S'__class__'\ncos\nsystem\nub.",  # BUILD
    ],
)
def test_every_way_to_name_a_function_is_refused(content):
    with pytest.raises(Exception, match=r"system|eval|Popen|getoutput|loads|exit|extension"):
        pickled.load(content)


@pytest.mark.parametrize(
    "content",
    [
        b"ctorch.hub\nload\n(S'x'\ntR.",
        b"clightning\nTrainer\n)\x81}S'a'\nI1\nsb.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1\ntNI00\n]tb.",
        b"ctorch._utils\n_rebuild_device_tensor_from_numpy\n(I1\ntR.",
    ],
)
def test_objects_of_other_libraries_are_inert(content):
    made = pickled.load(content)
    assert isinstance(made, pickled.Foreign)
    assert not callable(made)


@pytest.mark.parametrize(
    "content",
    [
        b"ccollections\nOrderedDict\n}S'update'\nI1\nsb.",  # BUILD of a class, not of an object
        b"clightning\nTrainer\n}S'__setstate__'\nI1\nsb.",
        b"clightning\nTrainer\n)R)R.",  # a call of an object
        b"ctorch._utils\n_rebuild_tensor_v2\n(I1\nI0\n(I1\nt(I1\ntI00\nNtR.",
        b"ctorch._utils\n_rebuild_parameter\n(I1\nI00\nNtR.",
        b"(S'storage'\nctorch\nEvilStorage\nS'0'\nS'cpu'\nI1\ntQ.",
        b"(S'module'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI1\ntQ.",
    ],
)
def test_classes_cannot_be_changed_nor_objects_called(content):
    with pytest.raises(pickled.RefusedError, match=r"a state of|callable|tensor of|parameter of|unknown kind"):
        pickled.load(content)


@pytest.mark.parametrize(
    ("offset", "shape", "stride"),
    [
        (0, (11,), (1,)),
        (1, (10,), (1,)),
        (0, (2,), (10,)),
        (0, (1000, 1000), (0, 0)),
        (0, (5,), (-1,)),
        (-1, (5,), (1,)),
        (0, (5,), ()),
        (0, (True,), (1,)),
    ],
)
def test_a_tensor_stays_in_its_numbers(offset, shape, stride):
    storage = pickled.StorageHandle(torch.float32, "0", 10)
    with pytest.raises(pickled.RefusedError, match="a tensor of shape"):
        pickled.TensorHandle(storage, offset, shape, stride)
    assert pickled.TensorHandle(storage, 1, (3, 3), (1, 3)).shape == (3, 3)


def test_random_damage_gives_an_error_or_the_same_values(tmp_path, good):
    """Nothing but UserError comes out of a damaged file."""
    content = good.read_bytes()
    generator = random.Random(0)  # noqa: S311
    for trial in range(150):
        damaged = bytearray(content)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.randrange(len(content))] = generator.randrange(256)
        path = tmp_path / "damaged.ckpt"
        path.write_bytes(damaged)
        output = tmp_path / f"out{trial}"
        try:
            import_checkpoint(str(path), output, layout="official-text")
        except UserError:
            assert not output.exists()


def test_random_damage_of_the_pickle_runs_into_an_error_of_one_kind(tmp_path, good):
    with zipfile.ZipFile(good) as file:
        content = file.read("good/data.pkl")
    generator = random.Random(1)  # noqa: S311
    for trial in range(300):
        damaged = bytearray(content)
        damaged[generator.randrange(len(content))] = generator.randrange(256)
        path = rewritten(good, tmp_path / "damaged.ckpt", lambda e, d=damaged: e.update({"good/data.pkl": bytes(d)}))
        try:
            import_checkpoint(str(path), tmp_path / f"out{trial}", layout="official-text")
        except UserError:
            assert not (tmp_path / f"out{trial}").exists()


def test_nothing_is_imported_while_reading(good, monkeypatch):
    with zipfile.ZipFile(good) as file:
        content = file.read("good/data.pkl")
    assert b"omegaconf.dictconfig" in content
    monkeypatch.setattr("builtins.__import__", lambda *arguments, **_: pytest.fail(f"imports {arguments[0]}"))
    root = pickled.load(io.BytesIO(content).read())
    monkeypatch.undo()
    assert root["hyper_parameters"]["config"].name == "omegaconf.dictconfig.DictConfig"
