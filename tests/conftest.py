import pytest


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
