"""Tests of the channels, each against a real server: what arrives, and what an address tells."""

from __future__ import annotations

import html
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import pytest
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gundog.core.safe_text import for_json
from gundog.notify import mail, messages, services
from gundog.notify.http_post import Answer
from gundog.notify.services import deliver, place, url_problem
from tests import kit
from tests.hostile import HOSTILE, Tags, assert_harmless, unseen
from tests.sinks import PostOffice, Sink, smtp_sink

AT = datetime(2026, 3, 10, 4, tzinfo=UTC)
KEY = UUID(int=5)
SECRET = "s3cr3t"  # noqa: S105 - what the tests look for
pytestmark = [
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning"),
]


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with smtp_sink() as made:
        yield made


def body(title: str = "ana exported a mailbox", text: str = "Who: ana\nWhy: a < b") -> str:
    """A generic body as the outbox holds it."""
    return for_json(
        messages.body_of("finding", title, text, severity="high", command="gundog show")
    )


SOME = [4, pytest.param(1, marks=pytest.mark.slow)]


def hostile_bodies(every: int = 1) -> list[str]:
    """Every so many-th hostile string as title, name and reason of a finding."""
    columns = ("title", "reason", "host_name", "account_name", "mailbox", "app_id", "ip_address",
               "detection_name", "triage_step")  # fmt: skip
    rest = {"finding_id": KEY, "detection_id": KEY, "severity": "low", "start_time": AT,
            "end_time": AT}  # fmt: skip
    return [
        for_json(messages.finding_body({**rest, **dict.fromkeys(columns, raw)}))
        for raw in [*HOSTILE.values()][::every]
    ]


def send(url: str, text: str | None = None, timeout_s: float = kit.HUNG_S) -> Answer:
    return deliver(url, text or body(), KEY, AT, timeout_s)


def texts_in(value: Any) -> list[str]:
    """Every text in a JSON value, keys aside."""
    if isinstance(value, dict):
        return [one for inner in value.values() for one in texts_in(inner)]
    if isinstance(value, list):
        return [one for inner in value for one in texts_in(inner)]
    return [value] if isinstance(value, str) else []


# ---- Slack ----


def test_slack_gets_plain_text_blocks(sink: Sink) -> None:
    """Title and text as blocks that Slack does not parse; nothing is unfurled or linked."""
    assert send(sink.url("/services/A/B/C", "slack")) == Answer()

    (request,) = sink.requests
    assert request.path == "/services/A/B/C"
    assert request.headers["Idempotency-Key"] == str(KEY)
    assert request.body["text"] == "ana exported a mailbox"
    blocks = [block["text"] for block in request.body["blocks"]]
    assert [block["text"] for block in blocks] == [
        "ana exported a mailbox",
        "Who: ana\nWhy: a \N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK} b",
    ]
    assert {block["type"] for block in blocks} == {"plain_text"}
    assert [block["emoji"] for block in blocks] == [False, False]
    for name in ("mrkdwn", "link_names", "unfurl_links", "unfurl_media"):
        assert request.body[name] is False
    assert request.body["parse"] == "none"


def test_slack_takes_a_long_digest_in_pieces() -> None:
    """Each block within what Slack takes, no line lost or cut."""
    lines = [f"{number} " + "x" * 900 for number in range(22)]
    payload = services.slack_payload(json.loads(body("t" * 400, "\n".join(lines))))

    header, *sections = [block["text"]["text"] for block in payload["blocks"]]
    assert len(header) == 150
    assert max(len(one) for one in sections) <= 3000
    assert "\n".join(sections).split("\n") == lines


def test_slack_tokens_are_the_end_of_its_own_address() -> None:
    """slack://A/B/C, with or without a name before it and a channel behind it."""
    for url in ("slack://TA/BB/cc", "slack://bot@TA/BB/cc/", "slack://TA/BB/cc/#general"):
        hook = services._hook(url)
        assert hook is not None
        assert hook.url == "https://hooks.slack.com/services/TA/BB/cc"
    remote = services._hook("slack://chat.example.com/hooks/x?y=z")
    assert remote is not None
    assert remote.url == "https://chat.example.com/hooks/x?y=z"


# ---- Teams ----


