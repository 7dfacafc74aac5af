"""tests/golden/reference.safetensors: what the paper's published reference implementation gives, with random weights.

Its networks, losses and digit layouts were run on a CPU in float32. `causal` and `dit_l3` hold the networks at time 0,
where the conditioning is a constant vector, as biases of the modulation; `mlp` holds the first 32 of 512 tokens.
"""

from pathlib import Path

from safetensors.torch import load_file

_ALL = load_file(Path(__file__).parent / "golden" / "reference.safetensors")


def golden(prefix):
    """The tensors under a prefix, int32 as int64."""
    found = {key.removeprefix(f"{prefix}/"): value for key, value in _ALL.items() if key.startswith(f"{prefix}/")}
    return {key: value if value.is_floating_point() else value.long() for key, value in found.items()}


def names(prefix):
    """The parts that lie directly under a prefix."""
    return sorted({key.split("/")[1] for key in _ALL if key.startswith(f"{prefix}/")})
