"""A scale of tiny official checkpoints: the params file and the files that it names, for text and for images."""

import json
import shutil
from pathlib import Path

import numpy as np
import official_files
import yaml
from official_files import save

BASE = Path(__file__).parents[2] / "params" / "base.yaml"
TEXT_SIZES = {"vocab_size": 300, "width": 24, "heads": 3, "conditioning": 6, "blocks": 1, "length": 16}
TEXT_FILES = 12
PARAMS = """
base: base.yaml
repository: checkpoints
compute: {device: cpu}
tasks:
  text:
    data: {kind: text, vocab_size: 300, length: 16, heldout_fraction: 0.5}
    evaluation: {num_samples: 60, batch_size: 8, exact: null}
    samplers: [{kind: ancestral, num_steps: 4}]
    sampling: {num_samples: 3, batch_size: 2}
    models: [arm, l1, l2]
    seeds: [0, 1]
    variants:
      arm: {model: autoregressive, carry_over: false, checkpoint: {format: official-text, address: text/arm.ckpt}}
      l1: {checkpoint: {format: official-text, address: text/l1.ckpt}}
      l2: {checkpoint: {format: official-text, address: text/l2.ckpt}}
  photos:
    data: {kind: photos, size: 8, train_images: 60, test_images: 40, augmentation: none}
    evaluation: {num_samples: 12, batch_size: 4}
    sampling: {num_samples: 20, batch_size: 10, shown: 1}
    samplers: [{kind: euler, num_steps: 2, distribution: joint}]
    classifier: {width: 4, num_features: 8, steps: 5, batch_size: 8}
    fidelity: {kid_subset_size: 10, batch_size: 20}
    models: [l2, super, l2-mixture]
    variants:
      l2:
        checkpoint: {format: official-image, address: image/l2.pth, head_width: 32}
        samplers:
          - {kind: euler, num_steps: 3, distribution: marginals, temperature: {a: -0.2, n: 1.0, b: 1.0}}
      super:
        super_tokens: true
        carry_over: false
        checkpoint: {format: official-image, address: image/super.pth, head_width: 32}
      l2-mixture: {checkpoint: {format: official-image, address: image/mixture.pth, weights: raw, head_width: 32}}
"""


def write(folder, name="official-tiny", change=lambda values: None):
    """Writes params/NAME.yaml, changed, with its base, the checkpoints and a text; returns the path of the params."""
    for part in ("params", "checkpoints/text", "checkpoints/image"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    text, image = folder / "checkpoints/text", folder / "checkpoints/image"
    save(text / "arm.ckpt", official_files.text(ell=1, base=300, autoregressive=True, **TEXT_SIZES))
    save(text / "l1.ckpt", official_files.text(ell=1, base=300, **TEXT_SIZES))
    save(text / "l2.ckpt", official_files.text(ell=2, base=18, **TEXT_SIZES))
    prime = {"ell": 2, "base": 16, "vocab_size": 256, "size": 8, "width": 96}
    save(image / "l2.pth", official_files.image(**prime))
    save(image / "mixture.pth", official_files.image(**prime, components=3))
    save(image / "super.pth", official_files.image(ell=1, base=4096, vocab_size=4096, channels=2, size=8, width=64))
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefgh"), 5)) for _ in range(40)]
    for number in range(TEXT_FILES):
        (folder / f"{number}.txt").write_text(" ".join(rng.choice(words, 200)))
    shutil.copy(BASE, folder / "params" / "base.yaml")
    values = json.loads(json.dumps(yaml.safe_load(PARAMS)))
    values["tasks"]["text"]["data"]["files"] = [f"{number}.txt" for number in range(TEXT_FILES)]
    change(values)
    path = folder / "params" / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path