def test_teams_gets_a_card_of_text_runs(sink: Sink) -> None:
    """An Adaptive Card whose text knows no Markdown, a block a line."""
    assert send(sink.url("/workflows/x?sig=y", "msteams")) == Answer()

    (request,) = sink.requests
    assert request.path == "/workflows/x?sig=y"
    (attachment,) = request.body["attachments"]
    card = attachment["content"]
    assert (card["type"], request.body["type"]) == ("AdaptiveCard", "message")
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    runs = [run for block in card["body"] for run in block["inlines"]]
    assert {run["type"] for run in runs} == {"TextRun"}
    assert [run["text"] for run in runs][:2] == ["ana exported a mailbox", "Who: ana"]


def test_teams_card_stays_below_its_limit() -> None:
    """28 kB is what Teams takes; what is left out is said."""
    payload = services.teams_payload(
        json.loads(body("t", "\n".join(["\N{TILDE OPERATOR}" * 900] * 22)))
    )

    assert len(for_json(payload)) < 28_000
    blocks = payload["attachments"][0]["content"]["body"]
    assert blocks[-1]["inlines"][0]["text"] == "and more: gundog show"


def test_teams_tokens_are_those_of_a_connector() -> None:
    """msteams://TEAM/A/B/C as Apprise spelled it."""
    hook = services._hook("msteams://contoso/a-1@b-2/c3/d-4")

    assert hook is not None
    assert hook.url == (
        "https://contoso.webhook.office.com/webhookb2/a-1@b-2/IncomingWebhook/c3/d-4"
    )


# ---- Splunk ----


def test_splunk_gets_an_event_with_its_token(sink: Sink) -> None:
    """One event of the generic body; index and source types from the address."""
    url = f"splunk://{SECRET}@127.0.0.1:{sink.port}?index=sec&sourcetype=hunt"
    assert send(url) == Answer()

    (request,) = sink.requests
    assert request.path == "/services/collector/event"
    assert request.headers["Authorization"] == f"Splunk {SECRET}"
    assert request.body == {
        "index": "sec", "sourcetype": "hunt", "source": "gundog", "event": json.loads(body())
    }  # fmt: skip


def test_splunk_is_https_on_its_own_port_elsewhere() -> None:
    """A token never travels in the clear to another machine."""
    hook = services._hook("splunk://tok@hec.example.com")

    assert hook is not None
    assert hook.url == "https://hec.example.com:8088/services/collector/event"


@pytest.mark.parametrize("scheme", ["slack", "msteams", "splunk"])
def test_service_that_fails_is_named_without_its_secret(sink: Sink, scheme: str) -> None:
    """Status, Retry-After and silence are what they are for any webhook."""
    url = sink.url(f"/{SECRET}", scheme, f"{SECRET}@")
    sink.script = [(429, {"Retry-After": "7"}), 500, "drop"]

    assert send(url) == Answer("answered 429", 7.0)
    assert send(url) == Answer("answered 500")
    assert send(url) == Answer("closed the connection before it answered", reached=False)
    assert place(url) == "127.0.0.1"


@pytest.mark.parametrize("every", SOME)
@pytest.mark.parametrize("scheme", ["slack", "msteams", "splunk"])
def test_no_text_that_a_service_gets_acts(sink: Sink, scheme: str, every: int) -> None:
    """Every line of every text in the payload is harmless, whatever an event says."""
    bodies = hostile_bodies(every)
    for body in bodies:
        assert send(sink.url("/x", scheme, "tok@"), body) == Answer()

    assert len(sink.requests) == len(bodies)
    ours = {"http://adaptivecards.io/schemas/adaptive-card.json"}
    for request in sink.requests:
        for text in texts_in(request.body):
            for line in text.splitlines():
                assert line in ours or assert_harmless(line) is None


# ---- Apprise ----


def test_every_other_service_is_apprises(sink: Sink) -> None:
    """A channel that only Apprise knows gets title and text."""
    assert send(f"form://127.0.0.1:{sink.port}/x") == Answer()

    (request,) = sink.requests
    fields = parse_qs(request.body)
    assert fields["title"] == ["ana exported a mailbox"]
    assert fields["message"][0].startswith("Who: ana")


