"""The outbox: what is stored and not yet told, queued once per channel and sent until it arrives.

Messages are rows of `notifications`, written before anything is sent. Sending posts a row and then
writes down the answer in a transaction of its own, so a run that dies loses nothing; what it had
posted without writing it down is posted again with the same Idempotency-Key.
"""

from __future__ import annotations

import base64
import http.client
import queue
import re
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.error import URLError
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from urllib.request import HTTPErrorProcessor, Request, build_opener
from uuid import NAMESPACE_URL, UUID, uuid5

import duckdb

from gundog import warehouse
from gundog.detection import SEVERITIES
from gundog.interval import Interval, format_time
from gundog.settings import Channel
from gundog.text import cut, for_json, for_message

TIMEOUT_S = 15.0
FIRST_RETRY_S = 2.0
# The longest that a run waits for one channel to take one message.
PATIENCE_S = 60.0
LONGEST_BACKOFF_S = 6 * 3600.0
LONGEST_RETRY_AFTER_S = 24 * 3600.0
MAX_TRIES = 20
MAX_AGE = timedelta(days=3)
# A channel that starts, or starts to admit more, is told what was stored up to this long before.
NEWS_AGE = timedelta(days=3)
# Messages in a row that a channel may refuse before the rest waits for the next run.
MAX_REFUSED = 3
DIGEST_LINES = 20
NAME_LIMIT = 200
TITLE_LIMIT = 300
REDIRECT_HINT = ": redirects are not followed, write the address it leads to"
SCHEMES = ("http", "https", "json", "jsons")

_BODY_KEYS = (
    "kind", "finding_id", "detection_id", "detection_name", "severity", "title", "text",
    "host_name", "account_name", "mailbox", "start_time", "end_time", "command",
)  # fmt: skip
_NAMESPACE = uuid5(NAMESPACE_URL, "gundog:notification")


# ---- what is queued ----


def start(con: duckdb.DuckDBPyConnection, channels: Iterable[Channel], at: datetime) -> None:
    """Writes down from when each channel is told of what it admits now; call it as a run begins.

    A new channel, a lower minSeverity or a detection that became stable would otherwise be told
    of years of findings at once; they are told of what was stored up to `NEWS_AGE` before `at`.
    """
    for channel in channels:
        con.execute(
            f"""
            insert into notification_starts
            select $channel, d.detection_id, s.severity, $since
            from detections as d, (select unnest($severities) as severity) as s
            where {_ADMITTED} and not exists (
                from notification_starts as n where n.channel = $channel
                and n.detection_id = d.detection_id and n.severity = s.severity
            )""",
            {**_admits(channel), "since": at - NEWS_AGE},
        )


# Of `detections as d`: stable, and named by the channel where it names any.
_ADMITTED = """d.status = 'stable' and (len($detections::varchar[]) = 0
    or list_contains($detections::varchar[], d.stem)
    or list_contains($detections::varchar[], d.detection_id::varchar))"""


def _admits(channel: Channel) -> dict[str, Any]:
    return {
        "channel": channel.name,
        "severities": list(SEVERITIES[SEVERITIES.index(channel.min_severity) :]),
        "detections": list(channel.detections),
    }


def queue_findings(
    con: duckdb.DuckDBPyConnection,
    channels: Iterable[Channel],
    run_id: UUID,
    at: datetime,
    override_mode: str | None = None,
    *,
    history: Interval | None = None,
    coverage: str = "",
) -> int:
    """Queues what each channel has not been told yet; returns the number of messages.

    Told are findings of stable detections, not suppressed, of a severity, detection and tag that
    the channel admits, when first stored, and again when their severity rose.

    Args:
        con: the warehouse, its `detections` as they stand.
        channels: where to.
        run_id: the run; a channel in mode digest gets one message per run.
        at: the run's time.
        override_mode: each, digest or none instead of each channel's own mode. What none leaves
            out, the next run without it sends.
        history: for a backfill: tell what lies in these intervals, whenever stored, and say that
            it is history. Without it, what backfills found is not told.
        coverage: for a digest: what was hunted, such as `7 detections x 1 day hunted`. A digest
            without findings is queued only when this says something.
    """
    queued = 0
    for channel in channels:
        start(con, [channel], at)
        mode = override_mode or channel.mode
        if mode == "none":
            continue
        untold = _untold(con, channel, history)
        if mode == "digest":
            told = _queue_digest(con, channel, run_id, at, untold, history, coverage)
        else:
            told = sum(_queue_one(con, channel, run_id, at, row) for row in untold)
        queued += told
    return queued


