"""The outbox: told once, never lost, and nothing secret or hostile in it.

Messages go to a real HTTP server on the loopback that answers as each test says.
"""

from __future__ import annotations

import base64
import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

import duckdb
import pytest

from gundog.core.times import parse_range
from gundog.notify import http_post, messages, sending, services
from gundog.notify import outbox as notify
from gundog.notify.channel import Channel
from gundog.warehouse import database, tables
from tests import draws, elsewhere, engines, kit
from tests.forks import Fork
from tests.hostile import HOSTILE, assert_harmless
from tests.sinks import Sink, smtp_sink

AT = datetime(2026, 3, 10, 4, tzinfo=UTC)
DAY = timedelta(days=1)
RUN = UUID(int=1)
SPACE = UUID(int=7)
SOC = Channel("soc", "http://127.0.0.1:9/hook")
LEADS = Channel("leads", "http://127.0.0.1:9/leads", mode="digest")
KEYS = {
    "kind", "finding_id", "detection_id", "detection_name", "severity", "title", "text",
    "tenant", "host_name", "account_name", "mailbox", "start_time", "end_time", "command",
}  # fmt: skip
Con = duckdb.DuckDBPyConnection


def fill(con: Con) -> None:
    """The outbox's tables and three detections: two stable, one experimental."""
    for table in (tables.FINDINGS, tables.DETECTIONS, tables.NOTIFICATIONS,
                  tables.NOTIFICATION_STARTS, tables.NOTIFICATION_TENANTS,
                  tables.FINDING_CHANGES):  # fmt: skip
        con.execute(next(tables.create(table)))
    for stem, status in (("export", "stable"), ("access", "stable"), ("trial", "experimental")):
        database.insert(con, "detections", [
            {"detection_id": uuid5(SPACE, stem), "stem": stem, "name": f"Detection {stem}",
             "status": status, "triage": [f"Ask about {stem}.", "Then ask again."]}
        ])  # fmt: skip


@pytest.fixture
def con() -> Iterator[Con]:
    with engines.memory() as made:
        fill(made)
        yield made


def add(con: Con, name: str = "one", stem: str = "export", **columns: Any) -> UUID:
    """Stores a finding; its id follows from its name."""
    row = {
        "finding_id": uuid5(SPACE, f"finding {name}"), "detection_id": uuid5(SPACE, stem),
        "detection_name": f"Detection {stem}", "title": f"ana exported a mailbox ({name})",
        "reason": "ana exported ceo and removed the request after 2m", "severity": "medium",
        "host_name": "srv1", "account_name": "ana", "mailbox": "ceo@contoso.com",
        "start_time": AT - DAY, "end_time": AT - DAY + timedelta(minutes=2),
        "interval_start": datetime(2026, 3, 9, tzinfo=UTC),
        "interval_end": datetime(2026, 3, 10, tzinfo=UTC), "origin": "nightly",
        "tactics": ["Collection"], "techniques": ["T1114.002"], "created_at": AT,
        "updated_at": AT, **columns,
    }  # fmt: skip
    con.execute("delete from findings where finding_id = ?", [row["finding_id"]])
    database.insert(con, "findings", [row])
    return row["finding_id"]


def told(
    con: Con, channel: Channel = SOC, run_id: UUID = RUN, at: datetime = AT, **more: Any
) -> int:
    return notify.queue_findings(con, [channel], run_id, at, **more)


def outbox(con: Con, columns: str = "*", where: str = "true") -> list[dict[str, Any]]:
    return database.rows(
        con, f"select {columns} from notifications where {where} order by created_at, key"
    )


def bodies(con: Con) -> list[dict[str, Any]]:
    return [json.loads(row["body"]) for row in outbox(con)]


