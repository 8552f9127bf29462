"""Attacks laid over your own nights: what is found, and that nothing is left of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gundog.cli import main
from gundog.core.errors import QueryError
from gundog.core.times import Interval
from gundog.detections import checks
from gundog.testing import attacks, drill, overlay
from gundog.testing.drill import Drilled, Place
from gundog.warehouse import database, query
from tests import child_work, draws, kit

DAY = timedelta(days=1)
NIGHT = datetime(2026, 3, 9, tzinfo=UTC)
FIRST = NIGHT - 34 * DAY
STEMS = ("mail_read_from_new_context", "new_app_access", "other_users_mailboxes",
         "mailbox_export_removed", "mailbox_export_cmdlet",
         "mail_items_accessed")  # fmt: skip
CONFIG = """\
content: [builtin]
lake:
  CloudAppEvents: lake/CloudAppEvents/date=%Y-%m-%d/*.parquet
  DeviceProcessEvents: lake/DeviceProcessEvents/date=%Y-%m-%d/*.parquet
  DeviceEvents: lake/DeviceEvents/date=%Y-%m-%d/*.parquet
warehouse: .gundog/warehouse.duckdb
findings: .gundog/findings.duckdb
"""
TENANTS = {"a": ("ana", "amy"), "b": ("bob", "bea")}


def mail(day: datetime, tenant: str, name: str, place: int, items: int = 1) -> dict[str, object]:
    """The owner reads once a day from an own place; nobody reads anybody else's mail."""
    address = f"{name}@example.com"
    raw = {
        "MailboxOwnerUPN": address,
        "UserId": address,
        "UserType": 0,
        "LogonType": 0,
        "ClientAppId": "web",
        "AppId": "exo",
        "ClientInfoString": "Client=OWA",
        "SessionId": f"{name}-session",
        "OperationCount": items,
        "OperationProperties": [{"Name": "MailAccessType", "Value": "Bind"}],
    }
    return {
        "Timestamp": day + timedelta(hours=9),
        "TenantId": tenant,
        "ActionType": "MailItemsAccessed",
        "Application": "Microsoft Exchange Online",
        "IPAddress": f"192.0.{place}.7",
        "CountryCode": "NL",
        "Isp": "Home Fiber",
        "RawEventData": json.dumps(raw),
    }


def shell(day: datetime, tenant: str) -> dict[str, object]:
    """A script of the tenant exports a mailbox once a day, and removes nothing."""
    return {
        "Timestamp": day + timedelta(hours=5),
        "TenantId": tenant,
        "DeviceName": f"exch-{tenant}",
        "AccountName": "script",
        "AccountDomain": "X",
        "ActionType": "ProcessCreated",
        "FileName": "powershell.exe",
        "ProcessCommandLine": "powershell New-MailboxExportRequest -Mailbox x",
    }


def cmdlet(day: datetime, tenant: str) -> dict[str, object]:
    """The same export, as PowerShell records it in the script's own shell."""
    return {
        "Timestamp": day + timedelta(hours=5),
        "TenantId": tenant,
        "DeviceName": f"exch-{tenant}",
        "ActionType": "PowerShellCommand",
        "AdditionalFields": json.dumps({"Command": "New-MailboxExportRequest -Mailbox x"}),
        "InitiatingProcessAccountName": "script",
        "InitiatingProcessAccountDomain": "X",
        "InitiatingProcessFileName": "powershell.exe",
    }


def put(root: Path, source: str, day: datetime, rows: list[dict[str, object]]) -> None:
    path = root / "lake" / source / f"date={day:%Y-%m-%d}" / "a.parquet"
    path.parent.mkdir(parents=True)
    schema = pa.schema(
        {
            name: pa.timestamp("us", "UTC") if name == "Timestamp" else pa.string()
            for name in rows[0]
        }
    )
    pq.write_table(pa.Table.from_pylist(rows, schema), path)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five weeks of two tenants, of which the last night is hunted."""
    root = tmp_path_factory.mktemp("drill")
    kit.write_text(root / "gundog.yaml", CONFIG)
    for turn in range(35):
        day = FIRST + turn * DAY
        people = [(tenant, name) for tenant, names in TENANTS.items() for name in names]
        rows = [mail(day, *whose, place) for place, whose in enumerate(people)]
        if day == NIGHT:
            rows.append(mail(day - timedelta(hours=6), "a", "amy", 1, items=600))
        put(root, "CloudAppEvents", day, rows)
        put(root, "DeviceProcessEvents", day, [shell(day, tenant) for tenant in TENANTS])
        if NIGHT - day < 4 * DAY:
            put(root, "DeviceEvents", day, [cmdlet(day, tenant) for tenant in TENANTS])
    outcome = kit.hunt(
        root, ("2026-03-09", "2026-03-09"), NIGHT + 2 * DAY, detections=STEMS, notify="none"
    )
    assert outcome.hunted == len(STEMS)
    return root


def drilled(root: Path, stem: str) -> Drilled:
    place = Place(root / ".gundog/warehouse.duckdb", 500_000_000, 1)
    return drill.drill(place, kit.shipped(), kit.shipped().hunt(stem), 3)


def shares(result: Drilled) -> dict[str, set[tuple[int, int]]]:
    """By context: found and attacked, over all tenants, times and sizes."""
    seen = dict[str, set[tuple[int, int]]]()
    for score in result.scores:
        seen.setdefault(score.context, set()).add((score.found, score.attacked))
    return seen


SIZES, TIMES = attacks.SIZES, attacks.TIMES


@pytest.fixture(autouse=True)
def few_attacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest and the largest by night say most; `make check` tries all of some hunts."""
    if not draws.is_thorough():
        monkeypatch.setattr(attacks, "SIZES", (SIZES[0], SIZES[-1]))
        monkeypatch.setattr(attacks, "TIMES", TIMES[-1:])


NOWHERE, EVERYWHERE = {(0, 2)}, {(2, 2)}
OWN, STOLEN, APP, ACCOUNT = attacks.CONTEXTS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stem", "found"),
    [
        ("mail_read_from_new_context", {STOLEN, APP}),
        ("new_app_access", {APP}),
        ("other_users_mailboxes", {ACCOUNT}),
    ],
)
def test_a_hunt_finds_the_attacks_that_it_is_for(root: Path, stem: str, found: set[str]) -> None:
    """And no others: an attack from the usual context looks like the owner to all of these."""
    result = drilled(root, stem)

    assert result.nights == (NIGHT,)
    assert {score.tenant for score in result.scores} == set(TENANTS)
    assert {score.size for score in result.scores} == set(attacks.SIZES)
    assert shares(result) == {
        context: EVERYWHERE if context in found else NOWHERE for context in attacks.CONTEXTS
    }


@pytest.mark.slow
def test_pairs_are_found_in_every_spelling(root: Path) -> None:
    """On the hosts that the tenants have."""
    result = drilled(root, "mailbox_export_removed")

    assert set(shares(result)) >= {"plain", "encoded", "en dash"}
    assert all(share == {(1, 1)} for share in shares(result).values())


@pytest.mark.slow
def test_an_export_in_a_known_shell_says_nothing_until_it_is_removed(root: Path) -> None:
    """On hosts that export every day, what decides is the web server and the removal."""
    assert shares(drilled(root, "mailbox_export_cmdlet")) == {
        "in the web server, into a web folder": {(1, 1)},
        "in the web server, not removed": {(1, 1)},
        "in a shell": {(1, 1)},
        "in a shell, not removed": {(0, 1)},
    }


@pytest.mark.slow
def test_what_is_found_anyway_is_not_counted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mailbox whose night is a finding without the attack too says nothing of the attack."""
    monkeypatch.setattr(attacks, "SIZES", SIZES[-1:])
    result = drilled(root, "mail_items_accessed")

    assert {score.context for score in result.scores} >= {
        "usual place and session", "stolen session, new place"
    }  # fmt: skip
    assert {(score.tenant, score.attacked, score.found) for score in result.scores} == {
        ("a", 1, 1), ("b", 2, 2)
    }  # fmt: skip
    assert "false findings expected" in result.note


@pytest.mark.slow
def test_nothing_is_stored_and_nothing_is_sent(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every byte of the project's files stays; the command says from when on attacks are found."""
    monkeypatch.setattr(drill, "attempt", child_work.attempt)

    def state() -> dict[str, str]:
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in root.rglob("*")
            if path.is_file() and path.suffix not in (".lock", ".owner")
        }

    before = state()
    status = main.main(
        ["drill", "--project", str(root), "--detection", "new_app_access",
         "--detection", "throttled_mailbox"]
    )  # fmt: skip
    said = capsys.readouterr().out

    assert status == 0
    assert state() == before
    assert "tenant a" in said
    assert "from 5 items in 100% of 2 mailboxes" in said
    assert "never, in 2 mailboxes" in said
    assert "not drilled, because no attack fits what it reads: throttled_mailbox" in said
    assert "false findings promised: no number" in said


def test_an_attack_changes_of_the_owners_record_what_its_context_says(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies of the newest record before the night, at the tenant's busiest or quietest hour."""
    monkeypatch.setattr(attacks, "TIMES", TIMES)
    hunt = kit.shipped().hunt("mail_read_from_new_context")
    (stage,) = hunt.stages
    night = Interval(NIGHT, NIGHT + DAY)
    with overlay.opened(
        root / ".gundog/warehouse.duckdb", hunt.stages, memory=500_000_000, threads=1
    ) as con:
        rows = "select * exclude (file_id, event_id, event_time) from {} where mailbox like 'ana%'"
        own = database.rows(con, rows.format(f"lake.{stage.table}"))[-1]
        for attack in attacks.of(hunt):
            victims = attacks.lay(con, kit.shipped(), hunt, attack, night)
            laid = database.rows(con, rows.format(overlay.attacks_table(stage)))
            hours = con.execute(
                f"select distinct hour(event_time) from {overlay.attacks_table(stage)}"
            ).fetchall()

            assert [(victim.tenant, victim.name) for victim in victims] == [
                (tenant, f"{name}@example.com")
                for tenant, names in TENANTS.items()
                for name in sorted(names)
            ]
            assert {len(victim.events) for victim in victims} == {attack.size}
            assert len(laid) == attack.size
            changed = {name for name in own if laid[0][name] != own[name]}
            assert changed <= attack.columns
            assert bool(changed) == bool(attack.columns)
            assert hours == [(9 if attack.time == "day" else 0,)]


def test_what_an_attack_comes_from_is_new_to_the_mailbox(root: Path) -> None:
    """Contexts of the attack are known as a run would learn them, and go with the attack."""
    hunt = kit.shipped().hunt("mail_items_accessed")
    night = Interval(NIGHT, NIGHT + DAY)
    with overlay.opened(
        root / ".gundog/warehouse.duckdb", hunt.stages, memory=500_000_000, threads=1
    ) as con:
        new = {}
        for context in ("stolen session, new place", "usual place and session"):
            attack = next(wanted for wanted in attacks.of(hunt) if wanted.context == context)
            attacks.lay(con, kit.shipped(), hunt, attack, night)
            params = checks.bind_params(hunt.detection.params, night.start, night.end, FIRST)
            rows = query.arrow(con, hunt.sql, params).to_pylist()
            new[context] = sum(row["new_network"] or 0 for row in rows)
            assert sum(row["rare_country"] or 0 for row in rows) == new[context]

    assert new == {"stolen session, new place": attack.size * 4, "usual place and session": 0}


def test_a_warehouse_that_is_laid_over_cannot_be_written(root: Path) -> None:
    """Neither by a mistake of ours nor by SQL that somebody else wrote."""
    hunt = kit.shipped().hunt("new_app_access")
    with overlay.opened(
        root / ".gundog/warehouse.duckdb", hunt.stages, memory=500_000_000, threads=1
    ) as con:
        for sql in (
            "delete from lake.main.findings",
            f"delete from lake.{hunt.stages[0].table}",
            f"attach '{root}/.gundog/findings.duckdb' as other",
            f"copy (select 1) to '{root}/x.csv'",
            "set enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error):
                con.execute(sql)


def test_a_hunt_that_fails_is_named(root: Path) -> None:
    """Its error comes back; a warehouse that is none is named with what to do."""
    hunt = kit.shipped().hunt("new_app_access")
    place = Place(root / ".gundog/warehouse.duckdb", 500_000_000, 1)
    broken = replace(hunt, sql="select 1 as one order by nobody")

    assert "nobody" in drill.attempt(place, kit.shipped(), broken, 1).error
    with (
        pytest.raises(QueryError, match="cannot be opened read-only"),
        overlay.opened(root / "gundog.yaml", hunt.stages, memory=500_000_000, threads=1),
    ):
        pass


def test_a_project_that_never_hunted_says_so_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, not a list of all detections, and no folder is made; exit 2."""
    kit.write_text(tmp_path / "gundog.yaml", CONFIG)

    assert main.main(["drill", "--project", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "nothing was hunted yet: run gundog hunt first\n"
    assert not (tmp_path / ".gundog").exists()


def test_nights_below_one_are_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["drill", "--project", str(root), "--nights", "0"]) == 2
    assert "--nights" in capsys.readouterr().err
