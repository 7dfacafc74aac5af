"""The figures: each is drawn from saved files by one function and written as png and pdf."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from matplotlib.figure import Figure

from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.reporting.figures import drawing


def draw(name: str, config: Config, results: Path) -> Figure:
    """The figure called `name`, one of layout.FIGURES, from layout.figure_inputs; call it inside drawing.style().

    Raises UserError for a missing or unreadable input.
    """
    if name not in layout.FIGURES:
        raise KeyError(name)
    function: Callable[[Config, Path], Figure] = import_module(f"{__name__}.{name}").draw
    return function(config, results)


def write(name: str, config: Config, results: Path) -> None:
    """Writes layout.figure_files(results, name): the same bytes for the same inputs and matplotlib."""
    with drawing.style():
        drawing.save(draw(name, config, results), layout.figure_files(results, name))