class Naps(list[float]):
    """Stands in for sleeping, and keeps how long was asked for."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


# ---- queueing ----


def test_finding_is_queued_once_however_often_runs_look(con: Con) -> None:
    """The first run queues it, later runs add nothing."""
    finding = add(con)

    assert [told(con), told(con), told(con, run_id=UUID(int=2), at=AT + DAY)] == [1, 0, 0]
    (row,) = outbox(con)
    assert (row["channel"], row["kind"], row["finding_ids"]) == ("soc", "finding", [finding])
    assert (row["severity"], row["severities"], row["attempts"]) == ("medium", ["medium"], 0)
    assert row["next_attempt_at"] == row["created_at"] == AT
    assert row["sent_at"] is row["dead_at"] is row["last_error"] is None


def test_finding_in_other_words_is_not_queued_again(con: Con) -> None:
    """An upgrade that words titles and names differently sends nothing a second time."""
    add(con)
    assert told(con) == 1

    con.execute("update findings set title = 'in other words', detection_name = 'Other words'")

    assert told(con, run_id=UUID(int=2), at=AT + DAY) == 0


def test_a_channel_that_asks_for_it_is_told_where_the_finding_is(con: Con) -> None:
    """Its anchor in the report, as a link that stays one; a digest links to the page."""
    page = "https://soc.example/report.html"
    finding = add(con)
    asks = replace(SOC, name="b", report=True)
    digest = replace(asks, name="c", mode="digest")

    notify.queue_findings(con, [SOC, asks, digest], RUN, AT, report=page)

    texts = {row["channel"]: json.loads(row["body"])["text"] for row in outbox(con)}
    assert page not in texts["soc"]
    assert texts["b"].splitlines()[-1] == f"Report: {page}#finding-{finding}"
    assert texts["c"].splitlines()[-1] == f"Report: {page}"


def test_each_channel_is_told_under_its_own_key(con: Con) -> None:
    """Two channels get the same body, each with an id that follows from channel and key."""
    add(con)

    assert notify.queue_findings(con, [SOC, replace(SOC, name="b")], RUN, AT) == 2
    first, second = outbox(con, where="true")
    assert first["body"] == second["body"]
    assert first["notification_id"] != second["notification_id"]
    for row in (first, second):
        assert row["notification_id"] == notify.notification_id(row["channel"], row["key"])
        assert row["notification_id"].version == 5


@pytest.mark.parametrize(
    ("columns", "channel"),
    [
        ({"stem": "trial"}, SOC),
        ({"suppressed_by": "an exception"}, SOC),
        ({"severity": "low"}, replace(SOC, min_severity="medium")),
        ({}, replace(SOC, detections=("access",))),
        ({}, replace(SOC, tags=("Persistence",))),
        ({"tactics": None, "techniques": None}, replace(SOC, tags=("Collection",))),
        ({"origin": "backfill"}, SOC),
        ({"tenant": "b"}, replace(SOC, tenants=("c", "A"))),
        ({"tenant": None}, replace(SOC, tenants=("a",))),
    ],
    ids=[
        "experimental",
        "suppressed",
        "severity",
        "detection",
        "tag",
        "no tags",
        "backfill",
        "tenant",
        "no tenant",
    ],
)
def test_finding_that_a_channel_does_not_want_is_not_queued(
    con: Con, columns: dict[str, Any], channel: Channel
) -> None:
    """Of two findings only the one that the channel admits is told."""
    add(con, "unwanted", **columns)
    add(
        con,
        "wanted",
        "access",
        severity="critical",
        tactics=["Persistence", "Collection"],
        tenant="a",
    )

    assert told(con, channel) == 1
    assert [body["detection_name"] for body in bodies(con)] == ["Detection access"]


@pytest.mark.parametrize(
    "channel",
    [
        replace(SOC, detections=("export",)),
        replace(SOC, detections=(str(uuid5(SPACE, "export")),)),
        replace(SOC, tags=("collection",)),
        replace(SOC, tags=("x", "T1114.002")),
        replace(SOC, min_severity="medium"),
    ],
    ids=["stem", "id", "tactic", "technique", "severity"],
)
def test_filter_admits_what_it_names(con: Con, channel: Channel) -> None:
    """A detection by stem or id, a tactic or technique in any case, a severity from itself up."""
    add(con)

    assert told(con, channel) == 1


def test_only_a_severity_above_all_that_was_told_is_told_again(con: Con) -> None:
    """medium, high, low, high, critical: told at medium, high and critical."""
    queued = []
    for severity in ("medium", "high", "low", "high", "critical"):
        add(con, severity=severity)
        queued.append(told(con))

    assert queued == [1, 1, 0, 0, 1]
    assert [row["severity"] for row in outbox(con)] == ["critical", "high", "medium"]


def test_rise_above_a_digest_is_told_too(con: Con) -> None:
    """What a digest told counts as told, at its severity then."""
    add(con, "one")
    add(con, "two")
    told(con, LEADS)
    add(con, "two", severity="high")

    assert told(con, LEADS, UUID(int=2)) == 1
    assert [one["title"] for one in bodies(con)[1]["findings"]] == ["ana exported a mailbox (two)"]


def test_digest_tells_all_in_one_message_worst_first(con: Con) -> None:
    """One message per run: counts in the title, a body for each finding, a line for each."""
    ids = [
        add(con, name, severity=one) for name, one in (("a", "low"), ("b", "high"), ("c", "low"))
    ]

    assert told(con, LEADS, coverage="7 detections x 1 day hunted") == 1
    (row,), (body,) = outbox(con), bodies(con)
    assert row["finding_ids"] == [ids[1], *sorted((ids[0], ids[2]))]
    assert row["severity"] == body["severity"] == "high"
    assert body["title"] == "3 new (1 high, 2 low); 7 detections x 1 day hunted"
    assert (body["kind"], body["command"]) == ("digest", "gundog findings")
    assert [set(one) for one in body["findings"]] == [KEYS] * 3
    assert set(body) == KEYS | {"findings", "withdrawn"}
    lines = body["text"].splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(
        "high: ana exported a mailbox (b), 2026-03-09T04:00:00Z, gundog show"
    )


def test_digest_names_the_first_findings_and_counts_the_rest(con: Con) -> None:
    """A large night stays readable, and the body still holds every finding."""
    for number in range(messages.DIGEST_LINES + 5):
        add(con, str(number))
    told(con, LEADS)

    (body,) = bodies(con)
    assert len(body["findings"]) == messages.DIGEST_LINES + 5
    assert body["text"].splitlines()[-1] == "and 5 more"


def test_night_without_findings_sends_its_digest_once(con: Con) -> None:
    """Quiet is told when it is known what was hunted, once per run, and never when it is not."""
    assert told(con, LEADS) == 0
    assert told(con, LEADS, coverage="7 detections hunted") == 1
    assert told(con, LEADS, coverage="7 detections hunted") == 0
    assert told(con, LEADS, UUID(int=2), coverage="7 detections hunted") == 1
    assert [body["title"] for body in bodies(con)] == ["0 new; 7 detections hunted"] * 2
    assert bodies(con)[0]["text"] == "0 new; 7 detections hunted"


def test_findings_after_a_runs_digest_get_a_second_one(con: Con) -> None:
    """Nothing is lost when a run queues twice."""
    add(con, "one")
    told(con, LEADS)
    add(con, "two")

    assert told(con, LEADS) == 1
    assert [len(body["findings"]) for body in bodies(con)] == [1, 1]


@pytest.mark.parametrize(
    ("channel", "mode", "kinds"),
    [(SOC, "digest", ["digest"]), (LEADS, "each", ["finding", "finding"]), (SOC, "none", [])],
)
def test_override_wins_over_the_channels_mode(
    con: Con, channel: Channel, mode: str, kinds: list[str]
) -> None:
    """--notify each, digest and none hold for every channel."""
    add(con, "one")
    add(con, "two")

    told(con, channel, override_mode=mode)
    assert [row["kind"] for row in outbox(con)] == kinds


def test_what_a_quiet_run_left_out_the_next_run_tells(con: Con) -> None:
    """--notify none puts off, it does not lose."""
    add(con)

    assert told(con, override_mode="none") == 0
    assert told(con, run_id=UUID(int=2), at=AT + 10 * DAY) == 1


def test_backfill_is_told_only_when_asked_and_as_history(con: Con) -> None:
    """The digest holds what lies in the range, says that it is history, and is told once."""
    old = {"origin": "backfill", "created_at": AT - 90 * DAY}
    add(con, "inside", **old)
    add(con, "outside", **old, interval_start=AT - 50 * DAY, interval_end=AT - 49 * DAY)
    days = parse_range("2026-03-08", "2026-03-09")

    assert told(con, SOC) == 0
    assert told(con, SOC, override_mode="digest", history=days) == 1
    assert told(con, SOC, UUID(int=2), override_mode="digest", history=days) == 0
    (body,) = bodies(con)
    span = "2026-03-08T00:00:00Z to 2026-03-10T00:00:00Z"
    assert body["title"] == f"History of {span}: 1 found (1 medium)"
    assert [one["title"] for one in body["findings"]] == ["ana exported a mailbox (inside)"]


@pytest.mark.parametrize("change", ["new channel", "lower severity", "wider filter", "promoted"])
def test_channel_that_admits_more_is_not_told_of_years(con: Con, change: str) -> None:
    """It hears what was stored up to three days before, and all that comes after."""
    narrow = {
        "new channel": replace(SOC, name="other"),
        "lower severity": replace(SOC, min_severity="critical"),
        "wider filter": replace(SOC, detections=("access",)),
        "promoted": SOC,
    }[change]
    stem = "trial" if change == "promoted" else "export"
    notify.start(con, [narrow], AT - 300 * DAY)
    add(con, "years ago", stem, created_at=AT - 200 * DAY)
    add(con, "yesterday", stem, created_at=AT - DAY)
    told(con, narrow, at=AT - DAY)
    con.execute("delete from notifications")
    con.execute("update detections set status = 'stable'")

    assert told(con) == 1
    assert bodies(con)[0]["title"] == "ana exported a mailbox (yesterday)"
    add(con, "tomorrow", stem, created_at=AT + DAY)
    assert told(con, at=AT + DAY) == 1


def test_findings_of_a_run_that_died_before_queueing_are_told_weeks_later(con: Con) -> None:
    """A channel hears of all that was stored since its first run began."""
    notify.start(con, [SOC], AT)
    add(con, created_at=AT)

    later = AT + 30 * DAY
    notify.start(con, [SOC], later)
    assert told(con, run_id=UUID(int=2), at=later) == 1


def test_channel_that_admits_another_tenant_is_not_told_of_years(con: Con) -> None:
    """A tenant that is named later is news from three days back on; the first ones keep theirs."""
    narrow, wide = replace(SOC, tenants=("a",)), replace(SOC, tenants=("a", "B"))
    assert told(con, narrow, at=AT - 100 * DAY) == 0
    add(con, "old of a", tenant="a", created_at=AT - 50 * DAY)
    add(con, "old of b", tenant="b", created_at=AT - 50 * DAY)
    add(con, "old of c", tenant="c", created_at=AT - 50 * DAY)
    add(con, "new of b", tenant="b", created_at=AT - 2 * DAY)
    add(con, "new of c", tenant="c", created_at=AT - 2 * DAY)

    assert told(con, wide) == 2
    assert {body["tenant"] for body in bodies(con)} == {"a", "b"}
    assert told(con, SOC) == 1
    assert [body["tenant"] for body in bodies(con)].count("c") == 1


def test_channel_known_before_there_were_tenants_goes_on(con: Con) -> None:
    """After an upgrade a channel is told what it was due, however long ago that was stored."""
    told(con, at=AT - 100 * DAY)
    con.execute("delete from notification_tenants")  # as an older gundog left it
    add(con, "due", created_at=AT - 50 * DAY)

    assert told(con) == 1


def test_channel_of_a_tenant_hears_nothing_of_others(con: Con) -> None:
    """Neither gundog's own problems nor remarks on exceptions, which name whom they like."""
    mine = replace(LEADS, tenants=("a",))
    add(con, "mine", tenant="a")
    add(con, "theirs", tenant="b")

    notify.queue_findings(con, [mine], RUN, AT, coverage="all", notes=["exception of b expired"])
    notify.queue_health(con, [mine, SOC], RUN, AT, [("k", "b", "b's files are broken")])

    assert [row["channel"] for row in outbox(con, where="kind = 'health'")] == ["soc"]
    [body] = [json.loads(row["body"]) for row in outbox(con, where="channel = 'leads'")]
    assert [one["tenant"] for one in body["findings"]] == ["a"]
    assert "theirs" not in body["text"]
    assert "exception" not in body["text"]


