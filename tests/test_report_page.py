"""Tests of the report's page: what stands on it, and that text from events stays text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from gundog.core.errors import InputError
from gundog.core.times import Interval, parse_time
from gundog.health import watch
from gundog.health.clock import Source
from gundog.health.watch import Trouble
from gundog.report import findings, page
from gundog.report.asked import Asked, Entity, parse_month
from gundog.report.night import Night
from tests.hostile import unseen
from tests.report_kit import (
    DAY,
    DETECTION,
    HOUR,
    NOW,
    QUIET,
    Parsed,
    change,
    evidence,
    finding,
    gathered,
    html,
    interval,
    looked,
    published,
    run,
)
from tests.test_finding_list import NUMBERS, STRINGS, visible

TEMPLATE = resources.files("gundog.report").joinpath("page.html").read_text(encoding="utf-8")
# Tags of the template, and of the pictures.
TAGS = {*re.findall(r"<([a-z][a-z0-9]*)", TEMPLATE), "svg", "rect", "path", "text", "circle"}
ATTRIBUTES = {
    "aria-hidden", "aria-label", "aria-labelledby", "charset", "class", "content", "cx", "cy", "d",
    "height", "href", "http-equiv", "id", "lang", "name", "open", "r", "role", "scope",
    "text-anchor", "viewbox", "width", "x", "y",
}  # fmt: skip
PAIR = [("open", 0), ("close", 1)]
# Of a foreign pack; on the page once for each finding.
PROSE = [STRINGS[name] for name in ("script", "attribute break", "bidi override", "jinja", "null")]


def hostile_rows() -> dict[str, list[dict[str, Any]]]:
    """Rows of every table that a page reads, whose every text is hostile."""
    rows: dict[str, list[dict[str, Any]]] = {
        name: []
        for name in (
            "findings",
            "evidence",
            "finding_changes",
            "exceptions",
            "drifts",
            "finding_contexts",
        )
    }
    for name, number in NUMBERS.items():
        raw = STRINGS[name]
        names = dict.fromkeys(
            ("title", "reason", "host_name", "account_name", "mailbox", "tenant", "ip_address",
             "app_id", "detection_name"), raw,
        )  # fmt: skip
        details = {"line": raw, raw or "empty": raw, "deep": {"a": raw}, "top_app_id": [
            {"value": raw, "records": 1, "share": 0.5}]}  # fmt: skip
        rows["findings"].append(
            finding(
                number, **names, evidence_count=99, details=json.dumps(details), tactics=[raw],
                start_time=NOW - number * HOUR - HOUR,
                suppressed_by=f"exception 12345678: {raw}" if number % 9 == 0 else None,
            )
        )  # fmt: skip
        rows["evidence"] += [
            {**evidence(number, 0, command_line=raw, normalised=raw, steps=[raw]), "role": raw},
            {
                **evidence(number, 1, who=raw, ip_address=raw, session_id=raw, client_info=[raw]),
                "role": raw, "source_file": f"lake/{raw}", "event_time": NOW - HOUR,
            },
        ]  # fmt: skip
        rows["finding_contexts"] += [
            {"finding_id": UUID(int=number << 96), "kind": kind, "value": raw, "records": 1,
             "items": 1, "first_for_mailbox": None, "first_for_tenant": NOW}
            for kind in ("isp", raw or "empty")
        ]  # fmt: skip
        rows["finding_changes"].append(
            change(number + 5000, 1, "withdrawn", reason=raw, before=json.dumps(names))
        )
    rows["detections"] = [
        {
            "detection_id": DETECTION, "stem": "found", "name": "Found", "status": "stable",
            "detection_hash": "h", "triage": PROSE, "false_positives": PROSE, "blind_spots": PROSE,
        }
    ]  # fmt: skip
    rows["run_intervals"] = [interval(1)]
    rows["looked_at"] = [looked(tenant=raw, learning=3, throttled=2) for raw in STRINGS.values()]
    rows["runs"] = [run(0, problems=list(STRINGS.values()), command=STRINGS["script"])]
    return rows


def hostile_night() -> Night:
    """What status would say, in hostile words."""
    words = [raw for raw in STRINGS.values() if raw]
    return Night(
        NOW,
        troubles=tuple(Trouble(watch.FAILED, raw) for raw in words),
        notes=tuple(words),
        sources=tuple(Source(raw, newest=NOW) for raw in words),
        expiring=tuple(words),
        acknowledged=tuple((None, raw) for raw in words),
        idle={"found": STRINGS["script"]},
    )


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page whose every text is hostile."""
    path = tmp_path_factory.mktemp("hostile") / "findings.duckdb"
    return html(published(path, **hostile_rows()), night=hostile_night())


