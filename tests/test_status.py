"""Tests of the state of everything: read from findings.duckdb, as a page and as JSON."""

from __future__ import annotations

import io
import json
import shlex
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest

from gundog.cli import main, status_page
from gundog.core.times import Interval, parse_range, parse_time
from gundog.findings import reader
from gundog.health import watch
from gundog.health.acknowledged import Entry
from gundog.health.clock import Watched
from gundog.run import run, status, status_model
from gundog.run.status import Known
from gundog.run.status_model import Status
from tests import kit
from tests.hostile import unseen
from tests.test_finding_list import DETECTION, NOW, STRINGS, published, shown, terminal

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
FRESH = UUID(int=5)
KNOWN = Known(
    detections=(Watched("found", DAY, ("Things",)), Watched("fresh", DAY, ("Things",))),
    ids={"found": str(DETECTION), "fresh": str(FRESH)},
)


def status_of(path: Path, now: datetime = NOW, about: Known = KNOWN) -> tuple[list[str], str]:
    """The problems and the printed page."""
    console = terminal(160)
    with reader.published(path) as con:
        found = status.read(con, about, now)
    status_page.show(console, found)
    return [one.text for one in found.troubles], shown(console)


def test_status_shows_text_and_obeys_none(tmp_path: Path) -> None:
    """Names of files, errors of stores, notes: all of them may come from others."""
    names = ("ansi clear", "osc hyperlink", "bidi override", "newline", "rich markup")
    rows: dict[str, list[dict[str, Any]]]
    rows = {"source_files": [], "run_intervals": [], "notifications": []}
    for turn, raw in enumerate(STRINGS[name] for name in names):
        at, number = NOW - 2 * turn * DAY, 2 * turn
        rows["source_files"] += [
            {"path": raw, "state": "rejected", "error": raw, "source_table": raw},
            {"path": raw, "state": "staged", "rejected_rows": 1, "cast_columns": [raw],
             "missing_columns": [raw], "source_table": raw, "rows": 5},
        ]  # fmt: skip
        rows["run_intervals"].append(
            {"detection_id": DETECTION, "detection_hash": "h", "interval_start": at,
             "interval_end": at, "state": "failed", "error": raw, "note": raw}
        )  # fmt: skip
        rows["notifications"] += [
            {"notification_id": UUID(int=number), "channel": raw, "last_error": raw},
            {"notification_id": UUID(int=number + 1), "channel": raw, "last_error": raw,
             "dead_at": NOW},
        ]  # fmt: skip
    path = published(tmp_path / "findings.duckdb", **rows)
    console = terminal()

    with reader.published(path) as con:
        status_page.show(console, status.read(con, KNOWN, NOW))

    out = shown(console)
    assert out.splitlines()[0] == "15 PROBLEMS"
    assert unseen(out) == []


def interval(back: int, state: str, **values: Any) -> dict[str, Any]:
    """A row of the ledger, so many days back."""
    end = NOW.replace(hour=0) - timedelta(days=back)
    row = {"detection_id": DETECTION, "detection_hash": "h", "state": state, "findings": 1,
           "interval_start": end - timedelta(days=1), "interval_end": end}  # fmt: skip
    return row | values


def test_clean_state_is_ok(tmp_path: Path) -> None:
    """Coverage, freshness, and detections that wait for their first night."""
    path = published(
        tmp_path / "findings.duckdb",
        run_intervals=[interval(1, "done"), interval(0, "done", note="learning until tomorrow")],
        source_files=[
            {"path": "a", "source_table": "Things", "state": "staged", "rows": 1500,
             "rejected_rows": 0, "max_time": NOW - timedelta(hours=30, minutes=5)}
        ],
    )  # fmt: skip

    problems, out = status_of(path)

    assert problems == []
    assert out.splitlines()[0] == "OK"
    words = [line.split() for line in out.splitlines()]
    head = ["found", "2026-03-08", "to", "2026-03-09", "2", "provisional", "2"]
    assert head in words
    assert ["found:", "learning", "until", "tomorrow"] in words
    assert any(line[:4] == ["fresh:", "not", "hunted", "yet:"] for line in words)
    assert ["Things", "1", "1,500", "0", "2026-03-08", "21:55", "1d6h"] in words


