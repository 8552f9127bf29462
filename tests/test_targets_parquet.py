"""Tests of publishTo with a folder or bucket: whole runs only, whatever is killed or down."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gundog.cli import main
from gundog.core.errors import StoreError
from gundog.findings import reader
from gundog.lake.path import LakePath
from gundog.targets import file_store, parquet, publishing, sections
from gundog.targets.config import PublishTo
from gundog.targets.file_store import FileStore
from tests import kit
from tests.faults import start_s3
from tests.test_finding_list import DETECTION, NOW, evidence, finding, published
from tests.test_report_command import two_days

DAY = timedelta(days=1)
Rows = dict[str, list[tuple[Any, ...]]]


class Killed(BaseException):
    """The process is gone: nothing after it happens."""


def world(path: Path, *numbers: int) -> Path:
    """A published file with a finding, its evidence and its change for each number."""
    path.write_bytes(_world(*numbers))
    return path


@cache
def _world(*numbers: int) -> bytes:
    rows = [finding(number, updated_at=NOW) for number in numbers]
    changes = [
        {"finding_id": row["finding_id"], "detection_id": DETECTION, "change": "new",
         "changed_at": row["end_time"]}
        for row in rows
    ]  # fmt: skip
    with TemporaryDirectory() as folder:
        path = published(
            Path(folder, "findings.duckdb"), findings=rows,
            evidence=[evidence(number, who=number) for number in numbers],
            finding_changes=changes,
        )  # fmt: skip
        return path.read_bytes()


def truth(path: Path) -> Rows:
    """The rows of the published tables, UUIDs and JSON as text, in any order."""
    rows: Rows = {table.name: [] for table in sections.TABLES}
    with reader.published(path) as con:
        for section in sections.sections(con):
            rows[section.table] += _tuples(sections.rows(con, section).to_arrow_table())
    return {name: sorted(held, key=repr) for name, held in rows.items()}


def _tuples(table: pa.Table) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in table.to_pylist()]


def seen(store: FileStore) -> Rows | None:
    """The rows that the manifest leads a reader to; None when there is no manifest."""
    data = store.read(parquet.MANIFEST)
    if data is None:
        return None
    rows: Rows = {}
    for name, table in json.loads(data)["tables"].items():
        held = []
        for file in table["files"]:
            content = store.read(file["path"])
            assert content is not None, file["path"]
            part = _tuples(pq.read_table(io.BytesIO(content)))
            assert len(part) == file["rows"]
            held += part
        rows[name] = sorted(held, key=repr)
    return rows


def sync(store: FileStore, path: Path, project_id: str = "p") -> parquet.Done:
    with reader.published(path) as con:
        return parquet.publish(con, store, project_id, NOW)


def names(store: FileStore) -> set[str]:
    return set(store.sizes(table.name for table in sections.TABLES))


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    """An empty target of each kind."""
    if request.param == "folder":
        return file_store.opened(LakePath(str(tmp_path / "shared/gundog")), {})
    server = start_s3()
    name = f"b{abs(hash(str(tmp_path)))}"
    server.bucket(name)
    return file_store.opened(LakePath(f"s3://{name}/soc/gundog"), server.environ)


def test_a_reader_of_the_manifest_sees_every_table_as_it_is_published(
    store: FileStore, tmp_path: Path
) -> None:
    """Empty tables have their columns; a second time writes no file again."""
    path = world(tmp_path / "f.duckdb", 1, 2, 30)

    first, again = sync(store, path), sync(store, path)

    assert seen(store) == truth(path)
    assert first.written == len(names(store))
    assert again == parquet.Done(0, 0)


def test_a_bucket_that_is_not_there_is_named_then_filled_brought_up_to_date_and_purged(
    tmp_path: Path,
) -> None:
    """By itself, the next time; the slow tests do each of the others in a bucket too."""
    server, before = start_s3(), world(tmp_path / "a.duckdb", 1, 30)
    store = file_store.opened(LakePath("s3://quick/soc/gundog"), server.environ)
    with pytest.raises(StoreError, match="s3://quick/soc/gundog: cannot be"):
        sync(store, before)
    server.bucket("quick")
    sync(store, before)
    assert seen(store) == truth(before)
    store.write("findings/2026-03-10-0123456789abcdef.parquet", b"left by a killed run")
    path = world(tmp_path / "b.duckdb", 2, 31)

    sync(store, path)

    assert seen(store) == truth(path)
    manifest = json.loads(store.read(parquet.MANIFEST) or b"")
    assert names(store) == {f["path"] for t in manifest["tables"].values() for f in t["files"]}


def test_only_changed_days_are_written_and_what_they_replace_is_removed(
    store: FileStore, tmp_path: Path
) -> None:
    """A night costs its own days, not all that is kept."""
    sync(store, world(tmp_path / "a.duckdb", 1, 30, 60))
    before = names(store)
    path = world(tmp_path / "b.duckdb", 1, 2, 30, 60)

    done = sync(store, path)

    assert seen(store) == truth(path)
    changed = {name.partition("/")[0] for name in names(store) - before}
    assert changed == {"findings", "evidence", "finding_changes"}
    assert done == parquet.Done(3, 3)


def test_what_is_purged_is_in_no_file_afterwards(store: FileStore, tmp_path: Path) -> None:
    """Nor in files that a killed run left; other people's files stay."""
    sync(store, world(tmp_path / "a.duckdb", 1, 2, 30))
    store.write("findings/2026-03-10-0123456789abcdef.parquet", b"left by a killed run")
    store.write("findings/notes.txt", b"somebody's own")
    path = world(tmp_path / "b.duckdb", 30)

    sync(store, path)

    assert seen(store) == truth(path)
    manifest = json.loads(store.read(parquet.MANIFEST) or b"")
    listed = {f["path"] for table in manifest["tables"].values() for f in table["files"]}
    assert names(store) == listed | {"findings/notes.txt"}


