"""Tests of staging.json_sample: a sample gives what a look at all lines gives."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.lake.path import EXPORTERS, LakePath
from gundog.staging import json_look, json_sample
from gundog.staging.batch import Failed, Read
from gundog.staging.json_sample import Doubts
from tests import draws
from tests.lab import Lab
from tests.test_json_lines import (
    enveloped,
    json_lab,
    kept_lab,
    plain,
    put,
    read,
    row,
    rows_of,
    text,
)

_FAR = 2**60


def cut(patched: pytest.MonkeyPatch, large: int, piece: int = 500, stride: int = 2000) -> None:
    """Files from `large` bytes on are sampled: `piece` bytes of each `stride`."""
    patched.setattr(json_sample, "_LARGE", large)
    patched.setattr(json_sample, "_PIECE_BYTES", piece)
    patched.setattr(json_sample, "_STRIDE_BYTES", stride)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    yield from kept_lab(tmp_path_factory)


@pytest.fixture
def lab(kept: Lab) -> Lab:
    """A lab that reads JSON lines, whoever writes them."""
    kept.path = LakePath(kept.path.template)
    return kept


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files of which every line was looked at; every file is large."""
    cut(monkeypatch, 0)
    whole, files = json_look.whole, list[Path]()

    def look(con: Any, lines: Path, *rest: Any) -> json_look.Look:
        files.append(lines)
        return whole(con, lines, *rest)

    monkeypatch.setattr(json_look, "whole", look)
    return files


def told(outcome: Read | Failed) -> Any:
    """All that a read says, but for what a sample may know less of."""
    if isinstance(outcome, Failed):
        return outcome.error
    tail, remarks = outcome.tails[7], outcome.own_remarks[7]
    rows = outcome.rows["mail"].open().read_all().to_pylist()
    hours = outcome.hours.to_pylist() if outcome.hours else []
    ordered = [sorted(map(repr, kept)) for kept in (rows, hours)]
    return ordered, replace(tail, names=()), replace(remarks, extra=(), held=(), missing=())


def _without(some: dict[str, Any], key: str, **values: Any) -> dict[str, Any]:
    return {name: value for name, value in some.items() if name != key} | values


_FLAT = {"TimeGenerated": "2026-03-09T11:00:00Z", "Type": "Cloud_CL"}
_LOWER = {name.lower(): value for name, value in plain(row(5)).items()}
_ROWS = [plain(row(number, TenantId="t-1", RawEventData="x" * 60)) for number in range(60)]
_FEW = [_without(_without(some, "TenantId"), "Flag") for some in _ROWS]
USUAL: dict[str, list[Any]] = {
    "plain": _ROWS,
    "few": _FEW,
    "lower case": [_LOWER] * 60,
    "envelope": [enveloped(some) for some in _ROWS],
    "envelope of few": [enveloped(some) | {"tenantId": "t-9"} for some in _FEW],
    "tables": [enveloped(some, ["Cloud", "Other"][n % 2]) for n, some in enumerate(_ROWS)],
    "log analytics": [some | _FLAT for some in _ROWS],
    "log analytics of few": [some | _FLAT for some in _FEW],
    "log analytics, tables": [
        some | _FLAT | {"Type": ["Cloud", "Other"][n % 2]} for n, some in enumerate(_ROWS)
    ],
}
_RAW = {"no JSON": b"no JSON", "list": b"[1]", "blank": b" ", "number": b"7", "null": b"null"}
RARE: dict[str, Any] = {
    "other": plain(row(7, Other=1)), "lower case": _LOWER, "flat": plain(row(7)) | _FLAT,
    "no time": {"Id": 7}, "empty": {}, "tenant": plain(row(7)) | {"tenantid": "t-7"},
    "suffix": _without(plain(row(7)), "Flag", Flag_b=True), "wrapper": {"records": [_ROWS[1]]},
    "records": plain(row(7)) | {"records": 3}, "envelope": enveloped(row(7)),
    "another": enveloped(row(7), "Other"), "no properties": {"category": "AdvancedHunting-Cloud"},
    "properties": {"properties": {"tenantID": "t-8"}, "tenantId": "t-9"},
    "text": {"properties": "text"}, "time": {"time": "2026-03-09T12:00:00Z"},
    "hidden": enveloped(_without(plain(row(7)), "TenantId", TENANTID="t-3", FLAG=True)),
    "no tenant": _without(enveloped(_without(plain(row(7)), "Id", tenantid="t-4")), "tenantId"),
    "type": plain(row(7)) | {"Type": "Cloud"}, "category": plain(row(7)) | {"category": "x"},
}  # fmt: skip
_ESCAPED = rb'{"Timestamp": "2026-03-09T12:00:00Z", "\\u0046lag": true}'


def content_of(usual: Sequence[Any], rare: Sequence[tuple[int, str]]) -> bytes:
    """Lines, some of them after the usual one that has their place."""
    lines = [json.dumps(item).encode() for item in usual]
    for place, name in sorted(rare, reverse=True):
        raw = _RAW | {"escaped": _ESCAPED}
        lines.insert(place, raw[name] if name in raw else json.dumps(RARE[name]).encode())
    return b"\n".join(lines) + b"\n"


