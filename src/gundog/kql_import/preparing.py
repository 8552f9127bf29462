"""A query's text made ready for the translator: old spellings renewed, traps refused.

Every change keeps the lines, so that what the translator says of a place holds for the original.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gundog.kql_import import tokens
from gundog.kql_import.refusing import RefusalError, Remark
from gundog.kql_import.tokens import Token

_ALIASES = {
    "makeset": "make_set",
    "makelist": "make_list",
    "argmax": "arg_max",
    "argmin": "arg_min",
    "count_distinct": "dcount",
    "count_distinctif": "dcountif",
    "notcontains": "!contains",
    "notcontains_cs": "!contains_cs",
    "mvexpand": "mv-expand",
    "parsejson": "parse_json",
}
# What needs a list or a service that no lake holds.
_OUTSIDE = {
    "externaldata": "reads a list from the web: write it as dynamic([…])",
    "external_data": "reads a list from the web: write it as dynamic([…])",
    "_GetWatchlist": "reads a watchlist of Sentinel: write it as dynamic([…])",
    "_GetWatchlistAlias": "reads a watchlist of Sentinel: write it as dynamic([…])",
    "workspace": "reads another workspace: give its tables as sources of their own",
}
_EXPANDED = frozenset({"parse_json", "todynamic", "split", "extract_all"})
_PROFILE = {
    "GlobalPrevalence": "long", "GlobalFirstSeen": "datetime", "GlobalLastSeen": "datetime",
    "Signer": "string", "Issuer": "string", "SignerHash": "string", "IsCertificateValid": "bool",
    "IsRootSignerMicrosoft": "bool", "SignatureState": "string", "IsExecutable": "bool",
    "ThreatName": "string", "Publisher": "string", "SoftwareName": "string",
    "ProfileAvailability": "string",
}  # fmt: skip
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


def prepare(kql: str) -> Prepared:
    """The query's text with old spellings renewed.

    Raises:
        RefusalError: for what the translator would read wrongly or nobody can supply here.
    """
    found = tokens.read(kql)
    for refuse in (_refuse_traps, _refuse_outside, _refuse_named_arguments):
        refuse(kql, found)
    remarks: list[Remark] = []
    stand_ins: list[tuple[str, str]] = []
    edits = [*_aliases(found), *_texts(found), *_expanded(found), *_parentheses(found)]
    reordered, order = _reorders(found)
    edits += reordered
    edits += _profiles(kql, found, stand_ins, remarks)
    return Prepared(_edited(kql, edits), order, tuple(stand_ins), tuple(remarks))


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


def _refuse_traps(kql: str, found: tuple[Token, ...]) -> None:
    """Texts that the translator reads otherwise than Kusto."""
    before: Token | None = None
    for token in found:
        if token.kind == "fence":
            raise _at(kql, token, token.text[-3:], "is a text of several lines: write it in quotes")
        if token.kind == "text" and before is not None and before.kind == "text":
            raise _at(kql, token, "adjacent texts", "are joined by Kusto: write one text")
        before = token


def _refuse_outside(kql: str, found: tuple[Token, ...]) -> None:
    for index, token in enumerate(found[:-1]):
        if token.kind == "word" and token.text in _OUTSIDE and found[index + 1].text == "(":
            raise _at(kql, token, token.text, _OUTSIDE[token.text])


def _refuse_named_arguments(kql: str, found: tuple[Token, ...]) -> None:
    """Calls of let functions by argument name: the translator reads them by place."""
    functions = {
        found[index + 1].text
        for index, token in enumerate(found[:-3])
        if token.text == "let" and found[index + 2].text == "=" and found[index + 3].text == "("
    }
    for index, token in enumerate(found[:-1]):
        if token.text not in functions or found[index + 1].text != "(":
            continue
        for low, high in tokens.arguments(found, index + 1):
            if high - low > 1 and found[low].kind == "word" and found[low + 1].text == "=":
                raise _at(
                    kql, found[low], f"{token.text}({found[low].text} = …)",
                    "names an argument: give the arguments in their order",
                )  # fmt: skip


def _aliases(found: tuple[Token, ...]) -> Iterator[_Edit]:
    for token in found:
        if token.kind == "word" and token.text.lower() in _ALIASES:
            yield token.start, token.end, _ALIASES[token.text.lower()]


def _texts(found: tuple[Token, ...]) -> Iterator[_Edit]:
    r"""`\u0041` in a text becomes the letter, which the translator would not read."""

    def letter(match: re.Match[str]) -> str:
        char = chr(int(match[2], 16))
        return match[1] + (f"\\{char}" if char in "\"'\\" else char)

    for token in found:
        if token.kind == "text" and "@" not in token.text[:2] and _UNICODE.search(token.text):
            yield token.start, token.end, _UNICODE.sub(letter, token.text)


def _expanded(found: tuple[Token, ...]) -> Iterator[_Edit]:
    """`mv-expand f(x)` as `mv-expand x = f(x)`, which is how Kusto names the column."""
    for index, token in enumerate(found[:-3]):
        if token.text not in ("mv-expand", "mvexpand"):
            continue
        call, bracket, column = found[index + 1 : index + 4]
        if call.text in _EXPANDED and bracket.text == "(" and column.kind == "word":
            yield call.start, call.start, f"{column.text} = "


def _parentheses(found: tuple[Token, ...]) -> Iterator[_Edit]:
    """`(T | where x) | y` as `T | where x | y`, where it is the whole source."""
    for index, token in enumerate(found):
        starts = index == 0 or (found[index - 1].text == ";" and token.depth == 0)
        if not starts or token.text != "(":
            continue
        end = tokens.closing(found, index)
        inner = found[index + 1 : end]
        if end + 1 < len(found) and found[end + 1].text not in ("|", ";"):
            continue
        if any(part.text in ("union", "let", ";") for part in inner if part.depth == 1):
            continue
        yield token.start, token.end, " "
        yield found[end].start, found[end].end, " "


def _reorders(found: tuple[Token, ...]) -> tuple[list[_Edit], tuple[str, ...]]:
    """project-reorder moves columns and changes no row: it is left out, the order is kept."""
    edits, order = list[_Edit](), tuple[str, ...]()
    for index, token in enumerate(found):
        if token.text == "project-keep":
            end = tokens.step_end(found, index)
            if not any(part.text == "*" for part in found[index:end]):
                edits.append((token.start, token.end, "project"))
        if token.text != "project-reorder" or index == 0 or found[index - 1].text != "|":
            continue
        end = tokens.step_end(found, index)
        last = found[end - 1]
        edits.append((found[index - 1].start, last.end, ""))
        if token.depth == 0:
            named = [
                part.text.strip("\"'")
                for part in found[index + 1 : end]
                if part.kind in ("word", "text") and part.text.lower() not in ("asc", "desc")
            ]
            order = tuple(dict.fromkeys([*named, *order]))
    return edits, order


def _profiles(
    kql: str,
    found: tuple[Token, ...],
    stand_ins: list[tuple[str, str]],
    remarks: list[Remark],
) -> Iterator[_Edit]:
    """`invoke FileProfile(…)` as null columns of its names, those that the query uses."""
    used = {token.text for token in found if token.kind == "word"}
    for index, token in enumerate(found[:-1]):
        if token.text != "invoke" or found[index + 1].text.lower() != "fileprofile":
            continue
        end = tokens.step_end(found, index)
        columns = {name: kind for name, kind in _PROFILE.items() if name in used}
        columns = columns or {"GlobalPrevalence": "long"}
        stand_ins += [(name, "FileProfile") for name in columns]
        told = "FileProfile is Microsoft's cloud: its columns are null here"
        remarks.append(Remark(tokens.line_of(kql, token.start), told))
        nulls = ", ".join(f"{name} = {kind}(null)" for name, kind in columns.items())
        yield token.start, found[end - 1].end, f"extend {nulls}"
