"""What to write in gundog.yaml for a file whose columns have other names, or odd times."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import yaml

from gundog.lake import exporters
from gundog.lake.columns import DoubledColumnError
from gundog.lake.path import LakePath
from gundog.staging import binding

# What exports call a column when they do not call it as Defender does, the likeliest first.
_OTHER_NAMES = {
    "Timestamp": ("TimeGenerated", "EventTime", "time", "event_time", "datetime", "CreationTime",
                  "CreatedDateTime", "ts", "_TimeReceived"),
    "RawEventData": ("AuditData", "RawData", "raw"),
    "ActionType": ("Operation",),
    "IPAddress": ("ClientIP", "SourceIP"),
    "DeviceName": ("Computer", "HostName"),
    "ProcessCommandLine": ("CommandLine", "cmdline"),
}  # fmt: skip
_CLOSE = 0.9


def suggest(missing: Sequence[str], extra: Mapping[str, Any]) -> dict[str, str]:
    """For columns that a file lacks, the file's columns that are likely to be them.

    Args:
        missing: the source's columns that the file has under no name.
        extra: the file's columns that the source does not know, with their Arrow types.

    >>> suggest(["ProcessId", "Timestamp"], {"process_id": pa.int64(), "time": pa.string()})
    {'ProcessId': 'process_id', 'Timestamp': 'time'}
    """
    left = {name: kind for name, kind in extra.items() if name}
    suggested: dict[str, str] = {}
    for ranked in (_same_name, _other_name, _close_name):
        for name in missing:
            usable = [
                column for column in left if name != binding.TIME or _can_be_time(left[column])
            ]
            column = None if name in suggested else ranked(name, usable)
            if column:
                suggested[name] = column
                del left[column]
    return {name: suggested[name] for name in missing if name in suggested}


def _can_be_time(kind: Any) -> bool:
    types = pa.types
    tests = (types.is_timestamp, types.is_date, types.is_string, types.is_large_string)
    return any(test(kind) for test in (*tests, types.is_dictionary))


def _same_name(name: str, columns: Sequence[str]) -> str | None:
    return next((column for column in columns if plain(column) == plain(name)), None)


def _other_name(name: str, columns: Sequence[str]) -> str | None:
    by_plain = {plain(column): column for column in reversed(columns)}
    others = map(plain, _OTHER_NAMES.get(name, ()))
    return next((by_plain[other] for other in others if other in by_plain), None)


def _close_name(name: str, columns: Sequence[str]) -> str | None:
    wanted = plain(name)
    # SHA1 and SHA256 look alike and are not.
    by_plain = {plain(column): column for column in columns if _digits(column) == _digits(name)}
    close = difflib.get_close_matches(wanted, by_plain, 1, _CLOSE)
    return by_plain[close[0]] if close else None


def plain(name: str) -> str:
    """A column's name without what exporters add to it: case, separators, prefix, type suffix."""
    name = re.sub(r"^properties[._]|_[sgtdb]$| \[UTC\]$", "", name, flags=re.IGNORECASE)
    return re.sub(r"[\W_]", "", name).casefold()


def _digits(name: str) -> list[str]:
    return re.findall(r"\d+", name)


def better(path: LakePath, missing: Sequence[str], extra: Mapping[str, Any]) -> LakePath:
    """A lake path with the exporter and the columns that a file's names point to.

    Args:
        path: as gundog.yaml has it.
        missing: the source's columns that the file has under no name.
        extra: the file's columns that the source does not know, with their Arrow types.
    """
    exporter = path.exporter or exporters.guess(missing, extra)
    try:
        renamed = exporters.aliases([*extra], "", missing, {}, exporter)
    except DoubledColumnError:  # then each column has to be named
        exporter, renamed = path.exporter, {}
    left = {name: kind for name, kind in extra.items() if name not in renamed.values()}
    named = suggest([name for name in missing if name not in renamed], left)
    return replace(path, exporter=exporter, columns={**path.columns, **named})


def numbers_of_time(missing: Sequence[str], extra: Mapping[str, Any]) -> str | None:
    """A column of numbers that is named like a time, where the file has no other time."""
    numbers = [
        name
        for name, kind in extra.items()
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    ]
    if binding.TIME not in missing:
        return None
    return _same_name(binding.TIME, numbers) or _other_name(binding.TIME, numbers)


def as_yaml(source: str, paths: Sequence[LakePath]) -> list[str]:
    """The source's whole entry of gundog.yaml."""
    entries = [entry(path) for path in paths]
    said = entries if len(entries) > 1 else entries[0]
    text = yaml.safe_dump({source: said}, sort_keys=False, allow_unicode=True, width=10_000)
    return text.splitlines()


def entry(path: LakePath) -> dict[str, Any]:
    """The keys and values that say a lake path."""
    keys = {
        "path": path.template,
        "format": path.said_format,
        "exporter": path.exporter,
        "timeFormat": path.time_format,
        "partitionBy": path.partition_by if path.partition_by != "ingest" else None,
        "columns": dict(path.columns),
        "endpoint": path.endpoint,
        "region": path.region,
        "anonymous": path.anonymous,
    }
    return {key: value for key, value in keys.items() if value}