def test_a_file_that_somebody_removed_or_cut_comes_back(store: FileStore, tmp_path: Path) -> None:
    """The manifest names it, so it must be there."""
    path = world(tmp_path / "f.duckdb", 1, 30)
    sync(store, path)
    first, second = sorted(name for name in names(store) if name.startswith("findings/"))
    store.remove([first])
    store.write(second, b"cut")

    assert sync(store, path).written == 2
    assert seen(store) == truth(path)


def killed_at(number: int, after: bool, patch: pytest.MonkeyPatch) -> None:
    """Ends the process before or after so many files are written or removed."""
    left = [number]
    for name in ("write", "remove"):
        act = getattr(FileStore, name)

        def counted(self: FileStore, what: Any, *rest: Any, act: Callable[..., None] = act) -> None:
            items = [what] if isinstance(what, str) else list(what)
            for item in items:
                left[0] -= 1
                if left[0] < 0 and not after:
                    raise Killed
                act(self, item if rest else [item], *rest)
                if left[0] < 0:
                    raise Killed

        patch.setattr(FileStore, name, counted)


@pytest.mark.slow
@pytest.mark.stress
def test_a_kill_at_any_file_shows_the_old_run_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing half, nothing lost, nothing twice; the next run removes what was left."""
    store = file_store.opened(LakePath(str(tmp_path / "t")), {})

    assert kill_everywhere(store, tmp_path, monkeypatch, 11) > 2


@pytest.mark.slow
@pytest.mark.stress
def test_a_kill_at_every_file_shows_the_old_run_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same before and after each file."""
    store = file_store.opened(LakePath(str(tmp_path / "t")), {})

    assert kill_everywhere(store, tmp_path, monkeypatch, 1) > 20