def test_every_problem_is_a_sentence_with_a_name(tmp_path: Path) -> None:
    """What failed, had no data, is stale or was rejected, and the channel that gave up."""
    path = published(
        tmp_path / "findings.duckdb",
        run_intervals=[
            interval(4, "failed", error="out of memory"),
            interval(3, "no_data", error="Things: no file covers any part of it"),
            interval(2, "done"),
            interval(1, "stale"),
            interval(0, "missing"),
            interval(0, "failed", detection_hash="of an older version"),
        ],
        source_files=[
            {"path": "bad.parquet", "source_table": "Things", "state": "rejected", "error": "torn"}
        ],
        notifications=[
            {"notification_id": UUID(int=1), "channel": "soc", "last_error": "410", "dead_at": NOW},
            {"notification_id": UUID(int=2), "channel": "soc", "last_error": "500"},
            {"notification_id": UUID(int=3), "channel": "soc", "sent_at": NOW},
        ],
    )

    problems, out = status_of(path)

    assert problems == [
        "Things: no file on 2026-03-06: found could not hunt",
        "found: failed on 2026-03-05: out of memory",
        "found: never hunted on 2026-03-09: gundog backfill --from 2026-03-09 --to 2026-03-09",
        (
            "found: events changed since the hunt on 2026-03-08:"
            " gundog backfill --from 2026-03-08 --to 2026-03-08"
        ),
        "bad.parquet: rejected: torn",
        "channel soc: 1 message was given up: 410",
    ]
    assert out.splitlines()[0] == "6 PROBLEMS"
    assert "gundog acknowledge Things --from 2026-03-06 --to 2026-03-06 --reason TEXT" in out
    assert "soc: 1 waiting: 500" in out


def test_one_problem_is_singular(tmp_path: Path) -> None:
    """1 PROBLEM, not 1 PROBLEMS."""
    path = published(tmp_path / "findings.duckdb", run_intervals=[interval(0, "missing")])

    assert status_of(path)[1].splitlines()[0] == "1 PROBLEM"


def test_remarks_of_files_are_told_and_are_no_problem(tmp_path: Path) -> None:
    """Rejected rows, columns that lack or were cast."""
    path = published(
        tmp_path / "findings.duckdb",
        source_files=[
            {"path": "old.parquet", "source_table": "Things", "state": "staged", "rows": 9,
             "rejected_rows": 4, "missing_columns": ["Who", "N"], "cast_columns": ["Id (VARCHAR)"]},
            {"path": "fine.parquet", "source_table": "Things", "state": "staged", "rows": 9,
             "rejected_rows": 0, "missing_columns": [], "cast_columns": []},
        ],
    )  # fmt: skip

    problems, out = status_of(path)

    assert problems == []
    assert "old.parquet: 4 rows rejected; lacks Who, N; cast Id (VARCHAR)" in out
    assert "fine.parquet" not in out


# ---- with a project ----


LAST = ("2026-03-09", "2026-03-09")


def nine_days(root: Path) -> Path:
    """Makes a folder a small project with nine days."""
    kit.make_project(root)
    kit.fill_days(root, "2026-03-01", 9)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small project with nine days."""
    return nine_days(tmp_path)


@pytest.fixture(scope="module")
def night_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after a night; not to be changed."""
    root = nine_days(tmp_path_factory.mktemp("night"))
    kit.hunt(root)
    return root


