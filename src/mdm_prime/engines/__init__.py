"""Snakemake and DVC on one tree: one table of stages, what each was made of, and whose turn it is."""

from mdm_prime.engines.project import recorded, show, shows, where_it_is, write_dvc_yaml, write_settings
from mdm_prime.engines.turn import hold_turn

__all__ = ["hold_turn", "recorded", "show", "shows", "where_it_is", "write_dvc_yaml", "write_settings"]