@pytest.mark.slow
@pytest.mark.stress
def test_a_kill_at_any_object_shows_the_old_run_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same in a bucket."""
    server = start_s3()
    server.bucket("killed")
    store = file_store.opened(LakePath("s3://killed/t"), server.environ)

    assert kill_everywhere(store, tmp_path, monkeypatch, 3) > 3


def kill_everywhere(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stride: int
) -> int:
    """Kills publishing at every `stride`-th file, before and after; returns how often."""
    old, new = world(tmp_path / "a.duckdb", 1, 30), world(tmp_path / "b.duckdb", 2, 31)
    sync(store, old)
    both = [seen(store), truth(new)]
    monkeypatch.setattr(FileStore, "each", lambda _, work, items: [work(i) for i in items])
    kills, number, after = 0, 0, False
    while True:
        with monkeypatch.context() as patch:
            killed_at(number, after, patch)
            try:
                sync(store, new)
                break
            except Killed:
                kills += 1
        assert seen(store) in both
        sync(store, old)
        assert seen(store) == both[0]
        number, after = number + stride * after, not after
    assert seen(store) == both[1]
    manifest = json.loads(store.read(parquet.MANIFEST) or b"")
    assert names(store) == {
        f["path"] for table in manifest["tables"].values() for f in table["files"]
    }
    return kills


def test_what_a_killed_local_write_left_is_removed(tmp_path: Path) -> None:
    """Its rows may be of somebody who was purged."""
    store = file_store.opened(LakePath(str(tmp_path / "t")), {})
    path = world(tmp_path / "f.duckdb", 1)
    sync(store, path)
    left = tmp_path / "t/findings/.2026-03-10-0123456789abcdef.parquet.tmp"
    left.write_bytes(b"half")

    sync(store, path)

    assert not left.exists()
    assert (tmp_path / "t/_manifest.json").stat().st_mode & 0o777 == 0o640


def test_a_cut_file_that_is_written_again_is_gone_when_it_would_be_removed(tmp_path: Path) -> None:
    """What a killed run left of a file becomes the whole file: removing it fails nothing."""
    store = file_store.opened(LakePath(str(tmp_path / "shared")), {})
    with reader.published(world(tmp_path / "f.duckdb", *range(1, 20))) as con:
        parquet.publish(con, store, "p", NOW)
        whole = next((tmp_path / "shared/findings").glob("*.parquet"))
        whole.rename(whole.with_name(f".{whole.name}.tmp"))

        parquet.publish(con, store, "p", NOW)

    assert whole.exists()
    assert not list((tmp_path / "shared").rglob(".*.tmp"))


def test_a_manifest_of_something_else_is_not_written_over(store: FileStore, tmp_path: Path) -> None:
    """Neither another program's nor another project's."""
    path = world(tmp_path / "f.duckdb", 1)
    sync(store, path, "one")
    with pytest.raises(StoreError, match="another project publishes there"):
        sync(store, path, "two")
    store.write(parquet.MANIFEST, b'["spark"]')
    with pytest.raises(StoreError, match="not a manifest of gundog's"):
        sync(store, path, "one")


def test_every_section_has_a_digest_of_its_rows_only(tmp_path: Path) -> None:
    """Whatever order they are in; each published table says how its rows are filed."""
    filed = {*sections.DAYS, *sections.OF_FINDING, *sections.WHOLE}
    assert filed == {table.name for table in sections.TABLES}
    digests = []
    for numbers in ((1, 2, 30), (30, 2, 1)):
        with reader.published(world(tmp_path / f"{numbers[0]}.duckdb", *numbers)) as con:
            digests.append({(s.table, s.day): s.digest for s in sections.sections(con)})

    assert digests[0] == digests[1]


def config(root: Path, text: str) -> None:
    kit.write_text(root / "gundog.yaml", f"{kit.CONFIG}publishTo: {text}\n")


def shared(root: Path) -> FileStore:
    return file_store.opened(LakePath(str(root / "shared")), {})


@pytest.fixture(scope="module")
def hunted_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after one night that published to two folders."""
    root = tmp_path_factory.mktemp("hunted")
    two_days(root)
    config(root, "[shared, other]")
    assert kit.hunt(root).problems == []
    return root