@pytest.fixture(scope="module")
def range_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after a hunt of its last day; not to be changed."""
    root = nine_days(tmp_path_factory.mktemp("range"))
    kit.hunt(root, LAST)
    return root


def read_status(root: Path, now: datetime) -> Status:
    project = run.load_project(root, {})
    with reader.published(project.settings.findings) as con:
        return status.read(con, status.known(project), now)


def kinds(found: Status) -> list[str]:
    return [one.kind for one in found.troubles]


RANGE = ("2026-03-07", "2026-03-09")


@pytest.mark.slow
def test_a_year_later_an_archive_is_well_and_a_nightly_project_is_not(
    range_once: Path, tmp_path: Path
) -> None:
    """Runs of a range have no nights to miss; one run without dates, and the clock counts."""
    root = kit.copy_project(range_once, tmp_path)
    kit.hunt(root, RANGE, command="backfill", origin="backfill")
    archive = read_status(root, kit.NOW + 365 * DAY)
    assert (archive.troubles, archive.nightly) == ((), False)
    assert archive.notes[0].startswith("no run without dates yet")

    kit.hunt(root)
    assert kinds(read_status(root, kit.NOW)) == []
    assert kinds(read_status(root, kit.NOW + 26 * HOUR)) == []
    year = read_status(root, kit.NOW + 365 * DAY)
    assert kinds(year) == ["night", "silent"]
    assert year.troubles[0].count == 364
    assert "no run hunted from 2026-03-10 to 2027-03-08 (364 nights): pair" in year.troubles[0].text
    assert not [one for one in year.notes if "without dates" in one]


def test_a_clean_night_after_a_missed_one_is_well_again(night_once: Path, tmp_path: Path) -> None:
    """Four days without a run are told; the next nights and a backfill settle it."""
    root = kit.copy_project(night_once, tmp_path)
    kit.write_text(root / "gundog.yaml", f"{kit.CONFIG}lateArrival: 2d\n")
    kit.fill_days(root, "2026-03-10", 4)
    later = kit.NOW + 4 * DAY
    assert "night" in kinds(read_status(root, later))

    kit.hunt(root, now=later)
    assert kinds(read_status(root, later)) == ["missing"]
    kit.hunt(root, ("2026-03-10", "2026-03-13"), now=later, command="backfill")
    assert kinds(read_status(root, later)) == []


def test_a_run_of_an_older_version_counts_as_a_night(night_once: Path, tmp_path: Path) -> None:
    """It did not say what it was asked for: its range ended shortly before it began."""
    root = kit.copy_project(night_once, tmp_path)
    con = duckdb.connect(str(root / ".gundog/findings.duckdb"))
    con.execute("alter table runs drop column asked_range")
    con.execute("drop table sources")
    con.close()

    assert kinds(read_status(root, kit.NOW + 28 * DAY)) == ["night", "silent"]
    (source,) = read_status(root, kit.NOW).sources
    assert source.newest == parse_time("2026-03-09T23:00:00Z")

    con = duckdb.connect(str(root / ".gundog/findings.duckdb"))
    con.execute("update runs set range_end = started_at - interval 30 day")
    con.close()
    assert not read_status(root, kit.NOW + 28 * DAY).nightly


def test_an_event_ahead_of_time_makes_no_source_new(root: Path) -> None:
    """One machine with a wrong clock: the source is as old as its other events."""
    rows = [kit.event("2027-03-09T10:00", "other", number=5)]
    kit.write_file(root, "2026-03-09", rows, "ahead")
    for path in (root / "lake/date=2026-03-09").glob("quiet.parquet"):
        path.unlink()
    kit.hunt(root)

    found = read_status(root, kit.NOW)
    (source,) = found.sources
    assert source.newest == parse_time("2026-03-08T23:00:00Z")
    assert (source.rows_ahead, source.ahead_until) == (1, parse_time("2027-03-09T10:00:00Z"))
    assert [one for one in found.notes if "1 row lies ahead of the clock" in one]
    assert "<1h" not in page(found, 120)


def test_many_events_ahead_of_time_are_a_problem(root: Path) -> None:
    """A sender in the wrong time zone shifts every event."""
    rows = [kit.event("2026-03-10T07:00", "other", number=n) for n in range(50)]
    kit.write_file(root, "2026-03-09", rows, "ahead")
    kit.hunt(root)

    assert kinds(read_status(root, kit.NOW)) == ["ahead"]
    assert kinds(read_status(root, kit.NOW + 4 * HOUR)) == []


@pytest.mark.slow
def test_what_is_acknowledged_ends_when_files_come(root: Path) -> None:
    """The hole is not a problem, the next one is; with its files there the entry can go."""
    span = ("2026-02-26", "2026-03-01")
    kit.hunt(root, span)
    before = read_status(root, kit.NOW)
    assert [(one.kind, one.count) for one in before.troubles] == [("hole", 3)]

    text = "- {source: Things, from: 2026-02-26, to: 2026-02-27, reason: down, owner: kim}\n"
    kit.write_text(root / "acknowledged.yaml", text)
    (trouble,) = read_status(root, kit.NOW).troubles
    assert trouble.span == parse_range("2026-02-28", "2026-02-28")
    assert "covers 2 intervals" in page(read_status(root, kit.NOW), 120)

    kit.fill_days(root, "2026-02-26", 3)
    assert kit.hunt(root, span).exit_status == 0
    found = read_status(root, kit.NOW)
    assert found.troubles == ()
    assert "no longer matches anything: the entry can be removed" in page(found, 120)


def test_a_run_whose_only_trouble_is_known_exits_0(root: Path) -> None:
    """No new message either, and one note for each entry, however many intervals it covers."""
    text = "- {source: Things, from: 2026-02-25, to: 2026-02-27, reason: down}\n"
    kit.write_text(root / "acknowledged.yaml", text)

    known = kit.hunt(root, ("2026-02-25", "2026-02-27"))
    assert (known.exit_status, known.problems, known.health) == (0, [], [])
    assert known.notes == ["acknowledged: hole: Things from 2026-02-25 to 2026-02-27: down"]
    assert kit.hunt(root, ("2026-02-25", "2026-02-28")).exit_status == 1


def test_a_rejected_file_that_is_known_is_no_trouble(root: Path) -> None:
    """By its source and the day of its path; a bad file of another day is."""
    text = "- {source: Things, from: 2026-03-07, to: 2026-03-07, kind: file, reason: torn}\n"
    kit.write_text(root / "acknowledged.yaml", text)
    kit.write_text(root / "lake/date=2026-03-07/bad.parquet", "x")
    days = ("2026-03-07", "2026-03-08")

    assert kit.hunt(root, days).exit_status == 0
    found = read_status(root, kit.NOW)
    assert found.troubles == ()
    assert "covers 1 file" in page(found, 120)

    kit.write_text(root / "lake/date=2026-03-08/bad.parquet", "x")
    assert kit.hunt(root, days).exit_status == 1
    assert kinds(read_status(root, kit.NOW)) == ["file"]


def test_a_wrong_entry_stops_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`check` exits 2, a run and `status` name it with exit 1, the other entry holds."""
    kit.write_text(
        root / "acknowledged.yaml",
        "- {source: Things, from: 2026-02-28, to: 2026-02-28, reason: down}\n- {source: Thing}\n",
    )
    project = ("--project", str(root))
    assert main.main(["check", *project]) == 2
    assert "acknowledged.yaml: 1.reason: is missing" in capsys.readouterr().err

    done = kit.hunt(root, ("2026-02-28", "2026-03-01"))
    assert done.exit_status == 1
    assert len(done.problems) == 3
    assert kinds(read_status(root, kit.NOW)) == ["content"] * 3


