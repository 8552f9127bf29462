"""Canaries: behaviour that is planted on purpose and must come as a finding, from gundog.yaml.

Its findings are kept and never sent. That none came is what matters: then hunting is blind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gundog.core.errors import Problem
from gundog.core.fields import Fields, unknown
from gundog.core.times import DAY
from gundog.findings import exceptions
from gundog.findings.exceptions import Entry

_KEYS = frozenset("name detection match every".split())
_NEVER = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True)
class Canary(Entry):
    """Planted behaviour.

    Attributes:
        name: what messages call it.
        every: in each span of this length a finding must come.
    """

    name: str = ""
    every: timedelta = DAY

    @property
    def shown(self) -> str:
        """What `suppressed_by` says of its findings."""
        return f"canary {self.name}"


def read(fields: Fields) -> tuple[Canary, ...]:
    """The canaries of gundog.yaml; what is wrong with them is added to the fields' problems."""
    canaries = list[Canary]()
    for place, item in enumerate(fields.items("canaries")):
        inner = fields.inner(f"canaries.{place}", _KEYS, item)
        canary = Canary(
            detection=inner.text("detection"),
            match=exceptions.read_match(inner),
            start=exceptions.ALWAYS,
            end=_NEVER,
            reason="planted",
            name=inner.text("name"),
            every=inner.duration("every", DAY, least=timedelta(hours=1)),
        )
        if canary.name and canary.name in [earlier.name for earlier in canaries]:
            inner.problem("name", "is used twice: give each canary its own name")
        canaries.append(canary)
    return tuple(canaries)


def check_names(
    canaries: Collection[Canary], detections: Collection[tuple[str, str]], path: str
) -> Iterator[Problem]:
    """Problems with canaries that name no detection.

    Args:
        canaries: of gundog.yaml.
        detections: id and file stem of every one there is.
        path: how messages call gundog.yaml.
    """
    stems = [stem for _, stem in detections]
    for place, canary in enumerate(canaries):
        if not any(canary.names(key, stem) for key, stem in detections if canary.detection != "*"):
            reason = unknown(canary.detection, stems, "detection")
            yield Problem(path, f"canaries.{place}.detection", reason)
