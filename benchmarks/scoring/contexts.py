"""Seeded mailboxes that are read from places and with applications, every new one known.

Counts are those of `generator`. Each hour's items are spread over the day's contexts of the
mailbox: offices, homes, phones behind a carrier's gateways, cafes, journeys, people who share a
mailbox, backup tools; now and then a line or a client changes, or a tool migrates mailboxes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.scoring import generator
from benchmarks.scoring.generator import DAY, MAILBOXES
from gundog.hunting.scoring.newness import Newness, joined

NEW_CONTEXT = ("stolen session", "stolen token", "consent", "patient reader")
USUAL_CONTEXT = generator.ATTACKS
LEARNING_DAYS = 14
KINDS = ("network", "provider", "country", "application")
# So many mailboxes have a thing that is rare in the tenant; as in the hunt's own parameters.
FEW = 3

# Networks, providers, countries and applications are numbers; a mailbox's home country is 0.
_CARRIER, _CLOUD, _HOSTING = 1, 300, 400
_OUTLOOK, _PHONE_APP, _BACKUP, _MIGRATION = 1, 2, 3, 4


@dataclass(frozen=True)
class Context:
    network: int
    provider: int
    country: int
    app: int

    def values(self) -> tuple[int, ...]:
        return (self.network, self.provider, self.country, self.app)


@dataclass(frozen=True)
class Sample:
    """Counts (series, hours) and what of them was new; the last `scored` hours are judged.

    `attack` names what was planted, or is ''. `mean`, `a` and `b` are the truth: a clean hour has
    the variance `mean + a * mean + b * mean ** 2`.
    """

    start: datetime
    counts: np.ndarray
    scored: int
    attack: np.ndarray
    new: Newness
    mean: np.ndarray
    a: np.ndarray
    b: np.ndarray


def make(
    seed: int, mailboxes: int, *, history_days: int = 28, scored: int = 48, attacked: float = 0.3
) -> Sample:
    """A sample that depends on nothing but its arguments.

    Before the history lie as many days as a mailbox is learned, which are made but not given.

    Args:
        seed: of numpy's default generator.
        mailboxes: how many.
        history_days: days before the scored hours.
        scored: hours that are judged.
        attacked: share of mailboxes with an attack, half of them from new contexts.
    """
    rng = np.random.default_rng(seed)
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=int(rng.integers(300)))
    before = LEARNING_DAYS * DAY
    hours = before + history_days * DAY + scored
    holiday = int(rng.integers(hours // DAY)) if rng.random() < 0.5 else -1
    kind = rng.choice(list(MAILBOXES), mailboxes, p=list(MAILBOXES.values()))
    attack = _attacks(rng, mailboxes, attacked)
    counts, mean = np.zeros((mailboxes, hours)), np.zeros((mailboxes, hours))
    a, b = np.zeros(mailboxes), np.zeros(mailboxes)
    read = []
    for row in range(mailboxes):
        mu, local = generator.usual(rng, kind[row], start, hours, holiday)
        drawn, a[row], b[row] = generator.draw(rng, kind[row], mu)
        mailbox = _Mailbox(rng, hours, local)
        mailbox.use(drawn)
        mailbox.change(generator.resyncs(rng, kind[row], mu), mu)
        if attack[row] in NEW_CONTEXT:
            mailbox.steal(attack[row], mu, scored)
        elif attack[row]:
            mailbox.use(generator.theft(rng, attack[row], kind[row], mu, local, scored))
        counts[row] = mailbox.totals()
        read.append([(row, *entry) for entry in mailbox.reads])
        mean[row] = mu
        if rng.random() < 0.15:
            down = int(rng.integers(hours))
            counts[row, down : down + int(rng.integers(2, 11))] = np.nan
    news = _news(np.array([entry for entries in read for entry in entries]), mailboxes, before)
    mean = mean[:, before:]
    return Sample(
        start + before * timedelta(hours=1), counts[:, before:], scored, attack, news, mean, a, b
    )


def _attacks(rng: np.random.Generator, mailboxes: int, attacked: float) -> np.ndarray:
    draw = rng.random(mailboxes)
    usual, new = rng.choice(USUAL_CONTEXT, mailboxes), rng.choice(NEW_CONTEXT, mailboxes)
    return np.where(draw < attacked / 2, usual, np.where(draw < attacked, new, ""))


@dataclass
class _Mailbox:
    """A mailbox's reads, by context and hour."""

    rng: np.random.Generator
    hours: int
    local: np.ndarray
    reads: list[tuple[int, float, int, int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = self.rng
        self.days = [
            self._day(places) for places in self._places(rng.random() < 0.1, rng.random() < 0.5)
        ]

    def _network(self) -> int:
        return int(self.rng.integers(1000, 10**9))

    def _line(self) -> Context:
        """A line at home or at work: most have one of a few large providers."""
        return Context(self._network(), 10 + min(int(self.rng.zipf(1.6)), 90), 0, _OUTLOOK)

    def _places(self, is_shared: bool, has_phone: bool) -> list[list[Context]]:
        """The contexts that a mailbox has on each day, apart from its phone's."""
        rng = self.rng
        office = Context(2000 + int(rng.integers(3)), 5, 0, _OUTLOOK)
        lines = [office, self._line()]
        if is_shared:
            lines += [self._line() for _ in range(int(rng.integers(2, 7)))]
        if rng.random() < 0.05:
            lines.append(Context(3000 + int(rng.integers(20)), _CLOUD, 0, _BACKUP))
        has_vpn = rng.random() < 0.03
        self.has_phone = has_phone
        days, away, trip = [], 0, list[Context]()
        for _ in range(-(-self.hours // DAY)):
            lines = [self._changed(line) for line in lines]
            if is_shared and rng.random() < 0.01:
                lines.append(self._line())
            if rng.random() < 0.002:
                lines.append(Context(self._network(), _CLOUD, 0, int(rng.integers(100, 10**6))))
            if away == 0 and rng.random() < 0.004:
                away, trip = int(rng.integers(2, 7)), [self._abroad(), self._abroad()]
            here = [trip[0], trip[-1]] if away else list(lines)
            away = max(away - 1, 0)
            if rng.random() < 0.03:
                here.append(Context(self._network(), 100 + int(rng.zipf(1.5)) % 90, 0, _OUTLOOK))
            if has_vpn:
                here.append(Context(self._network(), self._hosted(), 0, _OUTLOOK))
            days.append(here)
        return days

    def _hosted(self) -> int:
        """A hosting company, some of which sell to people who hide where they are."""
        return _HOSTING + min(int(self.rng.zipf(1.3)), 200)

    def _changed(self, line: Context) -> Context:
        """Providers give another network now and then; people change providers rarely."""
        rng = self.rng
        if line.app == _BACKUP:
            return Context(3000 + min(int(rng.zipf(1.5)), 50), _CLOUD, 0, _BACKUP)
        if line.provider == 5 or rng.random() > 0.006:
            return line
        if rng.random() < 0.15:
            return self._line()
        return Context(self._network(), line.provider, line.country, line.app)

    def _abroad(self) -> Context:
        country = min(int(self.rng.zipf(1.5)), 60) if self.rng.random() < 0.6 else 0
        provider = 1000 + country * 10 + int(self.rng.integers(5))
        return Context(self._network(), provider, country, _OUTLOOK)

    def _day(self, places: list[Context]) -> list[Context]:
        if self.has_phone:
            # A carrier's gateways: a handful often, many now and then.
            for _ in range(2):
                network = 5000 + min(int(self.rng.zipf(1.3)), 400)
                places = [*places, Context(network, _CARRIER, 0, _PHONE_APP)]
        return places

    def add(self, context: Context, hour: int, items: float) -> None:
        self.reads.append((hour, items, *context.values()))

    def use(self, counts: np.ndarray) -> None:
        """Spreads items over the contexts of their day; a few go through one."""
        for hour in np.flatnonzero(counts).tolist():
            usual = self.days[hour // DAY]
            # The first places are used most.
            weights = 0.55 ** np.arange(len(usual))
            weights /= weights.sum()
            if counts[hour] < 4:
                self.add(usual[int(self.rng.choice(len(usual), p=weights))], hour, counts[hour])
                continue
            for context, items in zip(
                usual, self.rng.multinomial(int(counts[hour]), weights).tolist(), strict=True
            ):
                if items:
                    self.add(context, hour, items)

    def change(self, resync: np.ndarray, mu: np.ndarray) -> None:
        """New devices, some with another client, and tools that migrate or archive."""
        rng = self.rng
        at = np.flatnonzero(resync)
        app = int(rng.integers(100, 10**6)) if rng.random() < 0.3 else _OUTLOOK
        for hour in at.tolist():
            line = self.days[hour // DAY][0]
            self.add(Context(line.network, line.provider, 0, app), hour, resync[hour])
        if rng.random() < 0.02:
            first = int(rng.integers(self.hours - 3))
            size = rng.uniform(2, 10) * max(mu.mean() * DAY, 5)
            tool = Context(3000 + int(rng.integers(50)), _CLOUD, 0, _MIGRATION)
            for hour in range(first, first + 3):
                self.add(tool, hour, float(rng.poisson(size / 3)))

    def steal(self, attack: str, mu: np.ndarray, scored: int) -> None:
        """5 to 100 items, or as many as a few hours of the mailbox if that is more."""
        rng = self.rng
        first = self.hours - scored
        items = max(10 ** rng.uniform(np.log10(5), 2), rng.uniform(0.3, 2) * mu.mean())
        lasts = int(rng.integers(24, 40)) if attack == "patient reader" else int(rng.integers(1, 7))
        at = first + int(rng.integers(scored - lasts + 1))
        hosted = Context(self._network(), self._hosted(), 0, _OUTLOOK)
        abroad = Context(hosted.network, hosted.provider, int(rng.integers(1, 60)), _OUTLOOK)
        contexts = {
            "stolen session": abroad if rng.random() < 0.7 else self._line(),
            # Through the line of somebody in the same country, who has a large provider.
            "stolen token": self._line() if rng.random() < 0.5 else abroad,
            "consent": Context(self._network(), _CLOUD, 0, int(rng.integers(100, 10**6))),
            "patient reader": abroad if rng.random() < 0.5 else hosted,
        }
        counts = rng.multinomial(max(int(items), 5), np.full(lasts, 1 / lasts))
        for place, stolen in enumerate(counts.tolist()):
            if stolen:
                self.add(contexts[attack], at + place, stolen)

    def totals(self) -> np.ndarray:
        """Items an hour."""
        total = np.zeros(self.hours)
        for hour, items, *_ in self.reads:
            total[hour] += items
        return total


def _news(reads: np.ndarray, mailboxes: int, before: int) -> Newness:
    """What of the items was new to its mailbox, and what of that was also rare in the tenant.

    Args:
        reads: row of the mailbox, hour, items and the context's values, (n, 7).
        mailboxes: how many there are.
        before: hours that are not given.
    """
    row, hour, items = reads[:, 0].astype(int), reads[:, 1].astype(int), reads[:, 2]
    ages = [_ages(row, hour, values) for values in reads[:, 3:].T]
    is_new = np.stack([since_mine < DAY for since_mine, _ in ages])
    is_rare = is_new & np.stack([since_common < DAY for _, since_common in ages])
    hours = int(hour.max()) + 1
    entries, which = np.unique(row * hours + hour, return_inverse=True)
    amounts = np.stack([np.bincount(which, items * kind) for kind in (*is_new, *is_rare)], axis=1)
    kept = amounts.any(axis=1) & (entries % hours >= before)
    return Newness(
        entries[kept] // hours,
        entries[kept] % hours - before,
        amounts[kept],
        np.zeros(mailboxes, dtype=np.int64),
    )


def _ages(row: np.ndarray, hour: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hours since the mailbox had each read's value first, and since more than `FEW` had it."""
    never = 10**6
    names, value = np.unique(values, return_inverse=True)
    pairs, pair = np.unique(row * len(names) + value, return_inverse=True)
    first = np.full(len(pairs), never)
    np.minimum.at(first, pair, hour)
    of_value = pairs % len(names)
    order = np.lexsort((first, of_value))
    start = np.searchsorted(of_value[order], np.arange(len(names)))
    many = np.bincount(of_value, minlength=len(names))
    place = np.minimum(start + FEW, len(order) - 1)
    common = np.where(many > FEW, first[order][place], never)
    return hour - first[pair], hour - common[value]


def planted(sample: Sample, stolen: np.ndarray, used: np.ndarray, seed: int) -> Sample:
    """The sample with three busy hours more in the last night of some mailboxes.

    20 items an hour, or twice the mailbox's mean if that is more.

    Args:
        sample: without attacks.
        stolen: mailboxes read by a session from a new network, provider and country; only the
            network is rare in the tenant.
        used: mailboxes read from what they have.
        seed: of the hours and items.
    """
    rng = np.random.default_rng(seed)
    counts = sample.counts.copy()
    mean = np.nanmean(counts[:, :-DAY], axis=1)
    rows, hours, amounts = [], [], []
    for row in (*stolen, *used):
        at = counts.shape[1] - DAY + int(rng.integers(DAY - 2))
        items = rng.poisson(max(20, 2 * mean[row]), 3)
        counts[row, at : at + 3] += items
        if row in stolen:
            rows += [row] * 3
            hours += range(at, at + 3)
            amounts += [[*[count] * 3, 0, count, 0, 0, 0] for count in items.tolist()]
    entries = Newness(np.array(rows), np.array(hours), np.array(amounts), sample.new.since)
    return replace(sample, counts=counts, new=joined([sample.new, entries]))
