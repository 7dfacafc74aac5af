import io

import pytest
from rich.console import Console

from mdm_prime import progress as module
from mdm_prime.progress import progress


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

    monkeypatch.setattr(module.time, "monotonic", lambda: Clock.now)
    return Clock


def test_a_log_gets_a_line_now_and_then_and_at_the_end(capsys, clock):
    with progress("train x", 100) as update:
        for done in range(1, 101):
            clock.now += 1.0
            update(done, f"loss {done}")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[2] for line in lines] == [
        "15/100",
        "30/100",
        "45/100",
        "60/100",
        "75/100",
        "90/100",
        "100/100",
    ]
    assert "loss 60" in lines[3]
    assert lines[3].endswith("60 s, 41 s left")  # 59 steps since the first report in 60 s
    assert lines[-1].endswith("0 s left")


def test_time_left_of_a_resumed_run_is_that_of_its_own_steps(capsys, clock):
    with progress("train x", 1000) as update:
        update(900, "")
        clock.now += 20.0
        update(910, "")
    assert capsys.readouterr().err.splitlines()[-1].endswith("180 s left")


def test_a_terminal_gets_a_bar(monkeypatch):
    output = io.StringIO()
    monkeypatch.setattr(module, "Console", lambda stderr: Console(file=output, force_terminal=True, width=150))
    with progress("train x", 10) as update:
        update(5, "loss 1.5")
    assert "train x" in output.getvalue()
    assert "5/10" in output.getvalue()
    assert "loss 1.5" in output.getvalue()
