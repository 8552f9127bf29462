"""Every hostile string, from a lake through a hunt, on everything that gundog prints."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gundog.cli import main
from gundog.findings import reader
from tests import draws, kit
from tests.hostile import HOSTILE, MARKDOWN, unseen
from tests.sinks import http_sink

# A parquet file holds no lone surrogate, and an empty account no pair.
STRINGS = {name: raw for name, raw in HOSTILE.items() if name not in ("lone surrogate", "empty")}
RANGE = ("--from", "2026-03-08", "--to", "2026-03-09")
SECRET = "s3cr3t"  # noqa: S105 - what the tests look for


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hunted project with a finding for every string."""
    made = kit.make_project(tmp_path_factory.mktemp("outlets"))
    kit.fill_days(made, "2026-03-07", 3)
    rows = []
    for number, raw in enumerate(STRINGS.values(), 100):
        rows.append(kit.event("2026-03-08T10:00", "open", raw, 2 * number))
        rows.append(kit.event("2026-03-08T11:00", "close", raw, 2 * number + 1))
    kit.write_file(made, "2026-03-08", rows, "hostile")
    assert main.main(["hunt", *RANGE, "--project", str(made)]) == 0
    return made


def gundog(root: Path, *arguments: str) -> int:
    return main.main([*arguments, "--project", str(root)])


def rows_of(root: Path) -> list[dict[str, Any]]:
    with reader.published(root / ".gundog/findings.duckdb") as con:
        return reader.select_findings(con, everything=True)


def test_every_string_became_a_finding(root: Path) -> None:
    """The raw values are all in findings.duckdb."""
    assert {row["account_name"] for row in rows_of(root)} == set(STRINGS.values())


COMMANDS = [
    ("findings",),
    ("status",),
    ("findings", "--json"),
    ("backfill", *RANGE, "--again"),
    ("hunt", *RANGE),
    ("sql", "from findings"),
    ("sql", "from findings", "--format", "csv"),
    ("sql", "from evidence", "--format", "csv"),
    ("sql", "from findings", "--format", "json"),
    ("sql", "from evidence"),
    ("sql", "select account_name as a, {'k': account_name} as b, [title] as c from findings"),
    ("sql", "from risk_by_entity"),
]


