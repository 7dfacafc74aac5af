"""Distance of drawn images from the training images against the number of sub-tokens, for each sampler."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.reporting.declared import IMAGES, DeclaredFigure
from mdm_prime.reporting.drawing import BLACK, legend_entry, look_of
from mdm_prime.reporting.image_panels import Entry, by_sampler, of_runs, panels, spread_of
from mdm_prime.reporting.records import Row, read_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

TABLE = "image_quality"

SHIFT = 0.12  # keeps further models of the same l beside the first

Sampler = tuple[str, str]  # name, distribution


def needs(config: Config) -> list[Files]:
    return [layout.table_csv(TABLE)] if config.images else []


def draw(_config: Config, root: Path) -> Figure:
    table = read_table(root, TABLE)
    nfe: dict[Sampler, list[float]] = {}
    for row in of_runs(table):
        nfe.setdefault(_sampler(row), []).append(row["nfe"])
    places = sorted(nfe, key=lambda sampler: (sampler[0].split("-")[0], sampler[1], fmean(nfe[sampler])))
    return panels(table, partial(_panel, places=places))


def _panel(axes: Axes, rows: list[Row], places: list[Sampler]) -> list[Entry]:
    """A line for each sampler through the first model of each l; further models and mixtures beside it."""
    numbers = sorted({str(row["num_subtokens"]) for row in rows}, key=Fraction)
    lines: dict[Sampler, dict[str, float]] = {}
    for seeds in by_sampler(rows):
        first = seeds[0]
        sampler, number, mixture = _sampler(first), str(first["num_subtokens"]), first["model"] == "MDM-Mixture"
        line = lines.setdefault(sampler, {})
        beside = mixture or number in line
        value = fmean(row["distance"] for row in seeds)
        look = look_of(places.index(sampler) + 1)
        if not beside:
            line[number] = value
        axes.errorbar(
            numbers.index(number) + SHIFT * beside, value, yerr=spread_of(seeds), linestyle="", color=look["color"],
            marker="P" if mixture else look["marker"],
            markerfacecolor=look["color"] if first["carry_over"] == "yes" else "white",
        )  # fmt: skip
    entries: list[Entry] = []
    for sampler, line in lines.items():
        place = places.index(sampler)
        look = look_of(place + 1)
        x = sorted(map(numbers.index, line))
        axes.plot(x, [line[numbers[i]] for i in x], color=look["color"], linestyle=look["linestyle"], zorder=1)
        entries.append((place, legend_entry(**look, label=_label(sampler, places))))
    axes.set_xticks(range(len(numbers)), numbers)
    axes.set_xlim(-0.4, len(numbers) - 0.6)
    axes.set_xlabel(r"sub-tokens per pixel channel, $\ell$")
    if any(row["model"] == "MDM-Mixture" for row in rows):
        entries.append((len(places), _only_marker("P", BLACK, "MDM-Mixture")))
    if any(row["carry_over"] == "no" for row in rows):
        entries.append((len(places) + 1, _only_marker("o", "white", "no carry-over")))
    return entries


def _sampler(row: Row) -> Sampler:
    return str(row["sampler"]), str(row["distribution"])


def _label(sampler: Sampler, samplers: list[Sampler]) -> str:
    """The sampler's name, with how it draws where another has the same name."""
    name, distribution = sampler
    alone = [other for other, _ in samplers].count(name) == 1
    return name.replace("_", " ") + ("" if alone else f", {distribution}")


def _only_marker(marker: str, face: str, label: str) -> Line2D:
    return legend_entry(color=BLACK, marker=marker, markerfacecolor=face, linestyle="", label=label)


FIGURE = DeclaredFigure(
    label="Figure: distance against sub-tokens",
    category=IMAGES,
    paper="as in Tables 3 and 4",
    caption="What **Tables 3 and 4** compare, on the images of this scale: distance of drawn images from real ones "
    "against sub-tokens per pixel channel, a line for each sampler; lower is better. Bars: standard deviation "
    "over seeds. Dashed lines: real test images, and images of independent pixels. A distance called fd_NAME "
    "is no FID.",
    needs=needs,
    draw=draw,
)
