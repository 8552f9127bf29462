"""Functions that return tables, written out: names, arguments, lines, and what is refused."""

from __future__ import annotations

import pytest

from gundog.kql_import import inlining, tokens
from gundog.kql_import.refusing import RefusalError


@pytest.mark.parametrize(
    ("kql", "plain"),
    [
        ("let f = (n: int) { T | where a > n }; f(5)", "T | where a > 5"),
        ("let f = (n: int = 7) { T | where a > n }; f()", "T | where a > 7"),
        ("let f = () { T | where a }; f | count", "T | where a | count"),
        ("let f = view () { T | where a }; union f, S", "union (T | where a), S"),
        ("let f = (d: timespan) { T | where t > ago(d) }; let g = f(1d + 2h); g",
         "let g = T | where t > ago((1d + 2h)); g"),
        ("let f = (n: int) { T | where a > n }; f(1) | join kind=inner f(2) on a",
         "T | where a > 1 | join kind=inner (T | where a > 2) on a"),
        ("let f = (X: (a: int), n: int) { X | where a > n | project n1 = n }; T | invoke f(3)",
         "let gundog_table_0 = T; gundog_table_0 | where a > 3 | project n1 = 3"),
        ("let f = (n: int) { let b = T; b | where c > n }; f(1) | join f(2) on a",
         "let b_f_0 = T; let b_f_1 = T; b_f_0 | where c > 1 | join (b_f_1 | where c > 2) on a"),
        ("let g = (n: int) { T | where a > n }; let f = (n: int) { g(n) | count }; f(4)",
         "T | where a > 4 | count"),
        ("let f = (x: string) { strcat(x, 'a|b') }; T | extend y = f(z)",
         "let f = (x: string) { strcat(x, 'a|b') }; T | extend y = f(z)"),
        ("let n = 5; T | where n > 1", "let n = 5; T | where n > 1"),
        ("let f = (n: int) { T | extend n = 1, x.n, y = n }; f(2)",
         "T | extend n = 1, x.n, y = 2"),
    ],
)  # fmt: skip
def test_call_is_its_body_with_the_arguments(kql: str, plain: str) -> None:
    """What Kusto means; functions that return values stay."""
    shown = [token.text for token in tokens.read(inlining.inlined(kql, ()))]

    assert shown == [token.text for token in tokens.read(plain)]


def test_lines_stay_where_they_were() -> None:
    """The definition leaves empty lines, the call is one line."""
    kql = "let f = (n: int) {\n  T // all\n  | where a > n\n};\nS\n| join f(\n 1) on a\n| where b"
    made = inlining.inlined(kql, ())

    assert made.splitlines()[4] == "S"
    assert made.splitlines()[-1] == "| where b"
    assert made.count("\n") == kql.count("\n")


@pytest.mark.parametrize(
    ("kql", "cause"),
    [
        ("let f = (n: int) { f(n) | where a }; f(1)", "f()"),
        ("let f = (c: string) { T | where c == c };\nf('x')", "f(c)"),
        ("let f = (n: int) { T | where a > n }; f()", "f()"),
        ("let f = (n: int) { T | where a > n }; f(1, 2)", "f()"),
    ],
)
def test_what_cannot_be_written_out_is_refused(kql: str, cause: str) -> None:
    """A parameter that is also a column is the column in Kusto: the author meant otherwise."""
    with pytest.raises(RefusalError) as caught:
        inlining.inlined(kql, {"c"})

    assert caught.value.cause == cause
