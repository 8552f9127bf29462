"""Tests of findings.storing: rows into findings, stored so that hunting twice changes nothing."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gundog
from gundog.core.errors import QueryError
from gundog.core.plain_values import canonical, plain
from gundog.core.times import Interval, parse_time
from gundog.detections.detection import Example
from gundog.detections.hunt import Content, Hunt
from gundog.findings import model, storing, words
from gundog.findings.model import Changes, Event, Hit, Hunted, RunStamp
from gundog.run import hunt_step
from gundog.run.outcome import Outcome
from gundog.testing import examples
from gundog.warehouse import database
from tests import kit
from tests.hostile import HOSTILE
from tests.kit import DAY, event, table, write_file

PAIR_ID = "11111111-1111-4111-8111-111111111111"
FIRST = Interval(parse_time("2026-03-01"), parse_time("2026-03-02"))
SECOND = Interval(FIRST.end, FIRST.end + DAY)
# One row per 'open' event, with columns that a test adds before `from`.
SINGLE = """\
select
    event_id as open_id,
    who as account_name,
    event_time as start_time,
    event_time as end_time,
    interval '1' hour as gap,
    {columns}
    [{{'role': 'open', 'source_table': 'Things', 'event_id': event_id}}] as evidence
from happenings
where event_time >= $start - $within and event_time >= $start and event_time < $end
    and kind = 'open'
order by start_time, open_id
"""


def stamp(day: int = 1, origin: str = "nightly") -> RunStamp:
    """A run of its own on a day of its own."""
    return RunStamp(UUID(int=day), datetime(2026, 4, day, tzinfo=UTC), origin)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Content:
    """The small project's content."""
    root = kit.make_project(tmp_path_factory.mktemp("content"), series=True)
    return kit.load_content(root)


@pytest.fixture
def pair(loaded: Content) -> Hunt:
    """The match detection of the small project."""
    return loaded.hunt("pair")


def hunt_of(
    tmp_path: Path, columns: str, yaml: Sequence[tuple[str, str]] = ()
) -> tuple[Content, Hunt]:
    """A detection whose SQL returns some columns more."""
    kit.make_project(tmp_path)
    kit.write_text(tmp_path / "sql/pair.sql", SINGLE.format(columns=columns))
    text = kit.PAIR_YAML + kit.HEAD
    for old, new in yaml:
        assert old in text
        text = text.replace(old, new)
    kit.write_text(tmp_path / "detections/pair.yaml", text)
    found = kit.load_content(tmp_path)
    return found, found.hunt("pair")


def opened(who: str = "a", number: int = 1) -> dict[str, Any]:
    """An 'open' event of the first day."""
    return {"Timestamp": parse_time("2026-03-01T10:00"), "Id": number, "Kind": "open", "Who": who}


def hits_of(found: tuple[Content, Hunt], *rows: Mapping[str, Any]) -> tuple[Hit, ...]:
    """What a detection finds on the first day."""
    example = Example("x", FIRST, {"Things": rows or (opened(),)}, ())
    return examples.run(found[0], found[1], example)


def stored(found: tuple[Content, Hunt], hit: Hit) -> dict[str, Any]:
    """The row of findings that a hit becomes."""
    return storing.record(Hunted(found[1], FIRST, 1, "done", (hit,)), hit, stamp())


# Values and identity.


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (datetime(2026, 3, 1, 10, tzinfo=UTC), "2026-03-01T10:00:00Z"),
        (datetime(2026, 3, 1, 10, 0, 0, 5), "2026-03-01T10:00:00.000005Z"),
        (date(2026, 3, 1), "2026-03-01"),
        (timedelta(hours=36), "1d12h"),
        (pa.MonthDayNano([1, 2, 3_000_000_000]), "32d3s"),
        (Decimal("5"), 5),
        (Decimal("1.50"), 1.5),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (UUID(int=7), str(UUID(int=7))),
        ((1, [timedelta(seconds=1)]), [1, ["1s"]]),
        ({"a": {1: None}}, {"a": {"1": None}}),
        (True, True),
        ("text", "text"),
    ],
)
def test_values_are_told_as_people_write_them(value: Any, wanted: Any) -> None:
    """Times with a Z, durations with units, numbers as numbers."""
    assert plain(value) == wanted
    assert type(plain(value)) is type(wanted)