@pytest.fixture(scope="module")
def parsed(hostile_page: str) -> Parsed:
    """The same as an HTML parser sees it."""
    return Parsed(hostile_page)


# ---- text from events ----


def test_no_tag_and_no_attribute_comes_from_data(parsed: Parsed) -> None:
    """Tags are the template's; what attributes hold is ours, apart from words for a picture."""
    classes = set(re.findall(r"\.([a-zA-Z][\w-]*)", page.style_sheet()))

    assert {tag for tag, _ in parsed.tags} <= TAGS
    assert {name for _, attributes in parsed.tags for name in attributes} <= ATTRIBUTES
    assert all(re.fullmatch(r"#[a-z0-9-]+", value) for value in parsed.values("href"))
    assert all(re.fullmatch(r"[a-z0-9-]+", value) for value in parsed.values("id"))
    assert {one for value in parsed.values("class") for one in value.split()} <= classes
    assert parsed.others == []


def test_no_character_acts_instead_of_being_shown(hostile_page: str) -> None:
    """No control character, no change of direction, nothing invisible."""
    assert unseen(hostile_page) == []


def test_hostile_text_can_be_read(parsed: Parsed) -> None:
    """Nothing is dropped: what somebody wrote is evidence."""
    shown = "".join(parsed.text.split())

    assert [name for name, raw in STRINGS.items() if visible(raw) not in shown] == []


def test_the_page_may_run_and_load_nothing(parsed: Parsed) -> None:
    """Its own policy forbids what the template does not do anyway."""
    [policy] = [one["content"] for tag, one in parsed.tags if "http-equiv" in one and tag == "meta"]

    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert {"script", "img", "link", "iframe", "form", "base", "object"}.isdisjoint(TAGS)
    assert "url(" not in page.style_sheet()
    assert "@import" not in page.style_sheet()


def test_anchors_are_unique_and_links_arrive(parsed: Parsed) -> None:
    """Every link of the page leads to a place on it."""
    ids = list(parsed.values("id"))

    assert len(ids) == len(set(ids))
    assert {value[1:] for value in parsed.values("href")} <= set(ids)


def test_making_a_page_twice_makes_the_same_page(tmp_path: Path) -> None:
    """Nothing is remembered, and nothing in it follows from the order of a set."""
    path = published(tmp_path / "f.duckdb", findings=[finding(n) for n in range(1, 9)])

    assert html(path) == html(path)


# ---- the first screen ----


def test_nothing_found_is_said_with_whether_the_night_was_complete(tmp_path: Path) -> None:
    """A quiet night and a blind one look different."""
    path = published(tmp_path / "f.duckdb", run_intervals=[interval(1)], runs=[run(1), run(0)])
    trouble = Trouble(watch.HOLE, "Things: no file on 2026-03-09", "Things")

    quiet = gathered(path, night=Night(NOW, nightly=True))
    blind = gathered(path, night=Night(NOW, nightly=True, troubles=(trouble,)))

    assert quiet.sentence == "Nothing new since the nightly run of 2026-03-09 04:00 UTC."
    assert quiet.complete.startswith("Yes: every night was hunted")
    assert blind.complete == "No: 1 problem."
    assert blind.complete_why == "Things: no file on 2026-03-09"
    assert "this is not yet good news" in page.html(blind)
    assert "this is not yet good news" not in page.html(quiet)