@pytest.mark.parametrize(
    "command",
    draws.spread((pytest.param(command) for command in COMMANDS), 2),
    ids=lambda command: " ".join(command)[:40],
)
def test_nothing_printed_acts(
    root: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    """Tables, JSON, CSV, summaries and progress have no character that does anything."""
    assert gundog(root, *command) == 0

    out, err = capsys.readouterr()
    assert unseen(out.replace("\r\n", "\n")) == []
    assert unseen(err) == []
    if "json" in "".join(command):
        assert out.isascii()
        assert len(json.loads(out)) == len(STRINGS)


def test_csv_has_no_formula_in_any_cell(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A spreadsheet opens the file and computes nothing; numbers stay numbers."""
    gundog(root, "sql", "select account_name, title, -1.5 as n from findings", "--format", "csv")

    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == len(STRINGS) + 1
    assert {row[2] for row in rows[1:]} == {"-1.5"}
    for row in rows[1:]:
        for cell in row[:2]:
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d")), cell


def test_errors_say_what_was_given_and_act_on_nothing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A finding, detection, column, statement or time that is hostile is quoted as text."""
    raw = f"{STRINGS['ansi colour']}{STRINGS['bidi override']}a\nb\r"
    finding = str(rows_of(root)[0]["finding_id"])
    for command in (
        ("show", raw),
        ("triage", raw, "--status", "new"),
        ("triage", finding, "--status", raw),
        ("except", finding, "--on", raw, "--days", "1", "--reason", "x"),
        ("hunt", "--detection", raw),
        ("findings", "--since", raw),
        ("sql", f"select {raw}"),
        ("sql", f"select '{raw}'::integer"),
        ("notify", "--test"),
    ):
        assert gundog(root, *command) in (1, 2)
        out, err = capsys.readouterr()
        assert unseen(out + err) == []
        assert err.strip()


@pytest.mark.parametrize("name", draws.spread([*STRINGS][::3], every=8))
def test_saying_and_excepting_act_on_nothing(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """What `triage` and `except` print of a hostile finding, note and reason is text."""
    row = next(row for row in rows_of(root) if row["account_name"] == STRINGS[name])
    if len(STRINGS[name]) > 1000 or not STRINGS[name].strip():
        return  # a page of the same letter, and a name that cannot be matched, add nothing here
    note = STRINGS[name].replace("\x00", "")
    finding = str(row["finding_id"])

    assert gundog(root, "triage", finding, "--status", "new", f"--note={note}") == 0
    assert gundog(root, "except", finding, "--on", "account_name", "--days", "1",
                  f"--reason={note.strip() or 'x'}") == 0  # fmt: skip
    assert gundog(root, "show", finding) == 0
    out, err = capsys.readouterr()
    assert unseen(out + err) == []
    (root / "exceptions.yaml").unlink()


def test_wrong_usage_is_quoted_as_text(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An argument that no command knows comes back with its escapes shown."""
    for command in (("nosuch\x1b[31m",), ("hunt", "\u202ex"), ("findings", "--severity", "\x07")):
        with pytest.raises(SystemExit) as ended:
            gundog(root, *command)
        assert ended.value.code == 2
        err = capsys.readouterr().err
        assert "usage: gundog" in err
        assert unseen(err) == []


def test_hostile_file_name_is_shown_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In progress, problems, status, and the message that tells of it."""
    root = kit.make_project(tmp_path)
    kit.fill_days(root, "2026-03-08", 2)
    for number, raw in enumerate(("\x1b[31mred", "user\u202etxt", "<b>x</b>", "a\nb")):
        kit.write_text(root / f"lake/date=2026-03-08/{number}{raw.replace('/', '')}.parquet", "x")

    assert gundog(root, "hunt", *RANGE) == 1
    assert gundog(root, "status") == 1
    out, err = capsys.readouterr()
    assert unseen(out + err) == []
    assert "\\x1b[31mred" in out


def flow_of(name: str, patch: pytest.MonkeyPatch) -> ModuleType:
    """A flow's module, from its file, which finds parts.py in its own folder."""
    patch.syspath_prepend("flows")
    spec = importlib.util.spec_from_file_location(name, Path("flows") / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Prefect looks its flows' types up there
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_prefects_artifact_is_a_table_of_plain_text(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Markdown makes one table of it, and nothing but text of any cell."""
    rows = rows_of(root)
    source = flow_of("nightly", monkeypatch).findings(rows)

    tokens = MARKDOWN.parse(source)
    kinds = {token.type.removesuffix("_open").removesuffix("_close") for token in tokens}
    assert kinds <= {"table", "thead", "tbody", "tr", "th", "td", "inline"}
    inner = {child.type for token in tokens for child in token.children or ()}
    assert inner <= {"text", "text_special"}
    assert sum(token.type == "tr_open" for token in tokens) == 1 + min(len(rows), 100)


@pytest.mark.usefixtures("retries_at_once")
def test_secret_of_a_channel_is_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not in a table, a file, an output or an error, whether it arrives or fails."""
    root = kit.make_project(tmp_path)
    kit.fill_days(root, "2026-03-08", 2)
    rows = [kit.event("2026-03-08T10:00", "open", "a", 1)]
    kit.write_file(root, "2026-03-08", [*rows, kit.event("2026-03-08T11:00", "close", "a", 2)])
    with http_sink() as sink:
        urls = (
            f"http://u:{SECRET}@127.0.0.1:{sink.port}/{SECRET}", f"https://127.0.0.1:9/{SECRET}",
            f"slack://127.0.0.1:{sink.port}/{SECRET}", f"splunk://{SECRET}@127.0.0.1:9",
            f"mailto://u:{SECRET}@127.0.0.1:9?to=a@example.com",
        )  # fmt: skip
        channels = ", ".join(f"{{name: c{n}, url: '{url}'}}" for n, url in enumerate(urls))
        kit.write_text(root / "gundog.yaml", kit.CONFIG + f"notify: [{channels}]\n")
        assert gundog(root, "hunt", *RANGE) == 1
        assert gundog(root, "notify", "--test") == 1
    gundog(root, "status")
    gundog(root, "sql", "from notifications", "--format", "json")

    out, err = capsys.readouterr()
    assert SECRET not in out + err
    assert out.count("refused the connection") >= 6
    for path in (root / ".gundog").rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path


FORGED = "x\n0 PROBLEMS\nPROBLEM  forged\n0bad0bad  2026-03-08 10:00  critical  forged"


def test_a_tenant_is_only_text_wherever_it_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tenants come from events: none acts, and none forges a line of a list or of the state."""
    root = kit.make_project(tmp_path)
    kit.fill_days(root, "2026-03-07", 4)
    names = ("ansi clear", "osc hyperlink", "bidi override", "newline", "rich markup")
    for turn, raw in enumerate([FORGED, *(STRINGS[name] for name in names)]):
        for day in ("2026-03-07", "2026-03-08") if turn % 2 else ("2026-03-07",):
            rows = [kit.event(f"{day}T1{n}:00", kind, raw, 10 * turn + n)
                    for n, kind in enumerate(("open", "close"))]  # fmt: skip
            kit.write_file(root, day, rows, f"tenant{turn}", tenant=raw)

    said = []
    for command in (
        ("hunt", "--from", "2026-03-07", "--to", "2026-03-08"),
        ("findings",),
        ("status",),
        ("show", "last"),
    ):
        words = [str(rows_of(root)[-1]["finding_id"]) if word == "last" else word
                 for word in command]  # fmt: skip
        assert gundog(root, *words) in (0, 1)
        said += capsys.readouterr()

    assert unseen("".join(said)) == []
    assert "forged" in said[0]
    lines = [line for out in said for line in out.splitlines()]
    assert [one for one in lines if one.startswith(("0 PROBLEMS", "PROBLEM  forged", "0bad"))] == []
