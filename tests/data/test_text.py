import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from mdm_prime import data
from mdm_prime.data import documents
from mdm_prime.data import tokenizer as tokenizers
from mdm_prime.data.documents import Corpus, HubText
from mdm_prime.data.text import TextData
from mdm_prime.data.text_split import split_by_document
from mdm_prime.errors import UserError
from mdm_prime.results.data_set import DataSet

WORDS = ("sub-token", "mask", "naïve", "Größe", "entropy", "bound", "日本", "loss", "<|endoftext|>", "line\nend", "😀")


def make_documents(num, seed=0, words=60):
    rng = np.random.default_rng(seed)
    return [f"Document {i}: " + " ".join(rng.choice(WORDS, size=words)) for i in range(num)]


def config_of(files=(), **changes):
    values = {"vocab_size": 300, "length": 16, "heldout_fraction": 0.2, "seed": 0}
    return TextData(kind="text", files=tuple(map(str, files)), **(values | changes))


@pytest.fixture
def own_files(tmp_path):
    """20 documents, two of them twice."""
    documents = make_documents(20)
    folder = tmp_path / "own"
    folder.mkdir()
    files = []
    for i, document in enumerate([*documents, documents[3], documents[11]]):
        files.append(folder / f"{i}.txt")
        files[-1].write_bytes(document.encode())
    return files


def stored_documents(folder, name):
    """The texts of a split's documents; the last one is cut short unless the length is 1."""
    tokenizer = tokenizers.load_tokenizer(folder / "tokenizer.json")
    stream = np.load(folder / f"{name}.npy").reshape(-1)
    ends = np.flatnonzero(stream == tokenizers.separator_id(tokenizer))
    texts = [tokenizer.decode(part[part != 0].tolist()) for part in np.split(stream, ends)]
    return texts if texts[-1] else texts[:-1]


def test_prepare_writes_all_files_and_the_same_bytes_again(tmp_path, own_files):
    for name in ("first", "second"):
        data.prepare("text", config_of(own_files), tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == sorted(TextData.outputs)
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()

    meta = json.loads((tmp_path / "first" / "meta.json").read_text())
    assert tuple(meta) == tuple(DataSet.model_fields)
    assert meta["corpus"]["documents"] == 22
    assert meta["corpus"]["bytes"] == sum(path.stat().st_size for path in own_files)
    assert str(tmp_path) not in json.dumps(meta)
    for name in ("train", "heldout"):
        x = np.load(tmp_path / "first" / f"{name}.npy")
        assert x.dtype == np.uint16
        assert x.shape == (meta[f"{name}_sequences"], 16)
        assert x.max() < 300


def test_threads_change_no_byte(tmp_path, own_files):
    code = (
        "import sys; from pathlib import Path;"
        "from mdm_prime import data; from mdm_prime.data.text import TextData;"
        "data.prepare('text', TextData.model_validate_json(sys.argv[1]), Path(sys.argv[2]))"
    )
    for threads in ("1", "4"):
        environment = os.environ | {"RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        subprocess.run(
            [sys.executable, "-c", code, config_of(own_files).model_dump_json(), str(tmp_path / threads)],
            check=True,
            env=environment,
        )
    for name in TextData.outputs:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "4" / name).read_bytes()


def test_the_stored_tokens_are_the_documents_and_none_is_on_both_sides(tmp_path, own_files):
    data.prepare("text", config_of(own_files, length=1), tmp_path)
    train, heldout = (stored_documents(tmp_path, name) for name in ("train", "heldout"))
    assert sorted(train + heldout) == sorted(path.read_text() for path in own_files)
    assert not set(train) & set(heldout)
    assert len(set(heldout)) == 4  # 0.2 of 20 different ones


def test_a_duplicate_is_never_on_the_other_side():
    documents = make_documents(50, words=3)
    for seed in range(30):
        source = Corpus("twice", lambda: iter([*documents, *documents[::-1]]))
        sides = [document.is_heldout for document in split_by_document(source, 0.3, seed).read()]
        assert sides[:50] == sides[:49:-1]
        assert sum(sides[:50]) == 15


def test_the_split_depends_on_the_seed_and_not_on_the_order():
    documents = make_documents(50, words=3)

    def heldout(source, seed):
        return {document.text for document in split_by_document(source, 0.3, seed).read() if document.is_heldout}

    forward, backward = Corpus("a", lambda: iter(documents)), Corpus("b", lambda: iter(documents[::-1]))
    assert heldout(forward, 0) == heldout(backward, 0)
    assert heldout(forward, 0) != heldout(forward, 1)


