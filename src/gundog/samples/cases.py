"""What is planted in the samples: each case, the rows that make it, and what must come of it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from gundog.samples import community_cases, device_events
from gundog.samples.case import Case
from gundog.samples.rows import CLOUD, PROCESSES

__all__ = ["CASES", "Case", "find"]


def _pair(name: str, host: str, day: int, outcome: str, story: str) -> Case:
    """A case of the export hunt; `outcome` is silent or the severity it fires with."""
    silent = outcome == "silent"
    return Case(
        name,
        PROCESSES,
        "mailbox_export_removed",
        "silent" if silent else "fires",
        None if silent else outcome,
        date(2026, 10, day),
        host,
        story,
    )


def _how(name: str, host: str, severity: str, story: str) -> Case:
    """A case of an export that is told by how it is done, on 30 October."""
    day = date(2026, 10, 30)
    return Case(name, PROCESSES, "mailbox_export", "fires", severity, day, host, story)


def _mail(name: str, mailbox: str, day: int, fires: bool, story: str, detection: str = "") -> Case:
    return Case(
        name,
        CLOUD,
        detection or "mail_items_accessed",
        "fires" if fires else "silent",
        None,
        date(2026, 10, day),
        mailbox if mailbox == "*" else f"{mailbox}@example.com",
        story,
    )


CASES = (
    _pair(
        "export_then_removal", "exch01", 30, "high",
        "A mailbox is exported to an administrative share at 10:59 and the request removed at "
        "11:01: two minutes apart, in two different hours.",
    ),
    _pair(
        "across_midnight", "exch02", 28, "medium",
        "The export is at 23:50, the removal at 00:10: the pair belongs to the second day.",
    ),
    _pair(
        "removal_before_export", "exch03", 28, "silent",
        "An old request is removed and only then a new export starts.",
    ),
    _pair(
        "one_line", "exch04", 29, "medium",
        "One command line exports and removes: one finding with a gap of zero.",
    ),
    _pair(
        "shell_twins", "exch05", 30, "high",
        "cmd /C starts powershell with the same cmdlet, so each command is recorded twice: one "
        "finding, all four rows in evidence.",
    ),
    _pair(
        "host_name_case", "exch06", 26, "medium",
        "The removal is recorded under EXCH06.EXAMPLE.COM, and no row has a DeviceId.",
    ),
    _pair(
        "empty_account", "exch07", 27, "silent",
        "Export and removal have no account, or '-' for one: nothing says they belong together.",
    ),
    _pair("caret", "exch08", 27, "high", "cmd's carets split the names of the cmdlets."),
    _pair("backtick", "exch09", 28, "high", "PowerShell's backticks split the names."),
    _pair("en_dash", "exch10", 29, "high", "The cmdlets are spelled with an en dash."),
    _pair("encoded_command", "exch11", 31, "high", "Both commands are base64 in -EncodedCommand."),
    _pair("pwsh", "exch12", 26, "medium", "PowerShell 7 runs the commands, as pwsh.exe."),
    _pair(
        "renamed_shell", "exch13", 31, "high",
        "powershell.exe was copied to svchost32.exe; its version resource still shows what it is.",
    ),
    _pair(
        "get_help", "exch14", 28, "silent",
        "Someone reads the help of New-MailboxExportRequest, then removes an old request.",
    ),
    _pair(
        "findstr", "exch15", 29, "silent",
        "Someone searches scripts for New-MailboxExportRequest, then removes an old request.",
    ),
    _pair(
        "second_removal", "exch16", 27, "medium",
        "The request is removed at 22:00 and once more the next morning: the first one counts.",
    ),
    _pair(
        "second_removal_next_day", "exch16", 28, "silent",
        "The second removal of that request makes no finding of its own.",
    ),
    _pair(
        "gap_of_exactly_24h", "exch17", 29, "medium",
        "The removal comes 24 hours after the export, to the microsecond.",
    ),
    _pair(
        "gap_a_microsecond_longer", "exch18", 29, "silent",
        "The removal comes 24 hours and one microsecond after the export.",
    ),
    _pair(
        "late_removal", "exch19", 30, "high",
        "Removed at 15:00 as far as the lake knows; a file that arrives late brings a removal at "
        "10:00: the same finding, changed.",
    ),
    _pair(
        "delivered_again", "exch20", 29, "medium",
        "Both events are delivered twice, the export in two files: one finding, two events.",
    ),
    _pair(
        "older_schema", "exch21", 25, "high",
        "The day's file lacks columns and holds ProcessId as text; the pair in it is found.",
    ),
    _pair(
        "leaver_script", "mgmt01", 28, "medium",
        "A script exports the mailboxes of people who leave and tidies up in the same run: this "
        "is the false positive to except.",
    ),
    _how(
        "web_shell_export", "exch22", "high",
        "A web shell on exch22 exports a mailbox as SYSTEM into a web folder, and removes nothing.",
    ),
    _how(
        "export_to_a_share", "exch01", "high",
        "The export that goes to an administrative share tells enough by itself.",
    ),
    _how(
        "twins_to_a_share", "exch05", "high",
        "And so does the one that cmd /C starts.",
    ),
    _mail(
        "burst_at_night", "mia", 29, True,
        "Someone reads 600 items of mia's mailbox between 02:00 and 04:00.",
    ),
    _mail(
        "night_read_at_daytime_volume", "noel", 29, True,
        "noel's mailbox is read from 03:00 to 06:00 as it usually is at noon.",
    ),
    _mail(
        "tenant_at_night", "*", 29, True,
        "The two reads of that night are large enough to show in the tenant as a whole.",
    ),
    _mail(
        "slow_exfiltration_first_day", "orders", 29, True,
        "orders is read three times as fast as ever, all through the working day.",
    ),
    _mail(
        "slow_exfiltration_second_day", "orders", 30, True,
        "The slow reading of orders goes on.",
    ),
    _mail(
        "throttled", "theo", 28, True,
        "Exchange stops recording reads of theo's mailbox at 13:40 for 24 hours (the thousand "
        "records that make it do so are left out).",
        "throttled_mailbox",
    ),
    _mail(
        "throttled_silence", "theo", 29, False,
        "Nothing is recorded for theo until 13:40: that is not a quiet mailbox.",
    ),
    _mail(
        "delivered_six_times", "rita", 28, False,
        "Every record of rita's between 14:00 and 15:00 is delivered six times: counted once.",
    ),
    _mail(
        "sync_without_count", "sven", 27, False,
        "sven's new laptop fetches every folder at night; such records carry no OperationCount.",
    ),
    _mail(
        "malformed_json", "max", 26, False,
        "Five records of max's are damaged: four are not JSON and are kept as rejected, one was "
        "flattened by a script and still counts.",
    ),
    _mail(
        "older_schema_mail", "olga", 28, False,
        "The file of 10:00 lacks columns and holds IsAdminOperation as a number; its records "
        "count as usual.",
    ),
    _mail(
        "hour_without_file", "hanna", 27, False,
        "The hour from 13:00 has no file: not observed, and so neither zero nor odd.",
    ),
    _mail(
        "other_users_mailboxes", "nolan", 30, True,
        "nolan, who never opened anybody else's mailbox, reads those of anna, bert, cara and "
        "dora, 32 records each: a finding for each mailbox.",
        "other_users_mailboxes",
    ),
    _mail(
        "new_client_app", "nina", 30, True,
        "An application that the tenant has never seen reads nina's mailbox.",
        "new_client_app",
    ),
    _mail(
        "new_app_access", "nina", 30, True,
        "The same application, as what is new about it: its id, and so its client and mode.",
        "new_app_access",
    ),
    _mail(
        "stolen_session", "karl", 28, True,
        "Somebody abroad reads six items of karl's mailbox by day, with karl's own web session.",
        "mail_read_from_new_context",
    ),
    _mail(
        "moved_house", "paul", 28, False,
        "paul reads his mail from a network that is new, of the usual provider and country.",
        "mail_read_from_new_context",
    ),
    _mail(
        "burst_from_abroad", "mia", 29, True,
        "The 600 items of mia's mailbox are read from abroad, in a session that is hers.",
        "mail_read_from_new_context",
    ),
    _mail(
        "consent_to_mail", "nina", 30, True,
        "nina consents to the application that reads her mailbox a little later.",
        "app_granted_mail",
    ),
    _mail(
        "consent_to_sign_in", "olga", 30, False,
        "olga consents to the same application, which may only sign her in.",
        "app_granted_mail",
    ),
    _mail(
        "role_for_all_mailboxes", "exadmin", 31, True,
        "An old application is given full_access_as_app from abroad.",
        "app_granted_mail",
    ),
    _mail(
        "key_for_an_application", "exadmin", 31, True,
        "A few minutes before, the same application gets a new password.",
        "app_credentials_added",
    ),
    _mail(
        "mailboxes_opened", "nolan", 30, True,
        "exadmin opens the four mailboxes to nolan that he reads that day.",
        "mailbox_access_granted",
    ),
    _mail(
        "rule_that_forwards_and_hides", "karl", 28, True,
        "With the stolen session comes a rule called '.' that sends mail about payments out of the "
        "tenant and deletes it.",
        "mail_forwarded_or_hidden",
    ),
    _mail(
        "rule_that_sorts", "paul", 28, False,
        "paul moves the mail of a project into a folder.",
        "mail_forwarded_or_hidden",
    ),
    _mail(
        "mailboxes_searched", "exadmin", 31, True,
        "exadmin, who never did it, searches all mailboxes for payments and exports the result.",
        "mail_searched_or_exported",
    ),
    _mail(
        "audit_bypassed", "exadmin", 30, True,
        "What nolan does in mailboxes is no longer to be recorded.",
        "mail_audit_weakened",
    ),
    *device_events.CASES,
)  # fmt: skip


def find(detection: str, day: date, entities: Collection[str]) -> Case | None:
    """The case behind a finding, by its detection, interval and entities; None for others.

    >>> find("mailbox_export_removed", date(2026, 10, 28), {"exch02"}).name
    'across_midnight'
    """
    for case in (*CASES, *community_cases.CASES):
        if case.detection == detection and case.day == day and case.entity in entities:
            return case
    return None
