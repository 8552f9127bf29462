"""What gundog.yaml says of the places to publish to: the key `publishTo`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gundog.core.fields import Fields, unknown
from gundog.lake.path import SCHEMES, LakePath, split_uri

_KEYS = frozenset("to name schema endpoint region anonymous".split())
_POSTGRES = ("postgresql", "postgres")


@dataclass(frozen=True)
class PublishTo:
    """One place that runs publish to.

    Attributes:
        place: a folder, an address in an object store, or a PostgreSQL address, which may hold a
            password and so is never shown.
        name: how messages call it.
        schema: the schema of its tables in PostgreSQL.
        store: how an object store is reached.
    """

    place: str = field(repr=False)
    name: str
    schema: str = "gundog"
    store: LakePath = field(default_factory=lambda: LakePath(""))

    @property
    def is_postgres(self) -> bool:
        return split_uri(self.place)[0] in _POSTGRES


def read(fields: Fields, root: Path) -> tuple[PublishTo, ...]:
    """The value of the key `publishTo`: none, one or several targets."""
    value = fields.data.get("publishTo")
    if value is None:
        return ()
    items = value if isinstance(value, list) else [value]
    targets = tuple(
        target
        for place, item in enumerate(items)
        for target in _target(
            fields, f"publishTo.{place}" if isinstance(value, list) else "publishTo", item, root
        )
    )
    names = [target.name for target in targets]
    for name in sorted({name for name in names if names.count(name) > 1}):
        shown = "one place" if fields.secret else name
        fields.problem("publishTo", f"names {shown} twice: give each target its own name")
    return targets


def _target(fields: Fields, key: str, item: Any, root: Path) -> Iterator[PublishTo]:
    if isinstance(item, str):
        item = {"to": item}
    elif not isinstance(item, dict):
        kind = fields.said(item)
        fields.problem(key, f"is {kind}: write a folder or address, or keys and values with to")
        return
    inner = fields.inner(key, _KEYS, item)
    place = inner.text("to")
    if not place or not _is_place(inner, place):
        return
    scheme = split_uri(place)[0]
    if scheme in ("", "file"):
        place = str(root / (f"/{split_uri(place)[2]}" if scheme else place))
    name = inner.text("name", "") or _shown(place)
    yield PublishTo(place, name, _schema(inner), _store(inner, place))


def _is_place(fields: Fields, place: str) -> bool:
    scheme, authority, rest = split_uri(place)
    if scheme in _POSTGRES:
        if not _is_postgres_address(place):
            fields.problem("to", "is not complete: write postgresql://USER@HOST/DATABASE")
            return False
    elif scheme and scheme not in SCHEMES:
        schemes = (*SCHEMES, "postgresql")
        fields.problem("to", unknown(scheme, schemes, "scheme", secret=True))
        return False
    elif scheme not in ("", "file") and not (authority and rest.strip("/")):
        fields.problem("to", "names no folder: write one such as s3://bucket/gundog")
        return False
    elif scheme in ("s3", "gs") and "@" in authority:
        fields.problem(
            "to", "holds credentials: remove them and set the environment's variables instead"
        )
        return False
    return True


def _is_postgres_address(place: str) -> bool:
    _, authority, rest = split_uri(place)
    database, _, options = rest.partition("?")
    return bool((authority.rpartition("@")[2] or "host=" in options) and database.strip("/"))


def _shown(place: str) -> str:
    """An address without its user, password and options.

    >>> _shown("postgresql://ana:secret@db.example:5433/soc?sslmode=require")
    'postgresql://db.example:5433/soc'
    """
    scheme, authority, rest = split_uri(place)
    if scheme not in _POSTGRES:
        return place
    return f"postgresql://{authority.rpartition('@')[2]}/{rest.partition('?')[0]}"


def _schema(fields: Fields) -> str:
    schema = fields.text("schema", "gundog")
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema) or schema.startswith("pg_"):
        fields.problem(
            "schema", "is not a schema name: use lower case letters, digits and _, and not pg_"
        )
    if schema == "public":
        fields.problem("schema", "is public: give gundog a schema of its own")
    return schema


def _store(fields: Fields, place: str) -> LakePath:
    endpoint = fields.text("endpoint", "") or None
    if endpoint and not re.match(r"https?://[^/]", endpoint, re.IGNORECASE):
        fields.problem("endpoint", "is not a URL: write one that starts with https:// or http://")
    return LakePath(
        place,
        endpoint=endpoint,
        region=fields.text("region", "") or None,
        anonymous=fields.flag("anonymous", False),
    )
