"""The process of a run in which SQL runs, with what it took: CPU seconds, memory and scoring."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gundog.core.child import Child
from gundog.hunting.scoring import hour_scores


class Metered(Child):
    """A child whose CPU and memory are counted, also when another process took over.

    Attributes:
        scored: CPU seconds of scoring so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scored = self._ended_cpu = self._ended_peak = 0.0

    def call(self, work: Callable[..., Any], *arguments: Any, **limits: Any) -> Any:
        """What `work(*arguments)` returns; see `Child.call`."""
        value, scored = super().call(_scoring_counted, work, *arguments, **limits)
        self.scored += scored
        return value

    def stop(self) -> None:
        """Kills the process; what it took is kept."""
        self._ended_cpu, self._ended_peak = self.cpu(), self.peak_mb()
        super().stop()

    def cpu(self) -> float:
        """CPU seconds of all processes so far, in steps of 10 ms."""
        after_name = self._read("stat").rpartition(")")[2].split()
        ticks = sum(map(int, after_name[11:13]))
        return self._ended_cpu + ticks / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float:
        """The most memory of one process, in MB."""
        return max(self._ended_peak, peak_mb(self._read("status")))

    def _read(self, name: str) -> str:
        with suppress(OSError):
            return Path(f"/proc/{self.pid}/{name}").read_text() if self.pid else ""
        return ""


def peak_mb(status: str) -> float:
    """Peak memory by the text of /proc/PID/status; ru_maxrss would begin with the parent's."""
    lines = (line.split() for line in status.splitlines() if line.startswith("VmHWM"))
    return next((int(line[1]) / 1024 for line in lines), 0.0)


class _Spent:
    """CPU seconds of scoring in the process that scores."""

    inner: Callable[..., Any] | None = None
    seconds = 0.0


def _scoring_counted(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """In the child: what work gives, and how many CPU seconds of it scoring took."""
    if _Spent.inner is None:
        _Spent.inner, hour_scores.score = hour_scores.score, _score
    before = _Spent.seconds
    return work(*arguments), _Spent.seconds - before


def _score(*arguments: Any, **named: Any) -> Any:
    assert _Spent.inner  # noqa: S101 - whoever put this in its place kept it
    began = time.process_time()
    try:
        return _Spent.inner(*arguments, **named)
    finally:
        _Spent.seconds += time.process_time() - began
