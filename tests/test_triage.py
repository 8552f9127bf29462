"""Tests of triage: on disk at once, read at once, and still there whatever runs do."""

from __future__ import annotations

import json
import os
import pwd
import resource
import socket
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from gundog.cli import main
from gundog.core.errors import InputError, StoreError
from gundog.findings import triage
from gundog.findings.triage import Said
from tests import elsewhere, kit
from tests.forks import Fork
from tests.kit import DAY, NOW, hunt, table

ID = "0d7f5b1f-2a11-4d0e-9a59-7c0d1f5e3c1b"
OTHER = "7c0d1f5e-3c1b-4d0e-9a59-0d7f5b1f2a11"
NEW = ("new", None)
RANGE = ("2026-03-08", "2026-03-09")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the first entry makes the file."""
    return tmp_path / "deep/.gundog/triage.jsonl"


@pytest.fixture(scope="module")
def hunted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hunted project with two findings, of `a` and of `b`; not to be changed."""
    root = kit.make_project(tmp_path_factory.mktemp("hunted"))
    kit.fill_days(root, "2026-03-01", 9)
    write_pair(root, "a")
    write_pair(root, "b", day="2026-03-09", number=5)
    assert hunt(root, RANGE).exit_status == 0
    return root


@pytest.fixture
def root(hunted: Path, tmp_path: Path) -> Path:
    """The hunted project, to be changed."""
    return kit.copy_project(hunted, tmp_path)


def write_pair(root: Path, who: str, day: str = "2026-03-08", number: int = 1) -> Path:
    """One finding's worth of events."""
    rows = [kit.event(f"{day}T10:00", "open", who, number)]
    rows.append(kit.event(f"{day}T11:00", "close", who, number + 1))
    return kit.write_file(root, day, rows, who)


def gundog(root: Path, *arguments: str) -> int:
    return main.main([*arguments, "--project", str(root)])


def finding_of(root: Path, who: str) -> str:
    [(found,)] = table(
        root, "select finding_id::varchar from findings where account_name = ?", [who]
    )
    return str(found)


def states(root: Path) -> dict[str, tuple[str, str | None]]:
    """Status and verdict by account, as published."""
    rows = table(root, "select account_name, triage_status, verdict from findings")
    return {row[0]: (row[1], row[2]) for row in rows}


# ---- the file ----


def test_entry_says_who_where_and_when(path: Path) -> None:
    """The account and machine come from the operating system; ids are OCSF's."""
    triage.append(path, ID, Said("in_progress", "suspicious", "asked ana"), NEW, NOW)

    [line] = path.read_text().splitlines()
    assert json.loads(line) == {
        "finding_id": ID,
        "at": "2026-03-10T04:00:00Z",
        "actor": pwd.getpwuid(os.getuid()).pw_name,
        "host": socket.gethostname(),
        "status": "in_progress",
        "status_id": 2,
        "verdict": "suspicious",
        "verdict_id": 4,
        "note": "asked ana",
    }


def test_who_cannot_be_changed_by_the_environment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LOGNAME and USER say what anybody wants."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")

    assert triage.append(path, ID, Said("new"), NEW, NOW).actor != "somebody-else"


@pytest.mark.parametrize(
    ("said", "before", "after"),
    [
        (Said(verdict="benign"), NEW, ("resolved", "benign")),
        (Said("in_progress", "suspicious"), NEW, ("in_progress", "suspicious")),
        (Said("resolved"), ("in_progress", "suspicious"), ("resolved", "suspicious")),
        (Said("archived"), ("resolved", "benign"), ("archived", "benign")),
        (Said("in_progress"), ("resolved", "benign"), ("in_progress", None)),
        (Said("new"), ("resolved", "benign"), ("new", None)),
        (Said(note="x"), ("in_progress", None), ("in_progress", None)),
        (Said(note="x"), ("resolved", "benign"), ("resolved", "benign")),
        (Said("In-Progress", "False positive"), NEW, ("in_progress", "false_positive")),
    ],
)
def test_state_after_an_entry(
    path: Path, said: Said, before: tuple[str, str | None], after: tuple[str, str | None]
) -> None:
    """A verdict alone resolves, opening again forgets the verdict, a note changes nothing."""
    entry = triage.append(path, ID, said, before, NOW)

    assert (entry.status, entry.verdict) == after


