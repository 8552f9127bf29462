"""Tables that only add to findings: a hunt that reads one more of them does not learn again."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gundog.core.times import parse_time
from tests import kit
from tests.kit import DAY

FIRST = parse_time("2026-03-02")
NIGHT = FIRST + 31 * DAY
CONFIG = """\
content: [builtin]
lake: {CloudAppEvents: "lake/date=%Y-%m-%d/*.parquet"}
memoryLimit: 1GB
"""


def event(at: datetime, kind: str, record: dict[str, Any]) -> dict[str, Any]:
    """A row of CloudAppEvents."""
    return {
        "Timestamp": at,
        "ActionType": kind,
        "Application": "Microsoft Exchange Online",
        "RawEventData": json.dumps({"Id": f"{at}", "UserId": "eve@example.com", **record}),
    }


def write(root: Path, day: datetime, rows: list[dict[str, Any]]) -> None:
    path = root / f"lake/date={day:%Y-%m-%d}/part.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = {key: pa.string() for key in rows[0]}
    schema = pa.schema({**kinds, "Timestamp": pa.timestamp("us", "UTC")})
    pq.write_table(pa.Table.from_pylist(rows, schema), path)


def test_a_hunt_goes_on_where_the_past_of_an_optional_table_is_gone(tmp_path: Path) -> None:
    """The grants of weeks ago cannot be read any more; its findings come all the same."""
    assert [stage.name for stage in kit.shipped().hunt("other_users_mailboxes").needed] == [
        "mail_access"
    ]
    kit.write_text(tmp_path / "gundog.yaml", CONFIG)
    own = {"MailboxOwnerUPN": "eve@example.com", "OperationCount": 1}
    foreign = {"MailboxOwnerUPN": "ceo@example.com", "LogonType": 2, "OperationCount": 1}
    grant = {"Parameters": {"Identity": "ceo", "User": "eve", "AccessRights": "FullAccess"}}
    for day in range(31):
        at = FIRST + day * DAY
        write(tmp_path, at, [event(at + DAY / 2, "MailItemsAccessed", own)])
    times = [NIGHT + DAY / 2 + hours * DAY / 24 for hours in range(10)]
    reads = [event(at, "MailItemsAccessed", foreign) for at in times]
    write(tmp_path, NIGHT, [event(NIGHT + DAY / 4, "Add-MailboxPermission", grant), *reads])
    span = (f"{NIGHT:%Y-%m-%d}", f"{NIGHT:%Y-%m-%d}")
    kit.hunt(tmp_path, span, NIGHT + 2 * DAY, detections=("new_client_app",))
    for day in range(31):  # what stays is what was staged of mail_access
        (tmp_path / f"lake/date={FIRST + day * DAY:%Y-%m-%d}/part.parquet").unlink()

    kit.hunt(tmp_path, span, NIGHT + 2 * DAY, detections=("other_users_mailboxes",))

    found = kit.table(
        tmp_path,
        "select mailbox, details ->> '$.granted_by' from findings"
        " join detections using (detection_id) where stem = 'other_users_mailboxes'",
    )
    assert found == [("ceo@example.com", "eve@example.com")]