def test_digest_tells_tenant_by_tenant(con: Con) -> None:
    """Each tenant's findings stand together, the one with the worst first."""
    add(con, "1", tenant="b", severity="low")
    add(con, "2", tenant="a", severity="medium")
    add(con, "3", tenant="b", severity="critical")
    add(con, "4", tenant=None, severity="low")

    told(con, LEADS)

    [body] = bodies(con)
    said = [line.split(",")[0].split(": ana")[0] for line in body["text"].splitlines()]
    assert said == [
        "b: 2 new", "critical", "low", "a: 1 new", "medium", "no tenant: 1 new", "low",
    ]  # fmt: skip


def test_message_names_its_tenant(con: Con) -> None:
    """In the text and as a field; without one there is nothing."""
    add(con, "1", tenant="contoso")
    add(con, "2", "access", tenant="")
    told(con)

    first, second = sorted(bodies(con), key=lambda body: body["title"])
    assert (first["tenant"], "Tenant: contoso" in first["text"]) == ("contoso", True)
    assert (second["tenant"], "Tenant:" in second["text"]) == (None, False)


def test_health_is_queued_once_ever_for_every_channel(con: Con) -> None:
    """Filters do not apply; the same key says nothing new on any later day."""
    strict = replace(SOC, min_severity="critical", detections=("access",), tags=("x",))
    item = ("no_data/CloudAppEvents/2026-03-09", "No data", "CloudAppEvents has no file")

    queued = [
        notify.queue_health(con, [strict, LEADS], RUN, AT + days * DAY, [item]) for days in (0, 1)
    ]
    assert queued == [2, 0]
    assert [row["kind"] for row in outbox(con)] == ["health", "health"]
    body = bodies(con)[0]
    assert set(body) == KEYS
    assert (body["title"], body["text"]) == ("No data", "CloudAppEvents has no file")
    assert body["command"] == "gundog status"


