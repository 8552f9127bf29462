"""Made-up counts of a year of nights: what the watch (gundog.health.drift)
says of good ones, and of planted drifts.

`python -m tests.drift_nights [LAKES]` prints two tables: false problems by size of tenant, and how
soon each drift is told. It ends with 1 when a good year has a problem or a drift is told too late.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise

import numpy as np

from gundog.health import drift
from gundog.health.drift import Drift, Table

SOURCE, STAGE, KEY = "CloudAppEvents", "mail_access", "mailbox"
MAILBOXES = (5, 8, 15, 30, 60, 120, 250, 500, 1_000, 2_500, 5_000, 10_000, 20_000, 50_000)
NIGHTS = 365
START = date(2026, 1, 1) - timedelta(days=drift.HISTORY)
FIRST = (START - date(1970, 1, 1)).days
DAYS = range(FIRST, FIRST + drift.HISTORY + NIGHTS)
BIG, SOON = 200, 7
# A country's holidays, as (month, day); all have the last week of December in common.
_CHRISTMAS = ((12, 25), (12, 26), (1, 1))
COUNTRIES: tuple[tuple[tuple[int, int], ...], ...] = (
    (*_CHRISTMAS, (4, 3), (4, 6), (5, 1), (5, 14), (5, 25), (10, 3)),
    (*_CHRISTMAS, (1, 19), (2, 16), (5, 25), (6, 19), (7, 3), (9, 7), (11, 26), (11, 27)),
    (*_CHRISTMAS, (1, 12), (2, 11), (4, 29), (5, 4), (5, 5), (5, 6), (8, 11), (9, 21), (9, 22)),
    (*_CHRISTMAS, (4, 3), (4, 6), (5, 4), (8, 31)),
)


def day_of(number: int) -> date:
    """The date of a day since 1970."""
    return date(1970, 1, 1) + timedelta(days=number)


@dataclass(frozen=True)
class Tenant:
    """A made-up tenant: rows a day of its mail, of its other events, and of those that are bad."""

    name: str
    mailboxes: int
    holidays: frozenset[int]
    mail: Mapping[int, int]
    others: Mapping[int, int]
    rejected: Mapping[int, int]
    lacking: Mapping[int, int]

    def is_working_day(self, day: int) -> bool:
        return day_of(day).weekday() < 5 and day not in self.holidays


@dataclass(frozen=True)
class Habits:
    """What a tenant's days are drawn from.

    Attributes:
        a_day: records of a mailbox on a working day.
        idle: what is left of them without people.
        share: other events beside each record.
        machines: the part of these that never rests.
        growth: in the year, as a share.
        joined: from which day on how many times as many mailboxes there are.
        swing: from day to day, as a share.
        bad: shares of rows that are rejected, and that lack a key, on working days.
        worse: how many times as many on other days, when machines are among themselves.
    """

    a_day: float
    idle: float
    share: float
    machines: float
    growth: float
    joined: tuple[int, float]
    swing: float
    bad: tuple[float, float]
    worse: float


def habits(random: np.random.Generator, mailboxes: int, holidays: frozenset[int]) -> Habits:
    """A small office may send nothing on weekends; the source has other rows that say so."""
    is_idle = mailboxes < 100 and random.random() < 0.2
    working = [day for day in DAYS[40:] if day_of(day).weekday() < 5 and day not in holidays]
    return Habits(
        a_day=float(np.clip(random.lognormal(np.log(8), 0.7), 1.5, 60)),
        idle=0 if is_idle else random.uniform(0.01, 0.3),
        share=random.uniform(1, 5),
        machines=random.uniform(0.1, 0.3 if is_idle else 0.9),
        growth=random.uniform(-0.3, 1.5),
        joined=(int(random.choice(working)), random.uniform(1, 1.6)),
        swing=random.uniform(0.05, 0.2),
        bad=(random.uniform(0, 0.01), random.uniform(0, 0.05)),
        worse=random.uniform(1, 4),
    )


def tenant(random: np.random.Generator, name: str, mailboxes: int) -> Tenant:
    """A year of counts, with weekends, holidays, growth, and days that are busier than others."""
    calendar = COUNTRIES[random.integers(len(COUNTRIES))]
    is_shut = mailboxes < 100 and random.random() < 0.5  # between the years
    holidays = frozenset(
        day
        for day in DAYS
        if (day_of(day).month, day_of(day).day) in calendar
        or (is_shut and (day_of(day).month, day_of(day).day) >= (12, 24))
    )
    mine = habits(random, mailboxes, holidays)
    rows: dict[str, dict[int, int]] = {"mail": {}, "others": {}, "rejected": {}, "lacking": {}}
    for day in DAYS:
        is_work = day_of(day).weekday() < 5 and day not in holidays
        for kind, count in drawn(random, mine, mailboxes, day, is_work=is_work).items():
            rows[kind][day] = count
    return Tenant(name, mailboxes, holidays, **rows)


def drawn(
    random: np.random.Generator, mine: Habits, mailboxes: int, day: int, *, is_work: bool
) -> dict[str, int]:
    """The counts of one day."""
    size = mailboxes * (1 + mine.growth * (day - DAYS[0]) / NIGHTS)
    size *= mine.joined[1] if day >= mine.joined[0] else 1
    people = mine.idle
    if is_work:
        rate = 0.6 if day_of(day).month == 8 else 0.85
        there = random.binomial(max(int(size), 1), rate)
        people = (0.85 if day_of(day).weekday() == 4 else 1.0) * max(there, 1) / max(size, 1)
    people *= random.gamma(1 / mine.swing**2, mine.swing**2)
    mail = int(random.poisson(size * mine.a_day * people))
    other = size * mine.a_day * mine.share * (mine.machines + (1 - mine.machines) * people)
    burst = 0.1 if random.random() < 0.02 else 0.0
    worse = 1 if is_work else mine.worse
    shares = [min(one * worse * random.gamma(2, 0.5) + burst, 0.3) for one in mine.bad]
    rejected = int(random.binomial(mail, shares[0]))
    return {
        "mail": mail,
        "others": int(random.poisson(other)),
        "rejected": rejected,
        "lacking": int(random.binomial(mail - rejected, shares[1])),
    }


def lake(seed: int, sizes: tuple[int, ...] = MAILBOXES) -> list[Tenant]:
    """Tenants of one lake."""
    random = np.random.default_rng(seed)
    return [tenant(random, f"t{place}-{size}", size) for place, size in enumerate(sizes)]


def tables(tenants: list[Tenant]) -> tuple[Table, Table]:
    """What the watch is given of a lake: the source, and the staged table."""

    def some(rows: Mapping[int, int]) -> dict[int, int]:
        return {day: count for day, count in rows.items() if count}

    given = {
        one.name: some({day: one.mail[day] + one.others[day] for day in DAYS}) for one in tenants
    }
    kept = {one.name: some({d: one.mail[d] - one.rejected[d] for d in DAYS}) for one in tenants}
    return Table(SOURCE, given=given), Table(
        SOURCE, STAGE, given, kept,
        {one.name: some(one.rejected) for one in tenants},
        {KEY: {one.name: some(one.lacking) for one in tenants}},
    )  # fmt: skip


# ---- what is planted ----


@dataclass(frozen=True)
class Plant:
    """A drift: what becomes of a day's counts, and how it is told."""

    kind: str
    text: str
    share: float = 1.0

    def applied(self, one: Tenant, since: int) -> Tenant:
        """The tenant, of whom records are other ones from a day on."""
        mail, others = dict(one.mail), dict(one.others)
        rejected, lacking = dict(one.rejected), dict(one.lacking)
        random = np.random.default_rng(since)
        for day in range(since, DAYS[-1] + 1):
            lost = int(random.binomial(mail[day], self.share))
            if self.text == "Office 365":
                others[day] += lost
            if self.kind == drift.SILENT:
                others[day] = 0
            if self.kind in (drift.GONE, drift.SILENT):
                mail[day] = rejected[day] = lacking[day] = 0
            elif self.kind == drift.REJECTED:
                rejected[day] = max(rejected[day], lost)
                lacking[day] = min(lacking[day], mail[day] - rejected[day])
            else:
                lacking[day] = max(lacking[day], min(lost, mail[day] - rejected[day]))
        return replace(one, mail=mail, others=others, rejected=rejected, lacking=lacking)

    def rows(self, one: Tenant, day: int) -> int:
        """The rows that would have come that day."""
        return one.mail[day] + (one.others[day] if self.kind == drift.SILENT else 0)


