"""How far a file of JSON lines was read, so that only what is added to it is read again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from gundog.lake import json_text

# So much of what was read before is compared before what was added is read alone.
COMPARED_BYTES = 64 * 1024


@dataclass(frozen=True)
class Tail:
    """Where the reading of a plain file ended, and what its lines were until there.

    Attributes:
        end: the place in bytes.
        digest: of the `COMPARED_BYTES` before it.
        said: what gundog.yaml said of the rows' columns and exporter.
        exporter: who wrote the lines.
        names: the keys of its rows.
        lines: how many lines there are, blank ones not counted.
        broken: how many of them are not a JSON object.
        first_broken: the place of the first of those, from 1; 0 without one.
        too_long: lines that were left out.
        waiting: bytes of a last line without an end.
        timeless: rows without a usable time.
    """

    end: int = 0
    digest: str = ""
    said: str = ""
    exporter: str = ""
    names: tuple[str, ...] = ()
    lines: int = 0
    broken: int = 0
    first_broken: int = 0
    too_long: int = 0
    waiting: int = 0
    timeless: int = 0

    @property
    def start(self) -> int:
        """From where on a copy of the file is needed."""
        return max(0, self.end - COMPARED_BYTES)

    def after(self, before: Tail) -> Tail:
        """The same for the whole file, where this is about what was added alone."""
        later = before.lines + self.first_broken if self.first_broken else 0
        return replace(
            self,
            lines=before.lines + self.lines,
            broken=before.broken + self.broken,
            first_broken=before.first_broken or later,
            too_long=before.too_long + self.too_long,
            timeless=before.timeless + self.timeless,
        )

    def words(self) -> str:
        """What could not be read of the lines; empty where all could."""
        return "; ".join(self._oddities())

    def _oddities(self) -> Iterator[str]:
        if self.broken:
            are = "line is not a JSON object" if self.broken == 1 else "lines are not JSON objects"
            place = f"line {self.first_broken:,} (blank lines not counted)"
            yield f"{self.broken:,} {are}, the first is {place}"
        if self.too_long:
            are = "line is" if self.too_long == 1 else "lines are"
            yield f"{self.too_long:,} {are} longer than {json_text.LINE_BYTES // 2**20} MB"
        if self.waiting:
            yield f"the last line is cut off after {self.waiting:,} bytes and waits for the rest"


def digest(path: Path, end: int) -> str:
    """The digest of what stands before `end`; of a file that ends earlier, another one."""
    start = max(0, end - COMPARED_BYTES)
    with path.open("rb") as opened:
        opened.seek(start)
        return hashlib.sha256(opened.read(end - start)).hexdigest()
