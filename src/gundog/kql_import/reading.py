"""Files of hunting queries read: Sentinel's YAML, bare KQL, and Markdown with fenced queries."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from gundog.core import documents, text_files
from gundog.core.documents import DocumentError
from gundog.core.errors import InputError
from gundog.kql_import import sentinel_yaml, tokens
from gundog.kql_import.query import KqlQuery
from gundog.kql_import.tokens import Token

# The longest of 1,900 public ones has 15,000 characters.
LONGEST_QUERY = 60_000
# Every bracket is a call of the translator, which recurses.
_DEEPEST = 60
LONGEST_STEM = 60
_YAML = (".yaml", ".yml")
_MARKDOWN = (".md", ".markdown")
_PLAIN = (".kql", ".txt", ".csl", ".kusto")
ENDINGS = (*_YAML, *_MARKDOWN, *_PLAIN)
_NAMESPACE = uuid5(NAMESPACE_URL, "gundog kql import")
_FENCE = re.compile(
    r"^ {0,3}(?:```+|~~~+)[ \t]*(?P<kind>[\w+-]*)[^\n]*\n(?P<body>.*?)^ {0,3}(?:```+|~~~+)",
    re.DOTALL | re.MULTILINE,
)
_KINDS = frozenset({"kql", "kusto", "csl", "kusto-query"})
# Pages without KQL's colours borrow those of C#, whose sign the fence's kind leaves out.
_BORROWED = frozenset({"", "c", "csharp"})
_TECHNIQUE = re.compile(r"\bT\d{4}(?:\.\d{3})?\b")
_ADDRESS = re.compile(r"https?://[^\s<>()\"'`\]]+")
_QUERY_KEY = re.compile(r"query:[ \t]*[|>]")
# A key, what is indented below it, an item of a list, or nothing.
_YAML_LINE = re.compile(r"[A-Za-z]\w*:(?:[ \t]|$)|[ \t]+\S|- |[ \t]*$")
_STRING = re.compile(r"""@?"(?:[^"\\\n]|\\.)*"|@?'(?:[^'\\\n]|\\.)*'|//[^\n]*""")
# Behind these a query is not whole.
_OPEN = frozenset(
    "and or by in has contains startswith endswith has_any has_all between matches regex on with"
    " of to kind where extend project summarize join union not".split()
)
# Statements that only name something.
_NAMING = frozenset({"let", "declare", "set", "alias"})
_LONGEST_PROSE = 1_000


def read(path: Path, shown: str) -> tuple[KqlQuery, ...]:
    """The queries of one file, in their order; at least one.

    Args:
        path: the file; its ending says what it holds.
        shown: the path as people know it, for messages.

    Raises:
        InputError: with one sentence, when nothing in it can be imported.
    """
    if path.is_dir():
        raise InputError(f"{shown}: is a folder: name its files")
    if not path.exists():
        raise InputError(f"{shown}: is not there: name the file of a query")
    try:
        text = text_files.read(path).replace("\r\n", "\n")
    except InputError as error:
        raise InputError(f"{shown}: {error}") from error
    ending = path.suffix.lower()
    if ending in _YAML:
        queries = _of_yaml(text, path, shown)
    elif ending in _MARKDOWN:
        queries = _of_markdown(text, path, shown)
    elif ending in _PLAIN:
        rule = _rule_within(text)
        queries = _of_yaml(rule, path, shown) if rule else _of_text(text, path, shown)
    else:
        raise InputError(f"{shown}: ends in {ending!r}: give a file of {', '.join(ENDINGS)}")
    if not queries:
        raise InputError(f"{shown}: holds no query: give the KQL")
    for query in queries:
        check(query)
    return queries


