"""A scale of tiny official checkpoints: the params file and the files that it names, for text and for images."""

from pathlib import Path

import official_files
import yaml
from official_files import save

TEXT_SIZES = {"vocab_size": 300, "width": 24, "heads": 3, "conditioning": 6, "blocks": 1, "length": 16}
PARAMS = """
repository: checkpoints
compute: {device: cpu, threads: 1}
text:
  data: {kind: text, vocab_size: 300, length: 14, validation_fraction: 0.02, seed: 0}
  framed: true
  evaluation: {num_samples: 60, batch_size: 8, seed: 0, shards: 2, limit: 4}
  checkpoints:
    arm: {source: text/arm.ckpt, model: ARM, carry_over: false}
    l1: {source: text/l1.ckpt, model: MDM, carry_over: true}
    l2: {source: text/l2.ckpt, model: MDM-Prime, num_subtokens: 2, carry_over: true}
  assumed: {parameters: 100000, passes_per_second: 100}
images:
  photos:
    data: {kind: photos, size: 8, train_images: 60, test_images: 40, seed: 0}
    evaluation: {num_samples: 12, batch_size: 4, seed: 0, shards: 1}
    sampling: {num_samples: 20, batch_size: 6, seed: 0, shards: 2}
    classifier: {width: 4, num_features: 8, steps: 5, batch_size: 8, learning_rate: 0.001, seed: 0}
    fidelity: {inception_weights: null, kid_subset_size: 10, neighbours: 3, batch_size: 20, seed: 0}
    checkpoints:
      l2:
        source: image/l2.pth
        num_subtokens: 2
        carry_over: true
        samplers:
          - {kind: euler, num_steps: 3, draws: marginals, temperature: {a: -0.2, n: 1.0, b: 1.0}}
      super:
        source: image/super.pth
        super_tokens: true
        carry_over: false
        samplers: [{kind: euler, num_steps: 2, draws: joint}]
    assumed: {parameters: 100000, passes_per_second: 100}
"""


def write(folder, name="official-tiny", change=lambda values: None):
    """Writes params/NAME.yaml, changed, and the checkpoints; returns the path of the params."""
    for part in ("params", "checkpoints/text", "checkpoints/image"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    text, image = folder / "checkpoints/text", folder / "checkpoints/image"
    save(text / "arm.ckpt", official_files.text(ell=1, base=300, autoregressive=True, **TEXT_SIZES))
    save(text / "l1.ckpt", official_files.text(ell=1, base=300, **TEXT_SIZES))
    save(text / "l2.ckpt", official_files.text(ell=2, base=18, **TEXT_SIZES))
    save(image / "l2.pth", official_files.image(ell=2, base=16, vocab_size=256, size=8, width=192))
    save(image / "super.pth", official_files.image(ell=1, base=4096, vocab_size=4096, channels=2, size=8, width=64))
    values = yaml.safe_load(PARAMS)
    change(values)
    path = Path(folder) / "params" / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path
