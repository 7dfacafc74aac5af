import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from synthetic_images import BASELINES
from synthetic_results import Tree, tiny_config, write_tables

from mdm_prime.errors import UserError
from mdm_prime.experiment import layout
from mdm_prime.files import read_json, write_json
from mdm_prime.reporting import declared, drawing
from mdm_prime.reporting.drawing import look_of_model
from mdm_prime.reporting.image_pages import TINT, Block, colours, hatching, mosaic, page, tinted

FIGURES = [name for name in declared.figures() if name.startswith("image")]


def drawn(tree: Tree, name: str) -> Figure:
    with drawing.style():
        return declared.figure(name).draw(tree.config, tree.root)


def pictures(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def legend(figure: Figure) -> dict[str, Line2D]:
    return {
        text.get_text(): handle
        for text, handle in zip(figure.legends[0].get_texts(), figure.legends[0].legend_handles, strict=True)
    }


@pytest.mark.parametrize("name", FIGURES)
def test_drawn_twice_the_bytes_are_the_same(finished: Tree, tmp_path: Path, name: str) -> None:
    for suffix in layout.FIGURE_SUFFIXES:
        files = [tmp_path / f"{number}.{suffix}" for number in range(2)]
        for file in files:
            with drawing.style():
                drawing.save(declared.figure(name).draw(finished.config, finished.root), [file])
        assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("name", FIGURES)
def test_without_images_there_is_no_such_figure(tmp_path: Path, name: str) -> None:
    assert not declared.figure(name).applies(tiny_config(tmp_path, {"images": {}}))


@pytest.mark.parametrize("name", FIGURES)
def test_figures_fit_a_page(finished: Tree, name: str) -> None:
    width, height = drawn(finished, name).get_size_inches()
    assert width == drawing.PAGE
    assert height < 10


@pytest.mark.parametrize("name", ["image_samples", "image_imputation", "image_denoising"])
def test_an_imported_network_is_named_by_what_its_file_says(finished: Tree, tmp_path: Path, name: str) -> None:
    shutil.copytree(finished.root, tmp_path / finished.root.name)
    tree = Tree(finished.config, tmp_path)
    for path in tree.root.glob("*/samples/**/samples.json"):
        write_json(path, read_json(path) | {"components": 4})
    said = "".join(texts(drawn(tree, name)))
    assert "MDM-Mixture" in said
    assert "MDM-Prime" not in said


def test_colours() -> None:
    gray = colours(np.array([[[0, 16]]], dtype=np.uint8), 17)  # (1, 1, 2): one channel, one row
    assert gray.tolist() == [[[0, 0, 0], [1, 1, 1]]]
    red = colours(np.array([255, 0, 51], dtype=np.uint8).reshape(3, 1, 1), 256)
    assert red[0, 0].tolist() == pytest.approx([1, 0, 0.2])


def test_hidden_pixels_are_tinted_by_their_share() -> None:
    shown = np.full((1, 1, 3), 16.0)
    masked = np.array([0.0, 0.5, 1.0]).reshape(1, 1, 3)
    known, half, hidden = tinted(shown, masked, 17)[0]
    assert known.tolist() == [1, 1, 1, 0]
    assert half == pytest.approx([*((1 + TINT) / 2), 0.5])
    assert hidden == pytest.approx([*TINT, 1])
    one_channel_known = np.array([0.0, 1.0, 1.0]).reshape(3, 1, 1)
    assert tinted(np.zeros((3, 1, 1)), one_channel_known, 256)[0, 0] == pytest.approx([*(2 / 3 * TINT), 2 / 3])


def test_mosaic_pads_short_rows_with_white() -> None:
    black = np.zeros((8, 8, 3))
    canvas = mosaic([[black, black], [black]], 2)
    assert canvas.shape == (18, 18, 4)
    assert canvas[..., 3].max() == 0  # nothing is hidden
    assert canvas[:8, :8].max() == 0
    assert canvas[8, :, :3].min() == 1
    assert canvas[9:, 9:, :3].min() == 1


def test_hatching_lies_over_hidden_pixels_only() -> None:
    lines = hatching(np.array([[True, False], [False, False]]), 0.5, 0.5)
    assert lines.shape == (100, 100, 4)
    assert 0 < lines[:50, :50, 3].mean() < 0.3
    assert lines[50:, :, 3].max() == lines[:, 50:, 3].max() == 0


def test_what_is_hidden_is_hatched(finished: Tree) -> None:
    start, *_ = drawn(finished, "image_denoising").axes
    assert len(start.images) == 2
    assert start.images[1].get_extent() == start.images[0].get_extent()
    assert all(len(axes.images) == 1 for axes in drawn(finished, "image_samples").axes)


@pytest.mark.parametrize("name", ["image_samples", "image_imputation", "image_denoising"])
def test_no_text_leaves_the_page(finished: Tree, name: str) -> None:
    figure = drawn(finished, name)
    with drawing.style():
        figure.draw_without_rendering()
    for text in filter(Text.get_text, figure.texts):
        box = text.get_window_extent()
        assert box.x0 >= 0, text.get_text()
        assert box.x1 <= figure.bbox.x1, text.get_text()


def test_many_rows_still_fit() -> None:
    row = [np.zeros((8, 8, 3))] * 4
    figure = page([Block("title", "note", ["label"] * 60, [[row] * 60])])
    assert figure.get_size_inches()[1] < 10


def test_samples_show_real_images_and_those_of_the_most_evaluations(finished: Tree) -> None:
    figure = drawn(finished, "image_samples")
    digits, photos = pictures(figure)
    assert digits.shape == (4 * 9, 16 * 9, 3)  # real images and three models, the first seed only
    assert photos.shape == (5 * 17, 16 * 17, 3)
    assert digits[9, ::9][:16, 0].tolist() == pytest.approx([number / 16 for number in range(16)])  # l1's images
    found = texts(figure)
    assert found.count("MDM\n15 evaluations") == 2
    assert "MDM-Prime $\\ell$ = 2\nno carry-over\n15 evaluations" in found
    assert "MDM-Prime $\\ell$ = 2/3\n60 evaluations" in found
    order = [text.split("\n")[0] for text in found]
    assert order.index("MDM-Mixture") < order.index("MDM-Prime $\\ell$ = 2/3") < order.index("MDM-Prime $\\ell$ = 4")


def test_imputation_is_of_the_most_subtokens(finished: Tree) -> None:
    figure = drawn(finished, "image_imputation")
    found = texts(figure)
    assert {"digits, MDM-Prime $\\ell$ = 2", "photos, MDM-Prime $\\ell$ = 4"} <= set(found)
    assert found.count("original") == 2
    assert found.count("upper half given") == 2
    original, first, _, *_ = pictures(figure)
    assert original.shape == (4 * 9, 9, 3)
    assert first.shape == (4 * 9, 4 * 9, 3)  # what is given, and three completions
    assert first[0, 0] == pytest.approx((0.5 + TINT) / 2)  # value 8 of 16, half hidden
    assert first[9, 9].tolist() == pytest.approx([1 / 16] * 3)  # the second image, completed


def test_denoising_goes_from_hidden_to_clean(finished: Tree) -> None:
    figure = drawn(finished, "image_denoising")
    first, second, *_ = pictures(figure)
    assert first.shape == second.shape == (3 * 9, 5 * 9, 3)
    assert first[0, 0] == pytest.approx(TINT)
    assert second[0, -9] == pytest.approx([1 / 16] * 3)
    assert "MDM-Prime $\\ell$ = 2\nno carry-over" in texts(figure)


def test_quality_against_evaluations_has_a_line_a_model_and_the_baselines(finished: Tree) -> None:
    figure = drawn(finished, "image_quality_vs_nfe")
    digits, photos = figure.axes
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in digits.lines]
    assert any(x == [3, 15] and y == pytest.approx([100 / 3 + 0.5, 100 / 15 + 0.5]) for x, y in lines)  # MDM's seeds
    for distance in BASELINES.values():
        assert ([0, 1], [distance, distance]) in lines
    assert (digits.get_xscale(), digits.get_yscale()) == ("log", "log")
    assert digits.get_ylabel().startswith("fd_digits\n")
    assert photos.get_title(loc="left") == "photos"
    assert list(legend(figure)) == [
        "MDM",
        "MDM-Mixture",
        "MDM-Prime $\\ell$ = 2/3",
        "MDM-Prime $\\ell$ = 2",
        "MDM-Prime $\\ell$ = 2, no carry-over",
        "MDM-Prime $\\ell$ = 4",
        "small: first hitting",
    ]


