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

from tests import kit
from tests.kit import DAY, NOW, hunt, table


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
    kit.fill_days(tmp_path, "2026-03-01", 9)
    rows = [kit.event("2026-03-09T10:00", "open", number=1)]
    kit.write_file(
        tmp_path, "2026-03-09", [*rows, kit.event("2026-03-09T11:00", "close", number=2)]
    )
    base = f"http://127.0.0.1:{sink.port}"
    config = f"notify: [{{name: soc, url: '{base}/hook/s3cret'}}]\nheartbeat: {base}/beat\n"
    kit.write_text(tmp_path / "gundog.yaml", kit.CONFIG + config)
    return tmp_path


def test_a_finding_is_sent_once_over_all_nights(root: Path, sink: Sink) -> None:
    """The night that stores it sends it; later nights do not."""
    assert hunt(root).exit_status == 0
    hunt(root)
    kit.fill_days(root, "2026-03-10", 1)
    hunt(root, now=NOW + DAY)

    assert [body["kind"] for body in sink.bodies] == ["finding"]
    assert sink.bodies[0]["title"].startswith("a opened and closed")
    assert sink.bodies[0]["command"].startswith("gundog show ")
    [(stored,)] = table(root, "select finding_id::varchar from findings")
    assert sink.bodies[0]["finding_id"] == stored


def test_published_file_knows_what_was_sent(root: Path) -> None:
    """The outbox is published after sending."""
    hunt(root)

    assert table(root, "select kind, sent_at is not null from notifications") == [("finding", True)]


def test_backfill_sends_nothing_unless_asked(root: Path, sink: Sink) -> None:
    """History pages nobody; a digest that was asked for says that it is history."""
    days = ("2026-03-08", "2026-03-09")
    hunt(root, days, command="backfill", origin="backfill", notify="none")
    assert sink.bodies == []

    hunt(root, days, command="backfill", origin="backfill", notify="digest")

    assert [body["kind"] for body in sink.bodies] == ["digest"]
    assert "history" in (sink.bodies[0]["title"] + sink.bodies[0]["text"]).lower()


def test_day_without_data_tells_every_channel_once(root: Path, sink: Sink) -> None:
    """A health message, however often the same day is hunted."""
    for path in (root / "lake/date=2026-03-09").iterdir():
        path.unlink()

    assert hunt(root).exit_status == 1
    hunt(root)

    assert [body["kind"] for body in sink.bodies] == ["health"]
    assert "no data" in sink.bodies[0]["text"]


def test_heartbeat_is_called_after_clean_runs_only(root: Path, sink: Sink) -> None:
    """A dead man's switch that a failing night does not feed."""
    hunt(root)
    assert sink.beats == 1

    kit.write_text(root / "detections/typo.yaml", "nmae: x\n")
    hunt(root)

    assert sink.beats == 1


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
