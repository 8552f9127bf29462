"""Tests of staging.read_columns: what a plan leaves out changes no row; doubt means all columns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from gundog.staging import read_columns
from tests import kit
from tests.lab import SOURCE, STAGE, Lab
from tests.test_json_lines import enveloped, json_lab, plain, put, row, text, view

ALL = {"Timestamp", "Id", "RawEventData", "Score", "Flag", "TenantId"}
FEW = """\
select file_id, Id::varchar::uuid as event_id, Timestamp as event_time, '' as reject_reason,
       '' as tenant, Id as id from ({}) as picked
"""


def read(lab: Lab, sql: str) -> frozenset[str] | None:
    """What one stage with this SQL reads."""
    (stage,) = lab.stages
    return read_columns.of(lab.source, [replace(stage, sql=sql)])


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab that stages nothing."""
    return Lab(tmp_path_factory.mktemp("plans"), {"mail": STAGE}, SOURCE)


@pytest.mark.parametrize(
    ("inner", "more"),
    [
        ("select * from Cloud", set()),
        ("select * from Cloud where Flag", {"Flag"}),
        ("select * from Cloud where Score is null", {"Score"}),
        ("with a as (select * from Cloud), b as (select * from a) select * from b", set()),
        ("select *, row_number() over (order by Score) as r from Cloud", set()),
        ("select * from Cloud qualify row_number() over (order by Score) = 1", {"Score"}),
        ("select * from Cloud order by RawEventData limit 3", {"RawEventData"}),
        ("select distinct on (RawEventData) * from Cloud", {"RawEventData"}),
        ("select distinct * from Cloud", ALL),
        ("select * from Cloud where hash(Cloud) > 7", ALL),
        ("select * from Cloud where to_json(Cloud)::varchar <> ''", ALL),
        ("select * from Cloud where Id = (select max(Score)::bigint from Cloud)", {"Score"}),
        ("select * from Cloud where TenantId in (select RawEventData from Cloud)",
         {"TenantId", "RawEventData"}),
        ("select * from Cloud union select * from Cloud", ALL),
        ("select * exclude (Score) from Cloud where coalesce(*columns('Sc.*'), 0) = 0", {"Score"}),
    ],
)  # fmt: skip
def test_plan_says_what_is_read(lab: Lab, inner: str, more: set[str]) -> None:
    """However rows are named; a column that only a filter, an order or a subquery uses counts."""
    assert read(lab, FEW.format(inner)) == {"Id", "Timestamp"} | more


@pytest.mark.parametrize(
    "sql",
    [
        "select 1 as a", "not SQL", "select * from Cloud, Elsewhere",
        "select Id from read_parquet('/etc/passwd')",
    ],
)  # fmt: skip
def test_doubt_means_all_columns(lab: Lab, sql: str) -> None:
    """Nothing else than one source's table may be scanned, and it must be."""
    assert read(lab, sql) is None
    assert read_columns.of(lab.source, []) is None


def test_shipped_stages_read_few_columns() -> None:
    """That is what makes JSON lines cheap to read: a stage that cannot be told reads them all."""
    for stage in kit.shipped().stages.values():
        source = kit.shipped().sources[stage.source]
        own = read_columns.of(source, [stage])
        assert own is not None, stage.name
        assert "Timestamp" in own
        assert len(own) < len(source.columns) or stage.name == "mail_on_the_hour"


@pytest.mark.parametrize("condition", ["true /* whole */", "Score > 0", "not Flag"])
@pytest.mark.parametrize("shape", [plain, enveloped])
def test_rows_equal_those_of_parquet_whatever_a_stage_reads(
    tmp_path: Path, condition: str, shape: object
) -> None:
    """Whole rows have all their values; a filter on a column that is not kept sees its values."""
    whole = "json_extract_string(to_json(Cloud), '$.Score')"
    sql = FEW.format("select * from Cloud").replace("Id as id", f"Id as id, {whole} as score")
    sql = sql if "whole" in condition else FEW.format("select * from Cloud")
    sql = sql.replace("Id::varchar::uuid", "md5(Id::varchar)::uuid")
    sql = sql.replace("(select * from Cloud) as picked", f"Cloud where {condition}")
    rows = [row(number, Score=number % 3, Flag=number % 2 == 0) for number in range(12)]
    kept = []
    for kind in ("json", "parquet"):
        lab = json_lab(tmp_path / kind) if kind == "json" else Lab(tmp_path / kind, {"mail": STAGE})
        lab.write_stages({"mail": sql})
        if kind == "json":
            assert callable(shape)
            put(lab, text([shape(some) for some in rows]))
        else:
            lab.put(pa.Table.from_pylist(rows))
        assert lab.stage().rejected == []
        view(lab)
        kept.append(lab.rows("select * exclude (file_id) from staged_mail order by all"))
        lab.opened.close()

    assert len(kept[0]) in (12, 8, 6)
    assert kept[0] == kept[1]
