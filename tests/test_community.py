"""The community hunts: off unless named, over two staged tables, with examples and samples."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gundog.cli import main
from gundog.core.times import parse_time
from gundog.detections import content, content_folder
from gundog.detections.hunt import Content
from gundog.findings.words import present
from gundog.samples import community_cases
from gundog.samples.case import Case
from gundog.samples.rows import PROCESSES, sid
from gundog.testing import examples, mutations
from tests import benches, draws, kit

if TYPE_CHECKING:
    from gundog.core.errors import Problem
    from gundog.kql_import import matching
    from gundog.kql_import.translating import Sources

Row = Mapping[str, Any]
ROOT = content_folder.builtin()
FOLDER = content_folder.community()
STAGES = {
    "CloudAppEvents": "kql_community_cloud_app_events",
    "DeviceProcessEvents": "kql_community_device_process_events",
}
HASHES = {
    "account_made_administrator": "fbb83bcfd4d26bb9",
    "adfind_discovery": "39949fdb07eb4d97",
    "admin_tool_first_seen": "fa00103119755df8",
    "antivirus_weakened": "a3a00e5f1c9d8256",
    "cloud_copy_tool": "c3c74677ae564f73",
    "conditional_access_changed": "45533513d40b6fc9",
    "detection_rule_removed": "730afe94a148ffec",
    "device_released_from_isolation": "7dadf7fa46877509",
    "discovery_burst": "50461ec4abe256b2",
    "domain_database_copied": "73a515f62e416b1b",
    "download_with_system_tool": "1bfe0b9657983d74",
    "encoded_powershell_download": "55148f23cfb6d7c9",
    "event_logs_cleared": "7c6fc99cf0d273e4",
    "external_teams_contact": "64a4253f58943e5f",
    "kql_community_cloud_app_events": "f885df902f7c0313",
    "kql_community_device_process_events": "d90c48c23a2e30de",
    "lsass_memory_dumped": "6be2b2946696d250",
    "mail_files_packed": "d0ed4935e1361999",
    "many_files_downloaded": "e1866a282defb50f",
    "office_starts_script": "e7811b338232aff9",
    "psexec_spread": "adf919580580191d",
    "renamed_tool": "0222fd600ca5ef6b",
    "shadow_copies_deleted": "4c36bab5b6f34420",
    "strong_role_given": "0bc185a2a39e6228",
    "system_name_elsewhere": "a9b8fc33572728cc",
    "web_server_starts_shell": "4a23658c67ab5ca7",
    "wmi_starts_shell": "93d0d7a346ce9052",
}
LAKE = {
    "DeviceProcessEvents": "lake/DeviceProcessEvents/date=%Y-%m-%d/*.parquet",
    "CloudAppEvents": "lake/CloudAppEvents/date=%Y-%m-%d/**/*.parquet",
}


@cache
def loaded() -> Content:
    """What ships with the community hunts switched on, read once."""
    return content.load([ROOT, FOLDER], None, ROOT)


# Whose examples are mutated: a hunt or two on each staged table that is bound to its interval, and
# one that is not. `make torture` has the others, whose hashes are pinned above.
MUTATED = (
    "adfind_discovery",
    "device_released_from_isolation",
    "discovery_burst",
    "many_files_downloaded",
    "strong_role_given",
)
STEMS = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def test_they_load_beside_what_ships() -> None:
    """At least twenty, and none takes a name or an id of the built-in ones."""
    assert loaded().problems == ()
    assert len(STEMS) >= 20
    assert {hunt.detection.stem for hunt in loaded().hunts} == {
        *STEMS,
        *(hunt.detection.stem for hunt in kit.shipped().hunts),
    }


def test_not_named_they_do_not_exist() -> None:
    """Neither their detections nor their staged tables, nor as files that `check --where` shows."""
    assert not {hunt.detection.stem for hunt in kit.shipped().hunts} & set(STEMS)
    assert not set(kit.shipped().stages) & set(STAGES.values())
    with pytest.raises(content_folder.InputError, match="unknown file"):
        content_folder.named([ROOT], STEMS[0])
    assert {path.parent for path in content_folder.named([ROOT, FOLDER], STEMS[0])} == {
        FOLDER,
        ROOT / "sql/community",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "there"),
    [("[builtin, .]", False), ("[builtin, community, .]", True)],
)
def test_content_switches_them_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    names: str, there: bool,
) -> None:  # fmt: skip
    """`gundog check` counts them when gundog.yaml names them; their sources are built in.

    It translates their queries again, of which some are enough here, and finds the SQL that is
    there: nobody changed a query and forgot its SQL.
    """
    pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")
    from gundog.kql_import import matching

    checked = matching.checked

    def some(content: Content, sources: Sources) -> Iterator[Problem | matching.Advice]:
        hunts = [hunt for hunt in content.hunts if hunt.detection.stem in STEMS[::5]]
        return checked(replace(content, hunts=hunts), sources)

    monkeypatch.setattr(matching, "checked", some)
    lake = "lake: {DeviceProcessEvents: 'lake/%Y-%m-%d.parquet'}\n"
    kit.write_text(tmp_path / "gundog.yaml", f"content: {names}\n{lake}")
    status = main.main(["check", "--project", str(tmp_path)])
    out, said = capsys.readouterr()

    assert status == 0, f"run python -m tests.community, then pin the new hashes above: {said}"
    assert f"{len(kit.shipped().hunts) + there * len(STEMS)} detections" in out
    assert f"{len(kit.shipped().stages) + there * len(STAGES)} staged tables" in out


def test_a_folder_of_the_project_s_own_goes_before(tmp_path: Path) -> None:
    """Who has a folder named community already keeps it."""
    assert content_folder.folders(["community"], tmp_path) == (FOLDER.resolve(),)
    (tmp_path / "community").mkdir()
    assert content_folder.folders(["community"], tmp_path) == ((tmp_path / "community").resolve(),)


def test_they_share_one_staged_table_a_source() -> None:
    """A file of the lake is read once for all of them."""
    for stem in STEMS:
        for stage in loaded().hunt(stem).stages:
            assert stage.name == STAGES[stage.source]


def test_hashes_stay() -> None:
    """One that changes stages or hunts again: then CHANGELOG, Detections, says why."""
    hashes = {stem: loaded().hunt(stem).hash for stem in STEMS}
    hashes |= {name: loaded().stages[name].hash for name in STAGES.values()}

    assert hashes == HASHES


@pytest.mark.parametrize("stem", draws.spread(STEMS, 3))
def test_examples_hold(stem: str) -> None:
    """Source events in, exactly the promised findings out; no title lacks a column."""
    hunt = loaded().hunt(stem)
    bench = benches.of(loaded(), hunt)
    for example in hunt.detection.examples:
        hits = examples.run(loaded(), hunt, example, bench)
        titles = [present(hunt.detection, hit.row)["title"] for hit in hits]

        assert examples.compare(hunt, example, hits) == [], example.name
        assert not [title for title in titles if re.search(r"[{}]|\bNone\b", title)]
        assert all(len(title) > 20 for title in titles)


@pytest.mark.parametrize("stem", STEMS)
def test_says_what_a_reader_needs(stem: str) -> None:
    """Examples of both kinds, prose without a gap, techniques, entities, references."""
    hunt = loaded().hunt(stem)
    detection = hunt.detection
    prose = (*detection.triage, *detection.blind_spots, *detection.false_positives)
    found = {bool(example.findings) for example in detection.examples}

    assert found == {True, False}
    assert detection.status in ("experimental", "test")
    assert detection.techniques
    assert detection.tactics
    assert detection.entities
    assert detection.references
    assert detection.query
    assert len(detection.description) > 100
    assert all(len(text) > 15 and "TODO" not in text for text in prose)
    assert "{" in detection.title


@pytest.mark.slow
@pytest.mark.parametrize("stem", MUTATED)
def test_the_first_firing_example_stands_every_mutation(stem: str) -> None:
    """Moved, doubled, cut and respelled, it gives what the laws say."""
    hunt = loaded().hunt(stem)
    firing = next(example for example in hunt.detection.examples if example.findings)
    verdicts = mutations.check(loaded(), hunt, firing)

    assert verdicts
    assert [verdict for verdict in verdicts if verdict.problem] == []


@pytest.mark.slow
def test_sql_is_what_the_queries_give() -> None:
    """`gundog check` has nothing to say of any of them."""
    pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")
    from gundog.kql_import import importing, matching

    sources = importing.sources_of(loaded(), [ROOT])

    problems = list(matching.problems(loaded(), sources))
    assert problems == [], "run python -m tests.community, then pin the new hashes above"


def test_a_changed_query_is_noticed(tmp_path: Path) -> None:
    """A query that is edited and not imported again is a problem that names the file."""
    pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")
    from gundog.kql_import import importing, matching

    place = tmp_path / "detections/renamed_tool.yaml"
    text = (FOLDER / "renamed_tool.yaml").read_text(encoding="utf-8")
    kit.write_text(place, text.replace('"7za.exe", ', "", 1))
    shutil.copytree(ROOT / "sql/community", tmp_path / "sql/community")
    shutil.copytree(ROOT / "sql/community/stage", tmp_path / "sql/stage")
    edited = content.load([ROOT, tmp_path], None, tmp_path)

    [problem] = matching.problems(edited, importing.sources_of(edited, [ROOT]))
    assert problem.path == "detections/renamed_tool.yaml"
    assert "import --update" in problem.reason


def found_in_samples(root: Path, days: tuple[str, str], stems: Iterable[str]) -> list[Row]:
    """What community hunts find in the samples, whose run has no problem."""
    from tests import test_sample_hunts

    config = test_sample_hunts.CONFIG.replace("[builtin]", "[builtin, community]")
    kit.write_text(root / "gundog.yaml", config)
    (root / "parquet_samples").symlink_to(ROOT / "parquet_samples")
    outcome = kit.hunt(root, days, test_sample_hunts.NOW, detections=tuple(stems))
    assert outcome.problems == []
    return test_sample_hunts.ask(
        root / ".gundog/findings.duckdb",
        "select f.*, d.stem from findings as f inner join detections as d using (detection_id)",
    )


def names(row: Row) -> set[str]:
    return {row[name] for name in ("host_name", "account_name", "mailbox") if row[name]}


def of_case(rows: list[Row], case: Case) -> list[Row]:
    """The findings of a case: its hunt, its day, its host or account."""
    return [
        row
        for row in rows
        if row["stem"] == case.detection
        and row["interval_start"].date() == case.day
        and case.entity in names(row)
    ]


@pytest.mark.slow
def test_planted_processes_are_found(tmp_path: Path) -> None:
    """Five hunts find their cases of the last two days, each with its evidence."""
    day = parse_time("2026-10-30").date()
    cases = [case for case in community_cases.CASES if case.table == PROCESSES and case.day >= day]
    rows = found_in_samples(
        tmp_path, ("2026-10-30", "2026-10-31"), {case.detection for case in cases}
    )

    assert len(cases) == 5
    for case in cases:
        assert of_case(rows, case), case.name
        assert all(row["evidence_count"] for row in of_case(rows, case))
    assert len(rows) == sum(len(of_case(rows, case)) for case in cases)


@pytest.mark.slow
def test_all_of_the_samples(tmp_path: Path) -> None:
    """Every case is found, and all else is ordinary work, but for the intruder's tools."""
    from tests import test_sample_hunts

    rows = found_in_samples(tmp_path, test_sample_hunts.DAYS, STEMS)
    assert all(of_case(rows, case) for case in community_cases.CASES)

    planted = {case.detection for case in community_cases.CASES}
    others = [row for row in rows if row["stem"] not in planted]
    assert Counter(row["stem"] for row in others) == {"admin_tool_first_seen": 3}
    assert {row["host_name"] for row in others} == {"wks31", "fs02"}


def test_accounts_of_the_cases_are_nobody_else() -> None:
    """The intruder's account shares no SID with a person of the samples."""
    from gundog.samples import noise

    assert sid("svc-deploy") not in {sid(person) for person in (*noise.MAILBOXES, "exadmin")}
    assert len({case.name for case in community_cases.CASES}) == len(community_cases.CASES)
    assert all(case.day >= parse_time("2026-10-24").date() for case in community_cases.CASES)
