"""A query's text made ready for the translator: old spellings renewed, traps refused.

Every change keeps the lines, so that what the translator says of a place holds for the original.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gundog.kql_import import applying, evaluating, inlining, series_text, tokens
from gundog.kql_import.refusing import RefusalError, Remark
from gundog.kql_import.tokens import Token

_ALIASES = {
    "makeset": "make_set",
    "makelist": "make_list",
    "argmax": "arg_max",
    "argmin": "arg_min",
    "notcontains": "!contains",
    "notcontains_cs": "!contains_cs",
    "mvexpand": "mv-expand",
    "parsejson": "parse_json",
    "pack_dictionary": "bag_pack",
}
# What needs a list or a service that no lake holds.
_OUTSIDE = {
    "externaldata": "reads a list from the web: write it as dynamic([…])",
    "external_data": "reads a list from the web: write it as dynamic([…])",
    "_GetWatchlist": "reads a watchlist of Sentinel: write it as dynamic([…])",
    "_GetWatchlistAlias": "reads a watchlist of Sentinel: write it as dynamic([…])",
    "workspace": "reads another workspace: give its tables as sources of their own",
}
# Functions whose values no SQL here can give.
_UNLIKE = dict.fromkeys(
    ("hash", "hash_xxhash64"), "is xxHash64, which DuckDB lacks: use hash_sha256 or hash_md5"
) | {"parse_user_agent": "needs a list of browsers, which changes: look for words with has"}
_SEARCHES = frozenset({"search", "find"})
_EXPANDED = frozenset({"parse_json", "todynamic", "split", "extract_all"})
_PROFILE = {
    "GlobalPrevalence": "long", "GlobalFirstSeen": "datetime", "GlobalLastSeen": "datetime",
    "Signer": "string", "Issuer": "string", "SignerHash": "string", "IsCertificateValid": "bool",
    "IsRootSignerMicrosoft": "bool", "SignatureState": "string", "IsExecutable": "bool",
    "ThreatName": "string", "Publisher": "string", "SoftwareName": "string",
    "ProfileAvailability": "string",
}  # fmt: skip
_KINDS = frozenset({"string", "int", "long", "bool", "datetime", "double"})
_MARKED, _START = "gundog_parsed", "\u2402"
_UNICODE = re.compile(r"(?<!\\)((?:\\\\)*)\\u([0-9a-fA-F]{4})")


@dataclass(frozen=True)
class Prepared:
    """A text that the translator may be given.

    Args:
        kql: the text.
        order: the columns that come first in the result; empty for the query's own order.
        stand_ins: columns that are null here, by what would fill them.
        remarks: what was changed and changes what a reader sees.
    """

    kql: str
    order: tuple[str, ...] = ()
    stand_ins: tuple[tuple[str, str], ...] = ()
    remarks: tuple[Remark, ...] = ()


_Edit = tuple[int, int, str]


def prepare(kql: str, schema: Mapping[str, list[str]] | None = None) -> Prepared:
    """The query's text with old spellings renewed.

    Args:
        kql: the query.
        schema: the columns of the source tables that it names.

    Raises:
        RefusalError: for what the translator would read wrongly or nobody can supply here.
    """
    stream = tokens.read(kql)
    for refuse in (_refuse_traps, _refuse_outside, _refuse_named_arguments):
        refuse(kql, stream)
    schema = schema or {}
    kql = inlining.inlined(kql, {name for columns in schema.values() for name in columns})
    kql = _edited(kql, list(series_text.edits(kql, tokens.read(kql))))
    stream = tokens.read(kql)
    remarks: list[Remark] = []
    stand_ins: list[tuple[str, str]] = []
    edits = [*_aliases(stream), *_texts(stream), *_expanded(stream), *_parentheses(stream)]
    reordered, order = _reorders(stream)
    edits += reordered
    edits += [*_adjacent(kql, stream, remarks), *_extracted(stream), *applying.applied(stream)]
    edits += [*_counts(stream), *_parsed(kql, stream)]
    edits += _profiles(kql, stream, stand_ins, remarks)
    kql, told = evaluating.replaced(_edited(kql, edits), schema)
    return Prepared(kql, order, tuple(stand_ins), (*remarks, *told))


def _edited(kql: str, edits: list[_Edit]) -> str:
    """The text with pieces replaced; line breaks of a piece are kept behind what replaces it."""
    out, place = [], 0
    for start, end, text in sorted(edits):
        if start < place:
            continue
        out += [kql[place:start], text, "\n" * kql.count("\n", start, end)]
        place = end
    return "".join([*out, kql[place:]])


def _at(kql: str, token: Token, cause: str, reason: str) -> RefusalError:
    place = token.start
    return RefusalError(cause, reason, tokens.line_of(kql, place), tokens.column_of(kql, place))


def _refuse_traps(kql: str, stream: tuple[Token, ...]) -> None:
    """Texts that the translator reads otherwise than Kusto."""
    before: Token | None = None
    for token in stream:
        if token.kind == "fence":
            raise _at(kql, token, token.text[-3:], "is a text of several lines: write it in quotes")
        if before is not None and before.kind == token.kind == "text" and _differ(before, token):
            raise _at(kql, token, "adjacent texts", "are joined by Kusto: write one text")
        before = token


def _refuse_outside(kql: str, stream: tuple[Token, ...]) -> None:
    for index, token in enumerate(stream[:-1]):
        reason = (_OUTSIDE | _UNLIKE).get(token.text)
        if token.kind == "word" and reason and stream[index + 1].text == "(":
            raise _at(kql, token, token.text, reason)
        before = stream[index - 1].text if index else ";"
        if token.text in _SEARCHES and (before in "|;" or _is_bound(stream, index)):
            reason = "looks into all columns: name a table and its column in where"
            raise _at(kql, token, token.text, reason)


def _is_bound(stream: tuple[Token, ...], index: int) -> bool:
    """True for what `let name =` stands before."""
    return index > 2 and stream[index - 1].text == "=" and stream[index - 3].text == "let"


def _refuse_named_arguments(kql: str, stream: tuple[Token, ...]) -> None:
    """Calls of let functions by argument name: the translator reads them by place."""
    functions = {
        stream[index + 1].text
        for index, token in enumerate(stream[:-3])
        if token.text == "let" and stream[index + 2].text == "=" and stream[index + 3].text == "("
    }
    for index, token in enumerate(stream[:-1]):
        if token.text not in functions or stream[index + 1].text != "(":
            continue
        for low, high in tokens.arguments(stream, index + 1):
            if high - low > 1 and stream[low].kind == "word" and stream[low + 1].text == "=":
                raise _at(
                    kql, stream[low], f"{token.text}({stream[low].text} = …)",
                    "names an argument: give the arguments in their order",
                )  # fmt: skip


def _aliases(stream: tuple[Token, ...]) -> Iterator[_Edit]:
    for token in stream:
        if token.kind == "word" and token.text.lower() in _ALIASES:
            yield token.start, token.end, _ALIASES[token.text.lower()]


def _texts(stream: tuple[Token, ...]) -> Iterator[_Edit]:
    r"""`\u0041` in a text becomes the letter, which the translator would not read."""

    def letter(match: re.Match[str]) -> str:
        char = chr(int(match[2], 16))
        return match[1] + (f"\\{char}" if char in "\"'\\" else char)

    for token in stream:
        if token.kind == "text" and "@" not in token.text[:2] and _UNICODE.search(token.text):
            yield token.start, token.end, _UNICODE.sub(letter, token.text)


def _differ(before: Token, token: Token) -> bool:
    """True for two texts that are not written in the same way, which is not joined here."""
    return before.text[0] != token.text[0] or token.text[0] not in "\"'"


def _adjacent(kql: str, stream: tuple[Token, ...], remarks: list[Remark]) -> Iterator[_Edit]:
    """Texts side by side as the single text that Kusto reads."""
    group: list[Token] = []
    for token in (*stream, None):
        if token is not None and token.kind == "text":
            group.append(token)
            continue
        if len(group) > 1:
            line = tokens.line_of(kql, group[1].start)
            told = "two texts side by side are one text: a comma may be missing"
            remarks.append(Remark(line, told))
            joined = "".join(part.text[1:-1] for part in group)
            yield group[0].start, group[-1].end, f"{group[0].text[0]}{joined}{group[0].text[0]}"
        group = []


def _extracted(stream: tuple[Token, ...]) -> Iterator[_Edit]:
    """`extractjson("$.a.b", x, typeof(string))` as `tostring(parse_json(x).a.b)`."""
    for index, token in enumerate(stream[:-1]):
        if token.text.lower() not in ("extractjson", "extract_json"):
            continue
        parts = tokens.arguments(stream, index + 1)
        if len(parts) < 2:
            continue
        path, column = stream[parts[0][0]].text[1:-1], stream[parts[1][0] : parts[1][1]]
        kind = "string"
        if len(parts) > 2:
            kind = stream[parts[2][1] - 2].text
        if not re.fullmatch(r"\$(\.\w+)+", path) or len(column) != 1 or kind not in _KINDS:
            continue
        end = tokens.closing(stream, index + 1)
        made = f"to{kind}(parse_json({column[0].text}){path[1:]})"
        yield token.start, stream[end].end, made


def _counts(stream: tuple[Token, ...]) -> Iterator[_Edit]:
    """`top n by x` and `take n` with the number that `let n = 5` gives."""
    numbers = {
        stream[index + 1].text: stream[index + 3].text
        for index, token in enumerate(stream[:-3])
        if token.text == "let"
        and stream[index + 2].text == "="
        and stream[index + 3].kind == "number"
        and (index + 4 == len(stream) or stream[index + 4].text == ";")
    }
    for index, token in enumerate(stream[:-1]):
        following = stream[index + 1]
        is_step = token.text in ("top", "take", "limit") and stream[index - 1].text == "|"
        if is_step and following.text in numbers:
            yield following.start, following.end, numbers[following.text]


def _parsed(kql: str, stream: tuple[Token, ...]) -> Iterator[_Edit]:
    r"""`parse x with a "," b`, whose pattern begins with a column, with a mark before its text.

    The translator wants a text at the beginning of a pattern; a mark that both begin with is one.
    """
    for index, token in enumerate(stream):
        if token.text not in ("parse", "parse-where") or stream[index - 1].text != "|":
            continue
        step = stream[index : tokens.step_end(stream, index)]
        depth = token.depth
        with_ = [i for i, p in enumerate(step) if p.text == "with" and p.depth == depth]
        is_plain = bool(with_) and step[1].text != "kind" and with_[0] + 1 < len(step)
        if not is_plain or step[with_[0] + 1].kind != "word":
            continue
        first, last = step[1], step[with_[0] - 1]
        value = kql[first.start : last.end]
        made = f"extend {_MARKED} = strcat('{_START}', {value}) | {token.text} {_MARKED}"
        yield token.start, last.end, made
        yield step[with_[0]].end, step[with_[0]].end, f" '{_START}'"
        yield step[-1].end, step[-1].end, f" | project-away {_MARKED}"


def _expanded(stream: tuple[Token, ...]) -> Iterator[_Edit]:
    """`mv-expand f(x)` as `mv-expand x = f(x)`, which is how Kusto names the column."""
    for index, token in enumerate(stream[:-3]):
        if token.text not in ("mv-expand", "mvexpand"):
            continue
        call, bracket, column = stream[index + 1 : index + 4]
        if call.text in _EXPANDED and bracket.text == "(" and column.kind == "word":
            yield call.start, call.start, f"{column.text} = "


def _parentheses(stream: tuple[Token, ...]) -> Iterator[_Edit]:
    """`(T | where x) | y` as `T | where x | y`, where it is the whole source."""
    for index, token in enumerate(stream):
        before = stream[index - 1].text if index else ";"
        starts = token.depth == 0 and (before == ";" or _is_bound(stream, index))
        if not starts or token.text != "(":
            continue
        end = tokens.closing(stream, index)
        inner = stream[index + 1 : end]
        if end + 1 < len(stream) and stream[end + 1].text not in ("|", ";"):
            continue
        # A bracket may also hold a value, or the parameters of a function.
        is_piped = end + 1 < len(stream) and any(part.text == "|" for part in inner)
        if not is_piped and not (inner and inner[0].text == "union"):
            continue
        yield token.start, token.end, " "
        yield stream[end].start, stream[end].end, " "


def _reorders(stream: tuple[Token, ...]) -> tuple[list[_Edit], tuple[str, ...]]:
    """project-reorder moves columns and changes no row: it is left out, the order is kept."""
    edits, order = list[_Edit](), tuple[str, ...]()
    for index, token in enumerate(stream):
        if token.text == "project-keep":
            end = tokens.step_end(stream, index)
            if not any(part.text == "*" for part in stream[index:end]):
                edits.append((token.start, token.end, "project"))
        if token.text != "project-reorder" or index == 0 or stream[index - 1].text != "|":
            continue
        end = tokens.step_end(stream, index)
        last = stream[end - 1]
        edits.append((stream[index - 1].start, last.end, ""))
        if token.depth == 0:
            named = [
                part.text.strip("\"'")
                for part in stream[index + 1 : end]
                if part.kind in ("word", "text") and part.text.lower() not in ("asc", "desc")
            ]
            order = tuple(dict.fromkeys([*named, *order]))
    return edits, order


def _profiles(
    kql: str,
    stream: tuple[Token, ...],
    stand_ins: list[tuple[str, str]],
    remarks: list[Remark],
) -> Iterator[_Edit]:
    """`invoke FileProfile(…)` as null columns of its names, those that the query uses."""
    used = {token.text for token in stream if token.kind == "word"}
    for index, token in enumerate(stream[:-1]):
        if token.text != "invoke" or stream[index + 1].text.lower() != "fileprofile":
            continue
        end = tokens.step_end(stream, index)
        columns = {name: kind for name, kind in _PROFILE.items() if name in used}
        columns = columns or {"GlobalPrevalence": "long"}
        stand_ins += [(name, "FileProfile") for name in columns]
        told = "FileProfile is Microsoft's cloud: its columns are null here"
        remarks.append(Remark(tokens.line_of(kql, token.start), told))
        nulls = ", ".join(
            f"{name} = " + ("''" if kind == "string" else f"{kind}(null)")
            for name, kind in columns.items()
        )
        yield token.start, stream[end - 1].end, f"extend {nulls}"