def test_quality_against_subtokens(finished: Tree) -> None:
    figure = drawn(finished, "image_quality_vs_subtokens")
    digits, photos = figure.axes
    assert [label.get_text() for label in digits.get_xticklabels()] == ["1", "2"]
    assert [label.get_text() for label in photos.get_xticklabels()] == ["2/3", "1", "4"]
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in photos.lines]
    assert any(x == [1, 2] and y == pytest.approx([100 / 3, 100 / 12]) for x, y in lines)  # euler-4: MDM, then l = 4
    assert list(legend(figure)) == [
        "euler-4",
        "euler-16",
        "first hitting",
        "MDM-Mixture",
        "no carry-over",
    ]


def test_a_sampler_looks_the_same_in_every_panel(finished: Tree) -> None:
    """Also where a data set has other samplers than the one before it."""
    figure = drawn(finished, "image_quality_vs_subtokens")
    colour = to_hex(legend(figure)["first hitting"].get_color())
    assert colour == drawing.look_of(3)["color"].lower()


@pytest.mark.parametrize("name", ["image_quality_vs_nfe", "image_quality_vs_subtokens"])
def test_draws_are_named_where_they_tell_samplers_apart(tree: Tree, name: str) -> None:
    write_tables(tree)
    table = layout.table_files(tree.root, "image_quality")[0]
    lines = table.read_text().splitlines(True)
    joint = [line.replace(",marginals,", ",joint,") for line in lines if line.startswith("digits,digits,MDM,")]
    table.write_text("".join(lines + joint))
    labels = list(legend(drawn(tree, name)))
    first = {"image_quality_vs_nfe": "MDM", "image_quality_vs_subtokens": "euler-4"}[name]
    assert {f"{first}, joint", f"{first}, marginals"} <= set(labels)
    assert "MDM-Mixture" in labels


