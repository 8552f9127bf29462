"""Tests of core.places: who may read what is new, and that nothing else changes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gundog.cli.main import main
from gundog.core import places
from gundog.core.errors import StoreError
from tests import draws, elsewhere, kit
from tests.forks import Fork
from tests.kit import event, hunt, table, write_file

DAYS = ("2026-03-02", "2026-03-04")


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=["umask 000", "umask 022", "umask 077"])
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path)


def make(root: Path) -> Path:
    """Five days with a pair on the third."""
    kit.make_project(root)
    kit.fill_days(root, "2026-03-01", 5)
    write_file(root, "2026-03-03", [event("2026-03-03T10:00", "open", number=1),
                                    event("2026-03-03T11:00", "close", number=2)])  # fmt: skip
    return root


@pytest.fixture(scope="module")
def hunted_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after a run."""
    made = make(tmp_path_factory.mktemp("hunted"))
    hunt(made, DAYS)
    return made


@pytest.fixture
def hunted(hunted_once: Path, tmp_path: Path) -> Path:
    """A copy of it, for one test."""
    return kit.copy_project(hunted_once, tmp_path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_files_are_for_the_account_and_published_ones_for_its_group(
    root: Path, mask: int
) -> None:
    """Whatever the umask: mail addresses and command lines are not for everybody."""
    hunt(root, DAYS)

    state = root / ".gundog"
    assert mode(state) == 0o750
    assert mode(state / "findings.duckdb") == 0o640
    others = [one for one in state.rglob("*") if one.is_file() and one.name != "findings.duckdb"]
    assert {one.name for one in others} >= {"warehouse.duckdb", "warehouse.lock"}
    assert {mode(one) & 0o077 for one in others} == {0}
    assert os.umask(mask) == mask  # a run leaves the umask as it was


@pytest.mark.slow
def test_modes_of_what_exists_are_not_changed(hunted: Path) -> None:
    """By runs, purges, triage and exceptions."""
    key = str(table(hunted, "select finding_id::varchar from findings")[0][0])
    assert main(["triage", key, "--note", "a", "--project", str(hunted)]) == 0
    known = ["except", key, "--on", "account_name", "--days", "9999", "--reason", "x"]
    assert main([*known, "--project", str(hunted)]) == 0
    state, chosen = hunted / ".gundog", dict[Path, int]()
    kept = [one for one in state.iterdir() if one.suffix != ".tmp"]
    for number, path in enumerate([state, hunted / "exceptions.yaml", *sorted(kept)]):
        chosen[path] = 0o700 | (number * 0o11) % 0o100
        path.chmod(chosen[path])
    hunt(hunted, DAYS)
    main(["triage", key, "--note", "b", "--project", str(hunted)])
    assert main(["purge", "--account", "nobody", "--project", str(hunted)]) == 0

    assert {path: mode(path) for path in chosen} == chosen


def test_triage_of_a_group_is_as_open_as_its_folder(hunted: Path) -> None:
    """Where the group may write in the folder it may add to triage.jsonl, whoever began it."""
    key = str(table(hunted, "select finding_id::varchar from findings")[0][0])
    state = hunted / ".gundog"
    for folder, wanted in ((0o750, 0o640), (0o2770, 0o660)):
        state.chmod(folder)
        assert main(["triage", key, "--note", "a", "--project", str(hunted)]) == 0
        assert {mode(state / f"triage.{end}") for end in ("jsonl", "lock")} == {wanted}
        (state / "triage.jsonl").unlink()
        (state / "triage.lock").unlink()


def test_a_folder_keeps_the_group_of_the_one_above(tmp_path: Path) -> None:
    """The setgid bit that a new folder inherits stays."""
    tmp_path.chmod(0o2775)
    places.folder(tmp_path / "a/b")

    assert mode(tmp_path / "a/b") & 0o777 == 0o750
    assert mode(tmp_path / "a/b") & 0o2000 == mode(tmp_path / "a") & 0o2000


FILES = ("warehouse.duckdb.wal", "warehouse.lock", "warehouse.owner", "findings.duckdb.wal")


@pytest.mark.parametrize("name", draws.spread(FILES, every=2))
def test_a_folder_in_the_place_of_a_file_is_named(
    root: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Runs exit 1 and say which; moved away, the same command works."""
    folder = root / ".gundog" / name
    (folder / "in it").mkdir(parents=True)
    command = ["hunt", "--from", DAYS[0], "--to", DAYS[1], "--project", str(root)]

    assert main(command) == 1
    said = capsys.readouterr().err
    wanted = f"{folder}: is a folder where gundog keeps a file: move it away"
    assert said.splitlines()[-1] == wanted
    folder.rename(root / "away")
    assert main(command) == 0


def test_folders_in_the_place_of_what_people_write_are_named(
    hunted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """triage.jsonl and the locks: a sentence, and nothing is written."""
    key = str(table(hunted, "select finding_id::varchar from findings")[0][0])
    for name in ("triage.lock", "triage.jsonl"):
        (hunted / ".gundog" / name).mkdir()
        assert main(["triage", key, "--note", "a", "--project", str(hunted)]) == 1
        said = capsys.readouterr().err
        assert "a folder lies where a file must be: move it away" in said
        (hunted / ".gundog" / name).rmdir()
    (hunted / ".gundog/triage.jsonl").mkdir()
    assert main(["findings", "--all", "--project", str(hunted)]) == 0
    assert hunt(hunted, DAYS).exit_status == 0


def test_a_file_in_the_place_of_the_scratch_folder_is_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is hunted half."""
    kit.write_text(root / ".gundog/warehouse.tmp", "a file")

    assert main(["hunt", "--from", DAYS[0], "--to", DAYS[1], "--project", str(root)]) == 1
    assert "is a file where gundog keeps a folder: move it away" in capsys.readouterr().err


def test_a_file_in_the_place_of_the_folder_is_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`.gundog` itself may be anything."""
    kit.write_text(root / ".gundog", "a file")

    assert main(["hunt", "--from", DAYS[0], "--to", DAYS[1], "--project", str(root)]) == 1
    assert "a file lies where a folder must be" in capsys.readouterr().err


def test_an_owner_file_of_somebody_else_is_no_matter(root: Path) -> None:
    """It only says who holds the lock."""
    from datetime import timedelta

    from gundog.core.errors import LockError
    from gundog.warehouse import database

    path = root / ".gundog/warehouse.duckdb"
    for text in ("{}", "[1]", "null", "\0"):
        with database.lock(path, timedelta(), kit.NOW):
            path.with_suffix(".owner").write_text(text)
            with pytest.raises(LockError), database.lock(path, timedelta(), kit.NOW):
                pass


# ---- a full disk ----


def limited(root: Path, size: int, *command: str) -> tuple[int | None, str]:
    """Exit status and errors of a command on a disk that takes files of so many bytes at most."""
    arguments = (*command, "--project", str(root))
    child = Fork(elsewhere.command, arguments, size)
    said = child.connection.recv()
    return child.wait(), said


@pytest.mark.parametrize("size", draws.spread([60_000, 0, 4096, 8192, 12_288]))
def test_a_full_disk_on_the_very_first_run_blocks_no_later_one(root: Path, size: int) -> None:
    """What is left of a warehouse that was never made is not a warehouse."""
    command = ("hunt", "--from", DAYS[0], "--to", DAYS[1])
    status, said = limited(root, size, *command)

    assert status == 1
    assert "Traceback" not in said
    assert "free disk space" in said
    assert main([*command, "--project", str(root)]) == 0
    assert len(table(root, "from findings")) == 1


@pytest.mark.parametrize("size", draws.spread([8192, 4096, 0], every=3))
def test_a_stub_that_a_kill_left_blocks_no_run(root: Path, size: int) -> None:
    """Where nothing was ever published; beside published findings a cut warehouse is named."""
    (root / ".gundog").mkdir()
    stub = root / ".gundog/warehouse.duckdb"
    stub.write_bytes(b"\0" * size)
    assert hunt(root, DAYS).exit_status == 0

    stub.write_bytes(b"\0" * size)
    with pytest.raises(StoreError, match="move it away"):
        hunt(root, DAYS)


def test_a_full_disk_in_triage_and_except_changes_nothing(hunted: Path) -> None:
    """Both say so in a sentence; with room made, both work."""
    key = str(table(hunted, "select finding_id::varchar from findings")[0][0])
    note = ("triage", key, "--note", "x")
    known = ("except", key, "--on", "account_name", "--days", "9999", "--reason", "x")
    for command in (note, known):
        status, said = limited(hunted, 0, *command)
        assert (status, said.count("\n")) == (1, 1), said
        assert "free disk space" in said
    assert not (hunted / "exceptions.yaml").exists()
    assert [one.name for one in hunted.iterdir() if one.name.startswith(".exc")] == []
    for command in (note, known):
        assert main([*command, "--project", str(hunted)]) == 0


def test_a_question_mark_in_the_path_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """DuckDB would write its log into another folder: one problem, exit 2, nothing written."""
    root = tmp_path / "a?b"
    kit.make_project(root)

    assert main(["hunt", "--project", str(root)]) == 2
    said = capsys.readouterr().err
    assert "a path contains a ?: choose another name" in said
    assert "1 problem; nothing was done" in said
    assert not (root / ".gundog").exists()


@pytest.mark.parametrize(
    "name",
    draws.spread(["a*b", "a[1]", "a%20b", "a#b", "a'b", 'a"b', "a:b", "a b", "ü"], every=4),
)
def test_other_odd_paths_work(tmp_path: Path, name: str) -> None:
    """Everything else may stand in a folder's name."""
    root = kit.make_project(tmp_path / name)
    kit.fill_days(root, "2026-03-01", 3)

    assert hunt(root, ("2026-03-02", "2026-03-02")).exit_status == 0
    assert main(["findings", "--project", str(root)]) == 0
