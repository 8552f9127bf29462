"""Hunts over changes against their words, over random lakes with several tenants."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.core.times import Interval
from gundog.detections.hunt import Hunt
from gundog.hunting import match
from gundog.testing import examples
from tests import draws, kit

LOADED = kit.shipped()
DAY = timedelta(days=1)
START = datetime(2026, 3, 10, tzinfo=UTC)
END = START + DAY
HISTORY = 2 * DAY
Found = dict[Any, dict[str, Any]]


@dataclass(frozen=True)
class Change:
    """A random record, as the oracles see it."""

    number: int
    time: datetime
    tenant: str
    actor: str
    subject: str
    grade: int
    fails: bool

    def row(self, action: str, record: dict[str, Any]) -> dict[str, Any]:
        """The record as Defender delivers it."""
        head = {
            "Id": f"n{self.number}",
            "UserId": f"{self.actor}@example.com",
            "ResultStatus": "Failure" if self.fails else "Success",
        }
        return {
            "Timestamp": self.time,
            "TenantId": self.tenant,
            "ActionType": action,
            "RawEventData": head | record,
        }


_WORLD = st.lists(
    st.builds(
        Change,
        number=st.just(0),
        time=st.builds(
            lambda hours: START + timedelta(hours=hours),
            st.integers(0, 24) | st.sampled_from([-50, -48, -45, -30, -26, -1, 0, 2, 24]),
        ),
        tenant=st.sampled_from(["", "", "", "t"]),
        actor=st.sampled_from(["ana", "bob"]),
        subject=st.sampled_from(["ana", "cai"]),
        grade=st.integers(0, 3),
        fails=st.sampled_from([False, False, False, True]),
    ),
    min_size=4,
    max_size=14,
)


_CHANGES = st.lists(_WORLD, min_size=8, max_size=8).map(partial(draws.side_by_side, first=0))


def novel(changes: Sequence[Change], key: Callable[[Change], Any]) -> set[int]:
    """The numbers of changes without an equal one before them, as long as `HISTORY`."""
    ordered = sorted(changes, key=lambda change: (change.time, event_order(change)))
    return {
        change.number
        for n, change in enumerate(ordered)
        if not any(
            key(other) == key(change) and other.time >= change.time - HISTORY
            for other in ordered[:n]
        )
    }


def event_order(change: Change) -> str:
    """What decides between changes of one time: their id, as it is staged."""
    return hashlib.md5(f"Id n{change.number}".encode(), usedforsecurity=False).hexdigest()


def grouped(
    changes: Sequence[Change], key: Callable[[Change], Any]
) -> dict[tuple[str, Any], list[Change]]:
    """Changes of the interval by tenant and key."""
    groups = defaultdict[tuple[str, Any], list[Change]](list)
    for change in changes:
        if START <= change.time < END:
            groups[change.tenant, key(change)].append(change)
    return groups


def recent(changes: Sequence[Change], counts: Callable[[Change], bool]) -> list[Change]:
    """Changes that a hunt reads: since `HISTORY` before the interval, and not failed."""
    return [
        change
        for change in changes
        if START - HISTORY <= change.time < END and not change.fails and counts(change)
    ]


# Applications given access to mail: grade 3 is not a permission for mail.
SCOPES = ("Mail.Read", "Mail.Send", "full_access_as_app", "User.Read")


def grant_row(change: Change) -> dict[str, Any]:
    role = change.grade == 2
    action = "Add app role assignment to service principal." if role else "Consent to application."
    name = "AppRole.Value" if role else "ConsentAction.Permissions"
    new = SCOPES[change.grade]
    properties = [
        {"Name": name, "NewValue": new if role else f"[] => [[Scope: {new} openid, X: ]]"},
        {"Name": "ServicePrincipal.DisplayName", "NewValue": change.subject},
        {"Name": "ServicePrincipal.AppId", "NewValue": change.subject},
    ]
    target = {"ObjectId": change.subject, "ModifiedProperties": properties}
    return change.row(action, target)


def expected_grants(changes: Sequence[Change]) -> Found:
    mail = recent(changes, lambda change: change.grade < 3)
    new = novel(mail, lambda change: (change.tenant, change.subject, change.grade))
    promised: Found = {}
    for (tenant, (app, role)), group in grouped(
        mail, lambda change: (change.subject, change.grade == 2)
    ).items():
        fresh = {SCOPES[change.grade] for change in group if change.number in new}
        accounts = {change.actor for change in group}
        reads = any(change.grade != 1 for change in group)
        if fresh or len(accounts) >= 2:
            promised[tenant, app, "application" if role else "delegated"] = {
                "new_scopes": sorted(fresh),
                "account_count": len(accounts),
                "severity": "low" if not reads else "high" if role else "medium",
                "start_time": min(change.time for change in group),
                "end_time": max(change.time for change in group),
            }
    return promised


# Mailboxes opened: grade 3 is a role, 2 a whole mailbox, 1 a folder, 0 nothing to read.
RIGHTS = ("AvailabilityOnly", "Reviewer", "FullAccess", "ApplicationImpersonation")


def opening_row(change: Change) -> dict[str, Any]:
    given = {"User": f"{change.subject}@example.com", "AccessRights": RIGHTS[change.grade]}
    if change.grade == 3:
        role = {"User": given["User"], "Role": RIGHTS[3]}
        return change.row("New-ManagementRoleAssignment", {"Parameters": role})
    owner = f"box{change.number % 3}@example.com"
    if change.grade == 2:
        return change.row("Add-MailboxPermission", {"Parameters": {"Identity": owner, **given}})
    folder = {"Identity": f"{owner}:\\Inbox", **given}
    return change.row("Add-MailboxFolderPermission", {"Parameters": folder})


def expected_openings(changes: Sequence[Change]) -> Found:
    opening = recent(changes, lambda change: change.grade > 0)

    def box(change: Change) -> str:
        return "" if change.grade == 3 else f"box{change.number % 3}"

    new = novel(opening, lambda change: (change.tenant, change.subject, box(change), change.grade))
    promised: Found = {}
    fresh = [change for change in opening if change.number in new]
    for (tenant, who), group in grouped(fresh, lambda change: change.subject).items():
        boxes = {box(change) for change in group}
        own = any(change.actor == who for change in group)
        role = any(change.grade == 3 for change in group)
        whole = any(change.grade == 2 for change in group)
        loud = role or own or len(boxes) >= 2
        promised[tenant, f"{who}@example.com"] = {
            "mailboxes": len(boxes),
            "is_own_grant": own,
            "severity": "high" if loud else "medium" if whole else "low",
            "evidence": len(group),
        }
    return promised


# Searches: grade 3 purges, 2 exports, 1 searches; 0 only looks at a list of rules.
def search_row(change: Change) -> dict[str, Any]:
    actions = ("Set-InboxRule", "SearchStarted", "SearchExported", "SearchResultsPurged")
    return change.row(actions[change.grade], {"ObjectId": change.subject})


def expected_searches(changes: Sequence[Change]) -> Found:
    searches = recent(changes, lambda change: change.grade > 0)
    promised: Found = {}
    for (tenant, actor), group in grouped(searches, lambda change: change.actor).items():
        first = min(change.time for change in group)
        known = any(
            (change.tenant, change.actor) == (tenant, actor)
            and first - HISTORY <= change.time < START
            for change in searches
        )
        export = any(change.grade == 2 for change in group)
        purge = any(change.grade == 3 for change in group)
        if known and not (export or purge):
            continue
        loud = not known and (export or purge)
        promised[tenant, f"{actor}@example.com"] = {
            "is_new": not known,
            "is_export": export,
            "is_purge": purge,
            "severity": "high" if loud else "medium" if purge or not known else "low",
            "evidence": len(group),
        }
    return promised


# Credentials: 0 removes one, 1 adds one, 2 gives mail to the application, 3 gives something else.
def credential_row(change: Change) -> dict[str, Any]:
    if change.grade >= 2:
        return grant_row(replace(change, grade=2 if change.grade == 2 else 3))
    two = "[KeyIdentifier=1a,KeyType=Password] [KeyIdentifier=2b,KeyType=Password]"
    one = "[KeyIdentifier=1a,KeyType=Password]"
    new, old = (two, one) if change.grade else (one, two)
    properties = [{"Name": "KeyDescription", "NewValue": new, "OldValue": old}]
    record = {"ObjectId": change.subject, "ModifiedProperties": properties}
    return change.row("Add service principal credentials.", record)


def expected_credentials(changes: Sequence[Change]) -> Found:
    added = recent(changes, lambda change: change.grade == 1)
    mail = recent(changes, lambda change: change.grade == 2)
    new = novel(added, lambda change: (change.tenant, change.subject, change.actor))
    promised: Found = {}
    for (tenant, (app, actor)), group in grouped(
        added, lambda change: (change.subject, change.actor)
    ).items():
        granted = [
            change.time for change in mail if (change.tenant, change.subject) == (tenant, app)
        ]
        fresh = any(change.number in new for change in group)
        promised[tenant, app, f"{actor}@example.com"] = {
            "additions": len(group),
            "mail_granted_at": max(granted, default=None),
            "severity": "high" if granted else "medium" if fresh else "low",
        }
    return promised


# Rules: 0 sorts, 1 deletes, 2 sends to a partner, 3 sends everybody's mail out of the tenant.
PARTNER = "partner.example"


def rule_row(change: Change) -> dict[str, Any]:
    rules: tuple[dict[str, str], ...] = (
        {"Name": "Sorting", "MoveToFolder": "Project", "From": "x@example.com"},
        {"Name": "..", "DeleteMessage": "True"},
        {"Name": "Copy", "ForwardTo": f"drop@{PARTNER}"},
        {"Name": f"Rule {change.subject}", "BlindCopyTo": "drop@mail.test"},
    )
    rule = rules[change.grade]
    if change.grade == 2 and change.subject == "cai":
        rule = {**rule, "SubjectContainsWords": "invoice"}
    action = "New-TransportRule" if change.grade == 3 else "New-InboxRule"
    return change.row(action, {"UserId": worker(change), "Parameters": rule})


def worker(change: Change) -> str:
    """Whoever acts; the domain of bob belongs to the tenant only where he acted there."""
    return f"{change.actor}@{PARTNER if change.actor == 'bob' else 'example.com'}"


def expected_rules(changes: Sequence[Change]) -> Found:
    done = recent(changes, lambda change: change.grade >= 0)
    partners = {change.tenant for change in done if change.actor == "bob"}
    promised: Found = {}
    for (tenant, subject), group in grouped(
        [change for change in done if change.grade in (1, 3)
         or (change.grade == 2 and change.tenant not in partners)],
        lambda change: f"rule rule {change.subject}" if change.grade == 3 else worker(change),
    ).items():  # fmt: skip
        grades = {change.grade for change in group}
        picks = any(change.grade == 2 and change.subject == "cai" for change in group)
        hides = 1 in grades  # under a name that says nothing, and without a condition
        points = 2 * bool(grades & {2, 3}) + (3 in grades) + picks + 3 * hides
        promised[tenant, subject] = {
            "score": points,
            "severity": "high" if points >= 3 else "medium",
            "outside": [f"drop@{PARTNER}"] * (2 in grades) + ["drop@mail.test"] * (3 in grades),
            "is_picking": picks,
            "evidence": len(group),
        }
    return promised


# Audit: 1 bypasses it for an account, 2 ends it for a mailbox, 3 for the tenant; 0 changes it.
def audit_row(change: Change) -> dict[str, Any]:
    identity = {"Identity": f"{change.subject}@example.com"}
    owner = "MailboxLogin" if forgets_reads(change) else "MailboxLogin, MailItemsAccessed"
    action, settings = (
        ("Set-Mailbox", identity | {"AuditOwner": owner}),
        ("Set-MailboxAuditBypassAssociation", identity | {"AuditBypassEnabled": "True"}),
        ("Set-Mailbox", identity | {"AuditEnabled": "$false"}),
        ("Set-AdminAuditLogConfig", {"UnifiedAuditLogIngestionEnabled": "False"}),
    )[change.grade]
    return change.row(action, {"Parameters": settings})


def forgets_reads(change: Change) -> bool:
    """Whether the list of what is recorded has no reads any more."""
    return change.number % 2 == 0


def expected_audit(changes: Sequence[Change]) -> Found:
    names = ("reads", "bypass", "mailbox", "tenant")
    weaker = recent(changes, lambda change: change.grade > 0 or forgets_reads(change))
    promised: Found = {}
    for (tenant, actor), group in grouped(weaker, lambda change: change.actor).items():
        boxes = {f"{change.subject}@example.com" for change in group if change.grade != 3}
        loud = any(change.grade in (1, 3) for change in group)
        promised[tenant, f"{actor}@example.com"] = {
            "effects": sorted({names[change.grade] for change in group}),
            "mailboxes": sorted(boxes),
            "mailbox": min(boxes) if len(boxes) == 1 else None,
            "severity": "high" if loud else "medium",
            "evidence": len(group),
        }
    return promised


@dataclass(frozen=True)
class Asked:
    """A hunt, with parameters that small lakes can meet, and what must come of it."""

    stem: str
    params: dict[str, Any]
    identity: tuple[str, ...]
    row: Callable[[Change], dict[str, Any]]
    expected: Callable[[Sequence[Change]], Found]

    @property
    def hunt(self) -> Hunt:
        hunt = LOADED.hunt(self.stem)
        params = {**hunt.detection.params, **self.params}
        return replace(hunt, detection=replace(hunt.detection, params=params))


ASKED = (
    Asked(
        "app_granted_mail",
        {"history": HISTORY, "campaign": 2},
        ("tenant", "application", "access_mode"),
        grant_row,
        expected_grants,
    ),
    Asked(
        "mailbox_access_granted",
        {"history": HISTORY, "spread": 2},
        ("tenant", "grantee"),
        opening_row,
        expected_openings,
    ),
    Asked(
        "mail_searched_or_exported",
        {"history": HISTORY},
        ("tenant", "actor"),
        search_row,
        expected_searches,
    ),
    Asked(
        "app_credentials_added",
        {"history": HISTORY},
        ("tenant", "application", "actor"),
        credential_row,
        expected_credentials,
    ),
    Asked(
        "mail_forwarded_or_hidden",
        {"history": HISTORY},
        ("tenant", "subject"),
        rule_row,
        expected_rules,
    ),
    Asked("mail_audit_weakened", {}, ("tenant", "actor"), audit_row, expected_audit),
)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with examples.bench(LOADED, ASKED[0].hunt) as opened:
        yield opened


def hunted(con: duckdb.DuckDBPyConnection, asked: Asked, changes: Sequence[Change]) -> Found:
    """What the hunt finds, by what identifies it beside the interval."""
    rows = {"CloudAppEvents": [asked.row(change) for change in changes]}
    examples.fill(con, LOADED, asked.hunt, rows, Interval(START - 90 * DAY, END))
    hits = match.match(con, asked.hunt, Interval(START, END), START - 90 * DAY)
    return {
        tuple(hit.row[name] for name in asked.identity): {**hit.row, "evidence": len(hit.events)}
        for hit in hits
    }


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.stem)
@draws.law(8, quick=2)
@given(changes=_CHANGES, order=st.randoms(use_true_random=False))
def test_hunt_finds_what_its_words_say(
    con: duckdb.DuckDBPyConnection, asked: Asked, changes: list[Change], order: Any
) -> None:
    """Exactly the findings that the words give, with their severity, and no others.

    Also in another order, where all is delivered twice, and with more of it in the future.
    """
    promised = asked.expected(changes)
    later = [replace(change, time=change.time + 5 * DAY, number=900) for change in changes]
    more = [*changes, *changes, *(change for change in later if change.time >= END)]
    order.shuffle(more)

    found = hunted(con, asked, changes)

    assert {
        key: {name: row[name] for name in promised.get(key, {})} for key, row in found.items()
    } == promised
    assert hunted(con, asked, more) == found


def test_a_partner_is_a_stranger_until_somebody_of_his_acts(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """The case that decides about a rule is drawn too seldom to rely on it."""
    (asked,) = (asked for asked in ASKED if asked.stem == "mail_forwarded_or_hidden")
    rule = Change(1, START, "", "ana", "cai", 2, fails=False)
    partner = Change(2, START - DAY, "", "bob", "cai", 0, fails=False)
    for other, found in (
        (replace(rule, number=3, grade=0), 1),
        (partner, 0),
        (replace(partner, tenant="t"), 1),
        (replace(partner, fails=True), 1),
    ):
        changes = [rule, other]
        assert len(hunted(con, asked, changes)) == len(expected_rules(changes)) == found


@pytest.mark.parametrize(
    ("stem", "old", "new", "killer"),
    draws.spread(
        [
            (
                "app_granted_mail",
                "< event_time - $history",
                "<= event_time - $history",
                "and at exactly thirty days",
            ),
            (
                "app_granted_mail",
                "        and is_success\n",
                "",
                "a consent that was refused",
            ),
            (
                "app_credentials_added",
                "with_mail.app_id = summed.app_id\n",
                "with_mail.tenant = summed.tenant\n",
                "access of another application to mail raises nothing",
            ),
            (
                "app_credentials_added",
                "list_has_all(",
                "list_has_any(",
                "a second password beside one that stays",
            ),
            (
                "mailbox_access_granted",
                "partition by tenant, grantee, opened, scope, folder, rights",
                "partition by tenant, grantee, scope, folder, rights",
                "a week ago for another mailbox",
            ),
            (
                "mailbox_access_granted",
                "and not contains(lower(coalesce(folder, '')), 'calendar')",
                "",
                "a calendar, and a folder that shows only that it exists",
            ),
            (
                "mail_forwarded_or_hidden",
                " and not contains(actor, '#ext#')",
                "",
                "a guest's domain is not",
            ),
            (
                "mail_forwarded_or_hidden",
                "event_time >= $start - $history",
                "event_time >= $start",
                "the domain of a colleague who acted within a month is the tenant's own",
            ),
            (
                "mail_searched_or_exported",
                "where is_new or is_export or is_purge",
                "where true",
                "a search by an account that searched last week",
            ),
            (
                "mail_audit_weakened",
                "add\\W*=",
                "nothing",
                "reads are added, and a quota is set",
            ),
        ],
        every=4,
    ),
)
def test_mutant_fails_its_example(
    con: duckdb.DuckDBPyConnection, stem: str, old: str, new: str, killer: str
) -> None:
    """A hunt that is wrong in one place fails the example that stands for this place."""
    hunt = LOADED.hunt(stem)
    assert old in hunt.sql
    changed = replace(hunt, sql=hunt.sql.replace(old, new))
    (example,) = (one for one in hunt.detection.examples if one.name == killer)

    assert examples.check(LOADED, changed, example, con) != []
