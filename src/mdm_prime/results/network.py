"""run.json of a network: what it is, and what it was trained or imported on."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import JsonValue, model_validator

from mdm_prime.experiment.sections.networks import Network
from mdm_prime.results.base import Count
from mdm_prime.results.models import Facts

OF_A_TRAINED_ONE = ("steps", "weights_sha256", "data_sha256")


class NetworkFile(Facts):
    """Of a network that was trained here, or of an imported one, whose `source` and `network` are given.

    Attributes:
        schedule, exponent: the noise that it was trained with.
        network: the settings of an imported network, as its checkpoint says them.
        steps: updates of the weights here.
        weights_sha256: of the file beside this one.
        data_sha256: that of its data set's meta.json.
        config: the whole run.
        digest: what the weights belong to: the run's parameters and its data.
    """

    schedule: Literal["linear", "polynomial", "cosine"]
    exponent: float
    network: Network | None
    steps: Count | None
    weights_sha256: str | None
    data_sha256: str | None
    config: dict[str, JsonValue]
    digest: str

    @model_validator(mode="after")
    def _trained_or_imported(self) -> Self:
        trained = self.source is None
        for key in OF_A_TRAINED_ONE:
            if (getattr(self, key) is not None) != trained:
                raise ValueError(f"{key}: should be null for an imported network, and for no other")
        if (self.network is None) != trained:
            raise ValueError("network: should be null for a trained network, and for no other")
        return self
