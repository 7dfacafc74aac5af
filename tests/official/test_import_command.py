"""The verb import-checkpoint: the command line, the hub, what is written and how much memory it takes."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import official_files
import pytest
import torch
from official_files import save
from safetensors import safe_open

from mdm_prime import files
from mdm_prime.cli import main as cli
from mdm_prime.errors import UserError
from mdm_prime.official import image, imported
from mdm_prime.official.importing import import_checkpoint
from mdm_prime.training import checkpoint

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def good(tmp_path):
    return save(tmp_path / "checkpoint.ckpt", official_files.text())


def run(command):
    return cli.main(shlex.split(command))


def test_commands_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save(Path("checkpoint.ckpt"), official_files.text())
    save(Path("checkpoint.pth"), official_files.image(ell=1, base=4096, vocab_size=4096, channels=2, width=64))
    assert run("import-checkpoint --format official-text checkpoint.ckpt --output official/owt-l2") == 0
    assert (
        run("import-checkpoint --format official-image checkpoint.pth --output official/cifar10-l2 --weights raw") == 0
    )
    assert "official/owt-l2: ema weights, sha256 of the file " in capsys.readouterr().out
    assert imported.describe(Path("official/owt-l2")).source.weights == "ema"
    assert imported.describe(Path("official/cifar10-l2")).source.weights == "raw"
    assert imported.describe(Path("official/cifar10-l2")).network.head_width == image.HEAD_WIDTH
    assert run("import-checkpoint --format official-text checkpoint.ckpt --output other --num-subtokens 4") == 2
    assert "num_subtokens: the file has 2, asked for is 4" in capsys.readouterr().err
    assert not Path("other").exists()


def test_the_hash_is_that_of_the_file(tmp_path, good):
    made = import_checkpoint(str(good), tmp_path / "out", layout="official-text")
    assert made.source.sha256 == files.sha256_of(good)


def test_the_same_file_gives_the_same_bytes(tmp_path, good):
    for name in "ab":
        import_checkpoint(str(good), tmp_path / name, layout="official-text")
    for file in ("official.json", "weights.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_nothing_is_overwritten(tmp_path, good, kind):
    output = tmp_path / "out"
    if kind == "file":
        output.write_text("mine")
    else:
        output.mkdir()
        (output / "mine").write_text("mine")
    with pytest.raises(UserError, match="out: already there; give a new folder, or delete it first"):
        import_checkpoint(str(good), output, layout="official-text")
    assert (output if kind == "file" else output / "mine").read_text() == "mine"


def test_an_empty_folder_is_filled(tmp_path, good):
    (tmp_path / "out").mkdir()
    import_checkpoint(str(good), tmp_path / "out", layout="official-text")
    assert len(list((tmp_path / "out").iterdir())) == 2


@pytest.mark.parametrize("part", ["save", "write_json"])
def test_a_full_disk_leaves_nothing(tmp_path, good, monkeypatch, part):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint if part == "save" else files, part, fail)
    with pytest.raises(OSError, match="No space left"):
        import_checkpoint(str(good), tmp_path / "out", layout="official-text")
    assert list(tmp_path.iterdir()) == [good]


def test_weights_and_description_belong_together(tmp_path, good):
    for weights in ("raw", "ema"):
        import_checkpoint(str(good), tmp_path / weights, layout="official-text", weights=weights)
    (tmp_path / "raw" / "official.json").replace(tmp_path / "ema" / "official.json")
    with pytest.raises(UserError, match=r"weights\.safetensors: does not belong to official\.json; import it again"):
        imported.load(tmp_path / "ema")
    with pytest.raises(UserError, match=r"official\.json: no such file; import it again: mdm-prime import-checkpoint"):
        imported.load(tmp_path / "raw")
    (tmp_path / "ema" / "official.json").write_text(json.dumps({"model": "masked"}))
    with pytest.raises(UserError, match=r"official\.json: not as it was written"):
        imported.load(tmp_path / "ema")


def test_weights_are_safetensors_and_nothing_of_the_file_is_left_in_them(tmp_path, good):
    import_checkpoint(str(good), tmp_path / "out", layout="official-text")
    with safe_open(tmp_path / "out" / "weights.safetensors", framework="pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float32}  # noqa: SIM118 (no mapping)
    content = (tmp_path / "out" / "weights.safetensors").read_bytes()
    assert b"omegaconf" not in content
    assert b"not the tokenizer" not in content


# ---- the hub ---------------------------------------------------------------------------------------------------------


def test_a_file_of_the_hub_is_fetched_at_its_revision(tmp_path, good, monkeypatch):
    asked = []

    def fetch(repository, file, **options):
        asked.append((repository, file, options))
        return str(good)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    address = f"hf://owner/some-model/text/owt/checkpoint.ckpt@{REVISION}"
    made = import_checkpoint(address, tmp_path / "out", layout="official-text")
    assert asked == [("owner/some-model", "text/owt/checkpoint.ckpt", {"revision": REVISION})]
    assert made.source.address == address
    assert made.source.file == "checkpoint.ckpt"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf://owner/name/file.ckpt", "not of the form hf://OWNER/NAME/FILE@REVISION; a revision is needed"),
        ("hf://owner/name", "not of the form"),
        ("hf://owner/name/file.ckpt@main", "revision 'main' can move; give the 40 hexadecimal digits of a commit"),
        (f"hf://owner/name/file.ckpt@{REVISION[:8]}", "can move"),
    ],
)
def test_an_address_without_a_commit(tmp_path, monkeypatch, capsys, address, message):
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: pytest.fail("asked the hub"))
    assert run(f"import-checkpoint --format official-text {address} --output {tmp_path / 'out'}") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("error", [ConnectionError("no\nroute ?token=secret"), ValueError("bad"), RuntimeError("x")])
def test_a_file_that_cannot_be_fetched(tmp_path, monkeypatch, capsys, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    address = f"hf://owner/name/file.ckpt@{REVISION}"
    assert run(f"import-checkpoint --format official-text {address} --output {tmp_path / 'out'}") == 2
    message = capsys.readouterr().err
    assert f"not fetched ({type(error).__name__}" in message
    assert message.count("\n") == 1
    assert "secret" not in message


def test_without_a_network(tmp_path):
    """The hub's own error, offline, is one line too."""
    code = "import sys; from mdm_prime.cli import main; sys.exit(main.main(sys.argv[1:]))"
    address = f"hf://owner/name/file.ckpt@{REVISION}"
    command = [sys.executable, "-c", code, "import-checkpoint", "--format", "official-text", address, "--output", "out"]
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "not fetched (LocalEntryNotFoundError" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


# ---- memory ----------------------------------------------------------------------------------------------------------

MEASURE = """
import resource, sys
from pathlib import Path
from mdm_prime.official.importing import import_checkpoint
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
import_checkpoint("big.ckpt", Path("out"), layout="official-text")
print((peak() - before) / Path("out/weights.safetensors").stat().st_size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss differs")
def test_memory_is_at_most_about_twice_the_weights(tmp_path):
    """The file holds the weights, their averages and two states of an optimizer."""

    def fill(made):
        moments = {key: torch.zeros(2**24) for key in ("exp_avg", "exp_avg_sq")}
        made["optimizer_states"] = [{"state": {0: moments}}]
        return made

    made = official_files.text(ell=1, base=40000, vocab_size=40000, width=192, heads=4, blocks=2)
    save(tmp_path / "big.ckpt", map(fill, made))
    done = subprocess.run([sys.executable, "-c", MEASURE], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 2.3
