"""OCSF Detection Findings as parquet: the same nested columns in every file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from gundog.export.ocsf_parts import Part

_TEXT, _INT, _LONG, _FLAG = pa.string(), pa.int32(), pa.int64(), pa.bool_()
_BATCH = 200


def _struct(**fields: Any) -> pa.DataType:
    return pa.struct([pa.field(name, kind) for name, kind in fields.items()])


_NAMED = _struct(name=_TEXT, uid=_TEXT)
_OBSERVATIONS = pa.list_(
    _struct(
        value=_TEXT,
        timespan=_struct(start_time=_LONG, end_time=_LONG, duration_hours=_INT),
    )
)
_ANALYSIS = pa.list_(
    _struct(
        observation_parameter=_TEXT,
        observation_type=_TEXT,
        observations=_OBSERVATIONS,
        observed_pattern=_TEXT,
    )
)
_EVIDENCE = _struct(
    name=_TEXT,
    uid=_TEXT,
    data=_TEXT,
    device=_struct(hostname=_TEXT, type_id=_INT),
    src_endpoint=_struct(ip=_TEXT),
    user=_NAMED,
    process=_struct(cmd_line=_TEXT, pid=_INT),
)
_FINDING_INFO = _struct(
    uid=_TEXT,
    title=_TEXT,
    desc=_TEXT,
    analytic=_struct(
        uid=_TEXT,
        name=_TEXT,
        desc=_TEXT,
        version=_TEXT,
        type_id=_INT,
        type=_TEXT,
        state_id=_INT,
        state=_TEXT,
    ),
    attacks=pa.list_(_struct(version=_TEXT, tactic=_NAMED, technique=_NAMED, sub_technique=_NAMED)),
    created_time=_LONG,
    modified_time=_LONG,
    first_seen_time=_LONG,
    last_seen_time=_LONG,
    related_events_count=_LONG,
    data_sources=pa.list_(_TEXT),
)
_METADATA = _struct(
    version=_TEXT,
    profiles=pa.list_(_TEXT),
    product=_struct(name=_TEXT, vendor_name=_TEXT, version=_TEXT),
    uid=_TEXT,
    event_code=_TEXT,
    tenant_uid=_TEXT,
    logged_time=_LONG,
    modified_time=_LONG,
)
_PLAIN = {
    _INT: "activity_id category_uid class_uid severity_id risk_score status_id verdict_id",
    _LONG: "type_uid time start_time end_time",
    _FLAG: "is_alert",
    _TEXT: "activity_name category_name class_name type_name message severity status status_detail"
    " verdict comment unmapped",
}
_NESTED = {
    "metadata": _METADATA,
    "finding_info": _FINDING_INFO,
    "evidences": pa.list_(_EVIDENCE),
    "anomaly_analyses": pa.list_(
        _struct(
            analysis_targets=pa.list_(_struct(name=_TEXT, type=_TEXT)),
            anomalies=_ANALYSIS,
            baselines=_ANALYSIS,
        )
    ),
    "observables": pa.list_(_struct(name=_TEXT, type_id=_INT, type=_TEXT, value=_TEXT)),
    "resources": pa.list_(_struct(name=_TEXT, uid=_TEXT, type=_TEXT)),
}
SCHEMA = pa.schema(
    {name: kind for kind, names in _PLAIN.items() for name in names.split()} | _NESTED
)


def write(events: Iterable[Part], out: IO[bytes]) -> int:
    """Writes events as one parquet file; what has no fixed shape is JSON text in it.

    Returns:
        How many.
    """
    number, left = 0, iter(events)
    with pq.ParquetWriter(out, SCHEMA, compression="zstd") as writer:
        while batch := [_flat(event) for event in islice(left, _BATCH)]:
            writer.write_table(pa.Table.from_pylist(batch, SCHEMA))
            number += len(batch)
    return number


def _flat(event: Part) -> Part:
    proof = [{**part, "data": _text(part["data"])} for part in event.get("evidences", ())]
    return {**event, "unmapped": _text(event.get("unmapped")), "evidences": proof}


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=True)


def lines(events: Iterable[Part]) -> Iterator[str]:
    """Events as JSON lines in ASCII."""
    for event in events:
        yield json.dumps(event, ensure_ascii=True) + "\n"
