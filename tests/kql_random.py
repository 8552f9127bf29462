"""Random queries over random rows: what the importer's SQL gives, and what plain Python gives.

    python -m tests.kql_random 5000 [SEED]

The evaluator below is written from Kusto's documentation and shares nothing with the importer: a
table is a list of dicts, a step is a function from rows to rows. Queries are drawn as a list of
steps; each step writes its KQL and works on rows.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from gundog.kql_import import preparing, probing, rewriting, translating, translator, weaving

Row = dict[str, Any]
TEXTS = ("a", "A", "ab", "a b", "b.exe", "", "[1]", '{"k": 1}', "b a", "é")
COLUMNS = {"k": "VARCHAR", "s": "VARCHAR", "n": "BIGINT", "m": "BIGINT", "d": "JSON"}
# Steps that give the rows of a table more than once are few, so that results stay small.
_MOST_ROWS = 400
KINDS = (
    "inner", "leftouter", "rightouter", "fullouter", "leftanti", "leftsemi", "rightsemi",
    "rightanti",
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A step as KQL, what it does to rows, and the columns behind it."""

    kql: str
    apply: Callable[[list[Row]], list[Row]]
    columns: tuple[str, ...]


def words(text: str) -> list[str]:
    """A text's words: letters and digits."""
    return "".join(char if char.isalnum() else " " for char in text).lower().split()


def rows_of(draw: random.Random, many: int) -> list[Row]:
    """Rows with few values, so that they meet; numbers may be null, texts never are."""
    return [
        {
            "k": draw.choice(("x", "y", "X")),
            "s": draw.choice(TEXTS),
            "n": draw.choice((0, 1, 2, 3, None)),
            "m": draw.randrange(-3, 4),
            "d": draw.choice(([1, 2], [], ["a"], {"p": 1}, {"p": "a"}, None)),
        }
        for _ in range(many)
    ]


_TEXT_COLUMNS = ("k", "s", "t", "k1", "s1")


def _condition(draw: random.Random, columns: Sequence[str]) -> tuple[str, Callable[[Row], bool]]:
    """A condition on a row."""
    texts = [name for name in columns if name in _TEXT_COLUMNS]
    numbers = [name for name in columns if name in ("n", "m", "c", "z")]
    kind = draw.randrange(8)
    if kind == 0 and len(columns) > 1:
        left, right = _condition(draw, columns), _condition(draw, columns)
        both = draw.choice(("and", "or"))
        if both == "and":
            return f"({left[0]} and {right[0]})", lambda row: left[1](row) and right[1](row)
        return f"({left[0]} or {right[0]})", lambda row: left[1](row) or right[1](row)
    if numbers and (kind < 4 or not texts):
        return _on_number(draw, draw.choice(numbers))
    if texts:
        return _on_text(draw, draw.choice(texts))
    return "true", lambda _: True


def _on_number(draw: random.Random, name: str) -> tuple[str, Callable[[Row], bool]]:
    value = draw.randrange(-2, 4)
    tests: dict[str, Callable[[Any], bool]] = {
        # A null is equal to nothing and different from all.
        f"{name} == {value}": lambda x: x is not None and x == value,
        f"{name} != {value}": lambda x: x is None or x != value,
        f"{name} > {value}": lambda x: x is not None and x > value,
        f"{name} <= {value}": lambda x: x is not None and x <= value,
        f"isnull({name})": lambda x: x is None,
        f"{name} in (1, {value})": lambda x: x is not None and x in (1, value),
        f"{name} between ({value} .. 3)": lambda x: x is not None and value <= x <= 3,
    }
    kql = draw.choice(sorted(tests))
    test = tests[kql]
    return kql, lambda row: test(row[name])


