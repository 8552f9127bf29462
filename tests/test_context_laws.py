"""The laws with contexts: nights leave what a backfill leaves, and tenants are apart."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gundog.core.times import parse_time
from tests.kit import DAY, hunt, table, write_text

pytestmark = pytest.mark.slow

FIRST = parse_time("2026-03-02")
HISTORY, NIGHTS = 4, 4
HUNTED = FIRST + HISTORY * DAY
END = HUNTED + NIGHTS * DAY
CONFIG = """\
content: [builtin]
lake: {CloudAppEvents: "lake/date=%Y-%m-%d/*.parquet"}
lateArrival: 4d
memoryLimit: 1GB
overrides:
  mail_read_from_new_context:
    params: {history: 2d, established: 2d, minDays: 2, minPoints: 2}
  mail_items_accessed:
    params: {established: 2d}
    series: {training: 4d}
"""
Files = dict[tuple[int, str], list[dict[str, Any]]]
HUNT = ("mail_read_from_new_context", "mail_items_accessed")
# What a backfill may leave otherwise than the nights did.
FREE = ("run_id", "created_at", "updated_at", "origin", "is_late", "seconds")
TABLES = ("findings", "evidence", "finding_contexts", "run_intervals")
PLACES = (("192.0.2", "NL", "Fiber"), ("198.51.100", "BR", "Hosting"), ("203.0.113", "NL", None))


def read(
    chance: random.Random, at: datetime, tenant: str, place: int, who: str = ""
) -> dict[str, Any]:
    """A record of somebody's mailbox."""
    network, country, provider = PLACES[place]
    mailbox = f"{who or chance.choice(['ana', 'bob'])}@example.com"
    return {
        "Timestamp": at,
        "TenantId": tenant,
        "ActionType": "MailItemsAccessed",
        "Application": "Microsoft Exchange Online",
        "IPAddress": f"{network}.{chance.randrange(200)}",
        "CountryCode": country,
        "Isp": provider,
        "RawEventData": json.dumps(
            {
                "Id": str(UUID(int=chance.getrandbits(128))),
                "MailboxOwnerUPN": mailbox,
                "UserId": mailbox,
                "ClientInfoString": "Client=OWA",
                "ClientAppId": "web" if place == 0 else "tool",
                "SessionId": chance.choice(["s1", "s2"]),
                "OperationCount": chance.randrange(1, 4),
            }
        ),
    }


def world(seed: int) -> Files:
    """Rows by the day they come and the name of their file: usual ones, new places, late ones.

    A late file has the first reads from a place that a later night finds new.
    """
    chance = random.Random(seed)  # noqa: S311 - seeded on purpose
    files: Files = {}
    for day in range(HISTORY + NIGHTS):
        for tenant in ("alpha", "beta"):
            for hour in range(8, 16):
                at = FIRST + day * DAY + timedelta(hours=hour)
                files.setdefault((day, "usual"), []).append(read(chance, at, tenant, 0))
            for who in ("cai", "dee"):
                at = FIRST + day * DAY + timedelta(hours=9)
                files.setdefault((day, "usual"), []).append(read(chance, at, tenant, 0, who))
    for day, lands, who in ((5, 5, "cai"), (6, 6, "dee"), (4, 7, "dee")):
        at = FIRST + day * DAY + timedelta(hours=3)
        for tenant in ("alpha", "beta"):
            files.setdefault((lands, "new"), []).append(read(chance, at, tenant, 1, who))
    for _ in range(14):
        day = chance.randrange(1, HISTORY + NIGHTS)
        at = FIRST + day * DAY + timedelta(minutes=chance.randrange(1440))
        row = read(chance, at, chance.choice(["alpha", "beta"]), chance.randrange(3))
        lands = min(day + chance.choice([0, 0, 1, 2]), HISTORY + NIGHTS)
        for copy in range(chance.choice([1, 1, 2])):
            files.setdefault((lands, f"more-{copy}"), []).append(row)
    return files


def arrive(
    root: Path,
    files: Files,
    day: int,
    tenants: Sequence[str] = ("alpha", "beta"),
) -> None:
    """Writes what comes on a day, in the folder of that day, with the same times everywhere."""
    for (lands, name), rows in files.items():
        mine = [row for row in rows if row["TenantId"] in tenants]
        if lands == day:
            path = root / f"lake/date={FIRST + day * DAY:%Y-%m-%d}/{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            kinds = {key: pa.string() for key in rows[0]}
            schema = pa.schema({**kinds, "Timestamp": pa.timestamp("us", "UTC")})
            pq.write_table(pa.Table.from_pylist(mine, schema), path)
            os.utime(path, ns=(0, 0))


