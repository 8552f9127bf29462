"""Rows of process and cloud events as a tenant would record them, for the samples.

Everything is drawn from named random streams, so that one more event changes no other.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

Row = dict[str, object]

PROCESSES = "DeviceProcessEvents"
CLOUD = "CloudAppEvents"
DEVICES = "DeviceEvents"

START = datetime(2026, 9, 26, tzinfo=UTC)
HOURLY_FROM = START + timedelta(days=28)
END = START + timedelta(days=36)

DOMAIN = "example.com"
ABROAD = "198.51.100.77"
ORGANIZATION = "7f3b0c52-0d6e-4b5c-9a53-3f1c1a2b4d60"
_SID = "S-1-5-21-1004336348-1177238915-682003330"
_SYSTEM_SIDS = {"system": "S-1-5-18", "network service": "S-1-5-20"}


@dataclass(frozen=True)
class Event:
    """A row, with the moment of each delivery of it; most rows are delivered once."""

    table: str
    row: Row
    landed: tuple[datetime, ...]
    late: bool = False


@dataclass(frozen=True)
class Program:
    """An executable and what its version resource says."""

    folder: str
    original: str
    description: str
    company: str = "Microsoft Corporation"
    product: str = "Microsoft® Windows® Operating System"


_SYSTEM32 = r"C:\Windows\System32"
PROGRAMS = {
    "powershell.exe": Program(
        _SYSTEM32 + r"\WindowsPowerShell\v1.0", "PowerShell.EXE", "Windows PowerShell"
    ),
    "pwsh.exe": Program(r"C:\Program Files\PowerShell\7", "pwsh.dll", "pwsh", product="PowerShell"),
    "svchost32.exe": Program(r"C:\ProgramData\Update", "PowerShell.EXE", "Windows PowerShell"),
    "cmd.exe": Program(_SYSTEM32, "Cmd.Exe", "Windows Command Processor"),
    "findstr.exe": Program(_SYSTEM32, "FINDSTR.EXE", "Find String (QGREP) Utility"),
    "conhost.exe": Program(_SYSTEM32, "CONHOST.EXE", "Console Window Host"),
    "svchost.exe": Program(_SYSTEM32, "svchost.exe", "Host Process for Windows Services"),
    "services.exe": Program(_SYSTEM32, "services.exe", "Services and Controller app"),
    "taskhostw.exe": Program(_SYSTEM32, "taskhostw.exe", "Host Process for Windows Tasks"),
    "ping.exe": Program(_SYSTEM32, "ping.exe", "TCP/IP Ping Command"),
    "robocopy.exe": Program(_SYSTEM32, "robocopy.exe", "Microsoft Robocopy"),
    "explorer.exe": Program(r"C:\Windows", "EXPLORER.EXE", "Windows Explorer"),
    "w3wp.exe": Program(_SYSTEM32 + r"\inetsrv", "w3wp.exe", "IIS Worker Process"),
    "vssadmin.exe": Program(_SYSTEM32, "VSSADMIN.EXE", "Command Line Interface for Shadow Copies"),
    "wevtutil.exe": Program(_SYSTEM32, "wevtutil.exe", "Eventing Command Line Utility"),
    "AdFind.exe": Program(r"C:\ProgramData\t", "AdFind.exe", "AdFind", "joeware", "AdFind"),
    "PsExec.exe": Program(
        r"C:\ProgramData\t", "psexec.c", "Execute processes remotely", "Sysinternals", "PsExec"
    ),
    "outlook.exe": Program(
        r"C:\Program Files\Microsoft Office\root\Office16",
        "Outlook.exe",
        "Microsoft Outlook",
        product="Microsoft Office",
    ),
    "msedge.exe": Program(
        r"C:\Program Files (x86)\Microsoft\Edge\Application",
        "msedge.exe",
        "Microsoft Edge",
        product="Microsoft Edge",
    ),
}


@dataclass(frozen=True)
class Client:
    """A mail client: the application that opens the mailbox, and how it names itself."""

    app_id: str | None
    info: str
    api_id: str = "00000002-0000-0ff1-ce00-000000000000"


DESKTOP = Client("d3590ed6-52b3-4102-aeff-aad2292ab01c", "Client=MSExchangeRPC")
WEB = Client("00000002-0000-0ff1-ce00-000000000000", "Client=OWA;Action=ViaProxy")
PHONE = Client("27922004-5251-4030-b22d-91ecd9a37ea4", "Client=OutlookService;Outlook-iOS/2.0")
LEGACY = Client(None, "Client=WebServices;ExchangeWebServices")


def stream(*names: object) -> Random:
    """A random stream of its own for these names, the same every time."""
    return Random("/".join(["gundog samples", *map(str, names)]))  # noqa: S311 seeded on purpose


def process(
    random: Random,
    at: datetime,
    host: str,
    account: str,
    command_line: str,
    program: str = "powershell.exe",
    parent: str | Row = "explorer.exe",
) -> Row:
    """One process start on a host.

    Args:
        random: source of ids.
        at: when, UTC.
        host: first label of the device's name.
        account: account name without domain.
        command_line: as recorded.
        program: file name, a key of `PROGRAMS`.
        parent: file name of the process that started it, or that process's own row.
    """
    started = parent if isinstance(parent, dict) else _unseen(random, at, parent)
    row = _image("", program) | _image("InitiatingProcess", str(started["FileName"]))
    row |= {
        "Timestamp": at,
        "DeviceId": hashlib.sha1(host.encode(), usedforsecurity=False).hexdigest(),
        "DeviceName": f"{host}.{DOMAIN}",
        "ActionType": "ProcessCreated",
        "ProcessId": random.randrange(1000, 30000, 4),
        "ProcessCommandLine": command_line,
        "ProcessIntegrityLevel": "System" if account in _SYSTEM_SIDS else "High",
        "ProcessTokenElevation": "TokenElevationTypeDefault",
        "ProcessCreationTime": at,
        "LogonId": 999 if account in _SYSTEM_SIDS else random.randrange(10**5, 10**7),
        "InitiatingProcessId": started["ProcessId"],
        "InitiatingProcessCommandLine": started["ProcessCommandLine"],
        "InitiatingProcessCreationTime": started["ProcessCreationTime"],
        "InitiatingProcessParentId": random.randrange(500, 1000, 4),
        "InitiatingProcessParentFileName": "services.exe",
        "InitiatingProcessSignerType": "OsVendor",
        "InitiatingProcessSignatureStatus": "Valid",
        "ReportId": random.randrange(1, 90000),
        "AppGuardContainerId": "",
        "AdditionalFields": "{}",
    }
    return row | _account("Account", account) | _account("InitiatingProcessAccount", account)


def _unseen(random: Random, at: datetime, program: str) -> Row:
    """A parent that was started earlier and is not in the samples itself."""
    return {
        "FileName": program,
        "ProcessId": random.randrange(1000, 30000, 4),
        "ProcessCommandLine": program,
        "ProcessCreationTime": at - timedelta(seconds=random.randrange(60, 20000)),
    }


def _image(prefix: str, name: str) -> Row:
    program = PROGRAMS[name]
    digests = {
        kind: hashlib.new(kind.lower(), name.encode(), usedforsecurity=False).hexdigest()
        for kind in ("SHA1", "SHA256", "MD5")
    }
    version = {
        "CompanyName": program.company,
        "ProductName": program.product,
        "ProductVersion": "10.0.20348.1",
        "InternalFileName": program.original,
        "OriginalFileName": program.original,
        "FileDescription": program.description,
    }
    row: Row = {prefix + kind: digest for kind, digest in digests.items()}
    row |= {f"{prefix or 'Process'}VersionInfo{key}": text for key, text in version.items()}
    return row | {
        prefix + "FileName": name,
        prefix + "FileSize": zlib.crc32(name.encode()) % 900_000 + 60_000,
        prefix + "FolderPath": rf"{program.folder}\{name}",
    }


def _account(prefix: str, name: str) -> Row:
    system = name in _SYSTEM_SIDS
    return {
        prefix + "Domain": "nt authority" if system else "example",
        prefix + "Name": name,
        prefix + "Sid": _SYSTEM_SIDS.get(name) or sid(name),
        prefix + "Upn": None if system else f"{name}@{DOMAIN}",
    }


def sid(name: str) -> str:
    """The security identifier of a person of the made-up domain."""
    return f"{_SID}-{zlib.crc32(name.encode()) % 90_000 + 10_000}"


def guid(*names: object) -> str:
    """An identifier that stands for these names; mostly zeros, which keeps the samples small."""
    return f"5a3e0000-0000-4000-8000-{zlib.crc32('/'.join(map(str, names)).encode()):012x}"


def mail(
    random: Random,
    at: datetime,
    mailbox: str,
    items: int | None,
    client: Client = DESKTOP,
    *,
    actor: str = "",
    address: str = "",
    throttled: bool = False,
) -> Row:
    """One MailItemsAccessed record.

    Args:
        random: source of ids.
        at: when, UTC; whole seconds, as Exchange writes them.
        mailbox: local part of the address of the mailbox.
        items: messages opened (a Bind record); None makes a Sync record of one folder.
        client: the mail client.
        actor: local part of who reads; the owner when empty.
        address: client address; the owner's own when empty.
        throttled: marks the record after which Exchange stops recording for 24 hours.
    """
    at = at.replace(microsecond=0)
    actor = actor or mailbox
    address = address or home_address(mailbox)
    raw = _envelope(random, at, "MailItemsAccessed", actor) | {
        "RecordType": 2 if items is None else 50,
        "ResultStatus": "Succeeded",
        "ClientIPAddress": address,
        "AppId": client.api_id,
        "ClientInfoString": client.info,
        "InternalLogonType": 0,
        "LogonType": 0 if actor == mailbox else 2,
        "LogonUserSid": sid(actor),
        "MailboxGuid": guid("mailbox", mailbox),
        "MailboxOwnerSid": sid(mailbox),
        "MailboxOwnerUPN": f"{mailbox}@{DOMAIN}",
        "OperationProperties": [
            {"Name": "MailAccessType", "Value": "Sync" if items is None else "Bind"},
            {"Name": "IsThrottled", "Value": str(throttled)},
        ],
        "OriginatingServer": "MBX01 (15.20.4200.000)\r\n",
        "SessionId": guid("session", actor, client.info, at.date()),
    }
    if client.app_id:
        raw["ClientAppId"] = client.app_id
    raw |= _synced(random, mailbox) if items is None else _bound(random, mailbox, items)
    return _cloud(at, raw, address, client.info) | {"OAuthAppId": client.app_id or ""}


def _synced(random: Random, mailbox: str) -> dict[str, object]:
    return {"Item": {"ParentFolder": _folder(mailbox, random.choice(_FOLDERS))}}


def _bound(random: Random, mailbox: str, items: int) -> dict[str, object]:
    first = random.randrange(16**8)
    messages = [{"InternetMessageId": f"<{first:08x}.{n}@{DOMAIN}>"} for n in range(items)]
    folder = _folder(mailbox, random.choice(_FOLDERS[:2]))
    return {"Folders": [folder | {"FolderItems": messages}], "OperationCount": items}


_FOLDERS = ("Inbox", "Sent Items", "Archive", "Calendar", "Drafts", "Deleted Items")


def _folder(mailbox: str, name: str) -> dict[str, object]:
    digest = zlib.crc32(f"{mailbox}/{name}".encode())
    return {"Id": f"LgAAAACF{digest:08X}AAAAAAEMAAAB", "Path": "\\" + name}


def home_address(mailbox: str) -> str:
    """The address a person usually works from."""
    return f"192.0.2.{zlib.crc32(mailbox.encode()) % 200 + 20}"


def place(address: str) -> Row:
    """The country and the provider of an address: abroad is Brazil, all else the Netherlands."""
    if address == ABROAD or address.startswith("203.0.113."):
        return {"CountryCode": "BR", "Isp": "Example Hosting"}
    return {"CountryCode": "NL", "Isp": "Example Mobile" if ":" in address else "Example Fiber"}


def activity(
    random: Random, at: datetime, action: str, actor: str, *, admin: bool = False, subject: str = ""
) -> Row:
    """One other activity: an Exchange action, an admin cmdlet, or a sign-in."""
    at = at.replace(microsecond=0)
    sign_in = action == "UserLoggedIn"
    raw = _envelope(random, at, action, actor) | {
        "RecordType": 15 if sign_in else 1 if admin else 2,
        "ResultStatus": "Success" if sign_in else "True" if admin else "Succeeded",
        "Workload": "AzureActiveDirectory" if sign_in else "Exchange",
        "ClientIP": home_address(actor),
    }
    if subject:
        raw |= {"ObjectId": subject, "Parameters": [{"Name": "Identity", "Value": subject}]}
    row = _cloud(at, raw, home_address(actor), "")
    row |= {"IsAdminOperation": admin, "AccountType": "Admin" if admin else "Regular"}
    if sign_in:
        row |= {"Application": "Office 365", "ApplicationId": 11161}
    return row


def change(
    random: Random,
    at: datetime,
    action: str,
    actor: str,
    record: dict[str, object],
    address: str = "",
) -> Row:
    """One change that an administrator, a user or Entra records.

    Args:
        random: source of ids.
        at: when, UTC.
        action: the operation, as it is recorded.
        actor: local part of who does it.
        record: what the record holds beside who and when.
        address: where from; the actor's own address when empty.
    """
    at = at.replace(microsecond=0)
    address = address or home_address(actor)
    head = {"RecordType": 1, "ResultStatus": "Success", "ClientIP": address}
    row = _cloud(at, _envelope(random, at, action, actor) | head | record, address, "")
    return row | {"IsAdminOperation": True, "AccountType": "Admin"}


def _envelope(random: Random, at: datetime, operation: str, actor: str) -> dict[str, object]:
    return {
        "CreationTime": f"{at:%Y-%m-%dT%H:%M:%S}.0000000Z",
        "Id": f"{random.getrandbits(32):08x}-9b72-425c-deba-08de{int(at.timestamp()):08x}",
        "Operation": operation,
        "OrganizationId": ORGANIZATION,
        "OrganizationName": f"tenant.{DOMAIN}",
        "UserId": f"{actor}@{DOMAIN}",
        "UserKey": f"1003{zlib.crc32(actor.encode()):012d}",
        "UserType": 0,
        "Version": 1,
        "Workload": "Exchange",
        "ExternalAccess": False,
    }


def _cloud(at: datetime, raw: dict[str, object], address: str, user_agent: str) -> Row:
    return {
        "Timestamp": at,
        "ActionType": raw["Operation"],
        "Application": "Microsoft Exchange Online",
        "ApplicationId": 20893,
        "AppInstanceId": 0,
        "AccountObjectId": guid("account", raw["UserId"]),
        "AccountId": raw["UserId"],
        "AccountDisplayName": str(raw["UserId"]).partition("@")[0].title(),
        "IsAdminOperation": False,
        "DeviceType": "Other",
        "OSPlatform": "Unknown",
        "IPAddress": address,
        "IsAnonymousProxy": False,
        **place(address),
        "UserAgent": user_agent,
        "ActivityType": "Basic",
        "ActivityObjects": "[]",
        "ReportId": f"106830890_20893_{raw['Id']}",
        "AccountType": "Regular",
        "IsExternalUser": False,
        "IsImpersonated": False,
        "IPTags": "[]",
        "UserAgentTags": "[]",
        "RawEventData": json.dumps(raw, ensure_ascii=False, separators=(",", ":")),
        "AdditionalFields": "{}",
        "AuditSource": "Defender for Cloud Apps app connector",
    }