@pytest.mark.parametrize("every", SOME)
def test_no_text_that_apprise_hands_on_acts(sink: Sink, every: int) -> None:
    """Apprise puts nothing back that was made harmless."""
    for one in hostile_bodies(every):
        assert send(f"form://127.0.0.1:{sink.port}/x", one) == Answer()

    for request in sink.requests:
        for name in ("title", "message"):
            for line in parse_qs(request.body).get(name, [""])[0].splitlines():
                assert_harmless(line)


def test_apprise_that_fails_says_nothing_of_the_address(
    sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    """Its log would name it; it is off."""
    caplog.set_level(0)
    sink.script = [500]
    url = f"form://user:{SECRET}@127.0.0.1:{sink.port}/{SECRET}"

    assert send(url) == Answer("did not take the message")
    assert place(url) == "form"
    assert SECRET not in caplog.text


def test_apprise_that_hangs_does_not_hold_the_run(sink: Sink) -> None:
    """The limit is ours."""
    sink.script = ["hang"]

    answer = send(f"form://127.0.0.1:{sink.port}/x", timeout_s=0.2)
    assert answer == Answer("did not answer within 0.2 s", reached=False)


# ---- mail ----


def box_url(office: PostOffice, rest: str = "", scheme: str = "mailto", user: str = "") -> str:
    at = f"{user}@" if user else ""
    return f"{scheme}://{at}127.0.0.1:{office.port}/soc@example.com?from=gundog@example.com{rest}"


def test_mail_arrives_as_text_and_html(office: PostOffice) -> None:
    """Subject with severity, both parts, and headers that tell machines what it is."""
    assert send(box_url(office)) == Answer()

    (letter,) = office.letters
    assert (letter.sender, letter.recipients) == ("gundog@example.com", ["soc@example.com"])
    message = letter.message
    assert message["Subject"] == "[gundog] high: ana exported a mailbox"
    assert message["Idempotency-Key"] == str(KEY)
    assert message["Message-ID"] == f"<{KEY}@gundog.invalid>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime == AT
    assert letter.part("plain").splitlines()[:3] == ["ana exported a mailbox", "", "Who: ana"]
    assert "Who: ana<br>" in letter.part("html")


def test_bcc_is_in_no_header(office: PostOffice) -> None:
    """Everyone named gets it, and only to and cc are seen."""
    url = box_url(office, "&to=a@example.com,b@example.com&cc=c@example.com&bcc=d@example.com")
    assert send(url) == Answer()

    (letter,) = office.letters
    everyone = [f"{name}@example.com" for name in "abcd"]
    assert sorted(letter.recipients) == [*everyone, "soc@example.com"]
    assert letter.message["To"] == "a@example.com, b@example.com, soc@example.com"
    assert letter.message["Cc"] == "c@example.com"
    assert "d@example.com" not in letter.message.as_string()


@pytest.mark.parametrize("every", SOME)
def test_no_text_in_a_mail_acts(office: PostOffice, every: int) -> None:
    """Neither part nor a header has anything in it but characters and our own few tags."""
    bodies = hostile_bodies(every)
    for body in bodies:
        assert send(box_url(office), body) == Answer()

    assert len(office.letters) == len(bodies)
    for letter in office.letters:
        assert set(letter.message.keys()) == {
            "Subject", "From", "To", "Date", "Message-ID", "Idempotency-Key", "Auto-Submitted",
            "MIME-Version", "Content-Type",
        }  # fmt: skip
        assert unseen(letter.message["Subject"]) == []
        page = letter.part("html")
        allowed = {"html", "head", "meta", "body", "p", "strong", "br", "doctype html"}
        entities = {"amp", "lt", "gt", "quot"}
        found = {tag for tag in Tags(page).found if not tag.isdigit() and tag != "x27"}
        assert found <= allowed | entities
        for line in letter.part("plain").splitlines():
            assert_harmless(line)
        shown = html.unescape(page.split("<body>")[1])
        assert unseen(shown) == []


def test_mail_that_some_recipients_refuse_arrived_with_a_remark(office: PostOffice) -> None:
    """The others have it: it is not sent again, and the refusal is told."""
    office.refuse = {"gone@example.com": "550 no such user"}

    answer = send(box_url(office, "&to=gone@example.com"))
    assert answer == Answer(remark="refused 1 of 2 recipients")
    assert office.letters[0].recipients == ["soc@example.com"]


@pytest.mark.parametrize(
    ("refuse", "error"),
    [
        ({"soc@example.com": f"550 {SECRET}"}, "refused every recipient"),
        ({"DATA": f"552 {SECRET}"}, "refused the message (552)"),
        ({"DATA": f"451 {SECRET}"}, "refused the message (451)"),
    ],
)
def test_refused_mail_is_named_in_words_of_ours(
    office: PostOffice, refuse: dict[str, str], error: str
) -> None:
    """What a server says may quote anything."""
    office.refuse = refuse

    assert send(box_url(office)) == Answer(error)
    assert office.letters == []


def test_server_that_is_not_there_or_silent_is_not_reached() -> None:
    """Refused, hanging: the run goes on."""
    url = "mailto://127.0.0.1:9/soc@example.com?from=a@example.com"
    assert send(url) == Answer("refused the connection", reached=False)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        answer = send(url.replace(":9/", f":{port}/"), timeout_s=0.2)
    assert answer == Answer("did not answer within 0.2 s", reached=False)


def test_server_that_drops_is_not_reached() -> None:
    """It hung up before it answered."""
    with socket.create_server(("127.0.0.1", 0)) as rude:

        def hang_up() -> None:
            rude.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        port = rude.getsockname()[1]
        answer = send(f"mailto://127.0.0.1:{port}/soc@example.com?from=a@example.com")
        thread.join()
    assert answer == Answer("closed the connection before it answered", reached=False)


def sign_in(*known: bytes) -> Any:
    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password in known, handled=False)

    return check


