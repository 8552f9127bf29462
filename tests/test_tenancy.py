"""Two tenants in one lake: what is found of each is what would be found of it alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gundog.core import plain_values
from gundog.core.times import Interval, parse_time
from gundog.detections.detection import Example
from gundog.detections.hunt import Hunt
from gundog.hunting import tenancy
from gundog.run import run
from gundog.testing import bench, examples, moved_rows
from gundog.testing.bench import Trial
from gundog.testing.examples import Rows
from gundog.warehouse import database
from tests import benches, kit, two_tenants
from tests.kit import DAY, hunt, table
from tests.two_tenants import HISTORY, HUNTED, LAYOUTS, NIGHTS, TENANTS, World

pytestmark = pytest.mark.usefixtures("all_cores")

Nights = Collection[int]
# Which run stored a row may differ; the row as it was before holds that too.
FREE = ("run_id", "before")
# What fires in every world; the last three for the tenant that is there from the start.
EXPECTED = (
    "mailbox_export_removed",
    "throttled_mailbox",
    "new_client_app",
    "other_users_mailboxes",
    "mail_items_accessed",
)


def hunted(
    root: Path, world: World, tenants: tuple[str, ...], stems: tuple[str, ...], nights: Nights
) -> Path:
    """A lake of some of a world's tenants, hunted as its files came, in some of its nights.

    Each hunts the days since the one before. With no stems everything that ships is hunted.
    """
    two_tenants.make_project(root, world.layout)
    for day in range(HISTORY):
        two_tenants.write_arrivals(root, world, day, tenants)
    for night in range(NIGHTS):
        two_tenants.write_arrivals(root, world, HISTORY + night, tenants)
        if night in nights:
            hunt(root, now=HUNTED + (night + 1) * DAY + timedelta(hours=4), detections=stems)
    two_tenants.write_arrivals(root, world, HISTORY + NIGHTS, tenants)
    hunt(root, now=HUNTED + (NIGHTS + 1) * DAY + timedelta(hours=4), detections=stems)
    return root


WHOSE = {
    "findings": "tenant = $tenant",
    "evidence": "finding_id in (select finding_id from findings where tenant = $tenant)",
    "finding_changes": "finding_id in (select finding_id from findings where tenant = $tenant)",
    "series_points": "split_part(series_key, '/', 1) = $tenant",
}


def told(root: Path, tenant: str) -> dict[str, list[Any]]:
    """Everything stored of a tenant, scored hours of every mailbox among it."""
    found = {}
    with duckdb.connect(str(root / ".gundog/warehouse.duckdb"), read_only=True) as con:
        for name, where in WHOSE.items():
            columns = [row[0] for row in con.execute(f"describe {name}").fetchall()]
            shown = ", ".join(f'"{column}"' for column in columns if column not in FREE)
            rows = con.execute(f"select {shown} from {name} where {where}", {"tenant": tenant})
            found[name] = sorted(rows.fetchall(), key=repr)
    return found


def notes(root: Path) -> dict[tuple[Any, ...], str]:
    """What intervals that were hunted say of themselves."""
    rows = table(
        root,
        """select d.stem, interval_start, r.note from run_intervals as r
           inner join detections as d using (detection_id)
           where r.state in ('provisional', 'final')""",
    )
    return {(stem, start): note or "" for stem, start, note in rows}


def check(
    folder: Path, layout: str, seed: int, stems: tuple[str, ...], tenants: tuple[str, ...],
    nights: Nights = range(NIGHTS),
) -> None:  # fmt: skip
    """Holds some tenants of a world to the law, once it has enough that could break it."""
    world = two_tenants.build(layout, seed)
    both = hunted(folder / "both", world, TENANTS, stems, nights)
    alone = {tenant: hunted(folder / tenant, world, (tenant,), stems, nights) for tenant in tenants}
    for tenant, root in alone.items():
        expected, found = told(root, tenant), told(both, tenant)
        for name, rows in expected.items():
            assert found[name] == rows, (tenant, name)
        said = notes(both)
        for key, note in notes(root).items():
            assert not note or f"tenant {tenant}: {note}" in said[key], (tenant, key)
        assert_worth_it(root, tenant, expected)


def assert_worth_it(root: Path, tenant: str, found: dict[str, list[Any]]) -> None:
    """What was compared holds findings of every kind, hidden ones among them, and flagged hours."""
    firing = dict(
        table(
            root,
            """select d.stem, list(distinct coalesce(split_part(f.suppressed_by, ' ', 1), ''))
               from findings as f inner join detections as d using (detection_id) group by all""",
        )
    )
    assert set(EXPECTED[:2]) <= firing.keys()
    assert {"", "finding"} <= set(firing["mailbox_export_removed"])
    assert len(found["series_points"]) >= 24 * two_tenants.MAILBOXES
    if tenant == "alpha":  # who joins late is still being learned
        assert set(EXPECTED) <= firing.keys()
        assert "alertBudget" in firing["mail_items_accessed"]
        assert "exception" in firing["mailbox_export_removed"]


def as_of(tenant: str, rows: Rows) -> Rows:
    """Rows of an example as a tenant's; tenants that the example has are still told apart."""
    return {
        name: [{**row, "TenantId": f"{tenant} {row.get('TenantId') or ''}".strip()} for row in mine]
        for name, mine in rows.items()
    }


