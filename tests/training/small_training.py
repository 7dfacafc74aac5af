"""A network and settings that train in a fraction of a second."""

import numpy as np
import torch

from mdm_prime.core import schedules
from mdm_prime.core.subtokens import Subtokenizer
from mdm_prime.experiment.sections.models import Training
from mdm_prime.networks.dit import DiTNetwork
from mdm_prime.networks.modules.dit import DiT
from mdm_prime.training import loop
from mdm_prime.training.losses import masked_loss
from mdm_prime.training.processes import ALONE

SUBTOKENIZER = Subtokenizer(5, 2)
LOSS = masked_loss(SUBTOKENIZER, schedules.linear(), objective="joint_loss", carry_over=True)
TOKENS = np.random.default_rng(0).integers(0, 5, (50, 3)).astype(np.uint16)
CPU = torch.device("cpu")
MUON = {"optimizer": "muon", "matrix_learning_rate": 0.02}


def settings(**changes):
    values = {
        "objective": "joint_loss",
        "schedule": "linear",
        "t_min": 0.001,
        "steps": 12,
        "batch_size": 8,
        "learning_rate": 0.01,
        "warmup_steps": 2,
        "decay": "linear",
        "weight_decay": 0.01,
        "betas": (0.9, 0.99),
        "gradient_clip": 1.0,
        "ema_decay": 0.9,
        "precision": "float32",
        "compile": False,
        "log_every": 4,
        "checkpoint_every": 5,
    }
    return Training(**(values | changes))


def network(dropout=0.0):
    torch.manual_seed(0)
    return DiT(
        base=SUBTOKENIZER.base,
        num_subtokens=2,
        vocab_size=5,
        length=8,
        width=12,
        blocks=1,
        heads=2,
        conditioning_width=4,
        dropout=dropout,
    )


def train(
    state_file,
    *,
    model=None,
    tokens=TOKENS,
    loss=LOSS,
    seed=0,
    digest="a",
    dropout=0.0,
    prepare=None,
    report=None,
    stop=None,
    processes=ALONE,
    **changes,
):
    """Weights, history and the network after training."""
    model = model or network(dropout)
    average, history = loop.train(
        model,
        tokens,
        loss,
        settings(**changes),
        seed=seed,
        digest=digest,
        state_file=state_file,
        device=CPU,
        blocks_at=DiTNetwork.blocks_at,
        prepare=prepare or (lambda x, noise: x),
        report=report or (lambda row: None),
        stop=stop or (lambda: False),
        processes=processes,
    )
    return average, history, model
