import json
from math import exp, log, log2, sqrt
from pathlib import Path

import pytest
from synthetic_results import COUNTED_PPL, OF_OTHER_SCALES, STDERR, Tree, make_tree, write_tables

from mdm_prime.errors import UserError
from mdm_prime.experiment import layout
from mdm_prime.files import read_json, write_json
from mdm_prime.reporting import declared, table
from mdm_prime.reporting.records import Row, read_table


def rows_of(tree: Tree, name: str, **equal: object) -> list[Row]:
    return [row for row in read_table(tree.root, name) if all(row[key] == value for key, value in equal.items())]


def one(tree: Tree, name: str, **equal: object) -> Row:
    (row,) = rows_of(tree, name, **equal)
    return row


def change_json(path, **values: object) -> None:
    write_json(path, read_json(path) | values)


REQUIRED = {
    "bound_validity": "source num_subtokens entropy oracle_joint_loss oracle_joint_loss_stderr oracle_nelbo "
    "oracle_nelbo_stderr oracle_bound_tokens oracle_bound_tokens_stderr oracle_exact_left_to_right "
    "oracle_exact_left_to_right_stderr oracle_exact_lowest_entropy oracle_exact_lowest_entropy_stderr "
    "trained_joint_loss trained_joint_loss_stderr trained_nelbo trained_nelbo_stderr trained_bound_tokens "
    "trained_bound_tokens_stderr trained_exact_left_to_right trained_exact_left_to_right_stderr "
    "trained_exact_lowest_entropy trained_exact_lowest_entropy_stderr trained_exact_best trained_exact_best_stderr",
    "text_perplexity": "task model variant num_subtokens base carry_over seed parameters train_tokens ppl_bound "
    "ppl_bound_stderr ppl_bound_spread ppl_bound_tokens ppl_bound_tokens_stderr ppl_bound_tokens_spread "
    "ppl_exact_left_to_right ppl_exact_left_to_right_stderr ppl_exact_left_to_right_spread ppl_exact_lowest_entropy "
    "ppl_exact_lowest_entropy_stderr ppl_exact_lowest_entropy_spread exact_sequences published_loss_ppl "
    "published_loss_ppl_stderr bits_per_byte_bound "
    "owt_paper_published_ppl owt_paper_corrected_ppl exact",
    "idle_steps": "measured_by num_steps num_subtokens length idle_exact idle_measured idle_measured_stderr "
    "published_figure1 idle_share_exact",
    "toy_likelihood": "task num_subtokens base entropy nelbo nelbo_stderr joint_loss joint_loss_stderr total_variation "
    "total_variation_floor num_samples num_steps",
    "image_quality": "task dataset model variant num_subtokens carry_over sampler distribution nfe seed distance_name "
    "distance inception_score kid precision recall memorised nearest samples inception_score_stderr kid_stderr",
    "image_likelihood": "task dataset model variant num_subtokens base carry_over objective seeds bpd_bound "
    "bpd_bound_stderr bpd_bound_spread bpd_bound_tokens bpd_bound_tokens_stderr bpd_bound_tokens_spread "
    "bpd_exact_left_to_right bpd_exact_left_to_right_stderr bpd_exact_left_to_right_spread bpd_exact_lowest_entropy "
    "bpd_exact_lowest_entropy_stderr bpd_exact_lowest_entropy_spread exact_sequences bpd_published "
    "bpd_published_stderr bpd_published_spread num_samples "
    "parameters train_tokens",
    "image_published": "dataset model num_subtokens nfe paper_fid paper_inception_score temperature_a temperature_n",
    "claims": "claim where published_value corrected_value our_value scale verdict evidence margin",
}


def test_bound_validity_of_the_toy_has_trained_networks_only(finished: Tree) -> None:
    row = one(finished, "bound_validity", source="toy", num_subtokens=1)
    assert row["trained_nelbo_stderr"] == pytest.approx(STDERR)
    assert row["trained_nelbo"] == pytest.approx(4.2 + 0.02 + 0.004)
    assert (row["oracle_nelbo"], row["oracle_joint_loss_below_entropy"], row["seeds"]) == (None, None, 1)


@pytest.mark.parametrize("name", sorted(set(declared.tables()) - OF_OTHER_SCALES))
def test_columns_and_sidecar(finished: Tree, name: str) -> None:
    columns = list(read_table(finished.root, name)[0])
    required = REQUIRED.get(name, "").split()
    assert columns[: len(required)] == required
    sidecar = json.loads(layout.table_files(finished.root, name)[3].read_text())
    assert list(sidecar["columns"]) == columns
    assert all(sidecar["columns"].values())
    assert sidecar["scale"] == "tiny"
    needs = declared.table(name).needs(finished.config)
    assert sidecar["inputs"] == [path for files in needs for path in files.paths()]
    assert str(finished.results) not in json.dumps(sidecar)


