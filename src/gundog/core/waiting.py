"""How far long work is, told to whoever shows it."""

from __future__ import annotations

from typing import Protocol


class Went(Protocol):
    """Is told how much is done, and of how much; `unit` is the word for one of it."""

    def __call__(self, done: int, total: int, unit: str = "day", /) -> None: ...


def unseen(done: int, total: int, unit: str = "day", /) -> None:
    """Shows nobody how far it is."""
    del done, total, unit