PLANTS = (
    Plant(drift.REJECTED, "string"),
    Plant(drift.LACKING, "camelCase"),
    Plant(drift.GONE, "Office 365"),
    Plant(drift.REJECTED, "half of the rows rejected", 0.5),
    Plant(drift.LACKING, "half of the keys lost", 0.5),
    Plant(drift.LACKING, "keys lost but for 1 in 10", 0.9),
    Plant(drift.GONE, "table gone"),
    Plant(drift.SILENT, "tenant gone"),
)


# ---- the two tables ----


def problems(tenants: list[Tenant]) -> list[Drift]:
    """Everything the watch says of a lake in its year and the four weeks before."""
    return [one for table in tables(tenants) for one in drift.judge(table, DAYS[0], DAYS[-1])]


def told_after(plant: Plant, tenants: list[Tenant], place: int, day: int) -> int | None:
    """How many nights after its first one a drift is told; None when it is not in 14 days."""
    changed = [
        plant.applied(one, day) if place == turn else one for turn, one in enumerate(tenants)
    ]
    name = changed[place].name
    table = tables(changed)[0 if plant.kind == drift.SILENT else 1]
    if table.stage:  # the other tenants' rows change nothing
        table = replace(table, kept={name: table.kept[name]}, rejected={name: table.rejected[name]})
    found = drift.judge(table, day, min(day + 14, DAYS[-1]))
    nights = [one.noticed - day for one in found if (one.kind, one.tenant) == (plant.kind, name)]
    return min(nights, default=None)