def test_time_without_a_zone_is_the_same_on_every_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a hunt casts to TIMESTAMP is read as UTC, wherever the machine stands."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        shown = plain(datetime(2026, 3, 1, 10))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert shown == "2026-03-01T10:00:00Z"


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.decimals(-(10**38), 10**38),
    st.datetimes(timezones=st.just(UTC)),
    st.timedeltas(),
    st.uuids(),
    st.binary(max_size=3),
)
nested = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(nested)
def test_every_value_becomes_strict_json(value: Any) -> None:
    """Other programs read it too: no NaN, no Infinity, nothing but ASCII; twice is once."""
    text = canonical(value)

    assert text.isascii()
    read = json.loads(text, parse_constant=pytest.fail)
    assert canonical(read) == text


@given(st.dictionaries(st.text(), st.integers(), max_size=6))
def test_equal_values_have_one_spelling(value: dict[str, int]) -> None:
    """The order of keys says nothing."""
    assert canonical(dict(reversed(value.items()))) == canonical(value)


def test_id_follows_from_detection_and_identity_alone(pair: Hunt) -> None:
    """UUIDv5 of the detection's id and the values as JSON: the same for ever."""
    found = model.identify(pair.detection, ["t1", UUID(int=1)])

    assert found == uuid5(UUID(PAIR_ID), f'["t1","{UUID(int=1)}"]')
    assert found == UUID("f6e99e4a-a27c-53e8-8428-754841cd625e")
    other = replace(pair.detection, id="33333333-3333-4333-8333-333333333333")
    assert model.identify(other, ["t1", UUID(int=1)]) != found
    assert model.identify(pair.detection, ["t1", UUID(int=2)]) != found


def test_id_holds_the_tenant_whether_the_identity_names_it_or_not(tmp_path: Path) -> None:
    """One event id in two tenants is two findings; without a tenant the id is as ever."""
    found = hunt_of(tmp_path, "tenant,")

    hits = hits_of(found, opened(), {**opened(), "TenantId": "t1"}, {**opened(), "TenantId": "t2"})

    ids = {hit.row["tenant"]: hit.finding_id for hit in hits}
    event = hits[0].row["open_id"]
    assert {hit.row["open_id"] for hit in hits} == {event}
    assert ids[""] == uuid5(UUID(PAIR_ID), f'["{event}"]')
    assert len(set(ids.values())) == 3
    assert [hit.finding_id for hit in hits_of(found, {**opened(), "TenantId": "t2"})] == [ids["t2"]]


def test_evidence_is_of_the_findings_own_tenant(tmp_path: Path) -> None:
    """An event of the same id and time in another tenant is another event."""
    found = hunt_of(tmp_path, "tenant,")

    hits = hits_of(
        found,
        *(
            {**opened(), "TenantId": name, "N": place}
            for place, name in enumerate(["", "t1", "t2"])
        ),
    )

    told = {hit.row["tenant"]: [json.loads(one.event) for one in hit.events] for hit in hits}
    assert {name: [one["tenant"] for one in some] for name, some in told.items()} == {
        name: [name] for name in ("", "t1", "t2")
    }
    assert [one["n"] for (one,) in (told[name] for name in ("", "t1", "t2"))] == [0, 1, 2]


# Rows into hits.


def test_rows_with_one_identity_are_refused(tmp_path: Path) -> None:
    """Two findings cannot have one id: the message says what to do."""
    found = hunt_of(tmp_path, "", [("identity: [open_id]", "identity: [account_name]")])

    with pytest.raises(QueryError, match=r"identity: two rows share \['a'\]: return one row"):
        hits_of(found, opened(number=1), opened(number=2))


def test_evidence_is_the_staged_row_in_the_order_named(loaded: Content, pair: Hunt) -> None:
    """Role and source as the hunt says; the event whole, without the engine's own columns."""
    rows = (
        opened(),
        {**opened(number=2), "Kind": "close", "Timestamp": parse_time("2026-03-01T11:00")},
    )

    [hit] = hits_of((loaded, pair), *rows)

    assert [one.role for one in hit.events] == ["open", "close"]
    assert {one.source_table for one in hit.events} == {"Things"}
    assert hit.evidence_count == 2
    event = json.loads(hit.events[0].event)
    assert (event["kind"], event["who"], event["id"]) == ("open", "a", 1)
    assert not {"file_id", "reject_reason"} & event.keys()
    assert hit.events[0].event_time == parse_time("2026-03-01T10:00")


