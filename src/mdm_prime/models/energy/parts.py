"""What the variants have to be that a model with an energy is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mdm_prime.experiment.naming import schedule_name

if TYPE_CHECKING:
    from mdm_prime.experiment.runs import Run


def check_parts(run: Run, kinds: Mapping[str, str]) -> None:
    """Raises ValueError, "key: is ...; should be ...", for a run with a part that does not fit it, or sub-tokens.

    Args:
        run: of the model.
        kinds: of the models of its parts, by what these are in it; `denoiser` is among them.
    """
    for key, kind in kinds.items():
        part = run.parts[key]
        if part.model.kind != kind or part.num_subtokens > 1:
            raise ValueError(f"model.{key}: is {part.variant}; should be of model {kind} with one sub-token")
        if part.permutation is not None:
            raise ValueError(f"model.{key}: is {part.variant} with permutation {part.permutation}; should be with null")
    denoiser = run.parts["denoiser"]
    if (other := schedule_name(denoiser.training)) != (own := schedule_name(run.training)):
        raise ValueError(
            f"model.denoiser: is {denoiser.variant} with schedule {other}; should be with that of {run.variant}, {own}"
        )
    if run.permutation is not None:
        raise ValueError(f"permutation: is {run.permutation}; should be null for the model {run.model.kind}")
    if run.num_subtokens > 1:
        raise ValueError(f"num_subtokens: is {run.num_subtokens}; should be 1 for the model {run.model.kind}")
