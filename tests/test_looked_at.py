"""What silence rests on: rows, mailboxes, and who of them could not have been found."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gundog.core.times import parse_time
from tests.kit import DAY, hunt, table, write_text

FIRST = parse_time("2026-03-02")
LATER = FIRST + 40 * DAY
STEM = "mail_read_from_new_context"
CONFIG = """\
content: [builtin]
lake: {CloudAppEvents: "lake/date=%Y-%m-%d/*.parquet"}
memoryLimit: 1GB
"""


def write(root: Path, day: datetime, mailboxes: list[str], tenant: str = "alpha") -> None:
    """A file of a day with a record of each mailbox."""
    rows = [
        {
            "Timestamp": day + DAY - DAY / 24,
            "TenantId": tenant,
            "ActionType": "MailItemsAccessed",
            "Application": "Microsoft Exchange Online",
            "IPAddress": "192.0.2.7",
            "RawEventData": json.dumps(
                {"Id": f"{day} {who}", "MailboxOwnerUPN": f"{who}@example.com", "OperationCount": 1}
            ),
        }
        for who in mailboxes
    ]
    path = root / f"lake/date={day:%Y-%m-%d}/{tenant}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = {key: pa.string() for key in rows[0]}
    schema = pa.schema({**kinds, "Timestamp": pa.timestamp("us", "UTC")})
    pq.write_table(pa.Table.from_pylist(rows, schema), path)


def looked_at(root: Path) -> list[tuple[object, ...]]:
    return table(
        root,
        "select stem, tenant, interval_start, rows, mailboxes, scored, learning, throttled, silent"
        " from looked_at join detections using (detection_id) order by stem, tenant",
    )


def test_silence_rests_on_rows_and_mailboxes(tmp_path: Path) -> None:
    """First all are learning; later one is scored, and one had no record for thirty days."""
    write_text(tmp_path / "gundog.yaml", CONFIG)
    write(tmp_path, FIRST, ["ana", "bob"])
    write(tmp_path, LATER, ["ana"])
    write(tmp_path, LATER, ["eve"], "beta")
    span = (f"{FIRST:%Y-%m-%d}", f"{FIRST:%Y-%m-%d}")

    hunt(tmp_path, span, FIRST + 2 * DAY, detections=(STEM,))
    assert looked_at(tmp_path) == [(STEM, "alpha", FIRST, 2, 2, 0, 2, None, 0)]

    span = (f"{LATER:%Y-%m-%d}", f"{LATER:%Y-%m-%d}")
    hunt(tmp_path, span, LATER + 2 * DAY, detections=(STEM,))
    assert looked_at(tmp_path) == [
        (STEM, "alpha", LATER, 1, 1, 1, 0, None, 1),
        (STEM, "beta", LATER, 1, 1, 0, 1, None, 0),
    ]
