"""Tests of detections.content and its parts: every problem of every file at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from gundog.detections import (
    content,
    content_folder,
    detection_yaml,
    source_ddl,
    stage_sql,
    table_files,
)
from gundog.detections.hunt import Content
from gundog.testing import examples
from gundog.warehouse import statement
from tests import draws, hostile_files, kit

Edit = Callable[[str, str], Content]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The small project, with both kinds of hunts."""
    return kit.make_project(tmp_path, series=True)


def load(root: Path, overrides: dict[str, object] | None = None) -> Content:
    """The content of a folder."""
    return content.load([root], overrides, root)


def problems(root: Path, overrides: dict[str, object] | None = None) -> list[str]:
    """Every problem as people read it."""
    return [str(problem) for problem in load(root, overrides).problems]


def edit(root: Path, name: str, old: str, new: str) -> None:
    """Replaces a text that must be there."""
    path = root / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_small_project_loads_without_problems(root: Path) -> None:
    """The kit's content is right, so that each test below breaks one thing."""
    loaded = load(root)

    assert loaded.problems == ()
    assert [hunt.detection.stem for hunt in loaded.hunts] == ["count", "pair"]
    assert loaded.hunt("pair").sources == ("Things",)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("severity: medium", "severty: medium", "severty: unknown key: did you mean severity?"),
        ("severity: medium", "severity: hihg", "severity: unknown value: did you mean high?"),
        ("riskScore: 50", "riskScore: lots", "riskScore: is 'lots': write a whole number"),
        ("riskScore: 50", "riskScore: 500", "riskScore: is 500: write a whole number"),
        ("id: 11111111", "id: 1111", "id: is '1111-1111-4111-8111-111111111111': write a UUID"),
        ("sql: pair.sql", "sql: pear.sql", "sql: sql/pear.sql does not exist"),
        ("lookback: 1d", "lookback: 6h", "lookback: is 6h, shorter than params.within: make it"),
        ("lookback: 1d", "lookback: soon", "lookback: 'soon' is not a duration"),
        (
            "lookback: 1d",
            "lookback: 1d\noptionalTables: [others]",
            "optionalTables: names others, which sql/pair.sql does not read: remove it",
        ),
        (
            "lookback: 1d",
            "lookback: 1d\noptionalTables: [happenings]",
            "optionalTables: names every table that the SQL reads",
        ),
        ("{within: 1d}", "{within: 1d, n: 2}", "params.n: is not used by sql/pair.sql"),
        ("{within: 1d}", "{}", "params.within: is missing, but sql/pair.sql uses $within"),
        ("identity: [open_id]", "identity: [opened]", "opened: is not returned: add this column"),
        ("identity: [open_id]\n", "", "identity: is missing"),
        ("{account_name} opened", "{acount_name} opened", "title: names 'acount_name'"),
        ("columnName: account_name", "columnName: acct", "entityMappings: names 'acct'"),
        ("tactics: [Collection]", "tactics: [Colection]", "did you mean Collection?"),
        ("[T1114.002]", "[T1114.2]", "relevantTechniques: 'T1114.2' is not a technique"),
        ("blindSpots: [b]", "blindSpots: []", "blindSpots: is empty"),
        ("triage: [look at it]\n", "", "triage: is missing"),
        ("findings: []", "findings: [{}]", "examples: all of them fire"),
        ("  - name: silent", "  - nam: silent", "examples.1.nam: unknown key"),
        ("kind: match", "kind: mach", "kind: unknown value: did you mean match?"),
        ("riskScore: 50", "riskScore: 50\nriskScore: 60", "duplicate key 'riskScore'"),
        ("riskScore: 50", "riskScore: 50\nsuppression: {groupBy: [nobody], duration: 1d}",
         "suppression.groupBy: names 'nobody'"),
        ("riskScore: 50", "riskScore: 50\nsuppression: {groupBy: [account_name]}",
         "suppression.duration: '' is not a duration"),
        ("status: stable", "status: 2026-13-45", "cannot be read: month must be in 1..12"),
        ("name: Opened and closed", "name: [", "cannot be read"),
    ],
)  # fmt: skip
def test_each_mistake_in_a_detection_is_named(root: Path, old: str, new: str, problem: str) -> None:
    """Path, key and what to do about it."""
    edit(root, "detections/pair.yaml", old, new)

    found = problems(root)

    assert any(problem in one for one in found), found
    assert all(one.startswith(("detections/pair.yaml: ", "sql/pair.sql: ")) for one in found)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "threshold: 4",
            "threshold: 4, alertBudget: 1",
            "series.threshold: cannot be used with alert",
        ),
        ("measure: n", "measure: nn", "nn: is not returned"),
        ("threshold: 4", "threshold: 4, newness: [fresh]", "fresh: is not returned"),
        ("by: [tenant, who]", "by: [tenant, whom]", "whom: is not returned"),
        ("threshold: 4", "threshold: -4", "series.threshold: is -4: write a number above 0"),
        ("threshold: 4", "timeZone: Mars/Olympus", "series.timeZone: is 'Mars/Olympus'"),
        (
            "sql: count.sql",
            "sql: count.sql\nfrequency: 90m",
            "frequency: of a series must be whole",
        ),
    ],
)
def test_each_mistake_in_a_series_is_named(root: Path, old: str, new: str, problem: str) -> None:
    """A series has settings of its own."""
    edit(root, "detections/count.yaml", old, new)

    found = problems(root)

    assert any(problem in one for one in found), found


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("o.tenant,\n", "o.tenant, o.colour,\n", "add it to sql/stage/happenings.sql"),
        ("from happenings", "from Things", "Things"),
        ("where end_time >= $start", "where end_time >= now()", "now"),
        ("with events", "copy (select 1) to 'x'; with events", "statement"),
        (
            "select\n    *,\n    [",
            "select * replace (end_time::varchar as end_time), [",
            "end_time: has the type VARCHAR",
        ),
        ("order by start_time, open_id", "order by", "sql/pair.sql"),
    ],
)
def test_each_mistake_in_hunt_sql_is_named(root: Path, old: str, new: str, problem: str) -> None:
    """A column that is not staged names the stage file to extend; only one SELECT runs."""
    edit(root, "sql/pair.sql", old, new)

    found = problems(root)

    assert any(problem in one for one in found), found


