"""What is staged of a mail record: the same whatever shape it lands in, and dearly only if odd."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import md5
from ipaddress import ip_address, ip_network
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.core import addresses
from gundog.detections import stage_sql
from gundog.warehouse import redeliveries
from tests import draws, kit

AT = datetime(2026, 1, 5, 10, tzinfo=UTC)
Record = dict[str, Any]
Row = dict[str, Any]

_KEYS = (
    "Id MailboxOwnerUPN MailboxGuid UserId OperationProperties RecordType OperationCount Item"
    " Folders ClientAppId AppAccessContext AppId ClientInfoString ClientIPAddress ClientIP"
    " LogonType LogonUserSid MailboxOwnerSid SessionId ResultStatus UserType Other"
).split()
_BIND = [{"Name": "MailAccessType", "Value": "Bind"}, {"Name": "IsThrottled", "Value": "False"}]
_SYNC = [{"Name": "IsThrottled", "Value": "True"}, {"Name": "MailAccessType", "Value": "Sync"}]
_FOLDER = st.fixed_dictionaries(
    {"FolderItems": st.lists(st.just({"InternetMessageId": "<a>"}), max_size=3) | st.just("x[]")},
    optional={"Path": st.sampled_from(["\\Inbox", ""])},
)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "Id": st.uuids().map(str) | st.sampled_from(["", "no uuid"]),
    "OperationProperties": st.sampled_from([_BIND, _SYNC, None, "@{Name=IsThrottled; Value=True}"]),
    "RecordType": st.sampled_from([2, 50, "50"]),
    "OperationCount": st.integers(0, 9) | st.sampled_from(["7", "many"]),
    "Item": st.fixed_dictionaries({"ParentFolder": st.sampled_from([{"Path": "p"}, {"Id": "i"}])}),
    "Folders": st.lists(_FOLDER, max_size=3) | st.just("System.Object[]"),
    "AppAccessContext": st.just(
        {"ClientAppId": "Context", "AADSessionId": "Session", "UniqueTokenId": "Token"}
    ),
    "UserType": st.sampled_from([0, 5, "6", "Application"]),
    "ClientIP": st.sampled_from(["192.0.2.1:5", "[2001:db8::1]:5", "[2001:db8::1]", "192.0.2.1"]),
}
records = st.fixed_dictionaries(
    {},
    optional={
        key: _VALUES.get(key, st.sampled_from(["", "Some Text", "é\u2028"])) for key in _KEYS
    },
)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the source table, empty, and views of what both stages make of it."""
    loaded = kit.shipped()
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("set timezone = 'UTC'")
        stage_sql.register_functions(con)
        stage_sql.create_source(con, loaded.sources["CloudAppEvents"].ddl)
        stage = loaded.stages["mail_access"].sql
        odd = stage.replace("is_odd\n    from", "tells, true as is_odd\n    from")
        assert odd != stage
        con.execute(f"create view mail_access as {stage}")
        con.execute(f"create view all_odd as {odd}")
        con.execute(f"create view mail_on_the_hour as {loaded.stages['mail_on_the_hour'].sql}")
        yield con


def fill(con: duckdb.DuckDBPyConnection, texts: Sequence[str], **columns: str | None) -> None:
    """Puts one mail row for each text of RawEventData into the source table."""
    con.execute("delete from CloudAppEvents")
    given = {"Application": "Microsoft Exchange Online", **columns}
    rows = {
        "file_id": pa.array(range(len(texts)), pa.int64()),
        "timestamp_ns": pa.array([int(AT.timestamp()) * 10**9] * len(texts), pa.int64()),
        "Timestamp": pa.array([AT] * len(texts), pa.timestamp("us", "UTC")),
        "ActionType": ["MailItemsAccessed"] * len(texts),
        "RawEventData": pa.array(texts, pa.string()),
        **{name: pa.array([value] * len(texts), pa.string()) for name, value in given.items()},
    }
    con.register("rows", pa.table(rows))
    con.execute("insert into CloudAppEvents by name from rows")
    con.unregister("rows")


def staged(con: duckdb.DuckDBPyConnection, table: str = "mail_access") -> list[Row]:
    """The rows of a view, in the order of the source's."""
    cursor = con.execute(f"from {table} order by file_id")
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def rows_of(con: duckdb.DuckDBPyConnection, records: Iterable[Record]) -> list[Row]:
    """What is staged of records, at once: a fill and a look cost as much as twenty rows."""
    fill(con, [json.dumps(record) for record in records])
    return staged(con)


