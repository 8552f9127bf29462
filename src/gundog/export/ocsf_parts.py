"""The parts of an OCSF Detection Finding: what each is made of.

Names and numbers are those of https://schema.ocsf.io, version 1.6.0.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from gundog.core.times import HOUR, parse_time

Row = Mapping[str, Any]
Part = dict[str, Any]
SEVERITIES = {"informational": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
# Columns of findings that observables are made of: the type_id of each, and what it is called.
_OBSERVED = {
    "host_name": (1, "Hostname"),
    "ip_address": (2, "IP Address"),
    "account_name": (4, "User Name"),
    "mailbox": (5, "Email Address"),
    "app_id": (10, "Resource UID"),
    "account_sid": (31, "User Object: uid"),
}


def ms(moment: datetime | None) -> int | None:
    """A moment as OCSF has it: milliseconds since 1970 in UTC."""
    return None if moment is None else round(moment.timestamp() * 1000)


def without_gaps(part: Part) -> Part:
    """A part without what is not known; a name without a value is not valid OCSF."""
    return {name: value for name, value in part.items() if value is not None and value != []}


def is_address(text: Any) -> bool:
    """Whether a text is an IP address, which is all that OCSF takes as one."""
    try:
        ipaddress.ip_address(str(text))
    except ValueError:
        return False
    return "%" not in str(text)  # a zone is of no use elsewhere


def attacks(tactics: Sequence[str], techniques: Sequence[str], version: str) -> list[Part]:
    """One entry for each technique, and one for each tactic unless there is only one of these."""
    named = [{"tactic": {"name": name}} for name in tactics]
    if len(named) == 1 and techniques:
        return [{**_attack(technique, version), **named[0]} for technique in techniques]
    made = [_attack(technique, version) for technique in techniques]
    return made + [{"version": version, **tactic} for tactic in named]


def _attack(technique: str, version: str) -> Part:
    parent, _, part = technique.partition(".")
    attack: Part = {"version": version, "technique": {"uid": parent}}
    return attack | {"sub_technique": {"uid": technique}} if part else attack


def observables(finding: Row) -> list[Part]:
    """Who and what a finding is about, each named by the attribute that holds it."""
    made = []
    for column, (type_id, kind) in _OBSERVED.items():
        value = finding[column]
        if not value or value == "*":
            continue
        if column == "ip_address" and not is_address(value):
            type_id, kind = 99, "Other"
        name = f"unmapped.{column}"
        made.append({"name": name, "type_id": type_id, "type": kind, "value": str(value)})
    return made


def resources(finding: Row) -> list[Part]:
    """The mailbox and the application that a finding is about."""
    mailbox, app = finding["mailbox"], finding["app_id"]
    made = []
    if mailbox and mailbox != "*":
        made.append({"name": mailbox, "type": "mailbox"})
    if app:
        made.append({"uid": app, "type": "application"})
    return made


def evidences(rows: Iterable[Row]) -> list[Part]:
    """The events that prove a finding: whole as `data`, and who and where as OCSF names them."""
    return [_evidence(row) for row in rows]


def _evidence(row: Row) -> Part:
    event = unpacked(row["event"])
    part: Part = {
        "data": {
            "role": row["role"],
            "source_table": row["source_table"],
            "source_file": row["source_file"],
            "event_time": ms(row["event_time"]),
            "event": event,
        },
        "name": row["role"],
        "uid": str(row["event_id"]) if row["event_id"] else None,
    }
    return without_gaps(part | (_who(event) if isinstance(event, dict) else {}))


def _who(event: Mapping[str, Any]) -> Part:
    host, name, sid = (event.get(key) for key in ("host_name", "account_name", "account_sid"))
    address, line, process = (
        event.get(key) for key in ("ip_address", "command_line", "process_id")
    )
    user = without_gaps({"name": name or None, "uid": sid or None})
    return {
        "device": {"hostname": str(host), "type_id": 0} if host else None,
        "src_endpoint": {"ip": str(address)} if address and is_address(address) else None,
        "user": user or None,
        "process": {"cmd_line": str(line), "pid": process}
        if line and _is_process_id(process)
        else None,
    }


def _is_process_id(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 2**31


def anomaly_analyses(finding: Row, details: Any) -> list[Part]:
    """A series' flagged hours, each observed and as its history has it; nothing for a match."""
    hours = details.get("hours") if isinstance(details, dict) else None
    if finding["kind"] != "series" or not hours:
        return []
    key = str(details.get("series_key", ""))
    parameter = "count in an hour"
    baseline = {
        "observation_parameter": parameter,
        "observation_type": "forecast",
        "observations": [_observation(hour, "expected") for hour in hours],
        "observed_pattern": f"trained on {details.get('n_train')} observed hours",
    }
    anomaly = {
        "observation_parameter": parameter,
        "observation_type": "hourly count",
        "observations": [_observation(hour, "observed") for hour in hours],
        "observed_pattern": f"above the expected upper line; score {finding['score']}",
    }
    target = {"name": key, "type": "series"}
    return [{"analysis_targets": [target], "anomalies": [anomaly], "baselines": [baseline]}]


def _observation(hour: Row, figure: str) -> Part:
    start = parse_time(str(hour["hour"]))
    span = {"start_time": ms(start), "end_time": ms(start + HOUR), "duration_hours": 1}
    return {"value": str(hour[figure]), "timespan": span}


def unpacked(text: Any) -> Any:
    """What a JSON text holds; the value itself when it is not JSON."""
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text
