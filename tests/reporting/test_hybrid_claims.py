"""The tables of models with an energy, and the rules on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from synthetic_results import tiny_config

import small_results
from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.files import write_json
from mdm_prime.reporting import writing
from mdm_prime.reporting.claims.hybrids import CLAIMS
from mdm_prime.reporting.records import Row, read_table
from mdm_prime.reporting.verdicts import NOT_TESTABLE, REFUTED, REPRODUCED

COAR, NCE = "known_entropy/coar/seed0", "known_entropy/nce/seed0"
SAMPLER = [{"kind": "energy", "num_steps": 2}]


@pytest.fixture
def scale(tmp_path: Path) -> tuple[Config, Path]:
    change = {
        "known_entropy.models": ["l1", "arm", "coar", "nce"],
        "known_entropy.data.vocab_size": 4,
        "known_entropy.oracle": None,
        "known_entropy.variants": {
            "arm": {"model": "autoregressive"},
            "coar": {"model": {"kind": "energy_ar", "denoiser": "l1", "autoregressive": "arm"}, "samplers": SAMPLER},
            "nce": {"model": {"kind": "energy", "denoiser": "l1"}, "samplers": SAMPLER},
        },
        "known_entropy.seeds": [0],
    }
    config = tiny_config(tmp_path, change)
    return config, layout.scale_root(tmp_path / "results", config.scale)


def made(scale: tuple[Config, Path], coar: dict[str, Any], nce: dict[str, Any]) -> dict[str, list[Row]]:
    config, root = scale
    for run, kind, changes in ((COAR, "energy_ar", coar), (NCE, "energy", nce)):
        facts = {"task": "known_entropy", "variant": run.split("/")[1], "model": kind, "num_subtokens": 1}
        write_json(layout.hybrid_file(root, run), small_results.hybrid(**facts, **changes))
    for name in ("hybrids", "hybrid_samplers"):
        writing.write_table(name, config, root)
    return {name: read_table(root, name) for name in ("hybrids", "hybrid_samplers")}


def of_nce(**changes: Any) -> dict[str, Any]:
    none = {"parts": {"denoiser": "l1"}, "autoregressive": None, "difference": None}
    return none | {"enumeration": small_results.enumeration(**changes)}


def test_rows_and_verdicts(scale: tuple[Config, Path]) -> None:
    tables = made(scale, {"enumeration": small_results.enumeration(published=0.8)}, of_nce(published=0.4))
    first, second = tables["hybrids"]
    assert (first["model"], first["denoiser_variant"], first["autoregressive_variant"]) == ("EDLM-coAR", "l1", "arm")
    assert (first["difference"], first["owt_paper_ppl"]) == (0.001, 17.58)
    assert (second["model"], second["autoregressive"], second["many_steps"]) == ("EDLM-NCE", None, 0.9)
    alone, two, exact, limit = (row for row in tables["hybrid_samplers"] if row["variant"] == "nce")
    assert (alone["chosen"], alone["alone_divergence"]) == ("denoiser", None)
    assert (two["chosen"], two["evaluations"], two["alone_num_steps"]) == (2, 3.0, 1)
    assert two["alone_divergence"] == pytest.approx(alone["divergence"])
    assert (exact["chosen"], limit["num_steps"]) == ("exact", "limit")
    assert [claim.rule(tables).verdict for claim in CLAIMS] == [
        REPRODUCED, REFUTED, REFUTED, REFUTED, REPRODUCED, REPRODUCED
    ]  # fmt: skip


def test_other_numbers_give_other_verdicts(scale: tuple[Config, Path]) -> None:
    above = {"enumeration": small_results.enumeration(published=2.0)}
    worse = of_nce(published=2.0, published_exact_partition=2.0, of_two=1.9)
    tables = made(scale, above, worse)
    assert [claim.rule(tables).verdict for claim in CLAIMS] == [
        REFUTED, NOT_TESTABLE, NOT_TESTABLE, NOT_TESTABLE, REFUTED, REFUTED
    ]  # fmt: skip
    assert CLAIMS[0].rule(tables).our_value == "2.0000 and 0.8000 nats, both exact (known_entropy)"
    far = made(scale, {"difference": {"nats": 0.3, "stderr": 0.001}, "enumeration": None}, worse)
    assert CLAIMS[0].rule(far).verdict == REFUTED
    of_draws = "1.0010 against 1.0000 nats, difference 0.30000 ± 0.00100 (known_entropy, seed 0)"
    assert CLAIMS[0].rule(far).our_value == of_draws
    vague = made(scale, {"difference": {"nats": 0.3, "stderr": 0.2}, "enumeration": None}, worse)
    assert CLAIMS[0].rule(vague).verdict == NOT_TESTABLE
    near = made(scale, {"enumeration": None}, worse)
    assert CLAIMS[0].rule(near).verdict == REPRODUCED
    assert [claim.rule({}).verdict for claim in CLAIMS] == [NOT_TESTABLE] * len(CLAIMS)
