"""Columns of tables: what a reader is told of each, how a fresh value may differ from a reference, and shared ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Allowed difference between two runs: stderrs * combined standard error + relative * reference + absolute.

    Where the reference has several seeds, what they say of networks trained alike counts beside the last two: see
    reference.py.
    """

    stderrs: float = 0.0
    relative: float = 0.0
    absolute: float = 0.0
    with_carry_over_only: bool = False  # without it a loss counts visible tokens at weight 1/t: it varies by factors
    of_networks: bool = False  # nothing but the network varies, so that alike seeds narrow what is allowed

    def allowed(self, reference: float) -> float:
        return self.relative * abs(reference) + self.absolute


EXACT = Tolerance(relative=1e-6, absolute=1e-9)  # counts, entropies, closed forms, the paper's numbers, text
STDERR = Tolerance(relative=0.5, absolute=1e-6)  # of a loss with heavy tails

# The same machine and seeds give the same bytes. Another processor or torch gives another network, as another seed
# would. These hold where a reference has too few seeds to say how widely such networks differ.
TRAINED_NATS = Tolerance(stderrs=3, absolute=0.04, of_networks=True)
TRAINED_PPL = Tolerance(stderrs=3, relative=0.25, of_networks=True)
TRAINED_BPD = Tolerance(stderrs=3, relative=0.1, of_networks=True)
# Images are compared on the features of a classifier, of which there is one, and which is another one elsewhere: its
# features have another size, whatever the seeds of the networks say.
IMAGE_DISTANCE = Tolerance(stderrs=3, relative=0.5, absolute=0.5)
IMAGE_SHARE = Tolerance(absolute=0.15)
# Measured: AVX2 in place of AVX-512 moved the recall of photographs at 4 evaluations by 0.36 and 0.22, and no other by
# more than 0.15.
IMAGE_RECALL = Tolerance(absolute=0.4)


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: in the csv, md and json files.
        description: what it is, with its unit.
        decimals: of a number in the md and tex files; the csv keeps ten significant digits. None for text and integers.
        heading: LaTeX heading in the tex file; None leaves the column out there. A number whose standard error is in
            the table as `name_stderr` is followed by it.
        align: LaTeX column type; "" for l (text) or r (numbers).
        tolerance: how far a run may be from a reference run; None: not compared.
        decided_by: column of the margin by which it is decided, below which it is not compared; "" for none.
    """

    name: str
    description: str
    decimals: int | None = None
    heading: str | None = None
    align: str = ""
    tolerance: Tolerance | None = EXACT
    decided_by: str = ""


def stderr_of(name: str, description: str, decimals: int = 4) -> Column:
    """The column of a column's standard errors."""
    return Column(f"{name}_stderr", description, decimals, tolerance=STDERR)


def spread_of(name: str, decimals: int = 4) -> Column:
    """The column of a column's standard deviations over seeds, not compared: that of two values says little."""
    description = "standard deviation over seeds; empty for one seed"
    return Column(f"{name}_spread", description, decimals, tolerance=None)


def estimate(column: Column, stderr: str) -> tuple[Column, ...]:
    """A column, that of its standard errors, which are described by `stderr`, and that of its spread over seeds."""
    decimals = 4 if column.decimals is None else column.decimals
    return column, stderr_of(column.name, stderr, decimals), spread_of(column.name, decimals)


EXACT_SEQUENCES = Column("exact_sequences", "held-out sequences that the exact values are measured on")

TASK = Column("task", "name of the task in the params file")
VARIANT = Column("variant", "name of the variant in the params file")
NUM_SUBTOKENS = Column("num_subtokens", "l, sub-tokens per token", heading=r"$\ell$")
BASE = Column("base", "b, values of a sub-token, the mask not counted", heading="$b$")
CARRY_OVER = Column("carry_over", "whether tokens that contradict a visible sub-token get probability zero")
OBJECTIVE = Column("objective", "what was trained: joint_loss (published loss) or nelbo (valid bound)")
SEEDS = Column("seeds", "number of trained networks")
PARAMETERS = Column("parameters", "number of weights")
TRAIN_TOKENS = Column("train_tokens", "tokens seen in training")

IMAGE_MODEL = Column(
    "model",
    "MDM: whole pixel values; MDM-Mixture: the same, mean of class-conditional predictions; MDM-Prime: sub-tokens",
    heading="Model",
)
CHANNEL_SUBTOKENS = Column(
    "num_subtokens",
    "l, sub-tokens per pixel channel; 2/3: a pixel of three channels as two tokens",
    heading=r"$\ell$",
)
PIXEL_CARRY_OVER = Column(
    "carry_over",
    "whether pixel values that contradict a visible sub-token get probability zero",
    heading="Carry-over",
)

# Where a network comes from: filled by loading.origin_of.
ORIGIN = (
    Column("origin", "trained: here; checkpoint: imported from a file of the authors"),
    Column("source_weights", "of an imported file: averaged (ema) or last (raw)"),
    Column("source_carry_over", "what the imported file says of carry-over in its training"),
    Column("source_step", "updates of the imported weights; empty where the file does not say"),
    Column("source_sha256", "hash of the imported file"),
)
