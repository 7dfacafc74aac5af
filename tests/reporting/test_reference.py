import shutil
from pathlib import Path

import pytest
from synthetic_results import OF_OTHER_SCALES, Tree

from mdm_prime.errors import UserError
from mdm_prime.experiment import layout
from mdm_prime.files import read_json, write_json
from mdm_prime.reporting import declared, reference
from mdm_prime.reporting.records import Row, read_csv

AGREES = ([], [])  # nothing differs, nothing is left out


@pytest.fixture
def fresh(finished: Tree, tmp_path: Path) -> Path:
    shutil.copytree(finished.root / "tables", tmp_path / "tables")
    return tmp_path


def edit(folder: Path, name: str, old: str, new: str) -> None:
    path = layout.table_files(folder, name)[0]
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def mean_row(folder: Path) -> Row:
    rows = read_csv(layout.table_files(folder, "text_perplexity")[0])
    return next(row for row in rows if (row["variant"], row["seed"]) == ("l1", "mean"))


def test_equal_tables(finished: Tree, fresh: Path) -> None:
    assert reference.compare(finished.root, fresh) == AGREES


def test_a_changed_number_is_found(finished: Tree, fresh: Path) -> None:
    row = mean_row(fresh)
    old = f"{row['ppl_bound']:.10g}"
    edit(fresh, "text_perplexity", old, f"{row['ppl_bound'] * 1.5:.10g}")
    ((line,), _) = reference.compare(finished.root, fresh)
    assert line.startswith("text_perplexity.csv: task text, model MDM, variant l1, seed mean: ppl_bound is 553.5")
    assert "reference 369.0" in line


def test_another_network_is_within_the_tolerance(finished: Tree, fresh: Path) -> None:
    row = mean_row(fresh)
    edit(fresh, "text_perplexity", f"{row['ppl_bound']:.10g}", f"{row['ppl_bound'] * 1.07:.10g}")
    assert reference.compare(finished.root, fresh) == AGREES


def test_exact_numbers_must_be_equal(finished: Tree, fresh: Path) -> None:
    edit(fresh, "bound_validity", ",1.1,1.1,0,", ",1.1001,1.1,0,")
    ((line,), _) = reference.compare(finished.root, fresh)
    assert "entropy is 1.1001, reference 1.1" in line


def test_of_another_text_only_verdicts_are_compared(finished: Tree, fresh: Path) -> None:
    path = layout.table_files(fresh, "text_perplexity")[3]
    content = read_json(path)
    content["tasks"]["text"]["sha256"] = "0" * 64
    write_json(path, content)
    row = mean_row(fresh)
    edit(fresh, "text_perplexity", f"{row['ppl_bound']:.10g}", f"{row['ppl_bound'] * 1.5:.10g}")
    differences, (line,) = reference.compare(finished.root, fresh)
    assert not differences
    assert line.startswith("task text: verdicts only are compared: its text is corpus of text, 1,900,000 bytes")
    assert line.count(" bytes, read by Python ") == 2
    edit(fresh, "claims", "tiny,refuted", "tiny,reproduced")
    ((line,), _) = reference.compare(finished.root, fresh)
    assert "verdict" in line


def test_a_changed_verdict_is_found(finished: Tree, fresh: Path) -> None:
    edit(fresh, "claims", "tiny,refuted", "tiny,reproduced")
    ((line,), _) = reference.compare(finished.root, fresh)
    assert line.endswith("verdict is 'reproduced', reference 'refuted'")


def test_rows_and_columns(finished: Tree, fresh: Path) -> None:
    path = layout.table_files(fresh, "toy_likelihood")[0]
    lines = path.read_text().splitlines(True)
    path.write_text("".join([lines[0], lines[1], lines[2].replace(",l2,", ",l9,")]))
    assert reference.compare(finished.root, fresh).differences == [
        "toy_likelihood.csv: task toy, variant l2, sampler ancestral, num_steps 32: row is missing",
        "toy_likelihood.csv: task toy, variant l9, sampler ancestral, num_steps 32: row is not in the reference",
    ]
    path.write_text("".join(lines).replace("num_steps", "steps"))
    ((line,), _) = reference.compare(finished.root, fresh)
    assert line.startswith("toy_likelihood.csv: columns")