def test_state_in_the_file_is_newer_than_the_published_one(path: Path) -> None:
    """A note after a verdict keeps the verdict, though nothing was published between."""
    triage.append(path, ID, Said(verdict="benign"), NEW, NOW)
    triage.append(path, OTHER, Said(verdict="test"), NEW, NOW)

    entry = triage.append(path, ID, Said(note="as ana says"), NEW, NOW)

    assert (entry.status, entry.verdict) == ("resolved", "benign")


@pytest.mark.parametrize("verdict", triage.VERDICTS)
@pytest.mark.parametrize("status", triage.STATUSES)
def test_every_status_and_verdict_reads_back(path: Path, status: str, verdict: str) -> None:
    """What is written is what is read."""
    entry = triage.append(path, ID, Said(status, verdict), NEW, NOW)

    assert triage.read(path) == ([entry], [])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (Said("rezolved"), "did you mean resolved?"),
        (Said("suppressed"), "unknown status"),
        (Said(verdict="false_postive"), "did you mean false_positive?"),
        (Said(), "nothing to record"),
        (Said("", "", ""), "nothing to record"),
    ],
)
def test_what_is_no_status_or_verdict_writes_nothing(path: Path, said: Said, message: str) -> None:
    """The message names the nearest word that is one."""
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        triage.append(path, ID, said, NEW, NOW)

    assert not path.exists() or path.read_text() == ""


def test_clock_that_goes_back_keeps_the_order(path: Path) -> None:
    """The newest line stays the newest."""
    triage.append(path, ID, Said("in_progress"), NEW, NOW)
    triage.append(path, ID, Said(verdict="benign"), NEW, NOW - DAY)

    entries, _ = triage.read(path)
    assert [one.status for one in entries] == ["in_progress", "resolved"]
    assert entries[1].said_at == NOW + timedelta(microseconds=1)


@pytest.mark.parametrize("broken", ['{"finding_id": "0d7f', "[]", "null", "7", '{"status": "new"}'])
def test_line_that_was_cut_short_costs_no_other(path: Path, broken: str) -> None:
    """A full disk leaves half a line; what follows begins a line of its own and both stay apart."""
    first = triage.append(path, ID, Said("in_progress"), NEW, NOW)
    with path.open("a") as file:
        file.write(broken)

    second = triage.append(path, OTHER, Said(verdict="benign"), NEW, NOW)

    entries, problems = triage.read(path)
    assert entries == [first, second]
    assert problems == ["triage.jsonl: line 2: cannot be read: remove it"]


def say(path: Path, finding_id: str, times: int) -> Fork:
    return Fork(elsewhere.say, path, finding_id, times)


def test_people_who_speak_at_once_all_are_heard(path: Path) -> None:
    """Three processes write twenty entries each: sixty whole lines, each one's in order."""
    people = [say(path, f"{n}{ID[1:]}", 20) for n in range(3)]
    assert [one.wait(kit.HUNG_S) for one in people] == [0, 0, 0]

    entries, problems = triage.read(path)
    assert problems == []
    assert sorted(entries, key=lambda entry: entry.said_at) == entries
    for n in range(3):
        notes = [one.note for one in entries if one.finding_id == f"{n}{ID[1:]}"]
        assert notes == [str(turn) for turn in range(20)]


def test_kill_loses_nothing_that_was_reported(path: Path) -> None:
    """kill -9 while writing: every entry that the command returned from is there."""
    child = say(path, ID, 10_000)
    reported = [child.connection.recv() for _ in range(20)]
    child.kill()
    with suppress(EOFError):
        while True:
            reported.append(child.connection.recv())

    entries, problems = triage.read(path)
    assert len(problems) <= 1
    assert [one.note for one in entries][: len(reported)] == list(map(str, reported))
    assert 20 <= len(reported) < 10_000


