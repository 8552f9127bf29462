"""The project that hunts a generated lake with what ships."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from gundog.core.times import parse_time

FIRST = parse_time("2026-03-01")
DAY = timedelta(days=1)
THREADS = 2
HUNTS = {"DeviceProcessEvents": "mailbox_export_removed", "CloudAppEvents": "mail_items_accessed"}
HOURLY = "date=%Y-%m-%d/h=%H/*.parquet"
DAILY = "date=%Y-%m-%d/*.parquet"


def write_project(
    root: Path,
    lake: Path,
    *,
    limit: str = "1GB",
    template: str = HOURLY,
    url: str = "",
    training: str = "",
) -> None:
    """Writes gundog.yaml; 1GB of memory is two threads.

    Args:
        root: the project's folder.
        lake: the generated lake.
        limit: memoryLimit.
        template: the lake path below a source's folder.
        url: a channel, which gets one digest a night, or none.
        training: the training span of mail_items_accessed, where it is not what ships.
    """
    lines = ["content: [builtin]", f"memoryLimit: {limit}", "lake:"]
    lines += [f"  {name}: {lake}/{name}/{template}" for name in HUNTS]
    if url:
        lines.append(f"notify: [{{name: soc, url: '{url}', minSeverity: low, mode: digest}}]")
    if training:
        lines.append(f"overrides: {{mail_items_accessed: {{series: {{training: {training}}}}}}}")
    (root / "gundog.yaml").write_text("\n".join(lines) + "\n")