_UNTOLD = f"""
    with told as (
        select finding_id, max(list_position($ranked, severity)) as rank
        from (
            select unnest(finding_ids) as finding_id, unnest(severities) as severity
            from notifications where channel = $channel
        ) group by finding_id
    )
    select f.finding_id, f.detection_id, f.detection_name, f.severity, f.title, f.reason,
           f.host_name, f.account_name, f.mailbox, f.app_id, f.ip_address,
           f.start_time, f.end_time, f.tactics, f.techniques, d.triage[1] as triage_step
    from findings as f
    inner join detections as d using (detection_id)
    inner join notification_starts as s
        on s.channel = $channel
        and s.detection_id = f.detection_id
        and s.severity = f.severity
    left join told as t using (finding_id)
    where {_ADMITTED}
    and f.suppressed_by is null
    and list_contains($severities, f.severity)
    and list_position($ranked, f.severity) > coalesce(t.rank, 0)
    and case
        when $start::timestamptz is not null
        then f.interval_end > $start::timestamptz and f.interval_start < $end::timestamptz
        else t.rank is not null or (f.origin = 'nightly' and f.created_at >= s.since)
    end
    order by list_position($ranked, f.severity) desc, f.start_time, f.finding_id
"""


def _untold(
    con: duckdb.DuckDBPyConnection, channel: Channel, history: Interval | None
) -> list[dict[str, Any]]:
    """Findings to tell the channel, worst first, each with its detection's first triage step."""
    params = {
        **_admits(channel),
        "ranked": list(SEVERITIES),
        "start": history.start if history else None,
        "end": history.end if history else None,
    }
    tags = {tag.casefold() for tag in channel.tags}
    return [row for row in warehouse.rows(con, _UNTOLD, params) if not tags or tags & _tags(row)]


def _tags(row: Mapping[str, Any]) -> set[str]:
    return {tag.casefold() for tag in [*(row["tactics"] or ()), *(row["techniques"] or ())]}


def _queue_one(
    con: duckdb.DuckDBPyConnection,
    channel: Channel,
    run_id: UUID,
    at: datetime,
    row: Mapping[str, Any],
) -> int:
    key = f"finding/{row['finding_id']}/{row['severity']}"
    return _queue(con, channel, key, run_id, at, finding_body(row), [row])


def _queue_digest(
    con: duckdb.DuckDBPyConnection,
    channel: Channel,
    run_id: UUID,
    at: datetime,
    rows: Sequence[Mapping[str, Any]],
    history: Interval | None,
    coverage: str,
) -> int:
    earlier = con.execute(
        "select count(*) from notifications where channel = ? and kind = 'digest' and run_id = ?",
        [channel.name, run_id],
    ).fetchall()[0][0]
    if not rows and (earlier or not coverage):
        return 0
    key = f"digest/{run_id}" + (f"/{earlier + 1}" if earlier else "")
    return _queue(con, channel, key, run_id, at, digest_body(rows, history, coverage), rows)


def queue_health(
    con: duckdb.DuckDBPyConnection,
    channels: Iterable[Channel],
    run_id: UUID | None,
    at: datetime,
    items: Iterable[tuple[str, str, str]],
) -> int:
    """Queues messages about gundog's own state; returns how many.

    Args:
        con: the warehouse.
        channels: where to; severity and detection filters do not apply.
        run_id: the run.
        at: the run's time.
        items: (key, title, text); a key is queued once per channel ever, so it names the day,
            interval or file that it is about.
    """
    queued = 0
    for key, title, text in items:
        body = _body("health", title, text, command="gundog status")
        for channel in channels:
            queued += _queue(con, channel, f"health/{key}", run_id, at, body, [])
    return queued