def row_of(con: duckdb.DuckDBPyConnection, record: Any, **columns: str | None) -> Row:
    """What is staged of one record."""
    fill(con, [record if isinstance(record, str) else json.dumps(record)], **columns)
    return staged(con)[0]


def lower_keys(value: Any, spelled: Callable[[str], str] = str.lower) -> Any:
    """A value with the keys of every object spelled in another way."""
    if isinstance(value, list):
        return [lower_keys(one, spelled) for one in value]
    if isinstance(value, dict):
        return {spelled(key): lower_keys(one, spelled) for key, one in value.items()}
    return value


def camel_case(value: Any) -> Any:
    """A value with the keys of every object beginning small."""
    return lower_keys(value, lambda key: key[0].lower() + key[1:])


_SHAPES: dict[str, Callable[[Record], str]] = {
    "text": lambda record: json.dumps(json.dumps(record)),
    "text in text": lambda record: json.dumps(json.dumps(json.dumps(record))),
    "byte order mark": lambda record: "\ufeff" + json.dumps(record),
    "list": lambda record: json.dumps([record]),
    "lower case": lambda record: json.dumps(lower_keys(record)),
    "camel case": lambda record: json.dumps(camel_case(record)),
    "capitals": lambda record: json.dumps(lower_keys(record, str.upper)),
    "wrapper": lambda record: json.dumps({"RecordType": 50, "AuditData": record}),
    "wrapped text": lambda record: json.dumps({"auditData": json.dumps(record)}),
    "all": lambda record: json.dumps("\ufeff" + json.dumps([{"AuditData": camel_case(record)}])),
}
_OBJECTS = ("lower case", "camel case", "capitals", "wrapper", "wrapped text")


@draws.law(100, quick=8)
@given(record=records, mailbox=st.sampled_from(["Ana@example.com", "b"]))
def test_every_shape_gives_the_row_of_the_plain_record(
    con: duckdb.DuckDBPyConnection, record: Record, mailbox: str
) -> None:
    """All columns are equal, whichever way the record was wrapped and its keys were spelled.

    Only its identity is another one where gundog read the object before, without the Id.
    """
    full = {"OperationProperties": _BIND, "Id": "no uuid", **record, "MailboxOwnerUPN": mailbox}
    fill(con, [json.dumps(full), *(shape(full) for shape in _SHAPES.values())], ReportId="r")
    plain, *others = ({**row, "file_id": 0} for row in staged(con))
    by_report = {"event_id": _hashed("ReportId r"), "record_id": full["Id"]}

    assert plain["mailbox"] == mailbox.lower()
    for name, row in zip(_SHAPES, others, strict=True):
        assert row == (plain | by_report if name in _OBJECTS else plain), name


@draws.law(100, quick=8)
@given(
    record=records,
    spelled=st.sampled_from(["as it is", "lower case", "camel case", "capitals", "wrapped text"]),
    report=st.sampled_from([None, "", "r"]),
)
def test_an_object_keeps_the_event_id_that_it_had(
    con: duckdb.DuckDBPyConnection, record: Record, spelled: str, report: str | None
) -> None:
    """The exact key Id, else ReportId, else the row: as before other keys were looked at."""
    text = _SHAPES[spelled](record) if spelled in _SHAPES else json.dumps(record)
    fill(con, [text], ReportId=report)
    known = json.loads(text).get("Id")

    assert staged(con)[0]["event_id"] == _event_id(known, report, text)


def _event_id(known: str | None, report: str | None, text: str) -> UUID:
    """What mail_access has always called a record of `AT` that has nothing else."""
    with suppress(ValueError):
        return UUID(known or "")
    row = ["row", str(int(AT.timestamp()) * 10**6), "", "", text]
    source = f"Id {known}" if known else f"ReportId {report}" if report else "\x1f".join(row)
    return _hashed(source)


def _hashed(source: str) -> UUID:
    return UUID(md5(source.encode(), usedforsecurity=False).hexdigest())


def test_one_id_with_two_times_is_two_events(con: duckdb.DuckDBPyConnection) -> None:
    """Both rows keep the Id's event_id, and both count; with one time the second is redelivered."""
    text = json.dumps({"Id": str(UUID(int=7)), "MailboxOwnerUPN": "ana@example.com"})
    fill(con, [text, text, text])
    con.execute(
        "update CloudAppEvents set Timestamp = Timestamp + interval 1 hour where file_id = 2"
    )
    con.execute("create or replace table counted as select *, false as is_copy from mail_access")
    redeliveries.mark(con, "counted")

    assert {row["event_id"] for row in staged(con)} == {UUID(int=7)}
    assert [row["is_copy"] for row in staged(con, "counted")] == [False, True, False]