def test_a_detection_that_is_gone_leaves_no_problem(root: Path) -> None:
    """Its failures stay in the ledger; one that only does not load keeps its problems."""
    kit.hunt(root, ("2026-02-28", "2026-02-28"))
    path = root / "detections/pair.yaml"
    text = path.read_text()

    path.write_text(text.replace("kind: match", "kind: mathc"))
    assert sorted(kinds(read_status(root, kit.NOW))) == ["content", "hole"]
    path.write_text(text.replace("status: stable", "status: deprecated"))
    assert kinds(read_status(root, kit.NOW)) == []


def test_a_channel_that_gave_up_long_ago_and_works_is_a_note(tmp_path: Path) -> None:
    """A loss is told for a week; while nothing arrives it stays a problem."""
    path = published(
        tmp_path / "findings.duckdb",
        notifications=[
            {"notification_id": UUID(int=1), "channel": "soc", "last_error": "410", "dead_at": NOW},
            {"notification_id": UUID(int=2), "channel": "soc", "sent_at": NOW + DAY},
            {"notification_id": UUID(int=3), "channel": "b", "last_error": "500", "dead_at": NOW},
        ],
    )

    assert len(status_of(path, NOW + 2 * DAY)[0]) == 2
    problems, out = status_of(path, NOW + 8 * DAY)
    assert problems == ["channel b: 1 message was given up: 500"]
    assert "soc: 1 message was given up: 410; later ones arrived" in out


