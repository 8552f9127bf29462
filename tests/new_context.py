"""Mail read from a new network: the words of the hunt, and random records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from tests.oracle import DAY, END, START, Asked

ESTABLISHED, MIN_DAYS, WITHIN, SITE_FROM, MIN_POINTS = 2 * DAY, 2, DAY, 3, 2
CLIENTS = {
    "owa": ("Client=OWA", "web"),
    "mobile": ("Client=OutlookService;Outlook-iOS/2.0", "phone"),
    "outlook_desktop": ("Client=MSExchangeRPC", "desktop"),
}


@dataclass(frozen=True)
class Read:
    """A random record, as the oracle sees it."""

    number: int
    time: datetime
    tenant: str
    mailbox: str
    site: int
    country: str | None
    isp: str | None
    proxy: bool
    family: str
    session: str | None
    sync: bool
    items: int

    @property
    def network(self) -> str:
        return f"198.51.{self.site}.0/24"

    @property
    def app(self) -> str:
        return CLIENTS[self.family][1]

    def row(self) -> dict[str, Any]:
        """The record as Defender delivers it."""
        kind = "Sync" if self.sync else "Bind"
        return {
            "Timestamp": self.time,
            "TenantId": self.tenant,
            "ActionType": "MailItemsAccessed",
            "Application": "Microsoft Exchange Online",
            "IPAddress": f"198.51.{self.site}.{self.number % 200}",
            "CountryCode": self.country,
            "Isp": self.isp,
            "IsAnonymousProxy": self.proxy,
            "ReportId": str(self.number),
            "RawEventData": {
                "MailboxOwnerUPN": self.mailbox,
                "UserId": self.mailbox,
                "ClientInfoString": CLIENTS[self.family][0],
                "ClientAppId": self.app,
                "SessionId": self.session,
                "OperationProperties": [{"Name": "MailAccessType", "Value": kind}],
                "OperationCount": None if self.sync else self.items,
                "Item": {"ParentFolder": {"Path": "\\Inbox"}},
            },
        }


def kinds_of(read: Read) -> dict[str, str | None]:
    return {
        "network": read.network,
        "country": read.country,
        "isp": read.isp,
        "family": read.family,
        "app": read.app,
        "session": read.session,
    }


def expected(reads: Sequence[Read]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """What the words of the hunt say of these records, by tenant, mailbox and network."""
    before = [read for read in reads if read.time < START]
    night = [read for read in reads if START <= read.time < END]
    places = defaultdict[tuple[str, str, str], list[Read]](list)
    for read in sorted(night, key=lambda read: (read.time, read.number)):
        places[read.tenant, read.mailbox, read.network].append(read)
    new: dict[tuple[str, str, str], list[Read]] = {}
    for (tenant, mailbox, network), mine in places.items():
        own = [read for read in before if (read.tenant, read.mailbox) == (tenant, mailbox)]
        if any(read.network == network for read in own) or not own:
            continue
        is_learned = min(read.time for read in own) + ESTABLISHED <= mine[0].time
        if is_learned and len({read.time.date() for read in own}) >= MIN_DAYS:
            new[tenant, mailbox, network] = mine
    found = {}
    for key, mine in new.items():
        told = points_of(key, mine, before, reads, new)
        if told["score"] >= MIN_POINTS:
            found[key] = told
    return found


def points_of(
    key: tuple[str, str, str],
    mine: list[Read],
    before: Sequence[Read],
    reads: Sequence[Read],
    new: dict[tuple[str, str, str], list[Read]],
) -> dict[str, Any]:
    """The points of one mailbox and new network, and what they are for."""
    tenant, mailbox, network = key
    habits, familiar = defaultdict[str, set[Any]](set), defaultdict[str, set[Any]](set)
    for read in before:
        for kind, value in kinds_of(read).items():
            if read.tenant == tenant and value is not None:
                familiar[kind].add(value)
                if read.mailbox == mailbox:
                    habits[kind].add(value)

    def first(values: Iterator[str | None]) -> str | None:
        return next((value for value in values if value is not None), None)

    country, isp = first(read.country for read in mine), first(read.isp for read in mine)
    session, family = first(read.session for read in mine), mine[0].family
    new_country = (
        bool(habits["country"]) and country is not None and (country not in habits["country"])
    )
    new_isp = bool(habits["isp"]) and isp is not None and isp not in habits["isp"]
    new_client = family not in habits["family"] or mine[0].app not in habits["app"]
    hops, torn = hops_of(key, reads)
    mailboxes = sum(1 for one, _, place in new if (one, place) == (tenant, network))
    score = (
        2 * new_country
        + (new_country and country not in familiar["country"])
        + new_isp
        + (new_isp and isp not in familiar["isp"])
        + (network not in familiar["network"])
        + new_client
        + 2 * any(read.proxy for read in mine)
        + bool(hops)
        + 2 * torn
        + 2 * any(read.sync for read in mine)
        + 2 * (2 <= mailboxes < SITE_FROM)
        - 2 * (family == "mobile" and session is not None and session in habits["session"])
    )
    return {
        "score": score,
        "severity": "high" if score >= 8 else "medium" if score >= 6 else "low",
        "records": len(mine),
        "items": sum(0 if read.sync else read.items for read in mine),
        "start_time": mine[0].time,
        "end_time": mine[-1].time,
        "other_network": min(hops, default=None),
        "is_in_two_places": torn,
        "is_new_country": new_country,
        "is_new_provider": new_isp,
        "is_new_client": new_client,
        "mailboxes": mailboxes,
    }


def hops_of(key: tuple[str, str, str], reads: Sequence[Read]) -> tuple[set[str], bool]:
    """Networks in which a session of this place was used too, and whether that cannot be."""
    tenant, mailbox, network = key
    uses = defaultdict[tuple[Any, ...], list[datetime]](list)
    for read in reads:
        recent = START - WITHIN <= read.time < END
        own = (read.tenant, read.mailbox) == (tenant, mailbox)
        if own and recent and read.session and read.family != "mobile":
            uses[read.session, read.network, read.isp, read.country].append(read.time)
    hops, torn = set(), False
    for here, here_times in uses.items():
        for there, there_times in uses.items():
            same_isp = here[2] is not None and here[2] == there[2]
            if here[1] != network or there[1] == network or here[0] != there[0] or same_isp:
                continue
            hops.add(there[1])
            countries = {here[3], there[3]}
            torn |= len(countries) == 2 and None not in countries
            torn |= max(min(here_times), min(there_times)) <= min(max(here_times), max(there_times))
    return hops, torn


_READ = st.builds(
    Read,
    number=st.just(0),
    time=st.builds(
        lambda hours: START + timedelta(hours=hours),
        st.integers(-80, 23) | st.integers(0, 23) | st.just(24),
    ),
    tenant=st.sampled_from(["", "", "t"]),
    mailbox=st.sampled_from(["ana", "bob", "cai"]),
    site=st.integers(1, 4),
    country=st.sampled_from(["NL", "DE", None]),
    isp=st.sampled_from(["Fiber", "Hosting", None]),
    proxy=st.sampled_from([False, False, True]),
    family=st.sampled_from(sorted(CLIENTS)),
    session=st.sampled_from(["s1", "s2", None]),
    sync=st.sampled_from([False, False, True]),
    items=st.integers(1, 5),
)


def world(drawn: list[Read]) -> list[Read]:
    """The records numbered, and with them what is looked for: a known mailbox, a new place."""
    planted = [
        Read(0, START - n * DAY, "", "ana", 1, "NL", "Fiber", False, "owa", "s1", False, 2)
        for n in (1, 2, 3)
    ]
    stolen = replace(planted[0], time=START + 2 * timedelta(hours=1), site=9, country="BR",
                     isp="Hosting")  # fmt: skip
    return [replace(read, number=n) for n, read in enumerate([*planted, stolen, *drawn])]


ASKED = Asked(
    "mail_read_from_new_context",
    {
        "history": ESTABLISHED,
        "established": ESTABLISHED,
        "minDays": MIN_DAYS,
        "within": WITHIN,
        "siteFrom": SITE_FROM,
        "minPoints": MIN_POINTS,
    },
    st.lists(_READ, max_size=25),
    world,
    expected,
    ("tenant", "mailbox", "network"),
)
MUTANTS = [
    ("known.first_time < $start\n            and known.tenant", "known.tenant",
     "a stolen web session reads eight mails from a new country"),
    ("            and known.tenant = places.tenant\n", "", "known in another tenant only"),
    (
        "and $staged_from <= $start - $history",
        "and $staged_from is not null and $history is not null",
        "with less than thirty days staged it is still learning",
    ),
    ("where habits.learned_at <= new_places.first_time", "",
     "a mailbox that was audited for less than fourteen days"),
    ("habits.learned_at <= new", "habits.learned_at < new",
     "and one that was for exactly fourteen"),
    (">= $minDays", ">= 0 * $minDays", "a mailbox that was read on four days only"),
    ("- 2 * cast(has_moved as integer)", "",
     "a phone that goes on with its session abroad, and one with a new session"),
]  # fmt: skip
