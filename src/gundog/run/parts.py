"""The parts of a run, for those who want to show, time or retry them, as the Prefect flows do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from gundog.core.times import format_time

T = TypeVar("T")


class Kind(StrEnum):
    """What a part of a run does."""

    LIST = "list"
    STAGE = "stage"
    HUNT = "hunt"
    PUBLISH = "publish"
    NOTIFY = "notify"
    REPORT = "report"
    TARGET = "target"


@dataclass(frozen=True)
class Part:
    """One part of a run.

    Attributes:
        kind: what it does.
        label: its name for people; parts of one run may share it.
        day: the first day that it is about; None where it is about the whole run.
    """

    kind: Kind
    label: str
    day: datetime | None = None

    @property
    def crosses_network(self) -> bool:
        """Whether it reads from a store that may fail for a moment, so that a retry helps.

        Messages cross the network too, but the outbox retries each of them itself.
        """
        return self.kind in (Kind.LIST, Kind.STAGE)


LIST_LAKE = Part(Kind.LIST, "list lake")
PUBLISH = Part(Kind.PUBLISH, "publish")
NOTIFY = Part(Kind.NOTIFY, "notify")
REPORT = Part(Kind.REPORT, "report")


def stage_part(day: datetime) -> Part:
    """The part that stages what the hunts of a day need.

    >>> stage_part(datetime(2026, 3, 8)).label
    'stage 2026-03-08'
    """
    return Part(Kind.STAGE, f"stage {day:%Y-%m-%d}", day)


def hunt_part(stem: str, start: datetime) -> Part:
    """The part that hunts one detection over the interval that starts then."""
    return Part(Kind.HUNT, f"hunt {stem} {format_time(start).split('T00:00')[0]}", start)


def target_part(name: str) -> Part:
    """The part that brings a target of publishTo up to date."""
    return Part(Kind.TARGET, f"publish to {name}")


@dataclass(frozen=True)
class PartResult(Generic[T]):
    """What a part returned, and what failed in it; `error` is empty when nothing did."""

    value: T
    error: str = ""


class Step(Protocol):
    """Runs one part and returns its result; what the part raises may be raised again."""

    def __call__(self, part: Part, work: Callable[[], PartResult[T]], /) -> PartResult[T]: ...


def directly(part: Part, work: Callable[[], PartResult[T]]) -> PartResult[T]:
    """Runs a part as it is."""
    del part
    return work()