# ---- the page and the JSON ----


def page(found: Status, width: int) -> str:
    console = terminal(width)
    status_page.show(console, found)
    return shown(console)


@pytest.mark.parametrize("tenant", ["a; touch pwned", "$(id)", "it's", "`id`", "--all"])
def test_a_command_to_copy_holds_a_tenant_as_one_word(tenant: str) -> None:
    """Whoever writes a tenant's name writes no command for whoever copies the line."""
    span = Interval(NOW - DAY, NOW)
    trouble = watch.Trouble(watch.HOLE, "a hole", "Things", tenant, span=span)
    found = Status(NOW, troubles=(trouble,))

    out = page(found, 400)

    command = out[out.index("gundog acknowledge") :].partition(" --reason TEXT")[0]
    assert shlex.split(command)[-1] == f"--tenant={tenant}"
    found = replace(found, troubles=(replace(trouble, tenant=f"{tenant}\n"),))
    assert "gundog acknowledge" not in page(found, 400)


def test_forty_days_without_files_are_a_page(tmp_path: Path) -> None:
    """One line for the hole and one for all files with the same remark."""
    error = "Things: no file covers any part of it"
    path = published(
        tmp_path / "findings.duckdb",
        run_intervals=[interval(back, "no_data", error=error) for back in range(40)],
        source_files=[
            {"path": f"d{n}.parquet", "source_table": "Things", "state": "staged", "rows": 9,
             "rejected_rows": 1, "missing_columns": ["Who"], "cast_columns": []}
            for n in range(90)
        ],
    )  # fmt: skip

    problems, out = status_of(path)
    assert problems == [
        "Things: no file from 2026-01-29 to 2026-03-09 (40 days): found could not hunt"
    ]
    assert len(out.splitlines()) < 20
    assert "Things: 90 files, the last of them d9.parquet: 90 rows rejected; lacks Who" in out


@pytest.mark.parametrize("width", [80, 200])
def test_names_of_detections_stay_whole(width: int) -> None:
    """On a narrow terminal too; what several of them say is said once."""
    name = "host_exporting_mailbox_and_removing_export"
    rows = [status_model.Coverage(name, "1", parse_range("2026-03-01", "2026-03-31"),
                           {"final": 24, "no_data": 3, "provisional": 7}, 12)]  # fmt: skip
    rows += [status_model.Coverage(stem, stem, idle="gundog.yaml has no lake.X") for stem in "ab"]
    out = page(Status(NOW, coverage=tuple(rows)), width)

    assert name in out
    joined = " ".join(out.split())
    for words in ("2026-03-01 to 2026-03-31", "24 final, 3 no data, 7 provisional", "12"):
        assert words in joined
    assert max(len(line) for line in out.splitlines()) <= width
    assert "  a, b: does not run: gundog.yaml has no lake.X\n" in out


def test_a_source_without_any_file_can_be_acknowledged(root: Path) -> None:
    """Neither its intervals nor the empty listing are trouble then."""
    kit.write_text(root / "gundog.yaml", kit.CONFIG.replace("lake/date", "gone/date"))
    assert kit.hunt(root, ("2026-03-07", "2026-03-07")).exit_status == 1

    text = "- {source: Things, from: 2026-03-07, to: 2026-03-07, reason: moved}\n"
    kit.write_text(root / "acknowledged.yaml", text)
    assert kit.hunt(root, ("2026-03-07", "2026-03-07")).problems == []
    assert kit.hunt(root, ("2026-03-07", "2026-03-08")).exit_status == 1