def test_perplexity_is_the_exponential_of_the_bound(finished: Tree) -> None:
    row = one(finished, "text_perplexity", variant="l2", seed=1)
    saved = read_json(layout.likelihood_file(finished.root, "text/l2/seed1"))
    assert row["ppl_bound"] == pytest.approx(exp(saved["nelbo"]))
    assert row["ppl_bound_stderr"] == pytest.approx(exp(saved["nelbo"]) * saved["nelbo_stderr"])
    assert row["published_loss_ppl"] == pytest.approx(exp(saved["joint_loss"]))
    assert row["published_loss_ppl_stderr"] == pytest.approx(exp(saved["joint_loss"]) * saved["joint_loss_stderr"])
    # 1,500 sequences of 64 tokens hold 250,000 bytes
    assert row["bits_per_byte_bound"] == pytest.approx(saved["nelbo"] / log(2) * 96_000 / 250_000)
    assert (row["model"], row["num_subtokens"], row["base"], row["carry_over"]) == ("MDM-Prime", 2, 18, "yes")
    assert (row["parameters"], row["train_tokens"], row["exact"]) == (1_234_567, 2_048_000, "no")
    assert row["ppl_bound_spread"] is None


def test_mean_over_seeds(finished: Tree) -> None:
    seeds = [one(finished, "text_perplexity", variant="l4", seed=seed) for seed in (0, 1)]
    mean = one(finished, "text_perplexity", variant="l4", seed="mean")
    first, second = (row["ppl_bound"] for row in seeds)
    assert first != second
    assert mean["ppl_bound"] == pytest.approx((first + second) / 2)
    assert mean["ppl_bound_spread"] == pytest.approx(abs(first - second) / sqrt(2))
    assert mean["ppl_bound_stderr"] == pytest.approx(sum(row["ppl_bound_stderr"] for row in seeds) / 2)


def test_the_other_bound_and_the_exact_values_stand_beside_the_bound(finished: Tree) -> None:
    row = one(finished, "text_perplexity", variant="l2", seed=1)
    saved = read_json(layout.likelihood_file(finished.root, "text/l2/seed1"))
    assert row["ppl_bound_tokens"] == pytest.approx(exp(saved["bound_tokens"]))
    for order in ("left_to_right", "lowest_entropy"):
        value = saved["exact"][order]
        assert row[f"ppl_exact_{order}"] == pytest.approx(exp(value["nll"]))
        assert row[f"ppl_exact_{order}_stderr"] == pytest.approx(exp(value["nll"]) * value["nll_stderr"])
    assert row["exact_sequences"] == finished.config.task("text").evaluation.exact.num_sequences
    arm = one(finished, "text_perplexity", variant="arm", seed="mean")
    assert arm["ppl_exact_left_to_right"] == arm["ppl_bound"]
    assert arm["ppl_bound_tokens"] is arm["ppl_exact_lowest_entropy"] is None


def test_without_exact_values_their_columns_are_empty(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, {"text.evaluation": {"num_samples": 10, "batch_size": 5, "seed": 0, "exact": None}})
    rows = table.build("text_perplexity", tree.config, tree.root).rows
    masked = [row for row in rows if row["exact"] == "no"]
    assert masked
    assert all(row["ppl_exact_left_to_right"] is row["exact_sequences"] is None for row in masked)
    assert all(row["ppl_bound_tokens"] < row["ppl_bound"] for row in masked)


def test_the_best_order_is_the_one_with_the_lowest_exact_value(finished: Tree, tree: Tree) -> None:
    first = one(finished, "bound_validity", source="known_entropy", num_subtokens=2)
    assert first["trained_exact_best_order"] == "lowest_entropy"
    assert first["trained_exact_best"] == first["trained_exact_lowest_entropy"] < first["trained_exact_left_to_right"]
    assert first["trained_exact_below_entropy"] == "no"
    for seed in (0, 1):
        path = layout.likelihood_file(tree.root, f"known_entropy/l2/seed{seed}")
        exact = read_json(path)["exact"]
        exact["random_tokens"] |= {"nll": 1.1 - 0.02, "nll_stderr": 0.006}
        change_json(path, exact=exact)
    write_tables(tree)
    found = one(tree, "bound_validity", source="known_entropy", num_subtokens=2)
    assert (found["trained_exact_best_order"], found["trained_exact_below_entropy"]) == ("random_tokens", "yes")
    assert found["trained_exact_lowest_entropy"] == first["trained_exact_lowest_entropy"]


