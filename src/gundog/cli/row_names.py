"""Which source tables the rows of a file belong to, by what they say and by their columns."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from gundog.cli import lake_suggestions
from gundog.lake import columns, fetch, json_text, template_guess
from gundog.lake.file_version import FileVersion
from gundog.lake.path import JSON, LakePath
from gundog.run.run import Project
from gundog.staging import reading
from gundog.warehouse import database, quoting

# So much of a file's names must be a table's, and more than of any other table.
_ENOUGH, _LEAST = 0.5, 3
# Of tables with equally many the one that has few columns besides.
_WHOLE = 0.8
_UNPACKED = 8


def tables(project: Project, path: LakePath, file: FileVersion) -> tuple[Sequence[str], str]:
    """The source tables whose rows a file holds, or none and why.

    Raises:
        StoreError: when the store does not give the file.
    """
    sources = project.content.sources
    try:
        said, names = _names(project, path, file)
    except reading.FAILURES as error:
        return [], str(error).splitlines()[0]
    named = [name for name in said if name in sources]
    if named:
        return named, ""
    if said:
        return [], f"rows of {_some(said)}, which gundog has no source table for"
    held = {name: [column for column, _ in source.columns] for name, source in sources.items()}
    likely = _likely(names, held)
    if len(likely) == 1:
        return likely, ""
    if likely:
        return [], f"its columns may be those of {_some(likely)}: name one in gundog.yaml"
    return [], f"its columns are those of no source table: {_some(names)}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (", …" if len(names) > 6 else "")


def _names(project: Project, path: LakePath, file: FileVersion) -> tuple[list[str], list[str]]:
    """The tables that rows name, and the names of their columns."""
    memory = project.settings.memory_limit
    with tempfile.TemporaryDirectory(prefix="gundog-") as scratch:
        folder = Path(scratch)
        only = None if path.format == JSON else frozenset[str]()
        with fetch.local_copy(file, [path], folder, project.environ, only) as local:
            if path.format != JSON:
                return [], columns.schema(local).names
            return _of_lines(project, local, folder, file.size, memory)


def is_json(project: Project, path: LakePath, file: FileVersion) -> bool:
    """True for JSON lines, plain or packed, behind a name that does not say so."""
    with (
        tempfile.TemporaryDirectory(prefix="gundog-") as scratch,
        fetch.local_copy(file, [path], Path(scratch), project.environ) as local,
        local.open("rb") as opened,
    ):
        return opened.read(4).lstrip(b"\xef\xbb\xbf \n")[:1] in (b"{", b"\x1f", b"\x28")


def _of_lines(
    project: Project, local: Path, folder: Path, size: int, memory: int
) -> tuple[list[str], list[str]]:
    text = folder / "text.ndjson"
    json_text.copy(local, text, size, memory * _UNPACKED)
    objects = (
        f"(select json from read_ndjson_objects({quoting.text(str(text))}, ignore_errors = true,"
        " compression = 'none') where json is not null)"
    )
    unwrapped = (
        "(select unnest(case when json_type(json, '$.records') = 'ARRAY'"
        f" then json_extract(json, '$.records[*]') else [json] end) as json from {objects})"
    )
    with database.connect(memory_limit=f"{memory}B", temp_directory=str(folder / "spill")) as con:
        said = con.execute(
            f"""select distinct coalesce(json ->> '$.category', json ->> '$.Type') as name
                from {unwrapped} where name <> '' order by name"""
        ).fetchall()
        names = con.execute(
            f"""select distinct unnest(json_keys(coalesce(
                    case when json_type(json, '$.properties') = 'OBJECT'
                         then json_extract(json, '$.properties') end, json))) as name
                from {unwrapped} order by name"""
        ).fetchall()
    kept = [template_guess.table_of(name, project.content.sources) or name for (name,) in said]
    return kept, [name for (name,) in names]


def _likely(names: Iterable[str], tables: dict[str, list[str]]) -> list[str]:
    """The tables that have the most of these columns; several where they have as many."""
    held = {lake_suggestions.plain(name) for name in names}
    scores = {
        name: len(held & {lake_suggestions.plain(column) for column in wanted})
        for name, wanted in tables.items()
    }
    most = max(scores.values(), default=0)
    if most < max(_LEAST, _ENOUGH * len(held)):
        return []
    best = [name for name, score in scores.items() if score == most]
    whole = [name for name in best if most >= _WHOLE * len(tables[name])]
    return whole if len(whole) == 1 else sorted(best)
