"""What files hold, from the rows per hour that were counted while they were read."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa


@dataclass
class Counted:
    """What a file holds: rows, those without a usable time, its first and last time."""

    rows: int = 0
    timeless: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def after(self, before: Counted) -> Counted:
        """The sum of what was read before and this."""
        firsts = [moment for moment in (before.first, self.first) if moment]
        lasts = [moment for moment in (before.last, self.last) if moment]
        return Counted(
            before.rows + self.rows,
            before.timeless + self.timeless,
            min(firsts, default=None),
            max(lasts, default=None),
        )


def of(hours: pa.Table | None) -> dict[int, Counted]:
    """What each file holds, from its rows per hour."""
    by_file = defaultdict[int, Counted](Counted)
    for row in hours.to_pylist() if hours is not None else ():
        counted = by_file[row["file_id"]]
        counted.rows += row["rows"]
        if row["hour"] is None:
            counted.timeless += row["rows"]
        else:
            counted.first = min(counted.first or row["min_time"], row["min_time"])
            counted.last = max(counted.last or row["max_time"], row["max_time"])
    return by_file
