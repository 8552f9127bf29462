"""A folder of detections that somebody hostile wrote, beside a good one, through a whole night.

Whatever its YAML, hunt SQL, stage SQL and source DDL hold: the good detection's findings are those
of a night without it, nothing outside is touched, and what is printed acts on no terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from gundog.cli import main
from tests import kit
from tests.hostile import unseen
from tests.watch import Watch

RANGE = ("--from", "2026-03-02", "--to", "2026-03-04")
_COLUMNS = {
    "open_id": "event_id",
    "start_time": "event_time",
    "end_time": "event_time",
    "account_name": "who",
    "gap": "1",
    "evidence": "[{'role': 'x', 'source_table': 'Things', 'event_id': event_id}]",
}


def sql(more: str = "", table: str = "happenings", **columns: str) -> str:
    """A hunt that returns each open event, with other or more columns."""
    named = ", ".join(f"{value} as {name}" for name, value in (_COLUMNS | columns).items())
    return (
        f"select {named}{more} from {table} where event_time >= $start and event_time < $end"
        " and kind = 'open' and $within is not null"
    )


def yaml(**keys: str) -> str:
    """The good detection's YAML with other values of some keys."""
    text = kit.PAIR_YAML + kit.HEAD
    for key, value in {"sql": "@NAME@.sql", "name": "Evil", "id": "@ID@", **keys}.items():
        line = f"{key}: {value}"
        found = re.sub(rf"(?m)^{key}:.*$", lambda _, line=line: line, text)
        text = found if found != text else f"{text}{line}\n"
    return text


def staged(alias: str, value: str = "1") -> str:
    """The good stage with one more column."""
    return kit.STAGE.replace("N as n\n", f"N as n, {value} as {alias}\n")


# Values of columns that findings have, too: only some may be filled by a hunt, and with sense.
FILLS = {
    "finding_id": "'00000000-0000-0000-0000-000000000000'::uuid",
    "detection_id": "'11111111-1111-4111-8111-111111111111'",
    "detection_name": "'Opened and closed'",
    "suppressed_by": "'x'",
    "triage_status": "'closed'",
    "run_id": "'x'",
    "interval_start": "'x'",
    "title": "'forged'",
    "severity": "'critical\N{RIGHT-TO-LEFT OVERRIDE}'",
    "risk_score": "99999999999999999999",
    "score": "'abc'",
    "observed": "'nan'::double",
    "updated_at": "'infinity'::timestamptz",
    "tactics": "1",
    "entities": "'{'",
    "details": "'{'",
    "evidence_count": "-5",
    "suppressed_count": "'x'",
    "is_late": "'x'",
    "origin": "'x'",
    "tenant": "null",
    "reason": "repeat('x', 100000)",
    "host_name": "[1]",
}
TIMES = (
    "'infinity'::timestamptz", "'-infinity'::timestamptz", "'290000-01-01'::timestamptz",
    "'4000-01-01 (BC)'::timestamptz", "null::timestamptz", "'0001-01-01'::timestamptz",
    "event_time - interval 9000 day",
)  # fmt: skip
VALUES = (
    "'nan'::double", "'-inf'::double", "170141183460469231731687303715884105727::hugeint",
    "1.5::decimal(38, 30)", "interval 99999999 month", "'\\xAA'::blob", "'0101'::bit",
    "map {[1]: {'a': 1}}", "union_value(a := 1)", "'a'::enum('a', 'b')", "'24:00:00'::time",
    "'01:02:03+15:59'::timetz", "'infinity'::date", "'0044-03-15 (BC)'::date", "'[1]'::json",
    "12345678901234567890123456789012345678901234567890::bignum", "chr(0)", "'{account_name}'",
    "'2020-01-01 00:00:00.123456789'::timestamp_ns", "[[[[[[[[[[[[1]]]]]]]]]]]]", "1::variant",
    "{'a b\"': 1, 'c': [{'d': null}]}", "[1, 2]::integer[2]", "happenings",
)  # fmt: skip
TITLES = (
    "{account_name.__class__.__mro__}", "{account_name[0]}", "{account_name:>999999999}",
    "{account_name:{gap}}", "{0} {}", "{account_name!x}", "{", "}", "\\e]0;owned\\a\\e[2J\\u202e",
    "${HOME}", "x" * 100_000,
)  # fmt: skip
ALIASES = (
    "rowid", "is_copy", '"IS_COPY"', "rows", '"file_id "', "seq", '"select"', "\"a'b\"", '"%s"',
    '"{x}"', '"?"', '"$start"', '"\N{RIGHT-TO-LEFT OVERRIDE}x"', '"  "', '"main.x"', '"a""b"',
    '"a"") ; copy (select 1) to \'written.csv\'; create table planted (""b"', "hour", "verdict",
)  # fmt: skip
TYPES = (
    "'it''s\"'::enum('it''s\"')", "'x'::enum('a'') integer); create table planted (b enum(''c')",
    "{'a\" INTEGER)); create table planted (b struct(\"c': 1}", 'union_value("a""b" := 1)',
    "'01'::bit", "1::variant", "1::bignum", "row(1, 2)", "[]", "null", "'a' collate nocase",
)  # fmt: skip
STAGES = {
    "fails on every row": staged("odd", "cast(Kind as integer)"),
    "another file's rows": kit.STAGE.replace("    file_id,", "    file_id + 1 as file_id,"),
    "no file": kit.STAGE.replace("    file_id,", "    null::bigint as file_id,"),
    "one event": kit.STAGE.replace("md5(concat_ws('/', Id, Timestamp))", "md5('x')"),
    "no event": kit.STAGE.replace("md5(concat_ws('/', Id, Timestamp))::uuid", "null::uuid"),
    "no time": kit.STAGE.replace('"Timestamp" as', "null::timestamptz as"),
    "endless": kit.STAGE.replace('"Timestamp" as', "'infinity'::timestamptz as"),
    "year 9999": kit.STAGE.replace('"Timestamp" as', "'9999-12-31'::timestamptz as"),
    "odd tenant": kit.STAGE.replace(
        "coalesce(TenantId, '')", "'\N{RIGHT-TO-LEFT OVERRIDE}' || chr(27) || chr(0) || chr(10)"
    ),
    "long reason": kit.STAGE.replace("'N below zero'", "repeat(chr(27), 10000)"),
    "nothing": kit.STAGE.replace("where Kind is not null", "where false"),
}
PARAMS = (
    "99999999999999999999999999", "2026-01-01", "!!binary aGVsbG8=", "{a: [1, {b: c}]}", ".nan",
    "!!set {a, b}", "!!python/object/apply:os.system ['touch pwned']", "[]", "null",
)  # fmt: skip
YAMLS = {
    "the good one's id in capitals": yaml(id="11111111-1111-4111-8111-111111111111".upper()),
    "the good one's id in brackets": yaml(id="'{11111111-1111-4111-8111-111111111111}'"),
    "the good one's id without dashes": yaml(id="'11111111111141118111111111111111'"),
    "SQL outside": yaml(sql="../outside/secret.sql"),
    "SQL by its full path": yaml(sql="/etc/passwd"),
    "a parameter of the engine": yaml(params="{within: 1d, start: 2020-01-01}"),
    "a parameter that is SQL": yaml(params="{within: 1d, 'a\"; copy': 1}"),
    "suppression by SQL": yaml(suppression='{groupBy: ["a\\") from x; --"], duration: 1d}'),
    "an entity that is SQL": yaml(
        entityMappings="[{entityType: Account, fieldMappings:"
        ' [{identifier: Name, columnName: "a\\"; drop"}]}]'
    ),
    "prose that acts": yaml(description='"\\e[31m\\u202e<script>@everyone"'),
    "a series": yaml(kind="series"),
}
SOURCES = {
    "copies": "create table @NAME@ (Timestamp timestamptz); copy (select 1) to 'written.csv'",
    "selects": "create table @NAME@ as select timestamptz '2026-01-01' as Timestamp",
    "defaults": "create table @NAME@ (Timestamp timestamptz, a text default (getenv('HOME')))",
    "nests": f"create table @NAME@ (Timestamp timestamptz, a {'struct(a ' * 200}text{')' * 200})",
    "attaches": "attach 'written.duckdb' as @NAME@",
}


