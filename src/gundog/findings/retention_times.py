"""How long findings, staged rows and runs are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Retention:
    """How long rows are kept, counted from the day they were written."""

    staged: timedelta
    series: timedelta
    evidence: timedelta
    findings: timedelta
