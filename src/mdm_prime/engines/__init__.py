"""Snakemake and DVC on one tree: what one of them has made, the other takes for made, and only one works at a time."""

from __future__ import annotations

from mdm_prime.engines.agreement import record, settle
from mdm_prime.engines.turn import take

__all__ = ["record", "settle", "take"]