def _packs() -> Iterator[dict[str, str]]:
    """The files of each pack; a number takes the place of its name and its id."""
    hunt, good = "sql/@NAME@.sql", yaml()
    detection, stage = "detections/@NAME@.yaml", "sql/stage/@NAME@.sql"
    for name, value in FILLS.items():
        yield {hunt: sql(f", {value} as {name}"), detection: good}
    for value in TIMES:
        yield {hunt: sql(start_time=value), detection: good}
        yield {hunt: sql(end_time=value), detection: good}
    for value in VALUES:
        yield {hunt: sql(f", {value} as odd"), detection: yaml(title='"{odd} x"')}
    for title in TITLES:
        yield {hunt: sql(), detection: yaml(title=f'"{title}"')}
    for text in YAMLS.values():
        yield {hunt: sql(), detection: text}
    for value in PARAMS:
        asked = sql().replace("$within is", "$odd is not null and $within is")
        yield {hunt: asked, detection: yaml(params=f"{{within: 1d, odd: {value}}}")}
    stages = [*map(staged, ALIASES), *(staged("odd", one) for one in TYPES), *STAGES.values()]
    for text in stages:
        yield {hunt: sql(table="@NAME@"), detection: good, stage: text}
    for text in SOURCES.values():
        yield {"sql/sources/@NAME@.sql": text}


def _write(root: Path, number: int, files: dict[str, str]) -> None:
    for name, text in files.items():
        for old, new in (("@NAME@", f"evil_{number}"), ("@ID@", str(UUID(int=number)))):
            name, text = name.replace(old, new), text.replace(old, new)
        kit.write_text(root / name, text)


@pytest.mark.slow
@pytest.mark.stress
def test_a_hostile_pack_touches_and_stops_nothing_but_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over a hundred packs at once, each trying something else, cost the good hunt nothing."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.sql").write_text("tell nobody")
    monkeypatch.chdir(outside)
    root = kit.make_project(tmp_path / "project")
    kit.fill_days(root, "2026-03-01", 4)
    for turn, day in enumerate(("2026-03-02", "2026-03-03")):
        rows = [kit.event(f"{day}T10:00", "open", "a", 100 + turn),
                kit.event(f"{day}T11:00", "close", "a", 200 + turn)]  # fmt: skip
        kit.write_file(root, day, rows)
    packs = list(_packs())
    for number, files in enumerate(packs, 1):
        _write(root / "pack", number, files)
    kit.write_text(root / "gundog.yaml", kit.CONFIG.replace("[.]", "[., pack]"))
    watch = Watch(outside)

    done = [main.main([*words, "--project", str(root)])
            for words in (["check"], ["hunt", *RANGE], ["findings"], ["status"])]  # fmt: skip

    said = "".join(capsys.readouterr())
    good = "select count(*) from findings where detection_name = 'Opened and closed'"
    assert len(packs) > 100
    assert done == [2, 1, 0, 1]
    assert kit.table(root, f"{good} and title = 'a opened and closed after 1h'") == [(2,)]
    assert unseen(said) == []
    assert "Traceback" not in said
    assert "tell nobody" not in said
    assert watch.touched() == set()
    assert [path.name for path in outside.iterdir()] == ["secret.sql"]
    watch.close()