def test_paper_values_are_matched_by_model_and_subtokens(finished: Tree) -> None:
    expected = {
        "arm": ("ARM", 17.54, None),
        "l1": ("MDM", 22.98, 22.98),
        "l2": ("MDM-Prime", 17.90, 36.55),
        "l2-plain": ("MDM-Prime", 17.90, 36.55),
        "l4": ("MDM-Prime", 15.62, 44.08),
    }
    found = {
        row["variant"]: (row["model"], row["owt_paper_published_ppl"], row["owt_paper_corrected_ppl"])
        for row in rows_of(finished, "text_perplexity", seed="mean")
    }
    assert found == expected
    assert list(found) == ["arm", "l1", "l2", "l2-plain", "l4"]
    differences = [{row["ppl_bound_less_corrected"], row["published_loss_ppl_less_paper"]}
                   for row in rows_of(finished, "text_perplexity")]  # fmt: skip
    assert all(cells == {None} for cells in differences)  # another corpus than the paper's
    assert {row["exact"] for row in rows_of(finished, "text_perplexity", variant="arm")} == {"yes"}


def test_exact_in_one_step_is_told_from_exact(tmp_path: Path) -> None:
    """Of the samples of a model of parts in more steps no exact value is known."""
    coar = {"model": {"kind": "energy_ar", "denoiser": "l1", "autoregressive": "arm"}}
    coar |= {"samplers": [{"kind": "energy", "num_steps": 2}]}
    tree = make_tree(tmp_path, {"text.models": ["l1", "arm", "coar"], "text.variants.coar": coar})
    rows = table.build("text_perplexity", tree.config, tree.root).rows
    assert {row["variant"]: (row["exact"], row["objective"]) for row in rows if row["seed"] == "mean"} == {
        "l1": ("no", "joint_loss"),
        "arm": ("yes", "exact likelihood"),
        "coar": ("one step", "joint_loss"),
    }


def test_what_is_counted_stands_beside_the_networks(finished: Tree) -> None:
    for name, ppl in COUNTED_PPL.items():
        row = one(finished, "text_perplexity", model=name)
        assert row["ppl_bound"] == pytest.approx(ppl)
        assert row["ppl_bound_stderr"] == pytest.approx(ppl * STDERR)
        assert (row["exact"], row["published_loss_ppl"], row["seed"], row["variant"]) == ("yes", None, None, None)
        assert row["bits_per_byte_bound"] == pytest.approx(log2(ppl) * 1_500 * 64 / 250_000)


def test_an_l_that_the_paper_has_not_stays_empty(tmp_path) -> None:
    tree = make_tree(
        tmp_path,
        {
            "text.models": ["l5"],
            "text.network.width": 150,
            "text.seeds": [3],
        },
    )
    (unigram, bigram, seed, mean) = table.build("text_perplexity", tree.config, tree.root).rows
    assert (unigram["model"], bigram["model"], seed["seed"], mean["seed"]) == ("unigram", "bigram", "3", "mean")
    assert seed["owt_paper_published_ppl"] is None
    assert mean["ppl_bound_spread"] is None


def test_corpus_is_in_the_sidecar(finished: Tree) -> None:
    sidecar = read_json(layout.table_files(finished.root, "text_perplexity")[3])["tasks"]["text"]
    assert sidecar["corpus"] == {"name": "corpus of text", "documents": 379, "bytes": 1_900_000, "python": "3.11.7"}
    assert sidecar["sha256"] == "sha of text"
    assert sidecar["tokens"] == {"train": 640_000, "heldout": 96_000}


def test_bound_validity_decides_with_the_standard_errors(tree: Tree) -> None:
    for seed in (0, 1):
        path = layout.likelihood_file(tree.root, f"known_entropy/l2/seed{seed}")
        change_json(path, joint_loss=1.1 - 0.02, joint_loss_stderr=0.006, num_samples=20_000)
        path = layout.likelihood_file(tree.root, f"known_entropy/l3/seed{seed}")
        change_json(path, joint_loss=1.1 - 0.02, joint_loss_stderr=0.007, num_samples=20_000)
    write_tables(tree)
    two, three = (one(tree, "bound_validity", source="known_entropy", num_subtokens=n) for n in (2, 3))
    assert two["trained_joint_loss_below_entropy"] == "yes"  # 3.3 standard errors
    assert three["trained_joint_loss_below_entropy"] == "no"  # 2.9
    assert two["trained_joint_loss_spread"] == 0
    assert two["oracle_joint_loss_below_entropy"] == "yes"
    assert (
        one(tree, "bound_validity", source="known_entropy", num_subtokens=1)["oracle_joint_loss_below_entropy"] == "no"
    )


