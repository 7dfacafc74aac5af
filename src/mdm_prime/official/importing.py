"""An official checkpoint, as a folder that evaluation loads: every weight is checked before anything is written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from mdm_prime import files
from mdm_prime.core.bases import smallest_base
from mdm_prime.errors import UserError
from mdm_prime.official import image, names, text
from mdm_prime.official.archive import Archive, opened
from mdm_prime.official.contents import Contents, FormatError
from mdm_prime.official.imported import DESCRIPTION, WEIGHTS, Imported, network_of
from mdm_prime.official.pickled import TensorHandle
from mdm_prime.official.source import SCHEME, locate
from mdm_prime.training import checkpoint

Format = Literal["official-text", "official-image"]
FLOAT = 4  # bytes of a weight here
MOST_GROWTH, SMALL = 4, 2**24  # of a network over its file; the second in bytes, for the constants of a small one


def import_checkpoint(
    address: str,
    output: Path,
    *,
    layout: Format,
    weights: Literal["ema", "raw"] = "ema",
    num_subtokens: int | None = None,
    head_width: int | None = None,
    check: Callable[[Imported], None] = lambda imported: None,
) -> Imported:
    """Reads a checkpoint, runs nothing in it, and writes the folder `output` whole or not at all.

    Args:
        address: a path, or hf://OWNER/NAME/FILE@REVISION.
        output: a new or empty folder.
        layout: the official format of the file.
        weights: the averaged weights or those of the last step.
        num_subtokens: ell that the file should have; None for any.
        head_width: of images, whose files do not say it; None for that of the released code.
        check: called with what the file holds, before its numbers are read; may raise FormatError.

    Raises UserError for a file that is no such checkpoint, or whose weights are not exactly those of its network.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output}: already there; give a new folder, or delete it first")
    if head_width is not None and layout == "official-text":
        raise UserError(f"head width: is {head_width}; is for official-image, a text checkpoint says its own")
    path = locate(address)
    with opened(path) as archive:
        try:
            if layout == "official-text":
                contents = text.read(archive.root, weights)
            else:
                contents = image.read(archive.root, weights, head_width or image.HEAD_WIDTH)
            _check_base(contents.settings, num_subtokens)
            imported = _imported(archive, contents, address, layout, weights)
            check(imported)
            handles = _matched(contents, imported, path.stat().st_size)
        except FormatError as error:
            raise UserError(f"{path}: not read as {layout}: {error}") from None
        by_storage = sorted(handles.items(), key=lambda item: item[1].storage.key)  # each is read once
        values = {name: _value(archive, name, handle, imported) for name, handle in by_storage}
    values |= _constants(imported)
    with _folder(output) as folder:
        checkpoint.save(folder / WEIGHTS, values, {"digest": imported.digest})
        files.write_json(folder / DESCRIPTION, imported.model_dump(mode="json"))
    return imported


def _check_base(settings: Mapping[str, Any], wanted: int | None) -> None:
    vocab_size, ell = settings["vocab_size"], settings["num_subtokens"]
    if wanted not in (None, ell):
        raise FormatError(f"num_subtokens: the file has {ell}, asked for is {wanted}")
    base = smallest_base(vocab_size, ell)
    if settings["base"] != base:
        raise FormatError(f"base: is {settings['base']}; {vocab_size} tokens in {ell} sub-tokens need base {base}")


def _imported(archive: Archive, contents: Contents, address: str, layout: Format, weights: str) -> Imported:
    step = contents.step
    if isinstance(step, TensorHandle):
        if step.shape or step.storage.dtype != torch.int64:
            raise FormatError(f"num_updates: has shape {step.shape} of {step.storage.dtype}; should be one integer")
        step = int(archive.read(step))
    source = {
        "format": layout,
        "file": archive.path.name,
        "address": address if address.startswith(SCHEME) else None,
        "bytes": archive.path.stat().st_size,
        "sha256": files.sha256_of(archive.path),
        "weights": weights,
        "step": step,
        "epoch": contents.epoch,
    }
    try:
        return Imported.model_validate({**contents.settings, "source": source})
    except ValueError as error:  # of several lines: what, where, why, and pydantic's own terms in brackets
        reason = " ".join(str(error).split()[5:]).partition(" [type=")[0]
        raise FormatError(f"a network that cannot be: {reason}") from None


