"""What every test starts from."""

from __future__ import annotations

import pytest
from hypothesis import settings

# Hypothesis fails an example that takes 200 ms of wall-clock time; a busy machine takes that.
settings.register_profile("gundog", deadline=None)
settings.load_profile("gundog")


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A width at which no line breaks because the temporary folder has a long name."""
    monkeypatch.setenv("COLUMNS", "240")
