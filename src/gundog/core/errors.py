"""The errors gundog raises on purpose, each with the exit status it ends a command with.

GundogError
├── InputError        2  something a person wrote is wrong; nothing was done
│   └── ContentError  2  problems in gundog.yaml, detections or SQL files, all of them at once
├── LockError         3  another run holds the warehouse
├── StoreError        1  a lake or a file in it cannot be listed or read
└── QueryError        1  a SQL statement failed, ran too long or asked for too much memory

A message says where, what, and how to fix it, without a trailing period.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong in a file a person wrote, printed as ``path: key: reason``."""

    path: str
    key: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.path, self.key, self.reason) if part)


class GundogError(Exception):
    """Base of every error that gundog explains to the person who runs it."""

    exit_status = 1


class InputError(GundogError):
    """An argument is wrong and nothing was done."""

    exit_status = 2


class ContentError(InputError):
    """Files a person wrote have problems; `problems` lists every one."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class LockError(GundogError):
    """Another run holds the warehouse."""

    exit_status = 3


class StoreError(GundogError):
    """A lake, or a file in it, cannot be listed or read."""


class QueryError(GundogError):
    """A SQL statement was refused, failed, or ran out of time or memory."""