def test_a_missing_table_another_scale_and_no_reference(finished: Tree, fresh: Path, tmp_path: Path) -> None:
    layout.table_files(fresh, "claims")[0].unlink()
    sidecar = layout.table_files(fresh, "idle_steps")[3]
    write_json(sidecar, read_json(sidecar) | {"scale": "smoke"})
    (missing, scale), _ = reference.compare(finished.root, fresh)
    assert missing.startswith("claims.csv: missing")
    assert scale == "idle_steps.csv: scale 'smoke' cannot be compared with the reference's 'tiny'"
    with pytest.raises(UserError, match="holds no table"):
        reference.compare(tmp_path / "nowhere", fresh)


def test_tolerances_scale_with_the_standard_errors() -> None:
    old = [
        {
            "variant": "l1",
            "seed": 0,
            "carry_over": "yes",
            "ppl_bound": 100.0,
            "ppl_bound_stderr": 3.0,
            "ppl_bound_spread": 1.0,
        }
    ]
    near = [old[0] | {"ppl_bound": 137.0, "ppl_bound_spread": 9.0}]  # 25 % and 3 * 4.24
    far = [old[0] | {"ppl_bound": 138.0}]
    assert reference.compare_rows("text_perplexity", old, near) == AGREES
    assert len(reference.compare_rows("text_perplexity", old, far).differences) == 1


def test_each_column_has_the_tolerance_that_it_declares() -> None:
    """Trained losses may differ as those of two seeds do, entropies not at all, spreads are not compared."""
    old = [
        {
            "task": "toy",
            "variant": "l1",
            "entropy": 4.2,
            "nelbo": 4.3,
            "nelbo_stderr": 0.0,
            "nelbo_spread": 0.1,
            "seeds": 2,
        }
    ]
    near = [old[0] | {"nelbo": 4.339, "nelbo_spread": 9.0}]
    assert reference.compare_rows("toy_likelihood", old, near) == AGREES
    for column, value in (("nelbo", 4.341), ("entropy", 4.2001)):
        assert len(reference.compare_rows("toy_likelihood", old, [old[0] | {column: value}]).differences) == 1


def test_published_loss_without_carry_over_is_not_compared() -> None:
    old = [{"variant": "l1", "seed": 0, "carry_over": "no", "published_loss_ppl": 900.0}]
    new = [old[0] | {"published_loss_ppl": 90_000.0}]
    assert reference.compare_rows("text_perplexity", old, new) == AGREES
    old, new = ([row | {"carry_over": "yes"} for row in rows] for rows in (old, new))
    assert len(reference.compare_rows("text_perplexity", old, new).differences) == 1


def test_image_rows_have_keys_of_their_own(finished: Tree) -> None:
    """No two rows of a table share a key, or one of them would not be compared."""
    for name in set(declared.tables()) - OF_OTHER_SCALES:
        rows = read_csv(layout.table_files(finished.root, name)[0])
        assert len({reference.row_name(name, row) for row in rows}) == len(rows), name


def test_image_distances_of_another_network_are_within_the_tolerance(finished: Tree, fresh: Path) -> None:
    edit(fresh, "image_quality", ",fd_digits,40,", ",fd_digits,55,")
    assert reference.compare(finished.root, fresh) == AGREES
    edit(fresh, "image_quality", ",fd_digits,55,", ",fd_digits,65,")
    ((line,), _) = reference.compare(finished.root, fresh)
    assert "image_quality.csv: task digits, model independent pixels: distance is 65, reference 40" in line