@draws.law(100, quick=8)
@given(texts=st.lists(records.map(json.dumps) | st.text() | st.sampled_from(["[1]", "{", '""'])))
def test_the_dear_way_gives_the_rows_of_the_cheap_way(
    con: duckdb.DuckDBPyConnection, texts: list[str]
) -> None:
    """Only where the cheap way reads nothing does the dear way matter."""
    fill(con, texts)

    assert staged(con, "all_odd") == staged(con)


@pytest.mark.parametrize("shape", _SHAPES)
def test_both_stages_know_a_record_by_the_same_id(
    con: duckdb.DuckDBPyConnection, shape: str
) -> None:
    """A record on the hour has the event_id that it has in mail_access, in any shape."""
    record = {"Id": "x", "ResultStatus": "Succeeded", "MailboxOwnerUPN": "ana@example.com"}
    fill(con, [json.dumps(record), _SHAPES[shape](record)], ReportId="r")
    mail, hourly = staged(con), staged(con, "mail_on_the_hour")

    assert [row["event_id"] for row in hourly] == [row["event_id"] for row in mail]
    assert hourly[0]["RawEventData"] == json.dumps(record)


@pytest.mark.parametrize(
    ("application", "is_read"),
    [
        ("Microsoft Exchange Online", True),
        ("exchange", True),
        ("Office 365", True),
        ("Microsoft 365", True),
        ("O365", True),
        ("", True),
        (None, True),
        ("Something Else", False),
    ],
)
def test_exchange_has_several_names(
    con: duckdb.DuckDBPyConnection, application: str | None, is_read: bool
) -> None:
    """Entra's rows say Office 365, and an exporter may say nothing; other applications are none."""
    fill(con, ['{"MailboxOwnerUPN": "ana@example.com"}'], Application=application)

    assert len(staged(con)) == is_read


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[{"Id": 1}, {"Id": 2}]', "no JSON object in RawEventData"),
        ('"text"', "no JSON object in RawEventData"),
        ('["{\\"Id\\": 1"]', "no JSON object in RawEventData"),
        ('\ufeff{"Id": 1', "malformed JSON in RawEventData"),
        ("\ufeff", "malformed JSON in RawEventData"),
        (" ", "no RawEventData"),
    ],
)
def test_what_holds_no_record_is_set_aside(
    con: duckdb.DuckDBPyConnection, text: str, reason: str
) -> None:
    """Several records, other text and half a record stay rejected, with their text."""
    row = row_of(con, text)

    assert (row["reject_reason"], row["raw_event_data"]) == (reason, text)


ADDRESSES = [
    ("192.0.2.7", "192.0.2.7"),
    ("192.0.2.7:443", "192.0.2.7"),
    ("[192.0.2.7]", "192.0.2.7"),
    ("[2001:db8::7]:443", "2001:db8::7"),
    ("[2001:db8::7]", "2001:db8::7"),
    ("2001:db8::7", "2001:db8::7"),
    ("2001:db8::7:443", "2001:db8::7:443"),
    ("::ffff:192.0.2.7", "::ffff:192.0.2.7"),
    ("::ffff:192.0.2.7:443", "::ffff:192.0.2.7"),
    ("192.0.2.7:", "192.0.2.7"),
    ("[::ffff:192.0.2.7]:443", "::ffff:192.0.2.7"),
    ("fe80::1%12", "fe80::1%12"),
    (" [fe80::1%12]:5 ", "fe80::1%12"),
    ("host:443", "host:443"),
    ("", None),
]


@pytest.mark.parametrize("place", ["ClientIPAddress", "ClientIP", "IPAddress"])
def test_an_address_has_no_port_and_no_brackets(con: duckdb.DuckDBPyConnection, place: str) -> None:
    """Wherever it comes from; what could be part of an IPv6 address stays."""
    record = {"MailboxOwnerUPN": "a"}
    if place == "IPAddress":
        fill(con, [json.dumps(record)] * len(ADDRESSES))
        for number, (written, _) in enumerate(ADDRESSES):
            con.execute(
                "update CloudAppEvents set IPAddress = ? where file_id = ?", [written, number]
            )
        rows = staged(con)
    else:
        rows = rows_of(con, [{**record, place: written} for written, _ in ADDRESSES])

    # The last of the three is taken as it is, an empty text too.
    empty = "" if place == "ClientIP" else None
    assert [
        (written, row["ip_address"]) for (written, _), row in zip(ADDRESSES, rows, strict=True)
    ] == [(written, address or empty) for written, address in ADDRESSES]


