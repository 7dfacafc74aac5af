"""Trains small networks in 1 to 4 processes and prints what came of it: `python several.py FOLDER`.

A script of its own, since the processes are forked, which wants a process without threads: importing torch in each
takes seconds.
"""

import json
import shutil
import sys
import warnings
from pathlib import Path

import torch
import torch._dynamo  # torch.optim would, in each process
import torch.distributed as dist
from torch import multiprocessing

from mdm_prime.core import visible_digits
from mdm_prime.errors import TrainingInterruptedError
from mdm_prime.training.parts import local
from mdm_prime.training.processes import ALONE, Processes
from training.small_training import MUON, SUBTOKENIZER, TOKENS, network, train

KINDS = {
    "adamw": {"dropout": 0.3},
    "muon": MUON | {"micro_batch_size": 2, "dropout": 0.3},
    "bound": {"objective": "nelbo"},
}
GROUPS = {"cpu": 1}  # several processes compute positions that show a digit together, however few; one does not


def prepared(x, noise):
    """Another token in place of a tenth of them."""
    return torch.where(noise.uniform(x.shape[1]) < 0.1, 0, x)


def one(folder, kind, count, rank):
    torch.set_num_threads(1)
    if count > 1:
        visible_digits.WORTH = GROUPS
        dist.init_process_group("gloo", init_method=f"file://{folder}/{kind}{count}", rank=rank, world_size=count)
    torch.set_default_dtype(torch.float64)  # sums in another order differ by 1e-15
    trained = train(
        folder / f"{kind}{count}.safetensors",
        model=network(KINDS[kind].get("dropout", 0.0)).double(),
        prepare=prepared,
        processes=Processes(rank, count) if count > 1 else ALONE,
        **{key: value for key, value in KINDS[kind].items() if key != "dropout"},
    )
    if rank == 0:
        written(folder / f"{kind}{count}.json", trained)
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


def in_parts(folder, rank):
    """One of two processes that keep a part of each weight, stopped after seven steps, and then to the end."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    visible_digits.WORTH = GROUPS
    dist.init_process_group("gloo", init_method=f"file://{folder}/parts", rank=rank, world_size=2)
    state = folder / "parts.safetensors"
    options = KINDS["adamw"] | {"micro_batch_size": 2, "prepare": prepared, "processes": Processes(rank, 2, shard=True)}
    del options["dropout"]
    steps = iter(range(1, 100))
    try:
        train(state, model=network(0.3).double(), stop=lambda: next(steps) == 7, **options)
    except TrainingInterruptedError:
        if rank == 0:
            shutil.copy(state, folder / "stopped.safetensors")
    dist.barrier()  # the first of them has written
    model = network(0.3).double()
    written(folder / f"parts{rank}.json", train(state, model=model, **options))
    dist.destroy_process_group()
    if rank == 0:
        model, options["processes"] = network(0.3).double(), ALONE
        written(folder / "alone.json", train(folder / "stopped.safetensors", model=model, **options))


def written(path, trained):
    """History, weights, and the share of the weights that this process has."""
    average, history, model = trained
    weights = {name: value.flatten().tolist() for name, value in average.items()}
    own = sum(local(parameter).numel() for parameter in model.parameters())
    path.write_text(json.dumps([history, weights, own / sum(map(len, weights.values()))]))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        in_parts(Path(sys.argv[1]), int(sys.argv[2]))
        sys.exit()
    assert SUBTOKENIZER.num_subtokens == 2
    assert len(TOKENS) == 50
    warnings.simplefilter("error")
    main(Path(sys.argv[1]))
