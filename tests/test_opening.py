"""Tests of warehouse.opening: damaged and foreign files are named with their cure."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from gundog.cli.main import main
from gundog.core.errors import StoreError
from gundog.warehouse import file_identity, opening
from tests import draws, elsewhere, kit
from tests.forks import Fork
from tests.kit import event, hunt, table, write_file

DAYS = ("2026-03-02", "2026-03-04")
READERS = (
    ("status",), ("findings",), ("show", "{id}"), ("sql", "from findings"),
    ("triage", "{id}", "--note", "x"),
    ("except", "{id}", "--on", "account_name", "--days", "9", "--reason", "x"),
)  # fmt: skip


@pytest.fixture(scope="module")
def hunted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one finding."""
    root = kit.make_project(tmp_path_factory.mktemp("hunted"))
    kit.fill_days(root, "2026-03-01", 5)
    write_file(root, "2026-03-03", [event("2026-03-03T10:00", "open", number=1),
                                    event("2026-03-03T11:00", "close", number=2)])  # fmt: skip
    hunt(root, DAYS)
    return root


@pytest.fixture
def root(hunted: Path, tmp_path: Path) -> Path:
    shutil.copytree(hunted, tmp_path / "p")
    return tmp_path / "p"


def findings(root: Path) -> Path:
    return root / ".gundog/findings.duckdb"


def finding_id(root: Path) -> str:
    return str(table(root, "select finding_id::varchar from findings")[0][0])


def asked(root: Path, words: tuple[str, ...], key: str) -> int:
    return main([word.format(id=key) for word in words] + ["--project", str(root)])


def cut(path: Path, size: int) -> None:
    os.truncate(path, size)


def garbage(path: Path, _: int) -> None:
    path.write_bytes(b"no database at all" * 4000)


def foreign(path: Path, _: int) -> None:
    path.unlink()
    with duckdb.connect(str(path)) as con:
        con.execute("create table mine (i int)")


@pytest.mark.parametrize(
    ("spoil", "size"),
    draws.spread(
        [
            pytest.param(cut, 0, id="empty"),
            pytest.param(cut, 100, id="no header"),
            pytest.param(cut, 300_000, id="cut"),
            pytest.param(cut, 12_288, id="headers only"),
            pytest.param(foreign, 0, id="another program's"),
            pytest.param(garbage, 0, id="garbage"),
        ],
        every=2,
    ),
)
def test_a_spoilt_published_file_is_named_with_its_cure(
    root: Path, capsys: pytest.CaptureFixture[str], spoil: object, size: int
) -> None:
    """Every command that reads it says so and exits 1; the next run writes it again."""
    key = finding_id(root)
    assert callable(spoil)
    spoil(findings(root), size)

    for words in READERS:
        assert asked(root, words, key) == 1, words
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "findings.duckdb: " in said
        assert "run gundog hunt" in said
    hunt(root, DAYS)
    assert finding_id(root) == key


@contextmanager
def opened(path: Path) -> Iterator[None]:
    """Another program that has the file open for writing."""
    holder = Fork(elsewhere.keep_open, path)
    try:
        assert holder.connection.recv() == "held"
        yield
    finally:
        holder.connection.close()
        holder.wait(kit.HUNG_S)


