"""Distance of drawn images from the training images against network evaluations, for each model."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.experiment.layout import Files
from mdm_prime.reporting.declared import IMAGES, DeclaredFigure
from mdm_prime.reporting.drawing import BLACK, legend_entry, look_of_model
from mdm_prime.reporting.image_panels import Entry, by_sampler, panels, spread_of
from mdm_prime.reporting.images import MODELS, display_name, model_order
from mdm_prime.reporting.records import Row, read_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TABLE = "image_quality"

THIN: dict[str, Any] = {"linewidth": 0.5, "markersize": 3}  # all but the paper's sampler


def needs(config: Config) -> list[Files]:
    return [layout.table_csv(TABLE)] if config.images else []


def draw(_config: Config, root: Path) -> Figure:
    return panels(read_table(root, TABLE), _panel)


def _panel(axes: Axes, rows: list[Row]) -> list[Entry]:
    """A line for each variant and kind of sampler, means over seeds; the entries of the legend."""
    entries: list[Entry] = []
    lines: dict[tuple[Any, ...], list[list[Row]]] = {}
    for seeds in by_sampler(rows):
        first = seeds[0]
        lines.setdefault((first["variant"], _kind(first), first["distribution"]), []).append(seeds)
    for (variant, kind, distribution), points in lines.items():
        first = points[0][0]
        look, label = look_of_model(first), _name(rows, variant)
        if (variant, kind, "joint" if distribution == "marginals" else "marginals") in lines:
            label += f", {distribution}"
            look |= {"linewidth": 0.5} if distribution == "marginals" else {}
        entries.append(((*model_order(first), label), legend_entry(**look, label=label)))
        if kind != "euler":
            look |= THIN
            small = f"small: {kind.replace('_', ' ')}"
            entries.append(((len(MODELS), small), legend_entry(color=BLACK, marker="o", **THIN, label=small)))
        points.sort(key=lambda seeds: fmean(row["nfe"] for row in seeds))
        axes.errorbar(
            [fmean(row["nfe"] for row in seeds) for seeds in points],
            [fmean(row["distance"] for row in seeds) for seeds in points],
            yerr=[spread_of(seeds) for seeds in points],
            **look,
        )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("network evaluations per image")
    return entries


def _kind(row: Row) -> str:
    return str(row["sampler"]).split("-")[0]


def _name(rows: list[Row], variant: str) -> str:
    """Display name, with the variant's where another variant has the same."""
    shown = {row["variant"]: display_name(row) for row in rows}
    name = shown[variant]
    return name if list(shown.values()).count(name) == 1 else f"{name} ({variant})"


FIGURE = DeclaredFigure(
    label="Figure: distance against evaluations",
    category=IMAGES,
    paper="as in Tables 3 and 4",
    caption="What **Tables 3 and 4** compare, on the images of this scale: distance of drawn images from real ones "
    "against network evaluations per image, for each model; lower is better. Large markers: the paper's "
    "sampler, small ones: exact samplers. Bars: standard deviation over seeds. Dashed lines: real test "
    "images, and images of independent pixels. A distance called fd_NAME is no FID.",
    needs=needs,
    draw=draw,
)