def content(root: Path, where: str = "true") -> dict[str, list[Any]]:
    """The published tables without the columns that may differ."""
    found = {}
    for name in TABLES:
        columns = [row[0] for row in table(root, f"describe {name}") if row[0] not in FREE]
        of = f"finding_id in (select finding_id from findings where {where})"
        rows = table(
            root,
            f"select {', '.join(columns)} from {name}"
            + (f" where {of}" if "finding_id" in columns else ""),
        )
        found[name] = sorted(rows, key=repr)
    return found


def contexts(root: Path) -> list[Any]:
    """What is known of every value."""
    with duckdb.connect(str(root / ".gundog/warehouse.duckdb"), read_only=True) as con:
        return con.execute("from contexts order by all").fetchall()


def counted(root: Path) -> list[Any]:
    """What was counted of each series and hour, and how much of it was of something new."""
    with duckdb.connect(str(root / ".gundog/warehouse.duckdb"), read_only=True) as con:
        return con.execute(
            "select series_key, hour, observed, new from series_counts order by all"
        ).fetchall()


def night_by_night(root: Path, files: Files, tenants: Sequence[str] = ("alpha", "beta")) -> Path:
    """A lake hunted each night as its files came, and once more after the last of them."""
    write_text(root / "gundog.yaml", CONFIG)
    for day in range(HISTORY + NIGHTS):
        arrive(root, files, day, tenants)
        if day >= HISTORY:
            now = FIRST + (day + 1) * DAY + timedelta(hours=4)
            hunt(root, now=now, detections=HUNT)
    arrive(root, files, HISTORY + NIGHTS, tenants)
    return root


def whole(root: Path) -> Path:
    """The same range hunted at once, when everything is there."""
    span = (f"{HUNTED:%Y-%m-%d}", f"{END - DAY:%Y-%m-%d}")
    hunt(root, span, END + timedelta(hours=30), detections=HUNT)
    return root


def in_turn(root: Path, files: Files, tenants: Sequence[str] = ("alpha", "beta")) -> Path:
    """A lake hunted each night, and as a whole after the last of them."""
    return whole(night_by_night(root, files, tenants))


def at_once(root: Path, files: Files, tenants: Sequence[str] = ("alpha", "beta")) -> Path:
    """A lake hunted when all its files are there."""
    write_text(root / "gundog.yaml", CONFIG)
    for day in range(HISTORY + NIGHTS + 1):
        arrive(root, files, day, tenants)
    return whole(root)


@pytest.fixture(scope="module")
def backfilled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first world, hunted when all its files are there."""
    return at_once(tmp_path_factory.mktemp("backfilled"), world(1))


@pytest.fixture(scope="module")
def nightly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first world, hunted each night and as a whole after the last."""
    return in_turn(tmp_path_factory.mktemp("nightly"), world(1))


@pytest.mark.parametrize("seed", [1, 2])
def test_nights_leave_what_a_backfill_leaves(
    seed: int, nightly: Path, backfilled: Path, tmp_path: Path
) -> None:
    """The same findings, contexts and first times, however late the files were."""
    files = world(seed)
    nights = nightly if seed == 1 else in_turn(tmp_path / "nights", files)
    backfill = backfilled if seed == 1 else at_once(tmp_path / "backfill", files)

    assert content(nights) == content(backfill)
    assert contexts(nights) == contexts(backfill)
    assert counted(nights) == counted(backfill)
    assert any(new and any(new) for *_, new in counted(nights))
    assert content(nights)["findings"]
    assert content(nights)["finding_contexts"]


@pytest.mark.parametrize("make", [at_once, in_turn])
def test_findings_of_two_tenants_are_those_of_each_alone(
    make: Callable[..., Path], nightly: Path, backfilled: Path, tmp_path: Path
) -> None:
    """The other tenant's networks teach nothing, and its readers are nobody's colleagues."""
    files = world(1)
    both = backfilled if make is at_once else nightly
    for tenant in ("alpha", "beta"):
        alone = make(tmp_path / tenant, files, (tenant,))
        expected, found = content(alone), content(both, f"tenant = '{tenant}'")
        for name in ("findings", "finding_contexts"):
            assert found[name] == expected[name], (tenant, name)
        hours = [row for row in counted(both) if row[0].startswith(f"{tenant}/")]
        assert hours == counted(alone)
        assert any(new and any(new) for *_, new in hours)
        assert expected["findings"]
