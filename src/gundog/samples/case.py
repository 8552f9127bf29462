"""One planted story of the samples."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal


@dataclass(frozen=True)
class Case:
    """One planted story.

    `day` is the interval it belongs to. `entity` is the host, the mailbox or, for reads of other
    people's mailboxes, the account; `*` is the tenant's own series. `severity` is None where the
    case is silent or the detection's own severity holds.
    """

    name: str
    table: str
    detection: str
    expected: Literal["fires", "silent"]
    severity: str | None
    day: date
    entity: str
    story: str
