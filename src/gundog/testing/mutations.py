"""A detection's own firing examples, moved, cut, doubled and respelled; each with its verdict.

What must come of a mutation follows from the laws that hold for every detection and from what
its YAML says of itself, never from its name:

- Delivery does not matter: order, repetition and the file of a row change nothing.
- Time has no favourites: an example moved by whole intervals finds the same, moved. Of a match
  that is not bound to its interval, it finds the same wherever an edge of an hour, a day or an
  interval falls, and hunted in two parts as hunted in one.
- A match with a parameter `within` whose evidence has two roles is a pair: it fires up to and
  including that gap, and not when its two sides change places in time. With optional tables it is
  not taken for one: what they add is not needed.
- Any other duration decides at its own length, to the microsecond, and nowhere near it.
- Names of hosts, accounts and files have no case. Where a finding is a whole row of the query
  (a detection bound to its interval), that holds for all rows at once only.

A detection is bound when its identity names the interval, as the Sentinel hunts do, or when it was
imported from KQL and counts: then its key is made of the interval and of what it counts by.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from gundog.core import plain_values
from gundog.core.errors import GundogError
from gundog.core.times import DAY, HOUR, MICROSECOND, WEEK, Interval, floor, format_duration
from gundog.core.wording import count
from gundog.detections.detection import Detection, Example
from gundog.detections.hunt import Content, Hunt
from gundog.findings.model import Hit
from gundog.testing import bench, examples, moved_rows
from gundog.testing.bench import Trial
from gundog.testing.examples import Rows


@dataclass(frozen=True)
class Verdict:
    """One mutation of one example: what it was, and what is wrong with what came of it."""

    name: str
    problem: str = ""


Part = Callable[[Trial], Iterator[Verdict]]
_FINDS_NOTHING = "finds nothing: correct the example or the SQL until gundog test passes"


def check(loaded: Content, hunt: Hunt, example: Example) -> list[Verdict]:
    """The verdicts on every mutation that makes sense for a firing example; none for others."""
    if not example.findings:
        return []
    with examples.bench(loaded, hunt) as con:
        trial = Trial(con, loaded, hunt, example, examples.expand(example))
        unchanged = _judged(_unchanged, trial)
        if unchanged[0].problem:  # nothing to compare with
            return unchanged
        return [verdict for part in _parts(hunt) for verdict in _judged(part, trial)]


def _judged(part: Part, trial: Trial) -> list[Verdict]:
    verdicts: list[Verdict] = []
    try:
        verdicts += part(trial)
    except (GundogError, duckdb.Error) as error:
        verdicts.append(Verdict(part.__name__.strip("_"), str(error)))
    return verdicts


def _unchanged(trial: Trial) -> Iterator[Verdict]:
    """The example itself, which all others are compared with."""
    yield Verdict("unchanged", "" if trial.untouched.hits else _FINDS_NOTHING)


def _parts(hunt: Hunt) -> Sequence[Part]:
    """The kinds of mutation whose verdict the detection's YAML implies."""
    always: tuple[Part, ...] = (_delivered, _moved_along, _respelled)
    if hunt.detection.series or is_bound(hunt):
        return always
    return (*always, _across_edges, _in_two_parts, _around_durations, _as_pairs)


def is_bound(hunt: Hunt) -> bool:
    """True when a finding is what it is in one interval only.

    >>> from types import SimpleNamespace
    >>> detection = SimpleNamespace(identity=("interval_start", "details"), query="")
    >>> is_bound(SimpleNamespace(detection=detection, sql=""))
    True
    """
    counts = re.search(r"\bas group_key\b", hunt.sql)
    return "interval_start" in hunt.detection.identity or bool(hunt.detection.query and counts)


def _delivered(trial: Trial) -> Iterator[Verdict]:
    """Order, repetition and file of a row do not matter: same ids, same rows."""
    expected = _as_stored(bench.found(trial, trial.rows))
    back = {name: list(reversed(mine)) for name, mine in trial.rows.items()}
    twice = {name: [*mine, *mine] for name, mine in trial.rows.items()}
    apart = {name: [row for row in mine for _ in range(2)] for name, mine in trial.rows.items()}
    for name, rows, files in (
        ("delivered in the opposite order", back, 1),
        ("delivered twice in one file", twice, 1),
        ("delivered again in another file", apart, 2),
        ("split over two files", trial.rows, 2),
    ):
        yield Verdict(
            name, bench.differ(expected, _as_stored(bench.found(trial, rows, files=files)))
        )


def _as_stored(hits: Sequence[Hit]) -> Counter[str]:
    return Counter(
        plain_values.canonical([hit.finding_id, hit.row, [event.event_id for event in hit.events]])
        for hit in hits
    )