def stored(trial: Trial, rows: Rows, first: datetime) -> dict[str, list[str]]:
    """What an interval finds in rows since some day, with its evidence, by tenant."""
    bench.lay(trial, rows, Interval(first, trial.example.interval.end))
    found = defaultdict[str, list[str]](list)
    for hit in bench.hunt(trial, trial.example.interval, first):
        proof = [event.event_id for event in hit.events]
        found[hit.row["tenant"].split()[0]].append(plain_values.canonical([hit.row, proof]))
    return {tenant: sorted(mine) for tenant, mine in found.items()}


def told_apart(
    hunt: Hunt, same: Sequence[Example], every: int
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Each example is a tenant's: what is found of it alone, and of it beside all the others.

    Args:
        hunt: whose examples they are.
        same: examples whose intervals are of the same length; all are moved to the first of them.
        every: every so many-th of them is also hunted alone, and is what this yields, by its name.
    """
    loaded = kit.shipped()
    trial = Trial(benches.of(loaded, hunt), loaded, hunt, same[0], {})
    start = same[0].interval.start
    rows = [
        as_of(f"t{place}", bench.shifted(trial, examples.expand(one), start - one.interval.start))
        for place, one in enumerate(same)
    ]
    everything = reduce(moved_rows.joined, rows)
    first = min(bench.first_day(everything, start), start)
    together = stored(trial, everything, first)
    for place in range(0, len(same), every):
        alone = stored(trial, rows[place], first).get(f"t{place}", [])
        yield same[place].name, alone, together.get(f"t{place}", [])


def cases() -> Iterator[Any]:
    """Each hunt with all of its examples hunted alone too, and quickly with every sixth of them.

    A series is dear: it is always slow, here and in test_context_laws.
    """
    for one in kit.shipped().hunts:
        stem = one.detection.stem
        if not one.detection.series:
            yield pytest.param(one, 6, id=stem)
        yield pytest.param(one, 1, id=f"{stem}, all", marks=pytest.mark.slow)


@pytest.mark.parametrize(("hunt", "every"), list(cases()))
def test_other_tenants_change_no_example(hunt: Hunt, every: int) -> None:
    """Not even those with the same people, hosts, mailboxes and applications at the same times."""
    by_length = defaultdict[timedelta, list[Example]](list)
    for example in hunt.detection.examples:
        by_length[example.interval.length].append(example)
    found = 0
    for same in by_length.values():
        for name, alone, together in told_apart(hunt, same, every):
            assert together == alone, name
            found += len(alone)

    assert found


@pytest.mark.slow
@pytest.mark.stress
def test_findings_of_two_tenants_are_those_of_each_alone(tmp_path: Path) -> None:
    """Findings, evidence, scores, what hides them, their history, points and what is learned.

    For alpha, which is there from the start and for which the cases are planted, hunted in two
    nights of five.
    """
    check(tmp_path, "null column", 2, EXPECTED, TENANTS[:1], nights=(1,))


def test_tenant_whose_file_only_the_sql_of_before_read_is_left_out(tmp_path: Path) -> None:
    """Of two tenants with a file each, the one whose rows no hunt can see."""
    stages = run.load_project(kit.make_project(tmp_path), {}).content.hunt("pair").stages
    start = parse_time("2026-03-09")
    span = Interval(start, start + DAY)
    with database.writable(tmp_path / "w.duckdb", memory_limit=10**9, threads=1) as con:
        for number, name in enumerate(("a", "b")):
            database.insert(con, "source_files", [{
                "file_id": number, "source_table": "Things", "path": f"TenantId={name}/x",
                "covers_start": span.start, "covers_end": span.end, "state": "staged",
            }])  # fmt: skip
            database.insert(con, "source_hours", [{
                "source_table": "Things", "file_id": number, "hour": span.end - DAY / 24,
                "rows": 1, "tenant": name,
            }])  # fmt: skip
            read = stages[0].hash if name == "a" else "before"
            con.execute("insert into file_stages values (?, 'happenings', ?, 1, 0)", [number, read])

        missing = tenancy.missing(con, stages, span, DAY, freshness=DAY)

    assert missing == {"b": f"Things: no file covers any part of {span}"}


@pytest.mark.slow
@pytest.mark.stress
@pytest.mark.parametrize(
    ("seed", "stems", "tenants"), [(14, (), TENANTS), (21, EXPECTED, TENANTS[1:])]
)  # wrong notes, once
def test_law_of_two_tenants_holds_for_many_lakes(
    seed: int, stems: tuple[str, ...], tenants: tuple[str, ...], tmp_path: Path
) -> None:
    """The same over more worlds, in each layout by turns, once for everything that ships."""
    check(tmp_path, LAYOUTS[seed % len(LAYOUTS)], seed, stems, tenants)
