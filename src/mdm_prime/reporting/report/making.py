"""Makes the report. Snakemake collects files and statistics; nothing of the pipeline is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mdm_prime import hints
from mdm_prime.errors import UserError
from mdm_prime.experiment import layout
from mdm_prime.experiment.config import Config
from mdm_prime.files import replacing, write_text
from mdm_prime.reporting.report import about, catalogue, pages

SNAKEFILE = Path("Snakefile")
STYLE = Path("workflow/report/report.css")
TARGETS = ("results/tables/", "results/figures/")
DONE = "Nothing to be done"


def make(config: Config, params: Path, results: Path) -> Path:
    """Writes report-SCALE.html into the results folder and returns its path.

    Raises UserError when it is called outside the project or for other files than the Snakefile's, or when a table or
    figure is missing or older than what it is made from: a report shows what its parameters say, or is not made.
    """
    report = catalogue.report_file(results, config.scale)
    if not SNAKEFILE.is_file() or results.resolve() != Path("results").resolve():
        raise UserError(f"{report}: a report shows the results folder of a project; call it beside its {SNAKEFILE}")
    if params.resolve() != Path("params", f"{config.scale}.yaml").resolve():
        raise UserError(f"{params}: a report shows a scale of params/; copy the file there and set MDM_PRIME_SCALE")
    _check(config, results)
    with _pages(config, params, results), replacing(report) as temporary:
        done = _snakemake(config.scale, "--report", str(temporary), "--report-stylesheet", str(STYLE), "--", "report")
        if done.returncode:
            raise UserError(f"{report}: Snakemake could not make it: {_last_line(done.stderr)}")
        temporary.write_text(without_places(temporary.read_text(encoding="utf-8")), encoding="utf-8")
    return report


def without_places(text: str) -> str:
    """Without the absolute paths of the project and of the user's home, which are no one else's business."""
    for place, short in ((Path.cwd(), ""), (Path.home(), "~/")):
        if place != Path(place.root):
            text = re.sub(rf"(?<![\w.~-]){re.escape(str(place))}/", short, text)
    return text


def _check(config: Config, results: Path) -> None:
    """Raises UserError unless every table and figure is there and Snakemake has nothing to do for them."""
    make_them = f"make them with: {hints.everything(config.scale)}"
    files = catalogue.files(config, layout.scale_root(results, config.scale))
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise UserError(f"{missing[0]}: not there, and {len(missing) - 1} other tables and figures; {make_them}")
    done = _snakemake(config.scale, "--dry-run", "--quiet", "all", "--", *TARGETS)
    if done.returncode:
        raise UserError(f"{SNAKEFILE}: Snakemake cannot plan the tables and figures: {_last_line(done.stderr)}")
    if DONE not in done.stdout + done.stderr:
        raise UserError(f"{results}: tables or figures are older than their parameters, inputs or code; {make_them}")


@contextmanager
def _pages(config: Config, params: Path, results: Path) -> Iterator[None]:
    """Tables as pages, and captions, where the rule `report` expects them; removed afterwards."""
    root = layout.scale_root(results, config.scale)
    try:
        catalogue.write_captions(config, root)
        for name in catalogue.pages(config):
            if name != catalogue.ABOUT:
                write_text(catalogue.page(root, name), pages.table(root, name))
        text = without_places(about.markdown(results, params, config.scale))
        write_text(catalogue.page(root, catalogue.ABOUT), pages.page(text))
        yield
    finally:
        shutil.rmtree(catalogue.page(root, catalogue.ABOUT).parent, ignore_errors=True)


def _snakemake(scale: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--nocolor", *arguments]
    environment = {**os.environ, "MDM_PRIME_SCALE": scale}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