def test_a_distance_is_called_fid_on_inception_features_only(tree: Tree) -> None:
    write_tables(tree)
    table = layout.table_files(tree.root, "image_quality")[0]
    table.write_text(table.read_text().replace("fd_photos", "fid"))
    labels = [axes.get_ylabel() for axes in drawn(tree, "image_quality_vs_nfe").axes]
    assert labels == ["fd_digits\n(Fréchet distance, own classifier)", "FID"]


def test_every_model_has_a_look_of_its_own() -> None:
    models = [("MDM", "1"), ("MDM-Mixture", "1"), ("MDM-Prime", "2/3"), *(("MDM-Prime", str(n)) for n in range(2, 17))]
    rows = [{"model": m, "num_subtokens": n, "carry_over": c} for m, n in models for c in ("yes", "no")]
    assert len({str(look_of_model(row)) for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("image_samples", "digits/data/heldout.npy"),
        ("image_samples", "photos/samples/super/seed0/samples.npy"),
        ("image_imputation", "photos/samples/l4/seed0/imputation.npz"),
        ("image_denoising", "digits/samples/l1/seed0/path.npz"),
    ],
)
def test_a_missing_file_is_one_line(tree: Tree, name: str, file: str) -> None:
    (tree.root / file).unlink()
    with pytest.raises(UserError, match=r"cannot be read .*snakemake") as caught:
        drawn(tree, name)
    assert file in str(caught.value)


def test_samples_of_other_params_are_refused(tree: Tree) -> None:
    path = layout.sample_files(tree.root, "digits/l1/seed0")[0]
    np.save(path, np.zeros((2, 20, 63), np.uint8))
    with pytest.raises(UserError, match=r"has shape \(2, 20, 63\), not \(2, 'any', 64\)"):
        drawn(tree, "image_samples")


def test_training_curves_have_a_panel_a_task(finished: Tree) -> None:
    figure = drawn(finished, "training_curves")
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in shown] == ["Markov source", "Text", "2-D toy", "digits", "photos"]
    assert [text.get_text() for text in shown[-1].texts] == ["unweighted cross-entropy (no bound)"]
    labels = list(legend(figure))
    assert labels[:4] == ["$\\ell$ = 1 (MDM)", "MDM-Mixture", "$\\ell$ = 2/3", "$\\ell$ = 2"]
    assert labels[-3:] == ["ARM (exact likelihood)", "open: no carry-over (may lie above)", "entropy"]
