import re

import pytest

from mdm_prime.data import pydocs

LONG = "This paragraph is long enough to be looked for in the others, word for word, and it is dropped there."


def filler(name):
    return " ".join(f"{name} sentence number {i}." for i in range(20))


@pytest.fixture
def library(tmp_path):
    """A standard library in small."""
    (tmp_path / "pydoc_data").mkdir()
    topics = {"loops": f"Loops\n*****\n\n{LONG}\n\n{filler('Loop')}", "assert": filler("Assert")}
    (tmp_path / "pydoc_data" / "topics.py").write_text(f"# generated\ntopics = {topics!r}\n")
    (tmp_path / "b.py").write_text(
        f'"""{filler("Module")}"""\n'
        "raise SystemExit  # would end the test if it were imported\n"
        f'class A:\n    """Class  \n \n      indented\n\n    {LONG}"""\n'
        f'    async def f(self):\n        """Function\n\n\n\n        Function\'s   more."""\n'
        '        def inner():\n            """Inner."""\n'
    )
    (tmp_path / "a.py").write_text(f'"""{filler("First")}"""\nx = "\\d"\n')
    (tmp_path / "short.py").write_text('"""Too short."""\n')
    (tmp_path / "python2.py").write_text(f'"""{filler("Old")}"""\nprint "x"\n')
    for folder in ("test", "site-packages", "lib2to3"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "c.py").write_text(f'"""{filler("Excluded")}"""\n')
    return tmp_path


def test_documents_are_topics_then_modules_in_order(library):
    documents = pydocs.documents(library)
    assert [document.split()[0] for document in documents] == ["Assert", "Loops", "First", "Module"]


def test_docstrings_are_cleaned_in_the_order_of_the_source(library):
    expected = f"{filler('Module')}\n\nClass\n\n  indented\n\nFunction\n\nFunction's   more.\n\nInner."
    assert pydocs.documents(library)[-1] == expected


def test_a_long_paragraph_is_kept_once(library):
    documents = pydocs.documents(library)
    assert sum(document.count(LONG) for document in documents) == 1
    assert LONG in documents[1]


def test_a_folder_without_documentation_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="no documentation strings"):
        pydocs.documents(tmp_path)


def test_the_corpus_of_this_python():
    documents = pydocs.documents()
    assert 200 < len(documents) < 1000
    assert 1_000_000 < sum(len(document.encode()) for document in documents) < 4_000_000
    assert "Assert statements are a convenient way to insert debugging assertions" in documents[0]
    paragraphs = [" ".join(paragraph.split()) for document in documents for paragraph in document.split("\n\n")]
    long = [paragraph for paragraph in paragraphs if len(paragraph) >= pydocs.MIN_REPEATED]
    assert len(long) == len(set(long))
    assert not any(re.search(r"\n{3}|[ \t]\n|\r", document) for document in documents)