def _on_text(draw: random.Random, name: str) -> tuple[str, Callable[[Row], bool]]:
    word = draw.choice(("a", "A", "b", "exe", "x"))
    low = word.lower()
    tests: dict[str, Callable[[str], bool]] = {
        f"{name} == '{word}'": lambda x: x == word,
        f"{name} =~ '{word}'": lambda x: x.lower() == low,
        f"{name} != '{word}'": lambda x: x != word,
        f"{name} !~ '{word}'": lambda x: x.lower() != low,
        f"{name} has '{word}'": lambda x: low in words(x),
        f"{name} !has '{word}'": lambda x: low not in words(x),
        f"{name} contains '{word}'": lambda x: low in x.lower(),
        f"{name} contains_cs '{word}'": lambda x: word in x,
        f"{name} !contains '{word}'": lambda x: low not in x.lower(),
        f"{name} startswith '{word}'": lambda x: x.lower().startswith(low),
        f"{name} endswith '{word}'": lambda x: x.lower().endswith(low),
        f"{name} in~ ('x', '{word}')": lambda x: x.lower() in ("x", low),
        f"{name} !in ('x', '{word}')": lambda x: x not in ("x", word),
        f"{name} has_any ('exe', '{word}')": lambda x: bool({"exe", low} & set(words(x))),
        f"{name} has_all ('a', '{word}')": lambda x: {"a", low} <= set(words(x)),
        f"isempty({name})": lambda x: x == "",
        f"isnotempty({name})": lambda x: x != "",
        f"strlen({name}) > 1": lambda x: len(x) > 1,
    }
    kql = draw.choice(sorted(tests))
    test = tests[kql]
    return kql, lambda row: test(row[name])


def where(draw: random.Random, columns: Sequence[str]) -> Step:
    kql, test = _condition(draw, columns)
    return Step(f"where {kql}", lambda rows: [row for row in rows if test(row)], tuple(columns))


def extend(draw: random.Random, columns: Sequence[str]) -> Step:
    """A new text or number of a column."""
    made: list[tuple[str, str, Callable[[Row], Any]]] = []
    if "s" in columns:
        made += [
            ("t", "tolower(s)", lambda row: row["s"].lower()),
            ("t", "strcat(s, '-', s)", lambda row: f"{row['s']}-{row['s']}"),
            (
                "t",
                "iff(s has 'a', s, 'no')",
                lambda row: row["s"] if "a" in words(row["s"]) else "no",
            ),
        ]
    if "n" in columns:
        made += [
            ("c", "n * 2 + 1", lambda row: None if row["n"] is None else row["n"] * 2 + 1),
            ("c", "coalesce(n, 7)", lambda row: 7 if row["n"] is None else row["n"]),
            ("t", "case(n > 2, 'high', n > 0, 'low', 'none')", lambda row: _sized(row["n"])),
        ]
    if not made:
        return where(draw, columns)
    name, kql, value = draw.choice(made)
    after = (*(column for column in columns if column != name), name)
    return Step(
        f"extend {name} = {kql}", lambda rows: [{**row, name: value(row)} for row in rows], after
    )


def _sized(number: int | None) -> str:
    if number is None or number <= 0:
        return "none"
    return "high" if number > 2 else "low"


def project(draw: random.Random, columns: Sequence[str]) -> Step:
    kept = tuple(draw.sample(list(columns), draw.randrange(1, len(columns) + 1)))
    return Step(
        f"project {', '.join(kept)}",
        lambda rows: [{name: row[name] for name in kept} for row in rows],
        kept,
    )