# ---- what a message says ----


def test_body_has_the_promised_keys_and_values(con: Con) -> None:
    """The generic JSON of one finding, whole."""
    finding = add(con)
    told(con)

    assert bodies(con) == [
        {
            "kind": "finding",
            "finding_id": str(finding),
            "detection_id": str(uuid5(SPACE, "export")),
            "detection_name": "Detection export",
            "severity": "medium",
            "title": "ana exported a mailbox (one)",
            "text": "Detection export (medium)\n"
            "Who: account ana, host srv1, mailbox ceo@contoso.com\n"
            "When: 2026-03-09T04:00:00Z to 2026-03-09T04:02:00Z\n"
            "Why: ana exported ceo and removed the request after 2m\n"
            "First step: Ask about export.\n"
            f"Show: gundog show {finding}",
            "tenant": None,
            "host_name": "srv1",
            "account_name": "ana",
            "mailbox": "ceo@contoso.com",
            "start_time": "2026-03-09T04:00:00Z",
            "end_time": "2026-03-09T04:02:00Z",
            "command": f"gundog show {finding}",
        }
    ]


def test_message_of_a_bare_finding_says_what_is_known(con: Con) -> None:
    """Missing columns leave out their part and break nothing."""
    con.execute("update detections set triage = []")
    add(con, host_name=None, account_name=None, mailbox="*", reason=None, end_time=None)
    told(con)

    (body,) = bodies(con)
    assert body["host_name"] is body["end_time"] is None
    assert body["mailbox"] == "*"
    assert body["text"].splitlines()[1:4] == [
        "Who: all mailboxes", "When: 2026-03-09T04:00:00Z", "Why: Detection export"
    ]  # fmt: skip
    assert "First step" not in body["text"]


def test_message_names_an_application_of_microsoft(con: Con) -> None:
    """The name stands before the id."""
    graph = "00000003-0000-0000-c000-000000000000"
    add(con, host_name=None, account_name=None, mailbox=None, app_id=graph)
    told(con)

    (body,) = bodies(con)
    assert f"Who: app Microsoft Graph ({graph})" in body["text"].splitlines()