@given(
    usual=st.sampled_from(sorted(USUAL)),
    rare=st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from(sorted([*RARE, *_RAW, "escaped"]))),
        max_size=3,
    ),
    exporter=st.sampled_from(["", "", *EXPORTERS]),
    sizes=st.tuples(st.integers(1, 2000), st.integers(500, 20_000)),
    aliases=st.sampled_from([{}, {"Flag": "TheFlag"}, {"Score": "Id"}]),
)
@draws.law(120)
def test_sample_gives_what_all_lines_give(
    kept: Lab,
    usual: str,
    rare: list[tuple[int, str]],
    exporter: str,
    sizes: tuple[int, int],
    aliases: dict[str, str],
) -> None:
    """Whatever rare lines a file has, in the sample or not, and whoever wrote it."""
    kept.path = LakePath(kept.path.template, exporter=exporter, columns=aliases)
    content = content_of(USUAL[usual], rare)

    got = list[Any]()
    for large in (0, _FAR):
        with pytest.MonkeyPatch.context() as patched:
            cut(patched, large, *sizes)
            got.append(told(read(kept, content)))

    assert got[0] == got[1]


@pytest.mark.parametrize("usual", sorted({*USUAL} - {"lower case"}))
def test_lines_of_one_writer_are_not_all_looked_at(
    lab: Lab, looked: list[Path], usual: str
) -> None:
    """Nothing in them makes a sample doubtful: also without columns, and with other tables."""
    outcome = read(lab, content_of(USUAL[usual], []))

    assert looked == []
    assert len(rows_of(outcome)) == (30 if "tables" in usual else 60)


@pytest.mark.parametrize(
    ("usual", "rare"),
    draws.spread([
        ("plain", "no JSON"), ("plain", "empty"), ("plain", "wrapper"), ("plain", "envelope"),
        ("plain", "flat"), ("few", "lower case"), ("few", "tenant"),
        ("envelope", "no JSON"), ("envelope", "list"), ("envelope", "time"),
        ("envelope", "wrapper"), ("envelope of few", "hidden"), ("envelope of few", "no tenant"),
        ("envelope of few", "properties"), ("log analytics", "envelope"),
        ("log analytics of few", "suffix"), ("lower case", "other"),
    ], 2),
)  # fmt: skip
def test_line_that_may_change_how_others_are_read_is_noticed(
    lab: Lab, looked: list[Path], monkeypatch: pytest.MonkeyPatch, usual: str, rare: str
) -> None:
    """Where it stands between two pieces of the sample; then every line is looked at."""
    cut(monkeypatch, 0, 700, _FAR)

    read(lab, content_of(USUAL[usual], [(30, rare)]))

    assert len(looked) == 1


def test_rare_key_of_no_column_needs_no_look(lab: Lab, looked: list[Path]) -> None:
    """It changes no row, and remarks name what the sample has."""
    lines = [*_ROWS]
    lines[30] = lines[30] | {"Rare": 1}

    outcome = read(lab, text(lines))

    assert looked == []
    assert isinstance(outcome, Read)
    assert outcome.own_remarks[7].extra == ()
    assert outcome.own_remarks[7].missing == ()


def test_small_file_is_looked_at_whole(lab: Lab, looked: list[Path]) -> None:
    """Its remarks name every key."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_sample, "_LARGE", len(text(_ROWS)) + 1)
        read(lab, text(_ROWS))

    assert len(looked) == 1


def test_stages_that_come_later_read_what_no_sample_had(tmp_path: Path, looked: list[Path]) -> None:
    """A tail keeps the keys of a sample; what is added to the file is read by its keys as well."""
    lab = json_lab(tmp_path)
    put(lab, text(_FEW))
    lab.stage()
    assert looked == []

    put(lab, text([*_FEW, *_ROWS]))
    lab.stage()

    counts = f"select count(*), count(flag) from {lab.stages[0].table}"
    assert lab.rows(counts) == [(120, 60)]


@given(
    lines=st.lists(st.text("ab\u00e9", max_size=30), min_size=1, max_size=60),
    piece=st.integers(1, 80),
    stride=st.integers(1, 300),
)
def test_sample_is_of_whole_lines_in_their_order(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], piece: int, stride: int
) -> None:
    """No line of it is a part of one."""
    folder = tmp_path_factory.mktemp("lines")
    numbered = [f"{number} {line}" for number, line in enumerate(lines)]
    (folder / "all").write_text("".join(line + "\n" for line in numbered))

    with pytest.MonkeyPatch.context() as patched:
        cut(patched, 0, piece, stride)
        assert json_sample.write(folder / "all", folder / "some")

    assert set((folder / "some").read_text().splitlines()) <= set(numbered)


@given(
    before=st.binary(max_size=60), after=st.binary(max_size=60), block=st.integers(1, 50),
    name=st.sampled_from([b'"TenantId"', b'"tenantID_s"', b'"FLAG" :']),
)  # fmt: skip
def test_key_is_seen_wherever_blocks_end(
    tmp_path_factory: pytest.TempPathFactory, before: bytes, after: bytes, block: int, name: bytes
) -> None:
    """Between any bytes."""
    file = tmp_path_factory.mktemp("bytes") / "a.json"
    file.write_bytes(before + name + after)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_sample, "_BLOCK_BYTES", block)
        assert json_sample.is_doubtful(file, Doubts({}, absent=("flag", "tenantid")), 1)
