"""One place where notifications go."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Channel:
    """Where messages go; its address is a secret and never printed."""

    name: str
    url: str = field(repr=False)
    min_severity: str = "informational"
    mode: str = "each"
    detections: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    # Messages say where the report is.
    report: bool = False
    # Digests have the report with them.
    attach: bool = False