def test_mail_signs_in() -> None:
    """User and password come from the address; a wrong one is named without itself."""
    options = {"authenticator": sign_in(b"p:w@"), "auth_require_tls": False}
    with smtp_sink(auth_required=True, **options) as office:
        assert send(box_url(office, user="ana:p%3Aw%40")) == Answer()
        wrong = send(box_url(office, user=f"ana:{SECRET}"))
    assert wrong == Answer("refused the sign-in (535)")
    assert len(office.letters) == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 signed by itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    here = x509.DNSName("127.0.0.1")
    import ipaddress

    names = [here, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_mailtos_hands_over_nothing_before_tls_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown certificate is refused; a known one is used, and nothing goes in the clear."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with smtp_sink(tls_context=tls, require_starttls=True) as office:
        url = box_url(office, scheme="mailtos")
        refused = send(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        taken = send(url)
    assert refused == Answer("has a certificate that this machine does not trust", reached=False)
    assert taken == Answer()
    assert len(office.letters) == 1


def test_mailtos_never_falls_back_to_the_clear(office: PostOffice) -> None:
    """A server without STARTTLS gets nothing."""
    answer = send(box_url(office, scheme="mailtos"))

    assert answer.error == "does not offer STARTTLS, or the sign-in, as asked"
    assert office.letters == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mailto://ana:p@example.com", ("example.com", 25, "insecure", ("ana@example.com",))),
        ("mailtos://ana:p@example.com", ("example.com", 587, "starttls", ("ana@example.com",))),
        ("mailtos://u:p@example.com?mode=ssl&to=a@b.c",
         ("example.com", 465, "ssl", ("a@b.c",))),
        ("mailtos://example.com:26?smtp=mx.example.com&user=u@x.org&pass=p",
         ("mx.example.com", 26, "starttls", ("u@x.org",))),
        ("mailto://example.com/a@b.c/d@e.f", ("example.com", 25, "insecure", ("a@b.c", "d@e.f"))),
        ("mailto://example.com?from=SOC<soc@example.com>",
         ("example.com", 25, "insecure", ("soc@example.com",))),
    ],
)  # fmt: skip
def test_mail_address_is_read_as_apprise_spells_it(
    url: str, expected: tuple[str, int, str, tuple[str, ...]]
) -> None:
    """Server, port, way and recipients; without any, the sender's own mailbox."""
    box = mail.parse(url)

    assert box is not None
    assert (box.server, box.port, box.mode, box.to) == expected
    assert url_problem(url) is None
    assert place(url) == expected[0]


