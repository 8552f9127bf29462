"""Tests of acknowledged.yaml: what an entry covers, what is wrong with a file, adding to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gundog.core.errors import ContentError, InputError
from gundog.core.times import Interval, parse_range, parse_time
from gundog.health import acknowledged
from gundog.health.acknowledged import FILE, Entry, covering
from tests import draws, kit
from tests.hostile import HOSTILE

DAY = timedelta(days=1)
SPAN = parse_range("2026-09-11", "2026-10-20")
GOOD = {"source": "Things", "from": "2026-09-11", "to": "2026-10-20", "reason": "exporter down"}


def entry(**changes: Any) -> Entry:
    kept = {"kind": "hole", "source": "Things", "span": SPAN, "reason": "exporter down"}
    return Entry(**{**kept, **changes})


def write(root: Path, text: str) -> Path:
    kit.write_text(root / FILE, text)
    return root


def problems_of(root: Path, *items: Any) -> list[str]:
    return [str(one) for one in acknowledged.load(write(root, yaml.safe_dump(list(items))))[1]]


# ---- what it covers ----


days = st.integers(0, 8).map(lambda n: datetime(2026, 3, 1, tzinfo=UTC) + n * DAY)
spans = st.tuples(days, days).map(lambda two: Interval(min(two), max(two) + DAY))


@given(spans, spans)
def test_it_covers_what_lies_whole_in_its_span(said: Interval, asked: Interval) -> None:
    """Against a walk over the days: one day outside, and it is a problem again."""

    def walk(span: Interval) -> set[datetime]:
        return {span.start + n * DAY for n in range(span.length // DAY)}

    covered = covering([entry(span=said)], "hole", "Things", asked) is not None
    assert covered == (walk(asked) <= walk(said))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("hole", "Things", None), True),
        (("hole", "things", None), False),
        (("hole", "Others", None), False),
        (("drift", "Things", None), False),
        (("file", "Things", None), False),
        (("hole", "Things", "a"), True),
    ],
)
def test_it_is_about_one_source_and_kind(
    asked: tuple[str, str, str | None], expected: bool
) -> None:
    """An entry without tenant speaks of every tenant, and of nothing else."""
    kind, source, tenant = asked
    assert (covering([entry()], kind, source, SPAN, tenant) is not None) is expected


def test_a_tenants_entry_is_about_that_tenant() -> None:
    """Neither another tenant's problem nor the whole source's is covered by it."""
    mine = [entry(tenant="a")]

    assert covering(mine, "hole", "Things", SPAN, "a") == mine[0]
    assert covering(mine, "hole", "Things", SPAN, "b") is None
    assert covering(mine, "hole", "Things", SPAN, "") is None
    assert covering(mine, "hole", "Things", SPAN) is None


# ---- the file ----


def test_file_reads_as_written(tmp_path: Path) -> None:
    """A plain date as `to` is included, a time is not; kind is a hole; tenant, owner may lack."""
    write(
        tmp_path,
        "- {source: Things, from: 2026-09-11, to: 2026-10-20, reason: down}\n"
        "- {source: Things, tenant: a, from: '2026-09-11', to: 2026-09-12T06:00:00+02:00,\n"
        "   kind: Drift, reason: moved, owner: kim}\n",
    )

    (first, second), problems = acknowledged.load(tmp_path)
    assert problems == ()
    assert first == Entry("hole", "Things", SPAN, "down")
    assert second == Entry(
        "drift", "Things",
        Interval(parse_time("2026-09-11"), parse_time("2026-09-12T04:00:00Z")), "moved", "kim", "a",
    )  # fmt: skip
    assert first.shown == "hole: Things from 2026-09-11 to 2026-10-20: down"
    assert second.shown == (
        "drift: Things of 'a' from 2026-09-11T00:00:00Z to 2026-09-12T04:00:00Z: moved by kim"
    )


@pytest.mark.parametrize("text", [None, "", "# nothing yet\n", "[]\n"])
def test_empty_file_has_no_entries(tmp_path: Path, text: str | None) -> None:
    """So has one that is not there."""
    if text is not None:
        write(tmp_path, text)
    assert acknowledged.load(tmp_path) == ((), ())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"source": None}, "0.source: is missing"),
        ({"source": ""}, "0.source: is empty"),
        ({"source": 5}, "0.source: is 5: write a text"),
        ({"reason": None}, "0.reason: is missing"),
        ({"reason": "  "}, "0.reason: is empty"),
        ({"from": None}, "0.from: is missing: write a day"),
        ({"to": None}, "0.to: is missing: write a day"),
        ({"to": ""}, "0.to: is ''"),
        ({"to": 5}, "0.to: is 5"),
        ({"to": ["2026-10-20"]}, "0.to: is ['2026-10-20']"),
        ({"from": "soon"}, "0.from: 'soon' is not a time"),
        ({"to": "soon"}, "0.to: 'soon' is not a time"),
        ({"from": "0001-01-01T00:00:00+05:00"}, "0.from:"),
        ({"to": "9999-12-31T23:00:00-05:00"}, "0.to:"),
        ({"to": "2026-09-10"}, "0.to: 2026-09-10 is before from"),
        ({"to": "2026-09-11T00:00:00Z"}, "0.to: 2026-09-11T00:00:00Z is before from"),
        ({"kind": "holes"}, "0.kind: unknown value: did you mean hole?"),
        ({"tenant": ""}, "0.tenant: is empty"),
        ({"tenant": 7}, "0.tenant: is 7"),
        ({"until": "2026-10-20"}, "0.until: unknown key 'until'"),
    ],
)
def test_a_bad_entry_is_named_and_the_others_hold(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    """File, place, key, and what to write instead."""
    other = {**GOOD, "source": "Others"}
    found = problems_of(tmp_path, {**GOOD, **change}, other)

    assert [one for one in found if one.startswith(f"{FILE}: {problem}")], found
    assert [one.source for one in acknowledged.load(tmp_path)[0]] == ["Others"]


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"source: Things\n", "holds a dict: begin each entry with '- '"),
        (b"- {a: [}\n", "line 1: cannot be read"),
        (b"- {source: caf\xe9}\n", "cannot be read"),
        (b"- {source: a, source: b}\n", "duplicate key 'source'"),
    ],
)
def test_a_file_that_cannot_be_read_acknowledges_nothing(
    tmp_path: Path, raw: bytes, problem: str
) -> None:
    """It is named, and what was acknowledged is a problem again: never the other way round."""
    (tmp_path / FILE).write_bytes(raw)

    entries, problems = acknowledged.load(tmp_path)
    assert entries == ()
    assert any(problem in str(one) for one in problems), problems


def test_a_folder_or_a_dangling_link_is_named(tmp_path: Path) -> None:
    """No file of that name is not the same as one that cannot be read."""
    (tmp_path / FILE).mkdir()
    assert "cannot be read" in str(acknowledged.load(tmp_path)[1][0])

    (tmp_path / FILE).rmdir()
    (tmp_path / FILE).symlink_to(tmp_path / "gone")
    assert "cannot be read" in str(acknowledged.load(tmp_path)[1][0])


def test_entries_that_say_the_same_are_named(tmp_path: Path) -> None:
    """Reason and owner make no other entry; the first one holds."""
    found = problems_of(
        tmp_path, "text", GOOD, {**GOOD, "reason": "other"}, {**GOOD, "kind": "file"}
    )

    assert found == [
        f"{FILE}: 0: holds 'text': write keys and values",
        f"{FILE}: 0.source: is missing: write a text",
        f"{FILE}: 0.reason: is missing: write a text",
        f"{FILE}: 0.from: is missing: write a day or a time in UTC, such as 2026-10-31",
        f"{FILE}: 0.to: is missing: write a day or a time in UTC, such as 2026-10-31",
        f"{FILE}: 2: is about the same as 1: keep one",
    ]
    assert [one.kind for one in acknowledged.load(tmp_path)[0]] == ["hole", "file"]


def test_names_that_nobody_knows_are_named() -> None:
    """A hole is of a source table; a drift may be of a staged table."""
    entries = [entry(source="Thing"), entry(source="rows_kept"),
               entry(source="rows_kept", kind="drift"), entry()]  # fmt: skip

    found = acknowledged.check_names(entries, ["Things"], ["rows_kept"])
    assert [str(one) for one in found] == [
        f"{FILE}: source Thing: unknown source table: did you mean Things?",
        f"{FILE}: source rows_kept: unknown source table 'rows_kept': use one of Things",
    ]


# ---- adding ----


moments = st.one_of(
    days, days.map(lambda day: day + timedelta(hours=6, microseconds=5)),
    st.just(datetime.max.replace(tzinfo=UTC)), st.just(datetime(1, 1, 1, tzinfo=UTC)),
)  # fmt: skip


@given(
    moments, moments, st.sampled_from(acknowledged.KINDS), st.sampled_from([None, "a", "5", "on"])
)
def test_what_is_written_reads_back(
    tmp_path_factory: pytest.TempPathFactory,
    start: datetime,
    end: datetime,
    kind: str,
    tenant: str | None,
) -> None:
    """Days, odd times, the first and the last moment there is, tenants that YAML would not keep."""
    if start >= end:
        return
    root = tmp_path_factory.mktemp("project")
    made = entry(span=Interval(start, end), kind=kind, tenant=tenant, owner="kim")

    acknowledged.append(root, made, root / "lock")

    assert acknowledged.load(root) == ((made,), ())


@pytest.mark.parametrize("raw", draws.named(HOSTILE))
def test_hostile_reason_is_written_and_read_back_as_itself(raw: str, tmp_path: Path) -> None:
    """Whatever somebody writes, the file stays readable, in ASCII."""
    if not raw.strip() or "\ud800" in raw:  # no argument holds one
        return
    made = entry(reason=raw.strip(), tenant=raw.strip())

    acknowledged.append(tmp_path, made, tmp_path / "lock")

    assert acknowledged.load(tmp_path) == ((made,), ())
    assert (tmp_path / FILE).read_text().isascii()


def test_added_lines_come_after_what_people_wrote(tmp_path: Path) -> None:
    """Comments stay; plain days are written as plain days, the last one included."""
    before = "# ours\n- {source: Others, from: 2026-01-01, to: 2026-01-01, reason: x}  # why"
    write(tmp_path, before)

    added = acknowledged.append(tmp_path, entry(owner="kim"), tmp_path / "lock")

    assert added == (
        "\n- source: Things\n  from: 2026-09-11\n  to: 2026-10-20\n  kind: hole\n"
        "  reason: exporter down\n  owner: kim\n"
    )
    assert (tmp_path / FILE).read_text() == before + added


def test_what_is_said_already_is_not_said_again(tmp_path: Path) -> None:
    """A part of an entry's span neither; a longer span or another kind is new."""
    acknowledged.append(tmp_path, entry(), tmp_path / "lock")

    part = Interval(SPAN.start + DAY, SPAN.end)
    for same in (entry(), entry(span=part, reason="other"), entry(tenant="a")):
        with pytest.raises(
            InputError, match="already has this entry: hole: Things from 2026-09-11"
        ):
            acknowledged.append(tmp_path, same, tmp_path / "lock")
    for new in (entry(span=Interval(SPAN.start, SPAN.end + DAY)), entry(kind="file")):
        acknowledged.append(tmp_path, new, tmp_path / "lock")

    assert len(acknowledged.load(tmp_path)[0]) == 3


def test_a_wrong_file_is_not_added_to(tmp_path: Path) -> None:
    """Its problems are named, its bytes stay."""
    text = yaml.safe_dump([{**GOOD, "reason": None}])
    write(tmp_path, text)

    with pytest.raises(ContentError, match=r"0\.reason: is missing"):
        acknowledged.append(tmp_path, entry(), tmp_path / "lock")

    assert (tmp_path / FILE).read_text() == text
