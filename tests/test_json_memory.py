"""Memory while JSON lines are staged: `memoryLimit` holds for files far beyond it."""

from __future__ import annotations

import gzip
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from gundog.core.child import Child
from gundog.lake.path import LakePath
from gundog.staging import apart
from gundog.staging.batch import LACKING, Batch, Failed, Limits, Read, Task
from tests.lab import STAGE, Lab
from tests.test_single_hunt import children as pids

LIMIT = 500_000_000
# What docs/operations.md promises of the process that reads, above the limit.
ABOVE = 1_500_000_000
# A file that a process which holds all of it cannot hide: it takes about 550 MB to read one.
FILE_MB = 800
_BLOCK_BYTES = 8_000_000
_ZSTD = pa.Codec("zstd")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.stress,
    pytest.mark.usefixtures("new_children"),  # the peak of a process is that of all its work
    pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc"),
]


@dataclass
class Peak:
    """The most memory that a process of ours had, in bytes."""

    bytes: int = 0


@contextmanager
def watched() -> Iterator[Peak]:
    """Reads the peak of child processes until the end."""
    peak, over = Peak(), threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            for pid in pids():
                with suppress(OSError, IndexError):
                    text = Path(f"/proc/{pid}/status").read_text()
                    peak.bytes = max(peak.bytes, int(text.split("VmHWM:")[1].split()[0]) * 1024)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def line(number: int, length: int) -> bytes:
    """An event in the Streaming API's envelope whose record has so many letters."""
    row = {
        "Timestamp": "2026-03-09T12:00:00.1234567Z", "Id": number,
        "RawEventData": json.dumps({"x": "ab" * (length // 2)}), "TenantId": "t",
    }  # fmt: skip
    return json.dumps({"category": "AdvancedHunting-Cloud", "properties": row}).encode() + b"\n"


def pieces(kind: str, megabytes: int) -> Iterator[tuple[bytes, int]]:
    """Bytes of a file of about that size, with how many rows each of them holds."""
    length = {"lines of 14 MB": 14 * 2**20, "lines of 50 MB": 50_000_000}.get(kind, 2000)
    rows = max(1, _BLOCK_BYTES // length)
    block = b"".join(line(number, length) for number in range(rows))
    packed = {"gz": gzip.compress, "zst": lambda raw: bytes(_ZSTD.compress(raw, asbytes=True))}
    piece = packed.get(kind, bytes)(block)
    is_read = length < 15 * 2**20
    if not is_read:
        yield line(1, 10), 1
    for _ in range(megabytes * 1_000_000 // len(block)):
        yield piece, rows if is_read else 0


def stage(root: Path, kind: str, megabytes: int) -> tuple[Read | Failed, int, int]:
    """Reads such a file in a child: what it gives, its rows, and the peak of the child in bytes."""
    lab = Lab(root, {"mail": STAGE.replace("RawEventData as raw", "left(RawEventData, 9) as raw")})
    ending = {"gz": "json.gz", "zst": "json.zst"}.get(kind, "json")
    lab.path = LakePath(f"lake/date=%Y-%m-%d/*.{ending}")
    path, there = root / f"lake/date=2026-03-09/a.{ending}", 0
    path.parent.mkdir(parents=True)
    with path.open("wb") as opened:
        for piece, rows in pieces(kind, megabytes):
            opened.write(piece)
            there += rows
    lab.tmp.mkdir()
    (file,) = lab.listed()
    task = Task(file, 7, tuple(lab.stages))
    asked = Batch(((task, path),), lab.source, {}, Limits(LIMIT, 1, lab.tmp), lab.path.format)
    with Child() as child, watched() as peak:
        outcome = apart.reader(child, timedelta(minutes=30))(asked)
    lab.opened.close()
    return outcome, there, peak.bytes


@pytest.mark.parametrize("kind", ["plain", "gz", "zst", "lines of 50 MB"])
def test_a_file_beyond_the_limit_is_read_in_less_memory_than_it_is_long(
    tmp_path: Path, kind: str
) -> None:
    """Every row of it, however it is packed and however long its lines are."""
    outcome, there, peak = stage(tmp_path, kind, FILE_MB)

    assert isinstance(outcome, Read), outcome
    assert outcome.rows["mail"].open().read_all().num_rows == there
    assert peak < FILE_MB * 1_000_000 < LIMIT + ABOVE


def test_more_long_lines_than_memory_holds_are_named(tmp_path: Path) -> None:
    """No exporter writes such lines; the file is not read in part, and the promise holds."""
    outcome, _, peak = stage(tmp_path, "lines of 14 MB", 1500)

    assert isinstance(outcome, Failed)
    assert outcome.kind == LACKING
    assert peak <= LIMIT + ABOVE
