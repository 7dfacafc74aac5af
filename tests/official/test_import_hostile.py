"""Checkpoints that are small and ask for much: one line, before any memory is filled."""

import pickletools
import zipfile

import official_files
import pytest
import torch
from official_files import save

from mdm_prime.errors import UserError
from mdm_prime.official import text
from mdm_prime.official.archive import opened
from mdm_prime.official.contents import FormatError
from mdm_prime.official.importing import import_checkpoint


def refusal(path, output, **options):
    with pytest.raises(UserError) as error:
        import_checkpoint(str(path), output, layout="official-text", **options)
    assert "\n" not in str(error.value)
    assert not output.exists()
    return str(error.value)


def with_pickle(good, path, change):
    """A copy of a checkpoint whose pickle was changed."""
    with zipfile.ZipFile(good) as file, zipfile.ZipFile(path, "w") as other:
        for name in file.namelist():
            content = file.read(name)
            other.writestr(name, change(content) if name.endswith("data.pkl") else content)
    return path


def test_a_handle_that_was_checked_cannot_be_changed(tmp_path):
    """The opcode BUILD once gave a handle of 5 KB the shape of 6 GB."""
    good = save(tmp_path / "good.ckpt", official_files.text())
    state = b"}X\x05\x00\x00\x00shape(J\x00\x00\x00\x60tsb"  # behind the first tensor

    def change(content):
        calls = [place for opcode, _, place in pickletools.genops(content) if opcode.name == "REDUCE"]
        inner = [place for place in calls if place > content.index(b"_rebuild_tensor_v2")]
        place = inner[1] + 1  # the first makes an argument of it
        return content[:place] + state + content[place:]

    changed = with_pickle(good, tmp_path / "changed.ckpt", change)
    assert "it asks for a state of TensorHandle" in refusal(changed, tmp_path / "out")


def test_one_storage_for_all_weights_makes_no_more_than_it_holds(tmp_path):
    sizes = {"width": 768, "heads": 12, "blocks": 6, "conditioning": 64}
    shapes = official_files.text_shapes(**{**official_files.TEXT, **sizes})
    numbers = torch.zeros(max(torch.Size(shape).numel() for shape in shapes.values()))
    for checkpoint in official_files.text(**sizes):
        for name in checkpoint["state_dict"]:
            shape = torch.Size(shapes[name.removeprefix("backbone.")])
            checkpoint["state_dict"][name] = numbers[: shape.numel()].view(shape)
        for part in ("ema", "optimizer_states"):
            checkpoint.pop(part)
        torch.save(checkpoint, tmp_path / "shared.ckpt")
    assert (tmp_path / "shared.ckpt").stat().st_size < 12_000_000
    found = refusal(tmp_path / "shared.ckpt", tmp_path / "out", weights="raw")
    assert "bytes of weights from 9437184 in the file" in found


def test_conditioning_that_no_weight_has_is_not_made_up(tmp_path):
    """The autoregressive network has constants in its place: as many as the file says."""
    path = save(tmp_path / "wide.ckpt", official_files.text(autoregressive=True, ell=1, base=13, conditioning=2**22))
    assert "conditioning_width: is 4194304; should be at most 65536" in refusal(path, tmp_path / "out")


def test_lists_that_stand_twice_are_made_once():
    shared = [1]
    for _ in range(60):
        shared = [shared, shared]
    with pytest.raises(FormatError, match="nested more than 64 deep"):
        text.plain([[[[[[shared]]]]]])
    shared = [1]
    for _ in range(50):
        shared = {"a": shared, "b": shared}
    found = text.plain(shared)
    assert found["a"] is found["b"]


def test_a_list_in_itself_is_no_configuration(tmp_path):
    loop = []
    loop.append(loop)
    path = save(tmp_path / "loop.ckpt", official_files.text())
    for checkpoint in official_files.text():
        checkpoint["hyper_parameters"]["config"] = {"a": loop}
        torch.save(checkpoint, path)
    assert "nested more than 64 deep" in refusal(path, tmp_path / "out")


def test_views_of_one_storage_are_read_once(tmp_path, monkeypatch):
    numbers = torch.arange(6.0)
    torch.save({"a": numbers[:3], "b": numbers[3:]}, tmp_path / "views.ckpt")
    with opened(tmp_path / "views.ckpt") as archive:
        first = archive.read(archive.root["a"])
        monkeypatch.setattr(archive, "_entry", lambda *arguments, **_: pytest.fail("read again"))
        torch.testing.assert_close(archive.read(archive.root["b"]), numbers[3:])
        first.zero_()  # memory of its own
        torch.testing.assert_close(archive.read(archive.root["a"]), numbers[:3])
