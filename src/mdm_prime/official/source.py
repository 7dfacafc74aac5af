"""The file of a checkpoint: a path, or hf://OWNER/NAME/FILE@REVISION, fetched from the hub."""

from __future__ import annotations

import re
from pathlib import Path

from mdm_prime.errors import UserError

SCHEME = "hf://"
FORM = f"{SCHEME}OWNER/NAME/FILE@REVISION"


def locate(address: str) -> Path:
    """The local file of an address. A file of the hub is fetched once; an interrupted download is gone on with.

    Raises UserError for an address without a commit as revision, and when the file cannot be fetched.
    """
    if not address.startswith(SCHEME):
        return Path(address)
    repository, file, revision = parts(address)
    try:
        import huggingface_hub
    except ImportError:
        raise UserError(f"{address}: needs huggingface_hub; install it, or give the path of the file") from None
    try:
        return Path(huggingface_hub.hf_hub_download(repository, file, revision=revision))
    except Exception as error:  # of the network, the hub or the disk: several libraries, and no base in common
        reason = re.sub(r"\?\S*", "", " ".join(str(error).split()))[:200]  # addresses may be signed behind their ?
        raise UserError(f"{address}: not fetched ({type(error).__name__}: {reason}); or give a path") from None


def parts(address: str) -> tuple[str, str, str]:
    """Repository, file and revision of an address of the hub. Raises UserError for one without a commit."""
    found = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)/([^@]+)@([^@]+)", address)
    if not found:
        raise UserError(f"{address}: not of the form {FORM}; a revision is needed, so that the file stays the same")
    repository, file, revision = found.groups()
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise UserError(f"{address}: revision {revision!r} can move; give the 40 hexadecimal digits of a commit")
    return repository, file, revision
