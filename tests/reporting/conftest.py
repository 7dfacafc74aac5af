"""One synthetic results tree for all tests of the tables and figures; tests that change it copy it first."""

import shutil
from pathlib import Path

import pytest
from synthetic_results import Tree, make_tree, write_figures, write_tables

from mdm_prime.experiment import config, layout
from sharing import once_for_all


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """All inputs, tables and figures. Read only."""
    with once_for_all(tmp_path_factory, "reporting") as (folder, is_first):
        if is_first:
            folder.mkdir()
            tree = make_tree(folder)
            write_tables(tree)
            write_figures(tree)
    return Tree(config.load(folder / "tiny.yaml"), folder / "results")


@pytest.fixture
def tree(finished: Tree, tmp_path: Path) -> Tree:
    """A copy of the same inputs, without tables and figures, to change."""
    root = layout.scale_root(tmp_path / "results", finished.config.scale)
    shutil.copytree(finished.root, root, ignore=shutil.ignore_patterns("tables", "figures"))
    return Tree(finished.config, tmp_path / "results")