@pytest.mark.parametrize("part", draws.spread(range(4), every=4))
def test_no_field_of_a_message_acts_whatever_an_event_says(con: Con, part: int) -> None:
    """Hostile text in every column leaves no markup, mention or link in any field or line."""
    names = ("title", "reason", "host_name", "account_name", "mailbox", "detection_name", "app_id")
    raws = list(HOSTILE.values())[part::4]
    texts = [raw.encode("utf-8", "replace").decode() for raw in raws]
    for place, text in enumerate(texts):
        add(con, str(place), **dict.fromkeys(names, text))
    con.execute("update detections set triage = [?]", ["<!here> [x](http://evil.example)"])
    told(con)
    told(con, LEADS, coverage="<script> @everyone")
    notify.queue_health(con, [SOC], RUN, AT, [(text, text, text) for text in texts])

    written = [row["body"] for row in outbox(con)]
    assert len(written) == 2 * len(texts) + 1
    assert all(one.isascii() and one.isprintable() for one in written)
    for body in bodies(con):
        for one in [body, *body.get("findings", [])]:
            assert_body_harmless(one)


def assert_body_harmless(body: dict[str, Any]) -> None:
    for key in KEYS - {"text"}:
        assert_harmless(body[key] or "")
        assert len(body[key] or "") <= messages.TITLE_LIMIT
    for line in body["text"].splitlines():
        assert_harmless(line)


def test_long_command_line_is_cut(con: Con) -> None:
    """A reason that quotes a long command line stays a message people can read."""
    add(con, reason="powershell -EncodedCommand " + "QQBB" * 5000)
    told(con)

    (body,) = bodies(con)
    assert body["text"].splitlines()[3].endswith("B…")
    assert len(body["text"]) < 2000


# ---- sending ----


def queued(con: Con, sink: Sink, *names: str, **columns: Any) -> Channel:
    """Findings queued for a channel at the sink."""
    channel = Channel("soc", sink.url())
    for name in names or ("one",):
        add(con, name, **columns)
    told(con, channel)
    return channel


def test_message_arrives_once_and_is_recorded(con: Con, sink: Sink) -> None:
    """One POST of the stored body, with the row's id as Idempotency-Key."""
    channel = queued(con, sink)

    assert sending.send(con, [channel], AT, Naps()) == sending.Sent(sent=1)
    assert sending.send(con, [channel], AT + DAY, Naps()) == sending.Sent()
    (request,), (row,) = sink.requests, outbox(con)
    assert (request.method, request.path) == ("POST", "/hook")
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Idempotency-Key"] == str(row["notification_id"])
    assert request.body == json.loads(row["body"])
    assert (row["sent_at"], row["attempts"], row["next_attempt_at"]) == (AT, 1, None)


def test_first_retry_is_within_the_run_with_the_same_key(con: Con, sink: Sink) -> None:
    """One failure costs two seconds, not a night."""
    channel = queued(con, sink)
    sink.script = [500]
    naps = Naps()

    assert sending.send(con, [channel], AT, naps) == sending.Sent(sent=1)
    assert naps == [2.0]
    assert len(set(sink.keys())) == 1
    assert len(sink.keys()) == 2
    (row,) = outbox(con)
    assert (row["attempts"], row["last_error"]) == (2, None)
    assert row["sent_at"] == AT + timedelta(seconds=2)


def test_next_retry_is_due_after_at_most_a_minute(con: Con, sink: Sink) -> None:
    """What failed twice waits, is not tried before its time, and arrives with the same key."""
    channel = queued(con, sink)
    sink.script = [500, 500]

    sent = sending.send(con, [channel], AT, Naps())
    assert sent == sending.Sent(failed=1, errors=("notify soc: 127.0.0.1: answered 500",))
    (row,) = outbox(con)
    assert AT + timedelta(seconds=2) < row["next_attempt_at"] <= AT + timedelta(seconds=62)
    assert row["last_error"] == "127.0.0.1: answered 500"
    before = row["next_attempt_at"] - timedelta(seconds=1)
    assert sending.send(con, [channel], before, Naps()) == sending.Sent()
    assert sending.send(con, [channel], AT + timedelta(seconds=62), Naps()) == sending.Sent(sent=1)
    assert len(sink.keys()) == 3
    assert len(set(sink.keys())) == 1


def test_waits_grow_and_differ_between_messages() -> None:
    """From a minute they double up to six hours, spread over their upper half."""
    waits = [sending._backoff_s(UUID(int=3), attempts) for attempts in range(1, 20)]

    for attempts, wait in enumerate(waits, start=1):
        longest = min(60 * 2 ** max(attempts - 2, 0), sending.LONGEST_BACKOFF_S)
        assert longest / 2 <= wait <= longest
    assert len({sending._backoff_s(UUID(int=n), 2) for n in range(50)}) > 30


def test_retry_after_is_waited_for_within_the_run(con: Con, sink: Sink) -> None:
    """A rate limit of seconds slows a run down and loses nothing."""
    channel = queued(con, sink, "one", "two")
    sink.script = [(429, {"Retry-After": "7"}), 200, (429, {"Retry-After": "1"}), 200]
    naps = Naps()

    assert sending.send(con, [channel], AT, naps) == sending.Sent(sent=2)
    assert naps == [7.0, 1.0]
    first, again, second, last = sink.keys()
    assert (first, second) == (again, last)


