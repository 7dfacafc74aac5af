"""A stage in several processes: the same results, one line when one of them dies, and nothing lost."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from mdm_prime.training import checkpoint

RUN = "known_entropy/l2/seed0"
STEPS = 160


@pytest.fixture
def prepared(workplace):
    workplace.set("known_entropy", "training", steps=STEPS, checkpoint_every=10, log_every=50)
    assert workplace.run("data", "known_entropy") == 0
    return workplace


def on(workplace, devices):
    workplace.values["tasks"]["known_entropy"]["devices"] = devices


def children():
    """The processes that this one has started, by their rank."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            environment = dict(
                item.split("=", 1) for item in (entry / "environ").read_text().split("\0") if "=" in item
            )
        except (OSError, ValueError):
            continue
        if parent == os.getpid() and "RANK" in environment:
            found[int(environment["RANK"])] = int(entry.name)
    return found


def soon(state, act):
    """Acts as soon as there is a state file."""

    def wait():
        while not state.is_file():
            time.sleep(0.005)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def weights(workplace):
    return checkpoint.load(workplace.file(RUN, "weights.safetensors"))[0]


def test_a_training_goes_on_with_any_number_of_processes(prepared, capsys):
    """Two, of which one is killed; two, which are asked to stop; one, interrupted; two to the end: as one alone."""
    assert prepared.run("train", RUN) == 0
    alone, history = weights(prepared), prepared.file(RUN, "history.csv").read_text()
    state = prepared.file(RUN, "weights.safetensors").with_name("state.safetensors")
    for path in (prepared.file(RUN, "weights.safetensors"), prepared.file(RUN, "history.csv")):
        path.unlink()
    handlers = signal.getsignal(signal.SIGTERM)

    def last_step():
        return checkpoint.load(state)[1]["step"]

    on(prepared, 2)
    capsys.readouterr()
    killer = soon(state, lambda: os.kill(children()[1], signal.SIGKILL))
    assert prepared.run("train", RUN) == 2
    killer.join()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mdm-prime: ")]
    kept = "what was saved is kept, and the same command goes on from there"
    assert line == f"mdm-prime: {RUN}: process 1 of 2 was ended by SIGKILL; {kept}"
    killed_at = last_step()
    assert 0 < killed_at < STEPS
    assert not children()

    before = state.stat().st_mtime_ns
    stopper = threading.Thread(target=stop_when_changed, args=(state, before), daemon=True)
    stopper.start()
    assert prepared.run("train", RUN) == 143
    assert capsys.readouterr().err.rstrip().endswith("stopped; the same command goes on where it was")
    stopped_at = last_step()
    assert killed_at < stopped_at < STEPS
    assert signal.getsignal(signal.SIGTERM) is handlers

    on(prepared, 1)
    with pytest.MonkeyPatch.context() as patch:
        save = checkpoint.save

        def saved_once(path, *rest):
            save(path, *rest)
            raise KeyboardInterrupt

        patch.setattr(checkpoint, "save", saved_once)
        assert prepared.run("train", RUN) == 130
    assert stopped_at < last_step() < STEPS

    on(prepared, 2)
    assert prepared.run("train", RUN) == 0
    assert not state.exists()
    for name, value in weights(prepared).items():
        np.testing.assert_allclose(value, alone[name], rtol=2e-3, atol=2e-3)
    rows = [
        np.array(text.splitlines()[-1].split(","), float)
        for text in (prepared.file(RUN, "history.csv").read_text(), history)
    ]
    np.testing.assert_allclose(*rows, rtol=1e-3)


def stop_when_changed(state, before):
    while state.stat().st_mtime_ns == before:
        time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGTERM)


def test_what_they_evaluate_and_draw_is_what_one_does(prepared):
    prepared.set("known_entropy", "training", steps=10)
    prepared.set("known_entropy", "evaluation", num_samples=95, batch_size=10)
    prepared.set("known_entropy", "sampling", num_samples=35, batch_size=10)
    assert prepared.run("train", RUN) == 0
    found = []
    for devices in (1, 2):
        on(prepared, devices)
        for verb, names in (("evaluate", ["likelihood.json"]), ("sample", ["samples.npy", "samples.json"])):
            assert prepared.run(verb, RUN) == 0
            found.append([prepared.file(RUN, name).read_bytes() for name in names])
            for name in names:
                prepared.file(RUN, name).unlink()
    assert found[:2] == found[2:]
    assert not list(prepared.root.rglob(".*-shards"))


def test_the_words_of_a_process_that_fails_are_those_of_the_stage(prepared, capsys):
    on(prepared, 2)
    prepared.set("known_entropy", "training", learning_rate=1e30, gradient_clip=None, steps=20)
    assert prepared.run("train", RUN) == 2
    told = capsys.readouterr().err
    assert told.count("is not finite; no state was saved yet") == 1
    assert "Traceback" not in told


def test_more_devices_than_examples(prepared, capsys):
    on(prepared, 1000)
    assert prepared.run("train", RUN) == 2
    assert "tasks.known_entropy.devices: is 1000; should be at most training.batch_size" in capsys.readouterr().err