def _queue(
    con: duckdb.DuckDBPyConnection,
    channel: Channel,
    key: str,
    run_id: UUID | None,
    at: datetime,
    body: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
) -> int:
    """Queues one message unless the channel has its key already; returns 1 or 0."""
    severities = [row["severity"] for row in rows]
    counted = con.execute(
        """insert into notifications by name
           select $id::uuid as notification_id, $channel as channel, $kind as kind, $key as key,
                  $finding_ids::uuid[] as finding_ids, $severities::varchar[] as severities,
                  $severity as severity, $body as body, $run_id::uuid as run_id,
                  $at as created_at, 0 as attempts, $at as next_attempt_at
           on conflict do nothing""",
        {
            "id": notification_id(channel.name, key),
            "channel": channel.name,
            "kind": body["kind"],
            "key": key,
            "finding_ids": [row["finding_id"] for row in rows],
            "severities": severities,
            "severity": max(severities, key=SEVERITIES.index, default=None),
            "body": for_json(body),
            "run_id": run_id,
            "at": at,
        },
    ).fetchall()
    return int(counted[0][0])


def notification_id(channel: str, key: str) -> UUID:
    """The id of a message, the same whenever the channel of that name gets one about that key."""
    return uuid5(_NAMESPACE, for_json([channel, key]))


# ---- what a message says ----


def message(row: Mapping[str, Any]) -> tuple[str, str]:
    """Title and text that tell one finding to a person; text from events cannot become markup.

    The text has a line each for: what was found, who, when, why, the first triage step, and the
    command that shows all of it. Long values are cut.

    Args:
        row: columns of `findings`; `triage_step` is its detection's first triage step, or null.
    """
    title = for_message(row["title"] or row["detection_name"] or "", TITLE_LIMIT)
    lines = [
        f"{row['detection_name']} ({row['severity']})",
        f"Who: {_entities(row) or 'not known'}",
        f"When: {_when(row)}",
        f"Why: {row['reason'] or row['detection_name']}",
        f"First step: {row['triage_step']}" if row.get("triage_step") else "",
        f"Show: {_command(row)}",
    ]
    return title, "\n".join(for_message(line) for line in lines if line)


def _entities(row: Mapping[str, Any]) -> str:
    names = {
        "account": row["account_name"],
        "host": row["host_name"],
        "mailbox": row["mailbox"],
        "app": row["app_id"],
        "address": row["ip_address"],
    }
    # The tenant's own series carries * where a series has its mailbox.
    return ", ".join(
        "all mailboxes" if name == "*" else f"{kind} {cut(name, NAME_LIMIT)}"
        for kind, name in names.items()
        if name
    )


def _when(row: Mapping[str, Any]) -> str:
    first, last = _time(row["start_time"]), _time(row["end_time"])
    return f"{first} to {last}" if first and last and first != last else first or last or "?"


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None


def _command(row: Mapping[str, Any]) -> str:
    return f"gundog show {row['finding_id']}"


def finding_body(row: Mapping[str, Any]) -> dict[str, Any]:
    """The generic body of one finding, ready for `for_json`."""
    title, text = message(row)
    return _body(
        "finding",
        title,
        text,
        finding_id=str(row["finding_id"]),
        detection_id=str(row["detection_id"]),
        detection_name=_name(row["detection_name"]),
        severity=row["severity"],
        host_name=_name(row["host_name"]),
        account_name=_name(row["account_name"]),
        mailbox=_name(row["mailbox"]),
        start_time=_time(row["start_time"]),
        end_time=_time(row["end_time"]),
        command=_command(row),
    )


def digest_body(
    rows: Sequence[Mapping[str, Any]], history: Interval | None = None, coverage: str = ""
) -> dict[str, Any]:
    """The generic body of a digest: all findings, and a text of the first `DIGEST_LINES`."""
    findings = [finding_body(row) for row in rows]
    counts = Counter(row["severity"] for row in rows)
    split = ", ".join(f"{counts[one]} {one}" for one in reversed(SEVERITIES) if counts[one])
    title = f"{len(rows)} new"
    if history is not None:
        span = f"{format_time(history.start)} to {format_time(history.end)}"
        title = f"History of {span}: {len(rows)} found"
    title += f" ({split})" if split else ""
    title += f"; {coverage}" if coverage else ""
    lines = [
        f"{one['severity']}: {one['title']}, {one['start_time']}, {one['command']}"
        for one in findings[:DIGEST_LINES]
    ]
    if len(findings) > DIGEST_LINES:
        lines.append(f"and {len(findings) - DIGEST_LINES} more")
    text = "\n".join(for_message(line) for line in lines or [title])
    worst = max(counts, key=SEVERITIES.index, default=None)
    body = _body("digest", title, text, severity=worst, command="gundog findings")
    return {**body, "findings": findings}