# ---- with a project ----


def test_what_is_said_is_read_at_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """findings, show, sql and the views know it although nothing was published since."""
    assert gundog(root, "triage", finding_of(root, "a")[:8], "--verdict", "benign") == 0
    assert "is resolved, benign: a opened" in capsys.readouterr().out

    gundog(root, "findings", "--json")
    assert [row["account_name"] for row in json.loads(capsys.readouterr().out)] == ["b"]
    gundog(root, "findings", "--json", "--all")
    rows = {row["account_name"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["a"]["triage_status"], rows["a"]["verdict"]) == ("resolved", "benign")
    for sql in ("select account_name from open_findings",
                "select account_name from findings where verdict is null"):  # fmt: skip
        gundog(root, "sql", sql, "--format", "csv")
        assert capsys.readouterr().out == "account_name\nb\n"
    gundog(root, "sql", "select verdict_id, status_id from triage", "--format", "csv")
    assert capsys.readouterr().out == "verdict_id,status_id\n5,4\n"
    gundog(root, "show", finding_of(root, "a"))
    assert "benign" in capsys.readouterr().out
    assert states(root) == {"a": NEW, "b": NEW}


def test_next_run_publishes_what_was_said(root: Path) -> None:
    """Readers of the file itself see it after the next run, in findings and in triage."""
    gundog(root, "triage", finding_of(root, "a"), "--verdict", "benign", "--note", "asked")
    hunt(root, RANGE)

    assert states(root) == {"a": ("resolved", "benign"), "b": NEW}
    assert table(root, "select note from triage") == [("asked",)]
    hunt(root, RANGE)
    assert table(root, "select count(*) from triage") == [(1,)]


@pytest.mark.slow
def test_triage_survives_another_hunt_of_the_same(root: Path) -> None:
    """Again, with a late file, with a changed rule: the finding keeps what was said of it."""
    gundog(root, "triage", finding_of(root, "a"), "--status", "in_progress")
    hunt(root, RANGE, again=True)
    late = [kit.event("2026-03-08T10:30", "close", "a", 9)]
    kit.write_file(root, "2026-03-08", late, "late")
    hunt(root, RANGE)
    assert table(root, "select count(*) from finding_changes where change = 'changed'") == [(1,)]
    assert states(root)["a"] == ("in_progress", None)

    pair = root / "detections/pair.yaml"
    pair.write_text(pair.read_text().replace("within: 1d", "within: 23h"))
    hunt(root, RANGE)

    assert states(root)["a"] == ("in_progress", None)


@pytest.mark.slow
def test_triage_survives_withdrawal(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A finding that goes and comes back is as it was left."""
    finding = finding_of(root, "a")
    gundog(root, "triage", finding, "--verdict", "false_positive")
    path = root / "lake/date=2026-03-08/a.parquet"
    kept = path.read_bytes()
    kit.write_file(root, "2026-03-08", [], "a")
    hunt(root, RANGE)
    assert "a" not in states(root)

    assert gundog(root, "triage", finding, "--note", "still gone") == 0
    path.write_bytes(kept)
    hunt(root, RANGE)

    assert states(root)["a"] == ("resolved", "false_positive")


def test_lost_file_loses_nothing_that_was_published(root: Path) -> None:
    """The warehouse keeps what it has copied."""
    gundog(root, "triage", finding_of(root, "a"), "--verdict", "benign")
    hunt(root, RANGE)
    (root / ".gundog/triage.jsonl").unlink()
    gundog(root, "triage", finding_of(root, "b"), "--verdict", "test")
    hunt(root, RANGE)

    assert states(root) == {"a": ("resolved", "benign"), "b": ("resolved", "test")}


def test_triage_does_not_wait_for_a_run(root: Path) -> None:
    """It is written and read while another process holds the warehouse."""
    holder = Fork(elsewhere.hold_open, root / ".gundog/warehouse.duckdb")
    try:
        assert holder.connection.recv() == "held"

        assert gundog(root, "triage", finding_of(root, "a"), "--verdict", "benign") == 0
    finally:
        holder.connection.close()
        holder.wait(kit.HUNG_S)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("zzzz", "--status", "new"), "no finding has this id"),
        (("", "--status", "new"), "give more characters"),
        (("{a}", "--status", "done"), "unknown status"),
        (("{a}", "--verdict", "fine"), "unknown verdict"),
        (("{a}",), "nothing to record"),
    ],
)
def test_bad_triage_exits_2(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """Nothing is written, and the message says what to give instead."""
    finding = finding_of(root, "a")

    assert gundog(root, "triage", *(one.replace("{a}", finding) for one in arguments)) == 2

    assert message in capsys.readouterr().err
    assert triage.read(root / ".gundog/triage.jsonl") == ([], [])


def test_unreadable_line_is_a_problem_of_status(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be read is named, and stops nothing."""
    kit.write_text(root / ".gundog/triage.jsonl", "nonsense\n")

    assert gundog(root, "status") == 1
    assert "triage.jsonl: line 1" in capsys.readouterr().out
    assert gundog(root, "findings") == 0
    assert hunt(root, RANGE).exit_status == 0


def test_hostile_note_is_only_shown(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A note is text like any other."""
    note = "\x1b[31m[bold]x\u202e"
    gundog(root, "triage", finding_of(root, "a"), "--note", note)
    gundog(root, "show", finding_of(root, "a"))

    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"\x1b[31m[bold]x\u202e" in out


# ---- lines that cannot be used ----

GOOD: dict[str, object] = {
    "finding_id": ID,
    "at": "2026-03-10T04:00:00Z",
    "actor": "ana",
    "host": "srv",
    "status": "resolved",
    "status_id": 4,
    "verdict": "benign",
    "verdict_id": 5,
    "note": "caf\u00e9",
}


def with_value(**values: object) -> bytes:
    """A good line with other values, as JSON."""
    return json.dumps({**GOOD, **values}).encode()


BAD = {
    "latin-1": b'{"note": "caf\xe9"}',
    "no JSON": b"{",
    "a number": b"7",
    "a list": b"[1, 2]",
    "nothing": b"null",
    "keys missing": b'{"finding_id": "x"}',
    "nested": b"[" * 10_000,
    "nested deeper": b"[" * 500_000,
    "closed nesting": b"[" * 10_000 + b"]" * 10_000,
    "huge number": b'{"at": ' + b"9" * 10_000 + b"}",
    "too long": json.dumps({**GOOD, "note": "x" * 2_000_000}).encode(),
    "id a number": with_value(finding_id=7),
    "id no uuid": with_value(finding_id="no uuid"),
    "id a surrogate": with_value(finding_id="\udcff"),
    "id null": with_value(finding_id=None),
    "at a number": with_value(at=1.5),
    "at no time": with_value(at="yesterday"),
    "at naive": with_value(at="2026-03-10T04:00:00"),
    "at a day": with_value(at="2026-03-10"),
    "at too early": with_value(at="0001-01-01T00:00:00Z"),
    "at before the first year": with_value(at="0001-01-01T00:00:00+14:00"),
    "at too late": with_value(at="9999-12-31T23:59:59.999999Z"),
    "at null": with_value(at=None),
    "actor null": with_value(actor=None),
    "actor a list": with_value(actor=["a"]),
    "host a surrogate": with_value(host="\ud800"),
    "status unknown": with_value(status="done"),
    "status a list": with_value(status=["new"]),
    "status null": with_value(status=None),
    "verdict unknown": with_value(verdict="fine"),
    "verdict a mapping": with_value(verdict={"a": 1}),
    "note a number": with_value(note=7),
    "note a surrogate": with_value(note="\ud800"),
    "note with NUL": with_value(note="a\0b"),
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD.keys())
def test_line_that_cannot_be_used_is_named_and_costs_no_other(path: Path, line: bytes) -> None:
    """The lines around it are read, and the next one said stands on a line of its own."""
    triage.append(path, ID, Said("new"), NEW, NOW)
    with path.open("ab") as file:
        file.write(line)
    triage.append(path, OTHER, Said(verdict="benign"), NEW, NOW)

    entries, problems = triage.read(path)

    assert [one.finding_id for one in entries] == [ID, OTHER]
    assert problems == ["triage.jsonl: line 2: cannot be read: remove it"]


def test_good_line_of_the_bad_ones_is_read(path: Path) -> None:
    """So that each of them is bad for one reason only; also behind a mark of byte order."""
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xef\xbb\xbf" + with_value() + b"\r\n")

    [entry], problems = triage.read(path)

    assert (entry.note, problems) == ("caf\u00e9", [])


def test_same_line_again_is_named(path: Path) -> None:
    """Two machines whose files were joined say some lines twice."""
    path.parent.mkdir(parents=True)
    path.write_bytes(with_value() + b"\n" + with_value(note="other") + b"\n")

    entries, problems = triage.read(path)

    assert [one.note for one in entries] == ["caf\u00e9"]
    assert problems == ["triage.jsonl: line 2: repeats line 1: remove it"]


def test_many_bad_lines_are_counted(path: Path) -> None:
    """A file of something else fills no screen."""
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x\n" * 1000)

    assert triage.read(path)[1][-1] == "triage.jsonl: 980 more lines cannot be used"
    assert len(triage.read(path)[1]) == 21


def test_folder_in_its_place_is_named(path: Path) -> None:
    """Readers go on without what was said; saying more is refused in a sentence."""
    path.mkdir(parents=True)

    entries, [problem] = triage.read(path)

    assert (entries, "cannot be read" in problem) == ([], True)
    with pytest.raises(StoreError, match="cannot be written"):
        triage.append(path, ID, Said("new"), NEW, NOW)


@pytest.mark.parametrize("note", ["\udce9", "a\0b", "x" * 1_000_001])
def test_note_that_could_not_be_read_back_is_refused(path: Path, note: str) -> None:
    """Before anything is written."""
    with pytest.raises(InputError, match="--note"):
        triage.append(path, ID, Said(note=note), NEW, NOW)

    assert not path.exists()


def test_bad_lines_stop_no_command_and_no_night(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status names each of them; all others skip them."""
    finding = finding_of(root, "a")
    assert gundog(root, "triage", finding, "--note", "a note that counts") == 0
    bad = [BAD[name] for name in ("latin-1", "id a number", "id a surrogate", "nested deeper",
                                  "at too late")]  # fmt: skip
    good = with_value(finding_id=finding, at="2199-01-01T00:00:00Z")
    with (root / ".gundog/triage.jsonl").open("ab") as file:
        file.write(b"\n".join([*bad, good]))

    assert gundog(root, "findings", "--all") == 0
    assert gundog(root, "show", finding) == 0
    assert gundog(root, "sql", "select count(*) from triage") == 0
    assert gundog(root, "triage", finding, "--note", "again") == 0
    assert gundog(root, "purge", "--account", "nobody") == 0
    assert hunt(root, RANGE).exit_status == 0
    capsys.readouterr()
    assert gundog(root, "status") == 1
    told = capsys.readouterr().out
    assert [n for n in range(1, 9) if f"triage.jsonl: line {n}:" in told] == [2, 3, 4, 5, 6]
    newest = table(root, """select note from triage order by said_at desc limit 1""")
    assert newest == [("again",)]


def test_full_disk_keeps_the_file_as_it_was(path: Path) -> None:
    """Half a line would be a problem of status for ever."""
    triage.append(path, ID, Said(note="first"), NEW, NOW)
    before = path.read_bytes()
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, most[1]))
    try:
        with pytest.raises(StoreError) as told:
            triage.append(path, OTHER, Said(note="x"), NEW, NOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)

    assert "cannot be written" in str(told.value)
    assert "nothing was changed" in str(told.value)
    assert path.read_bytes() == before


def test_an_account_without_a_name_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container the account may have a number only, and the environment could say anything."""
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    monkeypatch.setenv("LOGNAME", "somebody")

    assert triage.actor() == f"uid {os.getuid()}"