@pytest.mark.parametrize(("fraction", "expected"), [(0.001, 1), (0.5, 5), (0.999, 9)])
def test_both_sides_have_a_document(fraction, expected):
    documents = make_documents(10, words=3)
    found = split_by_document(Corpus("ten", lambda: iter(documents)), fraction, 0)
    assert sum(document.is_heldout for document in found.read()) == expected


def test_heldout_bytes_are_those_of_the_kept_text(tmp_path, own_files):
    for length in (1, 16, 17):
        data.prepare("text", config_of(own_files, length=length), tmp_path)
        kept = stored_documents(tmp_path, "heldout")
        expected = sum(len(document.rstrip("\ufffd").encode()) for document in kept)
        assert json.loads((tmp_path / "meta.json").read_text())["heldout_bytes"] == expected


def test_a_character_that_is_cut_does_not_count(tmp_path):
    """With 257 tokens every byte is one, so that sequences of 7 end within characters of 4 bytes."""
    files = [tmp_path / f"{i}.txt" for i in range(2)]
    for file, face in zip(files, "😀😁", strict=True):
        file.write_text(face * 100)
    data.prepare("text", config_of(files, vocab_size=257, length=7), tmp_path / "output")
    meta = json.loads((tmp_path / "output" / "meta.json").read_text())
    assert meta["heldout_sequences"] == 401 // 7  # a separator is the 401st token
    assert meta["heldout_bytes"] == 396  # 99 faces, of 399 bytes


def test_the_tokenizer_has_seen_no_heldout_text(tmp_path):
    """A word that only one document has becomes one token exactly when that document is for training."""
    files = []
    for i, document in enumerate(make_documents(10)):
        files.append(tmp_path / f"{i}.txt")
        files[-1].write_text(document + f" w{chr(97 + i) * 6}" * 200)
    output = tmp_path / "output"
    data.prepare("text", config_of(files, vocab_size=340), output)
    tokenizer = tokenizers.load_tokenizer(output / "tokenizer.json")
    heldout = " ".join(stored_documents(output, "heldout"))
    for i in range(10):
        word = f" w{chr(97 + i) * 6}"
        assert (len(tokenizers.encode(tokenizer, word)) == 1) == (word not in heldout)


def test_a_single_file_is_cut_at_line_ends(tmp_path):
    lines = [f"line {i} of a book, {i * i}\n" for i in range(500)]
    book = tmp_path / "book.txt"
    book.write_text("".join(lines))
    data.prepare("text", config_of([book], length=1, heldout_fraction=0.1), tmp_path / "output")
    train, heldout = (stored_documents(tmp_path / "output", name) for name in ("train", "heldout"))
    assert (len(train), len(heldout)) == (9, 1)
    assert sorted("".join(train + heldout).splitlines(keepends=True)) == sorted(lines)
    assert 40 < "".join(heldout).count("\n") < 60


def test_a_text_of_one_line_cannot_be_split(tmp_path):
    (tmp_path / "line.txt").write_text("all in one line " * 1000)
    with pytest.raises(UserError, match="one document of one line"):
        data.prepare("text", config_of([tmp_path / "line.txt"]), tmp_path / "output")


HUB_FILES = {
    "a.parquet": lambda frame, path: frame.to_parquet(path),
    "a.jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "a.json": lambda frame, path: frame.to_json(path, orient="records"),
    "a.csv": lambda frame, path: frame.to_csv(path, index=False),
    "folder/train-00000-of-00001.parquet": lambda frame, path: frame.to_parquet(path),
}


@pytest.mark.parametrize("name", HUB_FILES)
def test_local_files_with_the_columns_of_the_hub(tmp_path, own_files, name):
    """The same documents through `hub` as through `files`; empty rows are no documents."""
    documents = [path.read_text() for path in own_files]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    HUB_FILES[name](pd.DataFrame({"id": range(24), "text": [*documents, "", " \n"]}), path)
    source = path if path.parent == tmp_path else path.parent
    data.prepare("text", config_of(hub=HubText(path=str(source))), tmp_path / "hub")
    data.prepare("text", config_of(own_files), tmp_path / "files")
    for file in ("train.npy", "heldout.npy", "tokenizer.json"):
        assert (tmp_path / "hub" / file).read_bytes() == (tmp_path / "files" / file).read_bytes()
    assert str(tmp_path) not in (tmp_path / "hub" / "meta.json").read_text()


