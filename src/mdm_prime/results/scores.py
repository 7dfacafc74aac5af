"""How near a set of images is to the reference images: the columns that runs and baselines share."""

from __future__ import annotations

from mdm_prime.results.base import Deviation, Positive, Result, Share


class Scores(Result):
    """See mdm_prime.evaluation.fidelity.Scores and mdm_prime.evaluation.nearest."""

    distance: float
    inception_score: float
    inception_score_stderr: Deviation
    kid: float
    kid_stderr: Deviation
    precision: Share
    recall: Share
    memorised: Share
    nearest: Deviation
    num_samples: Positive
