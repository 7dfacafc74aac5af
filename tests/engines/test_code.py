"""The code that a stage depends on, found in the imports; what of a change counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdm_prime.engines import code
from mdm_prime.engines.code import Source

FILES = {
    "__init__.py": "",
    "a.py": "from mdm_prime import b\nfrom mdm_prime.deep import c as other\n",
    "b.py": '"""Text."""\nimport numpy\n\n\ndef f():\n    """More."""\n    from .deep.d import x\n    return x\n',
    "deep/__init__.py": "",
    "deep/c.py": "if TYPE_CHECKING:\n    from mdm_prime import unused\nelse:\n    from .. import e\n",
    "deep/d.py": "x = 1\n",
    "deep/values.csv": "1,2\n",
    "e.py": "import mdm_prime.f\n",
    "f.py": "",
    "unused.py": "",
    "progress.py": "from mdm_prime import unused\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "mdm_prime" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "mdm_prime"


def change(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return Source(folder).digest(["mdm_prime.a"])


def test_the_closure_follows_every_kind_of_import(folder: Path) -> None:
    assert Source(folder).closure(["mdm_prime.a"]) == [
        "mdm_prime",
        "mdm_prime.a",
        "mdm_prime.b",
        "mdm_prime.deep",
        "mdm_prime.deep.c",
        "mdm_prime.deep.d",
        "mdm_prime.e",
        "mdm_prime.f",
    ]


def test_a_whole_package_is_a_root(folder: Path) -> None:
    assert Source(folder).closure(["mdm_prime.deep.*"])[-3:] == ["mdm_prime.deep.d", "mdm_prime.e", "mdm_prime.f"]
    with pytest.raises(ValueError, match=r"no module mdm_prime\.none"):
        Source(folder).closure(["mdm_prime.none"])


def test_what_cannot_change_a_number_is_left_out(folder: Path) -> None:
    (folder / "a.py").write_text("from mdm_prime import progress\n")
    assert Source(folder).closure(["mdm_prime.a"]) == ["mdm_prime", "mdm_prime.a"]


@pytest.mark.parametrize(
    ("name", "text", "same"),
    [
        ("b.py", FILES["b.py"].replace("Text", "Another text").replace("More", "Less"), True),
        ("b.py", "# a comment\n" + FILES["b.py"], True),
        ("b.py", FILES["b.py"].replace('    """More."""\n', ""), True),
        ("b.py", FILES["b.py"].replace("return x", "return  x  # twice"), True),
        ("b.py", FILES["b.py"].replace("return x", "return 2 * x"), False),
        ("deep/d.py", "x = 2\n", False),
        ("deep/values.csv", "1,3\n", False),
        ("unused.py", "y = 1\n", True),
        ("f.py", "y = 1\n", False),
    ],
)
def test_what_of_a_change_counts(folder: Path, name: str, text: str, same: bool) -> None:
    before = Source(folder).digest(["mdm_prime.a"])
    assert (change(folder, name, text) == before) is same


def test_every_module_that_is_left_out_is_there_and_has_a_reason() -> None:
    source = Source(Path(code.__file__).parents[1])
    for name, why in code.CANNOT_CHANGE_A_NUMBER.items():
        assert name in source.modules
        assert len(why) > 10