def test_a_single_file_of_plain_text_has_a_document_for_each_line(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("\n\n".join(make_documents(30)).replace("line\nend", "end"))
    data.prepare("text", config_of(hub=HubText(path=str(path))), tmp_path / "output")
    assert json.loads((tmp_path / "output" / "meta.json").read_text())["corpus"]["documents"] == 30


def folder_of_splits(path, **splits):
    """A data set as the hub has them, a file for each split."""
    path.mkdir()
    for name, texts in splits.items():
        (path / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


def test_a_split_of_its_own_is_held_out_as_it_is(tmp_path):
    training, test = make_documents(20)[:12], make_documents(20)[10:15]  # two stand in both
    source = folder_of_splits(tmp_path / "set", train=training, validation=["other text\n" * 9], test=test)
    hub = HubText(path=source, heldout_split="test")
    data.prepare("text", config_of(hub=hub, length=1), tmp_path / "made")
    assert stored_documents(tmp_path / "made", "train") == training
    assert stored_documents(tmp_path / "made", "heldout") == test
    made = json.loads((tmp_path / "made" / "meta.json").read_text())
    assert made["corpus"]["name"] == "set train, held out: set test"
    assert made["corpus"]["documents"] == 17
    assert made["corpus"]["bytes"] == sum(len(text.encode()) for text in training + test)
    data.prepare("text", config_of(hub=hub, length=1, seed=1, heldout_fraction=0.9), tmp_path / "again")
    for name in TextData.outputs:
        assert (tmp_path / "made" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    data.prepare("text", config_of(hub=HubText(path=source, heldout_split="validation"), length=1), tmp_path / "other")
    assert json.loads((tmp_path / "other" / "meta.json").read_text())["sha256"] != made["sha256"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heldout_split": "train"}, "heldout_split: is train, but train is trained on; give another one, or null"),
        ({"split": "test+train", "heldout_split": "test"}, "is test, but test is trained on"),
        ({"split": "train[:9%]", "heldout_split": "dev + train"}, "but train is trained on"),
        ({"heldout_split": ""}, "at least 1 character"),
        ({"path": __file__, "heldout_split": "test"}, "is one file without splits; give a folder, or null"),
    ],
)
def test_what_cannot_be_a_held_out_split(options, message):
    with pytest.raises(ValidationError, match=message):
        HubText(**{"path": "somewhere", **options})


def test_two_slices_of_a_split_may_be_different():
    assert HubText(path="somewhere", split="train[:90%]", heldout_split="train[90%:]").heldout is not None


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (
            {"train": make_documents(3), "test": [" "]},
            "tasks.text.data.hub: set test holds no text; give another source",
        ),
        ({"train": [" "], "test": make_documents(3)}, "tasks.text.data.hub: set train holds no text"),
        ({"train": make_documents(3)}, "split test"),
        ({"train": make_documents(3), "test": ["x"]}, "held-out .* a smaller length or another heldout_split"),
    ],
)
def test_a_split_without_text_is_one_line(tmp_path, splits, message):
    hub = HubText(path=folder_of_splits(tmp_path / "set", **splits), heldout_split="test")
    with pytest.raises(UserError, match=message) as error:
        data.prepare("text", config_of(hub=hub), tmp_path / "output")
    assert "\n" not in str(error.value)


HUB_ERRORS = {
    "column": (HubText(path="a.jsonl", text_column="body"), "has no column 'body'; allowed: text, id"),
    "numbers": (HubText(path="a.jsonl", text_column="id"), "holds int, not text"),
    "suffix": (HubText(path="a.xyz"), r"unknown suffix '\.xyz'; allowed: \.parquet"),
    "damaged": (HubText(path="damaged.parquet"), "cannot be read"),
    "no rows": (HubText(path="empty.jsonl"), "it holds no rows"),
    "blank rows": (HubText(path="blank.jsonl"), "holds no text"),
    "not UTF-8": (HubText(path="latin.txt"), "cannot be read: 'utf-8' codec"),
    "split": (HubText(path="folder", split="test"), "split test"),
}


@pytest.mark.parametrize("case", HUB_ERRORS)
def test_errors_of_hub_are_one_line(tmp_path, case):
    (tmp_path / "a.jsonl").write_text('{"text": "some text", "id": 1}\n')
    (tmp_path / "a.xyz").write_text("text")
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "blank.jsonl").write_text('{"text": "  "}\n')
    (tmp_path / "latin.txt").write_bytes("Käse\n".encode("latin-1"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "train.jsonl").write_text('{"text": "some text"}\n')
    hub, message = HUB_ERRORS[case]
    hub = hub.model_copy(update={"path": str(tmp_path / hub.path)})
    with pytest.raises(UserError, match=message) as error:
        data.prepare("text", config_of(hub=hub), tmp_path / "output")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "output").iterdir())


