"""Runs as the pipeline makes them, with numbers of their own: a pipeline that trained, evaluated and sampled models."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from mdm_prime import tracking

LOSSES = {1: (5.9, 5.9), 2: (5.7, 5.95), 4: (5.5, 5.97)}  # sub-tokens: the published loss, the bound, in nats
CONFIG = {"scale": "smoke", "text": {"num_subtokens": [1, 2, 4], "training": {"weight_decay": 0.01}}}
STEPS = range(1, 101)


def make(results: Path) -> None:
    params = results.parent / "smoke.yaml"
    params.write_text("text: {num_subtokens: [1, 2, 4]}\n")
    pipeline = tracking.start_pipeline(results, params, "smoke", CONFIG)
    os.environ[tracking.PARENT_RUN] = pipeline
    try:
        for ell in LOSSES:
            _model(results, ell)
        _images(results)
    finally:
        del os.environ[tracking.PARENT_RUN]
    for folder in ("tables", "figures"):
        (results / "smoke" / folder).mkdir(parents=True)
    (results / "smoke" / "tables" / "claims.csv").write_text("claim,holds\nthe bound is a bound,yes\n")
    pixels = np.linspace(0, 255, 64 * 96, dtype=np.uint8).reshape(64, 96)
    Image.fromarray(pixels).save(results / "smoke" / "figures" / "text_samples.png")
    tracking.finish_pipeline(results, pipeline, "FINISHED")


def _model(results: Path, ell: int) -> None:
    published, bound = LOSSES[ell]
    name = f"text/l{ell}/seed0"
    tags = {"task": "text", "variant": f"l{ell}", "model": "masked", "num_subtokens": str(ell), "seed": "0"}
    tags |= {"scale": "smoke", "data_sha256": "ab" * 32}
    weights = results / f"weights{ell}.safetensors"
    weights.write_bytes(b"weights of " + bytes([ell]))
    training = {"num_subtokens": ell, "training": {"steps": len(STEPS), "learning_rate": 0.002}}
    with tracking.stage(results, stage="train", name=name, params=training, tags=tags) as run:
        for step in STEPS:
            run.metric(step, {"joint_loss": published + 3 / step, "learning_rate": 0.002})
        run.link("weights", weights)
    with tracking.stage(results, stage="evaluate", name=name, params={"num_samples": 256}, tags=tags) as run:
        exact = {"nelbo": bound, "joint_loss": published}
        run.metric(0, exact | {"ppl_bound": np.exp(bound), "published_loss_ppl": np.exp(published)})
    with tracking.stage(results, stage="sample", name=name, params={"num_samples": 8}, tags=tags) as run:
        run.metric(0, {"nfe_mean": 12.5})
        run.document("samples.txt", f"Return the value, in {ell} sub-tokens.\n")


def _images(results: Path) -> None:
    tags = {"task": "digits", "variant": "l3", "model": "masked", "num_subtokens": "3", "seed": "0", "scale": "smoke"}
    with tracking.stage(results, stage="evaluate", name="digits/l3/seed0", params={}, tags=tags) as run:
        run.metric(0, {"bpd_bound": 2.25, "bpd_published": 2.125})
