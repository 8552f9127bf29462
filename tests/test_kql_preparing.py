"""A query's text before it is translated: each old spelling and each trap, one by one."""

from __future__ import annotations

import pytest

from gundog.kql_import import preparing, reading, tokens
from gundog.kql_import.refusing import RefusalError


@pytest.mark.parametrize(
    ("kql", "plain"),
    [
        ("T | summarize makeset(x), makelist(y)", "T | summarize make_set(x), make_list(y)"),
        ("T | where x notcontains 'a'", "T | where x !contains 'a'"),
        ("T | mv-expand parse_json(x)", "T | mv-expand x = parse_json(x)"),
        ("T | mv-expand a = parse_json(x)", "T | mv-expand a = parse_json(x)"),
        ("(T | where x) | count", " T | where x  | count"),
        ("let a = (T | where x);\na", "let a = T | where x ;\na"),
        ("let a = (1 + 2);\na", "let a = (1 + 2);\na"),
        ("(union A, B) | count", " union A, B  | count"),
        ("T | project-keep a, b", "T | project a, b"),
        ("T | project-keep a*", "T | project-keep a*"),
        ("T | project-reorder b, a | count", "T  | count"),
        (r"T | where x == 'a\u0041\u0027'", r"T | where x == 'aA\''"),
        (r"T | where x == @'a\u0041'", r"T | where x == @'a\u0041'"),
        ("T | where x in ('a' 'b', 'c')", "T | where x in ('ab', 'c')"),
        (
            "T | extend x = extractjson('$.a.b', y, typeof(string))",
            "T | extend x = tostring(parse_json(y).a.b)",
        ),
        ("T | mv-apply a = x on (where a > 1)", "T | mv-expand a = x | where a > 1 "),
        ("T | mv-apply a = x on (summarize max(a))", "T | mv-apply a = x on (summarize max(a))"),
        (
            "T | mv-apply a = x on (where a > 1 | project a, b = a * 2) | count",
            "T | mv-expand a = x | where a > 1 | extend b = a * 2 | count",
        ),
        ("T | mv-apply x on (project x)", "T | mv-expand x | where true"),
        ("T | mv-apply a = x on (project b = a)", "T | mv-apply a = x on (project b = a)"),
        ("T | mv-apply a = x on (top 1 by a)", "T | mv-apply a = x on (top 1 by a)"),
        ("let n = 5; T | top n by x | take n", "let n = 5; T | top 5 by x | take 5"),
        ("let n = 5 + 1; T | take n", "let n = 5 + 1; T | take n"),
        ("// makeset(x)\nT | where x == 'makeset'", "// makeset(x)\nT | where x == 'makeset'"),
    ],
)
def test_text_is_renewed(kql: str, plain: str) -> None:
    """What is the same in the translator's words; comments and texts stay."""
    assert preparing.prepare(kql).kql.split() == plain.split()


def test_lines_stay_where_they_were() -> None:
    """What the translator says of a line holds for the original."""
    kql = "T\n| project-reorder a,\n  b\n| where x in ('a'\n  'b')\n| where makeset == 1"
    prepared = preparing.prepare(kql)

    assert prepared.kql.count("\n") == kql.count("\n")
    assert prepared.order == ("a", "b")
    assert prepared.kql.splitlines()[5] == "| where make_set == 1"
    assert [remark.line for remark in prepared.remarks] == [5]


@pytest.mark.parametrize(
    ("kql", "cause", "place"),
    [
        ("T | where x == ```a\nb```", "```", (1, 16)),
        ("T |\nwhere x == 'a' h'b'", "adjacent texts", (2, 16)),
        ("let a = externaldata (x: string) [];\nT", "externaldata", (1, 9)),
        ("T | where x in (_GetWatchlist('a'))", "_GetWatchlist", (1, 17)),
        ("let f = (a: long) { a };\nT | extend x = f(a = 1)", "f(a = …)", (2, 18)),
    ],
)
def test_trap_is_refused_with_its_place(kql: str, cause: str, place: tuple[int, int]) -> None:
    """The translator would read these otherwise than Kusto, or nobody has what they need."""
    with pytest.raises(RefusalError) as caught:
        preparing.prepare(kql)

    assert (caught.value.cause, (caught.value.line, caught.value.column)) == (cause, place)


def test_comparing_with_a_name_is_not_a_named_argument() -> None:
    """f(a == 1) gives a truth value."""
    assert preparing.prepare("let f = (a: bool) { a };\nT | extend x = f(a == 1)")


@pytest.mark.parametrize(
    ("text", "first_lines"),
    [
        ("T | count\n\nS | count\n", ["T | count", "S | count"]),
        ("T\n| where a and\n  b\n| count", ["T"]),
        ("let a = 1;\nT | take 1;\n\nlet b = 2;\nS | take b", ["let a = 1;", "let b = 2;"]),
        ("T | sort by a desc\n// next\nS | take 1", ["T | sort by a desc", "// next"]),
        ("T\n| join (\nS\n| count\n) on a\n| count", ["T"]),
        ("T | where a in ('x',\n'y')\n| count", ["T | where a in ('x',"]),
    ],
)
def test_several_queries_in_one_text_are_parted(text: str, first_lines: list[str]) -> None:
    """A query begins with a name on its own line behind a whole one, with its comments."""
    parts = reading.split(text)

    assert [part.strip().splitlines()[0] for part in parts] == first_lines
    assert "".join(parts) == text


def test_every_letter_belongs_to_a_token() -> None:
    """Nothing of a text is lost, however odd it is."""
    odd = 'let a=\'b\'//c\n@"d""e" ~~ ..5.3h \x00 é \'open'
    kept = "".join(token.text for token in tokens.read(odd))

    assert kept.replace(" ", "") == odd.replace("//c\n", "").replace(" ", "")
