"""What exporters call columns, where that differs from Defender's own names.

Nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from gundog.lake import columns
from gundog.lake.path import AZURE_DATA_EXPLORER, LOG_ANALYTICS

TIME = "Timestamp"
# Log Analytics adds the type to the name of a custom column: text, GUID, number, time, boolean.
_SUFFIXES = ("_s", "_g", "_d", "_t", "_b")
# What its portal adds to a time, and what flattening an envelope puts before a name.
_IN_UTC = " [UTC]"
_PREFIXES = ("properties_", "properties.")
_SENT = "TimeGenerated"
# One such name may be anybody's.
_LEAST = 2
_KNOWN = (LOG_ANALYTICS, AZURE_DATA_EXPLORER)


def other_names(exporter: str, name: str) -> tuple[tuple[str, ...], ...]:
    """What an exporter may call a column of the source, best first; names of one rank are equal.

    >>> other_names("log-analytics", "AppId")[0]
    ('AppId_s', 'AppId_g', 'AppId_d', 'AppId_t', 'AppId_b', 'AppId [UTC]')
    """
    if exporter not in _KNOWN:
        return ()
    ranks = [_spellings(exporter, name)]
    if name == TIME:
        ranks += [(_SENT,), _spellings(exporter, _SENT)]
    return tuple(ranks)


def _spellings(exporter: str, name: str) -> tuple[str, ...]:
    if exporter == LOG_ANALYTICS:
        return (*(name + suffix for suffix in _SUFFIXES), name + _IN_UTC)
    return (*(prefix + name for prefix in _PREFIXES), name + _IN_UTC)


def aliases(
    names: Sequence[str],
    source: str,
    wanted: Iterable[str],
    said: Mapping[str, str],
    exporter: str,
) -> dict[str, str]:
    """The files' column name by the source's: what was said, and what the exporter calls others.

    A column that is there under the name that was said, or under the source's own, stays.

    Args:
        names: the columns that a file has.
        source: the source table, for messages.
        wanted: the source's columns.
        said: the names in gundog.yaml.
        exporter: who wrote the file, one of `gundog.lake.path.EXPORTERS` or empty.

    Raises:
        DoubledColumnError: when a file has several names of one rank for a column.
    """
    renamed = dict(said)
    for name in wanted if exporter in _KNOWN else ():
        if columns.find(names, source, name, said) is None:
            other = _other(names, source, name, exporter)
            if other is not None:
                renamed[name] = other
    return renamed


def _other(names: Sequence[str], source: str, name: str, exporter: str) -> str | None:
    for rank in other_names(exporter, name):
        folded = {spelling.lower() for spelling in rank}
        like = sorted({held for held in names if held.lower() in folded})
        if len(like) > 1:
            raise columns.DoubledColumnError(
                f"the file has {len(like)} columns for {name} of {source}: {' and '.join(like)}:"
                " name one of them under columns: in gundog.yaml"
            )
        if like:
            return like[0]
    return None


def guess(missing: Collection[str], extra: Collection[str]) -> str:
    """The exporter whose names several columns have that seem to be missing; empty without one.

    Args:
        missing: the source's columns that a file has under no name.
        extra: the file's columns that the source does not know.
    """
    held = {name.lower() for name in extra}
    best, most = "", _LEAST - 1
    for exporter in _KNOWN:
        names = [_spellings(exporter, name) for name in (*missing, _SENT)]
        count = sum(any(name.lower() in held for name in spelled) for spelled in names)
        if count > most:
            best, most = exporter, count
    return best