def test_a_channel_that_is_down_leaves_the_night_complete(tmp_path: Path) -> None:
    """It is a problem and is named; but everything was looked at."""
    path = published(tmp_path / "f.duckdb", run_intervals=[interval(1)])
    down = Trouble(watch.CHANNEL, "channel soc: 1 message was given up")

    shown = gathered(path, night=Night(NOW, nightly=True, troubles=(down,)))

    assert shown.is_complete
    assert "channel soc: 1 message was given up" in page.html(shown)


def test_what_is_new_is_counted_from_the_nightly_run_before_the_last(tmp_path: Path) -> None:
    """A run over a range, a killed one and one of a wrong clock are not nights to count from."""
    path = published(
        tmp_path / "f.duckdb",
        findings=[finding(n, severity="high" if n < 3 else "low") for n in (1, 2, 3, 4)],
        finding_changes=[change(1, 0), change(2, 0.5), change(3, 0.9), change(4, 1)],
        runs=[
            run(2), run(1), run(0), run(0.8, asked_range=True),
            run(0.7, finished_at=None), run(0.6, clock_doubt="it jumped"),
        ],
    )  # fmt: skip

    shown = gathered(path)

    assert shown.sentence == (
        "3 new findings since the nightly run of 2026-03-09 04:00 UTC: 2 high, 1 low."
    )
    assert [one.is_new for one in shown.findings.whole] == [True, True, True, False]


def test_since_counts_from_a_given_time(tmp_path: Path) -> None:
    """A change at that very moment is new."""
    path = published(
        tmp_path / "f.duckdb",
        findings=[finding(1), finding(2)],
        finding_changes=[change(1, 3), change(2, 3.1)],
        runs=[run(1), run(0)],
    )

    shown = gathered(path, Asked(since=NOW - 3 * DAY))

    assert shown.sentence == "1 new finding since 2026-03-07 04:00 UTC: 1 high."


def test_hidden_and_unstable_findings_are_not_counted_as_new(tmp_path: Path) -> None:
    """They are among what changed, and hidden ones with what hides them."""
    path = published(
        tmp_path / "f.duckdb",
        findings=[finding(1, suppressed_by="exception 1a2b3c4d by ana: a test")],
        finding_changes=[change(1, 0)],
        runs=[run(1), run(0)],
    )

    shown = gathered(path)

    assert shown.sentence.startswith("Nothing new")
    assert shown.changes.hidden == (("exception 1a2b3c4d by ana: a test", 1),)
    assert shown.findings.total == 0


# ---- findings ----


def test_findings_are_worst_first_and_new_ones_before_old(tmp_path: Path) -> None:
    """Severity, then new, then risk, then the latest."""
    path = published(
        tmp_path / "f.duckdb",
        findings=[
            finding(1, severity="low"), finding(2, severity="critical"), finding(3),
            finding(4), finding(5, risk_score=90),
        ],
        finding_changes=[change(4, 0)],
        runs=[run(1), run(0)],
    )  # fmt: skip

    shown = gathered(path)

    numbers = [UUID(one.finding_id).int >> 96 for one in shown.findings.whole]
    assert numbers == [2, 4, 5, 3, 1]
    assert shown.worst is not None
    assert UUID(shown.worst.finding_id).int >> 96 == 4