@pytest.mark.parametrize(
    "call",
    [
        "normalise_command_line(account)",
        "NORMALISE_RECORD(account, 'Id')",
        "(select cmdlets_run(account))",
    ],
)
def test_functions_of_stages_are_refused_in_hunts(root: Path, call: str) -> None:
    """The process that hunts does not have them: said by check, not at night."""
    edit(root, "sql/pair.sql", "select", f"select {call} as more,")

    assert [text for text in problems(root) if "only stages may call" in text]


def test_a_misspelt_column_keeps_its_candidate(root: Path) -> None:
    """In hunt and stage SQL alike, DuckDB knows what was meant."""
    edit(root, "sql/pair.sql", "select * from happenings", "select *, knd from happenings")
    (hunt,) = problems(root)
    assert 'candidates: "kind"' in hunt
    edit(root, "sql/pair.sql", "select *, knd from happenings", "select * from happenings")
    edit(root, "sql/stage/happenings.sql", "lower(Kind)", "lower(Knid)")
    assert any('candidates: "Kind"' in one for one in problems(root))


def test_hunt_without_bounds_is_refused(root: Path) -> None:
    """A hunt that ignores $end would find the same rows in every interval."""
    edit(root, "sql/count.sql", "event_time >= $start and event_time < $end and ", "")

    found = problems(root)

    assert any("$start: is not used" in one for one in found)
    assert any("$end: is not used" in one for one in found)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("    file_id,\n", "", "file_id: must be returned"),
        ("::uuid as event_id", " as event_id", "event_id: must be returned, with the type UUID"),
        ("from Things", "from Thinks", "Thinks"),
        ("from Things", "from Things, Things as t", "ambiguous"),
    ],
)
def test_each_mistake_in_stage_sql_is_named(root: Path, old: str, new: str, problem: str) -> None:
    """A stage returns what every staged table has, from exactly one source."""
    edit(root, "sql/stage/happenings.sql", old, new)

    found = problems(root)

    assert any(problem.lower() in one.lower() for one in found), found


def test_stage_may_not_take_the_name_of_another_table(root: Path) -> None:
    """A staged table named like a source or one of gundog's own would hide it."""
    (root / "sql/stage/happenings.sql").rename(root / "sql/stage/findings.sql")

    assert any("'findings' is taken" in one for one in problems(root))


def test_source_needs_a_timestamp(root: Path) -> None:
    """Every event has a time, and its column one name."""
    edit(root, "sql/sources/Things.sql", "Timestamp TIMESTAMPTZ", "Moment TIMESTAMPTZ")

    assert any("Timestamp: is missing" in one for one in problems(root))


