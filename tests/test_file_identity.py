"""Tests of warehouse.file_identity: a log belongs to one file, and copies differ."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from gundog.warehouse import file_identity

LEAVE_A_LOG = (
    "import duckdb, os, sys; con = duckdb.connect(sys.argv[1]); "
    "con.execute('delete from t where n < 5'); os._exit(9)"
)


def make(path: Path) -> Path:
    """A file with ten rows."""
    with duckdb.connect(str(path)) as con:
        con.execute("create table t as select range as n from range(10)")
    return path


def test_a_renewed_file_opens_with_its_rows_under_a_new_identity(tmp_path: Path) -> None:
    """Only the identity changes: rows stay, and it can be written again."""
    path = make(tmp_path / "a.duckdb")
    before = file_identity.read(path)

    assert file_identity.renew(path)

    assert file_identity.read(path) != before
    with duckdb.connect(str(path)) as con:
        con.execute("insert into t values (10)")
        assert con.execute("select count(*) from t").fetchall() == [(11,)]


def test_a_log_of_the_old_identity_is_refused(tmp_path: Path) -> None:
    """Without a new identity DuckDB replays it and five rows are gone: the control."""
    for name, renewed in (("same", False), ("new", True)):
        path = make(tmp_path / f"{name}.duckdb")
        copy = tmp_path / f"{name}.copy"
        copy.write_bytes(path.read_bytes())
        subprocess.run([sys.executable, "-c", LEAVE_A_LOG, str(path)], check=False)
        assert path.with_name(path.name + ".wal").exists()
        if renewed:
            assert file_identity.renew(copy)
        copy.replace(path)
        if renewed:
            with pytest.raises(duckdb.Error, match="does not match"):
                duckdb.connect(str(path), read_only=True)
        else:
            with duckdb.connect(str(path), read_only=True) as con:
                assert con.execute("select count(*) from t").fetchall() == [(5,)]


def test_a_file_of_another_layout_stays_as_it_is(tmp_path: Path) -> None:
    """Garbage and short files are not touched."""
    for held in (b"", b"x" * 100, b"x" * 5000):
        path = tmp_path / "other"
        path.write_bytes(held)

        assert not file_identity.renew(path)

        assert path.read_bytes() == held
