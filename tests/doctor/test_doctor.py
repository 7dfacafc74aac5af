import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from mdm_prime.cli import main as cli
from mdm_prime.doctor import probe, report
from mdm_prime.doctor.finding import Finding, Row

OK, WARNED, FAILED = Finding("ok", "good"), Finding("warning", "hm", "do this"), Finding("failure", "bad", "do that")


def checks_that_find(monkeypatch, *findings):
    named = tuple((f"check {number}", lambda scene, found=found: found) for number, found in enumerate(findings))
    monkeypatch.setattr(report, "CHECKS", named)


@pytest.mark.parametrize(("found", "code"), [((OK,), 0), ((OK, WARNED), 0), ((OK, FAILED, WARNED), 1)])
def test_exit_code(monkeypatch, capsys, found, code):
    checks_that_find(monkeypatch, *found)
    assert cli.main(["--params", "none.yaml", "doctor"]) == code
    assert cli.main(["--params", "none.yaml", "doctor", "--json"]) == code
    assert "Traceback" not in capsys.readouterr().out


def test_json(monkeypatch, capsys):
    checks_that_find(monkeypatch, OK, FAILED)
    assert report.run(Path("none.yaml"), Path("results"), as_json=True) == 1
    assert json.loads(capsys.readouterr().out) == [
        {"name": "check 0", "state": "ok", "found": "good", "mend": ""},
        {"name": "check 1", "state": "failure", "found": "bad", "mend": "do that"},
    ]


def test_a_check_that_breaks_is_a_row_and_the_others_go_on(monkeypatch):
    def broken(scene):
        raise RuntimeError("two\nlines at https://me:secret@host")

    monkeypatch.setattr(report, "CHECKS", (("broken", broken), ("whole", lambda scene: OK)))
    first, second = report.examine(Path("none.yaml"), Path("results"))
    assert (first.name, first.state) == ("broken", "failure")
    assert "RuntimeError: two lines at https://***@host" in first.found
    assert second == Row("whole", *OK)


def test_every_check_has_its_row_and_none_breaks_without_anything(monkeypatch):
    monkeypatch.setattr(probe, "ask", lambda params: {"problem": "No module named 'torch'"})
    rows = report.examine(Path("none.yaml"), Path("results"))
    assert [row.name for row in rows] == [name for name, _ in report.CHECKS]
    assert not [row for row in rows if "the check itself failed" in row.found]
    states = {row.name: row.state for row in rows}
    assert states["params"] == states["torch and GPU"] == states["commands"] == "failure"
    assert not Path("results").exists()


@pytest.mark.parametrize("width", [40, 80, 160])
def test_readable_at_any_width(width):
    rows = [Row("Hugging Face hub", "failure", "[bold] cannot be reached", "pip install 'mdm-prime[pipeline]'"), OK]
    rows[1] = Row("Python", *OK)
    output = io.StringIO()
    report.show(rows, Console(file=output, width=width, color_system=None))
    lines = output.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(output.getvalue().split())
    for part in ("Hugging Face hub", "failure", "[bold]", "Python", "good", "would fail"):
        assert part in text
    assert "mdm-prime[pipeline]" in text.replace(" ", "")


def test_summary_names_what_fails():
    assert report.summary([Row("a", *FAILED), Row("b", *WARNED)]).endswith("would fail (a); warnings: b")
    assert report.summary([Row("a", *OK)]).endswith("has what it needs")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:hunter2@host/a", "https://***@host/a"),
        ("postgresql://u:hunt,er2@p/w@host:5432/db", "postgresql://***@host:5432/db"),
        ("https://host/a?token=hunter2&b=1 then", "https://host/a?*** then"),
    ],
)
def test_no_secret_is_shown(monkeypatch, capsys, address, shown):
    checks_that_find(monkeypatch, Finding("warning", f"at {address}", f"ask {address}"))
    report.run(Path("none.yaml"), Path("results"), as_json=True)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["found"], row["mend"]) == (f"at {shown}", f"ask {shown}")


def test_importing_doctor_is_light():
    code = "import sys, mdm_prime.doctor; sys.exit(str({'torch', 'mlflow', 'pandas', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "set()"