def test_an_address_is_known_in_python_as_it_is_staged() -> None:
    assert {written: addresses.plain(written) for written, _ in ADDRESSES} == {
        written: address or "" for written, address in ADDRESSES
    }


FLATTENED: list[tuple[object, str, bool]] = [
    ("@{Name=MailAccessType; Value=Sync} @{Name=IsThrottled; Value=True}", "Sync", True),
    (["@{Value=Sync; Name=MailAccessType}", "@{Value=True; Name=IsThrottled}"], "Sync", True),
    (["@{Value=True; Name=IsThrottled}", "@{Value=Bind; Name=MailAccessType}"], "Bind", True),
    (["@{Name=Other; Value=True}", "@{Name=IsThrottled; Value=False}"], "Bind", False),
    (["@{Value=False; Name=IsThrottled}", "@{Value=True; Name=Other}"], "Bind", False),
    ({"MailAccessType": "Sync", "IsThrottled": "True"}, "Sync", True),
    ({"MailAccessType": "Sync", "IsThrottled": False}, "Sync", False),
    ({"Name": "IsThrottled", "Value": "True"}, "Bind", True),
    ([{"name": "IsThrottled", "value": True}], "Bind", True),
    (json.dumps(_SYNC), "Sync", True),
    ("System.Object[]", "Bind", False),
]


def test_flattened_properties_are_read(con: duckdb.DuckDBPyConnection) -> None:
    """As PowerShell writes them, as a map, and as text; else the record's type says it."""
    record = {"MailboxOwnerUPN": "a", "Id": "x", "RecordType": 50}
    rows = rows_of(con, [{**record, "OperationProperties": said} for said, *_ in FLATTENED])

    assert [
        (said, row["access_type"], row["is_throttled"])
        for (said, *_), row in zip(FLATTENED, rows, strict=True)
    ] == FLATTENED


COUNTED: list[tuple[Record, int | None]] = [
    ({"Folders": [{"FolderItems": [{}, {}]}, {"FolderItems": [{}]}, {"Path": "x"}]}, 3),
    ({"Folders": [{"FolderItems": [{}, {}]}], "OperationCount": 5}, 5),
    ({"Folders": [{"FolderItems": [{}, {}]}], "OperationCount": "many"}, 2),
    ({"Folders": [{"FolderItems": "System.Object[]"}]}, None),
    ({"Folders": "@{FolderItems=System.Object[]}"}, None),
    ({"Folders": []}, None),
    ({"Folders": [{"FolderItems": [{}, {}]}], "OperationProperties": _SYNC}, None),
]


def test_a_bind_without_a_count_counts_its_items(con: duckdb.DuckDBPyConnection) -> None:
    """OperationCount says how many, else the items that the record lists; a Sync tells nothing."""
    usual = {"MailboxOwnerUPN": "a", "OperationProperties": _BIND}
    rows = rows_of(con, [{**usual, **record} for record, _ in COUNTED])

    assert [(record, row["items"]) for (record, _), row in zip(COUNTED, rows, strict=True)] == (
        COUNTED
    )


_V4 = st.integers(0, 2**32 - 1).map(lambda number: str(ip_address(number)))
_V6 = st.integers(0, 2**128 - 1) | st.builds(
    lambda parts: int("".join(parts), 16),
    st.lists(st.sampled_from(["0000", "0001", "ffff", "0a00"]), min_size=8, max_size=8),
)
_V6_TEXTS = st.builds(
    lambda number, whole: (
        ip_address(number.to_bytes(16, "big")).exploded
        if whole
        else str(ip_address(number.to_bytes(16, "big")))
    ),
    _V6,
    st.booleans(),
)


@draws.law(100, quick=8)
@given(written=st.lists(_V4 | _V6_TEXTS, min_size=1, max_size=20))
def test_a_network_is_what_the_address_library_says(
    con: duckdb.DuckDBPyConnection, written: list[str]
) -> None:
    """The /24 or /48 around an address, in the shortest spelling, however the address is spelled.

    An address of version 4 in version 6 is of its version 4 network.
    """
    fill(con, [json.dumps({"Id": "x", "ClientIPAddress": one}) for one in written])

    assert [row["network"] for row in staged(con)] == [_network(one) for one in written]


def _network(written: str) -> str:
    address = ip_address(written)
    if address.version == 6 and "." in written:  # only where it is written so
        address = ip_address(written.rpartition(":")[2])
    return str(ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False))


