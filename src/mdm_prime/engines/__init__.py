"""Snakemake and DVC on one tree: one table of stages, what each was made of, and whose turn it is."""

from mdm_prime.engines.project import (
    check_made,
    done,
    recorded,
    show,
    shows,
    where_it_is,
    write_dvc_yaml,
    write_settings,
)
from mdm_prime.engines.turn import hold_turn

__all__ = [
    "check_made",
    "done",
    "hold_turn",
    "recorded",
    "show",
    "shows",
    "where_it_is",
    "write_dvc_yaml",
    "write_settings",
]
