"""Tests of what a run sends: once, to a real server, and never from a backfill unasked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gundog.cli import main
from gundog.core.errors import StoreError
from gundog.run import report_step
from tests import kit
from tests.kit import DAY, NOW, hunt, table
from tests.sinks import PostOffice, smtp_sink


@dataclass
class Sink:
    """A loopback server that keeps what it is sent and answers with `status`."""

    port: int = 0
    status: int = 200
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    beats: int = 0


@pytest.fixture
def sink() -> Iterator[Sink]:
    """The server, on a port of its own."""
    made = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.bodies.append(json.loads(body))
            made.keys.append(self.headers["Idempotency-Key"])
            self.send_response(made.status)
            self.end_headers()

        def do_GET(self) -> None:
            made.beats += 1
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def root(tmp_path: Path, sink: Sink) -> Path:
    """A project with a pair, a channel and a heartbeat."""
    kit.make_project(tmp_path)
    kit.fill_days(tmp_path, "2026-03-08", 2)
    rows = [kit.event("2026-03-09T10:00", "open", number=1)]
    kit.write_file(
        tmp_path, "2026-03-09", [*rows, kit.event("2026-03-09T11:00", "close", number=2)]
    )
    base = f"http://127.0.0.1:{sink.port}"
    config = f"notify: [{{name: soc, url: '{base}/hook/s3cret'}}]\nheartbeat: {base}/beat\n"
    kit.write_text(tmp_path / "gundog.yaml", kit.CONFIG + config)
    return tmp_path


def test_a_finding_is_sent_once_over_all_nights(root: Path, sink: Sink) -> None:
    """The night that stores it sends it, and publishes that it did; later nights do not.

    The heartbeat is called after each of them.
    """
    assert hunt(root).exit_status == 0
    assert table(root, "select kind, sent_at is not null from notifications") == [("finding", True)]
    hunt(root)
    kit.fill_days(root, "2026-03-10", 1)
    hunt(root, now=NOW + DAY)

    assert [body["kind"] for body in sink.bodies] == ["finding"]
    assert sink.bodies[0]["title"].startswith("a opened and closed")
    assert sink.bodies[0]["command"].startswith("gundog show ")
    [(stored,)] = table(root, "select finding_id::varchar from findings")
    assert sink.bodies[0]["finding_id"] == stored
    assert sink.beats == 3


def test_backfill_sends_nothing_unless_asked(root: Path, sink: Sink) -> None:
    """History pages nobody; a digest that was asked for says that it is history."""
    days = ("2026-03-08", "2026-03-09")
    hunt(root, days, command="backfill", origin="backfill", notify="none")
    assert sink.bodies == []

    hunt(root, days, command="backfill", origin="backfill", notify="digest")

    assert [body["kind"] for body in sink.bodies] == ["digest"]
    assert "history" in (sink.bodies[0]["title"] + sink.bodies[0]["text"]).lower()


def test_day_without_data_tells_every_channel_once(root: Path, sink: Sink) -> None:
    """A health message, however often the same day is hunted, and no heartbeat."""
    for path in (root / "lake/date=2026-03-09").iterdir():
        path.unlink()

    assert hunt(root).exit_status == 1
    hunt(root)

    assert [body["kind"] for body in sink.bodies] == ["health"]
    assert "no data" in sink.bodies[0]["text"]
    assert sink.beats == 0


def test_test_message_reaches_every_channel_and_stores_nothing(
    root: Path, sink: Sink, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a channel, one message each, exit 1 when one fails, and its secret stays unsaid."""
    base = f"http://127.0.0.1:{sink.port}"
    down = "{name: down, url: 'http://127.0.0.1:9/s3cret'}"
    mail = "{name: mail, url: 'mailto://127.0.0.1:9/a@example.com?from=s3cret@example.com'}"
    config = f"notify: [{{name: soc, url: '{base}/s3cret'}}, {down}, {mail}]\n"
    kit.write_text(root / "gundog.yaml", kit.CONFIG + config)

    assert main.main(["notify", "--test", "--project", str(root)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "soc: OK",
        "down: 127.0.0.1: refused the connection",
        "mail: 127.0.0.1: refused the connection",
    ]
    assert [body["kind"] for body in sink.bodies] == ["test"]
    only = ["notify", "--test", "--channel", "soc", "--project", str(root)]
    assert main.main(only) == 0
    assert not (root / ".gundog").exists()


@pytest.mark.parametrize(
    ("config", "arguments", "message"),
    [
        ("", (), "has no channels"),
        ("notify: [{name: soc, url: 'slack://s3cret'}]\n", (), "notify.soc.url: is not a Slack"),
        ("notify: [{name: soc, url: 'http://x'}]\n", ("--channel", "sos"), "did you mean soc?"),
    ],
)
def test_bad_channel_exits_2_without_its_secret(
    root: Path,
    capsys: pytest.CaptureFixture[str],
    config: str,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    """What cannot be sent to is said before anything is."""
    kit.write_text(root / "gundog.yaml", kit.CONFIG + config)

    assert main.main(["notify", "--test", *arguments, "--project", str(root)]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "s3cret" not in err


def test_digest_says_what_was_hunted_what_is_gone_and_what_expires(root: Path, sink: Sink) -> None:
    """A quiet night sends it too; a withdrawal is told once; a return is told again."""
    base = f"http://127.0.0.1:{sink.port}"
    config = f"notify: [{{name: leads, url: '{base}/x', mode: digest}}]\n"
    kit.write_text(root / "gundog.yaml", kit.CONFIG + config)
    soon = f"{NOW + 5 * DAY:%Y-%m-%d}"
    kit.write_text(
        root / "exceptions.yaml",
        f"- {{detection: pair, match: {{account_name: z}}, expires: {soon}, reason: a test}}\n",
    )
    path = root / "lake/date=2026-03-09/a.parquet"
    kept = path.read_bytes()

    hunt(root)
    kit.write_file(root, "2026-03-09", [], "a")
    hunt(root)
    hunt(root, again=True)
    path.write_bytes(kept)
    hunt(root)

    titles = [body["title"] for body in sink.bodies]
    assert titles == [
        "1 new (1 medium); 1 detection x 1 day hunted; sources fresh",
        "0 new; 1 detection x 1 day hunted; sources fresh; 1 withdrawn",
        "0 new; 1 detection x 1 day hunted; sources fresh",
        "1 new (1 medium); 1 detection x 1 day hunted; sources fresh",
    ]
    finding = sink.bodies[0]["findings"][0]["finding_id"]
    assert [one["finding_id"] for one in sink.bodies[1]["withdrawn"]] == [finding]
    assert sink.bodies[1]["text"].startswith("withdrawn: a opened and closed")
    assert sink.bodies[3]["findings"][0]["finding_id"] == finding
    assert all("expires 2026-03-15" in body["text"] for body in sink.bodies)


def test_withdrawn_finding_that_was_never_told_is_not_told_as_gone(root: Path, sink: Sink) -> None:
    """A channel hears of the end of what it heard the beginning of."""
    hunt(root, notify="none")
    kit.write_file(root, "2026-03-09", [], "a")
    hunt(root, notify="digest")

    assert [body["withdrawn"] for body in sink.bodies] == [[]]


@pytest.mark.usefixtures("retries_at_once")
def test_failing_channel_exits_1_without_its_secret(root: Path, sink: Sink) -> None:
    """What could not be sent is named by channel and host, and waits for the next run."""
    sink.status = 500

    failed = hunt(root)
    sink.status = 200
    after = hunt(root, now=NOW + DAY / 24)

    assert failed.exit_status == 1
    assert "soc" in failed.problems[0]
    assert "s3cret" not in "".join(failed.problems)
    assert after.exit_status == 0
    assert len(set(sink.keys)) == 1
    assert table(root, "select attempts from notifications") == [(3,)]


def mail_config(port: int, more: str = "") -> str:
    url = f"mailto://127.0.0.1:{port}?from=a@example.com&to=b@example.com"
    mail = f"{{name: m, url: '{url}', mode: digest, report: attach}}"
    return f"{kit.CONFIG}notify:\n  - {mail}\n{more}"


def attached(office: PostOffice) -> list[tuple[str, str]]:
    """The name and text of each file that the letters have with them."""
    return [
        (part.get_filename() or "", part.get_content())
        for letter in office.letters
        for part in letter.message.iter_attachments()
    ]


def test_a_digest_by_mail_has_the_report_with_it(root: Path) -> None:
    """The whole page, without events where `report:` leaves them out; the mail stays text."""
    with smtp_sink() as office:
        for more in ("", "report: {path: r.html, evidence: false}\n"):
            kit.write_text(root / "gundog.yaml", mail_config(office.port, more))
            assert hunt(root, again=True).problems == []

    pages = attached(office)
    assert [name for name, _ in pages] == [f"gundog-report-{NOW:%Y-%m-%d}.html"] * 2
    for _, html in pages:
        assert html.startswith("<!DOCTYPE html>")
        assert "a opened and closed after 1h" in html
    assert ["Evidence" in html for _, html in pages] == [True, False]
    assert office.letters[0].message.get_content_type() == "multipart/mixed"
    assert "a opened and closed after 1h" in office.letters[0].part("plain")


def test_only_digests_have_the_report_and_one_that_cannot_be_made_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message arrives all the same."""
    with smtp_sink() as office:
        kit.write_text(root / "gundog.yaml", mail_config(office.port))
        assert hunt(root, notify="each").problems == []
        assert len(office.letters) == 1
        assert attached(office) == []

        def broken(*_: Any) -> str:
            raise StoreError("page: is broken")

        monkeypatch.setattr(report_step, "made", broken)
        outcome = hunt(root, now=NOW + DAY)

    assert "report: sent without it: page: is broken" in outcome.problems
    assert len(office.letters) >= 2
    assert attached(office) == []


@pytest.mark.parametrize(
    ("channel", "problem"),
    [
        ("url: 'https://x.example', mode: digest, report: attach", "attach is for mail"),
        ("url: 'mailto://x.example', report: attach", "attach is for digests"),
        ("url: 'mailto://x.example', mode: digest, tenants: [t], report: attach", "all tenants"),
        ("url: 'mailto://x.example', mode: digest, report: atach", "did you mean attach?"),
    ],
)
def test_a_report_that_cannot_be_attached_is_a_problem(
    root: Path, capsys: pytest.CaptureFixture[str], channel: str, problem: str
) -> None:
    """`check` says it before a night does."""
    config = f"{kit.CONFIG}notify:\n  - {{name: n, url: 'https://y.example'}}\n"
    kit.write_text(root / "gundog.yaml", f"{config}  - {{name: m, {channel}}}\n")

    assert main.main(["check", "--project", str(root)]) == 2
    told = capsys.readouterr().err
    assert told.count("notify.1.report: ") == 1
    assert problem in told
