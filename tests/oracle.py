"""A hunt beside a second reading of its words, for tests that compare them over random records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from gundog.detections.hunt import Hunt
from tests import kit

DAY = timedelta(days=1)
START = datetime(2026, 3, 10, tzinfo=UTC)
END = START + DAY


@dataclass(frozen=True)
class Asked:
    """A hunt over records of mail, and what tells what it must find.

    Attributes:
        stem: of the detection.
        params: its parameters for lakes of a few days.
        drawn: random records; each has a `time`, a `number` and the `row()` that Defender delivers.
        world: adds what is looked for to drawn records and numbers them.
        expected: what the words of the hunt say of records: columns by identity.
        identity: the columns that name a finding.
    """

    stem: str
    params: Mapping[str, Any]
    drawn: st.SearchStrategy[list[Any]]
    world: Callable[[list[Any]], list[Any]]
    expected: Callable[[list[Any]], dict[Any, dict[str, Any]]]
    identity: tuple[str, ...]

    @property
    def hunt(self) -> Hunt:
        """The hunt that ships."""
        return kit.shipped().hunt(self.stem)

    @property
    def shrunk(self) -> Hunt:
        """The hunt with its parameters for small lakes."""
        return replace(self.hunt, detection=replace(self.hunt.detection, params=self.params))
