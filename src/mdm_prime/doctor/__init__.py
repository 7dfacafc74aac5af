"""`mdm-prime doctor`: what would fail on this machine, and how to mend it, before anything runs."""

from mdm_prime.doctor.report import examine, run

__all__ = ["examine", "run"]
