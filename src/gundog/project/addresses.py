"""Addresses in gundog.yaml; never shown, because they may hold a token."""

from __future__ import annotations

import re

from gundog.core.fields import Fields


def web(fields: Fields, key: str) -> str | None:
    """An http address, or None; a problem where it is another text."""
    value = fields.data.get(key)
    if value is None:
        return None
    if isinstance(value, str) and re.match(r"https?://[^/]", value.strip(), re.IGNORECASE):
        return value.strip()
    fields.problem(key, "is not a URL: write one that starts with https:// or http://")
    return None
