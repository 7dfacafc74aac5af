from __future__ import annotations

import pytest

import browser


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Sums are added up in one order, and tests that run side by side do not fight for cores."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def deterministic_mode_restored():
    """A stage asks torch for deterministic algorithms; the next test must not inherit that."""
    import torch

    before = torch.get_deterministic_debug_mode()
    yield
    torch.set_deterministic_debug_mode(before)


FIRST = ("test_commands.py", "test_gpu_scale.py", "test_launch.py")  # makes what others copy; need no copy meanwhile
SLOWEST = (
    "pipeline",
    "tracking",
    "official",
    "stages",
    "cli",
    "reporting",
)  # folders; a slow file last keeps all waiting


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest files first, for pytest-xdist; what needs a browser is left out where there is none."""
    places = {folder: place for place, folder in enumerate(SLOWEST)}
    first = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: (first.get(item.path.name, len(first)), places.get(item.path.parent.name, len(places))))
    if browser.is_left_out():
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason=browser.MISSING))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = [report for report in terminalreporter.stats.get("skipped", ()) if "browser" in report.keywords]
    if left_out:
        terminalreporter.write_line(f"left out: {len(left_out)} tests of pages in a browser: {browser.MISSING}")
