"""One synthetic results tree for all tests of the tables and figures; tests that change it copy it first."""

import shutil
from pathlib import Path

import pytest
from synthetic_results import Tree, make_tree, write_figures, write_tables

from mdm_prime.experiment import layout


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """All inputs, tables and figures. Read only."""
    tree = make_tree(tmp_path_factory.mktemp("finished"))
    write_tables(tree)
    write_figures(tree)
    return tree


@pytest.fixture
def tree(finished: Tree, tmp_path: Path) -> Tree:
    """A copy of the same inputs, without tables and figures, to change."""
    root = layout.scale_root(tmp_path / "results", finished.config.scale)
    shutil.copytree(finished.root, root, ignore=shutil.ignore_patterns("tables", "figures"))
    return Tree(finished.config, tmp_path / "results")