@pytest.mark.parametrize(
    "header",
    [
        {"Retry-After": "3600"},
        {"Date": "Tue, 10 Mar 2026 12:00:00 GMT", "Retry-After": "Tue, 10 Mar 2026 13:00:00 GMT"},
    ],
    ids=["seconds", "date"],
)
def test_long_retry_after_holds_the_whole_channel_and_no_other(
    con: Con, sink: Sink, header: dict[str, str]
) -> None:
    """Nothing is sent there before the time it asked for; other channels get theirs."""
    channel = queued(con, sink, "one", "two", "three")
    other = Channel("other", sink.url("/other"))
    told(con, other)
    hour = timedelta(hours=1)
    sink.script = [(429, header)]

    sent = sending.send(con, [channel, other], AT, Naps())
    assert (sent.sent, sent.failed, len(sent.errors)) == (3, 1, 1)
    assert [one.path for one in sink.requests] == ["/hook"] + ["/other"] * 3
    assert sending.send(con, [channel], AT + hour - timedelta(seconds=1), Naps()) == sending.Sent()
    assert sending.send(con, [channel], AT + hour, Naps()) == sending.Sent(sent=3)


def test_retry_after_of_years_holds_a_day(con: Con, sink: Sink) -> None:
    """A server that asks for nonsense does not silence a channel."""
    channel = queued(con, sink)
    sink.script = [(503, {"Retry-After": "999999999"})]

    assert sending.send(con, [channel], AT, Naps()).failed == 1
    assert sending.send(con, [channel], AT + DAY, Naps()).sent == 1


@pytest.mark.parametrize("value", ["soon", "", "-5", "1e3", "9" * 30, "Tue, 99 Mar"])
def test_retry_after_that_makes_no_sense_is_none(con: Con, sink: Sink, value: str) -> None:
    """A header nobody understands is as good as no header."""
    channel = queued(con, sink)
    sink.script = [(503, {"Retry-After": value})]
    naps = Naps()

    assert sending.send(con, [channel], AT, naps) == sending.Sent(sent=1)
    assert naps == [2.0]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (500, "answered 500"),
        (404, "answered 404"),
        ((302, {"Location": "/other"}), f"answered 302{http_post.REDIRECT_HINT}"),
        ("hang", "did not answer within 0.2 s"),
        ("drop", "closed the connection before it answered"),
    ],
    ids=["500", "404", "302", "hang", "drop"],
)  # fmt: skip
def test_every_failure_is_named_and_the_message_kept(
    con: Con, sink: Sink, answer: Any, error: str
) -> None:
    """Two tries with one key, an error that names the host only, and the message still waits."""
    channel = queued(con, sink)
    sink.script = [answer, answer]

    sent = sending.send(con, [channel], AT, Naps(), timeout_s=0.2)
    assert sent == sending.Sent(failed=1, errors=(f"notify soc: 127.0.0.1: {error}",))
    assert [one.path for one in sink.requests] == ["/hook", "/hook"]
    assert len(set(sink.keys())) == 1
    assert sending.send(con, [channel], AT + timedelta(seconds=62), Naps()).sent == 1


