"""Work over many series, some at a time, so that memory stays small and all cores have some."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

SERIES = 512


def each(work: Callable[[slice], None], n_series: int, jobs: int) -> None:
    """Does the work for some series at a time, on as many cores; numpy and scipy let go of Python.

    What it raises for some is raised here.
    """
    slices = [slice(low, low + SERIES) for low in range(0, n_series, SERIES)]
    if jobs == 1 or len(slices) < 2:
        for rows in slices:
            work(rows)
        return
    with ThreadPoolExecutor(jobs) as pool:
        for _ in pool.map(work, slices):
            pass