def is_soon(plant: Plant, one: Tenant, day: int, nights: int | None) -> bool:
    """True when it was told that night where it was big, else within a week.

    A week that holidays cut counts until its fifth working day.
    """
    if nights is None or plant.rows(one, day) >= BIG:
        return nights == 0
    working = sum(one.is_working_day(later) for later in range(day, day + nights + 1))
    return nights < SOON or working <= 5


@dataclass(frozen=True)
class Planted:
    """A drift that was planted in a tenant, and after how many nights it was told."""

    plant: Plant
    tenant: Tenant
    day: int
    nights: int | None

    @property
    def is_big(self) -> bool:
        return self.plant.rows(self.tenant, self.day) >= BIG

    @property
    def is_late(self) -> bool:
        return not is_soon(self.plant, self.tenant, self.day, self.nights)

    @property
    def shown(self) -> str:
        rows = self.plant.rows(self.tenant, self.day)
        return f"late: {self.plant.text}: {self.tenant.name} {day_of(self.day)} {rows} rows"


def plant_in(
    tenants: list[Tenant], days: int, seed: int, plants: tuple[Plant, ...] = PLANTS
) -> Iterator[Planted]:
    """Each drift in each tenant of a lake, on working days at random, one at a time."""
    random = np.random.default_rng(seed)
    for place, one in enumerate(tenants):
        working = [day for day in DAYS[drift.HISTORY : -14] if one.is_working_day(day)]
        for day in map(int, random.choice(working, days, replace=False)):
            for plant in plants:
                yield Planted(plant, one, day, told_after(plant, tenants, place, day))


def lakes(count: int) -> Iterator[list[Tenant]]:
    """Lakes of all sizes of tenants, of a single tenant, and of two."""
    for seed in range(count):
        pairs = pairwise(MAILBOXES)
        for sizes in (MAILBOXES, *((one,) for one in MAILBOXES), *pairs):
            yield lake(seed * 1_000 + len(sizes) * 100 + sizes[0], sizes)


def good_nights(count: int) -> tuple[list[str], bool]:
    """The table of false problems, with each in words; and whether there was one."""
    tenants, bad = Counter[int](), Counter[int]()
    said = []
    for one in lakes(count):
        found = problems(one)
        sizes = {each.name: each.mailboxes for each in one}
        tenants.update(sizes.values())
        bad.update(sizes[each.tenant] for each in found)
        said += [f"false: lake of {len(one)}: {day_of(each.noticed)} {each}" for each in found]
    rows = [
        f"| {size:,} | {number} | {number * len(DAYS):,} | {bad[size]} |"
        for size, number in sorted(tenants.items())
    ]
    head = ["| mailboxes | tenants | nights judged | false problems |", f"|{'---:|' * 4}"]
    return [*head, *rows, *said], bool(said)


def planted_nights(count: int, days: int) -> tuple[list[str], bool]:
    """The table of planted drifts, with those told too late; and whether there was one."""
    found = [one for seed in range(count) for one in plant_in(lake(seed + 500), days, seed)]
    lines = [
        "| drift | rows a day | planted | that night | within 7 days | later | not told |",
        f"|---|---|{'---:|' * 5}",
    ]
    for plant in PLANTS:
        for is_big in (True, False):
            nights = [one.nights for one in found if one.plant == plant and one.is_big == is_big]
            told = [one for one in nights if one is not None]
            counts = (
                len(nights), told.count(0), sum(0 < one < SOON for one in told),
                sum(one >= SOON for one in told), nights.count(None),
            )  # fmt: skip
            size = f"{BIG} or more" if is_big else f"under {BIG}"
            lines.append(f"| {plant.text} | {size} | {' | '.join(map(str, counts))} |")
    late = [one.shown for one in found if one.is_late]
    return [*lines, *late], bool(late)


def main(count: int, days: int = 4) -> int:
    """Prints both tables; returns the exit status."""
    good, is_false = good_nights(count)
    planted, is_late = planted_nights(count, days)
    sys.stdout.write("\n".join([*good, "", *planted, ""]))
    return 1 if is_false or is_late else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 4))
