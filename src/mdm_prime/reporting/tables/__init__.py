"""The tables: each is built from saved files by one function and written as csv, md, tex and json."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mdm_prime.experiment.config import Config, Official
from mdm_prime.reporting import writing
from mdm_prime.reporting.tables import (
    bound_validity,
    claims,
    idle_steps,
    image_likelihood,
    image_published,
    image_quality,
    official_image,
    official_text,
    text_perplexity,
    toy_likelihood,
)
from mdm_prime.reporting.tables.table import Table

BUILDERS: dict[str, Callable[[Config, Path], Table]] = {
    "bound_validity": bound_validity.build,
    "claims": claims.build,
    "idle_steps": idle_steps.build,
    "image_likelihood": image_likelihood.build,
    "image_published": image_published.build,
    "image_quality": image_quality.build,
    "text_perplexity": text_perplexity.build,
    "toy_likelihood": toy_likelihood.build,
}

OFFICIAL_BUILDERS: dict[str, Callable[[Official, Path], Table]] = {
    "official_text": official_text.build,
    "official_image": official_image.build,
}


def build(name: str, config: Config, results: Path) -> Table:
    """The table called `name`, from layout.table_inputs. Raises UserError for a missing or unreadable input."""
    return BUILDERS[name](config, results)


def write(name: str, config: Config, results: Path) -> None:
    """Writes layout.table_files(results, name)."""
    writing.write(build(name, config, results), results)


def write_official(name: str, official: Official, results: Path) -> None:
    """Writes a table of official checkpoints: layout.table_files(results, name)."""
    writing.write(OFFICIAL_BUILDERS[name](official, results), results)