def _body(kind: str, title: str, text: str, **fields: str | None) -> dict[str, Any]:
    """A body with every key, null where a message of this kind has nothing to say."""
    shown = "\n".join(for_message(line) for line in text.splitlines())
    filled = {"kind": kind, "title": for_message(title, TITLE_LIMIT), "text": shown, **fields}
    return {key: filled.get(key) for key in _BODY_KEYS}


def _name(value: str | None) -> str | None:
    return value if value in (None, "*") else for_message(value, NAME_LIMIT)


# ---- sending ----


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
class Answer:
    """How a channel took one try; `error` is None when it did, and never holds an address."""

    error: str | None = None
    retry_after_s: float | None = None
    reached: bool = True


@dataclass(frozen=True)
class _Letter:
    notification_id: UUID
    body: str
    attempts: int
    first_attempt_at: datetime | None


@dataclass
class _Clock:
    """The run's time, moved on by what was slept."""

    now: datetime
    sleep: Callable[[float], None]

    def wait(self, seconds: float) -> None:
        self.sleep(seconds)
        self.now += timedelta(seconds=seconds)


def send(
    con: duckdb.DuckDBPyConnection,
    channels: Sequence[Channel],
    at: datetime,
    sleep: Callable[[float], None] = time.sleep,
    timeout_s: float = TIMEOUT_S,
) -> Sent:
    """Sends what is due, the least tried and worst first; no channel keeps another from its own.

    A message is tried twice in a run: again after `FIRST_RETRY_S`, or after the Retry-After that
    the channel asked for when that is not above `PATIENCE_S`. Then it waits, first at most 60 s,
    then longer, and is given up after `MAX_TRIES` tries or `MAX_AGE` after the first one; the
    other channels get a health message about it.

    Args:
        con: the warehouse, outside a transaction.
        channels: those of gundog.yaml; messages to others stay.
        at: the run's time.
        sleep: how to wait, in s.
        timeout_s: the longest that one try takes.
    """
    clock = _Clock(at, sleep)
    total, idle, given_up = Sent(), list[Channel](), list[Channel]()
    for channel in channels:
        one = _send_due(con, channel, clock, timeout_s)
        total += one
        if not one.errors:
            idle.append(channel)
        if one.dead:
            given_up.append(channel)
    if given_up:
        _queue_given_up(con, channels, given_up, at)
        for channel in idle:
            total += _send_due(con, channel, clock, timeout_s)
    return total


def _queue_given_up(
    con: duckdb.DuckDBPyConnection,
    channels: Sequence[Channel],
    given_up: Sequence[Channel],
    at: datetime,
) -> None:
    for dead in given_up:
        key = f"dead/{dead.name}/{at.astimezone(UTC):%Y-%m-%d}"
        title = f"Messages to channel {dead.name} were given up"
        limits = f"{MAX_TRIES} tries or {MAX_AGE.days} days"
        text = f"It did not take them in {limits}; the findings are stored, gundog status says why"
        others = [one for one in channels if one.name != dead.name]
        queue_health(con, others, None, at, [(key, title, text)])


def _send_due(
    con: duckdb.DuckDBPyConnection, channel: Channel, clock: _Clock, timeout_s: float
) -> Sent:
    sent = failed = dead = refused = 0
    error = ""
    letters = _due(con, channel, clock.now)
    for place, letter in enumerate(letters, start=1):
        answer, gave_up = _deliver(con, channel, letter, clock, timeout_s)
        if answer.error is None:
            sent, refused = sent + 1, 0
            continue
        error = _located(channel, answer.error)
        failed, dead, refused = failed + (not gave_up), dead + gave_up, refused + 1
        if answer.retry_after_s is not None:
            _hold(con, channel, clock.now + timedelta(seconds=answer.retry_after_s))
            break
        if not answer.reached or refused == MAX_REFUSED:
            waiting, given_up = _fail_rest(con, channel, letters[place:], answer, clock.now)
            failed, dead = failed + waiting, dead + given_up
            break
    return Sent(sent, failed, dead, (f"notify {channel.name}: {error}",) if error else ())