FILE_ERRORS = {
    "empty": (b"", {}, "holds no text"),
    "blank": (b" \n\n", {}, "holds no text"),
    "not UTF-8": ("Käse".encode("latin-1") * 100, {}, "not UTF-8 at byte 1"),
    "no vocabulary": (
        "\n".join("abcdefghijklmnopqrstuvwxyz").encode(),
        {},
        "vocab_size is 300; the training text gives only",
    ),
    "too little": (None, {"length": 4000}, "less than one sequence of length 4000"),
}


@pytest.mark.parametrize("case", FILE_ERRORS)
def test_errors_of_files_are_one_line(tmp_path, own_files, case):
    content, changes, message = FILE_ERRORS[case]
    if content is not None:
        own_files = [tmp_path / "bad.txt"]
        own_files[0].write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        data.prepare("text", config_of(own_files, **changes), tmp_path / "output")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "output" / "meta.json").exists()
    assert not (tmp_path / "output" / "train.npy").exists()


def test_a_byte_order_mark_is_no_text(tmp_path, own_files):
    data.prepare("text", config_of(own_files), tmp_path / "without")
    own_files[0].write_bytes(b"\xef\xbb\xbf" + own_files[0].read_bytes())
    data.prepare("text", config_of(own_files), tmp_path / "with")
    assert (tmp_path / "with" / "meta.json").read_bytes() == (tmp_path / "without" / "meta.json").read_bytes()


def test_a_missing_file_is_one_line(tmp_path, own_files):
    config = config_of(own_files)
    own_files[5].unlink()
    with pytest.raises(UserError, match=r"5\.txt: cannot be read"):
        data.prepare("text", config, tmp_path / "output")


def test_a_given_tokenizer_is_used_as_it_is(tmp_path, own_files):
    data.prepare("text", config_of(own_files), tmp_path / "trained")
    path = tmp_path / "given.json"
    path.write_bytes((tmp_path / "trained" / "tokenizer.json").read_bytes())
    data.prepare("text", config_of(own_files, tokenizer=str(path)), tmp_path / "given")
    for name in TextData.outputs:
        assert (tmp_path / "given" / name).read_bytes() == (tmp_path / "trained" / name).read_bytes()

    with pytest.raises(UserError, match=r"vocab_size is 301; allowed with the tokenizer .*: 300"):
        data.prepare("text", config_of(own_files, tokenizer=str(path), vocab_size=301), tmp_path / "other")


def test_a_given_tokenizer_must_end_documents(tmp_path, own_files):
    data.prepare("text", config_of(own_files), tmp_path / "trained")
    path = tmp_path / "given.json"
    path.write_text((tmp_path / "trained" / "tokenizer.json").read_text().replace("<|endoftext|>", "[other]"))
    with pytest.raises(UserError, match="no token that ends a document"):
        data.prepare("text", config_of(own_files, tokenizer=str(path)), tmp_path / "output")
    path.write_text("{}")
    with pytest.raises(UserError, match=r"given\.json: no tokenizer") as error:
        data.prepare("text", config_of(own_files, tokenizer=str(path)), tmp_path / "output")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("length", [7, 16])
def test_framed_sequences_are_the_others_between_two_separators(tmp_path, own_files, length):
    data.prepare("text", config_of(own_files, length=length), tmp_path / "plain")
    data.prepare("text", config_of(own_files, length=length + 2, framed=True), tmp_path / "framed")
    separator = tokenizers.separator_id(tokenizers.load_tokenizer(tmp_path / "framed" / "tokenizer.json"))
    for name in ("train", "heldout"):
        plain, framed = (np.load(tmp_path / kind / f"{name}.npy") for kind in ("plain", "framed"))
        assert framed.dtype == plain.dtype
        assert len(framed) > 1
        assert np.array_equal(framed, np.pad(plain, ((0, 0), (1, 1)), constant_values=separator))
    plain, framed = (json.loads((tmp_path / kind / "meta.json").read_text()) for kind in ("plain", "framed"))
    assert framed == plain | {"length": length + 2}  # the bytes of the held-out text too


