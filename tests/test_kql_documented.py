"""Kusto's documented behaviour, operator by operator: rows of our own, the results as documented.

Each query goes through the import's own steps and runs in one connection; nothing is staged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from gundog.hunting import kusto_series
from gundog.kql_import import preparing, probing, rewriting, translating, translator, weaving
from gundog.kql_import.refusing import RefusalError
from gundog.warehouse import series_function
from tests import draws

NOW = datetime(2026, 2, 3)
Columns = dict[str, dict[str, str]]
# Each is the value of `print x = …`.
VALUES: list[tuple[str, Any]] = [
    # Texts: `has` looks for whole words, `contains` for pieces; `_cs` and `==` look at case.
    ("'North America' has 'america'", True),
    ("'NorthAmerica' has 'america'", False),
    ("'North America' has_cs 'america'", False),
    ("'NorthAmerica' contains 'AMERICA'", True),
    ("'NorthAmerica' contains_cs 'AMERICA'", False),
    ("'a.exe -enc x' has '-enc'", True),
    ("'a-b c' has 'b'", True),
    ("'a_b c' has 'b'", True),
    ("'abc' !has 'b'", True),
    ("'abc' !contains 'b'", False),
    ("'abc' startswith 'AB'", True),
    ("'abc' startswith_cs 'AB'", False),
    ("'abc' !startswith 'b'", True),
    ("'abc' endswith 'BC'", True),
    ("'abc' endswith_cs 'BC'", False),
    ("'abc' !endswith 'c'", False),
    ("'North America' hasprefix 'ame'", True),
    ("'North America' hassuffix 'rica'", True),
    ("'North America' hasprefix_cs 'ame'", False),
    ("'abc' =~ 'ABC'", True),
    ("'abc' !~ 'ABC'", False),
    ("'abc' == 'ABC'", False),
    ("'abc' != 'ABC'", True),
    ("'abc' in ('x', 'abc')", True),
    ("'ABC' in ('x', 'abc')", False),
    ("'ABC' in~ ('x', 'abc')", True),
    ("'ABC' !in~ ('x', 'abc')", False),
    ("'abc' !in ('x')", True),
    ("'one two' has_any ('two', 'three')", True),
    ("'one two' has_all ('two', 'three')", False),
    ("'one two' has_all ('two', 'ONE')", True),
    ("'a1b' matches regex '[0-9]'", True),
    ("'ab' matches regex '^[0-9]'", False),
    ("'a' in (dynamic(['a', 'b']))", True),
    ("strcat('a', 'b', 1)", "ab1"),
    ("strcat_delim('-', 'a', 'b', 'c')", "a-b-c"),
    ("strlen('hello')", 5),
    ("tolower('ABC')", "abc"),
    ("toupper('abc')", "ABC"),
    ("substring('123456', 1)", "23456"),
    ("substring('123456', 2, 2)", "34"),
    ("substring('ABCD', 0, 2)", "AB"),
    ("split('aa_bb', '_')", ["aa", "bb"]),
    ("split('aaa_bbb_ccc', '_', 1)", ["bbb"]),
    ("split('', '_')", [""]),
    ("split('a__b', '_')", ["a", "", "b"]),
    ("replace_string('a.b.c', '.', '-')", "a-b-c"),
    ("replace_regex('a1b22', '[0-9]+', 'x')", "axbx"),
    ("extract('x=([0-9.]+)', 1, 'hello x=45.6|wo')", "45.6"),
    ("extract('x=([0-9.]+)', 0, 'hello x=45.6|wo')", "x=45.6"),
    ("extract('nothing', 0, 'abc')", ""),
    ("trim('-', '--a--')", "-a-"),
    ("trim('-+', '--a--')", "a"),
    ("trim_start('a+', 'aab')", "b"),
    ("trim_end('b+', 'abb')", "a"),
    ("indexof('abcdefg', 'cde')", 2),
    ("indexof('abcdefg', 'x')", -1),
    ("countof('abcabc', 'abc')", 2),
    ("reverse('abc')", "cba"),
    ("isempty('')", True),
    ("isempty(' ')", False),
    ("isnotempty('a')", True),
    ("isnull(int(null))", True),
    ("isnotnull(1)", True),
    ("base64_encode_tostring('Kusto')", "S3VzdG8="),
    ("base64_decode_tostring('S3VzdG8=')", "Kusto"),
    ("url_decode('https%3a%2f%2fexample.com')", "https://example.com"),
    ("string_size('hello')", 5),
    ("tostring(123)", "123"),
    ("tostring(true)", "True"),
    ("tostring(dynamic({'a': 1}))", '{"a":1}'),
    ("tostring(1h)", "01:00:00"),
    ("tostring(datetime(2026-02-03 04:05:06))", "2026-02-03T04:05:06.0000000Z"),
    # Numbers.
    ("7 / 2", 3),
    ("7.0 / 2", 3.5),
    ("7 % 4", 3),
    ("-7 / 2", -3),
    ("toint('123')", 123),
    ("toint('abc')", None),
    ("tolong('9')", 9),
    ("toint(2.7)", 2),
    ("todouble('1.5')", 1.5),
    ("toreal('1.5')", 1.5),
    ("tobool('true')", True),
    ("tobool('0')", False),
    ("abs(-5)", 5),
    ("ceiling(1.1)", 2),
    ("floor(4.5, 1)", 4),
    ("round(2.98765, 3)", 2.988),
    ("pow(2, 3)", 8),
    ("sqrt(16)", 4),
    ("exp(0)", 1),
    ("log10(100)", 2),
    ("sign(-3)", -1),
    ("min_of(3, 1, 2)", 1),
    ("max_of(3, 1, 2)", 3),
    ("bin(4.5, 1)", 4),
    ("bin(17, 5)", 15),
    ("bin(-1, 5)", -5),
    ("isnan(real(nan))", True),
    ("isfinite(1.0)", True),
    ("5 between (1 .. 5)", True),
    ("5 !between (1 .. 4)", True),
    ("(9223372036854775807 + 1) - 1", None),
    ("binary_and(6, 3)", 2),
    ("binary_or(6, 3)", 7),
    ("binary_shift_left(1, 2)", 4),
    ("tohex(256)", "100"),
    # Conditions.
    ("iff(1 > 2, 'a', 'b')", "b"),
    ("iif(1 < 2, 'a', 'b')", "a"),
    ("case(1 > 2, 'a', 2 > 1, 'b', 'c')", "b"),
    ("case(1 > 2, 'a', 'c')", "c"),
    ("coalesce(int(null), 5)", 5),
    ("not(1 == 1)", False),
    ("1 == 1 and not(2 == 1)", True),
    ("1 == 2 or 2 == 2", True),
    # Times and spans.
    ("bin(datetime(2026-02-04 10:37:00), 1h)", datetime(2026, 2, 4, 10)),
    ("bin(datetime(2007-01-03), 7d)", datetime(2007, 1, 1)),
    ("bin(datetime(2026-02-04 10:37:00), 15m)", datetime(2026, 2, 4, 10, 30)),
    ("bin(1h, 45m)", timedelta(minutes=45)),
    ("startofday(datetime(2026-02-04 10:37:00))", datetime(2026, 2, 4)),
    ("startofday(datetime(2026-02-04 10:37:00), -1)", datetime(2026, 2, 3)),
    ("startofweek(datetime(2026-02-04))", datetime(2026, 2, 1)),
    ("startofmonth(datetime(2026-02-04))", datetime(2026, 2, 1)),
    ("startofyear(datetime(2026-02-04))", datetime(2026, 1, 1)),
    ("endofday(datetime(2026-02-04)) > datetime(2026-02-04 23:59:59)", True),
    ("now()", NOW),
    ("ago(1d)", NOW - timedelta(days=1)),
    ("ago(90m)", NOW - timedelta(minutes=90)),
    ("datetime(2026-02-04) - datetime(2026-02-02)", timedelta(days=2)),
    ("datetime(2026-02-04) + 1d", datetime(2026, 2, 5)),
    ("1d / 1h", 24),
    ("2 * 3h", timedelta(hours=6)),
    ("datetime_diff('hour', datetime(2026-02-02 10:00), datetime(2026-02-02 07:00))", 3),
    ("datetime_diff('day', datetime(2026-02-05), datetime(2026-02-02))", 3),
    ("datetime_add('month', 1, datetime(2026-01-31))", datetime(2026, 2, 28)),
    ("datetime_part('hour', datetime(2026-02-04 10:37:00))", 10),
    ("hourofday(datetime(2026-02-04 10:37:00))", 10),
    ("dayofweek(datetime(2026-02-04))", timedelta(days=3)),
    ("dayofmonth(datetime(2026-02-04))", 4),
    ("monthofyear(datetime(2026-02-04))", 2),
    ("getyear(datetime(2026-02-04))", 2026),
    ("format_datetime(datetime(2026-02-04 10:37:05), 'yyyy-MM-dd HH:mm')", "2026-02-04 10:37"),
    ("todatetime('2026-02-04T10:37:00Z')", datetime(2026, 2, 4, 10, 37)),
    ("todatetime('nonsense')", None),
    ("totimespan('01:30:00')", timedelta(minutes=90)),
    ("make_datetime(2026, 2, 4)", datetime(2026, 2, 4)),
    ("unixtime_seconds_todatetime(0)", datetime(1970, 1, 1)),
    ("abs(datetime(2026-02-02) - datetime(2026-02-03))", timedelta(days=1)),
    ("datetime(2026-02-02 10:00) between (datetime(2026-02-02) .. 1d)", True),
    # Dynamic values.
    ("dynamic({'a': {'b': 2}}).a.b", 2),
    ("dynamic({'a b': 2})['a b']", 2),
    ("dynamic([1, 2, 3])[1]", 2),
    ("dynamic([1, 2, 3])[-1]", 3),
    ("dynamic([1])[5]", None),
    ("parse_json('{\"a\": [1, 2]}').a[0]", 1),
    ('tostring(parse_json(\'{"a": "x"}\').a)', "x"),
    ("todynamic('[1,2]')[1]", 2),
    ("array_length(dynamic([1, 2, 3]))", 3),
    ("array_length(dynamic([]))", 0),
    ("array_concat(dynamic([1]), dynamic([2, 3]))", [1, 2, 3]),
    ("array_index_of(dynamic(['a', 'b']), 'b')", 1),
    ("array_slice(dynamic([1, 2, 3]), 1, 2)", [2, 3]),
    ("array_sort_asc(dynamic([3, 1, 2]))", [1, 2, 3]),
    ("array_sort_desc(dynamic([3, 1, 2]))", [3, 2, 1]),
    ("array_reverse(dynamic([1, 2]))", [2, 1]),
    ("array_sum(dynamic([1, 2, 3]))", 6),
    ("pack_array(1, 'a')", [1, "a"]),
    ("bag_pack('a', 1, 'b', 'x')", {"a": 1, "b": "x"}),
    ("pack('a', 1)", {"a": 1}),
    ("bag_keys(dynamic({'a': 1, 'b': 2}))", ["a", "b"]),
    ("bag_merge(dynamic({'a': 1}), dynamic({'b': 2}))", {"a": 1, "b": 2}),
    ("bag_has_key(dynamic({'a': 1}), 'a')", True),
    ("set_has_element(dynamic([1, 2]), 2)", True),
    ("set_intersect(dynamic([1, 2, 3]), dynamic([2, 3]))", [2, 3]),
    ("set_union(dynamic([1]), dynamic([2]))", [1, 2]),
    ("set_difference(dynamic([1, 2, 3]), dynamic([2]))", [1, 3]),
    ("strcat_array(dynamic([1, 2, 3]), '->')", "1->2->3"),
    ("extract_all('([a-z])', 'a1b')", ["a", "b"]),
    ("gettype('a')", "string"),
    ("gettype(1)", "long"),
    ("gettype(dynamic([1]))", "array"),
    ("isempty(dynamic(null))", True),
    ("hash_sha256('World')", "78ae647dc5544d227130a0682a51e30bc7777fbb6d8a8f17007463a3ecd1d524"),
    ("hash_md5('World')", "f5a7924e621e84c9280a9a27e1bcb7f6"),
    ("parse_command_line('echo \"hello world!\" print$?', 'windows')",
     ["echo", "hello world!", "print$?"]),
    ("parse_command_line('net group x', 'windows')[2]", "x"),
    ("parse_command_line('', 'windows')", []),
    # Addresses.
    ("ipv4_is_private('10.1.2.3')", True),
    ("ipv4_is_private('172.32.0.1')", False),
    ("ipv4_is_private('192.0.2.1')", False),
    ("ipv4_is_match('192.168.1.1', '192.168.1.255', 24)", True),
    ("ipv4_is_match('192.168.1.1/24', '192.168.1.255')", True),
    ("ipv4_is_match('192.168.1.1', '192.168.1.2')", False),
    ("ipv4_is_in_range('192.168.1.6', '192.168.1.0/24')", True),
    ("ipv4_is_in_range('192.168.2.6', '192.168.1.0/24')", False),
    ("parse_ipv4('0.0.1.0')", 256),
    ("parse_url('https://example.com/a?b=c').Host", "example.com"),
    ("ipv4_is_in_range('192.168.1.256', '192.168.1.0/24')", None),
    ("toscalar(print y = 5)", 5),
]  # fmt: skip
# The tables that steps read, as they are made; a step may name the day A, and their rows by LETS.
TABLES = {
    "T": (
        "datatable(k: string, n: long, s: string, d: dynamic, t: datetime) ["
        "'a', 1, 'x', dynamic([1, 2]), datetime(2026-02-02 01:00),"
        "'a', 2, 'y', dynamic([3]), datetime(2026-02-02 02:30),"
        "'b', 3, 'X', dynamic({'p': 1}), datetime(2026-02-02 02:45),"
        "'b', long(null), '', dynamic(null), datetime(2026-02-02 05:00)]"
    ),
    "S": "datatable(k: string, m: long) ['a', 10, 'a', 20, 'c', 30]",
}
DAY = "let A = datetime(2026-02-02);"
LETS = "".join(f"let {name} = {made};" for name, made in TABLES.items())
# Steps over these tables, and all rows of the result, sorted unless the query sorts.
STEPS: list[tuple[str, list[tuple[Any, ...]]]] = [
    ("T | where n > 1 | project n", [(2,), (3,)]),
    ("T | where s =~ 'x' | project n", [(1,), (3,)]),
    ("T | where isnull(n) | project k", [("b",)]),
    ("T | where n != 1 | project n", [(2,), (3,), (None,)]),
    ("T | count", [(4,)]),
    ("T | summarize count() by k", [("a", 2), ("b", 2)]),
    ("T | summarize c = count(), m = sum(n) by k", [("a", 2, 3), ("b", 2, 3)]),
    ("T | summarize countif(n > 1) by k", [("a", 1), ("b", 1)]),
    ("T | summarize sumif(n, s =~ 'x') by k", [("a", 1), ("b", 3)]),
    ("T | summarize min(n), max(n), avg(n)", [(1, 3, 2.0)]),
    ("T | summarize dcount(k)", [(2,)]),
    ("T | summarize dcountif(k, n > 2)", [(1,)]),
    ("T | summarize make_set(k)", [(["a", "b"],)]),
    ("T | summarize make_list(n)", [([1, 2, 3],)]),
    ("T | summarize make_set_if(k, n < 3)", [(["a"],)]),
    ("T | summarize arg_max(n, s) by k", [("a", 2, "y"), ("b", 3, "X")]),
    ("T | summarize arg_min(n, s) by k", [("a", 1, "x"), ("b", 3, "X")]),
    ("T | summarize percentile(n, 50)", [(2,)]),
    ("T | summarize by k", [("a",), ("b",)]),
    ("T | summarize count() by bin(t, 1h) | project count_", [(1,), (1,), (2,)]),
    ("T | summarize take_any(k) by k | project k", [("a",), ("b",)]),
    ("T | summarize variance(n), stdev(n)", [(1.0, 1.0)]),
    ("T | distinct k", [("a",), ("b",)]),
    ("T | distinct k, s | count", [(4,)]),
    ("T | extend m = n * 2 | where m == 4 | project m", [(4,)]),
    ("T | project a = k, b = n | where b == 1", [("a", 1)]),
    ("T | where n == 1 | project-away d, t, s", [("a", 1)]),
    ("T | where n == 1 | project-keep k, n", [("a", 1)]),
    ("T | where n == 1 | project-rename m = n | project m", [(1,)]),
    ("T | top 2 by n desc | project n", [(3,), (2,)]),
    ("T | where isnotnull(n) | sort by n desc | project n", [(3,), (2,), (1,)]),
    ("T | where isnotnull(n) | order by n asc | take 1 | project n", [(1,)]),
    ("T | where n == 1 | mv-expand d | project d", [(1,), (2,)]),
    ("T | where n == 1 | mv-expand x = d to typeof(long) | project x", [(1,), (2,)]),
    ("T | where n == 1 | mv-apply x = d on (where x > 1) | project x", [(2,)]),
    ("T | where n == 3 | project toint(d.p)", [(1,)]),
    ("T | join kind=inner S on k | project n, m", [(1, 10), (1, 20), (2, 10), (2, 20)]),
    ("T | join kind=leftouter S on k | where k == 'b' | project n, m", [(3, None), (None, None)]),
    ("T | join kind=leftanti S on k | project n", [(3,), (None,)]),
    ("T | join kind=leftsemi S on k | project n", [(1,), (2,)]),
    ("T | join kind=rightanti S on k | project m", [(30,)]),
    ("T | join kind=rightsemi S on k | project m", [(10,), (20,)]),
    ("T | join kind=rightouter S on k | where k1 == 'c' | project n, m", [(None, 30)]),
    ("T | join kind=fullouter S on k | count", [(7,)]),
    # No text is null in Kusto, so the texts of a side without a partner are empty ones.
    ("T | join kind=rightouter S on k | project k, s, m",
     [("a", "x", 10), ("a", "x", 20), ("a", "y", 10), ("a", "y", 20), ("", "", 30)]),
    ("T | join kind=leftouter S on k | where isempty(k1) | project k, k1, m",
     [("b", "", None), ("b", "", None)]),
    ("T | join kind=leftouter S on k | where k1 == '' and not(isnull(k1)) | count", [(2,)]),
    ("T | join kind=leftouter S on k | where k1 matches regex '^$' | count", [(2,)]),
    ("T | join kind=leftouter S on k | summarize make_set(k1), dcount(k1), make_set(m)",
     [(["", "a"], 2, [10, 20])]),
    ("T | join kind=fullouter S on k | summarize make_set(k), make_set(k1), dcount(s)",
     [(["", "a", "b"], ["", "a", "c"], 4)]),
    ("T | join kind=fullouter S on k | where isnull(n) | project k1, d, t", [
        ("", None, datetime(2026, 2, 2, 5)), ("c", None, None)]),
    ("let L = T | project k, s; let R = S | lookup L on k; R | summarize make_set(s)",
     [(["", "x", "y"],)]),
    ("S | lookup kind=leftouter (T | project k, s) on k | where k == 'c' | project s", [("",)]),
    (("S | join kind=leftouter (T | join kind=leftouter (S | project k, w = k) on k) on k"
     " | where k == 'c' | project s, w, n"), [("", "", None)]),
    ("union T, S | summarize make_set(s), dcount(s)", [(["", "X", "x", "y"], 4)]),
    ("S | union (T | project s) | where k == '' | count", [(4,)]),
    ("T | join S on k | summarize count()", [(2,)]),
    ("T | join kind=inner S on $left.k == $right.k | project k1 | distinct k1", [("a",)]),
    ("T | where n == 1 | lookup S on k | project k, m", [("a", 10), ("a", 20)]),
    ("union T, S | count", [(7,)]),
    ("union (T | project k), (S | project k) | summarize count() by k",
     [("a", 4), ("b", 2), ("c", 1)]),
    ("T | union S | where isnotnull(m) | project m", [(10,), (20,), (30,)]),
    ("T | where k in ((S | project k)) | project n", [(1,), (2,)]),
    ("T | where k !in ((S | project k)) | project n", [(3,), (None,)]),
    ("let m = toscalar(T | summarize max(n)); T | where n == m | project n", [(3,)]),
    ("let f = (x: long) { x + 1 }; T | where n == 1 | project f(n)", [(2,)]),
    ("let g = (x: long) { T | where n > x }; g(2) | project n", [(3,)]),
    ("let z = T | where n > 2; z | project k", [("b",)]),
    ("print s = 'user=ann; id=7' | parse s with 'user=' u '; id=' i: long | project u, i",
     [("ann", 7)]),
    ("print s = 'nothing' | parse s with 'user=' u | project u", [("",)]),
    ("print s = 'nothing' | parse-where s with 'user=' u | project u", []),
    ("print s = 'ann;7' | parse s with u ';' i: long | project s, u, i", [("ann;7", "ann", 7)]),
    ("print s = 'C:\\\\a\\\\b' | parse s with drive '\\\\' * | project drive", [("C:",)]),
    ("print s = 'nothing' | parse-where s with u ';' * | project u", []),
    (("print d = dynamic([{'a': [1, 2]}, {'a': [3]}])"
     " | mv-apply x = d on (extend y = x.a | mv-apply z = y on (where z > 1)) | project toint(z)"),
     [(2,), (3,)]),
    ("range x from 1 to 3 step 1", [(1,), (2,), (3,)]),
    ("range x from 1 to 3 step 1 | summarize sum(x)", [(6,)]),
    ("T | make-series c = count() on t from A to A + 6h step 2h by k | project k, c",
     [("a", [1, 1, 0]), ("b", [0, 1, 1])]),
    ("print x = dynamic([1, null, 3]) | extend y = series_fill_linear(x) | project y",
     [([1, 2, 3],)]),
    ("print x = dynamic([1, 2, 3, 4, 50]) | extend y = series_outliers(x, 'tukey') | project y",
     [([-0.5, 0, 0, 0, 23],)]),
    ("print x = dynamic([1, 3, 5]) | extend (r, s) = series_fit_line(x) | project r, s",
     [(1, 2)]),
]  # fmt: skip


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("set timezone = 'UTC'")
        series_function.register(opened, kusto_series.compute)
        with probing.over({}) as probe:
            for name, made in TABLES.items():
                opened.execute(f"create table {name} as {translated(made, {}, probe)}")
        yield opened


@pytest.fixture(scope="module")
def columns(con: duckdb.DuckDBPyConnection) -> Columns:
    """The columns of the tables with their types."""
    return {
        name: {row[0]: row[1] for row in con.execute(f"describe {name}").fetchall()}
        for name in TABLES
    }


@pytest.fixture(scope="module")
def probe(columns: Columns) -> Iterator[probing.Probe]:
    with probing.over(columns) as opened:
        yield opened


def translated(kql: str, columns: Columns, probe: probing.Probe) -> str:
    """A query in SQL, woven as it is imported."""
    named = {name: [*types] for name, types in columns.items()}
    parsed, _ = rewriting.rewritten(translator.parse(preparing.prepare(kql).kql), "Timestamp")
    woven = weaving.woven(parsed, named, probe)
    sql = translator.sql_of(woven.query, named)
    return translating.shortened(sql, probe(sql), probe)


def rows(
    con: duckdb.DuckDBPyConnection, columns: Columns, probe: probing.Probe, kql: str
) -> list[tuple[Any, ...]]:
    """What a query gives, JSON read."""
    sql = translated(kql, columns, probe)
    found = con.execute(sql, {"kqlnow": NOW} if "$kqlnow" in sql else None)
    kinds = [
        (place, str(column[1]))
        for place, column in enumerate(found.description)
        if column[0] != weaving.MARK
    ]
    return [tuple(_plain(row[place], kind) for place, kind in kinds) for row in found.fetchall()]


def _plain(value: Any, kind: str) -> Any:
    if kind == "JSON" and isinstance(value, str):
        return json.loads(value)
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


@pytest.fixture(scope="module")
def shown(
    con: duckdb.DuckDBPyConnection, columns: Columns, probe: probing.Probe
) -> Callable[[str], Any]:
    """The value of an expression; a query gives those of many."""
    many, values = 25, dict[str, Any]()

    def value(kql: str) -> Any:
        if kql not in values:
            texts = [text for text, _ in VALUES]
            asked = texts[(start := texts.index(kql)) : start + many]
            try:
                values.update(printed(asked))
            except (RefusalError, duckdb.Error):  # one of them fails: alone it says which
                values.update(printed([kql]))
        return values[kql]

    def printed(asked: list[str]) -> dict[str, Any]:
        listed = ", ".join(f"x{place} = {text}" for place, text in enumerate(asked))
        (row,) = rows(con, columns, probe, f"print {listed}")
        return dict(zip(asked, row, strict=True))

    return value


@pytest.mark.parametrize(
    ("kql", "value"),
    draws.spread((pytest.param(kql, value, id=kql) for kql, value in VALUES), every=2),
)
def test_value_is_as_documented(shown: Callable[[str], Any], kql: str, value: Any) -> None:
    """A function or an operator on values."""
    assert shown(kql) == value
    assert isinstance(shown(kql), bool) == isinstance(value, bool)


@pytest.mark.parametrize(
    ("kql", "wanted"),
    draws.spread((pytest.param(kql, wanted, id=kql) for kql, wanted in STEPS), every=2),
)
def test_rows_are_as_documented(
    con: duckdb.DuckDBPyConnection,
    columns: Columns,
    probe: probing.Probe,
    kql: str,
    wanted: list[tuple[Any, ...]],
) -> None:
    """A step over a small table."""
    check(rows(con, columns, probe, DAY + kql), kql, wanted)


def check(shown: list[tuple[Any, ...]], kql: str, wanted: list[tuple[Any, ...]]) -> None:
    if "sort by" not in kql and "top " not in kql:
        shown, wanted = sorted(shown, key=repr), sorted(wanted, key=repr)
    assert shown == wanted, kql


def test_tables_of_a_query_s_own(con: duckdb.DuckDBPyConnection, probe: probing.Probe) -> None:
    """Rows that a query brings along are as those of a table."""
    for kql, wanted in STEPS[::20]:
        check(rows(con, {}, probe, DAY + LETS + kql), kql, wanted)


def test_enough_is_documented() -> None:
    """The table has what the importer accepts."""
    assert len(VALUES) + len(STEPS) >= 150
