"""The key of one series: its tenant and the values that it is counted by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gundog.detections.hunt import Hunt

TOTAL = "*"


def series_key(values: Iterable[str]) -> str:
    """How a series is named: its `by` values joined by a slash, which none of them keeps.

    >>> series_key(["", "ana@example.com"]), series_key(["a/b", "5%"])
    ('/ana@example.com', 'a%2Fb/5%25')
    """
    return "/".join(escape(value) for value in values)


def escape(value: str) -> str:
    """A `by` value as it stands in a series key."""
    return value.replace("%", "%25").replace("/", "%2F")


def by_values(key: str) -> tuple[str, ...]:
    """The `by` values of a series key.

    >>> by_values("a%2Fb/5%25"), by_values("/")
    (('a/b', '5%'), ('', ''))
    """
    return tuple(part.replace("%2F", "/").replace("%25", "%") for part in key.split("/"))


def is_total(key: Sequence[str]) -> bool:
    """True for a tenant's own series."""
    return len(key) > 1 and all(part == TOTAL for part in key[1:])


def tenant_of(hunt: Hunt, key: Sequence[str]) -> str | None:
    """Whose series it is; None where the detection's `by` columns do not say."""
    settings = hunt.detection.series
    if settings is None or "tenant" not in settings.by:
        return None
    return key[settings.by.index("tenant")]
