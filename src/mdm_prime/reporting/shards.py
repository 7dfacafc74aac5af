"""Both losses of an official checkpoint, from the shards that they were estimated in."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from typing import Any

from mdm_prime.errors import UserError
from mdm_prime.files import read_json
from mdm_prime.reporting.records import pick

LOSSES = ("nelbo", "joint_loss")
HEAD = (
    "checkpoint",
    "num_subtokens",
    "carry_over",
    "carry_over_of_file",
    "super_tokens",
    "components",
    "length",
    "dimensions",
    "exact",
    "source",
)


def pooled(paths: list[Path]) -> dict[str, Any]:
    """HEAD, num_samples, and each loss with its standard error, in nats per token.

    Shards share no held-out sequence, so their errors are independent: the mean is weighted by draws, and so are the
    standard errors before their squares are added.

    Raises UserError for shards that are missing or of different networks.
    """
    shards = [pick(path, read_json(path), (*HEAD, "num_samples", *LOSSES, *(f"{loss}_stderr" for loss in LOSSES)))
              for path in paths]  # fmt: skip
    first = {key: shards[0][key] for key in HEAD}
    for path, shard in zip(paths, shards, strict=True):
        if any(shard[key] != first[key] for key in HEAD):
            raise UserError(f"{path}: of another network than {paths[0].name}; delete both and run the pipeline again")
    total = sum(shard["num_samples"] for shard in shards)
    shares = [shard["num_samples"] / total for shard in shards]
    values: dict[str, float] = {}
    for loss in LOSSES:
        values[loss] = sum(share * shard[loss] for share, shard in zip(shares, shards, strict=True))
        errors = [share * shard[f"{loss}_stderr"] for share, shard in zip(shares, shards, strict=True)]
        values[f"{loss}_stderr"] = sqrt(sum(error**2 for error in errors))
    return first | {"num_samples": total} | values
