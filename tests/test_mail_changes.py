"""What is staged of a change: the same, however the record writes its names and values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.detections import stage_sql
from tests import draws, kit

AT = datetime(2026, 1, 5, 10, tzinfo=UTC)
Row = dict[str, Any]
Pairs = dict[str, str]


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the source table, empty, and a view of what the stage makes of it."""
    loaded = kit.shipped()
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("set timezone = 'UTC'")
        stage_sql.register_functions(con)
        stage_sql.create_source(con, loaded.sources["CloudAppEvents"].ddl)
        con.execute(f"create view changes as {loaded.stages['mail_changes'].sql}")
        yield con


def staged(
    con: duckdb.DuckDBPyConnection,
    records: Sequence[Any],
    action: str = "Set-Mailbox",
    **columns: Any,
) -> list[Row]:
    """The rows that are staged of records, in their order; a text stands as it is."""
    con.execute("delete from CloudAppEvents")
    names = ["file_id", "Timestamp", "ActionType", "RawEventData", *columns]
    marks = ", ".join("?" * len(names))
    for number, record in enumerate(records):
        text = record if isinstance(record, str) else json.dumps(record)
        con.execute(
            f"insert into CloudAppEvents ({', '.join(names)}) values ({marks})",
            [number, AT, action, text, *columns.values()],
        )
    cursor = con.execute("from changes order by file_id")
    found = [column[0] for column in cursor.description or ()]
    return [dict(zip(found, row, strict=True)) for row in cursor.fetchall()]


def _listed(pairs: Pairs) -> Any:
    return [{"Name": name, "Value": value} for name, value in pairs.items()]


# How exporters and Exchange itself write a cmdlet's parameters.
_SHAPES: dict[str, Callable[[Pairs], Any]] = {
    "the other way round": lambda pairs: [{"Value": pairs[name], "Name": name} for name in pairs],
    "object": dict,
    "text of a list": lambda pairs: json.dumps(_listed(pairs)),
    "PowerShell objects": lambda pairs: [
        f"@{{Name={name}; Value={value}}}" for name, value in pairs.items()
    ],
    "Java's maps": lambda pairs: (
        "[" + ", ".join(f"{{Value={value}, Name={name}}}" for name, value in pairs.items()) + "]"
    ),
    "command line": lambda pairs: " ".join(f'-{name} "{value}"' for name, value in pairs.items()),
    "command line with colons": lambda pairs: " ".join(
        f'-{name}:"{value}"' for name, value in pairs.items()
    ),
}
_NAMES = st.sampled_from(
    ["ForwardTo", "DeleteMessage", "Identity", "Name", "User", "AccessRights", "Trustee", "Role"]
)
_TEXTS = st.sampled_from(
    ["True", "False", "ana@example.com", "a b", "smtp:a@mail.test", "All", "."]
)


@draws.law(100, quick=8)
@given(pairs=st.dictionaries(_NAMES, _TEXTS, max_size=5), shape=st.sampled_from(sorted(_SHAPES)))
def test_every_way_to_write_parameters_gives_the_same_row(
    con: duckdb.DuckDBPyConnection, pairs: Pairs, shape: str
) -> None:
    """Names in lower case with their values, and what is read from them."""
    record = {"Id": "i", "UserId": "Eve@example.com"}

    plain, other = staged(
        con,
        [record | {"Parameters": _listed(pairs)}, record | {"Parameters": _SHAPES[shape](pairs)}],
    )

    assert plain["properties"] == {name.lower(): pairs[name] for name in pairs}
    assert {**other, "file_id": 0} == plain


@given(wrap=st.sampled_from(["text", "list", "AuditData", "lower case"]))
def test_every_wrapper_gives_the_same_row(con: duckdb.DuckDBPyConnection, wrap: str) -> None:
    """Wrapped records have another identity, as for mail read, and are else the same."""
    record = {
        "Id": "7a0c1c2e-1111-4000-8000-000000000009",
        "UserId": "Eve@example.com",
        "Parameters": [{"Name": "AuditBypassEnabled", "Value": "True"}],
    }
    wrapped = {
        "text": json.dumps(json.dumps(record)),
        "list": json.dumps([record]),
        "AuditData": json.dumps({"AuditData": record}),
        "lower case": json.dumps(
            {
                "id": record["Id"],
                "userid": record["UserId"],
                "parameters": [{"name": "AuditBypassEnabled", "value": "True"}],
            }
        ),
    }[wrap]

    plain, other = staged(con, [record, wrapped], ReportId="r")

    unlike = {"file_id", "event_id"}
    assert {key: other[key] for key in other if key not in unlike} == {
        key: plain[key] for key in plain if key not in unlike
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no RawEventData"),
        ("{", "malformed JSON in RawEventData"),
        ("not json", "malformed JSON in RawEventData"),
        ("[1, 2]", "no JSON object in RawEventData"),
        ('{"Id": "x", "UserId": "a"}', None),
        ('{"Parameters": 7, "ModifiedProperties": {"a": [1]}}', None),
        ('{"Id": "x", "Parameters": ["{", null, {"Name": null}, {"Name": "a"}]}', None),
    ],
)
def test_damaged_records_are_rejected_and_strange_ones_are_not(
    con: duckdb.DuckDBPyConnection, text: str, reason: str | None
) -> None:
    """Nothing that a record holds makes staging fail."""
    (row,) = staged(con, [text])

    assert row["reject_reason"] == reason
    assert (row["raw_event_data"] is None) == (reason is None)