@pytest.mark.slow
def test_a_file_that_is_open_elsewhere_is_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program and its process are named; nothing waits and nothing breaks."""
    key = finding_id(root)
    with opened(findings(root)):
        for words in READERS:
            assert asked(root, words, key) == 1, words
            assert "has it open for writing: close it there" in capsys.readouterr().err
        hunt(root, DAYS)  # a run puts a new file in its place
        assert asked(root, ("findings",), key) == 0
    assert finding_id(root) == key


def leave_a_log(path: Path) -> Path:
    """A program deletes all findings and dies; its log stays."""
    assert Fork(elsewhere.leave_log, path).wait(kit.HUNG_S) == 9
    log = opening.log_of(path)
    assert log.exists()
    return log


@pytest.mark.parametrize("words", READERS, ids=lambda words: words[0])
def test_a_log_of_another_file_is_removed_by_whoever_reads(
    root: Path, words: tuple[str, ...]
) -> None:
    """It was written for an older file, after this one was published: nobody sees an error."""
    key = finding_id(root)
    log = leave_a_log(findings(root))
    assert file_identity.renew(findings(root))  # as the next publish gives it

    assert asked(root, words, key) == 0
    assert not log.exists()
    assert finding_id(root) == key


@pytest.mark.skipif(os.getuid() == 0, reason="root may remove everything")
def test_a_log_that_may_not_be_removed_is_named(root: Path) -> None:
    """A reader of another account says who can."""
    log = leave_a_log(findings(root))
    assert file_identity.renew(findings(root))
    log.parent.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="run gundog hunt as the account that owns it"):
            opening.published(findings(root), lambda path: duckdb.connect(str(path)))
    finally:
        log.parent.chmod(0o700)


def test_a_log_that_is_of_this_file_is_told_by_status(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the other program changed is seen until the next run, so status says why."""
    assert asked(root, ("status",), "") == 0
    assert "findings.duckdb.wal" not in capsys.readouterr().out
    leave_a_log(findings(root))

    assert asked(root, ("status",), "") == 0
    assert "findings.duckdb.wal is there: another program opened" in capsys.readouterr().out


def test_a_run_that_removes_a_log_says_so(root: Path) -> None:
    """It is a note: nothing failed, but somebody's changes are gone."""
    leave_a_log(findings(root))
    outcome = hunt(root, DAYS)

    (note,) = outcome.notes
    assert note.startswith("findings.duckdb.wal was removed: another program had opened")
    assert outcome.exit_status == 0
    assert len(table(root, "from findings")) == 1
    assert hunt(root, DAYS).notes == []


@pytest.mark.parametrize("size", draws.spread([5000, 0, 100_000]))
def test_a_cut_blank_file_is_made_anew(root: Path, size: int) -> None:
    """What is kept for quick publishing may be cut or foreign: the same run mends it."""
    (blank,) = root.glob(".gundog/.findings.duckdb.*.blank")
    cut(blank, size)

    assert hunt(root, DAYS).exit_status == 0
    assert len(table(root, "from findings")) == 1


@pytest.mark.parametrize("size", draws.spread([300_000, 12_288, 2_000_000]))
def test_a_cut_warehouse_is_no_full_disk(
    root: Path, capsys: pytest.CaptureFixture[str], size: int
) -> None:
    """It is named as what it is, with what to do next; and that works."""
    warehouse = root / ".gundog/warehouse.duckdb"
    cut(warehouse, size)

    assert main(["hunt", "--from", DAYS[0], "--to", DAYS[1], "--project", str(root)]) == 1
    said = capsys.readouterr()
    assert (
        "move it away with its .wal and run again to stage everything again" in said.err + said.out
    )
    assert "free disk space" not in said.err + said.out
    warehouse.rename(warehouse.with_name("cut"))
    assert hunt(root, DAYS).exit_status == 0


def test_a_log_of_another_warehouse_is_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a backup was put back beside the log of a run that was killed."""
    warehouse = root / ".gundog/warehouse.duckdb"
    leave_a_log(warehouse)
    assert file_identity.renew(warehouse)

    assert main(["hunt", "--from", DAYS[0], "--to", DAYS[1], "--project", str(root)]) == 1
    assert "warehouse.duckdb.wal belongs to another warehouse.duckdb" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('Cannot open file "f": Permission denied', "this account may not read it: ask who runs"),
        ('Could not set lock on file "f": Conflicting lock is held in /usr/bin/duckdb (PID 7). See',
         "duckdb, process 7, has it open for writing: close it there"),
        ("Corrupt database file: computed checksum 1 does not match", "is damaged (Corrupt"),
        ("Trying to read a database file with version number 99", "cannot be opened (Trying"),
    ],
)  # fmt: skip
def test_what_duckdb_says_becomes_what_to_do(text: str, said: str) -> None:
    """Each cause has its own cure."""
    told = opening.told(Path("findings.duckdb"), duckdb.IOException(f"IO Error: {text}"))

    assert str(told).startswith(f"findings.duckdb: {said}")