def _of_yaml(text: str, path: Path, shown: str) -> tuple[KqlQuery, ...]:
    try:
        data = documents.load(text)
    except DocumentError as error:
        where = f"line {error.line}: " if error.line else ""
        raise InputError(f"{shown}: {where}cannot be read: {error.reason}") from error
    if not isinstance(data, dict):
        raise InputError(f"{shown}: holds no keys and values: give a YAML file with query:")
    if not isinstance(data.get("query"), str) or not data["query"].strip():
        raise InputError(f"{shown}: query: is missing: give the KQL under query:")
    blank = KqlQuery(shown, stem(path.stem), identify(path.stem, 1), "", "", "")
    return (sentinel_yaml.read(data, replace(blank, name=path.stem)),)


def _rule_within(text: str) -> str:
    """The YAML of a rule in a text with other lines around it, such as a page; empty without one.

    >>> _rule_within("A page" + chr(10) + "id: a" + chr(10) + "query: |" + chr(10) + "  T" + chr(10)
    ...     + "The end")
    'id: a\\nquery: |\\n  T'
    """
    lines = text.split("\n")
    query = next((i for i, line in enumerate(lines) if _QUERY_KEY.match(line)), None)
    if query is None:
        return ""
    first = last = query
    while first and _YAML_LINE.match(lines[first - 1]):
        first -= 1
    while last + 1 < len(lines) and _YAML_LINE.match(lines[last + 1]):
        last += 1
    return "\n".join(lines[first : last + 1]).strip()


def _of_text(text: str, path: Path, shown: str) -> tuple[KqlQuery, ...]:
    prose = "\n".join(
        line.strip().lstrip("/").strip()
        for line in text.splitlines()
        if line.strip().startswith("//")
    )
    return _numbered(split(text), path, shown, path.stem, prose)


def _of_markdown(text: str, path: Path, shown: str) -> tuple[KqlQuery, ...]:
    bodies = [fence["body"] for fence in _FENCE.finditer(text) if _is_query(fence)]
    if not bodies:
        raise InputError(f"{shown}: holds no query: put it between ```kql and ```")
    heading = re.search(r"^#+[ \t]+(.+)$", text, re.MULTILINE)
    name = heading[1].strip() if heading else path.stem
    parts = [part for body in bodies for part in split(body)]
    return _numbered(parts, path, shown, name, _FENCE.sub("", text))


def _numbered(
    parts: Sequence[str], path: Path, shown: str, name: str, prose: str
) -> tuple[KqlQuery, ...]:
    """The queries of one file; several have their number in name and id."""
    queries = []
    for number, part in enumerate(parts, 1):
        more = f" {number}" if len(parts) > 1 else ""
        made = identify(path.stem, number)
        queries.append(KqlQuery(shown, stem(path.stem + more), made, name + more, "", part))
    return tuple(_told(query, prose) for query in queries)


def split(text: str) -> tuple[str, ...]:
    """The queries of a text: a new one begins with a name on a line of its own behind a whole one.

    >>> split("T | count" + chr(10) + "// b" + chr(10) + "let a = 1;" + chr(10) + "S | take a")
    ('T | count\\n', '// b\\nlet a = 1;\\nS | take a')
    """
    stream = tokens.read(text)
    starts, statement = list[int](), 0
    for index in range(1, len(stream)):
        before = stream[index - 1]
        if before.text == ";" and not before.depth:
            is_whole = stream[statement].text not in _NAMING
            statement = index
        else:
            is_whole = _is_whole(before) and _begins(stream, index)
        on_new_line = "\n" in text[before.end : stream[index].start]
        if is_whole and on_new_line and stream[index].kind == "word" and not stream[index].depth:
            starts.append(_line_after(text, before.end))
            statement = index
    edges = [0, *starts, len(text)]
    return tuple(
        text[low:high] for low, high in itertools.pairwise(edges) if text[low:high].strip()
    )


def _is_whole(token: Token) -> bool:
    """True for a token that may end a query."""
    if token.kind == "sign":
        return token.text in (")", "]")
    return token.kind != "word" or token.text.lower() not in _OPEN


