"""Command lines cut into arguments, in SQL and letter by letter in Python."""

from __future__ import annotations

import json
import random

import duckdb
import pytest

from gundog.kql_import import command_lines


def plain(line: str) -> list[str]:
    """Windows' rules, one letter after the other."""
    if not line:
        return []
    place = 0
    if line[0] == '"':
        end = line.find('"', 1)
        program, place = (line[1:], len(line)) if end < 0 else (line[1:end], end + 1)
    else:
        while place < len(line) and line[place] not in " \t":
            place += 1
        program = line[:place]
    made, current, quotes, slashes = [program], "", 0, 0
    is_open = False
    while place < len(line):
        char = line[place]
        place += 1
        if char in " \t" and not quotes:
            if is_open:
                made.append(current)
            current, is_open, slashes = "", False, 0
            continue
        is_open = True
        if char == "\\":
            current, slashes = current + char, slashes + 1
            continue
        if char != '"':
            current, slashes = current + char, 0
            continue
        current = current[: len(current) - slashes] + "\\" * (slashes // 2)
        if slashes % 2:
            current += '"'
        else:
            quotes += 1
        slashes = 0
        while line[place : place + 1] == '"':
            quotes += 1
            if quotes == 3:
                current, quotes = current + '"', 0
            place += 1
        quotes %= 2
    return [*made, current] if is_open else made


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ('echo "hello world!" print$?', ["echo", "hello world!", "print$?"]),
        (r'"C:\Program Files\a.exe" -x  "b c"', [r"C:\Program Files\a.exe", "-x", "b c"]),
        (r"C:\a\b.exe /c dir C:\x\ ", ["C:\\a\\b.exe", "/c", "dir", "C:\\x\\"]),
        (r'a "b\"c" d\\"e f"', ["a", 'b"c', r"d\e f"]),
        ('a ""', ["a", ""]),
        ('a "b""c"', ["a", 'b"c']),
        ("", []),
        (" a", ["", "a"]),
        ('a "not closed', ["a", "not closed"]),
    ],
)
def test_lines_are_cut_as_windows_cuts_them(line: str, arguments: list[str]) -> None:
    """Blanks, quotes and backslashes."""
    assert plain(line) == arguments
    assert shown([line]) == [arguments]


def shown(lines: list[str]) -> list[list[str]]:
    with duckdb.connect() as con:
        con.execute("create table t as select unnest(?::varchar[]) as line", [lines])
        sql = f"select {command_lines.arguments('line')} from t"
        return [json.loads(text) for (text,) in con.execute(sql).fetchall()]


def test_random_lines_are_cut_as_letter_by_letter() -> None:
    """Any mixture of quotes, backslashes, blanks and letters."""
    draw = random.Random(1)  # noqa: S311 - no secret
    lines = ["".join(draw.choices('ab\\\\"" \t\n', k=draw.randrange(14))) for _ in range(5000)]

    for line, arguments in zip(lines, shown(lines), strict=True):
        assert arguments == plain(line), line