SHAPE = {
    "status": str, "at": str, "nightly": bool, "problems": "key kind source tenant detections from"
    " to count text", "notes": list, "detections": "detection detection_id from to intervals"
    " findings note idle", "looked_at": "detection tenants rows mailboxes scored learning throttled"
    " silent", "canaries": "name detection came tenant span_start span_end found_at delay_s lost",
    "sources": "source files rows rejected_rows newest_event age_seconds"
    " rows_ahead ahead_until", "exceptions": list, "acknowledged": "kind source tenant from to"
    " reason owner covers", "remarks": "source files example text", "unsent": "channel messages"
    " error",
}  # fmt: skip


def test_json_has_its_keys(tmp_path: Path) -> None:
    """They are part of the contract: none goes, none changes its meaning."""
    entry = Entry("hole", "Things", parse_range("2026-03-06", "2026-03-06"), "down")
    path = published(
        tmp_path / "findings.duckdb",
        run_intervals=[interval(0, "failed", error="caf\u00e9"), interval(1, "done")],
        source_files=[
            {"path": "old.parquet", "source_table": "Things", "state": "staged", "rows": 9,
             "rejected_rows": 4, "missing_columns": ["Who"], "cast_columns": [],
             "max_time": NOW - HOUR}
        ],
        notifications=[{"notification_id": UUID(int=1), "channel": "soc", "last_error": "500"}],
        looked_at=[{"detection_id": UUID(int=77), "tenant": "", "rows": 3}],
        canaries=[{"name": "planted", "detection_id": UUID(int=77), "came": True,
                   "span_start": NOW - 2 * HOUR, "span_end": NOW - HOUR, "delay_s": 90.0,
                   "judged_at": NOW}],
    )  # fmt: skip
    with reader.published(path) as con:
        found = status.read(con, replace(KNOWN, entries=(entry,)), NOW)
    out = io.StringIO()
    status_page.as_json(found, out)

    assert out.getvalue().isascii()
    data = json.loads(out.getvalue())
    assert list(data) == list(SHAPE)
    for key, shape in SHAPE.items():
        if isinstance(shape, str):
            assert data[key], key
            assert {tuple(one) for one in data[key]} == {tuple(shape.split())}, key
        else:
            assert isinstance(data[key], shape), key
    assert data["status"] == "PROBLEMS"
    assert data["at"] == "2026-03-10T04:00:00Z"
    assert data["problems"] == [
        {"key": "failed:found:2026-03-09T00:00:00Z", "kind": "failed", "source": None,
         "tenant": None, "detections": ["found"], "from": "2026-03-09T00:00:00Z",
         "to": "2026-03-10T00:00:00Z", "count": 1,
         "text": "found: failed on 2026-03-09: caf\u00e9"}
    ]  # fmt: skip
    assert data["sources"][0]["age_seconds"] == 3600


def test_docs_name_every_key() -> None:
    """docs/operations.md is where a reader of the JSON looks."""
    text = (Path(__file__).parents[1] / "docs/operations.md").read_text()
    for key, shape in SHAPE.items():
        for name in [key, *(shape.split() if isinstance(shape, str) else [])]:
            assert f"`{name}`" in text, name
    for kind in watch.KINDS:
        assert f"`{kind}`" in text, kind


def test_exit_status_first_line_and_json_agree(
    root: Path, range_once: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the first run, after a clean one, and with a hole."""

    def told() -> tuple[int, str, dict[str, Any]]:
        code = main.main(["status", "--project", str(root)])
        line = capsys.readouterr().out.splitlines()[0]
        assert main.main(["status", "--json", "--project", str(root)]) == code
        return code, line, json.loads(capsys.readouterr().out)

    code, line, data = told()
    assert (code, line, data["status"]) == (1, "1 PROBLEM", "PROBLEMS")
    assert data["problems"][0]["kind"] == "never"
    kit.copy_project(range_once, root)
    code, line, data = told()
    assert (code, line, data["status"], data["problems"]) == (0, "OK", "OK", [])
    kit.hunt(root, ("2026-03-07", "2026-03-07"))
    code, line, data = told()
    assert (code, line, data["status"]) == (1, "1 PROBLEM", "PROBLEMS")