def _shapes(imported: Imported) -> dict[str, torch.Size]:
    """Shapes of the network's parameters. Raises FormatError for sizes that do not fit each other."""
    try:
        with torch.device("meta"):
            return {name: parameter.shape for name, parameter in network_of(imported).named_parameters()}
    except (ValueError, RuntimeError, ArithmeticError, MemoryError) as error:
        raise FormatError(f"a network that cannot be: {' '.join(str(error).split())[:300]}") from None


def _check_memory(contents: Contents, shapes: Mapping[str, torch.Size], file_size: int) -> None:
    """Raises FormatError for a network far larger than its file: sizes that no weight has, or weights from the same
    numbers.

    Half-precision doubles, and what is tied in the file stands twice here.
    """
    storages = {handle.storage.key: handle.storage.nbytes for handle in contents.parameters.values()}
    there = min(sum(storages.values()), file_size)
    made = FLOAT * sum(shape.numel() for shape in shapes.values())
    if made > MOST_GROWTH * there + SMALL:
        raise FormatError(f"a network of {made} bytes of weights from {there} in the file")


def _matched(contents: Contents, imported: Imported, file_size: int) -> dict[str, TensorHandle]:
    """The handle of every parameter, by this project's names. Raises FormatError for any that is too many or few."""
    blocks = getattr(imported.network, "blocks", 0)
    if blocks > len(contents.parameters):  # before a network is made of it
        raise FormatError(f"blocks: is {blocks}; there are {len(contents.parameters)} weights")
    shapes = _shapes(imported)
    _check_memory(contents, shapes, file_size)
    found: dict[str, TensorHandle] = {}
    for official, handle in contents.parameters.items():
        name = names.ours(official, contents.rules)
        if name not in shapes or name in found:
            raise FormatError(f"weights {official!r}: the network that the file describes has none of this name")
        if not handle.storage.dtype.is_floating_point:
            raise FormatError(f"weights {official!r}: of {handle.storage.dtype}; should be floating-point numbers")
        try:
            shape = _convert(name, torch.empty(handle.shape, device="meta"), imported).shape
        except (RuntimeError, IndexError):
            shape = None
        if shape != shapes[name]:
            raise FormatError(
                f"weights {official!r}: have shape {handle.shape}; do not fit {name} {tuple(shapes[name])} here"
            )
        found[name] = handle
    given = names.constants(shapes) if imported.model == "autoregressive" else {}
    for name in shapes:
        if (name in found) == (name in given):
            raise FormatError(f"weights for {name}: {'unexpected' if name in found else 'missing'}")
    return found


def _convert(name: str, value: Tensor, imported: Imported) -> Tensor:
    return names.convert(
        name,
        value,
        vocab_size=imported.vocab_size,
        num_subtokens=imported.num_subtokens,
        channels=imported.channels,
    )


def _value(archive: Archive, name: str, handle: TensorHandle, imported: Imported) -> Tensor:
    value = _convert(name, archive.read(handle), imported).float()
    if not value.isfinite().all():
        raise UserError(f"{archive.path}: weights for {name} are not all finite; get the file again")
    return value


def _constants(imported: Imported) -> dict[str, Tensor]:
    return names.constants(_shapes(imported)) if imported.model == "autoregressive" else {}


@contextmanager
def _folder(output: Path) -> Iterator[Path]:
    """A temporary folder beside `output` that becomes it when the block succeeds, and is removed when it does not."""
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)  # mkdtemp makes it private
        temporary.replace(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