def _grouped(rows: Iterable[Row], keys: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def _known(rows: Iterable[Row], name: str) -> list[Any]:
    return [row[name] for row in rows if row[name] is not None]


def _distinct(rows: Iterable[Row], name: str) -> set[str]:
    return {row[name] for row in rows}


def summarize(draw: random.Random, columns: Sequence[str]) -> Step:
    """Aggregates by some columns."""
    plain = [name for name in columns if name != "d"]
    keys = tuple(draw.sample(plain, draw.randrange(0, min(2, len(plain)) + 1)))
    aggregates: list[tuple[str, Callable[[list[Row]], Any]]] = [("count()", len)]
    for name in plain:
        if name in ("n", "m", "c", "z"):
            aggregates += [
                (f"sum({name})", lambda rows, name=name: sum(_known(rows, name))),
                (f"min({name})", lambda rows, name=name: min(_known(rows, name), default=None)),
                (f"max({name})", lambda rows, name=name: max(_known(rows, name), default=None)),
                (f"countif({name} > 1)",
                 lambda rows, name=name: sum(value > 1 for value in _known(rows, name))),
                (f"make_list({name})", lambda rows, name=name: sorted(_known(rows, name))),
            ]  # fmt: skip
        else:
            aggregates += [
                (f"dcount({name})", lambda rows, name=name: len(_distinct(rows, name))),
                (f"make_set({name})", lambda rows, name=name: sorted(_distinct(rows, name))),
            ]  # fmt: skip
    chosen = draw.sample(aggregates, min(2, len(aggregates)))
    names = [("c", "u")[place] for place in range(len(chosen))]
    if len(keys) == 0 and draw.random() < 0.5:
        chosen, names = chosen[:1], names[:1]
    keys = tuple(key for key in keys if key not in names)

    def apply(rows: list[Row]) -> list[Row]:
        groups = _grouped(rows, keys) or ({} if keys else {(): []})
        return [
            dict(zip(keys, key, strict=True))
            | {name: make(group) for name, (_, make) in zip(names, chosen, strict=True)}
            for key, group in groups.items()
        ]

    made = ", ".join(f"{name} = {kql}" for name, (kql, _) in zip(names, chosen, strict=True))
    by = f" by {', '.join(keys)}" if keys else ""
    return Step(f"summarize {made}{by}", apply, ())


def distinct(draw: random.Random, columns: Sequence[str]) -> Step:
    plain = [name for name in columns if name != "d"]
    if not plain:
        return where(draw, columns)
    kept = tuple(draw.sample(plain, draw.randrange(1, len(plain) + 1)))
    return Step(
        f"distinct {', '.join(kept)}",
        lambda rows: [dict(zip(kept, key, strict=True)) for key in _grouped(rows, kept)],
        kept,
    )


def arg_max(draw: random.Random, columns: Sequence[str]) -> Step:
    """The row with the greatest number, where it is only one."""
    if not {"m", "k"} <= {*columns}:
        return where(draw, columns)

    def apply(rows: list[Row]) -> list[Row]:
        return [
            {"k": key, "m": max(_known(group, "m"), default=None)}
            for (key,), group in _grouped(rows, ("k",)).items()
        ]

    return Step("summarize arg_max(m, k) by k | project k, m", apply, ("k", "m"))


def expand(draw: random.Random, columns: Sequence[str]) -> Step:
    """A row for each item of a list; a bag or a null is one."""
    if "d" not in columns:
        return where(draw, columns)

    def apply(rows: list[Row]) -> list[Row]:
        return [
            {**row, "d": item} for row in rows if isinstance(row["d"], list) for item in row["d"]
        ]

    return Step("where array_length(d) >= 0 | mv-expand d", apply, tuple(columns))


def join(draw: random.Random, columns: Sequence[str], other: list[Row]) -> Step:
    """Each kind of join with another table on a key."""
    key = draw.choice([name for name in ("k", "s") if name in columns] or [""])
    if not key or "z" in columns:  # one join a query: Kusto numbers names that come again
        return where(draw, columns)
    kind = draw.choice(KINDS)
    right = [{key: row[key], "z": row["m"]} for row in other]

    def left_keys(rows: list[Row]) -> set[str]:
        return {row[key] for row in rows}

    right_keys = {row[key] for row in right}

    def apply(rows: list[Row]) -> list[Row]:
        if kind == "leftsemi":
            return [row for row in rows if row[key] in right_keys]
        if kind == "leftanti":
            return [row for row in rows if row[key] not in right_keys]
        if kind == "rightsemi":
            return [row for row in right if row[key] in left_keys(rows)]
        if kind == "rightanti":
            return [row for row in right if row[key] not in left_keys(rows)]
        both = [
            {**row, f"{key}1": match[key], "z": match["z"]}
            for row, match in itertools.product(rows, right)
            if row[key] == match[key]
        ]
        if kind in ("leftouter", "fullouter"):
            lone = [row for row in rows if row[key] not in right_keys]
            both += [{**row, f"{key}1": "", "z": None} for row in lone]
        if kind in ("rightouter", "fullouter"):
            nothing = {name: "" if name in _TEXT_COLUMNS else None for name in columns}
            lone = [row for row in right if row[key] not in left_keys(rows)]
            both += [{**nothing, f"{key}1": row[key], "z": row["z"]} for row in lone]
        return both

    if kind in ("leftsemi", "leftanti"):
        after = tuple(columns)
    elif kind in ("rightsemi", "rightanti"):
        after = (key, "z")
    else:
        after = (*columns, f"{key}1", "z")
    return Step(f"join kind={kind} (S | project {key}, z = m) on {key}", apply, after)


def union(draw: random.Random, columns: Sequence[str], other: list[Row]) -> Step:
    kept = [name for name in columns if name in COLUMNS]
    if not kept or "d" in columns or len(kept) != len(columns):
        return where(draw, columns)
    test = _condition(draw, kept)
    # A column that a branch lacks is null there, and empty where it is a text.
    given = draw.sample(kept, draw.randrange(1, len(kept) + 1))
    lacking = {name: "" if name in _TEXT_COLUMNS else None for name in kept}
    return Step(
        f"union (S | where {test[0]} | project {', '.join(given)})",
        lambda rows: (
            rows + [{**lacking, **{n: row[n] for n in given}} for row in other if test[1](row)]
        ),
        tuple(columns),
    )


@dataclass(frozen=True)
class Case:
    """A query, its tables, and the rows that Kusto's documentation gives."""

    kql: str
    tables: dict[str, list[Row]]
    rows: list[Row]


def case(seed: int) -> Case:
    """A query of one to five steps; some of them behind a let."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    first, second = rows_of(draw, draw.randrange(0, 12)), rows_of(draw, draw.randrange(0, 8))
    columns: tuple[str, ...] = tuple(COLUMNS)
    rows, steps = first, list[str]()
    alone = (where, where, extend, project, summarize, distinct, arg_max, expand)
    with_another = (join, union)
    for _ in range(draw.randrange(1, 6)):
        if draw.random() < 0.8:
            step = draw.choice(alone)(draw, columns)
        else:
            step = draw.choice(with_another)(draw, columns, second)
        made = step.apply(rows)
        if len(made) > _MOST_ROWS:
            break
        rows, columns = made, step.columns
        steps.append(step.kql)
        if not columns:  # what an aggregate gives is not worked on further
            break
    place = draw.randrange(0, len(steps) + 1)
    kql = " | ".join(["T", *steps])
    if place and draw.random() < 0.4:
        named = " | ".join(["T", *steps[:place]])
        kql = f"let L = {named}; " + " | ".join(["L", *steps[place:]])
    return Case(kql, {"T": first, "S": second}, rows)


def translated(con: duckdb.DuckDBPyConnection, asked: Case) -> list[tuple[Any, ...]]:
    """What the importer's SQL gives, woven as it is imported."""
    for name, rows in asked.tables.items():
        kinds = ", ".join(f'"{column}" {kind}' for column, kind in COLUMNS.items())
        con.execute(f"create or replace table {name} ({kinds}, {weaving.MARK} VARCHAR)")
        values = [
            (*(json.dumps(row[c]) if c == "d" and row[c] is not None else row[c] for c in COLUMNS),
             f"{name}{number}/0")
            for number, row in enumerate(rows)
        ]  # fmt: skip
        if values:
            con.executemany(f"insert into {name} values (?, ?, ?, ?, ?, ?)", values)
    parsed, _ = rewriting.rewritten(translator.parse(preparing.prepare(asked.kql).kql), "Timestamp")
    columns = {name: [*COLUMNS, weaving.MARK] for name in asked.tables}
    with probing.over({name: {**COLUMNS, weaving.MARK: "VARCHAR"} for name in columns}) as types_of:
        woven = weaving.woven(parsed, columns, types_of)
        sql = translator.sql_of(woven.query, columns)
        sql = translating.shortened(sql, types_of(sql), types_of)
    found = con.execute(sql)
    names = [column[0] for column in found.description]
    kinds_of = [str(column[1]) for column in found.description]
    kept = [place for place, name in enumerate(names) if name != weaving.MARK]
    shown = [
        {names[place]: _plain(row[place], kinds_of[place]) for place in kept}
        for row in found.fetchall()
    ]
    return plain_rows(shown)


def _plain(value: Any, kind: str) -> Any:
    return json.loads(value) if kind == "JSON" and isinstance(value, str) else value


def plain_rows(rows: Iterable[Row]) -> list[tuple[Any, ...]]:
    """Rows that can be compared, whatever their order; a missing text is an empty one."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(sorted(map(repr, value)))
        return "" if value is None else value

    made = [tuple(sorted((n, repr(plain(v))) for n, v in row.items())) for row in rows]
    return sorted(made)


def differing(con: duckdb.DuckDBPyConnection, seed: int) -> str:
    """How the importer differs from the evaluator for a seed; empty when it does not."""
    asked = case(seed)
    shown, wanted = translated(con, asked), plain_rows(asked.rows)
    if shown == wanted:
        return ""
    return f"seed {seed}: {asked.kql}\n  tables {asked.tables}\n  got {shown}\n  not {wanted}"


def main() -> int:
    """Draws the queries; prints those that differ."""
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    failures = 0
    with duckdb.connect() as con:
        for seed in range(first, first + many):
            if text := differing(con, seed):
                failures += 1
                print(text)  # noqa: T201
    print(f"{many} queries, {failures} differ")  # noqa: T201
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
