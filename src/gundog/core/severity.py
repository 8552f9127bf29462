"""Severities and statuses, each from the least to the most."""

from __future__ import annotations

SEVERITIES = ("informational", "low", "medium", "high", "critical")


STATUSES = ("experimental", "test", "stable", "deprecated")