def _begins(stream: tuple[Token, ...], index: int) -> bool:
    """True for a token that may begin a query."""
    token = stream[index]
    if token.text in ("let", "union", "search", "find", "print"):
        return True
    following = stream[index + 1].text if index + 1 < len(stream) else ""
    return following == "|" and token.text.lower() not in _OPEN


def _line_after(text: str, place: int) -> int:
    """Where the next line begins: comments above a query are its own."""
    return text.find("\n", place) + 1


def _is_query(fence: re.Match[str]) -> bool:
    kind, body = fence["kind"].lower(), fence["body"]
    return bool(body.strip()) and (
        kind in _KINDS or (kind in _BORROWED and "\n|" in re.sub(r"\n\s+", "\n", body))
    )


def _told(query: KqlQuery, prose: str) -> KqlQuery:
    """The query with what the prose around it says: techniques, addresses, a description."""
    lines = [line for line in prose.splitlines() if not line.startswith(("#", "|"))]
    plain = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return replace(
        query,
        description=_beginning(plain),
        techniques=tuple(dict.fromkeys(_TECHNIQUE.findall(prose))),
        references=tuple(dict.fromkeys(url.rstrip(".,;") for url in _ADDRESS.findall(prose)))[:20],
    )


def _beginning(prose: str) -> str:
    """Whole paragraphs of a text, as many as are read gladly."""
    kept = ""
    for paragraph in prose.split("\n\n"):
        if kept and len(kept) + len(paragraph) > _LONGEST_PROSE:
            break
        kept += ("\n\n" if kept else "") + paragraph[:_LONGEST_PROSE]
    return kept.strip()


def check(query: KqlQuery) -> None:
    """Raises InputError for what no translator should be given."""
    where = f"{query.path}: query"
    if not _STRING.sub("", query.query).strip():
        raise InputError(f"{where}: is empty: give the KQL")
    if len(query.query) > LONGEST_QUERY:
        size = f"{len(query.query):,} characters"
        raise InputError(f"{where}: has {size}: give at most {LONGEST_QUERY:,}")
    if "\0" in query.query:
        place = _place(query.query, query.query.index("\0"))
        raise InputError(f"{query.path}: {place}: query: holds the character U+0000: remove it")
    depths = _depths(query.query)
    if (depth := max(depths, default=0)) > _DEEPEST:
        place = _place(query.query, next(i for i, d in enumerate(depths) if d > _DEEPEST))
        raise InputError(
            f"{query.path}: {place}: query: nests {depth} brackets: give at most {_DEEPEST}"
        )


def _place(kql: str, index: int) -> str:
    return f"line {tokens.line_of(kql, index)}, column {tokens.column_of(kql, index)}"


def _depths(kql: str) -> list[int]:
    """How deep the brackets nest at each letter, those in texts and comments left out.

    >>> max(_depths("T | where x in (f(1), '((((')"))
    2
    """
    blank = _STRING.sub(lambda text: " " * len(text[0]), kql)
    return list(itertools.accumulate((char in "([{") - (char in ")]}") for char in blank))


def identify(file_stem: str, number: int) -> str:
    """The id of a query without one: the same for the same file name and place in the file."""
    return str(uuid5(_NAMESPACE, f"{file_stem}\n{number}"))


def stem(name: str) -> str:
    """A name as detections' files have it.

    >>> stem("HostExportingMailbox[Solarigate] 2"), stem("7-Zip & co")
    ('host_exporting_mailbox_solarigate_2', 'kql_7_zip_co')
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    plain = re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")
    if not re.match("[a-z]", plain):
        plain = f"kql_{plain}".rstrip("_")
    if len(plain) <= LONGEST_STEM:
        return plain
    number = re.search(r"_\d+$", plain)
    end = number[0] if number else ""
    return plain[: LONGEST_STEM - len(end)].rstrip("_") + end