def test_problems_of_all_files_come_at_once(root: Path) -> None:
    """A reader mends everything in one go."""
    edit(root, "detections/pair.yaml", "severity: medium", "severity: hihg")
    edit(root, "detections/pair.yaml", "riskScore: 50", "riskScore: 500")
    edit(root, "detections/count.yaml", "severity: low", "severity: lo")

    found = problems(root)

    assert len(found) == 3
    assert any("500" in problem for problem in found)


def test_an_id_is_used_once(root: Path) -> None:
    """Two detections with one id would overwrite each other's findings."""
    edit(root, "detections/count.yaml", "22222222-2222-4222-8222-222222222222",
         "11111111-1111-4111-8111-111111111111")  # fmt: skip

    assert any("is also the id of" in one for one in problems(root))


def test_sentinels_own_keys_are_understood(root: Path) -> None:
    """queryFrequency, queryPeriod and version of a pasted rule say what ours say."""
    edit(
        root,
        "detections/pair.yaml",
        "lookback: 1d",
        "queryPeriod: P1D\nqueryFrequency: 12h\nversion: 1.0.0",
    )

    loaded = load(root)

    assert loaded.problems == ()
    assert loaded.hunt("pair").detection.frequency.total_seconds() == 12 * 3600


def test_defense_evasion_is_read_as_its_present_name(root: Path) -> None:
    """ATT&CK split Defense Evasion; rules that say it still load."""
    edit(root, "detections/pair.yaml", "[Collection]", "[DefenseEvasion]")

    assert load(root).hunt("pair").detection.tactics == ("Stealth",)


def test_overrides_tune_without_a_fork(root: Path) -> None:
    """Parameters, severity and enabled follow gundog.yaml; the rest stays."""
    plain = load(root).hunt("pair")
    tuned = load(root, {"pair": {"params": {"within": "12h"}, "severity": "high"}}).hunt("pair")
    off = load(root, {"pair": {"enabled": False}}).hunt("pair")

    assert tuned.detection.params["within"].total_seconds() == 12 * 3600
    assert tuned.detection.severity == "high"
    assert tuned.hash != plain.hash
    assert not off.detection.runs


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ({"piar": {"enabled": False}}, "overrides.piar: unknown detection: did you mean pair?"),
        ({"pair": {"params": {"withn": "1h"}}}, "overrides.params.withn: unknown parameter"),
    ],
)
def test_overrides_that_match_nothing_are_named(
    root: Path, overrides: dict[str, object], problem: str
) -> None:
    """A typo in an override must not leave a detection as it was in silence."""
    assert any(problem in one for one in problems(root, overrides))


def test_prose_changes_no_hash_and_rows_do(root: Path) -> None:
    """Only what can change rows is hashed."""
    before = load(root).hunt("pair").hash
    edit(root, "detections/pair.yaml", "severity: medium", "severity: high")
    edit(root, "detections/pair.yaml", "description: d", "description: another")
    assert load(root).hunt("pair").hash == before

    edit(root, "detections/pair.yaml", "within: 1d", "within: 12h")
    assert load(root).hunt("pair").hash != before


def test_later_folder_replaces_a_stage_of_an_earlier_one(root: Path, tmp_path: Path) -> None:
    """Your own stage extends a shipped one by taking its place."""
    mine = tmp_path / "mine"
    kit.write_text(
        mine / "sql/stage/happenings.sql", kit.STAGE.replace("N as n", "N as n, Kind as raw_kind")
    )

    loaded = content.load([root, mine], None, root)

    assert loaded.problems == ()
    assert "raw_kind" in dict(loaded.stages["happenings"].columns)


@pytest.mark.parametrize(
    ("call", "module"),
    [
        ("normalise_command_line(Who).text", "command_lines"),
        ("NORMALISE_command_line(Who).text", "command_lines"),
        ("normalise_record(Who, 'Id')", "records"),
    ],
)
def test_hash_of_a_stage_follows_the_version_of_what_it_calls(
    root: Path, monkeypatch: pytest.MonkeyPatch, call: str, module: str
) -> None:
    """Its own function's version and nobody else's; the code of it, or a comment, is nothing."""
    source = load(root).sources["Things"]
    plain, calls = f"select 1 -- as {call}", f"select {call} from Things"

    def hashes() -> list[str]:
        return [stage_sql.stage_hash(sql, source) for sql in (plain, calls)]

    before = hashes()
    for other in set(stage_sql.VERSIONS) - {call.partition("(")[0].lower()}:
        monkeypatch.setitem(stage_sql.VERSIONS, other, 99)
    assert hashes() == before
    monkeypatch.setattr(f"gundog.detections.{module}.normalise", lambda *_: None)
    assert hashes() == before
    monkeypatch.setitem(stage_sql.VERSIONS, call.partition("(")[0].lower(), 99)

    assert hashes()[0] == before[0]
    assert hashes()[1] != before[1]


