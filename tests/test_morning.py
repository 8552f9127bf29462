"""The morning after: hunt, look, triage, except, hunt again; nothing lost, nothing told twice."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gundog.cli import main
from gundog.core.times import floor
from tests import deaths, kit
from tests.forks import Fork
from tests.kit import DAY, hunt, table
from tests.sinks import Sink

# Days count from the real today, because `except` does.
TODAY = floor(datetime.now(UTC), DAY)
MORNING = timedelta(hours=4)


def project(root: Path, sink: Sink, mode: str) -> Path:
    """A project with a quiet week and one channel."""
    kit.make_project(root)
    kit.fill_days(root, f"{TODAY - 7 * DAY:%Y-%m-%d}", 10)
    channel = f"notify: [{{name: soc, url: '{sink.url()}', mode: {mode}}}]\n"
    kit.write_text(root / "gundog.yaml", kit.CONFIG + channel)
    return root


def export(root: Path, day: datetime, who: str, number: int) -> None:
    """One finding's worth of events, in a file of its own."""
    date = f"{day:%Y-%m-%d}"
    rows = [kit.event(f"{date}T10:00", "open", who, number)]
    rows.append(kit.event(f"{date}T11:00", "close", who, number + 1))
    kit.write_file(root, date, rows, f"{who}-{number}")


def night(root: Path, day: datetime) -> None:
    """The run of the morning after a day."""
    assert hunt(root, now=day + DAY + MORNING).exit_status == 0


def start(root: Path, day: datetime, point: str) -> Fork:
    """The same run as a process of its own, killed at a point, or by the sink."""
    return Fork(deaths.at_point, root, day + DAY + MORNING, point)


def killing(child: Fork) -> Callable[[], str]:
    """An answer of the sink: it has the message, and the sender is dead before it knows."""

    def kill() -> str:
        child.kill()
        return "drop"

    return kill


def gundog(root: Path, *arguments: str) -> int:
    return main.main([*arguments, "--project", str(root)])


def accounts(body: dict[str, Any]) -> list[str]:
    return sorted(one["account_name"] for one in body["findings"])


def finding(root: Path, who: str) -> str:
    [(found,)] = table(
        root,
        "select max_by(finding_id, start_time)::varchar from findings where account_name = ?",
        [who],
    )
    return str(found)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["answered", "notify"])
def test_the_morning_after(
    tmp_path: Path, sink: Sink, capsys: pytest.CaptureFixture[str], point: str
) -> None:
    """Three nights of one project, the second killed between storing and sending."""
    root = project(tmp_path, sink, "digest")
    for number, who in enumerate("abc"):
        export(root, TODAY - DAY, who, 10 * number)
    night(root, TODAY - DAY)
    assert [accounts(one.body) for one in sink.requests] == [["a", "b", "c"]]

    # In the morning one is triaged and one is known to be harmless until tomorrow.
    assert gundog(root, "triage", finding(root, "a")[:8], "--verdict", "true_positive") == 0
    assert gundog(root, "except", finding(root, "b"), "--on", "account_name", "--days", "1",
                  "--reason", "a migration") == 0  # fmt: skip
    capsys.readouterr()
    gundog(root, "findings", "--json")
    assert {row["account_name"] for row in json.loads(capsys.readouterr().out)} == {"b", "c"}

    # The next night is killed, and its digest arrives all the same, under one key.
    for number, who in enumerate("bd"):
        export(root, TODAY, who, 100 + 10 * number)
    child = start(root, TODAY, point)
    sink.script = [killing(child)] if point == "answered" else []
    assert child.wait() == -signal.SIGKILL
    night(root, TODAY)
    night(root, TODAY)
    _, *second = sink.requests
    assert len({one.headers["Idempotency-Key"] for one in second}) == 1
    assert len(second) == (2 if point == "answered" else 1)
    assert accounts(second[-1].body) == ["d"]
    hidden = "select count(*) from findings where suppressed_by like 'exception %: a migration'"
    assert table(root, hidden) == [(2,)]
    gundog(root, "findings", "--json")
    assert {row["account_name"] for row in json.loads(capsys.readouterr().out)} == {"c", "d"}

    # The exception has expired: the finding is back, and the digest says why.
    sink.requests.clear()
    export(root, TODAY + DAY, "b", 200)
    night(root, TODAY + DAY)
    (third,) = sink.requests
    assert accounts(third.body) == ["b"]
    assert "(a migration) expired" in third.body["text"]
    verdicts = "select triage_status, verdict from findings where account_name = 'a'"
    assert table(root, verdicts) == [("resolved", "true_positive")]


POINTS = ("stored", "queued", "publish", "notify", "answered")
KILLS = 15


@pytest.mark.slow
@pytest.mark.stress
def test_kills_lose_nothing_and_repeat_only_the_same_key(tmp_path: Path, sink: Sink) -> None:
    """A finding more before each; killed at each point in turn; all told, under one key each."""
    root = project(tmp_path, sink, "each")
    night(root, TODAY - 2 * DAY)
    for turn in range(KILLS):
        export(root, TODAY - DAY, f"who{turn}", 10 * turn)
        point = POINTS[turn % len(POINTS)]
        child = start(root, TODAY - DAY, point)
        if point == "answered":
            sink.script = [200] * (turn % 3) + [killing(child)]
        status = child.wait()
        sink.script = []
        assert status == -signal.SIGKILL, f"turn {turn} at {point}"
    night(root, TODAY - DAY)

    stored = {str(row[0]) for row in table(root, "select finding_id from findings")}
    told = [one.body for one in sink.requests if one.body["kind"] == "finding"]
    assert len(stored) == KILLS
    assert {one["finding_id"] for one in told} == stored
    keys = {(one.body["finding_id"], one.headers["Idempotency-Key"]) for one in sink.requests}
    assert len(keys) == KILLS
    # Once each, and once more for each kill that fell between the answer and its record.
    assert len(told) <= KILLS + KILLS // len(POINTS)
    assert table(root, "select count(*) from notifications where sent_at is null") == [(0,)]
