"""Which command lines are staged: exactly those that name a cmdlet once disguises are undone."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.detections import stage_sql
from gundog.detections.command_lines import normalise
from tests import kit

EXPORT = "New-MailboxExportRequest -Mailbox ceo"
_CMDLET = re.compile(r"(new|remove)-\w*mailboxexportrequest", re.IGNORECASE)
_MARKS = ("^", "`", "''", '""', "'+'", "\u200b", "`n", "`r", " ", "\u00e9")


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the source table, empty, and a view of what would be staged of it."""
    loaded = kit.shipped()
    source = loaded.sources["DeviceProcessEvents"]
    with duckdb.connect(config={"threads": 1}) as con:
        stage_sql.register_functions(con)
        con.execute(source.ddl)
        con.execute(f"alter table {source.name} add column file_id bigint")
        con.execute(f"create view shell_commands as {loaded.stages['shell_commands'].sql}")
        yield con


def staged(
    con: duckdb.DuckDBPyConnection, lines: Sequence[str], program: str = "powershell.exe"
) -> list[bool]:
    """Whether each line, run by the program, becomes a staged row."""
    con.execute("delete from DeviceProcessEvents")
    con.execute(
        """insert into DeviceProcessEvents (ReportId, FileName, ProcessCommandLine)
           select unnest(range(len($lines))), $program, unnest($lines)""",
        {"lines": list(lines), "program": program},
    )
    kept = {row[0] for row in con.execute("select report_id from shell_commands").fetchall()}
    return [number in kept for number in range(len(lines))]


def names_a_cmdlet(line: str) -> bool:
    """The same, without a filter that spares the work of undoing."""
    return any(_CMDLET.search(text) for text in (line, normalise(line)[0]))


def encode(script: str) -> str:
    """Base64 of UTF-16, as -EncodedCommand takes it."""
    return base64.b64encode(script.encode("utf-16-le", "surrogatepass")).decode()


@st.composite
def cut_up(draw: st.DrawFn, text: str) -> str:
    """The text with a few marks put into it."""
    for place, mark in draw(
        st.lists(st.tuples(st.integers(0, len(text)), st.sampled_from(_MARKS)), max_size=4)
    ):
        text = text[:place] + mark + text[place:]
    return text


@st.composite
def padded(draw: st.DrawFn) -> str:
    """The cmdlet with no two ASCII letters side by side, behind four that are, encoded."""
    few = draw(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=4,
                       max_size=4))  # fmt: skip
    front = draw(st.text(alphabet="\u0436\u200b", max_size=3))
    return f"powershell -enc {encode(front + few + ''.join(f'{chr(0x200B)}{c}' for c in EXPORT))}"


@st.composite
def disguised(draw: st.DrawFn) -> str:
    """A command line that hides the cmdlet, up to three times encoded, perhaps cut off."""
    line = draw(cut_up(draw(st.sampled_from([EXPORT, EXPORT.upper(), "nEW-mAILBOXeXPORTrEQUEST"]))))
    for _ in range(draw(st.integers(0, 3))):
        flag = draw(cut_up(draw(st.sampled_from(["-e", "-enc", "/EC", "--EncodedCommand"]))))
        gap = draw(st.sampled_from([" ", ",", '" ', "  '", ' "']))
        script = draw(cut_up(encode(line)))
        line = f"powershell {flag}{gap}{script}{draw(st.sampled_from(['', gap[-1]]))}"
    return line[: draw(st.integers(len(line) - 8, len(line)))] if draw(st.booleans()) else line


@given(lines=st.lists(disguised() | padded(), min_size=1, max_size=20))
def test_no_disguise_is_missed(con: duckdb.DuckDBPyConnection, lines: list[str]) -> None:
    """The filter that spares most lines the undoing never changes what is staged."""
    assert staged(con, lines) == [names_a_cmdlet(line) for line in lines]


@pytest.mark.parametrize(
    "line",
    [
        f"powershell -e^nc {encode(EXPORT)}",
        f"powershell '-e'+\"^nc\" {encode(EXPORT)}",
        f"powershell -enc {encode(EXPORT)[:20]}^{encode(EXPORT)[20:]}",
        f"powershell -e {encode('powershell -e ' + encode(EXPORT))}",
        "powershell New-Mailbo\uff58ExportRequest",
        "cmd /c powershell N^ew-Mail^boxExport''Request",
    ],
)
def test_disguise_is_undone(con: duckdb.DuckDBPyConnection, line: str) -> None:
    """A flag or a value that is itself cut up, nested base64, other letters."""
    assert names_a_cmdlet(line)
    assert staged(con, [line]) == [True]


@pytest.mark.parametrize(
    ("program", "kept"),
    [
        ("PowerShell.exe", True), ("pwsh", True), ("CMD.EXE", True), ("powershell_ise.exe", True),
        ("notepad.exe", False), ("xpowershell.exe", False), ("powershell.exe.txt", False),
        ("", False),
    ],
)  # fmt: skip
def test_only_shells_have_disguises(
    con: duckdb.DuckDBPyConnection, program: str, kept: bool
) -> None:
    """Another program's line counts when it names the cmdlet plainly."""
    assert staged(con, ["x New-Mail^boxExportRequest", EXPORT], program) == [kept, True]
