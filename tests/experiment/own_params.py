"""A params file of one's own that says everything itself, and what is changed in it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mdm_prime.errors import UserError
from mdm_prime.experiment import config

PROJECT = Path(__file__).parents[2]
PARAMS = PROJECT / "params"
MINE = """\
compute: {device: auto, threads: 1}
tasks:
  source:
    data:
      kind: known_entropy
      vocab_size: 8
      length: 4
      concentration: 0.3
      train_sequences: 100
      heldout_sequences: 10
      seed: 0
    network: &dit
      {kind: dit, width: 24, blocks: 2, heads: 2, conditioning_width: 16, dropout: 0.0, time_conditioning: false}
    training: &training
      objective: joint_loss
      schedule: linear
      t_min: 0.001
      steps: 3000
      batch_size: 32
      learning_rate: 0.002
      warmup_steps: 100
      decay: linear
      weight_decay: 0.01
      betas: [0.9, 0.99]
      gradient_clip: 1.0
      ema_decay: 0.99
      precision: auto
      compile: false
      log_every: 50
      checkpoint_every: 500
    models: [l1, l2, l3]
    seeds: [0, 1]
    evaluation: &evaluation {num_samples: 100, batch_size: 10, seed: 0}
    sampling: &sampling
      {num_samples: 10, batch_size: 5, seed: 0}
    samplers: &samplers [{kind: ancestral, num_steps: 64}]
    oracle: {num_subtokens: [1, 2], copies_of_one_bit: [1, 2], max_states: 1000, num_samples: 20, seed: 0}
  text:
    data: {kind: text, vocab_size: 1000, length: 64, heldout_fraction: 0.1, seed: 0}
    network: {<<: *dit, blocks: 4}
    training:
      <<: *training
      steps: 1000
    models: [l1, l2, l4, arm, l4-plain]
    variants:
      arm: {model: autoregressive}
      l4-plain: {carry_over: false}
    seeds: [0, 1]
    evaluation: *evaluation
    sampling: *sampling
    samplers: *samplers
  toy:
    data:
      kind: toy
      image: china.jpg
      vocab_size: 128
      contrast: 2.0
      train_sequences: 100
      heldout_sequences: 10
      seed: 0
    network: {kind: mlp, width: 25, blocks: 3, time_conditioning: false}
    training: *training
    models: [l1, l7]
    seeds: [0]
    evaluation: *evaluation
    sampling: *sampling
    samplers: *samplers
idle_steps: {length: 16, num_subtokens: [1, 2], num_steps: [8, 16], num_sequences: 10, seed: 0}
"""
VALUES: dict[str, Any] = json.loads(json.dumps(yaml.safe_load(MINE)))  # no section is shared
REMOVED = object()


def changed(key: str, value: Any, values: dict[str, Any] = VALUES) -> dict[str, Any]:
    """Params, by default those above, with one value changed; a section that is not there is made."""
    values = copy.deepcopy(values)
    *parents, last = key.split(".")
    section = values
    for parent in parents:
        section = section.setdefault(parent, {})
    if value is REMOVED:
        del section[last]
    else:
        section[last] = value
    return values


def write(folder: Path, content: dict[str, Any] | str | bytes, name: str = "mine.yaml") -> Path:
    path = folder / name
    if isinstance(content, dict):
        content = yaml.safe_dump(content, sort_keys=False)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def problem(path: Path) -> str:
    """The error message after the file's name; it must be one line that begins with it."""
    with pytest.raises(UserError) as caught:
        config.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")
