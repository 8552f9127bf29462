"""How long staging and hunting will take, judged from how long they took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import duckdb

# What a modest machine does; only until a run has been timed.
_BYTES_PER_SECOND = 20_000_000.0
_SECONDS_PER_HUNT = 0.5


@dataclass(frozen=True)
class Speed:
    """Bytes staged per second, and seconds per hunt by detection id; of past runs if `is_known`."""

    bytes_per_second: float = _BYTES_PER_SECOND
    hunt_seconds: Mapping[str, float] = field(default_factory=dict)
    is_known: bool = False

    def seconds(self, size: int, hunts: Mapping[str, int]) -> float:
        """What staging `size` bytes and so many hunts of each detection would take."""
        usual = sorted(self.hunt_seconds.values())
        typical = usual[len(usual) // 2] if usual else _SECONDS_PER_HUNT
        hunting = sum(
            count * self.hunt_seconds.get(detection, typical) for detection, count in hunts.items()
        )
        return size / self.bytes_per_second + hunting

    def words(self, size: int, hunts: Mapping[str, int]) -> str:
        """The same for people.

        >>> Speed().words(12_000_000_000, {"x": 10})
        'about 10 minutes (a guess: no run was timed yet)'
        """
        minutes = self.seconds(size, hunts) / 60
        much = "less than a minute" if minutes < 1 else f"about {minutes:,.0f} minutes"
        much = much.replace("about 1 minutes", "about a minute")
        return f"{much} ({'from past runs' if self.is_known else 'a guess: no run was timed yet'})"


def measured(con: duckdb.DuckDBPyConnection) -> Speed:
    """The speed of the runs that the warehouse remembers."""
    size, seconds = con.execute(
        """select coalesce(sum((summary ->> '$.bytes')::double), 0),
                  coalesce(sum((summary ->> '$.stage_seconds')::double), 0)
           from runs where (summary ->> '$.stage_seconds')::double > 0"""
    ).fetchall()[0]
    hunts = con.execute(
        """select detection_id::varchar, avg(seconds) from run_intervals
           where state = 'done' and seconds is not null group by all"""
    ).fetchall()
    if not seconds:
        return Speed(hunt_seconds=dict(hunts))
    return Speed(size / seconds, dict(hunts), is_known=True)