def test_evidence_that_is_not_staged_is_counted_only(tmp_path: Path) -> None:
    """A reference to an event nobody staged proves nothing, and the number says so."""
    found = hunt_of(tmp_path, "")
    sql = found[1].sql.replace("'event_id': event_id}]", "'event_id': md5('x')::uuid}]")

    [hit] = hits_of((found[0], replace(found[1], sql=sql)))

    assert (hit.events, hit.evidence_count) == ((), 1)


def test_evidence_may_be_null(tmp_path: Path) -> None:
    """A finding without events is one with none."""
    found = hunt_of(tmp_path, "")
    sql = (
        found[1]
        .sql.replace("as evidence", "as kept")
        .replace(
            "from happenings",
            ", null::struct(role varchar, source_table varchar, event_id uuid)[] as evidence"
            " from happenings",
        )
    )

    [hit] = hits_of((found[0], replace(found[1], sql=sql)))

    assert (hit.events, hit.evidence_count) == ((), 0)


def test_evidence_stops_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is bounded; the count is not."""
    assert model.EVIDENCE_LIMIT == 10_000
    monkeypatch.setattr(model, "EVIDENCE_LIMIT", 500)
    found = hunt_of(tmp_path, "")
    sql = """select min(event_id::varchar) as open_id, 'a' as account_name,
                    interval '1' hour as gap, $within as w,
                    min(event_time) as start_time, max(event_time) as end_time,
                    list({'role': 'open', 'source_table': 'happenings', 'event_id': event_id}
                         order by event_time) as evidence
             from happenings where event_time >= $start and event_time < $end"""
    many = {**opened(), "repeat": {"every": "1ms", "times": 520}}

    [hit] = hits_of((found[0], replace(found[1], sql=sql)), many)

    assert (len(hit.events), hit.evidence_count) == (500, 520)
    assert hit.events[-1].event_time == parse_time("2026-03-01T10:00:00.499")
    assert {one.source_table for one in hit.events} == {"happenings"}


# Hits into rows of findings.


def test_columns_named_like_those_of_findings_fill_them(tmp_path: Path) -> None:
    """All others become details, typed."""
    found = hunt_of(tmp_path, "'h1' as host_name, 2.5::double as score, sum(n) over () as total,")

    [hit] = hits_of(found, {**opened(), "N": 7})
    row = stored(found, hit)

    assert (row["host_name"], row["score"], row["account_name"]) == ("h1", 2.5, "a")
    details = json.loads(row["details"])
    assert details == {"open_id": str(hit.row["open_id"]), "gap": "1h", "total": 7}
    assert row["tenant"] == ""
    assert (row["interval_start"], row["interval_end"]) == (FIRST.start, FIRST.end)
    assert (row["kind"], row["origin"], row["triage_status"]) == ("match", "nightly", "new")


@pytest.mark.parametrize(
    ("column", "severity"),
    [("'high' as severity,", "high"), ("'grave' as severity,", "medium"),
     ("null::varchar as severity,", "medium"), ("", "medium")],
)  # fmt: skip
def test_severity_of_the_row_wins_where_it_is_one(
    tmp_path: Path, column: str, severity: str
) -> None:
    """Otherwise the detection's own holds."""
    found = hunt_of(tmp_path, column)

    assert stored(found, hits_of(found)[0])["severity"] == severity


def test_words_of_the_detection_are_told_with_the_finding(tmp_path: Path) -> None:
    """Title, reason, tactics and entities; an entity nobody names is left out."""
    entities = (
        "entityMappings: [{entityType: Host, fieldMappings: [{identifier: HostName, columnName:"
        " host_name}]}, {"
    )
    found = hunt_of(tmp_path, "", [("entityMappings: [{", entities)])
    row = stored(found, hits_of(found)[0])

    assert row["title"] == "a opened and closed after 1h"
    assert row["reason"] == "Opened and closed"
    assert (row["tactics"], row["techniques"]) == (["Collection"], ["T1114.002"])
    assert json.loads(row["entities"]) == [{"type": "Account", "Name": "a"}]
    assert row["risk_score"] == 50

    spoken = hunt_of(tmp_path / "other", "'because' as reason,")
    assert stored(spoken, hits_of(spoken)[0])["reason"] == "because"


