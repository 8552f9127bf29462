"""What a report is asked to show, from the command line and from gundog.yaml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from gundog.core.errors import InputError
from gundog.core.fields import unknown
from gundog.core.times import Interval

# What `--entity` may name, and the column of findings that holds it.
ENTITY_COLUMNS = {
    "account": "account_name",
    "host": "host_name",
    "mailbox": "mailbox",
    "app": "app_id",
    "address": "ip_address",
}
_MONTH = re.compile(r"(\d{4})-(\d{2})")


@dataclass(frozen=True)
class Entity:
    """Somebody or something that findings are about.

    Attributes:
        kind: a key of `ENTITY_COLUMNS`.
        name: as the findings have it.
        tenant: whose it is; empty where there is one tenant, and in what a person asks for.
    """

    kind: str
    name: str
    tenant: str = ""

    @property
    def shown(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Asked:
    """Which findings a report is about.

    Attributes:
        since: what is new is counted from here, in UTC; None means the previous nightly run.
        detection: the file stem or id of the only detection to show.
        entity: the only entity to show.
        tenant: the only tenant to show.
        month: makes it a summary of that calendar month, in UTC.
        evidence: False leaves raw events out.
    """

    since: datetime | None = None
    detection: str | None = None
    entity: Entity | None = None
    tenant: str | None = None
    month: Interval | None = None
    evidence: bool = True


def parse_entity(text: str) -> Entity:
    """An entity from `account:x`.

    Raises:
        InputError: when the kind is unknown or the name is empty.

    >>> parse_entity("host:EXCH01")
    Entity(kind='host', name='EXCH01', tenant='')
    """
    kind, colon, name = text.partition(":")
    kinds = ", ".join(ENTITY_COLUMNS)
    if not colon or not name.strip():
        raise InputError(
            f"--entity {text!r}: write a kind and a name, as account:x (kinds: {kinds})"
        )
    if kind.strip().lower() not in ENTITY_COLUMNS:
        raise InputError(f"--entity {text!r}: {unknown(kind, list(ENTITY_COLUMNS), 'kind')}")
    return Entity(kind.strip().lower(), name.strip())


def parse_month(text: str) -> Interval:
    """A calendar month in UTC from `2026-10`.

    Raises:
        InputError: when it is not a month.

    >>> str(parse_month("2026-12"))
    '[2026-12-01T00:00:00Z, 2027-01-01T00:00:00Z)'
    """
    match = _MONTH.fullmatch(text.strip())
    try:
        year, month = (int(part) for part in match.groups()) if match else (0, 0)
        start = datetime(year, month, 1, tzinfo=UTC)
        end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    except ValueError as error:
        raise InputError(f"--month {text!r} is not a month: write one such as 2026-10") from error
    return Interval(start, end)
