"""Hostile and odd files of JSON lines: what exactly becomes of each, and of the rows around it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from gundog.staging import json_look, stage
from gundog.staging.batch import Read
from gundog.staging.json_look import Look
from tests.lab import Lab
from tests.test_json_lines import (
    _ZSTD,
    enveloped,
    json_lab,
    plain,
    put,
    read,
    row,
    rows_of,
    staged,
    text,
    view,
)

DEEP = 10_000
ONE, TWO = (text([plain(row(number))]) for number in (1, 2))
TIME = '"Timestamp": "2026-03-09T12:00:00Z"'
ARRAY = "is a JSON array: write one object on each line, for example with jq -c '.[]'"
NO_LINE = "has no line that is a JSON object: write one object on each line, such as with jq -c ."
UTF_16 = "is UTF-16: write it as UTF-8, for example with iconv -f UTF-16 -t UTF-8"
BROKEN = "1 line is not a JSON object, the first is line 2 (blank lines not counted)"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab that reads JSON lines."""
    return json_lab(tmp_path)


def zstd(content: bytes) -> bytes:
    return bytes(_ZSTD.compress(content, asbytes=True))


def outcome(lab: Lab, content: bytes, name: str = "a.json") -> tuple[list[int | None], int, str]:
    """The ids of all staged rows, how many are rejected, and what is said of the file."""
    put(lab, content, name)
    for path, error in lab.stage().rejected:
        assert path.endswith(name)
        assert "\n" not in error
    view(lab)
    return told_of(lab, name)


def told_of(lab: Lab, name: str) -> tuple[list[int | None], int, str]:
    """The ids of a file's staged rows, how many are rejected, and what is said of it."""
    ((key, rejected, error),) = lab.rows(
        "select file_id, rejected_rows, error from source_files where path like ?", [f"%/{name}"]
    )
    ids = lab.rows("select id from staged_mail where file_id = ? order by id nulls last", [key])
    assert "\n" not in (error or "")
    return [number for (number,) in ids], rejected, error or ""


def line(values: str) -> bytes:
    """A row with a time and other values, between two usual ones."""
    return ONE + f"{{{TIME}, {values}}}\n".encode() + TWO


# What a file holds, the ids of its rows, how many of them are rejected, and what is said of it.
ODD = [
    pytest.param(
        line('"Id": 3, "RawEventData": "' + "x" * 20_000_000 + '"'),
        [1, 2], 1, "1 line is longer than 15 MB", id="line of 20 MB",
    ),
    pytest.param(
        line('"Id": 3, "Other": ' + '{"a":' * DEEP + "1" + "}" * DEEP),
        [1, 2, 3], 0, "", id="objects nested 10,000 deep in a column that nobody reads",
    ),
    pytest.param(
        line('"Id": 3, "RawEventData": ' + "[" * DEEP + "]" * DEEP),
        [1, 2, 3], 0, "", id="lists nested 10,000 deep in a column that is read",
    ),
    pytest.param(
        ONE + b"[" * DEEP + b"]" * DEEP + b"\n" + TWO,
        [1, 2, None], 1, BROKEN, id="line that is a list nested 10,000 deep",
    ),
    pytest.param(
        ONE + b'{"a":' * DEEP + b"\n" + TWO,
        [1, 2, None], 1, BROKEN, id="nested 10,000 deep and never closed",
    ),
    pytest.param(line('"Id": 3, "Id": 4'), [1, 2, 3], 0, "", id="duplicate keys"),
    pytest.param(
        line('"Id": 3, "RawEventData": "\xff"').replace("\xff".encode(), b"\xff"),
        [1, 2, None], 1, BROKEN, id="invalid UTF-8 in a value",
    ),
    pytest.param(
        line('"Id": 3, "\xff": 1').replace("\xff".encode(), b"\xff"),
        [1, 2, None], 1, BROKEN, id="invalid UTF-8 in a key",
    ),
    pytest.param(
        line('"Id": 3, "RawEventData": "\0"'), [1, 2, None], 1, BROKEN, id="raw NUL"
    ),
    pytest.param(
        line('"Id": 3, "RawEventData": "\\u0000"'), [1, 2, 3], 0, "", id="escaped NUL"
    ),
    pytest.param(
        line('"Id": 3, "a\\u0000b": 1'), [1, 2, 3], 0, "", id="escaped NUL in a key"
    ),
    pytest.param(line(f'"Id": {2**63}'), [1, 2, None], 0, "", id="integer beyond range"),
    pytest.param(line(f'"Id": {"9" * 5000}'), [1, 2, None], 0, "", id="number of 5,000 digits"),
    pytest.param(line('"Id": 3, "Score": 1e999'), [1, 2, 3], 0, "", id="float beyond range"),
    pytest.param(
        text([enveloped(row(1)), {"category": "AdvancedHunting-Cloud"}, enveloped(row(2))]),
        [1, 2, None], 1, "", id="envelope without properties",
    ),
    pytest.param(b"\xef\xbb\xbf" + ONE + TWO, [1, 2], 0, "", id="byte order mark"),
    pytest.param(
        (ONE + TWO).replace(b"\n", b"\r\n"), [1, 2], 0, "", id="carriage returns"
    ),
    pytest.param(b"\n \n" + ONE + b"\n\r\n" + TWO, [1, 2], 0, "", id="blank lines"),
    pytest.param(b"[" + ONE.strip() + b",\n" + TWO.strip() + b"]\n", [], 0, ARRAY, id="array"),
    pytest.param(
        json.dumps(plain(row(1)), indent=2).encode() + b"\n", [], 0, NO_LINE,
        id="object over several lines",
    ),
    pytest.param((ONE + TWO).decode().encode("utf-16"), [], 0, UTF_16, id="UTF-16"),
    pytest.param(
        (ONE + TWO).decode().encode("utf-16-be"), [], 0, UTF_16, id="UTF-16 without a mark"
    ),
    pytest.param(ONE + b"17\n" + TWO, [1, 2, None], 1, BROKEN, id="line that is not an object"),
    pytest.param(b"", [], 0, "", id="empty file"),
    pytest.param(
        ONE[:-9], [], 0,
        f"the last line is cut off after {len(ONE) - 9} bytes and waits for the rest",
        id="only a cut line",
    ),
]  # fmt: skip