@pytest.mark.parametrize(
    ("action", "activity"),
    [
        ("Consent to application.", "consent to application"),
        ("Consent to application", "consent to application"),
        (
            "Update application \N{EN DASH} Certificates and secrets management ",
            "update application certificates and secrets management",
        ),
        (
            "Update application - Certificates and secrets management",
            "update application certificates and secrets management",
        ),
        (
            "Update application â Certificates and secrets management",
            "update application certificates and secrets management",
        ),
        ("SET-MAILBOX", "set-mailbox"),
    ],
)
def test_an_activity_has_one_name(
    con: duckdb.DuckDBPyConnection, action: str, activity: str
) -> None:
    """With and without a full stop, and with whichever dash arrived."""
    (row,) = staged(con, [{"Id": "x", "UserId": "a"}], action)

    assert row["activity"] == activity


@pytest.mark.parametrize("action", ["MailItemsAccessed", "Send", "Set-MailboxPlan", "Get-Mailbox"])
def test_other_activities_are_not_staged(con: duckdb.DuckDBPyConnection, action: str) -> None:
    """Neither reads nor cmdlets with a longer name."""
    assert staged(con, [{"Id": "x", "UserId": "a"}], action) == []


@pytest.mark.parametrize(
    ("action", "record", "mailbox"),
    [
        ("Set-Mailbox", {"Parameters": {"Identity": "Ana@example.com"}}, "ana@example.com"),
        ("Set-Mailbox", {"Parameters": {"Identity": "A/B/example.com/Ana"}}, "ana"),
        ("Set-Mailbox", {"ObjectId": "A/B/example.com/311b"}, "311b"),
        ("New-InboxRule", {"ObjectId": "A/B/311b\\Rule"}, "eve@example.com"),
        ("New-InboxRule", {"Parameters": {"Mailbox": "ana@example.com"}}, "ana@example.com"),
        ("AddFolderPermissions", {"MailboxOwnerUPN": "Ana@example.com"}, "ana@example.com"),
        (
            "Add-MailboxFolderPermission",
            {"Parameters": {"Identity": "ana@example.com:\\Inbox"}},
            "ana@example.com",
        ),
        ("Consent to application.", {"ObjectId": "sp"}, None),
    ],
)
def test_whose_mailbox_it_is(
    con: duckdb.DuckDBPyConnection, action: str, record: Row, mailbox: str | None
) -> None:
    """The owner where the record has one, else what the cmdlet is about, else who ran it."""
    (row,) = staged(con, [{"Id": "x", "UserId": "Eve@example.com", **record}], action)

    assert row["mailbox"] == mailbox


@pytest.mark.parametrize(
    ("before", "after", "granted"),
    [
        (
            "",
            "[] => [[Id: 1, Scope:  Mail.Read User.Read, CreatedDateTime: ]]; ",
            ["Mail.Read", "User.Read"],
        ),
        ("", "[[Scope: Mail.Read]] => [[Scope: Mail.Read Mail.Send]]; ", ["Mail.Send"]),
        ("", '["Mail.Read", "openid"]', ["Mail.Read"]),
        ("User.Read", "User.Read Mail.Read", ["Mail.Read"]),
        ("Mail.Read", "Mail.Read", []),
    ],
)
def test_what_is_granted_is_what_was_not_there(
    con: duckdb.DuckDBPyConnection, before: str, after: str, granted: list[str]
) -> None:
    """A consent writes old and new into one text; a grant has a value before."""
    properties = [
        {"Name": "ConsentAction.Permissions", "OldValue": before, "NewValue": after},
        {"Name": "TargetId.ServicePrincipalNames", "NewValue": "x"},
    ]

    (row,) = staged(
        con,
        [{"Id": "x", "UserId": "a", "ModifiedProperties": properties}],
        "Consent to application.",
    )

    assert row["permissions"] == granted


@pytest.mark.parametrize(
    ("status", "success"),
    [
        ("True", True),
        ("Success", True),
        ("Succeeded", True),
        (None, True),
        ("False", False),
        ("Failed", False),
        ("Failure", False),
    ],
)
def test_what_failed_is_told_from_what_did_not(
    con: duckdb.DuckDBPyConnection, status: str | None, success: bool
) -> None:
    """Exchange, the mailbox audit and Entra each have words of their own."""
    (row,) = staged(con, [{"Id": "x", "UserId": "a", "ResultStatus": status}])

    assert row["is_success"] == success