def test_alias_with_a_quote_is_only_a_name(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an alias of stage SQL holds never runs as SQL, and an innocent quote is a column."""
    monkeypatch.chdir(tmp_path)
    injected = 'a"" INTEGER); copy (select 1) to \'written.csv\'; create table x (""b'
    edit(
        root, "sql/stage/happenings.sql", "N as n\n", f'N as n, 1 as "{injected}", 2 as "in""ch"\n'
    )

    loaded = load(root)

    assert loaded.problems == ()
    columns = dict(loaded.stages["happenings"].columns)
    assert 'in"ch' in columns
    assert injected.replace('""', '"') in columns
    assert not (tmp_path / "written.csv").exists()


@pytest.mark.parametrize("place", ["source", "stage", "hunt"])
def test_loading_cannot_touch_files_even_where_nothing_is_checked(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The locked connection is a layer of its own: with no check nothing is read or written."""
    secret, written = tmp_path / "secret.csv", tmp_path / "written.csv"
    secret.write_text("secret\nhush\n")
    monkeypatch.setattr(statement, "check_statement", lambda *_: [])
    monkeypatch.setattr(source_ddl, "read", lambda text, _: text)
    peek = f"(select secret from read_csv('{secret}'))"
    if place == "source":
        text = f"copy (select 1) to '{written}'; create table Evil (Timestamp timestamptz)"
        kit.write_text(root / "sql/sources/Evil.sql", text)
    elif place == "stage":
        more = kit.STAGE.replace("N as n\n", f"{peek} as n\n")
        kit.write_text(root / "sql/stage/evil.sql", more)
    else:
        edit(root, "sql/pair.sql", "\n    *,", f"\n    {peek} as leaked, *,")

    told = problems(root)

    assert any("disabled" in problem for problem in told)
    assert not written.exists()


def test_source_ddl_that_is_more_than_a_table_never_runs(root: Path, tmp_path: Path) -> None:
    """Another statement in a file of sql/sources is a problem that names it; the rest loads."""
    written = tmp_path / "written.csv"
    kit.write_text(
        root / "sql/sources/Evil.sql",
        f"create table Evil (Timestamp timestamptz); copy (select 1) to '{written}'",
    )

    told = problems(root)

    assert any("sql/sources/Evil.sql" in problem and "'copy'" in problem for problem in told)
    assert [hunt.detection.stem for hunt in load(root).hunts] == ["count", "pair"]
    assert not written.exists()


def hostile(root: Path, name: str, what: str) -> None:
    """Something that is not text in a file's place."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if what == "folder":
        path.mkdir()
    elif what == "dangling link":
        path.symlink_to(root / "none")
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "latin-1":
        path.write_bytes(b"-- caf\xe9\nselect 1\n")
    elif what == "larger than 1 MB":
        path.write_bytes(b"-- x\n" * 300_000)


NO_TEXTS = ("folder", "dangling link", "pipe", "latin-1", "larger than 1 MB")


@pytest.mark.parametrize("what", NO_TEXTS)
@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("sql/pair.sql", {"count"}),
        ("sql/sources/More.sql", {"count", "pair"}),
        ("sql/stage/more.sql", {"count", "pair"}),
        ("detections/more.yaml", {"count", "pair"}),
        ("detections/deep/more.yml", {"count", "pair"}),
    ],
)
def test_what_is_no_text_is_named_and_the_rest_loads(
    root: Path, name: str, left: set[str], what: str
) -> None:
    """Wherever a file is read: each ended every command in a traceback, or was read for ever."""
    hostile(root, name, what)

    loaded = load(root)

    assert {hunt.detection.stem for hunt in loaded.hunts} == left
    [problem] = [str(one) for one in loaded.problems]
    assert problem.startswith(f"{name}: ")
    assert content_folder.DEFECT not in problem


@pytest.mark.parametrize(
    "name", ["sql/sources/ev\udcffil.sql", "sql/stage/ev\udcffil.sql", "detections/ev\udcffil.yaml"]
)
def test_file_name_that_is_not_utf8_is_named(root: Path, name: str) -> None:
    """As bytes that people can read, in text that every table can keep."""
    kit.write_text(root / name, "select 1")

    loaded = load(root)

    [problem] = [str(one) for one in loaded.problems]
    assert problem == name.replace("\udcff", "\\xff") + ": has a name that is not UTF-8: rename it"
    assert len(loaded.hunts) == 2


def test_folder_whose_name_is_not_utf8_may_hold_detections(root: Path) -> None:
    """Only names that findings and messages carry have to be text; paths are shown readably."""
    kit.write_text(root / "detections/\udcff/more.yaml", "id: x\n")

    assert all(one.startswith("detections/\\xff/more.yaml: ") for one in problems(root))


@pytest.mark.parametrize("folder", ["detections", "sql/stage", "sql/sources"])
def test_file_in_the_place_of_a_folder_is_named(root: Path, tmp_path: Path, folder: str) -> None:
    """Else content would be gone in silence."""
    mine = tmp_path / "mine"
    kit.write_text(mine / folder, "x")

    loaded = content.load([root, mine], None, root)

    assert any("is not a folder" in str(one) for one in loaded.problems)
    assert len(loaded.hunts) == 2


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("lookback: 1d", "lookback: 1100000d", "lookback: is 1100000d: write at most 3650d (10"),
        ("lookback: 1d", "lookback: 1d\nfrequency: 4m", "frequency: is 4m: write at least 5m and"),
        ("lookback: 1d", "lookback: 1d\nfrequency: 4000d", "frequency: is 4000d: write at least"),
        ("{within: 1d}", "{within: 3651d}", "params.within: is 3651d: write at most 3650d"),
        ("{within: 1d}", "{within: 99999999999d, n: 1}", "params.n: is not used by"),
        ("riskScore: 50", "suppression: {groupBy: [account_name], duration: 999999999d}",
         "suppression.duration: is 999999999d: write at most 3650d"),
        ("{within: 1d}", "{within: 9223372036854775808}", "params.within: is 9223372036854775808:"),
        ("{within: 1d}", "{within: .nan}", "params.within: is nan: write a number, a text"),
        ("{within: 1d}", "&r {within: 1d, x: [*r]}", "the anchor 'r' contains itself"),
        ("name: Opened and closed", 'name: "\\uD800"', "line 2: cannot be read: holds half of a"),
        ("name: Opened and closed", "name: " + "x" * 20_000, "name: has 20,000 characters: write"),
        ("sql: pair.sql", "sql: " + "a" * 5_000, "is not a file below sql/: write letters A to Z"),
        ("sql: pair.sql", "sql: " + "a/" * 300 + "a.sql", "is not a file below sql/"),
        ("Id: 1, Kind: open, Who: a}]}\n    findings: []",
         "Id: 1, repeat: {every: 3000d, times: 9}}]}\n    findings: []",
         "repeat.times: spans 27000d: write at most 3650d"),
        ("  - name: silent\n    interval: [2026-03-01, 2026-03-02]",
         "  - name: silent\n    interval: [0001-01-01, 9999-12-31]",
         "interval: is longer than 10 years"),
    ],
)  # fmt: skip
def test_value_out_of_bounds_concerns_its_file_alone(
    root: Path, old: str, new: str, problem: str
) -> None:
    """Each ended every command in a traceback; messages show the beginning of long values."""
    edit(root, "detections/pair.yaml", old, new)

    loaded = load(root)

    assert any(problem in str(one) for one in loaded.problems), loaded.problems
    assert all(len(str(one)) < 500 for one in loaded.problems)
    assert [hunt.detection.stem for hunt in loaded.hunts] == ["count"]


@pytest.mark.parametrize("key", ["alertBudget", "minCount", "threshold"])
def test_numbers_beyond_all_counting_are_refused(root: Path, key: str) -> None:
    """A budget of 1e308 times ten was infinite, and ended the night after the hunts."""
    for number in ("1.0e+308", "1" + "0" * 90, "-1", ".nan", ".inf"):
        text = kit.COUNT_YAML.replace("threshold: 4", f"{key}: {number}")
        kit.write_text(root / "detections/count.yaml", text + kit.HEAD)

        assert any(f"series.{key}: is " in one for one in problems(root)), number


@pytest.mark.parametrize("names", [("a", "z"), ("z", "a")])
@pytest.mark.parametrize("broken", [False, True])
def test_doubled_id_is_named_whichever_comes_first(
    root: Path, names: tuple[str, str], broken: bool
) -> None:
    """Also where one of the two does not load; then the other one runs."""
    (root / "detections/pair.yaml").unlink()
    text = kit.PAIR_YAML + kit.HEAD
    kit.write_text(root / f"detections/{names[0]}.yaml", text)
    kit.write_text(root / f"detections/{names[1]}.yaml", text + ("nonsense: 1\n" if broken else ""))

    loaded = load(root)

    first, second = (f"detections/{one}.yaml" for one in (names if broken else sorted(names)))
    assert f"{second}: id: is also the id of {first}: make a new one" in map(str, loaded.problems)
    assert {hunt.detection.shown for hunt in loaded.hunts} == {"detections/count.yaml", first}


def test_doubled_name_is_named_and_one_runs(root: Path) -> None:
    """Exceptions, overrides and commands go by the name; in two folders or below one."""
    other = kit.PAIR_YAML.replace("11111111", "33333333") + kit.HEAD
    kit.write_text(root / "detections/sub/pair.yml", other)

    loaded = load(root)

    assert [str(one) for one in loaded.problems] == [
        "detections/sub/pair.yml: has the name of detections/pair.yaml: rename one of them"
    ]
    assert loaded.hunt("pair").detection.id.startswith("1111")


BASES = {
    "pair": yaml.safe_load(
        kit.PAIR_YAML + kit.HEAD + "frequency: 1d\nreferences: [x]\nrelated: [{id: x}]\n"
        "suppression: {groupBy: [account_name], duration: 1d}\n"
    ),
    "count": yaml.safe_load(
        (kit.COUNT_YAML + kit.HEAD).replace("threshold: 4", "threshold: 4, minCount: 1, until: 1d")
    ),
}


@given(st.sampled_from(sorted(BASES)), st.data())
@draws.law(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_value_at_any_place_stops_the_others(root: Path, base: str, data: st.DataObject) -> None:
    """What is wrong is named briefly, in text that can be kept; what loads can be tried."""
    plain = BASES[base] | {"id": "99999999-9999-4999-8999-999999999999"}
    place = data.draw(st.sampled_from(list(hostile_files.places(plain))))
    value = data.draw(st.sampled_from(hostile_files.VALUES))
    kit.write_text(
        root / "detections/evil.yaml", hostile_files.dump(hostile_files.put(plain, place, value))
    )

    loaded = load(root)

    said = [str(one) for one in loaded.problems]
    assert {"count", "pair"} <= {hunt.detection.stem for hunt in loaded.hunts}
    assert all(one.encode() and len(one) < 1_000 for one in said)
    assert not any(content_folder.DEFECT in one for one in said)
    for hunt in loaded.hunts:
        if hunt.detection.stem == "evil":
            for example in hunt.detection.examples:
                examples.check(loaded, hunt, example)


def test_example_at_the_end_of_the_calendar_says_so(root: Path) -> None:
    """`gundog test` ended in a traceback."""
    edit(root, "detections/pair.yaml", "2026-03-01T02:00:00Z", "9999-12-31T23:59:00Z")
    loaded = load(root)
    [fires, _] = loaded.hunt("pair").detection.examples

    [problem] = examples.check(loaded, loaded.hunt("pair"), fires)
    assert "at an end of the calendar" in problem


@pytest.mark.parametrize(
    ("module", "part"),
    [(detection_yaml, "load"), (table_files, "_load_source"), (table_files, "_load_stage")],
)
def test_error_that_nobody_foresaw_stays_with_its_file(
    root: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, part: str
) -> None:
    """A defect of gundog's own is not a reason to hunt nothing."""
    kit.write_text(root / "detections/more.yaml", "id: x\n")
    kit.write_text(root / "sql/sources/More.sql", kit.SOURCE.replace("Things", "More"))
    kit.write_text(root / "sql/stage/more.sql", kit.STAGE)
    real = getattr(module, part)

    def failing(*arguments: object) -> object:
        if any("ore." in str(one) for one in arguments):
            raise TypeError("no such thing\nat all")
        return real(*arguments)

    monkeypatch.setattr(module, part, failing)
    loaded = load(root)

    assert f"{content_folder.DEFECT} (TypeError: no such thing)" in str(loaded.problems)
    assert len(loaded.hunts) == 2