def test_published_bits_without_carry_over_are_not_compared() -> None:
    old = [{"dataset": "digits", "variant": "l1", "carry_over": "no", "bpd_published": 9.0}]
    assert reference.compare_rows("image_likelihood", old, [old[0] | {"bpd_published": 900.0}]) == AGREES


def seeds_of(values: dict[str, tuple[float, ...]]) -> list[Row]:
    """Rows of text_perplexity with these values for the seeds of a variant, and their means."""
    rows: list[Row] = []
    for variant, found in values.items():
        more = [*enumerate(found), ("mean", sum(found) / len(found))]
        rows += [
            {"task": "text", "variant": variant, "seed": seed, "carry_over": "yes", "ppl_bound": value}
            for seed, value in more
        ]
    return rows


def ppl_differences(old: list[Row], factor: float) -> int:
    """How many differ when the mean of l2 is another one."""
    new = [row | {"ppl_bound": row["ppl_bound"] * (factor if row is old[-1] else 1)} for row in old]
    return len(reference.compare_rows("text_perplexity", old, new).differences)


def test_the_spread_over_seeds_says_how_far_another_network_may_be() -> None:
    """Pooled over the models of a task, as shares: 2 %, of which 8 are allowed."""
    alike = (98.0, 100.0, 102.0)  # a standard deviation of 2 %
    old = seeds_of({"l1": alike, "l2": tuple(value / 4 for value in alike)})
    assert ppl_differences(old, 1.155) == 0
    assert ppl_differences(old, 1.165) == 1
    wide = seeds_of({"l1": (80.0, 100.0, 120.0), "l2": alike})  # pooled: 14 %
    assert ppl_differences(wide, 2.1) == 0


def test_few_seeds_leave_the_declared_tolerance_and_seeds_alike_a_quarter_of_it() -> None:
    few = seeds_of({"l1": (99.0, 101.0), "l2": (99.0, 101.0)})
    assert ppl_differences(few, 1.24) == 0  # of 25 %
    assert ppl_differences(few, 1.26) == 1
    same = seeds_of({"l1": (100.0,) * 3, "l2": (100.0,) * 3})
    assert ppl_differences(same, 1.06) == 0  # of 6.25 %
    assert ppl_differences(same, 1.065) == 1


def test_a_classifier_varies_however_alike_the_networks_are() -> None:
    named = {"task": "digits", "model": "MDM", "variant": "l1", "sampler": "euler-4", "distribution": "joint"}
    old: list[Row] = [named | {"seed": seed, "distance": 2.0, "carry_over": "yes"} for seed in range(6)]
    near = [row | {"distance": 3.4} for row in old]  # half, and 0.5
    assert reference.compare_rows("image_quality", old, near) == AGREES
    assert len(reference.compare_rows("image_quality", old, [row | {"distance": 3.6} for row in old]).differences) == 6


@pytest.mark.parametrize(
    ("old", "new", "compared"),
    [
        ((9.0, "refuted"), (8.0, "reproduced"), True),
        ((None, "refuted"), (None, "reproduced"), True),  # exact statements
        ((9.0, "refuted"), (1.0, "not testable at this scale"), False),
        ((3.9, "refuted"), (9.0, "reproduced"), False),
        ((None, "not testable at this scale"), (2.5, "refuted"), False),
    ],
)
def test_a_verdict_that_is_a_close_call_is_not_compared(
    old: tuple[float | None, str], new: tuple[float | None, str], compared: bool
) -> None:
    rows = [[{"claim": "x", "verdict": verdict, "margin": margin}] for margin, verdict in (old, new)]
    differences, left_out = reference.compare_rows("claims", *rows)
    assert (len(differences), len(left_out)) == ((1, 0) if compared else (0, 1))
    line = f"verdict is {new[1]!r}, reference {old[1]!r}"
    assert (differences or left_out)[
        0
    ] == f"claims.csv: claim x: {'' if compared else 'not compared, too close: '}{line}"