NETWORKS = [
    ("192.0.2.7:443", "192.0.2.0/24"),
    ("::ffff:192.0.2.7", "192.0.2.0/24"),
    ("fe80::1%12", "fe80::/48"),
    ("2001:DB8:0:1::9", "2001:db8::/48"),
    ("host:443", None),
    ("somewhere", None),
    ("", None),
]


def test_what_is_no_address_has_no_network(con: duckdb.DuckDBPyConnection) -> None:
    """A port, a zone and capitals change no network; other text has none."""
    rows = rows_of(con, [{"Id": "x", "ClientIPAddress": written} for written, _ in NETWORKS])

    assert [
        (written, row["network"]) for (written, _), row in zip(NETWORKS, rows, strict=True)
    ] == (NETWORKS)


_PHONE = "27922004-5251-4030-b22d-91ecd9a37ea4"


FAMILIES = [
    ("Client=MSExchangeRPC", None, "outlook_desktop"),
    ("Client=Microsoft.Exchange.MapiHttp;", None, "outlook_desktop"),
    ("Client=WebServices;MacOutlook/16.0", None, "outlook_desktop"),
    ("Client=OutlookService;Outlook-iOS/2.0;", None, "mobile"),
    ("Client=OutlookService;Outlook-Android/2.0", None, "mobile"),
    ("Client=REST;Client=RESTSystem;;", _PHONE.upper(), "mobile"),
    ("Client=OWA;Action=ViaProxy", None, "owa"),
    ("Client=WebServices;ExchangeWebServices", None, "ews"),
    ("Client=REST;;", "an app", "rest"),
    ("Client=POP3/IMAP4;Protocol=IMAP4", None, "imap"),
    ("Client=POP3/IMAP4;Protocol=POP3", None, "pop"),
    ("Client=ActiveSync;UserAgent=Apple-iPhone", None, "active_sync"),
    ("Client=Something", None, "other"),
    ("", None, None),
    (None, None, None),
]


def test_a_client_belongs_to_a_family(con: duckdb.DuckDBPyConnection) -> None:
    """What ClientInfoString says; Outlook for phones by its application too."""
    rows = rows_of(
        con,
        [{"Id": "x", "ClientInfoString": info, "ClientAppId": app} for info, app, _ in FAMILIES],
    )

    assert [
        (info, app, row["client_family"])
        for (info, app, _), row in zip(FAMILIES, rows, strict=True)
    ] == FAMILIES


MODES: list[tuple[Record, str | None]] = [
    ({"ClientAppId": "a", "UserType": 0, "UserId": "ana@example.com"}, "delegated"),
    ({"ClientAppId": "a", "UserType": 5}, "app_only"),
    ({"ClientAppId": "a", "UserType": "ServicePrincipal"}, "app_only"),
    ({"ClientAppId": "a", "UserId": "A"}, "app_only"),
    ({"ClientAppId": "a", "UserId": "ServicePrincipal_b"}, "app_only"),
    ({"AppId": "a", "UserId": "ana@example.com"}, "delegated"),
    ({"UserId": "ana@example.com"}, None),
]


def test_an_application_reads_for_itself_or_for_a_user(con: duckdb.DuckDBPyConnection) -> None:
    """The type of the user or the user's name says so; without an application nothing does."""
    rows = rows_of(con, [{"Id": "x", **record} for record, _ in MODES])

    assert [(record, row["access_mode"]) for (record, _), row in zip(MODES, rows, strict=True)] == (
        MODES
    )


def test_the_context_of_a_record_is_kept(con: duckdb.DuckDBPyConnection) -> None:
    """Provider, country, proxy, tags, agent, session, token, and the AppId beside the client's."""
    fill(
        con,
        [
            json.dumps(
                {
                    "Id": "x",
                    "AppId": "API",
                    "ClientAppId": "CLIENT",
                    "AppAccessContext": {"AADSessionId": "s", "UniqueTokenId": "t"},
                }
            )
        ],
        Isp="Carrier",
        CountryCode="NL",
        IPCategory="Risky",
        IPTags='["Tor"]',
        UserAgent="agent",
    )
    con.execute("update CloudAppEvents set IsAnonymousProxy = true")
    row = staged(con)[0]

    expected = {
        "isp": "Carrier",
        "country": "NL",
        "is_anonymous_proxy": True,
        "ip_category": "Risky",
        "ip_tags": '["Tor"]',
        "user_agent": "agent",
        "aad_session_id": "s",
        "token_id": "t",
        "app_id": "client",
        "record_app_id": "api",
    }
    assert {name: row[name] for name in expected} == expected
