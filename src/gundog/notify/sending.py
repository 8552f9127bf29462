"""Sending what the outbox holds, until each channel has taken it.

Sending hands over a row and then writes down the answer in a transaction of its own, so a run that
dies loses nothing; what it had handed over without writing it down goes again with the same
Idempotency-Key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import duckdb

from gundog.core.safe_text import for_json
from gundog.core.severity import SEVERITIES
from gundog.core.times import format_time
from gundog.notify.channel import Channel
from gundog.notify.http_post import Answer
from gundog.notify.messages import body_of
from gundog.notify.outbox import notification_id, queue_health
from gundog.notify.services import beat, deliver, place
from gundog.warehouse import database

TIMEOUT_S = 15.0
FIRST_RETRY_S = 2.0
# The longest that a run waits for one channel to take one message.
PATIENCE_S = 60.0
LONGEST_BACKOFF_S = 6 * 3600.0
MAX_TRIES = 20
MAX_AGE = timedelta(days=3)
# Messages in a row that a channel may refuse before the rest waits for the next run.
MAX_REFUSED = 3


@dataclass(frozen=True)
class Sent:
    """What sending did: messages that arrived, failed and wait, were given up; failed channels."""

    sent: int = 0
    failed: int = 0
    dead: int = 0
    errors: tuple[str, ...] = ()

    def __add__(self, other: Sent) -> Sent:
        return Sent(
            self.sent + other.sent,
            self.failed + other.failed,
            self.dead + other.dead,
            self.errors + other.errors,
        )


@dataclass(frozen=True)
class _Letter:
    notification_id: UUID
    body: str
    kind: str
    attempts: int
    first_attempt_at: datetime | None


@dataclass
class _Clock:
    """The run's time, moved on by what was slept."""

    now: datetime
    sleep: Callable[[float], None]
    doubted: bool = False

    def wait(self, seconds: float) -> None:
        self.sleep(seconds)
        self.now += timedelta(seconds=seconds)


# Makes the report as it is attached to a mail.
Page = Callable[[], bytes]


def no_page() -> bytes:
    return b""


def send(
    con: duckdb.DuckDBPyConnection,
    channels: Sequence[Channel],
    now: datetime,
    sleep: Callable[[float], None] = time.sleep,
    timeout_s: float = TIMEOUT_S,
    *,
    doubted: bool = False,
    page: Page = no_page,
) -> Sent:
    """Sends what is due, the least tried and worst first; no channel keeps another from its own.

    A message is tried twice in a run: again after `FIRST_RETRY_S`, or after the Retry-After that
    the channel asked for when that is not above `PATIENCE_S`. Then it waits, first at most 60 s,
    then longer, and is given up after `MAX_TRIES` tries or `MAX_AGE` after the first one; the
    other channels get a health message about it.

    Args:
        con: the warehouse, outside a transaction.
        channels: those of gundog.yaml; messages to others stay.
        now: the run's time.
        sleep: how to wait, in s.
        timeout_s: the longest that one try takes.
        doubted: the run's time is not believed, so that no message is given up for its age.
        page: makes the report for channels that attach it to digests; empty for none.
    """
    clock = _Clock(now, sleep, doubted)
    total, idle, given_up = Sent(), list[Channel](), list[Channel]()
    for channel in channels:
        sent = _send_due(con, channel, clock, timeout_s, page)
        total += sent
        if not sent.errors:
            idle.append(channel)
        if sent.dead:
            given_up.append(channel)
    if given_up:
        _queue_given_up(con, channels, given_up, now)
        for channel in idle:
            total += _send_due(con, channel, clock, timeout_s, page)
    return total


def _queue_given_up(
    con: duckdb.DuckDBPyConnection,
    channels: Sequence[Channel],
    given_up: Sequence[Channel],
    now: datetime,
) -> None:
    for dead in given_up:
        key = f"dead/{dead.name}/{now.astimezone(UTC):%Y-%m-%d}"
        title = f"Messages to channel {dead.name} were given up"
        limits = f"{MAX_TRIES} tries or {MAX_AGE.days} days"
        text = (
            f"It did not accept them in {limits}; the findings are stored, gundog status shows why"
        )
        others = [channel for channel in channels if channel.name != dead.name]
        queue_health(con, others, None, now, [(key, title, text)])


def _send_due(
    con: duckdb.DuckDBPyConnection, channel: Channel, clock: _Clock, timeout_s: float, page: Page
) -> Sent:
    sent = failed = dead = refused = 0
    error = ""
    letters = _due(con, channel, clock.now)
    for number, letter in enumerate(letters, start=1):
        with_page = page() if channel.attach and letter.kind == "digest" else b""
        answer, gave_up = _deliver(con, channel, letter, clock, timeout_s, with_page)
        if answer.error is None:
            sent, refused = sent + 1, 0
            error = _located(channel, answer.remark) if answer.remark else error
            continue
        error = _located(channel, answer.error)
        failed, dead, refused = failed + (not gave_up), dead + gave_up, refused + 1
        if answer.retry_after_s is not None:
            _hold(con, channel, clock.now + timedelta(seconds=answer.retry_after_s))
            break
        if not answer.reached or refused == MAX_REFUSED:
            waiting, given_up = _fail_rest(con, channel, letters[number:], answer, clock)
            failed, dead = failed + waiting, dead + given_up
            break
    return Sent(sent, failed, dead, (f"notify {channel.name}: {error}",) if error else ())


