"""`gundog import` in a project: what it writes, refuses and updates, and what `check` says."""

from __future__ import annotations

import re
from contextlib import chdir
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from gundog.cli import main
from gundog.core import documents
from gundog.core.times import parse_time
from gundog.kql_import import translator
from tests import kit, kql_kit

KQL = "DeviceProcessEvents | where FileName =~ 'a.exe' | project DeviceName, AccountName\n"
RULE = """\
id: 0c8c1d5a-3c60-4d0f-9a0b-0d9d4f7b2a11
name: A "thing" {runs}
description: Finds a thing.
severity: High
queryFrequency: 1h
queryPeriod: 6h
tactics: [Execution]
relevantTechniques: [T1059]
entityMappings:
  - {entityType: Host, fieldMappings: [{identifier: FullName, columnName: DeviceName}]}
query: |
  DeviceProcessEvents
  | where FileName =~ "a.exe"   // why
  | summarize n = count() by DeviceName, Severity = "x"
"""


def make(folder: Path, content: str) -> Path:
    """A project folder, with queries beside it."""
    root = folder / "project"
    (root / "detections").mkdir(parents=True)
    lake = "lake: {DeviceProcessEvents: 'lake/%Y-%m-%d.parquet'}\n"
    (root / "gundog.yaml").write_text(f"content: {content}\n{lake}")
    (folder / "thing.yaml").write_text(RULE)
    (folder / "plain.kql").write_text(KQL)
    (folder / "bad.kql").write_text("DeviceProcessEvents | evaluate narrow()")
    return root


def make_small(folder: Path) -> Path:
    """One with the source table alone: to load all that ships takes longer than to import."""
    root = make(folder, "[.]")
    kql_kit.write_source(root, "DeviceProcessEvents")
    return root


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project, which has the working directory's queries."""
    monkeypatch.chdir(tmp_path)
    return make_small(tmp_path)


@pytest.fixture
def beside_builtin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that hunts what ships, too."""
    monkeypatch.chdir(tmp_path)
    return make(tmp_path, "[builtin, .]")


@pytest.fixture(scope="module")
def imported_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small project that has imported plain.kql."""
    folder = tmp_path_factory.mktemp("imported")
    make_small(folder)
    with chdir(folder):
        assert run("import", "plain.kql") == 0
    return folder


