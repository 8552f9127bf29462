"""Tests of the command line: exit statuses, prefixes, formats, and what each command says."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from gundog.cli import common, main
from gundog.detections import content_folder
from tests import elsewhere, kit
from tests.forks import Fork

RANGE = ("--from", "2026-03-07", "--to", "2026-03-09")
ONE_DAY = ("--from", "2026-03-08", "--to", "2026-03-08")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with nine days and one pair."""
    return make(tmp_path)


def make(root: Path) -> Path:
    kit.make_project(root)
    kit.fill_days(root, "2026-03-01", 9)
    rows = [kit.event("2026-03-08T10:00", "open", number=1)]
    rows.append(kit.event("2026-03-08T11:00", "close", number=2))
    kit.write_file(root, "2026-03-08", rows)
    return root


def gundog(root: Path, *arguments: str) -> int:
    """Runs one command in a project; returns its exit status."""
    return main.main([*arguments, "--project", str(root)])


@pytest.fixture(scope="module")
def printed() -> dict[str, str]:
    """What the hunt of `hunted_once` wrote."""
    return {}


@pytest.fixture(scope="module")
def hunted_once(tmp_path_factory: pytest.TempPathFactory, printed: dict[str, str]) -> Path:
    """The project after a hunt; not to be changed."""
    root = make(tmp_path_factory.mktemp("hunted"))
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        assert gundog(root, "hunt", *RANGE) == 0
    printed |= {"out": out.getvalue(), "err": err.getvalue()}
    return root


@pytest.fixture
def hunted(hunted_once: Path, tmp_path: Path) -> Path:
    """The project after a hunt."""
    return kit.copy_project(hunted_once, tmp_path)


@pytest.mark.usefixtures("hunted_once")
def test_hunt_prints_its_findings_and_where_they_are(printed: dict[str, str]) -> None:
    """The exact half-open range, a table, a sum and the file."""
    out, err = printed["out"], printed["err"]
    assert "hunt [2026-03-07T00:00:00Z, 2026-03-10T00:00:00Z)" in err
    assert "a opened and closed after 1h" in out
    assert "3 intervals hunted" in out
    assert "1 new" in out
    assert "findings.duckdb" in out