def test_odd_file_costs_no_other_row(lab: Lab) -> None:
    """Each gives exactly these rows and these words, and nothing else."""
    names = {case.id: f"{place:02}.json" for place, case in enumerate(ODD)}
    for case in ODD:
        put(lab, case.values[0], names[case.id])
    refused = [names[case.id] for case in ODD if case.values[3] in (ARRAY, NO_LINE, UTF_16)]
    files = lab.listed()
    alone = [file for file in files if Path(file.path).name in refused]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stage, "BATCH_FILES", 1)  # one that is refused has the others read again
        lab.stage(alone)
    lab.stage([file for file in files if file not in alone])

    view(lab)
    told = {case.id: told_of(lab, names[case.id]) for case in ODD}
    assert told == {case.id: case.values[1:] for case in ODD}


@pytest.mark.parametrize(
    ("name", "content", "ids", "said"),
    [
        ("a.json.gz", gzip.compress(ONE) + gzip.compress(TWO), [1, 2], ""),
        ("a.json.gz", gzip.compress(ONE[:20]) + gzip.compress(ONE[20:] + TWO), [1, 2], ""),
        ("a.json.zst", zstd(ONE) + zstd(TWO), [1, 2], ""),
        ("a.json.zst", zstd(ONE[:20]) + zstd(ONE[20:] + TWO), [1, 2], ""),
        ("a.json.gz", gzip.compress(b""), [], ""),
        ("a.json.gz", gzip.compress(ONE + TWO)[:-1], [], "gzip"),
        ("a.json.gz", gzip.compress(ONE) + gzip.compress(TWO)[:-1], [], "gzip"),
        ("a.json.zst", zstd(ONE + TWO)[:-1], [], "zstd"),
        ("a.json.zst", zstd(ONE) + zstd(TWO)[:-1], [], "zstd"),
    ],
    ids=[
        "gzip of two members", "gzip members that meet within a line", "Zstandard of two frames",
        "Zstandard frames that meet within a line", "gzip of nothing", "cut gzip",
        "gzip whose second member is cut", "cut Zstandard", "Zstandard whose second frame is cut",
    ],
)  # fmt: skip
def test_packed_file_is_read_whole_or_not_at_all(
    tmp_path: Path, name: str, content: bytes, ids: list[int], said: str
) -> None:
    """A part of it would look like all."""
    lab = json_lab(tmp_path, f"*{name[1:]}")
    cut = f"is cut off: its {said} data ends before its end; it is read when it was written whole"

    assert outcome(lab, content, name) == (ids, 0, cut if said else "")


def test_file_is_read_where_it_lies_and_left_as_it_is(lab: Lab) -> None:
    """Lines that can be read as they are need no copy; rows in wrappers are written elsewhere."""
    names = ("a [1]*.json", "b?.json")
    contents = (ONE + TWO, text([{"records": [plain(row(3)), plain(row(4))]}]))
    paths = [put(lab, content, name) for content, name in zip(contents, names, strict=True)]

    assert lab.stage().rejected == []

    view(lab)
    assert lab.rows("select id from staged_mail order by id") == [(1,), (2,), (3,), (4,)]
    assert [path.read_bytes() for path in paths] == list(contents)
    assert not any(path.is_symlink() for path in paths)
    assert staged(lab)


def test_link_that_a_killed_process_left_is_not_written_through(lab: Lab) -> None:
    """A copy goes to a file of its own, never into the lake."""
    other = put(lab, TWO, "b.json")
    lab.tmp.mkdir()
    (lab.tmp / "7.ndjson").symlink_to(other)

    rows = rows_of(read(lab, ONE[:-1]))

    assert [some["id"] for some in rows] == [1]
    assert other.read_bytes() == TWO


def test_file_that_grows_while_it_is_read_where_it_lies_counts_as_listed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines that came between two looks at it are for the next run."""
    look, grown = json_look.whole, list[bool]()

    def grow(con: Any, lines: Path, *rest: Any) -> Look:
        if lines.is_symlink():
            with lines.open("ab") as more:
                more.write(TWO)
            grown.append(True)
        return look(con, lines, *rest)

    monkeypatch.setattr(json_look, "whole", grow)

    outcome = read(lab, ONE)

    assert grown == [True]
    assert [some["id"] for some in rows_of(outcome)] == [1]
    assert isinstance(outcome, Read)
    assert outcome.tails[7].end == len(ONE)