def test_a_frame_needs_something_within(own_files):
    with pytest.raises(ValidationError, match="length: is 2; should be at least 3 for framed sequences"):
        config_of(own_files, length=2, framed=True)


def test_encode_and_decode(tmp_path, own_files):
    data.prepare("text", config_of(own_files), tmp_path)
    tokenizer = tokenizers.load_tokenizer(tmp_path / "tokenizer.json")
    sentence = "naïve <|endoftext|> 日本\n"
    ids = tokenizers.encode(tokenizer, sentence)
    assert tokenizers.separator_id(tokenizer) not in ids
    assert tokenizers.decode(tokenizer, np.array([ids, ids], np.uint16)) == [sentence, sentence]
    assert tokenizers.decode(tokenizer, np.array([[0]])) == ["<|endoftext|>"]


def test_characters_of_a_text(tmp_path):
    """As of text8: a byte is a character, so bits per byte are bits per character."""
    files = []
    for number in range(12):
        files.append(tmp_path / f"{number}.txt")
        files[-1].write_text("anarchism originated as a term of abuse " * (number + 1))
    number = len(set("anarchism originated as a term of abuse ")) + 1
    data.prepare("text8", config_of(files, vocab_size=number, tokenizer="characters"), tmp_path / "output")
    found = DataSet.read(tmp_path / "output/meta.json")
    heldout = np.load(tmp_path / "output/heldout.npy")
    assert heldout.max() < number
    assert found.heldout_bytes == (heldout != 0).sum()
    assert sorted(map(len, stored_documents(tmp_path / "output", "train")))[0] % 40 == 0


def test_a_heldout_character_that_the_training_text_has_not(tmp_path):
    files = []
    for number in range(12):
        files.append(tmp_path / f"{number}.txt")
        files[-1].write_text("ab" * (50 + number))
    files[0].write_text("abü")
    said = set()
    for seed in range(10):  # held out with some seeds
        try:
            data.prepare(
                "text", config_of(files, vocab_size=3, tokenizer="characters", seed=seed), tmp_path / str(seed)
            )
        except UserError as error:
            said.add(str(error))
    assert said == {
        "tasks.text.data.vocab_size is 3; allowed with the tokenizer characters: 4, those of the training text and a "
        "separator",
        "tasks.text.data.tokenizer: is characters; the held-out text has 'ü', which the training text has not; give "
        "more text, another heldout_fraction, or null",
    }


def test_a_tokenizer_that_is_trained_has_all_bytes():
    with pytest.raises(ValidationError, match="vocab_size: is 256; should be at least 257, all bytes and a separator"):
        config_of(vocab_size=256)


@pytest.mark.parametrize("pattern", ["own", "own/*.txt", "**/*.txt", "own/1?.txt"])
def test_folders_and_globs_have_a_document_for_each_file(tmp_path, own_files, pattern):
    (tmp_path / "own" / ".hidden").write_bytes(b"\xff")
    wanted = [path for path in own_files if pattern != "own/1?.txt" or (len(path.stem) == 2 and path.stem < "2")]
    data.prepare("text", config_of([tmp_path / pattern]), tmp_path / "pattern")
    data.prepare("text", config_of(sorted(wanted)), tmp_path / "named")
    for name in TextData.outputs:
        assert (tmp_path / "pattern" / name).read_bytes() == (tmp_path / "named" / name).read_bytes()


def test_relative_globs_are_from_where_one_stands(tmp_path, own_files, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [path.as_posix() for path in documents.matching("own/1?.txt")] == [f"own/1{i}.txt" for i in range(10)]


def test_a_glob_without_files_is_refused(tmp_path):
    with pytest.raises(ValidationError, match=r"files: no such file: .*\*\.md"):
        config_of([tmp_path / "*.md"])


def test_a_folder_of_plain_text_has_a_document_for_each_file(tmp_path, own_files):
    data.prepare("text", config_of(hub=HubText(path=str(tmp_path / "own"))), tmp_path / "hub")
    corpus = json.loads((tmp_path / "hub" / "meta.json").read_text())["corpus"]
    assert corpus["documents"] == len(own_files)
    assert corpus["bytes"] == sum(path.stat().st_size for path in own_files)


def test_messages_name_the_key_of_the_task(tmp_path, own_files):
    with pytest.raises(UserError, match=r"^tasks\.wiki\.data\.vocab_size is 60000; the training text gives only"):
        data.prepare("wiki", config_of(own_files, vocab_size=60000), tmp_path / "wiki")