def _fail_rest(
    con: duckdb.DuckDBPyConnection,
    channel: Channel,
    letters: Sequence[_Letter],
    answer: Answer,
    now: datetime,
) -> tuple[int, int]:
    """Counts a channel that is down as a try of all that is due: (still waiting, given up).

    Otherwise new messages would always be tried before the old ones, which would never end.
    """
    given_up = 0
    with warehouse.transaction(con):
        for letter in letters:
            gave_up = _gives_up(letter, letter.attempts + 1, now)
            wait_s = _backoff_s(letter.notification_id, letter.attempts + 1)
            _record(con, channel, letter, answer, now, wait_s, gave_up=gave_up)
            given_up += gave_up
    return len(letters) - given_up, given_up


def _gives_up(letter: _Letter, attempts: int, now: datetime) -> bool:
    return attempts >= MAX_TRIES or now - (letter.first_attempt_at or now) >= MAX_AGE


def _due(con: duckdb.DuckDBPyConnection, channel: Channel, now: datetime) -> list[_Letter]:
    rows = warehouse.rows(
        con,
        """select notification_id, body, attempts, first_attempt_at from notifications
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
) -> tuple[Answer, bool]:
    """Tries a message once, and once more when it failed; returns the answer and if it is dead."""
    for tries in (1, 2):
        answer = _post(channel.url, letter.body, letter.notification_id, timeout_s)
        attempts = letter.attempts + tries
        gave_up = answer.error is not None and _gives_up(letter, attempts, clock.now)
        wait_s = FIRST_RETRY_S if answer.retry_after_s is None else answer.retry_after_s
        last = answer.error is None or gave_up or tries == 2 or wait_s > PATIENCE_S
        if last:
            wait_s = max(answer.retry_after_s or 0, _backoff_s(letter.notification_id, attempts))
        _record(con, channel, letter, answer, clock.now, wait_s, gave_up=gave_up)
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
    now: datetime,
    wait_s: float,
    *,
    gave_up: bool,
) -> None:
    arrived = answer.error is None
    con.execute(
        """update notifications set attempts = attempts + 1,
               first_attempt_at = coalesce(first_attempt_at, $now),
               next_attempt_at = $next, last_error = $error, sent_at = $sent, dead_at = $dead
           where notification_id = $id""",
        {
            "id": letter.notification_id,
            "now": now,
            "next": None if arrived or gave_up else now + timedelta(seconds=wait_s),
            "error": None if answer.error is None else _located(channel, answer.error),
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


def send_test(channel: Channel, at: datetime, timeout_s: float = TIMEOUT_S) -> str | None:
    """Sends one message of kind test past the outbox; returns what went wrong, or None."""
    body = _body(
        "test", "gundog can reach this channel", f"A test message to channel {channel.name}",
        command="gundog notify --test",
    )  # fmt: skip
    key = notification_id(channel.name, f"test/{format_time(at)}")
    answer = _post(channel.url, for_json(body), key, timeout_s)
    return None if answer.error is None else _located(channel, answer.error)


def heartbeat(
    url: str, sleep: Callable[[float], None] = time.sleep, timeout_s: float = TIMEOUT_S
) -> str | None:
    """Calls the address that watches over clean runs; returns what went wrong, or None."""
    answer = _call(url, None, {}, timeout_s)
    if answer.error is not None:
        sleep(FIRST_RETRY_S)
        answer = _call(url, None, {}, timeout_s)
    return None if answer.error is None else f"heartbeat {host(url)}: {answer.error}"


# ---- HTTP ----


def url_problem(url: str) -> str | None:
    """Why a channel's address cannot be used, without a part of it, or None."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in SCHEMES and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        known = False
    if known:
        return None
    return f"is no address of a channel: write {'://, '.join(SCHEMES)}:// and a host"


def host(url: str) -> str:
    """The host an address names; the rest of it may be secret.

    Of an address of another kind nothing is shown: `slack://` has a token where a host would be.

    >>> host("https://user:secret@hooks.example.com/services/secret")
    'hooks.example.com'
    """
    if url_problem(url):
        return "its address"
    return for_message(urlsplit(url).hostname or "", NAME_LIMIT)


def _located(channel: Channel, error: str) -> str:
    return f"{host(channel.url)}: {error}"


def _post(url: str, body: str, key: UUID, timeout_s: float) -> Answer:
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(key)}
    return _call(url, body.encode("ascii"), headers, timeout_s)


