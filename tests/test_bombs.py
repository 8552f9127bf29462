"""A short form of the bombs that `make torture` lets off."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import bombs

HERE = Path(__file__).parents[1]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's data")
@pytest.mark.slow
@pytest.mark.stress
@pytest.mark.parametrize("name", ["repeat", "range", "string_split"])
def test_bomb_ends_everywhere_and_costs_nothing_else(name: str) -> None:
    """In a hunt, a stage, while it is loaded and in an example; by memory, not by time."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bombs", "--seconds", "40", name],
        cwd=HERE, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(bombs.PLACES)
    assert "memory" in done.stdout