def _moved_along(trial: Trial) -> Iterator[Verdict]:
    """Moved with its interval it finds the same, moved."""
    for by in dict.fromkeys((trial.frequency, -trial.frequency, WEEK)):
        expected = moved_rows.rows_of(trial, trial.untouched, by, timedelta())
        moved = bench.found_with_events(trial, bench.shifted(trial, trial.rows, by), by)
        yield Verdict(
            f"moved by {format_duration(by)} with its interval",
            bench.differ(expected, moved_rows.rows_of(trial, moved, by, by)),
        )


def _respelled(trial: Trial) -> Iterator[Verdict]:
    """Names in capitals, all of them or those of every other event, are the same names."""
    expected = moved_rows.outside(trial.untouched.hits)
    everything = {
        name: [moved_rows.capitals(row) for row in mine] for name, mine in trial.rows.items()
    }
    if not is_bound(trial.hunt) or moved_rows.respell_names(
        trial.rows, str
    ) == moved_rows.respell_names(trial.rows, str.upper):
        yield Verdict(
            "names in capitals",
            bench.differ(expected, moved_rows.outside(bench.found(trial, everything))),
        )
    if is_bound(trial.hunt):
        return
    seen: dict[str, int] = {}
    some: dict[str, list[Mapping[str, Any]]] = {}
    for name, mine in trial.rows.items():
        places = [seen.setdefault(plain_values.canonical(row), len(seen)) for row in mine]
        some[name] = [
            moved_rows.capitals(row) if place % 2 else row
            for row, place in zip(mine, places, strict=True)
        ]
    yield Verdict(
        "names in capitals in every other event",
        bench.differ(expected, moved_rows.outside(bench.found(trial, some))),
    )


def _across_edges(trial: Trial) -> Iterator[Verdict]:
    """Wherever an edge falls, each finding is found once, in one interval."""
    cells = trial.example.interval.length // trial.frequency
    early = (
        bench.first_day(trial.rows, trial.example.interval.start)
        - trial.detection.reach
        - 5 * trial.frequency
    )
    hits = trial.untouched.hits
    if not hits or cells != 1:
        return
    base = _cells(trial, trial.rows, timedelta(), early)
    for name, by in _edges(trial, hits[0]).items():
        moved = _cells(trial, bench.shifted(trial, trial.rows, by), by, early)
        around = sum(moved, Counter[str]())
        twice = Counter({key: count - 1 for key, count in around.items() if count > 1})
        problem = (
            _lacks("lost", base[1], around)
            or _lacks("more", moved[1], sum(base, Counter[str]()))
            or _lacks("in two intervals", twice, Counter())
        )
        yield Verdict(name, problem)


def _cells(trial: Trial, rows: Rows, by: timedelta, early: datetime) -> list[Counter[str]]:
    """What the intervals before, of and after the example find."""
    interval = trial.example.interval
    bench.lay(trial, rows, interval, None)
    events = bench.events_of(trial)
    by_interval = []
    for place in (-1, 0, 1):
        start = interval.start + place * trial.frequency
        hits = bench.hunt(trial, Interval(start, start + trial.frequency), early)
        by_interval.append(bench.identities(trial, hits, by, events))
    return by_interval


def _lacks(word: str, part: Counter[str], whole: Counter[str]) -> str:
    return "; ".join(f"{word} {key}" for key in (part - whole).elements())


def _edges(trial: Trial, hit: Hit) -> dict[str, timedelta]:
    """Moves that put a finding's start and end on an edge and just before it."""
    moves = {}
    for end in ("start_time", "end_time"):
        at: datetime = hit.row[end].astimezone(UTC)
        for name, width in (
            ("hour", HOUR),
            ("day", DAY),
            ("interval", trial.frequency),
        ):
            edge = floor(at, width) + width
            moves[f"its {end} moved onto the next {name}"] = edge - at
            moves[f"its {end} moved to 1us before the next {name}"] = edge - at - MICROSECOND
    moves["moved by 1h back"] = -HOUR
    named = {by: name for name, by in reversed(moves.items()) if abs(by) <= trial.frequency}
    return {name: by for by, name in named.items() if by}


def _in_two_parts(trial: Trial) -> Iterator[Verdict]:
    """Hunted in two parts it finds what it finds in one."""
    interval = trial.example.interval
    hits, events = trial.untouched.hits, trial.untouched.events
    first = bench.first_day(trial.rows, interval.start)
    early = first - trial.detection.reach
    bench.lay(trial, trial.rows, Interval(min(first, interval.start), interval.end), None)
    whole = bench.identities(trial, bench.hunt(trial, interval, early), timedelta(), events)
    cuts = {"in the middle": interval.start + interval.length / 2}
    for hit in hits[:1]:
        for name in ("start_time", "end_time"):
            cuts[f"at {name}"] = hit.row[name].astimezone(UTC)
            cuts[f"1us after {name}"] = hit.row[name].astimezone(UTC) + MICROSECOND
    for name, cut in cuts.items():
        if interval.start < cut < interval.end:
            parts = (Interval(interval.start, cut), Interval(cut, interval.end))
            hits_of_parts = [hit for part in parts for hit in bench.hunt(trial, part, early)]
            together = bench.identities(trial, hits_of_parts, timedelta(), events)
            yield Verdict(f"hunted in two parts, cut {name}", bench.differ(whole, together))


