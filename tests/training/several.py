"""Trains small networks in 1 to 4 processes and prints what came of it: `python several.py FOLDER`.

A script of its own, since the processes are forked, which wants a process without threads: importing torch in each
takes seconds.
"""

import json
import sys
import warnings
from pathlib import Path

import torch
import torch._dynamo  # torch.optim would, in each process
import torch.distributed as dist
from torch import multiprocessing

from mdm_prime.training.processes import ALONE, Processes
from training.small_training import MUON, SUBTOKENIZER, TOKENS, network, train

KINDS = {
    "adamw": {"dropout": 0.3},
    "muon": MUON | {"micro_batch_size": 2, "dropout": 0.3},
    "bound": {"objective": "nelbo"},
}


def prepared(x, noise):
    """Another token in place of a tenth of them."""
    return torch.where(noise.uniform(x.shape[1]) < 0.1, 0, x)


def one(folder, kind, count, rank):
    torch.set_num_threads(1)
    if count > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}/{kind}{count}", rank=rank, world_size=count)
    torch.set_default_dtype(torch.float64)  # sums in another order differ by 1e-15
    average, history, _ = train(
        folder / f"{kind}{count}.safetensors",
        model=network(KINDS[kind].get("dropout", 0.0)).double(),
        prepare=prepared,
        processes=Processes(rank, count) if count > 1 else ALONE,
        **{key: value for key, value in KINDS[kind].items() if key != "dropout"},
    )
    if rank == 0:
        weights = {name: value.flatten().tolist() for name, value in average.items()}
        (folder / f"{kind}{count}.json").write_text(json.dumps([history, weights]))
    if count > 1:
        dist.destroy_process_group()


def main(folder):
    fork = multiprocessing.get_context("fork")
    for kind in KINDS:
        for count in (1, 2, 3, 4):
            running = [fork.Process(target=one, args=(folder, kind, count, rank)) for rank in range(count)]
            for process in running:
                process.start()
            for process in running:
                process.join()
                assert process.exitcode == 0, (kind, count)


if __name__ == "__main__":
    assert SUBTOKENIZER.num_subtokens == 2
    assert len(TOKENS) == 50
    warnings.simplefilter("error")
    main(Path(sys.argv[1]))