def test_a_finding_has_what_is_needed_to_judge_it(tmp_path: Path) -> None:
    """Its evidence and the SQL for the rest, what to do, and the line that records the verdict."""
    proof = [
        {**evidence(1, n, who="ana", ip_address="192.0.2.1", session_id=f"s{n % 2}"), "role": role,
         "event_time": NOW + n * HOUR}
        for role, n in PAIR
    ]  # fmt: skip
    path = published(
        tmp_path / "f.duckdb",
        findings=[finding(1, title="ana opened", account_name="ana", evidence_count=30)],
        evidence=proof,
    )

    [one] = gathered(path).findings.whole
    text = Parsed(html(path)).text

    assert one.chart_words == (
        "open at 2026-03-10 04:00:00, close at 2026-03-10 05:00:00, 1h between; 2 events"
    )
    assert one.evidence is not None
    assert (one.evidence.count, one.evidence.shown) == (30, 2)
    assert f"where finding_id = '{one.finding_id}' order by ordinal" in text
    assert f"gundog triage {one.finding_id} --verdict" in text
    assert [name.name for name in one.names] == ["ana"]
    assert one.tables[0].caption == "Where the events came from"
    assert [row[:2] for row in one.tables[0].rows] == [("192.0.2.1", "s0"), ("192.0.2.1", "s1")]
    assert one.steps == ("look", "ask")


def test_who_is_different_comes_first(tmp_path: Path) -> None:
    """New contexts before known ones, with share and dates; the application by its name."""
    graph = "00000003-0000-0000-c000-000000000000"
    top = [{"value": graph, "records": 3, "share": 0.75, "is_new": True}]
    row = finding(1, evidence_count=4, details=json.dumps({"top_application": top}))
    known = {"first_for_mailbox": NOW, "first_for_tenant": NOW - 9 * DAY}
    never = {"first_for_mailbox": None, "first_for_tenant": None}
    shared = {"finding_id": row["finding_id"], "records": 3, "items": 7}
    contexts = [
        {**shared, **known, "kind": "country", "value": "NL"},
        {**shared, **never, "kind": "app_id", "value": graph},
    ]
    path = published(tmp_path / "f.duckdb", findings=[row], finding_contexts=contexts)

    [one] = gathered(path).findings.whole

    assert [table.caption for table in one.tables] == ["Who read it", "What made the records"]
    name = f"Microsoft Graph ({graph})"
    assert one.tables[0].rows == (
        ("application", name, "3", "7", "75%", "never before", "never before"),
        ("country", "NL", "3", "7", "75%", f"{NOW:%Y-%m-%d}", f"{NOW - 9 * DAY:%Y-%m-%d}"),
    )
    assert one.tables[1].rows == (("application", f"{name} (new)", "3", "75%"),)


def test_a_series_is_drawn_against_what_was_expected(tmp_path: Path) -> None:
    """Bars, the expected and the upper line, marks under flagged hours, hours without data."""
    start = NOW.replace(hour=0)
    points = [
        {
            "detection_id": DETECTION, "series_key": "/ana", "hour": start + n * HOUR,
            "observed": None if n == 3 else 5.0, "expected": 2.0, "upper": 4.0, "flagged": n == 2,
            "data_state": "no_data" if n == 3 else "observed",
        }
        for n in range(6)
    ]  # fmt: skip
    hours = [
        {"hour": "2026-03-10T02:00:00Z", "observed": 5, "expected": 2, "upper": 4, "score": 3.25}
    ]
    path = published(
        tmp_path / "f.duckdb",
        findings=[
            finding(
                1, kind="series", interval_start=start, interval_end=start + DAY, observed=5.0,
                expected=2.0, details=json.dumps({"series_key": "/ana", "hours": hours}),
            )
        ],
        series_points=points,
    )  # fmt: skip

    [one] = gathered(path).findings.whole
    drawn = Parsed(str(one.chart))
    kinds = [attributes.get("class") for _, attributes in drawn.tags]

    assert kinds.count("bar") == 4
    assert kinds.count("flagged") == kinds.count("mark") == kinds.count("nodata") == 1
    assert {"expected", "upper"} <= set(kinds)
    assert one.chart_words.endswith("1 of 6 hours are part of the finding")
    assert one.tables[0].rows == (("2026-03-10 02:00", "5", "2.0", "4", "3.2"),)


