"""Where the checkpoints of a params file are, and what is still to be fetched of them; nothing is fetched for it."""

from __future__ import annotations

from pathlib import Path

from mdm_prime.errors import UserError
from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.official.source import SCHEME, parts

GIB = 2**30
TIMEOUT = 10.0  # seconds to wait for the hub


def show(config: Config, results: Path) -> None:
    """Prints a table with a row for each checkpoint. Raises UserError where the params name none."""
    from rich.console import Console
    from rich.table import Table

    root = layout.scale_root(results, config.scale)
    table = Table("run", "state", title="nothing is downloaded or written by this command")
    table.add_column("download GiB", justify="right")
    table.add_column("checkpoint", overflow="fold")
    sizes = []
    for task in config.tasks:
        for run in config.runs(task):
            if run.checkpoint is None:
                continue
            state, size = state_of(run.checkpoint.address, layout.network_files(root, run.name)[0])
            sizes.append(size)
            table.add_row(run.name, state, "unknown" if size is None else f"{size / GIB:.2f}", run.checkpoint.address)
    if not sizes:
        raise UserError(f"scale {config.scale!r} has no checkpoints; see params/official.yaml")
    unknown = sum(size is None for size in sizes)
    more = f" and {unknown} of unknown size" if unknown else ""
    table.add_section()
    table.add_row("all", "", f"{sum(size or 0 for size in sizes) / GIB:.2f}{more}", "")
    Console(width=None if Console().is_terminal else 160).print(table)


def state_of(address: str, weights: Path) -> tuple[str, int | None]:
    """Whether a checkpoint is imported, here, to download or missing, and the bytes to fetch; None: nobody knows."""
    if weights.is_file():
        return "imported", 0
    if address.startswith(SCHEME):
        return "to download", size_at_the_hub(address)
    return ("here" if Path(address).is_file() else "missing"), 0


def size_at_the_hub(address: str) -> int | None:
    """Bytes of a file of the hub, from its headers; None where there is no network, or no such file."""
    repository, file, revision = parts(address)
    try:
        import huggingface_hub

        url = huggingface_hub.hf_hub_url(repository, file, revision=revision)
        size: int | None = huggingface_hub.get_hf_file_metadata(url, timeout=TIMEOUT).size
    except Exception:  # of the network or the hub: several libraries, and no base in common
        return None
    return size
