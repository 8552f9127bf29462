"""What a person should know of a query that was translated, each remark with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from gundog.core.times import format_duration
from gundog.kql_import import critic_words, hunt_sql, inlining, spans, tokens, translator
from gundog.kql_import.refusing import Remark
from gundog.kql_import.tokens import Token

_NAMING = frozenset({"project", "summarize", "distinct", "count", "project-keep", "project-away"})


def remarks(
    kql: str,
    parsed: Any,
    types: Mapping[str, str],
    frequency: timedelta,
    reach: timedelta,
    period: timedelta | None = None,
) -> Iterator[Remark]:
    """The remarks on a query.

    Args:
        kql: the text as its file has it.
        parsed: the translator's structure of it.
        types: the columns of its result, by name.
        frequency: how often it runs.
        reach: how far it reads back.
        period: how far back its file lets it read; None where that is not said.
    """
    stream = tokens.read(kql)
    yield from _of_result(kql, stream, types)
    yield from _of_time(kql, stream, parsed, frequency, reach)
    yield from _of_reach(kql, stream, parsed, reach, period)
    numbers = critic_words.named_spans(stream)
    for index, token in enumerate(stream):
        if token.kind == "word":
            line = tokens.line_of(kql, token.start)
            for text in critic_words.remarks(stream, index, numbers):
                yield Remark(line, text)


def _of_result(kql: str, stream: tuple[Token, ...], types: Mapping[str, str]) -> Iterator[Remark]:
    line = _line_of_step(kql, stream, _NAMING)
    if not hunt_sql.entities(types):
        yield Remark(line, "no column names a device, account, mailbox, address or app: keep one")
    if not any(kind == "TIMESTAMP" for kind in types.values()):
        yield Remark(line, "no column is a time: the times of a finding are those of its events")


def _line_of_step(kql: str, stream: tuple[Token, ...], names: frozenset[str]) -> int:
    """The line of the last such step of the last statement; of its beginning without one."""
    if not stream:
        return 0
    low, high = inlining.statements(stream)[-1]
    depth = stream[low].depth
    steps = [
        token
        for before, token in zip(stream[low:high], stream[low + 1 : high], strict=False)
        if before.text == "|" and token.depth == depth and token.text in names
    ]
    return tokens.line_of(kql, (steps[-1] if steps else stream[low]).start)


def _of_time(
    kql: str, stream: tuple[Token, ...], parsed: Any, frequency: timedelta, reach: timedelta
) -> Iterator[Remark]:
    if reach == frequency and not spans.reads_clock(parsed):
        span = format_duration(frequency)
        yield Remark(
            _line_of_step(kql, stream, frozenset()),
            f"no time bound: it sees the {span} of its interval and nothing before",
        )
    if reach > frequency and _counts(parsed, {}):
        yield Remark(
            _line_of_step(kql, stream, frozenset({"summarize", "count", "make-series"})),
            f"counts over {format_duration(reach)} and runs every {format_duration(frequency)}:"
            " the same thing may be counted on several nights",
        )


def _counts(query: Any, lets: Mapping[str, Any]) -> bool:
    """True where rows of the result come from a count; a list that only filters them is none."""
    ir = translator.ir
    named = {**lets, **dict(query.lets)}
    read = [named.get(query.source.name)] if isinstance(query.source, ir.TableRef) else []
    for step in query.operators:
        if isinstance(step, (ir.Summarize, ir.Count)):
            return True
        if isinstance(step, (ir.Join, ir.Lookup)) and step.kind not in ("leftsemi", "leftanti"):
            read.append(step.right)
        elif isinstance(step, ir.Union):
            read += step.branches
    return any(isinstance(inner, ir.Query) and _counts(inner, named) for inner in read)


def _of_reach(
    kql: str,
    stream: tuple[Token, ...],
    parsed: Any,
    reach: timedelta,
    period: timedelta | None,
) -> Iterator[Remark]:
    """Windows that are longer than what the query reads."""
    window = spans.widest(parsed)
    if window > reach:
        yield Remark(
            _line_of_span(kql, stream, window),
            f"looks for events up to {format_duration(window)} apart and reads back only"
            f" {format_duration(reach)}: it misses the rest, let it read back farther",
        )
    back = spans.farthest(parsed)
    if period is not None and back > period:
        yield Remark(
            _line_of_span(kql, stream, back),
            f"reads back {format_duration(back)}, and its period is {format_duration(period)}:"
            " in Sentinel it sees the period only, here all of it",
        )


def _line_of_span(kql: str, stream: tuple[Token, ...], span: timedelta) -> int:
    """The line that writes a timespan; of the query's last statement where no token is it."""
    for token in stream:
        if token.kind == "number" and translator.span_of(token.text) == span:
            return tokens.line_of(kql, token.start)
    return _line_of_step(kql, stream, frozenset())