def test_without_evidence_no_event_is_on_the_page(tmp_path: Path) -> None:
    """Neither in the findings nor on the time line of an entity."""
    secret = "net use secret"  # noqa: S105 - text of an event
    path = published(
        tmp_path / "f.duckdb",
        findings=[
            finding(1, account_name="ana", evidence_count=1, details=json.dumps({"line": secret}))
        ],
        evidence=[evidence(1, 0, command_line=secret, ip_address="192.0.2.1")],
    )

    assert secret in html(path)
    assert secret not in html(path, Asked(evidence=False))
    assert "192.0.2.1" not in html(path, Asked(evidence=False))


def test_what_no_page_holds_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some findings whole, some as a line, and the rest in a sentence."""
    monkeypatch.setattr(findings, "WHOLE", 3)
    monkeypatch.setattr(findings, "LINES", 4)
    path = published(tmp_path / "f.duckdb", findings=[finding(n) for n in range(1, 11)])

    text = Parsed(html(path)).text

    assert "4 more findings, as a line each" in text
    assert "3 more findings are not on this page, which shows 7 at most" in text


def test_two_hundred_findings_fit_into_two_megabytes(tmp_path: Path) -> None:
    """Each with a long command line, records and details; more are not on a page as a whole.

    Fifty are laid out: a page of 200 is at most four times as long.
    """
    assert findings.WHOLE == 200
    many = [
        finding(
            n, title=f"ana opened {n}" * 5, reason="because " * 20, account_name=f"ana{n % 40}",
            evidence_count=500, details=json.dumps({f"key{k}": "value " * 30 for k in range(6)}),
        )
        for n in range(1, 51)
    ]  # fmt: skip
    proof = [
        evidence(n, k, command_line="powershell " * 30 if k < 2 else None,
                 ip_address=f"192.0.2.{k}", session_id=f"s{k}", folder="Inbox " * 9, n=k)
        for n in range(1, 51) for k in range(12)
    ]  # fmt: skip
    path = published(tmp_path / "f.duckdb", findings=many, evidence=proof)

    shown = html(path)

    assert shown.count("gundog triage ") == 50
    assert len(shown.encode()) < 2_000_000 / 4


# ---- a part of the findings ----


def two_tenants(path: Path) -> Path:
    """Findings, changes and series of two tenants."""
    return published(
        path,
        findings=[
            finding(1, tenant="contoso", title="of contoso", account_name="ana"),
            finding(2, tenant="fabrikam", title="of fabrikam", account_name="bob"),
        ],
        evidence=[evidence(1, 0, who="contoso ana"), evidence(2, 0, who="fabrikam bob")],
        finding_changes=[
            change(1, 0), change(2, 0),
            change(7, 0, "withdrawn", before=json.dumps({"tenant": "fabrikam", "title": "gone"})),
        ],
        series_points=[
            {"detection_id": DETECTION, "series_key": f"{tenant}/*", "hour": NOW - n * DAY,
             "observed": 1.0, "data_state": "observed"}
            for n, tenant in enumerate(("contoso", "fabrikam"))
        ],
        runs=[run(1), run(0, problems=["fabrikam: something"])],
    )  # fmt: skip


def test_a_tenant_sees_nothing_of_another(tmp_path: Path) -> None:
    """Neither findings nor problems, notes, exceptions, numbers of files or names."""
    night = Night(
        NOW,
        troubles=(
            Trouble(watch.DRIFT, "Things of tenant fabrikam: rows lack Who", tenant="fabrikam"),
            Trouble(watch.FILE, "lake/fabrikam/a.parquet: rejected: cut"),
            Trouble(watch.FAILED, "pair: failed: cannot read 'bob@fabrikam'", detections=("pair",)),
        ),
        notes=("fabrikam is new",),
        sources=(Source("Things", 7, 77_777, 5, NOW),),
        expiring=("exception of fabrikam expires",),
        acknowledged=(("fabrikam", "hole of fabrikam"), (None, "hole of all")),
    )
    path = two_tenants(tmp_path / "f.duckdb")

    shown = html(path, Asked(tenant="Contoso"), night)

    assert "of contoso" in shown
    assert "fabrikam" not in shown
    assert "bob" not in shown
    assert "gone" not in shown
    assert "77,777" not in shown
    assert "hole of all" in shown
    assert "2 more problems of the installation as a whole" in Parsed(shown).text


def test_the_whole_page_names_every_tenant_with_its_newest_hour(tmp_path: Path) -> None:
    """So that a tenant that fell silent is seen."""
    trusted = gathered(two_tenants(tmp_path / "f.duckdb")).trust

    assert [(one.name, one.newest) for one in trusted.tenants] == [
        ("contoso", NOW + HOUR), ("fabrikam", NOW - DAY + HOUR),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (Asked(tenant="contso"), "did you mean contoso"),
        (Asked(detection="fond"), "did you mean found"),
    ],
)
def test_a_part_that_is_not_there_is_no_empty_page(
    tmp_path: Path, asked: Asked, problem: str
) -> None:
    """A slip of the pen must not look like a quiet night."""
    path = two_tenants(tmp_path / "f.duckdb")

    with pytest.raises(InputError, match=problem):
        gathered(path, asked)


def test_an_entity_has_all_its_findings_and_events_in_order_of_time(tmp_path: Path) -> None:
    """Also those that are done; nothing of others."""
    path = published(
        tmp_path / "f.duckdb",
        findings=[
            finding(5, title="first", account_name="Ana"),
            finding(2, title="second", account_name="ana", triage_status="resolved"),
            finding(3, title="of another", account_name="bob"),
        ],
        evidence=[
            {**evidence(5, 0, command_line="net user"), "event_time": NOW - 4 * HOUR},
            {**evidence(3, 0, command_line="other"), "event_time": NOW - 4 * HOUR},
        ],
    )

    [line] = gathered(path, Asked(entity=Entity("account", "ANA"))).lines

    assert [one.what for one in line.happenings] == ["first", "open: net user", "second"]
    assert (line.findings, line.left_out) == (2, 0)


def test_records_that_are_alike_are_one_line(tmp_path: Path) -> None:
    """With what they share; a command between two stays a line of its own."""
    proof = [
        {**evidence(1, n, who="ana", folder=f"f{n}"), "event_time": NOW - HOUR + n * HOUR / 60}
        for n in range(9)
    ]
    path = published(
        tmp_path / "f.duckdb",
        findings=[finding(1, title="read", account_name="ana", evidence_count=9)],
        evidence=proof,
    )

    [line] = gathered(path, Asked(entity=Entity("account", "ana"))).lines

    assert [one.what for one in line.happenings] == [
        "read", "9 x open until 2026-03-10 03:08:00: who ana",
    ]  # fmt: skip


def test_a_detection_that_only_tries_has_a_page_when_asked_for(tmp_path: Path) -> None:
    """Its findings wait for nobody, and are what somebody who tunes it wants to see."""
    trial = {"detection_id": DETECTION, "stem": "found", "name": "Found", "status": "test",
             "detection_hash": "h"}  # fmt: skip
    path = published(tmp_path / "f.duckdb", findings=[finding(1)], detections=[trial])

    assert gathered(path).findings.total == 0
    assert gathered(path, Asked(detection="FOUND")).findings.total == 1


# ---- what changed, how loud ----


def test_changes_are_told_with_why(tmp_path: Path) -> None:
    """A withdrawn finding by the title that it had; what is new is only counted."""
    path = published(
        tmp_path / "f.duckdb",
        findings=[finding(1, title="here"), finding(2)],
        finding_changes=[
            change(1, 0.2, "changed", reason="end_time"),
            change(2, 0.1),
            change(9, 0.3, "withdrawn", reason="no longer found", before='{"title": "gone"}'),
            change(1, 4, "changed", reason="too long ago"),
        ],
        runs=[run(1), run(0)],
    )

    changes = gathered(path).changes

    assert changes.counts == (("new", 1), ("changed", 1), ("withdrawn", 1), ("returned", 0))
    assert [(one.change, one.title, one.reason) for one in changes.some] == [
        ("changed", "here", "end_time"), ("withdrawn", "gone", "no longer found"),
    ]  # fmt: skip


def test_loudness_has_verdicts_by_detection_and_names_the_silent(tmp_path: Path) -> None:
    """Three of four were called false; the second detection never said anything."""
    silent = UUID(int=78)
    verdicts = ["false_positive"] * 3 + ["true_positive"]
    path = published(
        tmp_path / "f.duckdb",
        findings=[finding(n) for n in range(1, 6)],
        triage=[
            {"finding_id": finding(n)["finding_id"], "said_at": NOW, "status": "resolved",
             "verdict": verdict}
            for n, verdict in enumerate(verdicts, 1)
        ],
        detections=[
            {"detection_id": key, "stem": stem, "name": stem, "status": "stable",
             "detection_hash": "h"}
            for key, stem in ((DETECTION, "found"), (silent, "mute"))
        ],
        run_intervals=[interval(1), interval(1, detection=silent), interval(99, detection=silent)],
    )  # fmt: skip

    loudness = gathered(path).loudness
    found, mute = loudness.rows

    assert found.weeks[-2:] == (0, 5) or sum(found.weeks) == 5
    assert found.false_share == 0.75
    assert found.verdicts == (("false_positive", 3), ("true_positive", 1))
    assert mute.false_share is None
    [(name, why)] = loudness.silent
    assert name == "mute"
    assert why == "never a finding, hunted since 2025-12-01"


def test_a_detection_that_has_just_begun_is_not_called_silent(tmp_path: Path) -> None:
    """It had no 90 days to find anything in."""
    path = published(tmp_path / "f.duckdb", run_intervals=[interval(1), interval(80)])

    assert gathered(path).loudness.silent == ()


# ---- a month ----


def test_a_month_tells_nights_gaps_findings_and_how_long_a_verdict_took(tmp_path: Path) -> None:
    """Of the nights that are over; a night of which nothing is known is a gap."""
    late = finding(3 * 24, title="old", created_at=NOW - 2 * DAY)
    path = published(
        tmp_path / "f.duckdb",
        findings=[late, finding(1, created_at=NOW), finding(40 * 24, title="of January")],
        triage=[
            {"finding_id": late["finding_id"], "said_at": NOW - 2 * DAY + hours * HOUR,
             "status": "resolved", "verdict": "benign"}
            for hours in (5, 9)
        ],
        run_intervals=[
            *(interval(day) for day in range(1, 9) if day != 5), interval(5, "failed"),
        ],
    )  # fmt: skip

    shown = gathered(path, Asked(month=parse_month("2026-03")))

    assert shown.month is not None
    assert (shown.month.nights, shown.month.hunted, shown.month.findings) == (9, 7, 2)
    assert shown.month.gaps == (
        "2026-03-01: nothing was hunted", "2026-03-05: found failed",
    )  # fmt: skip
    assert shown.month.median == 5 * HOUR
    assert shown.month.verdicts == (("benign", 1),)
    assert shown.complete == "No: 2 of 9 nights have a gap."
    assert "of January" not in page.html(shown)


def test_a_month_leaves_out_problems_of_other_times(tmp_path: Path) -> None:
    """A source that is silent today says nothing of last month."""
    path = published(tmp_path / "f.duckdb", run_intervals=[interval(1)])
    march = Interval(parse_time("2026-03-02"), parse_time("2026-03-03"))
    troubles = (
        Trouble(watch.HOLE, "a hole in March", "Things", span=march),
        Trouble(watch.SILENT, "silent today", "Things"),
    )

    shown = html(path, Asked(month=parse_month("2026-03")), replace(QUIET, troubles=troubles))

    assert "a hole in March" in shown
    assert "silent today" not in shown