def test_server_that_answers_byte_by_byte_does_not_hold_the_run(con: Con, sink: Sink) -> None:
    """The limit is for the whole try: a socket's own starts again with every byte."""
    slow = ThreadingHTTPServer(("127.0.0.1", 0), dripping(sink.released))
    slow.daemon_threads = True
    thread = threading.Thread(target=slow.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        url = f"http://127.0.0.1:{slow.server_address[1]}/"
        error = sending.send_test(Channel("slow", url), AT, timeout_s=0.3)
    finally:
        sink.released.set()
        slow.shutdown()
        slow.server_close()
        thread.join()
    assert error == "127.0.0.1: did not answer within 0.3 s"


def dripping(released: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
            for _ in range(60):
                if released.wait(0.05):
                    break
                self.wfile.write(b"a")
            self.wfile.write(b"\r\n\r\n")
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def test_refused_connection_is_named(con: Con, sink: Sink) -> None:
    """Nothing listens there."""
    add(con)
    told(con)

    assert sending.send(con, [SOC], AT, Naps()).errors == (
        "notify soc: 127.0.0.1: refused the connection",
    )


def test_one_message_that_is_refused_keeps_none_of_the_others(con: Con, sink: Sink) -> None:
    """The worst is first, is refused, and the rest arrives all the same."""
    add(con, "bad", severity="critical")
    channel = queued(con, sink, "one", "two")
    sink.script = [400, 400]

    sent = sending.send(con, [channel], AT, Naps())
    assert (sent.sent, sent.failed) == (2, 1)
    assert sink.requests[0].body["title"] == sink.requests[1].body["title"]
    assert sink.requests[0].body["severity"] == "critical"


@pytest.mark.parametrize(("answer", "posts"), [("drop", 2), (500, 6)])
def test_channel_that_is_down_is_left_until_the_next_run(
    con: Con, sink: Sink, answer: Any, posts: int
) -> None:
    """No answer once, or three refusals in a row: the rest counts as tried, others get theirs."""
    channel = queued(con, sink, *map(str, range(8)))
    other = Channel("other", sink.url("/other"))
    told(con, other)
    sink.script = [answer] * posts

    sent = sending.send(con, [channel, other], AT, Naps())
    assert (sent.sent, sent.failed, len(sent.errors)) == (8, 8, 1)
    assert [one.path for one in sink.requests] == ["/hook"] * posts + ["/other"] * 8
    assert {row["attempts"] for row in outbox(con, where="channel = 'soc'")} == {1, 2}


@pytest.mark.parametrize(
    ("step", "runs"), [(timedelta(hours=6), 10), (DAY, 4)], ids=["twenty tries", "three days"]
)
def test_message_is_given_up_after_twenty_tries_or_three_days(
    con: Con, sink: Sink, step: timedelta, runs: int
) -> None:
    """Whichever comes first; the error stays, and it is never tried again."""
    channel = queued(con, sink)
    sink.script = [500] * 1000
    results = [sending.send(con, [channel], AT + n * step, Naps()) for n in range(runs)]

    assert [one.dead for one in results] == [0] * (runs - 1) + [1]
    (row,) = outbox(con)
    assert row["dead_at"] is not None
    assert row["next_attempt_at"] is row["sent_at"] is None
    assert row["last_error"] == "127.0.0.1: answered 500"
    sink.script = []
    assert sending.send(con, [channel], AT + 30 * DAY, Naps()) == sending.Sent()


def test_other_channels_hear_that_messages_were_given_up(con: Con, sink: Sink) -> None:
    """One health message a day, however many messages died."""
    dead = Channel("dead", "http://127.0.0.1:9/")
    well = Channel("well", sink.url(), min_severity="critical")
    for name in ("one", "two"):
        add(con, name)
    told(con, dead)

    results = [sending.send(con, [dead, well], AT + n * DAY, Naps()) for n in range(4)]
    assert [one.dead for one in results] == [0, 0, 0, 2]
    assert [one.body["kind"] for one in sink.requests] == ["health"]
    assert sink.requests[0].body["title"] == "Messages to channel dead were given up"
    assert outbox(con, "channel", "kind = 'health'") == [{"channel": "well"}]


def test_time_in_the_outbox_before_the_first_try_does_not_count(con: Con, sink: Sink) -> None:
    """A machine that was off for a week still gets its tries."""
    channel = queued(con, sink)
    sink.script = [500, 500]

    assert sending.send(con, [channel], AT + 7 * DAY, Naps()).failed == 1
    assert sending.send(con, [channel], AT + 8 * DAY, Naps()).sent == 1


def test_messages_to_a_channel_that_is_gone_stay(con: Con, sink: Sink) -> None:
    """Only channels of gundog.yaml are sent to."""
    queued(con, sink)

    assert sending.send(con, [], AT, Naps()) == sending.Sent()
    assert len(outbox(con, where="sent_at is null")) == 1


def test_kill_between_answer_and_record_loses_nothing_and_repeats_the_key(
    tmp_path: Path, sink: Sink
) -> None:
    """Killed after each message was taken and before that was written: all arrive, one key each."""
    path = tmp_path / "warehouse.duckdb"
    with database.connect(path) as con:
        fill(con)
        queued(con, sink, "one", "two", "three")
        expected = {str(row["notification_id"]) for row in outbox(con)}

    # Killed at the first message, then at the second, then at the third.
    statuses = [deliver(path, sink, before) for before in ([], [200], [200], None)]
    assert statuses == [-signal.SIGKILL] * 3 + [0]
    with database.connect(path) as con:
        rows = outbox(con, "notification_id, sent_at")
    assert all(row["sent_at"] for row in rows)
    assert set(sink.keys()) == expected
    assert sorted(map(sink.keys().count, expected)) == [2, 2, 2]


def deliver(path: Path, sink: Sink, before: list[int] | None) -> int | None:
    """Sends in a process of its own, killed when it has posted one more than `before`."""
    ready = threading.Event()  # it may be heard before its number is known here
    children: list[Fork] = []

    def kill() -> str:
        ready.wait(kit.HUNG_S)
        children[0].kill()
        return "drop"

    sink.script = [] if before is None else [*before, kill]
    children.append(Fork(elsewhere.send, path, sink.url(), AT))
    ready.set()
    return children[0].wait()


def test_mail_that_one_of_two_refuses_is_sent_once_and_told(con: Con) -> None:
    """The message is done, the refusal is in `last_error`, and the run names it."""
    with smtp_sink() as office:
        office.refuse = {"gone@example.com": "550 no"}
        to = "to=ana@example.com,gone@example.com"
        mail = Channel("m", f"mailto://127.0.0.1:{office.port}?from=a@example.com&{to}")
        add(con)
        told(con, mail)

        sent = sending.send(con, [mail], AT, Naps())
        assert sending.send(con, [mail], AT + DAY, Naps()) == sending.Sent()
    error = "127.0.0.1: refused 1 of 2 recipients"
    assert sent == sending.Sent(sent=1, errors=(f"notify m: {error}",))
    assert outbox(con, "sent_at, last_error") == [{"sent_at": AT, "last_error": error}]
    assert len(office.letters) == 1


# ---- addresses and secrets ----


@pytest.mark.parametrize(
    ("scheme", "user", "path", "seen", "credentials"),
    [
        ("http", "", "/a/b?c=d&e=%20", "/a/b?c=d&e=%20", None),
        ("json", "", "", "/", None),
        ("json", "us%40er:p%3Ass@", "/x", "/x", "us@er:p:ss"),
        ("http", "user@", "/x y/ü", "/x%20y/%C3%BC", "user:"),
        ("JSON", "u:p@w@", "/", "/", "u:p@w"),
    ],
)  # fmt: skip
def test_address_is_called_as_it_is_written(
    sink: Sink, scheme: str, user: str, path: str, seen: str, credentials: str | None
) -> None:
    """json:// is http://; user:password becomes Basic auth and leaves the address."""
    channel = Channel("x", sink.url(path, scheme, user))

    assert sending.send_test(channel, AT) is None
    (request,) = sink.requests
    assert request.path == seen
    assert request.headers["Host"] == f"127.0.0.1:{sink.port}"
    token = request.headers.get("Authorization")
    expected = base64.b64encode(credentials.encode()).decode() if credentials else None
    assert token == (f"Basic {expected}" if expected else None)


def test_jsons_is_https() -> None:
    """The secure spelling never falls back to plain HTTP, and redirects are not followed there."""
    assert http_post._AnyStatus.https_response is http_post._AnyStatus.http_response
    hook = services._hook("jsons://u:p@example.com/x")
    assert hook is not None
    assert hook.url == "https://example.com/x"


SECRET = "s3cr3t"  # noqa: S105 - what the tests look for
BAD = [
    f"http://{SECRET}:{SECRET}@127.0.0.1:9/{SECRET}?k={SECRET}#{SECRET}",
    f"https://user:pa/{SECRET}@127.0.0.1/",
    f"https://user:{SECRET}/x@127.0.0.1/",
    f"http://[{SECRET}/",
    f"http://127.0.0.1:{SECRET}/",
    f"http://127.0.0.1:99999/{SECRET}",
    f"http:///{SECRET}",
    f"xoxb-{SECRET}",
    f"slack://{SECRET}/x",
    f"http://127.0.0.1:9/{SECRET}\r\nX: y",
    f"http://:{SECRET}@/",
    f"http://\u2100{SECRET}.example/",
    "",
]


@pytest.mark.parametrize("url", BAD)
def test_nothing_tells_the_secret_of_an_address(
    con: Con, sink: Sink, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No error, repr, table or log holds more of an address than its host."""
    caplog.set_level(0)
    channel = Channel("soc", url)
    add(con)
    told(con, channel)

    sent = sending.send(con, [channel], AT, Naps())
    assert (sent.failed, len(sent.errors)) == (1, 1)
    said = [repr(channel), repr(sent), services.url_problem(url), outbox(con),
            sending.send_test(channel, AT),
            sending.heartbeat(url, Naps()), services.place(url), caplog.text]  # fmt: skip
    assert SECRET not in str(said)


@pytest.mark.parametrize("url", [url for url in BAD if "127.0.0.1:9/" not in url])
def test_malformed_address_is_a_problem(url: str) -> None:
    """What cannot be called can be refused before anything is sent."""
    problem = services.url_problem(url)

    assert problem is not None
    assert problem.startswith("is not a ")
    assert SECRET not in problem


@pytest.mark.parametrize(
    "url", ["http://a", "https://u:p@a.b:8443/x", "json://[::1]:80/", "jsons://a/?x=y"]
)
def test_well_formed_address_is_no_problem(url: str) -> None:
    """Every kind that a channel understands."""
    assert services.url_problem(url) is None


# ---- heartbeat and test message ----


def test_heartbeat_is_a_get_and_is_tried_twice(sink: Sink) -> None:
    """One failure is forgiven, two are named with the host only."""
    naps = Naps()

    assert sending.heartbeat(sink.url("/ping/s3cr3t"), naps) is None
    sink.script = [500, 200]
    assert sending.heartbeat(sink.url(), naps) is None
    sink.script = [500, 503]
    assert sending.heartbeat(sink.url(), naps) == "heartbeat 127.0.0.1: answered 503"
    assert [one.method for one in sink.requests] == ["GET"] * 5
    assert naps == [2.0, 2.0]


def test_test_message_passes_the_outbox_by(con: Con, sink: Sink) -> None:
    """It has kind test and every key, and leaves no row."""
    channel = Channel("soc", sink.url())

    assert sending.send_test(channel, AT) is None
    sink.script = [403]
    assert sending.send_test(channel, AT) == "127.0.0.1: answered 403"
    assert sink.requests[0].body["kind"] == "test"
    assert set(sink.requests[0].body) == KEYS
    assert outbox(con) == []


def test_two_runs_have_two_keys() -> None:
    """A digest's key holds the run's id, so that no night is taken for a repeat of another."""
    one, two = (notify.notification_id("soc", f"digest/{uuid4()}") for _ in range(2))

    assert one != two
    assert notify.notification_id("a", "b/c") != notify.notification_id("a/b", "c")
