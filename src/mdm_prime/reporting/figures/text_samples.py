"""A page of text samples: the first ones of each model, not selected."""

from __future__ import annotations

import textwrap
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.tasks import Run
from mdm_prime.files import read_json
from mdm_prime.reporting.figures.drawing import GRAY, PAGE
from mdm_prime.reporting.records import pick

SAMPLES = 2  # of each model
LINES = 4  # of each sample
WIDTH = 123  # characters a line
FONT = "DejaVu Sans Mono"
FONT_SIZE = 6.3
LINE_HEIGHT = 0.115  # inches
NOTE: dict[str, Any] = {"ha": "right", "va": "top", "fontsize": 6.5, "color": GRAY}
VISIBLE = {"\n": "↵", "\t": "⇥", "\r": "␍"}
MISSING = "\N{REPLACEMENT CHARACTER}"


def draw(config: Config, results: Path) -> Figure:
    root = layout.scale_root(results, config.scale)
    blocks: list[tuple[str, list[str]]] = []
    for run in sorted(layout.sampled_runs(config, "text"), key=_order):
        path = layout.sample_files(root, run.name)[1]
        saved = pick(path, read_json(path), ("texts", "sampler", "num_steps", "nfe_mean"))
        blocks.append((_heading(run, saved), [wrap(text) for text in (saved["texts"] or [])[:SAMPLES]]))
    # Heights in lines: a heading takes 1.6, a sample its lines and half a line of space.
    heights = [1.6 + sum(sample.count("\n") + 1.5 for sample in samples) + 0.6 for _, samples in blocks]
    figure = Figure(figsize=(PAGE, LINE_HEIGHT * (sum(heights) + 1.4)))
    figure.set_layout_engine("none")
    total = sum(heights) + 1.4
    line = total - 1.2
    figure.text(0.99, 1 - 0.3 / total, "the first samples of each model, not selected", **NOTE)
    for (heading, samples), height in zip(blocks, heights, strict=True):
        y = line
        figure.text(0.01, y / total, heading, va="top", fontsize=7.5, fontweight="bold")
        y -= 1.6
        for sample in samples:
            figure.text(
                0.02, y / total, sample, va="top", family=FONT, fontsize=FONT_SIZE, parse_math=False,
                linespacing=LINE_HEIGHT * 72 / FONT_SIZE / 1.164,
            )  # fmt: skip
            y -= sample.count("\n") + 1.5
        line -= height
    return figure


def wrap(text: str) -> str:
    """At most LINES lines of WIDTH characters, with an ellipsis where more follows; every character can be drawn."""
    lines = textwrap.wrap(printable(text), WIDTH, max_lines=LINES, placeholder=" …", break_on_hyphens=False)
    return "\n".join(lines) or "(empty)"


def printable(text: str) -> str:
    """Line ends and tabs as signs, other control characters as escapes, what the font lacks as U+FFFD."""
    return "".join(_drawn(character) for character in text)


def _drawn(character: str) -> str:
    if character in VISIBLE:
        return VISIBLE[character]
    if unicodedata.category(character)[0] == "C" and ord(character) < 256:
        return f"\\x{ord(character):02x}"
    return character if ord(character) in _glyphs() else MISSING


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family=FONT))).get_charmap())


def _heading(run: Run, saved: dict[str, Any]) -> str:
    if run.model == "autoregressive":
        name = "Autoregressive"
    else:
        name = "MDM" if run.num_subtokens == 1 else rf"MDM-Prime, $\ell$ = {run.num_subtokens}"
        name += "" if run.carry_over else ", no carry-over"
        if saved["sampler"] == "ancestral":
            name += f", {saved['num_steps']} steps"
        else:
            name += ", first hitting"
    return f"{name}: {saved['nfe_mean']:.1f} network evaluations per sample"


def _order(run: Run) -> tuple[bool, int, bool]:
    return run.model != "autoregressive", run.num_subtokens, not run.carry_over