@pytest.fixture
def hunted(hunted_once: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return kit.copy_project(hunted_once, tmp_path / "project")


def test_every_run_publishes_to_its_targets(hunted_once: Path) -> None:
    """With the run itself as it ended."""
    rows = seen(shared(hunted_once))
    assert rows == truth(hunted_once / ".gundog/findings.duckdb")
    assert len(rows["findings"]) == len(rows["runs"]) == 1


@pytest.mark.slow
def test_a_target_that_is_down_is_a_named_problem_and_catches_up(
    hunted: Path, sink: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the run, in status, and once a day in the channels; the next run mends it.

    The others get theirs, and of messages that they were sent.
    """
    project = hunted
    kit.write_text(
        project / "gundog.yaml",
        f"{kit.CONFIG}publishTo: [shared, {{to: taken/inner, name: lake}}]\n"
        f"notify: [{{name: soc, url: '{sink.url()}'}}]\n",
    )
    blocker = kit.write_text(project / "taken", "a file")
    findings = project / ".gundog/findings.duckdb"
    newest = "select problems from runs order by started_at desc limit 1"

    for minutes in (1, 3):
        outcome = kit.hunt(project, now=kit.NOW + timedelta(minutes=minutes))

        [problem] = outcome.problems
        assert problem.startswith("publishTo: lake: ")
        assert "a file lies where a folder must be" in problem
        assert seen(shared(project)) == truth(findings)
        assert kit.table(project, newest) == [([problem],)]
    told = [str(request.body) for request in sink.requests]
    assert len([text for text in told if "a file lies where a folder must be" in text]) == 1

    assert main.main(["status", "--project", str(project)]) == 1
    assert "publishTo: lake: " in capsys.readouterr().out

    blocker.unlink()
    assert kit.hunt(project, now=kit.NOW + timedelta(minutes=5)).problems == []
    later = file_store.opened(LakePath(str(project / "taken/inner")), {})
    assert seen(later) == seen(shared(project)) == truth(findings)
    main.main(["status", "--project", str(project)])
    assert "publishTo" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_target_that_fails_only_after_messages_is_shown_by_status(
    hunted: Path, sink: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """It took the findings, and not that they were sent; the next run mends it."""
    manifest = hunted / "shared/_manifest.json"

    def block() -> int:
        manifest.rename(hunted / "kept.json")
        manifest.mkdir()
        return 200

    config = f"{kit.CONFIG}publishTo: [shared, other]\n"
    config += f"notify: [{{name: soc, url: '{sink.url()}', mode: digest}}]\n"
    kit.write_text(hunted / "gundog.yaml", config)
    sink.script = [block]

    [problem] = kit.hunt(hunted, now=kit.NOW + timedelta(minutes=1)).problems
    assert problem.startswith("publishTo: ")
    newest = "select problems, exit_status from runs order by started_at desc limit 1"
    assert kit.table(hunted, newest) == [([problem], 1)]
    assert main.main(["status", "--project", str(hunted)]) == 1
    assert "publishTo: " in capsys.readouterr().out

    manifest.rmdir()
    (hunted / "kept.json").rename(manifest)
    assert kit.hunt(hunted, now=kit.NOW + timedelta(minutes=5)).problems == []
    main.main(["status", "--project", str(hunted)])
    assert "publishTo" not in capsys.readouterr().out
    assert seen(shared(hunted)) == truth(hunted / ".gundog/findings.duckdb")


def test_purge_reaches_every_target_before_it_reports_success(
    hunted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one that is down it fails, and says so; the others are purged; again is enough."""
    project = hunted
    purge = ["purge", "--account", "a", "--project", str(project)]
    (project / "shared/_manifest.json").rename(project / "kept.json")
    (project / "shared/_manifest.json").mkdir()

    assert main.main(purge) == 1
    err = capsys.readouterr().err
    assert "everything is purged but publishTo: " in err
    other = file_store.opened(LakePath(str(project / "other")), {})
    assert seen(other) == truth(project / ".gundog/findings.duckdb")
    assert (seen(other) or {})["findings"] == []

    (project / "shared/_manifest.json").rmdir()
    (project / "kept.json").rename(project / "shared/_manifest.json")
    assert main.main(purge) == 0
    assert seen(shared(project)) == seen(other)
    for path in project.glob("*/*/*.parquet"):
        if path.parts[-3] in ("shared", "other") and path.parts[-2] in ("findings", "evidence"):
            assert path.name.startswith("empty-")


@pytest.mark.slow
def test_retention_reaches_every_target(hunted: Path) -> None:
    """A finding that is kept no longer is in no file of a target."""
    project = hunted
    kit.write_text(
        project / "gundog.yaml", f"{kit.CONFIG}publishTo: shared\nretention: {{findings: 30d}}\n"
    )
    before = {path.name for path in (project / "shared/findings").iterdir()}

    kit.hunt(project, now=kit.NOW + timedelta(days=40), trust_clock=True)

    after = [path.name for path in (project / "shared/findings").iterdir()]
    assert [name.partition("-")[0] for name in after] == ["empty"]
    assert before.isdisjoint(after)
    assert seen(shared(project)) == truth(project / ".gundog/findings.duckdb")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ftp://x/y", "publishTo.to: unknown scheme"),
        ("s3://bucket", "publishTo.to: names no folder"),
        ("s3://key:word@bucket/x", "publishTo.to: holds credentials"),
        ("postgresql://host", "publishTo.to: is not complete"),
        ("7", "publishTo: is 7: write a folder"),
        ("[{name: x}]", "publishTo.0.to: is missing"),
        ("[a, a]", "publishTo: names one place twice"),
        ("{to: postgresql://h/d, schema: public}", "publishTo.schema: is public"),
        ("{to: postgresql://h/d, schema: A B}", "publishTo.schema: is not a schema name"),
        ("{to: s3://b/x, endpoint: host}", "publishTo.endpoint: is not a URL"),
        ("{to: x, folder: y}", "publishTo: key 2 of 2: unknown key"),
    ],
)
def test_wrong_settings_are_named_and_show_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, problem: str
) -> None:
    """One sentence each, exit status 2."""
    root = kit.make_project(tmp_path)
    config(root, text)

    assert main.main(["check", "--project", str(root)]) == 2
    err = capsys.readouterr().err
    assert f"gundog.yaml: {problem}" in err
    assert "word" not in err


def test_a_target_shows_neither_user_nor_password() -> None:
    """Its name is in messages, its repr in a traceback."""
    from gundog.core.fields import Fields
    from gundog.targets import config as targets

    address = "postgresql://ana:secret@db.example:5433/soc?sslmode=require"
    [target] = targets.read(Fields({"publishTo": address}, "gundog.yaml", []), Path("/p"))

    assert target.name == "postgresql://db.example:5433/soc"
    assert "secret" not in repr(replace(target, store=LakePath("")))
    assert target.is_postgres


def test_the_id_of_a_project_is_made_once(tmp_path: Path) -> None:
    """Another project has another."""
    first = publishing.project_id(tmp_path / "a.txt")

    assert publishing.project_id(tmp_path / "a.txt") == first
    assert publishing.project_id(tmp_path / "b.txt") != first
    kit.write_text(tmp_path / "c.txt", "\n")
    with pytest.raises(StoreError, match="holds no id"):
        publishing.project_id(tmp_path / "c.txt")


def test_a_target_is_for_its_kind_of_place() -> None:
    """Only a PostgreSQL address needs the extra."""
    assert not PublishTo("shared", "shared").is_postgres
    assert PublishTo("postgres://h/d", "x").is_postgres