@pytest.fixture
def imported(imported_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that project."""
    monkeypatch.chdir(kit.copy_project(imported_once, tmp_path))
    return tmp_path / "project"


def run(*words: str) -> int:
    return main.main([*words, "--project", "project"])


def written(project: Path) -> dict[str, str]:
    return {
        str(path.relative_to(project)): path.read_text(encoding="utf-8")
        for path in sorted(project.rglob("*"))
        if path.suffix in (".yaml", ".sql")
        and path.name != "gundog.yaml"
        and path.parent.name != "sources"
    }


def test_rule_becomes_a_detection_that_loads(beside_builtin: Path) -> None:
    """YAML, SELECT and stage, the query as it was, and nothing of the machine's paths."""
    project = beside_builtin
    assert run("import", "thing.yaml") == 0
    files = written(project)
    yaml = documents.load(files["detections/thing.yaml"])

    assert sorted(files) == [
        "detections/thing.yaml",
        "sql/stage/kql_thing_device_process_events.sql",
        "sql/thing.sql",
    ]
    assert yaml["query"] == documents.load(RULE)["query"]
    assert yaml["id"] == "0c8c1d5a-3c60-4d0f-9a0b-0d9d4f7b2a11"
    assert (yaml["severity"], yaml["frequency"], yaml["lookback"]) == ("high", "1h", "5h")
    assert yaml["entityMappings"][0]["fieldMappings"][0]["columnName"] == "DeviceName"
    assert yaml["suppression"] == {"groupBy": ["group_key"], "duration": "6h"}
    assert all(str(project.parent) not in text for text in files.values())
    assert run("check") == 0


def test_good_files_are_written_and_the_others_named(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One bad query stops no other: exit 1; alone it is exit 2 and nothing is written."""
    assert run("import", "bad.kql", "plain.kql", "nothing.kql") == 1
    told = capsys.readouterr().err

    assert "bad.kql: line 1, column 23: evaluate" in told
    assert "nothing.kql: is not there" in told
    assert "2 of 3 queries not imported" in told
    assert "detections/plain.yaml" in written(project)
    assert run("import", "bad.kql") == 2
    assert not any("bad" in name for name in written(project))


def test_plan_writes_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The files and remarks are shown, and that is all."""
    assert run("import", "--plan", "plain.kql") == 0
    told = capsys.readouterr().out

    assert "would write detections/plain.yaml" in told
    assert "no time bound" in told
    assert written(project) == {}


def test_what_is_there_is_not_overwritten(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a name nor an id is taken twice."""
    assert run("import", "thing.yaml") == 0
    before = written(project)

    assert run("import", "thing.yaml") == 2
    assert "add --update" in capsys.readouterr().err
    Path("thing.yaml").rename("other.yaml")
    assert run("import", "other.yaml") == 2
    assert "add --id new" in capsys.readouterr().err
    assert written(project) == before
    assert run("import", "--id", "new", "other.yaml") == 0
    yaml = documents.load(written(project)["detections/other.yaml"])
    assert yaml["related"] == [{"id": "0c8c1d5a-3c60-4d0f-9a0b-0d9d4f7b2a11", "type": "derived"}]


def test_update_replaces_the_query_and_keeps_what_people_wrote(imported: Path) -> None:
    """Prose, id and tuning stay; query, SQL and stage are new, and belong together."""
    path = imported / "detections/plain.yaml"
    text = path.read_text().replace("severity: medium", "severity: low  # ours")
    path.write_text(text)
    changed = KQL.replace("a.exe", "b.exe").replace("|", "| where Timestamp > ago(3d) |", 1)
    Path("plain.kql").write_text(changed)

    assert run("import", "--update", "plain.kql") == 0
    files = written(imported)
    assert "severity: low  # ours" in files["detections/plain.yaml"]
    assert documents.load(files["detections/plain.yaml"])["lookback"] == "2d"
    assert "b.exe" in files["sql/plain.sql"]
    assert "b.exe" in files["sql/stage/kql_plain_device_process_events.sql"]
    assert "a.exe" not in "".join(files.values())
    assert run("check") == 0
    assert run("import", "--update", "thing.yaml") == 2


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (
            "detections/plain.yaml",
            "a.exe",
            "c.exe",
            "is not what sql/plain.sql was translated from",
        ),
        ("sql/plain.sql", "lower('a.exe')", "lower('c.exe')", "is not what the query"),
        (
            "sql/stage/kql_plain_device_process_events.sql",
            "lower('a.exe')",
            "lower('c.exe')",
            "is not what the query",
        ),
    ],
)
def test_check_says_when_query_and_sql_part(
    imported: Path, name: str, old: str, new: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A change of one file alone is named."""
    path = imported / name
    path.write_text(path.read_text().replace(old, new))

    assert run("check") == 2
    assert said in capsys.readouterr().err


def test_check_repeats_the_critic_where_nobody_answered(
    imported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A remark among the blind spots is known; one that is not there is printed again."""
    assert run("check") == 0
    assert "no time bound" not in capsys.readouterr().out
    path = imported / "detections/plain.yaml"
    path.write_text(path.read_text().replace("no time bound", "nothing"))

    assert run("check") == 0
    assert "plain: query: line 1: no time bound" in capsys.readouterr().out


def test_detection_without_examples_is_only_experimental(
    imported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Examples are what makes it stable."""
    path = imported / "detections/plain.yaml"
    path.write_text(path.read_text().replace("status: experimental", "status: stable"))

    assert run("check") == 2
    assert "none of them fires" in capsys.readouterr().err


def test_without_the_extra_the_pip_line_is_told(
    imported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And check still works, by the hashes alone."""
    monkeypatch.setattr(translator, "duckdb_kql", None)

    assert run("import", "plain.kql") == 2
    assert "pip install 'gundog[kql]'" in capsys.readouterr().err
    assert run("check") == 0


@pytest.mark.parametrize("group", ["../../evil", "a b", "Ours", "\x1b[31m", "."])
def test_a_group_is_a_name(group: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It becomes the name of a file and of a table."""
    assert run("import", "plain.kql", "--group", group) == 2
    told = capsys.readouterr().err
    assert "is not a name: write one such as" in told
    assert "\x1b" not in told
    assert written(project) == {}


def test_tables_that_ship_need_builtin(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it in content a query on them names what to write; others name their file."""
    Path("a.kql").write_text("DeviceFileEvents | take 1")
    Path("b.kql").write_text("OurEvents | take 1")

    assert run("import", "a.kql", "b.kql") == 2
    told = capsys.readouterr().err
    assert "table DeviceFileEvents: is not a source table here: add builtin to content" in told
    assert "table OurEvents: is not a source table here: add sql/sources/OurEvents.sql" in told
    assert written(project) == {}


@pytest.mark.slow
def test_imports_share_staged_tables_and_say_what_they_read(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second import reads what is there; regrouping leaves one table; an edit is named."""
    lake = project / "lake/2026-01-01.parquet"
    lake.parent.mkdir()
    lake.write_bytes(b"x" * 2_000_000)
    assert run("import", "plain.kql", "thing.yaml", "--group", "ours") == 0
    stages = [name for name in written(project) if name.startswith("sql/stage/")]
    assert stages == ["sql/stage/kql_ours_device_process_events.sql"]
    told = capsys.readouterr().out
    assert told.startswith("DeviceProcessEvents: kql_ours_device_process_events will be new")
    assert "reads the 0 files, 0.0 MB" in told

    Path("again.kql").write_text(KQL.replace("| project", "| where ProcessId > 0 | project"))
    assert run("import", "again.kql") == 0  # needs a column that no staged table has
    Path("third.kql").write_text(KQL)
    assert run("import", "third.kql") == 0
    told = capsys.readouterr().out
    assert "nothing more is read" in told
    stages = [name for name in written(project) if name.startswith("sql/stage/")]
    assert len(stages) == 2

    assert run("import", "--regroup", "--group", "joined") == 0
    stages = [name for name in written(project) if name.startswith("sql/stage/")]
    assert stages == ["sql/stage/kql_joined_device_process_events.sql"]
    assert run("check") == 0
    assert run("import", "--regroup", "plain.kql") == 2


@pytest.mark.slow
def test_trial_finds_in_staged_days_and_writes_nothing(
    beside_builtin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over the days that a run has staged; before that it says what to run."""
    project = beside_builtin
    assert run("import", "--try", "plain.kql") == 2
    assert "is staged yet: run `gundog hunt` first" in capsys.readouterr().err
    moment = parse_time("2026-02-02T10:00:00Z")
    names = [("A.exe", "d1"), ("b.exe", "d2")]
    rows = [{"Timestamp": moment, "FileName": name, "DeviceName": host} for name, host in names]
    lake = project / "lake/2026-02-02.parquet"
    lake.parent.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), lake)
    assert run("backfill", "--from", "2026-02-02", "--to", "2026-02-02") in (0, 1)
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    capsys.readouterr()

    assert run("import", "--try", "plain.kql") == 0
    told = capsys.readouterr().out
    assert "tried over [2026-02-02T00:00:00Z, 2026-02-03T00:00:00Z)" in told
    assert "plain: 1 finding\n" in told
    assert "would write detections/plain.yaml" in told
    after = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.slow
def test_guide_leads_from_a_query_to_a_stable_detection(
    beside_builtin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The query and the examples of docs/from-kql.md, as a reader would copy them."""
    project = beside_builtin
    page = (Path(__file__).parents[1] / "docs/from-kql.md").read_text(encoding="utf-8")
    fence = re.compile(r"^```(\w+) import=([\w.]+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
    texts = {kind: (name, text) for kind, name, text in fence.findall(page)}
    Path(texts["kql"][0]).write_text(texts["kql"][1], encoding="utf-8")

    assert run("import", "domain_questions.kql") == 0
    for line in re.findall(r"^```text\n(line .*)\n```", page, re.MULTILINE):
        assert line in capsys.readouterr().out
    path = project / "detections/domain_questions.yaml"
    text = path.read_text(encoding="utf-8").replace("experimental", "stable")
    path.write_text(text + texts["yaml"][1], encoding="utf-8")
    assert run("test", "domain_questions") == 0
    assert run("check") == 0
