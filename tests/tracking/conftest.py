from __future__ import annotations

import pytest

from mdm_prime import tracking
from mdm_prime.tracking import journal


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", tracking.PARENT_RUN, "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    journal.warn_once.cache_clear()