def _around_durations(trial: Trial) -> Iterator[Verdict]:
    """What came before, moved to a duration before the finding: only its own length decides."""
    hits, events = trial.untouched.hits, trial.untouched.events
    near = moved_rows.nearness(trial.rows)
    for name, length in _durations(trial.detection):
        hit = hits[0]
        start = hit.row["start_time"].astimezone(UTC)
        before, rest = _before(trial, hit, events, start)
        moments = bench.times_of(before)
        for end, at in (
            ("last", max(moments, default=None)),
            ("first", min(moments, default=None)),
        ):
            if at is None:
                continue
            told = []
            for step in (-near, -MICROSECOND, timedelta(), MICROSECOND, near):
                rows = moved_rows.joined(
                    rest, bench.shifted(trial, before, start - length + step - at)
                )
                early = bench.first_day(rows, start) - trial.detection.reach - trial.frequency
                bench.lay(trial, rows, trial.example.interval)
                told.append(moved_rows.outside(bench.hunt(trial, trial.example.interval, early)))
            problem = (
                bench.differ(told[0], told[1])
                or bench.differ(told[4], told[3])
                or ("" if told[2] in (told[1], told[3]) else "exactly at it is like neither side")
            )
            yield Verdict(f"the {end} event before moved around {name}", problem)


def _durations(detection: Detection) -> list[tuple[str, timedelta]]:
    return [(k, v) for k, v in detection.params.items() if isinstance(v, timedelta)]


def _before(
    trial: Trial, hit: Hit, events: Mapping[str, str], start: datetime
) -> tuple[Rows, Rows]:
    """The rows before a finding that are not evidence of it, and all others."""
    evidence = {events.get(str(event.event_id)) for event in hit.events}
    before, rest = dict[str, list[Any]](), dict[str, list[Any]]()
    for name, mine in trial.rows.items():
        for place, row in enumerate(mine):
            moment = bench.moment(row.get("Timestamp"))
            is_before = moment is not None and moment < start
            chosen = before if is_before and f"{name} {place}" not in evidence else rest
            chosen.setdefault(name, []).append(row)
    return before, rest


def _as_pairs(trial: Trial) -> Iterator[Verdict]:
    """Of a pair alone: silent in the opposite order, and its gap around `within`."""
    within = trial.detection.params.get("within")
    if not isinstance(within, timedelta) or trial.detection.optional:
        return
    hits, events = trial.untouched.hits, trial.untouched.events
    for number, hit in enumerate(hits):
        sides = _sides(trial, hit, events)
        if not sides or _count(trial, *sides) != 1:
            continue
        first, second = sides
        gap = max(bench.times_of(second)) - min(bench.times_of(first))
        for name, by, wanted in (
            ("its sides in the opposite order", -2 * gap, 0),
            ("its gap 1us under within", within - MICROSECOND - _gap(first, second), 1),
            ("its gap exactly within", within - _gap(first, second), 1),
            ("its gap 1us over within", within + MICROSECOND - _gap(first, second), 0),
        ):
            if name.startswith("its sides") and not gap:
                continue
            actual = _count(trial, first, bench.shifted(trial, second, by))
            problem = (
                "" if actual == wanted else f"{count(actual, 'finding')} where {wanted} must come"
            )
            yield Verdict(f"pair {number + 1} alone, {name}", problem)


def _gap(first: Rows, second: Rows) -> timedelta:
    return min(bench.times_of(second)) - min(bench.times_of(first))


def _sides(trial: Trial, hit: Hit, events: Mapping[str, str]) -> tuple[Rows, Rows] | None:
    """The rows of a finding's two roles, in the order of their times; None without two."""
    roles: dict[str, set[str]] = {}
    for event in hit.events:
        roles.setdefault(event.role, set()).add(events[str(event.event_id)])
    if len(roles) != 2 or set.intersection(*roles.values()):
        return None
    first, second = (
        {
            name: [row for place, row in enumerate(mine) if f"{name} {place}" in places]
            for name, mine in trial.rows.items()
        }
        for places in roles.values()
    )
    return (first, second) if _gap(first, second) >= timedelta() else (second, first)


def _count(trial: Trial, first: Rows, second: Rows) -> int:
    """How many findings rows give, over every interval that they touch."""
    rows = moved_rows.joined(first, second)
    moments = bench.times_of(rows)
    start, end = floor(min(moments), trial.frequency), max(moments)
    bench.lay(trial, rows, Interval(start, end + trial.frequency))
    count = 0
    while start <= end:
        count += len(
            bench.hunt(
                trial, Interval(start, start + trial.frequency), start - trial.detection.reach
            )
        )
        start += trial.frequency
    return count