# ---- addresses ----

SECRETS = [
    f"slack://{SECRET}/{SECRET}", f"slack://xoxb-{SECRET}-1/x", f"slack://{SECRET}",
    f"msteams://{SECRET}/x", f"msteams://x/{SECRET}", f"splunk://{SECRET}",
    f"splunk://{SECRET}@x", f"splunk://a:{SECRET}@x:99999",
    f"mailtos://u:{SECRET}@", f"mailtos://u:{SECRET}@x.org?mode=nonsense",
    f"mailto://u:{SECRET}@x.org?to=a%0d%0aBcc:b@c.d", f"mailto://x.org?from={SECRET}&to=a b",
    f"nonsense://{SECRET}/{SECRET}", f"tgram://{SECRET}", f"discord://{SECRET}",
    f"slack://[{SECRET}/", f"mailto://[{SECRET}/",
]  # fmt: skip


@pytest.mark.parametrize("url", SECRETS)
def test_wrong_address_is_a_problem_that_tells_nothing_of_it(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It can be refused before anything is sent, and no word of it is shown."""
    caplog.set_level(0)
    problem = url_problem(url)

    assert problem is not None
    assert problem.startswith("is not a ")
    answer = send(url, timeout_s=1)
    assert answer.error is not None
    said = [problem, answer, place(url), services._hook(url), caplog.text]
    assert SECRET not in repr(said)


MEANT = [
    ("http://127.0.0.1:8078/workflows/abc/triggers/manual/paths/invoke?sig=x", "msteams://"),
    ("https://prod-1.westeurope.logic.azure.com:443/workflows/a/triggers/manual/paths/invoke?sp=x",
     "msteams://"),
    ("https://d.1.api.powerplatform.com/powerautomate/workflows/a/triggers/manual/paths/invoke",
     "msteams://"),
    ("https://contoso.webhook.office.com/webhookb2/a@b/IncomingWebhook/c/d", "msteams://"),
    ("https://hooks.slack.com/services/T0/B0/s3cret", "slack://"),
    ("HTTPS://hooks.slack-gov.com/services/T0/B0/s3cret", "slack://"),
    ("https://discord.com/api/webhooks/1/s3cret", "discord://"),
    ("https://ptb.discord.com/api/v10/webhooks/1/s3cret", "discord://"),
    ("https://discordapp.com/api/webhooks/1/s3cret", "discord://"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "spelling"), MEANT, ids=[url[:40] for url, _ in MEANT])
def test_an_address_that_would_show_nothing_is_named_with_its_spelling(
    url: str, spelling: str
) -> None:
    """It is taken, for nobody's night may end for it; the spelling is one that works."""
    said = services.meant(url)

    assert said is not None
    assert f"write {spelling}" in said
    assert "s3cret" not in said
    assert url_problem(url) is None
    right = re.sub(r"^https?://", spelling, url, flags=re.IGNORECASE)
    if spelling == "discord://":
        right = spelling + "/".join(url.split("/")[-2:])
    assert url_problem(right) is None
    assert services.meant(right) is None
    assert services.meant(re.sub(r"^https?", "jsons", url, flags=re.IGNORECASE)) is None


@pytest.mark.parametrize(
    "url",
    ["https://soar.example.com/services/x", "https://hooks.slack.com/triggers/x/y/z",
     "https://example.com/workflows/x", "https://example.com/api/webhooks/1/x", "https://[x"],
)  # fmt: skip
def test_other_addresses_get_the_generic_json(url: str) -> None:
    """There is no complaint about servers that read it."""
    assert services.meant(url) is None


@pytest.mark.parametrize(
    "url",
    ["slack://A/B/C", "slack://hooks.example.com/x", "msteams://t/a/b/c", "msteams://x.y/z",
     "splunk://t@x.y", "mailtos://u:p@x.org", "form://x.org", "https://x.org", "jsons://u:p@x"],
)  # fmt: skip
def test_good_address_is_no_problem(url: str) -> None:
    """Every kind there is, and its parts stay out of what is printed of it."""
    assert url_problem(url) is None
    hook = services._hook(url)
    assert hook is None or "://" not in repr(hook)
