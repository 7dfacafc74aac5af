"""Distance of drawn images from the training images against the number of sub-tokens, for each sampler."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mdm_prime.experiment.config import Config
from mdm_prime.reporting.figures.drawing import BLACK, look_of
from mdm_prime.reporting.figures.image_panels import Entry, by_sampler, of_runs, panels, spread_of
from mdm_prime.reporting.records import Row, read_table

SHIFT = 0.12  # keeps further models of the same l beside the first

Sampler = tuple[str, str]  # name, draws


def draw(_config: Config, results: Path) -> Figure:
    table = read_table(results, "image_quality")
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
        entries.append((place, Line2D([], [], **look, label=_label(sampler, places))))
    axes.set_xticks(range(len(numbers)), numbers)
    axes.set_xlim(-0.4, len(numbers) - 0.6)
    axes.set_xlabel(r"sub-tokens per pixel channel, $\ell$")
    if any(row["model"] == "MDM-Mixture" for row in rows):
        entries.append((len(places), _only_marker("P", BLACK, "MDM-Mixture")))
    if any(row["carry_over"] == "no" for row in rows):
        entries.append((len(places) + 1, _only_marker("o", "white", "no carry-over")))
    return entries


def _sampler(row: Row) -> Sampler:
    return str(row["sampler"]), str(row["draws"])


def _label(sampler: Sampler, samplers: list[Sampler]) -> str:
    """The sampler's name, with how it draws where another has the same name."""
    name, draws = sampler
    alone = [other for other, _ in samplers].count(name) == 1
    return name.replace("_", " ") + ("" if alone else f", {draws}")


def _only_marker(marker: str, face: str, label: str) -> Line2D:
    return Line2D([], [], color=BLACK, marker=marker, markerfacecolor=face, linestyle="", label=label)