def _call(url: str, body: bytes | None, headers: dict[str, str], timeout_s: float) -> Answer:
    """One HTTP request in at most `timeout_s`, names, connecting and slow answers included."""
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()

    def work() -> None:
        answers.put(_request(url, body, headers, timeout_s))

    # A socket's own timeout starts anew with every byte and does not cover the name's look-up.
    threading.Thread(target=work, daemon=True).start()
    try:
        return answers.get(timeout=timeout_s + 1)
    except queue.Empty:
        return _late(timeout_s)


def _late(timeout_s: float) -> Answer:
    return Answer(f"did not answer within {timeout_s:g} s", reached=False)


class _AnyStatus(HTTPErrorProcessor):
    """Returns every answer as it is: a redirect followed by urllib would lose the body."""

    def http_response(self, request: Request, response: Any) -> Any:  # noqa: ARG002 - urllib's signature
        return response

    https_response = http_response


def _request(url: str, body: bytes | None, headers: dict[str, str], timeout_s: float) -> Answer:
    if url_problem(url):
        return Answer("is of no kind that can be called", reached=False)
    try:
        plain, credentials = _plain(url)
        request = Request(plain, body, {"User-Agent": "gundog", **headers, **credentials})  # noqa: S310 - http or https
        with build_opener(_AnyStatus).open(request, timeout=timeout_s) as response:
            return _read(response.status, response.headers)
    except TimeoutError:
        return _late(timeout_s)
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, URLError) else error
        if isinstance(cause, TimeoutError):
            return _late(timeout_s)
        return Answer(_why(cause), reached=False)


def _plain(url: str) -> tuple[str, dict[str, str]]:
    """The address to call and, from user:password in it, the header that signs in."""
    parts = urlsplit(url)
    scheme = {"json": "http", "jsons": "https"}.get(parts.scheme, parts.scheme)
    user_info, _, place = parts.netloc.rpartition("@")
    path, query = (quote(part, safe="/%:@!$&'()*+,;=~?") for part in (parts.path, parts.query))
    plain = urlunsplit((scheme, place, path or "/", query, ""))
    if not user_info:
        return plain, {}
    user, _, password = user_info.partition(":")
    token = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode("ascii")
    return plain, {"Authorization": f"Basic {token}"}


def _read(status: int, headers: Message) -> Answer:
    if 200 <= status < 300:
        return Answer()
    hint = REDIRECT_HINT if 300 <= status < 400 else ""
    return Answer(f"answered {status}{hint}", _retry_after(headers))


def _retry_after(headers: Message) -> float | None:
    """Seconds the answer asks to wait; a date counts from the answer's own Date."""
    value = (headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"\d{1,9}", value):
        return min(float(value), LONGEST_RETRY_AFTER_S)
    try:
        asked = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date") or "")
    except (TypeError, ValueError):
        return None
    return min(max(asked.total_seconds(), 0.0), LONGEST_RETRY_AFTER_S)


_CAUSES: tuple[tuple[type[BaseException], str], ...] = (
    (ssl.SSLCertVerificationError, "has a certificate that this machine does not trust"),
    (ssl.SSLError, "does not speak TLS as expected"),
    (socket.gaierror, "has a name that does not resolve"),
    (ConnectionRefusedError, "refused the connection"),
    (ConnectionError, "closed the connection before it answered"),
    (http.client.BadStatusLine, "closed the connection before it answered"),
)


def _why(error: object) -> str:
    """What went wrong in words of our own: a library's would quote the address."""
    for kind, words in _CAUSES:
        if isinstance(error, kind):
            return words
    return f"could not be reached ({type(error).__name__})"