def test_findings_lists_the_open_ones_newest_first(
    hunted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a table, or as JSON that a program reads."""
    assert gundog(hunted, "findings") == 0
    assert "opened and closed" in capsys.readouterr().out

    assert gundog(hunted, "findings", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["account_name"] for row in rows] == ["a"]
    assert rows[0]["start_time"] == "2026-03-08T10:00:00Z"
    assert rows[0]["details"]["gap"] == "1h"


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("--since", "2026-03-09"), 0),
        (("--since", "2026-03-08"), 1),
        (("--severity", "high"), 0),
        (("--severity", "low", "--all"), 1),
    ],
)
def test_findings_filters(
    hunted: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], count: int
) -> None:
    """By time and by severity and above; no rows is not a failure."""
    assert gundog(hunted, "findings", "--json", *arguments) == 0

    assert len(json.loads(capsys.readouterr().out)) == count


def test_show_tells_the_whole_story(hunted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Entity, evidence, triage steps and how long it may still change, by a prefix of the id."""
    [(finding_id,)] = kit.table(hunted, "select finding_id::varchar from findings")

    assert gundog(hunted, "show", finding_id[:6]) == 0

    out = capsys.readouterr().out
    for text in (
        "a opened and closed after 1h",
        "MEDIUM",
        "open",
        "close",
        "look at it",
        "lake/date=",
    ):
        assert text in out


def test_show_of_an_unknown_or_ambiguous_prefix_is_wrong_input(
    hunted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 and what to give instead."""
    assert gundog(hunted, "show", "zzzz") == 2
    assert "no finding has this id" in capsys.readouterr().err

    rows = [kit.event("2026-03-08T10:00", "open", number=n) for n in range(20)]
    rows += [kit.event("2026-03-08T11:00", "close", number=99)]
    kit.write_file(hunted, "2026-03-08", rows, "many")
    assert gundog(hunted, "hunt", *ONE_DAY) == 0
    assert gundog(hunted, "show", "") == 2
    assert "give more characters" in capsys.readouterr().err


def test_sql_reads_in_three_formats(hunted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table for people, CSV and JSON for programs."""
    sql = "select account_name, severity from findings"

    assert gundog(hunted, "sql", sql, "--format", "csv") == 0
    assert capsys.readouterr().out == "account_name,severity\na,medium\n"
    assert gundog(hunted, "sql", sql, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == [{"account_name": "a", "severity": "medium"}]
    assert gundog(hunted, "sql", sql) == 0
    assert "1 row\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "sql",
    [
        "delete from findings",
        "select 1; select 2",
        "copy findings to 'x.csv'",
        "attach 'x.db'",
        "nonsense",
    ],
)
def test_sql_that_does_more_than_read_is_wrong_input(
    hunted: Path, capsys: pytest.CaptureFixture[str], sql: str
) -> None:
    """Exit 2, nothing written, and what to give instead."""
    assert gundog(hunted, "sql", sql) == 2

    assert capsys.readouterr().err
    assert kit.table(hunted, "select count(*) from findings") == [(1,)]


def test_sql_wants_exactly_one_statement(hunted: Path) -> None:
    """A statement, a file or standard input."""
    assert gundog(hunted, "sql") == 2
    assert gundog(hunted, "sql", "-f", str(hunted / "none.sql")) == 2
    kit.write_text(hunted / "one.sql", "select 1")
    assert gundog(hunted, "sql", "-f", str(hunted / "one.sql")) == 0


def test_status_is_ok_after_a_clean_hunt(hunted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first line says it all; exit 0."""
    assert gundog(hunted, "status") == 0

    out = capsys.readouterr().out
    assert out.splitlines()[0] == "OK"
    assert "pair" in out
    assert "Things" in out


@pytest.mark.slow
def test_hunt_without_a_lake_path_is_said_not_to_run(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A source that is not in the lake is a choice: exit 0, said by hunt and by status."""
    kit.write_text(root / "gundog.yaml", kit.CONFIG.replace("[.]", "[builtin, .]"))

    assert gundog(root, "hunt", *ONE_DAY) == 0
    assert "throttled_mailbox: not run: gundog.yaml has no lake.CloudAppEvents" in (
        capsys.readouterr().out
    )
    assert gundog(root, "status") == 0
    assert "does not run: gundog.yaml" in capsys.readouterr().out


def test_status_counts_problems_and_exits_1(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A day without data, a hole and a bad file each are a problem with a name."""
    kit.write_text(root / "lake/date=2026-03-07/bad.parquet", "x")
    gundog(root, "hunt", "--from", "2026-02-28", "--to", "2026-02-28")
    gundog(root, "hunt", "--from", "2026-03-07", "--to", "2026-03-07")
    capsys.readouterr()

    assert gundog(root, "status") == 1

    out = capsys.readouterr().out
    assert out.splitlines()[0] == "3 PROBLEMS"
    assert "bad.parquet: rejected" in out
    assert "Things: no file on 2026-02-28: pair could not hunt" in out
    assert "pair: never hunted from 2026-03-01 to 2026-03-06 (6 intervals): gundog backfill" in out


def test_status_before_the_first_hunt_says_what_to_do(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing hunted yet is a problem, not a quiet night."""
    assert gundog(root, "status") == 1
    assert "run `gundog hunt`" in capsys.readouterr().out
    assert gundog(root, "findings") == 2
    assert "run `gundog hunt`" in capsys.readouterr().err


def test_check_and_test_pass_on_good_content(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both say how much they looked at."""
    assert gundog(root, "check") == 0
    assert gundog(root, "test") == 0
    assert "2 examples, 0 failed" in capsys.readouterr().out


def test_check_and_test_exit_2_with_every_problem(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Problems are printed as path, key and what to do."""
    path = root / "detections/pair.yaml"
    path.write_text(path.read_text().replace("severity: medium", "severity: hihg"))

    assert gundog(root, "check") == 2
    assert "detections/pair.yaml: severity: unknown value" in capsys.readouterr().err
    assert gundog(root, "test") == 2


def test_failing_example_says_what_came_instead(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The nearest finding shows the difference."""
    path = root / "detections/pair.yaml"
    path.write_text(path.read_text().replace("gap: 1h}", "gap: 2h}"))

    assert gundog(root, "test", "pair") == 2
    assert '"gap":"1h"' in capsys.readouterr().err


def test_check_lake_describes_each_source(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Newest file and event, missing columns; a path that matches nothing is a problem."""
    path = kit.write_file(root, "2026-03-09", [kit.event("2026-03-09T23:30", "open")], "z")
    pq.write_table(pq.read_table(path).drop_columns("Who"), path)

    assert gundog(root, "check", "--lake") == 0

    out = capsys.readouterr().out
    assert "Things: 11 files" in out
    assert "newest event: 2026-03-09 23:30" in out
    assert "lacks (read as null): Who" in out

    (root / "gundog.yaml").write_text(kit.CONFIG.replace("lake/date", "lage/date"))
    assert gundog(root, "check", "--lake") == 1
    assert "lage" in capsys.readouterr().out


def test_lake_path_that_matches_nothing_exits_1_and_names_what_is_there(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the path, and the day has no data."""
    (root / "gundog.yaml").write_text(kit.CONFIG.replace("lake/date", "lage/date"))

    assert gundog(root, "hunt", *RANGE) == 1

    out = capsys.readouterr().out
    assert "lage" in out
    assert "no data" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hunt", "--from", "2026-03-07"), "--from and --to go together"),
        (("hunt", "--from", "yesterday", "--to", "2026-03-07"), "'yesterday' is not a time"),
        (("hunt", "--from", "2026-03-09", "--to", "2026-03-07"), "empty range"),
        (("hunt", "--from", "2026-03-07T05:00", "--to", "2026-03-08"), "is not on the grid of 1d"),
        (("hunt", "--detection", "piar"), "did you mean pair?"),
        (("hunt", "--from", "2099-01-01", "--to", "2099-01-02"), "is in the future"),
        (("hunt", "--wait", "long"), "'long' is not a duration"),
        (("new", "match", "Bad-Name"), "lower case letters"),
    ],
)  # fmt: skip
def test_wrong_input_exits_2_and_does_nothing(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """Each says what is wrong and how to write it."""
    assert gundog(root, *arguments) == 2

    assert message in capsys.readouterr().err
    assert not (root / ".gundog/findings.duckdb").exists()


def test_broken_config_exits_2(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """gundog.yaml that is wrong stops everything, with all of its problems."""
    kit.write_text(root / "gundog.yaml", "lak: {}\nfreshness: soon\n")

    assert gundog(root, "hunt") == 2

    err = capsys.readouterr().err
    assert "did you mean lake?" in err
    assert "freshness" in err
    assert main.main(["hunt", "--project", str(root / "nowhere")]) == 2


def test_broken_detection_exits_1_and_is_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One broken YAML never stops the night."""
    kit.write_text(root / "detections/typo.yaml", "nmae: x\n")

    assert gundog(root, "hunt", *ONE_DAY) == 1

    out = capsys.readouterr().out
    assert "detections/typo.yaml: nmae: unknown key" in out
    assert "1 interval hunted" in out


def test_backfill_plan_does_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--plan` says intervals, files and bytes."""
    assert gundog(root, "backfill", *RANGE, "--plan") == 0

    assert "pair: 3 of 3 intervals to hunt" in capsys.readouterr().out
    assert not (root / ".gundog/findings.duckdb").exists()


def test_backfill_marks_its_findings(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Origin tells history from a night; a sum of one is said as people say it."""
    assert gundog(root, "backfill", "--from", "2026-03-08", "--to", "2026-03-08") == 0

    assert "1 interval hunted, 0 hunted before and unchanged;" in capsys.readouterr().out
    assert kit.table(root, "select origin from findings") == [("backfill",)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["series", "match"])
def test_new_detection_passes_its_own_examples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """`init`, then `new`, then `test`: green before anything was edited."""
    assert main.main(["init", str(tmp_path / "mine")]) == 0
    assert gundog(tmp_path / "mine", "new", kind, "first_one") == 0
    assert gundog(tmp_path / "mine", "check") == 0
    assert gundog(tmp_path / "mine", "test", "first_one") == 0

    assert "2 examples, 0 failed" in capsys.readouterr().out
    assert gundog(tmp_path / "mine", "new", kind, "first_one") == 2
    assert main.main(["init", str(tmp_path / "mine")]) == 2


def test_files_of_a_name_are_shown_by_their_paths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To copy a shipped staged table one need not know where gundog is installed."""
    root = kit.make_project(tmp_path)
    kit.write_text(root / "gundog.yaml", kit.CONFIG.replace("[.]", "[builtin, .]"))
    kit.write_text(root / "sql/stage/mail_access.sql", "broken, and still found")
    shipped = content_folder.builtin()

    assert gundog(root, "check", "--where", "mail_access") == 0
    assert capsys.readouterr().out.splitlines() == [
        str(shipped / "sql/stage/mail_access.sql"),
        str(root / "sql/stage/mail_access.sql"),
    ]
    assert gundog(root, "check", "--where", "pair") == 0
    assert capsys.readouterr().out.splitlines() == [
        str(root / "detections/pair.yaml"),
        str(root / "sql/pair.sql"),
    ]
    assert gundog(root, "check", "--where", "mail_acess") == 2
    said = capsys.readouterr().err
    assert said == "--where mail_acess: unknown file: did you mean mail_access?\n"


def test_text_from_events_is_only_shown(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences and markup in an account's name reach the terminal as text."""
    who = "\x1b[31m[bold]evil[/bold]\u202e"
    rows = [kit.event("2026-03-08T10:00", "open", who, 51)]
    rows.append(kit.event("2026-03-08T11:00", "close", who, 52))
    kit.write_file(root, "2026-03-08", rows, "evil")

    assert gundog(root, "hunt", *ONE_DAY) == 0
    assert gundog(root, "findings", "--json") == 0

    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert r"\x1b[31m[bold]evil[/bold]\u202e" in out


def test_help_answers_without_importing_anything_heavy() -> None:
    """No engine, no array library, no scheduler for --help."""
    code = (
        "import sys; from gundog.cli import main\n"
        "try: main.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'duckdb', 'pyarrow', 'numpy', 'prefect', 'rich', 'yaml', 'statsforecast'}\n"
        "sys.exit(bool(heavy & sys.modules.keys()))"
    )
    environ = {**os.environ, "COLUMNS": "100"}

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)

    assert done.returncode == 0, done.stderr
    assert "backfill" in done.stdout


def test_hunt_while_another_run_holds_the_warehouse_exits_3(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After `--wait`, the message names the process that holds it."""
    holder = Fork(elsewhere.hold, root / ".gundog/warehouse.duckdb")
    try:
        assert holder.connection.recv() == "held"
        assert gundog(root, "hunt", *RANGE, "--wait", "100ms") == 3
        assert f"process {holder.pid}" in capsys.readouterr().err
    finally:
        holder.connection.close()
        holder.wait(kit.HUNG_S)


LAKE = "'${LAKE_ROOT}/date=%Y-%m-%d/*.parquet'"
SECRETS = """
notify: [{name: soc, url: "${SOC_WEBHOOK}"}, {name: two, url: "${SOC_WEBHOOK}"}]
heartbeat: "${DEADMAN_URL}"
"""


def test_commands_need_only_the_secrets_that_they_use(
    hunted: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads, triages or plans has no webhook and no key of the lake."""
    for name in ("SOC_WEBHOOK", "DEADMAN_URL", "LAKE_ROOT"):
        monkeypatch.delenv(name, raising=False)
    local = kit.CONFIG.replace("lake/date=%Y-%m-%d/*.parquet", LAKE)
    kit.write_text(hunted / "gundog.yaml", local + SECRETS)
    [(key,)] = kit.table(hunted, "select finding_id::varchar from findings")
    days = ["--from", "2026-03-01", "--to", "2026-03-02"]

    known = ["--on", "account_name", "--days", "9999", "--reason", "x"]
    for command in (
        ["findings"], ["status"], ["show", key], ["sql", "from findings"], ["test"],
        ["triage", key, "--note", "x"], ["except", key, *known],
        ["acknowledge", "Things", *days, "--reason", "x"], ["purge", "--account", "nobody"],
    ):  # fmt: skip
        assert gundog(hunted, *command) == 0, (command, capsys.readouterr())
    capsys.readouterr()
    for command, wanted in (
        (["hunt"], {"SOC_WEBHOOK", "DEADMAN_URL", "LAKE_ROOT"}),
        (["check"], {"SOC_WEBHOOK", "DEADMAN_URL", "LAKE_ROOT"}),
        (["backfill", *days, "--plan"], {"LAKE_ROOT"}),
        (["notify", "--test", "--channel", "two"], {"SOC_WEBHOOK"}),
    ):
        assert gundog(hunted, *command) == 2
        lines = capsys.readouterr().err.splitlines()
        assert {line.split("{")[1].split("}")[0] for line in lines[:-1]} == wanted
        assert len(lines) == len(wanted) + 1


def test_a_plan_needs_the_lake_and_no_webhook(
    hunted: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lake is listed, nothing is sent."""
    monkeypatch.setenv("LAKE_ROOT", "lake")
    local = kit.CONFIG.replace("lake/date=%Y-%m-%d/*.parquet", LAKE)
    kit.write_text(hunted / "gundog.yaml", local + SECRETS)

    assert gundog(hunted, "backfill", "--from", "2026-03-02", "--to", "2026-03-02", "--plan") == 0
    assert "pair: 1 of 1 interval to hunt\nThings: 4 files to stage" in capsys.readouterr().out


@pytest.mark.usefixtures("retries_at_once")
def test_check_names_a_chat_that_would_show_nothing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 with the spelling; a night is hunted as before."""
    address = "http://127.0.0.1:9/workflows/abc/triggers/manual/paths/invoke?sig=s3cret"
    kit.write_text(root / "gundog.yaml", kit.CONFIG + f"notify: [{{name: t, url: '{address}'}}]\n")

    assert gundog(root, "check") == 2
    said = capsys.readouterr().err
    assert said.startswith("gundog.yaml: notify.0.url: is an address of Teams, which shows nothing")
    assert "write msteams:// in place of https://" in said
    assert "s3cret" not in said
    assert gundog(root, "hunt", *ONE_DAY) == 1  # nobody listens there
    assert len(kit.table(root, "from findings")) == 1


@pytest.mark.parametrize(
    ("sql", "candidate"),
    [
        ("select titel from findings", '"title"'),
        ("select f.titel from findings as f", '"title"'),
        ("select f.severty from findings as f join evidence as e using (finding_id)", '"severity"'),
        ("from finding", '"findings"'),
        ("select lenght(title) from findings", '"length"'),
    ],
)
def test_a_misspelt_name_keeps_its_candidate(
    hunted: Path, capsys: pytest.CaptureFixture[str], sql: str, candidate: str
) -> None:
    """DuckDB knows what was meant."""
    assert gundog(hunted, "sql", sql) == 2
    assert candidate in capsys.readouterr().err


def test_what_was_hunted_before_is_told_apart(
    hunted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From what this run hunted."""
    assert gundog(hunted, "hunt", "--from", "2026-03-08", "--to", "2026-03-08") == 0
    assert "0 intervals hunted, 1 hunted before and unchanged;" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "x/f"), "x/f: this account may not reach it"),
        (OSError(28, "No space left on device", "x/f"), "x/f: cannot be written (No space left"),
        (OSError(27, "File too large"), "a file: cannot be written (File too large)"),
    ],
)
def test_what_the_machine_refuses_is_a_sentence(
    root: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: OSError,
    said: str,
) -> None:
    """Wherever in a command it happens; other errors are faults of gundog and stay to be seen."""

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(common, "settings", refuse)
    assert gundog(root, "findings") == 1
    assert said in capsys.readouterr().err
    monkeypatch.setattr(common, "settings", lambda *_: (_ for _ in ()).throw(OSError(5, "other")))
    with pytest.raises(OSError, match="other"):
        gundog(root, "findings")
