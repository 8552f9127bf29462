"""What 50 imported hunts add to a night whose rows are staged: the command line, with its child.

The 25 community hunts, and a copy of each under another name and id, over the samples.
"""

from __future__ import annotations

import re
import resource
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import yaml

from gundog.detections import content_folder

_ROOT = Path(__file__).parents[2]
_DAILY, _HOURLY = "date=%Y-%m-%d/*.parquet", "date=%Y-%m-%d/h=%H/*.parquet"
_LAKE = {"DeviceProcessEvents": [_DAILY], "CloudAppEvents": [_DAILY, _HOURLY]}
_NIGHT = ("--from", "2026-10-29", "--to", "2026-10-29", "--yes")
_COPIES = 2


def imported(root: Path, megabytes: int, rounds: int) -> dict[str, Any]:
    """Nights with and without imported hunts, in turn, once all that they read is staged."""
    del megabytes
    with_hunts, without = root / "imported" / "with", root / "imported" / "without"
    hunts = _project(with_hunts, _COPIES)
    _project(without, 0)
    for project in (with_hunts, without):
        _night(project)
    nights = [
        {"with": _night(with_hunts, "--again"), "without": _night(without, "--again")}
        for _ in range(max(rounds, 5))
    ]
    size = sum(path.stat().st_size for path in (_ROOT / "parquet_samples").rglob("*.parquet"))
    return {"megabytes": size / 1e6, "hunts": hunts, "nights": nights}


def per_hunt(found: dict[str, Any]) -> float:
    """CPU milliseconds that one more hunt costs a night: medians of nights, their difference."""
    middle = {
        name: statistics.median(night[name] for night in found["nights"])
        for name in ("with", "without")
    }
    return float((middle["with"] - middle["without"]) / found["hunts"] * 1000)


def _project(root: Path, copies: int) -> int:
    """A project over the samples with each community hunt so many times; how many those are."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    (root / "parquet_samples").symlink_to(_ROOT / "parquet_samples")
    lake = {
        name: [f"parquet_samples/{name}/{template}" for template in templates]
        for name, templates in _LAKE.items()
    }
    content = ["builtin", *(["community", "."] if copies else [])]
    (root / "gundog.yaml").write_text(yaml.safe_dump({"content": content, "lake": lake}))
    stems = [path.stem for path in sorted(content_folder.community().glob("*.yaml"))]
    for copy in range(1, copies):
        for stem in stems:
            _copy(root, stem, f"{stem}_{copy}")
    return copies * len(stems)


def _copy(root: Path, stem: str, name: str) -> None:
    """The same hunt under another name and id."""
    layout = content_folder.layout(content_folder.community())
    text = (content_folder.community() / f"{stem}.yaml").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^id: .*", f"id: {uuid5(NAMESPACE_OID, name)}", text, count=1)
    text = re.sub(r"(?m)^sql: .*", f"sql: {name}.sql", text, count=1)
    for folder in ("detections", "sql"):
        (root / folder).mkdir(exist_ok=True)
    (root / "detections" / f"{name}.yaml").write_text(text, encoding="utf-8")
    shutil.copyfile(layout.tables / f"{stem}.sql", root / "sql" / f"{name}.sql")


def _night(root: Path, *more: str) -> float:
    """CPU seconds of `gundog backfill` over one day, children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "gundog", "backfill", *_NIGHT, *more, "--project", str(root)]
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 - our own command
    if done.returncode:
        raise SystemExit(f"{' '.join(command[2:])} ended with {done.returncode}:\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
