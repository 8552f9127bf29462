"""What other processes of tests are asked to do: imported soon, as many of them are new."""

from __future__ import annotations

import mmap
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import duckdb

from gundog.core import child


def query(sql: str) -> object:
    """What a child is asked to do here."""
    return duckdb.connect().execute(sql).fetchall()


def environment() -> dict[str, str]:
    return dict(os.environ)


def printed() -> str:
    sys.stdout.write("noise")
    sys.stdout.flush()
    os.write(1, b"more noise")
    return "value"


KEPT: list[mmap.mmap] = []


def arrays() -> tuple[Any, Any, str]:
    """Values of two libraries, loaded here: processes that need neither start sooner."""
    import numpy as np
    import pyarrow as pa

    return pa.table({"n": range(100_000), "t": ["text"] * 100_000}), np.arange(9), "x" * 100


def data_mb() -> int:
    """Address space for data in MB, after a query and an array have used some and freed it."""
    import pyarrow as pa

    duckdb.connect().execute("select max(x) from (select range x from range(5000000) order by all)")
    pa.array([1.5] * 1_000_000)
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmData"))


def keep(size: int) -> None:
    """Takes address space for data that nothing is ever written to."""
    KEPT.append(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def die(number: int) -> None:
    os.kill(os.getpid(), number)


def waits(seconds: float) -> float:
    """Takes time and no CPU, as on a machine that is busy with other work."""
    time.sleep(seconds)
    return seconds


def lifted() -> tuple[int, int]:
    with child.unlimited():
        inside = resource.getrlimit(resource.RLIMIT_DATA)[0]
    return resource.getrlimit(resource.RLIMIT_DATA)[0], inside


def fork_one() -> int:
    """A process that a library forks and that waits for work for ever."""
    worker = os.fork()
    if not worker:
        while True:
            time.sleep(60)
    return worker


def attempt(*arguments: Any) -> object:
    """`drill.attempt` with the smallest and the largest attacks, and by night only."""
    from gundog.testing import attacks, drill

    all_of_them = attacks.SIZES, attacks.TIMES
    attacks.SIZES, attacks.TIMES = attacks.SIZES[::2], attacks.TIMES[-1:]
    try:
        return drill.attempt(*arguments)
    finally:
        attacks.SIZES, attacks.TIMES = all_of_them