def _fail_rest(
    con: duckdb.DuckDBPyConnection,
    channel: Channel,
    letters: Sequence[_Letter],
    answer: Answer,
    clock: _Clock,
) -> tuple[int, int]:
    """Counts a channel that is down as a try of all that is due: (still waiting, given up).

    Otherwise new messages would always be tried before the old ones, which would never end.
    """
    given_up = 0
    with database.transaction(con):
        for letter in letters:
            gave_up = _gives_up(letter, letter.attempts + 1, clock)
            wait_s = _backoff_s(letter.notification_id, letter.attempts + 1)
            _record(con, channel, letter, answer, clock, wait_s, gave_up=gave_up)
            given_up += gave_up
    return len(letters) - given_up, given_up


def _gives_up(letter: _Letter, attempts: int, clock: _Clock) -> bool:
    age = clock.now - (letter.first_attempt_at or clock.now)
    return attempts >= MAX_TRIES or (age >= MAX_AGE and not clock.doubted)


def _due(con: duckdb.DuckDBPyConnection, channel: Channel, now: datetime) -> list[_Letter]:
    rows = database.rows(
        con,
        """select notification_id, body, kind, attempts, first_attempt_at from notifications
           where channel = $channel and next_attempt_at <= $now
           order by attempts, list_position($ranked, severity) desc nulls last,
                    created_at, notification_id""",
        {"channel": channel.name, "now": now, "ranked": list(SEVERITIES)},
    )
    return [_Letter(**row) for row in rows]


def _deliver(
    con: duckdb.DuckDBPyConnection,
    channel: Channel,
    letter: _Letter,
    clock: _Clock,
    timeout_s: float,
    page: bytes,
) -> tuple[Answer, bool]:
    """Tries a message once, and once more when it failed; returns the answer and if it is dead."""
    body, key = letter.body, letter.notification_id
    for tries in (1, 2):
        answer = deliver(channel.url, body, key, clock.now, timeout_s, page)
        attempts = letter.attempts + tries
        gave_up = answer.error is not None and _gives_up(letter, attempts, clock)
        wait_s = FIRST_RETRY_S if answer.retry_after_s is None else answer.retry_after_s
        last = answer.error is None or gave_up or tries == 2 or wait_s > PATIENCE_S
        if last:
            wait_s = max(answer.retry_after_s or 0, _backoff_s(letter.notification_id, attempts))
        _record(con, channel, letter, answer, clock, wait_s, gave_up=gave_up)
        if last:
            break
        clock.wait(wait_s)
    return answer, gave_up


def _backoff_s(notification_id: UUID, attempts: int) -> float:
    """Seconds until the next run may try: up to 60, then doubling; spread, yet the same each time.

    The spread keeps messages that failed together from coming back together.
    """
    longest = min(60.0 * 2.0 ** max(attempts - 2, 0), LONGEST_BACKOFF_S)
    share = uuid5(notification_id, str(attempts)).int % 1000 / 1000
    return longest * (0.5 + share / 2)


def _record(
    con: duckdb.DuckDBPyConnection,
    channel: Channel,
    letter: _Letter,
    answer: Answer,
    clock: _Clock,
    wait_s: float,
    *,
    gave_up: bool,
) -> None:
    arrived, now = answer.error is None, clock.now
    con.execute(
        """update notifications set attempts = attempts + 1,
               first_attempt_at = coalesce(first_attempt_at, $first),
               next_attempt_at = $next, last_error = $error, sent_at = $sent, dead_at = $dead
           where notification_id = $id""",
        {
            "id": letter.notification_id,
            "first": None if clock.doubted else now,
            "next": None if arrived or gave_up else now + timedelta(seconds=wait_s),
            "error": _located(channel, said) if (said := answer.error or answer.remark) else None,
            "sent": now if arrived else None,
            "dead": now if gave_up else None,
        },
    )


def _hold(con: duckdb.DuckDBPyConnection, channel: Channel, until: datetime) -> None:
    """Keeps everything that waits for a channel until the time the channel asked for."""
    con.execute(
        """update notifications set next_attempt_at = greatest(next_attempt_at, $until)
           where channel = $channel and next_attempt_at is not null""",
        {"channel": channel.name, "until": until},
    )


def send_test(channel: Channel, now: datetime, timeout_s: float = TIMEOUT_S) -> str | None:
    """Sends one message of kind test past the outbox; returns what went wrong, or None."""
    body = body_of(
        "test", "gundog can reach this channel", f"A test message to channel {channel.name}",
        command="gundog notify --test",
    )  # fmt: skip
    key = notification_id(channel.name, f"test/{format_time(now)}")
    answer = deliver(channel.url, for_json(body), key, now, timeout_s)
    said = answer.error or answer.remark
    return _located(channel, said) if said else None


def heartbeat(
    url: str, sleep: Callable[[float], None] = time.sleep, timeout_s: float = TIMEOUT_S
) -> str | None:
    """Calls the address that watches over clean runs; returns what went wrong, or None."""
    answer = beat(url, timeout_s)
    if answer.error is not None:
        sleep(FIRST_RETRY_S)
        answer = beat(url, timeout_s)
    return None if answer.error is None else f"heartbeat {place(url)}: {answer.error}"


def _located(channel: Channel, error: str) -> str:
    return f"{place(channel.url)}: {error}"
