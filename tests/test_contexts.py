"""First and last times of contexts: learned by day, and what a fresh start would have."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.detections import content
from gundog.findings import purging, retention
from gundog.findings.purging import Whom
from gundog.findings.retention_times import Retention
from gundog.warehouse import context_values, contexts, database
from gundog.warehouse.context_columns import Learned
from tests import draws
from tests.kit import write_text
from tests.lab import AT, NOON, SOURCE, STAGE, Lab

DAY = timedelta(days=1)
LEARNED = STAGE.replace(
    "Id as id,",
    "Id as id,\n    try(json_extract_string(RawEventData, '$.Mailbox')) as mailbox,",
)
ROWS = "-- Things.\n-- Contexts: mailbox, who, flag | id, who + flag\n" + LEARNED
Seen = dict[tuple[str, str, str, str], tuple[datetime, datetime]]


def learned(lab: Lab) -> Learned:
    (stage,) = lab.stages
    assert stage.learned
    return stage.learned


def learn(lab: Lab) -> int:
    """Learns what changed; how many days that were."""
    return contexts.learn(lab.con, learned(lab))


def known(lab: Lab) -> Seen:
    """First and last time by tenant, entity, kind and value, through the view that hunts read."""
    return {
        key: (first, last)
        for *key_parts, first, last in lab.rows(
            """select tenant, entity, kind, value, min(first_time), max(last_time)
               from rows_contexts group by all"""
        )
        for key in [tuple(key_parts)]
    }


def expected(rows: list[dict[str, Any]]) -> Seen:
    """The same, looked at row by row."""
    times = defaultdict[tuple[str, str, str, str], list[datetime]](list)
    for row in rows:
        if not row["mailbox"]:
            continue
        flag = str(row["flag"]).lower() if row["flag"] is not None else ""
        values = {
            "*": "*",
            "who + flag": f"{row['who'] or '-'} + {flag or '-'}" if row["who"] or flag else "",
            "who": row["who"],
            "flag": str(row["flag"]).lower() if row["flag"] is not None else str(row["id"]),
        }
        for kind, value in values.items():
            if value:
                times[row["tenant"], row["mailbox"], kind, value].append(row["at"])
    return {key: (min(mine), max(mine)) for key, mine in times.items()}


def file_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.table(
        {
            "Timestamp": pa.array([row["at"] for row in rows], pa.timestamp("us", "UTC")),
            "Id": pa.array([row["id"] for row in rows], pa.int64()),
            "RawEventData": pa.array([row["raw"] for row in rows], pa.string()),
            "Score": pa.array([None for _ in rows], pa.float64()),
            "Flag": pa.array([row["flag"] for row in rows], pa.bool_()),
            "TenantId": pa.array([row["tenant"] for row in rows], pa.string()),
        }
    )


_HAPPENING = st.builds(
    lambda minute, number, mailbox, who, flag, tenant: {
        "at": NOON + timedelta(minutes=minute),
        "id": number,
        "mailbox": mailbox,
        "who": who,
        "flag": flag,
        "tenant": tenant,
        "raw": f'{{"Mailbox": "{mailbox}", "Who": "{who}"}}',
    },
    st.integers(-3 * 1440, 3 * 1440),
    st.integers(1, 5),
    st.sampled_from(["ana", "bob", ""]),
    st.sampled_from(["x", "y", ""]),
    st.sampled_from([True, False, None]),
    st.sampled_from(["", "t"]),
)
_FILES = st.lists(
    st.tuples(st.sampled_from("abc"), st.lists(_HAPPENING, min_size=1, max_size=6)),
    min_size=2,
    max_size=5,
)


def distinct(files: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """All rows, of a re-delivered event the one of the smallest file; ids stand for events."""
    return [row for rows in files.values() for row in rows]


@draws.law(6, quick=2)
@given(arrivals=_FILES, gone=st.sampled_from([None, "ana"]))
def test_what_is_known_is_what_a_fresh_start_would_know(
    arrivals: list[tuple[str, list[dict[str, Any]]]], gone: str | None
) -> None:
    """Files come, change and are delivered twice; a mailbox is purged: only what is left counts."""
    ids = iter(range(1000))
    for _, rows in arrivals:
        for row in rows:
            row["id"] = next(ids)
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder), {"rows": ROWS})
        files: dict[str, list[dict[str, Any]]] = {}
        for name, rows in arrivals:
            files[name] = rows
            lab.put(file_of(rows), name)
            lab.put(file_of(rows), f"{name}-again")
            lab.stage()
            learn(lab)
        assert known(lab) == expected(distinct(files))
        assert learn(lab) == 0
        if gone:
            purging.purge(lab.con, Whom(mailbox=gone.upper()), Path(folder) / "triage.jsonl")
            left = [row for row in distinct(files) if row["mailbox"] != gone]
            assert known(lab) == expected(left)
            learn(lab)
            assert known(lab) == expected(left)
        lab.opened.close()


@draws.law(6, quick=2)
@given(
    rows=st.lists(_HAPPENING, min_size=1, max_size=12),
    apart=st.frozensets(st.integers(0, 2)),
    most=st.sampled_from([1, 3, 1000]),
)
def test_neither_days_nor_kinds_taken_apart_change_what_is_known(
    rows: list[dict[str, Any]], apart: frozenset[int], most: int
) -> None:
    """How days are put together and which kinds are taken by themselves is a matter of cost."""
    for number, happening in enumerate(rows):
        happening["id"] = number
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(contexts, "_ROWS_AT_A_TIME", most)
        patch.setattr(context_values, "many_valued", lambda *_: apart)
        lab = Lab(Path(folder), {"rows": ROWS})
        lab.put(file_of(rows))
        lab.stage()
        assert learn(lab) == len({happening["at"].date() for happening in rows})
        assert known(lab) == expected(rows)
        twice = (
            "select 1 from contexts group by tenant, entity, kind, value, day having count(*) > 1"
        )
        assert lab.rows(twice) == []
        lab.opened.close()


def test_a_kind_with_a_value_of_its_own_in_most_rows_is_taken_apart(lab: Lab) -> None:
    """Of many rows; `flag | id` is one, the others have few values."""
    lab.con.execute(
        "create or replace temp table learning as select timestamptz '2026-03-09' as day"
    )
    view = (
        "(select '' as tenant, 'ana' as mailbox, timestamptz '2026-03-09' + to_seconds(i) as"
        " event_time, 'x' as who, null as flag, i as id from range({}) as r(i))"
    )
    many, few = (replace(learned(lab), view=view.format(count)) for count in (30_000, 3_000))
    assert context_values.many_valued(lab.con, many) == {1}
    assert context_values.many_valued(lab.con, few) == frozenset()


def row(at: datetime, number: int, mailbox: str = "ana", who: str = "x") -> dict[str, Any]:
    return {
        "at": at,
        "id": number,
        "mailbox": mailbox,
        "who": who,
        "flag": None,
        "tenant": "",
        "raw": f'{{"Mailbox": "{mailbox}", "Who": "{who}"}}',
    }


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, {"rows": ROWS})


def test_a_night_learns_its_own_day(lab: Lab) -> None:
    """Days that did not change are not looked at again; one that a late file reaches is."""
    lab.put(file_of([row(NOON + n * DAY, n) for n in range(5)]))
    lab.stage()
    assert learn(lab) == 5
    lab.put(file_of([row(NOON + 5 * DAY, 5)]), "b")
    lab.stage()
    assert learn(lab) == 1
    lab.put(file_of([row(NOON + 2 * DAY, 6)]), "c")
    lab.stage()
    assert learn(lab) == 1


def test_what_retention_takes_from_the_staged_rows_stays_known(lab: Lab) -> None:
    """In one row per value; what was seen on one day only goes with its rows."""
    lab.put(file_of([row(NOON, 1), row(NOON + DAY, 2), row(NOON, 3, who="once")]))
    lab.stage()
    learn(lab)
    days = [datetime(2026, 3, 9, tzinfo=UTC), datetime(2026, 3, 10, tzinfo=UTC)]
    with database.transaction(lab.con):
        lab.con.execute("delete from staged." + lab.stages[0].table.split(".")[1])
        contexts.settle(lab.con, "rows", days)
    learn(lab)

    assert known(lab)["", "ana", "who", "x"] == (NOON, NOON + DAY)
    assert ("", "ana", "who", "once") not in known(lab)
    (count,) = lab.rows("select count(*) from contexts where kind = 'who'")[0]
    assert count == 1


def test_a_late_file_adds_to_what_was_settled(lab: Lab) -> None:
    """Its day is learned from the rows that are left, and the settled times stay."""
    lab.put(file_of([row(NOON, 1), row(NOON + DAY, 2)]))
    lab.stage()
    learn(lab)
    with database.transaction(lab.con):
        contexts.settle(lab.con, "rows", [datetime(2026, 3, 9, tzinfo=UTC)])
    lab.put(file_of([row(NOON - timedelta(hours=1), 3)]), "b")
    lab.stage()
    learn(lab)

    assert known(lab)["", "ana", "who", "x"] == (NOON - timedelta(hours=1), NOON + DAY)


def test_what_was_not_seen_for_long_is_forgotten(lab: Lab) -> None:
    """Only of days whose rows are gone."""
    lab.put(file_of([row(NOON + n * DAY, n) for n in range(3)]))
    lab.stage()
    learn(lab)
    with database.transaction(lab.con):
        contexts.settle(lab.con, "rows", [datetime(2026, 3, 9 + n, tzinfo=UTC) for n in range(2)])
    contexts.forget(lab.con, NOON + DAY)
    assert known(lab)["", "ana", "who", "x"] == (NOON, NOON + 2 * DAY)
    contexts.forget(lab.con, NOON + DAY + timedelta(seconds=1))
    assert known(lab)["", "ana", "who", "x"] == (NOON + 2 * DAY, NOON + 2 * DAY)


def test_other_columns_are_learned_from_all_staged_rows(lab: Lab) -> None:
    """They change no hash, so that nothing is staged again."""
    lab.put(file_of([row(NOON, 1), row(NOON + DAY, 2)]))
    lab.stage()
    learn(lab)
    before = lab.stages[0].hash
    lab.write_stages({"rows": ROWS.replace("who, flag | id, who + flag", "who")})
    assert lab.stages[0].hash == before
    assert learn(lab) == 2
    assert {kind for _, _, kind, _ in known(lab)} == {"*", "who"}


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("whose, who", "names 'whose'"),
        ("mailbox", "names whose contexts they are"),
        ("mailbox | who, flag", "names whose contexts they are"),
        ("mailbox, who + flug", "names 'flug'"),
        ("mailbox, who, who | flag", "names 'who' twice"),
    ],
)
def test_contexts_that_do_not_fit_are_a_problem(tmp_path: Path, header: str, problem: str) -> None:
    write_text(tmp_path / "sql/sources/Cloud.sql", SOURCE)
    write_text(tmp_path / "sql/stage/rows.sql", f"-- Contexts: {header}\n" + LEARNED)
    (found,) = content.load([tmp_path]).problems
    assert f"sql/stage/rows.sql: Contexts: {problem}" in str(found)


def test_purged_rows_of_an_account_are_forgotten_by_the_next_run(tmp_path: Path) -> None:
    """What it did in mailboxes of others is learned again without it; their own days stay."""
    actor = "try(json_extract_string(RawEventData, '$.Who')) as actor"
    stage = ROWS.replace("Score as score", f"{actor},\n    Score as score")
    lab = Lab(tmp_path, {"rows": stage})
    lab.put(file_of([row(NOON, 1, who="eve"), row(NOON, 2), row(NOON + DAY, 3)]))
    lab.stage()
    learn(lab)
    assert ("", "ana", "who", "eve") in known(lab)

    purging.purge(lab.con, Whom(account="EVE"), tmp_path / "triage.jsonl")

    assert learn(lab) == 1
    assert ("", "ana", "who", "eve") not in known(lab)
    assert known(lab)["", "ana", "who", "x"] == (NOON, NOON + DAY)


def test_retention_keeps_what_is_known(lab: Lab) -> None:
    """Rows of expired files go from the staged table, and the values seen on several days stay."""
    lab.put(file_of([row(NOON, 1), row(NOON + DAY, 2), row(NOON, 3, who="once")]))
    lab.stage()
    learn(lab)
    keep = Retention(staged=DAY, series=400 * DAY, evidence=400 * DAY, findings=400 * DAY)

    retention.apply(lab.con, lab.content, keep, DAY, AT + 90 * DAY)
    learn(lab)

    assert lab.rows("select count(*) from rows") == [(0,)]
    assert known(lab)["", "ana", "who", "x"] == (NOON, NOON + DAY)
    assert ("", "ana", "who", "once") not in known(lab)
    retention.apply(lab.con, lab.content, keep, DAY, AT + 500 * DAY)
    assert known(lab) == {}
