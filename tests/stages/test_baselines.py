"""What the stage `baselines` writes, for tokens and for images."""

import numpy as np
import pytest

from mdm_prime.evaluation import ngrams
from mdm_prime.experiment import layout
from mdm_prime.files import read_json


@pytest.mark.parametrize(
    ("task", "contexts"),
    [
        ("known_entropy", {"unigram": ngrams.nothing, "bigram": ngrams.previous}),
        ("digits", {"independent pixels": ngrams.position}),
    ],
)
def test_each_baseline_has_its_exact_likelihood(workplace, capsys, task, contexts):
    assert workplace.run("data", task) == 0
    assert workplace.run("baselines", task) == 0
    saved = read_json(layout.baselines_file(workplace.root, task))
    data = layout.data_dir(workplace.root, task)
    train, heldout = (np.load(data / f"{split}.npy") for split in ("train", "heldout"))
    vocab_size = read_json(data / "meta.json")["vocab_size"]
    expected = {name: ngrams.exact_likelihood(train, heldout, vocab_size, found) for name, found in contexts.items()}
    assert {row["baseline"]: (row["nats"], row["nats_stderr"]) for row in saved["rows"]} == expected
    assert (saved["num_sequences"], saved["train_tokens"]) == (len(heldout), train.size)
    said = capsys.readouterr().out
    assert all(f"{name} {found.mean:.4f} nats per token" in said for name, found in expected.items())


def test_without_data_the_line_says_how_to_make_it(workplace, capsys):
    assert workplace.run("baselines", "text") == 2
    assert "text/data/meta.json" in capsys.readouterr().err
