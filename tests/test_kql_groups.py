"""Staged tables that imported hunts share: what one of them covers, and what is new."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from gundog.detections.hunt import Content
from gundog.kql_import import groups, stage_sql, writing
from gundog.kql_import.groups import Group
from tests import kql_kit
from tests.test_kql_import import drawn

HUNTS = {
    "shells": "DeviceProcessEvents | where FileName =~ 'a.exe' | project DeviceName, FileName",
    "late_shells": (
        "DeviceProcessEvents | where FileName =~ 'a.exe' and ProcessId > 4"
        " | project TimeGenerated, DeviceName"
    ),
    "tools": "DeviceProcessEvents | where ProcessId < 3 | summarize n = count() by AccountName",
    "fields": (
        "DeviceProcessEvents | where FileName == 'b.exe' and AdditionalFields.k == 1"
        " | project DeviceName, k = tolong(AdditionalFields.k)"
    ),
    "texts": "DeviceProcessEvents | where AdditionalFields has 'k' | project AdditionalFields",
    "everything": "DeviceProcessEvents | summarize n = count() by DeviceName",
}


def need(name: str) -> stage_sql.Need:
    return kql_kit.translate(HUNTS[name], name).needs["DeviceProcessEvents"]


def group_of(*names: str) -> Group:
    """The group that a file with these hunts' rows describes, as a project would load it."""
    merged = stage_sql.merged([need(name) for name in names])
    return Group("g", merged.source, merged.types, frozenset(merged.digests), is_intact=True)


@pytest.mark.parametrize("order", list(itertools.permutations(["shells", "tools", "fields"])))
def test_a_group_covers_its_hunts_and_does_not_hang_on_their_order(order: tuple[str, ...]) -> None:
    """And a hunt with one more condition than another reads the same rows."""
    group = group_of(*order)

    assert all(group.covers(need(name)) for name in order)
    assert groups.text([need(name) for name in order]) == groups.text(
        [need(name) for name in sorted(order)]
    )


def test_what_a_group_lacks_is_not_covered() -> None:
    """Neither rows nor columns are guessed to be there; all rows cover any."""
    shells = group_of("shells", "tools")
    more_columns = group_of("shells", "late_shells")

    assert not shells.covers(need("texts"))
    assert not group_of("late_shells").covers(need("shells"))
    assert not shells.covers(need("everything"))
    assert more_columns.covers(need("late_shells"))
    assert len(more_columns.branches) == 1
    assert not group_of("everything").covers(need("shells"))  # a column is missing
    both = stage_sql.merged([need("everything"), need("shells")])
    whole = Group("g", both.source, both.types, frozenset(both.digests), is_intact=True)
    assert whole.covers(need("shells"))
    assert whole.branches == {stage_sql.ALL_ROWS}


def test_an_import_shares_one_new_table_and_reads_what_is_there() -> None:
    """Hunts that need all rows have a table of their own; names that are taken are not."""
    needs = {name: {"DeviceProcessEvents": need(name)} for name in HUNTS}
    taken = {"kql_mine_device_process_events"}
    placed = groups.placed(needs, [group_of("shells")], "mine", taken)
    used = {hunt: stages["DeviceProcessEvents"] for hunt, stages in placed.stages.items()}

    assert used["shells"] == "g"
    assert used["everything"] == "kql_mine_device_process_events_whole"
    assert {used[name] for name in ("late_shells", "tools", "fields", "texts")} == {
        "kql_mine_2_device_process_events"
    }
    assert sorted(placed.new) == sorted({*used.values()} - {"g"})


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Content, Content]:
    """The hunts with a staged table each, and with shared ones."""
    alone = kql_kit.load(tmp_path_factory.mktemp("alone"), HUNTS)
    return alone, shared(tmp_path_factory.mktemp("shared"))


def shared(folder: Path) -> Content:
    made = {name: kql_kit.translate(kql, name) for name, kql in HUNTS.items()}
    placed = groups.placed({name: one.needs for name, one in made.items()}, (), "all", ())
    texts = {f"sql/stage/{name}.sql": sql for name, sql in placed.new.items()}
    for name, one in made.items():
        texts |= writing.files(kql_kit.query(HUNTS[name], name), name, one, placed.stages[name])
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return kql_kit.reload(folder)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_sharing_changes_no_row_and_no_id(both: tuple[Content, Content], seed: int) -> None:
    """Findings over shared tables are those over tables of their own, with the same ids."""
    rows = drawn(seed, 40)
    draw = random.Random(seed)  # noqa: S311 - no secret
    for number, row in enumerate(rows, 1):
        row["AdditionalFields"] = draw.choice(['{"k": 1}', "{k", "k", None])
        row["ReportId"] = number
    given = {"DeviceProcessEvents": rows}
    for name in HUNTS:
        theirs, ours = (
            sorted((str(hit.finding_id), repr(hit.row), hit.evidence_count) for hit in found)
            for found in (kql_kit.hits(content, name, given) for content in both)
        )
        assert theirs == ours, name


def test_a_loaded_group_is_read_back(both: tuple[Content, Content]) -> None:
    """From its file alone: its rows, its columns, and whether somebody edited it."""
    stage = both[1].stages["kql_all_device_process_events"]
    group = groups.read(stage)

    assert group is not None
    assert group.is_intact
    names = [name for name in HUNTS if name != "everything"]
    assert all(group.covers(need(name)) for name in names)
    assert groups.read(both[1].stages["shell_commands"]) is None


def test_events_without_an_id_of_their_own_are_told_apart(both: tuple[Content, Content]) -> None:
    """Two events at the same time that differ in a column only are two."""
    rows = [
        {"Timestamp": "2026-02-02T10:00:00Z", "DeviceName": "d", "FileName": name, "ProcessId": 1}
        for name in ("a.exe", "A.EXE")
    ]
    for content in both:
        found = kql_kit.hits(content, "shells", {"DeviceProcessEvents": rows})
        assert len({hit.finding_id for hit in found}) == 2
