"""What does a loss cost by itself, from hidden states to their gradient, and what do chunks and groups save?

    python benchmarks/loss.py [--vocab-size 50257] [--width 768] [--positions 2048] [--subtokens 1 2 4 8] [--steps 5]

Time is the median over steps of loss and gradient together, on random numbers; memory (on a GPU) is the most that was
there beside hidden states and head. `at once` has the logits of all positions in memory, `chunks` some at a time, and
`groups` does not compute those of tokens that a visible sub-token rules out (core/visible_digits.py). `--worth` is how
many logits a group has to spare; the default is the package's for the device. `groups` is what the package does.
"""

from __future__ import annotations

import argparse
import time

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from mdm_prime.core import chunks, visible_digits
from mdm_prime.core.objectives import sequence_losses
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.stages import memory

NEVER = 2**62


class Head(nn.Module):
    """A network that is nothing but its last layer."""

    def __init__(self, hidden: Tensor, vocab_size: int) -> None:
        super().__init__()
        self.states = nn.Parameter(hidden)
        self.logits_layer = nn.Linear(hidden.shape[-1], vocab_size, device=hidden.device)

    def forward(self, y: Tensor, t: Tensor, where: Tensor, *, hidden: bool = False) -> Tensor:
        return self.states[where] if hidden else self.logits_layer(self.states[where])


def cost(network: Head, subtokenizer: Subtokenizer, objective: str, steps: int) -> tuple[float, float]:
    """Seconds and bytes of a loss and its gradient where about half of the sub-tokens are masked."""
    device = network.states.device
    generator = torch.Generator(device).manual_seed(0)
    x = torch.randint(subtokenizer.vocab_size, network.states.shape[:2], generator=generator, device=device)
    y = subtokenizer.encode(x)
    y = y.masked_fill(torch.rand(y.shape, generator=generator, device=device) < 0.5, subtokenizer.mask_id)
    wanted = {"joint": objective == "joint_loss", "marginal": objective == "nelbo"}
    times, before = [], torch.cuda.memory_allocated() if device.type == "cuda" else 0
    for _ in range(steps + 1):
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            both = sequence_losses(network, x, y, torch.zeros(len(x)), subtokenizer, carry_over=True, **wanted)
        (both.joint + both.marginal).sum().backward()
        network.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() - before if device.type == "cuda" else float("nan")
    return float(torch.tensor(times[1:]).median()), peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocab-size", type=int, default=50257)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--positions", type=int, default=2048)
    parser.add_argument("--subtokens", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--chunk", type=int, default=chunks.CHUNK_LOGITS, help="logits of a chunk")
    parser.add_argument("--worth", type=int, help="logits that a group spares")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    memory.keep_freed()  # as every stage does
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {options.threads} thread(s)"
    title = f"loss of {options.positions} positions, V = {options.vocab_size}, on {name}"
    worth = visible_digits.WORTH.get(device.type, visible_digits.WORTH_ELSEWHERE)
    kept = chunks.KEPT_LOGITS  # by the package, before it computes chunks
    ways = {
        "at once": (NEVER, NEVER),
        "chunks": (options.chunk, NEVER),
        "groups": (kept, worth if options.worth is None else options.worth),
    }
    columns = [f"{way}, {unit}" for unit in ("s", "GB") for way in ways]
    table = Table("sub-tokens", "loss", *columns, "to joint", title=title)
    for ell in options.subtokens:
        joint = None
        for objective in ("joint_loss", "nelbo"):
            found = []
            for most, least in ways.values():
                chunks.KEPT_LOGITS, chunks.CHUNK_LOGITS = most, options.chunk
                visible_digits.WORTH = {device.type: least}
                torch.manual_seed(0)
                network = Head(torch.randn(1, options.positions, options.width, device=device), options.vocab_size)
                if device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                found.append(cost(network, Subtokenizer(options.vocab_size, ell), objective, options.steps))
            seconds = found[-1][0]
            joint = joint or seconds
            row = [f"{taken:.3f}" for taken, _ in found] + [f"{much / 1e9:.2f}" for _, much in found]
            table.add_row(str(ell), objective, *row, f"{seconds / joint:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
