"""Files that have every key in every form, for their readers to go over: see `schemas`.

NAME stands where people choose a name. Each key is in one sample at least, and no value is wrong.
"""

from __future__ import annotations

from typing import Any

_LAKE: dict[str, Any] = {
    "path": "lake/*.json",
    "format": "json",
    "exporter": "plain",
    "timeFormat": "%Y-%m-%d",
    "partitionBy": "ingest",
    "columns": {"NAME": "column"},
    "endpoint": "https://store.example",
    "region": "here",
    "anonymous": False,
}
_CHANNEL = {
    "name": "soc",
    "url": "https://hooks.example/1",
    "minSeverity": "low",
    "mode": "each",
    "detections": ["one"],
    "tags": ["one"],
    "tenants": [],
    "report": False,
}
_MAIL = {"name": "mail", "url": "mailto://x.example", "mode": "digest", "report": "attach"}
_PUBLISH_TO = {
    "to": "shared",
    "name": "shared",
    "schema": "gundog",
    "endpoint": "https://store.example",
    "region": "here",
    "anonymous": False,
}
_OVERRIDE = {
    "enabled": True,
    "status": "stable",
    "severity": "low",
    "params": {},
    "series": {},
    "suppression": {},
}
SETTINGS: tuple[dict[str, Any], ...] = (
    {
        "content": ["builtin"],
        "overrides": {"NAME": _OVERRIDE},
        "lake": {"NAME": _LAKE},
        "freshness": "26h",
        "lateArrival": "7d",
        "warehouse": "w.duckdb",
        "findings": "f.duckdb",
        "retention": {"staged": "60d", "series": "60d", "evidence": "60d", "findings": "60d"},
        "notify": [_CHANNEL, _MAIL],
        "heartbeat": "https://alive.example",
        "memoryLimit": "4GB",
        "workers": {"address": "tls://host:1", "ca": "ca.pem", "cert": "c.pem", "key": "k.pem"},
        "insecureWorkers": False,
        "huntLimit": "10m",
        "report": {"path": "report.html", "url": "https://web.example", "evidence": True},
        "canaries": [
            {"name": "one", "detection": "one", "match": {"NAME": "x"}, "every": "1d"},
        ],
        "publishTo": [_PUBLISH_TO, "other"],
    },
    {"lake": {"NAME": "lake/*.parquet"}, "report": "report.html", "publishTo": _PUBLISH_TO},
    {"lake": {"NAME": ["lake/*.parquet", _LAKE]}, "publishTo": "shared", "workers": "tls://h:1"},
)
_ROW = {"repeat": {"every": "1h", "times": 2}}
_DETECTION: dict[str, Any] = {
    "id": "b9e5e66f-7a53-4f0c-8a0c-0f4cf1b6c5d1",
    "name": "A name",
    "kind": "match",
    "status": "test",
    "severity": "low",
    "riskScore": 1,
    "description": "words",
    "tactics": ["Collection"],
    "relevantTechniques": ["T1114"],
    "falsePositives": ["words"],
    "blindSpots": ["words"],
    "triage": ["words"],
    "references": ["words"],
    "related": [],
    "requiredDataConnectors": [],
    "sql": "one.sql",
    "params": {"NAME": 1},
    "frequency": "1d",
    "lookback": "1d",
    "identity": ["tenant"],
    "entityMappings": [
        {
            "entityType": "Host",
            "fieldMappings": [{"identifier": "HostName", "columnName": "host_name"}],
        }
    ],
    "title": "words",
    "optionalTables": ["NAME"],
    "suppression": {"groupBy": ["tenant"], "duration": "1d", "most": 1},
    "examples": [
        {
            "name": "one",
            "interval": ["2026-01-05", "2026-01-06"],
            "events": {"NAME": [_ROW]},
            "findings": [_ROW],
        }
    ],
    "enabled": True,
}
_SERIES = {"measure": "items", "by": ["tenant"], "training": "28d"}
_FORECAST = {
    **_SERIES,
    "method": "forecast",
    "model": "SeasonalWindowAverage",
    "timeZone": "UTC",
    "minCount": 1,
    "newness": ["NAME"],
}
_KQL = {
    **_SERIES,
    "method": "kql",
    "threshold": 1,
    "until": "1d",
    "trend": "avg",
    "seasonality": -1,
    "join": "join.sql",
}
MATCH = (_DETECTION,)
FORECAST = tuple(
    _DETECTION | {"kind": "series", "series": {**_FORECAST, limit: 1}}
    for limit in ("threshold", "alertBudget")
)
KQL = (_DETECTION | {"kind": "series", "series": _KQL},)
EXCEPTIONS: tuple[dict[str, Any], ...] = (
    {
        "detection": "one",
        "match": {"NAME": "x"},
        "from": "2026-01-05",
        "expires": "2026-01-06",
        "reason": "words",
        "owner": "ana",
    },
)
ACKNOWLEDGED: tuple[dict[str, Any], ...] = (
    {
        "source": "Table",
        "tenant": "one",
        "from": "2026-01-05",
        "to": "2026-01-06",
        "kind": "hole",
        "reason": "words",
        "owner": "ana",
    },
)
