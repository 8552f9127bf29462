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
@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("repeat", list(bombs.PLACES)),
        ("range", list(bombs.PLACES)),
        ("string_split", ["hunt", "test"]),  # takes longest; `make torture` tries it everywhere
    ],
)
def test_bomb_ends_everywhere_and_costs_nothing_else(name: str, places: list[str]) -> None:
    """In a hunt, a stage, while it is loaded and in an example; by memory, not by time."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bombs", name, "--seconds", "40", "--places", *places],
        cwd=HERE, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()] == places
    assert "memory" in done.stdout
