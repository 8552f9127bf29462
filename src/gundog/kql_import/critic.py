"""What a person should know of a query that was translated, each remark with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from gundog.core.times import format_duration
from gundog.kql_import import hunt_sql, spans, tokens, translator
from gundog.kql_import.refusing import Remark
from gundog.kql_import.source_columns import TIME_NAMES
from gundog.kql_import.tokens import Token

_NAMES = frozenset(
    "FileName InitiatingProcessFileName AccountName DeviceName ProcessCommandLine FolderPath"
    " InitiatingProcessCommandLine InitiatingProcessAccountName AccountDomain AccountUpn"
    " UserPrincipalName RecipientEmailAddress SenderFromAddress".split()
)


def remarks(
    kql: str,
    parsed: Any,
    types: Mapping[str, str],
    frequency: timedelta,
    reach: timedelta,
) -> Iterator[Remark]:
    """The remarks on a query.

    Args:
        kql: the text as its file has it.
        parsed: the translator's structure of it.
        types: the columns of its result, by name.
        frequency: how often it runs.
        reach: how far it reads back.
    """
    stream = tokens.read(kql)
    yield from _of_result(types)
    yield from _of_time(parsed, frequency, reach)
    for index, token in enumerate(stream):
        if token.kind == "word":
            line = tokens.line_of(kql, token.start)
            for text in _of_word(stream, index):
                yield Remark(line, text)


def _of_result(types: Mapping[str, str]) -> Iterator[Remark]:
    if not hunt_sql.entities(types):
        yield Remark(0, "no column names a device, account, mailbox, address or app: keep one")
    if not any(kind == "TIMESTAMP" for kind in types.values()):
        yield Remark(0, "no column is a time: the times of a finding are those of its events")


def _of_time(parsed: Any, frequency: timedelta, reach: timedelta) -> Iterator[Remark]:
    if reach == frequency and not spans.reads_clock(parsed):
        span = format_duration(frequency)
        yield Remark(0, f"no time bound: it sees the {span} of its interval and nothing before")
    ir = translator.ir
    steps = [
        node for node in translator.nodes(parsed) if isinstance(node, (ir.Summarize, ir.Count))
    ]
    if reach > frequency and steps:
        yield Remark(
            0,
            f"counts over {format_duration(reach)} and runs every {format_duration(frequency)}:"
            " the same thing may be counted on several nights",
        )


def _of_word(stream: tuple[Token, ...], index: int) -> Iterator[str]:
    word = stream[index].text
    following = stream[index + 1].text if index + 1 < len(stream) else ""
    before = stream[index - 1].text if index else ""
    if word == "bin" and following == "(":
        yield from _of_bin(stream, index)
    elif word == "join" and before == "|":
        yield from _of_join(stream, index)
    elif word in ("take", "limit") and before == "|":
        yield f"{word} {following} drops all other rows: which are kept is arbitrary in Kusto"
    elif word == "top" and before == "|":
        yield f"top {following} drops all other rows"
    elif word in ("any", "take_any", "anyif", "take_anyif") and following == "(":
        yield f"{word} gives an arbitrary value in Kusto, here always the smallest"
    elif word in ("make_list", "makelist", "make_list_if") and following == "(":
        yield f"{word} is sorted by its values here, not by the rows before it"
    elif word in ("arg_max", "arg_min", "argmax", "argmin") and following == "(":
        yield f"{word}: which of several rows with the same value is taken is arbitrary"
    elif word in ("dcount", "dcountif", "percentile", "percentiles") and following == "(":
        yield f"{word} is exact here, and an estimate in Kusto"
    elif word == "has" and index + 1 < len(stream):
        yield from _of_has(stream[index + 1])
    elif word in _NAMES and following == "==" and index + 2 < len(stream):
        if stream[index + 2].kind == "text":
            yield f"{word} == looks at case: write =~ if the case may vary"
    elif word == "make-series":
        yield (
            "every row of the series is found again in each night that still reads it: for a new"
            " hunt, gundog new series NAME scores only the hours of the night"
        )
    elif word == "series_decompose_anomalies" and following == "(":
        yield from _of_anomalies(stream, index)
    elif word in ("ingestion_time",):
        yield "ingestion_time() is the time of the event here"


def _of_anomalies(stream: tuple[Token, ...], index: int) -> Iterator[str]:
    given = tokens.arguments(stream, index + 1)
    is_tested = len(given) > 4 and stream[given[4][0]].text != "0"
    if not is_tested:
        yield (
            "series_decompose_anomalies scores the points that it learns from: what lasts for more"
            " than a tenth of them looks usual; give test_points, or score a series of gundog"
        )


def _of_bin(stream: tuple[Token, ...], index: int) -> Iterator[str]:
    spans_ = tokens.arguments(stream, index + 1)
    if len(spans_) != 2 or stream[spans_[0][0]].text not in TIME_NAMES:
        return
    width = stream[spans_[1][0]].text
    yield (
        f"bin(…, {width}) cuts at fixed edges: two events a gap apart are in different bins with"
        " the chance gap / width"
    )


def _of_join(stream: tuple[Token, ...], index: int) -> Iterator[str]:
    end = tokens.step_end(stream, index)
    step = stream[index:end]
    depth = stream[index].depth
    words = [token.text for token in step if token.depth == depth]
    if "kind" not in words:
        yield (
            "join without kind is innerunique: of the left rows with one key a single one is kept,"
            " here always the first of a fixed order"
        )
    if "on" in words and set(TIME_NAMES) & set(words[words.index("on") :]):
        yield "join on a raw time: only events at the same 100 ns meet"


def _of_has(needle: Token) -> Iterator[str]:
    text = needle.text.strip("@hH").strip("\"'")
    if needle.kind == "text" and text and not text[-1].isalnum() and text[-1] not in "\"'":
        return
    if needle.kind == "text" and len(text) < 3:
        yield f"has {needle.text} looks for a whole word of {len(text)} letters"
