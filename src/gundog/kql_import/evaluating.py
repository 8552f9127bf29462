"""`evaluate bag_unpack` and `evaluate pivot`, whose columns depend on the data.

The rows do not: `bag_unpack` keeps them, `pivot` groups them. So the rows are Kusto's, and what
would be columns stays in one column of fields. A column that a later step names is taken out of it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence

from gundog.kql_import import inlining, tokens, translator
from gundog.kql_import.refusing import RefusalError, Remark
from gundog.kql_import.tokens import Token

BAG = "gundog_bag"
# Words of the language that a later step may hold beside names of columns.
_WORDS = frozenset(
    """and or not in has has_cs has_any has_all contains contains_cs startswith endswith matches
    regex between where extend project summarize by distinct sort order top take limit count asc
    desc nulls first last join kind inner innerunique leftouter rightouter fullouter leftanti
    rightanti leftsemi rightsemi on union lookup mv-expand mv-apply to typeof string long int double
    real datetime timespan dynamic bool bool guid true false null evaluate render let print parse
    with step from default project-away project-keep project-rename project-reorder hint withsource
    isfuzzy make-series serialize as materialize toscalar hasprefix hassuffix""".split()
)


def replaced(kql: str, schema: Mapping[str, list[str]]) -> tuple[str, list[Remark]]:
    """The query without these two, and what a person should know of it.

    Args:
        kql: the query, its other spellings renewed.
        schema: the columns of the source tables that it names.

    Raises:
        RefusalError: for a call that cannot be read.
    """
    remarks: list[Remark] = []
    while True:
        stream = tokens.read(kql)
        index = next((i for i in range(len(stream)) if _is_ours(stream, i)), None)
        if index is None:
            return kql, remarks
        kql, remark = _replaced(kql, stream, index, schema)
        remarks.append(remark)


def _is_ours(stream: tuple[Token, ...], index: int) -> bool:
    return (
        stream[index].text == "evaluate"
        and not stream[index].depth
        and index + 2 < len(stream)
        and stream[index + 1].text in ("bag_unpack", "pivot")
    )


def _replaced(
    kql: str, stream: tuple[Token, ...], index: int, schema: Mapping[str, list[str]]
) -> tuple[str, Remark]:
    low = next(start for start, stop in inlining.statements(stream) if start <= index < stop)
    source = low + 3 if stream[low].text == "let" else low
    before = kql[: stream[low].start] + kql[stream[source].start : stream[index - 1].start]
    columns = translator.columns_of(translator.parse(before), schema)
    end = tokens.step_end(stream, index)
    given = [
        tokens.joined(stream[start:stop]) for start, stop in tokens.arguments(stream, index + 2)
    ]
    if not given:
        raise _refused(kql, stream[index], "lacks its column")
    present = {*columns, *schema, *_named(stream[:index])}
    later = [name for name in _names(stream[end:]) if name not in present]
    make = _unpacked if stream[index + 1].text == "bag_unpack" else _pivoted
    text, remark = make(kql, stream[index], given, columns, later)
    line = tokens.line_of(kql, stream[index].start)
    return kql[: stream[index].start] + text + kql[stream[end - 1].end :], Remark(line, remark)


def _refused(kql: str, token: Token, reason: str) -> RefusalError:
    line, column = tokens.line_of(kql, token.start), tokens.column_of(kql, token.start)
    return RefusalError("evaluate", f"{reason}: write the step in another way", line, column)


def _named(stream: tuple[Token, ...]) -> set[str]:
    """Names that get a value before the step, such as those of let."""
    return {
        token.text
        for token, after in itertools.pairwise(stream)
        if token.kind == "word" and after.text == "="
    }


def _names(part: Sequence[Token]) -> list[str]:
    """Words that may name a column, each once."""
    names = []
    for place, token in enumerate(part):
        before = part[place - 1].text if place else ""
        after = part[place + 1].text if place + 1 < len(part) else ""
        is_name = token.kind == "word" and token.text not in _WORDS and token.text[0] != "$"
        if is_name and before != "." and after not in ("(", "="):
            names.append(token.text)
    return list(dict.fromkeys(names))


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else f"['{name}']"


def _plain(text: str) -> str:
    """A column's name without its brackets."""
    match = re.fullmatch(r"\[\s*['\"](.*)['\"]\s*\]", text)
    return match[1] if match else text


def _taken(bag: str, names: Collection[str], prefix: str = "") -> str:
    fields = [f"{name} = {bag}['{name[len(prefix) :]}']" for name in names]
    return f" | extend {', '.join(fields)}" if fields else ""


def _unpacked(
    kql: str, at: Token, given: Sequence[str], columns: Sequence[str], later: Sequence[str]
) -> tuple[str, str]:
    bag = _plain(given[0])
    prefix = given[1].strip("\"'") if len(given) > 1 else ""
    if bag not in columns or len(given) > 2:
        raise _refused(kql, at, "bag_unpack takes a column and a prefix here")
    names = [name for name in later if name.startswith(prefix)]
    text = "where true" + _taken(_quoted(bag), names, prefix)
    return text, f"bag_unpack: fields of {bag} that no step names stay in that column"


def _pivoted(
    kql: str, at: Token, given: Sequence[str], columns: Sequence[str], later: Sequence[str]
) -> tuple[str, str]:
    name = _plain(given[0])
    call = given[1] if len(given) > 1 else "count()"
    if name not in columns or "(" not in call:
        raise _refused(kql, at, "pivot takes a column and an aggregate")
    counted = set(re.findall(r"\w+", call))
    keys = [_plain(key) for key in given[2:]] or [
        column for column in columns if column != name and column not in counted
    ]
    by = ", ".join(map(_quoted, keys))
    made = f"pivot_{re.sub(r'[^A-Za-z0-9_]', '_', name)}"
    text = (
        f"summarize gundog_value = {call} by {by + ', ' if by else ''}"
        f"gundog_name = tostring({_quoted(name)})"
        f" | summarize {made} = {BAG}(gundog_name, gundog_value){' by ' + by if by else ''}"
        + _taken(made, [column for column in later if column not in keys])
    )
    return text, f"pivot: what would be columns are the fields of {made}"
