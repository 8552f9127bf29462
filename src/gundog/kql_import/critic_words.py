"""What a person should know of single words of a query: operators and functions at their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from gundog.core.times import format_duration
from gundog.core.wording import count
from gundog.kql_import import tokens, translator
from gundog.kql_import.source_columns import TIME_NAMES
from gundog.kql_import.tokens import Token

_NAMES = frozenset(
    "FileName InitiatingProcessFileName AccountName DeviceName ProcessCommandLine FolderPath"
    " InitiatingProcessCommandLine InitiatingProcessAccountName AccountDomain AccountUpn"
    " UserPrincipalName RecipientEmailAddress SenderFromAddress".split()
)
_WORDS = frozenset({"has", "has_cs", "has_any", "has_all"})
_LEAST_GAP = timedelta(seconds=4)
Spans = Mapping[str, timedelta]
_SIMPLE = {
    "any": "{} gives an arbitrary value in Kusto, here always the smallest",
    "make_list": "{} is sorted by its values here, not by the rows before it",
    "arg_max": "{}: which of several rows with the same value is taken is arbitrary",
    "dcount": "{} is exact here, and an estimate in Kusto",
}
_SAME = {
    "take_any": "any", "anyif": "any", "take_anyif": "any",
    "makelist": "make_list", "make_list_if": "make_list",
    "arg_min": "arg_max", "argmax": "arg_max", "argmin": "arg_max",
    "dcountif": "dcount", "percentile": "dcount", "percentiles": "dcount",
}  # fmt: skip


def named_spans(stream: tuple[Token, ...]) -> Spans:
    """The timespans that `let name = 1h;` gives, by name."""
    return {
        stream[index + 1].text: span
        for index, token in enumerate(stream[:-3])
        if token.text == "let"
        and stream[index + 2].text == "="
        and (index + 4 == len(stream) or stream[index + 4].text == ";")
        and (span := translator.span_of(stream[index + 3].text))
    }


def remarks(stream: tuple[Token, ...], index: int, named: Spans) -> Iterator[str]:
    """The remarks on one word.

    Args:
        stream: the query's tokens.
        index: the place of the word.
        named: what `named_spans` gives.
    """
    word = stream[index].text
    following = stream[index + 1].text if index + 1 < len(stream) else ""
    if following == "(":
        yield from _of_call(stream, index, named)
    if index and stream[index - 1].text == "|":
        yield from _of_step(stream, index, following)
    if word in _WORDS and following:
        yield from _of_has(stream, index)
    elif word in _NAMES and index + 2 < len(stream):
        yield from _of_name(stream, index)


def _of_call(stream: tuple[Token, ...], index: int, named: Spans) -> Iterator[str]:
    word = stream[index].text
    if word in ("bin", "startofday"):
        yield from _of_bin(stream, index, named)
    elif (kind := _SAME.get(word, word)) in _SIMPLE:
        yield _SIMPLE[kind].format(word)
    elif word == "series_decompose_anomalies":
        yield from _of_anomalies(stream, index)
    elif word == "ingestion_time":
        yield "ingestion_time() is the time of the event here"


def _of_step(stream: tuple[Token, ...], index: int, following: str) -> Iterator[str]:
    word = stream[index].text
    if word == "join":
        yield from _of_join(stream, index)
    elif word in ("take", "limit"):
        yield f"{word} {following} drops all other rows: which are kept is arbitrary in Kusto"
    elif word == "top":
        yield f"top {following} drops all other rows"
    elif word == "make-series":
        yield (
            "every row of the series is found again in each night that still reads it: for a new"
            " hunt, a series detection scores only the hours of the night"
        )


def _of_anomalies(stream: tuple[Token, ...], index: int) -> Iterator[str]:
    given = tokens.arguments(stream, index + 1)
    is_tested = len(given) > 4 and stream[given[4][0]].text != "0"
    if not is_tested:
        yield (
            "series_decompose_anomalies scores the points that it learns from: what lasts for more"
            " than a tenth of them looks usual; give test_points, or let gundog import --rewrite"
            " begin a series that learns from the weeks before"
        )


def _of_bin(stream: tuple[Token, ...], index: int, named: Spans) -> Iterator[str]:
    """The share of pairs that fall into two bins: gap / width, for gaps within the width."""
    word, given = stream[index].text, tokens.arguments(stream, index + 1)
    if not given or stream[given[0][0]].text not in TIME_NAMES or given[0][1] - given[0][0] > 1:
        return
    if word == "startofday":
        text, width = "1d", timedelta(days=1)
    elif len(given) == 2:
        text = tokens.joined(stream[given[1][0] : given[1][1]])
        width = named.get(text) or translator.span_of(text) or timedelta()
    else:
        return
    call = f"{word}(…, {text})" if word == "bin" else f"{word}(…)"
    if width < _LEAST_GAP:
        yield f"{call} cuts at fixed edges: a pair is missed with the chance gap / width"
        return
    quarter, half = format_duration(width / 4), format_duration(width / 2)
    yield (
        f"{call} cuts at fixed edges: a pair {quarter} apart in bins of {format_duration(width)} is"
        f" missed 25 % of the time, one {half} apart 50 %"
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


def _of_has(stream: tuple[Token, ...], index: int) -> Iterator[str]:
    """Searches for whole words that look like searches for pieces of them."""
    word, column = stream[index].text, stream[index - 1].text
    others = [needle for place in _searches(stream, index) for needle in _needles(stream, place)]
    for needle in _needles(stream, index):
        text = needle.strip("@hH").strip("\"'")
        switch = text[:1] in "-/" and text[1:].isalpha()
        if len(text) < 3:
            yield f"{word} {needle} looks for a whole word of {count(len(text), 'letter')}"
        elif switch and len(text) < 7:
            yield f"{word} {needle} looks for a whole word: it misses longer forms of the switch"
        elif column == "ActionType" and text.isalpha() and not text.islower():
            yield f"{word} {needle} looks for a whole word: not within a longer action type"
        elif longer := next((o for o in others if _is_within(text, o)), ""):
            yield f"{word} {needle} looks for a whole word: it misses {longer}, write contains"


def _searches(stream: tuple[Token, ...], index: int) -> list[int]:
    """The other operators that look for words in the same column."""
    return [
        place
        for place in range(1, len(stream) - 1)
        if stream[place].text in _WORDS
        and stream[place - 1].text == stream[index - 1].text
        and place != index
    ]


def _needles(stream: tuple[Token, ...], index: int) -> list[str]:
    """The texts that an operator looks for."""
    following = stream[index + 1]
    if following.kind == "text":
        return [following.text]
    if following.text != "(":
        return []
    part = stream[index + 2 : tokens.closing(stream, index + 1)]
    return [token.text for token in part if token.kind == "text"]


def _is_within(text: str, other: str) -> bool:
    """True where a word of the other text holds the text, and is not it."""
    words = "".join(c if c.isalnum() else " " for c in other).lower().split()
    return text.isalnum() and any(text.lower() in w and text.lower() != w for w in words)


def _of_name(stream: tuple[Token, ...], index: int) -> Iterator[str]:
    """Exact comparisons of names, whose case varies from host to host."""
    word, sign, value = (token.text for token in stream[index : index + 3])
    listed = [token.kind for token in stream[index + 3 : index + 4]]
    if sign == "==" and stream[index + 2].kind == "text":
        yield f"{word} == looks at case: write =~ if the case may vary"
    elif (sign, value) == ("in", "(") and listed == ["text"]:
        yield f"{word} in looks at case: write in~ if the case may vary"
