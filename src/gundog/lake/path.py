"""Lake paths: templates in strftime form, their tokens and schemes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gundog.core.fields import unknown

SCHEMES = ("abfss", "file", "gs", "s3")
PARQUET, JSON, DELTA = "parquet", "json", "delta"
FORMATS = (PARQUET, JSON, DELTA)
# Who wrote JSON lines: with an envelope, flat with the table's name in `Type`, or flat alone.
STREAMING_API, LOG_ANALYTICS, PLAIN = "streaming-api", "log-analytics", "plain"
AZURE_DATA_EXPLORER = "azure-data-explorer"
EXPORTERS = (STREAMING_API, LOG_ANALYTICS, AZURE_DATA_EXPLORER, PLAIN)
# What only a line of JSON can be.
OF_LINES = (STREAMING_API, PLAIN)


TIME_FIELDS = "YymdjHM"


_TOKEN = re.compile(r"%.?|\*|[^%*]+", re.DOTALL)
_JSON_NAME = re.compile(r".*\.(?:json|jsonl|ndjson)(?:\.(?:gz|zst))?", re.IGNORECASE | re.DOTALL)
_PACKED_NAME = re.compile(r".*\.(?:gz|zst)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class LakePath:
    """Where files of one source lie and how their store is reached.

    Attributes:
        template: a path with strftime fields; `*` stands for any part of one segment. Without a
            scheme it is a local path, relative to the project folder.
        partition_by: 'ingest' when the path's time is that of arrival, 'event' when of the events.
        columns: the file's column name by the source's column name, where they differ.
        endpoint: URL of the store, instead of the environment's or the cloud's own.
        said_format: one of `FORMATS`; empty where the names of the files tell it.
        exporter: one of `EXPORTERS`; empty where each file tells it.
        time_format: how its times are written, where they are not ISO 8601; see `time_formats`.
    """

    template: str
    partition_by: str = "ingest"
    columns: Mapping[str, str] = field(default_factory=dict)
    endpoint: str | None = None
    region: str | None = None
    anonymous: bool = False
    said_format: str = ""
    exporter: str = ""
    time_format: str = ""

    @property
    def format(self) -> str:
        """What the files are, by what is said or else by the end of their names.

        >>> LakePath("lake/y=%Y/PT1H.json").format, LakePath("lake/y=%Y/*.parquet").format
        ('json', 'parquet')
        >>> LakePath("lake/y=%Y/*.ndjson.zst").format
        'json'
        """
        return self.said_format or (JSON if _JSON_NAME.fullmatch(self.template) else PARQUET)

    @property
    def reading(self) -> str:
        """Everything that is said of how its files are read, as one text."""
        columns = sorted(self.columns.items())
        return json.dumps([self.format, self.exporter, self.time_format, columns])

    @property
    def grows(self) -> bool:
        """True where a file may be added to after it was listed: JSON lines that are not packed."""
        return self.format == JSON and not _PACKED_NAME.fullmatch(self.template)


def template_tokens(text: str) -> list[str]:
    """A lake path cut into strftime fields, stars and literal text.

    >>> template_tokens("date=%Y-%m/*.parquet")
    ['date=', '%Y', '-', '%m', '/', '*', '.parquet']
    """
    return _TOKEN.findall(text)


def split_uri(template: str) -> tuple[str, str, str]:
    """A lake path's scheme, its authority (bucket or container) and the rest; '' where absent.

    >>> split_uri("s3://bucket/date=%Y-%m-%d/*.parquet")
    ('s3', 'bucket', 'date=%Y-%m-%d/*.parquet')
    >>> split_uri("lake/*.parquet")
    ('', '', 'lake/*.parquet')
    """
    match = re.fullmatch(r"([^/]*?)://([^/]*)(?:/(.*))?", template, re.DOTALL)
    if not match:
        return "", "", template
    return match[1].lower(), match[2], match[3] or ""


def template_problems(template: str, is_folder: bool = False) -> Iterator[str]:
    """What keeps a lake path from being listed; with `is_folder` it names a table's folder."""
    scheme, authority, path = split_uri(template)
    if scheme and scheme not in SCHEMES:
        yield f"begins with an {unknown(scheme, SCHEMES, 'scheme', secret=True)}"
    elif scheme:
        yield from _authority_problems(scheme, authority)
    if not is_folder and (not path.strip("/") or path.endswith("/")):
        yield "names no files: end it with a pattern such as *.parquet"
    if re.search(r"\.avro(\.\w+)?$", path, re.IGNORECASE):
        yield "names Avro files, which gundog does not read: export JSON lines or parquet"
    if template.startswith("~"):
        yield "starts with ~: write ${HOME} instead"
    if "**" in path:
        yield "holds **: write one * for each folder, such as */*/*.parquet"
    if is_folder and set("*%") & set(path):
        yield "is the folder of a Delta table: write it without * and without fields of time"
    else:
        yield from _field_problems(path)


def _authority_problems(scheme: str, authority: str) -> Iterator[str]:
    if scheme == "abfss":
        if not re.fullmatch(r"[^@%*]+@[^@%*.]+\.[^@%*]+", authority):
            yield "needs abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"
    elif scheme == "file":
        if authority:
            yield "needs three slashes: write file:///PATH"
    elif "@" in authority:
        # Shown without its value: it would be a key.
        yield "holds credentials: remove them and set the environment's variables instead"
    elif not authority or set("%*") & set(authority):
        yield f"needs the bucket's plain name: write {scheme}://BUCKET/PATH"


def _field_problems(path: str) -> Iterator[str]:
    fields = [token[1:] for token in template_tokens(path) if token.startswith("%")]
    for name in sorted(set(fields)):
        if name not in [*TIME_FIELDS, "%"]:
            yield (
                f"holds %{name}, an unknown field: use %Y %y %m %d %j %H %M,"
                " and %% for a percent sign"
            )
    year = {"Y", "y"} & set(fields)
    day = "j" in fields or {"m", "d"} <= set(fields)
    needs = {
        "m": (bool(year), "%Y"),
        "j": (bool(year), "%Y"),
        "d": (bool(year) and "m" in fields, "%Y and %m"),
        "H": (bool(year) and day, "%Y, %m and %d"),
        "M": (bool(year) and day and "H" in fields, "%Y, %m, %d and %H"),
    }
    for name, (met, wanted) in needs.items():
        if name in fields and not met:
            yield f"holds %{name} but not the fields above it: add {wanted}"
