"""What every test starts from."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A width at which no line breaks because the temporary folder has a long name."""
    monkeypatch.setenv("COLUMNS", "240")