@pytest.mark.parametrize("who", ["{gap}", "{account_name}", r"\g<0>", "{0.__class__}", "*", "%s"])
def test_text_from_events_is_no_template(tmp_path: Path, who: str) -> None:
    """What an attacker calls an account stands in the title as it is."""
    found = hunt_of(tmp_path, "")

    row = stored(found, hits_of(found, opened(who))[0])

    assert row["title"] == f"{who} opened and closed after 1h"


def test_value_that_is_not_there_is_a_question_mark(pair: Hunt) -> None:
    """Null and empty read the same in a title; numbers have separators."""
    row = {"account_name": None, "gap": 1234567.0}

    assert words.title(pair.detection, row) == "? opened and closed after 1,234,567"


def test_application_of_microsoft_is_named_in_a_title(pair: Hunt) -> None:
    """Its id has the name before it, in the columns of ids only."""
    graph = "00000003-0000-0000-C000-000000000000"
    detection = replace(pair.detection, title="{app_id} reads {account_name}")

    assert words.title(detection, {"app_id": graph, "account_name": graph}) == (
        f"Microsoft Graph ({graph.lower()}) reads {graph}"
    )


def test_tenants_own_series_is_called_so(loaded: Content) -> None:
    """Only a series has a `*` that stands for everybody."""
    row = {"who": "*", "observed": 3.25, "expected": 1.0}

    assert words.title(loaded.hunt("count").detection, row) == (
        "the whole tenant: 3.2 where 1 were expected"
    )


# Storing.


def hit(name: str, n: int = 1, events: Sequence[str] = ("e",), seq: int = 1) -> Hit:
    """A hit with an identity of its own."""
    row = {"account_name": name, "start_time": FIRST.start, "end_time": FIRST.start, "n": n}
    proof = tuple(
        Event("open", "Things", UUID(int=place), FIRST.start, f"{one}.parquet", seq, "{}")
        for place, one in enumerate(events)
    )
    return Hit(uuid5(UUID(PAIR_ID), name), row, proof, len(proof))


def store(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    hits: Sequence[Hit],
    *,
    day: int = 1,
    interval: Interval = FIRST,
    state: str = "done",
    seq: int = 1,
    error: str = "",
) -> Changes:
    """Stores an interval's hits as the run of a day."""
    hunted = Hunted(hunt, interval, seq, state, tuple(hits), error=error)
    return storing.store(con, hunted, stamp(day))


def changes(**counts: int) -> Changes:
    """How many findings became what."""
    return Changes(**counts)


def rows(con: duckdb.DuckDBPyConnection, name: str, order: str = "all") -> list[dict[str, Any]]:
    """Everything in a table."""
    return database.rows(con, f"select * from {name} order by {order}")