def test_bound_validity_of_copies_of_one_bit(finished: Tree) -> None:
    row = one(finished, "bound_validity", source="copies of one bit", num_subtokens=4)
    assert row["entropy"] == pytest.approx(log(2))
    assert row["oracle_joint_loss"] == pytest.approx(log(2) / 4)
    assert (row["trained_nelbo"], row["variant"], row["oracle_method"]) == (None, None, "enumeration")


def test_oracle_of_other_params_is_refused(tree: Tree) -> None:
    change_json(layout.data_dir(tree.root, "known_entropy") / "meta.json", entropy_per_token=1.2)
    with pytest.raises(UserError, match=r"entropy 1\.100000 of known_entropy differs from 1\.200000"):
        table.build("bound_validity", tree.config, tree.root)


def test_idle_steps_beside_the_paper(finished: Tree) -> None:
    row = one(finished, "idle_steps", measured_by="event process", num_steps=1024, num_subtokens=1)
    assert row["idle_exact"] == pytest.approx(1024 * (1023 / 1024) ** 1024)
    assert row["idle_share_exact"] == pytest.approx(0.3677, abs=1e-4)
    assert row["published_figure1"] == 375
    assert row["idle_measured"] == pytest.approx(376.5, abs=15)
    assert (row["num_sequences"], row["variant"]) == (10, None)


def test_idle_steps_of_trained_samplers(finished: Tree) -> None:
    found = rows_of(finished, "idle_steps", measured_by="trained sampler")
    assert [row["variant"] for row in found] == ["l1", "l2", "l2-plain", "l4"]  # no ARM
    assert found[1]["idle_exact"] == pytest.approx(128 * (127 / 128) ** 128)
    assert {row["published_figure1"] for row in found} == {None}


def test_a_prefix_leaves_fewer_tokens_to_reveal(tmp_path) -> None:
    tree = make_tree(tmp_path, {"text.sampling.prefix": "Return"})  # two tokens in the synthetic files
    row = next(row for row in table.build("idle_steps", tree.config, tree.root).rows if row["variant"] == "l2")
    assert row["length"] == 62
    assert row["idle_exact"] == pytest.approx(128 * (127 / 128) ** (62 * 2))


@pytest.mark.parametrize(
    ("change", "rows", "exact"),
    [
        ({"text.samplers": [{"kind": "first_hitting"}]}, 0, False),
        ({"text.training.schedule": "cosine"}, 4, False),
    ],
)
def test_idle_steps_without_a_closed_form(tmp_path, change, rows, exact) -> None:
    tree = make_tree(tmp_path, change)
    found = table.build("idle_steps", tree.config, tree.root).rows
    trained = [row for row in found if row["measured_by"] == "trained sampler"]
    assert len(trained) == rows
    assert any(row["idle_exact"] is not None for row in trained) == exact


def test_toy_likelihood(finished: Tree) -> None:
    rows = rows_of(finished, "toy_likelihood")
    assert [row["num_subtokens"] for row in rows] == [1, 2]
    first, second = rows
    sampling = finished.config.task("toy").sampling
    assert first["entropy"] == 4.2
    assert first["nelbo"] == pytest.approx(4.224)
    assert (first["num_samples"], first["num_steps"]) == (sampling.num_samples, 32)
    assert first["seeds"] == 1
    assert first["total_variation_floor"] < first["total_variation"] < second["total_variation"]


def test_a_missing_key_is_one_line(tree: Tree) -> None:
    path = layout.likelihood_file(tree.root, "toy/l1/seed0")
    values = read_json(path)
    del values["nelbo"]
    write_json(path, values)
    with pytest.raises(UserError, match=r"seed0\.json: .*\(nelbo: missing\)"):
        table.build("toy_likelihood", tree.config, tree.root)


def test_a_missing_file_names_the_command(tree: Tree) -> None:
    (tree.root / layout.oracle("known_entropy").pattern).unlink()
    with pytest.raises(UserError, match=r"oracle\.json: cannot be read .*snakemake"):
        table.build("bound_validity", tree.config, tree.root)
