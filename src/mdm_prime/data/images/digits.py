"""scikit-learn's handwritten digits, on every machine."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mdm_prime.data.image_files import Batch, ImageSource, ImageSourceSection
from mdm_prime.errors import UserError
from mdm_prime.experiment.sections.base import Fraction


class DigitsData(ImageSourceSection):
    """1,797 images of 8x8 pixels and 17 gray levels."""

    kind: Literal["digits"]
    dataset: str = "digits"
    channels: Literal[1] = 1
    size: Literal[8] = 8
    vocab_size: Literal[17] = 17
    augmentation: Literal["none", "shift"] = "none"  # a mirrored digit is no digit
    heldout_fraction: Fraction

    def source(self, key: str) -> ImageSource:
        """Both parts have every digit in the same share."""
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        digits = load_digits()
        bits = np.random.MT19937(np.random.SeedSequence(self.seed))
        stream = np.random.RandomState(bits)  # sklearn takes no Generator
        try:
            rows = train_test_split(
                np.arange(len(digits.data)),
                test_size=self.heldout_fraction,
                random_state=stream,
                stratify=digits.target,
            )
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{key}.heldout_fraction is {self.heldout_fraction}: {reason}; try nearer to 0.5") from None
        train, test = (Batch(digits.data[part].astype(np.uint8), digits.target[part].astype(np.int64)) for part in rows)
        return ImageSource("scikit-learn's load_digits", lambda: iter([train]), lambda: iter([test]))