def history(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """What happened to findings, in order."""
    return con.execute("select change, reason from finding_changes order by changed_at").fetchall()


def test_first_store_is_new(con: duckdb.DuckDBPyConnection, pair: Hunt) -> None:
    """Findings, their evidence, the history and the ledger in one go."""
    assert store(con, pair, [hit("a"), hit("b", events=("x", "y"))]) == changes(new=2)

    assert [one["account_name"] for one in rows(con, "findings", "account_name")] == ["a", "b"]
    evidence = rows(con, "evidence", "finding_id, ordinal")
    assert sorted((one["ordinal"], one["source_file"]) for one in evidence) == [
        (0, "e.parquet"), (0, "x.parquet"), (1, "y.parquet")
    ]  # fmt: skip
    assert history(con) == [("new", ""), ("new", "")]
    [ledger] = rows(con, "run_intervals")
    assert (ledger["state"], ledger["findings"], ledger["seq"]) == ("done", 2, 1)


def test_storing_again_changes_nothing_but_the_ledger(
    con: duckdb.DuckDBPyConnection, pair: Hunt
) -> None:
    """Same rows, same evidence: not even the time of the last change moves."""
    store(con, pair, [hit("a"), hit("b")])
    before = [rows(con, name) for name in ("findings", "evidence", "finding_changes")]

    assert store(con, pair, [hit("b"), hit("a")], day=2) == changes(unchanged=2)

    assert [rows(con, name) for name in ("findings", "evidence", "finding_changes")] == before
    assert [one["run_id"] for one in rows(con, "run_intervals")] == [stamp(2).id]


def test_sentence_of_a_series_may_be_worded_differently(
    con: duckdb.DuckDBPyConnection, loaded: Content
) -> None:
    """What an upgrade says in other words is not a change; another figure is one."""
    hunt = loaded.hunt("count")

    def night(reason: str, observed: float) -> Hit:
        row = {"series_key": "/a", "observed": observed, "reason": reason}
        return Hit(uuid5(UUID(PAIR_ID), "a"), row, (), 0)

    store(con, hunt, [night("9 events where 2 were expected", 9.0)])

    assert store(con, hunt, [night("9 events; 2 expected", 9.0)], day=2) == changes(unchanged=1)
    assert store(con, hunt, [night("8 events; 2 expected", 8.0)], day=3) == changes(changed=1)


def test_sentence_of_a_match_is_a_column_like_any_other(
    con: duckdb.DuckDBPyConnection, pair: Hunt
) -> None:
    """Its SQL says it of the rows, so another one is a change."""
    before, after = (replace(hit("a"), row={**hit("a").row, "reason": one}) for one in "xy")
    store(con, pair, [before])

    assert store(con, pair, [after], day=2) == changes(changed=1)


@pytest.mark.parametrize(
    ("after", "reason"),
    [(hit("a", n=2), "n"), (hit("a", events=("f",)), "evidence"),
     (hit("a", n=2, events=("e", "f")), "n, evidence")],
)  # fmt: skip
def test_changed_row_or_evidence_is_told_and_keeps_id_and_birth(
    con: duckdb.DuckDBPyConnection, pair: Hunt, after: Hit, reason: str
) -> None:
    """What changed is named, and the row as it was is kept."""
    store(con, pair, [hit("a")])

    assert store(con, pair, [after], day=2) == changes(changed=1)

    [row] = rows(con, "findings")
    assert (row["finding_id"], row["created_at"]) == (hit("a").finding_id, stamp(1).at)
    assert (row["updated_at"], row["run_id"]) == (stamp(2).at, stamp(2).id)
    assert history(con)[-1] == ("changed", reason)
    before = json.loads(rows(con, "finding_changes", "changed_at")[-1]["before"])
    assert json.loads(before["row"])["n"] == 1
    assert len(rows(con, "evidence")) == len(after.events)


def test_changed_detection_changes_its_findings(con: duckdb.DuckDBPyConnection, pair: Hunt) -> None:
    """The same row found by other SQL is told as such, and its id stays."""
    store(con, pair, [hit("a")])

    assert store(con, replace(pair, hash="other"), [hit("a")], day=2) == changes(changed=1)

    assert history(con)[-1] == ("changed", "detection")
    assert [one["detection_hash"] for one in rows(con, "findings")] == ["other"]


def test_finding_that_goes_is_withdrawn_and_may_return(
    con: duckdb.DuckDBPyConnection, pair: Hunt
) -> None:
    """The history keeps what the table no longer holds."""
    store(con, pair, [hit("a"), hit("b")])

    assert store(con, pair, [hit("b")], day=2) == changes(withdrawn=1, unchanged=1)
    assert [one["account_name"] for one in rows(con, "findings")] == ["b"]
    assert len(rows(con, "evidence")) == 1
    assert store(con, pair, [hit("a"), hit("b")], day=3) == changes(returned=1, unchanged=1)
    assert store(con, pair, [hit("b")], day=4) == changes(withdrawn=1, unchanged=1)
    assert store(con, pair, [hit("a"), hit("b")], day=5) == changes(returned=1, unchanged=1)

    told = [change for change, _ in history(con)]
    assert told == ["new", "new", "withdrawn", "returned", "withdrawn", "returned"]


def test_other_intervals_and_detections_are_left_alone(
    con: duckdb.DuckDBPyConnection, loaded: Content, pair: Hunt
) -> None:
    """An interval replaces its own findings only."""
    store(con, pair, [hit("a")])
    store(con, pair, [hit("b")], interval=SECOND)
    other = loaded.hunt("count")
    store(con, other, [replace(hit("c"), finding_id=UUID(int=3))])

    assert store(con, pair, [], day=2) == changes(withdrawn=1)

    assert {one["account_name"] for one in rows(con, "findings")} == {"b", "c"}
    assert len(rows(con, "run_intervals")) == 3


def test_finding_that_moves_to_another_interval_is_one(
    con: duckdb.DuckDBPyConnection, pair: Hunt
) -> None:
    """An earlier last event moves a pair to an earlier day: one finding, changed, there."""
    store(con, pair, [hit("a")], interval=SECOND)

    assert store(con, pair, [hit("a")], day=2) == changes(changed=1)
    assert store(con, pair, [], day=2, interval=SECOND) == changes()

    [row] = rows(con, "findings")
    assert row["interval_start"] == FIRST.start
    assert history(con)[-1] == ("changed", "interval")


@pytest.mark.parametrize("state", ["failed", "no_data"])
def test_hunt_that_did_not_end_leaves_what_was_found(
    con: duckdb.DuckDBPyConnection, pair: Hunt, state: str
) -> None:
    """Not looking is not the same as not finding."""
    store(con, pair, [hit("a")])
    before = rows(con, "findings"), rows(con, "evidence"), rows(con, "finding_changes")

    assert store(con, pair, [], day=2, state=state, error="why") == changes()

    assert (rows(con, "findings"), rows(con, "evidence"), rows(con, "finding_changes")) == before
    [ledger] = rows(con, "run_intervals")
    assert (ledger["state"], ledger["error"], ledger["findings"]) == (state, "why", 1)


def test_late_is_what_arrived_after_the_first_hunt(
    con: duckdb.DuckDBPyConnection, pair: Hunt
) -> None:
    """Evidence of a later staging step, in an interval hunted before; once late, always late."""
    store(con, pair, [hit("a", seq=1)], seq=1)
    assert [one["is_late"] for one in rows(con, "findings")] == [False]

    store(con, pair, [hit("a", n=2, seq=2), hit("b", seq=1)], seq=2, day=2)
    late = {one["account_name"]: one["is_late"] for one in rows(con, "findings")}
    assert late == {"a": True, "b": False}

    store(con, pair, [hit("a", n=3, seq=2), hit("b", seq=1)], seq=3, day=3)
    late = {one["account_name"]: one["is_late"] for one in rows(con, "findings")}
    assert late == {"a": True, "b": False}


@pytest.mark.parametrize("state", ["failed", "no_data"])
@pytest.mark.parametrize("is_hunted_before", [True, False])
def test_hunt_that_did_not_end_makes_no_event_late_or_punctual(
    con: duckdb.DuckDBPyConnection, pair: Hunt, state: str, *, is_hunted_before: bool
) -> None:
    """A late event stays late when its first hunt is killed; nothing is late before a good hunt."""
    if is_hunted_before:
        store(con, pair, [], seq=1)
    store(con, pair, [], seq=2, day=2, state=state, error="why")
    store(con, pair, [], seq=2, day=3, state=state, error="why")

    store(con, pair, [hit("a", seq=2)], seq=3, day=4)

    assert [row["is_late"] for row in rows(con, "findings")] == [is_hunted_before]


def test_nothing_is_stored_when_one_row_cannot_be(
    con: duckdb.DuckDBPyConnection, pair: Hunt
) -> None:
    """One transaction: findings, evidence, history and ledger, or none of them."""
    store(con, pair, [hit("a")])
    names = ("findings", "evidence", "finding_changes", "run_intervals")
    before = [rows(con, name) for name in names]
    bad = replace(hit("b"), row={**hit("b").row, "score": "much"})

    with pytest.raises(duckdb.ConversionException):
        store(con, pair, [hit("a", n=2), bad], day=2)

    assert [rows(con, name) for name in names] == before


def test_changes_add_up() -> None:
    """A run tells the sum over its intervals."""
    total = changes(new=1, changed=2)
    total.add(changes(new=3, withdrawn=1, returned=4, unchanged=5))

    assert total == changes(new=4, changed=2, withdrawn=1, returned=4, unchanged=5)


def test_words_are_stated_anew_without_a_change(con: duckdb.DuckDBPyConnection, pair: Hunt) -> None:
    """A new title or severity is prose: the history has nothing of it."""
    store(con, pair, [hit("a")])
    other = replace(
        pair.detection, title="{account_name}: {n}", severity="low", tactics=("Impact",),
        risk_score=7,
    )  # fmt: skip

    words.restate(con, [other])

    [row] = rows(con, "findings")
    assert (row["title"], row["severity"], row["risk_score"]) == ("a: 1", "low", 7)
    assert row["tactics"] == ["Impact"]
    assert len(history(con)) == 1


@pytest.mark.parametrize("version", ["0.0.1", None])
def test_another_gundog_states_words_anew(
    con: duckdb.DuckDBPyConnection, pair: Hunt, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    """It may put them differently; what an older one wrote does not even say by which."""
    if version:
        monkeypatch.setattr(gundog, "__version__", version)
    store(con, pair, [hit("a")])
    monkeypatch.undo()
    ((title,),) = con.execute("select title from findings").fetchall()
    con.execute("update findings set title = 'as it was put then'")
    if version is None:
        con.execute("update findings set words_digest = null")

    words.restate(con, [pair.detection])

    assert [row["title"] for row in rows(con, "findings")] == [title]


def test_series_counts_and_points_are_replaced_where_they_were_hunted(
    con: duckdb.DuckDBPyConnection, loaded: Content
) -> None:
    """Counts of the spans that were counted, points of the interval; all else stays."""
    series = loaded.hunt("count")

    def counts(day: Interval, n: float) -> pa.Table:
        return pa.table(
            {
                "detection_id": [series.detection.id],
                "detection_hash": [series.hash],
                "series_key": ["/a"],
                "hour": pa.array([day.start], pa.timestamp("us", tz="UTC")),
                "observed": [n],
                "throttled": [False],
            }
        )

    def points(day: Interval, n: float) -> pa.Table:
        kept = counts(day, n).select(["detection_id", "series_key", "hour", "observed"])
        return kept.append_column("flagged", pa.array([False]))

    for day, n, run in ((FIRST, 1.0, 1), (SECOND, 2.0, 2), (FIRST, 3.0, 3)):
        storing.store(
            con,
            Hunted(series, day, run, "done", counts=counts(day, n), counted={day: "d"},
                   points=points(day, n)),
            stamp(run),
        )  # fmt: skip

    kept = con.execute("select hour, observed from series_counts order by hour").fetchall()
    assert kept == [(FIRST.start, 3.0), (SECOND.start, 2.0)]
    spans = con.execute("select interval_start, seq from series_spans order by 1").fetchall()
    assert spans == [(FIRST.start, 3), (SECOND.start, 2)]
    scored = con.execute("select hour, observed from series_points order by hour").fetchall()
    assert scored == kept


# Over a lake.


@pytest.mark.slow
def test_one_hunt_that_does_not_fit_stops_no_other(tmp_path: Path) -> None:
    """A column of the wrong kind, and numbers that are none, are that hunt's own trouble."""
    kit.make_project(tmp_path)
    kit.fill_days(tmp_path, "2026-03-01", 1)
    write_file(tmp_path, "2026-03-01", [event("2026-03-01T10:00", "open", number=7)], "open")
    for name, digit, column in (
        ("odd", "4", "'much' as score,"),
        ("nan", "5", "'nan'::double as score, 1 / 0 as ratio,"),
        ("good", "6", ""),
    ):
        kit.write_text(tmp_path / f"sql/{name}.sql", SINGLE.format(columns=column))
        yaml = kit.PAIR_YAML.replace(PAIR_ID, PAIR_ID.replace("1", digit))
        yaml = yaml.replace("pair.sql", f"{name}.sql").replace("{gap}", "{score}")
        kit.write_text(tmp_path / f"detections/{name}.yaml", yaml + kit.HEAD)

    outcome = kit.hunt(tmp_path, ("2026-03-01", "2026-03-01"))

    assert outcome.exit_status == 1
    assert [problem.split(" ")[0] for problem in outcome.problems] == ["odd"]
    found = table(
        tmp_path,
        """select stem, title, details ->> '$.ratio' from findings
           inner join detections using (detection_id) order by stem""",
    )
    assert found == [
        ("good", "a opened and closed after ?", None),
        ("nan", "a opened and closed after nan", "inf"),
    ]
    states = table(
        tmp_path,
        """select stem, state from run_intervals inner join detections using (detection_id)
           order by stem""",
    )
    assert dict(states)["odd"] == "failed"


def test_source_of_a_redelivered_event_is_the_smallest_path(tmp_path: Path) -> None:
    """Whatever order the files came in, and the same after both were staged."""
    kit.make_project(tmp_path)
    kit.fill_days(tmp_path, "2026-03-01", 2)
    rows = [
        event("2026-03-01T10:00", "open", number=1),
        event("2026-03-01T11:00", "close", number=2),
    ]
    os.utime(write_file(tmp_path, "2026-03-02", rows, "b"), ns=(1, 1))
    kit.hunt(tmp_path, ("2026-03-01", "2026-03-01"))
    [(before,)] = table(tmp_path, "select distinct source_file from evidence")
    write_file(tmp_path, "2026-03-01", rows, "a")

    kit.hunt(tmp_path, ("2026-03-01", "2026-03-01"))

    assert before == "lake/date=2026-03-02/b.parquet"
    assert table(tmp_path, "select distinct source_file from evidence") == [
        ("lake/date=2026-03-01/a.parquet",)
    ]
    assert table(tmp_path, "select evidence_count from findings") == [(2,)]


def test_text_of_events_reaches_its_finding_unchanged(tmp_path: Path) -> None:
    """From the lake through staging and hunting: every hostile string as it was, each once."""
    kit.make_project(tmp_path)
    kit.fill_days(tmp_path, "2026-03-01", 1)
    texts = [raw for name, raw in HOSTILE.items() if name != "lone surrogate"]
    happened = [
        event(f"2026-03-01T{hour}:00", kind, raw, 10 * place + hour)
        for place, raw in enumerate(texts, start=100)
        for hour, kind in ((10, "open"), (11, "close"))
    ]
    write_file(tmp_path, "2026-03-01", happened, "hostile")

    kit.hunt(tmp_path, ("2026-03-01", "2026-03-01"))

    found = table(
        tmp_path,
        """select account_name, title, details ->> '$.gap', entities ->> '$[0].Name',
                  (select list(distinct event ->> '$.who') from evidence as e
                   where e.finding_id = f.finding_id)
           from findings as f""",
    )
    assert sorted(row[0] for row in found) == sorted(texts)
    for who, title, gap, entity, proof in found:
        assert title == f"{who or '?'} opened and closed after 1h"
        assert (gap, proof) == ("1h", [who])
        assert entity == (who or None)


def test_hunts_of_a_day_are_stored_together_or_not_at_all(
    con: duckdb.DuckDBPyConnection, pair: Hunt
) -> None:
    """In one transaction they give what each in its own gives; one that does not fit takes all."""
    second = Interval(FIRST.end, FIRST.end + DAY)
    day = [
        Hunted(pair, FIRST, 1, "done", (hit("a"), hit("b"))),
        Hunted(pair, second, 1, "done", (hit("c"),)),
    ]

    counted = storing.store_all(con, day, stamp())

    assert counted == [changes(new=2), changes(new=1)]
    together = [rows(con, name) for name in ("findings", "evidence", "run_intervals")]
    for hunted in day:
        assert storing.store(con, hunted, stamp()).unchanged == len(hunted.hits)
    assert [rows(con, name) for name in ("findings", "evidence", "run_intervals")] == together
    unfit = replace(hit("d"), row={"start_time": "no time"})
    with pytest.raises(duckdb.Error):
        storing.store_all(con, [Hunted(pair, FIRST, 1, "done"), replace(day[1], hits=(unfit,))],
                          stamp(2))  # fmt: skip
    assert [rows(con, name) for name in ("findings", "evidence", "run_intervals")] == together


def test_hunt_whose_rows_do_not_fit_fails_alone(con: duckdb.DuckDBPyConnection, pair: Hunt) -> None:
    """It is named and marked as failed; the other hunts of its day are stored."""
    unfit = replace(hit("d"), row={"start_time": "no time"})
    second = Interval(FIRST.end, FIRST.end + DAY)
    outcome = Outcome(stamp())

    hunt_step._store(
        con,
        stamp(),
        [Hunted(pair, FIRST, 1, "done", (unfit,)), Hunted(pair, second, 1, "done", (hit("a"),))],
        outcome,
    )

    assert (outcome.hunted, outcome.changes) == (2, changes(new=1))
    assert [problem.startswith("pair") for problem in outcome.problems] == [True]
    assert [row["state"] for row in rows(con, "run_intervals", "interval_start")] == [
        "failed", "done",
    ]  # fmt: skip
